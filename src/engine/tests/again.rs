//! Failed items that are tried again, and payments that are raised, in the world of the others.

use super::super::step::Mark;
use super::super::{Event, FailReason, Outcome, RunOutcome, StepEnd, Wishes};
use super::seeds;
use super::world::{Faults, World};
use crate::units::{Call, TaskId, Wei};

const RETRY: Wishes = Wishes { retry_failed: true, raise_permille: 0 };

/// A run whose first step fails because nobody takes these items of it.
fn failed(seed: u64, faults: Faults, silent: std::ops::Range<u32>) -> World {
    let mut world = World::new(seed, faults);
    world.chain.silent_items = silent.map(|item| TaskId::new(0, item)).collect();
    assert_eq!(world.run(), RunOutcome::Failed, "seed {seed}");
    world.chain.silent_items.clear();
    world
}

/// The offers of all publications that were bound, oldest first.
fn offers(world: &World) -> Vec<Wei> {
    let mut offers = Vec::new();
    for (_, event) in &world.journal {
        if let Event::SlotReserved { call: Call::PublishTask { payment, .. }, .. } = event {
            offers.push(*payment);
        }
    }
    offers
}

#[test]
fn failed_items_are_tried_again_and_what_came_after_them_starts() {
    let mut world = failed(21, Faults::none(), 0..4);
    let (before, ended) = (world.publications(), world.collected());
    let upstream = Event::StepEnded { step: 2, end: StepEnd::Upstream };
    assert_eq!(world.count(|event| *event == upstream), 1);
    let failures = world.engine.step_counts(0).1;
    assert_eq!(world.engine.retriable(0).len(), failures as usize);

    world.resume_with(world.cap, RETRY);
    assert_eq!(world.run(), RunOutcome::Done);
    for step in 0..3 {
        assert_eq!(world.engine.step_counts(step), (world.width(step), 0));
    }
    assert_eq!(world.publications() - before, world.items() - ended, "one new round each");
    world.check_books();
}

#[test]
fn a_run_that_is_only_resumed_tries_nothing_again() {
    let mut world = failed(21, Faults::none(), 0..4);
    let before = world.publications();
    world.resume(world.cap);
    assert_eq!(world.run(), RunOutcome::Failed);
    assert_eq!(world.publications(), before);
}

#[test]
fn no_fault_pays_a_round_twice_while_failed_items_are_tried_again() {
    for seed in seeds(12, 2_000) {
        let mut world = World::new(seed, Faults::all());
        world.chain.silent_items = (0..3).map(|item| TaskId::new(0, item)).collect();
        let first = world.run();
        world.chain.silent_items.clear();
        assert_eq!(first, RunOutcome::Failed, "seed {seed}");
        world.check_books();
        world.resume_with(world.cap, RETRY);
        world.check_replay();
        let outcome = world.run();
        assert!(matches!(outcome, RunOutcome::Done | RunOutcome::Failed), "seed {seed}");
        world.check_replay();
        world.check_books();
    }
}

#[test]
fn a_replayed_run_equals_the_live_one_while_failed_items_are_tried_again() {
    for seed in seeds(3, 200) {
        let mut world = failed(seed, Faults::none(), 0..4);
        world.resume_with(world.cap, Wishes { retry_failed: true, raise_permille: 100 });
        world.check_replay();
        while world.step() {
            if world.steps_taken().is_multiple_of(13) {
                world.check_replay();
            }
        }
        world.check_replay();
    }
}

#[test]
fn an_item_that_fails_again_can_be_tried_again_with_another_key() {
    let mut world = failed(22, Faults::none(), 0..1);
    let item = TaskId::new(0, 0);
    world.chain.silent_items = vec![item];
    let before = world.publications_of(item);
    world.resume_with(world.cap, RETRY);
    assert_eq!(world.run(), RunOutcome::Failed);
    assert_eq!(world.publications_of(item), before + 1, "one round, whatever `retry` says");
    world.chain.silent_items.clear();
    world.resume_with(world.cap, RETRY);
    assert_eq!(world.run(), RunOutcome::Done);
    assert_eq!(world.publications_of(item), before + 2);
    world.check_books();
}

#[test]
fn what_was_paid_is_never_bought_again() {
    let mut world = World::new(9, Faults::none());
    let (paid, unpaid) = (TaskId::new(0, 1), TaskId::new(1, 0));
    world.wrong_items = vec![paid, unpaid];
    world.allow_failures(5);
    assert_eq!(world.run(), RunOutcome::Done);
    assert!(matches!(world.outcome_of(paid), Some(Outcome::RejectedPaid { .. })));
    let tried: Vec<TaskId> = world.engine.retriable(0).into_iter().map(|(id, _)| id).collect();
    assert_eq!(tried, [unpaid]);
    let before = (world.publications_of(paid), world.publications_of(unpaid));

    world.wrong_items.clear();
    world.resume_with(world.cap, RETRY);
    assert_eq!(world.run(), RunOutcome::Done);
    let after = (world.publications_of(paid), world.publications_of(unpaid));
    assert_eq!(after, (before.0, before.1 + 1));
    assert_eq!(world.engine.mark_of(paid), Mark::Failed);
    assert_eq!(world.engine.mark_of(unpaid), Mark::Confirmed);
    world.check_books();
}

#[test]
fn a_step_that_fails_for_what_was_paid_stays_as_it_is() {
    let mut world = World::new(23, Faults::none());
    world.wrong_items = vec![TaskId::new(0, 1)];
    assert_eq!(world.run(), RunOutcome::Failed);
    assert!(world.engine.retriable(0).is_empty());
    world.resume_with(world.cap, RETRY);
    let before = world.publications();
    assert_eq!(world.run(), RunOutcome::Failed);
    assert_eq!(world.publications(), before);
}

#[test]
fn a_step_whose_results_are_being_read_is_left_alone() {
    let mut world = World::new(24, Faults::none());
    world.wrong_items = vec![TaskId::new(1, 0)];
    world.chain.silent_items = vec![TaskId::new(2, 0)];
    world.allow_failures(1);
    assert_eq!(world.run(), RunOutcome::Done, "one failure a step is allowed");
    let tried: Vec<TaskId> = world.engine.retriable(0).into_iter().map(|(id, _)| id).collect();
    assert_eq!(tried, [TaskId::new(2, 0)], "it is to come out of what it read before");
}

#[test]
fn a_raise_holds_for_what_is_not_bound_yet() {
    let mut world = World::with_cap(3, Faults::none(), 12_000);
    assert_eq!(world.run(), RunOutcome::PausedBudget);
    let before = offers(&world);
    assert!(before.iter().all(|offer| *offer == Wei::from_u128(super::world::PAYMENT)));
    world.resume_with(None, Wishes { retry_failed: false, raise_permille: 200 });
    world.check_replay();
    assert_eq!(world.run(), RunOutcome::Done);
    let after = offers(&world);
    assert!(after.len() > before.len());
    assert!(after[before.len()..].iter().all(|offer| *offer == Wei::from_u128(1200)), "{after:?}");
    world.check_books();
}

#[test]
fn a_raise_is_one_of_the_payment_of_the_last_round_and_stops_at_the_ceiling() {
    let mut world = failed(25, Faults::none(), 0..2);
    world.limit(|limits| limits.max_per_task = Some(Wei::from_u128(1300)));
    let tried = world.engine.retriable(200);
    assert!(tried.iter().all(|(_, payment)| *payment == Wei::from_u128(1200)), "{tried:?}");
    let before = offers(&world).len();
    world.resume_with(world.cap, Wishes { retry_failed: true, raise_permille: 200 });
    world.resume_with(world.cap, Wishes { retry_failed: true, raise_permille: 200 });
    world.check_replay();
    assert_eq!(world.run(), RunOutcome::Done);
    assert!(offers(&world)[before..].iter().all(|offer| *offer == Wei::from_u128(1300)));
    world.check_books();
}

#[test]
fn what_could_not_be_rendered_is_not_tried_again() {
    let task = super::super::task::Task::new(crate::units::KeyHash([0; 16]), Wei::ZERO, 0);
    let kept = |reason| super::super::again::Failed::of(task.clone(), &reason).is_some();
    assert!(!kept(FailReason::RenderError("no such column".into())));
    assert!(kept(FailReason::Expired) && kept(FailReason::Rejected("wrong".into())));
    assert!(kept(FailReason::FetchError("gone".into())));
    assert!(kept(FailReason::PublishError("refused".into())));
}
