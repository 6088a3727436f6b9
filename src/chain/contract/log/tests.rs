//! The table of protocol.md, and logs that no contract emits.

use alloy::primitives::hex;
use alloy::sol_types::SolCall;

use super::*;
use crate::chain::contract::abi::{IController, IResponse, ISource, ITask, ITerminal, IVault};

fn published() -> (Vec<B256>, Vec<u8>) {
    let event = INexus::TaskPublished {
        task: Address::repeat_byte(0xaa),
        source: Address::repeat_byte(0xbb),
    };
    (vec![INexus::TaskPublished::SIGNATURE_HASH], event.encode_data())
}

#[test]
fn every_topic_is_that_of_the_protocol() {
    let table = [
        (
            INexus::TaskPublished::SIGNATURE_HASH,
            hex!("3bf5b04cf8ed447db6fda0a63a96369fd5dde6b366b6b480e784be44b26a6c22"),
        ),
        (
            INexus::TaskStatusChanged::SIGNATURE_HASH,
            hex!("004961faf5705b2d0656e64b56064817b7e3f00eefca17906d2d1600b20b73ec"),
        ),
        (
            INexus::Attempted::SIGNATURE_HASH,
            hex!("88c89788e8b61b93ed2a66e02b36e04d60275b78893674aa6134fad20874022d"),
        ),
        (
            INexus::ResponseSubmitted::SIGNATURE_HASH,
            hex!("f6a0b941311aeaa4102f64c379955a62cca24a7cb0cf54e6203ca75075588554"),
        ),
        (
            INexus::ResponseStatusChanged::SIGNATURE_HASH,
            hex!("0af3a4721b2eaed49a7bcd503459564e37cd4b6825d633c60f12ba26c2397f4c"),
        ),
        (
            INexus::SourcePublished::SIGNATURE_HASH,
            hex!("aed6dbe0b027f2c996fbb0c72ea0549a1b18ee6bd48549fbce971a7027503a57"),
        ),
        (
            INexus::SourceStatusChanged::SIGNATURE_HASH,
            hex!("d67fb784e94c7730f8d719043be4a40dcc6786aded1760f77aa46716193421a2"),
        ),
        (
            INexus::SourceUpdated::SIGNATURE_HASH,
            hex!("5f9bf4e8a1679156115361af50849b7807ce9be1880b79fc30ded34053274895"),
        ),
        (
            INexus::Registered::SIGNATURE_HASH,
            hex!("d336e6f66ca18b8522dabc6be4828055a35190f0152ae2b125ad0cb6c9a0c120"),
        ),
        (
            ITerminal::AgentSet::SIGNATURE_HASH,
            hex!("629d84cd240882b0f3b855d72e0ba44b4419ccbb9967b508b0f080453e73d7c6"),
        ),
        (
            IVault::Deposited::SIGNATURE_HASH,
            hex!("2da466a7b24304f47e87fa2e1e5a81b9831ce54fec19055ce277ca2f39ba42c4"),
        ),
        (
            IVault::Withdrawn::SIGNATURE_HASH,
            hex!("7084f5476618d8e60b11ef0d7d3f06914655adb8793e28ff7f018d4c76d505d5"),
        ),
    ];
    for (ours, theirs) in table {
        assert_eq!(ours, B256::from(theirs));
    }
}

macro_rules! selectors {
    ($($call:ty = $hex:literal;)*) => {
        [$((<$call as SolCall>::SIGNATURE, <$call as SolCall>::SELECTOR, hex!($hex)),)*]
    };
}

#[test]
fn every_selector_of_the_four_contracts_is_that_of_the_protocol() {
    let table = selectors! {
        IController::publishTaskCall = "90d93b1d";
        IController::confirmResponseCall = "45fac6ec";
        IController::cancelTaskCall = "76aafbdb";
        IController::nexusCall = "a3f5c1d2";
        IController::terminalCall = "f45d0bc6";
        IController::vaultCall = "fbfa77cf";
        INexus::publishSourceCall = "4912f56d";
        INexus::updateSourceCall = "2ce65e26";
        INexus::inactivateSourceCall = "b3a85451";
        INexus::registerCall = "e97791e6";
        INexus::attemptCall = "84895f34";
        INexus::submitResponseCall = "2cbb753b";
        INexus::emitTaskPublishedCall = "7c899d6a";
        INexus::setTaskStatusCall = "a0bebade";
        INexus::setResponseStatusCall = "fb701ad9";
        INexus::getSourceCountCall = "d9251837";
        INexus::getSourcesCall = "b3fca11d";
        INexus::getActiveSourceCountCall = "dfb823cb";
        ITerminal::setAgentCall = "97d8c676";
        ITerminal::isAgentOfCall = "cdb0d023";
        ITerminal::isProviderCall = "6b074a07";
        ITerminal::masterOfCall = "3fd98363";
        IVault::depositCall = "f340fa01";
        IVault::withdrawCall = "2e1a7d4d";
        IVault::balanceOfCall = "70a08231";
        IVault::frozenPaymentCall = "818e0155";
        IVault::lockupOfCall = "adf9ffea";
        IVault::unbondingOfCall = "acf09912";
        IVault::unbondingTimestampCall = "c485064d";
        IVault::totalEarningsOfCall = "b35a6219";
        IVault::sanctionOfCall = "b9d97ff6";
        IVault::isEligibleCall = "66e305fd";
        IVault::isWhitelistedCall = "3af32abf";
        IVault::MIN_LOCKUP_PER_SOURCECall = "5823fe8d";
        IVault::UNBONDING_PERIODCall = "d9a912ec";
        IVault::lockCall = "dd467064";
        IVault::unbondCall = "27de9e32";
        IVault::claimCall = "4e71d92d";
        IVault::freezePaymentCall = "93933f82";
        IVault::releasePaymentCall = "ab01030e";
        IVault::processPaymentCall = "e4799ddd";
    };
    for (name, ours, theirs) in table {
        assert_eq!(ours, theirs, "{name}");
    }
}

#[test]
fn every_selector_of_sources_tasks_and_responses_is_that_of_the_protocol() {
    let table = selectors! {
        ISource::getClientCall = "59dc735c";
        ISource::getStatusCall = "4e69d560";
        ISource::setStatusCall = "2e49d78b";
        ISource::getSourceParamsCall = "82dc6b9a";
        ISource::sourceParamsCall = "e8563c03";
        ISource::getTaskCountCall = "c17a340e";
        ISource::getTasksCall = "cf7fa128";
        ISource::getRegistrantCountCall = "9568d29c";
        ISource::getRegistrantsCall = "b34499f9";
        ISource::getRegistrantIdCall = "0d20a889";
        ISource::preferredEnvironmentOfCall = "abd5f997";
        ITask::taskParamsCall = "155315f9";
        ITask::getStatusCall = "4e69d560";
        ITask::getSourceCall = "afa293d4";
        ITask::getPaymentCall = "bb328a7d";
        ITask::getExpiryTimeCall = "25cb5bc0";
        ITask::getDeliveryMethodCall = "cd23e534";
        ITask::getAttemptCountCall = "f5653690";
        ITask::getAttemptersCall = "7bd0cbab";
        ITask::getAttemptTimestampsCall = "9a8e9ffa";
        ITask::getAttempterIdCall = "6242b024";
        ITask::getResponsesOfCall = "961dc61e";
        ITask::responseOfCall = "e2c116da";
        ITask::winningProviderCall = "ae7c03cd";
        ITask::isAlreadySubmittedCall = "adf8eba2";
        IResponse::getResponseParamsCall = "c3c1fa65";
        IResponse::responseParamsCall = "449126e4";
        IResponse::getStatusCall = "4e69d560";
        IResponse::confirmedFinalCall = "2300403b";
        IResponse::responseTimestampCall = "f9b9d1d1";
    };
    for (name, ours, theirs) in table {
        assert_eq!(ours, theirs, "{name}");
    }
}

#[test]
fn a_log_of_the_registry_comes_out_in_plain_fields() {
    let (topics, data) = published();
    let expected = ProtocolLog::TaskPublished {
        task: Address::repeat_byte(0xaa),
        source: Address::repeat_byte(0xbb),
    };
    assert_eq!(decode_log(&topics, &data), Ok(expected));
}

#[test]
fn a_status_without_a_name_is_reported_not_refused() {
    let event = INexus::TaskStatusChanged { task: Address::ZERO, status: 9 };
    let got = decode_log(&[INexus::TaskStatusChanged::SIGNATURE_HASH], &event.encode_data());
    let status = TaskStatus::Unknown(9);
    assert_eq!(got, Ok(ProtocolLog::TaskStatusChanged { task: Address::ZERO, status }));
}

#[test]
fn a_log_with_more_or_fewer_bytes_is_refused() {
    let (topics, data) = published();
    let malformed = Err(LogError::Malformed { event: "TaskPublished" });
    for length in [0, 1, 32, 63] {
        assert_eq!(decode_log(&topics, &data[..length]), malformed, "{length} bytes");
    }
    let mut longer = data;
    longer.extend([0; 32]);
    assert_eq!(decode_log(&topics, &longer), malformed);
}

#[test]
fn dirty_padding_of_an_address_or_a_status_is_refused() {
    let (topics, mut data) = published();
    data[3] = 1;
    assert!(decode_log(&topics, &data).is_err());
    let event = INexus::TaskStatusChanged { task: Address::ZERO, status: 1 };
    let mut data = event.encode_data();
    data[62] = 1;
    assert!(decode_log(&[INexus::TaskStatusChanged::SIGNATURE_HASH], &data).is_err());
}

#[test]
fn a_second_topic_or_none_is_refused() {
    let (mut topics, data) = published();
    topics.push(B256::ZERO);
    assert_eq!(decode_log(&topics, &data), Err(LogError::TopicCount { count: 2 }));
    assert_eq!(decode_log(&[], &data), Err(LogError::UnknownEvent));
    assert_eq!(decode_log(&[B256::ZERO], &data), Err(LogError::UnknownEvent));
}

#[test]
fn an_updated_source_brings_all_its_parameters() {
    let params = SourceParams {
        client: Address::repeat_byte(1),
        imageMetadataUrl: "https://gateway.example/ipfs/QmMeta".into(),
        imageEnvironments: 7,
        minPayment: U256::from(5),
        minAvailableLockup: U256::ZERO,
        maxExpiryDuration: U256::from(86_400),
        privacyEnabled: false,
        optionalParamsUrl: String::new(),
        deliveryMethod: 1,
        lastUpdateTime: U256::from(9),
    };
    let source = Address::repeat_byte(2);
    let event = INexus::SourceUpdated { source, sourceParams: params.clone() };
    let got = decode_log(&[INexus::SourceUpdated::SIGNATURE_HASH], &event.encode_data());
    assert_eq!(got, Ok(ProtocolLog::SourceUpdated { source, params: Box::new(params) }));
}
