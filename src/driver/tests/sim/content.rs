//! The pin service and the gateways: files in memory, behind a bad wire.

use std::sync::Arc;
use std::time::Duration;

use alloy::primitives::B256;
use bytes::Bytes;

use super::points::{Edge, pass};
use super::world::{Shared, held};
use crate::content::{
    Body, Content, ContentError, Fetched, INLINE, MemoryContent, Notice, Pinned, Service,
};
use crate::units::Untrusted;

pub(super) struct Files {
    world: Shared,
    life: u64,
    inner: Arc<MemoryContent>,
}

/// What becomes of a request.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Luck {
    Served,
    Refused,
    /// Done, and nobody heard of it.
    Unheard,
}

impl Files {
    pub(super) fn new(world: &Shared) -> Self {
        let (life, inner) = {
            let world = held(world);
            (world.counts.lives, Arc::clone(&world.content))
        };
        Self { world: Shared::clone(world), life, inner }
    }

    async fn pass(&self, name: &'static str, edge: Edge) {
        pass(&self.world, self.life, &[name], edge).await;
    }

    /// Uploads, then reads back what is there.
    async fn put(&self, bytes: Bytes, notice: Notice<'_>) -> Result<Pinned, ContentError> {
        self.pass("pin:put", Edge::Before).await;
        let pinned = self.inner.pin(bytes, notice).await;
        self.pass("pin:put", Edge::After).await;
        self.pass("pin:read", Edge::Before).await;
        self.pass("pin:read", Edge::After).await;
        pinned
    }

    /// Downloads; what is large is a file before anybody hears of it.
    async fn get(&self, url: &str) -> Result<Fetched, ContentError> {
        self.pass("gateway:fetch", Edge::Before).await;
        let large = self.inner.bytes_at(url).filter(|bytes| bytes.len() > INLINE);
        if large.is_some() {
            self.pass("blob:store", Edge::Before).await;
        }
        let fetched = self.inner.fetch(url).await;
        if let (Some(bytes), Ok(Fetched { sha256, body: Body::Blob, .. })) = (large, &fetched) {
            held(&self.world).books.outputs.insert(*sha256, bytes.into());
            self.pass("blob:store", Edge::After).await;
        }
        self.pass("gateway:fetch", Edge::After).await;
        fetched
    }

    async fn luck(&self, what: &[u8]) -> Luck {
        let (wait, luck) = {
            let world = held(&self.world);
            let dice = world.setting.dice.at("content", world.now()).of(what);
            let bad = !world.is_calm() && dice.chance(world.setting.rates.content);
            let luck = match (bad, dice.at("which", 0).below(2)) {
                (false, _) => Luck::Served,
                (true, 0) => Luck::Refused,
                (true, _) => Luck::Unheard,
            };
            (1 + dice.at("wait", 0).below(300), luck)
        };
        tokio::time::sleep(Duration::from_millis(wait)).await;
        luck
    }
}

fn unavailable(service: Service) -> ContentError {
    ContentError::Status { service, host: Untrusted::from("memory.invalid"), status: 503 }
}

impl Content for Files {
    async fn pin(&self, bytes: Bytes, notice: Notice<'_>) -> Result<Pinned, ContentError> {
        match self.luck(&bytes).await {
            Luck::Served => self.put(bytes, notice).await,
            Luck::Refused => Err(unavailable(Service::Pin)),
            Luck::Unheard => {
                self.put(bytes, notice).await?;
                Err(unavailable(Service::Pin))
            }
        }
    }

    async fn fetch(&self, url: &str) -> Result<Fetched, ContentError> {
        match self.luck(url.as_bytes()).await {
            Luck::Served => self.get(url).await,
            Luck::Refused | Luck::Unheard => Err(unavailable(Service::Gateway)),
        }
    }

    async fn blob(&self, sha256: B256) -> Result<Bytes, ContentError> {
        self.inner.blob(sha256).await
    }
}
