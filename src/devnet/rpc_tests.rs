//! The router, as clients use it.

use std::sync::atomic::Ordering;

use alloy::consensus::{SignableTransaction, TxEnvelope, TxLegacy};
use alloy::eips::eip2718::Encodable2718;
use alloy::primitives::{B256, Bytes, TxKind, U256, keccak256};
use alloy::signers::SignerSync;
use alloy::sol_types::SolCall;
use axum::body::Body;
use axum::http::{Request, StatusCode};
use serde_json::{Value, json};
use tower::ServiceExt;

use super::block::BASE_FEE;
use super::genesis::{CHAIN_ID, CONTROLLER, NEXUS};
use super::handle::Mining;
use super::kit::{COIN, START, publish_call, who};
use super::place::Place;
use super::{TERMINAL, VAULT};
use crate::units::cid::Cid;

use super::rpc_kit::*;
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
