//! What has happened: the facts that the journal keeps and every screen folds.
//!
//! Past tense, versioned, small. A payload never enters an event: outputs are named by their
//! SHA-256, signed bytes by their hash. A new variant or field bumps [`FORMAT`]'s minor, a
//! new meaning its major.

use alloy::primitives::{Address, B256};
use serde::{Deserialize, Serialize};

use crate::units::{
    BlockRef, Call, ChainTime, Fees, Nonce, PastPublication, Round, Seq, Slot, Survey, TaskId,
    TaskKey, TaskStatus, Timestamp, Wei,
};

use super::adoption::Found;
use super::cancel::CancelScope;
use super::errands::Stale;
use super::header::{OpenSlot, RunHeader};
use super::items::{Expansion, ItemEntry};
use super::outcome::{FailReason, Outcome, RunOutcome, SlotEnd, StepEnd, Verdict};
use super::parts::{Offer, SendNote, Timer};

/// The journal's format: (major, minor).
pub const FORMAT: (u16, u16) = (1, 6);

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
        /// A nonce that something outside this journal has used since the run began, so that the
        /// run may have published more than the journal knows: nothing new is published.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        foreign: Option<Nonce>,
        /// The transaction that has used it, if it was found. Since format 1.6.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        foreign_tx: Option<B256>,
        /// How many nonces others have used since this journal's last run of the wallet, all of
        /// them final: the new run begins after them. Since format 1.6.
        #[serde(default, skip_serializing_if = "none")]
        passed: u64,
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
    /// A task is bound to a slot; its payment and gas ceiling are reserved. What was kept for its
    /// confirm until now is not any more: a confirm takes it over, a cancel says it again.
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
        /// What is reserved from now on for the gas of the task's later confirm, in wei. Nothing
        /// where the source pays by itself, and in journals before format 1.1.
        #[serde(default, skip_serializing_if = "nothing")]
        confirm_reserve: Wei,
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
    /// What was called a confirmed response to a task is none: it is forgotten. Since format 1.5.
    ResponseGone {
        /// The task.
        task: TaskId,
        /// What is no response to it.
        response: Address,
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
    /// A task is past its expiry at a final block: its contract is read once more before its round
    /// ends, for a log that never came may have told of a response. Since format 1.6.
    ExpirySeen {
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
    /// An item that had failed, unpaid, is tried again because the reader asked for it. Since
    /// format 1.3.
    TaskReopened {
        /// The task.
        task: TaskId,
        /// The new round.
        round: Round,
        /// How the last round ended.
        after: FailReason,
        /// The payment of the new round, in wei.
        payment: Wei,
    },
    /// A step that had ended goes on, since items of it, or of a step that it reads, are tried
    /// again. If none of its items was read, it is looked at from its beginning. Since format
    /// 1.3.
    StepReopened {
        /// The step's place in the plan.
        step: u16,
    },
    /// Payments of what is not bound yet are higher from now on. Since format 1.3.
    PaymentsRaised {
        /// By how much, in thousandths.
        permille: u32,
        /// No payment is raised above this, in wei; `None` is no ceiling.
        ceiling: Option<Wei>,
    },
    /// The reader accepted other code at the network's addresses than the run began with. Since
    /// format 1.3.
    CodeAccepted {
        /// The hashes of the code of Nexus, Controller, Terminal and Vault from now on.
        code: [B256; 4],
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
    /// Tasks are to be taken back: those in the scope that nobody has attempted, and from now on
    /// nothing of the scope is published. Since format 1.3.
    CancelAsked {
        /// Which.
        scope: CancelScope,
        /// Whether outputs that wait for a confirm of ours are given up.
        discard: bool,
    },
    /// Payments of tasks whose rounds have ended are to be taken back. Since format 1.3.
    ReclaimAsked {
        /// The tasks.
        tasks: Vec<Stale>,
    },
    /// Nonces of the lane are to be used up. Since format 1.4.
    FencesAsked {
        /// How many by transfers of ours, from the lane's next on.
        count: u32,
    },
    /// The chain holds publications of the wallet that the journal did not know, with this run's
    /// tags or without any. Since format 1.4.
    PublicationsFound {
        /// Them, lowest nonce first.
        found: Vec<Found>,
    },
    /// Everything that the wallet did below this nonce is final and was read from the chain: what
    /// is not in the journal belongs to somebody else. Since format 1.4.
    LaneRead {
        /// The nonce.
        below: Nonce,
    },
    /// A task's present round was published before, as the chain shows: it goes on from there. Since
    /// format 1.4.
    TaskAdopted {
        /// The task.
        task: TaskId,
        /// The key of its round.
        key: TaskKey,
        /// Its publication.
        publication: PastPublication,
    },
    /// Nothing more can be published within the cap.
    BudgetReached {
        /// What the cap would have to be for the next publication or confirm, in wei.
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

const fn none(count: &u64) -> bool {
    *count == 0
}

fn nothing(amount: &Wei) -> bool {
    amount.is_zero()
}
