use std::time::Duration;

use alloy::primitives::{Bytes, U256};
use alloy::sol_types::{Revert as ErrorString, SolError};
use serde_json::{Value, json};

use super::*;
use crate::chain::contract::log::topics;
use crate::chain::scripted::{ScriptedNode, Twist, hash_of};
use crate::units::{Finality, Wei};

const WALLET: Address = Address::repeat_byte(0xaa);
const NEXUS: Address = Address::repeat_byte(0xbb);

fn network() -> Network {
    Network { nexus: NEXUS, ..Network::devnet() }
}

fn hash(byte: u8) -> B256 {
    B256::repeat_byte(byte)
}

async fn look_at(node: &ScriptedNode, hashes: &[B256]) -> Result<LaneView, ChainError> {
    let finality = FinalityRule::new(Finality::Depth(3), None);
    ask(node, hashes, &finality).await
}

async fn ask(
    node: &ScriptedNode,
    hashes: &[B256],
    finality: &FinalityRule,
) -> Result<LaneView, ChainError> {
    let question = Question { network: &network(), finality, wallet: WALLET, hashes, doubts: &[] };
    view(&node.endpoint(), &question).await.map(|(view, _)| view)
}

#[tokio::test(start_paused = true)]
async fn counts_are_read_at_the_head_and_at_the_final_height() {
    let node = ScriptedNode::at(10);
    node.facts().counts.extend([(0, 1), (8, 4), (9, 6), (10, 7)]);
    let view = look_at(&node, &[]).await.unwrap();
    assert_eq!(view.head, BlockRef { number: 10, hash: hash_of(10, 0) });
    assert_eq!((view.count, view.final_number, view.final_count), (7, 8, 4));
}

#[tokio::test(start_paused = true)]
async fn a_view_takes_two_exchanges() {
    let node = ScriptedNode::at(10);
    node.facts().counts.extend([(0, 1), (8, 4), (10, 7)]);
    (1..=20).for_each(|byte| node.facts().mine(hash(byte), WALLET, 5, byte % 2 == 0));
    let asked: Vec<B256> = (1..=20).filter(|byte| byte % 2 == 0).map(hash).collect();
    let view = look_at(&node, &asked).await.unwrap();
    assert_eq!((view.receipts.len(), node.packets()), (10, 2));
}

#[tokio::test(start_paused = true)]
async fn with_the_tag_the_nodes_finalized_block_counts() {
    let node = ScriptedNode::at(100);
    node.facts().finalized = Some(36);
    node.facts().counts.extend([(0, 0), (30, 3), (40, 9)]);
    let finality = FinalityRule::new(Finality::Tag, None);
    let view = ask(&node, &[], &finality).await.unwrap();
    assert_eq!((view.final_number, view.final_count, view.count), (36, 3, 9));
    node.facts().finalized = None;
    let refused = ask(&node, &[], &finality).await;
    assert!(matches!(refused, Err(ChainError::NoFinalizedTag { .. })), "{refused:?}");
}

#[tokio::test(start_paused = true)]
async fn receipts_above_the_head_or_off_the_chain_are_left_out() {
    let node = ScriptedNode::at(10);
    {
        let mut facts = node.facts();
        facts.mine(hash(1), WALLET, 9, true);
        facts.mine(hash(2), WALLET, 11, true);
        facts.mine(hash(3), WALLET, 9, true);
        facts.receipts.get_mut(&hash(3)).unwrap()["blockHash"] = json!(hash_of(9, 5));
    }
    let view = look_at(&node, &[hash(1), hash(2), hash(3), hash(4)]).await.unwrap();
    let seen: Vec<B256> = view.receipts.iter().map(|receipt| receipt.tx_hash).collect();
    assert_eq!(seen, [hash(1)]);
    assert_eq!(view.receipts[0].block, BlockRef { number: 9, hash: hash_of(9, 0) });
    assert_eq!(view.receipts[0].gas_paid, Wei::from_u128(300));
}

#[tokio::test(start_paused = true)]
async fn a_receipt_from_a_block_that_came_after_the_head_waits_for_the_next_view() {
    let node = ScriptedNode::at(10);
    {
        let mut facts = node.facts();
        facts.restless = true;
        facts.counts.extend([(0, 0), (11, 1)]);
        facts.mine(hash(1), WALLET, 11, true);
    }
    let first = look_at(&node, &[hash(1)]).await.unwrap();
    assert_eq!((first.head.number, first.count, first.receipts.len()), (10, 0, 0));
    let next = look_at(&node, &[hash(1)]).await.unwrap();
    assert_eq!((next.count, next.receipts.len()), (1, 1));
}

#[tokio::test(start_paused = true)]
async fn a_view_torn_by_a_reorg_is_read_again_from_its_start() {
    let node = ScriptedNode::at(10);
    node.facts().mine(hash(1), WALLET, 9, true);
    let racing = node.clone();
    let reorg = tokio::spawn(async move {
        while racing.packets() < 2 {
            tokio::task::yield_now().await;
        }
        racing.facts().forks.insert(9, 1);
    });
    let view = look_at(&node, &[hash(1)]).await.unwrap();
    reorg.await.unwrap();
    let consistent = view.head.hash == hash_of(10, 0) && view.receipts.len() == 1
        || view.head.hash == hash_of(10, 1) && view.receipts.is_empty();
    assert!(consistent, "{view:?}");
}

#[tokio::test(start_paused = true)]
async fn a_chain_that_grows_while_it_is_read_gives_a_view_of_one_block() {
    let node = ScriptedNode::at(10);
    node.facts().restless = true;
    node.facts().counts.extend([(0, 0), (10, 3), (11, 5), (12, 9)]);
    let view = look_at(&node, &[]).await.unwrap();
    assert_eq!((view.head.number, view.count), (10, 3));
}

#[tokio::test(start_paused = true)]
async fn a_node_without_block_hashes_as_parameters_is_read_by_height() {
    let node = ScriptedNode::at(10);
    node.facts().no_hashes = true;
    node.facts().counts.extend([(0, 0), (10, 3)]);
    assert_eq!(look_at(&node, &[]).await.unwrap().count, 3);
}

#[tokio::test(start_paused = true)]
async fn receipts_of_another_wallet_or_transaction_make_no_view() {
    for (key, lie) in [("from", json!(NEXUS)), ("transactionHash", json!(hash(9)))] {
        let node = ScriptedNode::at(10);
        node.facts().mine(hash(1), WALLET, 9, true);
        node.facts().receipts.get_mut(&hash(1)).unwrap()[key] = lie;
        let refused = look_at(&node, &[hash(1)]).await;
        let Err(ChainError::Unreachable { fault, .. }) = refused else { panic!("{refused:?}") };
        assert!(matches!(fault, Fault::Inconsistent { .. }), "{fault:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_final_count_above_the_count_makes_no_view() {
    let node = ScriptedNode::at(10);
    node.facts().counts.extend([(0, 5), (10, 3)]);
    let refused = look_at(&node, &[]).await;
    assert!(matches!(refused, Err(ChainError::Unreachable { .. })), "{refused:?}");
}

#[tokio::test(start_paused = true)]
async fn a_reverted_transaction_is_explained_by_running_it_again() {
    let node = ScriptedNode::at(10);
    let data = ErrorString { reason: "SourceInactive".into() }.abi_encode();
    {
        let mut facts = node.facts();
        facts.mine(hash(1), WALLET, 9, false);
        facts.call_error = Some((3, "execution reverted".into(), data.into()));
    }
    let status = |view: LaneView| view.receipts[0].status.clone();
    let view = look_at(&node, &[hash(1)]).await.unwrap();
    assert_eq!(status(view), ReceiptStatus::Reverted(Revert::SourceInactive));

    node.facts().call_error = None;
    let view = look_at(&node, &[hash(1)]).await.unwrap();
    let words = Revert::Other("the replay gives no reason".into());
    assert_eq!(status(view), ReceiptStatus::Reverted(words));

    node.facts().receipts.get_mut(&hash(1)).unwrap()["gasUsed"] = json!("0x5208");
    let view = look_at(&node, &[hash(1)]).await.unwrap();
    assert_eq!(status(view), ReceiptStatus::Reverted(Revert::OutOfGas));

    // An inner call ran out, and the outer one used what it had kept back to undo everything.
    node.facts().receipts.get_mut(&hash(1)).unwrap()["gasUsed"] = json!("0x5100");
    node.facts().call_error = Some((3, "execution reverted".into(), Bytes::new()));
    let view = look_at(&node, &[hash(1)]).await.unwrap();
    assert_eq!(status(view), ReceiptStatus::Reverted(Revert::OutOfGas));
    let data = ErrorString { reason: "SourceInactive".into() }.abi_encode();
    node.facts().call_error = Some((3, "execution reverted".into(), data.into()));
    let view = look_at(&node, &[hash(1)]).await.unwrap();
    assert_eq!(status(view), ReceiptStatus::Reverted(Revert::SourceInactive));
}

#[tokio::test(start_paused = true)]
async fn a_node_that_keeps_no_old_state_leaves_the_revert_without_a_reason() {
    let node = ScriptedNode::at(10);
    node.facts().mine(hash(1), WALLET, 9, false);
    node.facts().call_error = Some((-32000, "missing trie node".into(), Bytes::new()));
    let view = look_at(&node, &[hash(1)]).await.unwrap();
    assert!(matches!(&view.receipts[0].status, ReceiptStatus::Reverted(Revert::Other(_))));
}

fn published(address: Address, task: Address) -> Value {
    let mut data = [0_u8; 64];
    data[12..32].copy_from_slice(task.as_slice());
    json!({
        "address": address, "topics": [topics()[0]], "data": Bytes::from(data.to_vec()),
        "blockHash": null, "blockNumber": null, "transactionHash": null, "logIndex": null,
    })
}

#[tokio::test(start_paused = true)]
async fn a_task_is_published_only_by_the_one_log_of_the_registry() {
    let (task, other) = (Address::repeat_byte(1), Address::repeat_byte(2));
    for (logs, expected) in [
        (vec![published(NEXUS, task)], Some(task)),
        (vec![published(WALLET, other), published(NEXUS, task)], Some(task)),
        (vec![published(NEXUS, task), published(NEXUS, other)], None),
        (vec![published(WALLET, task)], None),
        (vec![], None),
    ] {
        let node = ScriptedNode::at(10);
        node.facts().mine(hash(1), WALLET, 9, true);
        node.facts().receipts.get_mut(&hash(1)).unwrap()["logs"] = json!(logs);
        let view = look_at(&node, &[hash(1)]).await.unwrap();
        assert_eq!(view.receipts[0].published, expected);
    }
}

#[tokio::test(start_paused = true)]
async fn a_receipt_without_a_price_takes_the_transactions() {
    let node = ScriptedNode::at(10);
    node.facts().mine(hash(1), WALLET, 9, true);
    node.facts().receipts.get_mut(&hash(1)).unwrap()["effectiveGasPrice"] = Value::Null;
    let view = look_at(&node, &[hash(1)]).await.unwrap();
    assert_eq!(view.receipts[0].gas_paid, Wei::from_u256(U256::from(900)));
}

#[tokio::test(start_paused = true)]
async fn hostile_replies_give_typed_errors_and_no_view() {
    for twist in [
        Twist::Html,
        Twist::WrongType,
        Twist::Partial,
        Twist::Null("eth_getTransactionCount"),
        Twist::Null("eth_getBlockByNumber"),
    ] {
        let node = ScriptedNode::at(10);
        node.facts().mine(hash(1), WALLET, 9, true);
        node.twist(std::iter::repeat_n(twist.clone(), 1_000));
        let refused = look_at(&node, &[hash(1)]).await;
        assert!(matches!(refused, Err(ChainError::Unreachable { .. })), "{twist:?}: {refused:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_shallow_finality_waits_for_its_second_look_on_a_standing_chain() {
    let node = ScriptedNode::at(10);
    let finality = FinalityRule::new(Finality::Depth(1), Some(Duration::from_secs(2)));
    assert_eq!(ask(&node, &[], &finality).await.unwrap().final_number, 8);
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert_eq!(ask(&node, &[], &finality).await.unwrap().final_number, 10);
}

#[tokio::test(start_paused = true)]
async fn a_head_that_is_gone_is_not_asked_about_again() {
    let node = ScriptedNode::at(10);
    node.facts().counts.insert(0, 3);
    node.twist([Twist::Honest, Twist::Refuse("eth_getTransactionCount", -32000, "unknown block")]);
    assert_eq!(look_at(&node, &[]).await.unwrap().count, 3);
    let firsts: Vec<String> =
        node.facts().packets.iter().map(|methods| methods[0].clone()).collect();
    let (head, count) = ("eth_getBlockByNumber", "eth_getTransactionCount");
    assert_eq!(firsts, [head, count, head, count]);
}
