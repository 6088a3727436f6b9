//! Taking tasks back: who is asked for, what is done about each, when it is settled.
//!
//! | the task is | what is done |
//! |---|---|
//! | bound to no slot | it ends as cancelled: nothing was signed |
//! | bound, and not in a block | a no-op takes the place of its publication; the chain says which of the two won |
//! | published for good, not attempted | a cancel of its own slot; cancelled once that is final |
//! | attempted, or later | nothing: it is watched, and what comes is kept |
//!
//! The wish is a journaled fact and the rest follows from the state, so a run that was left in the
//! middle goes on with it whoever resumes it.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use crate::units::{Call, Survey, TaskId, Timestamp, Wei};

use super::admission::fees;
use super::publication::bumped;

use super::step::rule;
use super::task::{MOST_DENIED, Task, TaskState};
use super::{Engine, Event, Outcome, RunOutcome, Turn};
use crate::units::source::Delivery;

/// So many reads of the vault may lack a refund that the chain has made, before the run is left
/// without having seen it.
const REFUND_SURVEYS: u32 = 3;

/// Which tasks are to be taken back.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "is", rename_all = "kebab-case")]
pub enum CancelScope {
    /// All, and those that do not exist yet.
    Run,
    /// Those of a step, and those of it that do not exist yet.
    Step {
        /// The step's place in the plan.
        step: u16,
    },
    /// These.
    Tasks {
        /// Which.
        tasks: BTreeSet<TaskId>,
    },
}

impl CancelScope {
    /// Whether a task is asked for.
    pub fn holds(&self, id: TaskId) -> bool {
        match self {
            Self::Run => true,
            Self::Step { step } => id.step == *step,
            Self::Tasks { tasks } => tasks.contains(&id),
        }
    }
}

/// What a run was asked to take back.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Cancels {
    /// Whether the whole run was: it publishes nothing any more.
    run: bool,
    /// Whether the run is left once what became of the tasks is settled.
    pub leaving: bool,
    /// How often the vault was read since a task was last taken back.
    pub surveys: u32,
}

impl Cancels {
    /// Whether nothing new is published because of it.
    pub(super) const fn stops_publishing(&self) -> bool {
        self.run || self.leaving
    }
}

/// Whether a task is to be taken back, and how far that is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Cancel {
    /// It is not.
    No,
    /// It is, if it can be.
    Wanted {
        /// How many cancels of it the contract has refused.
        denied: u32,
    },
    /// Its cancel has a slot.
    Bound {
        /// How many cancels before this one the contract has refused.
        denied: u32,
    },
    /// It cannot be.
    Refused,
}

impl Cancel {
    /// The same once a cancel has a slot.
    pub(super) const fn bound(self) -> Self {
        match self {
            Self::Wanted { denied } => Self::Bound { denied },
            Self::No | Self::Bound { .. } | Self::Refused => self,
        }
    }

    /// Whether a cancel is under way.
    pub(super) const fn is_bound(self) -> bool {
        matches!(self, Self::Bound { .. })
    }
}

impl Task {
    /// Whether it is to be taken back, and it is open whether it can be.
    pub(super) const fn is_undecided(&self) -> bool {
        match (self.cancel, &self.state) {
            (Cancel::Bound { .. }, _) => true,
            (Cancel::Wanted { .. }, TaskState::Publishing { .. }) => true,
            (Cancel::Wanted { .. }, TaskState::Awaiting(published)) => !published.attempted,
            (Cancel::Wanted { .. }, _) | (Cancel::No | Cancel::Refused, _) => false,
        }
    }

    /// Whether a cancel can be signed for it. Before its publication is final its address may
    /// still become that of another task.
    pub(super) const fn is_cancelable(&self) -> bool {
        match (self.cancel, &self.state) {
            (Cancel::Wanted { .. }, TaskState::Awaiting(published)) => {
                published.is_final && !published.attempted
            }
            (Cancel::Wanted { .. } | Cancel::No | Cancel::Bound { .. } | Cancel::Refused, _) => {
                false
            }
        }
    }

    /// Whether it is to be taken back and has a response, which is looked at or paid first.
    pub(super) const fn is_collecting(&self) -> bool {
        let answered = match &self.state {
            TaskState::Checking { .. }
            | TaskState::Choosing { .. }
            | TaskState::Confirming { .. }
            | TaskState::Closing { .. } => true,
            TaskState::Waiting { .. }
            | TaskState::Pinning
            | TaskState::Ready { .. }
            | TaskState::Publishing { .. }
            | TaskState::Awaiting(_) => false,
        };
        answered && !matches!(self.cancel, Cancel::No)
    }

    /// Whether nothing was signed for its round.
    const fn is_unbound(&self) -> bool {
        !self.is_open()
    }

    /// The contract refused a cancel. Somebody has attempted it, or a second one tells.
    pub(super) fn cancel_was_refused(&mut self) {
        let Cancel::Bound { denied } = self.cancel else { return };
        let denied = denied.saturating_add(1);
        let attempted = self.published().is_none_or(|published| published.attempted);
        self.cancel = if attempted || denied >= MOST_DENIED {
            Cancel::Refused
        } else {
            Cancel::Wanted { denied }
        };
        if let Some(published) = self.published_mut() {
            published.read_wanted = true;
        }
    }
}

impl Engine {
    /// Notes the wish; what nothing was signed for has ended by that.
    pub(super) fn on_cancel(&mut self, scope: CancelScope, discard: bool, turn: &mut Turn) {
        if self.header.is_none() || self.outcome.is_some() || self.cancel.leaving {
            return;
        }
        self.emit(turn, Event::CancelAsked { scope, discard });
        let unbound: Vec<TaskId> = self
            .tasks
            .iter()
            .filter(|(_, task)| task.cancel != Cancel::No && task.is_unbound())
            .map(|(id, _)| id)
            .collect();
        for task in unbound {
            self.emit(turn, Event::TaskDone { task, outcome: Outcome::Canceled });
        }
    }

    /// Folds the wish.
    pub(super) fn cancel_asked(&mut self, scope: &CancelScope, discard: bool) {
        self.cancel.leaving = true;
        self.cancel.surveys = 0;
        self.survey_wanted = true;
        match scope {
            CancelScope::Run => {
                self.cancel.run = true;
                for place in self.steps.places() {
                    self.cancel_step(place);
                }
            }
            CancelScope::Step { step } => self.cancel_step(*step),
            CancelScope::Tasks { .. } => {}
        }
        let meant: Vec<TaskId> =
            self.tasks.iter().map(|(id, _)| id).filter(|id| scope.holds(*id)).collect();
        for id in meant {
            let manual = rule(&self.schedule, id.step)
                .is_some_and(|rule| rule.delivery == Delivery::ManualConfirmation);
            self.change(id, |task| {
                if !task.cancel.is_bound() {
                    task.cancel = Cancel::Wanted { denied: 0 };
                }
                if discard && manual {
                    task.discard();
                }
            });
        }
    }

    fn cancel_step(&mut self, place: u16) {
        if let Some(step) = self.steps.get_mut(place).filter(|step| step.end.is_none()) {
            step.canceled = true;
        }
    }

    /// Wants a no-op for each slot whose task is to be taken back and that is in no block. At once,
    /// whatever the market asks: in one append with the wish, before the bytes go out again.
    pub(super) fn withdraw(&mut self, turn: &mut Turn) {
        let wanted: Vec<TaskId> = self.tasks.undecided().collect();
        for id in wanted {
            let Some(event) = self.withdrawal(id) else { continue };
            self.emit(turn, event);
        }
    }

    /// The no-op for a task's slot, if it has none and there is money for it.
    fn withdrawal(&self, id: TaskId) -> Option<Event> {
        let lane = self.lane.as_ref()?;
        let TaskState::Publishing { nonce } = self.tasks.get(id)?.state else { return None };
        let publication = lane.slots.get(&nonce)?;
        if !publication.is_pending() || publication.withdrawn.is_some() {
            return None;
        }
        let old = publication.fees;
        let fees = match (&self.survey, publication.versions.is_empty()) {
            (Some((_, survey)), _) => bumped(old, fees(survey, old.gas_limit)),
            (None, false) => bumped(old, old),
            (None, true) => old,
        };
        let more = fees.ceiling()?.checked_sub(publication.gas_ceiling())?;
        let committed = self.ledger.committed().saturating_add(more);
        let within_cap = self.cap.is_none_or(|cap| committed <= cap);
        let (slot, call) = (lane.slot(nonce), Call::NoOp);
        (more.is_zero() || within_cap).then_some(Event::VersionWanted { slot, call, fees })
    }

    /// Binds slots for cancels, once it is known what the chain says of their tasks.
    pub(super) fn admit_cancels(&mut self, turn: &mut Turn) {
        while let Some(event) = self.next_cancel() {
            self.emit(turn, event);
        }
    }

    fn next_cancel(&self) -> Option<Event> {
        let id = self.tasks.first_cancelable()?;
        let (_, survey) = self.survey.as_ref()?;
        let room = self.lane.as_ref().is_some_and(super::lane::Lane::has_room);
        if !room || !self.is_caught_up() || self.lack_for_cancel(survey).is_some() {
            return None;
        }
        let task = self.tasks.get(id)?;
        let call = Call::CancelTask { task: task.published()?.address };
        // If it fails because somebody has attempted the task, there will be a confirm.
        self.bind(id, task, (call, fees(survey, survey.confirm_gas)), task.confirm_reserve)
    }

    /// Whether the log stream has come to the newest block that a survey has seen, and the lane
    /// was viewed.
    fn is_caught_up(&self) -> bool {
        self.has_passed_survey() && self.lane.as_ref().is_some_and(|lane| !lane.view_wanted)
    }

    /// Why no cancel can be signed, if that is all that is left to do.
    pub(super) fn cancels_fail(&self, now: Timestamp) -> Option<RunOutcome> {
        let (_, survey) = self.survey.as_ref().filter(|_| self.has_fresh_quote(now))?;
        let cancelable = |id| self.tasks.get(id).is_some_and(Task::is_cancelable);
        let left = self.tasks.first_cancelable().is_some() && self.is_caught_up();
        if !left || !self.tasks.undecided().all(cancelable) {
            return None;
        }
        if self.lane.as_ref().is_some_and(|lane| lane.is_quarantined()) {
            return Some(RunOutcome::Quarantined);
        }
        self.lack_for_cancel(survey).map(super::purse::Lack::outcome)
    }

    /// Whether it is final for each task what became of the wish, and the vault was read since.
    pub(super) fn is_cancel_settled(&self) -> bool {
        let unpaid = if self.short_surveys > 1 { self.tasks.unconfirmed_count() } else { 0 };
        self.is_caught_up()
            && self.tasks.undecided().next().is_none()
            && self.tasks.collecting() <= unpaid
            && !self.survey_wanted
            && !self.is_refund_unread()
    }

    /// Whether the vault was not read often enough to say that it does not show a refund.
    pub(super) const fn wants_refund_read(&self) -> bool {
        self.cancel.surveys < REFUND_SURVEYS
    }

    /// Whether the log stream has come to the block of the last survey.
    fn has_passed_survey(&self) -> bool {
        let survey = self.survey.as_ref();
        survey.is_some_and(|(_, survey)| self.has_passed_height(survey.head.number))
    }

    /// Notes what a survey showed that the log stream has come to only now. On other runs the next
    /// survey tells; one that was cancelled may be left before.
    pub(super) fn note_refund(&mut self, turn: &mut Turn) {
        let Some((_, survey)) = self.survey.as_ref().filter(|_| self.cancel.stops_publishing())
        else {
            return;
        };
        let amount = self.returned(survey).unwrap_or_default();
        if !amount.is_zero() {
            self.emit(turn, Event::EscrowReturned { amount });
        }
    }

    /// Whether the vault may show a refund that it has not shown yet.
    pub(super) fn is_refund_unread(&self) -> bool {
        self.cancel.stops_publishing()
            && !self.ledger.stuck.is_zero()
            && (self.wants_refund_read() || !self.has_passed_survey())
            && self.tasks.undecided().next().is_none()
    }

    /// Payments of this run that the vault must hold wherever the log stream stands: of tasks
    /// that nobody has responded to. Asked for only where tasks were taken back.
    pub(super) fn surely_frozen(&self) -> Wei {
        if !self.cancel.stops_publishing() {
            return Wei::ZERO;
        }
        let held = self.tasks.iter().filter(|(_, task)| match &task.state {
            TaskState::Awaiting(published) => {
                !task.discarded
                    && !task.cancel.is_bound()
                    && published.is_final
                    && published.confirmed.is_none()
                    && published.refused.is_empty()
                    && published.expiry > self.head_time
            }
            TaskState::Waiting { .. }
            | TaskState::Pinning
            | TaskState::Ready { .. }
            | TaskState::Publishing { .. }
            | TaskState::Checking { .. }
            | TaskState::Choosing { .. }
            | TaskState::Confirming { .. }
            | TaskState::Closing { .. } => false,
        });
        held.fold(Wei::ZERO, |sum, (_, task)| sum.saturating_add(task.payment))
    }
}

/// What a cancel may cost in gas at the fees of a survey, in wei; `None` if no number holds it.
pub fn cancel_ceiling(survey: &Survey) -> Option<Wei> {
    fees(survey, survey.confirm_gas).ceiling()
}
