//! One group of facts inside its transaction: rows of events, and changes of the guards.
//!
//! What may go wrong by our own mistake is asked before it is written, so that the refusal has a
//! name; the schema's constraints and triggers say no to everything else.

use std::path::Path;

use alloy::primitives::B256;
use rusqlite::{Connection, OptionalExtension, params};

use crate::engine::{RunHeader, RunOutcome, SlotEnd};
use crate::units::{BlockRef, Nonce, Seq, SignedTx, Slot, TaskKey};

use super::super::guards::{Change, SlotState, ended_by, purpose_word};
use super::super::read::{self, RunKey, int, sql_error, uint};
use super::super::views::RunState;
use super::super::{Batch, LaneKey, LeaseHolder, Refusal, StoreError};
use super::Body;

/// A group that is being written.
pub(super) struct Group<'a> {
    /// Its transaction.
    pub(super) conn: &'a Connection,
    /// The database, for messages.
    pub(super) path: &'a Path,
    /// What is written.
    pub(super) batch: &'a Batch<'a>,
}

impl Group<'_> {
    /// The run's row, made by its start.
    pub(super) fn run(&self, changes: &[Change<'_>]) -> Result<RunKey, StoreError> {
        let sql = sql_error(self.path);
        let known = read::find_run(self.conn, self.batch.run).map_err(&sql)?;
        match (known, changes.first()) {
            (None, Some(Change::Start(header))) => self.start(header),
            (None, _) => Err(Refusal::UnknownRun { run: self.batch.run.clone() }.into()),
            (Some(run), _) => Ok(run),
        }
    }

    fn start(&self, header: &RunHeader) -> Result<RunKey, StoreError> {
        let sql = sql_error(self.path);
        let key = LaneKey::of(header);
        self.execute(
            "INSERT OR IGNORE INTO lane (chain_id, genesis, wallet) VALUES (?1, ?2, ?3)",
            params![int(key.chain_id), key.genesis.0, key.wallet.0.0],
        )?;
        self.execute(
            "INSERT INTO run (run, lane, pipeline, network, started_at, state)
             SELECT ?1, id, ?2, ?3, ?4, ?5 FROM lane
             WHERE chain_id = ?6 AND genesis = ?7 AND wallet = ?8",
            params![
                self.batch.run.as_str(),
                header.pipeline,
                header.network.name,
                super::at(header.started_at),
                RunState::Running.word(),
                int(key.chain_id),
                key.genesis.0,
                key.wallet.0.0,
            ],
        )?;
        let run = read::find_run(self.conn, self.batch.run).map_err(&sql)?;
        run.ok_or_else(|| Refusal::UnknownRun { run: self.batch.run.clone() }.into())
    }

    /// Compares the group's place and epoch; takes the lease where the group does so.
    pub(super) fn take_place(&self, run: &RunKey, lease: bool) -> Result<(), StoreError> {
        // The epoch first: a writer that has lost the lane is behind in the events, too.
        if self.batch.epoch != run.epoch + u64::from(lease) {
            let (given, current) = (self.batch.epoch, run.epoch);
            return Err(Refusal::StaleEpoch { given, current }.into());
        }
        let (given, expected) = (self.batch.first_seq, run.next_seq);
        if given != expected {
            return Err(Refusal::OutOfOrder { what: "event", given, expected }.into());
        }
        if lease {
            self.execute(
                "UPDATE lane SET epoch = ?2, holder = ?3 WHERE id = ?1",
                params![run.lane, int(self.batch.epoch), LeaseHolder::this_process().to_text()],
            )?;
        }
        Ok(())
    }

    /// Writes the events, and the run's figures.
    pub(super) fn insert_events(&self, run: &RunKey, bodies: &[Body]) -> rusqlite::Result<()> {
        let mut insert = self.conn.prepare_cached(
            "INSERT INTO event (run, seq, epoch, at, kind, body, sum)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
        )?;
        let (epoch, at) = (int(self.batch.epoch), super::at(self.batch.at));
        for (body, seq) in bodies.iter().zip(self.batch.first_seq..) {
            insert.execute(params![
                run.id,
                int(seq),
                epoch,
                at,
                body.kind(),
                body.text,
                body.sum
            ])?;
        }
        if let Some(summary) = self.batch.summary {
            let mut update =
                self.conn.prepare_cached("UPDATE run SET summary = ?2 WHERE id = ?1")?;
            update.execute(params![run.id, summary])?;
        }
        Ok(())
    }

    /// Writes small outputs; one that is there stays.
    pub(super) fn insert_outputs(&self) -> rusqlite::Result<()> {
        let mut insert = self
            .conn
            .prepare_cached("INSERT OR IGNORE INTO output (sha256, body) VALUES (?1, ?2)")?;
        for (sha256, body) in self.batch.outputs {
            insert.execute(params![sha256.0, body.as_ref()])?;
        }
        Ok(())
    }

    /// Applies one change of the guards.
    pub(super) fn change(&self, run: &RunKey, change: &Change<'_>) -> Result<(), StoreError> {
        match change {
            Change::Start(_) => Ok(()),
            Change::Resume => self.set_state(run, RunState::Running),
            Change::End(outcome) => self.end(run, *outcome),
            Change::TakeLane(next_nonce) => self.take_lane(run, *next_nonce),
            Change::Reserve { slot, task, purpose, binding } => {
                self.next_nonce(run, slot)?;
                let row = params![
                    run.lane,
                    int(slot.nonce.0),
                    run.id,
                    task.0,
                    purpose_word(*purpose),
                    binding.0,
                    SlotState::Open.word(),
                ];
                self.bind(*task, row)
            }
            Change::Adopt { nonce, task, binding } => self.adopt(run, (*nonce, *task), *binding),
            Change::Sign { tx, binding, fees } => {
                self.slot_state(run, &tx.slot)?;
                self.next_version(run, tx)?;
                let fees = serde_json::to_string(fees).expect("fees are plain data");
                self.insert_signed(run, tx, (binding.map(|binding| binding.0), fees))
            }
            Change::Mine(slot) => self.move_slot(run, slot, SlotState::Mined),
            Change::Reopen(slot) => self.move_slot(run, slot, SlotState::Open),
            Change::Finish(slot, end) => self.finish(run, slot, end),
            Change::Advance(to) => self.advance(run, to),
            Change::Rewind(to) => self.set_cursor(run, to),
        }
    }

    fn end(&self, run: &RunKey, outcome: RunOutcome) -> Result<(), StoreError> {
        self.execute("UPDATE lane SET holder = '' WHERE id = ?1", params![run.lane])?;
        self.set_state(run, RunState::Ended(outcome))
    }

    fn set_state(&self, run: &RunKey, state: RunState) -> Result<(), StoreError> {
        self.execute("UPDATE run SET state = ?2 WHERE id = ?1", params![run.id, state.word()])
    }

    /// The lane's next nonce is compared, and raised only where nothing is open.
    fn take_lane(&self, run: &RunKey, found: Nonce) -> Result<(), StoreError> {
        let next = self.lane_nonce(run)?;
        let open: bool = self.ask(
            "SELECT EXISTS (SELECT 1 FROM slot WHERE lane = ?1 AND state IN ('open', 'mined'))",
            params![run.lane],
        )?;
        if found < next || (found > next && open) {
            let (given, expected) = (found.0, next.0);
            return Err(Refusal::OutOfOrder { what: "nonce", given, expected }.into());
        }
        self.set_nonce(run, found)
    }

    /// Compares and sets the lane's next nonce.
    fn next_nonce(&self, run: &RunKey, slot: &Slot) -> Result<(), StoreError> {
        let next = self.lane_nonce(run)?;
        if slot.wallet != run.key.wallet {
            return Err(Refusal::NoSuchSlot { nonce: slot.nonce }.into());
        }
        if slot.nonce < next {
            return Err(Refusal::SlotTaken { nonce: slot.nonce }.into());
        }
        if slot.nonce > next {
            let (given, expected) = (slot.nonce.0, next.0);
            return Err(Refusal::OutOfOrder { what: "nonce", given, expected }.into());
        }
        self.set_nonce(run, slot.nonce.next())
    }

    fn lane_nonce(&self, run: &RunKey) -> Result<Nonce, StoreError> {
        let next = self.ask("SELECT next_nonce FROM lane WHERE id = ?1", params![run.lane])?;
        Ok(Nonce(uint(next)))
    }

    fn set_nonce(&self, run: &RunKey, next: Nonce) -> Result<(), StoreError> {
        self.execute(
            "UPDATE lane SET next_nonce = ?2 WHERE id = ?1 AND next_nonce <= ?2",
            params![run.lane, int(next.0)],
        )
    }

    fn bind(&self, task: TaskKey, row: &[&dyn rusqlite::ToSql]) -> Result<(), StoreError> {
        let insert = "INSERT INTO slot (lane, nonce, run, task, purpose, binding, state)
                      VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)";
        let done = self.conn.prepare_cached(insert).and_then(|mut insert| insert.execute(row));
        match done {
            Ok(_) => Ok(()),
            // The nonce was compared above, so what is not unique is the binding.
            Err(rusqlite::Error::SqliteFailure(error, _))
                if error.extended_code == rusqlite::ffi::SQLITE_CONSTRAINT_UNIQUE =>
            {
                Err(Refusal::LiveBinding { task }.into())
            }
            Err(error) => Err(sql_error(self.path)(error)),
        }
    }

    /// A slot that is known to have been a stranger's stays so; its task is bound all the same.
    fn adopt(
        &self,
        run: &RunKey,
        (nonce, task): (Nonce, TaskKey),
        binding: B256,
    ) -> Result<(), StoreError> {
        let next = self.lane_nonce(run)?;
        if nonce >= next {
            let (given, expected) = (nonce.0, next.0);
            return Err(Refusal::OutOfOrder { what: "nonce", given, expected }.into());
        }
        // Whom the nonce serves, and by which nonce the task is served, if any.
        let (mut served, mut by) = (None, None);
        let mut find = self
            .conn
            .prepare_cached(
                "SELECT lane, nonce, task FROM slot WHERE purpose = 'publish'
             AND (state = 'open' OR state = 'mined' OR state = 'final_ok')
             AND ((lane = ?1 AND nonce = ?2) OR task = ?3)",
            )
            .map_err(sql_error(self.path))?;
        let rows = find
            .query_map(params![run.lane, int(nonce.0), task.0], |row| {
                Ok((row.get::<_, i64>(0)?, row.get::<_, i64>(1)?, row.get::<_, [u8; 16]>(2)?))
            })
            .map_err(sql_error(self.path))?;
        for row in rows {
            let (lane, at, of) = row.map_err(sql_error(self.path))?;
            let here = (lane, at) == (run.lane, int(nonce.0));
            if here {
                served = Some(TaskKey(of));
            }
            if of == task.0 {
                by = Some(here);
            }
        }
        match (served, by) {
            (_, Some(true)) => return Ok(()),
            (_, Some(false)) => return Err(Refusal::LiveBinding { task }.into()),
            (Some(_), None) => return Err(Refusal::SlotTaken { nonce }.into()),
            (None, None) => {}
        }
        self.execute(
            "INSERT INTO slot (lane, nonce, run, task, purpose, binding, state)
             VALUES (?1, ?2, ?3, ?4, 'publish', ?5, 'final_ok')
             ON CONFLICT (lane, nonce) DO NOTHING",
            params![run.lane, int(nonce.0), run.id, task.0, binding.0],
        )
    }

    /// The state of a slot of the run's lane.
    fn slot_state(&self, run: &RunKey, slot: &Slot) -> Result<String, StoreError> {
        let unknown = || StoreError::from(Refusal::NoSuchSlot { nonce: slot.nonce });
        if slot.wallet != run.key.wallet {
            return Err(unknown());
        }
        let state = self
            .conn
            .prepare_cached("SELECT state FROM slot WHERE lane = ?1 AND nonce = ?2")
            .and_then(|mut find| {
                find.query_row(params![run.lane, int(slot.nonce.0)], |row| row.get(0)).optional()
            })
            .map_err(sql_error(self.path))?;
        state.ok_or_else(unknown)
    }

    /// A version is the next of its slot, and the slot is not final.
    fn next_version(&self, run: &RunKey, tx: &SignedTx) -> Result<(), StoreError> {
        if self.slot_state(run, &tx.slot)?.starts_with("final") {
            return Err(Refusal::NoSuchSlot { nonce: tx.slot.nonce }.into());
        }
        let count: i64 = self.ask(
            "SELECT count(*) FROM signed WHERE lane = ?1 AND nonce = ?2",
            params![run.lane, int(tx.slot.nonce.0)],
        )?;
        if i64::from(tx.seq.0) == count {
            return Ok(());
        }
        let (given, expected) = (u64::from(tx.seq.0), uint(count));
        Err(Refusal::OutOfOrder { what: "version", given, expected }.into())
    }

    fn insert_signed(
        &self,
        run: &RunKey,
        tx: &SignedTx,
        (binding, fees): (Option<[u8; 32]>, String),
    ) -> Result<(), StoreError> {
        let insert = "INSERT INTO signed (lane, nonce, seq, hash, raw, binding, fees, sum)
                      VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)";
        let row = params![
            run.lane,
            int(tx.slot.nonce.0),
            tx.seq.0,
            tx.hash.0,
            tx.raw.as_ref(),
            binding,
            fees,
            read::signed_sum(tx),
        ];
        match self.conn.prepare_cached(insert).and_then(|mut insert| insert.execute(row)) {
            Ok(_) => Ok(()),
            // The only trigger on this table asks what the version is for.
            Err(rusqlite::Error::SqliteFailure(error, _))
                if error.extended_code == rusqlite::ffi::SQLITE_CONSTRAINT_TRIGGER =>
            {
                Err(Refusal::OtherCall { slot: tx.slot, seq: tx.seq }.into())
            }
            Err(error) => Err(sql_error(self.path)(error)),
        }
    }

    /// Moves a slot that is not final; a final one stays, whatever a late view says.
    fn move_slot(&self, run: &RunKey, slot: &Slot, to: SlotState) -> Result<(), StoreError> {
        self.slot_state(run, slot)?;
        self.execute(
            "UPDATE slot SET state = ?3
             WHERE lane = ?1 AND nonce = ?2 AND state IN ('open', 'mined')",
            params![run.lane, int(slot.nonce.0), to.word()],
        )
    }

    fn finish(&self, run: &RunKey, slot: &Slot, end: &SlotEnd) -> Result<(), StoreError> {
        let state = self.slot_state(run, slot)?;
        let noop = match ended_by(end) {
            Some(seq) => self.is_noop(run, slot, seq)?,
            None => false,
        };
        let ended = SlotState::ended(end, noop);
        // What another run has seen to its end was something else's to the one that learns it now.
        let late = matches!(end, SlotEnd::Foreign { .. });
        if state.starts_with("final") && state != ended.word() && !late {
            return Err(Refusal::NoSuchSlot { nonce: slot.nonce }.into());
        }
        self.move_slot(run, slot, ended)
    }

    fn is_noop(&self, run: &RunKey, slot: &Slot, seq: Seq) -> Result<bool, StoreError> {
        let found: Option<bool> = self
            .conn
            .prepare_cached(
                "SELECT binding IS NULL FROM signed WHERE lane = ?1 AND nonce = ?2 AND seq = ?3",
            )
            .and_then(|mut find| {
                find.query_row(params![run.lane, int(slot.nonce.0), seq.0], |row| row.get(0))
                    .optional()
            })
            .map_err(sql_error(self.path))?;
        let unknown = Refusal::OtherCall { slot: *slot, seq };
        found.ok_or_else(|| unknown.into())
    }

    fn advance(&self, run: &RunKey, to: &BlockRef) -> Result<(), StoreError> {
        let at: Option<i64> = self
            .conn
            .prepare_cached("SELECT number FROM cursor WHERE run = ?1")
            .and_then(|mut find| find.query_row([run.id], |row| row.get(0)).optional())
            .map_err(sql_error(self.path))?;
        let expected = at.map_or(0, uint);
        if to.number < expected {
            let given = to.number;
            return Err(Refusal::OutOfOrder { what: "block", given, expected }.into());
        }
        self.set_cursor(run, to)
    }

    fn set_cursor(&self, run: &RunKey, to: &BlockRef) -> Result<(), StoreError> {
        self.execute(
            "INSERT INTO cursor (run, number, hash) VALUES (?1, ?2, ?3)
             ON CONFLICT (run) DO UPDATE SET number = excluded.number, hash = excluded.hash",
            params![run.id, int(to.number), to.hash.0],
        )
    }

    fn execute(&self, text: &str, row: &[&dyn rusqlite::ToSql]) -> Result<(), StoreError> {
        let done = self.conn.prepare_cached(text).and_then(|mut change| change.execute(row));
        done.map(drop).map_err(sql_error(self.path))
    }

    fn ask<T: rusqlite::types::FromSql>(
        &self,
        text: &str,
        row: &[&dyn rusqlite::ToSql],
    ) -> Result<T, StoreError> {
        let reply =
            self.conn.prepare_cached(text).and_then(|mut ask| ask.query_row(row, |row| row.get(0)));
        reply.map_err(sql_error(self.path))
    }
}
