//! The chain room against the devnet: real JSON-RPC, real contracts, real logs.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use alloy::primitives::{Address, B256, Bytes, keccak256};
use ogflow::chain::contract::encode_call;
use ogflow::chain::{
    Chain, ChainError, Endpoint, OnRevert, PublishSample, RpcChain, SignRequest, Signer,
    SurveyRequest,
};
use ogflow::devnet::knobs::Knobs;
use ogflow::devnet::town::{Town, TownOptions, account, genesis};
use ogflow::devnet::{Genesis, Place, PoolTx, Switches};
use ogflow::units::{
    BlockRef, Call, ChainTime, Delivery, Fees, Finality, LogPage, LogRead, Network, Nonce,
    ReceiptStatus, Revert, Secret, Seen, Seq, Sighting, SignedTx, Slot, TaskStatus, Wei,
};

/// The time on this devnet: a test moves it.
#[derive(Clone, Default)]
struct Hands(Arc<AtomicU64>);

struct Net {
    town: Town,
    chain: RpcChain,
    hands: Hands,
    wallet: Address,
    source: Address,
}

const START: u64 = 1_800_000_000;

fn coins(hundredths: u128) -> Wei {
    Wei::from_u128(hundredths * 10_000_000_000_000_000)
}

fn signer() -> Signer {
    Signer::from_key(&Secret::from(account().1.to_string())).unwrap()
}

impl Net {
    fn new() -> Self {
        Self::with(Knobs { providers: 2, ..Knobs::default() }, &Network::devnet())
    }

    fn with(knobs: Knobs, network: &Network) -> Self {
        Self::of((knobs, genesis()), network)
    }

    fn of((knobs, genesis): (Knobs, Genesis), network: &Network) -> Self {
        let hands = Hands::default();
        hands.0.store(START, Ordering::Relaxed);
        let clock = hands.clone();
        let town = Town::open(TownOptions {
            place: Place::Memory,
            knobs,
            base: "http://devnet.invalid".into(),
            clock: Arc::new(move || ChainTime::from_secs(clock.0.load(Ordering::Relaxed))),
            genesis,
        })
        .unwrap();
        let endpoint = Endpoint::local(town.router());
        let network = Arc::new(network.clone());
        let chain = RpcChain::new(network, endpoint, Vec::new(), Some(signer()));
        let source = *town.sources().values().next().unwrap();
        Self { chain, hands, wallet: signer().address(), source, town }
    }

    fn publication(&self, payment: Wei, expires: u64) -> Call {
        Call::PublishTask {
            source: self.source,
            config: self.town.devnet().pin(b"{\"function_name\":\"echo\",\"data\":{}}").unwrap(),
            expiry: ChainTime::from_secs(START + expires),
            payment,
        }
    }

    async fn sign(&self, calls: Vec<Call>) -> Vec<SignedTx> {
        let fees = Fees {
            gas_limit: 2_500_000,
            max_fee_per_gas: Wei::from_u128(30_000_000_000),
            max_priority_fee_per_gas: Wei::from_u128(1_000_000_000),
            legacy: false,
        };
        let first = self.chain.wallet_of(self.wallet).await.unwrap().pending;
        let requests = calls.into_iter().zip(first..).map(|(call, nonce)| SignRequest {
            slot: Slot { wallet: self.wallet, nonce: Nonce(nonce) },
            seq: Seq(0),
            call,
            fees,
        });
        let signed = self.chain.sign(requests.collect()).await;
        signed.into_iter().map(Result::unwrap).collect()
    }

    /// Puts transactions into the pool; the devnet mines them at once.
    fn deliver(&self, txs: &[SignedTx]) {
        let pooled = txs.iter().map(|tx| PoolTx::recover(tx.raw.clone()).unwrap());
        for taken in self.town.devnet().send(pooled).unwrap() {
            taken.unwrap();
        }
    }

    async fn head(&self) -> BlockRef {
        self.chain.guard().await.unwrap().head
    }

    async fn page(&self, ring: &[BlockRef]) -> LogPage {
        match self.chain.read_logs(ring, 0).await.unwrap() {
            LogRead::Advanced(page) => page,
            LogRead::Rewound(block) => panic!("rewound to {block:?}"),
        }
    }
}

fn published(sightings: &[Sighting]) -> Vec<Address> {
    let task = |sighting: &Sighting| match sighting.what {
        Seen::TaskPublished { task, .. } => Some(task),
        Seen::TaskStatus { .. }
        | Seen::ResponseSubmitted { .. }
        | Seen::ResponseConfirmed { .. } => None,
    };
    sightings.iter().filter_map(task).collect()
}

#[tokio::test]
async fn the_guard_knows_the_devnet_and_refuses_another_chain_or_empty_addresses() {
    let net = Net::new();
    let facts = net.chain.guard().await.unwrap();
    assert_eq!(facts.chain_id, 31_337);
    assert_ne!(facts.code.nexus, facts.code.vault);
    assert_eq!(facts.genesis, net.chain.guard().await.unwrap().genesis);
    assert_eq!(facts.fitting_finality(), Finality::Tag);

    let router = || Endpoint::local(net.town.router());
    let guard = |network: Network| async move {
        RpcChain::new(Arc::new(network), router(), Vec::new(), None).guard().await
    };
    let wrong = guard(Network { chain_id: 1071, ..Network::devnet() }).await;
    let Err(ChainError::WrongChain { expected: 1071, found: 31_337, .. }) = wrong else {
        panic!("{wrong:?}")
    };
    let nowhere = Address::repeat_byte(7);
    let empty = guard(Network { controller: nowhere, ..Network::devnet() }).await;
    assert_eq!(empty, Err(ChainError::NoCode { contract: "Controller", address: nowhere }));
}

#[tokio::test]
async fn a_source_is_read_and_what_is_none_is_told_apart() {
    let net = Net::new();
    let facts = net.chain.read_source(net.source).await.unwrap().unwrap();
    assert!(facts.active);
    assert!(!facts.min_payment.is_zero() && facts.max_expiry > Duration::from_secs(60));
    assert_eq!(net.chain.read_source(Address::repeat_byte(9)).await, Ok(None));
    let vault = Network::devnet().vault;
    let other = net.chain.read_source(vault).await;
    assert_eq!(other, Err(ChainError::NotASource { address: vault }));
    let mut ways = Vec::new();
    for source in net.town.sources().values() {
        ways.push(net.chain.read_source(*source).await.unwrap().unwrap().delivery);
    }
    assert!(
        ways.contains(&Delivery::FirstResponse) && ways.contains(&Delivery::ManualConfirmation)
    );
}

#[tokio::test]
async fn publications_are_seen_in_the_log_and_in_the_view() {
    let net = Net::new();
    let cursor = net.head().await;
    let calls = (0..5).map(|_| net.publication(coins(1), 600)).collect();
    let txs = net.sign(calls).await;
    net.deliver(&txs);

    let page = net.page(&[cursor]).await;
    assert_eq!(page.sightings.len(), 5);
    assert_eq!(page.final_number, page.to.number, "on a devnet every block is final");
    let tasks = published(&page.sightings);
    let sources: Vec<Seen> = page.sightings.iter().map(|sighting| sighting.what.clone()).collect();
    assert!(
        sources.iter().all(
            |seen| matches!(seen, Seen::TaskPublished { source, .. } if *source == net.source)
        )
    );

    let hashes: Vec<B256> = txs.iter().map(|tx| tx.hash).collect();
    let view = net.chain.view(net.wallet, hashes.clone(), vec![]).await.unwrap();
    assert_eq!((view.count, view.final_count), (5, 5));
    let seen: Vec<(B256, Option<Address>)> =
        view.receipts.iter().map(|receipt| (receipt.tx_hash, receipt.published)).collect();
    let expected: Vec<(B256, Option<Address>)> =
        hashes.into_iter().zip(tasks.iter().copied().map(Some)).collect();
    assert_eq!(seen, expected);
    assert!(view.receipts.iter().all(|receipt| !receipt.gas_paid.is_zero()));

    // What has used a nonce up is found by it, bytes and all.
    let doubts = (0..7).map(Nonce).collect();
    let view = net.chain.view(net.wallet, vec![], doubts).await.unwrap();
    let found: Vec<(Nonce, B256, Bytes)> =
        view.uses.iter().map(|found| (found.nonce, found.tx_hash, found.raw.clone())).collect();
    let sent: Vec<(Nonce, B256, Bytes)> =
        txs.iter().map(|tx| (tx.slot.nonce, tx.hash, tx.raw.clone())).collect();
    assert_eq!(found, sent);
    let publishes = |(call, _): &(Call, Fees)| matches!(call, Call::PublishTask { .. });
    assert!(view.uses.iter().all(|found| found.call.as_ref().is_some_and(publishes)));

    let vault = net.chain.vault_of(net.wallet).await.unwrap();
    assert_eq!(vault.frozen, coins(5));
    let at = page.to;
    let facts = net.chain.read_tasks(tasks.clone(), at).await.unwrap();
    for (task, facts) in tasks.iter().zip(facts) {
        let facts = facts.unwrap();
        assert_eq!((facts.task, facts.status, facts.attempts), (*task, TaskStatus::New, 0));
    }
    let nobody = net.chain.read_tasks(vec![Address::repeat_byte(3)], at).await.unwrap();
    assert_eq!(nobody, [None]);
    let earlier = net.chain.read_tasks(tasks[..1].to_vec(), cursor).await.unwrap();
    assert_eq!(earlier, [None], "it was not there yet");
    let gone = BlockRef { hash: B256::ZERO, ..at };
    let lost = net.chain.read_tasks(tasks[..1].to_vec(), gone).await.unwrap();
    assert_eq!(lost, [None], "that block is no more");
}

#[tokio::test]
async fn a_response_is_seen_and_read() {
    let net = Net::new();
    let cursor = net.head().await;
    let txs = net.sign(vec![net.publication(coins(1), 600)]).await;
    net.deliver(&txs);
    let collect = async {
        let mut ring = vec![cursor];
        loop {
            let page = net.page(&ring).await;
            let response = page.sightings.iter().find_map(|sighting| match sighting.what {
                Seen::ResponseSubmitted { response, task } => Some((response, task)),
                Seen::TaskPublished { .. }
                | Seen::TaskStatus { .. }
                | Seen::ResponseConfirmed { .. } => None,
            });
            if let Some(found) = response {
                return found;
            }
            ring.push(page.to);
        }
    };
    let (response, task) = tokio::select! {
        found = tokio::time::timeout(Duration::from_secs(20), collect) => found.unwrap(),
        done = net.town.work() => panic!("the providers stopped: {done:?}"),
    };
    let at = net.head().await;
    let facts = net.chain.read_responses(vec![response, Address::ZERO], at).await.unwrap();
    let read = facts[0].clone().unwrap();
    assert_eq!((read.response, read.task), (response, task));
    assert!(read.url.starts_with("http://devnet.invalid/ipfs/"), "{}", read.url);
    assert_eq!(facts[1], None);
    assert!(read.confirmed, "this source pays by itself");
    for before in [cursor, BlockRef { hash: B256::ZERO, ..at }] {
        let facts = net.chain.read_responses(vec![response], before).await.unwrap();
        assert!(!facts[0].clone().unwrap().confirmed, "not at that block");
    }
    let task = net.chain.read_tasks(vec![task], at).await.unwrap()[0].clone().unwrap();
    assert_eq!((task.responses, task.attempts), (vec![response], 1));
}

#[tokio::test]
async fn what_a_node_cannot_tell_of_a_block_is_no_news_and_no_outage() {
    let net = Net::new();
    let txs = net.sign(vec![net.publication(coins(1), 600)]).await;
    let before = net.head().await;
    net.deliver(&txs);
    let task = published(&net.page(&[before]).await.sightings)[0];
    let then = net.head().await;
    for _ in 0..100 {
        let deposit = net.sign(vec![Call::Deposit { amount: coins(1), account: net.wallet }]).await;
        net.deliver(&deposit);
    }
    let known = net.chain.read_tasks(vec![task], net.head().await).await.unwrap();
    assert!(known[0].is_some());
    let forgotten = net.chain.read_tasks(vec![task], then).await.unwrap();
    assert_eq!(forgotten, [None], "the node has forgotten the state of that block");

    let head = net.head().await;
    let ahead = BlockRef { number: head.number + 1, hash: B256::repeat_byte(1) };
    let behind =
        |error| matches!(error, ChainError::Behind { height, .. } if height == ahead.number);
    assert!(behind(net.chain.read_tasks(vec![task], ahead).await.unwrap_err()));
    assert!(behind(net.chain.read_responses(vec![task], ahead).await.unwrap_err()));
}

#[tokio::test]
async fn a_mined_revert_comes_with_its_reason() {
    let net = Net::new();
    let calls = vec![
        net.publication(Wei::from_u128(1), 600),
        Call::CancelTask { task: Address::repeat_byte(5) },
        Call::Deposit { account: net.wallet, amount: coins(7) },
        Call::NoOp,
    ];
    let before = net.chain.vault_of(net.wallet).await.unwrap().balance;
    let txs = net.sign(calls).await;
    net.deliver(&txs);
    let hashes = txs.iter().map(|tx| tx.hash).collect();
    let view = net.chain.view(net.wallet, hashes, vec![]).await.unwrap();
    let status: Vec<ReceiptStatus> =
        view.receipts.iter().map(|receipt| receipt.status.clone()).collect();
    assert_eq!(status[0], ReceiptStatus::Reverted(Revert::PaymentTooLow));
    assert!(matches!(status[1], ReceiptStatus::Reverted(_)));
    assert_eq!(status[2..], [ReceiptStatus::Ok, ReceiptStatus::Ok]);
    let after = net.chain.vault_of(net.wallet).await.unwrap().balance;
    assert_eq!(after, before.checked_add(coins(7)).unwrap());
}

#[tokio::test]
async fn an_estimate_says_why_a_publication_would_be_refused() {
    let net = Net::new();
    let good = net.publication(coins(1), 600);
    let gas = net.chain.estimate(net.wallet, good.clone()).await.unwrap();
    assert!((100_000..2_000_000).contains(&gas), "{gas}");
    let stranger = Address::repeat_byte(0x42);
    for (from, call, reason) in [
        (net.wallet, net.publication(Wei::from_u128(1), 600), Revert::PaymentTooLow),
        (net.wallet, net.publication(coins(1), 999_999_999), Revert::ExpiryTooLong),
        (net.wallet, net.publication(coins(100_000_000_000), 600), Revert::InsufficientBalance),
        (stranger, good.clone(), Revert::InsufficientBalance),
    ] {
        match net.chain.estimate(from, call).await {
            Err(ChainError::Reverted { call: "publishTask", reason: found, data }) => {
                assert_eq!(found, reason);
                assert!(!data.is_empty());
            }
            other => panic!("{reason:?} expected, got {other:?}"),
        }
    }
}

fn sample(net: &Net, payment: Wei) -> PublishSample {
    let config = format!("http://devnet.invalid/ipfs/{}", "Q".repeat(46));
    PublishSample { source: net.source, config, payment, expires: Duration::from_secs(600) }
}

#[tokio::test]
async fn a_survey_brings_fees_gas_and_balances_of_one_block() {
    let net = Net::new();
    let request = |payment, on_revert| SurveyRequest {
        wallet: Some(net.wallet),
        payer: Some(net.wallet),
        publishes: vec![sample(&net, payment), sample(&net, payment)],
        confirm: None,
        on_revert,
    };
    let refused = net.chain.survey(request(Wei::from_u128(1), OnRevert::Fail)).await;
    assert!(matches!(refused, Err(ChainError::Reverted { reason: Revert::PaymentTooLow, .. })));
    let guessed = net.chain.survey(request(Wei::from_u128(1), OnRevert::Guess)).await.unwrap();
    assert_eq!(guessed.publish_gas, [ogflow::chain::fees::TYPICAL_PUBLISH_GAS; 2]);

    let survey = net.chain.survey(request(coins(1), OnRevert::Fail)).await.unwrap();
    assert!(!survey.legacy && survey.max_fee_per_gas >= survey.max_priority_fee_per_gas);
    assert_eq!(survey.publish_gas[0], survey.publish_gas[1]);
    assert!(survey.publish_gas[0] < guessed.publish_gas[0]);
    assert!(!survey.wallet_balance.is_zero() && !survey.vault_balance.is_zero());

    // What was estimated is enough: a transaction with exactly this limit is mined.
    let fees = Fees {
        gas_limit: survey.publish_gas[0],
        max_fee_per_gas: survey.max_fee_per_gas,
        max_priority_fee_per_gas: survey.max_priority_fee_per_gas,
        legacy: survey.legacy,
    };
    let slot = Slot { wallet: net.wallet, nonce: Nonce(0) };
    let call = net.publication(coins(1), 600);
    let request = SignRequest { slot, seq: Seq(0), call, fees };
    let tx = net.chain.sign(vec![request]).await.remove(0).unwrap();
    net.deliver(std::slice::from_ref(&tx));
    let view = net.chain.view(net.wallet, vec![tx.hash], vec![]).await.unwrap();
    assert_eq!(view.receipts[0].status, ReceiptStatus::Ok);
}

#[tokio::test]
async fn a_reorg_takes_the_cursor_back_and_the_stream_goes_on() {
    let net = Net::new();
    let cursor = net.head().await;
    let txs = net.sign(vec![net.publication(coins(1), 600)]).await;
    net.deliver(&txs);
    let page = net.page(&[cursor]).await;
    assert_eq!(published(&page.sightings).len(), 1);
    net.hands.0.fetch_add(5, Ordering::Relaxed);
    assert_eq!(net.town.devnet().reorg(1).unwrap(), 1);
    let read = net.chain.read_logs(&[cursor, page.to], 0).await.unwrap();
    assert_eq!(read, LogRead::Rewound(cursor));
    let again = net.page(&[cursor]).await;
    assert_eq!(published(&again.sightings).len(), 1);
    assert_ne!(again.sightings[0].block.hash, page.sightings[0].block.hash);
}

#[tokio::test]
async fn without_a_signer_everything_can_be_read_and_nothing_signed() {
    let net = Net::new();
    let endpoint = Endpoint::local(net.town.router());
    let chain = RpcChain::new(Arc::new(Network::devnet()), endpoint, Vec::new(), None);
    assert_eq!(chain.wallet(), None);
    assert!(chain.guard().await.is_ok());
    let survey = SurveyRequest { publishes: vec![sample(&net, coins(1))], ..Default::default() };
    let survey = chain.survey(survey).await.unwrap();
    assert_eq!(survey.publish_gas, [ogflow::chain::fees::TYPICAL_PUBLISH_GAS]);
    assert!(survey.wallet_balance.is_zero());
    let slot = Slot { wallet: net.wallet, nonce: Nonce(0) };
    let fees = Fees {
        gas_limit: 21_000,
        max_fee_per_gas: Wei::ZERO,
        max_priority_fee_per_gas: Wei::ZERO,
        legacy: false,
    };
    let request = SignRequest { slot, seq: Seq(0), call: Call::NoOp, fees };
    let refused = chain.sign(vec![request]).await.remove(0);
    assert_eq!(refused, Err(ogflow::chain::SignError::NoSigner));
}

#[tokio::test]
async fn agents_are_read_from_the_terminal() {
    let net = Net::new();
    let agent = Address::repeat_byte(9);
    assert_eq!(net.chain.is_agent_of(net.wallet, agent).await, Ok(false));
}

#[test]
fn the_hash_of_signed_bytes_is_their_keccak() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let net = Net::new();
    let txs = runtime.block_on(net.sign(vec![Call::NoOp]));
    assert_eq!(txs[0].hash, keccak256(&txs[0].raw));
    assert_eq!(encode_call(&Call::NoOp).1, Bytes::new());
}

/// Where the contracts keep the payment of an expired task, the one way back is to cancel what
/// nobody has taken; what a provider has touched stays.
#[tokio::test]
async fn a_cancel_is_the_way_back_of_an_expired_task_until_a_provider_touches_it() {
    let switches = Switches { keeps_expired_escrow: true, ..Switches::default() };
    let knobs = Knobs { providers: 1, ..Knobs::default() };
    let net = Net::of((knobs, Genesis { switches, ..genesis() }), &Network::devnet());
    let cursor = net.head().await;
    let txs = net.sign(vec![net.publication(coins(1), 60), net.publication(coins(2), 60)]).await;
    net.deliver(&txs);
    let tasks = published(&net.page(&[cursor]).await.sightings);
    net.hands.0.fetch_add(61, Ordering::Relaxed);
    let frozen = net.chain.vault_of(net.wallet).await.unwrap().frozen;
    assert_eq!(frozen, coins(3), "nobody gives it back by itself");

    let cancel = |task| Call::CancelTask { task };
    assert!(net.chain.estimate(net.wallet, cancel(tasks[0])).await.is_ok());
    let canceled = net.sign(vec![cancel(tasks[0])]).await;
    net.deliver(&canceled);
    let again = net.chain.estimate(net.wallet, cancel(tasks[0])).await;
    let Err(ChainError::Reverted { reason, .. }) = again else { panic!("{again:?}") };
    assert_eq!(reason, Revert::AlreadyFinalized);
    let vault = net.chain.vault_of(net.wallet).await.unwrap();
    assert_eq!(vault.frozen, coins(2), "one came back, the other waits for its own cancel");
}
