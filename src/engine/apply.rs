//! The fold: how each fact changes the state of the run, its steps and its tasks.
//!
//! Total and silent: whatever the journal says is taken, and nothing here can fail. Facts of
//! slots and of the chain are folded next door, in `apply_slots` and `apply_chain`.

use std::time::Duration;

use alloy::primitives::Address;

use crate::units::source::Delivery;
use crate::units::{TaskId, Timestamp, Wei};

use super::retry::RoundEnd;
use super::step::{Mark, Steps};
use super::task::{Ending, Stage, Task, TaskState};
use super::tasks::Class;
use super::{Engine, Event, Expansion, FailReason, ItemEntry, Outcome, Timer, Verdict};
use super::{ItemFate, StepEnd};

/// How often fees and balances are read while slots are wanted (safety.md, section 10).
const SURVEY_CADENCE: Duration = Duration::from_secs(10);
/// How often they are read otherwise.
const IDLE_CADENCE: Duration = Duration::from_secs(60);

impl Engine {
    /// Folds one fact that happened at `at`.
    #[expect(clippy::too_many_lines, reason = "one arm a fact, and no fact forgotten")]
    pub(super) fn apply(&mut self, event: &Event, at: Timestamp) {
        match event {
            Event::RunStarted(header) => self.start(header),
            Event::RunResumed { cap, .. } => self.resume(*cap),
            Event::DrainAsked { until } => {
                self.drain = Some(*until);
                self.timers.set(Timer::Drain, *until);
            }
            Event::DepositAsked { account, amount } => {
                self.deposit = super::Deposit::Asked { account: *account, amount: *amount };
                self.want_quote(at);
            }
            Event::CancelAsked { scope, discard } => self.cancel_asked(scope, *discard),
            Event::ReclaimAsked { tasks } => {
                self.reclaim_asked(tasks);
                self.want_quote(at);
            }
            Event::FencesAsked { count } => {
                self.fences_asked(*count);
                self.want_quote(at);
            }
            Event::PublicationsFound { found } => self.finds.add(found),
            Event::LaneRead { below } => self.lane_read(*below),
            Event::TaskAdopted { task, key, publication } => {
                self.task_adopted(*task, *key, publication, at);
            }
            Event::BudgetReached { .. } => self.over_budget = true,
            Event::RunEnded { outcome } => self.outcome = Some(*outcome),
            Event::Due { timers } => timers.iter().for_each(|timer| self.due(*timer, at)),
            Event::StepExpanded { step, expansion } => self.step_expanded(*step, expansion),
            Event::ItemsRead { step, items } => {
                items.iter().for_each(|item| self.item_read(*step, item));
            }
            Event::StepEnded { step, end } => self.step_ended(*step, *end),
            Event::ConfigPinned { task, url, .. } => {
                self.change(*task, |t| t.state = TaskState::Ready { url: url.clone() });
                self.want_quote(at);
            }
            Event::LaneTaken { wallet, next_nonce, open, foreign, .. } => {
                self.lane_taken(*wallet, *next_nonce, (open, *foreign));
            }
            Event::Surveyed(survey) => self.surveyed(survey, at),
            Event::EscrowReturned { amount } => {
                self.refund = None;
                self.ledger.refund(*amount);
            }
            Event::LogsRead { to, to_time, final_number, final_time } => {
                self.logs_read(*to, *to_time, (*final_number, *final_time));
            }
            Event::LogsRewound { to } => self.logs_rewound(to),
            Event::SlotReserved { slot, task, key, call, fees, confirm_reserve } => {
                self.keep_for_confirm(*task, *confirm_reserve);
                let owner = super::apply_slots::Binding { task: *task, key: *key };
                self.slot_reserved(*slot, owner, (call, *fees), at);
            }
            Event::VersionWanted { slot, call, fees } => {
                self.version_wanted(slot.nonce, call, *fees);
            }
            Event::VersionSigned { slot, seq, hash, call, fees } => {
                self.version_signed(slot.nonce, (*seq, *hash), (call, *fees));
            }
            Event::Sent { sends, .. } => self.sent(sends, at),
            Event::LaneViewed { count, unexplained, .. } => {
                self.lane_viewed(*count, unexplained, at);
            }
            Event::SlotMined { slot, seq, block, ok } => {
                self.slot_mined(slot.nonce, *seq, (*block, *ok));
            }
            Event::SlotReopened { slot } => self.slot_reopened(slot.nonce, at),
            Event::SlotFinal { slot, end, gas_paid } => {
                self.slot_final(slot.nonce, end, *gas_paid);
                self.want_receipts();
            }
            Event::TaskPublished { task, address, block, tx_hash } => {
                self.task_published(*task, *address, (*block, *tx_hash), at);
            }
            Event::TaskAttempted { task } => self.change(*task, |t| {
                if let Some(published) = t.published_mut() {
                    published.attempted = true;
                }
            }),
            Event::ResponseSeen { task, response, block } => {
                let response = super::task::Response { address: *response, block: *block };
                self.change(*task, |t| t.queue(response));
                self.listen(*task, at);
            }
            Event::OutputFetched { task, response, offer, sha256, .. } => {
                self.change(*task, |t| t.fetched(*response, offer, *sha256));
            }
            Event::FetchFailed { task, again_at, .. } => self.fetch_failed(*task, *again_at),
            Event::OutputChecked { task, response, verdict } => {
                self.output_checked(*task, *response, verdict);
            }
            Event::ResponseChosen { task, .. } => {
                self.change(*task, Task::choose);
                self.want_quote(at);
            }
            Event::ResponseConfirmed { task, response, block, .. } => {
                self.response_confirmed(*task, *response, *block);
            }
            Event::TaskRead { task, status, .. } => {
                let cursor = self.ring.back().map_or(0, |block| block.number);
                self.change(*task, |t| {
                    if let Some(published) = t.published_mut() {
                        published.read_wanted = false;
                    }
                    t.was_canceled(*status, cursor);
                    t.was_finalized(*status);
                });
                self.listen(*task, at);
            }
            Event::ResponseGone { task, response } => {
                self.change(*task, |t| t.response_is_gone(*response));
            }
            Event::ResponsesExhausted { task } => self.change(*task, |t| {
                t.close(|published| {
                    let reason = published.refusal.clone().unwrap_or(FailReason::Expired);
                    Ending::Round(RoundEnd { reason, may_retry: true })
                });
            }),
            Event::ExpirySeen { task } => {
                let height = self.final_number;
                self.change(*task, |t| {
                    if let Some(published) = t.published_mut() {
                        published.expired_at.get_or_insert(height);
                        published.read_wanted = true;
                    }
                });
            }
            Event::ExpiryPassed { task } => self.change(*task, |t| {
                t.close(|published| {
                    let reason = published.refusal.clone().unwrap_or(FailReason::Expired);
                    Ending::Round(RoundEnd { reason, may_retry: true })
                });
            }),
            Event::RoundOpened { task, round, payment, not_before, .. } => {
                self.round_opened(*task, (*round, *payment), *not_before);
            }
            Event::TaskReopened { task, round, payment, .. } => {
                self.task_reopened(*task, *round, *payment);
            }
            Event::StepReopened { step } => self.step_reopened(*step),
            Event::PaymentsRaised { permille, ceiling } => {
                self.payments_raised(*permille, *ceiling);
            }
            Event::CodeAccepted { code } => {
                if let Some(header) = &mut self.header {
                    header.code = *code;
                }
            }
            Event::TaskDone { task, outcome } => self.task_done(*task, outcome),
        }
    }

    fn start(&mut self, header: &super::RunHeader) {
        self.cap = header.cap;
        self.ring.push_back(header.start_block);
        self.header = Some(Box::new(header.clone()));
        self.survey_wanted = true;
    }

    /// Changes a task, and keeps the counts of its step.
    pub(super) fn change(&mut self, id: TaskId, change: impl FnOnce(&mut Task)) {
        let Some((before, after)) = self.tasks.change(id, change) else { return };
        if let Some(step) = self.steps.get_mut(id.step) {
            step.count(Some(before), Some(after));
        }
    }

    /// Reads fees anew if the last quote is old: a task has just begun to want a slot.
    fn want_quote(&mut self, at: Timestamp) {
        let old = self.survey.as_ref().is_none_or(|(then, _)| at.since(*then) > SURVEY_CADENCE);
        self.survey_wanted |= old;
    }

    /// When fees and balances are read next.
    pub(super) fn survey_cadence(&self) -> Duration {
        if self.wants_slots() { SURVEY_CADENCE } else { IDLE_CADENCE }
    }

    fn resume(&mut self, cap: Option<Wei>) {
        self.cap = cap;
        self.over_budget = false;
        self.drain = None;
        self.drained = false;
        self.cancel.leaving = false;
        self.cancel.surveys = 0;
        self.outcome = None;
        self.survey_wanted = true;
        self.survey = None;
        self.short_surveys = 0;
        self.timers.clear(Timer::Drain);
        self.reopen_lane();
    }

    fn due(&mut self, timer: Timer, at: Timestamp) {
        self.timers.clear(timer);
        match timer {
            Timer::Pace => {}
            Timer::Survey => self.survey_wanted = true,
            Timer::Drain => self.drained = true,
            Timer::Send(slot) | Timer::Bump(slot) => self.send_again(slot.nonce, at),
            Timer::View(_) => self.view_due(at),
            Timer::Fetch(id) => self.change(id, |task| {
                if let TaskState::Checking { stage, .. } = &mut task.state
                    && let Stage::Cooling { failed } = *stage
                {
                    *stage = Stage::Fetching { failed };
                }
            }),
            Timer::Round(id) => self.change(id, |task| {
                if matches!(task.state, TaskState::Waiting { .. }) {
                    task.state = TaskState::Pinning;
                }
            }),
            Timer::Silence(id) => self.change(id, |task| {
                if let Some(published) = task.published_mut() {
                    published.read_wanted = true;
                }
            }),
        }
    }

    fn step_expanded(&mut self, place: u16, expansion: &Expansion) {
        let upstream =
            super::step::rule(&self.schedule, place).and_then(super::step::streamed_from);
        let done: Vec<u32> = match (expansion, upstream) {
            (Expansion::Streaming, Some(upstream)) => self.released_places(upstream),
            _ => Vec::new(),
        };
        if let Some(step) = self.steps.get_mut(place) {
            step.expansion = Some(expansion.clone());
            step.pending.extend(done);
            if matches!(expansion, Expansion::Skipped) {
                step.end = Some(StepEnd::Skipped);
            }
        }
    }

    /// Places of a step whose items its readers may have by now.
    pub(super) fn released_places(&self, upstream: u16) -> Vec<u32> {
        let Some(step) = self.steps.get(upstream) else { return Vec::new() };
        (0_u32..)
            .zip(&step.items)
            .filter(|(_, record)| self.releases(upstream, record.mark))
            .map(|(place, _)| place)
            .collect()
    }

    /// Whether an item that ended so is handed to steps that take items as they come.
    fn releases(&self, upstream: u16, mark: Mark) -> bool {
        let keeps = super::step::rule(&self.schedule, upstream)
            .is_some_and(|rule| rule.on_partial == crate::plan::OnPartial::Keep);
        mark == Mark::Confirmed || (keeps && mark == Mark::Failed)
    }

    fn item_read(&mut self, place: u16, entry: &ItemEntry) {
        let key = entry.key_hash();
        let mark = match &entry.fate {
            ItemFate::Dropped => Mark::Dropped,
            ItemFate::Task { .. } | ItemFate::Failed { .. } => Mark::Live,
        };
        let Some(step) = self.steps.get_mut(place) else { return };
        step.record(entry.item, key, mark);
        let task = match &entry.fate {
            ItemFate::Dropped => return,
            ItemFate::Task { payment, expires_s } => Task::new(key, *payment, *expires_s),
            ItemFate::Failed { .. } => Task::new(key, Wei::ZERO, 0),
        };
        step.count(None, Some(Class::Before));
        self.tasks.insert(TaskId::new(place, entry.item), task);
    }

    fn step_ended(&mut self, place: u16, end: StepEnd) {
        let Some(step) = self.steps.get_mut(place) else { return };
        step.end = Some(end);
        step.before = 0;
        step.pending.clear();
        let left: Vec<TaskId> =
            self.tasks.iter().map(|(id, _)| id).filter(|id| id.step == place).collect();
        for id in left {
            if let Some(task) = self.tasks.take(id) {
                self.parked.insert(id, task);
            }
            self.timers.clear(Timer::Round(id));
        }
    }

    fn round_opened(
        &mut self,
        id: TaskId,
        (round, payment): (crate::units::Round, Wei),
        not_before: Timestamp,
    ) {
        self.leave_chain(id, None);
        self.change(id, |task| {
            task.round = round;
            task.payment = payment;
            task.state = TaskState::Waiting { until: not_before };
        });
        self.timers.set(Timer::Round(id), not_before);
    }

    /// Books the payment of a round that is over, `paid` or not, keeps nothing for its confirm,
    /// and forgets its addresses.
    fn leave_chain(&mut self, id: TaskId, paid: Option<Wei>) {
        self.keep_for_confirm(id, Wei::ZERO);
        let Some(task) = self.tasks.get(id).cloned() else { return };
        for timer in [Timer::Silence(id), Timer::Fetch(id), Timer::Round(id)] {
            self.timers.clear(timer);
        }
        if task.published().is_some() {
            match paid {
                Some(paid) => self.ledger.pay(task.payment, paid),
                None => self.ledger.strand(task.payment),
            }
        }
    }

    fn task_done(&mut self, id: TaskId, outcome: &Outcome) {
        self.leave_chain(id, outcome.paid());
        if *outcome == Outcome::Canceled {
            self.cancel.surveys = 0;
        }
        let Some(task) = self.tasks.take(id) else { return };
        let mark = match outcome {
            Outcome::Confirmed { .. } => Mark::Confirmed,
            Outcome::RejectedPaid { .. } | Outcome::Failed(_) => Mark::Failed,
            Outcome::Canceled | Outcome::Skipped => Mark::Dropped,
        };
        if let Some(step) = self.steps.get_mut(id.step) {
            step.count(Some(Class::of(&task)), None);
            step.set_mark(id.item, mark);
            step.withdrawn += u32::from(*outcome == Outcome::Canceled);
            match mark {
                Mark::Confirmed => step.confirmed += 1,
                Mark::Failed => step.failed += 1,
                Mark::Unread | Mark::Live | Mark::Dropped => {}
            }
        }
        if let Outcome::Failed(reason) = outcome
            && let Some(failed) = super::again::Failed::of(task, reason)
        {
            self.failed.insert(id, failed);
        }
        if self.releases(id.step, mark) {
            for reader in Steps::streamed_by(&self.schedule, id.step) {
                if let Some(step) = self.steps.get_mut(reader)
                    && step.is_streaming()
                    && step.mark(id.item) == Mark::Unread
                {
                    step.pending.insert(id.item);
                }
            }
        }
    }

    fn fetch_failed(&mut self, id: TaskId, again_at: Option<Timestamp>) {
        self.change(id, |task| {
            if let TaskState::Checking { stage, .. } = &mut task.state
                && let Stage::Fetching { failed } = *stage
            {
                *stage = Stage::Cooling { failed: failed + 1 };
            }
        });
        if let Some(again_at) = again_at {
            self.timers.set(Timer::Fetch(id), again_at);
        }
    }

    fn output_checked(&mut self, id: TaskId, response: Address, verdict: &Verdict) {
        let delivery = super::step::rule(&self.schedule, id.step).map(|rule| rule.delivery);
        let in_full = delivery == Some(Delivery::FirstResponse);
        self.change(id, |task| task.judge(response, verdict, in_full));
    }

    /// Looks at a task directly if the log stream says nothing of it for long: a minute, or a
    /// tenth of its life (safety.md, section 9).
    pub(super) fn listen(&mut self, id: TaskId, at: Timestamp) {
        let Some(task) = self.tasks.get(id) else { return };
        if task.published().is_none() {
            return;
        }
        let patience = Duration::from_secs((task.expires_s / 10).max(60));
        self.timers.set(Timer::Silence(id), at.after(patience));
    }
}
