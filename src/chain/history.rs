//! What a wallet has published, read back from final blocks: for a journal that is lost or old.
//!
//! The registry's logs name the tasks and not who published them, so each transaction that logged
//! one is read; and each that ended one of the wallet's tasks, for the gas of its confirm or cancel.
//! One endpoint; its logs are pages of blocks that are final there.

use std::collections::BTreeMap;

use alloy::primitives::{Address, B256, Bytes, U64, U128, U256};
use alloy::sol_types::SolEvent;
use serde::Deserialize;
use serde_json::json;

use super::contract::abi::INexus;
use super::contract::{ProtocolLog, Target, TaskStatus, decode_call, decode_log};
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
    // By the address of the task.
    let mut found: BTreeMap<Address, PastPublication> = BTreeMap::new();
    let (mut from, mut width) = (search.from, WIDTH);
    while from <= search.to {
        let to = search.to.min(from.saturating_add(width - 1));
        let Some(logged) = logged(endpoint, search.network.nexus, (from, to)).await? else {
            width = (width / 2).max(1);
            continue;
        };
        for published in
            read(endpoint, &logged.published, |asks, replies| publication(search, asks, replies))
                .await?
        {
            found.insert(published.address, published);
        }
        let ours = logged.ended.into_iter().filter(|(task, _)| found.contains_key(task));
        let (tasks, hashes): (Vec<Address>, Vec<B256>) = ours.unzip();
        let gas = read(endpoint, &hashes, |asks, replies| ending(search, asks, replies)).await?;
        for (task, gas_paid) in tasks.iter().zip(gas) {
            if let Some(publication) = found.get_mut(task) {
                publication.gas_paid = publication.gas_paid.saturating_add(gas_paid);
            }
        }
        from = to + 1;
    }
    let mut found: Vec<PastPublication> = found.into_values().collect();
    found.sort_by_key(|publication| publication.nonce);
    Ok(found)
}

/// Reads transactions with their receipts; gives what `turn` makes of each.
async fn read<T>(
    endpoint: &Endpoint,
    hashes: &[B256],
    turn: impl Fn(&[Ask], &[Reply]) -> Result<Option<T>, Fault> + Send + Sync,
) -> Result<Vec<T>, ChainError> {
    let mut all = Vec::new();
    for chunk in hashes.chunks(CHUNK) {
        let asks: Vec<Ask> =
            chunk.iter().flat_map(|hash| [ask_transaction(*hash), ask_receipt(*hash)]).collect();
        let read = |asks: &[Ask], replies: &[Reply]| {
            let pairs = asks.chunks(2).zip(replies.chunks(2));
            pairs.map(|(asks, replies)| turn(asks, replies)).collect()
        };
        let read: Vec<Option<T>> = endpoint.read_as(&asks, read).await?;
        all.extend(read.into_iter().flatten());
    }
    Ok(all)
}

/// What a page of logs names, each in chain order.
#[derive(Default)]
struct Logged {
    /// Transactions that published something.
    published: Vec<B256>,
    /// Tasks that ended, with the transactions that ended them.
    ended: Vec<(Address, B256)>,
}

/// What was published and what ended in these blocks; `None` if the page is to be smaller.
async fn logged(
    endpoint: &Endpoint,
    nexus: Address,
    (from, to): (u64, u64),
) -> Result<Option<Logged>, ChainError> {
    let topics = [INexus::TaskPublished::SIGNATURE_HASH, INexus::TaskStatusChanged::SIGNATURE_HASH];
    let filter = json!({
        "fromBlock": hex(from), "toBlock": hex(to), "address": nexus, "topics": [topics],
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

/// What these logs name, in chain order.
fn transactions(logs: &[RawLog], nexus: Address) -> Logged {
    let mut places: BTreeMap<(u64, u64), (ProtocolLog, B256)> = BTreeMap::new();
    for log in logs.iter().filter(|log| log.address == nexus && !log.removed) {
        if let (Ok(what), Some(number), Some(index), Some(hash)) = (
            decode_log(&log.topics, &log.data),
            log.block_number,
            log.log_index,
            log.transaction_hash,
        ) {
            places.insert((number.to(), index.to()), (what, hash));
        }
    }
    let mut logged = Logged::default();
    for (what, hash) in places.into_values() {
        if matches!(what, ProtocolLog::TaskPublished { .. }) {
            logged.published.push(hash);
        } else if let ProtocolLog::TaskStatusChanged {
            task,
            status: TaskStatus::Finalized | TaskStatus::Canceled,
        } = what
        {
            logged.ended.push((task, hash));
        }
    }
    logged.published.dedup();
    logged
}

/// A transaction and its receipt as a publication; `None` if it is none of the wallet.
fn publication(
    search: &Search<'_>,
    asks: &[Ask],
    replies: &[Reply],
) -> Result<Option<PastPublication>, Fault> {
    let Some(OwnCall { nonce, call, gas_paid, receipt }) = own_call(search, asks, replies)? else {
        return Ok(None);
    };
    let (Call::PublishTask { source, config, expiry, payment }, Some(address)) =
        (call, receipt.published(search.network.nexus))
    else {
        return Ok(None);
    };
    let number = receipt.block_number.to::<u64>();
    Ok(Some(PastPublication {
        nonce,
        tx_hash: receipt.transaction_hash,
        address,
        block: BlockRef { number, hash: receipt.block_hash },
        source,
        config,
        expiry,
        payment,
        gas_paid,
    }))
}

/// What the end of a task cost in gas, if the wallet has ended it.
fn ending(search: &Search<'_>, asks: &[Ask], replies: &[Reply]) -> Result<Option<Wei>, Fault> {
    let own = own_call(search, asks, replies)?;
    let ends = |call: &Call| matches!(call, Call::ConfirmResponse { .. } | Call::CancelTask { .. });
    Ok(Some(own.filter(|own| ends(&own.call)).map_or(Wei::ZERO, |own| own.gas_paid)))
}

/// A call of the wallet to the Controller.
struct OwnCall {
    nonce: Nonce,
    call: Call,
    gas_paid: Wei,
    receipt: RawReceipt,
}

/// A transaction and its receipt as a call of the wallet; `None` if it is none.
fn own_call(
    search: &Search<'_>,
    asks: &[Ask],
    replies: &[Reply],
) -> Result<Option<OwnCall>, Fault> {
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
    if receipt.block_number.to::<u64>() > search.to {
        return Err(Fault::Inconsistent { about: "the block of a transaction" });
    }
    let Ok(call) = decode_call(Target::Controller, Wei::from_u256(sent.value), &sent.input) else {
        return Ok(None);
    };
    let price = receipt.effective_gas_price.or(sent.gas_price).unwrap_or_default();
    let gas_paid = gas_paid(receipt.gas_used.to(), price.to());
    Ok(Some(OwnCall { nonce: Nonce(sent.nonce.to()), call, gas_paid, receipt }))
}
