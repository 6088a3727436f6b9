//! The figures that the fold keeps, and what they add up to.

use std::time::Duration;

use alloy::primitives::{Address, B256};

use crate::engine::{FailReason, Offer, Outcome, StepEnd};
use crate::units::{ChainTime, ItemKey, Network, Round, RunId, Timestamp, Wei};

/// How far a task has come on chain; later means further.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Reached {
    /// Nothing was sent.
    #[default]
    Waiting,
    /// Signed; not seen on chain.
    Submitted,
    /// Its contract exists.
    Published,
    /// A provider has taken it.
    Attempted,
    /// There is a response.
    Responded,
}

/// A response that the chain calls confirmed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Confirmed {
    /// The response.
    pub response: Address,
    /// The transaction of ours that did it, if one did.
    pub tx: Option<B256>,
    /// When we learned of it.
    pub at: Timestamp,
}

/// A task that has not ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OpenTask {
    /// Its item's key.
    pub key: ItemKey,
    /// Its round.
    pub round: Round,
    /// The payment of this round.
    pub payment: Wei,
    /// How far this round has come.
    pub now: Reached,
    /// How far any round of it has come; what the counts count.
    pub furthest: Reached,
    /// Its contract in this round.
    pub address: Option<Address>,
    /// When this round was published.
    pub published_at: Option<Timestamp>,
    /// When this round ends, in chain time.
    pub expiry: Option<ChainTime>,
    /// The same by version of its publication, for each that was signed.
    pub expiries: Vec<(B256, ChainTime)>,
    /// The last response that was read.
    pub offer: Option<(Address, Offer)>,
    /// Which response is confirmed, once one is.
    pub confirmed: Option<Confirmed>,
    /// Whether a confirm of ours was bound to a slot.
    pub confirms: bool,
    /// Gas of all its final transactions.
    pub gas: Wei,
    /// This round is not published before this moment; `None` for one that waits for no moment.
    pub not_before: Option<Timestamp>,
}

impl OpenTask {
    /// A task of which nothing was sent.
    pub(super) fn new(key: ItemKey, payment: Wei) -> Self {
        Self {
            key,
            round: Round::FIRST,
            payment,
            now: Reached::Waiting,
            furthest: Reached::Waiting,
            address: None,
            published_at: None,
            expiry: None,
            expiries: Vec::new(),
            offer: None,
            confirmed: None,
            confirms: false,
            gas: Wei::ZERO,
            not_before: None,
        }
    }

    /// Back to the start, with another payment.
    pub(super) fn begin(&mut self, round: Round, payment: Wei) {
        let furthest = self.furthest;
        let gas = self.gas;
        *self = Self { round, furthest, gas, ..Self::new(self.key.clone(), payment) };
    }

    /// Takes the end of this round from the transaction that published it.
    pub(super) fn ends_by(&mut self, tx_hash: B256) {
        let version = self.expiries.iter().find(|(hash, _)| *hash == tx_hash);
        self.expiry = version.map(|(_, expiry)| *expiry).or(self.expiry);
    }

    /// Whether this round is on chain and not over.
    pub fn is_on_chain(&self) -> bool {
        self.now >= Reached::Published
    }
}

/// The figures of one step.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StepTally {
    /// How many items it has, once known.
    pub items: Option<u64>,
    /// Whether its items are being expanded or are.
    pub started: bool,
    /// Items read so far.
    pub read: u64,
    /// Items that `filter` dropped.
    pub dropped: u64,
    /// Tasks that were published at least once.
    pub published: u64,
    /// Tasks that a provider has taken.
    pub attempted: u64,
    /// Tasks with a response.
    pub responded: u64,
    /// Tasks whose output is accepted and paid.
    pub confirmed: u64,
    /// Tasks that failed and were not paid.
    pub failed: u64,
    /// Tasks that the contract paid although the response failed.
    pub rejected_paid: u64,
    /// Tasks that were taken back or not needed.
    pub dismissed: u64,
    /// Rounds after the first.
    pub retried: u64,
    /// What was paid, rejected responses included.
    pub paid: Wei,
    /// What was paid for gas.
    pub gas: Wei,
    /// From publication to confirmation, in milliseconds, in order of ending.
    pub latencies: Vec<u32>,
    /// How it ended.
    pub end: Option<StepEnd>,
}

impl StepTally {
    /// Adds the figures of another step; how each ended and how long its tasks took is left out.
    pub(super) fn add(&mut self, step: &Self) {
        self.read += step.read;
        self.dropped += step.dropped;
        self.published += step.published;
        self.attempted += step.attempted;
        self.responded += step.responded;
        self.confirmed += step.confirmed;
        self.failed += step.failed;
        self.rejected_paid += step.rejected_paid;
        self.dismissed += step.dismissed;
        self.retried += step.retried;
        self.paid = self.paid.saturating_add(step.paid);
        self.gas = self.gas.saturating_add(step.gas);
    }

    /// Tasks there are, as far as known.
    pub fn tasks(&self) -> u64 {
        self.items.unwrap_or(self.read).max(self.read).saturating_sub(self.dropped)
    }

    /// Tasks that have ended.
    pub fn ended(&self) -> u64 {
        self.confirmed + self.failed + self.rejected_paid + self.dismissed
    }

    /// The latency below which `percent` of the tasks lie.
    pub fn percentile(&self, percent: usize) -> Option<Duration> {
        let mut sorted = self.latencies.clone();
        sorted.sort_unstable();
        let place = (sorted.len() * percent).div_ceil(100).saturating_sub(1);
        sorted.get(place).map(|ms| Duration::from_millis(u64::from(*ms)))
    }
}

/// An item that failed, for the summary.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// Its step.
    pub step: u16,
    /// Its key.
    pub key: ItemKey,
    /// The rounds that it had.
    pub rounds: Round,
    /// How it ended.
    pub outcome: Outcome,
}

/// Where the money of a run is, as far as its events tell.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Money {
    /// Paid to providers.
    pub paid: Wei,
    /// Paid for gas.
    pub gas: Wei,
    /// In escrow: of open tasks, and of ended ones whose payment was not seen back.
    pub locked: Wei,
    /// Seen back in the vault.
    pub refunded: Wei,
}

impl Money {
    /// What is gone for good.
    pub fn spent(&self) -> Wei {
        self.paid.saturating_add(self.gas)
    }
}

/// What is known of the run itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RunFacts {
    /// The run.
    pub id: RunId,
    /// The pipeline's name.
    pub pipeline: String,
    /// The network.
    pub network: Network,
    /// Who signs.
    pub signer: Address,
    /// The cap.
    pub cap: Option<Wei>,
    /// When it started.
    pub started_at: Timestamp,
}

/// What an outcome paid to a provider.
pub fn paid(outcome: &Outcome) -> Wei {
    outcome.paid().unwrap_or_default()
}

/// From publication to confirmation, in milliseconds.
pub(super) fn latency(task: &OpenTask, done: Timestamp) -> Option<u32> {
    let end = task.confirmed.map_or(done, |confirmed| confirmed.at);
    let span = end.since(task.published_at?);
    Some(u32::try_from(span.as_millis()).unwrap_or(u32::MAX))
}

/// The word for a reason in machine formats (language.md, section 6), and what more is known.
pub fn reason(outcome: &FailReason) -> (&'static str, &str) {
    match outcome {
        FailReason::Expired => ("expired", ""),
        FailReason::Rejected(detail) => ("rejected", detail),
        FailReason::PublishError(detail) => ("publish_error", detail),
        FailReason::FetchError(detail) => ("fetch_error", detail),
        FailReason::RenderError(detail) => ("render_error", detail),
        FailReason::Budget => ("budget", ""),
    }
}
