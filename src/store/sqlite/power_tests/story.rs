//! A writer that loses its power, again and again, and what must be there afterwards.

use std::collections::BTreeMap;

use alloy::primitives::Bytes;
use rusqlite::{Connection, OpenFlags};

use super::super::super::fixture::{header, proves, run};
use super::super::super::guards::SlotState;
use super::super::super::read::uint;
use super::super::super::{Appended, Batch, Journal, LaneKey, Refusal, StoreError};
use super::super::{CHECKPOINT_EVERY, SqliteJournal};
use super::books::Books;
use super::disk::{Damage, Dice, Disk, Failure, Fuse, Honesty};
use super::turns::{Plan, Turns};
use super::vfs::Drive;
use crate::engine::Event;
use crate::units::cid::sha256;
use crate::units::{SignedTx, Timestamp};

/// The conditions of a story.
#[derive(Clone, Copy, Debug)]
pub(super) struct Setting {
    pub(super) honesty: Honesty,
    /// What is set after the journal was opened, for stories that must go wrong.
    pub(super) pragma: &'static str,
    /// Whether the power ever goes.
    pub(super) losses: bool,
    /// How the disk fails, in each life but the last.
    pub(super) fails: Option<Fuse>,
}

/// What the journal forgot or made up.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Wrong {
    /// A version that the network may have is not there byte for byte: it could be paid twice.
    Left { nonce: u64, seq: u16 },
    /// Groups that returned are not there.
    Forgotten { there: usize, returned: usize },
    /// Events are not those that were appended, or end inside a group.
    Torn(String),
    /// The guards say something else than the events.
    Guards(String),
    /// The power was there, and the journal did not open, read or take what it must.
    Refused(String),
}

/// Why a life ended early.
enum Stop {
    /// Nothing works any more; that is not the journal's fault.
    PowerGone,
    Wrong(Wrong),
}

impl From<Wrong> for Stop {
    fn from(wrong: Wrong) -> Self {
        Self::Wrong(wrong)
    }
}

/// What stories did, for the report of a test.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Counts {
    pub(super) losses: u64,
    /// Losses before the journal took a group again.
    pub(super) in_recovery: u64,
    pub(super) kills: u64,
    /// Calls to the disk that failed.
    pub(super) failures: u64,
    pub(super) groups: u64,
    pub(super) left: u64,
    pub(super) damage: Damage,
}

impl Counts {
    pub(super) const fn add(&mut self, other: &Self) {
        self.losses += other.losses;
        self.in_recovery += other.in_recovery;
        self.kills += other.kills;
        self.failures += other.failures;
        self.groups += other.groups;
        self.left += other.left;
        self.damage.pending += other.damage.pending;
        self.damage.dropped += other.damage.dropped;
        self.damage.torn += other.damage.torn;
        self.damage.names += other.damage.names;
    }
}

/// A group that was handed to the journal.
#[derive(Debug)]
struct Group {
    events: Vec<Event>,
    /// Whether it must survive whatever comes.
    promised: bool,
}

/// The writer and the network.
pub(super) struct Story<'a> {
    drive: &'a Drive,
    setting: Setting,
    dice: Dice,
    turns: Turns,
    groups: Vec<Group>,
    books: Books,
    /// Whether the last life ended by a loss of power.
    after_loss: bool,
    /// Versions that the journal called durable, so the network may have them.
    left: BTreeMap<(u64, u16), SignedTx>,
    counts: Counts,
}

/// Tells the story of a seed: a few lives of a writer on one disk.
pub(super) fn tell(drive: &Drive, setting: Setting, seed: u64) -> Result<Counts, Wrong> {
    *drive.disk() = Disk::new(seed, setting.honesty);
    let mut story = Story {
        drive,
        setting,
        dice: Dice::new(seed),
        turns: Turns::new(seed),
        groups: Vec::new(),
        books: Books::default(),
        after_loss: false,
        left: BTreeMap::new(),
        counts: Counts::default(),
    };
    for _ in 0..2 + story.dice.below(4) {
        let fuse = story.fuse();
        let groups = story.dice.below(20);
        story.drive.disk().arm(fuse);
        story.live(groups)?;
        story.end_of_life();
    }
    // The last life is quiet: what is there can be read, and goes on.
    story.live(2)?;
    let damage = story.drive.disk().damage;
    Ok(Counts { left: story.left.len() as u64, damage, ..story.counts })
}

impl Story<'_> {
    fn fuse(&mut self) -> Fuse {
        if let Some(fuse) = self.setting.fails {
            return fuse;
        }
        if !self.setting.losses {
            return Fuse::Never;
        }
        match self.dice.below(6) {
            0 => Fuse::Changes(self.dice.below(40)),
            1 | 2 => Fuse::Changes(self.dice.below(400)),
            3 => Fuse::Syncs(self.dice.below(8)),
            4 => Fuse::Syncs(self.dice.below(30)),
            _ => Fuse::Never,
        }
    }

    /// A loss of power for the most part, else a kill; after a quiet end, too.
    fn end_of_life(&mut self) {
        self.counts.failures += u64::from(self.drive.disk().failed().is_some());
        self.after_loss = self.setting.losses && self.dice.chance(850);
        if self.after_loss {
            self.drive.disk().power_loss();
            self.counts.losses += 1;
        } else {
            self.drive.disk().revive();
            self.counts.kills += 1;
        }
    }

    /// One process: it opens the journal, looks at it, and appends groups until it stops.
    fn live(&mut self, groups: u64) -> Result<(), Wrong> {
        let before = self.counts.groups;
        let lived = self.try_live(groups);
        self.counts.in_recovery += u64::from(self.counts.groups == before);
        match lived {
            Ok(()) | Err(Stop::PowerGone) => Ok(()),
            Err(Stop::Wrong(wrong)) => Err(wrong),
        }
    }

    fn try_live(&mut self, groups: u64) -> Result<(), Stop> {
        let opened = self.open();
        let mut journal = self.powered(opened)?;
        self.check(&journal)?;
        self.take_lane(&mut journal)?;
        for _ in 0..groups {
            let plan = self.turns.plan(&self.books);
            if self.dice.chance(150) {
                journal.since_checkpoint = CHECKPOINT_EVERY - 1;
            }
            self.append(&mut journal, plan)?;
        }
        if self.dice.chance(700) {
            // It ends here and now; otherwise the journal is closed while the power lasts.
            self.drive.disk().die();
        }
        Ok(())
    }

    fn open(&self) -> Result<SqliteJournal, StoreError> {
        let path = "/power/ogflow.db";
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE
            | OpenFlags::SQLITE_OPEN_CREATE
            | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let conn = Connection::open_with_flags_and_vfs(path, flags, self.drive.name);
        let sql = super::super::sql_error(path.as_ref());
        let journal = SqliteJournal::on(conn.map_err(&sql)?, path.into(), proves)?;
        journal.conn.execute_batch(self.setting.pragma).map_err(&sql)?;
        Ok(journal)
    }

    /// An error is nobody's fault when the power is gone or the disk has failed.
    fn powered<T, E: std::fmt::Debug>(&self, result: Result<T, E>) -> Result<T, Stop> {
        result.map_err(|error| {
            let disk = self.drive.disk();
            if disk.is_dead() || disk.failed().is_some() {
                Stop::PowerGone
            } else {
                Wrong::Refused(format!("{error:?}")).into()
            }
        })
    }

    /// Compares what is there with what was promised, and goes on from what is there.
    fn check(&mut self, journal: &SqliteJournal) -> Result<(), Stop> {
        self.check_versions(journal)?;
        let events = self.powered(events(journal))?;
        let there = self.whole_groups(&events)?;
        let returned = self.groups.iter().rposition(|group| group.promised).map_or(0, |at| at + 1);
        if there < returned {
            return Err(Wrong::Forgotten { there, returned }.into());
        }
        self.groups.truncate(there);
        if self.after_loss {
            // What came back from the medium is on the medium.
            self.groups.iter_mut().for_each(|group| group.promised = true);
        }
        let books = Books::of(events.iter());
        if there > 0 {
            let compared = self.powered(books.compare(&journal.conn))?;
            compared.map_err(Wrong::Guards)?;
        }
        self.books = books;
        Ok(())
    }

    /// How many groups of those that were appended these events are.
    fn whole_groups(&self, events: &[Event]) -> Result<usize, Wrong> {
        let mut rest = events;
        for (there, group) in self.groups.iter().enumerate() {
            if rest.is_empty() {
                return Ok(there);
            }
            let Some(after) = rest.strip_prefix(&group.events[..]) else {
                return Err(Wrong::Torn(format!("group {there} is there as {rest:?}")));
            };
            rest = after;
        }
        if rest.is_empty() {
            return Ok(self.groups.len());
        }
        Err(Wrong::Torn(format!("nobody appended {rest:?}")))
    }

    /// Every version that left is there byte for byte, and none that nobody made.
    fn check_versions(&self, journal: &SqliteJournal) -> Result<(), Stop> {
        let rows = self.powered(versions(&journal.conn))?;
        for (key, tx) in &self.left {
            if rows.get(key) != Some(&tx.raw) {
                return Err(Wrong::Left { nonce: key.0, seq: key.1 }.into());
            }
        }
        for (key, raw) in &rows {
            let made = self.turns.made.get(&sha256(raw));
            if made.map(|tx| (tx.slot.nonce.0, tx.seq.0)) != Some(*key) {
                return Err(Wrong::Guards(format!("nobody signed version {key:?}")).into());
            }
        }
        Ok(())
    }

    /// The first group of a life; every version of every open slot comes back with it.
    fn take_lane(&mut self, journal: &mut SqliteJournal) -> Result<(), Stop> {
        let key = LaneKey::of(&header(&run(1)));
        let lane = self.powered(journal.lane(&key, &run(1)))?;
        let epoch = self.books.epoch;
        if (lane.epoch, lane.next_nonce.0) != (epoch, self.books.next_nonce()) {
            return Err(Wrong::Guards(format!("{lane:?}")).into());
        }
        let mut plan = Plan::on(&self.books);
        plan.add(if self.groups.is_empty() {
            Event::RunStarted(Box::new(header(&run(1))))
        } else {
            Event::RunResumed { epoch: epoch + 1, cap: None }
        });
        let appended = self.append(journal, plan)?;
        let back: BTreeMap<_, _> = appended.durable.iter().map(|tx| place(tx.get())).collect();
        for (key, tx) in &self.left {
            let open = matches!(self.books.slots[&key.0].state, SlotState::Open | SlotState::Mined);
            if open && back.get(key) != Some(&tx.raw) {
                return Err(Wrong::Left { nonce: key.0, seq: key.1 }.into());
            }
        }
        Ok(())
    }

    /// Appends a group. What it makes durable leaves for the network at once.
    fn append(&mut self, journal: &mut SqliteJournal, plan: Plan) -> Result<Appended, Stop> {
        let first_seq = self.groups.iter().map(|group| group.events.len() as u64).sum();
        self.groups.push(Group { events: plan.events, promised: false });
        let group = self.groups.last_mut().expect("it was pushed");
        let batch = Batch {
            run: &run(1),
            epoch: plan.books.epoch,
            first_seq,
            at: Timestamp::from_millis(2_000 + first_seq),
            events: &group.events,
            signed: &plan.signed,
            outputs: &plan.outputs,
            summary: (first_seq % 3 == 0).then_some("{}"),
        };
        let mut appended = journal.append(&batch);
        let failed = self.drive.disk().failed();
        if let (Err(error), Some(failure)) = (&appended, failed) {
            // A full disk takes the group when there is room; a broken one is never asked again.
            let full = matches!(error, StoreError::Full { .. });
            let said = format!("{failure:?}: {error:?}");
            appended = journal.append(&batch);
            match (&appended, failure) {
                (Err(StoreError::Poisoned { .. }), _) if !full => {}
                (Ok(_), Failure::Full) if full => {}
                (again, _) => {
                    let taken = again.is_ok();
                    return Err(Wrong::Refused(format!("{said}, then taken: {taken}")).into());
                }
            }
        }
        group.promised = appended.is_ok();
        let appended = self.powered(appended)?;
        for tx in appended.durable.iter().map(super::super::Durable::get) {
            self.left.insert((tx.slot.nonce.0, tx.seq.0), tx.clone());
        }
        self.books = plan.books;
        self.counts.groups += 1;
        Ok(appended)
    }
}

fn place(tx: &SignedTx) -> ((u64, u16), Bytes) {
    ((tx.slot.nonce.0, tx.seq.0), tx.raw.clone())
}

/// The run's events; none if nobody has started it.
fn events(journal: &SqliteJournal) -> Result<Vec<Event>, StoreError> {
    match journal.load(&run(1)) {
        Ok(loaded) => loaded.events.map(|event| Ok(event?.event)).collect(),
        Err(StoreError::Refused(Refusal::UnknownRun { .. })) => Ok(Vec::new()),
        Err(error) => Err(error),
    }
}

fn versions(conn: &Connection) -> rusqlite::Result<BTreeMap<(u64, u16), Bytes>> {
    let mut statement = conn.prepare("SELECT nonce, seq, raw FROM signed")?;
    let row = |row: &rusqlite::Row<'_>| {
        Ok(((uint(row.get(0)?), row.get(1)?), Bytes::from(row.get::<_, Vec<u8>>(2)?)))
    };
    statement.query_map([], row)?.collect()
}
