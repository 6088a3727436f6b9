//! The only room that awaits in a loop: it moves news to the engine and effects to the world.
//!
//! ```text
//! wait      one piece of news, a signal, or a moment that the engine waits for
//! drain     what else is ready, up to a group's worth
//! handle    each piece, with one `now` for the whole turn
//! append    all facts in one transaction
//! observe   show them
//! perform   start, as one list, the effects that are waited on now
//! ```
//!
//! Facts are durable before anything acts on them, because the loop appends before it performs,
//! and because the sender takes `Durable` bytes that only an append makes. Nothing here knows
//! what a fact means: the engine decides, this room carries.
//!
//! What stops a run stops it resumable. Only the journal is not survived: when it fails, the loop
//! ends before anything else is sent.

mod fetches;
mod items;
mod perform;
mod results;
mod turn;
mod work;

#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::Duration;

use alloy::primitives::B256;

use crate::chain::{Chain, ChainError, SignError};
use crate::content::{Content, ContentError};
use crate::engine::{RunHeader, RunOutcome};
use crate::plan::Plan;
use crate::store::{Recorded, StoreError};
use crate::units::{Nonce, RunId, TaskId, Wei};

pub use items::ItemStore;
pub use results::ResultIndex;
pub use turn::drive;

/// Reads the bytes of an output by its SHA-256; `None` if they are not there.
pub type ReadOutput = Arc<dyn Fn(&B256) -> Result<Option<Vec<u8>>, StoreError> + Send + Sync>;

/// Says what the time is, and waits; the program's clock, or a test's.
pub type Clock = Arc<dyn Fn() -> crate::units::Timestamp + Send + Sync>;

/// What a run needs of the world.
pub struct World<C, N> {
    /// What will be done.
    pub plan: Arc<Plan>,
    /// The chain.
    pub chain: Arc<C>,
    /// Bytes outside the chain.
    pub content: Arc<N>,
    /// Where items are kept.
    pub items: Arc<ItemStore>,
    /// Where outputs are read.
    pub outputs: ReadOutput,
    /// What the time is.
    pub clock: Clock,
    /// How the run is begun or gone on with.
    pub begin: Begin,
    /// The first nonce that nobody has used, by the chain.
    pub next_nonce: Nonce,
    /// Who hears of what goes wrong and is tried again.
    pub notify: Arc<dyn Fn(Notice) + Send + Sync>,
}

/// How a run is begun or gone on with.
pub enum Begin {
    /// A new run.
    New(Box<RunHeader>),
    /// A run that the journal knows.
    Resume {
        /// The run.
        run: RunId,
        /// The cap from now on, in wei.
        cap: Option<Wei>,
    },
}

/// Something that went wrong and is tried again; it is shown and forgotten.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Notice {
    /// A pin failed.
    PinRetry {
        /// Whose config it was.
        task: TaskId,
        /// Which try it was, from 1.
        tried: u32,
        /// How many there are.
        of: u32,
        /// How long until the next.
        wait: Duration,
        /// Why.
        reason: String,
    },
}

/// A wish of the person who watches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wish {
    /// Start nothing new, collect what is open for a while, then leave.
    Drain,
    /// Leave now; the code is 128 and the signal's number.
    Leave(u8),
}

/// How driving ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// The engine has nothing left to do, or stopped.
    Outcome(RunOutcome),
    /// The person left; the run is as after a crash.
    Left(u8),
}

/// Who sees facts, once they are durable.
pub type Observer<'a> = &'a mut dyn FnMut(&Recorded);

/// Why driving stopped. The journal is whole, and the run can be resumed.
#[derive(Debug, thiserror::Error)]
pub enum DriveError {
    /// The chain cannot be asked any more.
    #[error("the chain cannot be read")]
    Chain(#[source] ChainError),
    /// The pin service or the gateways do not respond.
    #[error("content outside the chain is out of reach")]
    Content(#[source] ContentError),
    /// The signer refused what the plan asks for.
    #[error("a transaction cannot be signed")]
    Sign(#[source] SignError),
    /// The journal takes nothing more.
    #[error("the journal failed")]
    Journal(#[from] StoreError),
    /// A node says that the transactions are for another chain.
    #[error("a node says that this is another chain")]
    WrongChain,
}

impl DriveError {
    /// What the reader can do, in one line.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Chain(error) => Some(error.hint().to_owned()),
            Self::Content(error) => error.hint(),
            Self::Sign(_) => None,
            Self::Journal(error) => error.hint(),
            Self::WrongChain => Some("check `chain_id` and `rpc` of the network".into()),
        }
    }
}

/// What one turn's worth of effects brings back.
pub(crate) enum News {
    /// Inputs for the engine, and the effects that are not out any more.
    Inputs(Vec<work::Report>),
    /// Nothing more can be done.
    Fatal(DriveError),
}

/// Marks a world as one that can be driven: both of its far sides are there.
impl<C: Chain, N: Content> World<C, N> {
    /// The run's id.
    pub fn run(&self) -> &RunId {
        match &self.begin {
            Begin::New(header) => &header.run,
            Begin::Resume { run, .. } => run,
        }
    }
}
