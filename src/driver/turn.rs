//! The loop itself.

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use alloy::primitives::B256;
use bytes::Bytes;
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};
use tokio::time::Instant;

use crate::chain::Chain;
use crate::content::Content;
use crate::engine::{Engine, Event, Expansion, Input, OpenSlot, RunHeader};
use crate::plan::RunFacts;
use crate::store::{Appended, Batch, Journal, LaneKey, Recorded};
use crate::units::{Nonce, RunId, SignedTx, Timestamp};

use super::perform::Performer;
use super::results::ResultIndex;
use super::work::{Gateway, Report, Shared};
use super::{Begin, DriveError, Ended, News, Observer, Wish, World};

/// The most publications in one group.
const GROUP: usize = 128;
/// How long a group is filled.
const FILL: Duration = Duration::from_millis(2);
/// How long a drained run collects.
const COLLECT: Duration = Duration::from_secs(30);

/// Drives a run until there is nothing left to do, it stops, or the person leaves.
///
/// # Errors
/// What stops a run; the journal is whole, and the run can be resumed.
pub async fn drive<C: Chain, N: Content, J: Journal>(
    world: World<C, N>,
    journal: &mut J,
    wishes: &mut UnboundedReceiver<Wish>,
    observer: Observer<'_>,
) -> Result<Ended, DriveError> {
    let (sender, news) = unbounded_channel();
    let mut driver = Driver::begin(world, journal, sender, observer)?;
    driver.turns(news, wishes).await
}

struct Driver<'a, C, N, J> {
    engine: Engine,
    journal: &'a mut J,
    observer: Observer<'a>,
    shared: Arc<Shared<C, N>>,
    performer: Performer<C, N>,
    clock: super::Clock,
    now: Timestamp,
    run: RunId,
    epoch: u64,
    next_seq: u64,
    /// Signed versions that are not appended yet.
    signed: BTreeMap<B256, SignedTx>,
    /// Small outputs that are not appended yet.
    outputs: BTreeMap<B256, Bytes>,
}

/// What a run starts from.
struct Origin {
    engine: Engine,
    header: Box<RunHeader>,
    results: ResultIndex,
    next_seq: u64,
    last_at: Timestamp,
    first: Input,
    epoch: u64,
    lane: (Nonce, Vec<OpenSlot>),
}

impl<'a, C: Chain, N: Content, J: Journal> Driver<'a, C, N, J> {
    fn begin(
        world: World<C, N>,
        journal: &'a mut J,
        news: tokio::sync::mpsc::UnboundedSender<News>,
        observer: Observer<'a>,
    ) -> Result<Self, DriveError> {
        let origin = Origin::of(&world, journal)?;
        let header = &origin.header;
        let run_facts = RunFacts {
            id: header.run.to_string(),
            network: header.network.name.clone(),
            started_at: rfc3339(header.started_at),
        };
        let steps = world.plan.steps().len();
        let shared = Arc::new(Shared {
            plan: world.plan,
            chain: world.chain,
            content: world.content,
            items: world.items,
            outputs: world.outputs,
            results: RwLock::new(origin.results),
            scopes: RwLock::new(vec![None; steps]),
            gateway: Gateway::default(),
            run_facts,
            news,
            notify: world.notify,
        });
        let mut driver = Self {
            performer: Performer::new(shared.clone(), header),
            run: header.run.clone(),
            epoch: origin.epoch,
            engine: origin.engine,
            journal,
            observer,
            shared,
            now: origin.last_at,
            clock: world.clock,
            next_seq: origin.next_seq,
            signed: BTreeMap::new(),
            outputs: BTreeMap::new(),
        };
        let (next_nonce, open) = origin.lane;
        let lane = Input::Lane { wallet: header.signer, next_nonce, open };
        driver.turn(vec![origin.first, lane])?;
        let effects = driver.engine.outstanding();
        driver.performer.perform(effects);
        Ok(driver)
    }

    async fn turns(
        &mut self,
        mut news: UnboundedReceiver<News>,
        wishes: &mut UnboundedReceiver<Wish>,
    ) -> Result<Ended, DriveError> {
        let mut wishing = true;
        loop {
            if let Some(outcome) = self.engine.outcome() {
                return Ok(Ended::Outcome(outcome));
            }
            let wake = self.wait_until();
            let first = tokio::select! {
                wish = wishes.recv(), if wishing => match wish {
                    Some(Wish::Leave(code)) => return Ok(Ended::Left(code)),
                    Some(Wish::Drain) => {
                        let until = (self.clock)().after(COLLECT);
                        self.turn(vec![Input::Drain { until }])?;
                        continue;
                    }
                    None => {
                        wishing = false;
                        continue;
                    }
                },
                first = news.recv() => first,
                () = sleep(wake) => None,
            };
            let inputs = self.gather(first, &mut news)?;
            self.turn(inputs)?;
        }
    }

    /// How long until the engine waits for nothing but time; `None` if it does not.
    fn wait_until(&self) -> Option<Duration> {
        let at = self.engine.wakes_at()?;
        Some(at.since((self.clock)()))
    }

    /// The first piece of news and what else is ready, up to a group's worth.
    fn gather(
        &mut self,
        first: Option<News>,
        news: &mut UnboundedReceiver<News>,
    ) -> Result<Vec<Input>, DriveError> {
        let mut inputs = vec![Input::Tick];
        let mut next = first;
        let deadline = Instant::now() + FILL;
        let mut publications = 0;
        while let Some(piece) = next.take() {
            match piece {
                News::Inputs(reports) => {
                    publications += reports.iter().filter(|r| r.signed.is_some()).count();
                    reports.into_iter().for_each(|report| self.take(report, &mut inputs));
                }
                News::Fatal(error) => {
                    // What came before it is kept.
                    self.turn(inputs)?;
                    return Err(error);
                }
            }
            if publications < GROUP && Instant::now() < deadline {
                next = news.try_recv().ok();
            }
        }
        Ok(inputs)
    }

    fn take(&mut self, report: Report, inputs: &mut Vec<Input>) {
        self.performer.done(&report.done);
        if let Some(tx) = report.signed {
            self.signed.insert(tx.hash, tx);
        }
        if let Some((sha256, bytes)) = report.output {
            self.outputs.insert(sha256, bytes);
        }
        inputs.extend(report.input);
    }

    /// One turn: handle, append, observe, perform.
    fn turn(&mut self, inputs: Vec<Input>) -> Result<(), DriveError> {
        self.now = (self.clock)().max(self.now);
        let mut events = Vec::new();
        for input in inputs {
            events.extend(self.engine.handle(input, self.now));
        }
        if !events.is_empty() {
            self.append(&events)?;
            self.note(&events);
        }
        // What no fact names was late or doubled.
        self.signed.clear();
        self.outputs.clear();
        let effects = self.engine.waiting(&events);
        self.performer.perform(effects);
        Ok(())
    }

    fn append(&mut self, events: &[Event]) -> Result<(), DriveError> {
        let mut signed = Vec::new();
        let mut outputs = Vec::new();
        for event in events {
            match event {
                Event::VersionSigned { hash, .. } => signed.extend(self.signed.remove(hash)),
                Event::OutputFetched { sha256, .. } => {
                    outputs.extend(self.outputs.remove(sha256).map(|bytes| (*sha256, bytes)));
                }
                _ => {}
            }
        }
        let outputs: Vec<(B256, alloy::primitives::Bytes)> =
            outputs.into_iter().map(|(sha256, bytes)| (sha256, bytes.into())).collect();
        let batch = Batch {
            run: &self.run,
            epoch: self.epoch,
            first_seq: self.next_seq,
            at: self.now,
            events,
            signed: &signed,
            outputs: &outputs,
            summary: None,
        };
        let Appended { durable, .. } = self.journal.append(&batch)?;
        self.performer.keep(durable);
        Ok(())
    }

    /// Folds facts that are durable, and shows them.
    fn note(&mut self, events: &[Event]) {
        {
            let mut results = self.shared.results.write().unwrap_or_else(PoisonError::into_inner);
            events.iter().for_each(|event| results.apply(self.now, event));
        }
        for event in events {
            if let Event::SlotFinal { slot, .. } = event {
                self.performer.forget(*slot);
            }
            let recorded = Recorded { seq: self.next_seq, at: self.now, event: event.clone() };
            self.next_seq += 1;
            (self.observer)(&recorded);
        }
    }
}

impl Origin {
    fn of<C: Chain, N: Content, J: Journal>(
        world: &World<C, N>,
        journal: &J,
    ) -> Result<Self, DriveError> {
        let schedule = world.plan.schedule().clone();
        let limits = world.plan.limits();
        let mut results = ResultIndex::new(&schedule, false);
        match &world.begin {
            Begin::New(header) => {
                let lane = journal.lane(&LaneKey::of(header), &header.run)?;
                Ok(Self {
                    engine: Engine::new(schedule, limits),
                    results,
                    next_seq: 0,
                    last_at: header.started_at,
                    first: Input::Start(header.clone()),
                    epoch: lane.epoch + 1,
                    lane: (lane.next_nonce.max(world.next_nonce), lane.open),
                    header: header.clone(),
                })
            }
            Begin::Resume { run, cap } => {
                let loaded = journal.load(run)?;
                let (header, next_seq) = (loaded.header.clone(), loaded.next_seq);
                let (last_at, epoch) = (loaded.last_at, loaded.epoch + 1);
                let mut facts = Vec::new();
                for recorded in loaded.events {
                    let Recorded { at, event, .. } = recorded?;
                    results.apply(at, &event);
                    reopen(world, &event);
                    facts.push((at, event));
                }
                let lane = journal.lane(&LaneKey::of(&header), run)?;
                Ok(Self {
                    engine: Engine::replay(schedule, limits, facts.into_iter()),
                    results,
                    next_seq,
                    last_at,
                    first: Input::Resume { epoch, cap: *cap },
                    epoch,
                    lane: (lane.next_nonce.max(world.next_nonce), lane.open),
                    header,
                })
            }
        }
    }
}

/// Finds the items of a step again that was expanded before.
fn reopen<C, N>(world: &World<C, N>, event: &Event) {
    if let Event::StepExpanded { step, expansion: Expansion::Items { blob, .. } } = event {
        // A file that is gone shows when its items are read: each such item fails by itself.
        let _missing = world.items.open(*step, *blob);
    }
}

/// Waits so long, or for ever.
async fn sleep(span: Option<Duration>) {
    match span {
        Some(span) => tokio::time::sleep(span).await,
        None => std::future::pending().await,
    }
}

/// A moment as RFC 3339 in UTC, to the second.
fn rfc3339(at: Timestamp) -> String {
    let millis = i64::try_from(at.as_millis()).unwrap_or(i64::MAX);
    let moment = jiff::Timestamp::from_millisecond(millis).unwrap_or(jiff::Timestamp::MAX);
    moment.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}
