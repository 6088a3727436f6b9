//! What became of every task of a run: the fold behind results, saved rows and outputs.
//!
//! Events name items by place and outputs by hash. Here both are found again: items in the blob
//! that the run keeps, or among the results of the step that they stream from; outputs in the
//! journal or the blobs.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::{BufRead, BufReader};

use alloy::primitives::B256;
use serde_json::Value;

use super::failure::{Exit, Failure};
use crate::content::Blobs;
use crate::driver::Outputs;
use crate::engine::{Event, Expansion, Outcome, SlotEnd};
use crate::plan::{Plan, PlanItem, StepEntry, StepValues};
use crate::report::figures::OpenTask;
use crate::report::{ErrorRow, Fact, Row, Tally, rows};
use crate::units::{Call, Purpose, Seq, Slot, TaskId, Timestamp, Wei};

/// A task that has ended.
#[derive(Clone, Debug)]
pub struct EndedTask {
    /// What was known of it when it ended.
    pub task: OpenTask,
    /// How it ended.
    pub outcome: Outcome,
    /// When.
    pub at: Timestamp,
}

/// Everything that a run's events say.
#[derive(Clone, Debug, Default)]
pub struct History {
    tally: Tally,
    expansions: BTreeMap<u16, Expansion>,
    ended: BTreeMap<TaskId, EndedTask>,
    versions: BTreeMap<(Slot, Seq), B256>,
    deposited: Option<B256>,
    canceled_by: BTreeMap<TaskId, B256>,
    taken_back: Vec<B256>,
    accepted_code: Option<[B256; 4]>,
}

impl History {
    /// Takes one fact in.
    pub fn observe(&mut self, fact: Fact<'_>) {
        if let Event::StepExpanded { step, expansion } = fact.event {
            self.expansions.insert(*step, expansion.clone());
        }
        if let Event::TaskReopened { task, .. } = fact.event {
            self.ended.remove(task);
        }
        if let Event::TaskDone { task: id, outcome } = fact.event
            && let Some(task) = self.tally.task(*id)
        {
            let ended = EndedTask { task: task.clone(), outcome: outcome.clone(), at: fact.at };
            self.ended.insert(*id, ended);
        }
        if let Event::CodeAccepted { code } = fact.event {
            self.accepted_code = Some(*code);
        }
        self.observe_slots(fact.event);
        self.tally.apply(fact);
    }

    /// The code of the contracts that was accepted in place of that in the header.
    pub fn accepted_code(&self) -> Option<[B256; 4]> {
        self.accepted_code
    }

    /// Remembers the transactions that people are told of: deposits, cancels, no-ops.
    fn observe_slots(&mut self, event: &Event) {
        if let Event::VersionSigned { slot, seq, hash, call, .. } = event {
            match call {
                Call::Deposit { .. } | Call::CancelTask { .. } | Call::NoOp => {
                    self.versions.insert((*slot, *seq), *hash);
                }
                Call::PublishTask { .. } | Call::ConfirmResponse { .. } => {}
            }
        }
        let Event::SlotFinal { slot, end: SlotEnd::Ok { seq }, .. } = event else { return };
        let Some(hash) = self.versions.get(&(*slot, *seq)) else { return };
        match self.tally.slot(*slot) {
            Some((id, purpose @ (Purpose::Cancel | Purpose::Publish))) => {
                self.canceled_by.insert(id, *hash);
                self.taken_back.extend((purpose == Purpose::Cancel).then_some(*hash));
            }
            Some((_, Purpose::Deposit)) => self.deposited = Some(*hash),
            Some((_, Purpose::Confirm | Purpose::Fence)) | None => {}
        }
    }

    /// The transaction that took a task back, once it is final; none if nothing was signed.
    pub fn canceled_by(&self, id: TaskId) -> Option<B256> {
        self.canceled_by.get(&id).copied()
    }

    /// All tasks that have ended.
    pub fn all_ended(&self) -> impl Iterator<Item = (TaskId, &EndedTask)> {
        self.ended.iter().map(|(id, ended)| (*id, ended))
    }

    /// The transaction that moved money into the vault, once it is final.
    pub const fn deposit(&self) -> Option<B256> {
        self.deposited
    }

    /// The transactions that took a task back, as far as they are final.
    pub fn taken_back(&self) -> &[B256] {
        &self.taken_back
    }

    /// The figures.
    pub const fn tally(&self) -> &Tally {
        &self.tally
    }

    /// The tasks of a step that have ended, in input order.
    pub fn ended(&self, step: u16) -> impl Iterator<Item = (u32, &EndedTask)> {
        let of_step = TaskId::new(step, 0)..=TaskId::new(step, u32::MAX);
        self.ended.range(of_step).map(|(id, ended)| (id.item, ended))
    }

    /// A task that has ended.
    pub fn task(&self, id: TaskId) -> Option<&EndedTask> {
        self.ended.get(&id)
    }
}

impl EndedTask {
    /// The accepted output's hash.
    pub const fn output(&self) -> Option<&B256> {
        match &self.outcome {
            Outcome::Confirmed { sha256, .. } => Some(sha256),
            Outcome::RejectedPaid { .. }
            | Outcome::Failed(_)
            | Outcome::Canceled
            | Outcome::Skipped => None,
        }
    }

    fn response(&self) -> Option<alloy::primitives::Address> {
        match &self.outcome {
            Outcome::Confirmed { response, .. } | Outcome::RejectedPaid { response, .. } => {
                Some(*response)
            }
            Outcome::Failed(_) | Outcome::Canceled | Outcome::Skipped => None,
        }
    }

    fn paid(&self) -> Wei {
        crate::report::figures::paid(&self.outcome)
    }

    fn ms(&self) -> Option<u64> {
        let from = self.task.published_at?;
        let to = self.task.confirmed.map_or(self.at, |confirmed| confirmed.at);
        u64::try_from(to.since(from).as_millis()).ok()
    }

    fn provider(&self) -> Option<alloy::primitives::Address> {
        let (of, offer) = self.task.offer.as_ref()?;
        (Some(*of) == self.response()).then_some(offer.provider)
    }
}

/// One item with what became of it.
#[derive(Clone, Debug)]
pub enum ItemResult {
    /// It has an accepted output.
    Accepted(Box<Row>),
    /// It has none.
    Failed(Box<ErrorRow>),
}

impl ItemResult {
    /// Its fields, for `--where`.
    pub fn json(&self) -> Value {
        match self {
            Self::Accepted(row) => serde_json::to_value(row),
            Self::Failed(row) => serde_json::to_value(row),
        }
        .unwrap_or_default()
    }
}

/// Reads items and outputs of a run back.
pub struct Reader<'a> {
    /// The plan of the run.
    pub plan: &'a Plan,
    /// What became of its tasks.
    pub history: &'a History,
    /// Where items are.
    pub blobs: &'a Blobs,
    /// Where outputs are.
    pub outputs: &'a Outputs,
}

impl std::fmt::Debug for Reader<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Reader").finish_non_exhaustive()
    }
}

impl Reader<'_> {
    /// What became of each item of a step, in input order, given to `take` one by one.
    ///
    /// # Errors
    /// When an item or an output cannot be read back, or `take` says so.
    pub fn rows(
        &self,
        step: u16,
        take: &mut dyn FnMut(ItemResult) -> Result<(), Failure>,
    ) -> Result<(), Failure> {
        self.rows_but(step, &BTreeSet::new(), &mut |_, row| take(row))
    }

    /// The same without the items at these places; each row with its own place.
    ///
    /// # Errors
    /// As [`Reader::rows`].
    pub fn rows_but(
        &self,
        step: u16,
        known: &BTreeSet<u32>,
        take: &mut dyn FnMut(u32, ItemResult) -> Result<(), Failure>,
    ) -> Result<(), Failure> {
        self.each(step, &mut |place, ended, item| {
            if known.contains(&place) {
                return Ok(());
            }
            let output = self.output(ended)?;
            take(place, result(ended, item, output))
        })
    }

    /// What readers of a step see, in input order.
    ///
    /// # Errors
    /// When an item or an output cannot be read back.
    pub fn values(&self, step: u16) -> Result<StepValues, Failure> {
        let mut entries = Vec::new();
        self.each(step, &mut |_, ended, item| {
            entries.push(StepEntry {
                key: ended.task.key.clone(),
                item,
                output: self.output(ended)?,
                reason: rows::failure(&ended.outcome).map(|(reason, _)| reason.to_owned()),
                provider: ended.provider(),
                paid: ended.paid(),
                ms: ended.ms().unwrap_or(0),
                task: ended.task.address,
                response: ended.response(),
            });
            Ok(())
        })?;
        let spent = self.history.tally.steps().nth(usize::from(step));
        let spent = spent.map_or(Wei::ZERO, |(_, step)| step.paid.saturating_add(step.gas));
        Ok(StepValues { entries, spent })
    }

    /// Calls `take` with each ended task of a step and its item, in input order.
    fn each(
        &self,
        step: u16,
        take: &mut dyn FnMut(u32, &EndedTask, Value) -> Result<(), Failure>,
    ) -> Result<(), Failure> {
        match self.history.expansions.get(&step) {
            Some(Expansion::Items { blob: Some(sha256), .. }) => {
                self.each_line(step, *sha256, take)
            }
            Some(Expansion::Streaming) => self.each_streamed(step, take),
            Some(
                Expansion::Items { blob: None, .. } | Expansion::Skipped | Expansion::Failed { .. },
            )
            | None => self
                .history
                .ended(step)
                .try_for_each(|(place, ended)| take(place, ended, Value::Null)),
        }
    }

    fn each_line(
        &self,
        step: u16,
        sha256: B256,
        take: &mut dyn FnMut(u32, &EndedTask, Value) -> Result<(), Failure>,
    ) -> Result<(), Failure> {
        let path = self.blobs.path(sha256);
        let lost = |why: String| {
            let message = format!("the items of `{}` cannot be read", self.plan.step_name(step));
            Failure::new(Exit::Unexpected, message).because(why)
        };
        let mut file = BufReader::new(File::open(&path).map_err(|error| lost(error.to_string()))?);
        let mut line = Vec::new();
        let mut at = 0_u32;
        for (place, ended) in self.history.ended(step) {
            loop {
                line.clear();
                let read = file.read_until(b'\n', &mut line).map_err(|e| lost(e.to_string()))?;
                at += 1;
                if read == 0 {
                    return Err(lost(format!("line {at} is missing")));
                }
                if at > place {
                    break;
                }
            }
            let item = PlanItem::from_line(place, &line)
                .ok_or_else(|| lost(format!("line {at} is no item")))?;
            take(place, ended, item.value)?;
        }
        Ok(())
    }

    fn each_streamed(
        &self,
        step: u16,
        take: &mut dyn FnMut(u32, &EndedTask, Value) -> Result<(), Failure>,
    ) -> Result<(), Failure> {
        let Some(upstream) = self.plan.steps()[usize::from(step)].streams else { return Ok(()) };
        let values = self.values(upstream)?;
        let scope = self.plan.scope(step, &[]);
        let places: Vec<u32> = self.history.ended(upstream).map(|(place, _)| place).collect();
        for (place, ended) in self.history.ended(step) {
            let entry = places.binary_search(&place).ok().and_then(|at| values.entries.get(at));
            let item = entry
                .and_then(|entry| self.plan.streamed(step, place, entry, &scope).ok().flatten());
            take(place, ended, item.map_or(Value::Null, |item| item.value))?;
        }
        Ok(())
    }

    fn output(&self, ended: &EndedTask) -> Result<Option<Value>, Failure> {
        let Some(sha256) = ended.output() else { return Ok(None) };
        let lost = |why: &str| {
            let message = format!("the output of `{}` cannot be read", ended.task.key);
            Failure::new(Exit::Unexpected, message).because(why)
        };
        let bytes = (self.outputs)(sha256).map_err(|error| super::errors::of_store(&error))?;
        let bytes = bytes.ok_or_else(|| lost("it is not on disk any more"))?;
        serde_json::from_slice(&bytes).map(Some).map_err(|_| lost("it is no JSON any more"))
    }
}

/// The row of an ended task.
fn result(ended: &EndedTask, item: Value, output: Option<Value>) -> ItemResult {
    let task = &ended.task;
    if let Some((reason, message)) = rows::failure(&ended.outcome) {
        return ItemResult::Failed(Box::new(ErrorRow {
            key: task.key.clone(),
            item,
            state: rows::state(&ended.outcome),
            reason,
            message,
            rounds: task.round.get(),
            paid: ended.paid(),
            locked: Wei::ZERO,
        }));
    }
    ItemResult::Accepted(Box::new(Row {
        key: task.key.clone(),
        item,
        output: output.unwrap_or_default(),
        state: rows::state(&ended.outcome),
        provider: ended.provider(),
        task: task.address,
        response: ended.response(),
        tx: task.confirmed.and_then(|confirmed| confirmed.tx),
        paid: ended.paid(),
        gas: task.gas,
        ms: ended.ms(),
        round: task.round.get(),
    }))
}
