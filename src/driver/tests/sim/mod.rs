//! Simulation: the whole program but its sockets, against nodes that are simulated request by
//! request, under virtual time (safety.md, section 12).
//!
//! `life` runs a process and kills it, `begin` is what it was started for, `journal` is what survives; `wire`, `node` and `getters`
//! are nodes behind a bad wire, `world` mines, reorgs and forgets, `contracts` and `market` are
//! what happens on the chain. `books` and `ending` are the oracle. Everything that chance decides
//! comes from the seed: `SEED=n` tells one story again, `LONG=1` tells many more, and `CASES=n` as
//! many of each part.

#![expect(clippy::wildcard_enum_match_arm, reason = "each question is about one kind of fact")]

mod begin;
mod books;
mod content;
mod contracts;
mod dice;
mod ending;
mod garbled;
mod getters;
mod journal;
mod life;
mod market;
mod matrix;
mod mutant;
mod node;
mod points;
mod pool;
mod scenery;
mod setting;
mod wire;
mod world;

use super::setting_of_the_test;
use life::{Told, tell};
use pool::Profile;
use scenery::Steps;
use setting::{Mutation, Rates, Setting};

use crate::units::Finality;

/// Stories per test and change.
const STORIES: u64 = 60;
/// The same in the long tier.
const LONG_STORIES: u64 = 2_500;

/// The part in which each run is cancelled.
const CANCELED: u64 = 6;

/// Seeds of long runs that went wrong once.
const ONCE_WRONG: [u64; 18] = [
    1_000_490, 1_001_072, 1_003_009, 1_003_403, 1_005_635, 1_005_708, 2_000_273, 2_000_502,
    2_001_380, 2_002_022, 3_000_163, 3_000_727, 4_000_763, 4_007_393, 4_008_558, 6_002_099,
    6_008_385, 6_008_575,
];

/// Tells the stories of one part of all seeds; says which one went wrong.
#[expect(clippy::disallowed_macros, reason = "a test says what it did")]
fn stories(part: u64) {
    let seeds: Vec<u64> = match (setting_of_the_test("SEED"), setting_of_the_test("LONG")) {
        (Some(seed), _) => vec![seed],
        (None, long) => {
            let usual = if long.is_some() { LONG_STORIES } else { STORIES };
            let count = setting_of_the_test("CASES").unwrap_or(usual);
            let once_wrong = ONCE_WRONG.into_iter().filter(|seed| seed / 1_000_000 == part);
            (0..count).map(|number| part * 1_000_000 + number).chain(once_wrong).collect()
        }
    };
    let (mut tasks, mut kills, mut reorgs, mut faults) = (0, 0, 0, 0);
    let mut wrong = Vec::new();
    for seed in &seeds {
        let setting = Setting::of(*seed);
        match tell(if part == CANCELED { setting.canceled() } else { setting }) {
            Ok(Told { counts, tasks: (published, _), .. }) => {
                tasks += published;
                kills += counts.kills;
                reorgs += counts.reorgs;
                faults += counts.faults;
            }
            Err(why) => {
                eprintln!("SEED={seed}: {why}");
                wrong.push(*seed);
            }
        }
    }
    let stories = seeds.len();
    eprintln!("{stories} stories, {tasks} tasks, {kills} kills, {reorgs} reorgs, {faults} faults");
    assert!(wrong.is_empty(), "{} of {stories} went wrong: {wrong:?}", wrong.len());
}

macro_rules! parts {
    ($($name:ident = $part:literal;)*) => {
        $(
            #[test]
            fn $name() {
                stories($part);
            }
        )*
    };
}

parts! {
    whatever_goes_wrong_nothing_is_paid_twice_or_lost_1 = 1;
    whatever_goes_wrong_nothing_is_paid_twice_or_lost_2 = 2;
    whatever_goes_wrong_nothing_is_paid_twice_or_lost_3 = 3;
    whatever_goes_wrong_nothing_is_paid_twice_or_lost_4 = 4;
    whatever_goes_wrong_nothing_is_paid_for_what_was_cancelled = 6;
}

#[test]
fn the_same_seed_tells_the_same_story() {
    for seed in 1..10 {
        assert_eq!(tell(Setting::of(seed)), tell(Setting::of(seed)), "seed {seed}");
    }
}

/// What the oracle says of the first of some stories that a mutation spoils.
fn caught(mutation: Mutation, change: impl Fn(&mut Setting)) -> String {
    let mut wrong = (0..40).filter_map(|seed| {
        let mut setting = Setting { mutation, eager: true, ..Setting::of(9_000_000 + seed) };
        change(&mut setting);
        tell(setting).err()
    });
    wrong.next().expect("forty stories, and the oracle saw nothing")
}

#[test]
fn a_journal_that_answers_before_it_has_stored_is_caught() {
    let why = caught(Mutation::AnswersFirst, |_| {});
    assert!(why.starts_with("S2: "), "{why}");
}

#[test]
fn bytes_that_a_journal_lost_are_missed_even_if_nobody_looks_before_they_leave() {
    let change = |setting: &mut Setting| setting.kills = 4;
    let why = caught(Mutation::AnswersFirstUnseen, change);
    assert!(
        why.starts_with('S') || why.contains("Quarantined") || why.contains("stopped"),
        "{why}"
    );
}

#[test]
fn a_sender_that_takes_another_nonce_is_caught() {
    let why = caught(Mutation::OtherNonce, |_| {});
    assert!(why.starts_with("S3: "), "{why}");
}

#[test]
fn a_sender_that_publishes_anew_what_got_no_reply_pays_twice() {
    let change = |setting: &mut Setting| setting.rates.wire = 200;
    let why = caught(Mutation::SendsAnew, change);
    assert!(why.starts_with("S1: ") && why.contains("was paid 2 times"), "{why}");
}

#[test]
fn a_node_that_calls_blocks_final_which_it_takes_back_is_caught() {
    let change = |setting: &mut Setting| {
        let settled = (Finality::Tag, 3);
        (setting.finality, setting.unsettled) = settled;
        (setting.scenery, setting.cap) = ((Steps::Automatic, 16), None);
        setting.rates = Rates { reorg: 300, ..Rates::default() };
    };
    let why = caught(Mutation::CallsFinalTooEarly, change);
    assert!(why.starts_with("S4: "), "{why}");
}

/// safety.md, section 9: 100,000 tasks in three hours may take 12,000 exchanges, and 3,200 for
/// confirms where the client makes them. Log polls and surveys go by time: here 100,000 tasks take
/// less than two hours. A short run pays for its beginning and its end beside that.
#[expect(clippy::disallowed_macros, reason = "a test says what it measured")]
#[test]
fn a_run_stays_within_its_budget_of_requests() {
    let tasks: u32 = if setting_of_the_test("LONG").is_some() { 25_000 } else { 1_000 };
    let kinds = [(Steps::ManyPaid(tasks), 36, 100), (Steps::Many(tasks), 72, 136)];
    for (steps, room, budget) in kinds {
        let told = tell(Setting {
            scenery: (steps, 256),
            profile: Profile::Anvil,
            nodes: 1,
            block_ms: 1_000,
            room,
            finality: Finality::Depth(1),
            batch: 100,
            unsettled: 0,
            timing: crate::chain::rpc::Timing::remote(),
            log_span: 10_000,
            books: false,
            ..Setting::of(0).calm()
        });
        let Told { counts, kinds, tasks: done, took, .. } = told.unwrap();
        let count = usize::try_from(tasks).unwrap();
        assert_eq!(done, (count, count));
        let (exchanges, budget) = (counts.packets, u64::from(tasks) * budget / 1_000 + 65);
        eprintln!("{steps:?} took {exchanges} exchanges in {took} ms: {kinds:#?}");
        assert!(exchanges <= budget, "{exchanges} exchanges, the budget is {budget}");
    }
}
