//! What had failed, or ended, and goes on because the reader asked for it.

use super::Tally;
use crate::units::{Round, TaskId, Wei};

impl Tally {
    /// A task that had failed has another round: it is open again, and no failure any more.
    pub(super) fn tried_again(&mut self, id: TaskId, round: Round, payment: Wei) {
        let Some(task) = self.failed.remove(&id) else { return };
        self.failures.retain(|failure| failure.step != id.step || failure.key != task.key);
        let step = self.step(id.step);
        step.failed = step.failed.saturating_sub(1);
        self.open.insert(id, task);
        self.again(id, round, payment, None);
    }

    /// A step that had ended goes on; one that read no item is looked at from its beginning.
    pub(super) fn step_reopened(&mut self, step: u16) {
        let step = self.step(step);
        step.end = None;
        if step.read == 0 {
            step.items = None;
            step.started = false;
        }
    }
}
