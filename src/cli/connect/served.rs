//! A devnet that another process serves: where it is, and how it is found.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use alloy::primitives::Address;
use serde::{Deserialize, Serialize};
use url::Url;

use crate::units::Network;

/// The note that `ogflow devnet up` leaves in the devnet's folder while it runs.
const NOTE: &str = "served.json";

/// A devnet that another process serves.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Served {
    /// Where.
    pub url: String,
    /// The process; 0 where it is not known.
    pub pid: u32,
    /// Its sources, by the name behind `builtin:`.
    pub sources: BTreeMap<String, Address>,
}

/// Why the note could not be left.
#[derive(Debug, thiserror::Error)]
#[error("cannot write {}", path.display())]
pub struct ServedError {
    /// The note.
    pub path: PathBuf,
    /// Why.
    #[source]
    pub source: std::io::Error,
}

impl Served {
    /// One at a URL, of which nothing else is known.
    pub fn at(url: &str) -> Self {
        Self { url: url.to_owned(), pid: 0, sources: BTreeMap::new() }
    }

    /// The one of this folder, if its process lives.
    pub fn find(folder: &Path) -> Option<Self> {
        let text = fs::read_to_string(folder.join(NOTE)).ok()?;
        let served: Self = serde_json::from_str(&text).ok()?;
        is_alive(served.pid).then_some(served)
    }

    /// Leaves the note.
    ///
    /// # Errors
    /// When the folder cannot be written.
    ///
    /// # Panics
    /// Never: a note is plain data.
    pub fn leave(&self, folder: &Path) -> Result<(), ServedError> {
        let path = folder.join(NOTE);
        let text = serde_json::to_string(self).expect("a note is plain data");
        fs::write(&path, text).map_err(|source| ServedError { path, source })
    }

    /// Takes the note away.
    pub fn forget(folder: &Path) {
        let _ignored = fs::remove_file(folder.join(NOTE));
    }

    /// The devnet's profile at this URL: it serves files where it serves JSON-RPC.
    pub fn network(&self, devnet: &Network) -> Network {
        let at = |path: &str| {
            Url::parse(&self.url)
                .and_then(|url| url.join(path))
                .map_or_else(|_| self.url.clone(), String::from)
        };
        Network {
            rpc: vec![self.url.clone()],
            pin_url: at("/file/create"),
            gateways: vec![at("/ipfs/")],
            allow_private_hosts: true,
            ..devnet.clone()
        }
    }
}

/// Whether a process of ours with this id is there.
fn is_alive(pid: u32) -> bool {
    let pid = i32::try_from(pid).ok().and_then(rustix::process::Pid::from_raw);
    pid.is_some_and(|pid| rustix::process::test_kill_process(pid).is_ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_note_counts_only_while_its_process_lives() {
        let folder = tempfile::tempdir().unwrap();
        let mut served = Served::at("http://127.0.0.1:8545");
        assert_eq!(Served::find(folder.path()), None);
        served.pid = std::process::id();
        served.leave(folder.path()).unwrap();
        assert_eq!(Served::find(folder.path()), Some(served.clone()));
        served.pid = i32::MAX.unsigned_abs();
        served.leave(folder.path()).unwrap();
        assert_eq!(Served::find(folder.path()), None);
        Served::forget(folder.path());
        assert!(!folder.path().join(NOTE).exists());
    }
}
