//! Rows for screens, read while a run is live or long after.
//!
//! A view has a connection of its own that cannot write, so no screen can stall or change a run.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io;
use std::path::PathBuf;

use alloy::primitives::B256;
use rusqlite::{Connection, OpenFlags, Row, params};

use crate::engine::{Event, RunHeader, RunOutcome};
use crate::units::cid::sha256;
use crate::units::{RunId, TaskKey, Timestamp};

use super::folder::{StateFolder, io_error};
use super::read::{self, Events, sql_error, uint};
use super::sqlite::{check_schema, is_blank};
use super::{LaneKey, LaneState, Recorded, Refusal, StoreError};

/// A run in one row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RunRow {
    /// The run.
    pub run: RunId,
    /// Its pipeline's name.
    pub pipeline: String,
    /// Its network's name.
    pub network: String,
    /// When it started.
    pub started_at: Timestamp,
    /// Where it stands.
    pub state: RunState,
    /// Its figures as of its last append, as JSON; `null` if there are none yet.
    pub summary: String,
}

/// Where a run stands, as far as the journal knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RunState {
    /// It is going on, or its process died.
    Running,
    /// It has ended, or was stopped.
    Ended(RunOutcome),
}

impl RunState {
    /// All states, each once.
    pub(super) const ALL: [Self; 9] = [
        Self::Running,
        Self::Ended(RunOutcome::Done),
        Self::Ended(RunOutcome::Failed),
        Self::Ended(RunOutcome::OverBudget),
        Self::Ended(RunOutcome::PausedBudget),
        Self::Ended(RunOutcome::PausedFunds),
        Self::Ended(RunOutcome::Stopped),
        Self::Ended(RunOutcome::Quarantined),
        Self::Ended(RunOutcome::Canceled),
    ];

    /// The word for it, in the database and in machine formats.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Running => "running",
            Self::Ended(RunOutcome::Done) => "done",
            Self::Ended(RunOutcome::Failed) => "failed",
            Self::Ended(RunOutcome::OverBudget) => "over-budget",
            Self::Ended(RunOutcome::PausedBudget) => "paused-budget",
            Self::Ended(RunOutcome::PausedFunds) => "paused-funds",
            Self::Ended(RunOutcome::Stopped) => "stopped",
            Self::Ended(RunOutcome::Quarantined) => "quarantined",
            Self::Ended(RunOutcome::Canceled) => "canceled",
        }
    }

    /// The state with this word.
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.word() == word)
    }

    /// Whether there is something left to resume.
    pub const fn is_unfinished(self) -> bool {
        match self {
            Self::Running
            | Self::Ended(
                RunOutcome::PausedBudget
                | RunOutcome::PausedFunds
                | RunOutcome::Stopped
                | RunOutcome::Quarantined,
            ) => true,
            Self::Ended(
                RunOutcome::Done
                | RunOutcome::Failed
                | RunOutcome::OverBudget
                | RunOutcome::Canceled,
            ) => false,
        }
    }
}

/// What a text that should name a run names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Resolved {
    /// One run.
    One(RunId),
    /// None.
    None,
    /// More than one, newest first.
    Several(Vec<RunId>),
}

/// Read-only access to a state folder.
#[derive(Debug)]
pub struct Views {
    pub(super) conn: Connection,
    folder: StateFolder,
    path: PathBuf,
}

impl Views {
    /// Opens the views of a state folder; `None` if nothing was ever journaled there.
    ///
    /// # Errors
    /// As [`SqliteJournal::open`](super::SqliteJournal::open).
    pub fn open(folder: &StateFolder) -> Result<Option<Self>, StoreError> {
        let path = folder.database();
        // An empty file is a journal whose first process died before it made the schema.
        if fs::metadata(&path).map_or(true, |file| file.len() == 0) {
            return Ok(None);
        }
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let conn = Connection::open_with_flags(&path, flags).map_err(sql_error(&path))?;
        conn.execute_batch("PRAGMA trusted_schema = OFF; PRAGMA cell_size_check = ON;")
            .map_err(sql_error(&path))?;
        // The same, if it died, or its disk was full, between the log and the schema.
        if is_blank(&conn).map_err(sql_error(&path))? {
            return Ok(None);
        }
        check_schema(&conn, &path)?;
        Ok(Some(Self { conn, folder: folder.clone(), path }))
    }

    /// All runs, newest first.
    ///
    /// # Errors
    /// When the journal cannot be read.
    pub fn runs(&self) -> Result<Vec<RunRow>, StoreError> {
        let rows = self
            .conn
            .prepare_cached(
                "SELECT run, pipeline, network, started_at, state, summary FROM run
                 ORDER BY started_at DESC, id DESC",
            )
            .and_then(|mut list| list.query_map([], columns)?.collect::<Result<Vec<_>, _>>())
            .map_err(sql_error(&self.path))?;
        let known = rows.into_iter().map(RunColumns::row).collect::<Option<Vec<_>>>();
        known.ok_or_else(|| self.corrupt("a run's row is not readable"))
    }

    /// The row of one run.
    ///
    /// # Errors
    /// [`Refusal::UnknownRun`].
    pub fn run(&self, run: &RunId) -> Result<RunRow, StoreError> {
        let found = self.runs()?.into_iter().find(|row| row.run == *run);
        found.ok_or_else(|| Refusal::UnknownRun { run: run.clone() }.into())
    }

    /// The run that `text` names: an id, the beginning of one (with or without `r-`), `latest`.
    ///
    /// # Errors
    /// When the journal cannot be read.
    pub fn resolve(&self, text: &str) -> Result<Resolved, StoreError> {
        if text == "latest" {
            return Ok(self.latest()?.map_or(Resolved::None, Resolved::One));
        }
        let named = |id: &RunId| {
            let tail = id.as_str().trim_start_matches("r-");
            id.as_str().starts_with(text) || (!text.is_empty() && tail.starts_with(text))
        };
        let mut found: Vec<_> = self.runs()?.into_iter().map(|row| row.run).filter(named).collect();
        Ok(match found.len() {
            0 => Resolved::None,
            1 => Resolved::One(found.remove(0)),
            _ => Resolved::Several(found),
        })
    }

    /// The newest run of a pipeline; only where there is none, the newest of the vault.
    ///
    /// # Errors
    /// When the journal cannot be read.
    pub fn latest(&self) -> Result<Option<RunId>, StoreError> {
        let rows = self.runs()?;
        for row in &rows {
            if !self.header(&row.run)?.steps.is_empty() {
                return Ok(Some(row.run.clone()));
            }
        }
        Ok(rows.into_iter().next().map(|row| row.run))
    }

    /// Runs of a pipeline that can be resumed, newest first.
    ///
    /// # Errors
    /// When the journal cannot be read.
    pub fn unfinished(&self, pipeline: &str) -> Result<Vec<RunRow>, StoreError> {
        let mut rows = self.runs()?;
        rows.retain(|row| row.pipeline == pipeline && row.state.is_unfinished());
        Ok(rows)
    }

    /// What a run is.
    ///
    /// # Errors
    /// [`Refusal::UnknownRun`]; [`StoreError::Corrupt`].
    pub fn header(&self, run: &RunId) -> Result<Box<RunHeader>, StoreError> {
        match self.events(run, 0)?.next().transpose()?.map(|first| first.event) {
            Some(Event::RunStarted(header)) => Ok(header),
            Some(_) | None => Err(self.corrupt("a run does not begin with its start")),
        }
    }

    /// A run's events from place `from` on, read page by page.
    ///
    /// # Errors
    /// [`Refusal::UnknownRun`]; each event may be [`StoreError::Corrupt`].
    pub fn events(
        &self,
        run: &RunId,
        from: u64,
    ) -> Result<impl Iterator<Item = Result<Recorded, StoreError>> + '_, StoreError> {
        Events::open(&self.conn, &self.path, run, from)
    }

    /// What a lane holds that is not of `run`.
    ///
    /// # Errors
    /// When the journal cannot be read.
    pub fn lane(&self, lane: &LaneKey, run: &RunId) -> Result<LaneState, StoreError> {
        read::lane_state(&self.conn, &self.path, lane, run)
    }

    /// Which round of which task each signed publication of a lane is of, by its transaction hash.
    ///
    /// # Errors
    /// When the journal cannot be read.
    pub fn publications(&self, lane: &LaneKey) -> Result<BTreeMap<B256, TaskKey>, StoreError> {
        read::publications(&self.conn, lane).map_err(sql_error(&self.path))
    }

    /// The rounds of tasks that a lane's slots have published, or may still.
    ///
    /// # Errors
    /// When the journal cannot be read.
    pub fn bound_tasks(&self, lane: &LaneKey) -> Result<BTreeSet<TaskKey>, StoreError> {
        read::bound_tasks(&self.conn, lane).map_err(sql_error(&self.path))
    }

    /// The bytes of an output, from its row or its file, checked; `None` if there is neither.
    ///
    /// # Errors
    /// [`StoreError::Corrupt`] if the bytes are not those of the hash.
    pub fn output(&self, sha256: &B256) -> Result<Option<Vec<u8>>, StoreError> {
        let row = read::output_row(&self.conn, sha256).map_err(sql_error(&self.path))?;
        let body = match row {
            Some(body) => Some(body),
            None => self.blob(sha256)?,
        };
        match body {
            Some(body) if self::sha256(&body) != *sha256 => {
                Err(self.corrupt("an output is not what its hash says"))
            }
            found => Ok(found),
        }
    }

    /// How many events the journal holds: what shows that something happened.
    ///
    /// # Errors
    /// When the journal cannot be read.
    pub fn count(&self, run: &RunId) -> Result<u64, StoreError> {
        let kinds = self.kinds(run)?;
        Ok(kinds.iter().map(|(_, count)| count).sum())
    }

    /// How many events the journal holds, by kind: for a person who looks for what fills it.
    ///
    /// # Errors
    /// When the journal cannot be read.
    pub fn kinds(&self, run: &RunId) -> Result<Vec<(String, u64)>, StoreError> {
        self.conn
            .prepare_cached(
                "SELECT kind, count(*) FROM event JOIN run ON run.id = event.run
                 WHERE run.run = ?1 GROUP BY kind ORDER BY 2 DESC, 1",
            )
            .and_then(|mut list| {
                let row = |row: &Row<'_>| Ok((row.get(0)?, uint(row.get(1)?)));
                list.query_map(params![run.as_str()], row)?.collect()
            })
            .map_err(sql_error(&self.path))
    }

    fn blob(&self, sha256: &B256) -> Result<Option<Vec<u8>>, StoreError> {
        let path = self.folder.blob(sha256);
        match fs::read(&path) {
            Ok(body) => Ok(Some(body)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(io_error(&path)(error)),
        }
    }

    fn corrupt(&self, what: &'static str) -> StoreError {
        StoreError::Corrupt { path: self.path.clone(), what }
    }
}

/// A run's row as the database has it.
struct RunColumns {
    run: String,
    pipeline: String,
    network: String,
    started_at: i64,
    state: String,
    summary: String,
}

fn columns(row: &Row<'_>) -> rusqlite::Result<RunColumns> {
    Ok(RunColumns {
        run: row.get(0)?,
        pipeline: row.get(1)?,
        network: row.get(2)?,
        started_at: row.get(3)?,
        state: row.get(4)?,
        summary: row.get(5)?,
    })
}

impl RunColumns {
    fn row(self) -> Option<RunRow> {
        Some(RunRow {
            run: RunId::parse(&self.run)?,
            pipeline: self.pipeline,
            network: self.network,
            started_at: Timestamp::from_millis(uint(self.started_at)),
            state: RunState::parse(&self.state)?,
            summary: self.summary,
        })
    }
}
