//! Transactions that are the run's own and of no task of it, each through a slot like any other:
//! payments taken back from tasks of ended rounds, and fences.
//!
//! A task is taken back once: its key is that of its contract. What comes back is read from the
//! vault by whoever asked. A fence uses a nonce up by a transfer of nothing: whichever transaction
//! gets there, ours or one that this journal does not know, none can come later.

use alloy::primitives::Address;
use serde::{Deserialize, Serialize};

use crate::units::ids::TaskOrigin;
use crate::units::{
    Call, Fees, ItemKey, Nonce, Round, Slot, StepName, Survey, TaskId, TaskKey, Wei,
};

use super::admission::{DEPOSIT, fees};
use super::publication::Owner;
use super::purse::Lack;
use super::{Engine, Event, SlotEnd, Turn};

/// The gas of a transfer of nothing.
const FENCE_GAS: u64 = 21_000;

/// A task whose payment is to be taken back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stale {
    /// The task's contract.
    pub task: Address,
    /// The gas limit of the call that takes it back.
    pub gas_limit: u64,
}

/// One of the run's own transactions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Errand {
    /// Takes a payment back.
    TakeBack(Stale),
    /// Uses up the nonce that it gets.
    Fence,
}

impl Errand {
    const fn fees(self, survey: &Survey) -> Fees {
        fees(
            survey,
            match self {
                Self::TakeBack(stale) => stale.gas_limit,
                Self::Fence => FENCE_GAS,
            },
        )
    }

    const fn call(self) -> Call {
        match self {
            Self::TakeBack(stale) => Call::CancelTask { task: stale.task },
            Self::Fence => Call::NoOp,
        }
    }

    fn key(self, nonce: Nonce) -> ItemKey {
        let name = match self {
            Self::TakeBack(stale) => format!("reclaim-{:x}", stale.task),
            Self::Fence => format!("fence-{nonce}"),
        };
        ItemKey::parse(&name).expect("a word and a number are a key")
    }

    /// Whether the errand went well. A fence does by whatever used its nonce up.
    const fn went_well(self, end: &SlotEnd) -> bool {
        match self {
            Self::TakeBack(_) => matches!(end, SlotEnd::Ok { .. }),
            Self::Fence => true,
        }
    }
}

/// How far an errand is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Progress {
    /// No slot is bound to it.
    Asked,
    /// A slot is, and is not final.
    Bound,
    /// Final, well or not.
    Final { ok: bool },
}

/// All errands of a run.
#[derive(Clone, Debug, Default)]
pub(super) struct Errands {
    all: Vec<(Errand, Progress)>,
    /// How many of them, from the first, have been bound: they are bound in order.
    bound: usize,
}

impl Errands {
    fn new(errands: impl Iterator<Item = Errand>) -> Self {
        Self { all: errands.map(|errand| (errand, Progress::Asked)).collect(), bound: 0 }
    }

    /// Whether the run has none.
    pub(super) const fn is_empty(&self) -> bool {
        self.all.is_empty()
    }

    /// Whether they are fences.
    pub(super) fn are_fences(&self) -> bool {
        self.all.first().is_some_and(|(errand, _)| *errand == Errand::Fence)
    }

    /// Whether one is not final.
    pub(super) fn are_open(&self) -> bool {
        self.all.iter().any(|(_, progress)| !matches!(progress, Progress::Final { .. }))
    }

    /// Whether all went well.
    pub(super) fn went_well(&self) -> bool {
        self.all.iter().all(|(_, progress)| *progress == Progress::Final { ok: true })
    }

    fn next(&self) -> Option<(TaskId, Errand)> {
        let (errand, _) = self.all.get(self.bound)?;
        Some((place(u32::try_from(self.bound).ok()?), *errand))
    }

    fn get_mut(&mut self, id: TaskId) -> Option<&mut (Errand, Progress)> {
        let index = id.item.checked_sub(1).filter(|_| id.step == DEPOSIT.step)?;
        self.all.get_mut(index as usize)
    }

    fn bind(&mut self, id: TaskId) {
        if let Some((_, progress)) = self.get_mut(id) {
            *progress = Progress::Bound;
            self.bound += 1;
        }
    }

    fn end(&mut self, id: TaskId, end: &SlotEnd) {
        let Some((errand, progress)) = self.get_mut(id) else { return };
        *progress = Progress::Final { ok: errand.went_well(end) };
        // Only transfers of ours count: as many as a window holds, and nothing is left above them,
        // wherever a node believed that the wallet stood.
        if *errand == Errand::Fence && matches!(end, SlotEnd::Foreign { .. }) {
            self.all.push((Errand::Fence, Progress::Asked));
        }
    }
}

/// The place that stands for an errand: behind that of a deposit.
const fn place(index: u32) -> TaskId {
    TaskId::new(DEPOSIT.step, index + 1)
}

impl Engine {
    /// Takes the wish, once.
    pub(super) fn on_reclaim(&mut self, tasks: Vec<Stale>, turn: &mut Turn) {
        if self.errands.is_empty() && !tasks.is_empty() {
            self.emit(turn, Event::ReclaimAsked { tasks });
        }
    }

    /// Takes the wish, once.
    pub(super) fn on_fences(&mut self, count: u32, turn: &mut Turn) {
        if self.errands.is_empty() && count > 0 {
            self.emit(turn, Event::FencesAsked { count });
        }
    }

    pub(super) fn reclaim_asked(&mut self, tasks: &[Stale]) {
        self.errands = Errands::new(tasks.iter().map(|stale| Errand::TakeBack(*stale)));
    }

    pub(super) fn fences_asked(&mut self, count: u32) {
        self.errands = Errands::new((0..count).map(|_| Errand::Fence));
    }

    pub(super) fn errand_bound(&mut self, id: TaskId) {
        self.errands.bind(id);
    }

    pub(super) fn errand_final(&mut self, id: TaskId, end: &SlotEnd) {
        self.errands.end(id, end);
    }

    /// What keeps the next errand from being bound; `None` also if there is none.
    pub(super) fn lack_for_errand(&self) -> Option<Lack> {
        let (_, survey) = self.survey.as_ref()?;
        let (_, errand) = self.errands.next()?;
        self.lack_for_gas(errand.fees(survey).ceiling())
    }

    /// A slot that another run has bound and not signed holds up all above it: a fence takes its
    /// place.
    fn fence_unsigned(&mut self, turn: &mut Turn) {
        let (true, Some((_, survey)), Some(lane)) =
            (self.errands.are_fences(), &self.survey, &self.lane)
        else {
            return;
        };
        let (fees, call) = (Errand::Fence.fees(survey), Call::NoOp);
        let waiting = lane.slots.iter().filter(|(_, publication)| publication.is_unsigned());
        let slots: Vec<Slot> = waiting.map(|(nonce, _)| lane.slot(*nonce)).collect();
        for slot in slots {
            self.emit(turn, Event::VersionWanted { slot, call: call.clone(), fees });
        }
    }

    /// Slots of this run without a version, that another one has seen to their ends.
    pub(super) fn on_settled(&mut self, nonces: &[Nonce], turn: &mut Turn) {
        for nonce in nonces {
            let publication = self.lane.as_ref().and_then(|lane| lane.slots.get(nonce));
            let Some(publication) = publication.filter(|known| known.versions.is_empty()) else {
                continue;
            };
            let (owner, end) = (publication.owner, SlotEnd::Foreign { tx_hash: None });
            let Some(slot) = self.lane.as_ref().map(|lane| lane.slot(*nonce)) else { return };
            self.emit(turn, Event::SlotFinal { slot, end, gas_paid: Wei::ZERO });
            if let Owner::Task { task, .. } = owner {
                self.adopt(task, turn);
            }
        }
    }

    /// Binds slots for errands, as far as there are slots, and money for gas.
    pub(super) fn admit_errands(&mut self, turn: &mut Turn) {
        self.fence_unsigned(turn);
        while let Some((task, errand)) = self.errands.next() {
            let (Some((_, survey)), Some(lane), Some(header)) =
                (&self.survey, &self.lane, &self.header)
            else {
                return;
            };
            let open = lane.has_room() && self.drain.is_none() && !lane.is_quarantined();
            if !open || self.lack_for_errand().is_some() {
                return;
            }
            let (fees, call) = (errand.fees(survey), errand.call());
            let step = StepName::parse("vault").expect("a word is a name");
            let origin = TaskOrigin {
                network: &header.network,
                genesis: &header.genesis.0,
                run: &header.run,
                step: &step,
            };
            let name = errand.key(lane.next);
            let key = TaskKey::derive(&origin, name.hash(), Round::FIRST);
            let (slot, confirm_reserve) = (lane.slot(lane.next), Wei::ZERO);
            self.emit(turn, Event::SlotReserved { slot, task, key, call, fees, confirm_reserve });
        }
    }
}
