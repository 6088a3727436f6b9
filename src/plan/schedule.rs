//! What the engine needs to know of a plan: plain rules, step by step.
//!
//! Everything here is known before the run starts and never changes. Texts, templates and items
//! stay with `Plan`; the engine sees places, amounts and rules.

use std::num::NonZeroU32;
use std::time::Duration;

use alloy::primitives::{Address, B256};
use serde::{Deserialize, Serialize};

use crate::units::source::Delivery;
use crate::units::time::Rate;
use crate::units::{Round, StepName, Wei};

/// The steps of a plan, in an order in which every step comes after those that it reads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Schedule {
    /// The steps; a step's place is its index here.
    pub steps: Vec<StepRule>,
    /// The fingerprint of the plan that this belongs to.
    pub fingerprint: B256,
}

/// One step, as the engine sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StepRule {
    /// The step's name.
    pub name: StepName,
    /// The steps that it waits for, each once.
    pub upstreams: Vec<Edge>,
    /// The most of its tasks that are open on chain at once.
    pub concurrency: NonZeroU32,
    /// How many items may fail.
    pub allow_failures: Allowance,
    /// What its readers get while failures are allowed.
    pub on_partial: OnPartial,
    /// When a failed item is published anew, and for how much.
    pub retry: RetryRule,
    /// Who runs its tasks.
    pub source: Address,
    /// How that source confirms responses.
    pub delivery: Delivery,
    /// The longest life of a task that the source takes.
    pub max_expiry: Duration,
}

/// A step that another one reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Edge {
    /// The place of the step that is read.
    pub step: u16,
    /// How much of it must be there.
    pub kind: EdgeKind,
}

/// How much of an upstream step a reader waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EdgeKind {
    /// All of it.
    Whole,
    /// For each item, the upstream item of the same place.
    PerItem,
}

/// How many failed items a step tolerates.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Allowance {
    /// So many.
    Count(u32),
    /// So many in 10,000 of all items, rounded down.
    PerTenThousand(u32),
}

impl Allowance {
    /// How many of `total` items may fail.
    pub fn of(self, total: u32) -> u32 {
        match self {
            Self::Count(count) => count,
            Self::PerTenThousand(share) => {
                let allowed = u64::from(total) * u64::from(share.min(10_000)) / 10_000;
                u32::try_from(allowed).unwrap_or(u32::MAX)
            }
        }
    }
}

/// What readers of a step get while failures are allowed (language.md, section 5.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum OnPartial {
    /// The accepted outputs only.
    Drop,
    /// One entry per item, failed ones without an output.
    Keep,
    /// Nothing: readers do not start if any item failed.
    Fail,
}

/// When a failed item is published anew (language.md, section 5.3).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RetryRule {
    /// How many further rounds.
    pub max: u16,
    /// Whether after a task that nobody responded to.
    pub after_expired: bool,
    /// Whether after a failure to publish.
    pub after_publish_error: bool,
    /// Whether after responses that were refused.
    pub after_rejected: bool,
    /// How long to wait before the second round.
    pub backoff_base: Duration,
    /// How much longer before each further round, in thousandths.
    pub backoff_factor_permille: u32,
    /// The longest wait.
    pub backoff_max: Duration,
    /// The random share of the wait, in thousandths.
    pub jitter_permille: u32,
    /// What is added to the payment each round, in thousandths.
    pub raise_permille: u32,
    /// The ceiling of raised payments, in wei.
    pub max_payment: Option<Wei>,
}

impl Default for RetryRule {
    fn default() -> Self {
        Self {
            max: 2,
            after_expired: true,
            after_publish_error: true,
            after_rejected: false,
            backoff_base: Duration::from_secs(1),
            backoff_factor_permille: 2000,
            backoff_max: Duration::from_secs(300),
            jitter_permille: 0,
            raise_permille: 0,
            max_payment: None,
        }
    }
}

impl RetryRule {
    /// The payment of the round after one that offered `payment`, in wei: raised, rounded up,
    /// held at the ceiling and never lowered.
    pub fn next_payment(&self, payment: Wei) -> Wei {
        let raised = payment.raised_by_permille(self.raise_permille).unwrap_or(payment);
        let held = self.max_payment.map_or(raised, |ceiling| raised.min(ceiling));
        held.max(payment)
    }

    /// How long to wait before `round`, jitter left out.
    ///
    /// The second round waits `backoff_base`; each further one `backoff_factor_permille` as long
    /// as the one before, up to `backoff_max`.
    pub fn backoff(&self, round: Round) -> Duration {
        let ceiling = self.backoff_max;
        let mut wait = self.backoff_base.min(ceiling);
        for _ in 2..round.get() {
            wait = (wait.saturating_mul(self.backoff_factor_permille) / 1000).min(ceiling);
        }
        wait
    }
}

/// The limits of a run that the engine keeps.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Publications started, at most; `None` is no limit.
    pub publish_rate: Option<Rate>,
    /// Publications that may go at once after a quiet time.
    pub burst: NonZeroU32,
    /// Tasks open on chain at once, in the whole run.
    pub in_flight: NonZeroU32,
    /// The most open slots of the wallet: what the network's pools take.
    pub window: NonZeroU32,
    /// What happens when the cap is reached.
    pub on_exceed: OnExceed,
    /// Wallet balance kept back for confirms and cancels, in wei.
    pub reserve_gas: Wei,
    /// Ceiling for one payment, in wei.
    pub max_per_task: Option<Wei>,
    /// Whether fewer requests count for more than sooner replies, where nobody waits for them.
    pub patient: bool,
}

/// What happens when the next publication would pass the cap (language.md, section 4).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum OnExceed {
    /// Collect what is open and leave the rest for a resume with a higher cap.
    Pause,
    /// Collect what is open and end the run.
    Stop,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_percentage_of_items_is_rounded_down() {
        assert_eq!(Allowance::PerTenThousand(500).of(39), 1);
        assert_eq!(Allowance::PerTenThousand(500).of(19), 0);
        assert_eq!(Allowance::PerTenThousand(10_000).of(u32::MAX), u32::MAX);
        assert_eq!(Allowance::Count(3).of(1), 3);
    }

    #[test]
    fn rounds_wait_twice_as_long_each_time_up_to_the_ceiling() {
        let rule = RetryRule { backoff_max: Duration::from_secs(5), ..RetryRule::default() };
        let rounds = [2, 3, 4, 5].map(|n| {
            let mut round = Round::FIRST;
            (1..n).for_each(|_| round = round.next());
            rule.backoff(round).as_secs()
        });
        assert_eq!(rounds, [1, 2, 4, 5]);
    }

    #[test]
    fn a_raised_payment_stops_at_its_ceiling_and_never_falls() {
        let wei = Wei::from_u128;
        let rule = RetryRule { raise_permille: 200, ..RetryRule::default() };
        assert_eq!(rule.next_payment(wei(10)), wei(12));
        let capped = RetryRule { max_payment: Some(wei(11)), ..rule.clone() };
        assert_eq!(capped.next_payment(wei(10)), wei(11));
        let below = RetryRule { max_payment: Some(wei(5)), ..rule };
        assert_eq!(below.next_payment(wei(10)), wei(10));
    }
}
