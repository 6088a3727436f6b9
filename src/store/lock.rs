//! One process at a time writes a run, and one at a time publishes with a wallet.
//!
//! A lock is a lock of the operating system on a file, so it ends with the process however that
//! ends. The file says who holds it, for the message that the second process prints. A wallet's
//! file also keeps a [`Mark`]: how far the database had bound nonces. A database behind its own
//! mark is an old copy, even while the chain shows nothing yet (safety.md, section 6).

use std::fmt;
use std::fs::{File, TryLockError};
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::units::{Nonce, RunId, Timestamp};

use super::folder::{StateFolder, io_error, private_file, private_folder};
use super::{LaneKey, Refusal, StoreError};

/// Who holds a lock.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Holder {
    /// The process; 0 if the file does not say.
    pub pid: u32,
    /// Since when.
    pub since: Timestamp,
}

impl Holder {
    /// This process, since `now`.
    pub fn this_process(now: Timestamp) -> Self {
        Self { pid: std::process::id(), since: now }
    }
}

impl fmt::Display for Holder {
    /// Prints the process, and since when in UTC.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let millis = i64::try_from(self.since.as_millis()).unwrap_or(i64::MAX);
        match jiff::Timestamp::from_millisecond(millis) {
            Ok(since) if self.pid != 0 => {
                write!(f, "process {} since {}", self.pid, since.strftime("%F %T UTC"))
            }
            Ok(_) | Err(_) => f.write_str("which one is not known yet"),
        }
    }
}

/// How far a database had bound a wallet's nonces.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mark {
    /// The database's own id.
    pub database: String,
    /// The lane's next nonce.
    pub next_nonce: Nonce,
}

/// What a lock's file says.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Note {
    #[serde(default)]
    holder: Holder,
    #[serde(default)]
    mark: Option<Mark>,
}

/// The right to write a run, until it is dropped.
#[derive(Debug)]
pub struct RunLock {
    _file: LockFile,
}

impl RunLock {
    /// Whether a process writes `run` now.
    ///
    /// # Errors
    /// [`StoreError::Io`].
    pub fn is_held(folder: &StateFolder, run: &RunId) -> Result<bool, StoreError> {
        let path = folder.path().join("locks").join(format!("{run}.lock"));
        let file = match File::open(&path) {
            Ok(file) => file,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(false),
            Err(error) => return Err(io_error(&path)(error)),
        };
        match file.try_lock_shared() {
            Ok(()) => Ok(false),
            Err(TryLockError::WouldBlock) => Ok(true),
            Err(TryLockError::Error(source)) => Err(io_error(&path)(source)),
        }
    }

    /// Takes the lock of `run`.
    ///
    /// # Errors
    /// [`StoreError::Locked`] if another process has it; [`StoreError::Io`].
    pub fn take(folder: &StateFolder, run: &RunId, holder: Holder) -> Result<Self, StoreError> {
        let path = folder.path().join("locks").join(format!("{run}.lock"));
        let (file, _) = LockFile::take(&path, &format!("run {run}"), holder)?;
        Ok(Self { _file: file })
    }
}

/// The right to publish with a wallet on a chain, until it is dropped.
#[derive(Debug)]
pub struct WalletLock {
    file: LockFile,
    holder: Holder,
    mark: Option<Mark>,
}

impl WalletLock {
    /// Takes the lock of a wallet in `folder`, which all projects of the user share.
    ///
    /// # Errors
    /// [`StoreError::Locked`] if another process has it; [`StoreError::Io`].
    pub fn take(folder: &Path, lane: &LaneKey, holder: Holder) -> Result<Self, StoreError> {
        let chain = data_encoding::HEXLOWER.encode(&lane.genesis[..4]);
        let name = format!("{}-{chain}-{:x}.lock", lane.chain_id, lane.wallet);
        let path = folder.join("locks").join(name);
        let (file, note) = LockFile::take(&path, &format!("wallet {}", lane.wallet), holder)?;
        Ok(Self { file, holder, mark: note.mark })
    }

    /// Refuses a database that is behind what it once marked.
    ///
    /// # Errors
    /// [`Refusal::OldCopy`].
    pub fn check(&self, database: &str, next_nonce: Nonce) -> Result<(), StoreError> {
        match &self.mark {
            Some(mark) if mark.database == database && mark.next_nonce > next_nonce => {
                Err(Refusal::OldCopy { marked: mark.next_nonce, found: next_nonce }.into())
            }
            Some(_) | None => Ok(()),
        }
    }

    /// How far this database had bound nonces once; 0 if nothing is known of it.
    pub fn marked(&self, database: &str) -> Nonce {
        let mark = self.mark.as_ref().filter(|mark| mark.database == database);
        mark.map_or(Nonce(0), |mark| mark.next_nonce)
    }

    /// Marks how far `mark.database` has bound nonces, synced; never less far than before.
    ///
    /// # Errors
    /// [`StoreError::Io`], [`StoreError::Full`].
    pub fn set_mark(&mut self, mark: Mark) -> Result<(), StoreError> {
        let next_nonce = mark.next_nonce.max(self.marked(&mark.database));
        let mark = Mark { next_nonce, ..mark };
        let note = Note { holder: self.holder, mark: Some(mark) };
        self.file.write(&note)?;
        self.mark = note.mark;
        Ok(())
    }
}

/// A locked file; the lock ends when the file is closed.
#[derive(Debug)]
struct LockFile {
    file: File,
    path: PathBuf,
}

impl LockFile {
    fn take(path: &Path, what: &str, holder: Holder) -> Result<(Self, Note), StoreError> {
        if let Some(folder) = path.parent() {
            private_folder(folder)?;
        }
        let mut locked = Self { file: private_file(path)?, path: path.into() };
        let taken = locked.file.try_lock();
        // A file that was cut short by a crash says nothing, and the lock holds all the same.
        let mut text = String::new();
        let read = locked.file.read_to_string(&mut text);
        let mut note: Note = match read {
            Ok(_) => serde_json::from_str(&text).unwrap_or_default(),
            Err(_) => Note::default(),
        };
        match taken {
            Ok(()) => {
                note.holder = holder;
                locked.write(&note)?;
                Ok((locked, note))
            }
            Err(TryLockError::WouldBlock) => {
                Err(StoreError::Locked { what: what.into(), holder: note.holder })
            }
            Err(TryLockError::Error(source)) => Err(io_error(path)(source)),
        }
    }

    /// Replaces what the file says, in place: it is the file that is locked, not its name.
    fn write(&mut self, note: &Note) -> Result<(), StoreError> {
        let text = serde_json::to_vec(note).expect("a note is plain data");
        let mut write = || {
            self.file.seek(SeekFrom::Start(0))?;
            self.file.write_all(&text)?;
            self.file.set_len(text.len() as u64)?;
            self.file.sync_all()
        };
        write().map_err(io_error(&self.path))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloy::primitives::{Address, B256};

    fn holder() -> Holder {
        Holder::this_process(Timestamp::from_millis(1_700_000_000_000))
    }

    fn lane() -> LaneKey {
        LaneKey { chain_id: 31337, genesis: B256::repeat_byte(1), wallet: Address::repeat_byte(2) }
    }

    #[test]
    fn a_run_has_one_writer_and_the_second_learns_who() {
        let home = tempfile::tempdir().unwrap();
        let folder = StateFolder::open(&home.path().join(".ogflow")).unwrap();
        let run = RunId::from_random(7);
        let first = RunLock::take(&folder, &run, holder()).unwrap();
        let error = RunLock::take(&folder, &run, holder()).unwrap_err();
        let StoreError::Locked { what, holder: found } = &error else { panic!("{error:?}") };
        assert_eq!((what.as_str(), *found), ("run r-70000000", holder()));
        assert!(error.to_string().contains("since 2023-11-14 22:13:20 UTC"), "{error}");

        let other = RunLock::take(&folder, &RunId::from_random(8), holder());
        assert!(other.is_ok());
        drop(first);
        assert!(RunLock::take(&folder, &run, holder()).is_ok());
    }

    #[test]
    fn whether_a_run_is_written_can_be_asked_without_taking_it() {
        let home = tempfile::tempdir().unwrap();
        let folder = StateFolder::open(&home.path().join(".ogflow")).unwrap();
        let run = RunId::from_random(7);
        assert!(!RunLock::is_held(&folder, &run).unwrap());
        let lock = RunLock::take(&folder, &run, holder()).unwrap();
        assert!(RunLock::is_held(&folder, &run).unwrap());
        drop(lock);
        assert!(!RunLock::is_held(&folder, &run).unwrap());
    }

    #[test]
    fn a_wallet_has_one_publisher_on_each_chain() {
        let home = tempfile::tempdir().unwrap();
        let _first = WalletLock::take(home.path(), &lane(), holder()).unwrap();
        let again = WalletLock::take(home.path(), &lane(), holder());
        assert!(matches!(again, Err(StoreError::Locked { .. })));
        let reset = LaneKey { genesis: B256::repeat_byte(9), ..lane() };
        assert!(WalletLock::take(home.path(), &reset, holder()).is_ok());
    }

    #[test]
    fn a_database_behind_its_own_mark_is_refused() {
        let home = tempfile::tempdir().unwrap();
        let mut lock = WalletLock::take(home.path(), &lane(), holder()).unwrap();
        lock.check("db", Nonce(0)).unwrap();
        lock.set_mark(Mark { database: "db".into(), next_nonce: Nonce(64) }).unwrap();
        drop(lock);

        let lock = WalletLock::take(home.path(), &lane(), holder()).unwrap();
        lock.check("db", Nonce(64)).unwrap();
        lock.check("another project's", Nonce(3)).unwrap();
        let refused = lock.check("db", Nonce(63));
        assert!(matches!(refused, Err(StoreError::Refused(Refusal::OldCopy { .. }))));
        // What is known of a database is not forgotten by less.
        let mut lock = lock;
        lock.set_mark(Mark { database: "db".into(), next_nonce: Nonce(9) }).unwrap();
        assert_eq!((lock.marked("db"), lock.marked("another's")), (Nonce(64), Nonce(0)));
    }

    #[test]
    fn a_lock_file_that_was_cut_short_still_locks() {
        let home = tempfile::tempdir().unwrap();
        drop(WalletLock::take(home.path(), &lane(), holder()).unwrap());
        let file = std::fs::read_dir(home.path().join("locks")).unwrap().next().unwrap().unwrap();
        std::fs::write(file.path(), b"{\"holder\":{\"pi\xff").unwrap();
        let _held = WalletLock::take(home.path(), &lane(), holder()).unwrap();
        assert!(WalletLock::take(home.path(), &lane(), holder()).is_err());
    }
}
