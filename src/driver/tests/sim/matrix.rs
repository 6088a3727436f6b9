//! The crash matrix: a process dies at every named place, before and after what happens there, the
//! first, the middle and the last time that it is reached, once and twice in a row.
//!
//! Each part is a story that reaches places of its own. It is told once without a death, which
//! counts them; then once for each death, up to the oracle's last look. Each place is played in the
//! first part that reaches it often enough; `LONG=1` does so under the rules of every client.

use std::collections::{BTreeMap, BTreeSet};

use super::life::{Told, tell};
use super::points::{APPENDS, Death, Edge, OTHERS, Seen};
use super::pool::Profile;
use super::scenery::Steps;
use super::setting::{Errand, Mutation, Rates, Setting};
use super::setting_of_the_test;
use crate::units::{Finality, Wei};

/// A story whose places are played.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Part {
    /// Nothing goes wrong; outputs are large.
    Calm,
    /// Blocks are taken back, pools forget, gas is dear.
    Rough,
    /// Providers respond badly, late or not at all; what failed is tried again.
    Retried,
    /// The run is cancelled.
    Canceled,
    /// The run is stopped, and reaches its budget.
    Stopped,
    /// Money goes into the vault.
    Deposit,
    /// Money comes back out of tasks of an earlier run.
    Reclaim,
    /// Nonces are used up.
    Fence,
}

impl Part {
    const ALL: [Self; 8] = [
        Self::Calm,
        Self::Rough,
        Self::Retried,
        Self::Canceled,
        Self::Stopped,
        Self::Deposit,
        Self::Reclaim,
        Self::Fence,
    ];

    /// The seed of the story: one that reaches what the part is about.
    const fn seed(self) -> u64 {
        match self {
            Self::Calm | Self::Stopped | Self::Deposit | Self::Reclaim | Self::Fence => 2,
            Self::Rough => 114,
            Self::Retried => 58,
            Self::Canceled => 18,
        }
    }

    fn setting(self, profile: Profile) -> Setting {
        let base = Setting {
            scenery: (Steps::Small, 4),
            profile,
            nodes: 1,
            block_ms: 1_000,
            room: 4,
            finality: Finality::Depth(2),
            unsettled: 1,
            timing: crate::chain::rpc::Timing::remote(),
            calm_ms: 60_000,
            log_span: 40,
            ..Setting::of(self.seed()).calm()
        };
        match self {
            Self::Calm => Setting { bulky: true, ..base },
            Self::Rough => {
                let rates =
                    Rates { reorg: 250, drop: 250, spike: 500, stand: 100, ..Rates::default() };
                let (finality, unsettled) = (Finality::Depth(3), 2);
                Setting { rates, finality, unsettled, ..base }
            }
            Self::Retried => {
                let rates = Rates { content: 100, revert: 100, ..Rates::default() };
                Setting { errand: Errand::Retry, eager: false, rates, ..base }
            }
            Self::Canceled => {
                let rates = Rates { stand: 400, drop: 100, ..Rates::default() };
                Setting { errand: Errand::Cancel, eager: false, rates, kills: 1, ..base }
            }
            Self::Stopped => {
                let cap = Some(Wei::parse("0.04 OGPU").unwrap());
                Setting { errand: Errand::Stop, cap, ..base }
            }
            Self::Deposit => Setting { errand: Errand::Deposit, scenery: (Steps::None, 4), ..base },
            Self::Reclaim => Setting { errand: Errand::Reclaim, scenery: (Steps::None, 4), ..base },
            Self::Fence => Setting { errand: Errand::Fence, scenery: (Steps::None, 4), ..base },
        }
    }
}

/// One death among those that are played in a part.
type Case = (Part, Profile, Death);

/// The parts, each told once without a death.
struct First(BTreeMap<Part, Seen>);

impl First {
    fn told(profile: Profile) -> Self {
        let seen = |part: Part| {
            let Told { points: (seen, deaths), .. } = tell(part.setting(profile))
                .unwrap_or_else(|why| panic!("{part:?} under {profile:?} without a death: {why}"));
            assert_eq!(deaths, 0);
            (part, seen)
        };
        Self(Part::ALL.into_iter().map(seen).collect())
    }

    /// The part in which a place is played: the first that reaches it often enough for a first, a
    /// middle and a last time, or the one that reaches it most often.
    fn home(&self, name: &str) -> Option<Part> {
        let count = |part: &Part| {
            let of_name = |(place, edge): &(&str, Edge)| *place == name && *edge == Edge::Before;
            self.0[part].iter().find(|(place, _)| of_name(place)).map_or(0, |(_, count)| *count)
        };
        let reached = Part::ALL.into_iter().filter(|part| count(part) > 0);
        reached.rev().max_by_key(|part| count(part).min(3))
    }

    /// All deaths of the places that are played in a part.
    fn deaths(&self, part: Part) -> Vec<Death> {
        let mut deaths = Vec::new();
        for ((name, edge), count) in &self.0[&part] {
            // What moves money in the vault has slots that no task waits for.
            let own = part == Part::Deposit && name.starts_with("append:");
            if own || self.home(name) == Some(part) {
                deaths.extend(deaths_at(name, *edge, *count));
            }
        }
        deaths
    }
}

/// The first, the middle and the last of so many times; once and twice in a row.
fn deaths_at(name: &'static str, edge: Edge, count: u64) -> impl Iterator<Item = Death> {
    let times: BTreeSet<u64> = [1, count.div_ceil(2), count].into();
    let each = move |nth| [1, 2].map(|times| Death { name, edge, nth, times });
    times.into_iter().flat_map(each)
}

/// Plays the deaths of some parts; says which went wrong.
#[expect(clippy::disallowed_macros, reason = "a test says what it did")]
fn play(parts: &[Part], edges: &[Edge]) {
    let all = setting_of_the_test("LONG").is_some();
    let profiles = if all { &Profile::ALL[..] } else { &Profile::ALL[..1] };
    let mut cases: Vec<Case> = Vec::new();
    for profile in profiles {
        let first = First::told(*profile);
        for part in parts {
            let deaths = first.deaths(*part).into_iter();
            let deaths = deaths.filter(|death| edges.contains(&death.edge));
            cases.extend(deaths.map(|death| (*part, *profile, death)));
        }
    }
    let (mut twice, mut wrong) = (0, Vec::new());
    for (part, profile, death) in &cases {
        match tell(Setting { death: Some(*death), ..part.setting(*profile) }) {
            Ok(Told { points: (_, deaths @ 1..), .. }) => twice += u64::from(deaths == 2),
            Ok(_) => wrong.push(format!("{part:?} {profile:?} {death:?}: nobody died")),
            Err(why) => wrong.push(format!("{part:?} {profile:?} {death:?}: {why}")),
        }
    }
    let names: BTreeSet<&str> = cases.iter().map(|(_, _, death)| death.name).collect();
    let (names, count) = (names.len(), cases.len());
    eprintln!("{parts:?} {edges:?}: {names} names, {count} cases, {twice} of them died twice");
    assert!(wrong.is_empty(), "{} of {count} went wrong: {wrong:#?}", wrong.len());
}

macro_rules! matrix {
    ($($name:ident = $parts:expr, $edges:expr;)*) => {
        $(
            #[test]
            fn $name() {
                play(&$parts, &$edges);
            }
        )*
    };
}

matrix! {
    a_death_before_any_step_of_a_calm_run_is_survived = [Part::Calm], [Edge::Before];
    a_death_after_any_step_of_a_calm_run_is_survived = [Part::Calm], [Edge::After];
    a_death_on_a_rough_chain_is_survived = [Part::Rough], Edge::ALL;
    a_death_among_bad_providers_and_retries_is_survived = [Part::Retried], Edge::ALL;
    a_death_in_a_run_that_is_cancelled_is_survived = [Part::Canceled], Edge::ALL;
    a_death_around_a_stop_or_a_budget_is_survived = [Part::Stopped], Edge::ALL;
    a_death_while_the_vault_moves_money_is_survived = [Part::Deposit, Part::Reclaim, Part::Fence], Edge::ALL;
}

#[expect(clippy::disallowed_macros, reason = "a test says what it counted")]
#[test]
fn every_named_place_is_reached_and_played() {
    let first = First::told(Profile::ALL[0]);
    let names: BTreeSet<&str> = APPENDS.iter().chain(OTHERS).copied().collect();
    // No chain says by itself that what it calls confirmed is no response: only a lie does.
    let names: BTreeSet<&str> = &names - &BTreeSet::from(["append:response-gone"]);
    let missed: Vec<_> = names.iter().filter(|name| first.home(name).is_none()).collect();
    assert!(missed.is_empty(), "nothing reaches {missed:?}");
    let idle = Part::ALL.into_iter().find(|part| first.deaths(*part).is_empty());
    assert_eq!(idle, None, "a part in which nothing is played");
    let deaths: Vec<Death> = Part::ALL.into_iter().flat_map(|part| first.deaths(part)).collect();
    for name in &names {
        let edges: BTreeSet<Edge> =
            deaths.iter().filter(|death| death.name == *name).map(|death| death.edge).collect();
        assert_eq!(edges.len(), 2, "{name} is played before and after");
    }
    eprintln!("crash matrix: {} names, {} cases", names.len(), deaths.len());
    assert!(names.len() >= 60 && deaths.len() >= 720);
}

/// Nobody sees what is wrong while nobody dies: a journal that answers before it has stored stores
/// each group some groups later, and all of them at a clean end. A death at the right place shows it.
#[test]
fn a_journal_that_answers_too_early_is_caught_by_a_death_alone() {
    let mutation = Mutation::AnswersFirstUnseen;
    let flawed = |death| tell(Setting { mutation, death, ..Part::Calm.setting(Profile::ALL[0]) });
    let Told { points: (seen, _), .. } = flawed(None).expect("nobody dies, and all is well");
    for name in ["send:publish", "append:version-signed"] {
        let deaths = deaths_at(name, Edge::After, seen[&(name, Edge::After)]);
        let caught: Vec<String> = deaths.filter_map(|death| flawed(Some(death)).err()).collect();
        assert!(!caught.is_empty(), "a death after {name} shows nothing");
        assert!(caught.iter().all(|why| !why.contains("nobody died")), "{caught:?}");
    }
}
