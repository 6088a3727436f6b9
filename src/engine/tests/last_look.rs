//! What is read of a task that is past its expiry, before its round ends.

#![expect(clippy::wildcard_enum_match_arm, reason = "each question is about one kind of fact")]

use alloy::primitives::Address;

use super::super::{Effect, Event, Input, Outcome, RunOutcome};
use super::world::{Faults, World};
use crate::units::{BlockRef, TaskFacts, TaskId, TaskStatus};

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
    let reads: Vec<BlockRef> = world
        .journal
        .iter()
        .filter_map(|(_, event)| match event {
            Event::LogsRead { to, .. } => Some(*to),
            _ => None,
        })
        .collect();
    // The stream came past this block when the task was not past its expiry yet.
    let early = reads[reads.len() - 10];
    let told = |world: &World| world.count(|event| matches!(event, Event::TaskRead { .. }));
    let before = told(&world);
    let wanted = |world: &World| {
        let outstanding = world.engine.outstanding();
        outstanding.iter().any(|e| matches!(e, Effect::ReadTask { task: id, .. } if *id == task))
    };
    world.feed(Input::TaskRead { task, facts: TaskFacts { block: early, ..facts.clone() } });
    assert!(told(&world) > before, "it was taken for a read of this task");
    assert_eq!(rounds_closed(&world), 0);
    assert!(wanted(&world));
    world.feed(Input::TaskRead { task, facts });
    assert_eq!(rounds_closed(&world), 2);
    assert_eq!(world.run(), RunOutcome::Done);
    assert_eq!(world.publications_of(task), 3);
    world.check_books();
    world.check_replay();
}

/// Somebody else has confirmed what we refused: it is paid, and nothing is bought in its place.
#[test]
fn a_refused_response_that_somebody_has_confirmed_ends_its_task_as_paid() {
    let task = TaskId::new(0, 2);
    for logged in [true, false] {
        let mut world = World::manual(9, Faults::none(), 1_000_000);
        world.wrong_items = vec![task].into_iter().collect();
        world.chain.confirmed_by_others = vec![task];
        world.chain.unlogged_confirms = !logged;
        world.chain.second_attempts = vec![task];
        world.allow_failures(1);
        assert_eq!(world.run(), RunOutcome::Done, "logged {logged}");
        assert_eq!(world.publications_of(task), 1, "logged {logged}");
        assert!(matches!(world.outcome_of(task), Some(Outcome::RejectedPaid { .. })));
        world.check_books();
        world.check_replay();
    }
}
