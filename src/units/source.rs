//! What a source's contract says about itself, in plain fields.

use std::time::Duration;

use alloy::primitives::Address;
use serde::{Deserialize, Serialize};

use super::Wei;

/// Who confirms a source's responses (protocol.md, section 5).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Delivery {
    /// The client, after looking: nothing is paid before a confirm.
    #[serde(rename = "manual")]
    ManualConfirmation,
    /// The contract, when the first response comes: it is paid before anybody looked.
    FirstResponse,
}

/// A source as its contract describes it (protocol.md, section 2).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SourceFacts {
    /// Whose source it is.
    pub client: Address,
    /// Whether it takes new tasks. Once it does not, it never will again.
    pub active: bool,
    /// The least that a task of it pays, in wei.
    pub min_payment: Wei,
    /// How far ahead a task's expiry may lie, seen from its block.
    pub max_expiry: Duration,
    /// Who confirms its responses.
    pub delivery: Delivery,
    /// How many providers have registered for it.
    pub registrants: u64,
}
