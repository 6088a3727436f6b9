use alloy::primitives::Bytes;

use super::*;
use crate::chain::SignRequest;
use crate::chain::scripted::{ScriptedNode, Twist};
use crate::chain::signer::Signer;
use crate::units::{Call, Fees, Secret, Seq, Slot, Wei};

fn signer(digit: char) -> Signer {
    Signer::from_key(&Secret::from(digit.to_string().repeat(64))).unwrap()
}

/// A transaction as nodes show it, its bytes, and what it does.
fn signed(by: &Signer, nonce: u64, call: Call) -> (Value, Bytes, (Call, Fees)) {
    let fees = Fees {
        gas_limit: 21_000,
        max_fee_per_gas: Wei::from_u128(7),
        max_priority_fee_per_gas: Wei::from_u128(1),
        legacy: nonce % 2 == 1,
    };
    let fees = Fees {
        max_priority_fee_per_gas: if fees.legacy {
            Wei::from_u128(7)
        } else {
            fees.max_priority_fee_per_gas
        },
        ..fees
    };
    let slot = Slot { wallet: by.address(), nonce: Nonce(nonce) };
    let request = SignRequest { slot, seq: Seq(0), call: call.clone(), fees };
    let tx = by.sign(&Network::devnet(), &request).unwrap();
    let envelope = <TxEnvelope as alloy::eips::eip2718::Decodable2718>::decode_2718_exact(&tx.raw);
    (serde_json::to_value(envelope.unwrap()).unwrap(), tx.raw, (call, fees))
}

async fn found(node: &ScriptedNode, nonce: u64) -> Option<NonceUse> {
    let network = Network::devnet();
    let by = node.facts().head;
    let search =
        Search { network: &network, wallet: signer('1').address(), nonce: Nonce(nonce), by };
    find(&node.endpoint(), &search).await.unwrap()
}

/// A chain on which the wallet's nonces 0 to 9 are used up in the blocks 10, 20, ..., 100.
fn chain() -> ScriptedNode {
    let node = ScriptedNode::at(1_000);
    let mut facts = node.facts();
    for nonce in 0..10 {
        let number = (nonce + 1) * 10;
        facts.counts.insert(number, nonce + 1);
        let other = signed(&signer('2'), nonce, Call::NoOp).0;
        let ours = signed(&signer('1'), nonce, Call::NoOp).0;
        facts.blocks.insert(number, vec![other, ours]);
    }
    drop(facts);
    node
}

#[tokio::test(start_paused = true)]
async fn the_block_that_used_a_nonce_is_found_by_the_counts_before_it() {
    for nonce in 0..10 {
        let node = chain();
        let (_, raw, call) = signed(&signer('1'), nonce, Call::NoOp);
        let expected = NonceUse {
            nonce: Nonce(nonce),
            tx_hash: alloy::primitives::keccak256(&raw),
            call: Some(call),
            raw,
        };
        assert_eq!(found(&node, nonce).await, Some(expected));
        assert!(node.packets() <= 25, "{} exchanges for a chain of 1,000 blocks", node.packets());
    }
}

#[tokio::test(start_paused = true)]
async fn a_node_that_knows_senders_and_nonces_is_asked_by_name() {
    let node = chain();
    let (mut tx, raw, _) = signed(&signer('1'), 4, Call::NoOp);
    let hash = alloy::primitives::keccak256(&raw);
    node.facts().by_sender.insert(4, hash);
    tx["blockNumber"] = json!("0x32");
    node.facts().transactions.insert(hash, tx.clone());
    assert_eq!(found(&node, 4).await.map(|found| found.tx_hash), Some(hash));
    assert_eq!(node.packets(), 2);

    // One that is in no block, or in none that is final, has used nothing up.
    for number in [json!(null), json!("0x3e9")] {
        tx["blockNumber"] = number;
        node.facts().transactions.insert(hash, tx.clone());
        node.facts().blocks.clear();
        assert_eq!(found(&node, 4).await, None);
    }
}

#[tokio::test(start_paused = true)]
async fn what_the_wallet_has_not_signed_for_that_nonce_proves_nothing() {
    let others = [
        signed(&signer('2'), 4, Call::NoOp).0,
        signed(&signer('1'), 5, Call::NoOp).0,
        json!({ "hash": B256::ZERO }),
        json!("hello"),
    ];
    for tx in others {
        let node = chain();
        node.facts().blocks.insert(50, vec![tx.clone()]);
        node.facts().by_sender.insert(4, B256::repeat_byte(9));
        node.facts().transactions.insert(B256::repeat_byte(9), tx);
        assert_eq!(found(&node, 4).await, None);
    }
}

#[tokio::test(start_paused = true)]
async fn a_call_that_is_never_signed_here_is_still_the_wallets() {
    let call = Call::Deposit { account: Address::ZERO, amount: Wei::from_u128(5) };
    let (mut tx, _, _) = signed(&signer('1'), 4, call);
    let node = chain();
    node.facts().blocks.insert(50, vec![tx.clone()]);
    assert!(matches!(
        found(&node, 4).await.and_then(|found| found.call),
        Some((Call::Deposit { .. }, _))
    ));
    // Other bytes are another signature's, or nobody's.
    tx["value"] = json!("0x6");
    node.facts().blocks.insert(50, vec![tx]);
    assert_eq!(found(&node, 4).await, None);
}

#[tokio::test(start_paused = true)]
async fn a_node_that_keeps_no_old_state_leaves_it_open() {
    let node = chain();
    let pruned =
        Twist::Refuse("eth_getTransactionCount", -32000, "required historical state unavailable");
    node.twist(std::iter::once(Twist::Honest).chain(std::iter::repeat_n(pruned, 20)));
    assert_eq!(found(&node, 4).await, None);
}
