//! What became of tasks, as far as later steps read it: a small fold over events.
//!
//! Only steps that somebody reads are kept, a few words an item: outputs are named by their hash
//! and loaded when they are read.

use std::collections::{BTreeMap, BTreeSet};

use alloy::primitives::{Address, B256};

use crate::engine::{Event, Expansion, FailReason, ItemEntry, ItemFate, Outcome};
use crate::units::{Nonce, TaskId, Timestamp, Wei};

/// The fold.
#[derive(Debug, Default)]
pub(super) struct Results {
    /// Steps whose results are read.
    read: BTreeSet<u16>,
    expansions: BTreeMap<u16, Expansion>,
    done: BTreeMap<TaskId, Ended>,
    open: BTreeMap<TaskId, Open>,
    spent: BTreeMap<u16, Wei>,
    slots: BTreeMap<Nonce, u16>,
    longest_url: usize,
    chosen: Option<Address>,
}

/// A task that goes on.
#[derive(Debug, Default)]
struct Open {
    address: Option<Address>,
    published_at: Option<Timestamp>,
    confirmed_at: Option<Timestamp>,
    providers: Vec<(Address, Address)>,
}

/// What readers see of a task that is over, but for its item and its output.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Ended {
    /// The output; `None` if it failed.
    pub(super) sha256: Option<B256>,
    /// Why it failed, in a word of language.md, section 6; `None` if it did not.
    pub(super) reason: Option<&'static str>,
    /// Who responded.
    pub(super) provider: Option<Address>,
    /// What was paid, in wei.
    pub(super) paid: Wei,
    /// From publication to confirmation, in milliseconds.
    pub(super) ms: u64,
    /// The task's contract.
    pub(super) task: Option<Address>,
    /// The response's contract.
    pub(super) response: Option<Address>,
}

impl Results {
    /// A fold that keeps the results of these steps.
    pub(super) fn of(read: BTreeSet<u16>) -> Self {
        Self { read, ..Self::default() }
    }

    /// Which items a step has, once that is known.
    pub(super) fn expansion(&self, step: u16) -> Option<&Expansion> {
        self.expansions.get(&step)
    }

    /// What became of a task of a step that is read.
    pub(super) fn ended(&self, id: TaskId) -> Option<&Ended> {
        self.done.get(&id)
    }

    /// What became of all tasks of a step that is read, in input order.
    pub(super) fn all(&self, step: u16) -> Vec<(u32, Ended)> {
        let of_step = TaskId::new(step, 0)..=TaskId::new(step, u32::MAX);
        self.done.range(of_step).map(|(id, ended)| (id.item, ended.clone())).collect()
    }

    /// What a step cost so far, gas included, in wei.
    pub(super) fn spent(&self, step: u16) -> Wei {
        self.spent.get(&step).copied().unwrap_or_default()
    }

    /// The length of the longest config URL so far, in bytes.
    pub(super) const fn longest_url(&self) -> usize {
        self.longest_url
    }

    /// A response that was chosen and is not confirmed yet, if there is one.
    pub(super) const fn chosen(&self) -> Option<Address> {
        self.chosen
    }

    /// Takes one fact.
    #[expect(clippy::too_many_lines, reason = "a table: one arm for each event")]
    pub(super) fn fold(&mut self, event: &Event, at: Timestamp) {
        match event {
            Event::StepExpanded { step, expansion } => {
                self.expansions.insert(*step, expansion.clone());
            }
            Event::ItemsRead { step, items } => self.read(*step, items),
            Event::RoundOpened { task, .. } => {
                self.open.insert(*task, Open::default());
            }
            Event::TaskReopened { task, .. } => {
                self.done.remove(task);
                self.open.insert(*task, Open::default());
            }
            Event::ConfigPinned { url, .. } => self.longest_url = self.longest_url.max(url.len()),
            Event::SlotReserved { slot, task, .. } => {
                self.slots.insert(slot.nonce, task.step);
            }
            Event::SlotFinal { slot, gas_paid, .. } => {
                if let Some(step) = self.slots.remove(&slot.nonce) {
                    self.spend(step, *gas_paid);
                }
            }
            Event::TaskPublished { task, address, .. } => self.publish(*task, *address, at),
            Event::TaskAdopted { task, publication, .. } => {
                self.publish(*task, publication.address, at);
                self.spend(task.step, publication.gas_paid);
            }
            Event::OutputFetched { task, response, offer, .. } => {
                if let Some(open) = self.open.get_mut(task) {
                    open.providers.push((*response, offer.provider));
                }
            }
            Event::ResponseChosen { response, .. } => self.chosen = Some(*response),
            Event::ResponseConfirmed { task, response, .. } => self.confirm(*task, *response, at),
            Event::TaskDone { task, outcome } => self.end(*task, outcome, at),
            Event::RunStarted(_)
            | Event::RunResumed { .. }
            | Event::LaneTaken { .. }
            | Event::Surveyed(_)
            | Event::LogsRead { .. }
            | Event::LogsRewound { .. }
            | Event::StepEnded { .. }
            | Event::StepReopened { .. }
            | Event::PaymentsRaised { .. }
            | Event::CodeAccepted { .. }
            | Event::VersionWanted { .. }
            | Event::VersionSigned { .. }
            | Event::Sent { .. }
            | Event::Due { .. }
            | Event::LaneViewed { .. }
            | Event::SlotMined { .. }
            | Event::SlotReopened { .. }
            | Event::TaskAttempted { .. }
            | Event::ResponseSeen { .. }
            | Event::FetchFailed { .. }
            | Event::OutputChecked { .. }
            | Event::TaskRead { .. }
            | Event::ResponseGone { .. }
            | Event::ExpirySeen { .. }
            | Event::ResponsesExhausted { .. }
            | Event::ExpiryPassed { .. }
            | Event::EscrowReturned { .. }
            | Event::DepositAsked { .. }
            | Event::CancelAsked { .. }
            | Event::ReclaimAsked { .. }
            | Event::FencesAsked { .. }
            | Event::PublicationsFound { .. }
            | Event::LaneRead { .. }
            | Event::BudgetReached { .. }
            | Event::DrainAsked { .. }
            | Event::RunEnded { .. } => {}
        }
    }

    fn read(&mut self, step: u16, items: &[ItemEntry]) {
        for entry in items {
            if let ItemFate::Task { .. } = entry.fate {
                self.open.insert(TaskId::new(step, entry.item), Open::default());
            }
        }
    }

    fn publish(&mut self, id: TaskId, address: Address, at: Timestamp) {
        if let Some(open) = self.open.get_mut(&id) {
            open.address = Some(address);
            open.published_at = Some(at);
        }
    }

    fn spend(&mut self, step: u16, amount: Wei) {
        let spent = self.spent.entry(step).or_default();
        *spent = spent.saturating_add(amount);
    }

    fn confirm(&mut self, id: TaskId, response: Address, at: Timestamp) {
        if self.chosen == Some(response) {
            self.chosen = None;
        }
        if let Some(open) = self.open.get_mut(&id) {
            open.confirmed_at.get_or_insert(at);
        }
    }

    fn end(&mut self, id: TaskId, outcome: &Outcome, at: Timestamp) {
        let open = self.open.remove(&id).unwrap_or_default();
        let paid = outcome.paid().unwrap_or_default();
        self.spend(id.step, paid);
        if !self.read.contains(&id.step) {
            return;
        }
        let (sha256, reason, response) = match outcome {
            Outcome::Confirmed { response, sha256, .. } => (Some(*sha256), None, Some(*response)),
            Outcome::RejectedPaid { response, .. } => {
                (None, Some("rejected_paid"), Some(*response))
            }
            Outcome::Failed(reason) => (None, Some(word(reason)), None),
            Outcome::Canceled | Outcome::Skipped => (None, Some("canceled"), None),
        };
        let named = |(of, _): &&(Address, Address)| Some(*of) == response;
        let provider = open.providers.iter().rev().find(named).map(|(_, provider)| *provider);
        let since = open.published_at.map(|from| open.confirmed_at.unwrap_or(at).since(from));
        let ms = since.map_or(0, |span| u64::try_from(span.as_millis()).unwrap_or(u64::MAX));
        let ended = Ended { sha256, reason, provider, paid, ms, task: open.address, response };
        self.done.insert(id, ended);
    }
}

/// The word of language.md, section 6, for a reason.
const fn word(reason: &FailReason) -> &'static str {
    match reason {
        FailReason::Expired => "expired",
        FailReason::Rejected(_) => "rejected",
        FailReason::PublishError(_) => "publish_error",
        FailReason::FetchError(_) => "fetch_error",
        FailReason::RenderError(_) => "render_error",
        FailReason::Budget => "budget",
    }
}
