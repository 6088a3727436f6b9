//! One file goes up: posted until it is stored, read back, compared.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Mutex, PoisonError};

use alloy::primitives::B256;
use axum::http::Method;
use bytes::Bytes;
use data_encoding::HEXLOWER;
use http_body_util::{BodyExt, LengthLimitError, Limited};
use serde_json::Value;
use tokio::time::timeout;
use url::Url;

use super::error::{ContentError, Phase, Service};
use super::gateway::{NetworkContent, Want};
use super::http::{Ask, host};
use super::{Notice, PinRetry, Pinned, ReadBack};
use crate::units::cid::sha256;
use crate::units::{Cid, Untrusted};

/// The most of a pin service's reply that is read.
const LONGEST_REPLY: usize = 64 * 1024;
/// The longest link that is accepted: it goes on chain, where each byte costs gas.
const LONGEST_LINK: usize = 512;
/// How many links are remembered.
const REMEMBERED: usize = 4096;

impl NetworkContent {
    /// Pins `bytes`, or remembers where they are.
    pub(super) async fn pin_bytes(
        &self,
        bytes: Bytes,
        notice: Notice<'_>,
    ) -> Result<Pinned, ContentError> {
        let hash = sha256(&bytes);
        if let Some(known) = self.cache.get(hash) {
            return Ok(known);
        }
        let of = self.limits.pin_tries.get();
        let mut wait = self.limits.pin_wait;
        let mut tried = 1;
        loop {
            let error = match self.pin_once(hash, &bytes).await {
                Ok(pinned) => {
                    self.cache.put(hash, pinned.clone());
                    return Ok(pinned);
                }
                Err(error) => error,
            };
            if tried >= of || !error.is_transient() {
                return Err(error);
            }
            notice(PinRetry { tried, of, wait, error: &error });
            tokio::time::sleep(wait).await;
            wait = wait.saturating_mul(2);
            tried += 1;
        }
    }

    async fn pin_once(&self, hash: B256, bytes: &Bytes) -> Result<Pinned, ContentError> {
        let _permit = self.pins.acquire().await.expect("this semaphore is never closed");
        self.pace.turn().await;
        let limit = self.limits.upload;
        let reply = timeout(limit, self.upload(hash, bytes)).await.unwrap_or_else(|_| {
            let (service, host) = (Service::Pin, host(&self.pin_url));
            Err(ContentError::TooSlow { service, host, phase: Phase::Total, limit })
        })?;
        let link = link(&reply)?;
        let usual = Cid::for_file(bytes);
        let named = Cid::in_url(&link.url);
        let pinned = Pinned { cid: named.unwrap_or(usual), url: link.text };
        if self.limits.read_back == ReadBack::Always || named != Some(usual) {
            self.read_back(&pinned, hash, bytes.len()).await?;
        }
        Ok(pinned)
    }

    async fn upload(&self, hash: B256, bytes: &Bytes) -> Result<Bytes, ContentError> {
        let (service, url) = (Service::Pin, self.pin_url.clone());
        let body = Some(multipart(hash, bytes));
        let ask = Ask { service, method: Method::POST, url, body };
        let reply = self.http.send(ask, self.limits.connect).await?;
        let status = reply.status();
        if !status.is_success() {
            let host = host(&self.pin_url);
            return Err(ContentError::Status { service, host, status: status.as_u16() });
        }
        match Limited::new(reply.into_body(), LONGEST_REPLY).collect().await {
            Ok(whole) => Ok(whole.to_bytes()),
            Err(error) if error.is::<LengthLimitError>() => {
                Err(ContentError::NoLink { reply: Untrusted::from("(too long)") })
            }
            Err(source) => {
                Err(ContentError::CutOff { service, host: host(&self.pin_url), got: 0, source })
            }
        }
    }

    /// Fetches the link under the rules for any URL, and compares.
    async fn read_back(&self, pinned: &Pinned, hash: B256, len: usize) -> Result<(), ContentError> {
        let want = Want { bytes: len as u64, inline: len };
        let wrong = |host| ContentError::WrongBytes { host, cid: pinned.cid };
        match self.download(&pinned.url, want).await {
            Ok(found) if found.sha256 == hash => Ok(()),
            Ok(_) => Err(wrong(Untrusted::from(pinned.url.as_str()))),
            Err(ContentError::TooLarge { host, .. }) => Err(wrong(host)),
            Err(error) => Err(error),
        }
    }
}

/// The one part of the wire format (protocol.md, section 7), with its media type.
///
/// The boundary comes from the hash of the bytes and so cannot occur in them.
fn multipart(hash: B256, bytes: &[u8]) -> (String, Bytes) {
    let boundary = format!("ogflow-{}", HEXLOWER.encode(&hash[..16]));
    let head = format!(
        "--{boundary}\r\n\
         Content-Disposition: form-data; name=\"file\"; filename=\"taskConfig.json\"\r\n\
         Content-Type: application/json\r\n\r\n"
    );
    let body = [head.as_bytes(), bytes, format!("\r\n--{boundary}--\r\n").as_bytes()].concat();
    (format!("multipart/form-data; boundary={boundary}"), body.into())
}

/// A link as it came, which goes on chain, and as it reads.
#[derive(Debug)]
struct Link {
    text: String,
    url: Url,
}

/// The link in a pin service's reply.
fn link(reply: &[u8]) -> Result<Link, ContentError> {
    let none = || ContentError::NoLink {
        reply: Untrusted::from(String::from_utf8_lossy(&reply[..reply.len().min(1024)]).as_ref()),
    };
    let json: Value = serde_json::from_slice(reply).map_err(|_| none())?;
    let text = json.get("link").and_then(Value::as_str).ok_or_else(none)?;
    let url = Url::parse(text).map_err(|_| none())?;
    let fits = text.len() <= LONGEST_LINK && text.bytes().all(|b| b.is_ascii_graphic());
    if !fits || !matches!(url.scheme(), "http" | "https" | "ipfs") {
        return Err(none());
    }
    Ok(Link { text: text.to_owned(), url })
}

/// The links of files pinned lately, by SHA-256.
#[derive(Debug, Default)]
pub(super) struct PinCache(Mutex<(BTreeMap<B256, Pinned>, VecDeque<B256>)>);

impl PinCache {
    fn get(&self, hash: B256) -> Option<Pinned> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).0.get(&hash).cloned()
    }

    fn put(&self, hash: B256, pinned: Pinned) {
        let mut cache = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (known, order) = &mut *cache;
        if known.insert(hash, pinned).is_none() {
            order.push_back(hash);
        }
        if order.len() > REMEMBERED
            && let Some(oldest) = order.pop_front()
        {
            known.remove(&oldest);
        }
    }
}

#[cfg(test)]
mod tests;
