//! One turn: wait, drain, handle, append, observe, perform.

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Duration;

use alloy::primitives::B256;
use bytes::Bytes;
use tokio::sync::mpsc;
use tokio::time::Instant;

use crate::chain::Chain;
use crate::content::Content;
use crate::engine::{Engine, Event, Input, RunOutcome};
use crate::store::{Batch, Journal, LaneKey, Mark, WalletLock};
use crate::units::{Nonce, RunId, Seq, SignedTx, Slot, Timestamp};

use super::clock::Clock;
use super::crew::{Carry, Reply};
use super::desk::Desk;
use super::perform::Performer;
use super::signals::Signal;
use super::trace::trace;
use super::{DriverError, Finish, Observer, Summary, Told};

/// The most versions that one append makes durable (architecture.md, section 11).
const GROUP: usize = 128;
/// The longest time that a group is filled.
const GROUP_TIME: Duration = Duration::from_millis(2);
/// How long a run that was asked to stop collects what is open.
const DRAIN: Duration = Duration::from_secs(30);
/// How often everything that is waited on is looked over: an effect whose end told nothing new
/// is started again then.
const SWEEP: Duration = Duration::from_secs(30);
/// Nonces between two marks in the wallet's lock file.
const MARK_EVERY: u64 = 64;

/// Where the run stands in its journal.
#[derive(Debug)]
pub(super) struct Place {
    pub(super) run: RunId,
    pub(super) epoch: u64,
    pub(super) seq: u64,
    /// The next nonce that the lock file knows.
    pub(super) marked: Nonce,
}

/// A run that goes on.
pub(super) struct Shell<'a, C, K, J> {
    pub(super) place: Place,
    pub(super) engine: Engine,
    pub(super) desk: Arc<Desk>,
    pub(super) journal: &'a mut J,
    pub(super) performer: Performer<C, K>,
    pub(super) replies: mpsc::UnboundedReceiver<Reply>,
    pub(super) clock: Clock,
    pub(super) detach: bool,
    pub(super) signals: mpsc::Receiver<Signal>,
    pub(super) signal: Option<Signal>,
    pub(super) observers: Vec<Observer<'a>>,
    pub(super) summary: Option<Summary<'a>>,
    pub(super) mark: Option<(&'a mut WalletLock, String)>,
}

/// What a turn has gathered.
#[derive(Default)]
struct Group {
    events: Vec<Event>,
    signed: BTreeMap<B256, SignedTx>,
    outputs: BTreeMap<B256, Bytes>,
    error: Option<DriverError>,
}

/// What ended a wait.
enum Woken {
    Reply(Reply),
    Signal(Signal),
    Time,
}

impl<C: Chain, K: Content, J: Journal> Shell<'_, C, K, J> {
    /// The bytes of every version that may still be sent are there. Those of a slot that another run
    /// saw to its end are not wanted any more.
    fn has_all_bytes(&self) -> Result<(), DriverError> {
        let Some(header) = self.engine.header() else { return Ok(()) };
        let lane = LaneKey::of(header);
        for nonce in self.engine.unsigned_slots() {
            let slot = Slot { wallet: header.signer, nonce };
            if self.performer.holds(&(slot, Seq(0))) {
                return Err(DriverError::Fenced { slot });
            }
        }
        for version in self.engine.open_versions() {
            let (slot, _) = version;
            if !self.performer.holds(&version) && !self.journal.is_final(&lane, slot.nonce)? {
                return Err(DriverError::BytesLost { slot });
            }
        }
        Ok(())
    }

    /// Runs until the engine has an outcome.
    pub(super) async fn run(mut self, inputs: Vec<Input>) -> Result<Finish, DriverError> {
        let now = self.clock.now();
        let mut group = Group::default();
        group.events.extend(self.engine.handle_all(inputs, now));
        self.keep(group, now)?;
        self.has_all_bytes()?;
        // What the journal left open is waited on as much as what has just begun.
        self.performer.perform(self.engine.outstanding(), true);
        let mut swept = now;
        loop {
            if let Some(outcome) = self.engine.outcome() {
                return self.finish(outcome);
            }
            let woken = self.wait(swept.after(SWEEP)).await;
            let now = self.clock.now();
            let mut group = Group::default();
            self.gather(woken, now, &mut group)?;
            if self.detach && self.engine.has_published_all() {
                group.events.extend(self.engine.handle(Input::Drain { until: now }, now));
            }
            let events = self.keep(group, now)?;
            let effects = if now >= swept.after(SWEEP) {
                swept = now;
                self.engine.outstanding()
            } else {
                self.engine.waiting(&events)
            };
            self.performer.perform(effects, self.engine.is_in_a_hurry());
            debug_assert!(
                self.engine.outcome().is_some()
                    || self.performer.out() > 0
                    || self.engine.wakes_at().is_some(),
                "a run that goes on waits for something"
            );
        }
    }

    /// Waits for one reply, a signal, or the moment that the engine waits for.
    async fn wait(&mut self, sweep: Timestamp) -> Woken {
        let wakes_at = self.engine.wakes_at().map_or(sweep, |moment| moment.min(sweep));
        tokio::select! {
            biased;
            Some(signal) = self.signals.recv() => Woken::Signal(signal),
            Some(reply) = self.replies.recv() => Woken::Reply(reply),
            () = self.clock.sleep_until(Some(wakes_at)) => Woken::Time,
        }
    }

    /// Takes what woke the loop and what else is there, and handles it.
    fn gather(
        &mut self,
        woken: Woken,
        now: Timestamp,
        group: &mut Group,
    ) -> Result<(), DriverError> {
        match woken {
            Woken::Reply(reply) => self.handle(reply, now, group),
            Woken::Signal(signal) => self.ask_to_stop(signal, now, group)?,
            Woken::Time => {}
        }
        let began = Instant::now();
        while group.signed.len() < GROUP && began.elapsed() < GROUP_TIME {
            let Ok(reply) = self.replies.try_recv() else { break };
            self.handle(reply, now, group);
        }
        if self.engine.wakes_at().is_some_and(|moment| moment <= now) {
            group.events.extend(self.engine.handle(Input::Tick, now));
        }
        Ok(())
    }

    fn ask_to_stop(
        &mut self,
        signal: Signal,
        now: Timestamp,
        group: &mut Group,
    ) -> Result<(), DriverError> {
        if self.signal.replace(signal).is_some() {
            return Err(DriverError::Left(signal));
        }
        let until = now.after(DRAIN);
        group.events.extend(self.engine.handle(Input::Drain { until }, now));
        Ok(())
    }

    fn handle(&mut self, reply: Reply, now: Timestamp, group: &mut Group) {
        self.performer.ended(&reply);
        for carry in reply.carry {
            match carry {
                Carry::Signed(tx) => drop(group.signed.insert(tx.hash, tx)),
                Carry::Output(sha256, body) => drop(group.outputs.insert(sha256, body)),
            }
        }
        for input in reply.inputs {
            group.events.extend(self.engine.handle(input, now));
        }
        if group.error.is_none() {
            group.error = reply.error;
        }
    }

    /// Journals a turn's facts, shows them, and gives them back. An error that came with them
    /// stops the run after that.
    fn keep(&mut self, mut group: Group, now: Timestamp) -> Result<Vec<Event>, DriverError> {
        if !group.events.is_empty() {
            self.append(&mut group, now)?;
        }
        for event in &group.events {
            self.desk.fold(event, now);
            trace(event);
            tell(&mut self.observers, Told { at: now, event, past: false });
            if let Event::SlotFinal { slot, .. } = event {
                self.performer.forget(*slot);
            }
        }
        match group.error {
            Some(error) => Err(error),
            None => Ok(group.events),
        }
    }

    fn append(&mut self, group: &mut Group, now: Timestamp) -> Result<(), DriverError> {
        let (mut signed, mut next_nonce) = (Vec::new(), None);
        let mut outputs: Vec<(B256, alloy::primitives::Bytes)> = Vec::new();
        for event in &group.events {
            if let Event::VersionSigned { slot, seq, hash, .. } = event {
                let tx = group.signed.remove(hash);
                signed.extend(tx.map(|tx| SignedTx { slot: *slot, seq: *seq, ..tx }));
            } else if let Event::OutputFetched { sha256, .. } = event {
                let body = group.outputs.remove(sha256);
                outputs.extend(body.map(|body| (*sha256, body.into())));
            } else if let Event::SlotReserved { slot, .. } = event {
                next_nonce = Some(slot.nonce.next());
            }
        }
        let summary = self.summary.as_mut().and_then(|make| make(now, &group.events));
        let appended = self.journal.append(&Batch {
            run: &self.place.run,
            epoch: self.place.epoch,
            first_seq: self.place.seq,
            at: now,
            events: &group.events,
            signed: &signed,
            outputs: &outputs,
            summary: summary.as_deref(),
        })?;
        self.place.seq = appended.next_seq;
        self.performer.take(appended.durable);
        for (sha256, body) in outputs {
            self.desk.hold_output(sha256, body.0);
        }
        self.set_mark(next_nonce.filter(|next| next.0 >= self.place.marked.0 + MARK_EVERY))
    }

    /// Notes in the wallet's lock file how far this database has bound nonces.
    fn set_mark(&mut self, next_nonce: Option<Nonce>) -> Result<(), DriverError> {
        if let (Some(next_nonce), Some((lock, database))) = (next_nonce, &mut self.mark) {
            lock.set_mark(Mark { database: database.clone(), next_nonce })?;
            self.place.marked = next_nonce;
        }
        Ok(())
    }

    fn finish(mut self, outcome: RunOutcome) -> Result<Finish, DriverError> {
        let header = self.engine.header().map(LaneKey::of);
        if let Some(lane) = header {
            let next_nonce = self.journal.lane(&lane, &self.place.run)?.next_nonce;
            self.set_mark(Some(next_nonce))?;
        }
        Ok(Finish { outcome, at: self.clock.now(), signal: self.signal })
    }
}

/// Tells all observers; one that panics is left out from then on.
pub(super) fn tell(observers: &mut Vec<Observer<'_>>, told: Told<'_>) {
    observers.retain_mut(|observer| {
        let seen = catch_unwind(AssertUnwindSafe(|| observer(told)));
        if seen.is_err() {
            tracing::warn!("an observer failed and is not told anything more");
        }
        seen.is_ok()
    });
}
