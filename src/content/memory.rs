//! Content without a network: for tests of whoever uses this room.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use alloy::primitives::B256;
use bytes::Bytes;

use super::error::{ContentError, Service};
use super::{Body, Content, Fetched, INLINE, Notice, Pinned, Proof};
use crate::units::cid::sha256;
use crate::units::{Cid, Untrusted};

/// Where pinned files say that they are.
const BASE: &str = "http://memory.invalid/ipfs/";

/// Files in memory, by URL. Requests may be made to fail.
#[derive(Debug, Default)]
pub struct MemoryContent(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    files: BTreeMap<String, Bytes>,
    blobs: BTreeMap<B256, Bytes>,
    failing: u32,
    pins: u64,
}

impl MemoryContent {
    /// Without files.
    pub fn new() -> Self {
        Self::default()
    }

    /// Puts a file where `fetch` finds it, as a provider would, and returns its URL.
    pub fn put(&self, bytes: impl Into<Bytes>) -> String {
        let bytes = bytes.into();
        let url = format!("{BASE}{}", Cid::for_file(&bytes));
        self.put_at(&url, bytes);
        url
    }

    /// Puts bytes behind any URL.
    pub fn put_at(&self, url: &str, bytes: impl Into<Bytes>) {
        self.state().files.insert(url.to_owned(), bytes.into());
    }

    /// The bytes behind a URL.
    pub fn bytes_at(&self, url: &str) -> Option<Bytes> {
        self.state().files.get(url).cloned()
    }

    /// Makes the next `count` requests fail as a server in trouble would.
    pub fn fail_next(&self, count: u32) {
        self.state().failing = count;
    }

    /// How many pins succeeded so far, doubled ones included.
    pub fn pins(&self) -> u64 {
        self.state().pins
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn stumble(&mut self, service: Service) -> Result<(), ContentError> {
        if self.failing == 0 {
            return Ok(());
        }
        self.failing -= 1;
        Err(status(service, 503))
    }
}

fn status(service: Service, status: u16) -> ContentError {
    ContentError::Status { service, host: Untrusted::from("memory.invalid"), status }
}

impl Content for MemoryContent {
    async fn pin(&self, bytes: Bytes, _: Notice<'_>) -> Result<Pinned, ContentError> {
        let mut state = self.state();
        state.stumble(Service::Pin)?;
        state.pins += 1;
        let cid = Cid::for_file(&bytes);
        let url = format!("{BASE}{cid}");
        state.files.insert(url.clone(), bytes);
        Ok(Pinned { cid, url })
    }

    async fn fetch(&self, url: &str) -> Result<Fetched, ContentError> {
        let mut state = self.state();
        state.stumble(Service::Gateway)?;
        let bytes = state.files.get(url).cloned();
        let bytes = bytes.ok_or_else(|| status(Service::Gateway, 404))?;
        let (sha256, len) = (sha256(&bytes), bytes.len() as u64);
        let proof = if url.starts_with(BASE) { Proof::Verified } else { Proof::NoCid };
        let body = if bytes.len() > INLINE {
            state.blobs.insert(sha256, bytes);
            Body::Blob
        } else {
            Body::Inline(bytes)
        };
        Ok(Fetched { sha256, len, body, proof })
    }

    async fn blob(&self, sha256: B256) -> Result<Bytes, ContentError> {
        self.state().blobs.get(&sha256).cloned().ok_or_else(|| {
            let missing = std::io::Error::from(std::io::ErrorKind::NotFound);
            super::blobs::blob_error(std::path::Path::new("memory"), missing)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn pinned_bytes_come_back_from_their_url_and_large_ones_as_a_blob() {
        let content = MemoryContent::new();
        let small = content.pin(Bytes::from_static(b"x"), &|_| ()).await.unwrap();
        let fetched = content.fetch(&small.url).await.unwrap();
        assert_eq!(fetched.body, Body::Inline(Bytes::from_static(b"x")));
        let url = content.put(vec![7; INLINE + 1]);
        let fetched = content.fetch(&url).await.unwrap();
        assert_eq!((fetched.len, &fetched.body), (INLINE as u64 + 1, &Body::Blob));
        assert_eq!(content.blob(fetched.sha256).await.unwrap(), vec![7; INLINE + 1]);
    }

    #[tokio::test]
    async fn planned_failures_are_transient_and_end() {
        let content = MemoryContent::new();
        content.fail_next(1);
        let failed = content.pin(Bytes::new(), &|_| ()).await.unwrap_err();
        assert!(failed.is_transient());
        assert!(content.pin(Bytes::new(), &|_| ()).await.is_ok());
        assert!(content.fetch("http://memory.invalid/nothing").await.is_err());
    }
}
