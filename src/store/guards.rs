//! What a group of facts changes in the guarding projections: pure, for all journals.
//!
//! [`changes`] reads the events of one group and says, in order, what has to become of slots,
//! versions, lane and cursor. Whether that is allowed is asked where the projections are: by the
//! constraints and triggers of the schema, and by the maps of the journal in memory.

use std::collections::BTreeMap;

use alloy::primitives::B256;

use crate::engine::{Event, RunHeader, RunOutcome, SlotEnd};
use crate::units::cid::sha256;
use crate::units::{BlockRef, Call, Fees, Nonce, Purpose, Seq, SignedTx, Slot, TaskKey};

use super::{Batch, ROW_OUTPUT_MAX, Refusal};

/// One change of the projections.
#[derive(Debug)]
pub(super) enum Change<'a> {
    /// A run exists.
    Start(&'a RunHeader),
    /// A run goes on: it is not ended any more.
    Resume,
    /// The run has ended or stopped.
    End(RunOutcome),
    /// The lane's next nonce was found on the chain.
    TakeLane(Nonce),
    /// A slot is bound.
    Reserve {
        /// The slot: the lane's next nonce.
        slot: Slot,
        /// To which round of which item.
        task: TaskKey,
        /// For what.
        purpose: Purpose,
        /// What every version of it must do.
        binding: B256,
    },
    /// A slot of a time that the journal does not know serves a task, for good.
    Adopt {
        /// The slot's nonce.
        nonce: Nonce,
        /// Which round of which item.
        task: TaskKey,
        /// What was done in it.
        binding: B256,
    },
    /// A version exists.
    Sign {
        /// Its bytes.
        tx: &'a SignedTx,
        /// What it does; `None` for a no-op.
        binding: Option<B256>,
        /// Its gas and fees.
        fees: &'a Fees,
    },
    /// A slot's transaction is in a block.
    Mine(Slot),
    /// That block was taken back.
    Reopen(Slot),
    /// A slot is used up for good.
    Finish(Slot, &'a SlotEnd),
    /// The log stream was read up to this block.
    Advance(BlockRef),
    /// The log stream goes back to this block.
    Rewind(BlockRef),
}

/// Where a slot stands, as the projection keeps it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum SlotState {
    /// Reserved, signed, sent: anything but mined.
    Open,
    /// In a block that may be taken back.
    Mined,
    /// Used up by what it was for.
    FinalOk,
    /// Used up and undone.
    FinalReverted,
    /// Used up by a stranger.
    FinalForeign,
    /// Given up.
    FinalNoop,
}

impl SlotState {
    /// The word in the database.
    pub(super) const fn word(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Mined => "mined",
            Self::FinalOk => "final_ok",
            Self::FinalReverted => "final_reverted",
            Self::FinalForeign => "final_foreign",
            Self::FinalNoop => "final_noop",
        }
    }

    /// Whether the slot still binds its task: no other slot may serve it.
    pub(super) const fn binds(self) -> bool {
        match self {
            Self::Open | Self::Mined | Self::FinalOk => true,
            Self::FinalReverted | Self::FinalForeign | Self::FinalNoop => false,
        }
    }

    /// Whether the slot may still change.
    pub(super) const fn is_live(self) -> bool {
        match self {
            Self::Open | Self::Mined => true,
            Self::FinalOk | Self::FinalReverted | Self::FinalForeign | Self::FinalNoop => false,
        }
    }

    /// The state that `end` leads to; `noop` says whether its version was one.
    pub(super) const fn ended(end: &SlotEnd, noop: bool) -> Self {
        match end {
            SlotEnd::Ok { .. } if noop => Self::FinalNoop,
            SlotEnd::Ok { .. } => Self::FinalOk,
            SlotEnd::Reverted { .. } => Self::FinalReverted,
            SlotEnd::Foreign { .. } => Self::FinalForeign,
        }
    }
}

/// The word that the database has for a purpose.
pub(super) const fn purpose_word(purpose: Purpose) -> &'static str {
    match purpose {
        Purpose::Publish => "publish",
        Purpose::Confirm => "confirm",
        Purpose::Cancel => "cancel",
        Purpose::Deposit => "deposit",
        // Older databases know no other word, and it is one: of whatever would have been there.
        Purpose::Fence => "cancel",
    }
}

/// The version that a slot's end names; `None` if a stranger used it up.
pub(super) const fn ended_by(end: &SlotEnd) -> Option<Seq> {
    match end {
        SlotEnd::Ok { seq } | SlotEnd::Reverted { seq, .. } => Some(*seq),
        SlotEnd::Foreign { .. } => None,
    }
}

/// What a call does, without its expiry: the part that every version of a slot must share.
///
/// `None` for a no-op, which may take the place of any call.
pub(super) fn binding(call: &Call) -> Option<B256> {
    let mut bytes = Vec::with_capacity(160);
    match call {
        Call::PublishTask { source, config, expiry: _, payment } => {
            bytes.push(1);
            bytes.extend_from_slice(source.as_slice());
            bytes.extend_from_slice(&payment.to_u256().to_be_bytes::<32>());
            bytes.extend_from_slice(config.as_bytes());
        }
        Call::ConfirmResponse { response } => {
            bytes.push(2);
            bytes.extend_from_slice(response.as_slice());
        }
        Call::CancelTask { task } => {
            bytes.push(3);
            bytes.extend_from_slice(task.as_slice());
        }
        Call::Deposit { account, amount } => {
            bytes.push(4);
            bytes.extend_from_slice(account.as_slice());
            bytes.extend_from_slice(&amount.to_u256().to_be_bytes::<32>());
        }
        Call::NoOp => return None,
    }
    Some(sha256(&bytes))
}

/// Whether a group takes the lane's lease.
pub(super) fn takes_lease(events: &[Event]) -> bool {
    events.iter().any(|event| matches!(event, Event::RunStarted(_) | Event::RunResumed { .. }))
}

/// What a group changes.
///
/// # Errors
/// When the group contradicts itself: versions without bytes, bytes without versions, a start
/// that is not first, a large output.
pub(super) fn changes<'a>(batch: &Batch<'a>) -> Result<Vec<Change<'a>>, Refusal> {
    if let Some((_, body)) = batch.outputs.iter().find(|(_, body)| body.len() > ROW_OUTPUT_MAX) {
        return Err(Refusal::LargeOutput { len: body.len() });
    }
    let mut bytes = BTreeMap::new();
    for tx in batch.signed {
        if bytes.insert((tx.slot, tx.seq), tx).is_some() {
            return Err(Refusal::Bytes { slot: tx.slot, seq: tx.seq });
        }
    }
    let mut changes = Vec::with_capacity(batch.events.len());
    for (event, seq) in batch.events.iter().zip(batch.first_seq..) {
        if matches!(event, Event::RunStarted(_)) != (seq == 0) {
            return Err(Refusal::OutOfOrder { what: "event", given: seq, expected: 0 });
        }
        changes.extend(change(event, &mut bytes)?);
    }
    match bytes.into_keys().next() {
        Some((slot, seq)) => Err(Refusal::Bytes { slot, seq }),
        None => Ok(changes),
    }
}

/// Bytes of the group that no event has named yet.
type Unnamed<'a> = BTreeMap<(Slot, Seq), &'a SignedTx>;

#[expect(clippy::too_many_lines, reason = "a table: one arm for each event")]
fn change<'a>(event: &'a Event, bytes: &mut Unnamed<'a>) -> Result<Option<Change<'a>>, Refusal> {
    Ok(Some(match event {
        Event::RunStarted(header) => Change::Start(header),
        Event::RunResumed { .. } => Change::Resume,
        Event::RunEnded { outcome } => Change::End(*outcome),
        Event::LaneTaken { next_nonce, .. } => Change::TakeLane(*next_nonce),
        Event::LogsRead { to, .. } => Change::Advance(*to),
        Event::LogsRewound { to } => Change::Rewind(*to),
        Event::SlotReserved { slot, key, call, .. } => {
            let purpose = call.purpose().unwrap_or(Purpose::Fence);
            let binding = binding(call).unwrap_or_default();
            Change::Reserve { slot: *slot, task: *key, purpose, binding }
        }
        Event::VersionSigned { slot, seq, hash, call, fees } => {
            let tx = bytes.remove(&(*slot, *seq)).filter(|tx| tx.hash == *hash);
            let tx = tx.ok_or(Refusal::Bytes { slot: *slot, seq: *seq })?;
            Change::Sign { tx, binding: binding(call), fees }
        }
        Event::SlotMined { slot, .. } => Change::Mine(*slot),
        Event::SlotReopened { slot } => Change::Reopen(*slot),
        Event::SlotFinal { slot, end, .. } => Change::Finish(*slot, end),
        Event::TaskAdopted { key, publication, .. } => Change::Adopt {
            nonce: publication.nonce,
            task: *key,
            binding: binding(&publication.call()).unwrap_or_default(),
        },
        Event::Surveyed(_)
        | Event::StepExpanded { .. }
        | Event::ItemsRead { .. }
        | Event::StepEnded { .. }
        | Event::ConfigPinned { .. }
        | Event::VersionWanted { .. }
        | Event::Sent { .. }
        | Event::Due { .. }
        | Event::LaneViewed { .. }
        | Event::TaskPublished { .. }
        | Event::TaskAttempted { .. }
        | Event::ResponseSeen { .. }
        | Event::OutputFetched { .. }
        | Event::FetchFailed { .. }
        | Event::OutputChecked { .. }
        | Event::ResponseChosen { .. }
        | Event::ResponseConfirmed { .. }
        | Event::TaskRead { .. }
        | Event::ResponseGone { .. }
        | Event::ExpirySeen { .. }
        | Event::ResponsesExhausted { .. }
        | Event::ExpiryPassed { .. }
        | Event::RoundOpened { .. }
        | Event::TaskReopened { .. }
        | Event::StepReopened { .. }
        | Event::PaymentsRaised { .. }
        | Event::CodeAccepted { .. }
        | Event::TaskDone { .. }
        | Event::EscrowReturned { .. }
        | Event::DepositAsked { .. }
        | Event::CancelAsked { .. }
        | Event::ReclaimAsked { .. }
        | Event::FencesAsked { .. }
        | Event::PublicationsFound { .. }
        | Event::LaneRead { .. }
        | Event::BudgetReached { .. }
        | Event::DrainAsked { .. } => return Ok(None),
    }))
}
