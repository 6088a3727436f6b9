//! The cap, at every instant: gas that a later confirm needs, fees that rise and fall.
//!
//! The world checks the cap after every fact, by its own books and by the ledger.

use super::world::{Faults, GAS, PAYMENT, World};
use super::{RunOutcome, seeds};
use crate::engine::{Event, Input, Outcome};
use crate::plan::OnExceed;
use crate::units::{Call, TaskId, Wei};
use alloy::primitives::Address;

/// What one task of a manual source takes at the lowest price of gas.
const TASK: u128 = PAYMENT + 2 * GAS as u128;

fn wei(amount: u128) -> Option<Wei> {
    Some(Wei::from_u128(amount))
}

/// A run of one manual step that has published `count` tasks, all final, and knows a new price of
/// gas before anybody responds.
fn published(seed: u64, cap: u128, count: u64, price: u64) -> World {
    published_by(World::manual(seed, Faults::none(), cap), count, price)
}

fn published_by(mut world: World, count: u64, price: u64) -> World {
    world.chain.silent_items = (0..world.width(0)).map(|item| TaskId::new(0, item)).collect();
    let gas = Wei::from_u128(u128::from(GAS) - 1).saturating_mul(count);
    while world.engine.ledger().gas < gas {
        assert!(world.step());
    }
    world.chain.price = price;
    let surveys = |world: &World| world.count(|event| matches!(event, Event::Surveyed(_)));
    let before = surveys(&world);
    while surveys(&world) == before {
        assert!(world.step());
    }
    world.chain.silent_items.clear();
    assert_eq!(world.reservations(), (usize::try_from(count).unwrap(), 0));
    world
}

#[test]
fn a_cap_that_ends_anywhere_pays_for_the_confirm_of_all_that_it_let_be_published() {
    for cap in (TASK..13 * TASK).step_by(97) {
        let mut world = World::manual(1, Faults::none(), cap);
        let outcome = world.run();
        let bought = world.publications();
        assert_eq!(world.collected(), bought, "within {cap}");
        let all = bought == world.items();
        let expected = if all { RunOutcome::Done } else { RunOutcome::PausedBudget };
        assert_eq!(outcome, expected, "within {cap}");
        world.check_books();
        world.check_replay();
    }
}

#[test]
fn a_cap_that_suffices_once_the_gas_of_what_was_published_is_known_is_not_reached() {
    // Every publication costs one less than was held for it.
    let mut world = World::manual(2, Faults::none(), 12 * TASK - 11);
    world.chain.silent_items = (0..world.width(0)).map(|item| TaskId::new(0, item)).collect();
    while world.publications() < world.items() {
        assert!(world.step(), "stopped after {}", world.publications());
    }
    assert_eq!(world.count(|event| matches!(event, Event::BudgetReached { .. })), 0);
}

#[test]
fn a_cap_of_exactly_what_everything_takes_lets_the_run_finish() {
    let mut world = World::manual(2, Faults::none(), 12 * TASK);
    assert_eq!(world.run(), RunOutcome::Done);
    world.check_books();
}

#[test]
fn no_cap_is_passed_at_any_instant_while_fees_rise_and_fall() {
    for seed in seeds(12, 4_000) {
        for faults in [Faults::spikes(), Faults::all_and_spikes()] {
            let cap = 5_000 + 1_300 * u128::from(seed % 29);
            let mut world = World::with_cap(seed, faults, cap);
            while world.run() != RunOutcome::Done {
                assert_eq!(world.engine.outcome(), Some(RunOutcome::PausedBudget), "seed {seed}");
                world.check_books();
                let higher = world.cap.unwrap().saturating_add(Wei::from_u128(4_000));
                world.resume(Some(higher));
            }
            world.check_books();
            world.check_replay();
            assert_eq!(world.collected(), world.items(), "seed {seed}");
            assert_eq!(world.publications(), world.items(), "seed {seed}");
        }
    }
}

#[test]
fn a_confirm_that_has_become_too_dear_waits_until_fees_fall() {
    let mut world = published(3, 4 * TASK, 4, 9);
    while world.engine.waiting_confirms() < 4 {
        assert!(world.step());
    }
    for _ in 0..100 {
        assert!(world.step(), "it waits");
    }
    assert_eq!(world.reservations(), (4, 0));
    world.chain.price = 1;
    assert_eq!(world.run(), RunOutcome::PausedBudget);
    assert_eq!(world.collected(), 4);
    world.check_books();
}

#[test]
fn a_confirm_that_stays_too_dear_pauses_the_run_and_a_higher_cap_collects_it() {
    for on_exceed in [OnExceed::Pause, OnExceed::Stop] {
        let mut world = published(4, 4 * TASK, 4, 50);
        world.limit(|limits| limits.on_exceed = on_exceed);
        assert_eq!(world.run(), RunOutcome::PausedBudget, "never over for good");
        assert_eq!(world.reservations(), (4, 0));
        assert_eq!(world.collected(), 0);
        let said = world.journal.iter().rev().find_map(|(_, event)| {
            if let Event::BudgetReached { needed } = event { Some(*needed) } else { None }
        });
        world.check_books();
        world.check_replay();
        // The same cap again: nothing is spent, nothing is lost.
        world.resume(world.cap);
        assert_eq!(world.run(), RunOutcome::PausedBudget);
        assert_eq!(world.reservations(), (4, 0));
        let needed = said.expect("the budget was what lacked");
        assert!(Some(needed) > world.cap);
        world.resume(Some(needed));
        world.run();
        assert!(world.collected() >= 1, "what it asked for is enough for one more");
        world.resume(wei(1_000_000));
        assert_eq!(world.run(), RunOutcome::Done);
        assert_eq!(world.collected(), world.items());
        world.check_books();
    }
}

#[test]
fn a_confirm_that_the_wallet_cannot_pay_pauses_the_run_for_funds() {
    let mut world = published(5, 1_000_000_000, 6, 200_000);
    assert_eq!(world.run(), RunOutcome::PausedFunds);
    assert_eq!(world.reservations().1, 0);
    world.chain.price = 1;
    world.resume(world.cap);
    assert_eq!(world.run(), RunOutcome::Done);
    assert_eq!(world.collected(), world.items());
    world.check_books();
}

#[test]
fn the_wallet_holds_the_gas_of_every_confirm_that_it_let_become_due() {
    let mut world = World::manual(6, Faults::none(), 1_000_000);
    // Enough for the whole of three tasks, and for four or five publications.
    world.chain.wallet = Wei::from_u128(6 * u128::from(GAS) + 50);
    world.run();
    assert_eq!(world.engine.outcome(), Some(RunOutcome::PausedFunds));
    assert_eq!(world.collected(), world.publications());
    assert!(world.publications() >= 3);
    world.check_books();
}

#[test]
fn a_later_look_at_the_wallet_does_not_free_what_is_kept_for_confirms() {
    let mut world = World::manual(6, Faults::none(), 1_000_000);
    // Three tasks; the gas of their publications is paid when the balance is read anew.
    world.chain.wallet = Wei::from_u128(6 * u128::from(GAS) + 50);
    let mut world = published_by(world, 3, 1);
    assert_eq!(world.run(), RunOutcome::PausedFunds);
    assert_eq!((world.publications(), world.collected()), (3, 3));
    world.check_books();
}

#[test]
fn while_a_confirm_waits_nothing_new_is_tried_and_the_budget_is_not_called_reached() {
    let mut world = published(14, 20_000, 6, 150);
    let first = world.journal.iter().find_map(|(_, event)| {
        if let Event::SlotReserved { task, .. } = event { Some(*task) } else { None }
    });
    // One of the six makes room for another publication, which would not fit either.
    world.wrong_items = vec![first.unwrap()];
    world.allow_failures(1);
    while world.engine.waiting_confirms() < 5 || world.engine.open_tasks() > 5 {
        assert!(world.step());
    }
    for _ in 0..50 {
        assert!(world.step());
    }
    assert_eq!(world.count(|event| matches!(event, Event::BudgetReached { .. })), 0);
    world.chain.price = 1;
    assert_eq!(world.run(), RunOutcome::Done);
    assert_eq!(world.collected(), world.items() - 1);
    world.check_books();
}

#[test]
fn a_confirm_that_is_paid_for_does_not_wait_behind_one_that_is_not() {
    let mut world = published(14, 4 * TASK, 4, 1);
    // All but one were published by an older release, and the cap has no room for their confirms.
    let mut kept = 0;
    world.forget_confirm_reserves(|_| {
        kept += 1;
        kept < 4
    });
    let committed = world.engine.ledger().committed();
    assert_eq!(committed, Wei::from_u128(4 * (PAYMENT + u128::from(GAS) - 1) + u128::from(GAS)));
    world.resume(Some(committed));
    assert_eq!(world.run(), RunOutcome::PausedBudget);
    assert_eq!(world.collected(), 1);
    world.resume(wei(1_000_000));
    assert_eq!(world.run(), RunOutcome::Done);
    assert_eq!(world.collected(), world.items());
    world.check_books();
}

#[test]
fn higher_fees_for_a_slot_that_nobody_mines_stay_within_the_cap() {
    let mut world = World::manual(15, Faults::none(), 12 * TASK);
    // Nothing that is sent at the first price is ever mined.
    while world.reservations().0 == 0 {
        assert!(world.step());
    }
    world.chain.price = 20;
    let wanted = |world: &World| world.count(|event| matches!(event, Event::VersionWanted { .. }));
    for _ in 0..4_000 {
        assert!(world.step());
    }
    assert!((1..6).contains(&wanted(&world)), "{} of six fit", wanted(&world));
    world.chain.price = 1;
    world.run();
    assert_eq!(world.collected(), world.publications());
    world.check_books();
}

#[test]
fn what_was_kept_for_a_confirm_is_free_again_when_the_round_ends_without_one() {
    for seed in seeds(2, 300) {
        for faults in [Faults::none(), Faults::all()] {
            let mut world = World::manual(seed, faults, 60_000);
            world.chain.silent_items = vec![TaskId::new(0, 1), TaskId::new(0, 4)];
            world.wrong_items = vec![TaskId::new(0, 2)];
            world.chain.confirmed_by_others = (5..9).map(|item| TaskId::new(0, item)).collect();
            world.allow_failures(3);
            assert_eq!(world.run(), RunOutcome::Done, "seed {seed}");
            // Nothing is reserved at the end, says `check_books`.
            world.check_books();
            world.check_replay();
            assert_eq!(world.publications_of(TaskId::new(0, 1)), 3, "seed {seed}");
            let paid = (5..9).map(|item| world.outcome_of(TaskId::new(0, item)));
            assert!(paid.flatten().all(|o| matches!(o, Outcome::Confirmed { .. })));
        }
    }
}

#[test]
fn what_was_kept_for_the_confirm_of_a_stolen_publication_is_free_again() {
    let mut world = World::manual(7, Faults::none(), 1_000_000);
    world.chain.steal_nonce = Some(5);
    assert_eq!(world.run(), RunOutcome::Quarantined);
    let stolen_publication = world.journal.iter().any(|(_, event)| {
        matches!(event, Event::SlotReserved { slot, call: Call::PublishTask { .. }, .. }
            if slot.nonce.0 == 5)
    });
    assert!(stolen_publication);
    let kept = Wei::from_u128(u128::from(GAS)).saturating_mul(world.engine.waiting_confirms());
    let reserved = Wei::from_u128(PAYMENT).saturating_add(kept);
    assert_eq!(world.engine.ledger().reserved, reserved);
}

#[test]
fn a_journal_from_before_confirms_were_paid_for_goes_on_within_its_cap() {
    for seed in seeds(6, 300) {
        let mut world = World::with_cap(seed, Faults::none(), 12 * TASK);
        for _ in 0..(100 + 40 * seed) {
            world.step();
        }
        world.forget_confirm_reserves(|_| true);
        while world.run() != RunOutcome::Done {
            assert_eq!(world.engine.outcome(), Some(RunOutcome::PausedBudget), "seed {seed}");
            world.check_books();
            world.resume(world.cap.map(|cap| cap.saturating_add(Wei::from_u128(TASK))));
        }
        assert_eq!(world.collected(), world.items(), "seed {seed}");
        world.check_books();
    }
}

#[test]
fn a_deposit_stays_within_its_cap_with_its_amount_and_its_gas() {
    let amount = Wei::from_u128(5_000);
    let deposit = Input::Deposit { account: Address::ZERO, amount };
    for (cap, fits) in [(4_000, false), (5_099, false), (5_100, true)] {
        let mut world = World::without_steps(12, Faults::none());
        world.resume(wei(cap));
        world.feed(deposit.clone());
        let expected = if fits { RunOutcome::Done } else { RunOutcome::PausedBudget };
        assert_eq!(world.run(), expected, "{cap}");
        assert_eq!(world.transactions(), u64::from(fits));
        world.check_books();
        world.resume(wei(6_000));
        assert_eq!(world.run(), RunOutcome::Done);
        assert_eq!(world.transactions(), 1);
        world.check_books();
    }
}
