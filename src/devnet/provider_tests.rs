use std::sync::Mutex;

use super::*;
use crate::chain::contract::abi::{IController, IResponse, IVault, TaskParams};
use crate::chain::contract::{Delivery, TaskStatus};
use crate::devnet::{CONTROLLER, Genesis, PoolLimits, VAULT};
use crate::units::cid::Cid;
use serde_json::json;

const START: u64 = 1_700_000_001;
const GAS: Gas = Gas { limit: 3_000_000, max_fee: BASE_FEE as u128 };

/// A chain with an open market, a client, and the providers of some knobs.
struct Chain {
    node: Node,
    market: Market,
    providers: Providers,
    client: Wallet,
    pins: Mutex<BTreeMap<String, Bytes>>,
}

impl Chain {
    fn new(knobs: &[&str]) -> Self {
        let mut turned = Knobs::default();
        for pair in knobs {
            turned.turn_pair(pair).unwrap();
        }
        let wallets = crew::wallets(&turned, CHAIN_ID);
        let client = Wallet::of_provider(1, 1, CHAIN_ID);
        let coins = Wei::parse("1000 OGPU").unwrap();
        let mut genesis = Genesis::default()
            .with_funds(market::owner(), coins, Wei::ZERO)
            .with_funds(client.address(), coins, coins);
        for wallet in &wallets {
            genesis = genesis.with_funds(wallet.address(), coins, Wei::ZERO);
        }
        let mut node = Node::new(&genesis, PoolLimits::default());
        let pins = Mutex::default();
        for tx in Market::default().publications(&node, &turned, |bytes| pin(&pins, bytes)) {
            node.submit(tx).unwrap();
        }
        node.mine(ChainTime::from_secs(START));
        for tx in market::registrations(&node, &wallets) {
            node.submit(tx).unwrap();
        }
        node.mine(ChainTime::from_secs(START));
        let market = Market::read(&node, &turned);
        let providers = Providers::new(Arc::new(turned), market.clone());
        Self { node, market, providers, client, pins }
    }

    /// Publishes a task to a built-in source and mines it.
    fn publish(&mut self, source: &str, function: &str, data: &Value) -> Address {
        let config = json!({"function_name": function, "data": data});
        let task_params = TaskParams {
            source: self.market.by_name[source],
            config: pin(&self.pins, serde_json::to_vec(&config).unwrap().into()),
            expiryTime: alloy::primitives::U256::from(START + 600),
            payment: Wei::parse("0.01 OGPU").unwrap().to_u256(),
        };
        let call = IController::publishTaskCall { taskParams: task_params };
        self.send(call.abi_encode().into());
        self.mine();
        let logs = self.node.head().logs().map(|(_, _, log)| log.clone()).collect::<Vec<_>>();
        let published = logs.iter().find_map(|log| {
            let log = decode_log(log.topics(), &log.data.data).ok()?;
            if let ProtocolLog::TaskPublished { task, .. } = log { Some(task) } else { None }
        });
        published.expect("the publication went through")
    }

    fn send(&mut self, input: Bytes) {
        let nonce = self.node.pending_count(self.client.address());
        let (_, raw) = self.client.sign(nonce, CONTROLLER, input, GAS);
        self.node.submit(PoolTx::trusted(self.client.address(), raw).unwrap()).unwrap();
    }

    fn mine(&mut self) {
        self.node.mine(ChainTime::from_secs(START));
    }

    /// One turn of the providers at a time, mined if they sent anything.
    fn turn(&mut self, at: u64) -> Turn {
        let sight = self.providers.look(&self.node);
        let pins = Pins {
            read: &|url| self.pins.lock().unwrap().get(url).cloned(),
            pin: &|all| all.iter().map(|bytes| pin(&self.pins, bytes.clone())).collect(),
        };
        let mut turn = self.providers.work(sight, &pins, &|_, _| None, Timestamp::from_millis(at));
        let txs = std::mem::take(&mut turn.txs);
        if !txs.is_empty() {
            for tx in txs {
                self.node.submit(tx).unwrap();
            }
            self.mine();
            assert!(self.node.head().txs.iter().all(|tx| tx.ok), "no transaction is in vain");
        }
        turn
    }

    fn status(&self, task: Address) -> TaskStatus {
        market::read(&self.node, task, &ITask::getStatusCall {}).unwrap().into()
    }

    /// The pinned output of the task's first response.
    fn output(&self, task: Address) -> Option<Value> {
        let all = ITask::getResponsesOfCall {
            lower: alloy::primitives::U256::ZERO,
            upper: alloy::primitives::U256::ZERO,
        };
        let response = *market::read(&self.node, task, &all)?.first()?;
        let params = market::read(&self.node, response, &IResponse::getResponseParamsCall {})?;
        let bytes = self.pins.lock().unwrap().get(&params.data).cloned()?;
        serde_json::from_slice(&bytes).ok()
    }
}

fn pin(pins: &Mutex<BTreeMap<String, Bytes>>, bytes: Bytes) -> String {
    let url = format!("http://devnet.invalid/ipfs/{}", Cid::for_file(&bytes));
    pins.lock().unwrap().insert(url.clone(), bytes);
    url
}

#[test]
fn a_task_is_attempted_and_answered_in_one_turn_and_never_again() {
    let mut chain = Chain::new(&[]);
    let task = chain.publish("llm", "chat", &json!({"prompt": "Say hi"}));
    chain.turn(0);
    assert_eq!(chain.status(task), TaskStatus::Responded);
    assert_eq!(chain.output(task), Some(json!({"text": "Say hi"})));
    let height = chain.node.head().header.number;
    chain.turn(1);
    assert_eq!(chain.node.head().header.number, height, "nothing more is sent");
}

#[test]
fn the_first_response_of_such_a_source_is_paid_at_once() {
    let mut chain = Chain::new(&[]);
    let task = chain.publish("echo", "echo", &json!({"n": 1}));
    chain.turn(0);
    assert_eq!(chain.status(task), TaskStatus::Finalized);
    let delivery = market::read(&chain.node, task, &ITask::getDeliveryMethodCall {}).unwrap();
    assert_eq!(Delivery::from(delivery), Delivery::FirstResponse);
    let frozen = IVault::frozenPaymentCall(chain.client.address());
    assert!(market::read(&chain.node, VAULT, &frozen).unwrap().is_zero());
}

#[test]
fn a_slow_provider_attempts_at_once_and_responds_when_it_is_done() {
    let mut chain = Chain::new(&["latency=200ms..300ms"]);
    let task = chain.publish("llm", "chat", &json!({"prompt": "x"}));
    chain.turn(1000);
    assert_eq!(chain.status(task), TaskStatus::Attempted);
    let due = chain.providers.wakes_at().unwrap().as_millis();
    assert!((1200..=1300).contains(&due), "{due}");
    chain.turn(due - 1);
    assert_eq!(chain.status(task), TaskStatus::Attempted);
    chain.turn(due);
    assert_eq!(chain.status(task), TaskStatus::Responded);
    assert_eq!(chain.providers.wakes_at(), None);
}

#[test]
fn what_was_open_when_the_devnet_stopped_is_taken_up_again() {
    let mut chain = Chain::new(&["latency=1s"]);
    let attempted = chain.publish("llm", "chat", &json!({"prompt": "attempted"}));
    chain.turn(0);
    let untouched = chain.publish("llm", "chat", &json!({"prompt": "untouched"}));
    let knobs = Arc::clone(&chain.providers.knobs);
    chain.providers = Providers::new(knobs, chain.market.clone());
    chain.turn(5000);
    assert_eq!(chain.status(untouched), TaskStatus::Attempted);
    chain.turn(6000);
    for task in [attempted, untouched] {
        assert_eq!(chain.status(task), TaskStatus::Responded);
    }
}

#[test]
fn finished_and_expired_tasks_are_left_alone_after_a_start() {
    let mut chain = Chain::new(&[]);
    let done = chain.publish("echo", "echo", &json!({"n": 1}));
    chain.turn(0);
    chain.providers.knobs = Arc::new(Knobs { providers: 0, ..Knobs::default() });
    let late = chain.publish("echo", "echo", &json!({"n": 2}));
    chain.node.mine(ChainTime::from_secs(START + 601));
    chain.providers = Providers::new(Arc::default(), chain.market.clone());
    let height = chain.node.head().header.number;
    chain.turn(0);
    assert_eq!(chain.node.head().header.number, height);
    assert_eq!(chain.status(done), TaskStatus::Finalized);
    assert_eq!(chain.status(late), TaskStatus::New);
}

#[test]
fn a_reorg_sends_nothing_twice_and_loses_nothing() {
    let mut chain = Chain::new(&[]);
    let task = chain.publish("llm", "chat", &json!({"prompt": "x"}));
    assert_eq!(chain.node.reorg(1), 1);
    chain.providers.look(&chain.node);
    chain.mine();
    chain.turn(0);
    assert_eq!(chain.status(task), TaskStatus::Responded);
    assert_eq!(chain.node.reorg(2), 2);
    chain.mine();
    let height = chain.node.head().header.number;
    chain.turn(1);
    assert_eq!(chain.node.head().header.number, height, "all of it is mined again from the pool");
    assert_eq!(chain.status(task), TaskStatus::Responded);
}

#[test]
fn a_new_source_gets_every_provider_and_every_function() {
    let mut chain = Chain::new(&["providers=3"]);
    // Not even looked at once: what was published since the market opened counts as new.
    let client = chain.client.address();
    let echo = chain.market.by_name["echo"];
    let get = crate::chain::contract::abi::ISource::getSourceParamsCall {};
    let params = market::read(&chain.node, echo, &get).unwrap();
    let call = INexus::publishSourceCall { sourceParams: params };
    let nonce = chain.node.pending_count(client);
    let (_, raw) = chain.client.sign(nonce, NEXUS, call.abi_encode().into(), GAS);
    chain.node.submit(PoolTx::trusted(client, raw).unwrap()).unwrap();
    chain.mine();
    let logs: Vec<_> = chain.node.head().logs().map(|(_, _, log)| log.clone()).collect();
    let source = logs.iter().find_map(|log| {
        let log = decode_log(log.topics(), &log.data.data).ok()?;
        if let ProtocolLog::SourcePublished { source } = log { Some(source) } else { None }
    });
    chain.market.by_name.insert("new".into(), source.unwrap());
    chain.turn(0);
    let count = crate::chain::contract::abi::ISource::getRegistrantCountCall {};
    let count = market::read(&chain.node, source.unwrap(), &count).unwrap();
    assert_eq!(count, alloy::primitives::U256::from(3_u64));
    let task = chain.publish(
        "new",
        "text2text",
        &json!({"messages": [{"role": "user",
        "content": "Hi"}]}),
    );
    chain.turn(0);
    assert_eq!(chain.output(task).unwrap()["role"], "assistant");
}

#[test]
fn a_service_is_asked_and_its_output_is_submitted_later() {
    let mut chain = Chain::new(&["service=vader=http://127.0.0.1:5555"]);
    let task = chain.publish("vader", "score", &json!({"text": "Great"}));
    let turn = chain.turn(7);
    assert_eq!(chain.status(task), TaskStatus::Attempted);
    let [question] = turn.asks.as_slice() else { panic!("{turn:?}") };
    assert_eq!((question.function.as_str(), &question.data["text"]), ("score", &json!("Great")));
    assert_eq!(question.expiry, ChainTime::from_secs(START + 600));
    let mission = question.mission;
    chain.providers.finished(mission, json!({"compound": 0.5}), Timestamp::from_millis(9));
    chain.turn(9);
    assert_eq!(chain.output(task), Some(json!({"compound": 0.5})));
}

#[test]
fn a_config_that_is_not_pinned_here_gets_an_attempt_and_then_silence() {
    let mut chain = Chain::new(&[]);
    let task = chain.publish("echo", "echo", &json!({"n": 1}));
    chain.pins.lock().unwrap().clear();
    chain.turn(0);
    assert_eq!(chain.status(task), TaskStatus::Attempted);
    assert_eq!(chain.providers.wakes_at(), None);
}
