//! JSON-RPC 2.0 around the methods: single requests, batches, ids, errors.
//!
//! The senders of all transactions in a batch are recovered first, in parallel and without the
//! node's lock. Transactions that follow each other in a batch go in together, so they share a
//! block; a read between two of them sees the first.

use std::borrow::Cow;
use std::fmt::Write as _;

use alloy::primitives::{B256, Bytes};
use rayon::iter::{IntoParallelIterator, ParallelIterator};
use serde::Deserialize;
use serde_json::value::RawValue;

use super::super::error::DevnetError;
use super::super::handle::Devnet;
use super::super::pool::{PoolError, PoolTx};
use super::method;
use super::params::Params;

/// Below this many transactions, threads cost more than they save.
const WORTH_THREADS: usize = 4;

/// An error as a node reports it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Fault {
    pub(super) code: i64,
    pub(super) message: String,
    pub(super) data: Option<Bytes>,
}

impl Fault {
    pub(super) fn new(code: i64, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), data: None }
    }

    /// The general error of geth, for what the node refuses.
    pub(super) fn server(message: impl Into<String>) -> Self {
        Self::new(-32000, message)
    }
}

impl From<PoolError> for Fault {
    fn from(error: PoolError) -> Self {
        Self::server(error.to_string())
    }
}

impl From<DevnetError> for Fault {
    fn from(error: DevnetError) -> Self {
        Self::new(-32603, super::chain_of(&error))
    }
}

#[derive(Deserialize)]
struct Request<'a> {
    #[serde(borrow)]
    id: Option<&'a RawValue>,
    #[serde(borrow)]
    method: Cow<'a, str>,
    #[serde(borrow)]
    params: Option<&'a RawValue>,
}

type Sent = Result<PoolTx, Fault>;
/// The JSON of a result, or why there is none.
pub(super) type Reply = Result<String, Fault>;

/// Answers a body: a request or a batch of them. Everything that the reply says is on disk.
pub(super) fn handle(devnet: &Devnet, body: &[u8]) -> String {
    let is_batch = body.iter().find(|byte| !byte.is_ascii_whitespace()) == Some(&b'[');
    if !is_batch {
        let reply = match serde_json::from_slice::<&RawValue>(body) {
            Ok(request) => run(devnet, &[request]).pop().unwrap_or_default(),
            Err(error) => wrap(None, &Err(Fault::new(-32700, format!("parse error: {error}")))),
        };
        return reply;
    }
    match serde_json::from_slice::<Vec<&RawValue>>(body) {
        Ok(requests) if requests.is_empty() => wrap(None, &Err(Fault::new(-32600, "empty batch"))),
        Ok(requests) => {
            let replies: Vec<_> =
                run(devnet, &requests).into_iter().filter(|reply| !reply.is_empty()).collect();
            format!("[{}]", replies.join(","))
        }
        Err(error) => wrap(None, &Err(Fault::new(-32700, format!("parse error: {error}")))),
    }
}

fn run(devnet: &Devnet, texts: &[&RawValue]) -> Vec<String> {
    let requests: Vec<_> = texts
        .iter()
        .map(|text| {
            serde_json::from_str::<Request<'_>>(text.get())
                .map_err(|error| Fault::new(-32600, format!("invalid request: {error}")))
        })
        .collect();
    let lag = devnet.next_lag();
    let mut sent = recover(&requests);
    let mut replies: Vec<Reply> = Vec::with_capacity(requests.len());
    let mut at = 0;
    while at < requests.len() {
        let together = sent[at..].iter().take_while(|tx| tx.is_some()).count();
        if together > 0 {
            replies.extend(submit(devnet, sent[at..at + together].iter_mut()));
            at += together;
            continue;
        }
        replies.push(match &requests[at] {
            Ok(request) => {
                method::answer(devnet, lag, &request.method, Params::new(request.params))
            }
            Err(fault) => Err(fault.clone()),
        });
        at += 1;
    }
    // One sync for the whole body; without it, nothing of it may be told.
    let synced = devnet.sync().map_err(Fault::from);
    let pairs = requests.iter().zip(replies);
    pairs.map(|(request, reply)| finish(request, synced.clone().and(reply))).collect()
}

fn finish(request: &Result<Request<'_>, Fault>, reply: Reply) -> String {
    match request {
        // A request without an id wants no reply.
        Ok(request) => request.id.map(|id| wrap(Some(id), &reply)).unwrap_or_default(),
        Err(_) => wrap(None, &reply),
    }
}

/// The transaction of every request that sends one, by the request's place.
fn recover(requests: &[Result<Request<'_>, Fault>]) -> Vec<Option<Sent>> {
    let one = |request: &Result<Request<'_>, Fault>| -> Option<Sent> {
        let request = request.as_ref().ok()?;
        if request.method != "eth_sendRawTransaction" {
            return None;
        }
        let raw = Params::new(request.params).and_then(|params| params.get::<Bytes>(0));
        Some(raw.and_then(|raw| PoolTx::recover(raw).map_err(Fault::from)))
    };
    if requests.len() < WORTH_THREADS {
        requests.iter().map(one).collect()
    } else {
        requests.into_par_iter().map(one).collect()
    }
}

/// Sends what came in one row; each gets its own reply.
fn submit<'a>(devnet: &Devnet, row: impl Iterator<Item = &'a mut Option<Sent>>) -> Vec<Reply> {
    let mut faults = Vec::new();
    let mut txs = Vec::new();
    for tx in row.filter_map(Option::take) {
        match tx {
            Ok(tx) => {
                faults.push(None);
                txs.push(tx);
            }
            Err(fault) => faults.push(Some(fault)),
        }
    }
    let taken: Vec<Result<B256, Fault>> = match devnet.submit(txs) {
        Ok(taken) => taken.into_iter().map(|one| one.map_err(Fault::from)).collect(),
        Err(error) => {
            let fault = Fault::from(error);
            return faults
                .into_iter()
                .map(|own| Err(own.unwrap_or_else(|| fault.clone())))
                .collect();
        }
    };
    let mut taken = taken.into_iter();
    faults
        .into_iter()
        .map(|fault| match fault {
            Some(fault) => Err(fault),
            None => {
                let hash = taken.next().expect("each transaction has one result");
                hash.map(|hash| format!("\"{hash}\""))
            }
        })
        .collect()
}

fn wrap(id: Option<&RawValue>, reply: &Reply) -> String {
    let id = id.map_or("null", RawValue::get);
    match reply {
        Ok(result) => format!(r#"{{"jsonrpc":"2.0","id":{id},"result":{result}}}"#),
        Err(fault) => {
            let message = serde_json::Value::from(fault.message.as_str());
            let mut text = format!(
                r#"{{"jsonrpc":"2.0","id":{id},"error":{{"code":{},"message":{message}"#,
                fault.code
            );
            if let Some(data) = &fault.data {
                let _ = write!(text, r#","data":"{data}""#);
            }
            text.push_str("}}");
            text
        }
    }
}
