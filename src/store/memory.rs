//! The journal in memory: for tests, and the second reader of the contract.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::engine::{Event, OpenSlot, OpenVersion, RunHeader, SlotEnd};
use crate::units::{
    BlockRef, Fees, Nonce, Purpose, RunId, Seq, SignedTx, Slot, TaskKey, Timestamp,
};

use alloy::primitives::{B256, Bytes};

use super::guards::{Change, SlotState, changes, ended_by, takes_lease};
use super::views::RunState;
use super::{
    Appended, Batch, Durable, Journal, LaneKey, LaneState, LeaseHolder, Loaded, Recorded, Refusal,
    StoreError, Verify,
};

/// A journal that ends with its process.
#[derive(Clone, Debug)]
pub struct MemoryJournal {
    held: Held,
    /// The events of every run: they only grow, so an append adds to them once nothing can refuse
    /// it any more.
    events: BTreeMap<RunId, Vec<Recorded>>,
    verify: Verify,
}

/// What is held; an append works on a copy, so that a refusal leaves nothing behind.
#[derive(Clone, Debug, Default)]
struct Held {
    runs: BTreeMap<RunId, Run>,
    lanes: BTreeMap<LaneKey, Lane>,
    bindings: BTreeMap<(TaskKey, Purpose), (LaneKey, Nonce)>,
    outputs: BTreeMap<B256, Bytes>,
}

#[derive(Clone, Debug)]
struct Run {
    header: Arc<RunHeader>,
    next_seq: u64,
    state: RunState,
    summary: String,
    cursor: Option<BlockRef>,
}

#[derive(Clone, Debug, Default)]
struct Lane {
    epoch: u64,
    next_nonce: Nonce,
    holder: Option<LeaseHolder>,
    slots: BTreeMap<Nonce, Bound>,
}

#[derive(Clone, Debug)]
struct Bound {
    run: RunId,
    task: TaskKey,
    purpose: Purpose,
    binding: B256,
    state: SlotState,
    versions: Vec<Version>,
}

#[derive(Clone, Debug)]
struct Version {
    tx: SignedTx,
    binding: Option<B256>,
    fees: Fees,
}

impl MemoryJournal {
    /// An empty journal.
    pub fn new(verify: Verify) -> Self {
        Self { held: Held::default(), events: BTreeMap::new(), verify }
    }

    /// The output with this SHA-256.
    pub fn output(&self, sha256: &B256) -> Option<&Bytes> {
        self.held.outputs.get(sha256)
    }

    /// A run's figures as of its last append, as JSON; and where it stands.
    pub fn run(&self, run: &RunId) -> Option<(RunState, &str)> {
        self.held.runs.get(run).map(|run| (run.state, run.summary.as_str()))
    }
}

impl MemoryJournal {
    fn record(&mut self, batch: &Batch<'_>) {
        let record =
            |(event, seq): (&Event, u64)| Recorded { seq, at: batch.at, event: event.clone() };
        let events = self.events.entry(batch.run.clone()).or_default();
        events.extend(batch.events.iter().zip(batch.first_seq..).map(record));
    }
}

impl Journal for MemoryJournal {
    fn load(&self, run: &RunId) -> Result<Loaded<'_>, StoreError> {
        let found = self.held.runs.get(run);
        let found = found.ok_or_else(|| Refusal::UnknownRun { run: run.clone() })?;
        let lane = self.held.lanes.get(&LaneKey::of(&found.header));
        let events = self.events.get(run).map_or(&[][..], Vec::as_slice);
        Ok(Loaded {
            header: Box::new((*found.header).clone()),
            epoch: lane.map_or(0, |lane| lane.epoch),
            next_seq: found.next_seq,
            last_at: events.last().map_or(Timestamp::default(), |last| last.at),
            events: Box::new(events.iter().cloned().map(Ok)),
        })
    }

    fn lane(&self, lane: &LaneKey, run: &RunId) -> Result<LaneState, StoreError> {
        let Some(lane) = self.held.lanes.get(lane) else { return Ok(LaneState::default()) };
        let others =
            || lane.slots.iter().filter(|(_, slot)| slot.state.is_live() && slot.run != *run);
        let open = others().map(|(nonce, slot)| slot.open(*nonce)).collect();
        let mut unsigned = others().filter(|(_, slot)| slot.versions.is_empty());
        let unsigned = unsigned.next().map(|(nonce, slot)| (slot.run.clone(), *nonce));
        let used = |nonce: &Nonce| {
            lane.slots.get(nonce).is_some_and(|slot| slot.state != SlotState::FinalForeign)
        };
        let last_foreign = (0..lane.next_nonce.0).rev().map(Nonce).find(|nonce| !used(nonce));
        let (epoch, next_nonce, holder) = (lane.epoch, lane.next_nonce, lane.holder.clone());
        Ok(LaneState { epoch, next_nonce, last_foreign, open, unsigned, holder })
    }

    fn is_final(&self, lane: &LaneKey, nonce: Nonce) -> Result<bool, StoreError> {
        let slot = self.held.lanes.get(lane).and_then(|lane| lane.slots.get(&nonce));
        Ok(slot.is_some_and(|slot| !slot.state.is_live()))
    }

    fn append(&mut self, batch: &Batch<'_>) -> Result<Appended, StoreError> {
        let changes = changes(batch)?;
        let mut held = self.held.clone();
        let lease = takes_lease(batch.events);
        let key = held.take_place(batch, &changes, lease)?;
        for change in &changes {
            held.change(batch.run, &key, change)?;
        }
        held.record(batch);
        let durable = if lease { held.open_bytes(&key) } else { batch.signed.to_vec() };
        if lease && !durable.iter().all(self.verify) {
            let what = "a signed version does not prove itself";
            return Err(StoreError::Corrupt { path: "memory".into(), what });
        }
        self.held = held;
        self.record(batch);
        Ok(Appended {
            next_seq: batch.first_seq + batch.events.len() as u64,
            durable: durable.into_iter().map(Durable::new).collect(),
        })
    }
}

impl Held {
    /// The lane of the group, after its place and its epoch were compared.
    fn take_place(
        &mut self,
        batch: &Batch<'_>,
        changes: &[Change<'_>],
        lease: bool,
    ) -> Result<LaneKey, Refusal> {
        if let (None, Some(Change::Start(header))) = (self.runs.get(batch.run), changes.first()) {
            self.lanes.entry(LaneKey::of(header)).or_default();
            self.runs.insert(batch.run.clone(), Run::new(header));
        }
        let run = self.runs.get(batch.run);
        let run = run.ok_or_else(|| Refusal::UnknownRun { run: batch.run.clone() })?;
        let key = LaneKey::of(&run.header);
        let lane = self.lanes.entry(key).or_default();
        if batch.epoch != lane.epoch + u64::from(lease) {
            return Err(Refusal::StaleEpoch { given: batch.epoch, current: lane.epoch });
        }
        let (given, expected) = (batch.first_seq, run.next_seq);
        if given != expected {
            return Err(Refusal::OutOfOrder { what: "event", given, expected });
        }
        lane.epoch = batch.epoch;
        if lease {
            lane.holder = Some(LeaseHolder::this_process());
        }
        Ok(key)
    }

    fn record(&mut self, batch: &Batch<'_>) {
        for (sha256, body) in batch.outputs {
            self.outputs.entry(*sha256).or_insert_with(|| body.clone());
        }
        let Some(run) = self.runs.get_mut(batch.run) else { return };
        run.next_seq += batch.events.len() as u64;
        if let Some(summary) = batch.summary {
            run.summary = summary.into();
        }
    }

    fn open_bytes(&self, key: &LaneKey) -> Vec<SignedTx> {
        let slots = self.lanes.get(key).into_iter().flat_map(|lane| lane.slots.values());
        let open = slots.filter(|slot| slot.state.is_live());
        open.flat_map(|slot| slot.versions.iter().map(|version| version.tx.clone())).collect()
    }

    fn change(&mut self, run: &RunId, key: &LaneKey, change: &Change<'_>) -> Result<(), Refusal> {
        match change {
            Change::Start(_) => Ok(()),
            Change::Resume => self.set_state(run, RunState::Running),
            Change::End(outcome) => {
                if let Some(lane) = self.lanes.get_mut(key) {
                    lane.holder = None;
                }
                self.set_state(run, RunState::Ended(*outcome))
            }
            Change::TakeLane(found) => self.take_lane(key, *found),
            Change::Reserve { slot, task, purpose, binding } => {
                let bound = Bound {
                    run: run.clone(),
                    task: *task,
                    purpose: *purpose,
                    binding: *binding,
                    state: SlotState::Open,
                    versions: Vec::new(),
                };
                self.reserve(key, slot, bound)
            }
            Change::Adopt { nonce, task, binding } => {
                let bound = Bound {
                    run: run.clone(),
                    task: *task,
                    purpose: Purpose::Publish,
                    binding: *binding,
                    state: SlotState::FinalOk,
                    versions: Vec::new(),
                };
                self.adopt(key, *nonce, bound)
            }
            Change::Sign { tx, binding, fees } => {
                let version = Version { tx: (*tx).clone(), binding: *binding, fees: **fees };
                self.slot(key, &tx.slot)?.sign(version)
            }
            Change::Mine(slot) => self.slot(key, slot).map(|slot| slot.move_to(SlotState::Mined)),
            Change::Reopen(slot) => self.slot(key, slot).map(|slot| slot.move_to(SlotState::Open)),
            Change::Finish(slot, end) => {
                let bound = self.slot(key, slot)?;
                let ended = SlotState::ended(end, bound.is_noop(slot, ended_by(end))?);
                // What another run has seen to its end was something else's to the one that learns it
                // now.
                let late = matches!(end, SlotEnd::Foreign { .. });
                if !bound.state.is_live() && bound.state != ended && !late {
                    return Err(Refusal::NoSuchSlot { nonce: slot.nonce });
                }
                bound.move_to(ended);
                let (binding, now) = ((bound.task, bound.purpose), bound.state);
                if !now.binds() && self.bindings.get(&binding) == Some(&(*key, slot.nonce)) {
                    self.bindings.remove(&binding);
                }
                Ok(())
            }
            Change::Advance(to) => self.advance(run, *to),
            Change::Rewind(to) => {
                self.cursor(run, *to);
                Ok(())
            }
        }
    }

    fn set_state(&mut self, run: &RunId, state: RunState) -> Result<(), Refusal> {
        let run = self.runs.get_mut(run).ok_or_else(|| Refusal::UnknownRun { run: run.clone() })?;
        run.state = state;
        Ok(())
    }

    fn take_lane(&mut self, key: &LaneKey, found: Nonce) -> Result<(), Refusal> {
        let lane = self.lanes.entry(*key).or_default();
        let open = lane.slots.values().any(|slot| slot.state.is_live());
        if found < lane.next_nonce || (found > lane.next_nonce && open) {
            let (given, expected) = (found.0, lane.next_nonce.0);
            return Err(Refusal::OutOfOrder { what: "nonce", given, expected });
        }
        lane.next_nonce = found;
        Ok(())
    }

    fn reserve(&mut self, key: &LaneKey, slot: &Slot, bound: Bound) -> Result<(), Refusal> {
        let lane = self.lanes.entry(*key).or_default();
        if slot.wallet != key.wallet {
            return Err(Refusal::NoSuchSlot { nonce: slot.nonce });
        }
        if slot.nonce < lane.next_nonce {
            return Err(Refusal::SlotTaken { nonce: slot.nonce });
        }
        if slot.nonce > lane.next_nonce {
            let (given, expected) = (slot.nonce.0, lane.next_nonce.0);
            return Err(Refusal::OutOfOrder { what: "nonce", given, expected });
        }
        let task = bound.task;
        if self.bindings.contains_key(&(task, bound.purpose)) {
            return Err(Refusal::LiveBinding { task });
        }
        self.bindings.insert((task, bound.purpose), (*key, slot.nonce));
        lane.next_nonce = slot.nonce.next();
        lane.slots.insert(slot.nonce, bound);
        Ok(())
    }

    /// A slot that is known to have been a stranger's stays so; its task is bound all the same.
    fn adopt(&mut self, key: &LaneKey, nonce: Nonce, bound: Bound) -> Result<(), Refusal> {
        let lane = self.lanes.entry(*key).or_default();
        let binding = (bound.task, bound.purpose);
        if nonce >= lane.next_nonce {
            let (given, expected) = (nonce.0, lane.next_nonce.0);
            return Err(Refusal::OutOfOrder { what: "nonce", given, expected });
        }
        match self.bindings.get(&binding) {
            Some(by) if *by == (*key, nonce) => return Ok(()),
            Some(_) => return Err(Refusal::LiveBinding { task: bound.task }),
            None => {}
        }
        if lane.slots.get(&nonce).is_some_and(|slot| slot.state.binds()) {
            return Err(Refusal::SlotTaken { nonce });
        }
        if let std::collections::btree_map::Entry::Vacant(free) = lane.slots.entry(nonce) {
            free.insert(bound);
            self.bindings.insert(binding, (*key, nonce));
        }
        Ok(())
    }

    fn slot(&mut self, key: &LaneKey, slot: &Slot) -> Result<&mut Bound, Refusal> {
        let unknown = Refusal::NoSuchSlot { nonce: slot.nonce };
        if slot.wallet != key.wallet {
            return Err(unknown);
        }
        let lane = self.lanes.entry(*key).or_default();
        lane.slots.get_mut(&slot.nonce).ok_or(unknown)
    }

    fn advance(&mut self, run: &RunId, to: BlockRef) -> Result<(), Refusal> {
        let at = self.runs.get(run).and_then(|run| run.cursor).map_or(0, |at| at.number);
        if to.number < at {
            return Err(Refusal::OutOfOrder { what: "block", given: to.number, expected: at });
        }
        self.cursor(run, to);
        Ok(())
    }

    fn cursor(&mut self, run: &RunId, to: BlockRef) {
        if let Some(run) = self.runs.get_mut(run) {
            run.cursor = Some(to);
        }
    }
}

impl Run {
    fn new(header: &RunHeader) -> Self {
        Self {
            header: Arc::new(header.clone()),
            next_seq: 0,
            state: RunState::Running,
            summary: "null".into(),
            cursor: None,
        }
    }
}

impl Bound {
    fn open(&self, nonce: Nonce) -> OpenSlot {
        let version = |v: &Version| OpenVersion { seq: v.tx.seq, hash: v.tx.hash, fees: v.fees };
        OpenSlot { nonce, versions: self.versions.iter().map(version).collect() }
    }

    /// A final slot stays, whatever a late view says.
    fn move_to(&mut self, state: SlotState) {
        if self.state.is_live() {
            self.state = state;
        }
    }

    fn sign(&mut self, version: Version) -> Result<(), Refusal> {
        let (slot, seq) = (version.tx.slot, version.tx.seq);
        if !self.state.is_live() {
            return Err(Refusal::NoSuchSlot { nonce: slot.nonce });
        }
        if usize::from(seq.0) != self.versions.len() {
            let (given, expected) = (u64::from(seq.0), self.versions.len() as u64);
            return Err(Refusal::OutOfOrder { what: "version", given, expected });
        }
        let given_up = self.versions.iter().any(|version| version.binding.is_none());
        if version.binding.is_some_and(|binding| given_up || binding != self.binding) {
            return Err(Refusal::OtherCall { slot, seq });
        }
        self.versions.push(version);
        Ok(())
    }

    fn is_noop(&self, slot: &Slot, ended_by: Option<Seq>) -> Result<bool, Refusal> {
        let Some(seq) = ended_by else { return Ok(false) };
        let version = self.versions.get(usize::from(seq.0));
        let version = version.ok_or(Refusal::OtherCall { slot: *slot, seq })?;
        Ok(version.binding.is_none())
    }
}
