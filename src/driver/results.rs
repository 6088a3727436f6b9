//! What became of items that later steps read: a fold of facts, outputs by their hash.

use std::collections::BTreeMap;

use alloy::primitives::{Address, B256};

use crate::engine::{Event, ItemFate, Outcome};
use crate::plan::{PlanItem, StepEntry};
use crate::units::{ItemKey, TaskId, Timestamp, Wei};

use super::ReadOutput;

/// What became of the items of the steps that somebody reads.
#[derive(Clone, Debug, Default)]
pub struct ResultIndex {
    /// Which steps are read; nothing is kept of the others.
    read: Vec<bool>,
    steps: Vec<BTreeMap<u32, Record>>,
    spent: Vec<Wei>,
    live: BTreeMap<TaskId, Live>,
    slots: BTreeMap<crate::units::Slot, u16>,
}

/// What is known of an item while its task lives.
#[derive(Clone, Debug, Default)]
struct Live {
    key: Option<ItemKey>,
    task: Option<Address>,
    since: Timestamp,
    provider: Option<Address>,
}

/// What became of an item.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Record {
    pub key: ItemKey,
    pub output: Option<B256>,
    pub reason: Option<&'static str>,
    pub provider: Option<Address>,
    pub paid: Wei,
    pub ms: u64,
    pub task: Option<Address>,
    pub response: Option<Address>,
}

/// What became of a step.
pub(crate) struct Records {
    pub entries: Vec<(u32, Record)>,
    pub spent: Wei,
}

impl Records {
    pub(crate) fn len(&self) -> usize {
        self.entries.len()
    }
}

impl ResultIndex {
    /// An index of the steps that are read by another one, or by `outputs` if `all` says so.
    pub fn new(schedule: &crate::plan::Schedule, all: bool) -> Self {
        let count = schedule.steps.len();
        let mut read = vec![all; count];
        for edge in schedule.steps.iter().flat_map(|rule| &rule.upstreams) {
            read[usize::from(edge.step)] = true;
        }
        Self {
            read,
            steps: vec![BTreeMap::new(); count],
            spent: vec![Wei::ZERO; count],
            ..Self::default()
        }
    }

    /// Folds one fact.
    pub fn apply(&mut self, at: Timestamp, event: &Event) {
        match event {
            Event::ItemsRead { step, items } if self.is_read(*step) => {
                for item in items.iter().filter(|item| item.fate != ItemFate::Dropped) {
                    let live = Live { key: Some(item.key.clone()), ..Live::default() };
                    self.live.insert(TaskId::new(*step, item.item), live);
                }
            }
            Event::SlotReserved { slot, task, .. } => {
                self.slots.insert(*slot, task.step);
            }
            Event::SlotFinal { slot, gas_paid, .. } => {
                if let Some(step) = self.slots.remove(slot) {
                    self.spend(step, *gas_paid);
                }
            }
            Event::TaskPublished { task, address, .. } => {
                if let Some(live) = self.live.get_mut(task) {
                    live.task = Some(*address);
                    live.since = at;
                }
            }
            Event::OutputFetched { task, offer, .. } => {
                if let Some(live) = self.live.get_mut(task) {
                    live.provider = Some(offer.provider);
                }
            }
            Event::TaskDone { task, outcome } => self.done(at, *task, outcome),
            _ => {}
        }
    }

    fn is_read(&self, step: u16) -> bool {
        self.read.get(usize::from(step)).copied().unwrap_or(false)
    }

    fn spend(&mut self, step: u16, amount: Wei) {
        if let Some(spent) = self.spent.get_mut(usize::from(step)) {
            *spent = spent.saturating_add(amount);
        }
    }

    fn done(&mut self, at: Timestamp, id: TaskId, outcome: &Outcome) {
        self.spend(id.step, outcome.paid().unwrap_or_default());
        let Some(live) = self.live.remove(&id) else { return };
        let Some(key) = live.key else { return };
        let (output, response) = match outcome {
            Outcome::Confirmed { response, sha256, .. } => (Some(*sha256), Some(*response)),
            Outcome::RejectedPaid { response, .. } => (None, Some(*response)),
            Outcome::Failed(_) | Outcome::Canceled | Outcome::Skipped => (None, None),
        };
        let record = Record {
            key,
            output,
            reason: reason(outcome),
            provider: live.provider.filter(|_| response.is_some()),
            paid: outcome.paid().unwrap_or_default(),
            ms: u64::try_from(at.since(live.since).as_millis()).unwrap_or(u64::MAX),
            task: live.task,
            response,
        };
        if let Some(step) = self.steps.get_mut(usize::from(id.step)) {
            step.insert(id.item, record);
        }
    }

    /// What became of one item.
    pub(crate) fn get(&self, step: u16, place: u32) -> Option<Record> {
        self.steps.get(usize::from(step))?.get(&place).cloned()
    }

    /// What became of a step's items, in input order.
    pub(crate) fn of_step(&self, step: u16) -> Records {
        let place = usize::from(step);
        let entries = self.steps.get(place).into_iter().flatten();
        Records {
            entries: entries.map(|(item, record)| (*item, record.clone())).collect(),
            spent: self.spent.get(place).copied().unwrap_or_default(),
        }
    }
}

impl Record {
    /// The entry that expressions see.
    pub(crate) fn entry(&self, item: PlanItem, outputs: &ReadOutput) -> Result<StepEntry, String> {
        let output = match &self.output {
            None => None,
            Some(sha256) => {
                let bytes = outputs(sha256).map_err(|error| error.to_string())?;
                let bytes = bytes.ok_or_else(|| format!("the output {sha256} is missing"))?;
                let parsed = crate::plan::parse_output(&bytes);
                Some(parsed.map_err(|_| format!("the output {sha256} is not JSON"))?)
            }
        };
        Ok(StepEntry {
            key: self.key.clone(),
            item: item.value,
            output,
            reason: self.reason.map(str::to_owned),
            provider: self.provider,
            paid: self.paid,
            ms: self.ms,
            task: self.task,
            response: self.response,
        })
    }
}

/// The word of language.md, section 6, for how an item failed.
fn reason(outcome: &Outcome) -> Option<&'static str> {
    use crate::engine::FailReason as R;
    match outcome {
        Outcome::Confirmed { .. } | Outcome::Skipped => None,
        Outcome::RejectedPaid { .. } => Some("rejected_paid"),
        Outcome::Canceled => Some("canceled"),
        Outcome::Failed(R::Expired) => Some("expired"),
        Outcome::Failed(R::Rejected(_)) => Some("rejected"),
        Outcome::Failed(R::PublishError(_)) => Some("publish_error"),
        Outcome::Failed(R::FetchError(_)) => Some("fetch_error"),
        Outcome::Failed(R::RenderError(_)) => Some("render_error"),
        Outcome::Failed(R::Budget) => Some("budget"),
    }
}
