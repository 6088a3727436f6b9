use alloy::primitives::{Bytes, keccak256};

use super::*;
use crate::chain::scripted::{ScriptedNode, Twist};
use crate::units::Nonce;

fn tx(wallet: u8, nonce: u64, seq: u16) -> Durable<SignedTx> {
    let raw = Bytes::from(vec![wallet, u8::try_from(nonce).unwrap(), u8::try_from(seq).unwrap()]);
    let slot = Slot { wallet: Address::repeat_byte(wallet), nonce: Nonce(nonce) };
    Durable::assumed(SignedTx { slot, seq: Seq(seq), hash: keccak256(&raw), raw })
}

fn pool(node: &ScriptedNode, batch: u32) -> Pool {
    Pool::new(node.endpoint().with_batch(batch), Vec::new())
}

async fn outcomes(
    node: &ScriptedNode,
    txs: Vec<Durable<SignedTx>>,
    batch: u32,
) -> Vec<SendOutcome> {
    let sent = Sender::default().send(&pool(node, batch), txs).await;
    sent.into_iter().map(|(_, _, outcome)| outcome).collect()
}

#[tokio::test(start_paused = true)]
async fn bytes_leave_in_nonce_order_whatever_order_they_came_in() {
    let node = ScriptedNode::at(9);
    let txs = vec![tx(1, 7, 0), tx(1, 5, 0), tx(2, 1, 0), tx(1, 6, 1), tx(1, 6, 0)];
    let sent = Sender::default().send(&pool(&node, 2), txs).await;
    let order: Vec<(u8, u64, u16)> =
        sent.iter().map(|(slot, seq, _)| (slot.wallet[0], slot.nonce.0, seq.0)).collect();
    assert_eq!(order, [(1, 5, 0), (1, 6, 0), (1, 6, 1), (1, 7, 0), (2, 1, 0)]);
    assert!(sent.iter().all(|(_, _, outcome)| *outcome == SendOutcome::Seen));
    let bytes: Vec<Vec<u8>> = node.facts().sent.iter().map(|raw| raw.to_vec()).collect();
    assert_eq!(bytes, [[1, 5, 0], [1, 6, 0], [1, 6, 1], [1, 7, 0], [2, 1, 0]]);
}

#[tokio::test(start_paused = true)]
async fn every_hostile_reply_leaves_the_outcome_unknown_and_is_not_repeated() {
    for twist in [
        Twist::Html,
        Twist::Empty,
        Twist::Truncated,
        Twist::OtherJson,
        Twist::WrongIds,
        Twist::WrongType,
        Twist::OtherHash,
        Twist::Null("eth_sendRawTransaction"),
        Twist::OneError(-32603, "internal error"),
        Twist::Refuse("eth_sendRawTransaction", -32000, "something new"),
        Twist::Status(502, None),
        Twist::Status(413, None),
        Twist::Hang,
    ] {
        let node = ScriptedNode::at(9);
        node.twist([twist.clone()]);
        let got = outcomes(&node, vec![tx(1, 0, 0), tx(1, 1, 0)], 32).await;
        assert_eq!(got, [SendOutcome::Unknown; 2], "{twist:?}");
        assert!(node.packets() <= 1, "{twist:?} was sent again");
    }
}

#[tokio::test(start_paused = true)]
async fn a_reply_that_lacks_some_ids_is_unknown_for_those_only() {
    let node = ScriptedNode::at(9);
    node.twist([Twist::Partial]);
    let got = outcomes(&node, vec![tx(1, 0, 0), tx(1, 1, 0)], 32).await;
    assert_eq!(got, [SendOutcome::Seen, SendOutcome::Unknown]);
}

#[tokio::test(start_paused = true)]
async fn higher_nonces_wait_while_nobody_knows_about_a_lower_one() {
    for (twist, first, rest) in [
        (Twist::Status(502, None), SendOutcome::Unknown, SendOutcome::Gap),
        (Twist::Status(429, None), SendOutcome::SlowDown, SendOutcome::SlowDown),
        (refuse("txpool is full"), SendOutcome::Full, SendOutcome::Gap),
        (refuse("invalid chain id for signer"), SendOutcome::WrongChain, SendOutcome::WrongChain),
    ] {
        let node = ScriptedNode::at(9);
        node.twist([twist]);
        let txs = (0..6).map(|nonce| tx(1, nonce, 0)).collect();
        let got = outcomes(&node, txs, 2).await;
        assert_eq!(got, [first, first, rest, rest, rest, rest]);
        assert_eq!(node.packets(), 1, "later batches left before the first was acknowledged");
    }
}

fn refuse(message: &'static str) -> Twist {
    Twist::Refuse("eth_sendRawTransaction", -32000, message)
}

#[tokio::test(start_paused = true)]
async fn higher_nonces_follow_where_the_node_has_something_at_the_lower_one() {
    for (message, outcome) in [
        ("already known", SendOutcome::Seen),
        ("nonce too low", SendOutcome::MaybeUsed),
        ("replacement transaction underpriced", SendOutcome::Conflict),
    ] {
        let node = ScriptedNode::at(9);
        node.twist([refuse(message)]);
        let got = outcomes(&node, vec![tx(1, 0, 0), tx(1, 1, 0)], 1).await;
        assert_eq!(got, [outcome, SendOutcome::Seen]);
    }
}

#[tokio::test(start_paused = true)]
async fn one_wallet_that_is_stuck_does_not_hold_back_another() {
    let node = ScriptedNode::at(9);
    node.twist([refuse("txpool is full")]);
    let got = outcomes(&node, vec![tx(1, 0, 0), tx(1, 1, 0), tx(2, 0, 0)], 1).await;
    assert_eq!(got, [SendOutcome::Full, SendOutcome::Gap, SendOutcome::Seen]);
}

#[tokio::test(start_paused = true)]
async fn the_other_endpoints_get_copies_and_their_replies_count_for_nothing() {
    let (first, second) = (ScriptedNode::at(9), ScriptedNode::at(9));
    second.twist([Twist::Html]);
    let pool = Pool::new(first.endpoint(), vec![second.endpoint()]);
    let sent = Sender::default().send(&pool, vec![tx(1, 0, 0)]).await;
    assert_eq!(sent[0].2, SendOutcome::Seen);
    tokio::time::sleep(std::time::Duration::from_secs(1)).await;
    assert_eq!(second.facts().sent, first.facts().sent);
}

#[tokio::test(start_paused = true)]
async fn a_primary_that_says_nothing_is_not_asked_next_time() {
    let (first, second) = (ScriptedNode::at(9), ScriptedNode::at(9));
    first.twist([Twist::Status(502, None)]);
    let pool = Pool::new(first.endpoint(), vec![second.endpoint()]);
    let sender = Sender::default();
    let sent = sender.send(&pool, vec![tx(1, 0, 0)]).await;
    assert_eq!(sent[0].2, SendOutcome::Unknown);
    assert!(Arc::ptr_eq(&pool.current(), &pool.all()[1]));
}

#[tokio::test(start_paused = true)]
async fn nothing_to_send_sends_nothing() {
    let node = ScriptedNode::at(9);
    assert!(outcomes(&node, Vec::new(), 32).await.is_empty());
    assert_eq!(node.packets(), 0);
}
