//! What a plan comes to, as plain figures: what the table, Markdown and JSON forms are drawn from.
//!
//! Planned, with retries, and the cap that stops the run are three figures, never one. Payments
//! are exact ceilings, gas is told as a ceiling and as it is expected, and an upper end of `None`
//! means unbounded: only the cap limits it (cli.md, sections 3.3 and 6).

use std::time::Duration;

use alloy::primitives::{Address, B256};
use serde_json::{Map, Value};

use crate::units::source::Delivery;
use crate::units::{StepName, Timestamp, Wei};

/// Everything that `plan` shows.
#[derive(Clone, Debug, PartialEq)]
pub struct PlanSummary {
    /// When the plan was made.
    pub created_at: Timestamp,
    /// The pipeline.
    pub pipeline: PipelineSummary,
    /// The params with their values, in the order of declaration.
    pub params: Map<String, Value>,
    /// The network.
    pub network: NetworkSummary,
    /// Who signs; `None` without a key.
    pub signer: Option<SignerSummary>,
    /// Whose vault pays; `None` while that is not known.
    pub payer: Option<PayerSummary>,
    /// The steps, in the order of writing.
    pub steps: Vec<StepSummary>,
    /// The sources in use, each once, in the order of first use.
    pub sources: Vec<SourceSummary>,
    /// All steps together.
    pub totals: Totals,
    /// The vault against the payments; `None` without a payer.
    pub vault: Option<Shortfall>,
    /// The wallet against the gas; `None` without a signer.
    pub wallet: Option<Shortfall>,
    /// How long the run may take, where earlier runs tell.
    pub eta: Option<Duration>,
    /// Warnings, in the order of the file.
    pub warnings: Vec<WarningSummary>,
    /// What the plan was made from.
    pub fingerprint: Fingerprint,
}

/// The pipeline file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PipelineSummary {
    /// Its name.
    pub name: String,
    /// The path as it was typed.
    pub file: String,
    /// SHA-256 of its text.
    pub sha256: B256,
}

/// The network that the plan is for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NetworkSummary {
    /// Its name.
    pub name: String,
    /// Its chain id.
    pub chain_id: u64,
    /// The block at which its state was read; `None` offline.
    pub block: Option<u64>,
    /// The coin's symbol.
    pub symbol: String,
    /// Whether the coin is worth money.
    pub real_money: bool,
    /// Whether it is a devnet, whose money is play money.
    pub devnet: bool,
}

/// Who signs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SignerSummary {
    /// The wallet.
    pub address: Address,
    /// Where its key comes from: `keystore alice`.
    pub origin: String,
}

/// Whose vault pays.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PayerSummary {
    /// The vault's account.
    pub address: Address,
    /// Why it is this one.
    pub kind: PayerKind,
}

/// Whose account pays.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PayerKind {
    /// The signer's own.
    Signer,
    /// The owner's of the source.
    SourceOwner,
}

/// One step.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StepSummary {
    /// Its id.
    pub name: StepName,
    /// Its place among [`PlanSummary::sources`].
    pub source: usize,
    /// How many items it has.
    pub items: Range,
    /// What its items are.
    pub of: ItemsOf,
    /// The step after which the number of items is known; `None` if it is known now.
    pub known_after: Option<StepName>,
    /// Items whose output is reused.
    pub reused: u64,
    /// Tasks to publish.
    pub publish: Range,
    /// Payments, at most.
    pub payment: WeiRange,
    /// Gas, at most: limits at the fee cap.
    pub gas: WeiRange,
    /// Gas as it is expected at an unchanged fee.
    pub gas_expected: WeiRange,
    /// Payments and gas, at most.
    pub total: WeiRange,
    /// How long a task lives, in the longest case.
    pub expires: Duration,
    /// The most of its tasks that are open at once.
    pub concurrency: u32,
    /// Tasks for one item.
    pub tasks_per_item: u32,
    /// Bytes of the configs that will be public on IPFS, where the items are known.
    pub public_bytes: Option<u64>,
}

/// What the items of a step are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ItemsOf {
    /// The one item of a step without `foreach`.
    Once,
    /// Rows of a file.
    Rows,
    /// Files that a pattern matches.
    Files,
    /// Entries of a list.
    Entries,
    /// Results of another step.
    Results,
}

/// A source in use.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SourceSummary {
    /// The name that the pipeline has for it, if it has one.
    pub alias: Option<String>,
    /// Its contract.
    pub address: Address,
    /// Whether it takes tasks.
    pub active: bool,
    /// Who confirms its responses.
    pub delivery: Delivery,
    /// The least that a task pays.
    pub min_payment: Wei,
    /// The longest life of a task.
    pub max_expiry: Duration,
    /// How many providers have registered.
    pub providers: u64,
}

/// All steps together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Totals {
    /// Items whose output is reused.
    pub reused: u64,
    /// Tasks to publish.
    pub publish: Range,
    /// Payments, at most.
    pub payment: WeiRange,
    /// Gas, at most: limits at the fee cap.
    pub gas: WeiRange,
    /// Gas as it is expected at an unchanged fee.
    pub gas_expected: WeiRange,
    /// Payments and gas, at most.
    pub total: WeiRange,
    /// What it comes to if every task takes all the rounds that `retry` allows; `None` if that
    /// is unbounded. No cap is applied.
    pub with_retries: Option<Wei>,
    /// The most that may be locked in open tasks at one time; `None` if unbounded.
    pub peak_locked: Option<Wei>,
    /// What reused outputs would have cost.
    pub saved: Wei,
    /// What stops the run; `None` without one.
    pub cap: Option<Wei>,
    /// Bytes of the configs that will be public on IPFS, of the steps where that is known.
    pub public_bytes: u64,
}

impl Totals {
    /// The most that the run can spend: the retried maximum or the cap, whichever is lower;
    /// `None` if nothing limits it.
    pub fn at_most(&self) -> Option<Wei> {
        match (self.with_retries, self.cap) {
            (Some(retried), Some(cap)) => Some(retried.min(cap)),
            (Some(limit), None) | (None, Some(limit)) => Some(limit),
            (None, None) => None,
        }
    }
}

/// What there is, what is needed, and what is missing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shortfall {
    /// What there is.
    pub free: Wei,
    /// What the plan needs.
    pub needs: WeiRange,
    /// What is missing for the most that the plan can need; nothing is missing at zero. An
    /// unbounded need counts as its lower end.
    pub short: Wei,
}

/// A warning.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WarningSummary {
    /// Its code.
    pub code: String,
    /// What it says.
    pub message: String,
    /// The step that it is about.
    pub step: Option<String>,
    /// The file.
    pub file: String,
    /// Line and column, from 1.
    pub position: Option<(usize, usize)>,
}

/// What a plan was made from. A saved plan is stale when any of it changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fingerprint {
    /// Pipeline, templates, schemas and params.
    pub pipeline: B256,
    /// The contents of the input files.
    pub inputs: B256,
    /// The sources, and what their contracts say.
    pub sources: B256,
    /// What is reused.
    pub cache: B256,
    /// The gas price that the estimate uses, in wei per unit; `None` offline.
    pub gas_price: Option<Wei>,
}

/// A number of things, from the least to the most.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Range {
    /// At least.
    pub min: u64,
    /// At most; `None` is unbounded.
    pub max: Option<u64>,
}

impl Range {
    /// A number that is known.
    pub const fn exactly(count: u64) -> Self {
        Self { min: count, max: Some(count) }
    }

    /// The sum of two ranges.
    #[must_use]
    pub fn plus(self, other: Self) -> Self {
        let max = self.max.zip(other.max).map(|(a, b)| a.saturating_add(b));
        Self { min: self.min.saturating_add(other.min), max }
    }

    /// Whether the number is known.
    pub fn is_exact(self) -> bool {
        self.max == Some(self.min)
    }
}

/// An amount of money, from the least to the most.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WeiRange {
    /// At least.
    pub min: Wei,
    /// At most; `None` is unbounded.
    pub max: Option<Wei>,
}

impl WeiRange {
    /// Nothing.
    pub const ZERO: Self = Self { min: Wei::ZERO, max: Some(Wei::ZERO) };

    /// An amount that is known.
    pub const fn exactly(amount: Wei) -> Self {
        Self { min: amount, max: Some(amount) }
    }

    /// The same amount for each of a number of things.
    pub fn times(amount: Wei, count: Range) -> Self {
        Self {
            min: amount.saturating_mul(count.min),
            max: count.max.map(|max| amount.saturating_mul(max)),
        }
    }

    /// The sum of two ranges.
    #[must_use]
    pub fn plus(self, other: Self) -> Self {
        let max = self.max.zip(other.max).map(|(a, b)| a.saturating_add(b));
        Self { min: self.min.saturating_add(other.min), max }
    }

    /// Whether the amount is known.
    pub fn is_exact(self) -> bool {
        self.max == Some(self.min)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sum_with_something_unbounded_is_unbounded_above_and_exact_below() {
        let open = Range { min: 1, max: None };
        assert_eq!(Range::exactly(2).plus(open), Range { min: 3, max: None });
        let wei = Wei::from_u128;
        let sum = WeiRange::exactly(wei(5)).plus(WeiRange::times(wei(2), open));
        assert_eq!(sum, WeiRange { min: wei(7), max: None });
        assert_eq!(WeiRange::times(wei(2), Range { min: 1, max: Some(3) }).max, Some(wei(6)));
    }

    #[test]
    fn the_most_that_a_run_can_spend_is_the_lower_of_cap_and_retried_maximum() {
        let wei = Wei::from_u128;
        let totals = |with_retries, cap| Totals {
            reused: 0,
            publish: Range::exactly(1),
            payment: WeiRange::ZERO,
            gas: WeiRange::ZERO,
            gas_expected: WeiRange::ZERO,
            total: WeiRange::ZERO,
            with_retries,
            peak_locked: None,
            saved: Wei::ZERO,
            cap,
            public_bytes: 0,
        };
        assert_eq!(totals(Some(wei(9)), Some(wei(8))).at_most(), Some(wei(8)));
        assert_eq!(totals(Some(wei(9)), None).at_most(), Some(wei(9)));
        assert_eq!(totals(None, Some(wei(8))).at_most(), Some(wei(8)));
        assert_eq!(totals(None, None).at_most(), None);
    }
}
