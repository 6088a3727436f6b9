use alloy::primitives::Bytes;
use serde_json::json;

use super::*;
use crate::chain::contract::{encode_call, topics};
use crate::chain::scripted::{ScriptedNode, Twist, hash_of};

const WALLET: Address = Address::repeat_byte(0xaa);

fn network() -> Network {
    Network::devnet()
}

fn call(payment: u64) -> Call {
    Call::PublishTask {
        source: Address::repeat_byte(0x50),
        config: "http://devnet.invalid/ipfs/x".into(),
        expiry: crate::units::ChainTime::from_secs(9_000),
        payment: Wei::from_u128(payment.into()),
    }
}

/// Publishes a task in a block; its transaction is the one that the block's logs name.
fn publish(node: &ScriptedNode, number: u64, (from, nonce): (Address, u64)) {
    let network = network();
    let hash = hash_of(number, 0xee);
    let mut data = [0_u8; 64];
    data[12..32].copy_from_slice(Address::repeat_byte(number.to_be_bytes()[7]).as_slice());
    data[44..64].copy_from_slice(Address::repeat_byte(0x50).as_slice());
    let mut facts = node.facts();
    facts.mine(hash, from, number, true);
    facts.log(network.nexus, number, 0, (topics()[0], Bytes::from(data.to_vec())));
    let log = facts.logs.last().cloned().unwrap();
    facts.receipts.get_mut(&hash).unwrap()["logs"] = json!([log]);
    let tx = json!({
        "hash": hash, "from": from, "to": network.controller, "nonce": format!("0x{nonce:x}"),
        "input": encode_call(&call(nonce)).1, "value": "0x0", "gas": "0x5208", "gasPrice": "0x9",
    });
    facts.transactions.insert(hash, tx);
}

async fn found(node: &ScriptedNode, to: u64) -> Result<Vec<PastPublication>, ChainError> {
    let network = network();
    let search = Search { network: &network, wallet: WALLET, from: 0, to };
    publications(&node.endpoint(), &search).await
}

fn nonces(found: &[PastPublication]) -> Vec<u64> {
    found.iter().map(|publication| publication.nonce.0).collect()
}

#[tokio::test(start_paused = true)]
async fn what_a_wallet_published_is_read_from_its_transactions_and_nobody_elses() {
    let node = ScriptedNode::at(40);
    publish(&node, 7, (WALLET, 1));
    publish(&node, 9, (Address::repeat_byte(0xdd), 5));
    publish(&node, 30, (WALLET, 0));
    publish(&node, 36, (WALLET, 2));
    let found = found(&node, 35).await.unwrap();
    assert_eq!(nonces(&found), [0, 1], "above the last final block nothing is read");
    let first = &found[1];
    assert_eq!(first.call(), call(1));
    assert_eq!(first.address, Address::repeat_byte(7));
    assert_eq!(first.block, BlockRef { number: 7, hash: hash_of(7, 0) });
    assert_eq!((first.tx_hash, first.gas_paid), (hash_of(7, 0xee), Wei::from_u128(300)));
}

#[tokio::test(start_paused = true)]
async fn pages_that_a_node_refuses_are_halved_until_it_serves_them() {
    let node = ScriptedNode::at(40);
    node.facts().log_span = Some(3);
    for number in [1, 3, 4, 39] {
        publish(&node, number, (WALLET, number));
    }
    assert_eq!(nonces(&found(&node, 40).await.unwrap()), [1, 3, 4, 39]);
}

#[tokio::test(start_paused = true)]
async fn a_node_that_has_not_come_so_far_is_not_believed() {
    let node = ScriptedNode::at(20);
    publish(&node, 7, (WALLET, 0));
    assert!(found(&node, 30).await.is_err());
}

#[tokio::test(start_paused = true)]
async fn a_reply_that_lacks_a_transaction_is_asked_for_again() {
    let node = ScriptedNode::at(40);
    publish(&node, 7, (WALLET, 0));
    node.twist([Twist::Honest, Twist::Null("eth_getTransactionByHash")]);
    assert_eq!(nonces(&found(&node, 40).await.unwrap()), [0]);
    node.twist([Twist::Html, Twist::Partial, Twist::WrongIds]);
    assert_eq!(nonces(&found(&node, 40).await.unwrap()), [0]);
}

#[tokio::test(start_paused = true)]
async fn another_call_that_logs_a_task_is_not_taken_for_a_publication() {
    let node = ScriptedNode::at(40);
    publish(&node, 7, (WALLET, 0));
    publish(&node, 8, (WALLET, 1));
    {
        let mut facts = node.facts();
        facts.transactions.get_mut(&hash_of(7, 0xee)).unwrap()["to"] = json!(network().vault);
        facts.transactions.get_mut(&hash_of(8, 0xee)).unwrap()["input"] = json!("0x12345678");
    }
    assert_eq!(found(&node, 40).await.unwrap(), []);
}

/// Ends the task that was published in a block, by a call of somebody.
fn end(node: &ScriptedNode, task: u8, number: u64, (from, call): (Address, &Call)) {
    let network = network();
    let hash = hash_of(number, 0xee);
    let mut data = [0_u8; 64];
    data[12..32].copy_from_slice(Address::repeat_byte(task).as_slice());
    data[63] = u8::from(TaskStatus::Finalized);
    let mut facts = node.facts();
    facts.mine(hash, from, number, true);
    let topic = INexus::TaskStatusChanged::SIGNATURE_HASH;
    facts.log(network.nexus, number, 0, (topic, Bytes::from(data.to_vec())));
    let tx = json!({
        "hash": hash, "from": from, "to": network.controller, "nonce": "0x9",
        "input": encode_call(call).1, "value": "0x0", "gas": "0x5208", "gasPrice": "0x9",
    });
    facts.transactions.insert(hash, tx);
}

#[tokio::test(start_paused = true)]
async fn the_gas_of_the_confirm_that_the_wallet_sent_counts_with_its_task() {
    let node = ScriptedNode::at(40);
    (7..10).for_each(|number| publish(&node, number, (WALLET, number)));
    let stranger = Address::repeat_byte(0xdd);
    publish(&node, 11, (stranger, 0));
    let confirm = Call::ConfirmResponse { response: Address::repeat_byte(1) };
    end(&node, 7, 20, (WALLET, &confirm));
    end(&node, 8, 21, (stranger, &confirm));
    // What ends somebody else's task is none of these.
    end(&node, 11, 22, (WALLET, &confirm));
    end(&node, 9, 36, (WALLET, &confirm));
    let found = found(&node, 35).await.unwrap();
    let gas: Vec<u128> = found.iter().map(|one| one.gas_paid.to_u128().unwrap()).collect();
    assert_eq!(gas, [600, 300, 300], "and what is above the last final block is not read");
}
