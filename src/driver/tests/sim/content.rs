//! The pin service and the gateways: files in memory, behind a bad wire.

use std::sync::Arc;
use std::time::Duration;

use alloy::primitives::B256;
use bytes::Bytes;

use super::world::{Shared, held};
use crate::content::{Content, ContentError, Fetched, MemoryContent, Notice, Pinned, Service};
use crate::units::Untrusted;

pub(super) struct Files {
    world: Shared,
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
        let inner = Arc::clone(&held(world).content);
        Self { world: Shared::clone(world), inner }
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
            Luck::Served => self.inner.pin(bytes, notice).await,
            Luck::Refused => Err(unavailable(Service::Pin)),
            Luck::Unheard => {
                self.inner.pin(bytes, notice).await?;
                Err(unavailable(Service::Pin))
            }
        }
    }

    async fn fetch(&self, url: &str) -> Result<Fetched, ContentError> {
        match self.luck(url.as_bytes()).await {
            Luck::Served => self.inner.fetch(url).await,
            Luck::Refused | Luck::Unheard => Err(unavailable(Service::Gateway)),
        }
    }

    async fn blob(&self, sha256: B256) -> Result<Bytes, ContentError> {
        self.inner.blob(sha256).await
    }
}
