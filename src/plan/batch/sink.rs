//! Where items go, and what remains known of them.

use std::io;

use alloy::primitives::B256;
use serde::{Deserialize, Serialize};

use crate::units::{StepName, Wei};

/// Where items go that are to be there for the run, whatever happens to their file.
pub trait ItemSink {
    /// Takes the line of one item, in input order.
    ///
    /// # Errors
    /// When it cannot be kept.
    fn line(&mut self, step: &StepName, line: &[u8]) -> io::Result<()>;

    /// All lines of a step were given; gives the hash under which they are kept, if they are.
    ///
    /// # Errors
    /// When they cannot be kept.
    fn end(&mut self, step: &StepName) -> io::Result<Option<B256>>;

    /// Whether anything is kept at all.
    fn keeps(&self) -> bool {
        true
    }
}

/// Keeps nothing: for `check` and `plan`, which write nothing.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoSink;

impl ItemSink for NoSink {
    fn line(&mut self, _: &StepName, _: &[u8]) -> io::Result<()> {
        Ok(())
    }

    fn end(&mut self, _: &StepName) -> io::Result<Option<B256>> {
        Ok(None)
    }

    fn keeps(&self) -> bool {
        false
    }
}

/// What one pass over a step's items found.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct KnownItems {
    /// How many items there are; more than there will be tasks if `filter` waits for outputs.
    pub count: u32,
    /// The payments of all first rounds.
    pub payments: Wei,
    /// The highest payment of a first round.
    pub highest_payment: Wei,
    /// The longest life that an item asks for, in milliseconds; `None` if no item has its own.
    pub longest_ms: Option<u64>,
    /// Bytes of all configs; `None` if they are made of outputs.
    pub public_bytes: Option<u64>,
    /// SHA-256 of what the items were read from.
    pub sha256: B256,
    /// Under which hash the items are kept, one [`PlanItem::to_line`](crate::plan::PlanItem::to_line) each.
    pub blob: Option<B256>,
    /// The names of the columns, where the items have some.
    pub columns: Option<Vec<String>>,
}
