//! The fold that every screen reads: counts, money, open tasks.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use alloy::primitives::{Address, B256};

use super::figures::{Confirmed, Failure, Money, OpenTask, Reached, RunFacts, StepTally};
use super::layout::Coin;
use crate::engine::{
    CancelScope, Event, Expansion, ItemEntry, ItemFate, RunHeader, RunOutcome, SlotEnd,
};
use crate::plan::{Schedule, StepRule};
use crate::units::{BlockRef, Call, Purpose, Round, Slot, StepName, TaskId, Timestamp, Wei};

/// How many failures are kept in full; beyond, they are only counted.
const FAILURES: usize = 1000;
/// The span over which the rate is taken.
const RATE_WINDOW: Duration = Duration::from_secs(30);

/// One event with the moment at which it was journaled.
#[derive(Clone, Copy, Debug)]
pub struct Fact<'a> {
    /// When.
    pub at: Timestamp,
    /// What.
    pub event: &'a Event,
}

/// All figures of a run. Folding the same events gives the same figures.
#[derive(Clone, Debug, Default)]
pub struct Tally {
    run: Option<RunFacts>,
    names: Vec<StepName>,
    upstreams: Vec<Vec<u16>>,
    steps: Vec<StepTally>,
    open: BTreeMap<TaskId, OpenTask>,
    slots: BTreeMap<Slot, (TaskId, Purpose)>,
    money: Money,
    block: Option<(BlockRef, Timestamp)>,
    failures: Vec<Failure>,
    foreign: Option<Foreign>,
    adopted: u64,
    /// Tasks that failed unpaid: a reader may have them tried again.
    failed: BTreeMap<TaskId, OpenTask>,
    resumed: bool,
    draining: Option<Timestamp>,
    outcome: Option<RunOutcome>,
    canceled: bool,
    ended: VecDeque<(Timestamp, u64)>,
}

/// A slot of the wallet that was used by something outside the journal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Foreign {
    /// The slot.
    pub slot: Slot,
    /// The transaction, if it was found.
    pub tx_hash: Option<B256>,
}

impl Tally {
    /// A tally of nothing.
    pub fn new() -> Self {
        Self::default()
    }

    /// A tally that also knows which step waits for which.
    pub fn for_schedule(schedule: &Schedule) -> Self {
        let reads = |step: &StepRule| step.upstreams.iter().map(|edge| edge.step).collect();
        Self::with_upstreams(schedule.steps.iter().map(reads).collect())
    }

    /// A tally that knows for each step the places of those that it waits for.
    pub fn with_upstreams(upstreams: Vec<Vec<u16>>) -> Self {
        Self { upstreams, ..Self::default() }
    }

    /// The run; `None` before its first event.
    pub fn run(&self) -> Option<&RunFacts> {
        self.run.as_ref()
    }

    /// The coin of the run's network.
    pub fn coin(&self) -> Coin {
        self.run.as_ref().map_or_else(|| Coin::new("OGPU", false), |run| Coin::of(&run.network))
    }

    /// The steps with their names, in the order of the plan.
    pub fn steps(&self) -> impl Iterator<Item = (&StepName, &StepTally)> {
        self.names.iter().zip(&self.steps)
    }

    /// The name of a step.
    pub fn name(&self, step: u16) -> &str {
        self.names.get(usize::from(step)).map_or("?", StepName::as_str)
    }

    /// The steps that a step waits for and that have not ended.
    pub fn waits_for(&self, step: usize) -> impl Iterator<Item = &StepName> {
        let upstreams = self.upstreams.get(step).map_or(&[][..], Vec::as_slice).iter();
        upstreams.filter_map(|up| {
            let up = usize::from(*up);
            self.steps.get(up).filter(|step| step.end.is_none()).and(self.names.get(up))
        })
    }

    /// The tasks that have not ended, by place in the plan.
    pub fn open(&self) -> impl Iterator<Item = (TaskId, &OpenTask)> {
        self.open.iter().map(|(id, task)| (*id, task))
    }

    /// A task that has not ended.
    pub fn task(&self, id: TaskId) -> Option<&OpenTask> {
        self.open.get(&id)
    }

    /// Whose a slot is, while it is not final.
    pub fn slot(&self, slot: Slot) -> Option<(TaskId, Purpose)> {
        self.slots.get(&slot).copied()
    }

    /// Whether transactions are out whose gas is not known yet.
    pub fn has_open_slots(&self) -> bool {
        !self.slots.is_empty()
    }

    /// `STEP/KEY` of an open task.
    pub fn label(&self, id: TaskId) -> String {
        match self.open.get(&id) {
            Some(task) => format!("{}/{}", self.name(id.step), task.key),
            None => format!("{}/#{}", self.name(id.step), u64::from(id.item) + 1),
        }
    }

    /// Where the money is.
    pub fn money(&self) -> Money {
        self.money
    }

    /// The newest block that was read, and when.
    pub fn block(&self) -> Option<(BlockRef, Timestamp)> {
        self.block
    }

    /// The failures that are kept, in order of ending.
    pub fn failures(&self) -> &[Failure] {
        &self.failures
    }

    /// A slot of the wallet that was used by something outside the journal.
    pub fn foreign(&self) -> Option<Foreign> {
        self.foreign
    }

    /// Whether the run was resumed at least once.
    pub fn resumed(&self) -> bool {
        self.resumed
    }

    /// Until when a stopping run collects.
    pub fn draining(&self) -> Option<Timestamp> {
        self.draining
    }

    /// Whether the whole run was asked to be taken back: it publishes nothing more.
    pub fn is_canceled(&self) -> bool {
        self.canceled
    }

    /// How the run ended.
    pub fn outcome(&self) -> Option<RunOutcome> {
        self.outcome
    }

    /// All steps together.
    pub fn total(&self) -> StepTally {
        let mut total = StepTally::default();
        self.steps.iter().for_each(|step| total.add(step));
        total.items = self.steps.iter().map(|step| step.items).sum();
        total
    }

    /// Tasks that ended per second lately, in thousandths; 0 before there is a rate.
    pub fn millirate(&self, now: Timestamp) -> u64 {
        let Some((since, before)) = self.ended.front() else { return 0 };
        let done: u64 = self.steps.iter().map(StepTally::ended).sum();
        let millis = u64::try_from(now.since(*since).as_millis()).unwrap_or(u64::MAX);
        if millis < 1000 { 0 } else { (done - before.min(&done)) * 1_000_000 / millis }
    }

    /// Takes one event into account.
    #[expect(clippy::too_many_lines, reason = "a table: one arm for each event")]
    pub fn apply(&mut self, fact: Fact<'_>) {
        let at = fact.at;
        match fact.event {
            Event::RunStarted(header) => self.started(header),
            Event::RunResumed { cap, .. } => self.resume(*cap, at),
            Event::LogsRead { to, .. } | Event::LogsRewound { to } => self.block = Some((*to, at)),
            Event::StepExpanded { step, expansion } => self.expanded(*step, expansion),
            Event::ItemsRead { step, items } => self.read(*step, items),
            Event::StepEnded { step, end } => self.step(*step).end = Some(*end),
            Event::SlotReserved { slot, task, call, .. } => self.reserved(*slot, *task, call),
            Event::SlotReopened { slot } => self.reopened(*slot),
            Event::SlotFinal { slot, end, gas_paid } => self.used_up(*slot, end, *gas_paid),
            Event::LaneTaken { wallet, foreign, foreign_tx, .. } => {
                let slot = foreign.map(|nonce| Slot { wallet: *wallet, nonce });
                self.foreign = slot.map(|slot| Foreign { slot, tx_hash: *foreign_tx });
            }
            Event::VersionSigned { slot, hash, call, .. } => self.signed(*slot, *hash, call),
            Event::TaskPublished { task, address, tx_hash, .. } => {
                self.with(*task, |task| task.ends_by(*tx_hash));
                self.published(*task, *address, at);
            }
            Event::TaskAdopted { task, publication, .. } => self.adopted(*task, publication, at),
            Event::TaskAttempted { task } => self.reach(*task, Reached::Attempted),
            Event::TaskRead { task, attempts, .. } if *attempts > 0 => {
                self.reach(*task, Reached::Attempted);
            }
            Event::ResponseSeen { task, .. } => self.reach(*task, Reached::Responded),
            Event::OutputFetched { task, response, offer, .. } => {
                self.with(*task, |task| task.offer = Some((*response, offer.clone())));
            }
            Event::ResponseConfirmed { task, response, tx_hash, .. } => self.with(*task, |task| {
                let tx = tx_hash.filter(|_| task.confirms);
                task.confirmed = Some(Confirmed { response: *response, tx, at });
            }),
            Event::ResponseGone { task, response } => self.with(*task, |task| {
                task.confirmed = task.confirmed.filter(|known| known.response != *response);
            }),
            Event::RoundOpened { task, round, payment, not_before, .. } => {
                self.again(*task, *round, *payment, Some(*not_before));
            }
            Event::TaskReopened { task, round, payment, .. } => {
                self.tried_again(*task, *round, *payment);
            }
            Event::StepReopened { step } => self.step_reopened(*step),
            Event::TaskDone { task, outcome } => self.done(*task, outcome, at),
            Event::EscrowReturned { amount } => self.returned(*amount),
            Event::CancelAsked { scope, .. } => self.canceled |= *scope == CancelScope::Run,
            Event::DrainAsked { until } => self.draining = Some(*until),
            Event::RunEnded { outcome } => self.outcome = Some(*outcome),
            Event::TaskRead { .. }
            | Event::DepositAsked { .. }
            | Event::ReclaimAsked { .. }
            | Event::FencesAsked { .. }
            | Event::PublicationsFound { .. }
            | Event::LaneRead { .. }
            | Event::PaymentsRaised { .. }
            | Event::CodeAccepted { .. }
            | Event::Surveyed(_)
            | Event::ConfigPinned { .. }
            | Event::VersionWanted { .. }
            | Event::Sent { .. }
            | Event::Due { .. }
            | Event::LaneViewed { .. }
            | Event::SlotMined { .. }
            | Event::FetchFailed { .. }
            | Event::OutputChecked { .. }
            | Event::ResponseChosen { .. }
            | Event::ResponsesExhausted { .. }
            | Event::ExpirySeen { .. }
            | Event::ExpiryPassed { .. }
            | Event::BudgetReached { .. } => {}
        }
    }

    fn started(&mut self, header: &RunHeader) {
        *self = Self::with_upstreams(std::mem::take(&mut self.upstreams));
        self.names.clone_from(&header.steps);
        self.steps = vec![StepTally::default(); header.steps.len()];
        self.ended = VecDeque::from([(header.started_at, 0)]);
        self.run = Some(RunFacts {
            id: header.run.clone(),
            pipeline: header.pipeline.clone(),
            network: header.network.clone(),
            signer: header.signer,
            cap: header.cap,
            started_at: header.started_at,
        });
    }

    fn resume(&mut self, cap: Option<Wei>, at: Timestamp) {
        self.resumed = true;
        self.outcome = None;
        self.draining = None;
        let done = self.steps.iter().map(StepTally::ended).sum();
        self.ended = VecDeque::from([(at, done)]);
        if let Some(run) = &mut self.run {
            run.cap = cap;
        }
    }

    fn expanded(&mut self, step: u16, expansion: &Expansion) {
        let step = self.step(step);
        step.started = true;
        match expansion {
            Expansion::Items { count, .. } => step.items = Some(u64::from(*count)),
            Expansion::Skipped | Expansion::Failed { .. } => step.items = Some(0),
            Expansion::Streaming => {}
        }
    }

    fn read(&mut self, step: u16, items: &[ItemEntry]) {
        for entry in items {
            let tally = self.step(step);
            tally.read += 1;
            let payment = match &entry.fate {
                ItemFate::Dropped => {
                    tally.dropped += 1;
                    continue;
                }
                ItemFate::Task { payment, .. } => *payment,
                ItemFate::Failed { .. } => Wei::ZERO,
            };
            let task = OpenTask::new(entry.key.clone(), payment);
            self.open.insert(TaskId::new(step, entry.item), task);
        }
    }

    fn reserved(&mut self, slot: Slot, id: TaskId, call: &Call) {
        if let Some(purpose) = call.purpose() {
            self.slots.insert(slot, (id, purpose));
        }
        match call {
            Call::PublishTask { expiry, payment, .. } => {
                self.with(id, |task| {
                    task.payment = *payment;
                    task.expiry = Some(*expiry);
                });
                self.reach(id, Reached::Submitted);
            }
            Call::ConfirmResponse { .. } => self.with(id, |task| task.confirms = true),
            Call::CancelTask { .. } | Call::Deposit { .. } | Call::NoOp => {}
        }
    }

    /// A version of a publication may end its task later than the one before.
    fn signed(&mut self, slot: Slot, hash: B256, call: &Call) {
        if let Some((id, Purpose::Publish)) = self.slots.get(&slot).copied()
            && let Call::PublishTask { expiry, .. } = call
        {
            self.with(id, |task| task.expiries.push((hash, *expiry)));
        }
    }

    fn reopened(&mut self, slot: Slot) {
        let Some((id, Purpose::Publish)) = self.slots.get(&slot).copied() else { return };
        let Some(task) = self.open.get_mut(&id) else { return };
        if task.is_on_chain() {
            self.money.locked = self.money.locked.saturating_sub(task.payment);
        }
        task.now = Reached::Submitted;
        task.address = None;
    }

    fn used_up(&mut self, slot: Slot, end: &SlotEnd, gas: Wei) {
        if let SlotEnd::Foreign { tx_hash } = end {
            self.foreign = Some(Foreign { slot, tx_hash: *tx_hash });
        }
        self.burned(slot, gas);
    }

    fn burned(&mut self, slot: Slot, gas: Wei) {
        self.money.gas = self.money.gas.saturating_add(gas);
        let Some((id, _)) = self.slots.remove(&slot) else { return };
        // A deposit, or what is taken back of another round, belongs to no step.
        if let Some(step) = self.steps.get_mut(usize::from(id.step)) {
            step.gas = step.gas.saturating_add(gas);
        }
        self.with(id, |task| task.gas = task.gas.saturating_add(gas));
    }

    fn published(&mut self, id: TaskId, address: Address, at: Timestamp) {
        let Some(task) = self.open.get_mut(&id) else { return };
        if !task.is_on_chain() {
            self.money.locked = self.money.locked.saturating_add(task.payment);
        }
        task.address = Some(address);
        task.published_at = Some(at);
        self.reach(id, Reached::Published);
    }

    fn reach(&mut self, id: TaskId, now: Reached) {
        let Some(task) = self.open.get_mut(&id) else { return };
        task.now = task.now.max(now);
        let before = task.furthest;
        task.furthest = before.max(now);
        let passed = |mark| u64::from(before < mark && now >= mark);
        let step = self.step(id.step);
        step.published += passed(Reached::Published);
        step.attempted += passed(Reached::Attempted);
        step.responded += passed(Reached::Responded);
    }

    fn again(&mut self, id: TaskId, round: Round, payment: Wei, not_before: Option<Timestamp>) {
        self.step(id.step).retried += 1;
        self.with(id, |task| {
            task.begin(round, payment);
            task.not_before = not_before;
        });
    }

    fn returned(&mut self, amount: Wei) {
        self.money.locked = self.money.locked.saturating_sub(amount);
        self.money.refunded = self.money.refunded.saturating_add(amount);
    }

    /// The figures of a step; an event for a step that the run does not have makes room for it.
    fn step(&mut self, step: u16) -> &mut StepTally {
        let place = usize::from(step);
        if self.steps.len() <= place {
            self.steps.resize_with(place + 1, StepTally::default);
        }
        &mut self.steps[place]
    }

    fn with(&mut self, id: TaskId, change: impl FnOnce(&mut OpenTask)) {
        if let Some(task) = self.open.get_mut(&id) {
            change(task);
        }
    }
}

mod adopted;
mod again;
mod ends;

#[cfg(test)]
mod tests;
