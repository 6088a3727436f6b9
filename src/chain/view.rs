//! One view of a lane: what verdicts on slots are made from (safety.md, section 5).
//!
//! One endpoint, pinned to one head, in two exchanges: first the head and the receipts, then the
//! counts, the receipts' blocks and once more the head. If that is another by then, nothing of what
//! was read in between counts. A receipt counts only if its block is the canonical one of its
//! height, and not above the head.

use std::collections::{BTreeMap, BTreeSet};

use alloy::primitives::{Address, B256};
use tokio::time::Instant;

use super::error::{ChainError, Fault};
use super::fees::{gas_paid, ran_out};
use super::finality::FinalityRule;
use super::nonce_use::{self, Search};
use super::reading::{
    At, Header, RawReceipt, RawTransaction, ask_count, ask_header, ask_latest, ask_receipt,
    ask_replay, ask_transaction, header_in, number_in, some_header,
};
use super::reverts;
use super::rpc::{Ask, Endpoint, Reply, is_definite, take};
use crate::units::{BlockRef, LaneView, Network, Nonce, NonceUse, Receipt, ReceiptStatus, Revert};

#[cfg(test)]
mod tests;

/// What to look at.
pub(super) struct Question<'a> {
    /// Whose registry emits the logs of publications.
    pub(super) network: &'a Network,
    /// When a block is final.
    pub(super) finality: &'a FinalityRule,
    /// Whose lane.
    pub(super) wallet: Address,
    /// Transactions whose receipts are wanted.
    pub(super) hashes: &'a [B256],
    /// Nonces that nothing known has used up, as it seems.
    pub(super) doubts: &'a [Nonce],
}

/// What a transaction used, for whoever learns from it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct GasUsed {
    pub(super) tx_hash: B256,
    pub(super) used: u64,
    pub(super) ok: bool,
}

/// Reads a view; from its start again while the endpoint contradicts itself.
pub(super) async fn view(
    endpoint: &Endpoint,
    question: &Question<'_>,
) -> Result<(LaneView, Vec<GasUsed>), ChainError> {
    let mut tried = 0;
    loop {
        match look(endpoint, question).await? {
            Ok(seen) => return Ok(seen),
            Err(fault) => {
                tried += 1;
                endpoint.pause_after(tried, fault).await?;
            }
        }
    }
}

type Look<T> = Result<Result<T, Fault>, ChainError>;

async fn look(endpoint: &Endpoint, question: &Question<'_>) -> Look<(LaneView, Vec<GasUsed>)> {
    let now = Instant::now();
    let probe = question.finality.probe(now);
    let mut asks: Vec<Ask> = std::iter::once(ask_latest()).chain(probe.ask.clone()).collect();
    let first_receipt = asks.len();
    asks.extend(question.hashes.iter().map(|hash| ask_receipt(*hash)));
    let replies = endpoint.read(&asks).await?;
    let head = match some_header(&asks[0], &replies[0]) {
        Ok(head) => head,
        Err(fault) => return Ok(Err(fault)),
    };
    let probed = probe.ask.is_some().then(|| &replies[1]);
    let last = question.finality.settle(endpoint, &head, (&probe, probed), now)?;

    let (asks, replies) = (&asks[first_receipt..], &replies[first_receipt..]);
    let receipts = match receipts(question, (asks, replies), &head) {
        Ok(receipts) => receipts,
        Err(fault) => return Ok(Err(fault)),
    };
    let (count, final_count, canonical) =
        match counts_and_blocks(endpoint, question, (&head, last.number), &receipts).await? {
            Ok(counted) => counted,
            Err(fault) => return Ok(Err(fault)),
        };
    let used = canonical
        .iter()
        .map(|(raw, _)| GasUsed {
            tx_hash: raw.transaction_hash,
            used: raw.gas_used.to(),
            ok: succeeded(raw),
        })
        .collect();
    let mut reasons = reasons(endpoint, &canonical).await?;
    let receipts = canonical
        .iter()
        .map(|(raw, tx)| receipt(raw, tx.as_ref(), question.network.nexus, &mut reasons))
        .collect();
    let uses = uses(endpoint, question, (last.number, final_count)).await?;
    let (head, final_number) = (head.block(), last.number);
    let doubts = question.doubts.to_vec();
    let view = LaneView { head, count, final_number, final_count, receipts, doubts, uses };
    Ok(Ok((view, used)))
}

/// What has used up those nonces in doubt that are finally used up. What is final stays, so the head
/// may move meanwhile.
async fn uses(
    endpoint: &Endpoint,
    question: &Question<'_>,
    (by, final_count): (u64, u64),
) -> Result<Vec<NonceUse>, ChainError> {
    let mut uses = Vec::new();
    for nonce in question.doubts.iter().copied().filter(|nonce| nonce.0 < final_count) {
        let (network, wallet) = (question.network, question.wallet);
        let search = Search { network, wallet, nonce, by };
        uses.extend(nonce_use::find(endpoint, &search).await?);
    }
    Ok(uses)
}

/// The receipts that were asked for and are not above the head.
fn receipts(
    question: &Question<'_>,
    (asks, replies): (&[Ask], &[Reply]),
    head: &Header,
) -> Result<Vec<RawReceipt>, Fault> {
    let mut receipts = Vec::new();
    for ((ask, reply), hash) in asks.iter().zip(replies).zip(question.hashes) {
        let raw: Option<RawReceipt> = take(ask, reply, "a receipt")?;
        let Some(raw) = raw else { continue };
        if raw.transaction_hash != *hash || raw.from != question.wallet {
            return Err(Fault::Inconsistent { about: "a receipt's transaction" });
        }
        if raw.block_number.to::<u64>() <= head.number {
            receipts.push(raw);
        }
    }
    Ok(receipts)
}

type Mined = (RawReceipt, Option<RawTransaction>);

/// The counts at the head and at the final height, and the receipts whose blocks are canonical,
/// with those transactions that are needed to explain them; refuses everything if the head is
/// another by now.
async fn counts_and_blocks(
    endpoint: &Endpoint,
    question: &Question<'_>,
    (head, final_number): (&Header, u64),
    receipts: &[RawReceipt],
) -> Look<(u64, u64, Vec<Mined>)> {
    let at_head =
        if endpoint.pins_by_hash() { At::Hash(head.hash) } else { At::Number(head.number) };
    let heights: BTreeSet<u64> = receipts.iter().map(|raw| raw.block_number.to()).collect();
    let unclear: Vec<B256> = receipts
        .iter()
        .filter(|raw| !succeeded(raw) || raw.effective_gas_price.is_none())
        .map(|raw| raw.transaction_hash)
        .collect();
    // A block that is gone by now is asked for once: what comes next begins with another head.
    let mut asks = vec![ask_count(question.wallet, at_head).or_refused()];
    asks.push(ask_count(question.wallet, At::Number(final_number)).or_refused());
    asks.extend(heights.iter().map(|number| ask_header(*number)));
    asks.extend(unclear.iter().map(|hash| ask_transaction(*hash)));
    asks.push(ask_header(head.number));
    let replies = endpoint.read(&asks).await?;
    if let Err(fault @ Fault::Refused { .. }) = &replies[0]
        && is_definite(fault)
    {
        // EIP-1898 is refused: from now on by number, which the second look at the head backs up.
        if endpoint.pin_by_number() {
            return Ok(Err(Fault::Inconsistent { about: "how a block is named" }));
        }
    }
    let counted = || {
        let count = number_in(&asks[0], &replies[0])?;
        let final_count = number_in(&asks[1], &replies[1])?;
        if final_count > count {
            return Err(Fault::Inconsistent { about: "the wallet's transaction count" });
        }
        let blocks = (&asks[2..], &replies[2..]);
        Ok((count, final_count, sort_out(head, receipts, (&heights, &unclear), blocks)?))
    };
    Ok(counted())
}

fn sort_out(
    head: &Header,
    receipts: &[RawReceipt],
    (heights, unclear): (&BTreeSet<u64>, &[B256]),
    (asks, replies): (&[Ask], &[Reply]),
) -> Result<Vec<Mined>, Fault> {
    let mut pairs = asks.iter().zip(replies);
    let mut hashes: BTreeMap<u64, B256> = BTreeMap::new();
    for (number, (ask, reply)) in heights.iter().zip(pairs.by_ref()) {
        if let Some(header) = header_in(ask, reply)? {
            hashes.insert(*number, header.hash);
        }
    }
    let mut txs: BTreeMap<B256, RawTransaction> = BTreeMap::new();
    for (hash, (ask, reply)) in unclear.iter().zip(pairs.by_ref()) {
        if let Some(tx) = take(ask, reply, "a transaction")? {
            txs.insert(*hash, tx);
        }
    }
    let still = pairs.next().map(|(ask, reply)| header_in(ask, reply)).transpose()?.flatten();
    if still.map(|header| header.hash) != Some(head.hash) {
        return Err(Fault::Inconsistent { about: "its head" });
    }
    let is_canonical =
        |raw: &&RawReceipt| hashes.get(&raw.block_number.to()) == Some(&raw.block_hash);
    let mined = receipts.iter().filter(is_canonical);
    Ok(mined.map(|raw| (raw.clone(), txs.get(&raw.transaction_hash).cloned())).collect())
}

/// Why reverted transactions were reverted: by running them again on the parent block's state.
async fn reasons(
    endpoint: &Endpoint,
    mined: &[Mined],
) -> Result<BTreeMap<B256, Revert>, ChainError> {
    let reverted: Vec<(&RawReceipt, &RawTransaction)> = mined
        .iter()
        .filter(|(raw, _)| !succeeded(raw))
        .filter_map(|(raw, tx)| Some((raw, tx.as_ref()?)))
        .collect();
    let asks: Vec<Ask> = reverted
        .iter()
        .map(|(raw, tx)| {
            let parent = raw.block_number.to::<u64>().saturating_sub(1);
            ask_replay(tx, At::Number(parent))
        })
        .collect();
    let replies = match endpoint.read(&asks).await {
        Ok(replies) => replies,
        // A node without that state: the revert stands, its reason stays unknown.
        Err(ChainError::Unreachable { .. }) => return Ok(BTreeMap::new()),
        Err(error) => return Err(error),
    };
    let reasons = reverted.iter().zip(&replies).map(|((raw, tx), reply)| {
        let ran_out = ran_out(raw.gas_used.to(), tx.gas.to());
        let reason = match reply {
            Err(fault) => reverts::of_fault(fault).map(|(reason, _)| reason),
            Ok(_) => None,
        };
        let reason = reason.filter(|reason| !(ran_out && reverts::is_silent(reason)));
        let unexplained = || {
            if ran_out {
                Revert::OutOfGas
            } else {
                Revert::Other("the replay gives no reason".into())
            }
        };
        let reason = reason.unwrap_or_else(unexplained);
        (raw.transaction_hash, reason)
    });
    Ok(reasons.collect())
}

fn receipt(
    raw: &RawReceipt,
    tx: Option<&RawTransaction>,
    nexus: Address,
    reasons: &mut BTreeMap<B256, Revert>,
) -> Receipt {
    let price = raw.effective_gas_price.or_else(|| tx?.gas_price).unwrap_or_default();
    let ok = succeeded(raw);
    let unknown = || Revert::Other("the node does not serve a replay".into());
    let status = if ok {
        ReceiptStatus::Ok
    } else {
        let reason = reasons.remove(&raw.transaction_hash);
        ReceiptStatus::Reverted(reason.unwrap_or_else(unknown))
    };
    Receipt {
        tx_hash: raw.transaction_hash,
        block: BlockRef { number: raw.block_number.to(), hash: raw.block_hash },
        gas_paid: gas_paid(raw.gas_used.to(), price.to()),
        published: if ok { raw.published(nexus) } else { None },
        status,
    }
}

fn succeeded(raw: &RawReceipt) -> bool {
    raw.status.to::<u64>() == 1
}
