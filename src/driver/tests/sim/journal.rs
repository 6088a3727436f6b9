//! The journal of a story: tells the oracle what it holds, fails when chance says so, and may be
//! wrong on purpose.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use alloy::primitives::{B256, Bytes};

use super::points::{Edge, append_of};
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
    /// Groups that were promised and are not stored.
    owed: VecDeque<Owed>,
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
        Self {
            inner,
            world: Shared::clone(world),
            mutation,
            appends: Arc::default(),
            owed: VecDeque::new(),
        }
    }

    /// The process is gone, and with it what was only promised.
    pub(super) fn die(&mut self) {
        self.owed.clear();
    }

    /// Whether the process lives on past places.
    fn goes_on(&self, names: &[&'static str], edge: Edge) -> bool {
        let mut world = held(&self.world);
        let life = world.counts.lives;
        world.goes_on(life, names, edge)
    }

    /// Does what happens at a place; whoever dies there hears of nothing.
    fn at<T>(
        &self,
        name: &'static str,
        work: impl FnOnce() -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        if !self.goes_on(&[name], Edge::Before) {
            return Err(broken());
        }
        let done = work();
        if self.goes_on(&[name], Edge::After) { done } else { Err(broken()) }
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

    /// How many groups a journal that answers first has not stored.
    const fn lag(&self) -> usize {
        match self.mutation {
            Mutation::AnswersFirstUnseen => 4,
            _ => 1,
        }
    }

    /// Stores what was promised, but for the last groups.
    fn settle_but(&mut self, keep: usize) -> Result<(), StoreError> {
        while self.owed.len() > keep
            && let Some(owed) = self.owed.pop_front()
        {
            self.settle(&owed)?;
        }
        Ok(())
    }

    /// Stores what was promised.
    fn settle(&mut self, owed: &Owed) -> Result<Appended, StoreError> {
        self.store(&Batch {
            run: &owed.run,
            epoch: owed.epoch,
            first_seq: owed.first_seq,
            at: owed.at,
            events: &owed.events,
            signed: &owed.signed,
            outputs: &owed.outputs,
            summary: None,
        })
    }

    /// Says that it is done, and stores an earlier group.
    fn promise(&mut self, batch: &Batch<'_>) -> Result<Appended, StoreError> {
        self.settle_but(self.lag() - 1)?;
        self.owed.push_back(Owed::of(batch));
        Ok(Appended {
            next_seq: batch.first_seq + batch.events.len() as u64,
            durable: batch.signed.iter().cloned().map(Durable::assumed).collect(),
        })
    }
}

impl Journal for Diary {
    fn load(&self, run: &RunId) -> Result<Loaded<'_>, StoreError> {
        let inner = self.inner.as_ref().expect("it is never resumed");
        self.at("journal:load", || inner.load(run))
    }

    fn lane(&self, lane: &LaneKey, run: &RunId) -> Result<LaneState, StoreError> {
        let empty = || Ok(LaneState::default());
        self.at("journal:lane", || {
            self.inner.as_ref().map_or_else(empty, |inner| inner.lane(lane, run))
        })
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
        let mut places: Vec<&str> = batch.events.iter().map(append_of).collect();
        places.sort_unstable();
        places.dedup();
        if fails == Some(false) || !self.goes_on(&places, Edge::Before) {
            return Err(broken());
        }
        let lease = batch
            .events
            .iter()
            .any(|event| matches!(event, Event::RunStarted(_) | Event::RunResumed { .. }));
        // What is promised last is stored by a clean end.
        let ends = matches!(batch.events.last(), Some(Event::RunEnded { .. }));
        if ends {
            self.settle_but(0)?;
        }
        let lazy = matches!(self.mutation, Mutation::AnswersFirst | Mutation::AnswersFirstUnseen)
            && !lease
            && !ends;
        let appended = if lazy { self.promise(batch) } else { self.store(batch) }?;
        let heard = self.goes_on(&places, Edge::After) && fails != Some(true);
        if heard { Ok(appended) } else { Err(broken()) }
    }
}
