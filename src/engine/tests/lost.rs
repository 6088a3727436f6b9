//! A journal that is lost at any moment, while pools may still mine what nobody here knows.

use std::collections::BTreeMap;

use super::super::{Event, Input, Outcome, RunOutcome, SlotEnd};
use super::seeds;
use super::world::{Faults, World};
use crate::units::{Call, Nonce, SendOutcome, TaskId, TaskKey};

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
    let ours = |event: &Event| matches!(event, Event::SlotFinal { end: SlotEnd::Ok { .. }, .. });
    assert_eq!(world.count(ours), 3, "as many of ours as were asked for");
    let canceled =
        |event: &Event| matches!(event, Event::TaskDone { outcome: Outcome::Canceled, .. });
    assert_eq!(world.count(canceled), 0);
}

/// A task may be past its expiry, answered and paid, long before its journal was lost.
#[test]
fn an_adopted_task_does_not_expire_before_it_was_read() {
    let mut world = lost(3, Faults::none(), 150);
    while adopted(&world) < 4 {
        assert!(world.step());
    }
    let read = |world: &World, id: TaskId| {
        world.count(|event| matches!(event, Event::TaskRead { task, .. } if *task == id)) > 0
    };
    let unread = |world: &World| {
        let adopted = |(_, event): &(_, Event)| {
            if let Event::TaskAdopted { task, .. } = event { Some(*task) } else { None }
        };
        world.journal.iter().filter_map(adopted).filter(|id| !read(world, *id)).collect::<Vec<_>>()
    };
    let waiting = unread(&world);
    assert!(!waiting.is_empty());
    world.sleep(7_000);
    let expired =
        |event: &Event| matches!(event, Event::ExpiryPassed { task } if waiting.contains(task));
    assert_eq!(world.count(expired), 0, "{waiting:?}");
    world.run();
    world.check_books();
}

/// A run of which a task is in its second round.
fn in_a_second_round() -> World {
    let mut world = World::new(21, Faults::none());
    world.chain.silent_items = (0..4).map(|item| TaskId::new(0, item)).collect();
    while world.publications_of(TaskId::new(0, 0)) < 2 {
        assert!(world.step());
    }
    world.chain.silent_items.clear();
    world
}

#[test]
fn the_last_round_that_the_chain_shows_is_the_one_that_counts() {
    for first_is_shown in [true, false] {
        let mut world = in_a_second_round();
        let mut keys = BTreeMap::<TaskId, Vec<TaskKey>>::new();
        for (_, event) in &world.journal {
            if let Event::SlotReserved { task, key, call: Call::PublishTask { .. }, .. } = event {
                keys.entry(*task).or_default().push(*key);
            }
        }
        let twice = |world: &World, id: TaskId| world.publications_of(id) == 2;
        keys.retain(|id, _| twice(&world, *id));
        assert!(!keys.is_empty());
        let firsts: Vec<TaskKey> = keys.values().map(|keys| keys[0]).collect();
        world.lose_but(|found| first_is_shown || !firsts.contains(&found.key.unwrap()));
        assert_eq!(world.run(), RunOutcome::Done, "the first is shown: {first_is_shown}");
        world.check_books();
        assert!(keys.keys().all(|id| twice(&world, *id)), "bought once more");
        assert_eq!(world.collected(), world.items());
    }
}

#[test]
fn a_nonce_that_was_not_read_keeps_its_wallet_closed() {
    for (foreign, closed) in [(7, false), (8, true), (30, true)] {
        let mut world = World::new(3, Faults::none());
        let lane = |foreign| Input::Lane {
            wallet: alloy::primitives::Address::repeat_byte(0xaa),
            next_nonce: Nonce(8),
            open: Vec::new(),
            foreign,
            foreign_tx: None,
            passed: 0,
        };
        world.feed(lane(Some(Nonce(foreign))));
        world.feed(Input::ChainRead { found: Vec::new(), below: Nonce(8) });
        assert_eq!(!world.engine.may_publish(), closed, "nonce {foreign}");
    }
}
