//! What has used up a nonce: the transaction itself, found where the wallet's count went past it.
//!
//! Some nodes find it by sender and nonce; of the others the counts at earlier blocks are asked,
//! until one block is left. What is found proves itself: it is signed by the wallet.

use alloy::consensus::transaction::SignerRecoverable;
use alloy::consensus::{Transaction, TxEnvelope};
use alloy::eips::eip2718::Encodable2718;
use alloy::primitives::{Address, B256, U64};
use serde::Deserialize;
use serde_json::{Value, json};

use super::error::ChainError;
use super::reading::{At, ask_count, ask_transaction, hex, number_in};
use super::rpc::{Ask, Endpoint, take};
use super::signer::peek;
use crate::units::{Network, Nonce, NonceUse};

/// Whose nonce it was, and the final block that it was used up by.
pub(super) struct Search<'a> {
    pub(super) network: &'a Network,
    pub(super) wallet: Address,
    pub(super) nonce: Nonce,
    /// The wallet's count at this block is above the nonce.
    pub(super) by: u64,
}

/// A block with its transactions, each as the node has it.
#[derive(Deserialize)]
struct RawBlock {
    transactions: Vec<Value>,
}

/// What has used the nonce up; `None` if this endpoint does not tell, or tells something that the
/// wallet has not signed.
pub(super) async fn find(
    endpoint: &Endpoint,
    search: &Search<'_>,
) -> Result<Option<NonceUse>, ChainError> {
    match by_sender(endpoint, search).await {
        Ok(Some(found)) => return Ok(Some(found)),
        Ok(None) | Err(ChainError::Refused { .. } | ChainError::Unreachable { .. }) => {}
        Err(error) => return Err(error),
    }
    match by_counts(endpoint, search).await {
        // A node that keeps no old state: what it was stays unknown.
        Err(ChainError::Refused { .. } | ChainError::Unreachable { .. }) => Ok(None),
        found => found,
    }
}

/// Asks for it by name, which nodes of the Erigon and anvil families take.
async fn by_sender(
    endpoint: &Endpoint,
    search: &Search<'_>,
) -> Result<Option<NonceUse>, ChainError> {
    let params = json!([search.wallet, search.nonce.0]);
    let asks = [Ask::optional("ots_getTransactionBySenderAndNonce", params)];
    let replies = endpoint.read(&asks).await?;
    let hash: Option<B256> = take(&asks[0], &replies[0], "a hash").unwrap_or_default();
    let Some(hash) = hash else { return Ok(None) };
    let asks = [ask_transaction(hash)];
    let replies = endpoint.read(&asks).await?;
    let tx: Option<Value> = take(&asks[0], &replies[0], "a transaction").unwrap_or_default();
    let mined = |tx: &Value| {
        let number = U64::deserialize(&tx["blockNumber"]).ok();
        number.is_some_and(|number| number.to::<u64>() <= search.by)
    };
    Ok(tx.filter(mined).and_then(|tx| proven(&tx, search)))
}

/// Narrows the blocks down, from the newest on: old state is what nodes throw away.
async fn by_counts(
    endpoint: &Endpoint,
    search: &Search<'_>,
) -> Result<Option<NonceUse>, ChainError> {
    let is_used_at = |number: u64| async move {
        let asks = [ask_count(search.wallet, At::Number(number)).or_refused()];
        let count = endpoint.read_as(&asks, |asks, replies| number_in(&asks[0], &replies[0])).await;
        count.map(|count| count > search.nonce.0)
    };
    // Used up at `used`, not yet at `free`.
    let (mut used, mut step) = (search.by, 1_u64);
    let mut free = loop {
        let Some(before) = used.checked_sub(step) else { break None };
        if !is_used_at(before).await? {
            break Some(before);
        }
        (used, step) = (before, step.saturating_mul(2));
    };
    while used > free.map_or(0, |free| free + 1) {
        let low = free.map_or(0, |free| free + 1);
        let middle = low + (used - low) / 2;
        if is_used_at(middle).await? {
            used = middle;
        } else {
            free = Some(middle);
        }
    }
    let asks = [Ask::new("eth_getBlockByNumber", json!([hex(used), true]))];
    let block: Option<RawBlock> =
        endpoint.read_as(&asks, |asks, replies| take(&asks[0], &replies[0], "a block")).await?;
    let txs = block.map(|block| block.transactions).unwrap_or_default();
    Ok(txs.iter().find_map(|tx| proven(tx, search)))
}

/// The transaction as bytes, if they are the wallet's with this nonce.
fn proven(tx: &Value, search: &Search<'_>) -> Option<NonceUse> {
    let envelope = TxEnvelope::deserialize(tx).ok()?;
    let here = envelope.chain_id().is_none_or(|id| id == search.network.chain_id);
    // What a signature says costs most, so it is asked last.
    if envelope.nonce() != search.nonce.0
        || !here
        || envelope.recover_signer().ok()? != search.wallet
    {
        return None;
    }
    let raw = envelope.encoded_2718();
    let call = peek(&raw, search.network, search.wallet).map(|read| (read.call, read.fees));
    let tx_hash = alloy::primitives::keccak256(&raw);
    Some(NonceUse { nonce: search.nonce, tx_hash, call, raw: raw.into() })
}

#[cfg(test)]
mod tests;
