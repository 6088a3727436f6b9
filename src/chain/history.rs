//! What a wallet has published, read back from final blocks: for a journal that is lost or old.
//!
//! The registry's logs name the tasks and not who published them, so each transaction that logged
//! one is read. One endpoint; its logs are pages of blocks that are final there.

use std::collections::BTreeMap;

use alloy::primitives::{Address, B256, Bytes, U64, U128, U256};
use alloy::sol_types::SolEvent;
use serde::Deserialize;
use serde_json::json;

use super::contract::abi::INexus;
use super::contract::{ProtocolLog, Target, decode_call, decode_log};
use super::error::{ChainError, Fault};
use super::fees::gas_paid;
use super::reading::{
    RawLog, RawReceipt, ask_header, ask_receipt, ask_transaction, header_in, hex,
};
use super::rpc::{Ask, Endpoint, Reply, take};
use crate::units::{BlockRef, Call, Network, Nonce, PastPublication, Wei};

#[cfg(test)]
mod tests;

/// How many blocks a page covers at first, and at most.
const WIDTH: u64 = 10_000;
/// Transactions that are read together.
const CHUNK: usize = 50;

/// Whose publications are looked for, and where.
pub(super) struct Search<'a> {
    pub(super) network: &'a Network,
    pub(super) wallet: Address,
    /// The first block.
    pub(super) from: u64,
    /// The last block; it is final.
    pub(super) to: u64,
}

/// A transaction as a node returns it.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RawSent {
    hash: B256,
    from: Address,
    to: Option<Address>,
    nonce: U64,
    input: Bytes,
    value: U256,
    gas_price: Option<U128>,
}

/// All publications of a wallet, lowest nonce first.
pub(super) async fn publications(
    endpoint: &Endpoint,
    search: &Search<'_>,
) -> Result<Vec<PastPublication>, ChainError> {
    let mut found = Vec::new();
    let (mut from, mut width) = (search.from, WIDTH);
    while from <= search.to {
        let to = search.to.min(from.saturating_add(width - 1));
        let Some(hashes) = logged(endpoint, search.network.nexus, (from, to)).await? else {
            width = (width / 2).max(1);
            continue;
        };
        for chunk in hashes.chunks(CHUNK) {
            let asks: Vec<Ask> = chunk
                .iter()
                .flat_map(|hash| [ask_transaction(*hash), ask_receipt(*hash)])
                .collect();
            let read = |asks: &[Ask], replies: &[Reply]| {
                let pairs = asks.chunks(2).zip(replies.chunks(2));
                pairs.map(|(asks, replies)| publication(search, asks, replies)).collect()
            };
            let read: Vec<Option<PastPublication>> = endpoint.read_as(&asks, read).await?;
            found.extend(read.into_iter().flatten());
        }
        from = to + 1;
    }
    found.sort_by_key(|publication| publication.nonce);
    Ok(found)
}

/// The transactions that published something in these blocks; `None` if the page is to be smaller.
async fn logged(
    endpoint: &Endpoint,
    nexus: Address,
    (from, to): (u64, u64),
) -> Result<Option<Vec<B256>>, ChainError> {
    let filter = json!({
        "fromBlock": hex(from), "toBlock": hex(to),
        "address": nexus, "topics": [INexus::TaskPublished::SIGNATURE_HASH],
    });
    // A replica that lags answers short, so it is asked for the last block as well.
    let asks = [Ask::optional("eth_getLogs", json!([filter])), ask_header(to)];
    let mut tried = 0;
    loop {
        let read = endpoint.exchange(&asks).await.and_then(|replies| {
            let logs: Vec<RawLog> = take(&asks[0], &replies[0], "logs")?;
            match header_in(&asks[1], &replies[1])? {
                Some(_) => Ok(transactions(&logs, nexus)),
                None => Err(Fault::Behind { height: to }),
            }
        });
        let fault = match read {
            Ok(hashes) => return Ok(Some(hashes)),
            Err(fault) => fault,
        };
        if fault.is_too_much() && from < to {
            return Ok(None);
        }
        tried += 1;
        endpoint.pause_after(tried, fault).await?;
    }
}

/// The transactions of these logs, each once, in chain order.
fn transactions(logs: &[RawLog], nexus: Address) -> Vec<B256> {
    let mut places: BTreeMap<(u64, u64), B256> = BTreeMap::new();
    for log in logs.iter().filter(|log| log.address == nexus && !log.removed) {
        let published =
            matches!(decode_log(&log.topics, &log.data), Ok(ProtocolLog::TaskPublished { .. }));
        if let (true, Some(number), Some(index), Some(hash)) =
            (published, log.block_number, log.log_index, log.transaction_hash)
        {
            places.insert((number.to(), index.to()), hash);
        }
    }
    let mut hashes: Vec<B256> = places.into_values().collect();
    hashes.dedup();
    hashes
}

/// A transaction and its receipt as a publication; `None` if it is none of the wallet.
fn publication(
    search: &Search<'_>,
    asks: &[Ask],
    replies: &[Reply],
) -> Result<Option<PastPublication>, Fault> {
    let sent: Option<RawSent> = take(&asks[0], &replies[0], "a transaction")?;
    let receipt: Option<RawReceipt> = take(&asks[1], &replies[1], "a receipt")?;
    let (Some(sent), Some(receipt)) = (sent, receipt) else {
        return Err(Fault::Inconsistent { about: "a transaction that logged something" });
    };
    if receipt.transaction_hash != sent.hash || receipt.from != sent.from {
        return Err(Fault::Inconsistent { about: "a receipt's transaction" });
    }
    if sent.from != search.wallet || sent.to != Some(search.network.controller) {
        return Ok(None);
    }
    let call = decode_call(Target::Controller, Wei::from_u256(sent.value), &sent.input);
    let (Ok(Call::PublishTask { source, config, expiry, payment }), Some(address)) =
        (call, receipt.published(search.network.nexus))
    else {
        return Ok(None);
    };
    let number = receipt.block_number.to::<u64>();
    if number > search.to {
        return Err(Fault::Inconsistent { about: "the block of a transaction" });
    }
    let price = receipt.effective_gas_price.or(sent.gas_price).unwrap_or_default();
    Ok(Some(PastPublication {
        nonce: Nonce(sent.nonce.to()),
        tx_hash: sent.hash,
        address,
        block: BlockRef { number, hash: receipt.block_hash },
        source,
        config,
        expiry,
        payment,
        gas_paid: gas_paid(receipt.gas_used.to(), price.to()),
    }))
}
