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

use super::publication::{Owner, Publication};
use super::purse::{Lack, Price, confirm_fees};
use super::step::rule;
use super::task::{Task, TaskState};
use super::{Deposit, Engine, Event, Turn};

/// The place that stands for no task: a deposit is the run's own.
pub(super) const DEPOSIT: TaskId = TaskId::new(u16::MAX, 0);
/// With fewer open tasks than this, reads are not worth being gathered.
const MANY_OPEN: u32 = 32;
/// A quote older than this is not used (safety.md, section 10).
const QUOTE_LIFE: Duration = Duration::from_secs(15);
/// How far the expiry of a task stays below the source's limit (protocol.md, section 6).
const EXPIRY_MARGIN: Duration = Duration::from_secs(30);

impl Engine {
    /// Binds slots for what the gates let pass: confirms first, then publications.
    pub(super) fn admit(&mut self, turn: &mut Turn) {
        if !self.has_fresh_quote(turn.now) {
            return;
        }
        self.admit_deposit(turn);
        self.admit_cancels(turn);
        self.admit_errands(turn);
        if self.lane.as_ref().is_none_or(|lane| !lane.has_much_room()) {
            return;
        }
        while let Some(id) = self.next_confirm() {
            if !self.admit_confirm(id, turn) {
                // What is bought already goes first: nothing new takes the money that it lacks.
                self.note_budget(self.is_short_for_good(turn.now), turn);
                return;
            }
        }
        while let Some(id) = self.next_publication(turn) {
            let Some(price) = self.survey.as_ref().and_then(|(_, s)| self.price_of(id, s)) else {
                return;
            };
            let lack = self.lack_for_publication(&price);
            if lack.is_some() && self.has_uncounted_gas() {
                return;
            }
            if lack.is_some() || !self.admit_publication(id, price, turn) {
                self.note_budget(lack, turn);
                return;
            }
        }
    }

    /// Whether slots hold more than they will turn out to have cost: what is short now may not be
    /// once their receipts are there.
    fn has_uncounted_gas(&self) -> bool {
        self.lane.as_ref().is_some_and(|lane| lane.has_mined_up_to(self.final_number))
    }

    /// Notes that the cap is what is lacking, if it is.
    fn note_budget(&mut self, lack: Option<Lack>, turn: &mut Turn) {
        match lack {
            Some(Lack::Cap(needed)) => self.emit(turn, Event::BudgetReached { needed }),
            Some(Lack::Funds) | None => {}
        }
    }

    /// Whether the last survey is young enough to quote from.
    pub(super) fn has_fresh_quote(&self, now: crate::units::Timestamp) -> bool {
        self.survey.as_ref().is_some_and(|(at, _)| now.since(*at) <= QUOTE_LIFE)
    }

    /// Whether anything wants a slot.
    pub(super) fn wants_slots(&self) -> bool {
        self.tasks.first_unconfirmed().is_some()
            || self.tasks.undecided().next().is_some()
            || self.errands.are_open()
            || (self.tasks.any_ready() && self.may_publish())
    }

    /// Whether new publications may start at all.
    pub(super) fn may_publish(&self) -> bool {
        self.drain.is_none()
            && !self.cancel.stops_publishing()
            && !self.over_budget
            && self.lane.as_ref().is_some_and(|lane| !lane.is_quarantined())
    }

    /// Whether nothing is left but what the balances do not allow.
    pub(super) fn is_out_of_funds(&self) -> bool {
        self.lack_for_next() == Some(Lack::Funds)
    }

    /// Whether the first pinned task cannot be bound for what is spent or bound.
    pub(super) fn lacks_for_next(&self) -> bool {
        self.lack_for_next().is_some()
    }

    fn lack_for_next(&self) -> Option<Lack> {
        let (_, survey) = self.survey.as_ref()?;
        let price = self.price_of(self.first_ready()?, survey)?;
        self.lack_for_publication(&price)
    }

    fn first_ready(&self) -> Option<TaskId> {
        self.steps.places().find_map(|step| self.tasks.ready_of(step).next())
    }

    fn next_confirm(&self) -> Option<TaskId> {
        let room = self.lane.as_ref().is_some_and(super::lane::Lane::has_room);
        if room { self.tasks.first_unconfirmed() } else { None }
    }

    /// The first ready task whose step has room, if slots and pace let one pass.
    fn next_publication(&self, turn: &Turn) -> Option<TaskId> {
        let room = self.lane.as_ref().is_some_and(super::lane::Lane::has_room);
        if !room || !self.may_publish() || !self.has_passed_height(self.read_again_to) {
            return None;
        }
        let id = self.next_allowed()?;
        (self.pace.opens_at() <= turn.now).then_some(id)
    }

    /// Whether everything is on chain that can be published before an answer comes: what is left
    /// waits for a response, an expiry, a round's backoff, or for money.
    pub fn has_published_all(&self) -> bool {
        let under_way = |task: &Task| matches!(task.state, TaskState::Publishing { .. });
        // What it has cost so far is known with it, as far as that is final.
        if self.lane.is_none()
            || self.has_uncounted_gas()
            || self.tasks.iter().any(|(_, task)| under_way(task))
        {
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

    /// Whether it helps to read sooner, with more requests: few tasks are open, or others wait for
    /// them to end.
    pub fn is_in_a_hurry(&self) -> bool {
        !self.limits.patient
            || self.drain.is_some()
            || self.tasks.open() < MANY_OPEN
            || (self.tasks.any_ready() && self.next_allowed().is_none())
    }

    /// The first ready task whose step and run have room for one more open task.
    pub(super) fn next_allowed(&self) -> Option<TaskId> {
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

    fn admit_publication(&mut self, id: TaskId, price: Price, turn: &mut Turn) -> bool {
        let (Some((_, survey)), Some(task), Some(rule)) =
            (&self.survey, self.tasks.get(id), rule(&self.schedule, id.step))
        else {
            return false;
        };
        let TaskState::Ready { url } = &task.state else { return false };
        let Price { payment, fees, confirm_reserve } = price;
        let call = Call::PublishTask {
            source: rule.source,
            config: url.clone(),
            expiry: expiry(rule, task, self.head_time.max(survey.time)),
            payment,
        };
        let Some(event) = self.bind(id, task, (call, fees), confirm_reserve) else { return false };
        self.emit(turn, event);
        true
    }

    /// Binds a slot for the deposit, if there is one without, and money for it.
    fn admit_deposit(&mut self, turn: &mut Turn) {
        let Deposit::Asked { account, amount } = self.deposit else { return };
        let (Some((_, survey)), Some(lane), Some(header)) =
            (&self.survey, &self.lane, &self.header)
        else {
            return;
        };
        let lack = self.lack_for_deposit();
        if lack.is_some() || !lane.has_room() || self.drain.is_some() {
            if !self.over_budget {
                self.note_budget(lack, turn);
            }
            return;
        }
        let fees = fees(survey, survey.confirm_gas);
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
        let confirm_reserve = Wei::ZERO;
        self.emit(turn, Event::SlotReserved { slot, task, key, call, fees, confirm_reserve });
    }

    fn admit_confirm(&mut self, id: TaskId, turn: &mut Turn) -> bool {
        let (Some((_, survey)), Some(task)) = (&self.survey, self.tasks.get(id)) else {
            return false;
        };
        let TaskState::Confirming { candidate, .. } = &task.state else { return false };
        if self.lack_for_confirm(task, survey).is_some() {
            return false;
        }
        let fees = confirm_fees(task, survey);
        let call = Call::ConfirmResponse { response: candidate.response.address };
        let Some(event) = self.bind(id, task, (call, fees), Wei::ZERO) else { return false };
        self.emit(turn, event);
        true
    }

    pub(super) fn bind(
        &self,
        id: TaskId,
        task: &Task,
        (call, fees): (Call, Fees),
        confirm_reserve: Wei,
    ) -> Option<Event> {
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
        Some(Event::SlotReserved { slot, task: id, key, call, fees, confirm_reserve })
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

impl Engine {
    /// The same publication with a fresh expiry, if less than half of its task's life is left by
    /// the chain's time: mined too late, its payment is frozen in a task that nobody can take.
    pub(super) fn refreshed(&self, publication: &Publication) -> Option<Call> {
        let Owner::Task { task: id, round, .. } = publication.owner else { return None };
        let Call::PublishTask { source, config, expiry: old, payment } = publication.signs() else {
            return None;
        };
        let task = self.tasks.get(id).filter(|task| task.round == round)?;
        let fresh = expiry(rule(&self.schedule, id.step)?, task, self.head_time);
        let (left, life) = (self.head_time.until(old), self.head_time.until(fresh));
        let call = Call::PublishTask { source, config, expiry: fresh, payment };
        (left < life / 2).then_some(call)
    }
}

/// When a task that is signed now ends: chain time and its life, below the source's limit.
fn expiry(rule: &StepRule, task: &Task, now: ChainTime) -> ChainTime {
    let life = Duration::from_secs(task.expires_s);
    now.after(life.min(rule.max_expiry.saturating_sub(EXPIRY_MARGIN)))
}
