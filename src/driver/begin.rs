//! What a drive begins with: a new run, one of the journal, or one that is read from the chain.

use alloy::primitives::{Address, B256};

use crate::engine::{CancelScope, Found, Input, RunHeader, Stale, Wishes};
use crate::units::{Nonce, RunId, Wei};

/// Which run.
#[derive(Clone, Debug)]
pub enum Begin {
    /// A new one.
    Start(Box<RunHeader>),
    /// A new one that moves money from the wallet into a vault, and does nothing else. Its plan
    /// has no steps.
    Deposit {
        /// What the run is.
        header: Box<RunHeader>,
        /// Whose vault balance grows.
        account: Address,
        /// By how much.
        amount: Wei,
    },
    /// One that is in the journal, to take tasks of it back; it is left once that is settled.
    Cancel {
        /// Its id.
        run: RunId,
        /// Which tasks.
        scope: CancelScope,
        /// Whether outputs that wait for a confirm of ours are given up.
        discard: bool,
        /// What the gas of it may cost, in wei: that much the cap rises, if it must.
        gas: Wei,
    },
    /// A new one that takes payments of ended rounds back into the vault, and does nothing else.
    /// Its plan has no steps.
    Reclaim {
        /// What the run is.
        header: Box<RunHeader>,
        /// The tasks.
        tasks: Vec<Stale>,
    },
    /// A new one that uses nonces of the wallet up, and does nothing else. Its plan has no steps.
    Fence {
        /// What the run is.
        header: Box<RunHeader>,
        /// How many nonces, beside those that something unknown has used.
        window: u32,
        /// What the reader answers for.
        consent: Consent,
    },
    /// Any of these, once the chain was read up to a fence.
    FromChain {
        /// Which.
        begin: Box<Self>,
        /// What was read.
        read: ChainRead,
    },
    /// One that is in the journal.
    Resume {
        /// Its id.
        run: RunId,
        /// The cap from now on, in wei; outer `None` keeps the one it had.
        cap: Option<Option<Wei>>,
        /// What the reader wishes besides. A run that has ended goes on if it is wished that
        /// failed items are tried again and there is one.
        wishes: Wishes,
        /// What the reader answers for.
        consent: Consent,
    },
}

impl Begin {
    /// The same, after what was read of the chain, if it was.
    pub fn after(self, read: Option<ChainRead>) -> Self {
        match read {
            Some(read) => Self::FromChain { begin: Box::new(self), read },
            None => self,
        }
    }
}

/// What the wallet did, as the chain says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChainRead {
    /// What it published for this run, and the journal does not know.
    pub found: Vec<Found>,
    /// The first nonce that was not read.
    pub below: Nonce,
}

/// What only a reader can know, and answers for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Consent {
    /// The other machine that holds the lane is gone for good.
    pub take_over: bool,
    /// Hashes of code that may be at the network's addresses, besides the recorded one.
    pub code: Vec<B256>,
}

/// A wish for fences as long as this database once had bound nonces, of which it may be an old
/// copy; any other wish as it is.
pub(super) fn up_to(wish: Input, marked: Option<Nonce>, next: Nonce) -> Input {
    let Input::Fences { count } = wish else { return wish };
    let behind = marked.map_or(0, |marked| marked.0.saturating_sub(next.0));
    Input::Fences { count: count.max(u32::try_from(behind).unwrap_or(u32::MAX)) }
}
