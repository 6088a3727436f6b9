//! The world's own books: what the chain says was paid, and what signed bytes may still cause.
//!
//! Nothing here asks the engine what it thinks that it owes; its ledger is compared with these.

use std::collections::BTreeMap;

use alloy::primitives::keccak256;

use super::World;
use super::chain::{Mined, Tx};
use crate::engine::{Event, Outcome, RunOutcome};
use crate::units::{Call, TaskId, TaskKey, Wei};

impl World {
    /// What is spent for good and what every byte in the journal could still cause, at worst.
    ///
    /// A slot that is settled cost what its block says. Of any other slot the dearest version
    /// counts, whatever is in a block now: a reorg may bring another one. A payment that was
    /// published counts in full, since nothing comes back to this world's vault.
    pub(super) fn committed(&self) -> Wei {
        self.by_slot(|mined| mined.gas_paid.saturating_add(payment_of(mined)), worst)
    }

    /// The same, of the wallet's money alone.
    pub(super) fn gas_at_worst(&self) -> Wei {
        self.by_slot(
            |mined| mined.gas_paid.saturating_add(mined.tx.call.value()),
            |tx| tx.fees.ceiling().expect("small").saturating_add(tx.call.value()),
        )
    }

    fn by_slot(&self, settled: impl Fn(&Mined) -> Wei, open: impl Fn(&Tx) -> Wei) -> Wei {
        let mut slots: BTreeMap<u64, Wei> = BTreeMap::new();
        for tx in self.durable.iter().map(|hash| &self.signed[hash]) {
            let worst = slots.entry(tx.slot.nonce.0).or_default();
            *worst = open(tx).max(*worst);
        }
        slots.extend(
            self.chain.settled().iter().map(|mined| (mined.tx.slot.nonce.0, settled(mined))),
        );
        slots.into_values().fold(Wei::ZERO, Wei::saturating_add)
    }

    /// What must hold after every fact: the cap (I7, S7) by both books, and the wallet.
    pub(in super::super) fn check_money(&self) {
        if self.lost {
            return;
        }
        let (ours, ledger) = (self.committed(), self.engine.ledger().committed());
        assert!(ours <= ledger, "S6: the ledger says {ledger} and may owe {ours}");
        if let Some(cap) = self.cap {
            assert!(ours <= cap, "S7: {ours} of {cap}");
            assert!(ledger <= cap, "I7: {ledger} of {cap}");
        }
        self.check_canceled();
        let gas = self.gas_at_worst();
        assert!(gas <= self.chain.wallet, "{gas} of the {} in the wallet", self.chain.wallet);
    }

    /// S5: for what was reported as cancelled nothing can be paid any more, and never was.
    fn check_canceled(&self) {
        for (_, event) in &self.journal {
            let Event::TaskDone { task, outcome: Outcome::Canceled } = event else { continue };
            assert!(!self.rounds_of(*task) || !self.chain.may_pay(*task), "S5: {task} can be paid");
        }
    }

    /// Whether a task had one round only: what became of those before it is not cancelled.
    fn rounds_of(&self, id: TaskId) -> bool {
        self.count(|event| matches!(event, Event::RoundOpened { task, .. } if *task == id)) == 0
    }

    /// Successful publications on the canonical chain, by key.
    pub(in super::super) fn payments(&self) -> BTreeMap<TaskKey, u32> {
        let mut payments = BTreeMap::new();
        for mined in self.chain.mined().iter().filter(|mined| mined.ok) {
            if let Some((_, key)) = mined.tx.owner {
                *payments.entry(key).or_insert(0) += 1;
            }
        }
        payments
    }

    pub(in super::super) fn publications_of(&self, task: TaskId) -> usize {
        let ours = |mined: &&Mined| mined.tx.owner.is_some_and(|(owner, _)| owner == task);
        self.chain.mined().iter().filter(|mined| mined.ok).filter(ours).count()
    }

    pub(in super::super) fn publications(&self) -> usize {
        self.payments().len()
    }

    /// Transactions of the wallet on the chain.
    pub(in super::super) fn transactions(&self) -> u64 {
        self.chain.count()
    }

    /// Bound publications and confirms, by the journal.
    pub(in super::super) fn reservations(&self) -> (usize, usize) {
        let mut counts = (0, 0);
        for (_, event) in &self.journal {
            match event {
                Event::SlotReserved { call: Call::PublishTask { .. }, .. } => counts.0 += 1,
                Event::SlotReserved { call: Call::CancelTask { .. }, .. } => {}
                Event::SlotReserved { .. } => counts.1 += 1,
                _ => {}
            }
        }
        counts
    }

    pub(in super::super) fn outcome_of(&self, id: TaskId) -> Option<Outcome> {
        self.journal.iter().find_map(|(_, event)| match event {
            Event::TaskDone { task, outcome } if *task == id => Some(outcome.clone()),
            _ => None,
        })
    }

    /// How many facts of a kind the journal has.
    pub(in super::super) fn count(&self, is_one: impl Fn(&Event) -> bool) -> usize {
        self.journal.iter().filter(|(_, event)| is_one(event)).count()
    }

    /// Items that ended with an output that is accepted, by the journal.
    pub(in super::super) fn collected(&self) -> usize {
        self.count(|event| {
            matches!(event, Event::TaskDone { outcome: Outcome::Confirmed { .. }, .. })
        })
    }

    /// The oracle: S1, S4 and S6 by the chain's own books.
    pub(in super::super) fn check_books(&self) {
        for (key, count) in self.payments() {
            assert_eq!(count, 1, "S1: {key} was paid {count} times");
        }
        let mut spent = Wei::ZERO;
        for (_, event) in &self.journal {
            let Event::TaskDone { task, outcome } = event else { continue };
            spent = spent.saturating_add(outcome.paid().unwrap_or_default());
            if let Outcome::Confirmed { response, sha256, .. } = outcome {
                assert!(self.chain.has_confirmed(*response), "S4: {task} says confirmed");
                assert_eq!(*sha256, keccak256(response), "S4: {task} has another output");
            }
        }
        let ledger = self.engine.ledger();
        assert_eq!(ledger.spent, spent, "S6");
        let quarantined = self.engine.outcome() == Some(RunOutcome::Quarantined);
        if self.engine.outcome().is_some() && !quarantined && self.engine.open_tasks() == 0 {
            assert_eq!(ledger.reserved, Wei::ZERO, "S6: nothing is bound");
            assert_eq!(ledger.escrowed, Wei::ZERO, "S6: nothing is open");
        }
        let gas = self.chain.mined().iter().map(|mined| mined.gas_paid);
        if self.engine.foreign_slots() == 0 && !self.lost {
            assert_eq!(ledger.gas, gas.fold(Wei::ZERO, Wei::saturating_add), "S6: gas");
        }
    }
}

/// The most that one version can cause.
fn worst(tx: &Tx) -> Wei {
    let payment = match &tx.call {
        Call::PublishTask { payment, .. } => *payment,
        Call::Deposit { amount, .. } => *amount,
        Call::ConfirmResponse { .. } | Call::CancelTask { .. } | Call::NoOp => Wei::ZERO,
    };
    tx.fees.ceiling().expect("small").saturating_add(payment)
}

/// What a settled transaction paid out of the vault, or may yet; a deposit that is there is ours.
fn payment_of(mined: &Mined) -> Wei {
    match &mined.tx.call {
        Call::PublishTask { payment, .. } if mined.ok => *payment,
        Call::PublishTask { .. }
        | Call::ConfirmResponse { .. }
        | Call::CancelTask { .. }
        | Call::Deposit { .. }
        | Call::NoOp => Wei::ZERO,
    }
}
