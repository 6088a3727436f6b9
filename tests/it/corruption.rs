//! A damaged or older database (safety.md, sections 3, 6 and 12): refused, or harmless.
//!
//! In process the oracle is what the database held before: what a damaged one still tells is the
//! beginning of that, and never something else. With the binary it is the chain.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};

use alloy::primitives::Bytes;
use ogflow::chain::proof::proves_itself;
use ogflow::engine::Event;
use ogflow::store::{
    Batch, Journal, LaneKey, Recorded, SqliteJournal, StateFolder, StoreError, Views,
};
use ogflow::units::Timestamp;

use crate::support::chance::{Chance, count, each_case, seed, tell};
use crate::support::damage::Copy;
use crate::support::lab::{DOZEN, Lab, MANUAL, Player};
use crate::support::{Running, rows};

fn state(player: &Player) -> std::path::PathBuf {
    player.project.path().join(".ogflow")
}

/// Runs or resumes until the n-th event of a kind, and kills it; `false` if it ended before.
fn killed_at(player: &Player, command: &str, (kind, nth): (&str, u64)) -> bool {
    let mut run = Running::start(player.project.command(&player.words(command)));
    let kind = format!("\"type\":\"{kind}\"");
    let alive = (0..nth).all(|_| run.tells(&kind));
    run.kill();
    alive
}

/// A point of a run, from its first slot to its last confirm.
fn any_point(chance: &mut Chance) -> (&'static str, u64) {
    let kind = chance.one(&["task_pinned", "task_submitted", "task_published", "task_confirmed"]);
    (kind, chance.among(1..=DOZEN - 2))
}

/// What a database tells of its only run.
struct Content {
    events: Vec<Recorded>,
    /// The signed bytes that it would send again.
    durable: BTreeSet<Bytes>,
}

/// Opens a state folder as a resume does, up to the append that takes the lane.
fn read(path: &Path) -> Result<Content, StoreError> {
    let folder = StateFolder::open(path)?;
    let Some(views) = Views::open(&folder)? else {
        return Ok(Content { events: Vec::new(), durable: BTreeSet::new() });
    };
    let mut journal = SqliteJournal::open(&folder, proves_itself)?;
    let Some(row) = views.runs()?.into_iter().next() else {
        return Ok(Content { events: Vec::new(), durable: BTreeSet::new() });
    };
    let (header, first_seq, events) = {
        let loaded = journal.load(&row.run)?;
        let events = loaded.events.collect::<Result<Vec<_>, _>>()?;
        (loaded.header, loaded.next_seq, events)
    };
    let epoch = journal.lane(&LaneKey::of(&header), &row.run)?.epoch + 1;
    let appended = journal.append(&Batch {
        run: &row.run,
        epoch,
        first_seq,
        at: Timestamp::from_millis(1),
        events: &[Event::RunResumed { epoch, cap: None }],
        signed: &[],
        outputs: &[],
        summary: None,
    })?;
    let durable = appended.durable.iter().map(|tx| tx.get().raw.clone()).collect();
    Ok(Content { events, durable })
}

/// States of a run that ended and of runs that were killed at different points, and what they hold.
fn templates(lab: &Lab) -> Vec<(Copy, Content)> {
    let points = [
        None,
        Some(("task_submitted", DOZEN)),
        Some(("task_published", 3)),
        Some(("task_confirmed", 1)),
        Some(("task_confirmed", 9)),
    ];
    let made = points.into_iter().zip(0..).map(|(point, n)| {
        let player = lab.dozen(n);
        match point {
            Some(point) => assert!(killed_at(&player, "run", point), "killed in time"),
            None => drop(player.act("run").exits(0)),
        }
        let copy = Copy::of(&state(&player));
        (copy, read(&state(&player)).unwrap())
    });
    made.collect()
}

/// A folder for one case, in memory where that is to be had.
fn scratch() -> tempfile::TempDir {
    tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap()
}

#[test]
fn a_damaged_database_is_refused_or_tells_the_beginning_of_the_truth() {
    let (seed, cases) = (seed(), count(500, 20_000));
    let lab = Lab::up(&["--latency", "0ms..300ms"], seed, 5);
    let templates = templates(&lab);
    let [refused, whole, shorter] = [0; 3].map(AtomicU64::new);
    each_case("corruption", seed, (cases, 2), |number| {
        let mut chance = Chance::new(seed, number);
        let (copy, truth) = &templates[chance.place(templates.len())];
        let mut copy = copy.clone();
        let how = copy.damage(&mut chance);
        let folder = scratch();
        std::fs::create_dir_all(folder.path()).unwrap();
        copy.put(folder.path());
        let Ok(found) = read(folder.path()) else {
            refused.fetch_add(1, Ordering::Relaxed);
            return;
        };
        assert!(truth.events.starts_with(&found.events), "{how}: another past");
        let all = found.events.len() == truth.events.len();
        if all {
            let ours = found.durable.is_subset(&truth.durable);
            assert!(ours, "{how}: bytes that nobody signed");
        }
        (if all { &whole } else { &shorter }).fetch_add(1, Ordering::Relaxed);
    });
    let [refused, whole, shorter] = [refused, whole, shorter].map(AtomicU64::into_inner);
    tell(&format!(
        "corruption: seed {seed}, {cases} cases ({refused} refused, {whole} read whole, {shorter} \
         read as they were earlier), 0 violations"
    ));
    assert!(refused > 0 && whole > 0 && shorter > 0, "each end was reached");
}

/// How runs on such databases ended.
#[derive(Default)]
struct Ends {
    finished: AtomicU64,
    refused: AtomicU64,
}

impl Ends {
    /// Resumes three times, as a user would who does not believe it, and judges by the chain: a
    /// resume finishes the run, finds none, or refuses; nothing is ever published twice.
    fn resumed(&self, lab: &Lab, player: &Player, how: &str) {
        let resume = ["resume", "--yes", "--progress", "json", "--timeout", "30s"];
        let ran: Vec<_> = (0..3).map(|_| player.project.run(&resume)).collect();
        let codes: Vec<i32> = ran.iter().map(|ran| ran.code).collect();
        lab.nothing_twice(player);
        let told = || ran.iter().map(|ran| ran.stderr.as_str()).collect::<String>();
        // 2: nothing ran, as far as it knows.
        assert!(codes == [codes[0]; 3] && [0, 2, 9].contains(&codes[0]), "{how}: {}", told());
        if codes[0] == 9 {
            self.refused.fetch_add(1, Ordering::Relaxed);
        } else if ran[0].stderr.contains("DONE ") {
            lab.audit(player, DOZEN);
            self.finished.fetch_add(1, Ordering::Relaxed);
        } else {
            let none = ["Nothing to resume", "nothing ran"];
            assert!(none.iter().any(|said| ran[0].stderr.contains(said)), "{how}: {}", told());
        }
    }

    fn tell(self, suite: &str, seed: u64, cases: u64) {
        let (finished, refused) = (self.finished.into_inner(), self.refused.into_inner());
        tell(&format!(
            "{suite}: seed {seed}, {cases} cases ({finished} finished, {refused} refused), 0 \
             violations"
        ));
        assert!(finished > 0 && refused > 0, "both ends were reached");
    }
}

#[test]
fn a_run_on_a_damaged_database_never_pays_twice() {
    let (seed, cases) = (seed(), count(24, 240));
    let lab = Lab::up(&["--latency", "0ms..300ms"], seed, cases);
    let ends = Ends::default();
    each_case("damaged runs", seed, (cases, 8), |number| {
        let mut chance = Chance::new(seed, number);
        let player = lab.dozen(number);
        killed_at(&player, "run", any_point(&mut chance));
        let mut copy = Copy::of(&state(&player));
        let how = copy.damage(&mut chance);
        copy.put(&state(&player));
        ends.resumed(&lab, &player, &how);
    });
    ends.tell("damaged runs", seed, cases);
}

/// Either the log has lost its last commits, or a copy of an earlier stop was put back.
#[test]
fn an_older_database_never_pays_twice() {
    let (seed, cases) = (seed(), count(36, 360));
    let lab = Lab::up(&["--latency", "0ms..300ms"], seed, cases);
    let ends = Ends::default();
    each_case("older runs", seed, (cases, 8), |number| {
        let mut chance = Chance::new(seed, number);
        let player = lab.dozen(number);
        let point = any_point(&mut chance);
        killed_at(&player, "run", point);
        let copy = Copy::of(&state(&player));
        let how = if chance.hits(60) {
            let (last, all) = (1 + chance.place(copy.commits()), copy.commits());
            copy.without_commits(last).put(&state(&player));
            format!("{point:?}, without the last {last} of {all} commits")
        } else {
            let later = any_point(&mut chance);
            killed_at(&player, lab.next_command(&player), later);
            copy.put(&state(&player));
            format!("{point:?}, put back after {later:?}")
        };
        ends.resumed(&lab, &player, &how);
    });
    ends.tell("older runs", seed, cases);
}

/// A copy that knows a slot and not the bytes that were signed for it, which are mined: the slot
/// keeps what was to be signed, so the same bytes are made again.
#[test]
fn a_slot_whose_bytes_were_lost_is_signed_again_and_its_task_is_found() {
    let lab = Lab::up(&[], 7, 1);
    let player = lab.player(0, MANUAL, None);
    player.project.write("rows.csv", rows(1));
    assert!(killed_at(&player, "run", ("task_published", 1)), "killed in time");
    let copy = Copy::of(&state(&player));
    let knows = |copy: &Copy| {
        let folder = scratch();
        copy.put(folder.path());
        let events = read(folder.path()).map(|content| content.events).unwrap_or_default();
        let reserved = |one: &Recorded| matches!(one.event, Event::SlotReserved { .. });
        let signed = |one: &Recorded| matches!(one.event, Event::VersionSigned { .. });
        events.iter().any(reserved) && !events.iter().any(signed)
    };
    let old = (1..copy.commits()).map(|last| copy.without_commits(last)).find(knows);
    old.expect("slot and bytes are two commits").put(&state(&player));
    player.act("resume").exits(0);
    lab.audit(&player, 1);
}
