//! Sending stored bytes (safety.md, section 4, P5).
//!
//! The bytes leave in nonce order: a batch holds consecutive ones, and the next batch goes only
//! after the one before was acknowledged. The primary endpoint's replies count, the others get
//! copies in the background. Nothing here fails: what nobody knows is `Unknown`.

use std::collections::BTreeMap;
use std::sync::Arc;

use alloy::primitives::{Address, B256};
use serde_json::json;
use tokio::sync::{Mutex, Semaphore};

use super::classify::{SendReply, classify};
use super::error::Fault;
use super::rpc::pool::Pool;
use super::rpc::{Ask, Endpoint, Reply, take};
use crate::store::durable::Durable;
use crate::units::{SendOutcome, Seq, SignedTx, Slot};

#[cfg(test)]
mod tests;

/// How many copies may be on their way to the other endpoints at once.
const COPIES: usize = 8;

/// Sends to the endpoints of one network, one batch after the other.
#[derive(Debug)]
pub(super) struct Sender {
    turn: Mutex<()>,
    copies: Arc<Semaphore>,
}

impl Default for Sender {
    fn default() -> Self {
        Self { turn: Mutex::new(()), copies: Arc::new(Semaphore::new(COPIES)) }
    }
}

/// The outcome of one send.
pub(super) type Sent = (Slot, Seq, SendOutcome);

impl Sender {
    /// Sends, lowest nonce first; one outcome per transaction, in that order.
    pub(super) async fn send(&self, pool: &Pool, mut txs: Vec<Durable<SignedTx>>) -> Vec<Sent> {
        txs.sort_by_key(|tx| (tx.get().slot, tx.get().seq));
        let mut lanes: BTreeMap<Address, Vec<Durable<SignedTx>>> = BTreeMap::new();
        for tx in txs {
            lanes.entry(tx.get().slot.wallet).or_default().push(tx);
        }
        let _turn = self.turn.lock().await;
        let endpoint = pool.current();
        let mut sent = Vec::new();
        for lane in lanes.into_values() {
            self.copy(pool.others(&endpoint), &lane);
            sent.extend(send_lane(&endpoint, &lane).await);
        }
        let all_silent = |(_, _, outcome): &Sent| *outcome == SendOutcome::Unknown;
        if !sent.is_empty() && sent.iter().all(all_silent) {
            pool.leave(&endpoint);
        }
        sent
    }

    /// Gives the same bytes to the other endpoints; nobody waits for their replies.
    fn copy(&self, others: Vec<Arc<Endpoint>>, lane: &[Durable<SignedTx>]) {
        for endpoint in others {
            let Ok(permit) = Arc::clone(&self.copies).try_acquire_owned() else {
                tracing::debug!(endpoint = %endpoint.name(), "copy left out");
                continue;
            };
            let lane = lane.to_vec();
            drop(tokio::spawn(async move {
                send_lane(&endpoint, &lane).await;
                drop(permit);
            }));
        }
    }
}

/// Sends one lane's transactions, sorted by nonce, in batches of the endpoint's size.
async fn send_lane(endpoint: &Endpoint, txs: &[Durable<SignedTx>]) -> Vec<Sent> {
    let mut sent = Vec::with_capacity(txs.len());
    let mut held_back = None;
    while sent.len() < txs.len() {
        let left = &txs[sent.len()..];
        let batch = &left[..endpoint.batch_size().clamp(1, left.len())];
        if let Some(outcome) = held_back {
            sent.extend(batch.iter().map(|tx| (tx.get().slot, tx.get().seq, outcome)));
            continue;
        }
        let outcomes = send_batch(endpoint, batch).await;
        held_back = outcomes.iter().find_map(|outcome| holds_back(*outcome));
        let slots = batch.iter().map(|tx| (tx.get().slot, tx.get().seq));
        sent.extend(slots.zip(outcomes).map(|((slot, seq), outcome)| (slot, seq, outcome)));
    }
    sent
}

/// What to say about higher nonces that were not sent because of a lower one; `None` if the node
/// has, or had, something at the lower one.
const fn holds_back(outcome: SendOutcome) -> Option<SendOutcome> {
    match outcome {
        SendOutcome::Seen | SendOutcome::MaybeUsed | SendOutcome::Conflict => None,
        SendOutcome::SlowDown => Some(SendOutcome::SlowDown),
        SendOutcome::WrongChain => Some(SendOutcome::WrongChain),
        SendOutcome::TooCheap
        | SendOutcome::Gap
        | SendOutcome::Full
        | SendOutcome::NoFunds
        | SendOutcome::Bad
        | SendOutcome::NodePolicy
        | SendOutcome::Unknown
        | SendOutcome::StaleNode => Some(SendOutcome::Gap),
    }
}

async fn send_batch(endpoint: &Endpoint, txs: &[Durable<SignedTx>]) -> Vec<SendOutcome> {
    let ask = |tx: &Durable<SignedTx>| Ask::new("eth_sendRawTransaction", json!([tx.get().raw]));
    let asks: Vec<Ask> = txs.iter().map(ask).collect();
    match endpoint.exchange(&asks).await {
        Ok(replies) => {
            if replies.iter().any(Result::is_ok) {
                endpoint.grow(txs.len());
            }
            let sent = txs.iter().zip(asks.iter().zip(&replies));
            sent.map(|(tx, (ask, reply))| outcome(tx.get().hash, ask, reply)).collect()
        }
        Err(fault) => vec![classify(reply_of(&fault)); txs.len()],
    }
}

fn outcome(hash: B256, ask: &Ask, reply: &Reply) -> SendOutcome {
    match reply {
        Ok(_) => match take::<B256>(ask, reply, "a hash") {
            Ok(accepted) if accepted == hash => classify(SendReply::Accepted),
            Ok(_) | Err(_) => classify(SendReply::Nothing),
        },
        Err(fault) => classify(reply_of(fault)),
    }
}

fn reply_of(fault: &Fault) -> SendReply<'_> {
    match fault {
        Fault::Refused { code, message, .. } => {
            SendReply::Refused { code: *code, message: message.raw() }
        }
        Fault::Status { status, retry_after } => {
            SendReply::Status { status: *status, retry_after: retry_after.is_some() }
        }
        Fault::Connect
        | Fault::Silence
        | Fault::TooLarge
        | Fault::NotJsonRpc
        | Fault::Missing
        | Fault::Malformed { .. }
        | Fault::Behind { .. }
        | Fault::Inconsistent { .. } => SendReply::Nothing,
    }
}
