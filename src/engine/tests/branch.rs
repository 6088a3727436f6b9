//! What was read directly, at blocks that the log stream never came through.

#![expect(clippy::wildcard_enum_match_arm, reason = "each question is about one kind of fact")]

use super::world::{Faults, GAS, World};
use crate::engine::{Event, FetchFailure, Input, Offer};
use crate::units::{
    BlockRef, Call, LaneView, Receipt, ReceiptStatus, Revert, Slot, TaskFacts, TaskId, TaskStatus,
    Wei,
};
use alloy::primitives::{Address, B256};

/// A block of a branch that is gone: a rewind will never name it.
const GONE: BlockRef = BlockRef { number: 3, hash: B256::ZERO };

fn last<T>(world: &World, find: impl Fn(&Event) -> Option<T>) -> Option<T> {
    world.journal.iter().rev().find_map(|(_, event)| find(event))
}

fn published(event: &Event) -> Option<(TaskId, Address)> {
    if let Event::TaskPublished { task, address, .. } = event {
        Some((*task, *address))
    } else {
        None
    }
}

fn signed(event: &Event) -> Option<(Slot, B256)> {
    if let Event::VersionSigned { slot, hash, .. } = event { Some((*slot, *hash)) } else { None }
}

#[test]
fn a_task_that_was_read_on_a_branch_that_is_gone_has_no_response() {
    let mut world = World::new(21, Faults::none());
    let (task, address) = loop {
        assert!(world.step());
        if let Some(found) = last(&world, published) {
            break found;
        }
    };
    let facts = TaskFacts {
        task: address,
        block: GONE,
        status: TaskStatus::Responded,
        attempts: 1,
        responses: vec![Address::repeat_byte(9)],
    };
    let before = world.journal.len();
    world.feed_once(Input::TaskRead { task, facts });
    assert_eq!(world.journal.len(), before);
}

#[test]
fn a_response_that_was_confirmed_on_a_branch_that_is_gone_is_not_confirmed() {
    let mut world = World::manual(22, Faults::none(), 1_000_000);
    let (task, response) = loop {
        assert!(world.step());
        let seen = |event: &Event| {
            if let Event::ResponseSeen { task, response, .. } = event {
                Some((*task, *response))
            } else {
                None
            }
        };
        if let Some(found) = last(&world, seen) {
            break found;
        }
    };
    let offer = Offer {
        provider: Address::ZERO,
        payment: Wei::from_u128(1),
        url: "http://devnet.invalid/ipfs/x".into(),
    };
    let (confirmed_at, sha256) = (Some(GONE), alloy::primitives::keccak256(response));
    world.feed_once(Input::Fetched { task, response, offer, confirmed_at, sha256, len: 2 });
    let fetched = |event: &Event| matches!(event, Event::OutputFetched { .. });
    assert_eq!(world.count(fetched), 1);
    let confirmed = |event: &Event| matches!(event, Event::ResponseConfirmed { .. });
    assert_eq!(world.count(confirmed), 0);
    world.run();
    world.check_books();
    assert_eq!(world.collected(), world.items());
}

#[test]
fn a_publication_that_ran_out_of_gas_may_go_again_and_one_that_was_refused_may_not() {
    for (revert, again) in [(Revert::OutOfGas, true), (Revert::SourceInactive, false)] {
        let mut world = World::new(23, Faults::none());
        let (slot, hash) = loop {
            assert!(world.step());
            let first = world.journal.iter().find_map(|(_, event)| signed(event));
            if let Some(found) = first {
                break found;
            }
        };
        let head = world.chain.genesis();
        let receipt = Receipt {
            tx_hash: hash,
            block: head,
            gas_paid: Wei::from_u128(1),
            published: None,
            status: ReceiptStatus::Reverted(revert),
        };
        let (count, final_number) = (slot.nonce.0 + 1, head.number);
        let receipts = vec![receipt];
        let view = LaneView {
            head,
            count,
            final_number,
            final_count: count,
            receipts,
            doubts: Vec::new(),
            uses: Vec::new(),
        };
        world.feed_once(Input::Viewed { wallet: slot.wallet, asked: vec![hash], view });
        let opened = |event: &Event| matches!(event, Event::RoundOpened { .. });
        let failed = |event: &Event| matches!(event, Event::TaskDone { .. });
        assert_eq!((world.count(opened), world.count(failed)), (again.into(), (!again).into()));
    }
}

/// The gas that confirms were bound with, in order.
fn confirm_gas(world: &World) -> Vec<u64> {
    let gas = |event: &Event| match event {
        Event::SlotReserved { call: Call::ConfirmResponse { .. }, fees, .. } => {
            Some(fees.gas_limit)
        }
        _ => None,
    };
    world.journal.iter().filter_map(|(_, event)| gas(event)).collect()
}

#[test]
fn a_confirm_that_ran_out_of_gas_is_signed_again_with_twice_as_much() {
    let mut world = World::manual(25, Faults::none(), 1_000_000);
    let (slot, hash) = loop {
        assert!(world.step());
        let confirm = |event: &Event| match event {
            Event::VersionSigned { slot, hash, call: Call::ConfirmResponse { .. }, .. } => {
                Some((*slot, *hash))
            }
            _ => None,
        };
        if let Some(signed) = last(&world, confirm) {
            break signed;
        }
    };
    let before = confirm_gas(&world);
    let head = BlockRef { number: 1_000, hash: B256::repeat_byte(7) };
    let receipt = Receipt {
        tx_hash: hash,
        block: head,
        gas_paid: Wei::from_u128(1),
        published: None,
        status: ReceiptStatus::Reverted(Revert::OutOfGas),
    };
    let (count, final_number) = (slot.nonce.0 + 1, head.number);
    let view = LaneView {
        head,
        count,
        final_number,
        final_count: count,
        receipts: vec![receipt],
        doubts: Vec::new(),
        uses: Vec::new(),
    };
    world.feed_once(Input::Viewed { wallet: slot.wallet, asked: vec![hash], view });
    let failed = |event: &Event| matches!(event, Event::TaskDone { .. });
    assert_eq!(world.count(failed), 0);
    while confirm_gas(&world).len() == before.len() {
        assert!(world.step());
    }
    assert!(confirm_gas(&world).contains(&(2 * GAS)), "{:?}", confirm_gas(&world));
}

/// A log that names a response by an address which is not one's own, whoever it is that is wrong.
#[test]
fn what_the_chain_knows_of_no_task_is_never_one_that_was_paid() {
    let mut world = World::new(26, Faults::none());
    let (task, response) = loop {
        assert!(world.step());
        let confirmed = |event: &Event| match event {
            Event::ResponseConfirmed { task, response, .. } => Some((*task, *response)),
            _ => None,
        };
        if let Some(found) = last(&world, confirmed) {
            break found;
        }
    };
    for _ in 0..6 {
        let (confirmed_at, kind) = (None, FetchFailure::NoResponse);
        let reason = "there is no response to this task".into();
        world.feed_once(Input::FetchFailed { task, response, confirmed_at, reason, kind });
        world.sleep(60);
        world.feed_once(Input::Tick);
    }
    let gone = |event: &Event| matches!(event, Event::ResponseGone { .. });
    let judged =
        |event: &Event| matches!(event, Event::OutputChecked { task: of, .. } if *of == task);
    assert_eq!((world.count(gone), world.count(judged)), (1, 0));
    world.run();
    world.check_books();
    assert_eq!(world.collected(), world.items());
}

#[test]
fn a_publication_that_the_stream_finds_in_another_block_than_a_view_did_gets_its_true_address() {
    let mut world = World::new(24, Faults::none());
    let (slot, hash) = loop {
        assert!(world.step());
        if let Some(found) = last(&world, signed) {
            break found;
        }
    };
    // Far ahead of the stream, on a branch that will be gone.
    let block = BlockRef { number: 1_000, hash: B256::repeat_byte(7) };
    let elsewhere = Address::repeat_byte(8);
    let receipt = Receipt {
        tx_hash: hash,
        block,
        gas_paid: Wei::from_u128(1),
        published: Some(elsewhere),
        status: ReceiptStatus::Ok,
    };
    let count = slot.nonce.0 + 1;
    let view = LaneView {
        head: block,
        count,
        final_number: 0,
        final_count: 0,
        receipts: vec![receipt],
        doubts: Vec::new(),
        uses: Vec::new(),
    };
    world.feed_once(Input::Viewed { wallet: slot.wallet, asked: vec![hash], view });
    let (task, address) = last(&world, published).unwrap();
    assert_eq!(address, elsewhere);
    // The network has the bytes, whoever it was that brought them.
    world.deliver(slot);
    world.run();
    let at_last = last(&world, |event| published(event).filter(|(of, _)| *of == task));
    assert_ne!(at_last.unwrap().1, elsewhere);
    world.check_books();
    assert_eq!(world.collected(), world.items());
}

/// Otherwise it would be taken for mined for ever: no rewind will name that block.
#[test]
fn a_view_behind_the_stream_on_a_branch_that_is_gone_mines_nothing() {
    let mut world = World::new(24, Faults::none());
    let read = |event: &Event| {
        if let Event::LogsRead { to, .. } = event { Some(to.number) } else { None }
    };
    let (slot, hash) = loop {
        assert!(world.step());
        let passed = last(&world, read).is_some_and(|number| number >= GONE.number);
        if let Some(found) = last(&world, signed).filter(|_| passed) {
            break found;
        }
    };
    let receipt = Receipt {
        tx_hash: hash,
        block: GONE,
        gas_paid: Wei::from_u128(1),
        published: Some(Address::repeat_byte(8)),
        status: ReceiptStatus::Ok,
    };
    let (head, count) = (GONE, slot.nonce.0 + 1);
    let view = LaneView {
        head,
        count,
        final_number: 0,
        final_count: 0,
        receipts: vec![receipt],
        doubts: Vec::new(),
        uses: Vec::new(),
    };
    world.feed_once(Input::Viewed { wallet: slot.wallet, asked: vec![hash], view });
    let mined = |event: &Event| matches!(event, Event::SlotMined { block: GONE, .. });
    assert_eq!(world.count(mined), 0);
    world.deliver(slot);
    world.run();
    world.check_books();
    assert_eq!(world.collected(), world.items());
}
