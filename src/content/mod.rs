//! Bytes outside the chain: files that are pinned, outputs that are fetched.
//!
//! * [`pin`]: one file goes up, is read back and compared.
//! * [`gateway`]: one URL comes down, streamed, hashed and limited.
//! * [`guard`]: which URLs and addresses may be asked at all. A URL from the chain is a
//!   stranger's.
//! * [`blobs`]: where larger outputs rest, named by their hash.
//!
//! The same pin and gateway code runs over sockets and, for a devnet in process, straight into
//! its router; [`http`] is the seam. Every wait here is bounded, every retry safe: what is
//! pinned is named by its bytes, and fetching changes nothing.
//!
//! Nothing here knows tasks, steps or money, and no quota decides anything: limits only delay.

pub mod blobs;
pub mod error;
pub mod gateway;
pub mod guard;
pub mod http;
pub mod memory;
pub mod pin;

mod pace;
mod sink;

use std::future::Future;
use std::num::NonZeroU32;
use std::time::Duration;

use alloy::primitives::B256;
use bytes::Bytes;

pub use blobs::Blobs;
pub use error::{ContentError, Phase, Service};
pub use gateway::NetworkContent;
pub use http::Http;
pub use memory::MemoryContent;

use crate::units::time::Rate;
use crate::units::{Cid, Network};

/// Outputs up to this size stay in memory and go into a row; larger ones become blobs.
pub const INLINE: usize = 16 * 1024;

/// Where pinned bytes are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pinned {
    /// The id in the link, or the computed one where the link has none.
    pub cid: Cid,
    /// The link as the pin service gave it; this goes on chain.
    pub url: String,
}

/// What a URL gave.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fetched {
    /// SHA-256 of the bytes.
    pub sha256: B256,
    /// How many they are.
    pub len: u64,
    /// Where they are.
    pub body: Body,
    /// What the URL itself proves about them.
    pub proof: Proof,
}

/// Where fetched bytes are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Body {
    /// Here: at most [`INLINE`] bytes, for the journal to keep.
    Inline(Bytes),
    /// In the blob store under their SHA-256, synced.
    Blob,
}

/// Whether the content id in a URL vouches for the bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Proof {
    /// The id is that of the bytes.
    Verified,
    /// There is an id, which could not be recomputed; worth a warning.
    Unverified,
    /// The URL has no id.
    NoCid,
}

/// One try of an upload failed, and another follows.
#[derive(Debug)]
pub struct PinRetry<'a> {
    /// Which try it was, from 1.
    pub tried: u32,
    /// How many there are at most.
    pub of: u32,
    /// How long until the next.
    pub wait: Duration,
    /// Why.
    pub error: &'a ContentError,
}

/// Hears of failed tries while a pin goes on.
pub type Notice<'a> = &'a (dyn Fn(PinRetry<'_>) + Send + Sync);

/// Storage of bytes by strangers' hands: over the network, or in memory for tests.
pub trait Content: Send + Sync + 'static {
    /// Stores a task's configuration and says where. The same bytes may be pinned any number of
    /// times.
    ///
    /// # Errors
    ///
    /// The last try's error, after the tries of [`Limits`].
    fn pin(
        &self,
        bytes: Bytes,
        notice: Notice<'_>,
    ) -> impl Future<Output = Result<Pinned, ContentError>> + Send;

    /// Reads a URL that a stranger chose.
    ///
    /// # Errors
    ///
    /// What the guard, the limits, the server or the content id said; with several gateways, an
    /// error worth a later try if there is one.
    fn fetch(&self, url: &str) -> impl Future<Output = Result<Fetched, ContentError>> + Send;

    /// The bytes of a [`Body::Blob`], checked against their hash.
    ///
    /// # Errors
    ///
    /// [`ContentError::Blob`] if they are missing or damaged.
    fn blob(&self, sha256: B256) -> impl Future<Output = Result<Bytes, ContentError>> + Send;
}

/// Whether pinned bytes are read back before their URL is used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReadBack {
    /// Always.
    Always,
    /// Unless the content id in the link is the one computed here, which names these bytes.
    Unproven,
}

/// Limits on size, time, rate and connections.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// The most bytes of one fetched file.
    pub bytes: u64,
    /// Until a connection stands.
    pub connect: Duration,
    /// Between two pieces of a reply.
    pub idle: Duration,
    /// For one download, redirects included.
    pub total: Duration,
    /// For one upload.
    pub upload: Duration,
    /// Downloads from one host at a time.
    pub per_host: u32,
    /// Downloads at a time.
    pub fetches: u32,
    /// Uploads at a time.
    pub pins: u32,
    /// How fast uploads start; `None` for no limit.
    pub pin_rate: Option<Rate>,
    /// Tries of one upload.
    pub pin_tries: NonZeroU32,
    /// The wait after the first failed try; it doubles.
    pub pin_wait: Duration,
    /// Whether uploads are read back.
    pub read_back: ReadBack,
}

impl Limits {
    /// The limits of a public network, or those of a devnet, which has no one to be kind to. How
    /// fast uploads start is the run's to say.
    pub fn for_network(network: &Network) -> Self {
        let public = Self {
            bytes: 64 << 20,
            connect: Duration::from_secs(10),
            idle: Duration::from_secs(20),
            total: Duration::from_secs(300),
            upload: Duration::from_secs(30),
            per_host: 4,
            fetches: 32,
            pins: 64,
            pin_rate: None,
            pin_tries: NonZeroU32::MIN.saturating_add(2),
            pin_wait: Duration::from_secs(1),
            read_back: ReadBack::Always,
        };
        if !network.devnet {
            return public;
        }
        Self { per_host: 256, fetches: 256, pins: 256, read_back: ReadBack::Unproven, ..public }
    }
}
