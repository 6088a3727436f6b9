//! The journal of a story: tells the oracle what it holds, fails when chance says so, and may be
//! wrong on purpose.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use alloy::primitives::{B256, Bytes};

use super::setting::Mutation;
use super::world::{Shared, held};
use crate::engine::Event;
use crate::store::{
    Appended, Batch, Durable, Journal, LaneKey, LaneState, Loaded, MemoryJournal, StoreError,
};
use crate::units::{RunId, SignedTx, Timestamp};

pub(super) struct Diary {
    /// What guards slots and can be loaded; `None` for a run that is never resumed.
    inner: Option<MemoryJournal>,
    world: Shared,
    mutation: Mutation,
    appends: Arc<AtomicU64>,
    /// A group that was promised and is not stored.
    owed: Option<Owed>,
}

struct Owed {
    run: RunId,
    epoch: u64,
    first_seq: u64,
    at: Timestamp,
    events: Vec<Event>,
    signed: Vec<SignedTx>,
    outputs: Vec<(B256, Bytes)>,
}

impl Owed {
    fn of(batch: &Batch<'_>) -> Self {
        Self {
            run: batch.run.clone(),
            epoch: batch.epoch,
            first_seq: batch.first_seq,
            at: batch.at,
            events: batch.events.to_vec(),
            signed: batch.signed.to_vec(),
            outputs: batch.outputs.to_vec(),
        }
    }
}

fn broken() -> StoreError {
    let source = std::io::Error::other("the disk is broken");
    StoreError::Io { path: "journal".into(), source }
}

impl Diary {
    pub(super) fn new(world: &Shared, inner: Option<MemoryJournal>) -> Self {
        let mutation = held(world).setting.mutation;
        Self { inner, world: Shared::clone(world), mutation, appends: Arc::default(), owed: None }
    }

    /// The process is gone, and with it what was only promised.
    pub(super) fn die(&mut self) {
        self.owed = None;
    }

    /// How often it was appended to.
    pub(super) fn appends(&self) -> Arc<AtomicU64> {
        Arc::clone(&self.appends)
    }

    fn store(&mut self, batch: &Batch<'_>) -> Result<Appended, StoreError> {
        let appended = match &mut self.inner {
            Some(inner) => inner.append(batch)?,
            None => Appended {
                next_seq: batch.first_seq + batch.events.len() as u64,
                durable: batch.signed.iter().cloned().map(Durable::assumed).collect(),
            },
        };
        let mut world = held(&self.world);
        let world = &mut *world;
        let signed = batch.signed.iter().map(|tx| (tx.hash, tx.raw.clone()));
        world.books.note(batch.at, batch.events, signed, batch.outputs);
        world.books.check_facts(batch.events, &world.chain, world.final_height);
        Ok(appended)
    }

    /// Says that it is done, and stores the group before this one.
    fn promise(&mut self, batch: &Batch<'_>) -> Result<Appended, StoreError> {
        if let Some(Owed { run, epoch, first_seq, at, events, signed, outputs }) = self.owed.take()
        {
            self.store(&Batch {
                run: &run,
                epoch,
                first_seq,
                at,
                events: &events,
                signed: &signed,
                outputs: &outputs,
                summary: None,
            })?;
        }
        self.owed = Some(Owed::of(batch));
        Ok(Appended {
            next_seq: batch.first_seq + batch.events.len() as u64,
            durable: batch.signed.iter().cloned().map(Durable::assumed).collect(),
        })
    }
}

impl Journal for Diary {
    fn load(&self, run: &RunId) -> Result<Loaded<'_>, StoreError> {
        self.inner.as_ref().expect("it is never resumed").load(run)
    }

    fn lane(&self, lane: &LaneKey, run: &RunId) -> Result<LaneState, StoreError> {
        let empty = || Ok(LaneState::default());
        self.inner.as_ref().map_or_else(empty, |inner| inner.lane(lane, run))
    }

    fn is_final(&self, lane: &LaneKey, nonce: crate::units::Nonce) -> Result<bool, StoreError> {
        self.inner.as_ref().map_or(Ok(false), |inner| inner.is_final(lane, nonce))
    }

    fn append(&mut self, batch: &Batch<'_>) -> Result<Appended, StoreError> {
        let appends = self.appends.fetch_add(1, Ordering::Relaxed);
        let fails = {
            let world = held(&self.world);
            let dice = world.setting.dice.at("append", appends);
            let fails = !world.is_calm() && dice.chance(world.setting.rates.append);
            fails.then(|| dice.at("stored", 0).below(2) == 0)
        };
        if fails == Some(false) {
            return Err(broken());
        }
        let lease = batch
            .events
            .iter()
            .any(|event| matches!(event, Event::RunStarted(_) | Event::RunResumed { .. }));
        let lazy = matches!(self.mutation, Mutation::AnswersFirst | Mutation::AnswersFirstUnseen)
            && !lease;
        let appended = if lazy { self.promise(batch) } else { self.store(batch) }?;
        if fails == Some(true) { Err(broken()) } else { Ok(appended) }
    }
}
