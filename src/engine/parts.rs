//! What facts are made of besides numbers and hashes: notes of sends, waits, offers.

use alloy::primitives::Address;
use serde::{Deserialize, Serialize};

use crate::units::{Nonce, SendOutcome, Seq, Slot, TaskId, Wei};

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

/// Who responded, where the output is, and what is asked for it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Offer {
    /// The provider.
    pub provider: Address,
    /// What the provider asks, in wei.
    pub payment: Wei,
    /// Where the output is, in the provider's words.
    pub url: String,
}
