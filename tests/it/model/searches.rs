//! The searches: every state within the bounds, and what the broken rules lead to.

use std::time::Instant;

use stateright::{Checker, Expectation, Model};

use super::SlotProtocol;
use super::bounds::{Bounds, Delivery};
use super::mutations::Mutation;
use super::properties::{self as reach, DONE, Milestone, S3, S5};
use super::state::Faults;

const NONE: Faults = Bounds::SLOTS.faults;
const ONE_OF_EACH: Faults = Faults { foreign: 1, reverts: 1, reorgs: 1, ..NONE };
const WITHOUT_FOREIGN: Faults = Faults { foreign: 0, ..ONE_OF_EACH };
/// Threads of a search; other tests run beside it.
const THREADS: usize = 2;

/// The first bounds, or the second if `LONG` asks for them.
#[expect(clippy::disallowed_methods, reason = "the settings of a test run")]
pub(super) fn tier(short: Bounds, long: Bounds) -> Bounds {
    if std::env::var("LONG").is_ok() { long } else { short }
}

#[expect(clippy::disallowed_methods, reason = "how long the search took is printed")]
fn now() -> Instant {
    Instant::now()
}

#[expect(clippy::disallowed_macros, reason = "what was searched is part of the result")]
fn say(text: &str) {
    println!("{text}");
}

/// Visits every state and returns the names of the properties that were found: broken ones, and
/// reachable ones that were reached.
fn found(model: SlotProtocol) -> Vec<&'static str> {
    let began = now();
    let checker = model.checker().threads(THREADS).spawn_dfs().join();
    let rule = model.mutation.map_or_else(String::new, |m| format!("{m:?} with "));
    let (unique, total) = (checker.unique_state_count(), checker.state_count());
    let (depth, took) = (checker.max_depth(), began.elapsed());
    say(&format!(
        "{rule}{}: {unique} states, {total} steps, depth {depth}, {took:.1?}",
        model.bounds
    ));
    let mut names = Vec::new();
    for property in checker.model().properties() {
        let Some(path) = checker.discovery(property.name) else { continue };
        if property.expectation == Expectation::Always && model.mutation.is_none() {
            say(&format!("{} is broken by {:?}", property.name, path.into_actions()));
        }
        names.push(property.name);
    }
    names
}

/// Asserts that the sound protocol breaks nothing within the bounds, and that what must be
/// possible is.
fn holds(bounds: Bounds, milestones: &'static [Milestone]) {
    let model = SlotProtocol { bounds, mutation: None, milestones };
    let properties = model.properties();
    let reachable = properties.iter().filter(|p| p.expectation == Expectation::Sometimes);
    let reachable: Vec<&str> = reachable.map(|property| property.name).collect();
    assert_eq!(found(model), reachable, "{bounds}");
}

/// Asserts that a broken rule breaks these properties within the bounds and no others.
pub(super) fn holds_but_for(mutation: Mutation, bounds: Bounds, broken: &[&'static str]) {
    let model = SlotProtocol { bounds, mutation: Some(mutation), milestones: &[] };
    let mut all = broken.to_vec();
    all.push(DONE);
    assert_eq!(found(model), all, "{mutation:?} with {bounds}");
}

/// Asserts that a broken rule breaks each property in so many steps and not in fewer, and that the
/// sound rule breaks none within the same bounds.
pub(super) fn breaks(mutation: Mutation, bounds: Bounds, properties: &[(&'static str, usize)]) {
    let model = |mutation| SlotProtocol { bounds, mutation, milestones: &[] };
    assert_eq!(found(model(None)), [DONE], "the sound rule with {bounds}");
    for (property, steps) in properties {
        let counterexample = |steps: usize| {
            // The first state has depth 1, and the target depth itself is not looked at.
            let search = model(Some(mutation)).checker().target_max_depth(steps + 2);
            let search = search.spawn_bfs().join();
            search.discovery(property).map(|path| (search.unique_state_count(), path))
        };
        assert!(counterexample(steps - 1).is_none(), "{mutation:?} breaks {property} sooner");
        let Some((states, path)) = counterexample(*steps) else {
            panic!("{mutation:?} does not break {property} in {steps} steps with {bounds}");
        };
        let actions = path.into_actions();
        say(&format!(
            "{mutation:?} breaks {property}: {steps} steps, {states} states: {actions:?}"
        ));
    }
}

#[test]
fn slots_keep_every_promise_through_reorgs() {
    let faults = Faults { reorgs: 2, ..ONE_OF_EACH };
    let short = Bounds { nonces: 2, faults, ..Bounds::SLOTS };
    let bounds = tier(short, Bounds { nonces: 3, ..short });
    holds(bounds, &[reach::CANCELED, reach::PUBLISHED_ALL_THE_SAME]);
}

#[test]
fn slots_keep_every_promise_on_a_longer_lane() {
    let short = Bounds { versions: 1, faults: ONE_OF_EACH, ..Bounds::SLOTS };
    let bounds = tier(short, Bounds { nonces: 4, versions: 2, ..short });
    holds(bounds, &[reach::CANCELED, reach::AFTER_A_REVERT, reach::AFTER_A_FOREIGN_USE]);
}

#[test]
fn three_tasks_keep_every_promise() {
    let short = Bounds { tasks: 3, versions: 1, faults: WITHOUT_FOREIGN, ..Bounds::SLOTS };
    let bounds = tier(short, Bounds { nonces: 5, faults: ONE_OF_EACH, ..short });
    holds(bounds, &[reach::CANCELED, reach::PUBLISHED_ALL_THE_SAME]);
}

#[test]
fn rounds_and_confirms_keep_every_promise() {
    let short = Bounds { rounds: 2, responses: 2, faults: WITHOUT_FOREIGN, ..Bounds::RUNS };
    let long = Bounds { nonces: 4, cancels: true, faults: ONE_OF_EACH, ..short };
    let milestones = &[reach::AFTER_A_REVERT, reach::SECOND_ROUND, reach::SECOND_RESPONSE];
    holds(tier(short, long), milestones);
}

#[test]
fn two_tasks_that_are_confirmed_keep_every_promise() {
    let short = Bounds { tasks: 2, nonces: 4, faults: WITHOUT_FOREIGN, ..Bounds::RUNS };
    holds(tier(short, Bounds { rounds: 2, ..short }), &[]);
}

#[test]
fn a_source_that_pays_by_itself_is_never_paid_for_two_rounds() {
    let short = Bounds {
        delivery: Delivery::First,
        rounds: 2,
        faults: ONE_OF_EACH,
        cancels: true,
        ..Bounds::RUNS
    };
    let faults = Faults { takeovers: 1, reorgs: 2, ..ONE_OF_EACH };
    let long = Bounds { nonces: 4, faults, ..short };
    holds(tier(short, long), &[reach::SECOND_ROUND, reach::AFTER_A_REVERT]);
}

#[test]
fn a_process_that_lost_its_lane_does_no_harm_when_it_wakes() {
    let faults = Faults { takeovers: 1, ..WITHOUT_FOREIGN };
    let short = Bounds { rounds: 2, faults, ..Bounds::RUNS };
    let long = Bounds { responses: 2, cancels: true, ..short };
    holds(tier(short, long), &[reach::TURNED_AWAY, reach::SECOND_ROUND]);
    let short = Bounds { tasks: 1, nonces: 2, ..Bounds { faults, ..Bounds::SLOTS } };
    let long = Bounds { tasks: 2, faults: Faults { takeovers: 1, ..ONE_OF_EACH }, ..short };
    holds(tier(short, long), &[reach::TURNED_AWAY, reach::CANCELED]);
}

#[test]
fn a_journal_put_back_adopts_what_the_chain_has_and_pays_nothing_twice() {
    let faults = Faults { copies: 1, ..WITHOUT_FOREIGN };
    let short =
        Bounds { tasks: 2, versions: 1, window: 2, cancels: false, faults, ..Bounds::SLOTS };
    let long = Bounds { nonces: 4, faults: Faults { foreign: 1, ..faults }, ..short };
    holds(tier(short, long), &[reach::ADOPTED]);
}

#[test]
fn a_journal_put_back_keeps_rounds_and_confirms_apart() {
    let faults = Faults { copies: 1, ..WITHOUT_FOREIGN };
    let short = Bounds { nonces: 4, window: 1, faults, ..Bounds::RUNS };
    let long = Bounds { nonces: 5, rounds: 2, responses: 2, ..short };
    holds(tier(short, long), &[reach::ADOPTED, reach::PUBLISHED_ANEW]);
}

/// A known gap of the protocol: what was canceled stands in the journal alone, so an older copy of
/// it forgets, and a run read from the chain publishes the task after all. If this fails, the gap
/// is closed: turn it into a promise.
#[test]
fn a_journal_put_back_forgets_what_was_canceled() {
    let faults = Faults { copies: 1, ..NONE };
    let bounds = Bounds { tasks: 1, versions: 1, window: 1, faults, ..Bounds::SLOTS };
    let model = SlotProtocol { bounds, mutation: None, milestones: &[] };
    assert_eq!(found(model), [S3, S5, DONE]);
}
