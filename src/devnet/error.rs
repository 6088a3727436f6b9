//! What can go wrong with a devnet itself. What a contract or the pool refuses is not here.

use std::path::{Path, PathBuf};

use super::record::RecordError;

/// Why the devnet cannot go on.
#[derive(Debug, thiserror::Error)]
pub enum DevnetError {
    /// A file cannot be read or written.
    #[error("cannot use the devnet's file {}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: std::io::Error,
    },
    /// Another process runs this devnet.
    #[error("another process runs the devnet in {}", path.display())]
    Locked {
        /// The locked file.
        path: PathBuf,
    },
    /// The file begins with another first line.
    #[error("{} was not written by this version of the devnet", path.display())]
    NotOurs {
        /// The file.
        path: PathBuf,
    },
    /// The chain in the file began with other contracts, funds or switches.
    #[error("the devnet in {} began with another block 0", path.display())]
    OtherGenesis {
        /// The file.
        path: PathBuf,
    },
    /// A whole record makes no sense.
    #[error("the devnet's file {} cannot be replayed", path.display())]
    Record {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        source: RecordError,
    },
    /// The port that services call back on cannot be listened on.
    #[error("cannot listen for the services' callbacks on port {port}")]
    Port {
        /// The port.
        port: u16,
        /// What the system says.
        source: std::io::Error,
    },
    /// A write failed before; what is on disk is not known.
    #[error("the devnet stopped after it could not write {}", path.display())]
    Broken {
        /// The file.
        path: PathBuf,
    },
}

impl DevnetError {
    pub(super) fn io(path: &Path, source: std::io::Error) -> Self {
        Self::Io { path: path.into(), source }
    }

    /// What the reader can do, in one line.
    pub const fn hint(&self) -> &'static str {
        match self {
            Self::Io { .. } | Self::Broken { .. } => {
                "check the disk's space and the folder's permissions, then run the command again"
            }
            Self::Port { .. } => {
                "choose another with `port=N`; services need CALLBACK_URL=http://127.0.0.1:N/callback"
            }
            Self::Locked { .. } => "wait for it, stop it, or work in another folder",
            Self::NotOurs { .. } | Self::OtherGenesis { .. } | Self::Record { .. } => {
                "`ogflow devnet reset` starts a new chain; runs on the old one cannot go on"
            }
        }
    }
}
