//! Who may start, and when: the three gates of a run.
//!
//! * *Slots*: how many slots and tasks may be open at once.
//! * *Pace*: how fast publications may start.
//! * *Purse*: what the budget and the two balances still allow.
//!
//! Asked in this order, so that the reason for waiting is the first that a reader would give.
//! The gates compare journaled facts with the run's limits, so a resumed run waits exactly as
//! the first one would have.
//!
//! Nothing here sleeps. A closed pace gate says when it opens, through
//! [`Engine::wakes_at`](super::Engine::wakes_at), and the driver does the waiting.

use std::time::Duration;

use crate::plan::StepRule;
use crate::units::ids::TaskOrigin;
use crate::units::{Call, ChainTime, Fees, Nonce, Slot, Survey, TaskId, TaskKey, Wei};

use super::step::rule;
use super::task::{Task, TaskState};
use super::{Deposit, Engine, Event, Turn};

/// The place that stands for no task: a deposit is the run's own.
pub(super) const DEPOSIT: TaskId = TaskId::new(u16::MAX, 0);
/// A quote older than this is not used (safety.md, section 10).
const QUOTE_LIFE: Duration = Duration::from_secs(15);
/// How far the expiry of a task stays below the source's limit (protocol.md, section 6).
const EXPIRY_MARGIN: Duration = Duration::from_secs(30);

/// Why nothing was admitted.
enum Closed {
    /// Nothing may start now.
    Gate,
    /// The cap would be passed.
    Cap(Wei),
}

impl Engine {
    /// Binds slots for what the gates let pass: confirms first, then publications.
    pub(super) fn admit(&mut self, turn: &mut Turn) {
        if !self.has_fresh_quote(turn.now) {
            return;
        }
        self.admit_deposit(turn);
        while let Some(id) = self.next_confirm() {
            if !self.admit_confirm(id, turn) {
                return;
            }
        }
        while let Some(id) = self.next_publication(turn) {
            match self.admit_publication(id, turn) {
                Ok(()) => {}
                Err(Closed::Gate) => return,
                Err(Closed::Cap(needed)) => {
                    self.emit(turn, Event::BudgetReached { needed });
                    return;
                }
            }
        }
    }

    /// Whether the last survey is young enough to quote from.
    pub(super) fn has_fresh_quote(&self, now: crate::units::Timestamp) -> bool {
        self.survey.as_ref().is_some_and(|(at, _)| now.since(*at) <= QUOTE_LIFE)
    }

    /// Whether anything wants a slot.
    pub(super) fn wants_slots(&self) -> bool {
        self.tasks.unconfirmed().next().is_some() || (self.tasks.any_ready() && self.may_publish())
    }

    /// Whether new publications may start at all.
    pub(super) fn may_publish(&self) -> bool {
        self.drain.is_none()
            && !self.over_budget
            && self.lane.as_ref().is_some_and(|lane| !lane.quarantined)
    }

    /// Whether nothing is left but what the balances do not allow.
    pub(super) fn is_out_of_funds(&self) -> bool {
        let Some((_, survey)) = &self.survey else { return false };
        let Some(id) = self.first_ready() else { return false };
        let Some((payment, fees)) = self.price_of(id, survey) else { return false };
        let gas = fees.ceiling().unwrap_or(Wei::from_u256(alloy::primitives::U256::MAX));
        self.purse.vault < payment || self.purse.wallet < gas
    }

    fn first_ready(&self) -> Option<TaskId> {
        self.steps.places().find_map(|step| self.tasks.ready_of(step).next())
    }

    fn next_confirm(&self) -> Option<TaskId> {
        let room = self.lane.as_ref().is_some_and(super::lane::Lane::has_room);
        if room { self.tasks.unconfirmed().next() } else { None }
    }

    /// The first ready task whose step has room, if slots and pace let one pass.
    fn next_publication(&self, turn: &Turn) -> Option<TaskId> {
        let room = self.lane.as_ref().is_some_and(super::lane::Lane::has_room);
        if !room || !self.may_publish() {
            return None;
        }
        let id = self.next_allowed()?;
        (self.pace.opens_at() <= turn.now).then_some(id)
    }

    /// Whether everything is on chain that can be published before an answer comes: what is left
    /// waits for a response, an expiry, a round's backoff, or for money.
    pub fn has_published_all(&self) -> bool {
        let under_way = |task: &Task| matches!(task.state, TaskState::Publishing { .. });
        if self.lane.is_none() || self.tasks.iter().any(|(_, task)| under_way(task)) {
            return false;
        }
        if !self.may_publish() {
            return true;
        }
        let preparing = self.steps.places().any(|place| {
            let step = self.steps.get(place);
            let unread = step.is_some_and(|s| s.expansion.is_none() && s.end.is_none());
            (unread && self.steps.is_released(&self.schedule, place))
                || self.steps.window(&self.schedule, place).is_some()
        });
        let pinning = || self.tasks.iter().any(|(_, task)| task.state == TaskState::Pinning);
        if preparing || pinning() {
            return false;
        }
        self.next_allowed().is_none() || self.is_out_of_funds()
    }

    /// The first ready task whose step and run have room for one more open task.
    fn next_allowed(&self) -> Option<TaskId> {
        if self.tasks.open() >= self.limits.in_flight.get() {
            return None;
        }
        self.steps.places().find_map(|place| {
            let step = self.steps.get(place)?;
            let has_room = step.end.is_none()
                && step.open < rule(&self.schedule, place)?.concurrency.get()
                && !self.steps.is_failing(&self.schedule, place)
                && !self.steps.is_orphaned(&self.schedule, place);
            if has_room { self.tasks.ready_of(place).next() } else { None }
        })
    }

    fn price_of(&self, id: TaskId, survey: &Survey) -> Option<(Wei, Fees)> {
        let gas_limit = *survey.publish_gas.get(usize::from(id.step))?;
        Some((self.tasks.get(id)?.payment, fees(survey, gas_limit)))
    }

    fn admit_publication(&mut self, id: TaskId, turn: &mut Turn) -> Result<(), Closed> {
        let (Some((_, survey)), Some(task), Some(rule)) =
            (&self.survey, self.tasks.get(id), rule(&self.schedule, id.step))
        else {
            return Err(Closed::Gate);
        };
        let TaskState::Ready { url } = &task.state else { return Err(Closed::Gate) };
        let (payment, fees) = self.price_of(id, survey).ok_or(Closed::Gate)?;
        let call = Call::PublishTask {
            source: rule.source,
            config: url.clone(),
            expiry: expiry(rule, task, self.head_time.max(survey.time)),
            payment,
        };
        self.check_purse(payment, &fees)?;
        let event = self.bind(id, task, (call, fees)).ok_or(Closed::Gate)?;
        self.emit(turn, event);
        Ok(())
    }

    /// Binds a slot for the deposit, if there is one without and the wallet holds the money.
    fn admit_deposit(&mut self, turn: &mut Turn) {
        let Deposit::Asked { account, amount } = self.deposit else { return };
        let (Some((_, survey)), Some(lane), Some(header)) =
            (&self.survey, &self.lane, &self.header)
        else {
            return;
        };
        let fees = fees(survey, survey.confirm_gas);
        let gas = fees.ceiling().unwrap_or(Wei::from_u256(alloy::primitives::U256::MAX));
        let affordable = gas.saturating_add(amount) <= self.purse.wallet;
        if !affordable || !lane.has_room() || self.drain.is_some() {
            return;
        }
        let name = crate::units::ItemKey::parse("deposit").expect("a word is a key");
        let step = crate::units::StepName::parse("vault").expect("a word is a name");
        let origin = TaskOrigin {
            network: &header.network,
            genesis: &header.genesis.0,
            run: &header.run,
            step: &step,
        };
        let key = TaskKey::derive(&origin, name.hash(), crate::units::Round::FIRST);
        let call = Call::Deposit { account, amount };
        let (slot, task) = (lane.slot(lane.next), DEPOSIT);
        self.emit(turn, Event::SlotReserved { slot, task, key, call, fees });
    }

    /// Whether the deposit waits for money that the wallet does not hold.
    pub(super) fn cannot_deposit(&self) -> bool {
        let Deposit::Asked { amount, .. } = self.deposit else { return false };
        self.survey.as_ref().is_some_and(|(_, survey)| {
            let gas = fees(survey, survey.confirm_gas).ceiling();
            let needed = gas.and_then(|gas| gas.checked_add(amount));
            needed.is_none_or(|needed| needed > self.purse.wallet)
        })
    }

    fn admit_confirm(&mut self, id: TaskId, turn: &mut Turn) -> bool {
        let (Some((_, survey)), Some(task)) = (&self.survey, self.tasks.get(id)) else {
            return false;
        };
        let TaskState::Confirming { candidate, .. } = &task.state else { return false };
        let fees = fees(survey, survey.confirm_gas);
        let call = Call::ConfirmResponse { response: candidate.response.address };
        // What was kept back for confirms is for this: the reserve does not count here.
        let gas = fees.ceiling();
        let left = self.purse.wallet.saturating_add(self.limits.reserve_gas);
        if gas.is_none_or(|gas| gas > left) {
            return false;
        }
        let Some(event) = self.bind(id, task, (call, fees)) else { return false };
        self.emit(turn, event);
        true
    }

    /// The cap counts everything that may still be spent; the balances what was seen last.
    fn check_purse(&self, payment: Wei, fees: &Fees) -> Result<(), Closed> {
        let gas = fees.ceiling().ok_or(Closed::Gate)?;
        if let Some(cap) = self.cap {
            let needed = self.ledger.committed().saturating_add(payment).saturating_add(gas);
            if needed > cap {
                return Err(Closed::Cap(needed));
            }
        }
        let affordable = payment <= self.purse.vault && gas <= self.purse.wallet;
        if affordable { Ok(()) } else { Err(Closed::Gate) }
    }

    fn bind(&self, id: TaskId, task: &Task, (call, fees): (Call, Fees)) -> Option<Event> {
        let lane = self.lane.as_ref()?;
        let header = self.header.as_ref()?;
        let name = &rule(&self.schedule, id.step)?.name;
        let origin = TaskOrigin {
            network: &header.network,
            genesis: &header.genesis.0,
            run: &header.run,
            step: name,
        };
        let key = TaskKey::derive(&origin, task.key, task.round);
        let slot = Slot { wallet: lane.wallet, nonce: Nonce(lane.next.0) };
        Some(Event::SlotReserved { slot, task: id, key, call, fees })
    }
}

/// The fees of a transaction that is quoted now.
pub(super) const fn fees(survey: &Survey, gas_limit: u64) -> Fees {
    Fees {
        gas_limit,
        max_fee_per_gas: survey.max_fee_per_gas,
        max_priority_fee_per_gas: survey.max_priority_fee_per_gas,
        legacy: survey.legacy,
    }
}

/// When a task that is signed now ends: chain time and its life, below the source's limit.
fn expiry(rule: &StepRule, task: &Task, now: ChainTime) -> ChainTime {
    let life = Duration::from_secs(task.expires_s);
    now.after(life.min(rule.max_expiry.saturating_sub(EXPIRY_MARGIN)))
}
