//! Tasks that were published before the journal knew of them.

use super::{Reached, Tally};
use crate::units::{PastPublication, TaskId, Timestamp};

impl Tally {
    /// A publication of a time that the journal does not know.
    pub(super) fn adopted(&mut self, id: TaskId, publication: &PastPublication, at: Timestamp) {
        self.with(id, |task| {
            task.payment = publication.payment;
            task.expiry = Some(publication.expiry);
            task.gas = task.gas.saturating_add(publication.gas_paid);
        });
        self.reach(id, Reached::Submitted);
        self.published(id, publication.address, at);
        self.money.gas = self.money.gas.saturating_add(publication.gas_paid);
        let step = self.step(id.step);
        step.gas = step.gas.saturating_add(publication.gas_paid);
        self.adopted += 1;
    }

    /// How many tasks were found on the chain, published before this journal knew of them.
    pub const fn adopted_count(&self) -> u64 {
        self.adopted
    }
}
