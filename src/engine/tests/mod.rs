//! Properties of the engine, in a small world that lies, doubles, delays, forgets and crashes.
//!
//! After every step the invariants are checked by the world's own books, never by the engine's
//! alone.

mod again;
mod branch;
mod cancel;
mod cap;
mod doubt;
mod last_look;
mod lost;
mod pools;
mod world;

use world::{Faults, World};

use super::step::Mark;
use super::{Effect, Event, Input, Outcome, RunOutcome, SlotEnd, Stale, Timer};
use crate::units::settings_of_tests::setting_of_the_test;
use crate::units::{
    BlockRef, Call, ChainTime, LogPage, LogRead, SendOutcome, TaskId, Timestamp, Wei,
};
use alloy::primitives::Address;

/// How many seeds a property runs over; `SEED` picks one, `LONG` asks for many.
fn seeds(few: u64, many: u64) -> std::ops::Range<u64> {
    if let Some(seed) = setting_of_the_test("SEED") {
        return seed..seed + 1;
    }
    0..if setting_of_the_test("LONG").is_some() { many } else { few }
}

#[test]
fn a_quiet_run_publishes_each_item_once_and_ends_with_every_output() {
    let mut world = World::new(1, Faults::none());
    assert_eq!(world.run(), RunOutcome::Done);
    assert_eq!(world.payments().len(), world.items());
    assert_eq!(world.engine.step_counts(0).0, world.width(0));
    world.check_books();
}

#[test]
fn no_fault_pays_twice_loses_an_output_or_passes_the_cap() {
    for seed in seeds(40, 20_000) {
        let mut world = World::new(seed, Faults::all());
        let outcome = world.run();
        world.check_books();
        assert!(
            matches!(outcome, RunOutcome::Done | RunOutcome::Failed),
            "seed {seed} ended {outcome:?}"
        );
    }
}

#[test]
fn a_replayed_run_equals_the_live_one() {
    for seed in seeds(6, 500) {
        let mut world = World::new(seed, Faults::all());
        while world.step() {
            if world.steps_taken().is_multiple_of(17) {
                world.check_replay();
            }
        }
        world.check_replay();
    }
}

#[test]
fn an_input_that_comes_twice_changes_nothing_the_second_time() {
    for seed in seeds(6, 500) {
        let mut world = World::new(seed, Faults::none());
        world.double_everything = true;
        assert_eq!(world.run(), RunOutcome::Done, "seed {seed}");
        world.check_books();
    }
}

#[test]
fn a_page_that_does_not_start_at_the_cursor_is_late_and_changes_nothing() {
    let mut world = World::new(16, Faults::none());
    let start = world.chain.genesis();
    while world.publications() < 3 {
        assert!(world.step());
    }
    let old = world.chain.read_logs(&[start]).expect("blocks came since");
    for _ in 0..40 {
        assert!(world.step());
    }
    let before = world.journal.len();
    let LogRead::Advanced(page) = &old else { panic!("{old:?}") };
    let ahead = BlockRef { number: u64::MAX, ..page.to };
    world.feed_once(Input::Logs(old));
    world.feed_once(Input::Logs(LogRead::Rewound(ahead)));
    assert_eq!(world.journal.len(), before);
}

#[test]
fn the_block_that_a_run_began_at_is_never_forgotten() {
    let mut world = World::new(18, Faults::none());
    let mut after = world.chain.genesis();
    let start = after;
    for number in 1..=600 {
        let (to, to_time) = (BlockRef { number, ..after }, ChainTime::from_secs(number));
        let (final_number, final_time, sightings) = (0, ChainTime::default(), Vec::new());
        let page = LogPage { after, to, to_time, final_number, final_time, sightings };
        world.feed_once(Input::Logs(LogRead::Advanced(page)));
        after = to;
    }
    let ring = world.engine.outstanding().into_iter().find_map(|effect| {
        if let Effect::ReadLogs { ring, .. } = effect { Some(ring) } else { None }
    });
    let numbers: Vec<u64> = ring.unwrap().iter().map(|block| block.number).collect();
    let newest = 600 - (super::RING as u64 - 2)..=600;
    assert_eq!(numbers, std::iter::once(start.number).chain(newest).collect::<Vec<_>>());
}

#[test]
fn a_run_that_reads_everything_again_publishes_nothing_new_until_it_has() {
    for seed in 0..20 {
        let mut world = World::new(seed, Faults::none());
        let start = world.chain.genesis();
        let mut rewinds = 0;
        while world.step() {
            if rewinds < 12 && world.steps_taken().is_multiple_of(5) {
                world.feed_once(Input::Logs(LogRead::Rewound(start)));
                rewinds += 1;
            }
        }
        world.check_books();
        assert_eq!(world.payments().len(), world.items(), "seed {seed}");
        let (mut cursor, mut until) = (0, 0);
        for (_, event) in &world.journal {
            if matches!(event, Event::LogsRewound { to } if *to == start) {
                until = std::mem::take(&mut cursor);
            } else if let Event::LogsRead { to, .. } = event {
                cursor = to.number;
            } else if let Event::SlotReserved { call: Call::PublishTask { .. }, .. } = event {
                assert!(cursor >= until, "seed {seed}: at {cursor}, before {until}");
            }
        }
        assert!(until > 0, "seed {seed}: nothing was taken back");
    }
}

#[test]
fn a_task_that_the_log_stream_passed_unknown_is_read_at_once() {
    let mut world = World::new(17, Faults::none());
    while world.publications() < 3 {
        assert!(world.step());
    }
    // As after an old copy was put back: the logs are read before the slot's bytes are known.
    let mut start = world.chain.genesis();
    for (_, event) in &world.journal {
        if let Event::LogsRead { to, .. } = event {
            start = *to;
        }
    }
    let Some(LogRead::Advanced(page)) = world.chain.read_logs(&[start]) else { panic!("a page") };
    assert!(!page.sightings.is_empty());
    world.feed_once(Input::Logs(LogRead::Advanced(LogPage { sightings: Vec::new(), ..page })));
    assert_eq!(world.run(), RunOutcome::Done);
    world.check_books();
    let silence = |event: &Event| matches!(event, Event::Due { timers } if timers.iter().any(|t| matches!(t, Timer::Silence(_))));
    assert_eq!(world.count(silence), 0, "nothing waited for a tenth of its life");
}

#[test]
fn a_run_stops_at_its_cap_and_goes_on_with_a_higher_one() {
    let mut world = World::with_cap(3, Faults::none(), 12_000);
    assert_eq!(world.run(), RunOutcome::PausedBudget);
    let paid = world.payments().len();
    assert!(paid < world.items());
    world.check_books();
    world.resume(None);
    assert_eq!(world.run(), RunOutcome::Done);
    assert_eq!(world.payments().len(), world.items());
    world.check_books();
}

#[test]
fn a_drained_run_starts_nothing_new_and_collects_what_is_open() {
    let mut world = World::new(4, Faults::none());
    for _ in 0..60 {
        world.step();
    }
    let until = Timestamp::from_millis(u64::MAX / 2);
    world.feed(Input::Drain { until });
    let reserved = world.reservations();
    assert_eq!(world.run(), RunOutcome::Stopped);
    assert_eq!(world.publications(), reserved.0);
    world.check_books();
    world.resume(world.cap);
    assert_eq!(world.run(), RunOutcome::Done);
    assert_eq!(world.payments().len(), world.items());
}

#[test]
fn a_run_that_is_left_has_published_what_waits_for_no_answer_and_pays_nothing_twice() {
    for seed in seeds(20, 500) {
        let mut world = World::new(seed, Faults::none());
        let mut left = 0;
        while world.step() {
            if left == 3 || !world.has_published_all() {
                continue;
            }
            left += 1;
            let published = world.publications();
            assert_eq!(published, world.reservations().0, "seed {seed}: one is under way");
            world.leave();
            assert_eq!(world.run(), RunOutcome::Stopped, "seed {seed}");
            assert_eq!(world.publications(), published, "seed {seed}");
            world.resume(world.cap);
        }
        assert_eq!(world.run(), RunOutcome::Done, "seed {seed}");
        world.check_books();
        assert_eq!(left, 3, "seed {seed}: it never waited for an answer alone");
        assert_eq!(world.payments().len(), world.items(), "seed {seed}");
    }
}

#[test]
fn replies_alone_never_move_a_task_to_another_slot() {
    for outcome in [
        SendOutcome::Unknown,
        SendOutcome::MaybeUsed,
        SendOutcome::Conflict,
        SendOutcome::Gap,
        SendOutcome::Full,
        SendOutcome::NoFunds,
        SendOutcome::Bad,
        SendOutcome::NodePolicy,
        SendOutcome::StaleNode,
        SendOutcome::SlowDown,
        SendOutcome::TooCheap,
    ] {
        let mut world = World::new(5, Faults::none());
        world.every_reply = Some(outcome);
        assert_eq!(world.run(), RunOutcome::Done, "{outcome:?}");
        assert_eq!(world.publications(), world.items(), "{outcome:?}");
        world.check_books();
    }
}

#[test]
fn a_wallet_that_is_used_elsewhere_is_never_published_with_again() {
    for finds_uses in [true, false] {
        let mut world = World::new(6, Faults::none());
        world.chain.steal_nonce = Some(5);
        world.chain.finds_uses = finds_uses;
        assert_eq!(world.run(), RunOutcome::Quarantined);
        assert!(world.engine.foreign_slots() == 1);
        let end = SlotEnd::Foreign { tx_hash: finds_uses.then_some(world::STRANGER) };
        let by = |event: &Event| matches!(event, Event::SlotFinal { end: e, .. } if *e == end);
        assert_eq!(world.count(by), 1);
        let before = world.reservations();
        world.feed(Input::Tick);
        assert_eq!(world.reservations(), before);
    }
}

#[test]
fn a_task_that_nobody_takes_is_published_anew_after_its_expiry_and_then_fails() {
    let mut world = World::new(7, Faults::none());
    world.chain.silent_items = vec![TaskId::new(0, 2)];
    world.allow_failures(1);
    assert_eq!(world.run(), RunOutcome::Done);
    assert_eq!(world.publications_of(TaskId::new(0, 2)), 3);
    assert_eq!(world.engine.mark_of(TaskId::new(0, 2)), Mark::Failed);
    assert!(world.outcome_of(TaskId::new(0, 2)).is_some_and(|o| matches!(o, Outcome::Failed(_))));
    world.check_books();
}

#[test]
fn a_step_that_fails_publishes_nothing_more_and_its_readers_never_start() {
    let mut world = World::new(8, Faults::none());
    world.chain.silent_items = (0..4).map(|item| TaskId::new(0, item)).collect();
    assert_eq!(world.run(), RunOutcome::Failed);
    let upstream = world.journal.iter().any(|(_, event)| {
        matches!(event, Event::StepEnded { step: 2, end: super::StepEnd::Upstream })
    });
    assert!(upstream);
    world.check_books();
}

#[test]
fn a_response_that_is_paid_and_refused_is_counted_apart() {
    let mut world = World::new(9, Faults::none());
    world.wrong_items = vec![TaskId::new(0, 1), TaskId::new(1, 0)];
    world.allow_failures(5);
    assert_eq!(world.run(), RunOutcome::Done);
    // Step 0's source pays by itself, step 1's waits for our confirm.
    let paid = world.outcome_of(TaskId::new(0, 1));
    assert!(matches!(paid, Some(Outcome::RejectedPaid { .. })), "{paid:?}");
    let unpaid = world.outcome_of(TaskId::new(1, 0));
    assert!(matches!(unpaid, Some(Outcome::Failed(_))), "{unpaid:?}");
    world.check_books();
}

#[test]
fn a_deposit_goes_through_a_slot_of_its_own_once_and_ends_the_run_when_it_is_final() {
    for chaos in [Faults::none(), Faults::all()] {
        let mut world = World::without_steps(10, chaos);
        let deposit = Input::Deposit { account: Address::ZERO, amount: Wei::from_u128(5) };
        world.feed(deposit.clone());
        world.feed(deposit);
        assert_eq!(world.run(), RunOutcome::Done);
        assert_eq!(world.transactions(), 1);
    }
}

#[test]
fn stale_tasks_are_taken_back_through_a_slot_each_once() {
    for (seed, chaos) in [(30, Faults::none()), (31, Faults::all()), (32, Faults::all())] {
        let mut world = World::without_steps(seed, chaos);
        let stale = |byte| Stale { task: Address::repeat_byte(byte), gas_limit: world::GAS };
        let tasks: Vec<Stale> = (1..=11).map(stale).collect();
        world.feed(Input::Reclaim { tasks: tasks.clone() });
        world.feed(Input::Reclaim { tasks });
        world.check_replay();
        assert_eq!(world.run(), RunOutcome::Done, "seed {seed}");
        world.check_replay();
        assert_eq!(world.transactions(), 11, "seed {seed}");
        let ledger = world.engine.ledger();
        assert_eq!((ledger.reserved, ledger.escrowed), (Wei::ZERO, Wei::ZERO), "seed {seed}");
    }
}

#[test]
fn what_takes_more_gas_than_the_cap_allows_is_not_taken_back() {
    let mut world = World::without_steps(33, Faults::none());
    world.resume(Some(Wei::from_u128(1)));
    let stale = Stale { task: Address::repeat_byte(1), gas_limit: world::GAS };
    world.feed(Input::Reclaim { tasks: vec![stale] });
    assert_eq!(world.run(), RunOutcome::PausedBudget);
    assert_eq!(world.transactions(), 0);
}

#[test]
fn a_deposit_that_the_wallet_does_not_hold_is_never_signed() {
    let mut world = World::without_steps(11, Faults::none());
    world.resume(None);
    let amount = Wei::from_u128(u128::MAX);
    world.feed(Input::Deposit { account: Address::ZERO, amount });
    assert_eq!(world.run(), RunOutcome::PausedFunds);
    assert_eq!(world.transactions(), 0);
}

/// A node that was started anew has lost the whole line, not its head alone.
#[test]
fn what_holds_up_its_lane_is_sent_again_with_all_that_waits_behind_it() {
    let mut world = World::new(5, Faults::none());
    world.chain.stands = true;
    let sent = |world: &World| {
        let mut sent = std::collections::BTreeMap::new();
        for (_, event) in &world.journal {
            let Event::Sent { sends, .. } = event else { continue };
            sends.iter().for_each(|note| *sent.entry(note.nonce).or_insert(0) += 1);
        }
        sent
    };
    let looked = |event: &Event| matches!(event, Event::Due { timers } if timers.iter().any(|t| matches!(t, Timer::Bump(_))));
    while world.count(looked) == 0 {
        assert!(world.step());
    }
    let before = sent(&world);
    assert!(before.len() > 3 && before.values().all(|count| *count == 1), "{before:?}");
    for _ in 0..40 {
        world.step();
    }
    let after = sent(&world);
    assert!(before.keys().all(|nonce| after[nonce] == 2), "{after:?}");
}

#[test]
fn a_slot_that_is_refused_for_its_fee_is_raised_once_for_each_look_at_the_market() {
    let mut world = World::new(6, Faults::none());
    world.every_reply = Some(SendOutcome::TooCheap);
    let mut raised = std::collections::BTreeMap::new();
    for _ in 0..600 {
        world.step();
    }
    let mut most = 0;
    for (_, event) in &world.journal {
        if let Event::Surveyed(_) = event {
            raised.clear();
        }
        if let Event::VersionWanted { slot, .. } = event {
            let count = raised.entry(*slot).or_insert(0);
            *count += 1;
            most = most.max(*count);
        }
    }
    assert_eq!(most, 1);
}
