//! Where each wei of the budget is.
//!
//! Six accounts. A slot moves its payment and its gas ceiling to *reserved*, and on sources that
//! leave confirming to us the gas of the confirm too; a publication moves the payment on to
//! *escrowed*; the end of a task moves it to *spent*, or to *stuck* until a read of the vault
//! shows it back; what gas really cost goes to *gas*. The sum of the first five never passes the
//! cap (architecture.md, I7).

use serde::{Deserialize, Serialize};

use crate::units::Wei;

/// The accounts of a run, in wei.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ledger {
    /// Payments, gas ceilings and deposits of slots that are not final, and what is kept for the
    /// gas of confirms to come.
    pub reserved: Wei,
    /// Payments frozen for open tasks.
    pub escrowed: Wei,
    /// Payments of tasks that are over, not yet seen back in the vault.
    pub stuck: Wei,
    /// Payments to providers.
    pub spent: Wei,
    /// What transactions cost.
    pub gas: Wei,
    /// Payments that came back.
    pub refunded: Wei,
}

impl Ledger {
    /// What the run has spent and may still have to spend, in wei.
    pub fn committed(&self) -> Wei {
        [self.escrowed, self.stuck, self.spent, self.gas]
            .into_iter()
            .fold(self.reserved, Wei::saturating_add)
    }

    /// Payments that the vault holds for this run: shown as *locked*.
    pub fn locked(&self) -> Wei {
        self.escrowed.saturating_add(self.stuck)
    }

    /// A slot was bound: its payment and its gas ceiling may be spent from now on.
    pub(super) fn reserve(&mut self, amount: Wei) {
        self.reserved = self.reserved.saturating_add(amount);
    }

    /// A reservation ended, or shrank.
    pub(super) fn release(&mut self, amount: Wei) {
        self.reserved = self.reserved.saturating_sub(amount);
    }

    /// A task was published.
    pub(super) fn escrow(&mut self, payment: Wei) {
        self.release(payment);
        self.escrowed = self.escrowed.saturating_add(payment);
    }

    /// A publication of a time that the journal does not know is on the chain.
    pub(super) fn adopt(&mut self, payment: Wei, gas_paid: Wei) {
        self.escrowed = self.escrowed.saturating_add(payment);
        self.gas = self.gas.saturating_add(gas_paid);
    }

    /// A publication was taken back by a reorg.
    pub(super) fn reopen(&mut self, payment: Wei) {
        self.escrowed = self.escrowed.saturating_sub(payment);
        self.reserve(payment);
    }

    /// A task was paid with `paid` of its `payment`; the rest is stuck until it is seen back.
    pub(super) fn pay(&mut self, payment: Wei, paid: Wei) {
        self.escrowed = self.escrowed.saturating_sub(payment);
        self.spent = self.spent.saturating_add(paid);
        self.stuck = self.stuck.saturating_add(payment.saturating_sub(paid));
    }

    /// A task is over and was not paid.
    pub(super) fn strand(&mut self, payment: Wei) {
        self.escrowed = self.escrowed.saturating_sub(payment);
        self.stuck = self.stuck.saturating_add(payment);
    }

    /// A read of the vault showed stuck payments back.
    pub(super) fn refund(&mut self, amount: Wei) {
        self.stuck = self.stuck.saturating_sub(amount);
        self.refunded = self.refunded.saturating_add(amount);
    }

    /// A transaction cost `paid` of its `ceiling`.
    pub(super) fn burn(&mut self, ceiling: Wei, paid: Wei) {
        self.release(ceiling);
        self.gas = self.gas.saturating_add(paid);
    }
}
