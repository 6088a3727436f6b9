//! From (state, input) to facts: steps, items, configs, outputs, time.
//!
//! Each function looks whether the input still fits the state. What is late, doubled or
//! misaddressed yields nothing.

use std::time::Duration;

use alloy::primitives::Address;

use crate::units::{BlockRef, Revert, Round, TaskId};

use super::retry::{RoundEnd, next_round};
use super::step::rule;
use super::task::{Ending, FETCH_TRIES, Stage, Task, TaskState};
use super::{
    Engine, Event, FailReason, FetchFailure, Input, ItemEntry, Outcome, PinFailure, Turn, Verdict,
};
use super::{Expansion, ItemFate};

/// The wait before an output is fetched for the second time; it doubles from then on.
const FETCH_BASE: Duration = Duration::from_secs(1);

impl Engine {
    /// Turns one input into facts.
    #[expect(clippy::too_many_lines, reason = "a table: one arm for each input")]
    pub(super) fn transit(&mut self, input: Input, turn: &mut Turn) {
        match input {
            Input::Start(header) if self.header.is_none() => {
                self.emit(turn, Event::RunStarted(header));
            }
            Input::Start(_) => {}
            Input::Resume { epoch, cap, wishes } => self.on_resume((epoch, cap), wishes, turn),
            Input::CodeAccepted { code } => {
                if self.header.as_ref().is_some_and(|header| header.code != code) {
                    self.emit(turn, Event::CodeAccepted { code });
                }
            }
            Input::Lane { wallet, next_nonce, open, foreign, foreign_tx, passed } => {
                let taken =
                    Event::LaneTaken { wallet, next_nonce, open, foreign, foreign_tx, passed };
                self.emit(turn, taken);
            }
            Input::Tick => self.tick(turn),
            Input::Surveyed(survey) => self.on_survey(*survey, turn),
            Input::Logs(read) => self.on_logs(read, turn),
            Input::Expanded { step, expansion } => self.on_expansion(step, expansion, turn),
            Input::Items { step, items } => self.on_items(step, items, turn),
            Input::Pinned { task, round, url, bytes, content } => {
                if self.is_pinning(task, round) {
                    self.emit(turn, Event::ConfigPinned { task, url, bytes, content });
                    self.adopt(task, turn);
                }
            }
            Input::PinFailed { task, round, failure } if self.is_pinning(task, round) => {
                self.on_pin_failure(task, failure, turn);
            }
            Input::PinFailed { .. } => {}
            Input::Signed { slot, seq, hash, call, fees } => {
                self.on_signed(Event::VersionSigned { slot, seq, hash, call, fees }, turn);
            }
            Input::Sent { wallet, sends } => self.on_sent(wallet, &sends, turn),
            Input::Viewed { wallet, asked, view } => self.on_view(wallet, &asked, &view, turn),
            Input::Fetched { task, response, offer, confirmed_at, sha256, len } => {
                if self.fetching(task, response).is_some() {
                    self.note_confirmed((task, response), confirmed_at, turn);
                    self.emit(turn, Event::OutputFetched { task, response, offer, sha256, len });
                }
            }
            Input::FetchFailed { task, response, confirmed_at, reason, kind } => {
                self.on_fetch_failure((task, response), confirmed_at, (reason, kind), turn);
            }
            Input::Checked { task, response, verdict } => {
                if self.is_fetched(task, response) {
                    self.emit(turn, Event::OutputChecked { task, response, verdict });
                    self.follow(task, turn);
                }
            }
            Input::TaskRead { task, facts } => self.on_task_read(task, &facts, turn),
            Input::Deposit { account, amount } if self.deposit == super::Deposit::None => {
                self.emit(turn, Event::DepositAsked { account, amount });
            }
            Input::Deposit { .. } => {}
            Input::Cancel { scope, discard } => self.on_cancel(scope, discard, turn),
            Input::Reclaim { tasks } => self.on_reclaim(tasks, turn),
            Input::Fences { count } => self.on_fences(count, turn),
            Input::Settled { nonces } => self.on_settled(&nonces, turn),
            Input::ChainRead { found, below } => self.on_chain_read(found, below, turn),
            Input::Drain { until } if self.drain.is_none() && self.header.is_some() => {
                self.emit(turn, Event::DrainAsked { until });
            }
            Input::Drain { .. } => {}
        }
    }

    fn tick(&mut self, turn: &mut Turn) {
        let timers = self.timers.due(turn.now);
        if timers.is_empty() {
            return;
        }
        let looks =
            |timer: &super::Timer| matches!(timer, super::Timer::Bump(_) | super::Timer::Send(_));
        if timers.iter().any(looks) {
            self.refresh_expiries(turn);
        }
        for timer in &timers {
            if let super::Timer::Bump(slot) = timer {
                self.consider_bump(slot.nonce, false, turn);
            }
        }
        self.emit(turn, Event::Due { timers });
    }

    fn on_expansion(&mut self, step: u16, expansion: Expansion, turn: &mut Turn) {
        let waits = self
            .steps
            .get(step)
            .is_some_and(|s| s.expansion.is_none() && s.end.is_none() && !s.canceled);
        if waits && self.steps.is_released(&self.schedule, step) {
            self.emit(turn, Event::StepExpanded { step, expansion });
        }
    }

    /// Takes the items that the step waits for, and none that it has.
    fn on_items(&mut self, place: u16, items: Vec<ItemEntry>, turn: &mut Turn) {
        let Some(step) = self.steps.get(place) else { return };
        if step.end.is_some() || step.canceled {
            return;
        }
        let wanted: Vec<ItemEntry> = match &step.expansion {
            Some(Expansion::Streaming) => {
                items.into_iter().filter(|entry| step.pending.contains(&entry.item)).collect()
            }
            Some(Expansion::Items { count, .. }) => {
                let places = step.read..*count;
                let fresh = items.into_iter().filter(|entry| places.contains(&entry.item));
                places
                    .clone()
                    .zip(fresh)
                    .take_while(|(n, e)| *n == e.item)
                    .map(|(_, e)| e)
                    .collect()
            }
            Some(Expansion::Skipped | Expansion::Failed { .. }) | None => return,
        };
        if wanted.is_empty() {
            return;
        }
        let failed: Vec<(TaskId, String)> = wanted
            .iter()
            .filter_map(|entry| match &entry.fate {
                ItemFate::Failed { reason } => {
                    Some((TaskId::new(place, entry.item), reason.clone()))
                }
                ItemFate::Task { .. } | ItemFate::Dropped => None,
            })
            .collect();
        let items: Vec<_> = wanted.into_iter().map(|entry| self.priced(entry)).collect();
        let read: Vec<u32> = items.iter().map(|entry| entry.item).collect();
        self.emit(turn, Event::ItemsRead { step: place, items });
        for (task, reason) in failed {
            let outcome = Outcome::Failed(FailReason::RenderError(reason));
            self.emit(turn, Event::TaskDone { task, outcome });
        }
        read.into_iter().for_each(|item| self.adopt(TaskId::new(place, item), turn));
    }

    /// An item with the payment that it has after all raises.
    fn priced(&self, entry: ItemEntry) -> ItemEntry {
        match entry.fate {
            ItemFate::Task { payment, expires_s } => {
                let fate = ItemFate::Task { payment: self.raised(payment), expires_s };
                ItemEntry { fate, ..entry }
            }
            ItemFate::Dropped | ItemFate::Failed { .. } => entry,
        }
    }

    fn is_pinning(&self, id: TaskId, round: Round) -> bool {
        self.tasks
            .get(id)
            .is_some_and(|task| task.round == round && task.state == TaskState::Pinning)
    }

    fn on_pin_failure(&mut self, id: TaskId, failure: PinFailure, turn: &mut Turn) {
        match failure {
            PinFailure::Render(reason) => {
                let outcome = Outcome::Failed(FailReason::RenderError(reason));
                self.emit(turn, Event::TaskDone { task: id, outcome });
            }
            PinFailure::Refused(reason) => {
                let reason = FailReason::PublishError(reason);
                self.end_round(id, RoundEnd { reason, may_retry: true }, turn);
            }
        }
    }

    /// A publication that the contract undid for good: lateness and too little gas can go better
    /// next time.
    pub(super) fn on_publish_revert(&mut self, id: TaskId, revert: &Revert, turn: &mut Turn) {
        let reason = FailReason::PublishError(format!("the contract refused it: {revert}"));
        let may_retry = matches!(revert, Revert::Expired | Revert::OutOfGas);
        self.end_round(id, RoundEnd { reason, may_retry }, turn);
    }

    /// How often the output of this response failed to come, if it is being fetched.
    fn fetching(&self, id: TaskId, response: Address) -> Option<u32> {
        let state = &self.tasks.get(id)?.state;
        let TaskState::Checking { response: current, stage, .. } = state else { return None };
        let Stage::Fetching { failed } = stage else { return None };
        (current.address == response).then_some(*failed)
    }

    fn is_fetched(&self, id: TaskId, response: Address) -> bool {
        self.tasks.get(id).is_some_and(|task| {
            matches!(
                &task.state,
                TaskState::Checking { response: current, stage: Stage::Fetched { .. }, .. }
                    if current.address == response
            )
        })
    }

    fn on_fetch_failure(
        &mut self,
        (task, response): (TaskId, Address),
        confirmed_at: Option<BlockRef>,
        (reason, kind): (String, FetchFailure),
        turn: &mut Turn,
    ) {
        let Some(failed) = self.fetching(task, response) else { return };
        if kind != FetchFailure::Lasting && failed + 1 < FETCH_TRIES {
            let again_at = Some(turn.now.after(FETCH_BASE * 2_u32.saturating_pow(failed)));
            self.emit(turn, Event::FetchFailed { task, response, reason, again_at });
            return;
        }
        if kind == FetchFailure::NoResponse && self.is_confirmed(task, response) {
            self.emit(turn, Event::ResponseGone { task, response });
            return;
        }
        self.note_confirmed((task, response), confirmed_at, turn);
        let verdict = Verdict::Unreadable { reason };
        self.emit(turn, Event::OutputChecked { task, response, verdict });
        self.follow(task, turn);
    }

    fn is_confirmed(&self, id: TaskId, response: Address) -> bool {
        let published = self.tasks.get(id).and_then(Task::published);
        published.is_some_and(|published| published.confirmed_at(response).is_some())
    }

    /// The chain was read, not watched: believed if the log stream still stands on that block.
    fn note_confirmed(
        &mut self,
        (task, response): (TaskId, Address),
        at: Option<BlockRef>,
        turn: &mut Turn,
    ) {
        let known = at.filter(|block| self.has_passed(*block));
        if let Some(block) = known.filter(|_| !self.is_confirmed(task, response)) {
            self.emit(turn, Event::ResponseConfirmed { task, response, block, tx_hash: None });
        }
    }

    /// Whether the log stream has come to this height.
    pub(super) fn has_passed_height(&self, height: u64) -> bool {
        self.ring.back().is_some_and(|cursor| height <= cursor.number)
    }

    /// Whether this block is among those that the log stream has come through and that stand.
    ///
    /// What was read elsewhere may be of a branch that is gone, and no rewind would take it back.
    pub(super) fn has_passed(&self, block: BlockRef) -> bool {
        self.ring.iter().rev().any(|passed| *passed == block)
    }

    /// Takes the steps that follow at once from where a task stands: the choice once the response
    /// is final, the end once everything is.
    pub(super) fn follow(&mut self, id: TaskId, turn: &mut Turn) {
        let Some(task) = self.tasks.get(id) else { return };
        match &task.state {
            TaskState::Choosing { candidate, .. }
                if candidate.response.block.number <= self.final_number =>
            {
                let response = candidate.response.address;
                self.emit(turn, Event::ResponseChosen { task: id, response });
            }
            TaskState::Closing { published, end, after }
                if published.is_final && *after <= self.final_number =>
            {
                match end.clone() {
                    Ending::Done(outcome) => {
                        self.emit(turn, Event::TaskDone { task: id, outcome });
                    }
                    Ending::Round(end) => self.end_round(id, end, turn),
                }
            }
            TaskState::Waiting { .. }
            | TaskState::Pinning
            | TaskState::Ready { .. }
            | TaskState::Publishing { .. }
            | TaskState::Awaiting(_)
            | TaskState::Checking { .. }
            | TaskState::Choosing { .. }
            | TaskState::Confirming { .. }
            | TaskState::Closing { .. } => {}
        }
    }

    /// Ends a round that is closed: another one by the step's rule, or the item has failed.
    fn end_round(&mut self, id: TaskId, end: RoundEnd, turn: &mut Turn) {
        let (Some(task), Some(rule), Some(header)) =
            (self.tasks.get(id), rule(&self.schedule, id.step), &self.header)
        else {
            return;
        };
        let may_retry = end.may_retry
            && task.cancel == super::cancel::Cancel::No
            && !self.steps.is_failing(&self.schedule, id.step)
            && !self.steps.is_orphaned(&self.schedule, id.step);
        let end = RoundEnd { may_retry, ..end };
        let ended = (id, task.round, task.payment);
        let next = next_round(&rule.retry, &end, ended, (turn.now, header.seed));
        let within_ceiling = |payment| self.limits.max_per_task.is_none_or(|max| payment <= max);
        let event = match next.filter(|next| within_ceiling(next.payment)) {
            Some(next) => Event::RoundOpened {
                task: id,
                round: next.round,
                after: end.reason,
                payment: next.payment,
                not_before: next.not_before,
            },
            None => Event::TaskDone { task: id, outcome: Outcome::Failed(end.reason) },
        };
        self.emit(turn, event);
        self.adopt(id, turn);
    }

    /// What became of an item, for tests.
    #[cfg(test)]
    pub(super) fn mark_of(&self, id: TaskId) -> super::step::Mark {
        self.steps.get(id.step).map_or(super::step::Mark::Unread, |step| step.mark(id.item))
    }
}
