//! What the shell must do. Every effect is safe to perform twice.

use std::sync::Arc;

use alloy::primitives::{Address, B256};

use crate::units::{BlockRef, Call, Fees, Nonce, Round, Seq, Slot, TaskId, TaskKey, Wei};

/// One thing to do, waited on by one state.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Read fees and balances.
    Survey,
    /// Read the next page of the log stream, once there is one.
    ReadLogs {
        /// Blocks that the cursor stood at, oldest first; the first is where it began, the last is
        /// the cursor.
        ring: Arc<[BlockRef]>,
        /// The height up to which blocks are final: none of those is ever taken back.
        final_number: u64,
    },
    /// Find out which items a step has.
    Expand {
        /// The step's place in the plan.
        step: u16,
    },
    /// Read some of a step's items.
    ReadItems {
        /// The step's place in the plan.
        step: u16,
        /// Which.
        window: Window,
    },
    /// Render, pin and read back a task's config.
    Pin {
        /// The task.
        task: TaskId,
        /// The round.
        round: Round,
        /// The tag of the round.
        key: TaskKey,
        /// What the round offers, in wei.
        payment: Wei,
    },
    /// Sign a version of a slot.
    Sign {
        /// The slot.
        slot: Slot,
        /// Which version.
        seq: Seq,
        /// What to sign.
        call: Call,
        /// With which gas and fees.
        fees: Fees,
    },
    /// Send a version that is in the journal.
    Broadcast {
        /// The slot.
        slot: Slot,
        /// Which version.
        seq: Seq,
    },
    /// Read a lane at one head.
    View {
        /// The lane.
        wallet: Address,
        /// Transactions whose receipts are wanted.
        hashes: Vec<B256>,
        /// Nonces that nothing known has used up, as the last view said: what did is wanted.
        doubts: Vec<Nonce>,
    },
    /// Read a response's contract and fetch its output.
    Fetch {
        /// The task.
        task: TaskId,
        /// Its contract: a response of another task at this address is none of it.
        of: Address,
        /// The response.
        response: Address,
        /// The cursor: whether it is confirmed is asked there, where the log stream is.
        at: BlockRef,
    },
    /// Check an output that is on disk.
    Check {
        /// The task.
        task: TaskId,
        /// The response.
        response: Address,
        /// The output.
        sha256: B256,
    },
    /// Read a task's contract directly.
    ReadTask {
        /// The task.
        task: TaskId,
        /// Its contract.
        address: Address,
        /// The cursor: what is read there can be taken back with it.
        at: BlockRef,
    },
}

/// Which items to read.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Window {
    /// So many from this place on.
    From {
        /// The first item.
        from: u32,
        /// At most so many.
        limit: u32,
    },
    /// These places of the upstream step, which are done.
    Places(Vec<u32>),
}

/// What makes two effects the same effect: an effect is out at most once.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum EffectKey {
    /// Of the run.
    Survey,
    /// Of the run.
    ReadLogs,
    /// Of a step.
    Expand(u16),
    /// Of a step.
    ReadItems(u16),
    /// Of a round of a task.
    Pin(TaskId, Round),
    /// Of a version.
    Sign(Slot, Seq),
    /// Of a version.
    Broadcast(Slot, Seq),
    /// Of a lane.
    View(Address),
    /// Of a response.
    Fetch(TaskId, Address),
    /// Of a response.
    Check(TaskId, Address),
    /// Of a task.
    ReadTask(TaskId),
}

impl Effect {
    /// What this effect is, without its particulars.
    pub fn key(&self) -> EffectKey {
        match self {
            Self::Survey => EffectKey::Survey,
            Self::ReadLogs { .. } => EffectKey::ReadLogs,
            Self::Expand { step } => EffectKey::Expand(*step),
            Self::ReadItems { step, .. } => EffectKey::ReadItems(*step),
            Self::Pin { task, round, .. } => EffectKey::Pin(*task, *round),
            Self::Sign { slot, seq, .. } => EffectKey::Sign(*slot, *seq),
            Self::Broadcast { slot, seq } => EffectKey::Broadcast(*slot, *seq),
            Self::View { wallet, .. } => EffectKey::View(*wallet),
            Self::Fetch { task, response, .. } => EffectKey::Fetch(*task, *response),
            Self::Check { task, response, .. } => EffectKey::Check(*task, *response),
            Self::ReadTask { task, .. } => EffectKey::ReadTask(*task),
        }
    }
}
