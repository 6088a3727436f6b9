//! What happens next: the pure state machine of a run.
//!
//! * [`Engine::handle`] turns an input into facts, already applied.
//! * [`Engine::waiting`] and [`Engine::outstanding`] say which effects the states wait on.
//! * [`Engine::wakes_at`] says when time alone changes something.
//!
//! A state names the effect that it waits on, so starting a run and resuming one are the same
//! loop: [`Engine::replay`] folds the journal into the state that was live, and what is
//! outstanding then is what was outstanding before. Every effect is safe to do twice.
//!
//! Nothing here reads a clock, draws a random number or iterates a hash map. State changes in
//! `apply` and nowhere else; a transition goes from (state, input) to facts, and an input that is
//! late, doubled or for somebody else yields none.

mod admission;
mod adoption;
mod again;
mod apply;
mod apply_chain;
mod apply_slots;
pub mod cancel;
pub mod effect;
mod errands;
pub mod event;
pub mod header;
pub mod input;
pub mod items;
mod lane;
pub mod ledger;
mod moves;
pub mod outcome;
mod pace;
mod parts;
mod publication;
mod purse;
mod retry;
mod step;
mod task;
mod tasks;
mod timers;
mod transitions;
mod transitions_chain;
mod transitions_slots;
mod verdict;
mod waiting;

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use alloy::primitives::{Address, B256};

use crate::plan::{Limits, Schedule};
use crate::units::{BlockRef, ChainTime, Nonce, Seq, Slot, Survey, TaskId, Timestamp, Wei};

pub use adoption::Found;
pub use cancel::CancelScope;
pub use effect::{Effect, EffectKey, Window};
pub use errands::Stale;
pub use event::Event;
pub use header::{OpenSlot, OpenVersion, RunHeader};
pub use input::{FetchFailure, Input, PinFailure, Wishes};
pub use items::{Expansion, ItemEntry, ItemFate};
pub use ledger::Ledger;
pub use outcome::{FailReason, Outcome, RunOutcome, SlotEnd, StepEnd, Verdict};
pub use parts::{Offer, SendNote, Timer};

use cancel::Cancels;
use lane::Lane;
use pace::Pace;
use purse::Purse;
use step::Steps;
use tasks::Tasks;
use timers::Timers;

/// How many blocks of the cursor are remembered, the first of all among them: a reorg that goes
/// below the others reads everything again.
const RING: usize = 256;

/// A run, as far as its journal says.
#[derive(Debug)]
pub struct Engine {
    schedule: Arc<Schedule>,
    limits: Limits,
    header: Option<Box<RunHeader>>,
    cap: Option<Wei>,
    steps: Steps,
    tasks: Tasks,
    lane: Option<Lane>,
    by_hash: BTreeMap<B256, Nonce>,
    ledger: Ledger,
    /// What is left in the vault and in the wallet, seen from the last survey.
    purse: Purse,
    /// Surveys in a row that found no money for any confirm.
    short_surveys: u32,
    pace: Pace,
    survey: Option<(Timestamp, Survey)>,
    survey_wanted: bool,
    ring: VecDeque<BlockRef>,
    /// Up to where the log stream is read again before anything new is published.
    read_again_to: u64,
    head_time: ChainTime,
    final_number: u64,
    final_time: ChainTime,
    /// The newest block that published a task of this run.
    last_publication: u64,
    /// What the vault has given back of what is stuck, and the block that showed it.
    refund: Option<(BlockRef, Wei)>,
    timers: Timers,
    over_budget: bool,
    drain: Option<Timestamp>,
    drained: bool,
    /// What was asked to be taken back.
    cancel: Cancels,
    /// The deposit of the run, if it makes one.
    deposit: Deposit,
    outcome: Option<RunOutcome>,
    /// Slots of this run that a stranger used.
    foreign: u32,
    /// Transactions that are the run's own.
    errands: errands::Errands,
    /// What of the run was found on the chain.
    finds: adoption::Finds,
    /// Items that failed and may be tried again.
    failed: BTreeMap<TaskId, again::Failed>,
    /// Tasks that were not bound when their step ended.
    parked: BTreeMap<TaskId, task::Task>,
    /// Raises of payments, oldest first.
    raises: Vec<again::Raise>,
}

/// A deposit of the run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Deposit {
    /// The run makes none.
    None,
    /// Asked for; no slot is bound to it.
    Asked { account: Address, amount: Wei },
    /// Bound to a slot that is not final.
    Bound,
    /// Final: it is in the vault, or it never will be.
    Final { ok: bool },
}

/// The facts of one turn, and its moment.
struct Turn {
    now: Timestamp,
    events: Vec<Event>,
}

impl Engine {
    /// A run that has not begun.
    pub fn new(schedule: Arc<Schedule>, limits: Limits) -> Self {
        Self {
            steps: Steps::new(schedule.steps.len()),
            tasks: Tasks::default(),
            lane: None,
            by_hash: BTreeMap::new(),
            header: None,
            cap: None,
            ledger: Ledger::default(),
            purse: Purse::default(),
            short_surveys: 0,
            pace: Pace::new(limits.publish_rate, limits.burst),
            survey: None,
            survey_wanted: false,
            ring: VecDeque::new(),
            read_again_to: 0,
            head_time: ChainTime::default(),
            final_number: 0,
            final_time: ChainTime::default(),
            last_publication: 0,
            refund: None,
            timers: Timers::default(),
            over_budget: false,
            drain: None,
            drained: false,
            cancel: Cancels::default(),
            deposit: Deposit::None,
            outcome: None,
            foreign: 0,
            errands: errands::Errands::default(),
            finds: adoption::Finds::default(),
            failed: BTreeMap::new(),
            parked: BTreeMap::new(),
            raises: Vec::new(),
            schedule,
            limits,
        }
    }

    /// The run that wrote this journal, as it was when it wrote the last fact.
    pub fn replay(
        schedule: Arc<Schedule>,
        limits: Limits,
        journal: impl Iterator<Item = (Timestamp, Event)>,
    ) -> Self {
        let mut engine = Self::new(schedule, limits);
        for (at, event) in journal {
            engine.apply(&event, at);
        }
        engine
    }

    /// What follows from one input: facts, in order, already applied.
    pub fn handle(&mut self, input: Input, now: Timestamp) -> Vec<Event> {
        self.handle_all([input], now)
    }

    /// What follows from inputs of one moment: nothing is concluded before all are known.
    pub fn handle_all(
        &mut self,
        inputs: impl IntoIterator<Item = Input>,
        now: Timestamp,
    ) -> Vec<Event> {
        let mut turn = Turn { now, events: Vec::new() };
        inputs.into_iter().for_each(|input| self.transit(input, &mut turn));
        if self.header.is_some() && self.outcome.is_none() {
            self.advance(&mut turn);
        }
        turn.events
    }

    /// When time alone changes something; pace, expiry, backoff, bump, cadence.
    pub fn wakes_at(&self) -> Option<Timestamp> {
        if self.outcome.is_some() { None } else { self.timers.next() }
    }

    /// How the run ended or stopped; `None` while there is something to do.
    pub const fn outcome(&self) -> Option<RunOutcome> {
        self.outcome
    }

    /// Where each wei of the run is.
    pub const fn ledger(&self) -> &Ledger {
        &self.ledger
    }

    /// The run's header; `None` before it began.
    pub fn header(&self) -> Option<&RunHeader> {
        self.header.as_deref()
    }

    /// The cap from now on, in wei.
    pub const fn cap(&self) -> Option<Wei> {
        self.cap
    }

    /// The first nonce that this run could have bound; `None` before it took its lane.
    pub fn lane_began(&self) -> Option<Nonce> {
        self.lane.as_ref().map(|lane| lane.began)
    }

    /// Every version whose bytes the journal holds as long as its slot may be used by them.
    pub fn open_versions(&self) -> impl Iterator<Item = (Slot, Seq)> {
        let lane = self.lane.iter();
        lane.flat_map(|lane| {
            lane.slots.iter().flat_map(|(nonce, publication)| {
                publication.versions.iter().map(|(seq, _)| (lane.slot(*nonce), *seq))
            })
        })
    }

    /// Whether the run is there to use nonces up.
    pub fn is_fencing(&self) -> bool {
        self.errands.are_fences()
    }

    /// Slots of this run for which nothing was signed yet.
    pub fn unsigned_slots(&self) -> impl Iterator<Item = Nonce> {
        let slots = self.lane.iter().flat_map(|lane| &lane.slots);
        slots.filter(|(_, publication)| publication.versions.is_empty()).map(|(nonce, _)| *nonce)
    }

    /// How many slots of this run were used up by something that is not in the journal; more than
    /// 0 quarantines the wallet.
    pub const fn foreign_slots(&self) -> u32 {
        self.foreign
    }

    /// Makes a fact: applies it and notes it.
    fn emit(&mut self, turn: &mut Turn, event: Event) {
        self.apply(&event, turn.now);
        turn.events.push(event);
    }

    /// What follows from the state itself: ends of steps, admissions, the end of the run.
    fn advance(&mut self, turn: &mut Turn) {
        loop {
            let ended = self
                .steps
                .places()
                .find_map(|step| Some((step, self.steps.end_of(&self.schedule, step)?)));
            let Some((step, end)) = ended else { break };
            self.emit(turn, Event::StepEnded { step, end });
        }
        self.withdraw(turn);
        self.admit(turn);
        if let Some(outcome) = self.ending(turn.now) {
            self.emit(turn, Event::RunEnded { outcome });
        }
    }

    /// How the run ends now; `None` while it goes on.
    fn ending(&self, now: Timestamp) -> Option<RunOutcome> {
        let slots_open = self.lane.as_ref().is_some_and(|lane| !lane.slots.is_empty());
        let taken = self.lane.as_ref().filter(|lane| lane.is_taken);
        let quarantined = taken.is_some_and(Lane::is_quarantined);
        let idle = self.tasks.open() == 0 && !slots_open && !self.is_depositing();
        if self.drained {
            return Some(RunOutcome::Stopped);
        }
        // Though all may be collected: what used the foreign nonce is in no book of ours.
        if quarantined && self.only_foreign_left() {
            return Some(RunOutcome::Quarantined);
        }
        if let Some(lack) = self.lack_for_deposit().or_else(|| self.lack_for_errand())
            && self.tasks.open() == 0
            && !slots_open
        {
            return Some(lack.outcome());
        }
        // Never `OverBudget`, which is final: responses are there that only lack a confirm.
        if let Some(lack) = self.is_short_for_good(now) {
            return Some(lack.outcome());
        }
        if self.cancel.leaving {
            if let Some(failed) = self.cancels_fail(now) {
                return Some(failed);
            }
            if !self.is_cancel_settled() {
                return None;
            }
            if !idle || self.steps.ended().is_none() {
                let left = [RunOutcome::Stopped, RunOutcome::Quarantined];
                return Some(left[usize::from(quarantined)]);
            }
        }
        if !idle || self.is_refund_unread() {
            return None;
        }
        if let Some(well) = self.steps.ended() {
            // A run without steps is there for its deposit, or for what it takes back.
            let well = match self.deposit {
                Deposit::None if !self.errands.is_empty() => well && self.errands.went_well(),
                Deposit::None if self.schedule.steps.is_empty() => return None,
                Deposit::None | Deposit::Asked { .. } | Deposit::Bound => well,
                Deposit::Final { ok } => well && ok,
            };
            return Some(match (well, self.steps.any_canceled()) {
                (true, _) => RunOutcome::Done,
                (false, true) => RunOutcome::Canceled,
                (false, false) => RunOutcome::Failed,
            });
        }
        if self.drain.is_some() {
            return Some(RunOutcome::Stopped);
        }
        if self.over_budget {
            return Some(match self.limits.on_exceed {
                crate::plan::OnExceed::Pause => RunOutcome::PausedBudget,
                crate::plan::OnExceed::Stop => RunOutcome::OverBudget,
            });
        }
        self.is_out_of_funds().then_some(RunOutcome::PausedFunds)
    }

    /// Whether a deposit, or the return of a payment, is asked for and not final.
    fn is_depositing(&self) -> bool {
        matches!(self.deposit, Deposit::Asked { .. } | Deposit::Bound) || self.errands.are_open()
    }

    /// Counts of a step for tests and figures: confirmed and failed items.
    #[cfg(test)]
    fn step_counts(&self, step: u16) -> (u32, u32) {
        self.steps.get(step).map_or((0, 0), |s| (s.confirmed, s.failed))
    }

    /// When a published task ends, for tests.
    #[cfg(test)]
    fn expiry_of(&self, id: TaskId) -> Option<ChainTime> {
        self.tasks.get(id)?.published().map(|published| published.expiry)
    }

    /// How many tasks are bound or on chain, for tests.
    #[cfg(test)]
    const fn open_tasks(&self) -> u32 {
        self.tasks.open()
    }

    /// How many tasks have a confirm without a slot, for tests.
    #[cfg(test)]
    fn waiting_confirms(&self) -> u64 {
        u64::from(self.tasks.unconfirmed_count())
    }
}
