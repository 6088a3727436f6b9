//! What survives a crash, and who may run a devnet.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use alloy::primitives::Bytes;
use axum::http::StatusCode;
use serde_json::{Value, json};

use super::DevnetError;
use super::genesis::Genesis;
use super::handle::{Devnet, Mining, Options};
use super::kit::{START, who};
use super::place::Place;
use super::pool::{PoolLimits, PoolTx};
use crate::units::ChainTime;

use super::rpc_kit::*;
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
