//! Endpoints: JSON-RPC over HTTP or in process, in batches, with quotas and bounded retries.
//!
//! * `wire`: one packet there and one back, and nothing believed about the reply.
//! * [`Endpoint`]: the batches of one node; a read that fails is repeated on the same endpoint.
//! * `pool`: which endpoint is asked, and who gets a copy of a send.
//! * `timing`: how long everything may take, by how far away the endpoint is.
//!
//! An endpoint's URL may hold a key, so it prints as scheme and host. No request is ever sent
//! twice by a layer that nobody sees.

use std::fmt;
use std::num::NonZeroU32;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use alloy::rpc::client::{RpcClient, Waiter};
use alloy::transports::{RpcError, TransportError, TransportErrorKind};
use axum::Router;
use governor::{DefaultDirectRateLimiter, Quota, RateLimiter};
use serde::de::DeserializeOwned;
use serde_json::Value;
use serde_json::value::RawValue;
use tokio::time::Instant;
use url::Url;

use crate::units::network::is_loopback;

use super::classify::is_rate_limit;
use super::error::{ChainError, Fault};
use super::reverts;
use crate::units::Untrusted;
use crate::units::time::Rate;

mod notice;
pub(super) mod pool;
pub(super) mod timing;
mod wire;

pub use notice::{Notice, Notify};
pub use timing::Timing;
use wire::{Wire, WireFault};

#[cfg(test)]
mod tests;

/// The most requests in a batch until a network says more.
const DEFAULT_BATCH: usize = 32;
/// Exchanges per second with a node that is not on this machine, until a run says how many.
const PUBLIC_RATE: Rate =
    Rate { count: NonZeroU32::new(20).expect("20 is not zero"), per_ms: 1000 };
/// How long an endpoint is left alone when it asks for fewer requests without saying how long.
const DEFAULT_REST: Duration = Duration::from_secs(1);
/// The longest rest that an endpoint can ask for.
const LONGEST_REST: Duration = Duration::from_secs(60);

/// One JSON-RPC request.
#[derive(Clone, Debug)]
pub(super) struct Ask {
    /// The method.
    pub(super) method: &'static str,
    params: Value,
    optional: bool,
}

impl Ask {
    /// A request that the caller cannot do without.
    pub(super) const fn new(method: &'static str, params: Value) -> Self {
        Self { method, params, optional: false }
    }

    /// A request that a node may refuse: the refusal is a reply, not a failure.
    pub(super) const fn optional(method: &'static str, params: Value) -> Self {
        Self { method, params, optional: true }
    }

    /// The same request, with a refusal taken for a reply.
    pub(super) fn or_refused(self) -> Self {
        Self { optional: true, ..self }
    }
}

/// The raw result of one request.
pub(super) type Reply = Result<Box<RawValue>, Fault>;

/// The result of `ask` as a `T`; `expected` names it for the error.
pub(super) fn take<T: DeserializeOwned>(
    ask: &Ask,
    reply: &Reply,
    expected: &'static str,
) -> Result<T, Fault> {
    let raw = reply.as_ref().map_err(Clone::clone)?;
    let malformed = |_| Fault::Malformed { method: ask.method, expected };
    serde_json::from_str(raw.get()).map_err(malformed)
}

/// One node, over HTTP or in process.
pub struct Endpoint {
    name: String,
    client: RpcClient,
    timing: Timing,
    quota: Mutex<Option<Arc<DefaultDirectRateLimiter>>>,
    rest_until: Mutex<Option<Instant>>,
    batch: AtomicUsize,
    /// The most that `batch` may become: what the profile says, or what was refused.
    most: AtomicUsize,
    by_hash: AtomicBool,
    notify: Option<Notify>,
}

impl fmt::Debug for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Endpoint").field("name", &self.name).finish_non_exhaustive()
    }
}

impl Endpoint {
    /// A node behind an `http` or `https` URL, with the timing that fits its distance.
    ///
    /// # Errors
    ///
    /// [`Fault::Connect`] if no HTTP client can be set up on this machine.
    pub fn http(url: &Url) -> Result<Self, Fault> {
        let timing = if is_loopback(url) { Timing::loopback() } else { Timing::remote() };
        Self::http_with(url, timing)
    }

    /// The same, with a timing of one's own.
    ///
    /// # Errors
    ///
    /// [`Fault::Connect`] if no HTTP client can be set up on this machine.
    pub fn http_with(url: &Url, timing: Timing) -> Result<Self, Fault> {
        let near = is_loopback(url);
        let wire = Wire::http(url, &timing, near)?;
        let endpoint = Self::over(shown(url), wire, timing);
        endpoint.set_quota((!near).then_some(PUBLIC_RATE));
        Ok(endpoint)
    }

    /// A node in this process: the router that would serve it over HTTP.
    pub fn local(router: Router) -> Self {
        Self::local_with(router, Timing::in_process())
    }

    /// The same, with a timing of one's own.
    pub fn local_with(router: Router, timing: Timing) -> Self {
        let wire = Wire::local(router, timing.total);
        Self::over("devnet in process".into(), wire, timing)
    }

    fn over(name: String, wire: Wire, timing: Timing) -> Self {
        Self {
            name,
            client: RpcClient::new(wire, true),
            timing,
            quota: Mutex::default(),
            rest_until: Mutex::new(None),
            batch: AtomicUsize::new(DEFAULT_BATCH),
            most: AtomicUsize::new(DEFAULT_BATCH),
            by_hash: AtomicBool::new(true),
            notify: None,
        }
    }

    /// Tells `notify` of every failed try of a read.
    #[must_use]
    pub fn with_notify(self, notify: Notify) -> Self {
        Self { notify: Some(notify), ..self }
    }

    /// Puts at most `batch` requests into one batch, and on a public node fewer until that is known
    /// to work.
    #[must_use]
    pub fn with_batch(self, batch: u32) -> Self {
        let most = usize::try_from(batch).unwrap_or(DEFAULT_BATCH).max(1);
        let batch = AtomicUsize::new(most.min(self.timing.first_batch));
        Self { batch, most: AtomicUsize::new(most), ..self }
    }

    /// Scheme and host, without anything that could be a key.
    pub fn name(&self) -> &str {
        &self.name
    }

    pub(super) const fn timing(&self) -> &Timing {
        &self.timing
    }

    /// How many requests one batch may hold just now.
    pub(super) fn batch_size(&self) -> usize {
        self.batch.load(Ordering::Relaxed)
    }

    /// Whether state is read at a block's hash (EIP-1898) or at its height.
    pub(super) fn pins_by_hash(&self) -> bool {
        self.by_hash.load(Ordering::Relaxed)
    }

    /// Reads state by height from now on; whether that is new.
    pub(super) fn pin_by_number(&self) -> bool {
        self.by_hash.swap(false, Ordering::Relaxed)
    }

    /// Sends one batch, in order, and sorts the replies by request. One round trip, no retry.
    pub(super) async fn exchange(&self, asks: &[Ask]) -> Result<Vec<Reply>, Fault> {
        if asks.is_empty() {
            return Ok(Vec::new());
        }
        self.wait_for_turn().await;
        let mut batch = self.client.new_batch();
        let mut waiters: Vec<Waiter<Box<RawValue>>> = Vec::with_capacity(asks.len());
        for ask in asks {
            let waiter = batch.add_call(ask.method, &ask.params).map_err(fault_of)?;
            waiters.push(waiter);
        }
        if let Err(error) = batch.send().await {
            let fault = fault_of(error);
            self.take_rest(&fault);
            return Err(fault);
        }
        let mut replies = Vec::with_capacity(waiters.len());
        for waiter in waiters {
            let reply = waiter.await.map_err(fault_of);
            if let Err(fault) = &reply {
                self.take_rest(fault);
            }
            replies.push(reply);
        }
        // Some nodes refuse a whole batch under the id of its first request.
        let refused = replies.first().is_some_and(Result::is_err);
        let missing = |reply: &Reply| matches!(reply, Err(Fault::Missing));
        if asks.len() > 1 && refused && replies.iter().skip(1).all(missing) {
            self.shrink(asks.len());
            return Err(Fault::Missing);
        }
        Ok(replies)
    }

    /// Reads: in batches of the endpoint's size, each repeated by the timing's schedule.
    ///
    /// A reply that is still an error is a definite refusal.
    pub(super) async fn read(&self, asks: &[Ask]) -> Result<Vec<Reply>, ChainError> {
        let mut replies = Vec::with_capacity(asks.len());
        while replies.len() < asks.len() {
            replies.extend(self.read_some(&asks[replies.len()..]).await?);
        }
        Ok(replies)
    }

    async fn read_some(&self, asks: &[Ask]) -> Result<Vec<Reply>, ChainError> {
        let mut tried = 0;
        loop {
            let size = self.batch_size().clamp(1, asks.len());
            let fault = match self.exchange(&asks[..size]).await {
                Ok(replies) => match passing_fault(&asks[..size], &replies) {
                    None => {
                        self.grow(size);
                        return Ok(replies);
                    }
                    Some(fault) => fault,
                },
                Err(fault) => fault,
            };
            if self.batch_size() < size {
                continue;
            }
            if size > self.timing.first_batch {
                // Such batches may be more than it takes, whatever it says of them.
                self.shrink(size);
            }
            tried += 1;
            self.pause_after(tried, fault).await?;
        }
    }

    /// Waits before the next try, or gives up after the last.
    pub(super) async fn pause_after(&self, tried: usize, fault: Fault) -> Result<(), ChainError> {
        let schedule = &self.timing.backoff;
        let tries = schedule.len() + 1;
        let wait = tried.checked_sub(1).and_then(|index| schedule.get(index)).copied();
        let notice =
            Notice { endpoint: self.name.clone(), tried, tries, fault: fault.clone(), wait };
        tracing::warn!(endpoint = %self.name, tried, tries, %fault, "read failed");
        if let Some(notify) = &self.notify {
            notify(&notice);
        }
        let Some(wait) = wait else {
            let endpoint = self.name.clone();
            if let Fault::Behind { height } = fault {
                return Err(ChainError::Behind { endpoint, height });
            }
            return Err(ChainError::Unreachable { endpoint, tries, fault });
        };
        tokio::time::sleep(wait).await;
        Ok(())
    }

    /// Halves the batch after one of `refused` requests was refused as a whole.
    fn shrink(&self, refused: usize) {
        let half = (refused / 2).max(1);
        self.most.fetch_min(half, Ordering::Relaxed);
        let before = self.batch.fetch_min(half, Ordering::Relaxed);
        if half < before {
            tracing::info!(endpoint = %self.name, batch = half, "smaller batches");
        }
    }

    /// A full batch of `worked` requests was served: the next may hold twice as many.
    pub(super) fn grow(&self, worked: usize) {
        let most = self.most.load(Ordering::Relaxed);
        let more = worked.saturating_mul(2).min(most);
        let grown = |now| (now == worked && worked < more).then_some(more);
        if self.batch.fetch_update(Ordering::Relaxed, Ordering::Relaxed, grown).is_ok() {
            tracing::debug!(endpoint = %self.name, batch = more, "larger batches");
        }
    }

    async fn wait_for_turn(&self) {
        let until = *self.rest_until.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(until) = until {
            tokio::time::sleep_until(until).await;
        }
        let quota = self.quota.lock().unwrap_or_else(PoisonError::into_inner).clone();
        if let Some(quota) = quota {
            quota.until_ready().await;
        }
    }

    /// Makes exchanges start at this rate, a second's worth of them at once; `None` never waits.
    pub(super) fn set_quota(&self, rate: Option<Rate>) {
        let limiter = rate.and_then(|rate| {
            let even = Quota::with_period(rate.interval().max(Duration::from_nanos(1)))?;
            Some(Arc::new(RateLimiter::direct(even.allow_burst(rate.in_a_second()))))
        });
        *self.quota.lock().unwrap_or_else(PoisonError::into_inner) = limiter;
    }

    /// Leaves the endpoint alone for a while, if that is what it asks for.
    fn take_rest(&self, fault: &Fault) {
        let rest = match fault {
            Fault::Status { status: 413, .. } => {
                self.shrink(self.batch_size());
                return;
            }
            Fault::Status { retry_after: Some(rest), .. } => *rest,
            Fault::Status { status: 429, .. } => DEFAULT_REST,
            Fault::Refused { code, message, .. } if is_rate_limit(*code, message.raw()) => {
                DEFAULT_REST
            }
            Fault::Connect
            | Fault::Silence
            | Fault::Status { .. }
            | Fault::TooLarge
            | Fault::NotJsonRpc
            | Fault::Missing
            | Fault::Malformed { .. }
            | Fault::Behind { .. }
            | Fault::Inconsistent { .. }
            | Fault::Refused { .. } => return,
        };
        let rest = rest.min(LONGEST_REST).min(self.timing.longest_rest);
        let until = Instant::now() + rest;
        *self.rest_until.lock().unwrap_or_else(PoisonError::into_inner) = Some(until);
    }
}

/// The first fault that another try may cure.
pub(super) fn passing_fault(asks: &[Ask], replies: &[Reply]) -> Option<Fault> {
    asks.iter().zip(replies).find_map(|(ask, reply)| match reply {
        Ok(_) => None,
        Err(fault @ Fault::Refused { code, message, .. }) => {
            let taken = ask.optional && !is_rate_limit(*code, message.raw());
            (!taken && !is_definite(fault)).then(|| fault.clone())
        }
        Err(fault) => Some(fault.clone()),
    })
}

/// Whether the node would say the same again: a revert, or a request that it does not know.
pub(super) fn is_definite(fault: &Fault) -> bool {
    match fault {
        Fault::Refused { code, .. } => {
            matches!(code, 3 | -32600 | -32601 | -32602 | -32004)
                || reverts::of_fault(fault).is_some()
        }
        Fault::Connect
        | Fault::Silence
        | Fault::Status { .. }
        | Fault::TooLarge
        | Fault::NotJsonRpc
        | Fault::Missing
        | Fault::Malformed { .. }
        | Fault::Behind { .. }
        | Fault::Inconsistent { .. } => false,
    }
}

fn fault_of(error: TransportError) -> Fault {
    match error {
        RpcError::ErrorResp(payload) => Fault::Refused {
            code: payload.code,
            message: Untrusted::from(payload.message.into_owned()),
            data: payload.data.as_deref().and_then(|raw| wire::return_data(raw.get())),
        },
        RpcError::Transport(TransportErrorKind::MissingBatchResponse(_)) => Fault::Missing,
        RpcError::Transport(TransportErrorKind::Custom(error)) => {
            error.downcast_ref::<WireFault>().map_or(Fault::Silence, |wire| wire.0.clone())
        }
        RpcError::Transport(_) | RpcError::NullResp => Fault::Silence,
        RpcError::UnsupportedFeature(_)
        | RpcError::LocalUsageError(_)
        | RpcError::SerError(_)
        | RpcError::DeserError { .. } => Fault::NotJsonRpc,
    }
}

fn shown(url: &Url) -> String {
    let host = url.host_str().unwrap_or("?");
    match url.port() {
        Some(port) => format!("{}://{host}:{port}", url.scheme()),
        None => format!("{}://{host}", url.scheme()),
    }
}
