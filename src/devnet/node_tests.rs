//! Pool, blocks, time, reorgs, replay.

use alloy::consensus::TxEip1559;
use alloy::primitives::{Address, Bytes, TxKind, U256};

use super::block::BASE_FEE;
use super::genesis::CHAIN_ID;
use super::kit::*;
use super::node::Node;
use super::pool::{PoolError, PoolLimits, PoolTx};
use crate::chain::contract::{Delivery, TaskStatus};
use crate::units::ChainTime;

fn node() -> Node {
    Node::new(&genesis(), PoolLimits::default())
}

/// A transfer of nothing with fees of one's choice.
fn transfer(name: &str, nonce: u64, fee: u128, tip: u128) -> PoolTx {
    let tx = TxEip1559 {
        chain_id: CHAIN_ID,
        nonce,
        gas_limit: 21_000,
        max_fee_per_gas: fee,
        max_priority_fee_per_gas: tip,
        to: TxKind::Call(who("stranger")),
        ..TxEip1559::default()
    };
    signed(who(name), tx)
}

fn plain(name: &str, nonce: u64) -> PoolTx {
    transfer(name, nonce, u128::from(BASE_FEE) * 2, 0)
}

fn time(seconds: u64) -> ChainTime {
    ChainTime::from_secs(START + seconds)
}

#[test]
fn the_pool_says_what_a_real_node_says() {
    let mut node = node();
    let first = plain("alice", 0);
    node.submit(first.clone()).unwrap();
    let known = node.submit(first.clone()).unwrap_err();
    assert_eq!(known.to_string(), "already known");
    node.mine(time(0));
    let used = node.submit(first).unwrap_err();
    assert_eq!(used.to_string(), "nonce too low: next nonce 1, tx nonce 0");
    let mut poor = plain("alice", 0);
    poor.sender = Address::repeat_byte(9);
    let text = node.submit(poor).unwrap_err().to_string();
    let words = "insufficient funds for gas * price + value: balance 0, tx cost 42000000000000";
    assert!(text.starts_with(words), "{text}");
}

#[test]
fn a_replacement_needs_a_tenth_more_on_both_fees() {
    let fee = u128::from(BASE_FEE) * 2;
    for (new_fee, new_tip, taken) in [
        (fee * 110 / 100, 110, true),
        (fee * 110 / 100 - 1, 110, false),
        (fee * 110 / 100, 109, false),
        (fee * 3, 100, false),
        (fee, 500, false),
    ] {
        let mut node = node();
        node.submit(transfer("alice", 0, fee, 100)).unwrap();
        let got = node.submit(transfer("alice", 0, new_fee, new_tip));
        assert_eq!(got.is_ok(), taken, "{new_fee} {new_tip}: {got:?}");
        if let Err(error) = got {
            assert_eq!(error.to_string(), "replacement transaction underpriced");
        }
        node.mine(time(0));
        assert_eq!(node.head().txs.len(), 1, "of one nonce, one is mined");
    }
}

#[test]
fn a_gap_waits_until_it_is_filled() {
    let mut node = node();
    node.submit(plain("alice", 2)).unwrap();
    node.submit(plain("alice", 0)).unwrap();
    assert_eq!(node.pending_count(who("alice")), 1);
    node.mine(time(0));
    assert_eq!(node.head().txs.len(), 1);
    assert!(!node.is_idle());
    node.submit(plain("alice", 1)).unwrap();
    assert_eq!(node.pending_count(who("alice")), 3);
    node.mine(time(0));
    assert_eq!(node.head().txs.len(), 2);
    assert!(node.is_idle());
}

#[test]
fn a_fee_below_the_base_fee_waits_and_holds_back_what_comes_after() {
    let mut node = node();
    node.submit(transfer("alice", 0, u128::from(BASE_FEE) - 1, 0)).unwrap();
    node.submit(plain("alice", 1)).unwrap();
    node.submit(plain("bob", 0)).unwrap();
    node.mine(time(0));
    let senders: Vec<_> = node.head().txs.iter().map(|tx| tx.sender).collect();
    assert_eq!(senders, [who("bob")]);
    node.submit(transfer("alice", 0, u128::from(BASE_FEE) * 2, 0)).unwrap();
    node.mine(time(0));
    assert_eq!(node.head().txs.len(), 2);
}

#[test]
fn the_better_tip_comes_first_and_then_who_came_first() {
    let mut node = node();
    let fee = u128::from(BASE_FEE) * 3;
    node.submit(transfer("alice", 0, fee, 5)).unwrap();
    node.submit(transfer("bob", 0, fee, 9)).unwrap();
    node.submit(transfer("carol", 0, fee, 5)).unwrap();
    node.mine(time(0));
    let senders: Vec<_> = node.head().txs.iter().map(|tx| tx.sender).collect();
    assert_eq!(senders, [who("bob"), who("alice"), who("carol")]);
}

#[test]
fn an_account_has_no_more_in_the_pool_than_the_limits_allow() {
    let limits = PoolLimits { per_account: 4, with_gap: 2 };
    let mut node = Node::new(&genesis(), limits);
    for nonce in [0, 5, 6] {
        node.submit(plain("alice", nonce)).unwrap();
    }
    assert_eq!(node.submit(plain("alice", 7)), Err(PoolError::Full), "too many with a gap");
    node.submit(plain("alice", 1)).unwrap();
    assert_eq!(node.submit(plain("alice", 2)), Err(PoolError::Full), "too many");
    node.submit(plain("bob", 0)).unwrap();
    node.mine(time(0));
    node.submit(plain("alice", 2)).unwrap();
}

#[test]
fn costs_are_counted_over_all_that_an_account_has_in_the_pool() {
    let mut node = node();
    let half = 60 * COIN / 21_000;
    node.submit(transfer("alice", 0, half, 0)).unwrap();
    let error = node.submit(transfer("alice", 1, half, 0)).unwrap_err();
    assert!(matches!(error, PoolError::InsufficientFunds { .. }));
    node.submit(transfer("alice", 0, half * 3 / 2, 0)).unwrap();
}

#[test]
fn bytes_that_are_no_transaction_of_this_chain_are_refused_by_name() {
    let mut base = TxEip1559 {
        chain_id: CHAIN_ID,
        gas_limit: 21_000,
        max_fee_per_gas: 9,
        to: TxKind::Call(who("bob")),
        ..TxEip1559::default()
    };
    let raw = |tx: &TxEip1559| {
        use alloy::consensus::{SignableTransaction, TxEnvelope};
        use alloy::eips::eip2718::Encodable2718;
        let signature = alloy::primitives::Signature::test_signature();
        Bytes::from(TxEnvelope::from(tx.clone().into_signed(signature)).encoded_2718())
    };
    let refused = |raw: Bytes| PoolTx::trusted(who("alice"), raw).unwrap_err().to_string();
    assert_eq!(refused(Bytes::from_static(&[2, 0xc0])), "rlp: cannot decode the transaction");
    assert_eq!(refused(Bytes::from_static(&[3, 0xc0])), "transaction type not supported");
    assert_eq!(refused(Bytes::from_static(&[1, 0xc0])), "transaction type not supported");
    assert_eq!(refused(Bytes::new()), "rlp: cannot decode the transaction");
    base.gas_limit = 20_000;
    assert_eq!(refused(raw(&base)), "intrinsic gas too low: gas 20000, minimum needed 21000");
    base.gas_limit = u64::MAX;
    assert_eq!(refused(raw(&base)), "exceeds block gas limit");
    base.gas_limit = 21_000;
    base.max_priority_fee_per_gas = 10;
    assert_eq!(refused(raw(&base)), "max priority fee per gas higher than max fee per gas");
    base.max_priority_fee_per_gas = 0;
    base.chain_id = 1;
    assert_eq!(refused(raw(&base)), "invalid chain id for signer: have 1 want 31337");
    base.chain_id = CHAIN_ID;
    base.input = vec![0; 200_000].into();
    assert!(refused(raw(&base)).starts_with("oversized data: transaction size "));
}

#[test]
fn time_comes_from_outside_and_never_goes_back() {
    let mut node = node();
    node.mine(time(50));
    node.mine(time(20));
    node.mine(time(50));
    node.mine(time(51));
    let times: Vec<_> = (1..=4).map(|n| node.block(n).unwrap().header.timestamp - START).collect();
    assert_eq!(times, [50, 50, 50, 51]);
}

#[test]
fn a_blocks_hash_is_the_keccak_of_its_header_and_names_its_parent() {
    let mut world = World::new();
    world.source(Delivery::Manual);
    world.node.mine(time(1));
    for number in 1..=2 {
        let (block, parent) =
            (world.node.block(number).unwrap(), world.node.block(number - 1).unwrap());
        assert_eq!(block.header.hash_slow(), block.hash);
        assert_eq!(block.header.parent_hash, parent.hash);
        assert_eq!(world.node.block_by_hash(block.hash), Some(block));
    }
}

#[test]
fn counts_of_recent_blocks_stay_known_and_older_ones_are_said_to_be_gone() {
    let mut node = node();
    for nonce in 0..300 {
        node.submit(plain("alice", nonce)).unwrap();
        node.mine(time(nonce));
    }
    for number in 44..=300 {
        assert_eq!(node.count_at(who("alice"), number), Some(number));
        assert_eq!(node.count_at(who("bob"), number), Some(0));
    }
    assert_eq!(node.count_at(who("alice"), 43), None);
    assert_eq!(node.count_at(who("alice"), 301), None);
}

#[test]
fn a_call_at_a_recent_block_sees_that_blocks_state() {
    use super::evm::Ask;
    use crate::chain::contract::abi::ITask;
    use alloy::sol_types::SolCall;
    let mut world = World::new();
    let (_, task) = world.attempted(Delivery::Manual);
    let attempted = world.node.head().header.number;
    world.respond("alice", task, 1).unwrap();
    let status_at = |number: u64| {
        let data = ITask::getStatusCall {}.abi_encode().into();
        let ask = Ask { to: Some(task), data, ..Ask::default() };
        let bytes = world.node.ask(number, &ask).unwrap();
        bytes.last().copied().map(TaskStatus::from)
    };
    assert_eq!(status_at(attempted + 1), Some(TaskStatus::Responded));
    assert_eq!(status_at(attempted), Some(TaskStatus::Attempted));
    assert_eq!(status_at(attempted - 1), Some(TaskStatus::New));
    assert_eq!(status_at(attempted - 2), None, "no such contract yet");
}

#[test]
fn a_reorg_takes_state_and_blocks_back_and_mines_the_same_transactions_again() {
    let mut world = World::new();
    let source = world.source(Delivery::Manual);
    let before = world.node.head().hash;
    let task = world.publish("client", source, COIN, 600).unwrap();
    let gone = world.node.head().clone();
    assert_eq!(world.node.reorg(1), 1);
    assert_eq!(world.node.head().hash, before);
    assert_eq!(world.node.block_by_hash(gone.hash), None);
    assert_eq!(world.money("client"), (100 * COIN, 0));
    assert_eq!(world.task_count(source), 0);
    world.node.mine(time(5));
    assert_ne!(world.node.head().hash, gone.hash);
    assert_eq!(world.node.head().txs[0].hash, gone.txs[0].hash);
    assert_eq!(world.status(task), TaskStatus::New);
    assert_eq!(world.money("client"), (99 * COIN, COIN));
}

#[test]
fn a_reorg_goes_no_deeper_than_the_chain_or_what_is_known_of_it() {
    let mut node = node();
    assert_eq!(node.reorg(5), 0);
    for second in 0..100 {
        node.mine(time(second));
    }
    assert_eq!(node.reorg(1_000), 64);
    assert_eq!(node.head().header.number, 36);
}

#[test]
fn a_failed_transaction_costs_gas_and_changes_nothing_else() {
    let mut world = World::new();
    let source = world.source(Delivery::Manual);
    let wallet = world.node.balance(who("client"));
    world.publish("client", source, 1, 60).unwrap_err();
    let tx = &world.node.head().txs[0];
    assert!(!tx.ok && tx.logs.is_empty());
    let gas = U256::from(tx.gas_used) * U256::from(BASE_FEE);
    assert_eq!(world.node.balance(who("client")), wallet - gas);
    assert_eq!(world.node.pending_count(who("client")), 1);
}

/// A chain with everything in it: all kinds of acts, a gap in the pool, a reorg, a failure.
fn eventful() -> World {
    let mut world = World::new();
    let (source, task) = world.attempted(Delivery::FirstResponse);
    world.respond("alice", task, COIN).unwrap();
    world.publish("client", source, 1, 60).unwrap_err();
    world.node.submit(plain("carol", 3)).unwrap();
    world.node.reorg(2);
    world.node.mine(time(3));
    world.publish("client", source, COIN, 60).unwrap();
    world.node.submit(plain("bob", world.node.pending_count(who("bob")))).unwrap();
    world
}

fn assert_same(left: &Node, right: &Node) {
    assert_eq!(left.head(), right.head());
    for number in 0..=left.head().header.number {
        assert_eq!(left.block(number), right.block(number));
    }
    for name in ["client", "owner", "alice", "bob", "carol"] {
        assert_eq!(left.pending_count(who(name)), right.pending_count(who(name)));
        assert_eq!(left.balance(who(name)), right.balance(who(name)));
    }
}

#[test]
fn a_replayed_chain_is_the_same_and_goes_on_the_same() {
    let mut live = eventful();
    let mut again = node();
    for record in live.node.take_records() {
        again.replay(&record).unwrap();
    }
    assert_same(&live.node, &again);
    live.node.mine(time(60));
    again.mine(time(60));
    live.node.reorg(3);
    again.reorg(3);
    live.node.mine(time(61));
    again.mine(time(61));
    assert_same(&live.node, &again);
}

#[test]
fn running_the_transactions_again_gives_the_hashes_that_the_records_hold() {
    let live = eventful().node;
    let mut again = node();
    for number in 1..=live.head().header.number {
        let block = live.block(number).unwrap();
        for tx in &block.txs {
            again.submit(PoolTx::trusted(tx.sender, tx.raw.clone()).unwrap()).unwrap();
        }
        again.mine(ChainTime::from_secs(block.header.timestamp));
        assert_eq!(again.head(), block);
    }
}

#[test]
fn records_out_of_order_doubled_or_broken_are_refused() {
    let records = eventful().node.take_records();
    let mut again = node();
    assert!(again.replay(&records[1]).is_err(), "a block before its transactions");
    for record in &records {
        again.replay(record).unwrap();
    }
    let block = records.iter().find(|record| record[0] == 2).unwrap();
    assert!(again.replay(block).is_err(), "a block twice");
    for cut in 0..records[0].len() {
        assert!(node().replay(&records[0][..cut]).is_err(), "{cut} bytes");
    }
    assert!(again.replay(&[9]).is_err());
}
