//! What a reader may wish of a resume: that failed items are tried again, and that what is left
//! is paid better.
//!
//! A failed item gets one more round, with a key and a slot of its own. Every round that has
//! failed is closed already: nothing that was signed for it can succeed any more, or only we
//! could still pay it (safety.md, section 7). So a further round is as safe as one by `retry`.
//!
//! | item | another round |
//! |---|---|
//! | no response, refused, not published, unreadable | yes |
//! | rejected, paid | never: it was paid |
//! | not rendered | never: plan and items are those of the record |
//! | a later step has taken it, or works on its step's results now | not while that is so |
//! | of a step that fails all the same, or after such a one | no: it could not be published |

use crate::plan::{EdgeKind, OnPartial, StepRule};
use crate::units::{TaskId, Wei};

use super::input::Wishes;
use super::publication::Owner;
use super::step::{Mark, Step, Steps, rule};
use super::task::{Task, TaskState};
use super::tasks::Class;
use super::{Engine, Event, Expansion, FailReason, StepEnd, Timer, Turn};

/// An item that has failed and may be tried again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Failed {
    /// Its task, as it was in its last round.
    task: Task,
    /// Why that round failed.
    reason: FailReason,
}

/// A raise of all payments to come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Raise {
    permille: u32,
    ceiling: Option<Wei>,
}

/// A step that goes on because its items, or those before it, are tried again.
struct Reopening {
    step: u16,
    ended: bool,
    tasks: Vec<TaskId>,
}

impl Failed {
    /// What is kept of a task that failed; `None` if another round could not end otherwise.
    pub(super) fn of(task: Task, reason: &FailReason) -> Option<Self> {
        match reason {
            FailReason::Expired
            | FailReason::Rejected(_)
            | FailReason::PublishError(_)
            | FailReason::FetchError(_)
            | FailReason::Budget => {
                let task = Task { state: TaskState::Pinning, ..task };
                Some(Self { task, reason: reason.clone() })
            }
            FailReason::RenderError(_) => None,
        }
    }
}

impl Raise {
    /// A payment with this raise; never above the ceiling, never less than before.
    fn of(self, payment: Wei) -> Wei {
        let raised = payment.raised_by_permille(self.permille).unwrap_or(payment);
        self.ceiling.map_or(raised, |ceiling| raised.min(ceiling)).max(payment)
    }
}

impl Engine {
    /// Goes on, and does what the reader wishes.
    pub(super) fn on_resume(
        &mut self,
        (epoch, cap): (u64, Option<Wei>),
        wishes: Wishes,
        turn: &mut Turn,
    ) {
        self.emit(turn, Event::RunResumed { epoch, cap });
        if wishes.raise_permille > 0 {
            let (permille, ceiling) = (wishes.raise_permille, self.limits.max_per_task);
            self.emit(turn, Event::PaymentsRaised { permille, ceiling });
        }
        if !wishes.retry_failed {
            return;
        }
        for Reopening { step, ended, tasks } in self.reopening() {
            if ended {
                self.emit(turn, Event::StepReopened { step });
            }
            for id in tasks {
                let Some(failed) = self.failed.get(&id) else { continue };
                let (round, payment) = (failed.task.round.next(), failed.task.payment);
                let after = failed.reason.clone();
                self.emit(turn, Event::TaskReopened { task: id, round, after, payment });
                self.adopt(id, turn);
            }
        }
    }

    /// The failed items that a resume would try again, each with the payment that its new round
    /// would have if payments were raised by this much; in the order of the plan.
    pub fn retriable(&self, raise_permille: u32) -> Vec<(TaskId, Wei)> {
        let raise = Raise { permille: raise_permille, ceiling: self.limits.max_per_task };
        let tasks = self.reopening().into_iter().flat_map(|reopening| reopening.tasks);
        tasks.filter_map(|id| Some((id, raise.of(self.failed.get(&id)?.task.payment)))).collect()
    }

    /// How many items have failed without being paid, whether they can be tried again or not.
    pub fn unpaid_failures(&self) -> usize {
        self.failed.len()
    }

    /// Which steps go on, and which items of them, if what failed is tried again.
    fn reopening(&self) -> Vec<Reopening> {
        let mut all = Vec::new();
        let mut reopened = vec![false; self.schedule.steps.len()];
        // Whether readers of the step can never start.
        let mut bad = reopened.clone();
        for place in self.steps.places() {
            let (Some(step), Some(rule)) = (self.steps.get(place), rule(&self.schedule, place))
            else {
                continue;
            };
            let index = usize::from(place);
            let orphaned = rule.upstreams.iter().any(|edge| bad[usize::from(edge.step)]);
            let tasks = if orphaned { Vec::new() } else { self.retriable_of(place) };
            let anew = is_asked_anew(step, rule, &reopened);
            let total = self.steps.total(&self.schedule, place).unwrap_or(step.read);
            let left = step.failed.saturating_sub(u32::try_from(tasks.len()).unwrap_or(u32::MAX));
            let no_items = matches!(step.expansion, Some(Expansion::Failed { .. }));
            let failing =
                left > rule.allow_failures.of(total) || (no_items && !(anew && step.read == 0));
            let partly = rule.on_partial == OnPartial::Fail && step.failed > 0;
            reopened[index] = !orphaned && !failing && (anew || !tasks.is_empty());
            bad[index] = !reopened[index]
                && (orphaned || failing || step.ended_badly() || (step.end.is_some() && partly));
            if reopened[index] {
                all.push(Reopening { step: place, ended: step.end.is_some(), tasks });
            }
        }
        all
    }

    /// The failed items of a step that nothing stands on.
    fn retriable_of(&self, place: u16) -> Vec<TaskId> {
        let canceled = self.steps.get(place).is_some_and(|step| step.canceled);
        if canceled || self.is_being_read(place) {
            return Vec::new();
        }
        let readers = Steps::streamed_by(&self.schedule, place);
        let is_taken = |item: u32| {
            let marks = readers.iter().filter_map(|reader| self.steps.get(*reader));
            marks.map(|step| step.mark(item)).any(|mark| mark != Mark::Unread)
        };
        self.failed_of(place).filter(|id| !is_taken(id.item) && !self.has_slot(*id)).collect()
    }

    fn failed_of(&self, place: u16) -> impl Iterator<Item = TaskId> + '_ {
        let all = TaskId::new(place, 0)..=TaskId::new(place, u32::MAX);
        self.failed.range(all).map(|(id, _)| *id)
    }

    /// Whether a later step has begun with the whole results of this one and is not through: its
    /// items would come out of other results than those before them.
    fn is_being_read(&self, place: u16) -> bool {
        let whole = |rule: &StepRule| {
            rule.upstreams.iter().any(|edge| edge.step == place && edge.kind == EdgeKind::Whole)
        };
        (0_u16..).zip(&self.schedule.steps).filter(|(_, rule)| whole(rule)).any(|(reader, _)| {
            self.steps.get(reader).is_some_and(|step| {
                let through = step.ended_well() && self.failed_of(reader).next().is_none();
                step.read > 0 && !through
            })
        })
    }

    /// Whether a slot is still bound to a round of the task.
    fn has_slot(&self, id: TaskId) -> bool {
        self.lane
            .iter()
            .flat_map(|lane| lane.slots.values())
            .any(|publication| matches!(publication.owner, Owner::Task { task, .. } if task == id))
    }

    /// A payment as it is after all raises.
    pub(super) fn raised(&self, payment: Wei) -> Wei {
        self.raises.iter().fold(payment, |payment, raise| raise.of(payment))
    }

    /// Raises what is not bound yet: a config that is pinned is pinned again, since it says what
    /// is bought for how much.
    pub(super) fn payments_raised(&mut self, permille: u32, ceiling: Option<Wei>) {
        let raise = Raise { permille, ceiling };
        self.raises.push(raise);
        let unbound: Vec<TaskId> =
            self.tasks.iter().filter(|(_, task)| !task.is_open()).map(|(id, _)| id).collect();
        for id in unbound {
            self.change(id, |task| better_paid(task, raise));
        }
        self.parked.values_mut().for_each(|task| better_paid(task, raise));
        self.failed.values_mut().for_each(|failed| better_paid(&mut failed.task, raise));
    }

    /// Lets a step go on that had ended: with the tasks that it had left, with what the step that
    /// it streams from has for it, or, if it never read an item, from its beginning.
    pub(super) fn step_reopened(&mut self, place: u16) {
        let streams = rule(&self.schedule, place).and_then(super::step::streamed_from);
        let released = streams.map_or_else(Vec::new, |upstream| self.released_places(upstream));
        let Some(step) = self.steps.get_mut(place) else { return };
        step.end = None;
        if step.read == 0 {
            step.expansion = None;
            step.pending.clear();
        } else if step.is_streaming() {
            let unread: Vec<u32> =
                released.into_iter().filter(|item| step.mark(*item) == Mark::Unread).collect();
            step.pending.extend(unread);
        }
        let all = TaskId::new(place, 0)..=TaskId::new(place, u32::MAX);
        let parked: Vec<TaskId> = self.parked.range(all).map(|(id, _)| *id).collect();
        for id in parked {
            let Some(task) = self.parked.remove(&id) else { continue };
            if let TaskState::Waiting { until } = task.state {
                self.timers.set(Timer::Round(id), until);
            }
            self.add(id, task);
        }
    }

    /// Begins another round of an item that had failed.
    pub(super) fn task_reopened(&mut self, id: TaskId, round: crate::units::Round, payment: Wei) {
        let Some(Failed { task, .. }) = self.failed.remove(&id) else { return };
        if let Some(step) = self.steps.get_mut(id.step) {
            step.failed = step.failed.saturating_sub(1);
            step.set_mark(id.item, Mark::Live);
        }
        for reader in Steps::streamed_by(&self.schedule, id.step) {
            if let Some(step) = self.steps.get_mut(reader) {
                step.pending.remove(&id.item);
            }
        }
        self.add(id, Task { round, payment, state: TaskState::Pinning, ..task });
    }

    fn add(&mut self, id: TaskId, task: Task) {
        if let Some(step) = self.steps.get_mut(id.step) {
            step.count(None, Some(Class::of(&task)));
        }
        self.tasks.insert(id, task);
    }
}

/// Whether a step that has ended is looked at anew because a step that it reads goes on.
fn is_asked_anew(step: &Step, rule: &StepRule, reopened: &[bool]) -> bool {
    let Some(end) = step.end else { return false };
    rule.upstreams.iter().filter(|edge| reopened[usize::from(edge.step)]).any(|edge| match end {
        StepEnd::Skipped | StepEnd::Failed | StepEnd::Upstream => true,
        StepEnd::Done => edge.kind == EdgeKind::PerItem,
        StepEnd::Canceled => false,
    })
}

fn better_paid(task: &mut Task, raise: Raise) {
    task.payment = raise.of(task.payment);
    if matches!(task.state, TaskState::Ready { .. }) {
        task.state = TaskState::Pinning;
    }
}
