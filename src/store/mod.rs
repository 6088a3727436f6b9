//! What is known, on disk: the journal, and the projections that guard money.
//!
//! * *Journal*: facts in the order in which they happened. The engine's state is a fold of them,
//!   so nothing else has to be kept to go on after a crash.
//! * *Guards*: slots, signed versions, lanes. They repeat what events say, for one reason: so
//!   that the database itself refuses a second live binding, a nonce used twice, or a process
//!   that has lost its lease.
//! * *Views*: rows for screens, read through a connection that cannot write.
//! * *Locks*: one process at a time writes a run and publishes with a wallet.
//!
//! A fact and what it changes in the guards go into one synced transaction, and only that
//! transaction makes a [`Durable`]. [`SqliteJournal`] is the one that people use,
//! [`MemoryJournal`] the one that tests use; both refuse the same things, held by one suite.
//!
//! Nothing here knows what a fact means for the run, and nothing here reads a clock.

pub mod durable;
pub mod error;
pub mod folder;
pub mod lease;
pub mod lock;
pub mod memory;
pub mod sqlite;
pub mod views;

mod guards;
mod read;

#[cfg(test)]
mod contract_tests;
#[cfg(test)]
mod event_tests;
#[cfg(test)]
pub(crate) mod fixture;

use alloy::primitives::{Address, B256, Bytes};

use crate::engine::{Event, OpenSlot, RunHeader};
use crate::units::{Nonce, RunId, SignedTx, Timestamp};

pub use durable::Durable;
pub use error::{Refusal, StoreError};
pub use folder::StateFolder;
pub use lease::LeaseHolder;
pub use lock::{Holder, Mark, RunLock, WalletLock};
pub use memory::MemoryJournal;
pub use sqlite::SqliteJournal;
pub use views::{RunRow, RunState, Views};

/// The largest output that is kept as a row, in bytes; what is larger is a file in the blobs.
pub const ROW_OUTPUT_MAX: usize = 16 * 1024;

/// Whether a signed transaction proves itself: its hash is that of its bytes, and the signer
/// recovered from them is its slot's wallet. The chain's room has the function.
pub type Verify = fn(&SignedTx) -> bool;

/// Where facts are kept.
pub trait Journal {
    /// Everything that is known about a run.
    ///
    /// # Errors
    /// [`Refusal::UnknownRun`]; [`StoreError::Corrupt`] when what is there does not fit itself.
    fn load(&self, run: &RunId) -> Result<Loaded<'_>, StoreError>;

    /// What a lane holds that is not of `run`.
    ///
    /// A lane that nobody has used is empty, at epoch 0 and nonce 0.
    ///
    /// # Errors
    /// When the journal cannot be read.
    fn lane(&self, lane: &LaneKey, run: &RunId) -> Result<LaneState, StoreError>;

    /// Whether a slot is final: another run may have seen to it that this one left open.
    ///
    /// # Errors
    /// When the journal cannot be read.
    fn is_final(&self, lane: &LaneKey, nonce: Nonce) -> Result<bool, StoreError>;

    /// Makes a group of facts durable, all or nothing.
    ///
    /// The group that holds `RunStarted` or `RunResumed` takes the lane's lease: its epoch must
    /// be one above the lane's. Every other group must be of the lane's epoch.
    ///
    /// # Errors
    /// A [`Refusal`] leaves the journal as it was. After [`StoreError::Io`] it takes nothing
    /// more; after [`StoreError::Full`] it may, once there is room.
    fn append(&mut self, batch: &Batch<'_>) -> Result<Appended, StoreError>;
}

/// One group of facts, with the bytes that they speak of.
#[derive(Clone, Copy, Debug)]
pub struct Batch<'a> {
    /// The run.
    pub run: &'a RunId,
    /// The epoch that the writer holds.
    pub epoch: u64,
    /// The place of the first event in the run, from 0.
    pub first_seq: u64,
    /// When the turn began.
    pub at: Timestamp,
    /// What happened.
    pub events: &'a [Event],
    /// The bytes of every version that `events` calls signed, and no other.
    pub signed: &'a [SignedTx],
    /// Outputs of at most [`ROW_OUTPUT_MAX`] bytes that `events` name, by their SHA-256.
    pub outputs: &'a [(B256, Bytes)],
    /// The run's figures from now on, as JSON; `None` leaves them.
    pub summary: Option<&'a str>,
}

/// What an append did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Appended {
    /// The place of the next event in the run.
    pub next_seq: u64,
    /// The versions that were signed in this group; for a group that took the lease also every
    /// version of every open slot of the lane, whichever run it belongs to, checked.
    pub durable: Vec<Durable<SignedTx>>,
}

/// A run as the journal knows it.
pub struct Loaded<'a> {
    /// What the run is; its first event says so.
    pub header: Box<RunHeader>,
    /// The epoch of the run's lane; who goes on takes the next.
    pub epoch: u64,
    /// The place of the next event.
    pub next_seq: u64,
    /// When the last event was appended.
    pub last_at: Timestamp,
    /// All events in order, the first included.
    pub events: Box<dyn Iterator<Item = Result<Recorded, StoreError>> + 'a>,
}

impl std::fmt::Debug for Loaded<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Loaded")
            .field("run", &self.header.run)
            .field("epoch", &self.epoch)
            .field("next_seq", &self.next_seq)
            .finish_non_exhaustive()
    }
}

/// An event as it stands in the journal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recorded {
    /// Its place in the run, from 0.
    pub seq: u64,
    /// When its turn began.
    pub at: Timestamp,
    /// What happened.
    pub event: Event,
}

/// Which lane: a wallet on a chain.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct LaneKey {
    /// The chain's id.
    pub chain_id: u64,
    /// The hash of the chain's first block: a devnet that was reset is another chain.
    pub genesis: B256,
    /// Who signs.
    pub wallet: Address,
}

impl LaneKey {
    /// The lane that a run publishes through.
    pub fn of(header: &RunHeader) -> Self {
        Self { chain_id: header.network.chain_id, genesis: header.genesis, wallet: header.signer }
    }
}

/// What a lane holds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LaneState {
    /// The epoch of its lease.
    pub epoch: u64,
    /// The first nonce that no run has bound.
    pub next_nonce: Nonce,
    /// The highest nonce below `next_nonce` that nothing in this journal has used: none of its runs
    /// has bound it, or a stranger's transaction was mined in the slot's place.
    pub last_foreign: Option<Nonce>,
    /// Slots that are not final, lowest first.
    pub open: Vec<OpenSlot>,
    /// The lowest of them without a signed version, and the run that reserved it: nothing above
    /// it can be mined before that run goes on.
    pub unsigned: Option<(RunId, Nonce)>,
    /// Who holds its lease; `None` if its last run has ended or stopped.
    pub holder: Option<LeaseHolder>,
}
