//! What a run is, and what it found in its wallet's lane.

use alloy::primitives::{Address, B256};
use serde::{Deserialize, Serialize};

use crate::units::{BlockRef, Fees, Network, Nonce, RunId, Seq, StepName, Timestamp, Wei};

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
    /// The newest block that was final at the start: the log stream is read from here.
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
