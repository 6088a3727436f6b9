//! Where a devnet keeps its chain and its pins.

use std::path::PathBuf;

/// Where a devnet is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// Nowhere: it is gone with the process.
    Memory,
    /// In a folder, made if missing; one process at a time.
    Folder(PathBuf),
    /// As in that folder now, if it is there; what happens from here on stays in memory. For
    /// commands that promise to write nothing.
    ReadOnly(PathBuf),
}

impl Place {
    /// The path of one of its files.
    pub(super) fn file(&self, name: &str) -> Option<PathBuf> {
        match self {
            Self::Memory => None,
            Self::Folder(folder) | Self::ReadOnly(folder) => Some(folder.join(name)),
        }
    }

    pub(super) const fn is_writable(&self) -> bool {
        matches!(self, Self::Folder(_))
    }
}
