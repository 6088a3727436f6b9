//! A disk that keeps what was synced, and may lose, tear and reorder everything else.
//!
//! A file has two contents: what the process reads back, and what the medium holds. A sync of the
//! file makes them equal. At a power loss each change since then survives whole, in sectors or not
//! at all. A name that was made or removed is as uncertain until its folder is synced.

use std::collections::BTreeMap;
use std::io;

/// The smallest part of a write that reaches the medium whole, in bytes.
const SECTOR: usize = 512;

/// Chance from a seed, one draw after the other (`SplitMix64`).
#[derive(Clone, Debug)]
pub(super) struct Dice(u64);

impl Dice {
    pub(super) const fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15))
    }

    const fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number below this one.
    pub(super) const fn below(&mut self, limit: u64) -> u64 {
        self.next() % limit
    }

    /// Yes, in so many of a thousand cases.
    pub(super) const fn chance(&mut self, permille: u64) -> bool {
        self.below(1000) < permille
    }

    /// One of these.
    pub(super) fn pick<T: Copy>(&mut self, of: &[T]) -> T {
        let place = self.below(of.len() as u64);
        of[usize::try_from(place).unwrap()]
    }
}

/// When the power goes, if it does so in the middle of something.
#[derive(Clone, Copy, Debug)]
pub(super) enum Fuse {
    /// Not at all.
    Never,
    /// At the change after so many.
    Changes(u64),
    /// At the sync after so many: it was asked for and did not happen.
    Syncs(u64),
    /// The power stays; the change after so many fails.
    FailedChange(u64, Failure),
    /// The power stays; the sync after so many fails.
    FailedSync(u64),
}

/// How a disk fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Failure {
    /// It is broken: EIO, EROFS.
    Broken,
    /// It is full: ENOSPC.
    Full,
}

/// What a disk does that it should not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Honesty {
    /// A sync makes durable.
    Honest,
    /// A sync does nothing.
    NoSync,
    /// A sync of the database does nothing; one of its logs does.
    NoDatabaseSync,
    /// A sync of the folder does nothing.
    NoFolderSync,
}

/// What a sync is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Scope {
    /// The database.
    Database,
    /// A log or a journal.
    Log,
    /// The same and every name in its folder.
    LogAndFolder,
}

/// A change of a file since its last sync.
#[derive(Clone, Debug)]
enum Change {
    Write { at: usize, data: Vec<u8> },
    Resize(usize),
}

impl Change {
    fn apply(&self, content: &mut Vec<u8>) {
        match self {
            Self::Write { at, data } => {
                let end = at + data.len();
                if content.len() < end {
                    content.resize(end, 0);
                }
                content[*at..end].copy_from_slice(data);
            }
            Self::Resize(len) => content.resize(*len, 0),
        }
    }

    /// A write in parts that end where sectors do.
    fn sectors(self) -> Vec<Self> {
        let Self::Write { mut at, data } = self else { return vec![self] };
        let mut rest = &data[..];
        let mut parts = Vec::new();
        while !rest.is_empty() {
            let (part, after) = rest.split_at(rest.len().min(SECTOR - at % SECTOR));
            parts.push(Self::Write { at, data: part.to_vec() });
            at += part.len();
            rest = after;
        }
        parts
    }
}

#[derive(Debug, Default)]
struct Content {
    /// What the process reads.
    seen: Vec<u8>,
    /// What the medium holds.
    durable: Vec<u8>,
    /// What makes the one the other, in order.
    pending: Vec<Change>,
}

/// What power losses did, for the report of a test.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Damage {
    /// Changes that were not synced when the power went.
    pub(super) pending: u64,
    /// Of these, the ones that were lost.
    pub(super) dropped: u64,
    /// Of these, the ones that survived in part.
    pub(super) torn: u64,
    /// Names that came back or never came to be.
    pub(super) names: u64,
}

/// The disk.
#[derive(Debug)]
pub(super) struct Disk {
    dice: Dice,
    honesty: Honesty,
    fuse: Fuse,
    dead: bool,
    failed: Option<Failure>,
    contents: BTreeMap<u64, Content>,
    names: BTreeMap<String, u64>,
    durable_names: BTreeMap<String, u64>,
    /// What became of names since the folder was synced, in order.
    renamed: Vec<(String, Option<u64>)>,
    next: u64,
    pub(super) damage: Damage,
}

impl Disk {
    pub(super) fn new(seed: u64, honesty: Honesty) -> Self {
        Self {
            dice: Dice::new(!seed),
            honesty,
            fuse: Fuse::Never,
            dead: false,
            failed: None,
            contents: BTreeMap::new(),
            names: BTreeMap::new(),
            durable_names: BTreeMap::new(),
            renamed: Vec::new(),
            next: 0,
            damage: Damage::default(),
        }
    }

    /// From now on the power goes when the fuse says so.
    pub(super) const fn arm(&mut self, fuse: Fuse) {
        self.fuse = fuse;
    }

    /// Whether nothing works until [`Disk::power_loss`] or [`Disk::revive`].
    pub(super) const fn is_dead(&self) -> bool {
        self.dead
    }

    /// How something has failed since the fuse was set, if it has.
    pub(super) const fn failed(&self) -> Option<Failure> {
        self.failed
    }

    /// From here on nothing works.
    pub(super) const fn die(&mut self) {
        self.dead = true;
    }

    /// The process was killed, the machine was not: all that it wrote is there, synced or not.
    pub(super) const fn revive(&mut self) {
        (self.dead, self.fuse, self.failed) = (false, Fuse::Never, None);
    }

    /// The machine starts again with what its medium holds.
    pub(super) fn power_loss(&mut self) {
        self.revive();
        let mut contents = std::mem::take(&mut self.contents);
        for content in contents.values_mut() {
            let pending = std::mem::take(&mut content.pending);
            for change in self.survivors(pending) {
                change.apply(&mut content.durable);
            }
            content.seen.clone_from(&content.durable);
        }
        self.contents = contents;
        self.lose_names();
    }

    /// What reaches the medium of changes that were never synced, in the order in which it does.
    fn survivors(&mut self, pending: Vec<Change>) -> Vec<Change> {
        let keep = self.dice.pick(&[0, 100, 500, 900, 1000]);
        let tear = self.dice.pick(&[0, 100, 700]);
        let reorder = self.dice.chance(500);
        let mut kept = Vec::new();
        for change in pending {
            self.damage.pending += 1;
            if self.dice.chance(tear) {
                let parts = change.sectors();
                let (all, before) = (parts.len(), kept.len());
                kept.extend(parts.into_iter().filter(|_| self.dice.chance(500)));
                match kept.len() - before {
                    0 => self.damage.dropped += 1,
                    some if some < all => self.damage.torn += 1,
                    _ => {}
                }
            } else if self.dice.chance(keep) {
                kept.push(change);
            } else {
                self.damage.dropped += 1;
            }
        }
        for last in (1..if reorder { kept.len() } else { 0 }).rev() {
            let other = self.dice.below(last as u64 + 1);
            kept.swap(last, usize::try_from(other).unwrap());
        }
        kept
    }

    /// Of each name, some first part of what became of it is so.
    fn lose_names(&mut self) {
        let mut histories: BTreeMap<String, Vec<Option<u64>>> = BTreeMap::new();
        for (name, file) in std::mem::take(&mut self.renamed) {
            histories.entry(name).or_default().push(file);
        }
        for (name, history) in histories {
            let survived = self.dice.below(history.len() as u64 + 1);
            self.damage.names += u64::from(survived < history.len() as u64);
            let last = usize::try_from(survived).unwrap().checked_sub(1);
            match last.map(|last| history[last]) {
                Some(Some(file)) => drop(self.durable_names.insert(name, file)),
                Some(None) => drop(self.durable_names.remove(&name)),
                None => {}
            }
        }
        self.names.clone_from(&self.durable_names);
        let names = &self.names;
        self.contents.retain(|file, _| names.values().any(|named| named == file));
    }

    /// Opens a file; makes it if `create` says so.
    pub(super) fn open(&mut self, name: &str, create: bool) -> io::Result<u64> {
        self.alive()?;
        if let Some(file) = self.names.get(name) {
            return Ok(*file);
        }
        if !create {
            return Err(io::ErrorKind::NotFound.into());
        }
        self.burn()?;
        let file = self.next;
        self.next += 1;
        self.contents.insert(file, Content::default());
        self.rename(name, Some(file));
        Ok(file)
    }

    /// A name that no file has.
    pub(super) fn unused_name(&self) -> String {
        format!("/power/temporary-{}", self.next)
    }

    pub(super) fn remove(&mut self, name: &str) -> io::Result<()> {
        self.alive()?;
        if !self.names.contains_key(name) {
            return Err(io::ErrorKind::NotFound.into());
        }
        self.burn()?;
        self.rename(name, None);
        Ok(())
    }

    fn rename(&mut self, name: &str, file: Option<u64>) {
        match file {
            Some(file) => drop(self.names.insert(name.into(), file)),
            None => drop(self.names.remove(name)),
        }
        self.renamed.push((name.into(), file));
    }

    pub(super) fn exists(&self, name: &str) -> io::Result<bool> {
        self.alive()?;
        Ok(self.names.contains_key(name))
    }

    pub(super) fn len(&self, file: u64) -> io::Result<usize> {
        self.alive()?;
        Ok(self.contents[&file].seen.len())
    }

    /// Fills `buf`; where the file ends before, the rest is zeros and the error says so.
    pub(super) fn read(&self, file: u64, at: usize, buf: &mut [u8]) -> io::Result<()> {
        self.alive()?;
        let seen = &self.contents[&file].seen;
        let there = seen.get(at..seen.len().min(at + buf.len())).unwrap_or_default();
        buf[..there.len()].copy_from_slice(there);
        let missing = &mut buf[there.len()..];
        missing.fill(0);
        if missing.is_empty() { Ok(()) } else { Err(io::ErrorKind::UnexpectedEof.into()) }
    }

    pub(super) fn write(&mut self, file: u64, at: usize, data: &[u8]) -> io::Result<()> {
        self.change(file, Change::Write { at, data: data.to_vec() })
    }

    pub(super) fn resize(&mut self, file: u64, len: usize) -> io::Result<()> {
        self.change(file, Change::Resize(len))
    }

    /// The change at which the power goes may still have reached the medium.
    fn change(&mut self, file: u64, change: Change) -> io::Result<()> {
        self.alive()?;
        if let Fuse::FailedChange(left, failure) = &mut self.fuse {
            if *left == 0 {
                let failure = *failure;
                return self.fail(failure);
            }
            *left -= 1;
        }
        let burnt = self.burn();
        let content = self.contents.get_mut(&file).expect("an open file has a content");
        change.apply(&mut content.seen);
        content.pending.push(change);
        burnt
    }

    /// Makes a file durable, where the disk is honest.
    pub(super) fn sync(&mut self, file: u64, scope: Scope) -> io::Result<()> {
        self.alive()?;
        self.burn()?;
        if let Fuse::Syncs(left) = &mut self.fuse {
            if *left == 0 {
                self.dead = true;
                return self.alive();
            }
            *left -= 1;
        } else if let Fuse::FailedSync(left) = &mut self.fuse {
            if *left == 0 {
                return self.fail(Failure::Broken);
            }
            *left -= 1;
        }
        let (of_file, of_folder) = match (self.honesty, scope) {
            (Honesty::NoSync, _) | (Honesty::NoDatabaseSync, Scope::Database) => (false, false),
            (Honesty::NoFolderSync, _) | (_, Scope::Database | Scope::Log) => (true, false),
            (Honesty::Honest | Honesty::NoDatabaseSync, Scope::LogAndFolder) => (true, true),
        };
        if of_file {
            let content = self.contents.get_mut(&file).expect("an open file has a content");
            for change in content.pending.drain(..) {
                change.apply(&mut content.durable);
            }
        }
        if of_folder {
            self.durable_names.clone_from(&self.names);
            self.renamed.clear();
        }
        Ok(())
    }

    /// One call fails, and nothing of it happens; the next ones work.
    fn fail(&mut self, failure: Failure) -> io::Result<()> {
        (self.fuse, self.failed) = (Fuse::Never, Some(failure));
        Err(match failure {
            Failure::Broken => io::Error::other("the disk failed"),
            Failure::Full => io::ErrorKind::WriteZero.into(),
        })
    }

    fn alive(&self) -> io::Result<()> {
        if self.dead { Err(io::Error::other("the power is gone")) } else { Ok(()) }
    }

    fn burn(&mut self) -> io::Result<()> {
        if let Fuse::Changes(left) = &mut self.fuse {
            self.dead = *left == 0;
            *left = left.saturating_sub(1);
        }
        self.alive()
    }
}
