//! What has happened: the facts that the journal keeps and every screen folds.
//!
//! Past tense, versioned, small. A payload never enters an event: outputs are named by their
//! SHA-256, signed bytes by their hash. A new variant bumps [`FORMAT`]'s minor, a new meaning
//! its major.

use alloy::primitives::{Address, B256};
use serde::{Deserialize, Serialize};

use crate::units::{
    BlockRef, Call, ChainTime, Fees, ItemKey, KeyHash, Network, Nonce, Revert, Round, RunId,
    SendOutcome, Seq, Slot, StepName, Survey, TaskId, TaskKey, TaskStatus, Timestamp, Wei,
};

/// The journal's format: (major, minor).
pub const FORMAT: (u16, u16) = (1, 0);

/// One fact of a run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum Event {
    /// The run began; always the first event.
    RunStarted(Box<RunHeader>),
    /// The run goes on under a new epoch.
    RunResumed {
        /// The epoch that every later append names.
        epoch: u64,
        /// The cap from now on, in wei; `None` is no cap.
        cap: Option<Wei>,
    },
    /// What the run found in its wallet's lane when it took it.
    LaneTaken {
        /// The lane.
        wallet: Address,
        /// The first nonce that nobody has used or bound.
        next_nonce: Nonce,
        /// Slots of other runs that are still open, lowest first.
        open: Vec<OpenSlot>,
    },
    /// Fees and balances were read.
    Surveyed(Box<Survey>),
    /// The log stream was read up to a block.
    LogsRead {
        /// The new cursor.
        to: BlockRef,
        /// The timestamp of `to`.
        to_time: ChainTime,
        /// The height up to which blocks are final.
        final_number: u64,
        /// The timestamp of the final block.
        final_time: ChainTime,
    },
    /// The chain took blocks back: the cursor went back to a block that still stands.
    LogsRewound {
        /// The new cursor.
        to: BlockRef,
    },
    /// It is known which items a step has, or that it has none.
    StepExpanded {
        /// The step's place in the plan.
        step: u16,
        /// What is known.
        expansion: Expansion,
    },
    /// A window of a step's items was read; their tasks exist from now on.
    ItemsRead {
        /// The step's place in the plan.
        step: u16,
        /// The items, in input order.
        items: Vec<ItemEntry>,
    },
    /// A step has ended.
    StepEnded {
        /// The step's place in the plan.
        step: u16,
        /// How.
        end: StepEnd,
    },
    /// A task's config is pinned and was read back.
    ConfigPinned {
        /// The task.
        task: TaskId,
        /// The config's URL, as the chain will hold it.
        url: String,
        /// The config's size in bytes.
        bytes: u64,
        /// SHA-256 over the canonical JSON of source, function, data, extras and payment.
        content: B256,
    },
    /// A task is bound to a slot; its payment and gas ceiling are reserved.
    SlotReserved {
        /// The slot.
        slot: Slot,
        /// Whose it is.
        task: TaskId,
        /// The key of the task's round.
        key: TaskKey,
        /// What will be signed.
        call: Call,
        /// With which gas and fees.
        fees: Fees,
    },
    /// A further version of a slot's transaction will be signed, with higher fees.
    VersionWanted {
        /// The slot.
        slot: Slot,
        /// What will be signed.
        call: Call,
        /// With which gas and fees.
        fees: Fees,
    },
    /// A version of a slot's transaction was signed.
    VersionSigned {
        /// The slot.
        slot: Slot,
        /// Which version.
        seq: Seq,
        /// Its transaction hash.
        hash: B256,
        /// What it does.
        call: Call,
        /// Its gas and fees.
        fees: Fees,
    },
    /// What endpoints said to a group of sends of one lane.
    Sent {
        /// The lane.
        wallet: Address,
        /// What they said, in nonce order.
        sends: Vec<SendNote>,
    },
    /// A wait of the run is over.
    Due {
        /// What was waited for.
        timers: Vec<Timer>,
    },
    /// The lane was read at one head.
    LaneViewed {
        /// The lane.
        wallet: Address,
        /// The block that it was read at.
        head: BlockRef,
        /// Transactions of the wallet on the chain of `head`.
        count: u64,
        /// Transactions of the wallet in final blocks.
        final_count: u64,
        /// Slots that are finally used up, by nothing that is in the journal.
        unexplained: Vec<Nonce>,
    },
    /// A slot's transaction is in a block that may still be taken back.
    SlotMined {
        /// The slot.
        slot: Slot,
        /// Which version.
        seq: Seq,
        /// The block.
        block: BlockRef,
        /// Whether it did what it was for.
        ok: bool,
    },
    /// The block of a slot's transaction was taken back.
    SlotReopened {
        /// The slot.
        slot: Slot,
    },
    /// A slot is used up for good.
    SlotFinal {
        /// The slot.
        slot: Slot,
        /// By what.
        end: SlotEnd,
        /// What it paid for gas, in wei.
        gas_paid: Wei,
    },
    /// A task's contract exists.
    TaskPublished {
        /// The task.
        task: TaskId,
        /// Its contract.
        address: Address,
        /// The block of its publication.
        block: BlockRef,
        /// The transaction that published it.
        tx_hash: B256,
    },
    /// A provider has taken a task.
    TaskAttempted {
        /// The task.
        task: TaskId,
    },
    /// A response to a task is on chain.
    ResponseSeen {
        /// The task.
        task: TaskId,
        /// The response's contract.
        response: Address,
        /// Its block.
        block: BlockRef,
    },
    /// An output is on disk.
    OutputFetched {
        /// The task.
        task: TaskId,
        /// The response that names it.
        response: Address,
        /// Who responded, and for how much.
        offer: Offer,
        /// SHA-256 of the output.
        sha256: B256,
        /// Its size in bytes.
        len: u64,
    },
    /// An output could not be fetched this time.
    FetchFailed {
        /// The task.
        task: TaskId,
        /// The response that names it.
        response: Address,
        /// Why, as printable text.
        reason: String,
        /// When to try again; `None` after the last try.
        again_at: Option<Timestamp>,
    },
    /// An output was checked, or will never be readable.
    OutputChecked {
        /// The task.
        task: TaskId,
        /// The response.
        response: Address,
        /// The verdict.
        verdict: Verdict,
    },
    /// It is settled which response will be confirmed.
    ResponseChosen {
        /// The task.
        task: TaskId,
        /// The response.
        response: Address,
    },
    /// The chain says that a response is confirmed.
    ResponseConfirmed {
        /// The task.
        task: TaskId,
        /// The response.
        response: Address,
        /// The block of the confirmation.
        block: BlockRef,
        /// The transaction that did it; `None` if it was read, not seen.
        tx_hash: Option<B256>,
    },
    /// A task's contract was read directly.
    TaskRead {
        /// The task.
        task: TaskId,
        /// Its status.
        status: TaskStatus,
        /// How many providers have attempted it.
        attempts: u64,
    },
    /// Every provider that attempted a task has responded, and no response was good enough.
    ResponsesExhausted {
        /// The task.
        task: TaskId,
    },
    /// A task is past its expiry at a final block, and nothing is confirmed or chosen.
    ExpiryPassed {
        /// The task.
        task: TaskId,
    },
    /// An item will be published anew.
    RoundOpened {
        /// The task.
        task: TaskId,
        /// The new round.
        round: Round,
        /// How the last round ended.
        after: FailReason,
        /// The payment of the new round, in wei.
        payment: Wei,
        /// Not before this.
        not_before: Timestamp,
    },
    /// A task has ended.
    TaskDone {
        /// The task.
        task: TaskId,
        /// How.
        outcome: Outcome,
    },
    /// Payments that were stuck are back in the vault: a read of it showed them.
    EscrowReturned {
        /// How much, in wei.
        amount: Wei,
    },
    /// Money is to be moved from the wallet into a vault.
    DepositAsked {
        /// Whose vault balance is to grow.
        account: Address,
        /// By how much, in wei.
        amount: Wei,
    },
    /// Nothing more can be published within the cap.
    BudgetReached {
        /// What the next publication would have needed, in wei.
        needed: Wei,
    },
    /// The run was asked to stop: nothing new starts, what is open is collected until `until`.
    DrainAsked {
        /// When collecting ends.
        until: Timestamp,
    },
    /// The run has ended, or has stopped and can be resumed.
    RunEnded {
        /// How.
        outcome: RunOutcome,
    },
}

/// What a run is, fixed at its start.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunHeader {
    /// The journal's format.
    pub format: (u16, u16),
    /// The run.
    pub run: RunId,
    /// The pipeline's name.
    pub pipeline: String,
    /// The names of the plan's steps, in its order.
    pub steps: Vec<StepName>,
    /// The fingerprint of the plan.
    pub fingerprint: B256,
    /// The network, resolved.
    pub network: Network,
    /// The hash of the chain's first block.
    pub genesis: B256,
    /// The hashes of the code of Nexus, Controller, Terminal and Vault.
    pub code: [B256; 4],
    /// Who signs.
    pub signer: Address,
    /// Whose vault pays.
    pub payer: Address,
    /// The cap on payments and gas, in wei; `None` is no cap.
    pub cap: Option<Wei>,
    /// When the run started.
    pub started_at: Timestamp,
    /// The newest block at the start: the log stream is read from here.
    pub start_block: BlockRef,
    /// Where jitter comes from.
    pub seed: u64,
    /// The pipeline, its templates, its parameters and its sources, as JSON: what `resume` makes
    /// the plan from.
    pub bundle: serde_json::Value,
}

/// An open slot of another run of the same database.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OpenSlot {
    /// The nonce.
    pub nonce: Nonce,
    /// Every version that was signed, oldest first.
    pub versions: Vec<OpenVersion>,
}

/// A signed version of an open slot.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OpenVersion {
    /// Which version.
    pub seq: Seq,
    /// Its transaction hash.
    pub hash: B256,
    /// Its gas and fees.
    pub fees: Fees,
}

/// Which items a step has.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "is", rename_all = "kebab-case")]
pub enum Expansion {
    /// So many items, kept as a blob.
    Items {
        /// How many.
        count: u32,
        /// The blob of JSON lines that holds them; `None` for the one item of a step without
        /// `foreach`.
        blob: Option<B256>,
    },
    /// One item for each of the upstream step, as they come.
    Streaming,
    /// `if` said no.
    Skipped,
    /// The items could not be made.
    Failed {
        /// Why, as printable text.
        reason: String,
    },
}

/// One item as the engine needs it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ItemEntry {
    /// Its place in the step's input order.
    pub item: u32,
    /// Its key.
    pub key: ItemKey,
    /// What becomes of it.
    pub fate: ItemFate,
}

/// What becomes of an item that was read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "is", rename_all = "kebab-case")]
pub enum ItemFate {
    /// It becomes a task.
    Task {
        /// The payment of its first round, in wei.
        payment: Wei,
        /// How long its task lives, in seconds of chain time.
        expires_s: u64,
    },
    /// `filter` said no: there is no task.
    Dropped,
    /// Its task could not be rendered.
    Failed {
        /// Why, as printable text.
        reason: String,
    },
}

/// How a step ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum StepEnd {
    /// All its tasks have ended, failures within `allow_failures`.
    Done,
    /// `if` said no, or there were no items.
    Skipped,
    /// More failures than `allow_failures`, or its items could not be made.
    Failed,
    /// A step before it failed, so it never started.
    Upstream,
}

/// What an endpoint said to the send of one version.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SendNote {
    /// The slot's nonce.
    pub nonce: Nonce,
    /// Which version.
    pub seq: Seq,
    /// What was said.
    pub outcome: SendOutcome,
}

/// What is waited for until a moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(tag = "is", content = "of", rename_all = "kebab-case")]
pub enum Timer {
    /// To send a slot's bytes again.
    Send(Slot),
    /// To look whether the lowest open slot of a lane needs higher fees.
    Bump(Slot),
    /// To read a lane.
    View(Address),
    /// To read fees and balances.
    Survey,
    /// The pace gate.
    Pace,
    /// To fetch a task's output again.
    Fetch(TaskId),
    /// To begin a task's next round.
    Round(TaskId),
    /// To read a task directly, because the log stream said nothing for long.
    Silence(TaskId),
    /// To stop collecting.
    Drain,
}

/// By what a slot was used up.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "is", rename_all = "kebab-case")]
pub enum SlotEnd {
    /// By a version of ours that did what it was for.
    Ok {
        /// Which version.
        seq: Seq,
    },
    /// By a version of ours that the contract undid.
    Reverted {
        /// Which version.
        seq: Seq,
        /// Why.
        revert: Revert,
    },
    /// By a transaction that is not in the journal.
    Foreign,
}

/// Who responded, where the output is, and what is asked for it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Offer {
    /// The provider.
    pub provider: Address,
    /// What the provider asks, in wei.
    pub payment: Wei,
    /// Where the output is, in the provider's words.
    pub url: String,
    /// Whether the chain calls the response confirmed.
    pub confirmed: bool,
}

/// Whether an output is good enough.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "is", rename_all = "kebab-case")]
pub enum Verdict {
    /// It is.
    Accepted,
    /// It is not.
    Rejected {
        /// Why, as printable text.
        reason: String,
    },
    /// It cannot be read at all.
    Unreadable {
        /// Why, as printable text.
        reason: String,
    },
}

/// Why an item failed (language.md, section 6).
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(tag = "reason", content = "detail", rename_all = "snake_case")]
pub enum FailReason {
    /// Nobody responded in time; shown "no response".
    Expired,
    /// No response was good enough; nothing was paid.
    Rejected(String),
    /// It could not be published.
    PublishError(String),
    /// Its output could not be read; nothing was paid.
    FetchError(String),
    /// Its config could not be rendered.
    RenderError(String),
    /// The budget was reached.
    Budget,
}

/// How a task ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "is", rename_all = "kebab-case")]
pub enum Outcome {
    /// Accepted, confirmed, paid, and final.
    Confirmed {
        /// The confirmed response.
        response: Address,
        /// SHA-256 of its output.
        sha256: B256,
        /// What was paid, in wei.
        paid: Wei,
    },
    /// The contract paid a response that failed the checks or cannot be read.
    RejectedPaid {
        /// The response.
        response: Address,
        /// Why it failed, as printable text.
        reason: String,
        /// What was paid, in wei.
        paid: Wei,
    },
    /// It failed; nothing was paid.
    Failed(FailReason),
    /// The client took it back.
    Canceled,
    /// It was not needed.
    Skipped,
}

/// How a run ended, or why it stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RunOutcome {
    /// Every step is done or skipped.
    Done,
    /// At least one step failed.
    Failed,
    /// The budget ended it: `on_exceed: stop`.
    OverBudget,
    /// Nothing more can be published within the cap; the rest waits for a higher one.
    PausedBudget,
    /// The vault or the wallet is too low for what is left.
    PausedFunds,
    /// It was asked to stop.
    Stopped,
    /// The wallet was used elsewhere: nothing new may be published.
    Quarantined,
}

impl Verdict {
    /// Why an item fails that has no better response than this.
    pub fn refusal(&self) -> FailReason {
        match self {
            Self::Accepted => FailReason::Expired,
            Self::Rejected { reason } => FailReason::Rejected(reason.clone()),
            Self::Unreadable { reason } => FailReason::FetchError(reason.clone()),
        }
    }
}

impl Outcome {
    /// What was paid to a provider, in wei; `None` if nothing was.
    pub const fn paid(&self) -> Option<Wei> {
        match self {
            Self::Confirmed { paid, .. } | Self::RejectedPaid { paid, .. } => Some(*paid),
            Self::Failed(_) | Self::Canceled | Self::Skipped => None,
        }
    }
}

impl ItemEntry {
    /// The 128 bits by which the engine knows the item.
    pub fn key_hash(&self) -> KeyHash {
        self.key.hash()
    }
}
