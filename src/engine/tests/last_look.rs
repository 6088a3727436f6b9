//! What is read of a task that is past its expiry, before its round ends.

#![expect(clippy::wildcard_enum_match_arm, reason = "each question is about one kind of fact")]

use alloy::primitives::Address;

use super::super::{Effect, Event, Input, RunOutcome};
use super::world::{Faults, World};
use crate::units::{TaskFacts, TaskId, TaskStatus};

/// A run in which nobody responds to one task, at the moment that its expiry is seen to be past.
fn past_expiry(task: TaskId) -> (World, TaskFacts) {
    let mut world = World::new(7, Faults::none());
    world.chain.silent_items = vec![task];
    world.allow_failures(1);
    let seen = |event: &Event| matches!(event, Event::ExpirySeen { .. });
    while world.count(seen) == 0 {
        assert!(world.step());
    }
    let address = world.journal.iter().rev().find_map(|(_, event)| match event {
        Event::TaskPublished { task: id, address, .. } if *id == task => Some(*address),
        _ => None,
    });
    let read = world.journal.iter().rev().find_map(|(_, event)| match event {
        Event::LogsRead { to, .. } => Some(*to),
        _ => None,
    });
    let (status, responses) = (TaskStatus::New, Vec::new());
    let (task, block) = (address.unwrap(), read.unwrap());
    (world, TaskFacts { task, block, status, attempts: 0, responses })
}

fn rounds_closed(world: &World) -> usize {
    world.count(|event| matches!(event, Event::ExpiryPassed { .. } | Event::RoundOpened { .. }))
}

/// A log that never came would have told of it: the contract itself is asked before anything is
/// bought again.
#[test]
fn a_response_that_no_log_told_of_is_found_before_a_round_ends() {
    let task = TaskId::new(0, 2);
    let (mut world, facts) = past_expiry(task);
    assert_eq!(rounds_closed(&world), 0, "nothing ends before the last look");
    let responses = vec![Address::repeat_byte(0x77)];
    let facts = TaskFacts { status: TaskStatus::Responded, attempts: 1, responses, ..facts };
    world.feed(Input::TaskRead { task, facts });
    assert_eq!(rounds_closed(&world), 0);
    assert!(
        world
            .engine
            .outstanding()
            .iter()
            .any(|effect| matches!(effect, Effect::Fetch { task: id, .. } if *id == task))
    );
}

#[test]
fn only_a_read_from_after_the_expiry_is_the_last_look() {
    let task = TaskId::new(0, 2);
    let (mut world, facts) = past_expiry(task);
    let early = world.journal.iter().find_map(|(_, event)| match event {
        Event::TaskPublished { task: id, block, .. } if *id == task => Some(*block),
        _ => None,
    });
    let wanted = |world: &World| {
        let outstanding = world.engine.outstanding();
        outstanding.iter().any(|e| matches!(e, Effect::ReadTask { task: id, .. } if *id == task))
    };
    world.feed(Input::TaskRead {
        task,
        facts: TaskFacts { block: early.unwrap(), ..facts.clone() },
    });
    assert_eq!(rounds_closed(&world), 0);
    assert!(wanted(&world));
    world.feed(Input::TaskRead { task, facts });
    assert_eq!(rounds_closed(&world), 2);
    assert_eq!(world.run(), RunOutcome::Done);
    assert_eq!(world.publications_of(task), 3);
    world.check_books();
    world.check_replay();
}
