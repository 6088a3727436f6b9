//! The only loop that awaits: it joins engine, journal, chain and content into a run.
//!
//! A turn has five phases, and knows nothing of the domain:
//!
//! * *wait* for one input, or for the moment that the engine waits for;
//! * *drain* what else is there, and *handle* it, with one `now` for the whole turn;
//! * *append* all facts in one transaction;
//! * *observe*: show them to whoever looks on;
//! * *perform* the effects that are waited on now.
//!
//! Starting and resuming are the same loop, begun with another journal. A fact is on disk before
//! anything acts on it: effects start after the append returned, and bytes leave only as what
//! the append gave back.
//!
//! [`preflight`] asks the chain what has to hold before, [`clock`] is where time comes in and
//! [`signals`] where the wish to stop does. Nothing here decides what happens next, prints, or
//! knows a terminal.

mod begin;
pub mod clock;
pub mod error;
mod gather;
pub mod items;
pub mod preflight;
pub mod signals;

mod crew;
mod desk;
mod perform;
mod results;
mod trace;
mod turn;

#[cfg(test)]
mod tests;

use std::fmt;
use std::sync::Arc;

use alloy::primitives::B256;
use tokio::sync::mpsc;

use crate::chain::Chain;
use crate::content::{Blobs, Content};
use crate::engine::{Engine, Event, Input, RunHeader, RunOutcome, Wishes};
use crate::plan::{Plan, RunFacts};
use crate::store::{Journal, LaneKey, StoreError, WalletLock};
use crate::units::{Nonce, RunId, Timestamp, Wei};

pub use begin::{Begin, ChainRead, Consent};
pub use clock::Clock;
pub use crew::PinNotice;
pub use desk::Outputs;
pub use error::DriverError;
pub use items::BlobSink;
pub use signals::Signal;

use crew::{ChainWatch, Crew};
use desk::Desk;
use perform::Performer;
use preflight::Stand;
use turn::{Place, Shell};

/// What an observer is told.
#[derive(Clone, Copy, Debug)]
pub struct Told<'a> {
    /// When it was journaled.
    pub at: Timestamp,
    /// What.
    pub event: &'a Event,
    /// Whether it was journaled by an earlier process: a resumed run tells its past first.
    pub past: bool,
}

/// Looks on. It cannot stop the run: one that panics is not told anything more.
pub type Observer<'a> = &'a mut dyn FnMut(Told<'_>);

/// Makes the run's figures of what was just found out, as JSON; `None` leaves those that are
/// there.
pub type Summary<'a> = &'a mut dyn FnMut(Timestamp, &[Event]) -> Option<String>;

/// What a run is driven with.
pub struct Drive<'a, C, K, J> {
    /// The chain, with the run's signer.
    pub chain: Arc<C>,
    /// Where configs are pinned and outputs fetched.
    pub content: Arc<K>,
    /// Where facts are kept; the run's lock and the wallet's are held.
    pub journal: &'a mut J,
    /// What is to be done; on a resume made from the run's bundle.
    pub plan: Arc<Plan>,
    /// Where items are kept.
    pub blobs: Blobs,
    /// Reads outputs back.
    pub outputs: Outputs,
    /// The run.
    pub begin: Begin,
    /// The time.
    pub clock: Clock,
    /// Leaves as soon as everything is on chain that can be published before an answer comes.
    pub detach: bool,
    /// Wishes to stop.
    pub signals: mpsc::Receiver<Signal>,
    /// Who looks on.
    pub observers: Vec<Observer<'a>>,
    /// What `status` shows without reading events.
    pub summary: Option<Summary<'a>>,
    /// Who hears of failed tries to pin.
    pub notice: Option<PinNotice>,
    /// The wallet's lock, with the id of the database, for its mark.
    pub mark: Option<(&'a mut WalletLock, String)>,
}

impl<C, K, J> fmt::Debug for Drive<'_, C, K, J> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Drive").field("begin", &self.begin).finish_non_exhaustive()
    }
}

/// How a run was left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Finish {
    /// How it ended, or why it stopped.
    pub outcome: RunOutcome,
    /// When.
    pub at: Timestamp,
    /// The signal that asked it to stop, if one did.
    pub signal: Option<Signal>,
}

/// Drives a run until it ends or stops.
///
/// # Errors
/// [`DriverError`]: the journal or the world said no. The run can be resumed.
pub async fn drive<C: Chain, K: Content, J: Journal>(
    drive: Drive<'_, C, K, J>,
) -> Result<Finish, DriverError> {
    let Drive { chain, content, journal, plan, begin, clock, mut observers, .. } = drive;
    let past = Past::read(journal, &plan, begin, &mut observers, (drive.blobs, drive.outputs))?;
    let clock = clock.not_before(past.last_at);
    if let Some(outcome) = past.engine.outcome().filter(|outcome| past.is_over(*outcome)) {
        return Ok(Finish { outcome, at: past.last_at, signal: None });
    }
    let header = &past.header;
    let accepted = guard(chain.as_ref(), header, &past.consent).await?;
    let lane = journal.lane(&LaneKey::of(header), &header.run)?;
    preflight::same_machine(&lane, &past.consent)?;
    let stand = past.stand();
    let footing = preflight::footing(chain.as_ref(), header, (&lane, stand)).await?;
    let fences = matches!(stand, Stand::Fence | Stand::Fencing);
    if let Some((run, nonce)) = lane.unsigned.as_ref().filter(|_| !fences) {
        return Err(DriverError::LaneHeld { run: run.clone(), nonce: *nonce });
    }
    // A fence is there for what an old copy of a database does not know.
    if let Some((lock, database)) = drive.mark.as_ref().filter(|_| !fences) {
        lock.check(database, lane.next_nonce)?;
    }
    let next_nonce = footing.next_nonce;
    let epoch = lane.epoch + 1;
    let first = match past.resume {
        Some((cap, wishes)) => Input::Resume { epoch, cap, wishes },
        None => Input::Start(header.clone()),
    };
    let mut inputs = vec![first, footing.input(header.signer, lane.open)];
    inputs.extend(accepted.map(|code| Input::CodeAccepted { code }));
    let marked = drive.mark.as_ref().map(|(lock, database)| lock.marked(database));
    inputs.extend(past.wish.map(|wish| begin::up_to(wish, marked, next_nonce)));
    let crew = Crew {
        chain,
        content,
        desk: Arc::clone(&past.desk),
        wallet: header.signer,
        payer: header.payer,
        notice: drive.notice.unwrap_or_else(|| Arc::new(|_, _| {})),
        gateways: Arc::default(),
        watch: Arc::new(ChainWatch::over(header, accepted)),
    };
    inputs.extend(settled(journal, header, &past.engine)?);
    let (sender, replies) = mpsc::unbounded_channel();
    let shell = Shell {
        place: Place { run: header.run.clone(), epoch, seq: past.next_seq, marked: next_nonce },
        engine: past.engine,
        desk: past.desk,
        journal,
        performer: Performer::new(crew, sender),
        replies,
        clock,
        detach: drive.detach,
        signals: drive.signals,
        signal: None,
        observers,
        summary: drive.summary,
        mark: drive.mark,
    };
    shell.run(inputs).await
}

/// Slots that the run left unsigned, and a fence has seen to their ends.
fn settled<J: Journal>(
    journal: &J,
    header: &RunHeader,
    engine: &Engine,
) -> Result<Option<Input>, DriverError> {
    let mut nonces = Vec::new();
    for nonce in engine.unsigned_slots() {
        if journal.is_final(&LaneKey::of(header), nonce)? {
            nonces.push(nonce);
        }
    }
    Ok((!nonces.is_empty()).then_some(Input::Settled { nonces }))
}

/// Whether the chain and the key are those of the run; other code if the reader accepts it.
async fn guard<C: Chain>(
    chain: &C,
    header: &RunHeader,
    consent: &Consent,
) -> Result<Option<[B256; 4]>, DriverError> {
    let found = chain.wallet().ok_or(crate::chain::SignError::NoSigner)?;
    if found != header.signer {
        return Err(DriverError::OtherSigner { expected: header.signer, found });
    }
    preflight::same_chain(header, &chain.guard().await?, consent)
}

/// A run as its journal left it.
struct Past {
    header: Box<RunHeader>,
    engine: Engine,
    desk: Arc<Desk>,
    next_seq: u64,
    last_at: Timestamp,
    /// The cap from now on, and what the reader wishes; `None` for a run that starts.
    resume: Option<(Option<Wei>, Wishes)>,
    /// What is wanted of it besides its steps.
    wish: Option<Input>,
    consent: Consent,
    /// The first nonce that was not read from the chain, if it was read.
    read_below: Option<Nonce>,
}

/// The cap of a run that goes on.
enum Cap {
    /// The one that it had.
    Same,
    /// Another one.
    New(Option<Wei>),
    /// The one that it had, or higher: this much more than is committed is to fit.
    Above(Wei),
}

impl Cap {
    /// The cap from now on of a run that stands as `engine` does.
    fn of(self, engine: &Engine) -> Result<Option<Wei>, DriverError> {
        let committed = engine.ledger().committed();
        let cap = match self {
            Self::Same => engine.cap(),
            Self::New(cap) => cap,
            Self::Above(more) => engine.cap().map(|cap| cap.max(committed.saturating_add(more))),
        };
        match cap.filter(|cap| *cap < committed && engine.cap() != Some(*cap)) {
            Some(cap) => Err(DriverError::CapTooLow { cap, committed }),
            None => Ok(cap),
        }
    }
}

impl Past {
    /// Where it stands in its wallet's lane.
    fn stand(&self) -> Stand {
        match (self.read_below, self.engine.lane_began()) {
            (Some(below), _) => Stand::Read(below),
            (None, Some(_)) if self.engine.is_fencing() => Stand::Fencing,
            (None, Some(began)) => Stand::Resumed(began),
            (None, None) if matches!(self.wish, Some(Input::Fences { .. })) => Stand::Fence,
            (None, None) => Stand::New,
        }
    }

    /// Whether nothing is left to resume.
    fn is_over(&self, outcome: RunOutcome) -> bool {
        let again = self.resume.is_some_and(|(_, wishes)| wishes.retry_failed);
        match outcome {
            RunOutcome::Done | RunOutcome::Failed => !again || self.engine.retriable(0).is_empty(),
            RunOutcome::OverBudget | RunOutcome::Canceled => true,
            RunOutcome::PausedBudget
            | RunOutcome::PausedFunds
            | RunOutcome::Stopped
            | RunOutcome::Quarantined => false,
        }
    }

    fn read<J: Journal>(
        journal: &J,
        plan: &Arc<Plan>,
        begin: Begin,
        observers: &mut Vec<Observer<'_>>,
        disk: (Blobs, Outputs),
    ) -> Result<Self, DriverError> {
        let fresh = |header, wish| Ok(Self { wish, ..Self::fresh(header, plan, disk.clone()) });
        let recorded = match begin {
            Begin::Start(header) => return fresh(header, None),
            Begin::Deposit { header, account, amount } => {
                return fresh(header, Some(Input::Deposit { account, amount }));
            }
            Begin::Reclaim { header, tasks } => {
                return fresh(header, Some(Input::Reclaim { tasks }));
            }
            Begin::Fence { header, window, consent } => {
                let past: Result<Self, DriverError> =
                    fresh(header, Some(Input::Fences { count: window }));
                return past.map(|past| Self { consent, ..past });
            }
            Begin::FromChain { begin, read } => {
                let past = Self::read(journal, plan, *begin, observers, disk)?;
                let ChainRead { found, below } = read;
                let wish = Some(Input::ChainRead { found, below });
                return Ok(Self { wish, read_below: Some(below), ..past });
            }
            Begin::Cancel { run, scope, discard, gas } => {
                let wish = Some(Input::Cancel { scope, discard });
                (run, Cap::Above(gas), wish, (Wishes::default(), Consent::default()))
            }
            Begin::Resume { run, cap, wishes, consent } => {
                (run, cap.map_or(Cap::Same, Cap::New), None, (wishes, consent))
            }
        };
        Self::recorded(journal, plan, recorded, observers, disk)
    }

    /// A run of the journal, as its facts left it.
    fn recorded<J: Journal>(
        journal: &J,
        plan: &Arc<Plan>,
        (run, cap, wish, (wishes, consent)): (RunId, Cap, Option<Input>, (Wishes, Consent)),
        observers: &mut Vec<Observer<'_>>,
        disk: (Blobs, Outputs),
    ) -> Result<Self, DriverError> {
        let loaded = journal.load(&run)?;
        if loaded.header.fingerprint != plan.fingerprint() {
            return Err(DriverError::OtherPlan);
        }
        let desk = Arc::new(Desk::new(Arc::clone(plan), facts(&loaded.header), disk));
        let mut broken: Option<StoreError> = None;
        let events = loaded.events.map_while(|recorded| match recorded {
            Ok(recorded) => {
                let (at, event) = (recorded.at, recorded.event);
                desk.fold(&event, at);
                turn::tell(observers, Told { at, event: &event, past: true });
                Some((at, event))
            }
            Err(error) => {
                broken = Some(error);
                None
            }
        });
        let engine = Engine::replay(Arc::clone(plan.schedule()), plan.limits(), events);
        if let Some(error) = broken {
            return Err(error.into());
        }
        let cap = cap.of(&engine)?;
        // The code that was accepted since it began is that of the engine's header.
        let header = engine.header().cloned().map_or(loaded.header, Box::new);
        Ok(Self {
            header,
            engine,
            desk,
            next_seq: loaded.next_seq,
            last_at: loaded.last_at,
            resume: Some((cap, wishes)),
            wish,
            consent,
            read_below: None,
        })
    }

    fn fresh(header: Box<RunHeader>, plan: &Arc<Plan>, disk: (Blobs, Outputs)) -> Self {
        let desk = Arc::new(Desk::new(Arc::clone(plan), facts(&header), disk));
        let engine = Engine::new(Arc::clone(plan.schedule()), plan.limits());
        let last_at = Timestamp::default();
        let consent = Consent::default();
        let (resume, wish, read_below) = (None, None, None);
        Self { header, engine, desk, next_seq: 0, last_at, resume, wish, consent, read_below }
    }
}

/// What expressions see as `run`.
pub fn facts(header: &RunHeader) -> RunFacts {
    let millis = i64::try_from(header.started_at.as_millis()).unwrap_or(i64::MAX);
    let started = jiff::Timestamp::from_millisecond(millis).unwrap_or_default();
    RunFacts {
        id: header.run.as_str().into(),
        network: header.network.name.clone(),
        started_at: started.strftime("%Y-%m-%dT%H:%M:%SZ").to_string(),
    }
}
