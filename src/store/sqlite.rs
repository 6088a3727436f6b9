//! The journal in one SQLite database.
//!
//! The settings are those of safety.md, section 3. A group of facts is one transaction that was
//! synced before `append` returns. After an input or output error of the database nothing more
//! is written: pages that were marked clean after a failed sync cannot be trusted.

mod apply;

use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::{Connection, OpenFlags, OptionalExtension, TransactionBehavior};

use crate::engine::Event;
use crate::units::{RunId, Timestamp};

use super::folder::{StateFolder, io_error, private_file};
use super::guards::{Change, changes, takes_lease};
use super::read::{self, Events, event_sum, int, sql_error};
use super::{
    Appended, Batch, Durable, Journal, LaneKey, LaneState, Loaded, Refusal, StoreError, Verify,
};

/// What a database of ours says it is: `ogfl` in ASCII.
const APPLICATION_ID: i64 = 0x6F67_666C;
/// The schema's version. A newer one is refused.
const SCHEMA: i64 = 1;
/// The smallest database that there is, in bytes: one page of the smallest size.
const SMALLEST: u64 = 512;
/// How long an append waits for another process that writes the same database.
const BUSY: Duration = Duration::from_secs(10);
/// Appends between two checkpoints.
const CHECKPOINT_EVERY: u32 = 50;
/// Statements that are kept compiled: all that an append needs.
const STATEMENTS: usize = 48;

/// The journal that people use: `.ogflow/ogflow.db`.
#[derive(Debug)]
pub struct SqliteJournal {
    conn: Connection,
    path: PathBuf,
    verify: Verify,
    poisoned: bool,
    since_checkpoint: u32,
}

impl SqliteJournal {
    /// Opens the journal of a state folder; makes it if there is none.
    ///
    /// # Errors
    /// [`StoreError::Format`] for a newer one, [`StoreError::Corrupt`] for something else,
    /// [`StoreError::Exposed`], [`StoreError::Io`], [`StoreError::Full`].
    pub fn open(folder: &StateFolder, verify: Verify) -> Result<Self, StoreError> {
        let path = folder.database();
        let len = private_file(&path)?.metadata().map_err(io_error(&path))?.len();
        if (1..SMALLEST).contains(&len) {
            // SQLite would take it for a new one and forget what it held.
            return Err(StoreError::Corrupt { path, what: "it was cut short" });
        }
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let conn = Connection::open_with_flags(&path, flags).map_err(sql_error(&path))?;
        Self::on(conn, path, verify)
    }

    /// The journal on a connection that nobody has used yet.
    fn on(conn: Connection, path: PathBuf, verify: Verify) -> Result<Self, StoreError> {
        configure(&conn, &path)?;
        make_schema(&conn, &path)?;
        conn.set_prepared_statement_cache_capacity(STATEMENTS);
        Ok(Self { conn, path, verify, poisoned: false, since_checkpoint: 0 })
    }

    /// The id that this database was given when it was made.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn database_id(&self) -> Result<String, StoreError> {
        let id = self.conn.query_row("SELECT id FROM origin", [], |row| row.get(0));
        id.map_err(sql_error(&self.path))
    }

    fn write(&mut self, batch: &Batch<'_>, rows: &Rows<'_>) -> Result<Appended, StoreError> {
        let sql = sql_error(&self.path);
        let tx =
            self.conn.transaction_with_behavior(TransactionBehavior::Immediate).map_err(&sql)?;
        let group = apply::Group { conn: &tx, path: &self.path, batch };
        let lease = takes_lease(batch.events);
        let run = group.run(&rows.changes)?;
        group.take_place(&run, lease)?;
        group.insert_events(&run, &rows.bodies).map_err(&sql)?;
        for change in &rows.changes {
            group.change(&run, change)?;
        }
        group.insert_outputs().map_err(&sql)?;
        let durable = if lease {
            self::open_bytes(&group, &run, self.verify)?
        } else {
            batch.signed.to_vec()
        };
        tx.commit().map_err(&sql)?;
        Ok(Appended {
            next_seq: batch.first_seq + batch.events.len() as u64,
            durable: durable.into_iter().map(Durable::new).collect(),
        })
    }

    /// Moves what was appended from the log into the database, without waiting for readers.
    ///
    /// Its failure changes nothing that was promised, but the disk is not to be trusted then.
    fn checkpoint(&mut self) {
        self.since_checkpoint += 1;
        if self.since_checkpoint < CHECKPOINT_EVERY {
            return;
        }
        self.since_checkpoint = 0;
        let done = self.conn.query_row("PRAGMA wal_checkpoint(PASSIVE)", [], |_| Ok(()));
        if let Err(error) = done {
            self.poisoned |= !matches!(sql_error(&self.path)(error), StoreError::Full { .. });
        }
    }
}

impl Journal for SqliteJournal {
    fn load(&self, run: &RunId) -> Result<Loaded<'_>, StoreError> {
        let key = read::find_run(&self.conn, run).map_err(sql_error(&self.path))?;
        let key = key.ok_or_else(|| Refusal::UnknownRun { run: run.clone() })?;
        let corrupt = |what| StoreError::Corrupt { path: self.path.clone(), what };
        let first = Events::open(&self.conn, &self.path, run, 0)?.next().transpose()?;
        let Some(Event::RunStarted(header)) = first.map(|first| first.event) else {
            return Err(corrupt("a run does not begin with its start"));
        };
        if LaneKey::of(&header) != key.key {
            return Err(corrupt("a run is not of its lane"));
        }
        let last = Events::open(&self.conn, &self.path, run, key.next_seq.saturating_sub(1))?;
        let last_at = last.last().transpose()?.map_or(Timestamp::default(), |last| last.at);
        let events = Events::open(&self.conn, &self.path, run, 0)?;
        Ok(Loaded {
            header,
            epoch: key.epoch,
            next_seq: key.next_seq,
            last_at,
            events: Box::new(events),
        })
    }

    fn lane(&self, lane: &LaneKey, run: &RunId) -> Result<LaneState, StoreError> {
        read::lane_state(&self.conn, &self.path, lane, run)
    }

    fn is_final(&self, lane: &LaneKey, nonce: crate::units::Nonce) -> Result<bool, StoreError> {
        read::is_final(&self.conn, lane, nonce).map_err(sql_error(&self.path))
    }

    fn append(&mut self, batch: &Batch<'_>) -> Result<Appended, StoreError> {
        if self.poisoned {
            return Err(StoreError::Poisoned { path: self.path.clone() });
        }
        let rows = Rows { changes: changes(batch)?, bodies: bodies(batch) };
        let appended = self.write(batch, &rows);
        match &appended {
            Ok(_) => self.checkpoint(),
            Err(StoreError::Refused(_) | StoreError::Full { .. }) => {}
            Err(
                StoreError::Format { .. }
                | StoreError::Corrupt { .. }
                | StoreError::Io { .. }
                | StoreError::Poisoned { .. }
                | StoreError::Locked { .. }
                | StoreError::Network { .. }
                | StoreError::Exposed { .. },
            ) => self.poisoned = true,
        }
        appended
    }
}

impl Drop for SqliteJournal {
    /// Leaves one file behind, where no reader holds the log.
    fn drop(&mut self) {
        if !self.poisoned {
            let done = self.conn.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()));
            drop(done);
        }
    }
}

/// What a group writes, made before its transaction begins.
struct Rows<'a> {
    changes: Vec<Change<'a>>,
    bodies: Vec<Body>,
}

/// An event as a row.
struct Body {
    text: String,
    sum: u32,
}

impl Body {
    /// The event's kind, which stands first in the text of an internally tagged enum.
    fn kind(&self) -> &str {
        let tail = self.text.strip_prefix("{\"kind\":\"").unwrap_or_default();
        tail.split('"').next().unwrap_or_default()
    }
}

fn bodies(batch: &Batch<'_>) -> Vec<Body> {
    let (run, at) = (batch.run.as_str(), batch.at.as_millis());
    let body = |(event, seq): (&Event, u64)| {
        let text = serde_json::to_string(event).expect("an event is plain data");
        Body { sum: event_sum(run, seq, at, &text), text }
    };
    batch.events.iter().zip(batch.first_seq..).map(body).collect()
}

/// The bytes of all open slots of the lane, each proven.
fn open_bytes(
    group: &apply::Group<'_>,
    run: &read::RunKey,
    verify: Verify,
) -> Result<Vec<crate::units::SignedTx>, StoreError> {
    let rows = read::open_bytes(group.conn, run.lane, &run.key).map_err(sql_error(group.path))?;
    let proven = |(tx, fits): (crate::units::SignedTx, bool)| {
        if fits && verify(&tx) {
            return Ok(tx);
        }
        let what = "a signed version does not prove itself";
        Err(StoreError::Corrupt { path: group.path.into(), what })
    };
    rows.into_iter().map(proven).collect()
}

/// Sets what safety.md, section 3, asks for.
fn configure(conn: &Connection, path: &Path) -> Result<(), StoreError> {
    let sql = sql_error(path);
    conn.busy_timeout(BUSY).map_err(&sql)?;
    // The first read: a file that is no database is found here. It says what it will do before it
    // has done it: what went wrong then is told after the last row.
    let modes: Vec<String> = conn
        .prepare("PRAGMA journal_mode = WAL")
        .and_then(|mut set| set.query_map([], |row| row.get(0))?.collect())
        .map_err(&sql)?;
    if modes != ["wal"] {
        return Err(StoreError::Corrupt { path: path.into(), what: "it keeps no write-ahead log" });
    }
    conn.execute_batch(
        "PRAGMA synchronous = FULL;
         PRAGMA fullfsync = ON;
         PRAGMA checkpoint_fullfsync = ON;
         PRAGMA foreign_keys = ON;
         PRAGMA trusted_schema = OFF;
         PRAGMA cell_size_check = ON;
         PRAGMA mmap_size = 0;
         PRAGMA cache_size = -4096;
         PRAGMA wal_autocheckpoint = 0;",
    )
    .map_err(&sql)
}

/// Makes the schema in an empty database; refuses one that is not ours.
fn make_schema(conn: &Connection, path: &Path) -> Result<(), StoreError> {
    let sql = sql_error(path);
    let number = |pragma: &str| -> Result<i64, StoreError> {
        conn.query_row(pragma, [], |row| row.get(0)).map_err(&sql)
    };
    conn.execute_batch("BEGIN IMMEDIATE").map_err(&sql)?;
    let made = (|| {
        if number("SELECT count(*) FROM sqlite_schema")? == 0 {
            conn.execute_batch(include_str!("schema.sql")).map_err(&sql)?;
            conn.pragma_update(None, "application_id", APPLICATION_ID).map_err(&sql)?;
            conn.pragma_update(None, "user_version", SCHEMA).map_err(&sql)?;
        }
        check_schema(conn, path)
    })();
    let end = if made.is_ok() { "COMMIT" } else { "ROLLBACK" };
    conn.execute_batch(end).map_err(&sql)?;
    made
}

/// Whether nobody has made anything in a database yet.
pub(super) fn is_blank(conn: &Connection) -> rusqlite::Result<bool> {
    let number = |text: &str| conn.query_row(text, [], |row| row.get::<_, i64>(0));
    Ok(number("PRAGMA application_id")? == 0 && number("SELECT count(*) FROM sqlite_schema")? == 0)
}

/// Refuses a database of another program or of a newer format.
pub(super) fn check_schema(conn: &Connection, path: &Path) -> Result<(), StoreError> {
    let number = |pragma: &str| {
        conn.query_row(pragma, [], |row| row.get::<_, i64>(0)).optional().map_err(sql_error(path))
    };
    let corrupt = |what| Err(StoreError::Corrupt { path: path.into(), what });
    if number("PRAGMA application_id")? != Some(APPLICATION_ID) {
        return corrupt("another program made it");
    }
    match number("PRAGMA user_version")? {
        Some(SCHEMA) => Ok(()),
        Some(found) if found > SCHEMA => {
            Err(StoreError::Format { path: path.into(), found, known: SCHEMA })
        }
        Some(_) | None => corrupt("its format is none that ever was"),
    }
}

/// A moment as the database keeps it.
fn at(moment: Timestamp) -> i64 {
    int(moment.as_millis())
}

#[cfg(test)]
mod power_tests;
#[cfg(test)]
mod tests;
