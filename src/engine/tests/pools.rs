//! Publications that wait in pools for so long that their tasks would be born old.

#![expect(clippy::wildcard_enum_match_arm, reason = "each question is about one kind of fact")]

use super::super::{Event, Outcome, RunOutcome, SlotEnd};
use super::world::{Faults, World};
use crate::units::{Call, Nonce, TaskId};

/// How many publications are on their way in these tests: as many as the step may have open.
const OPEN: usize = 6;

/// A run whose publications are all with the pools, and none in a block.
fn waiting(seed: u64) -> World {
    let mut world = World::manual(seed, Faults::none(), 1_000_000);
    world.chain.stands = true;
    while sends(&world, 0).len() < OPEN {
        assert!(world.step());
    }
    world
}

/// Which nonces were sent since the journal had so many facts, and when.
fn sends(world: &World, since: usize) -> Vec<(u64, Nonce)> {
    let facts = world.journal[since..].iter();
    let notes = facts.filter_map(|(at, event)| {
        if let Event::Sent { sends, .. } = event { Some((at.as_millis(), sends)) } else { None }
    });
    notes.flat_map(|(at, sends)| sends.iter().map(move |note| (at, note.nonce))).collect()
}

/// Goes on for so many milliseconds.
fn pass(world: &mut World, ms: u64) {
    let until = world.now() + ms;
    while world.now() < until {
        assert!(world.step());
    }
}

/// What each version that was wanted for a nonce says of its task's end, in the chain's seconds.
fn expiries(world: &World, nonce: u64) -> Vec<u64> {
    let facts = world.journal.iter().filter_map(|(_, event)| match event {
        Event::SlotReserved { slot, call, .. } | Event::VersionWanted { slot, call, .. }
            if slot.nonce.0 == nonce =>
        {
            if let Call::PublishTask { expiry, .. } = call {
                Some(expiry.as_secs())
            } else {
                None
            }
        }
        _ => None,
    });
    facts.collect()
}

#[test]
fn a_publication_that_waits_for_half_of_its_life_gets_a_fresh_one_at_its_nonce() {
    for seed in 0..10 {
        let mut world = waiting(seed);
        // Longer than a task lives from when it was bound.
        pass(&mut world, 500_000);
        (0..OPEN as u64).for_each(|nonce| world.chain.keep_version(nonce, true));
        world.chain.stands = false;
        assert_eq!(world.run(), RunOutcome::Done);
        assert_eq!(world.publications(), world.items());
        for nonce in 0..OPEN as u64 {
            let expiries = expiries(&world, nonce);
            assert!((2..=4).contains(&expiries.len()), "seed {seed}: {expiries:?}");
            assert!(expiries.windows(2).all(|pair| pair[1] - pair[0] >= 300), "{expiries:?}");
        }
        let late = |event: &Event| {
            matches!(event, Event::SlotFinal { end: SlotEnd::Reverted { .. }, .. })
                || matches!(event, Event::TaskDone { outcome: Outcome::Failed(_), .. })
        };
        assert_eq!(world.count(late), 0, "seed {seed}: nothing was mined too late");
        world.check_books();
        world.check_replay();
    }
}

#[test]
fn a_run_that_was_left_for_long_gives_fresh_expiries_with_its_first_look_at_the_chain() {
    let mut world = waiting(7);
    let surveys = |world: &World| world.count(|event| matches!(event, Event::Surveyed(_)));
    let wanted = |world: &World| world.count(|event| matches!(event, Event::VersionWanted { .. }));
    let before = surveys(&world);
    world.pause(500_000);
    while surveys(&world) == before {
        assert_eq!(wanted(&world), 0);
        assert!(world.step());
    }
    assert_eq!(wanted(&world), OPEN);
    world.chain.forget_pools();
    world.chain.stands = false;
    assert_eq!(world.run(), RunOutcome::Done);
    world.check_books();
}

#[test]
fn a_fresh_expiry_that_the_cap_has_no_money_for_waits_and_the_cap_holds() {
    let mut world = World::manual(5, Faults::none(), 6 * 1_200 + 250);
    world.chain.stands = true;
    pass(&mut world, 700_000);
    let (bound, _) = world.reservations();
    let wanted = world.count(|event| matches!(event, Event::VersionWanted { .. }));
    assert!((1..bound).contains(&wanted), "{wanted} of {bound}");
    world.check_money();
}

#[test]
fn the_version_that_is_mined_says_when_its_task_ends() {
    for newest in [false, true] {
        let mut world = waiting(6);
        while expiries(&world, 0).len() < 2 {
            assert!(world.step() && world.steps_taken() < 10_000);
        }
        pass(&mut world, 10_000);
        world.chain.keep_version(0, newest);
        world.chain.stands = false;
        world.chain.silent_items = (0..world.width(0)).map(|item| TaskId::new(0, item)).collect();
        let published = |world: &World| {
            world.journal.iter().find_map(|(_, event)| match event {
                Event::TaskPublished { task, .. } => Some(*task),
                _ => None,
            })
        };
        while published(&world).is_none() {
            assert!(world.step());
        }
        let (task, all) = (published(&world).unwrap(), expiries(&world, 0));
        let expiry = world.engine.expiry_of(task).map(|expiry| expiry.as_secs());
        assert_eq!(expiry, Some(all[usize::from(newest)]), "{all:?}");
        world.check_replay();
    }
}
