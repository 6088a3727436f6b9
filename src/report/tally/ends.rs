//! The end of a task, and the rate at which tasks end.

use std::time::Duration;

use super::super::figures::{Failure, StepTally, latency, paid};
use super::{FAILURES, RATE_WINDOW, Tally};
use crate::engine::Outcome;
use crate::units::{TaskId, Timestamp};

impl Tally {
    /// A task has ended.
    pub(super) fn done(&mut self, id: TaskId, outcome: &Outcome, at: Timestamp) {
        let Some(task) = self.open.remove(&id) else { return };
        if outcome.paid().is_some() && task.is_on_chain() {
            self.money.locked = self.money.locked.saturating_sub(task.payment);
        }
        let paid = paid(outcome);
        self.money.paid = self.money.paid.saturating_add(paid);
        let step = self.step(id.step);
        step.paid = step.paid.saturating_add(paid);
        match outcome {
            Outcome::Confirmed { .. } => {
                step.confirmed += 1;
                step.latencies.extend(latency(&task, at));
            }
            Outcome::RejectedPaid { .. } => step.rejected_paid += 1,
            Outcome::Failed(_) => step.failed += 1,
            Outcome::Canceled | Outcome::Skipped => step.dismissed += 1,
        }
        let failed = matches!(outcome, Outcome::RejectedPaid { .. } | Outcome::Failed(_));
        if failed && self.failures.len() < FAILURES {
            let (step, rounds, outcome) = (id.step, task.round, outcome.clone());
            self.failures.push(Failure { step, key: task.key.clone(), rounds, outcome });
        }
        if matches!(outcome, Outcome::Failed(_)) {
            self.failed.insert(id, task);
        }
        self.sample(at);
    }

    /// Remembers how many tasks had ended, about once a second, for as long as the rate looks.
    fn sample(&mut self, at: Timestamp) {
        let second = Duration::from_secs(1);
        if self.ended.back().is_some_and(|(last, _)| at.since(*last) < second) {
            return;
        }
        let done = self.steps.iter().map(StepTally::ended).sum();
        self.ended.push_back((at, done));
        while self.ended.len() > 2
            && self.ended.front().is_some_and(|(t, _)| at.since(*t) > RATE_WINDOW)
        {
            self.ended.pop_front();
        }
    }
}
