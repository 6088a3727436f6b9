//! Payments that a run takes back from tasks of ended rounds, each through a slot of its own.
//!
//! Like a deposit this is the run's own: no task of it waits, and what comes back is read from
//! the vault by whoever asked. A task is taken back once: its key is that of its contract.

use alloy::primitives::Address;
use serde::{Deserialize, Serialize};

use crate::units::ids::TaskOrigin;
use crate::units::{Call, Fees, ItemKey, Round, StepName, Survey, TaskId, TaskKey, Wei};

use super::admission::{DEPOSIT, fees};
use super::purse::Lack;
use super::{Engine, Event, SlotEnd, Turn};

/// A task whose payment is to be taken back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stale {
    /// The task's contract.
    pub task: Address,
    /// The gas limit of the call that takes it back.
    pub gas_limit: u64,
}

/// How far the taking back of one task is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Progress {
    /// No slot is bound to it.
    Asked,
    /// A slot is, and is not final.
    Bound,
    /// Final: it is canceled, or it could not be.
    Final { ok: bool },
}

/// All that a run takes back.
#[derive(Clone, Debug, Default)]
pub(super) struct Reclaims(Vec<(Stale, Progress)>);

impl Reclaims {
    /// Whether the run takes nothing back.
    pub(super) const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether something is neither taken back nor refused.
    pub(super) fn are_open(&self) -> bool {
        self.0.iter().any(|(_, progress)| !matches!(progress, Progress::Final { .. }))
    }

    /// Whether all of it went well.
    pub(super) fn went_well(&self) -> bool {
        self.0.iter().all(|(_, progress)| *progress == Progress::Final { ok: true })
    }

    fn next(&self) -> Option<(TaskId, Stale)> {
        let asked = |(_, (_, progress)): &(u32, &(Stale, Progress))| *progress == Progress::Asked;
        (0_u32..).zip(&self.0).find(asked).map(|(index, (stale, _))| (place(index), *stale))
    }

    fn set(&mut self, id: TaskId, progress: Progress) {
        let index = id.item.checked_sub(1).filter(|_| id.step == DEPOSIT.step);
        let found = index.and_then(|index| self.0.get_mut(index as usize));
        if let Some((_, now)) = found {
            *now = progress;
        }
    }
}

/// The place that stands for a task of another round: behind that of a deposit.
const fn place(index: u32) -> TaskId {
    TaskId::new(DEPOSIT.step, index + 1)
}

impl Engine {
    /// Takes the wish, once.
    pub(super) fn on_reclaim(&mut self, tasks: Vec<Stale>, turn: &mut Turn) {
        if self.reclaims.is_empty() && !tasks.is_empty() {
            self.emit(turn, Event::ReclaimAsked { tasks });
        }
    }

    pub(super) fn reclaim_asked(&mut self, tasks: &[Stale]) {
        self.reclaims = Reclaims(tasks.iter().map(|stale| (*stale, Progress::Asked)).collect());
    }

    pub(super) fn reclaim_bound(&mut self, id: TaskId) {
        self.reclaims.set(id, Progress::Bound);
    }

    pub(super) fn reclaim_final(&mut self, id: TaskId, end: &SlotEnd) {
        self.reclaims.set(id, Progress::Final { ok: matches!(end, SlotEnd::Ok { .. }) });
    }

    /// What keeps the next task from being taken back; `None` also if there is none.
    pub(super) fn lack_for_reclaim(&self) -> Option<Lack> {
        let (_, survey) = self.survey.as_ref()?;
        let (_, stale) = self.reclaims.next()?;
        self.lack_for_gas(reclaim_fees(survey, stale).ceiling())
    }

    /// Binds slots for what is to be taken back, as far as there are slots, and money for gas.
    pub(super) fn admit_reclaims(&mut self, turn: &mut Turn) {
        while let Some((task, stale)) = self.reclaims.next() {
            let (Some((_, survey)), Some(lane), Some(header)) =
                (&self.survey, &self.lane, &self.header)
            else {
                return;
            };
            let open = lane.has_room() && self.drain.is_none() && !lane.quarantined;
            if !open || self.lack_for_reclaim().is_some() {
                return;
            }
            let fees = reclaim_fees(survey, stale);
            let name = ItemKey::parse(&format!("reclaim-{:x}", stale.task));
            let name = name.expect("an address is a key");
            let step = StepName::parse("vault").expect("a word is a name");
            let origin = TaskOrigin {
                network: &header.network,
                genesis: &header.genesis.0,
                run: &header.run,
                step: &step,
            };
            let key = TaskKey::derive(&origin, name.hash(), Round::FIRST);
            let call = Call::CancelTask { task: stale.task };
            let (slot, confirm_reserve) = (lane.slot(lane.next), Wei::ZERO);
            self.emit(turn, Event::SlotReserved { slot, task, key, call, fees, confirm_reserve });
        }
    }
}

const fn reclaim_fees(survey: &Survey, stale: Stale) -> Fees {
    fees(survey, stale.gas_limit)
}
