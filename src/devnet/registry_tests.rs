//! The vault's and the registry's own rules, and how lists are read (protocol.md, section 11).

use alloy::primitives::{Address, B256, Bytes, U256, keccak256};
use alloy::sol_types::SolValue;

use super::genesis::{CONTROLLER, NEXUS, TERMINAL, VAULT};
use super::kit::*;
use crate::chain::contract::abi::{IController, INexus, IResponse, ISource, ITask, IVault};
use crate::chain::contract::{Delivery, ProtocolLog, SourceStatus, TaskStatus};

fn refused<T>(result: Result<T, String>) -> String {
    result.err().expect("it should have been refused")
}

#[test]
fn the_escrow_is_for_the_protocols_contracts_alone() {
    let mut world = World::new();
    let source = world.source(Delivery::Manual);
    let task = world.publish("client", source, COIN, 60).unwrap();
    let (client, provider) = (who("client"), who("stranger"));
    let amount = U256::from(1);
    let freeze = IVault::freezePaymentCall { client, task, amount };
    assert_eq!(refused(world.act("stranger", VAULT, &freeze)), "OnlyProtocol");
    let release = IVault::releasePaymentCall { client, task };
    assert_eq!(refused(world.act("client", VAULT, &release)), "OnlyProtocol");
    let process = IVault::processPaymentCall { client, provider, task, amount };
    assert_eq!(refused(world.act("stranger", VAULT, &process)), "OnlyProtocol");
    let forged = INexus::emitTaskPublishedCall { task, source };
    assert_eq!(refused(world.act("stranger", NEXUS, &forged)), "OnlyController");
    let forged = INexus::setTaskStatusCall { task, status: 5 };
    assert_eq!(refused(world.act("client", NEXUS, &forged)), "OnlyController");
}

#[test]
fn vault_accounts_deposit_withdraw_lock_unbond_and_claim() {
    let mut world = World::new();
    let deposit = IVault::depositCall { account: who("bob") };
    world.act_with("alice", VAULT, &deposit, COIN).unwrap();
    assert_eq!(world.money("bob").0, 101 * COIN);
    let withdraw = |coins: u128| IVault::withdrawCall { amount: U256::from(coins * COIN) };
    assert_eq!(refused(world.act("bob", VAULT, &withdraw(102))), "InsufficientBalance");
    world.act("bob", VAULT, &withdraw(101)).unwrap();
    assert_eq!(world.money("bob").0, 0);
    let lock = |coins: u128| IVault::lockCall { amount: U256::from(coins * COIN) };
    assert_eq!(refused(world.act("alice", VAULT, &lock(101))), "InsufficientBalance");
    world.act("alice", VAULT, &lock(10)).unwrap();
    let unbond = |coins: u128| IVault::unbondCall { amount: U256::from(coins * COIN) };
    assert_eq!(refused(world.act("alice", VAULT, &unbond(11))), "InsufficientLockup");
    world.act("alice", VAULT, &unbond(4)).unwrap();
    assert_eq!(world.read(VAULT, &IVault::lockupOfCall(who("alice"))), U256::from(6 * COIN));
    assert_eq!(refused(world.act("alice", VAULT, &IVault::claimCall {})), "UnbondingNotElapsed");
    let period = world.read(VAULT, &IVault::UNBONDING_PERIODCall {});
    world.wait(period.to());
    world.act("alice", VAULT, &IVault::claimCall {}).unwrap();
    assert_eq!(world.money("alice").0, 94 * COIN);
    assert_eq!(world.read(VAULT, &IVault::unbondingOfCall(who("alice"))), U256::ZERO);
}

#[test]
fn a_source_belongs_to_who_published_it_whatever_the_parameters_say() {
    let mut world = World::new();
    let source = world.source(Delivery::Manual);
    assert_eq!(world.read(source, &ISource::getClientCall {}), who("owner"));
    let params = world.read(source, &ISource::getSourceParamsCall {});
    assert_eq!(params.lastUpdateTime, U256::from(START));
    let mut changed = source_params(Delivery::FirstResponse);
    changed.minPayment = U256::from(5);
    let update = INexus::updateSourceCall { source, sourceParams: changed };
    assert_eq!(refused(world.act("stranger", NEXUS, &update)), "NotOwner");
    let logs = world.act("owner", NEXUS, &update).unwrap();
    let [ProtocolLog::SourceUpdated { params, .. }] = &logs[..] else { panic!("{logs:?}") };
    assert_eq!((params.client, params.minPayment), (who("owner"), U256::from(5)));
    let flat = world.read(source, &ISource::sourceParamsCall {});
    assert_eq!((flat.client, flat.deliveryMethod), (who("owner"), 1));
    let stop = INexus::inactivateSourceCall { source };
    assert_eq!(refused(world.act("stranger", NEXUS, &stop)), "NotOwner");
    let logs = world.act("owner", NEXUS, &stop).unwrap();
    assert_eq!(logs, [ProtocolLog::SourceStatusChanged { source, status: SourceStatus::Inactive }]);
    assert_eq!(refused(world.act("owner", NEXUS, &stop)), "SourceInactive");
    let count = INexus::getActiveSourceCountCall { client: who("owner") };
    assert_eq!(world.read(NEXUS, &count), U256::ZERO);
}

#[test]
fn tasks_of_an_inactive_source_go_on_with_the_terms_they_were_published_under() {
    let mut world = World::new();
    let (source, task) = world.attempted(Delivery::Manual);
    let params = source_params(Delivery::FirstResponse);
    world.act("owner", NEXUS, &INexus::updateSourceCall { source, sourceParams: params }).unwrap();
    world.act("owner", NEXUS, &INexus::inactivateSourceCall { source }).unwrap();
    let response = world.respond("alice", task, COIN).unwrap();
    assert_eq!(world.status(task), TaskStatus::Responded);
    world.confirm("client", response).unwrap();
}

#[test]
fn pages_include_both_ends_and_panic_at_the_count() {
    let mut world = World::new();
    let (source, task) = world.attempted(Delivery::Manual);
    world.attempt("bob", task).unwrap();
    let response = world.respond("bob", task, COIN).unwrap();
    let (zero, one, two) = (U256::ZERO, U256::from(1), U256::from(2));
    let attempters = |lower, upper| ITask::getAttemptersCall { lower, upper };
    assert_eq!(world.read(task, &attempters(zero, one)), [who("alice"), who("bob")]);
    assert_eq!(world.read(task, &attempters(one, one)), [who("bob")]);
    assert_eq!(world.refused(task, &attempters(zero, two)), "panic 0x32");
    let responses = ITask::getResponsesOfCall { lower: zero, upper: one };
    assert_eq!(world.read(task, &responses), [Address::ZERO, response]);
    let times = ITask::getAttemptTimestampsCall { lower: one, upper: one };
    assert_eq!(world.read(task, &times), [U256::from(START)]);
    let registrants = |lower, upper| ISource::getRegistrantsCall { lower, upper };
    assert_eq!(world.read(source, &registrants(zero, one)), [who("alice"), who("bob")]);
    assert_eq!(world.refused(source, &registrants(one, one)), "panic 0x32");
    let tasks = ISource::getTasksCall { lower: one, upper: one };
    assert_eq!(world.refused(source, &tasks), "panic 0x32");
    let sources = INexus::getSourcesCall { lower: zero, upper: zero };
    assert_eq!(world.read(NEXUS, &sources), [source]);
}

#[test]
fn ids_count_from_0_and_the_absent_have_0_too() {
    let mut world = World::new();
    let (source, task) = world.attempted(Delivery::Manual);
    world.attempt("bob", task).unwrap();
    let id = |name: &str| ITask::getAttempterIdCall { provider: who(name) };
    let ids: Vec<_> = ["alice", "bob", "carol"].map(|name| world.read(task, &id(name))).into();
    assert_eq!(ids, [U256::ZERO, U256::from(1), U256::ZERO]);
    let id = |name: &str| ISource::getRegistrantIdCall { provider: who(name) };
    let ids: Vec<_> = ["alice", "bob", "carol"].map(|name| world.read(source, &id(name))).into();
    assert_eq!(ids, [U256::ZERO, U256::from(1), U256::ZERO]);
    assert_eq!(world.read(source, &ISource::preferredEnvironmentOfCall(who("bob"))), 1);
}

#[test]
fn a_provider_registers_once_and_leaves_a_hole_when_it_goes() {
    let mut world = World::new();
    let source = world.source(Delivery::Manual);
    world.register(source, "alice");
    world.register(source, "bob");
    let again = INexus::registerCall { source, provider: who("bob"), preferredEnvironment: 2 };
    assert_eq!(refused(world.act("bob", NEXUS, &again)), "AlreadyRegistered");
    assert_eq!(refused(world.act("alice", NEXUS, &again)), "NotProvider");
    let leave = INexus::unregisterCall { source, provider: who("alice") };
    world.act("alice", NEXUS, &leave).unwrap();
    let all = ISource::getRegistrantsCall { lower: U256::ZERO, upper: U256::from(1) };
    assert_eq!(world.read(source, &all), [Address::ZERO, who("bob")]);
    let task = world.publish("client", source, COIN, 60).unwrap();
    assert_eq!(refused(world.attempt("alice", task)), "NotRegistered");
}

#[test]
fn the_guard_against_repeated_payloads_goes_by_provider_and_data() {
    let mut world = World::new();
    let (_, task) = world.attempted(Delivery::Manual);
    let call = respond_call("alice", task, COIN);
    let data = call.responseParams.data.clone();
    world.act("alice", NEXUS, &call).unwrap();
    let digest = |name: &str| -> B256 { keccak256((who(name), data.clone()).abi_encode_params()) };
    assert!(world.read(task, &ITask::isAlreadySubmittedCall(digest("alice"))));
    assert!(!world.read(task, &ITask::isAlreadySubmittedCall(digest("bob"))));
}

#[test]
fn a_response_can_be_read_back_whole() {
    let mut world = World::new();
    let (_, task) = world.attempted(Delivery::Manual);
    world.wait(9);
    let response = world.respond("alice", task, 77).unwrap();
    let params = world.read(response, &IResponse::getResponseParamsCall {});
    assert_eq!((params.task, params.provider), (task, who("alice")));
    assert_eq!(params.payment, U256::from(77));
    let flat = world.read(response, &IResponse::responseParamsCall {});
    assert_eq!((flat.task, flat.data), (task, params.data));
    let at = world.read(response, &IResponse::responseTimestampCall {});
    assert_eq!(at, U256::from(START + 9));
    assert_eq!(world.read(task, &ITask::responseOfCall { provider: who("alice") }), response);
}

#[test]
fn the_four_contracts_know_each_other() {
    let world = World::new();
    assert_eq!(world.read(CONTROLLER, &IController::nexusCall {}), NEXUS);
    assert_eq!(world.read(CONTROLLER, &IController::terminalCall {}), TERMINAL);
    assert_eq!(world.read(CONTROLLER, &IController::vaultCall {}), VAULT);
    for contract in [NEXUS, VAULT] {
        assert_eq!(world.read(contract, &IController::terminalCall {}), TERMINAL);
    }
    assert_eq!(world.read(NEXUS, &IController::vaultCall {}), VAULT);
    assert_eq!(world.read(TERMINAL, &IController::vaultCall {}), VAULT);
    assert!(world.read(VAULT, &IVault::isEligibleCall { account: who("alice") }));
}

#[test]
fn no_reason_of_the_devnets_own_holds_one_that_the_sdk_looks_for() {
    let mapped = [
        "NotOwner",
        "NotMaster",
        "NotProvider",
        "Expired",
        "AlreadyConfirmed",
        "AlreadyFinalized",
        "InsufficientBalance",
        "InsufficientLockup",
        "UnbondingNotElapsed",
        "NotEligible",
        "SourceInactive",
    ];
    let sources = [
        include_str!("../../contracts/src/Controller.sol"),
        include_str!("../../contracts/src/Nexus.sol"),
        include_str!("../../contracts/src/Places.sol"),
        include_str!("../../contracts/src/Response.sol"),
        include_str!("../../contracts/src/Source.sol"),
        include_str!("../../contracts/src/Task.sol"),
        include_str!("../../contracts/src/Terminal.sol"),
        include_str!("../../contracts/src/Vault.sol"),
    ];
    let mut seen = 0;
    for reason in sources.iter().flat_map(|text| text.split('"').skip(1).step_by(2)) {
        if reason.starts_with("./") || reason.is_empty() || reason == "memory-safe" {
            continue;
        }
        seen += 1;
        let holds = |word: &&&str| reason != **word && reason.contains(**word);
        assert_eq!(mapped.iter().find(holds), None, "in {reason}");
    }
    assert!(seen > 30, "the reasons were not found");
}

#[test]
fn a_contract_of_somebody_else_gets_no_events_out_of_the_registry() {
    let mut world = World::new();
    let source = world.source(Delivery::Manual);
    world.register(source, "alice");
    let task = who("stranger");
    let call = respond_call("alice", task, 1);
    assert_eq!(refused(world.act("alice", NEXUS, &call)), "UnknownTask");
    let unknown = INexus::registerCall {
        source: who("stranger"),
        provider: who("alice"),
        preferredEnvironment: 1,
    };
    assert_eq!(refused(world.act("alice", NEXUS, &unknown)), "UnknownSource");
    assert_eq!(Bytes::new(), world.node.call(who("stranger"), Bytes::new()).unwrap());
}
