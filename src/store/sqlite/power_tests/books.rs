//! What the guards must say, folded from the events alone.

use std::collections::BTreeMap;

use rusqlite::Connection;

use super::super::super::guards::SlotState;
use super::super::super::read::uint;
use crate::engine::Event;
use crate::units::{BlockRef, Call};

/// A slot as its events tell it.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Held {
    pub(super) call: Call,
    pub(super) state: SlotState,
    /// Versions that are signed.
    pub(super) versions: u16,
}

/// The run as its events tell it.
#[derive(Clone, Debug, Default)]
pub(super) struct Books {
    pub(super) epoch: u64,
    pub(super) slots: BTreeMap<u64, Held>,
    pub(super) cursor: u64,
}

impl Books {
    /// The books of these events.
    pub(super) fn of<'a>(events: impl Iterator<Item = &'a Event>) -> Self {
        let mut books = Self::default();
        events.for_each(|event| books.take(event));
        books
    }

    #[expect(clippy::wildcard_enum_match_arm, reason = "a story has few kinds of events")]
    pub(super) fn take(&mut self, event: &Event) {
        match event {
            Event::RunStarted(_) | Event::RunResumed { .. } => self.epoch += 1,
            Event::SlotReserved { slot, call, .. } => {
                let held = Held { call: call.clone(), state: SlotState::Open, versions: 0 };
                self.slots.insert(slot.nonce.0, held);
            }
            Event::VersionSigned { slot, .. } => self.held(slot.nonce.0).versions += 1,
            Event::SlotMined { slot, .. } => self.held(slot.nonce.0).state = SlotState::Mined,
            Event::SlotFinal { slot, end, .. } => {
                self.held(slot.nonce.0).state = SlotState::ended(end, false);
            }
            Event::LogsRead { to: BlockRef { number, .. }, .. } => self.cursor = *number,
            Event::Sent { .. } => {}
            other => panic!("the story has no {other:?}"),
        }
    }

    fn held(&mut self, nonce: u64) -> &mut Held {
        self.slots.get_mut(&nonce).expect("a slot is reserved first")
    }

    pub(super) fn next_nonce(&self) -> u64 {
        self.slots.keys().last().map_or(0, |last| last + 1)
    }

    /// Nonces of slots in this state that have at least so many versions.
    pub(super) fn in_state(&self, state: SlotState, versions: u16) -> Vec<u64> {
        let fits = |(_, held): &(&u64, &Held)| held.state == state && held.versions >= versions;
        self.slots.iter().filter(fits).map(|(nonce, _)| *nonce).collect()
    }

    /// Compares the guards in the database; says what is different.
    pub(super) fn compare(&self, conn: &Connection) -> rusqlite::Result<Result<(), String>> {
        let sound: String = conn.query_row("PRAGMA integrity_check", [], |row| row.get(0))?;
        if sound != "ok" {
            return Ok(Err(sound));
        }
        let lane = |row: &rusqlite::Row<'_>| Ok((uint(row.get(0)?), uint(row.get(1)?)));
        let lane = conn.query_row("SELECT next_nonce, epoch FROM lane", [], lane)?;
        if lane != (self.next_nonce(), self.epoch) {
            return Ok(Err(format!("the lane is {lane:?}")));
        }
        let mut slots = conn.prepare(
            "SELECT nonce, state, (SELECT COUNT(*) FROM signed
               WHERE signed.lane = slot.lane AND signed.nonce = slot.nonce)
             FROM slot ORDER BY nonce",
        )?;
        let found = slots
            .query_map([], |row| Ok((uint(row.get(0)?), row.get(1)?, row.get(2)?)))?
            .collect::<rusqlite::Result<Vec<(u64, String, u16)>>>()?;
        let held = self.slots.iter();
        let told: Vec<_> =
            held.map(|(nonce, held)| (*nonce, held.state.word().into(), held.versions)).collect();
        if found != told {
            return Ok(Err(format!("slots are {found:?}, the events say {told:?}")));
        }
        let cursor =
            conn.query_row("SELECT COALESCE(MAX(number), 0) FROM cursor", [], |row| row.get(0))?;
        let cursor = uint(cursor);
        if cursor != self.cursor {
            return Ok(Err(format!("the cursor is {cursor}, the events say {}", self.cursor)));
        }
        Ok(Ok(()))
    }
}
