//! What will be done, before any of it is.
//!
//! A checked pipeline, what its sources' contracts say and one pass over its item files come in;
//! a [`Plan`] comes out: immutable, shared, the one place that later says what an item is, which
//! bytes its task pins, what it offers, and whether an output is good enough.
//!
//! * *graph*: which step waits for which, for all of it or item by item.
//! * *sources*: what the pipeline asks of a source against what the contract allows.
//! * *batch*: item files, streamed once: rows, keys, ceilings, sizes. No item is held.
//! * *task*, *expand*, *upstream*: the pure functions that a run calls.
//! * *cost*, *summary*: what it may cost, and the figures that every form of a plan shows.
//! * *schedule*: the rules that the engine sees, and nothing more.
//!
//! Nothing here opens a file, a socket or a wallet. Bytes of item files come in through the
//! pipeline's [`Loader`](crate::pipeline::Loader), and items that are to be kept go out through
//! an [`ItemSink`].

pub mod batch;
pub mod bundle;
pub mod cost;
pub mod error;
pub mod expand;
pub mod fingerprint;
pub mod graph;
pub mod schedule;
pub mod sources;
pub mod summary;
pub mod task;
pub mod upstream;

mod forecast;
mod make;
#[cfg(test)]
mod tests;
mod width;

use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use alloy::primitives::{Address, B256};

pub use batch::{ItemSink, KnownItems, NoSink};
pub use bundle::Bundle;
pub use cost::{Balances, GasPrices};
pub use error::PlanError;
pub use expand::Expanded;
pub use fingerprint::Part;
pub use forecast::StepGas;
pub use make::{Planned, Request};
pub use schedule::{
    Allowance, Edge, EdgeKind, Limits, OnExceed, OnPartial, RetryRule, Schedule, StepRule,
};
pub use sources::{SourceEntry, Sources};
pub use summary::{
    Fingerprint, ItemsOf, NetworkSummary, PayerKind, PayerSummary, PipelineSummary, PlanSummary,
    Range, Shortfall, SignerSummary, SourceSummary, StepSummary, Totals, WarningSummary, WeiRange,
};
pub use task::{Offered, PlanItem, Purchase, TaskConfig};
pub use upstream::{RunFacts, StepEntry, StepValues};

pub use crate::pipeline::accept::{Verdict, parse_output};
pub use crate::pipeline::{Save, SaveFormat, Scope};

use crate::pipeline::accept::Acceptance;
use crate::pipeline::{Pipeline, Step};
use crate::units::source::SourceFacts;
use crate::units::time::Rate;
use crate::units::{Network, StepName, Wei};

/// How fast a run asks its services; `None` is no limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Quotas {
    /// Exchanges with a node; a batch is one.
    pub rpc: Option<Rate>,
    /// Uploads to the pin service.
    pub pin: Option<Rate>,
}

/// Everything that a run will do, fixed before it starts.
#[derive(Debug)]
pub struct Plan {
    pipeline: Arc<Pipeline>,
    network: Network,
    sources: Sources,
    steps: Vec<PlannedStep>,
    schedule: Arc<Schedule>,
    fingerprint: Fingerprint,
}

/// One step of a plan. A step's place in the plan is its index: every step comes after those
/// that it reads.
#[derive(Debug)]
pub struct PlannedStep {
    /// Its place among the pipeline's steps, in the order of writing.
    pub written_at: usize,
    /// The name that the pipeline has for its source, if it has one.
    pub source_alias: Option<String>,
    /// The contract of its source.
    pub source: Address,
    /// What that contract says.
    pub facts: SourceFacts,
    /// How long one of its tasks lives, where that is the same for all.
    pub expires: Duration,
    /// What its items are.
    pub of: ItemsOf,
    /// How many items it has.
    pub width: Range,
    /// The step after which the width is known; `None` if it is known now.
    pub known_after: Option<u16>,
    /// What one pass over its items found, where they are known before the run.
    pub items: Option<KnownItems>,
    /// The step whose results are its items one by one, as they come.
    pub streams: Option<u16>,
    /// Where its rows are written while it runs.
    pub save: Option<Save>,
    own: Acceptance,
    of_template: Option<Acceptance>,
}

impl PlannedStep {
    /// Whether outputs are checked at all.
    pub fn checks_outputs(&self) -> bool {
        !self.own.is_empty() || self.of_template.as_ref().is_some_and(|checks| !checks.is_empty())
    }
}

impl Plan {
    /// The rules that the engine sees.
    pub fn schedule(&self) -> &Arc<Schedule> {
        &self.schedule
    }

    /// The steps, every one after those that it reads.
    pub fn steps(&self) -> &[PlannedStep] {
        &self.steps
    }

    /// The name of the pipeline.
    pub fn name(&self) -> &str {
        &self.pipeline.name
    }

    /// The pipeline that this was made from.
    pub fn pipeline(&self) -> &Arc<Pipeline> {
        &self.pipeline
    }

    /// The network that this is for.
    pub fn network(&self) -> &Network {
        &self.network
    }

    /// What this was made from, in one number: a journal belongs to one plan.
    pub fn fingerprint(&self) -> B256 {
        self.schedule.fingerprint
    }

    /// What this was made from, part by part.
    pub fn fingerprint_parts(&self) -> &Fingerprint {
        &self.fingerprint
    }

    /// Whether task configs carry their task key.
    pub fn tag(&self) -> bool {
        self.pipeline.tag
    }

    /// The place of the step with this name.
    pub fn place(&self, name: &StepName) -> Option<u16> {
        let place = self.schedule.steps.iter().position(|rule| rule.name == *name)?;
        u16::try_from(place).ok()
    }

    /// The name of the step at this place.
    ///
    /// # Panics
    /// When there is no such step: places come from this plan.
    pub fn step_name(&self, step: u16) -> &StepName {
        &self.schedule.steps[usize::from(step)].name
    }

    /// The cap on payments and gas that the pipeline asks for.
    pub fn budget(&self) -> Option<Wei> {
        self.pipeline.budget.max
    }

    /// The limits that the engine keeps. On a devnet there is no rate unless one is written.
    pub fn limits(&self) -> Limits {
        let written = &self.pipeline.limits;
        let budget = &self.pipeline.budget;
        Limits {
            publish_rate: self.rate(written.publish_rate, make::DEFAULT_PUBLISH_RATE),
            burst: written.burst,
            in_flight: written.in_flight,
            window: NonZeroU32::new(self.network.window).unwrap_or(NonZeroU32::MIN),
            on_exceed: match budget.on_exceed {
                crate::pipeline::OnExceed::Pause => OnExceed::Pause,
                crate::pipeline::OnExceed::Stop => OnExceed::Stop,
            },
            reserve_gas: budget.reserve_gas,
            max_per_task: budget.max_per_task,
            patient: self.network.is_remote(),
        }
    }

    /// How fast services are asked. A quota delays, and decides nothing.
    pub fn quotas(&self) -> Quotas {
        let written = &self.pipeline.limits;
        Quotas {
            rpc: self.rate(written.rpc_rate, make::DEFAULT_RPC_RATE),
            pin: self.rate(written.pin_rate, make::DEFAULT_PIN_RATE),
        }
    }

    /// The same plan under other limits: they are about how fast, never about what.
    #[must_use]
    pub fn with_limits(mut self, limits: crate::pipeline::Limits) -> Self {
        Arc::make_mut(&mut self.pipeline).limits = limits;
        self
    }

    /// On a devnet there is no rate unless one is written.
    fn rate(&self, written: Option<Rate>, default: Rate) -> Option<Rate> {
        written.or((!self.network.devnet).then_some(default))
    }

    fn step(&self, step: u16) -> (&PlannedStep, &Step) {
        let planned = &self.steps[usize::from(step)];
        (planned, &self.pipeline.steps[planned.written_at])
    }
}
