//! Why the store says no.

use std::io;
use std::path::PathBuf;

use crate::units::{Nonce, RunId, Seq, Slot, TaskKey};

use super::lock::Holder;

/// Why a group of facts was not taken, or a journal could not be read.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The group contradicts what is journaled; nothing was written.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// The database was made by a newer ogflow.
    #[error("`{}` has the format {found}, newer than the {known} that this ogflow knows", path.display())]
    Format {
        /// The database.
        path: PathBuf,
        /// Its format.
        found: i64,
        /// The newest format that is understood.
        known: i64,
    },
    /// What is on disk does not fit itself, or is no journal of ours.
    #[error("`{}` is damaged or not ours: {what}", path.display())]
    Corrupt {
        /// The database or file.
        path: PathBuf,
        /// What does not fit.
        what: &'static str,
    },
    /// The disk is full; nothing was written.
    #[error("no room is left on the disk of `{}`", path.display())]
    Full {
        /// The database.
        path: PathBuf,
    },
    /// Reading or writing failed; the journal takes nothing more.
    #[error("cannot read or write `{}`", path.display())]
    Io {
        /// The database or file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// An earlier failure of the disk: what is on it is not known.
    #[error("`{}` failed before, so nothing more is written", path.display())]
    Poisoned {
        /// The database.
        path: PathBuf,
    },
    /// Another process holds the lock.
    #[error("{what} is in use by another process: {holder}")]
    Locked {
        /// What is locked, for a reader: a run, a wallet.
        what: String,
        /// Who holds it.
        holder: Holder,
    },
    /// The folder is on a network file system, where locks and syncs prove nothing.
    #[error("`{}` is on a network file system", path.display())]
    Network {
        /// The folder.
        path: PathBuf,
    },
    /// Others may read a file that holds signed transactions.
    #[error("`{}` can be read by other users (mode {mode:o})", path.display())]
    Exposed {
        /// The file.
        path: PathBuf,
        /// Its mode.
        mode: u32,
    },
}

/// Why a group of facts contradicts what is journaled.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// Another process has taken the lane since.
    #[error("the lane is at epoch {current}, this process holds {given}")]
    StaleEpoch {
        /// The epoch of the group.
        given: u64,
        /// The epoch of the lane.
        current: u64,
    },
    /// The nonce is bound already.
    #[error("nonce {nonce} is bound already")]
    SlotTaken {
        /// The nonce.
        nonce: Nonce,
    },
    /// The task has a live slot of the same purpose.
    #[error("task {task} is bound to a live slot already")]
    LiveBinding {
        /// The task's key.
        task: TaskKey,
    },
    /// The group is not the next one: its place, its nonce or its cursor skips or repeats.
    #[error("{what} {given} is out of order: {expected} is next")]
    OutOfOrder {
        /// What counts: `event`, `nonce`, `version`, `block`.
        what: &'static str,
        /// What was given.
        given: u64,
        /// What would have been next.
        expected: u64,
    },
    /// No run has this id.
    #[error("there is no run `{run}`")]
    UnknownRun {
        /// The id.
        run: RunId,
    },
    /// A version's bytes are missing, doubled, or not those that the event names.
    #[error("the bytes of nonce {} version {} are not those of its event", slot.nonce, seq.0)]
    Bytes {
        /// The slot.
        slot: Slot,
        /// Which version.
        seq: Seq,
    },
    /// A version does something else than its slot is bound to.
    #[error("version {} of nonce {} is not for what the slot is bound to", seq.0, slot.nonce)]
    OtherCall {
        /// The slot.
        slot: Slot,
        /// Which version.
        seq: Seq,
    },
    /// A fact names a slot that nobody reserved, or that is another wallet's, or is final.
    #[error("nonce {nonce} is not a slot that can change")]
    NoSuchSlot {
        /// The nonce.
        nonce: Nonce,
    },
    /// The database had bound more nonces once: it is an old copy.
    #[error("the journal ends at nonce {found}, but it once had {marked}: it is an old copy")]
    OldCopy {
        /// The next nonce that it once had.
        marked: Nonce,
        /// The next nonce that it has.
        found: Nonce,
    },
    /// An output is too large for a row.
    #[error("an output of {len} bytes does not belong into the journal")]
    LargeOutput {
        /// Its size in bytes.
        len: usize,
    },
}

impl StoreError {
    /// What the reader can do next, in one line.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Refused(refusal) => refusal.hint(),
            Self::Format { .. } => Some("use the ogflow that wrote it, or a newer one".into()),
            Self::Corrupt { .. } => {
                Some("restore the whole state folder from where it was damaged; publish nothing with this wallet before".into())
            }
            Self::Full { .. } => Some("make room, then run `ogflow resume`".into()),
            Self::Io { .. } | Self::Poisoned { .. } => {
                Some("check the disk, then run `ogflow resume`; no payment is lost".into())
            }
            Self::Locked { .. } => Some("wait for it to end, or stop it".into()),
            Self::Network { .. } => Some("move the state folder to a local disk".into()),
            Self::Exposed { path, .. } => Some(format!("run `chmod 600 {}`", path.display())),
        }
    }
}

impl Refusal {
    /// What the reader can do next, in one line.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::StaleEpoch { .. } => Some("another process goes on with this wallet".into()),
            Self::OldCopy { .. } => Some(
                "bring the newest copy of the state folder back, or `ogflow resume --from-chain` \
                     reads what it lacks from the chain: publishing from an old one could pay twice"
                    .into(),
            ),
            Self::UnknownRun { .. } => Some("`ogflow status` lists the runs".into()),
            Self::SlotTaken { .. }
            | Self::LiveBinding { .. }
            | Self::OutOfOrder { .. }
            | Self::Bytes { .. }
            | Self::OtherCall { .. }
            | Self::NoSuchSlot { .. }
            | Self::LargeOutput { .. } => None,
        }
    }
}
