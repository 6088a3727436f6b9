//! What a disk can do to a database: bits, pages, ends that are missing.

use std::fs;
use std::path::{Path, PathBuf};

use super::chance::Chance;

/// The bytes of SQLite's pages, which is the default of our databases.
const PAGE: usize = 4096;
/// The bytes before a page in the write-ahead log.
const FRAME_HEAD: usize = 24;
/// The bytes before the first of them.
const WAL_HEAD: usize = 32;

/// A database with its write-ahead log, as bytes.
#[derive(Clone, Debug)]
pub(crate) struct Copy {
    database: Vec<u8>,
    wal: Vec<u8>,
}

fn wal_of(state: &Path) -> PathBuf {
    state.join("ogflow.db-wal")
}

impl Copy {
    /// Copies what is in a state folder; nobody may be writing it.
    pub(crate) fn of(state: &Path) -> Self {
        let wal = fs::read(wal_of(state)).unwrap_or_default();
        Self { database: fs::read(state.join("ogflow.db")).unwrap(), wal }
    }

    /// Puts it into a state folder, in place of what is there.
    pub(crate) fn put(&self, state: &Path) {
        use std::os::unix::fs::PermissionsExt;
        drop(fs::remove_file(state.join("ogflow.db-shm")));
        for (path, bytes) in [(state.join("ogflow.db"), &self.database), (wal_of(state), &self.wal)]
        {
            fs::write(&path, bytes).unwrap();
            fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        }
    }

    /// How many commits the log holds.
    pub(crate) fn commits(&self) -> usize {
        self.ends().len()
    }

    /// The same without the last so many commits of the log: as it was that long ago.
    pub(crate) fn without_commits(&self, last: usize) -> Self {
        let ends = self.ends();
        let kept = ends.len().saturating_sub(last);
        let end = kept.checked_sub(1).map_or(WAL_HEAD.min(self.wal.len()), |at| ends[at]);
        Self { database: self.database.clone(), wal: self.wal[..end].to_vec() }
    }

    /// Where each commit of the log ends: after a frame that says how large the database is.
    fn ends(&self) -> Vec<usize> {
        let frame = FRAME_HEAD + PAGE;
        let frames = self.wal.get(WAL_HEAD..).unwrap_or_default().chunks_exact(frame);
        let commits = frames.enumerate().filter(|(_, frame)| frame[4..8] != [0; 4]);
        commits.map(|(at, _)| WAL_HEAD + (at + 1) * (FRAME_HEAD + PAGE)).collect()
    }

    /// Damages one of the two files, and says how.
    pub(crate) fn damage(&mut self, chance: &mut Chance) -> String {
        let in_wal = !self.wal.is_empty() && chance.hits(50);
        let (name, file) =
            if in_wal { ("log", &mut self.wal) } else { ("database", &mut self.database) };
        let page = |chance: &mut Chance, len: usize| {
            let at = chance.place(len.div_ceil(PAGE)) * PAGE;
            at..(at + PAGE).min(len)
        };
        let how = match chance.among(0..=4) {
            0 | 1 => {
                let bits = chance.among(1..=64);
                for _ in 0..bits {
                    let at = chance.place(file.len());
                    file[at] ^= 1 << chance.place(8);
                }
                format!("{bits} bits flipped")
            }
            2 => {
                let pages = chance.among(1..=4);
                for _ in 0..pages {
                    let at = page(chance, file.len());
                    file[at].fill(0);
                }
                format!("{pages} pages zeroed")
            }
            3 => {
                let (from, to) = (page(chance, file.len()), page(chance, file.len()));
                let len = from.len().min(to.len());
                file.copy_within(from.start..from.start + len, to.start);
                format!("page at {} copied to {}", from.start, to.start)
            }
            _ => {
                let len = chance.place(file.len());
                file.truncate(len);
                format!("cut to {len} bytes")
            }
        };
        format!("{name}: {how}")
    }
}
