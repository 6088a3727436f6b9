//! What was read directly, at blocks that the log stream never came through.

use super::world::{Faults, World};
use crate::engine::{Event, Input, Offer};
use crate::units::{BlockRef, TaskFacts, TaskId, TaskStatus, Wei};
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
