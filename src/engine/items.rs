//! Which items a step has, and what becomes of each when it is read.

use alloy::primitives::B256;
use serde::{Deserialize, Serialize};

use crate::units::{ItemKey, KeyHash, Wei};

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

impl ItemEntry {
    /// The 128 bits by which the engine knows the item.
    pub fn key_hash(&self) -> KeyHash {
        self.key.hash()
    }
}
