//! What the world told us: replies, reads, and the reader's wishes.
//!
//! An input may be late, doubled or for a task that has moved on; it then changes nothing.

use alloy::primitives::{Address, B256};

use crate::units::{
    BlockRef, Call, Fees, LaneView, LogRead, Nonce, SendOutcome, Seq, Slot, Survey, TaskFacts,
    TaskId, Timestamp, Wei,
};

use super::{CancelScope, Expansion, Found, ItemEntry, Offer, OpenSlot, RunHeader, Stale, Verdict};

/// One thing that the world told us. Hashes, sizes and verdicts; never a payload.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Input {
    /// Begin the run.
    Start(Box<RunHeader>),
    /// Go on with the run under a new epoch.
    Resume {
        /// The new epoch.
        epoch: u64,
        /// The cap from now on, in wei.
        cap: Option<Wei>,
        /// What the reader wishes besides.
        wishes: Wishes,
    },
    /// The reader accepts this code at the network's addresses.
    CodeAccepted {
        /// The hashes of the code of Nexus, Controller, Terminal and Vault.
        code: [B256; 4],
    },
    /// What the wallet's lane holds besides this run's slots.
    Lane {
        /// The lane.
        wallet: Address,
        /// The first nonce that nobody has used or bound.
        next_nonce: Nonce,
        /// Open slots of other runs, lowest first.
        open: Vec<OpenSlot>,
        /// A nonce that something outside the journal has used since the run began.
        foreign: Option<Nonce>,
        /// The transaction that has used it, if it was found.
        foreign_tx: Option<B256>,
        /// How many nonces of others a new run begins after.
        passed: u64,
    },
    /// Time has passed.
    Tick,
    /// Fees and balances.
    Surveyed(Box<Survey>),
    /// The next page of the log stream, or a reorg.
    Logs(LogRead),
    /// A step's items were counted.
    Expanded {
        /// The step's place in the plan.
        step: u16,
        /// What came out.
        expansion: Expansion,
    },
    /// A window of a step's items.
    Items {
        /// The step's place in the plan.
        step: u16,
        /// The items.
        items: Vec<ItemEntry>,
    },
    /// A config was pinned and read back.
    Pinned {
        /// The task.
        task: TaskId,
        /// The round whose tag the config holds.
        round: crate::units::Round,
        /// Its URL.
        url: String,
        /// Its size in bytes.
        bytes: u64,
        /// SHA-256 over what is bought, as in safety.md, section 1.
        content: B256,
    },
    /// A config could not be made, or the pin service refused it for good.
    PinFailed {
        /// The task.
        task: TaskId,
        /// The round.
        round: crate::units::Round,
        /// What failed.
        failure: PinFailure,
    },
    /// A version was signed; the bytes stay with the shell until the append.
    Signed {
        /// The slot.
        slot: Slot,
        /// Which version.
        seq: Seq,
        /// Its transaction hash.
        hash: B256,
        /// What was signed.
        call: Call,
        /// With which gas and fees.
        fees: Fees,
    },
    /// What endpoints said to sends of one lane.
    Sent {
        /// The lane.
        wallet: Address,
        /// Nonce, version and outcome.
        sends: Vec<(Nonce, Seq, SendOutcome)>,
    },
    /// A lane was read.
    Viewed {
        /// The lane.
        wallet: Address,
        /// The transactions whose receipts were asked for.
        asked: Vec<B256>,
        /// What was read.
        view: LaneView,
    },
    /// An output is on disk, or about to be in the same append.
    Fetched {
        /// The task.
        task: TaskId,
        /// The response.
        response: Address,
        /// What the response's contract says.
        offer: Offer,
        /// The block at which the chain calls the response confirmed, if it does.
        confirmed_at: Option<BlockRef>,
        /// SHA-256 of the output.
        sha256: B256,
        /// Its size in bytes.
        len: u64,
    },
    /// An output was not fetched.
    FetchFailed {
        /// The task.
        task: TaskId,
        /// The response.
        response: Address,
        /// The block at which the chain calls the response confirmed, if it does.
        confirmed_at: Option<BlockRef>,
        /// Why, as printable text.
        reason: String,
        /// What trying again may change.
        kind: FetchFailure,
    },
    /// An output was checked.
    Checked {
        /// The task.
        task: TaskId,
        /// The response.
        response: Address,
        /// The verdict.
        verdict: Verdict,
    },
    /// A task was read directly.
    TaskRead {
        /// The task.
        task: TaskId,
        /// What its contract says.
        facts: TaskFacts,
    },
    /// Move money from the wallet into a vault, once, through a slot like any other.
    Deposit {
        /// Whose vault balance is to grow.
        account: Address,
        /// By how much, in wei.
        amount: Wei,
    },
    /// Take tasks back, and stop once it is final what became of them.
    Cancel {
        /// Which.
        scope: CancelScope,
        /// Whether outputs that wait for a confirm of ours are given up.
        discard: bool,
    },
    /// Take back the payments of tasks whose rounds have ended, each through a slot like any other.
    Reclaim {
        /// The tasks.
        tasks: Vec<Stale>,
    },
    /// Use nonces up, so that nothing that this journal does not know can.
    Fences {
        /// How many by transfers of ours, from the lane's next on.
        count: u32,
    },
    /// What the wallet did before a nonce was read from the chain.
    ChainRead {
        /// What it published with this run's tags, or without any.
        found: Vec<Found>,
        /// The first nonce that was not read: all below are final.
        below: Nonce,
    },
    /// Slots of this run that are final, by what another run has done.
    Settled {
        /// Their nonces.
        nonces: Vec<Nonce>,
    },
    /// Start nothing new, and stop collecting at `until`.
    Drain {
        /// When collecting ends.
        until: Timestamp,
    },
}

/// What a reader may wish of a resume besides going on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Wishes {
    /// One more round for items that failed and were not paid.
    pub retry_failed: bool,
    /// By how much payments to come rise, in thousandths; 0 leaves them.
    pub raise_permille: u32,
}

/// Why a config is not pinned.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PinFailure {
    /// It could not be rendered: the item fails, before any payment.
    Render(String),
    /// The pin service refused it for good.
    Refused(String),
}

/// What kind of failure kept an output from being fetched.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FetchFailure {
    /// Trying again may help.
    Transient,
    /// Trying again will not help.
    Lasting,
    /// The chain knows of no such response to this task. A node that is behind may say so, and the
    /// chain itself after a reorg.
    NoResponse,
}
