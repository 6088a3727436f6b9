//! Transactions that wait for a block, by account and nonce, with the rules of a real node.
//!
//! The spellings of refusals are those of geth, because programs match on them.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};
use std::sync::Arc;

use alloy::consensus::transaction::SignerRecoverable;
use alloy::consensus::{Transaction as _, TxEnvelope};
use alloy::eips::eip2718::Decodable2718;
use alloy::primitives::map::B256Map;
use alloy::primitives::{Address, B256, Bytes, U256};

use super::evm::BLOCK_GAS;
use super::genesis::CHAIN_ID;
use super::state::Brief;

/// The longest transaction that a node takes, in bytes.
const MAX_BYTES: usize = 128 * 1024;
/// What a replacement has to offer of the old fees, in percent.
const REPLACEMENT_PERCENT: u128 = 110;

/// How much one account may have in the pool.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PoolLimits {
    /// Transactions of one account, waiting for a block or for a lower nonce.
    pub per_account: usize,
    /// Of these, transactions whose lower nonce is missing.
    pub with_gap: usize,
}

impl Default for PoolLimits {
    fn default() -> Self {
        Self { per_account: 16_384, with_gap: 16_384 }
    }
}

/// Why a transaction is not taken.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PoolError {
    /// Not a transaction.
    #[error("rlp: cannot decode the transaction")]
    Undecodable,
    /// Not of type 0 or 2.
    #[error("transaction type not supported")]
    TypeNotSupported,
    /// The signature fits no key.
    #[error("invalid sender")]
    InvalidSender,
    /// For another chain, or for every chain.
    #[error("invalid chain id for signer: have {} want {CHAIN_ID}", have.unwrap_or_default())]
    WrongChain {
        /// The chain that it is for.
        have: Option<u64>,
    },
    /// Longer than a node passes on.
    #[error("oversized data: transaction size {size}, limit {MAX_BYTES}")]
    Oversized {
        /// Its length in bytes.
        size: usize,
    },
    /// More gas than a block has.
    #[error("exceeds block gas limit")]
    ExceedsBlockGas,
    /// Not even enough for the bytes themselves.
    #[error("intrinsic gas too low: gas {gas}, minimum needed {needed}")]
    IntrinsicGas {
        /// The gas limit that it has.
        gas: u64,
        /// What it would need.
        needed: u64,
    },
    /// A tip above the most that a unit of gas may cost.
    #[error("max priority fee per gas higher than max fee per gas")]
    TipAboveFee,
    /// The same bytes are in the pool.
    #[error("already known")]
    AlreadyKnown,
    /// The nonce is used up.
    #[error("nonce too low: next nonce {next}, tx nonce {nonce}")]
    NonceTooLow {
        /// The account's next nonce.
        next: u64,
        /// The transaction's.
        nonce: u64,
    },
    /// Another transaction has the nonce, and this one does not pay enough more.
    #[error("replacement transaction underpriced")]
    Underpriced,
    /// The account cannot pay for this on top of what else it has in the pool.
    #[error(
        "insufficient funds for gas * price + value: balance {balance}, tx cost {cost}, overshot {overshot}"
    )]
    InsufficientFunds {
        /// What it has, in wei.
        balance: U256,
        /// What this transaction may cost, in wei.
        cost: U256,
        /// By how much all of its transactions exceed the balance, in wei.
        overshot: U256,
    },
    /// The account has too many in the pool.
    #[error("txpool is full: account limit exceeded")]
    Full,
}

/// A transaction with its sender, checked on its own but not against any state.
#[derive(Clone, Debug)]
pub struct PoolTx {
    /// Keccak of the bytes.
    pub hash: B256,
    /// Who signed it.
    pub sender: Address,
    /// The bytes as they came.
    pub raw: Bytes,
    pub(super) tx: TxEnvelope,
    arrival: u64,
}

impl PoolTx {
    /// Reads `raw` and finds out who signed it, which takes most of a node's time.
    ///
    /// # Errors
    ///
    /// What is wrong with the transaction, whoever sends it and whatever the state is.
    pub fn recover(raw: Bytes) -> Result<Self, PoolError> {
        let tx = decode(&raw)?;
        let sender = tx.recover_signer().map_err(|_| PoolError::InvalidSender)?;
        Ok(Self { hash: *tx.tx_hash(), sender, raw, tx, arrival: 0 })
    }

    /// As [`PoolTx::recover`], for a program that has just signed with `sender`'s key itself or
    /// has recovered the sender before.
    ///
    /// # Errors
    ///
    /// As [`PoolTx::recover`], the signature left out.
    pub fn trusted(sender: Address, raw: Bytes) -> Result<Self, PoolError> {
        let tx = decode(&raw)?;
        Ok(Self { hash: *tx.tx_hash(), sender, raw, tx, arrival: 0 })
    }

    /// Its nonce.
    pub fn nonce(&self) -> u64 {
        self.tx.nonce()
    }

    fn cost(&self) -> U256 {
        let gas = U256::from(self.tx.gas_limit()) * U256::from(self.tx.max_fee_per_gas());
        gas.saturating_add(self.tx.value())
    }

    /// What the block's proposer gets per unit of gas; `None` if the base fee is not even met.
    pub(super) fn tip(&self, base_fee: u64) -> Option<u128> {
        self.tx.effective_tip_per_gas(base_fee)
    }

    fn pays_enough_to_replace(&self, old: &Self) -> bool {
        let enough = |new: u128, old: u128| new.saturating_mul(100) >= old * REPLACEMENT_PERCENT;
        let tip = |tx: &TxEnvelope| tx.max_priority_fee_per_gas().unwrap_or(tx.max_fee_per_gas());
        enough(self.tx.max_fee_per_gas(), old.tx.max_fee_per_gas())
            && enough(tip(&self.tx), tip(&old.tx))
    }
}

fn decode(raw: &Bytes) -> Result<TxEnvelope, PoolError> {
    if raw.len() > MAX_BYTES {
        return Err(PoolError::Oversized { size: raw.len() });
    }
    if matches!(raw.first(), Some(1 | 3..0xc0)) {
        return Err(PoolError::TypeNotSupported);
    }
    let tx = TxEnvelope::decode_2718_exact(raw).map_err(|_| PoolError::Undecodable)?;
    if tx.chain_id() != Some(CHAIN_ID) {
        return Err(PoolError::WrongChain { have: tx.chain_id() });
    }
    if tx.gas_limit() > BLOCK_GAS {
        return Err(PoolError::ExceedsBlockGas);
    }
    if tx.max_priority_fee_per_gas().is_some_and(|tip| tip > tx.max_fee_per_gas()) {
        return Err(PoolError::TipAboveFee);
    }
    let needed = intrinsic_gas(&tx);
    if tx.gas_limit() < needed {
        return Err(PoolError::IntrinsicGas { gas: tx.gas_limit(), needed });
    }
    Ok(tx)
}

/// The gas that the bytes alone cost (EIP-2028, EIP-3860).
fn intrinsic_gas(tx: &TxEnvelope) -> u64 {
    let data = tx.input();
    let zeros = data.iter().filter(|byte| **byte == 0).count() as u64;
    let bytes = zeros * 4 + (data.len() as u64 - zeros) * 16;
    let creation = if tx.is_create() { 32_000 + 2 * (data.len() as u64).div_ceil(32) } else { 0 };
    let listed = tx.access_list().map_or(0, |list| {
        let slots: usize = list.iter().map(|item| item.storage_keys.len()).sum();
        list.len() as u64 * 2_400 + slots as u64 * 1_900
    });
    21_000 + bytes + creation + listed
}

/// The transactions of one account.
#[derive(Debug, Default)]
struct Lane {
    txs: BTreeMap<u64, Arc<PoolTx>>,
    /// What all of them together may cost, in wei.
    cost: U256,
}

/// All that wait.
#[derive(Debug, Default)]
pub(super) struct Pool {
    lanes: BTreeMap<Address, Lane>,
    by_hash: B256Map<Arc<PoolTx>>,
    arrivals: u64,
}

impl Pool {
    pub(super) fn get(&self, hash: &B256) -> Option<&Arc<PoolTx>> {
        self.by_hash.get(hash)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.by_hash.is_empty()
    }

    /// Whether `tx` may come in, given what its sender has.
    pub(super) fn check(
        &self,
        tx: &PoolTx,
        sender: Brief,
        limits: PoolLimits,
    ) -> Result<(), PoolError> {
        if self.by_hash.contains_key(&tx.hash) {
            return Err(PoolError::AlreadyKnown);
        }
        if tx.nonce() < sender.nonce {
            return Err(PoolError::NonceTooLow { next: sender.nonce, nonce: tx.nonce() });
        }
        let lane = self.lanes.get(&tx.sender);
        let old = lane.and_then(|lane| lane.txs.get(&tx.nonce()));
        if old.is_some_and(|old| !tx.pays_enough_to_replace(old)) {
            return Err(PoolError::Underpriced);
        }
        let others =
            lane.map_or(U256::ZERO, |lane| lane.cost) - old.map_or(U256::ZERO, |old| old.cost());
        let cost = tx.cost();
        let all = others.saturating_add(cost);
        if all > sender.balance {
            let overshot = all - sender.balance;
            return Err(PoolError::InsufficientFunds { balance: sender.balance, cost, overshot });
        }
        if old.is_none() && self.is_full_for(tx, sender.nonce, limits) {
            return Err(PoolError::Full);
        }
        Ok(())
    }

    fn is_full_for(&self, tx: &PoolTx, next: u64, limits: PoolLimits) -> bool {
        let Some(lane) = self.lanes.get(&tx.sender) else { return limits.per_account == 0 };
        if lane.txs.len() >= limits.per_account {
            return true;
        }
        if lane.txs.len() < limits.with_gap {
            return false;
        }
        let ready = self.pending_count(tx.sender, next) - next;
        let gapped = lane.txs.len() as u64 - ready;
        tx.nonce() > next + ready && gapped >= limits.with_gap as u64
    }

    /// Takes `tx` in without asking; an older one with its nonce goes.
    pub(super) fn insert(&mut self, mut tx: PoolTx) {
        tx.arrival = self.arrivals;
        self.arrivals += 1;
        let tx = Arc::new(tx);
        let lane = self.lanes.entry(tx.sender).or_default();
        lane.cost = lane.cost.saturating_add(tx.cost());
        if let Some(old) = lane.txs.insert(tx.nonce(), Arc::clone(&tx)) {
            lane.cost = lane.cost.saturating_sub(old.cost());
            self.by_hash.remove(&old.hash);
        }
        self.by_hash.insert(tx.hash, tx);
    }

    /// Takes out whatever `sender` cannot use any more: nonces below `next`.
    pub(super) fn drop_used(&mut self, sender: Address, next: u64) {
        let Some(lane) = self.lanes.get_mut(&sender) else { return };
        let kept = lane.txs.split_off(&next);
        for old in std::mem::replace(&mut lane.txs, kept).into_values() {
            lane.cost = lane.cost.saturating_sub(old.cost());
            self.by_hash.remove(&old.hash);
        }
        if lane.txs.is_empty() {
            self.lanes.remove(&sender);
        }
    }

    /// The next nonce of `sender` after everything that can be mined, from `next` on.
    pub(super) fn pending_count(&self, sender: Address, next: u64) -> u64 {
        let Some(lane) = self.lanes.get(&sender) else { return next };
        let mut count = next;
        for nonce in lane.txs.range(next..).map(|(nonce, _)| *nonce) {
            if nonce != count {
                break;
            }
            count += 1;
        }
        count
    }

    /// Everything that can be mined now, in the order of a real block: best tip first, then who
    /// came first, each account's in nonce order. `next` knows the accounts' next nonces.
    pub(super) fn ready(&self, base_fee: u64, next: impl Fn(Address) -> u64) -> Vec<Arc<PoolTx>> {
        type Head = (u128, Reverse<u64>, Address, u64);
        let head = |lane: &Lane, sender: Address, nonce: u64| -> Option<Head> {
            let tx = lane.txs.get(&nonce)?;
            Some((tx.tip(base_fee)?, Reverse(tx.arrival), sender, nonce))
        };
        let mut heads: BinaryHeap<Head> = self
            .lanes
            .iter()
            .filter_map(|(sender, lane)| head(lane, *sender, next(*sender)))
            .collect();
        let mut order = Vec::with_capacity(self.by_hash.len());
        while let Some((_, _, sender, nonce)) = heads.pop() {
            let lane = &self.lanes[&sender];
            order.push(Arc::clone(&lane.txs[&nonce]));
            heads.extend(head(lane, sender, nonce + 1));
        }
        order
    }
}
