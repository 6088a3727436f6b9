//! A devnet with a clock to turn, asked through its router.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use alloy::consensus::{SignableTransaction, TxEip1559, TxEnvelope};
use alloy::eips::eip2718::Encodable2718;
use alloy::primitives::{Address, Bytes, TxKind, keccak256};
use alloy::signers::SignerSync;
use alloy::signers::local::PrivateKeySigner;
use alloy::sol_types::SolCall;
use axum::body::Body;
use axum::http::{Request, StatusCode};
use serde_json::{Value, json};
use tower::ServiceExt;

use super::block::BASE_FEE;
use super::genesis::{CHAIN_ID, Genesis, NEXUS};
use super::handle::{Devnet, Mining, Options};
use super::kit::{COIN, START, source_params};
use super::place::Place;
use super::pool::PoolLimits;
use crate::chain::contract::Delivery;
use crate::chain::contract::abi::INexus;
use crate::units::{ChainTime, Wei};

pub(super) fn key(name: &str) -> PrivateKeySigner {
    PrivateKeySigner::from_bytes(&keccak256(name)).unwrap()
}

pub(super) fn funded() -> Genesis {
    let some = Wei::from_u128(100 * COIN);
    ["ann", "ben"].iter().fold(Genesis::default(), |genesis, name| {
        genesis.with_funds(key(name).address(), some, some)
    })
}

/// A devnet whose clock the test turns.
pub(super) struct Bench {
    pub(super) devnet: Devnet,
    pub(super) time: Arc<AtomicU64>,
}

impl Bench {
    pub(super) fn new() -> Self {
        Self::at(Place::Memory, Mining::AtOnce)
    }

    pub(super) fn at(place: Place, mining: Mining) -> Self {
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

    pub(super) fn in_folder(folder: &Path) -> Self {
        Self::at(Place::Folder(folder.into()), Mining::AtOnce)
    }

    pub(super) async fn post(&self, body: &Value) -> Value {
        let request = Request::post("/").body(Body::from(body.to_string())).unwrap();
        let response = self.devnet.router().oneshot(request).await.unwrap();
        assert_eq!(response.status(), StatusCode::OK);
        let bytes = axum::body::to_bytes(response.into_body(), usize::MAX).await.unwrap();
        serde_json::from_slice(&bytes).unwrap_or(Value::Null)
    }

    pub(super) async fn ask(&self, method: &str, params: Value) -> Result<Value, Value> {
        let reply = self.post(&request(1, method, &params)).await;
        assert_eq!((&reply["jsonrpc"], &reply["id"]), (&json!("2.0"), &json!(1)));
        match reply.get("error") {
            None => Ok(reply["result"].clone()),
            Some(error) => Err(error.clone()),
        }
    }

    pub(super) async fn get(&self, path: &str) -> (StatusCode, Bytes) {
        let request = Request::get(path).body(Body::empty()).unwrap();
        let response = self.devnet.router().oneshot(request).await.unwrap();
        let status = response.status();
        let bytes = axum::body::to_bytes(response.into_body(), usize::MAX).await.unwrap();
        (status, bytes.into())
    }

    pub(super) async fn upload(&self, part: &str, content: &[u8]) -> (StatusCode, Value) {
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

pub(super) fn request(id: u64, method: &str, params: &Value) -> Value {
    json!({"jsonrpc": "2.0", "id": id, "method": method, "params": params})
}

pub(super) fn raw(name: &str, nonce: u64, to: Address, data: Bytes) -> Bytes {
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

pub(super) fn publish_source() -> Bytes {
    INexus::publishSourceCall { sourceParams: source_params(Delivery::Manual) }.abi_encode().into()
}

pub(super) fn number(value: &Value) -> u64 {
    u64::from_str_radix(value.as_str().unwrap().trim_start_matches("0x"), 16).unwrap()
}

/// A devnet on which ann has published a source.
pub(super) async fn with_source(bench: &Bench) -> Address {
    let sent = raw("ann", 0, NEXUS, publish_source());
    bench.ask("eth_sendRawTransaction", json!([sent])).await.unwrap();
    let receipt = bench.ask("eth_getTransactionReceipt", json!([keccak256(&sent)])).await.unwrap();
    let data: Bytes = serde_json::from_value(receipt["logs"][0]["data"].clone()).unwrap();
    Address::from_slice(&data[12..32])
}
