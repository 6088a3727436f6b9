//! Why a run could not start, or stopped before its end.

use alloy::primitives::{Address, B256};

use crate::chain::{ChainError, SignError};
use crate::content::ContentError;
use crate::store::{LeaseHolder, StoreError};
use crate::units::{Nonce, RunId, Slot, StepName, Wei};

use super::preflight::CodeChange;
use super::signals::Signal;

/// Why a run could not start, or stopped before its end. It can be resumed after all of them.
#[derive(Debug, thiserror::Error)]
pub enum DriverError {
    /// The journal said no.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The chain did not tell, or is not the one that it should be.
    #[error(transparent)]
    Chain(#[from] ChainError),
    /// The pin service is down, or the folder of blobs cannot be used.
    #[error(transparent)]
    Content(#[from] ContentError),
    /// Something could not be signed.
    #[error(transparent)]
    Sign(#[from] SignError),
    /// The wallet was used by something that is not in the journal (exit 9).
    #[error(
        "wallet {wallet} was used elsewhere: the journal ends at nonce {known}, the chain is at {latest}, its pool at {pending}{}", by_whom(.by.as_ref())
    )]
    WalletMoved {
        /// The wallet.
        wallet: Address,
        /// The first nonce that the journal has not bound.
        known: Nonce,
        /// Transactions of the wallet on the chain.
        latest: u64,
        /// The same, with those in the pool.
        pending: u64,
        /// The transaction that has used `known`, if it was found.
        by: Option<B256>,
    },
    /// The events tell of signed bytes that are gone from the journal (exit 9).
    #[error("the signed bytes of nonce {} of wallet {} are missing in the journal", .slot.nonce, .slot.wallet)]
    BytesLost {
        /// What they were signed for.
        slot: Slot,
    },
    /// A fence has taken a nonce that the run had bound and signed nothing for (exit 9).
    #[error("nonce {} of wallet {} was taken by a fence that is not final", .slot.nonce, .slot.wallet)]
    Fenced {
        /// The slot.
        slot: Slot,
    },
    /// Another run has bound a nonce and signed nothing for it yet: whatever comes after it would
    /// wait for ever (exit 75).
    #[error("run {run} holds nonce {nonce} of the wallet and has not signed it")]
    LaneHeld {
        /// The other run.
        run: RunId,
        /// The nonce.
        nonce: Nonce,
    },
    /// The chain is not the one that the run was started on (exit 9).
    #[error("{what} is not what it was when the run started")]
    OtherChain {
        /// What differs, for a reader.
        what: &'static str,
    },
    /// The code of a contract is not the recorded one (exit 9).
    #[error(
        "the code of {} at {} is not what it was when run {run} began: it was {}, it is {}",
        change.contract, change.address, change.was, change.is
    )]
    CodeChanged {
        /// The run.
        run: RunId,
        /// What changed.
        change: Box<CodeChange>,
    },
    /// Another machine holds the lane's lease (exit 75).
    #[error("the wallet's lane is held by {holder}, where no lock of this machine reaches")]
    HeldElsewhere {
        /// Who.
        holder: LeaseHolder,
    },
    /// The key is another one than the run's (exit 4).
    #[error("the run was started by {expected}, the key is {found}")]
    OtherSigner {
        /// Who started the run.
        expected: Address,
        /// Whose key is there.
        found: Address,
    },
    /// The cap from now on would be less than what the run has spent and promised (exit 6).
    #[error("the run has spent and promised {committed} wei already, more than a cap of {cap} wei")]
    CapTooLow {
        /// The cap, in wei.
        cap: Wei,
        /// What is spent and promised, in wei.
        committed: Wei,
    },
    /// The plan is not the one that the journal belongs to (exit 8).
    #[error("the plan is not the one that the run was started with")]
    OtherPlan,
    /// What a step needs could not be read back (exit 1).
    #[error("the items of step `{step}` cannot be read: {what}")]
    Items {
        /// The step.
        step: StepName,
        /// What is wrong.
        what: String,
    },
    /// The second signal came: the run was left at once (exit 130 or 143).
    #[error("left at once")]
    Left(Signal),
}

/// The end of a sentence about a nonce that something else has used.
fn by_whom(tx_hash: Option<&B256>) -> String {
    tx_hash.map_or_else(String::new, |hash| format!("; nonce used by transaction {hash}"))
}

impl DriverError {
    /// What the reader can do next, in one line.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Store(error) => error.hint(),
            Self::Chain(error) => Some(error.hint().into()),
            Self::Content(error) => error.hint(),
            Self::Sign(error) => Some(error.hint().into()),
            Self::WalletMoved { .. } => Some(
                "use a wallet for ogflow alone; publish nothing until its pool is empty".into(),
            ),
            Self::BytesLost { .. } => {
                Some("put a copy of `.ogflow` back that is whole; nothing was published".into())
            }
            Self::Fenced { .. } => Some(
                "`ogflow resume RUN --from-chain` was stopped on its way: the same command goes on"
                    .into(),
            ),
            Self::LaneHeld { run, .. } => {
                Some(format!("run `ogflow resume {run}` first: it goes on where it stopped"))
            }
            Self::OtherChain { .. } => {
                Some("check `--network` and the network's `rpc`; nothing was published".into())
            }
            Self::CodeChanged { run, change } => Some(format!(
                "nothing was signed; find out who changed it and why. If it is well, \
                 `ogflow resume {run} --accept-code {}` goes on with it",
                change.is
            )),
            Self::HeldElsewhere { .. } => Some(
                "go on there; if that machine is gone for good, `ogflow resume --take-over` goes \
                 on here. Never while it works: a journal is moved, not copied"
                    .into(),
            ),
            Self::OtherSigner { .. } => Some("set the key that the run was started with".into()),
            Self::CapTooLow { .. } => Some("give a higher `--max-spend`, or none".into()),
            Self::OtherPlan => Some("`ogflow run` starts a new run with the changed plan".into()),
            Self::Items { .. } => {
                Some("bring `.ogflow/blobs` back from where it was changed".into())
            }
            Self::Left(_) => Some("`ogflow resume` goes on; nothing was lost".into()),
        }
    }
}
