//! The router, as clients use it; the log and the pins under it.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use alloy::consensus::{SignableTransaction, TxEip1559, TxEnvelope, TxLegacy};
use alloy::eips::eip2718::Encodable2718;
use alloy::primitives::{Address, B256, Bytes, TxKind, U256, keccak256};
use alloy::signers::SignerSync;
use alloy::signers::local::PrivateKeySigner;
use alloy::sol_types::SolCall;
use axum::body::Body;
use axum::http::{Request, StatusCode};
use serde_json::{Value, json};
use tower::ServiceExt;

use super::block::BASE_FEE;
use super::genesis::{CHAIN_ID, CONTROLLER, Genesis, NEXUS};
use super::handle::{Devnet, Mining, Options};
use super::kit::{COIN, START, publish_call, source_params, who};
use super::place::Place;
use super::pool::{PoolLimits, PoolTx};
use super::{DevnetError, TERMINAL, VAULT};
use crate::chain::contract::Delivery;
use crate::chain::contract::abi::INexus;
use crate::units::cid::Cid;
use crate::units::{ChainTime, Wei};

fn key(name: &str) -> PrivateKeySigner {
    PrivateKeySigner::from_bytes(&keccak256(name)).unwrap()
}

fn funded() -> Genesis {
    let some = Wei::from_u128(100 * COIN);
    ["ann", "ben"].iter().fold(Genesis::default(), |genesis, name| {
        genesis.with_funds(key(name).address(), some, some)
    })
}

/// A devnet whose clock the test turns.
struct Bench {
    devnet: Devnet,
    time: Arc<AtomicU64>,
}

impl Bench {
    fn new() -> Self {
        Self::at(Place::Memory, Mining::AtOnce)
    }

    fn at(place: Place, mining: Mining) -> Self {
        let time = Arc::new(AtomicU64::new(START));
        let clock = Arc::clone(&time);
        let devnet = Devnet::open(Options {
            place,
            genesis: funded(),
            mining,
            limits: PoolLimits::default(),
            base: "http://devnet.invalid".into(),
            clock: Arc::new(move || ChainTime::from_secs(clock.load(Ordering::Relaxed))),
        });
        Self { devnet: devnet.unwrap(), time }
    }

    fn in_folder(folder: &Path) -> Self {
        Self::at(Place::Folder(folder.into()), Mining::AtOnce)
    }

    async fn post(&self, body: &Value) -> Value {
        let request = Request::post("/").body(Body::from(body.to_string())).unwrap();
        let response = self.devnet.router().oneshot(request).await.unwrap();
        assert_eq!(response.status(), StatusCode::OK);
        let bytes = axum::body::to_bytes(response.into_body(), usize::MAX).await.unwrap();
        serde_json::from_slice(&bytes).unwrap_or(Value::Null)
    }

    async fn ask(&self, method: &str, params: Value) -> Result<Value, Value> {
        let reply = self.post(&request(1, method, &params)).await;
        assert_eq!((&reply["jsonrpc"], &reply["id"]), (&json!("2.0"), &json!(1)));
        match reply.get("error") {
            None => Ok(reply["result"].clone()),
            Some(error) => Err(error.clone()),
        }
    }

    async fn get(&self, path: &str) -> (StatusCode, Bytes) {
        let request = Request::get(path).body(Body::empty()).unwrap();
        let response = self.devnet.router().oneshot(request).await.unwrap();
        let status = response.status();
        let bytes = axum::body::to_bytes(response.into_body(), usize::MAX).await.unwrap();
        (status, bytes.into())
    }

    async fn upload(&self, part: &str, content: &[u8]) -> (StatusCode, Value) {
        let head = format!(
            "--xyz\r\nContent-Disposition: form-data; name=\"{part}\"; \
             filename=\"taskConfig.json\"\r\nContent-Type: application/json\r\n\r\n"
        );
        let body = [head.as_bytes(), content, b"\r\n--xyz--\r\n"].concat();
        let request = Request::post("/file/create")
            .header("content-type", "multipart/form-data; boundary=xyz")
            .body(Body::from(body))
            .unwrap();
        let response = self.devnet.router().oneshot(request).await.unwrap();
        let status = response.status();
        let bytes = axum::body::to_bytes(response.into_body(), usize::MAX).await.unwrap();
        (status, serde_json::from_slice(&bytes).unwrap())
    }
}

fn request(id: u64, method: &str, params: &Value) -> Value {
    json!({"jsonrpc": "2.0", "id": id, "method": method, "params": params})
}

fn raw(name: &str, nonce: u64, to: Address, data: Bytes) -> Bytes {
    let tx = TxEip1559 {
        chain_id: CHAIN_ID,
        nonce,
        gas_limit: 1_500_000,
        max_fee_per_gas: u128::from(BASE_FEE) * 2,
        max_priority_fee_per_gas: 1,
        to: TxKind::Call(to),
        input: data,
        ..TxEip1559::default()
    };
    let signature = key(name).sign_hash_sync(&tx.signature_hash()).unwrap();
    TxEnvelope::from(tx.into_signed(signature)).encoded_2718().into()
}

fn publish_source() -> Bytes {
    INexus::publishSourceCall { sourceParams: source_params(Delivery::Manual) }.abi_encode().into()
}

fn number(value: &Value) -> u64 {
    u64::from_str_radix(value.as_str().unwrap().trim_start_matches("0x"), 16).unwrap()
}

/// A devnet on which ann has published a source.
async fn with_source(bench: &Bench) -> Address {
    let sent = raw("ann", 0, NEXUS, publish_source());
    bench.ask("eth_sendRawTransaction", json!([sent])).await.unwrap();
    let receipt = bench.ask("eth_getTransactionReceipt", json!([keccak256(&sent)])).await.unwrap();
    let data: Bytes = serde_json::from_value(receipt["logs"][0]["data"].clone()).unwrap();
    Address::from_slice(&data[12..32])
}

#[tokio::test]
async fn what_never_changes_is_said_as_a_node_says_it() {
    let bench = Bench::new();
    let cases = [
        ("eth_chainId", json!("0x7a69")),
        ("net_version", json!("31337")),
        ("eth_gasPrice", json!("0x77359400")),
        ("eth_maxPriorityFeePerGas", json!("0x3b9aca00")),
        ("eth_syncing", json!(false)),
    ];
    for (method, expected) in cases {
        assert_eq!(bench.ask(method, json!([])).await, Ok(expected), "{method}");
    }
    let version = bench.ask("web3_clientVersion", json!([])).await.unwrap();
    assert!(version.as_str().unwrap().starts_with("ogflow-devnet/v"));
    for contract in [NEXUS, CONTROLLER, TERMINAL, VAULT] {
        let code = bench.ask("eth_getCode", json!([contract, "latest"])).await.unwrap();
        assert!(code.as_str().unwrap().len() > 1_000);
    }
    let code = bench.ask("eth_getCode", json!([who("nobody"), "latest"])).await.unwrap();
    assert_eq!(code, "0x");
}

#[tokio::test]
async fn a_sent_transaction_has_a_receipt_with_its_logs_and_place() {
    let bench = Bench::new();
    let source = with_source(&bench).await;
    let expiry = START + 600;
    let call = publish_call(source, COIN, expiry).abi_encode();
    let sent = raw("ben", 0, CONTROLLER, call.into());
    let hash = bench.ask("eth_sendRawTransaction", json!([sent])).await.unwrap();
    assert_eq!(hash, json!(keccak256(&sent)));
    let receipt = bench.ask("eth_getTransactionReceipt", json!([hash])).await.unwrap();
    assert_eq!(receipt["status"], "0x1");
    assert_eq!(receipt["type"], "0x2");
    assert_eq!(receipt["blockNumber"], "0x2");
    assert_eq!(receipt["from"], json!(key("ben").address()));
    assert_eq!(receipt["logs"].as_array().unwrap().len(), 1);
    assert_eq!(receipt["logs"][0]["transactionHash"], hash);
    assert_eq!(receipt["logs"][0]["logIndex"], "0x0");
    assert_eq!(receipt["effectiveGasPrice"], "0x3b9aca01");
    let block = bench.ask("eth_getBlockByNumber", json!(["latest", true])).await.unwrap();
    assert_eq!(block["hash"], receipt["blockHash"]);
    assert_eq!(block["baseFeePerGas"], "0x3b9aca00");
    assert_eq!(number(&block["timestamp"]), START);
    assert_eq!(block["transactions"][0]["hash"], hash);
    let by_hash = bench.ask("eth_getBlockByHash", json!([block["hash"], false])).await.unwrap();
    assert_eq!(by_hash["transactions"], json!([hash]));
    let tx = bench.ask("eth_getTransactionByHash", json!([hash])).await.unwrap();
    assert_eq!((&tx["nonce"], &tx["blockNumber"]), (&json!("0x0"), &json!("0x2")));
    let gas = number(&receipt["gasUsed"]);
    assert!((200_000..400_000).contains(&gas), "a publication uses {gas} gas");
}

#[tokio::test]
async fn a_type_0_transaction_is_taken_too() {
    let bench = Bench::new();
    let tx = TxLegacy {
        chain_id: Some(CHAIN_ID),
        gas_price: u128::from(BASE_FEE),
        gas_limit: 21_000,
        to: TxKind::Call(who("x")),
        value: U256::from(7),
        ..TxLegacy::default()
    };
    let signature = key("ann").sign_hash_sync(&tx.signature_hash()).unwrap();
    let sent: Bytes = TxEnvelope::from(tx.into_signed(signature)).encoded_2718().into();
    let hash = bench.ask("eth_sendRawTransaction", json!([sent])).await.unwrap();
    let receipt = bench.ask("eth_getTransactionReceipt", json!([hash])).await.unwrap();
    assert_eq!((&receipt["status"], &receipt["type"]), (&json!("0x1"), &json!("0x0")));
    let balance = bench.ask("eth_getBalance", json!([who("x"), "latest"])).await.unwrap();
    assert_eq!(balance, "0x7");
}

#[tokio::test]
async fn reverts_come_as_code_3_with_reason_and_data() {
    let bench = Bench::new();
    let source = with_source(&bench).await;
    let call: Bytes = publish_call(source, 1, START + 600).abi_encode().into();
    let tx = json!({"from": key("ben").address(), "to": CONTROLLER, "data": call});
    for method in ["eth_call", "eth_estimateGas"] {
        let error = bench.ask(method, json!([tx, "latest"])).await.unwrap_err();
        assert_eq!(error["code"], 3);
        assert_eq!(error["message"], "execution reverted: PaymentTooLow");
        assert!(error["data"].as_str().unwrap().starts_with("0x08c379a0"));
    }
}

#[tokio::test]
async fn an_estimate_is_enough_and_hardly_more() {
    let bench = Bench::new();
    let source = with_source(&bench).await;
    let call: Bytes = publish_call(source, COIN, START + 600).abi_encode().into();
    let tx = json!({"from": key("ben").address(), "to": CONTROLLER, "input": call});
    let estimate = number(&bench.ask("eth_estimateGas", json!([tx])).await.unwrap());
    let hash = bench
        .ask("eth_sendRawTransaction", json!([raw("ben", 0, CONTROLLER, call)]))
        .await
        .unwrap();
    let receipt = bench.ask("eth_getTransactionReceipt", json!([hash])).await.unwrap();
    let used = number(&receipt["gasUsed"]);
    assert!(estimate >= used && estimate < used + used / 10, "{estimate} for {used}");
    let rich = json!({"from": who("nobody"), "to": who("x"), "value": "0x1"});
    let error = bench.ask("eth_estimateGas", json!([rich])).await.unwrap_err();
    assert_eq!(error["message"], "insufficient funds for transfer");
}

#[tokio::test]
async fn refusals_of_the_pool_come_in_their_own_words() {
    let bench = Bench::new();
    let first = raw("ann", 0, who("x"), Bytes::new());
    bench.ask("eth_sendRawTransaction", json!([first])).await.unwrap();
    let error = bench.ask("eth_sendRawTransaction", json!([first])).await.unwrap_err();
    assert_eq!(error["code"], -32000);
    assert_eq!(error["message"], "nonce too low: next nonce 1, tx nonce 0");
    let ahead = raw("ann", 5, who("x"), Bytes::new());
    bench.ask("eth_sendRawTransaction", json!([ahead])).await.unwrap();
    let error = bench.ask("eth_sendRawTransaction", json!([ahead])).await.unwrap_err();
    assert_eq!(error["message"], "already known");
    let poor = raw("nobody", 0, who("x"), Bytes::new());
    let error = bench.ask("eth_sendRawTransaction", json!([poor])).await.unwrap_err();
    let text = error["message"].as_str().unwrap();
    assert!(text.starts_with("insufficient funds for gas * price + value"), "{text}");
    let error = bench.ask("eth_sendRawTransaction", json!(["0x02c0"])).await.unwrap_err();
    assert_eq!(error["code"], -32000);
}

#[tokio::test]
async fn a_batch_is_answered_in_order_and_its_transactions_share_a_block() {
    let bench = Bench::new();
    let mut batch: Vec<Value> = (0..20)
        .map(|nonce| {
            let sent = raw("ann", nonce, who("x"), Bytes::new());
            request(nonce, "eth_sendRawTransaction", &json!([sent]))
        })
        .collect();
    let count = json!([key("ann").address(), "latest"]);
    batch.push(request(20, "eth_getTransactionCount", &count));
    batch.push(request(21, "no_such_method", &json!([])));
    batch.push(json!({"id": 22}));
    batch.push(json!({"jsonrpc": "2.0", "method": "eth_chainId"}));
    let replies = bench.post(&json!(batch)).await;
    let replies = replies.as_array().unwrap();
    assert_eq!(replies.len(), 23, "a notification has no reply");
    for (id, reply) in replies.iter().take(22).enumerate() {
        assert_eq!(reply["id"], id);
    }
    assert_eq!(replies[20]["result"], "0x14");
    assert_eq!(replies[21]["error"]["code"], -32601);
    assert_eq!(replies[22]["error"]["code"], -32600);
    let block = bench.ask("eth_getBlockByNumber", json!(["latest", false])).await.unwrap();
    assert_eq!(block["transactions"].as_array().unwrap().len(), 20);
}

#[tokio::test]
async fn bodies_that_are_no_requests_are_refused_with_the_standards_codes() {
    let bench = Bench::new();
    for (body, code) in
        [("[]", -32600), ("{", -32700), ("17", -32600), ("[1,", -32700), ("", -32700)]
    {
        let request = Request::post("/").body(Body::from(body)).unwrap();
        let response = bench.devnet.router().oneshot(request).await.unwrap();
        let bytes = axum::body::to_bytes(response.into_body(), usize::MAX).await.unwrap();
        let reply: Value = serde_json::from_slice(&bytes).unwrap();
        assert_eq!(reply["error"]["code"], code, "{body}");
    }
    let error = bench.ask("eth_getBalance", json!(["0x12", "latest"])).await.unwrap_err();
    assert_eq!(error["code"], -32602);
    let error = bench.ask("eth_getBalance", json!({"a": 1})).await.unwrap_err();
    assert_eq!(error["code"], -32602);
}

#[tokio::test]
async fn counts_are_right_at_a_block_by_number_and_by_hash_and_pending() {
    let bench = Bench::new();
    for nonce in 0..3 {
        let sent = raw("ann", nonce, who("x"), Bytes::new());
        bench.ask("eth_sendRawTransaction", json!([sent])).await.unwrap();
    }
    bench
        .ask("eth_sendRawTransaction", json!([raw("ann", 4, who("x"), Bytes::new())]))
        .await
        .unwrap();
    let ann = key("ann").address();
    for height in 0..=3_u64 {
        let at = format!("0x{height:x}");
        let block = bench.ask("eth_getBlockByNumber", json!([at, false])).await.unwrap();
        let by_number = bench.ask("eth_getTransactionCount", json!([ann, at])).await.unwrap();
        let pin = json!({"blockHash": block["hash"]});
        let by_hash = bench.ask("eth_getTransactionCount", json!([ann, pin])).await.unwrap();
        assert_eq!((number(&by_number), number(&by_hash)), (height, height));
    }
    let pending = bench.ask("eth_getTransactionCount", json!([ann, "pending"])).await.unwrap();
    assert_eq!(pending, "0x3", "the gap is not counted");
    let error = bench.ask("eth_getTransactionCount", json!([ann, "0x99"])).await.unwrap_err();
    assert_eq!(error["message"], "header not found");
}

#[tokio::test]
async fn logs_are_found_by_range_by_block_hash_by_address_and_by_topic() {
    let bench = Bench::new();
    let source = with_source(&bench).await;
    let batch: Vec<_> = (0..3)
        .map(|nonce| {
            let call = publish_call(source, COIN, START + 600).abi_encode();
            request(
                nonce,
                "eth_sendRawTransaction",
                &json!([raw("ben", nonce, CONTROLLER, call.into())]),
            )
        })
        .collect();
    bench.post(&json!(batch)).await;
    let published = crate::chain::contract::topics()[0];
    let found = |filter: Value| {
        let bench = &bench;
        async move { bench.ask("eth_getLogs", json!([filter])).await.unwrap().as_array().unwrap().len() }
    };
    let all = json!({"fromBlock": "0x0", "toBlock": "latest", "address": NEXUS});
    assert_eq!(found(all).await, 4);
    let some = json!({"fromBlock": "0x0", "address": [NEXUS], "topics": [[published]]});
    assert_eq!(found(some).await, 3);
    assert_eq!(found(json!({"fromBlock": "0x0", "address": VAULT})).await, 0);
    assert_eq!(found(json!({"fromBlock": "0x0", "toBlock": "0x1"})).await, 1);
    assert_eq!(found(json!({"fromBlock": "0x9", "toBlock": "0x99"})).await, 0);
    let block = bench.ask("eth_getBlockByNumber", json!(["0x2", false])).await.unwrap();
    assert_eq!(found(json!({"blockHash": block["hash"], "topics": [published]})).await, 3);
    let unknown = json!([{"blockHash": B256::ZERO}]);
    assert_eq!(bench.ask("eth_getLogs", unknown).await.unwrap_err()["message"], "unknown block");
    let logs = bench.ask("eth_getLogs", json!([{"blockHash": block["hash"]}])).await.unwrap();
    let indices: Vec<_> =
        logs.as_array().unwrap().iter().map(|log| number(&log["logIndex"])).collect();
    assert_eq!(indices, [0, 1, 2]);
}

#[tokio::test]
async fn while_nothing_comes_a_look_after_a_second_finds_a_fresh_head() {
    let bench = Bench::new();
    assert_eq!(bench.ask("eth_blockNumber", json!([])).await, Ok(json!("0x1")));
    assert_eq!(bench.ask("eth_blockNumber", json!([])).await, Ok(json!("0x1")));
    bench.time.fetch_add(5, Ordering::Relaxed);
    let head = bench.ask("eth_getBlockByNumber", json!(["latest", false])).await.unwrap();
    assert_eq!((&head["number"], number(&head["timestamp"])), (&json!("0x2"), START + 5));
}

#[tokio::test]
async fn by_tick_nothing_is_mined_until_somebody_says_so() {
    let bench = Bench::at(Place::Memory, Mining::ByTick);
    let sent = raw("ann", 0, who("x"), Bytes::new());
    let hash = bench.ask("eth_sendRawTransaction", json!([sent])).await.unwrap();
    bench.time.fetch_add(60, Ordering::Relaxed);
    assert_eq!(bench.ask("eth_blockNumber", json!([])).await, Ok(json!("0x0")));
    let tx = bench.ask("eth_getTransactionByHash", json!([hash])).await.unwrap();
    assert_eq!(tx["blockNumber"], Value::Null);
    assert_eq!(bench.ask("eth_getTransactionReceipt", json!([hash])).await, Ok(Value::Null));
    bench.devnet.mine().unwrap();
    let tx = bench.ask("eth_getTransactionByHash", json!([hash])).await.unwrap();
    assert_eq!(tx["blockNumber"], "0x1");
}

#[tokio::test]
async fn a_reader_that_lags_sees_an_older_chain_in_every_respect() {
    let bench = Bench::at(Place::Memory, Mining::ByTick);
    let sent = raw("ann", 0, who("x"), Bytes::new());
    let hash = bench.ask("eth_sendRawTransaction", json!([sent])).await.unwrap();
    bench.devnet.mine().unwrap();
    bench.devnet.mine().unwrap();
    bench.devnet.set_lag(2);
    let batch = json!([
        request(0, "eth_blockNumber", &json!([])),
        request(1, "eth_getTransactionReceipt", &json!([hash])),
        request(2, "eth_getTransactionCount", &json!([key("ann").address(), "latest"])),
        request(3, "eth_getBlockByNumber", &json!(["0x1", false])),
    ]);
    let mut lagging = bench.post(&batch).await;
    if lagging[0]["result"] != "0x0" {
        lagging = bench.post(&batch).await;
    }
    assert_eq!(lagging[0]["result"], "0x0");
    assert_eq!(lagging[1]["result"], Value::Null);
    assert_eq!(lagging[2]["result"], "0x0");
    assert_eq!(lagging[3]["result"], Value::Null);
    let fresh = bench.post(&batch).await;
    assert_eq!(fresh[0]["result"], "0x2", "every second reader is up to date");
    assert_eq!(fresh[2]["result"], "0x1");
}

#[tokio::test]
async fn fee_history_has_one_more_base_fee_than_blocks() {
    let bench = Bench::new();
    with_source(&bench).await;
    let history = bench.ask("eth_feeHistory", json!(["0x5", "latest", [50.0]])).await.unwrap();
    let length = |field: &str| history[field].as_array().unwrap().len();
    assert_eq!(length("baseFeePerGas"), length("gasUsedRatio") + 1);
    assert_eq!(length("reward"), length("gasUsedRatio"));
    assert_eq!(history["oldestBlock"], "0x0");
}

#[tokio::test]
async fn a_pinned_file_comes_back_under_its_real_content_id() {
    let bench = Bench::new();
    let content = br#"{"function_name":"echo","data":{"text":"gr\u00fc\u00df"}}"#;
    let (status, reply) = bench.upload("file", content).await;
    let cid = Cid::for_file(content);
    assert_eq!(status, StatusCode::OK);
    assert_eq!(reply["link"], format!("http://devnet.invalid/ipfs/{cid}"));
    let (status, bytes) = bench.get(&format!("/ipfs/{cid}")).await;
    assert_eq!((status, &bytes[..]), (StatusCode::OK, &content[..]));
    let absent = Cid::for_file(b"absent");
    assert_eq!(bench.get(&format!("/ipfs/{absent}")).await.0, StatusCode::NOT_FOUND);
    assert_eq!(bench.get("/ipfs/nonsense").await.0, StatusCode::BAD_REQUEST);
    assert_eq!(bench.upload("other", b"{}").await.0, StatusCode::BAD_REQUEST);
    let large = vec![7_u8; 3 << 20];
    assert_eq!(bench.upload("file", &large).await.0, StatusCode::OK);
    let (_, bytes) = bench.get(&format!("/ipfs/{}", Cid::for_file(&large))).await;
    assert_eq!(bytes.len(), large.len());
}

/// The last words of a devnet: head, a count, the pool.
async fn portrait(bench: &Bench) -> Value {
    let ann = key("ann").address();
    bench
        .post(&json!([
            request(0, "eth_getBlockByNumber", &json!(["latest", true])),
            request(1, "eth_getTransactionCount", &json!([ann, "latest"])),
            request(2, "eth_getTransactionCount", &json!([ann, "pending"])),
            request(3, "eth_getLogs", &json!([{"fromBlock": "0x0"}])),
            request(4, "eth_getBalance", &json!([ann, "latest"])),
        ]))
        .await
}

#[tokio::test]
async fn a_devnet_that_was_killed_comes_back_as_it_was() {
    let folder = tempfile::tempdir().unwrap();
    let bench = Bench::in_folder(folder.path());
    with_source(&bench).await;
    bench
        .ask("eth_sendRawTransaction", json!([raw("ann", 3, who("x"), Bytes::new())]))
        .await
        .unwrap();
    let (_, pinned) = bench.upload("file", b"{}").await;
    let before = portrait(&bench).await;
    drop(bench);
    let again = Bench::in_folder(folder.path());
    assert_eq!(portrait(&again).await, before);
    let path = pinned["link"].as_str().unwrap().trim_start_matches("http://devnet.invalid");
    assert_eq!(again.get(path).await.0, StatusCode::OK);
    // The one in the pool is there too: it is mined once its gap is filled.
    for nonce in [1, 2] {
        let sent = raw("ann", nonce, who("x"), Bytes::new());
        again.ask("eth_sendRawTransaction", json!([sent])).await.unwrap();
    }
    assert_eq!(portrait(&again).await[1]["result"], "0x4");
}

#[tokio::test]
async fn a_log_torn_at_any_byte_gives_a_chain_that_was_there_before() {
    let folder = tempfile::tempdir().unwrap();
    let bench = Bench::in_folder(folder.path());
    let mut heads = vec![number(&bench.ask("eth_blockNumber", json!([])).await.unwrap())];
    for nonce in 0..2 {
        let sent = raw("ann", nonce, who("x"), Bytes::new());
        bench.ask("eth_sendRawTransaction", json!([sent])).await.unwrap();
        heads.push(number(&bench.ask("eth_blockNumber", json!([])).await.unwrap()));
    }
    let hashes: Vec<_> = bench
        .devnet
        .read(|node| (0..=heads[2]).map(|at| node.block(at).unwrap().hash).collect())
        .unwrap();
    drop(bench);
    let path = folder.path().join("chain.log");
    let whole = std::fs::read(&path).unwrap();
    for length in (54..whole.len()).step_by(7) {
        std::fs::write(&path, &whole[..length]).unwrap();
        let bench = Bench::at(Place::Folder(folder.path().into()), Mining::ByTick);
        let head = bench.devnet.read(|node| (node.head().header.number, node.head().hash)).unwrap();
        assert_eq!(hashes[usize::try_from(head.0).unwrap()], head.1, "cut at {length}");
        bench.devnet.mine().unwrap();
    }
}

#[tokio::test]
async fn what_is_opened_to_be_read_writes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let absent = folder.path().join("absent");
    let reader = Bench::at(Place::ReadOnly(absent.clone()), Mining::AtOnce);
    reader.ask("eth_blockNumber", json!([])).await.unwrap();
    assert!(!absent.exists());
    let writer = Bench::in_folder(folder.path());
    with_source(&writer).await;
    let size = || std::fs::metadata(folder.path().join("chain.log")).unwrap().len();
    let before = size();
    let reader = Bench::at(Place::ReadOnly(folder.path().into()), Mining::AtOnce);
    let found = reader.ask("eth_getLogs", json!([{"fromBlock": "0x0"}])).await.unwrap();
    assert_eq!(found.as_array().unwrap().len(), 1);
    reader
        .ask("eth_sendRawTransaction", json!([raw("ann", 1, who("x"), Bytes::new())]))
        .await
        .unwrap();
    assert_eq!(size(), before);
}

#[test]
fn two_processes_do_not_run_the_same_devnet() {
    let folder = tempfile::tempdir().unwrap();
    let first = Bench::in_folder(folder.path());
    let options = Options {
        place: Place::Folder(folder.path().into()),
        genesis: funded(),
        mining: Mining::AtOnce,
        limits: PoolLimits::default(),
        base: String::new(),
        clock: Arc::new(|| ChainTime::from_secs(START)),
    };
    assert!(matches!(Devnet::open(options.clone()), Err(DevnetError::Locked { .. })));
    drop(first);
    let other = Options { genesis: Genesis::default(), ..options };
    assert!(matches!(Devnet::open(other), Err(DevnetError::OtherGenesis { .. })));
}

#[tokio::test]
async fn whoever_waits_for_heads_hears_of_blocks_and_of_reorgs() {
    let bench = Bench::new();
    let mut heads = bench.devnet.heads();
    let tx = PoolTx::recover(raw("ann", 0, who("x"), Bytes::new())).unwrap();
    bench.devnet.send([tx]).unwrap()[0].clone().unwrap();
    heads.changed().await.unwrap();
    let first = *heads.borrow_and_update();
    assert_eq!(first.number, 1);
    bench.time.fetch_add(9, Ordering::Relaxed);
    assert_eq!(bench.devnet.reorg(1).unwrap(), 1);
    heads.changed().await.unwrap();
    let second = *heads.borrow_and_update();
    assert_eq!(second.number, 1);
    assert_ne!(second.hash, first.hash);
    let count = bench.devnet.read(|node| node.pending_count(key("ann").address())).unwrap();
    assert_eq!(count, 1, "the transaction was mined again");
}
