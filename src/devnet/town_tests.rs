use super::*;
use crate::chain::contract::abi::{IController, ITask, TaskParams};
use crate::chain::contract::{ProtocolLog, TaskStatus, decode_log};
use crate::devnet::crew::Gas;
use crate::devnet::{BASE_FEE, CONTROLLER, VAULT};
use crate::units::ChainTime;
use alloy::primitives::U256;
use alloy::sol_types::SolCall;
use serde_json::json;

const START: u64 = 1_700_000_001;

fn options(knobs: &[&str]) -> TownOptions {
    let mut turned = Knobs::default();
    for pair in knobs {
        turned.turn_pair(pair).unwrap();
    }
    TownOptions {
        place: Place::Memory,
        knobs: turned,
        base: "http://devnet.invalid".into(),
        clock: Arc::new(|| ChainTime::from_secs(START)),
        genesis: genesis(),
    }
}

fn client() -> Wallet {
    Wallet::of_provider(ACCOUNT_SEED, 0, CHAIN_ID)
}

/// Publishes `count` tasks to a source, in one batch; returns their addresses.
fn publish(town: &Town, source: &str, function: &str, data: &Value, count: u64) -> Vec<Address> {
    let client = client();
    let config = json!({"function_name": function, "data": data}).to_string();
    let task = TaskParams {
        source: town.sources()[source],
        config: town.devnet().pin(config.as_bytes()).unwrap(),
        expiryTime: U256::from(START + 600),
        payment: Wei::parse("0.01 OGPU").unwrap().to_u256(),
    };
    let call: Bytes = IController::publishTaskCall { taskParams: task }.abi_encode().into();
    let gas = Gas { limit: 1_000_000, max_fee: u128::from(BASE_FEE) };
    let nonce = town.devnet().read(|node| node.pending_count(client.address())).unwrap();
    let txs = (nonce..nonce + count).map(|nonce| {
        let (_, raw) = client.sign(nonce, CONTROLLER, call.clone(), gas);
        PoolTx::trusted(client.address(), raw).unwrap()
    });
    for taken in town.devnet().send(txs.collect::<Vec<_>>()).unwrap() {
        taken.unwrap();
    }
    let logs = town
        .devnet()
        .read(|node| node.head().logs().map(|(_, _, log)| log.clone()).collect::<Vec<_>>());
    let task = |log: &alloy::primitives::Log| {
        let log = decode_log(log.topics(), &log.data.data).ok()?;
        if let ProtocolLog::TaskPublished { task, .. } = log { Some(task) } else { None }
    };
    logs.unwrap().iter().filter_map(task).collect()
}

fn status(town: &Town, task: Address) -> TaskStatus {
    let call = ITask::getStatusCall {};
    town.devnet().read(|node| market::read(node, task, &call)).unwrap().unwrap().into()
}

/// Lets the town work until all tasks are in `wanted`, at most for a minute.
async fn until_all(town: &Town, tasks: &[Address], wanted: TaskStatus) {
    let mut heads = town.devnet().heads();
    let reached = async {
        loop {
            heads.borrow_and_update();
            if tasks.iter().all(|task| status(town, *task) == wanted) {
                return;
            }
            heads.changed().await.unwrap();
        }
    };
    tokio::select! {
        () = reached => {}
        ended = town.work() => panic!("the providers stopped: {ended:?}"),
        () = tokio::time::sleep(Duration::from_secs(60)) => panic!("not {wanted:?} in a minute"),
    }
}

#[tokio::test]
async fn tasks_of_a_first_response_source_end_paid() {
    let town = Town::open(options(&[])).unwrap();
    let tasks = publish(&town, "echo", "echo", &json!({"n": 1}), 50);
    assert_eq!(tasks.len(), 50);
    until_all(&town, &tasks, TaskStatus::Finalized).await;
}

#[tokio::test]
async fn a_slow_provider_responds_when_its_time_has_come() {
    let town = Town::open(options(&["latency=20ms..30ms"])).unwrap();
    let tasks = publish(&town, "llm", "chat", &json!({"prompt": "x"}), 3);
    until_all(&town, &tasks, TaskStatus::Responded).await;
}

#[tokio::test]
async fn blocks_come_at_an_interval_where_one_is_set() {
    let town = Town::open(options(&["block-time=10ms"])).unwrap();
    let before = town.devnet().read(|node| node.head().header.number).unwrap();
    let mut heads = town.devnet().heads();
    let three = heads.wait_for(|head| head.number >= before + 3);
    tokio::select! {
        head = three => drop(head.unwrap()),
        ended = town.work() => panic!("the providers stopped: {ended:?}"),
    }
}

#[tokio::test]
async fn tasks_end_well_while_blocks_are_taken_back() {
    let town = Town::open(options(&["reorg=2"])).unwrap();
    for n in 0..4 {
        let tasks = publish(&town, "echo", "echo", &json!({"n": n}), 2);
        until_all(&town, &tasks, TaskStatus::Finalized).await;
    }
}

#[test]
fn a_town_that_opens_again_with_other_knobs_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    let place = Place::Folder(folder.path().into());
    let first = Town::open(TownOptions { place: place.clone(), ..options(&[]) }).unwrap();
    let sources = first.sources().clone();
    let head = first.devnet().read(|node| node.head().hash).unwrap();
    drop(first);
    let again = Town::open(TownOptions { place: place.clone(), ..options(&[]) }).unwrap();
    assert_eq!(again.devnet().read(|node| node.head().hash).unwrap(), head, "nothing was sent");
    drop(again);
    let knobs = ["seed=9", "providers=2", "service=vader=http://127.0.0.1:5555"];
    let other = Town::open(TownOptions { place, ..options(&knobs) }).unwrap();
    assert!(sources.iter().all(|(name, address)| other.sources().get(name) == Some(address)));
    assert!(other.sources().contains_key("vader"));
}

#[test]
fn an_account_is_given_what_it_lacks() {
    let town = Town::open(options(&[])).unwrap();
    let account = Address::repeat_byte(9);
    let (wallet, vault) = (Wei::parse("5 OGPU").unwrap(), Wei::parse("3 OGPU").unwrap());
    for _ in 0..2 {
        town.fund(account, wallet, vault).unwrap();
    }
    let call = crate::chain::contract::abi::IVault::balanceOfCall(account);
    let (in_wallet, in_vault) = town
        .devnet()
        .read(|node| (node.balance(account), market::read(node, VAULT, &call).unwrap()))
        .unwrap();
    assert_eq!((Wei::from_u256(in_wallet), Wei::from_u256(in_vault)), (wallet, vault));
}

#[tokio::test]
async fn the_gateway_fails_as_often_as_the_knob_says_and_the_rest_never() {
    use axum::body::Body;
    use tower::ServiceExt;
    let town = Town::open(options(&["gateway-errors=100%"])).unwrap();
    let link = town.devnet().pin(b"{}").unwrap();
    let get = |uri: &str| Request::builder().uri(uri).body(Body::empty()).unwrap();
    let reply = town.router().oneshot(get(&link)).await.unwrap();
    assert_eq!(reply.status(), StatusCode::BAD_GATEWAY);
    let rpc = Request::post("/").body(Body::from(r#"{"id":1,"method":"eth_chainId"}"#)).unwrap();
    assert_eq!(town.router().oneshot(rpc).await.unwrap().status(), StatusCode::OK);
    let calm = Town::open(options(&[])).unwrap();
    let link = calm.devnet().pin(b"{}").unwrap();
    assert_eq!(calm.router().oneshot(get(&link)).await.unwrap().status(), StatusCode::OK);
}

#[test]
fn one_in_so_many_blocks_is_taken_back_once() {
    assert!(!is_reorg(0, 6, 0));
    assert!(is_reorg(3, 6, 3));
    assert!(!is_reorg(3, 6, 6));
    assert!(!is_reorg(3, 7, 6));
}

#[test]
fn a_batch_that_needs_several_blocks_is_mined_whole() {
    let town = Town::open(options(&[])).unwrap();
    let before = town.devnet().read(|node| node.head().header.number).unwrap();
    let whole_block = Gas { limit: 1_000_000_000, max_fee: u128::from(BASE_FEE) };
    let txs = (0..3).map(|nonce| {
        let (_, raw) = client().sign(nonce, Address::ZERO, Bytes::new(), whole_block);
        PoolTx::trusted(client().address(), raw).unwrap()
    });
    assert!(town.devnet().send(txs).unwrap().iter().all(Result::is_ok));
    let (head, count) = town
        .devnet()
        .read(|node| (node.head().header.number, node.count_at(client().address(), before + 3)))
        .unwrap();
    assert_eq!((head, count), (before + 3, Some(3)));
}

#[tokio::test]
async fn in_process_a_taken_callback_port_is_said_and_served_ones_need_none() {
    let taken = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let port = taken.local_addr().unwrap().port();
    let port_knob = format!("port={port}");
    let knobs = [port_knob.as_str(), "service=vader=http://127.0.0.1:1"];
    let town = Town::open(options(&knobs)).unwrap();
    let error = town.work().await.unwrap_err();
    assert!(matches!(error, DevnetError::Port { port: p, .. } if p == port), "{error}");
    let base = format!("http://127.0.0.1:{port}");
    let served = TownOptions { base, ..options(&knobs) };
    let served = Town::open(served).unwrap();
    let worked = tokio::time::timeout(Duration::from_millis(50), served.work()).await;
    assert!(worked.is_err(), "it goes on: {worked:?}");
}
