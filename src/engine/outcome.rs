//! How things end: steps, slots, outputs, items, runs.

use alloy::primitives::{Address, B256};
use serde::{Deserialize, Serialize};

use crate::units::{Revert, Seq, Wei};

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
    /// Items of it were cancelled before they were published, or all that it had. Since format
    /// 1.3.
    Canceled,
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
    Foreign {
        /// Its hash, if it was found. Since format 1.6.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        tx_hash: Option<B256>,
    },
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
    /// Nothing more can be published or confirmed within the cap; the rest waits for a higher one.
    PausedBudget,
    /// The vault or the wallet is too low for what is left.
    PausedFunds,
    /// It was asked to stop.
    Stopped,
    /// The wallet was used elsewhere: nothing new may be published.
    Quarantined,
    /// It was cancelled, and nothing of it is left on chain. Since format 1.3.
    Canceled,
}

impl Outcome {
    /// The response that was paid, if one was.
    pub const fn response(&self) -> Option<Address> {
        match self {
            Self::Confirmed { response, .. } | Self::RejectedPaid { response, .. } => {
                Some(*response)
            }
            Self::Failed(_) | Self::Canceled | Self::Skipped => None,
        }
    }
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
