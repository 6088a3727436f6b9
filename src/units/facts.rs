//! What the chain told us, in plain values: replies to sends, views of a lane, sightings.
//!
//! `chain` makes these, the engine decides by them. Neither knows the other, so the words stand
//! here. Two endpoints' replies are never mixed in one value.

use alloy::primitives::{Address, B256, Bytes};
use serde::{Deserialize, Serialize};

use super::{BlockRef, Call, ChainTime, Fees, Nonce, Wei};

/// What an endpoint said to a send, by the table of safety.md, section 8.
///
/// It says when to send again and nothing else: no outcome changes what a slot is bound to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SendOutcome {
    /// The node has it.
    Seen,
    /// The nonce may be used up; by what, only a view can tell.
    MaybeUsed,
    /// Another transaction of the same nonce is in the pool and this one pays too little more.
    Conflict,
    /// The fees are below what the node takes.
    TooCheap,
    /// A lower nonce is missing.
    Gap,
    /// The pool has no room for this account.
    Full,
    /// The wallet cannot pay for gas and value.
    NoFunds,
    /// No node will ever take these bytes.
    Bad,
    /// This node has a policy against it.
    NodePolicy,
    /// The transaction is for another chain.
    WrongChain,
    /// Nobody knows whether the node has it.
    Unknown,
    /// The endpoint asks for fewer requests.
    SlowDown,
    /// The node lags behind.
    StaleNode,
}

/// One read of a wallet: one endpoint, one batch, pinned to one head (safety.md, section 5).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LaneView {
    /// The block that everything below was read at.
    pub head: BlockRef,
    /// How many transactions of the wallet are on the chain of `head`.
    pub count: u64,
    /// The height up to which blocks are final.
    pub final_number: u64,
    /// How many transactions of the wallet are in final blocks.
    pub final_count: u64,
    /// Receipts of the hashes in question whose blocks are canonical and not above `head`.
    pub receipts: Vec<Receipt>,
    /// Nonces of which it was asked what has used them up.
    pub doubts: Vec<Nonce>,
    /// What used up those of them that a final block has, as far as it was found.
    pub uses: Vec<NonceUse>,
}

impl LaneView {
    /// What has used up a nonce that was in doubt, if it was found.
    pub fn use_of(&self, nonce: Nonce) -> Option<&NonceUse> {
        self.uses.iter().find(|found| found.nonce == nonce)
    }
}

/// A transaction of the wallet in a final block, found by its nonce: its bytes were there, and are
/// signed by the wallet.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NonceUse {
    /// The nonce that it has used up.
    pub nonce: Nonce,
    /// Its hash.
    pub tx_hash: B256,
    /// What it does, with which gas and fees; `None` if it is nothing that is ever signed here.
    pub call: Option<(Call, Fees)>,
    /// Its bytes.
    pub raw: Bytes,
}

/// A transaction in a canonical block.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Receipt {
    /// The transaction.
    pub tx_hash: B256,
    /// Its block.
    pub block: BlockRef,
    /// What it paid for gas, in wei.
    pub gas_paid: Wei,
    /// The task that it published, if it did.
    pub published: Option<Address>,
    /// How it went.
    pub status: ReceiptStatus,
}

/// How a mined transaction went.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ReceiptStatus {
    /// It did what it was for.
    Ok,
    /// It was undone; the reason comes from a replay at the parent block.
    Reverted(Revert),
}

/// Why a call was refused by a contract (protocol.md, section 6).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Revert {
    /// The caller may not do this.
    NotOwner,
    /// Too late for it.
    Expired,
    /// The source takes no tasks.
    SourceInactive,
    /// The payment is below the source's minimum.
    PaymentTooLow,
    /// The expiry is beyond the source's limit.
    ExpiryTooLong,
    /// The payer's vault balance is too low.
    InsufficientBalance,
    /// The response is confirmed already.
    AlreadyConfirmed,
    /// The task has ended already.
    AlreadyFinalized,
    /// The gas limit was too low: nothing is wrong with the call.
    OutOfGas,
    /// A reason that nothing is known about, as printable text.
    Other(String),
}

impl std::fmt::Display for Revert {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::NotOwner => "NotOwner",
            Self::Expired => "Expired",
            Self::SourceInactive => "SourceInactive",
            Self::PaymentTooLow => "PaymentTooLow",
            Self::ExpiryTooLong => "ExpiryTooLong",
            Self::InsufficientBalance => "InsufficientBalance",
            Self::AlreadyConfirmed => "AlreadyConfirmed",
            Self::AlreadyFinalized => "AlreadyFinalized",
            Self::OutOfGas => "out of gas",
            Self::Other(reason) => reason,
        })
    }
}

/// A decoded log of Nexus, of a transaction in a canonical block.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sighting {
    /// The log's block.
    pub block: BlockRef,
    /// The log's transaction.
    pub tx_hash: B256,
    /// The log's place in its block.
    pub log_index: u64,
    /// What it says.
    pub what: Seen,
}

/// What a log of Nexus says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Seen {
    /// A task was published to a source.
    TaskPublished {
        /// The new contract.
        task: Address,
        /// Where it was published.
        source: Address,
    },
    /// A task changed its status.
    TaskStatus {
        /// The task.
        task: Address,
        /// Its new status.
        status: TaskStatus,
    },
    /// A provider responded.
    ResponseSubmitted {
        /// The new contract.
        response: Address,
        /// The task that it responds to.
        task: Address,
    },
    /// A response was confirmed.
    ResponseConfirmed {
        /// The response.
        response: Address,
    },
}

/// A task's status on chain; expiry is judged by time, never by this (protocol.md, section 3).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum TaskStatus {
    /// Published, not attempted.
    New,
    /// A provider has taken it.
    Attempted,
    /// A provider has responded.
    Responded,
    /// The client took it back.
    Canceled,
    /// Somebody noticed that it is past its expiry.
    Expired,
    /// A response was confirmed.
    Finalized,
    /// A number that protocol.md does not know.
    Unknown(u8),
}

/// One page of the log stream: everything from the cursor's block to `to`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogPage {
    /// The cursor that it was read from: it goes on after this block.
    pub after: BlockRef,
    /// The last block that was read; the next cursor.
    pub to: BlockRef,
    /// The timestamp of `to`.
    pub to_time: ChainTime,
    /// The height up to which blocks are final; never above `to`.
    pub final_number: u64,
    /// The timestamp of the final block.
    pub final_time: ChainTime,
    /// What was seen, in chain order, without doubles; addresses of strangers included.
    pub sightings: Vec<Sighting>,
}

/// What one read of the log stream brought.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LogRead {
    /// The next page.
    Advanced(LogPage),
    /// The chain took blocks back: everything above this block was read in vain.
    Rewound(BlockRef),
}

/// A response as its contract describes it (protocol.md, section 2).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ResponseFacts {
    /// The response's contract.
    pub response: Address,
    /// The task that it says it responds to.
    pub task: Address,
    /// Who responded.
    pub provider: Address,
    /// Where the output is, in the provider's words: hostile until judged.
    pub url: String,
    /// What the provider asks, in wei.
    pub payment: Wei,
    /// Whether it is confirmed at the block that was asked about; no if that block is gone.
    pub confirmed: bool,
}

/// A task as its contract describes it, read directly.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TaskFacts {
    /// The task's contract.
    pub task: Address,
    /// The block that it was read at.
    pub block: BlockRef,
    /// Its status.
    pub status: TaskStatus,
    /// How many providers have attempted it.
    pub attempts: u64,
    /// Its responses, in the order of their attempts.
    pub responses: Vec<Address>,
}

/// What fees and balances are like just now: one endpoint, one batch.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Survey {
    /// The newest block.
    pub head: BlockRef,
    /// Its timestamp.
    pub time: ChainTime,
    /// The fee cap to offer per unit of gas, in wei.
    pub max_fee_per_gas: Wei,
    /// The tip to offer per unit of gas, in wei.
    pub max_priority_fee_per_gas: Wei,
    /// Whether the chain takes type 0 transactions only.
    pub legacy: bool,
    /// The gas limit of a publication, by step.
    pub publish_gas: Vec<u64>,
    /// The gas limit of a confirm.
    pub confirm_gas: u64,
    /// The signer's wallet balance, in wei.
    pub wallet_balance: Wei,
    /// The payer's free vault balance, in wei.
    pub vault_balance: Wei,
    /// The payer's frozen payments, in wei.
    pub vault_frozen: Wei,
}

/// What gas is expected to come to at an unchanged fee: for figures, never for a limit or a cap.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct GasForecast {
    /// What a unit of gas is expected to cost, in wei.
    pub price: Wei,
    /// What publications use, by step in plan order.
    pub publish: Vec<PublishGas>,
    /// What a confirm uses.
    pub confirm: u64,
}

/// The gas that the publications of one step use.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PublishGas {
    /// The first one, which fills storage that is still empty.
    pub first: u64,
    /// Each one after it.
    pub later: u64,
}

/// A publication that is final on the chain, read back from its transaction.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PastPublication {
    /// The nonce that it used.
    pub nonce: Nonce,
    /// The transaction that published it.
    pub tx_hash: B256,
    /// The task's contract.
    pub address: Address,
    /// Its block.
    pub block: BlockRef,
    /// The source that it was published to.
    pub source: Address,
    /// The URL of its config.
    pub config: String,
    /// When it ends, in chain time.
    pub expiry: ChainTime,
    /// What it offers, in wei.
    pub payment: Wei,
    /// What its transaction cost, with the confirm or cancel of its task, in wei.
    pub gas_paid: Wei,
}

impl PastPublication {
    /// What its transaction did.
    pub fn call(&self) -> Call {
        Call::PublishTask {
            source: self.source,
            config: self.config.clone(),
            expiry: self.expiry,
            payment: self.payment,
        }
    }
}
