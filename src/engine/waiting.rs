//! Which effects the states wait on: of what a turn touched, or of everything.

use std::collections::BTreeSet;

use crate::units::{BlockRef, Nonce, TaskId};

use super::effect::Effect;
use super::lane::Lane;
use super::publication::PublicationState;
use super::task::{Stage, TaskState};
use super::{Engine, Event, Timer};

/// How many of the lowest unsent slots every turn offers again: a slot that waited for a lower
/// one which was mined meanwhile is touched by no fact of its own.
const OFFERED: usize = 16;
/// How many receipts one view asks for: with the head, what fits three batches.
const RECEIPTS: usize = 299;
/// For so many pages of the log stream receipts are gathered, if others are to come.
const GATHERED_PAGES: u32 = 8;

/// So many slots may be in blocks without their gas being known before it is asked for: what is
/// held for each of them would grow with the batch.
const MOST_UNCOUNTED: usize = 16_384;

impl Engine {
    /// Whether a receipt of a slot in a final block is waited for.
    ///
    /// The log stream proves a publication; its receipt tells the gas alone. While publications go
    /// out and the gas is missed by nobody, a look now and then is enough: on a node, a receipt
    /// costs more than a publication.
    pub(super) fn waits_for_receipts(&self) -> bool {
        let Some(lane) = &self.lane else { return false };
        if !lane.has_mined_up_to(self.final_number) {
            return false;
        }
        let publishing = lane.lowest_pending().is_some()
            || (self.may_publish() && self.next_allowed().is_some());
        !publishing
            || lane.has_telling_up_to(self.final_number)
            || lane.mined_count() >= MOST_UNCOUNTED
            || self.tasks.first_unconfirmed().is_some()
            || self.tasks.undecided().next().is_some()
            || self.tasks.any_waits_for_height(self.final_number)
            || self.lacks_for_next()
    }

    /// Whether the receipts that are waited for are worth a view: a batch of them, or all that came
    /// within some pages. Where nothing else is under way, or all else waits for them, one is.
    pub(super) fn has_receipts_enough(&self) -> bool {
        let Some(lane) = &self.lane else { return false };
        lane.pages >= GATHERED_PAGES
            || (lane.lowest_pending().is_none() && self.is_in_a_hurry())
            || self.tasks.undecided().next().is_some()
            || (self.tasks.any_ready() && self.next_allowed().is_none())
            || self.lacks_for_next()
            || lane.has_mined_up_to_many(self.final_number, RECEIPTS)
    }

    /// Effects that are waited on now by what these facts touched. An effect that is out already
    /// may be among them: its key says so.
    pub fn waiting(&self, events: &[Event]) -> Vec<Effect> {
        if self.outcome.is_some() {
            return Vec::new();
        }
        let (mut tasks, mut slots) = (BTreeSet::new(), BTreeSet::new());
        let mut effects = Vec::new();
        for event in events {
            tasks.extend(touched(event));
            if matches!(event, Event::LogsRewound { .. } | Event::RunResumed { .. }) {
                return self.outstanding();
            }
            if matches!(event, Event::Surveyed(_)) {
                self.of_lane(&mut effects);
            }
            slots.extend(touched_slots(event));
        }
        self.of_slots(&slots, &mut effects);
        effects.extend(tasks.into_iter().filter_map(|id| self.waiting_on(id)));
        self.of_run(&mut effects);
        effects
    }

    /// Effects that are waited on now, by everything.
    pub fn outstanding(&self) -> Vec<Effect> {
        let mut effects = Vec::new();
        if self.outcome.is_some() {
            return effects;
        }
        self.of_lane(&mut effects);
        effects.extend(self.tasks.iter().filter_map(|(id, _)| self.waiting_on(id)));
        self.of_run(&mut effects);
        effects
    }

    /// The effect that a task waits on; its slots wait by themselves.
    pub fn waiting_on(&self, id: TaskId) -> Option<Effect> {
        let task = self.tasks.get(id)?;
        match &task.state {
            TaskState::Pinning if self.may_publish() => {
                let (round, key) = (task.round, self.key_for(id)?);
                Some(Effect::Pin { task: id, round, key, payment: task.payment })
            }
            TaskState::Awaiting(published) if published.read_wanted => {
                let at = self.cursor()?;
                // After a rewind the stream has to come back to where the last look is due.
                let due = published.expired_at.is_none_or(|height| at.number >= height);
                due.then_some(Effect::ReadTask { task: id, address: published.address, at })
            }
            TaskState::Checking { published, response, stage: Stage::Fetching { .. } } => {
                let (of, at) = (published.address, self.cursor()?);
                Some(Effect::Fetch { task: id, of, response: response.address, at })
            }
            TaskState::Checking { response, stage: Stage::Fetched { sha256, .. }, .. } => {
                Some(Effect::Check { task: id, response: response.address, sha256: *sha256 })
            }
            TaskState::Waiting { .. }
            | TaskState::Pinning
            | TaskState::Ready { .. }
            | TaskState::Publishing { .. }
            | TaskState::Awaiting(_)
            | TaskState::Checking { stage: Stage::Cooling { .. }, .. }
            | TaskState::Choosing { .. }
            | TaskState::Confirming { .. }
            | TaskState::Closing { .. } => None,
        }
    }

    /// The last block that the log stream was read to.
    fn cursor(&self) -> Option<BlockRef> {
        self.ring.back().copied()
    }

    /// The key of a task's present round.
    fn key_for(&self, id: TaskId) -> Option<crate::units::TaskKey> {
        self.key_at(id, self.tasks.get(id)?.round)
    }

    /// The key of a round of a task.
    pub(super) fn key_at(
        &self,
        id: TaskId,
        round: crate::units::Round,
    ) -> Option<crate::units::TaskKey> {
        let header = self.header.as_ref()?;
        let task = self.tasks.get(id)?;
        let origin = crate::units::ids::TaskOrigin {
            network: &header.network,
            genesis: &header.genesis.0,
            run: &header.run,
            step: &super::step::rule(&self.schedule, id.step)?.name,
        };
        Some(crate::units::TaskKey::derive(&origin, task.key, round))
    }

    fn of_run(&self, effects: &mut Vec<Effect>) {
        if self.header.is_none() {
            return;
        }
        if self.survey_wanted && self.lane.is_some() {
            effects.push(Effect::Survey);
        }
        let (ring, final_number) = (self.ring.iter().copied().collect(), self.final_number);
        effects.push(Effect::ReadLogs { ring, final_number });
        if let Some(lane) = self.lane.as_ref().filter(|lane| lane.view_wanted) {
            let hashes = lane.questions(self.final_number, RECEIPTS);
            let (wallet, doubts) = (lane.wallet, lane.doubts());
            effects.push(Effect::View { wallet, hashes, doubts });
        }
        if let Some(lane) = self.lane.as_ref().filter(|_| self.survey.is_some()) {
            let lowest = lane.sendable_from(Nonce(0)).take(OFFERED);
            effects.extend(lowest.filter_map(|nonce| broadcast(lane, nonce)));
            // What is being signed for a slot that was given up since is of no use.
            let given_up = |nonce: &Nonce| lane.slots[nonce].withdrawn.is_some();
            let unsigned = lane.unsigned().filter(given_up).take(OFFERED);
            effects.extend(unsigned.filter_map(|nonce| self.sign(lane, nonce)));
        }
        if !self.may_publish() {
            return;
        }
        for step in self.steps.places() {
            let waits =
                self.steps.get(step).is_some_and(|s| s.expansion.is_none() && s.end.is_none());
            if waits && self.steps.is_released(&self.schedule, step) {
                effects.push(Effect::Expand { step });
            } else if let Some(window) = self.steps.window(&self.schedule, step) {
                effects.push(Effect::ReadItems { step, window });
            }
        }
    }

    /// What the slots of the lane wait on. Before the first survey of a process nothing is signed or
    /// sent: what has waited since the last one may be too old by now.
    fn of_lane(&self, effects: &mut Vec<Effect>) {
        let Some(lane) = self.lane.as_ref().filter(|_| self.survey.is_some()) else { return };
        effects.extend(lane.unsigned().filter_map(|nonce| self.sign(lane, nonce)));
        effects.extend(lane.sendable_from(Nonce(0)).filter_map(|nonce| broadcast(lane, nonce)));
    }

    /// What slots wait on. Bytes leave in nonce order, so the lowest that can be sent brings with
    /// it all those above that waited; they are listed once, however many slots were touched.
    fn of_slots(&self, slots: &BTreeSet<Nonce>, effects: &mut Vec<Effect>) {
        let Some(lane) = self.lane.as_ref().filter(|_| self.survey.is_some()) else { return };
        let mut lowest = None;
        for nonce in slots {
            match lane.slots.get(nonce).map(|publication| publication.state) {
                Some(PublicationState::Reserved) => effects.extend(self.sign(lane, *nonce)),
                Some(PublicationState::Signed) => lowest = lowest.or(Some(*nonce)),
                Some(
                    PublicationState::Cooling
                    | PublicationState::Held
                    | PublicationState::Mined { .. },
                )
                | None => {}
            }
        }
        if let Some(lowest) = lowest {
            effects.extend(lane.sendable_from(lowest).filter_map(|n| broadcast(lane, n)));
        }
    }

    fn sign(&self, lane: &Lane, nonce: Nonce) -> Option<Effect> {
        let publication = lane.slots.get(&nonce)?;
        Some(Effect::Sign {
            slot: lane.slot(nonce),
            seq: publication.next_seq(),
            call: publication.signs(),
            fees: publication.fees,
        })
    }
}

fn broadcast(lane: &Lane, nonce: Nonce) -> Option<Effect> {
    let seq = lane.slots.get(&nonce)?.newest()?;
    Some(Effect::Broadcast { slot: lane.slot(nonce), seq })
}

/// The task that a fact is about, if it may wait on another effect after it.
#[expect(clippy::too_many_lines, reason = "a table: one arm for each event")]
fn touched(event: &Event) -> Vec<TaskId> {
    match event {
        Event::ItemsRead { step, items } => {
            items.iter().map(|item| TaskId::new(*step, item.item)).collect()
        }
        Event::Due { timers } => timers
            .iter()
            .filter_map(|timer| match timer {
                Timer::Fetch(id) | Timer::Round(id) | Timer::Silence(id) => Some(*id),
                Timer::Send(_)
                | Timer::Bump(_)
                | Timer::View(_)
                | Timer::Survey
                | Timer::Pace
                | Timer::Drain => None,
            })
            .collect(),
        Event::ConfigPinned { task, .. }
        | Event::SlotReserved { task, .. }
        | Event::TaskPublished { task, .. }
        | Event::TaskAdopted { task, .. }
        | Event::TaskAttempted { task }
        | Event::ResponseSeen { task, .. }
        | Event::OutputFetched { task, .. }
        | Event::FetchFailed { task, .. }
        | Event::OutputChecked { task, .. }
        | Event::ResponseChosen { task, .. }
        | Event::ResponseConfirmed { task, .. }
        | Event::TaskRead { task, .. }
        | Event::ResponseGone { task, .. }
        | Event::ExpirySeen { task }
        | Event::ResponsesExhausted { task }
        | Event::ExpiryPassed { task }
        | Event::RoundOpened { task, .. }
        | Event::TaskReopened { task, .. }
        | Event::TaskDone { task, .. } => vec![*task],
        Event::RunStarted(_)
        | Event::RunResumed { .. }
        | Event::LaneTaken { .. }
        | Event::Surveyed(_)
        | Event::LogsRead { .. }
        | Event::LogsRewound { .. }
        | Event::StepExpanded { .. }
        | Event::StepEnded { .. }
        | Event::StepReopened { .. }
        | Event::PaymentsRaised { .. }
        | Event::CodeAccepted { .. }
        | Event::VersionWanted { .. }
        | Event::VersionSigned { .. }
        | Event::Sent { .. }
        | Event::LaneViewed { .. }
        | Event::SlotMined { .. }
        | Event::SlotReopened { .. }
        | Event::SlotFinal { .. }
        | Event::EscrowReturned { .. }
        | Event::DepositAsked { .. }
        | Event::CancelAsked { .. }
        | Event::ReclaimAsked { .. }
        | Event::FencesAsked { .. }
        | Event::PublicationsFound { .. }
        | Event::LaneRead { .. }
        | Event::BudgetReached { .. }
        | Event::DrainAsked { .. }
        | Event::RunEnded { .. } => Vec::new(),
    }
}

/// The slots that a fact is about, if they may be signed or sent after it.
#[expect(clippy::too_many_lines, reason = "a table: one arm for each event")]
fn touched_slots(event: &Event) -> Vec<Nonce> {
    match event {
        Event::LaneTaken { open, .. } => open.iter().map(|slot| slot.nonce).collect(),
        Event::SlotReserved { slot, .. }
        | Event::VersionWanted { slot, .. }
        | Event::VersionSigned { slot, .. }
        | Event::SlotReopened { slot } => vec![slot.nonce],
        Event::Sent { sends, .. } => sends.iter().map(|note| note.nonce).collect(),
        Event::Due { timers } => timers
            .iter()
            .filter_map(|timer| match timer {
                Timer::Send(slot) | Timer::Bump(slot) => Some(slot.nonce),
                Timer::View(_)
                | Timer::Survey
                | Timer::Pace
                | Timer::Fetch(_)
                | Timer::Round(_)
                | Timer::Silence(_)
                | Timer::Drain => None,
            })
            .collect(),
        Event::RunStarted(_)
        | Event::RunResumed { .. }
        | Event::Surveyed(_)
        | Event::LogsRead { .. }
        | Event::LogsRewound { .. }
        | Event::StepExpanded { .. }
        | Event::ItemsRead { .. }
        | Event::StepEnded { .. }
        | Event::StepReopened { .. }
        | Event::PaymentsRaised { .. }
        | Event::CodeAccepted { .. }
        | Event::TaskReopened { .. }
        | Event::ConfigPinned { .. }
        | Event::LaneViewed { .. }
        | Event::SlotMined { .. }
        | Event::SlotFinal { .. }
        | Event::TaskPublished { .. }
        | Event::TaskAdopted { .. }
        | Event::TaskAttempted { .. }
        | Event::ResponseSeen { .. }
        | Event::OutputFetched { .. }
        | Event::FetchFailed { .. }
        | Event::OutputChecked { .. }
        | Event::ResponseChosen { .. }
        | Event::ResponseConfirmed { .. }
        | Event::TaskRead { .. }
        | Event::ResponseGone { .. }
        | Event::ExpirySeen { .. }
        | Event::ResponsesExhausted { .. }
        | Event::ExpiryPassed { .. }
        | Event::RoundOpened { .. }
        | Event::TaskDone { .. }
        | Event::EscrowReturned { .. }
        | Event::DepositAsked { .. }
        | Event::CancelAsked { .. }
        | Event::ReclaimAsked { .. }
        | Event::FencesAsked { .. }
        | Event::PublicationsFound { .. }
        | Event::LaneRead { .. }
        | Event::BudgetReached { .. }
        | Event::DrainAsked { .. }
        | Event::RunEnded { .. } => Vec::new(),
    }
}

impl Engine {
    /// Whether what is left in the lane can never be used: slots of a wallet used elsewhere.
    pub(super) fn only_foreign_left(&self) -> bool {
        self.tasks.iter().all(|(_, task)| match &task.state {
            TaskState::Publishing { nonce } | TaskState::Confirming { nonce: Some(nonce), .. } => {
                let slots = self.lane.as_ref().map(|lane| &lane.slots);
                slots.is_none_or(|slots| !slots.contains_key(nonce))
            }
            TaskState::Waiting { .. } | TaskState::Pinning | TaskState::Ready { .. } => true,
            TaskState::Confirming { nonce: None, .. } => true,
            TaskState::Awaiting(_)
            | TaskState::Checking { .. }
            | TaskState::Choosing { .. }
            | TaskState::Closing { .. } => false,
        })
    }
}
