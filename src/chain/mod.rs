//! The chain: what is read from it, what is signed for it, what is sent to it.
//!
//! The only room that knows `alloy` beyond its primitive types. What goes in and out of it are
//! plain values of [`units`](crate::units), so nobody else matches on a node's words.
//!
//! * *Reads* stay on one endpoint and are pinned to one block; two endpoints' replies never make
//!   one fact. A read that fails is repeated there, a bounded number of times.
//! * *Sends* take bytes that the journal holds ([`Durable`]) and nothing else, go out in nonce
//!   order and never fail: what nobody knows is [`SendOutcome::Unknown`].
//! * *Logs* come as one stream of the registry, with a cursor that the caller keeps.
//!
//! Nothing here picks a nonce, changes a fee or decides what to send again. The clock of this room
//! delays requests and decides nothing.

use std::future::Future;
use std::time::Duration;

use alloy::primitives::{Address, B256};

use crate::store::durable::Durable;
use crate::units::{
    BlockRef, Call, ChainTime, Fees, Finality, LaneView, LogRead, Nonce, ResponseFacts,
    SendOutcome, Seq, SignedTx, Slot, SourceFacts, Survey, TaskFacts, Untrusted, Wei,
};

pub mod classify;
pub mod contract;
mod error;
pub mod fees;
mod finality;
mod guard;
mod history;
mod nonce_use;
mod objects;
pub mod proof;
mod reading;
mod reverts;
pub mod rpc;
mod rpc_chain;
mod send;
pub mod signer;
mod survey;
mod view;
mod watch;

pub use error::{ChainError, Fault};
pub use rpc::{Endpoint, Notice, Notify};
pub use rpc_chain::RpcChain;
pub use signer::{KeyError, SignError, Signer};

#[cfg(test)]
mod scripted;

/// A chain to read from and to publish on.
///
/// Two exist: the one over JSON-RPC, and the simulated one of the tests.
pub trait Chain: Send + Sync + 'static {
    /// Whose transactions are signed here; `None` where nothing can be signed.
    fn wallet(&self) -> Option<Address>;

    /// Which chain this is, and whether the four contracts stand where the profile says.
    ///
    /// # Errors
    ///
    /// [`ChainError::WrongChain`] and [`ChainError::NoCode`] if they do not.
    fn guard(&self) -> impl Future<Output = Result<ChainFacts, ChainError>> + Send;

    /// Signs, and checks what was signed. One result per request, in their order.
    fn sign(
        &self,
        requests: Vec<SignRequest>,
    ) -> impl Future<Output = Vec<Result<SignedTx, SignError>>> + Send;

    /// Sends stored bytes, in nonce order. One outcome per transaction, in that order.
    fn send(
        &self,
        txs: Vec<Durable<SignedTx>>,
    ) -> impl Future<Output = Vec<(Slot, Seq, SendOutcome)>> + Send;

    /// Reads a lane at one head, with the receipts of `hashes`, and looks for what has used up the
    /// nonces `doubts` (safety.md, section 5).
    ///
    /// # Errors
    ///
    /// [`ChainError::Unreachable`] if no endpoint gave a whole view.
    fn view(
        &self,
        wallet: Address,
        hashes: Vec<B256>,
        doubts: Vec<Nonce>,
    ) -> impl Future<Output = Result<LaneView, ChainError>> + Send;

    /// Reads fees, gas limits and balances.
    ///
    /// # Errors
    ///
    /// [`ChainError::Reverted`] if a sample would be refused and the request does not say
    /// [`OnRevert::Guess`].
    fn survey(
        &self,
        request: SurveyRequest,
    ) -> impl Future<Output = Result<Survey, ChainError>> + Send;

    /// Waits for a block above the last one of `ring`, oldest first, and reads what the registry
    /// logged since. If none of them is on the chain any more, the stream goes back to a block
    /// below them all.
    ///
    /// # Errors
    ///
    /// [`ChainError::TooDeep`] if the oldest is gone, though blocks up to `final_number` are
    /// final.
    fn read_logs(
        &self,
        ring: &[BlockRef],
        final_number: u64,
    ) -> impl Future<Output = Result<LogRead, ChainError>> + Send;

    /// Reads response contracts, and whether they are confirmed at the block `at`; `None` where
    /// there is none.
    ///
    /// # Errors
    ///
    /// [`ChainError::Unreachable`] if no endpoint told.
    fn read_responses(
        &self,
        responses: Vec<Address>,
        at: BlockRef,
    ) -> impl Future<Output = Result<Vec<Option<ResponseFacts>>, ChainError>> + Send;

    /// Reads task contracts at the block `at`; `None` where there is none, and everywhere if that
    /// block is gone.
    ///
    /// # Errors
    ///
    /// [`ChainError::Unreachable`] if no endpoint told.
    fn read_tasks(
        &self,
        tasks: Vec<Address>,
        at: BlockRef,
    ) -> impl Future<Output = Result<Vec<Option<TaskFacts>>, ChainError>> + Send;

    /// Reads a source contract; `None` if there is no code at the address.
    ///
    /// # Errors
    ///
    /// [`ChainError::NotASource`] if there is code, but of something else.
    fn read_source(
        &self,
        source: Address,
    ) -> impl Future<Output = Result<Option<SourceFacts>, ChainError>> + Send;

    /// Reads an account's money in the vault.
    ///
    /// # Errors
    ///
    /// [`ChainError::Unreachable`] if no endpoint told.
    fn vault_of(
        &self,
        account: Address,
    ) -> impl Future<Output = Result<VaultFacts, ChainError>> + Send;

    /// Reads a wallet's coins and transaction counts.
    ///
    /// # Errors
    ///
    /// [`ChainError::Unreachable`] if no endpoint told.
    fn wallet_of(
        &self,
        account: Address,
    ) -> impl Future<Output = Result<WalletFacts, ChainError>> + Send;

    /// Whether `agent` may act for `account` (protocol.md, section 4).
    ///
    /// # Errors
    ///
    /// [`ChainError::Unreachable`] if no endpoint told.
    fn is_agent_of(
        &self,
        account: Address,
        agent: Address,
    ) -> impl Future<Output = Result<bool, ChainError>> + Send;

    /// How much gas a call of `from` would take now, without a margin.
    ///
    /// # Errors
    ///
    /// [`ChainError::Reverted`] with the reason if it would be refused.
    fn estimate(
        &self,
        from: Address,
        call: Call,
    ) -> impl Future<Output = Result<u64, ChainError>> + Send;
}

/// What P0 of safety.md, section 4, wants to know of a chain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChainFacts {
    /// What `eth_chainId` said; it is the profile's.
    pub chain_id: u64,
    /// The hash of block 0.
    pub genesis: B256,
    /// The hashes of the four contracts' code.
    pub code: CodeHashes,
    /// What the node calls itself.
    pub client: Untrusted,
    /// The newest block.
    pub head: BlockRef,
    /// Its timestamp.
    pub head_time: ChainTime,
    /// The newest block that is final by the network's rule: a run's log stream begins there, so
    /// that no reorg takes its beginning.
    pub settled: BlockRef,
    /// The block that the node calls finalized, if it serves that tag.
    pub finalized: Option<u64>,
}

impl ChainFacts {
    /// The finality that fits this node, where a profile leaves it open (safety.md, section 7).
    pub fn fitting_finality(&self) -> Finality {
        /// Deep enough on any chain that has no `finalized` tag.
        const DEEP: u32 = 64;
        let client = self.client.raw().to_lowercase();
        if client.contains("opera") || client.contains("sonic") {
            Finality::Depth(1)
        } else if self.finalized.is_some() {
            Finality::Tag
        } else {
            Finality::Depth(DEEP)
        }
    }
}

/// The keccak256 of the four contracts' code.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CodeHashes {
    /// The registry's.
    pub nexus: B256,
    /// The controller's.
    pub controller: B256,
    /// The terminal's.
    pub terminal: B256,
    /// The vault's.
    pub vault: B256,
}

/// An account's money in the vault, in wei.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct VaultFacts {
    /// Free to pay for tasks or to be withdrawn.
    pub balance: Wei,
    /// Held for open tasks.
    pub frozen: Wei,
}

/// A wallet on the chain.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct WalletFacts {
    /// Its coins, in wei.
    pub balance: Wei,
    /// How many transactions of it are on the chain.
    pub latest: u64,
    /// The same, with those in the node's pool.
    pub pending: u64,
}

/// One version to sign.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SignRequest {
    /// The slot.
    pub slot: Slot,
    /// Which version of it.
    pub seq: Seq,
    /// What to do.
    pub call: Call,
    /// With which gas and fees.
    pub fees: Fees,
}

/// What to survey.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SurveyRequest {
    /// Whose coins pay for gas.
    pub wallet: Option<Address>,
    /// Whose vault pays for tasks.
    pub payer: Option<Address>,
    /// One sample of a publication per step.
    pub publishes: Vec<PublishSample>,
    /// A response that could be confirmed, if one is known.
    pub confirm: Option<Address>,
    /// What to do about a sample that would be refused.
    pub on_revert: OnRevert,
}

/// What a survey does about a sample that the contracts would refuse.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OnRevert {
    /// Say why: before anything is published.
    #[default]
    Fail,
    /// Take the gas that was seen before, or the typical one: a run with all its money in tasks
    /// must still be able to collect.
    Guess,
}

/// A publication to estimate gas for: worst-case bytes, so that no other takes more.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PublishSample {
    /// The source.
    pub source: Address,
    /// A URL as long as the longest.
    pub config: String,
    /// The payment, in wei.
    pub payment: Wei,
    /// How long the task would live.
    pub expires: Duration,
}
