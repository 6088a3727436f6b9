//! From a URL to bytes: several gateways, few redirects, and limits on everything.

use std::collections::BTreeMap;
use std::future::Future;
use std::sync::{Arc, Mutex, PoisonError};

use alloy::primitives::B256;
use axum::body::Body as HttpBody;
use axum::http::header::{CONTENT_LENGTH, LOCATION};
use axum::http::{Method, Response};
use bytes::Bytes;
use http_body_util::BodyExt;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, timeout, timeout_at};
use url::Url;

use super::blobs::Blobs;
use super::error::{ContentError, Phase, Service};
use super::guard::{Guard, Rule, refused};
use super::http::{Ask, Http, host};
use super::pace::Pace;
use super::pin::PinCache;
use super::sink::Sink;
use super::{Content, Fetched, INLINE, Limits, Notice, Pinned};
use crate::units::{Cid, Network, Untrusted};

/// How many redirects are followed.
const REDIRECTS: usize = 3;

/// Pins and fetches over HTTP.
#[derive(Debug)]
pub struct NetworkContent {
    pub(super) http: Http,
    pub(super) guard: Guard,
    pub(super) limits: Limits,
    pub(super) pin_url: Url,
    pub(super) pins: Semaphore,
    pub(super) pace: Pace,
    pub(super) cache: PinCache,
    blobs: Blobs,
    slots: Slots,
}

/// What one download may bring.
#[derive(Clone, Copy, Debug)]
pub(super) struct Want {
    /// The most bytes.
    pub(super) bytes: u64,
    /// Up to this many stay in memory.
    pub(super) inline: usize,
}

impl NetworkContent {
    /// Pins and fetches over `http` under a network's rules.
    ///
    /// # Errors
    ///
    /// [`ContentError::Refused`] if the pin URL or a gateway of the settings is itself refused.
    pub fn new(
        network: &Network,
        http: Http,
        limits: Limits,
        blobs: Blobs,
    ) -> Result<Self, ContentError> {
        let guard = Guard::new(network)?;
        let pin_url = guard.judge_pin(&network.pin_url)?;
        Ok(Self {
            http,
            guard,
            pin_url,
            pins: permits(limits.pins),
            pace: Pace::new(limits.pin_rate),
            cache: PinCache::default(),
            slots: Slots::new(&limits),
            limits,
            blobs,
        })
    }

    /// The same over sockets, with the network's usual limits.
    ///
    /// # Errors
    ///
    /// As [`NetworkContent::new`], or if no TLS client can be made.
    pub fn connect(network: &Network, blobs: Blobs) -> Result<Self, ContentError> {
        let limits = Limits::for_network(network);
        let http = Http::wire(&Guard::new(network)?, limits.connect)?;
        Self::new(network, http, limits, blobs)
    }

    /// Tries the URL, then the same content id at each listed gateway.
    ///
    /// Of several errors the first that is worth a later try is returned, else the first.
    pub(super) async fn download(&self, text: &str, want: Want) -> Result<Fetched, ContentError> {
        let mut errors = Vec::new();
        for url in self.candidates(text)? {
            match self.download_one(url, want).await {
                Ok(fetched) => return Ok(fetched),
                Err(error) => errors.push(error),
            }
        }
        let best = errors.iter().position(ContentError::is_transient).unwrap_or(0);
        Err(errors.swap_remove(best))
    }

    /// The URL itself, if the guard allows it, then its content id at the listed gateways.
    fn candidates(&self, text: &str) -> Result<Vec<Url>, ContentError> {
        let own = self.guard.judge(text);
        let mut all = Vec::new();
        if let Some(tail) = Url::parse(text).ok().as_ref().and_then(ipfs_tail) {
            let gateways = self.guard.listed().iter();
            all.extend(gateways.filter_map(|gateway| mirror(gateway, &tail)));
            all.retain(|url| self.guard.judge(url.as_str()).is_ok());
        }
        match own {
            Ok(url) => {
                all.retain(|mirror| *mirror != url);
                all.insert(0, url);
            }
            Err(refusal) if all.is_empty() => return Err(refusal),
            Err(_) => {}
        }
        Ok(all)
    }

    async fn download_one(&self, url: Url, want: Want) -> Result<Fetched, ContentError> {
        let cid = Cid::in_url(&url);
        let mut slot = self.slots.enter(&url).await;
        let deadline = Instant::now() + self.limits.total;
        let mut next = url;
        for _ in 0..=REDIRECTS {
            let reply = self.bounded(deadline, &next, self.head(&next)).await?;
            let status = reply.status();
            if status.is_success() {
                return self.bounded(deadline, &next, self.body(&next, reply, want, cid)).await;
            }
            let Some(target) = redirect(&next, &reply) else {
                let (service, host) = (Service::Gateway, host(&next));
                return Err(ContentError::Status { service, host, status: status.as_u16() });
            };
            // A waiting download holds nothing that another waits for.
            drop(slot);
            next = self.guard.judge(&target)?;
            slot = self.slots.enter(&next).await;
        }
        drop(slot);
        Err(refused(next.as_str(), Rule::Redirects))
    }

    async fn head(&self, url: &Url) -> Result<Response<HttpBody>, ContentError> {
        let (service, method) = (Service::Gateway, Method::GET);
        let ask = Ask { service, method, url: url.clone(), body: None };
        let head = self.http.send(ask, self.limits.connect);
        let most = self.limits.connect.saturating_add(self.limits.idle);
        timeout(most, head).await.unwrap_or_else(|_| Err(self.slow(url, Phase::Idle)))
    }

    /// Runs one leg of a download within what is left of its total time.
    async fn bounded<T>(
        &self,
        deadline: Instant,
        url: &Url,
        leg: impl Future<Output = Result<T, ContentError>>,
    ) -> Result<T, ContentError> {
        match timeout_at(deadline, leg).await {
            Ok(done) => done,
            Err(_) => Err(self.slow(url, Phase::Total)),
        }
    }

    fn slow(&self, url: &Url, phase: Phase) -> ContentError {
        let limit = match phase {
            Phase::Connect => self.limits.connect,
            Phase::Idle => self.limits.idle,
            Phase::Total => self.limits.total,
        };
        ContentError::TooSlow { service: Service::Gateway, host: host(url), phase, limit }
    }

    async fn body(
        &self,
        url: &Url,
        reply: Response<HttpBody>,
        want: Want,
        cid: Option<Cid>,
    ) -> Result<Fetched, ContentError> {
        let too_large = || ContentError::TooLarge { host: host(url), limit: want.bytes };
        let announced = reply.headers().get(CONTENT_LENGTH).and_then(|len| len.to_str().ok());
        if announced.and_then(|len| len.parse::<u64>().ok()).is_some_and(|len| len > want.bytes) {
            return Err(too_large());
        }
        let mut body = reply.into_body();
        let mut sink = Sink::new(self.blobs.clone(), want.inline);
        loop {
            let frame = timeout(self.limits.idle, body.frame()).await;
            let Some(frame) = frame.map_err(|_| self.slow(url, Phase::Idle))? else { break };
            let frame = frame.map_err(|error| ContentError::CutOff {
                service: Service::Gateway,
                host: host(url),
                got: sink.len(),
                source: error.into(),
            })?;
            let Ok(data) = frame.into_data() else { continue };
            if sink.len() + data.len() as u64 > want.bytes {
                return Err(too_large());
            }
            sink.push(data).await?;
        }
        sink.finish(cid, host(url)).await
    }
}

impl Content for NetworkContent {
    async fn pin(&self, bytes: Bytes, notice: Notice<'_>) -> Result<Pinned, ContentError> {
        self.pin_bytes(bytes, notice).await
    }

    async fn fetch(&self, url: &str) -> Result<Fetched, ContentError> {
        self.download(url, Want { bytes: self.limits.bytes, inline: INLINE }).await
    }

    async fn blob(&self, sha256: B256) -> Result<Bytes, ContentError> {
        let blobs = self.blobs.clone();
        let read = tokio::task::spawn_blocking(move || blobs.get(sha256));
        read.await.expect("reading a blob does not panic").map(Bytes::from)
    }
}

/// Where a reply sends us, if it is a redirect with a place.
fn redirect(from: &Url, reply: &Response<HttpBody>) -> Option<String> {
    if !matches!(reply.status().as_u16(), 301 | 302 | 303 | 307 | 308) {
        return None;
    }
    let place = reply.headers().get(LOCATION)?.to_str().ok()?;
    // What does not join is not a URL, and the guard will say so.
    Some(from.join(place).map_or_else(|_| place.to_owned(), String::from))
}

/// `<cid>` and what follows it, of `…/ipfs/<cid>…` or `ipfs://<cid>…`.
fn ipfs_tail(url: &Url) -> Option<String> {
    let tail = match url.scheme() {
        "ipfs" => format!("{}{}", url.host_str()?, url.path()),
        _ => url.path().strip_prefix("/ipfs/")?.to_owned(),
    };
    let id = tail.split('/').next()?;
    id.parse::<Cid>().ok()?;
    Some(tail.trim_end_matches('/').to_owned())
}

fn mirror(gateway: &Url, tail: &str) -> Option<Url> {
    let mut base = gateway.clone();
    if !base.path().ends_with('/') {
        base.set_path(&format!("{}/", base.path()));
    }
    base.join(tail).ok()
}

/// How many downloads go on, in all and from each host.
#[derive(Debug)]
struct Slots {
    all: Arc<Semaphore>,
    per_host: u32,
    hosts: Mutex<BTreeMap<Untrusted, Arc<Semaphore>>>,
}

/// One download under way.
#[derive(Debug)]
struct Slot {
    _host: OwnedSemaphorePermit,
    _all: OwnedSemaphorePermit,
}

impl Slots {
    fn new(limits: &Limits) -> Self {
        let all = Arc::new(permits(limits.fetches));
        Self { all, per_host: limits.per_host, hosts: Mutex::default() }
    }

    /// Waits for the host first, so that a slow host keeps no place among all.
    async fn enter(&self, url: &Url) -> Slot {
        let own = self.of_host(host(url));
        let closed = "these semaphores are never closed";
        let host = own.acquire_owned().await.expect(closed);
        let all = Arc::clone(&self.all).acquire_owned().await.expect(closed);
        Slot { _host: host, _all: all }
    }

    fn of_host(&self, name: Untrusted) -> Arc<Semaphore> {
        let mut hosts = self.hosts.lock().unwrap_or_else(PoisonError::into_inner);
        // Strangers choose the hosts: forget those that nobody is using.
        if hosts.len() > 64 {
            hosts.retain(|_, semaphore| Arc::strong_count(semaphore) > 1);
        }
        Arc::clone(hosts.entry(name).or_insert_with(|| Arc::new(permits(self.per_host))))
    }
}

fn permits(count: u32) -> Semaphore {
    let count = usize::try_from(count).unwrap_or(Semaphore::MAX_PERMITS);
    Semaphore::new(count.clamp(1, Semaphore::MAX_PERMITS))
}

#[cfg(test)]
mod tests;
