//! What the cap and the two balances still allow, and what is kept back for confirms.
//!
//! A publication on a source that leaves confirming to us reserves the gas of its confirm too:
//! bought and not confirmed is money lost. The reserve stays with the task, across reorgs, until
//! its confirm has a slot, which takes it over, or until the round ends without one. A confirm
//! that costs more than was kept for it is bound if the difference fits; else it waits for fees
//! to fall, and nothing new is published meanwhile.

use crate::units::source::Delivery;
use crate::units::{Fees, Survey, TaskId, Timestamp, Wei};

use super::admission::fees;
use super::step::rule;
use super::task::{MOST_STARVED, Task};
use super::{Deposit, Engine, RunOutcome};

/// After so many surveys in a row that found no money for any confirm, a run that waits for
/// nothing else stops: two minutes, in which fees may fall.
const SHORT_SURVEYS: u32 = 12;

/// What may still be promised of the two balances, in wei.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Purse {
    /// Of the payer's vault.
    pub vault: Wei,
    /// Of the signer's wallet.
    pub wallet: Wei,
}

/// What binding a slot would promise more than is promised already, in wei.
struct Need {
    /// Of the cap.
    cap: Wei,
    /// Of the vault.
    vault: Wei,
    /// Of the wallet.
    wallet: Wei,
}

/// What a publication takes, and what is kept for its confirm.
pub(super) struct Price {
    /// The payment, in wei.
    pub payment: Wei,
    /// The publication's gas and fees.
    pub fees: Fees,
    /// What is kept for the gas of the confirm, in wei; nothing where the source pays by itself.
    pub confirm_reserve: Wei,
}

/// What keeps a slot from being bound.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Lack {
    /// The cap: it would have to be this, in wei.
    Cap(Wei),
    /// One of the balances.
    Funds,
}

impl Lack {
    /// How a run ends that waits for nothing else; whatever it is, it can be resumed.
    pub(super) const fn outcome(self) -> RunOutcome {
        match self {
            Self::Cap(_) => RunOutcome::PausedBudget,
            Self::Funds => RunOutcome::PausedFunds,
        }
    }
}

/// The fees of a task's confirm: twice the gas for each that ran out of it.
pub(super) fn confirm_fees(task: &Task, survey: &Survey) -> Fees {
    let starved = task.published().map_or(0, |published| published.starved);
    fees(survey, survey.confirm_gas.saturating_mul(1 << starved.min(MOST_STARVED)))
}

impl Engine {
    /// What a publication of this task takes at the fees of a survey; `None` if there is no such
    /// task, or if no sum of money is that high.
    pub(super) fn price_of(&self, id: TaskId, survey: &Survey) -> Option<Price> {
        let gas_limit = *survey.publish_gas.get(usize::from(id.step))?;
        let confirm_reserve = match rule(&self.schedule, id.step)?.delivery {
            Delivery::ManualConfirmation => fees(survey, survey.confirm_gas).ceiling()?,
            Delivery::FirstResponse => Wei::ZERO,
        };
        let payment = self.tasks.get(id)?.payment;
        Some(Price { payment, fees: fees(survey, gas_limit), confirm_reserve })
    }

    /// What keeps a publication at this price from being bound.
    pub(super) fn lack_for_publication(&self, price: &Price) -> Option<Lack> {
        let need = price.fees.ceiling().map(|gas| {
            let wallet = gas.saturating_add(price.confirm_reserve);
            Need { cap: price.payment.saturating_add(wallet), vault: price.payment, wallet }
        });
        self.lack(need)
    }

    /// What keeps the confirm of this task from being bound.
    ///
    /// What is kept for it counts as its own, and so does the budget's `reserve_gas`.
    pub(super) fn lack_for_confirm(&self, task: &Task, survey: &Survey) -> Option<Lack> {
        let need = confirm_fees(task, survey).ceiling().map(|gas| {
            let more = gas.saturating_sub(task.confirm_reserve);
            let wallet = more.saturating_sub(self.limits.reserve_gas);
            Need { cap: more, vault: Wei::ZERO, wallet }
        });
        self.lack(need)
    }

    /// What keeps a cancel from being bound: its gas, for which the budget's `reserve_gas` is there.
    pub(super) fn lack_for_cancel(&self, survey: &Survey) -> Option<Lack> {
        let need = fees(survey, survey.confirm_gas).ceiling().map(|gas| {
            let wallet = gas.saturating_sub(self.limits.reserve_gas);
            Need { cap: gas, vault: Wei::ZERO, wallet }
        });
        self.lack(need)
    }

    /// What keeps the deposit from being bound; `None` also if there is none to bind.
    ///
    /// While it is under way its amount counts like gas; in the vault it is no cost any more.
    pub(super) fn lack_for_deposit(&self) -> Option<Lack> {
        let (Deposit::Asked { amount, .. }, Some((_, survey))) = (self.deposit, &self.survey)
        else {
            return None;
        };
        let gas = fees(survey, survey.confirm_gas).ceiling();
        let need = gas.map(|gas| {
            let all = gas.saturating_add(amount);
            Need { cap: all, vault: Wei::ZERO, wallet: all }
        });
        self.lack(need)
    }

    /// What keeps a call from being bound that costs the wallet this gas and nothing else.
    pub(super) fn lack_for_gas(&self, gas: Option<Wei>) -> Option<Lack> {
        self.lack(gas.map(|gas| Need { cap: gas, vault: Wei::ZERO, wallet: gas }))
    }

    /// A need that no number can hold is one of funds: it may be a lie of one endpoint.
    fn lack(&self, need: Option<Need>) -> Option<Lack> {
        let Some(need) = need else { return Some(Lack::Funds) };
        let committed = self.ledger.committed().saturating_add(need.cap);
        if !need.cap.is_zero() && self.cap.is_some_and(|cap| committed > cap) {
            return Some(Lack::Cap(committed));
        }
        let short = need.vault > self.purse.vault || need.wallet > self.purse.wallet;
        short.then_some(Lack::Funds)
    }

    /// Why no confirm can be bound: what the one lacks that most is kept for.
    fn lack_of_confirms(&self, survey: &Survey) -> Option<Lack> {
        let task = self.tasks.get(self.tasks.first_unconfirmed()?)?;
        self.lack_for_confirm(task, survey)
    }

    /// Why the run cannot go on: nothing is left but confirms, and for some time there was no
    /// money for any of them.
    pub(super) fn is_short_for_good(&self, now: Timestamp) -> Option<Lack> {
        let (_, survey) = self.survey.as_ref()?;
        let slots_open = self.lane.as_ref().is_some_and(|lane| !lane.slots.is_empty());
        let only_confirms = self.tasks.open() == self.tasks.unconfirmed_count() && !slots_open;
        let waited = self.short_surveys >= SHORT_SURVEYS && self.has_fresh_quote(now);
        if only_confirms && waited { self.lack_of_confirms(survey) } else { None }
    }

    /// Counts a survey that found no money for confirms, in a row.
    pub(super) fn count_short_surveys(&mut self, survey: &Survey) {
        let short = self.lack_of_confirms(survey).is_some();
        self.short_surveys = if short { self.short_surveys.saturating_add(1) } else { 0 };
    }

    /// Takes the balances anew: what is bound, kept or was published since is not free.
    pub(super) fn fill_purse(&mut self, survey: &Survey) {
        let kept = self.tasks.confirm_reserves();
        let (mut payments, mut gas) = (Wei::ZERO, self.limits.reserve_gas.saturating_add(kept));
        for publication in self.lane.iter().flat_map(|lane| lane.slots.values()) {
            gas = gas.saturating_add(publication.gas_ceiling());
            if publication.is_pending() {
                payments = payments.saturating_add(publication.payment());
                gas = gas.saturating_add(publication.call.value());
            }
        }
        self.purse = Purse {
            vault: survey.vault_balance.saturating_sub(payments),
            wallet: survey.wallet_balance.saturating_sub(gas),
        };
    }

    /// Keeps this much for the gas of a task's confirm, in place of what was kept until now.
    pub(super) fn keep_for_confirm(&mut self, id: TaskId, amount: Wei) {
        let mut before = None;
        self.change(id, |task| {
            before = Some(std::mem::replace(&mut task.confirm_reserve, amount));
        });
        // Without a task there is nothing to keep it with.
        let Some(before) = before else { return };
        self.ledger.release(before);
        self.ledger.reserve(amount);
        self.purse.wallet = self.purse.wallet.saturating_add(before).saturating_sub(amount);
    }
}
