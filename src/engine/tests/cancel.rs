//! Taking tasks back: what was signed, what is on chain, what somebody has attempted meanwhile.

#![expect(clippy::wildcard_enum_match_arm, reason = "each question is about one kind of fact")]

use super::super::CancelScope;
use super::seeds;
use super::world::{Faults, World};
use super::{Event, Input, Outcome, RunOutcome};
use crate::engine::{SlotEnd, StepEnd};
use crate::units::{Call, SendOutcome, TaskId};

const fn is_canceled(event: &Event) -> bool {
    matches!(event, Event::TaskDone { outcome: Outcome::Canceled, .. })
}

fn canceled(world: &World) -> usize {
    world.count(is_canceled)
}

/// Cancels by the journal: bound, and those that went well.
fn cancels(world: &World) -> (usize, usize) {
    let mut slots = Vec::new();
    let mut well = 0;
    for (_, event) in &world.journal {
        match event {
            Event::SlotReserved { slot, call: Call::CancelTask { .. }, .. } => slots.push(*slot),
            Event::SlotFinal { slot, end: SlotEnd::Ok { .. }, .. } => {
                well += usize::from(slots.contains(slot));
            }
            _ => {}
        }
    }
    (slots.len(), well)
}

/// A world whose first step waits for answers that never come.
fn silent(seed: u64, faults: Faults) -> World {
    let mut world = World::new(seed, faults);
    world.chain.silent_items = (0..world.width(0)).map(|item| TaskId::new(0, item)).collect();
    world
}

/// Goes on until a run that was left in the middle of it has ended.
fn run_out(world: &mut World) -> RunOutcome {
    let mut outcome = world.run();
    for _ in 0..20 {
        if outcome != RunOutcome::Stopped {
            break;
        }
        world.resume(world.cap);
        outcome = world.run();
    }
    outcome
}

#[test]
fn what_nobody_has_attempted_is_cancelled_and_nothing_more_is_published() {
    let mut world = silent(1, Faults::none());
    while world.publications() < 6 {
        assert!(world.step());
    }
    world.cancel(CancelScope::Run, false);
    let published = world.reservations().0;
    assert_eq!(world.run(), RunOutcome::Canceled);
    assert_eq!(world.reservations().0, published);
    assert_eq!(canceled(&world), world.width(0) as usize);
    let ends = |event: &Event| matches!(event, Event::StepEnded { end: StepEnd::Canceled, .. });
    assert_eq!(world.count(ends), 3, "those that never started, too");
    assert!(cancels(&world).1 >= 6);
    world.check_books();
    world.check_replay();
    let before = world.journal.len();
    world.cancel(CancelScope::Run, false);
    assert_eq!(world.journal.len(), before, "a second wish comes too late to change anything");
}

#[test]
fn a_run_of_which_nothing_began_ends_as_cancelled_and_sends_nothing() {
    let mut world = World::new(2, Faults::none());
    world.cancel(CancelScope::Run, false);
    assert_eq!(world.run(), RunOutcome::Canceled);
    assert_eq!(world.transactions(), 0);
    assert_eq!(world.reservations(), (0, 0));
}

#[test]
fn a_publication_that_is_not_mined_competes_with_a_no_op_and_the_chain_says_which_won() {
    let (mut by_noop, mut by_cancel) = (0, 0);
    for seed in seeds(60, 2_000) {
        let mut world = silent(seed, Faults::none());
        while world.reservations().0 < 4 {
            assert!(world.step());
        }
        world.cancel(CancelScope::Run, false);
        assert_eq!(world.run(), RunOutcome::Canceled, "seed {seed}");
        world.check_books();
        let noops =
            world.count(|event| matches!(event, Event::VersionWanted { call: Call::NoOp, .. }));
        by_cancel += cancels(&world).1;
        by_noop += usize::from(noops > 0 && world.publications() < world.reservations().0);
    }
    assert!(by_noop > 0 && by_cancel > 0, "{by_noop} {by_cancel}");
}

#[test]
fn a_slot_that_nothing_was_signed_for_never_sees_a_publication() {
    let mut world = silent(3, Faults::none());
    while world.reservations().0 == 0 {
        assert!(world.step());
    }
    assert_eq!(world.count(|event| matches!(event, Event::VersionSigned { .. })), 0);
    world.cancel(CancelScope::Run, false);
    assert_eq!(world.run(), RunOutcome::Canceled);
    assert_eq!(world.publications(), 0);
    let signed = |event: &Event| {
        matches!(event, Event::VersionSigned { call: Call::PublishTask { .. }, .. })
    };
    assert_eq!(world.count(signed), 0);
    world.check_books();
}

#[test]
fn a_task_that_somebody_attempts_meanwhile_stays_and_its_output_is_kept() {
    let mut reverted = 0;
    for seed in seeds(60, 2_000) {
        let mut world = World::new(seed, Faults::none());
        while world.publications() < 5 {
            assert!(world.step());
        }
        world.cancel(CancelScope::Run, false);
        let outcome = run_out(&mut world);
        assert!(matches!(outcome, RunOutcome::Canceled | RunOutcome::Done), "{outcome:?} {seed}");
        let (bound, well) = cancels(&world);
        reverted += bound - well;
        let published = world.publications();
        let ended = canceled(&world) + world.collected();
        assert!(ended >= published, "seed {seed}: {ended} of {published}");
        assert_eq!(
            world.collected(),
            published - well,
            "seed {seed}: each is the one or the other"
        );
        world.check_books();
    }
    assert!(reverted > 0, "no cancel ever came too late");
}

#[test]
fn no_fault_pays_for_what_was_reported_as_cancelled() {
    for seed in seeds(60, 20_000) {
        for quiet in [false, true] {
            let faults = Faults::all_and_spikes();
            let mut world = if quiet { silent(seed, faults) } else { World::new(seed, faults) };
            for _ in 0..40 + seed % 200 {
                world.step();
            }
            world.resume(world.cap);
            world.cancel(CancelScope::Run, seed % 5 == 0);
            let reserved = world.reservations().0;
            let outcome = run_out(&mut world);
            let ends = [RunOutcome::Canceled, RunOutcome::Done, RunOutcome::Failed];
            assert!(ends.contains(&outcome), "seed {seed} ended {outcome:?}");
            assert_eq!(world.reservations().0, reserved, "seed {seed}: published on");
            world.check_books();
            world.check_replay();
        }
    }
}

#[test]
fn a_wish_that_comes_twice_changes_nothing_the_second_time() {
    for seed in seeds(6, 500) {
        let mut world = silent(seed, Faults::none());
        world.double_everything = true;
        while world.publications() < 5 {
            assert!(world.step());
        }
        world.cancel(CancelScope::Run, false);
        assert_eq!(world.count(|event| matches!(event, Event::CancelAsked { .. })), 1);
        assert_eq!(world.run(), RunOutcome::Canceled, "seed {seed}");
        world.check_books();
    }
}

#[test]
fn replies_alone_cancel_nothing() {
    for outcome in [SendOutcome::Unknown, SendOutcome::Conflict, SendOutcome::TooCheap] {
        let mut world = silent(5, Faults::none());
        while world.reservations().0 < 4 {
            assert!(world.step());
        }
        world.every_reply = Some(outcome);
        world.cancel(CancelScope::Run, false);
        assert_eq!(world.run(), RunOutcome::Canceled, "{outcome:?}");
        world.check_books();
    }
}

#[test]
fn a_part_of_a_run_is_cancelled_and_the_rest_goes_on() {
    let mut world = silent(6, Faults::none());
    world.chain.silent_items = vec![TaskId::new(0, 0), TaskId::new(0, 1)];
    while world.publications() < 6 {
        assert!(world.step());
    }
    let tasks = vec![TaskId::new(0, 0), TaskId::new(0, 1), TaskId::new(0, 11)];
    world.cancel(CancelScope::Tasks { tasks: tasks.iter().copied().collect() }, false);
    let published = world.reservations().0;
    assert_eq!(world.run(), RunOutcome::Stopped);
    assert_eq!(world.reservations().0, published, "nothing is published meanwhile");
    world.resume(world.cap);
    assert_eq!(world.run(), RunOutcome::Done);
    for task in tasks {
        assert_eq!(world.outcome_of(task), Some(Outcome::Canceled), "{task}");
    }
    // Three of twelve, and the items that stream from them.
    assert_eq!(world.collected(), world.items() - 6);
    world.check_books();
}

#[test]
fn a_step_that_is_cancelled_reads_no_more_and_its_readers_never_start() {
    let mut world = silent(7, Faults::none());
    while world.publications() < 6 {
        assert!(world.step());
    }
    world.cancel(CancelScope::Step { step: 0 }, false);
    world.run();
    world.resume(world.cap);
    assert_eq!(run_out(&mut world), RunOutcome::Canceled);
    let upstream = |event: &Event| matches!(event, Event::StepEnded { end: StepEnd::Upstream, .. });
    assert_eq!(world.count(upstream), 2);
    world.check_books();
}

#[test]
fn outputs_that_are_given_up_are_not_confirmed_and_end_with_their_tasks() {
    for seed in seeds(10, 500) {
        let mut world = World::manual(seed, Faults::none(), 10_000_000);
        while world.count(|event| matches!(event, Event::ResponseSeen { .. })) < 3 {
            assert!(world.step());
        }
        let bound = world.reservations().1;
        world.cancel(CancelScope::Run, true);
        run_out(&mut world);
        assert_eq!(world.reservations().1, bound, "seed {seed}: no confirm since");
        world.check_books();
    }
}

#[test]
fn a_cancel_that_the_cap_does_not_allow_is_not_signed() {
    let mut world = silent(8, Faults::none());
    while world.publications() < 6 || world.engine.ledger().reserved > crate::units::Wei::ZERO {
        assert!(world.step());
    }
    let committed = world.engine.ledger().committed();
    world.resume(Some(committed));
    world.cancel(CancelScope::Run, false);
    assert_eq!(world.run(), RunOutcome::PausedBudget);
    assert_eq!(cancels(&world), (0, 0));
    world.resume(None);
    assert_eq!(world.run(), RunOutcome::Canceled);
    world.check_books();
}

#[test]
fn a_wallet_that_is_used_elsewhere_cancels_nothing() {
    let mut world = silent(9, Faults::none());
    while world.publications() < 6 {
        assert!(world.step());
    }
    world.chain.steal_nonce = Some(world.reservations().0 as u64);
    world.cancel(CancelScope::Run, false);
    assert_eq!(world.run(), RunOutcome::Quarantined);
    let before = cancels(&world);
    world.feed(Input::Tick);
    assert_eq!(cancels(&world), before);
}
