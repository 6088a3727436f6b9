//! The disk as SQLite sees it.

use std::io;
use std::ops::Range;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use sqlite_vfs::{DatabaseHandle, LockKind, OpenAccess, OpenKind, OpenOptions, Vfs, wip};

use super::disk::{Disk, Honesty, Scope};

/// The disk of one test, under a name that SQLite knows.
#[derive(Clone, Debug)]
pub(super) struct Drive {
    pub(super) name: &'static str,
    disk: Arc<Mutex<Disk>>,
}

impl Drive {
    /// A file system of this name. It stays for as long as the process does: one for each test.
    pub(super) fn new(name: &'static str) -> Self {
        let drive = Self { name, disk: Arc::new(Mutex::new(Disk::new(0, Honesty::Honest))) };
        sqlite_vfs::register(name, drive.clone(), false).unwrap();
        drive
    }

    pub(super) fn disk(&self) -> MutexGuard<'_, Disk> {
        self.disk.lock().unwrap()
    }
}

/// An open file.
#[derive(Debug)]
pub(super) struct Handle {
    drive: Drive,
    file: u64,
    lock: LockKind,
    /// What its next sync is of: the first one of a log or a journal syncs the folder too, as
    /// SQLite does on Unix.
    scope: Scope,
}

impl Vfs for Drive {
    type Handle = Handle;

    fn open(&self, name: &str, options: OpenOptions) -> io::Result<Handle> {
        let create = matches!(options.access, OpenAccess::Create | OpenAccess::CreateNew);
        let scope = match options.kind {
            OpenKind::Wal | OpenKind::MainJournal | OpenKind::SuperJournal => Scope::LogAndFolder,
            OpenKind::MainDb
            | OpenKind::TempDb
            | OpenKind::TempJournal
            | OpenKind::TransientDb
            | OpenKind::SubJournal => Scope::Database,
        };
        let file = self.disk().open(name, create)?;
        Ok(Handle { drive: self.clone(), file, lock: LockKind::None, scope })
    }

    fn delete(&self, name: &str) -> io::Result<()> {
        self.disk().remove(name)
    }

    fn exists(&self, name: &str) -> io::Result<bool> {
        self.disk().exists(name)
    }

    fn temporary_name(&self) -> String {
        self.disk().unused_name()
    }

    fn random(&self, buffer: &mut [i8]) {
        buffer.fill(7);
    }

    fn sleep(&self, duration: Duration) -> Duration {
        duration
    }
}

fn place(number: u64) -> usize {
    usize::try_from(number).unwrap()
}

impl DatabaseHandle for Handle {
    type WalIndex = Index;

    fn size(&self) -> io::Result<u64> {
        Ok(self.drive.disk().len(self.file)? as u64)
    }

    fn read_exact_at(&mut self, buf: &mut [u8], offset: u64) -> io::Result<()> {
        self.drive.disk().read(self.file, place(offset), buf)
    }

    fn write_all_at(&mut self, buf: &[u8], offset: u64) -> io::Result<()> {
        self.drive.disk().write(self.file, place(offset), buf)
    }

    fn sync(&mut self, _data_only: bool) -> io::Result<()> {
        self.drive.disk().sync(self.file, self.scope)?;
        if self.scope == Scope::LogAndFolder {
            self.scope = Scope::Log;
        }
        Ok(())
    }

    fn set_len(&mut self, size: u64) -> io::Result<()> {
        self.drive.disk().resize(self.file, place(size))
    }

    fn lock(&mut self, lock: LockKind) -> io::Result<bool> {
        self.lock = lock;
        Ok(true)
    }

    fn reserved(&mut self) -> io::Result<bool> {
        Ok(matches!(self.lock, LockKind::Reserved | LockKind::Pending | LockKind::Exclusive))
    }

    fn current_lock(&self) -> io::Result<LockKind> {
        Ok(self.lock)
    }

    fn wal_index(&self, _readonly: bool) -> io::Result<Index> {
        Ok(Index)
    }
}

/// The index of the log: shared memory that nobody shares and that no crash leaves behind.
#[derive(Debug)]
pub(super) struct Index;

impl wip::WalIndex for Index {
    fn map(&mut self, _region: u32) -> io::Result<[u8; 32768]> {
        Ok([0; 32768])
    }

    fn lock(&mut self, _locks: Range<u8>, _lock: wip::WalIndexLock) -> io::Result<bool> {
        Ok(true)
    }

    fn delete(self) -> io::Result<()> {
        Ok(())
    }
}
