#![expect(clippy::wildcard_enum_match_arm, reason = "a test names what it is about")]

use std::fs;
use std::os::unix::fs::MetadataExt;

use alloy::primitives::{B256, Bytes};
use rusqlite::Connection;

use super::super::fixture::{Writer, bytes, header, proves, publish, reserved, run, signed};
use super::super::views::{Resolved, RunState};
use super::super::{Batch, Refusal, Views};
use super::*;
use crate::engine::{Event, RunOutcome};
use crate::units::SignedTx;
use crate::units::cid::sha256;

struct Home {
    _dir: tempfile::TempDir,
    folder: StateFolder,
}

impl Home {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let folder = StateFolder::open(&dir.path().join(".ogflow")).unwrap();
        Self { _dir: dir, folder }
    }

    fn journal(&self) -> SqliteJournal {
        SqliteJournal::open(&self.folder, proves).unwrap()
    }

    /// A run with task 1 bound to nonce 0 and signed; the journal is closed again.
    fn with_one_slot(&self) {
        let mut journal = self.journal();
        let mut writer = Writer::start(&mut journal, 1, 0);
        let tx = bytes(0, 0);
        writer.write(&mut journal, &[reserved(0, 1), signed(&tx, publish(1))], &[tx]).unwrap();
    }

    /// The database, opened by somebody who ignores the journal.
    fn intruder(&self) -> Connection {
        Connection::open(self.folder.database()).unwrap()
    }

    fn open_error(&self) -> StoreError {
        SqliteJournal::open(&self.folder, proves).unwrap_err()
    }
}

#[test]
fn the_database_is_for_its_owner_alone_and_syncs_every_commit() {
    let home = Home::new();
    let mut journal = home.journal();
    let _writer = Writer::start(&mut journal, 1, 0);
    for name in ["ogflow.db", "ogflow.db-wal", "ogflow.db-shm"] {
        let mode = fs::metadata(home.folder.path().join(name)).unwrap().mode() & 0o777;
        assert_eq!(mode, 0o600, "{name}");
    }
    let settings = [
        ("journal_mode", "wal"),
        ("synchronous", "2"),
        ("fullfsync", "1"),
        ("checkpoint_fullfsync", "1"),
        ("foreign_keys", "1"),
        ("trusted_schema", "0"),
        ("cell_size_check", "1"),
        ("mmap_size", "0"),
        ("wal_autocheckpoint", "0"),
    ];
    for (name, expected) in settings {
        let read = |row: &rusqlite::Row<'_>| row.get::<_, rusqlite::types::Value>(0);
        let found = journal.conn.query_row(&format!("PRAGMA {name}"), [], read).unwrap();
        let found = match found {
            rusqlite::types::Value::Integer(number) => number.to_string(),
            rusqlite::types::Value::Text(text) => text,
            other => panic!("{name}: {other:?}"),
        };
        assert_eq!(found, expected, "{name}");
    }
}

#[test]
fn the_database_itself_refuses_to_forget() {
    let home = Home::new();
    home.with_one_slot();
    let conn = home.intruder();
    for change in [
        "DELETE FROM event",
        "DELETE FROM slot",
        "DELETE FROM signed",
        "DELETE FROM lane",
        "DELETE FROM run",
        "DELETE FROM origin",
        "UPDATE event SET body = '{}'",
        "UPDATE slot SET task = zeroblob(16)",
        "UPDATE slot SET purpose = 'confirm'",
        "UPDATE slot SET binding = zeroblob(32)",
        "UPDATE slot SET nonce = 9",
        "UPDATE signed SET raw = zeroblob(3)",
        "UPDATE lane SET next_nonce = 0",
        "UPDATE lane SET epoch = 0",
        "UPDATE lane SET wallet = zeroblob(20)",
        "UPDATE run SET started_at = 0",
        "UPDATE origin SET id = 'x'",
        "INSERT INTO signed VALUES (1, 0, 1, zeroblob(32), x'00', zeroblob(32), '{}', 0)",
        "INSERT INTO slot SELECT lane, 1, run, task, purpose, binding, 'open' FROM slot",
        "INSERT INTO slot VALUES (1, 2, 1, zeroblob(16), 'publish', zeroblob(32), 'lost')",
    ] {
        assert!(conn.execute(change, []).is_err(), "{change}");
    }
    conn.execute("UPDATE slot SET state = 'final_ok'", []).unwrap();
    assert!(conn.execute("UPDATE slot SET state = 'open'", []).is_err());
}

#[test]
fn two_journals_on_one_file_cannot_both_write() {
    let home = Home::new();
    let (mut one, mut two) = (home.journal(), home.journal());
    let mut first = Writer::start(&mut one, 1, 0);
    let mut second = Writer { run: run(1), epoch: 2, seq: 1 };
    second.write(&mut two, &[Event::RunResumed { epoch: 2, cap: None }], &[]).unwrap();
    let refused = first.write(&mut one, &[reserved(0, 1)], &[]).unwrap_err();
    let stale = Refusal::StaleEpoch { given: 1, current: 2 };
    assert!(matches!(&refused, StoreError::Refused(refusal) if *refusal == stale), "{refused:?}");
    second.write(&mut two, &[reserved(0, 1)], &[]).unwrap();
}

#[test]
fn a_first_process_that_died_before_the_schema_leaves_nothing_and_nothing_damaged() {
    let home = Home::new();
    home.intruder().pragma_update(None, "journal_mode", "WAL").unwrap();
    set_private(&home);
    assert!(fs::metadata(home.folder.database()).unwrap().len() > 0);
    assert!(Views::open(&home.folder).unwrap().is_none());
    Writer::start(&mut home.journal(), 1, 0);
    assert_eq!(Views::open(&home.folder).unwrap().unwrap().runs().unwrap().len(), 1);
}

#[test]
fn what_is_no_journal_of_ours_is_refused() {
    let home = Home::new();
    fs::write(home.folder.database(), b"this is not a database, but long enough to be one")
        .unwrap();
    set_private(&home);
    assert!(matches!(home.open_error(), StoreError::Corrupt { .. }));
    assert!(matches!(Views::open(&home.folder), Err(StoreError::Corrupt { .. })));

    let other = Home::new();
    other.intruder().execute_batch("CREATE TABLE theirs (x)").unwrap();
    set_private(&other);
    let error = other.open_error();
    assert!(matches!(error, StoreError::Corrupt { what: "another program made it", .. }));
}

#[test]
fn a_journal_of_a_newer_format_is_refused() {
    let home = Home::new();
    home.with_one_slot();
    home.intruder().pragma_update(None, "user_version", SCHEMA + 1).unwrap();
    let error = home.open_error();
    assert!(matches!(error, StoreError::Format { found: 2, known: 1, .. }), "{error:?}");
    assert!(matches!(Views::open(&home.folder), Err(StoreError::Format { .. })));
}

#[test]
fn a_torn_database_is_refused_or_found_out_when_it_is_read() {
    let home = Home::new();
    home.with_one_slot();
    let whole = fs::read(home.folder.database()).unwrap();
    for keep in [1, 100, 4096, whole.len() / 2] {
        fs::write(home.folder.database(), &whole[..keep]).unwrap();
        let opened = SqliteJournal::open(&home.folder, proves);
        let read = opened.and_then(|journal| {
            journal.load(&run(1))?.events.collect::<Result<Vec<_>, _>>().map(drop)
        });
        assert!(matches!(read, Err(StoreError::Corrupt { .. })), "{keep}: {read:?}");
    }
}

#[test]
fn a_changed_event_does_not_pass_for_the_journaled_one() {
    let home = Home::new();
    home.with_one_slot();
    let conn = home.intruder();
    conn.execute_batch("DROP TRIGGER event_is_fixed").unwrap();
    let dearer = "UPDATE event SET body = replace(body, '\"7\"', '\"9\"') WHERE seq = 1";
    assert_eq!(conn.execute(dearer, []).unwrap(), 1);
    drop(conn);
    let journal = home.journal();
    let error = journal.load(&run(1)).unwrap().events.find_map(Result::err).unwrap();
    let what = "an event does not fit its checksum";
    assert!(matches!(error, StoreError::Corrupt { what: found, .. } if found == what));
}

#[test]
fn a_missing_event_is_found_out() {
    let home = Home::new();
    home.with_one_slot();
    let conn = home.intruder();
    conn.execute_batch("DROP TRIGGER event_stays; DELETE FROM event WHERE seq = 1").unwrap();
    drop(conn);
    let journal = home.journal();
    let error = journal.load(&run(1)).unwrap().events.find_map(Result::err).unwrap();
    assert!(matches!(error, StoreError::Corrupt { what: "an event is missing", .. }));
}

#[test]
fn bytes_that_do_not_prove_themselves_are_never_durable() {
    let spoil: [&str; 2] = [
        // The checksum notices one, the proof the other.
        "UPDATE signed SET raw = x'00'",
        "UPDATE signed SET sum = 0",
    ];
    for change in spoil {
        let home = Home::new();
        home.with_one_slot();
        let conn = home.intruder();
        conn.execute_batch(&format!("DROP TRIGGER signed_is_fixed; {change}")).unwrap();
        drop(conn);
        resume_is_corrupt(&mut home.journal(), change);
    }
    fn distrust(_: &SignedTx) -> bool {
        false
    }
    let home = Home::new();
    home.with_one_slot();
    resume_is_corrupt(&mut SqliteJournal::open(&home.folder, distrust).unwrap(), "no proof");
}

#[track_caller]
fn resume_is_corrupt(journal: &mut SqliteJournal, case: &str) {
    let mut writer = Writer { run: run(1), epoch: 2, seq: 3 };
    let resumed = [Event::RunResumed { epoch: 2, cap: None }];
    let error = writer.write(journal, &resumed, &[]).unwrap_err();
    assert!(matches!(error, StoreError::Corrupt { .. }), "{case}: {error:?}");
    let again = writer.write(journal, &resumed, &[]).unwrap_err();
    assert!(matches!(again, StoreError::Poisoned { .. }), "{case}: {again:?}");
}

#[test]
fn a_full_disk_refuses_a_group_and_takes_it_once_there_is_room() {
    let home = Home::new();
    let mut journal = home.journal();
    let mut writer = Writer::start(&mut journal, 1, 0);
    let pages: i64 = journal.conn.query_row("PRAGMA page_count", [], |row| row.get(0)).unwrap();
    let limit = |journal: &SqliteJournal, pages: i64| {
        let set = format!("PRAGMA max_page_count = {pages}");
        journal.conn.query_row(&set, [], |row| row.get::<_, i64>(0)).unwrap();
    };
    limit(&journal, pages);
    let events: Vec<_> = (0..200).map(|n| reserved(u64::from(n), n)).collect();
    let error = writer.write(&mut journal, &events, &[]).unwrap_err();
    assert!(matches!(error, StoreError::Full { .. }), "{error:?}");
    limit(&journal, 1_000_000);
    writer.write(&mut journal, &events, &[]).unwrap();
}

#[test]
fn a_process_that_stands_still_within_an_append_is_said_to_hold_the_database() {
    let home = Home::new();
    let mut journal = home.journal();
    let mut writer = Writer::start(&mut journal, 1, 0);
    let other = home.intruder();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    journal.conn.busy_timeout(Duration::ZERO).unwrap();
    let error = writer.write(&mut journal, &[reserved(0, 1)], &[]).unwrap_err();
    assert!(matches!(error, StoreError::Locked { .. }), "{error:?}");
}

#[test]
fn after_a_failure_of_the_disk_nothing_more_is_written() {
    let home = Home::new();
    let mut journal = home.journal();
    let mut writer = Writer::start(&mut journal, 1, 0);
    // The connection can no longer write: for the journal the same as a failing disk.
    journal.conn.pragma_update(None, "query_only", true).unwrap();
    let error = writer.write(&mut journal, &[reserved(0, 1)], &[]).unwrap_err();
    assert!(matches!(error, StoreError::Io { .. }), "{error:?}");
    journal.conn.pragma_update(None, "query_only", false).unwrap();
    let error = writer.write(&mut journal, &[reserved(0, 1)], &[]).unwrap_err();
    assert!(matches!(error, StoreError::Poisoned { .. }), "{error:?}");
}

#[test]
fn views_read_a_live_run_and_write_nothing() {
    let home = Home::new();
    assert!(Views::open(&home.folder).unwrap().is_none());
    let mut journal = home.journal();
    let mut writer = Writer::start(&mut journal, 1, 0);
    let views = Views::open(&home.folder).unwrap().unwrap();
    let body = Bytes::from_static(b"{\"label\":\"good\"}");
    let outputs = [(sha256(&body), body.clone())];
    let batch = Batch { outputs: &outputs, summary: Some("{\"done\":1}"), ..writer.batch(&[]) };
    journal.append(&batch).unwrap();
    assert_eq!(views.output(&sha256(&body)).unwrap().as_deref(), Some(&body[..]));
    assert_eq!(views.output(&B256::ZERO).unwrap(), None);
    let row = views.run(&run(1)).unwrap();
    assert_eq!((row.state, row.summary.as_str()), (RunState::Running, "{\"done\":1}"));
    assert_eq!(views.unfinished("reviews").unwrap().len(), 1);
    assert_eq!(views.unfinished("others").unwrap().len(), 0);

    let ended = [Event::RunEnded { outcome: RunOutcome::Done }];
    writer.write(&mut journal, &ended, &[]).unwrap();
    assert_eq!(views.run(&run(1)).unwrap().state, RunState::Ended(RunOutcome::Done));
    assert_eq!(views.unfinished("reviews").unwrap().len(), 0);
    let seen: Vec<_> = views.events(&run(1), 1).unwrap().map(|e| e.unwrap().event).collect();
    assert_eq!(seen, ended);
    assert_eq!(*views.header(&run(1)).unwrap(), header(&run(1)));
    assert!(views.conn.execute("UPDATE run SET summary = ''", []).is_err());
}

#[test]
fn a_large_output_is_read_from_its_file_and_checked() {
    let home = Home::new();
    home.with_one_slot();
    let views = Views::open(&home.folder).unwrap().unwrap();
    let body = vec![b'x'; 40_000];
    fs::create_dir(home.folder.blobs()).unwrap();
    fs::write(home.folder.blob(&sha256(&body)), &body).unwrap();
    assert_eq!(views.output(&sha256(&body)).unwrap(), Some(body));
    fs::write(home.folder.blob(&B256::ZERO), b"another").unwrap();
    assert!(matches!(views.output(&B256::ZERO), Err(StoreError::Corrupt { .. })));
}

#[test]
fn a_run_is_named_by_its_beginning_or_as_the_latest() {
    let home = Home::new();
    let mut journal = home.journal();
    let _a = Writer::start(&mut journal, 1, 0);
    let _b = Writer::start(&mut journal, 33, 1);
    let _c = Writer::start(&mut journal, 2, 2);
    let views = Views::open(&home.folder).unwrap().unwrap();
    let resolve = |text: &str| views.resolve(text).unwrap();
    assert_eq!(resolve("latest"), Resolved::One(run(2)));
    assert_eq!(resolve("r-2"), Resolved::One(run(2)));
    assert_eq!(resolve("2"), Resolved::One(run(2)));
    assert_eq!(resolve("r-1"), Resolved::Several(vec![run(33), run(1)]));
    assert_eq!(resolve(run(1).as_str()), Resolved::One(run(1)));
    assert_eq!(resolve("r-9"), Resolved::None);
    assert_eq!(resolve(""), Resolved::Several(vec![run(2), run(33), run(1)]));
}

#[test]
fn every_state_of_a_run_reads_back_from_its_word() {
    for state in RunState::ALL {
        assert_eq!(RunState::parse(state.word()), Some(state));
        if let RunState::Ended(outcome) = state {
            assert_eq!(serde_json::to_string(&outcome).unwrap(), format!("\"{}\"", state.word()));
        }
    }
    assert_eq!(RunState::parse("lost"), None);
}

fn set_private(home: &Home) {
    use std::os::unix::fs::PermissionsExt;
    let mode = fs::Permissions::from_mode(0o600);
    fs::set_permissions(home.folder.database(), mode).unwrap();
}
