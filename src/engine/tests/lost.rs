//! A journal that is lost at any moment, while pools may still mine what nobody here knows.

use super::super::{Event, Input, Outcome, RunOutcome};
use super::seeds;
use super::world::{Faults, World};
use crate::units::{Nonce, SendOutcome};

fn adopted(world: &World) -> usize {
    world.count(|event| matches!(event, Event::TaskAdopted { .. }))
}

/// A run that went on for so many steps before it was lost.
fn lost(seed: u64, faults: Faults, steps: u64) -> World {
    let mut world = World::new(seed, faults);
    while world.steps_taken() < steps && world.step() {}
    world.lose();
    world
}

#[test]
fn what_was_published_is_adopted_and_everything_ends_as_it_would_have() {
    let mut world = lost(3, Faults::none(), 150);
    let before = world.publications();
    assert!(before > 3, "{before}");
    assert_eq!(world.run(), RunOutcome::Done);
    assert_eq!(adopted(&world), before);
    assert_eq!(world.publications(), world.items());
    assert_eq!(world.collected(), world.items());
    world.check_books();
}

#[test]
fn no_fault_pays_twice_for_a_run_whose_journal_is_lost_at_any_moment() {
    let mut adoptions = 0;
    for seed in seeds(50, 20_000) {
        let mut world = lost(seed, Faults::all(), seed * 37 % 700);
        let outcome = world.run();
        assert!(matches!(outcome, RunOutcome::Done | RunOutcome::Failed), "seed {seed}");
        world.check_books();
        world.check_replay();
        adoptions += adopted(&world);
    }
    assert!(adoptions > 0);
}

#[test]
fn a_run_that_is_lost_twice_is_found_twice() {
    for seed in seeds(8, 1_000) {
        let mut world = lost(seed, Faults::all(), 200 + seed);
        for _ in 0..60 {
            world.step();
        }
        world.lose();
        let outcome = world.run();
        assert!(matches!(outcome, RunOutcome::Done | RunOutcome::Failed), "seed {seed}");
        world.check_books();
    }
}

#[test]
fn what_was_read_of_the_chain_counts_once() {
    let mut world = lost(3, Faults::none(), 150);
    let (facts, below) = (world.journal.len(), Nonce(world.transactions()));
    world.feed(Input::ChainRead { found: Vec::new(), below });
    assert_eq!(world.journal.len(), facts);
}

#[test]
fn a_fence_outbids_what_is_pending_at_its_nonce() {
    let mut world = World::without_steps(1, Faults::none());
    world.every_reply = Some(SendOutcome::Conflict);
    world.feed(Input::Fences { count: 2 });
    let bumped = |world: &World| world.count(|event| matches!(event, Event::VersionWanted { .. }));
    assert_eq!(world.run(), RunOutcome::Done);
    assert!(bumped(&world) > 0);
    assert_eq!(world.transactions(), 2);
    world.check_books();
}

#[test]
fn a_stranger_at_a_fence_is_what_it_is_for() {
    let mut world = World::without_steps(1, Faults::none());
    world.chain.steal_nonce = Some(1);
    world.feed(Input::Fences { count: 3 });
    assert_eq!(world.run(), RunOutcome::Done);
    assert_eq!(world.engine.foreign_slots(), 0);
    let canceled =
        |event: &Event| matches!(event, Event::TaskDone { outcome: Outcome::Canceled, .. });
    assert_eq!(world.count(canceled), 0);
}
