//! Reading the database: the parts that the journal and the views share.

use std::path::{Path, PathBuf};

use alloy::primitives::{B256, Bytes};
use rayon::prelude::*;
use rusqlite::{Connection, ErrorCode, OptionalExtension, Row, params};

use crate::engine::{Event, OpenSlot, OpenVersion};
use crate::units::{Nonce, RunId, Seq, SignedTx, Slot, TaskKey, Timestamp};

use super::{Holder, LaneKey, LaneState, LeaseHolder, Recorded, Refusal, StoreError};

/// Events that are read, and decoded side by side, at a time.
const PAGE: i64 = 4096;

/// The number as the database keeps it. What does not fit is out of any order that is kept.
pub(super) fn int(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// The number that the database keeps.
pub(super) fn uint(number: i64) -> u64 {
    u64::try_from(number).unwrap_or_default()
}

/// The checksum of an event's row.
pub(super) fn event_sum(run: &str, seq: u64, at: u64, body: &str) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(run.as_bytes());
    hasher.update(&seq.to_be_bytes());
    hasher.update(&at.to_be_bytes());
    hasher.update(body.as_bytes());
    hasher.finalize()
}

/// The checksum of a version's row.
pub(super) fn signed_sum(tx: &SignedTx) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(tx.slot.wallet.as_slice());
    hasher.update(&tx.slot.nonce.0.to_be_bytes());
    hasher.update(&tx.seq.0.to_be_bytes());
    hasher.update(tx.hash.as_slice());
    hasher.update(&tx.raw);
    hasher.finalize()
}

/// What an error of SQLite means for the journal.
pub(super) fn sql_error(path: &Path) -> impl Fn(rusqlite::Error) -> StoreError + '_ {
    move |error| {
        let path = path.to_path_buf();
        match error.sqlite_error_code() {
            Some(ErrorCode::DiskFull) => StoreError::Full { path },
            Some(ErrorCode::DatabaseCorrupt) => corrupt(path, "its pages do not fit together"),
            Some(ErrorCode::NotADatabase) => corrupt(path, "it is not a database"),
            // It waited for the other's append to end; that process stands still within one.
            Some(ErrorCode::DatabaseBusy) => {
                let what = format!("`{}`", path.display());
                StoreError::Locked { what, holder: Holder::default() }
            }
            // Refused by a trigger or a constraint that no typed refusal stands for.
            Some(ErrorCode::ConstraintViolation) => corrupt(path, "a guard refused a change"),
            Some(_) => StoreError::Io { path, source: std::io::Error::other(error) },
            None => corrupt(path, "a row has another form"),
        }
    }
}

fn corrupt(path: PathBuf, what: &'static str) -> StoreError {
    StoreError::Corrupt { path, what }
}

/// A run's row.
#[derive(Debug)]
pub(super) struct RunKey {
    /// Its number in this database.
    pub(super) id: i64,
    /// Its lane's number.
    pub(super) lane: i64,
    /// Its lane.
    pub(super) key: LaneKey,
    /// The lane's epoch.
    pub(super) epoch: u64,
    /// The place of its next event.
    pub(super) next_seq: u64,
}

/// Finds a run.
pub(super) fn find_run(conn: &Connection, run: &RunId) -> rusqlite::Result<Option<RunKey>> {
    let mut statement = conn.prepare_cached(
        "SELECT run.id, lane.id, lane.chain_id, lane.genesis, lane.wallet, lane.epoch,
           (SELECT seq FROM event WHERE event.run = run.id ORDER BY seq DESC LIMIT 1)
         FROM run JOIN lane ON lane.id = run.lane WHERE run.run = ?1",
    )?;
    let key = |row: &Row<'_>| {
        Ok(RunKey {
            id: row.get(0)?,
            lane: row.get(1)?,
            key: LaneKey {
                chain_id: uint(row.get(2)?),
                genesis: row.get::<_, [u8; 32]>(3)?.into(),
                wallet: row.get::<_, [u8; 20]>(4)?.into(),
            },
            epoch: uint(row.get(5)?),
            next_seq: row.get::<_, Option<i64>>(6)?.map_or(0, |seq| uint(seq) + 1),
        })
    };
    statement.query_row([run.as_str()], key).optional()
}

/// What a lane holds that is not of `run`.
pub(super) fn lane_state(
    conn: &Connection,
    path: &Path,
    lane: &LaneKey,
    run: &RunId,
) -> Result<LaneState, StoreError> {
    let sql = sql_error(path);
    let found = conn
        .prepare_cached(
            "SELECT id, epoch, next_nonce, holder FROM lane
             WHERE chain_id = ?1 AND genesis = ?2 AND wallet = ?3",
        )
        .and_then(|mut statement| {
            let args = params![int(lane.chain_id), lane.genesis.0, lane.wallet.0.0];
            let state = |row: &Row<'_>| {
                Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get::<_, String>(3)?))
            };
            statement.query_row(args, state).optional()
        })
        .map_err(&sql)?;
    let Some((id, epoch, next_nonce, holder)) = found else { return Ok(LaneState::default()) };
    let open = open_slots(conn, path, id, run)?;
    let unsigned = unsigned_slot(conn, id, run).map_err(&sql)?;
    let unsigned = match unsigned {
        Some((name, nonce)) => {
            let name = RunId::parse(&name);
            let name = name.ok_or_else(|| corrupt(path.into(), "a run's id is none"))?;
            Some((name, Nonce(uint(nonce))))
        }
        None => None,
    };
    let last_foreign = last_foreign(conn, id).map_err(&sql)?.map(|nonce| Nonce(uint(nonce)));
    let holder = LeaseHolder::parse(&holder);
    let next_nonce = Nonce(uint(next_nonce));
    Ok(LaneState { epoch: uint(epoch), next_nonce, last_foreign, open, unsigned, holder })
}

/// The highest nonce below the next one that no slot has used: it lies right below the next one or
/// below a slot, or it is a slot that a stranger used.
fn last_foreign(conn: &Connection, lane: i64) -> rusqlite::Result<Option<i64>> {
    let mut statement = conn.prepare_cached(
        "SELECT MAX(below.nonce) FROM (
           SELECT next_nonce - 1 AS nonce FROM lane WHERE id = ?1
           UNION ALL SELECT nonce - 1 FROM slot WHERE lane = ?1) AS below
         WHERE below.nonce >= 0 AND NOT EXISTS (
           SELECT 1 FROM slot WHERE slot.lane = ?1 AND slot.nonce = below.nonce)
         UNION ALL
         SELECT MAX(nonce) FROM slot WHERE lane = ?1 AND state = 'final_foreign'",
    )?;
    let rows = statement.query_map([lane], |row| row.get::<_, Option<i64>>(0))?;
    rows.collect::<Result<Vec<_>, _>>().map(|found| found.into_iter().flatten().max())
}

/// The lowest open slot of other runs that has no version, with its run.
fn unsigned_slot(
    conn: &Connection,
    lane: i64,
    run: &RunId,
) -> rusqlite::Result<Option<(String, i64)>> {
    let mut statement = conn.prepare_cached(
        "SELECT run.run, slot.nonce FROM slot JOIN run ON run.id = slot.run
         WHERE slot.lane = ?1 AND slot.state IN ('open', 'mined') AND run.run <> ?2
           AND NOT EXISTS (SELECT 1 FROM signed
                           WHERE signed.lane = slot.lane AND signed.nonce = slot.nonce)
         ORDER BY slot.nonce LIMIT 1",
    )?;
    let row = |row: &Row<'_>| Ok((row.get(0)?, row.get(1)?));
    statement.query_row(params![lane, run.as_str()], row).optional()
}

fn open_slots(
    conn: &Connection,
    path: &Path,
    lane: i64,
    run: &RunId,
) -> Result<Vec<OpenSlot>, StoreError> {
    let sql = sql_error(path);
    let mut statement = conn
        .prepare_cached(
            "SELECT slot.nonce, signed.seq, signed.hash, signed.fees
             FROM slot JOIN run ON run.id = slot.run
             LEFT JOIN signed ON signed.lane = slot.lane AND signed.nonce = slot.nonce
             WHERE slot.lane = ?1 AND slot.state IN ('open', 'mined') AND run.run <> ?2
             ORDER BY slot.nonce, signed.seq",
        )
        .map_err(&sql)?;
    let mut rows = statement.query(params![lane, run.as_str()]).map_err(&sql)?;
    let mut slots: Vec<OpenSlot> = Vec::new();
    while let Some(row) = rows.next().map_err(&sql)? {
        let nonce = Nonce(uint(row.get(0).map_err(&sql)?));
        if slots.last().is_none_or(|slot| slot.nonce != nonce) {
            slots.push(OpenSlot { nonce, versions: Vec::new() });
        }
        let version = open_version(row, path)?;
        if let (Some(slot), Some(version)) = (slots.last_mut(), version) {
            slot.versions.push(version);
        }
    }
    Ok(slots)
}

fn open_version(row: &Row<'_>, path: &Path) -> Result<Option<OpenVersion>, StoreError> {
    let sql = sql_error(path);
    let Some(seq) = row.get::<_, Option<u16>>(1).map_err(&sql)? else { return Ok(None) };
    let hash: [u8; 32] = row.get(2).map_err(&sql)?;
    let fees: String = row.get(3).map_err(&sql)?;
    let fees = serde_json::from_str(&fees)
        .map_err(|_| corrupt(path.into(), "the fees of a version are not readable"))?;
    Ok(Some(OpenVersion { seq: Seq(seq), hash: hash.into(), fees }))
}

/// Every version of every open slot of a lane, each with whether its row fits its checksum.
pub(super) fn open_bytes(
    conn: &Connection,
    lane: i64,
    key: &LaneKey,
) -> rusqlite::Result<Vec<(SignedTx, bool)>> {
    let mut statement = conn.prepare_cached(
        "SELECT signed.nonce, signed.seq, signed.hash, signed.raw, signed.sum
         FROM slot JOIN signed ON signed.lane = slot.lane AND signed.nonce = slot.nonce
         WHERE slot.lane = ?1 AND slot.state IN ('open', 'mined')
         ORDER BY signed.nonce, signed.seq",
    )?;
    let rows = statement.query_map([lane], |row| {
        let tx = SignedTx {
            slot: Slot { wallet: key.wallet, nonce: Nonce(uint(row.get(0)?)) },
            seq: Seq(row.get(1)?),
            hash: row.get::<_, [u8; 32]>(2)?.into(),
            raw: Bytes::from(row.get::<_, Vec<u8>>(3)?),
        };
        let fits = row.get::<_, u32>(4)? == signed_sum(&tx);
        Ok((tx, fits))
    })?;
    rows.collect()
}

/// The output with this SHA-256, if it is kept as a row.
pub(super) fn output_row(conn: &Connection, sha256: &B256) -> rusqlite::Result<Option<Vec<u8>>> {
    let mut statement = conn.prepare_cached("SELECT body FROM output WHERE sha256 = ?1")?;
    statement.query_row([sha256.0], |row| row.get(0)).optional()
}

/// The events of a run, read page by page, so that memory does not grow with the journal.
pub(super) struct Events<'a> {
    conn: &'a Connection,
    path: &'a Path,
    run: RunId,
    id: i64,
    next: u64,
    page: std::vec::IntoIter<Result<Recorded, StoreError>>,
    done: bool,
}

impl<'a> Events<'a> {
    /// The events of `run` from place `from` on.
    ///
    /// # Errors
    /// [`Refusal::UnknownRun`].
    pub(super) fn open(
        conn: &'a Connection,
        path: &'a Path,
        run: &RunId,
        from: u64,
    ) -> Result<Self, StoreError> {
        let key = find_run(conn, run).map_err(sql_error(path))?;
        let id = key.ok_or_else(|| Refusal::UnknownRun { run: run.clone() })?.id;
        let page = Vec::new().into_iter();
        Ok(Self { conn, path, run: run.clone(), id, next: from, page, done: false })
    }

    fn read_page(&mut self) -> Result<(), StoreError> {
        let rows = self.raw_rows().map_err(sql_error(self.path))?;
        self.done = rows.len() < usize::try_from(PAGE).unwrap_or(usize::MAX);
        let (run, path, first) = (self.run.as_str(), self.path, self.next);
        self.next += rows.len() as u64;
        let decode = |(place, row): (usize, &RawEvent)| row.decode(run, path, first + place as u64);
        let page: Vec<_> = rows.par_iter().enumerate().map(decode).collect();
        self.page = page.into_iter();
        Ok(())
    }

    fn raw_rows(&self) -> rusqlite::Result<Vec<RawEvent>> {
        let mut statement = self.conn.prepare_cached(
            "SELECT seq, at, sum, body FROM event WHERE run = ?1 AND seq >= ?2
             ORDER BY seq LIMIT ?3",
        )?;
        let rows = statement.query_map(params![self.id, int(self.next), PAGE], |row| {
            Ok(RawEvent {
                seq: uint(row.get(0)?),
                at: uint(row.get(1)?),
                sum: row.get(2)?,
                body: row.get(3)?,
            })
        })?;
        rows.collect()
    }
}

impl Iterator for Events<'_> {
    type Item = Result<Recorded, StoreError>;

    fn next(&mut self) -> Option<Self::Item> {
        if let Some(event) = self.page.next() {
            return Some(event);
        }
        if self.done {
            return None;
        }
        if let Err(error) = self.read_page() {
            self.done = true;
            return Some(Err(error));
        }
        self.page.next()
    }
}

/// An event's row before it is judged.
struct RawEvent {
    seq: u64,
    at: u64,
    sum: u32,
    body: String,
}

impl RawEvent {
    fn decode(&self, run: &str, path: &Path, place: u64) -> Result<Recorded, StoreError> {
        if self.seq != place {
            return Err(corrupt(path.into(), "an event is missing"));
        }
        if event_sum(run, self.seq, self.at, &self.body) != self.sum {
            return Err(corrupt(path.into(), "an event does not fit its checksum"));
        }
        let event: Event = serde_json::from_str(&self.body)
            .map_err(|_| corrupt(path.into(), "an event is not readable"))?;
        Ok(Recorded { seq: self.seq, at: Timestamp::from_millis(self.at), event })
    }
}

/// Which round of which task each signed publication of a lane is of, by its transaction hash.
pub(super) fn publications(
    conn: &Connection,
    lane: &LaneKey,
) -> rusqlite::Result<std::collections::BTreeMap<B256, TaskKey>> {
    let mut find = conn.prepare(
        "SELECT signed.hash, slot.task FROM signed
         JOIN slot ON slot.lane = signed.lane AND slot.nonce = signed.nonce
         JOIN lane ON lane.id = signed.lane
         WHERE lane.chain_id = ?1 AND lane.genesis = ?2 AND lane.wallet = ?3
           AND slot.purpose = 'publish' AND signed.binding IS NOT NULL",
    )?;
    let row = params![int(lane.chain_id), lane.genesis.0, lane.wallet.0.0];
    let found = find.query_map(row, |row| {
        Ok((B256::new(row.get::<_, [u8; 32]>(0)?), TaskKey(row.get::<_, [u8; 16]>(1)?)))
    })?;
    found.collect()
}

/// The rounds of tasks that a lane's slots have published, or may still.
pub(super) fn bound_tasks(
    conn: &Connection,
    lane: &LaneKey,
) -> rusqlite::Result<std::collections::BTreeSet<TaskKey>> {
    let mut find = conn.prepare(
        "SELECT slot.task FROM slot JOIN lane ON lane.id = slot.lane
         WHERE lane.chain_id = ?1 AND lane.genesis = ?2 AND lane.wallet = ?3
           AND slot.purpose = 'publish'
           AND (slot.state = 'open' OR slot.state = 'mined' OR slot.state = 'final_ok')",
    )?;
    let row = params![int(lane.chain_id), lane.genesis.0, lane.wallet.0.0];
    let found = find.query_map(row, |row| row.get::<_, [u8; 16]>(0))?;
    found.map(|task| task.map(TaskKey)).collect()
}

/// Whether a slot is final.
pub(super) fn is_final(conn: &Connection, lane: &LaneKey, nonce: Nonce) -> rusqlite::Result<bool> {
    let mut find = conn.prepare_cached(
        "SELECT EXISTS (SELECT 1 FROM slot JOIN lane ON lane.id = slot.lane
         WHERE lane.chain_id = ?1 AND lane.genesis = ?2 AND lane.wallet = ?3 AND slot.nonce = ?4
           AND slot.state <> 'open' AND slot.state <> 'mined')",
    )?;
    let row = params![int(lane.chain_id), lane.genesis.0, lane.wallet.0.0, int(nonce.0)];
    find.query_row(row, |row| row.get(0))
}
