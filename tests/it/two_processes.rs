//! Two processes that want the same run or the same wallet (safety.md, section 12): one sends.

use std::fs;

use alloy::primitives::U256;
use rustix::process::Signal;

use crate::support::chance::{Chance, count, each_case, seed, tell};
use crate::support::lab::{DOZEN, Lab, MANUAL, PAYMENT, Player};
use crate::support::{Running, rows, until};

/// A run that goes on until at least one task is on the chain.
fn begun(player: &Player) -> Running {
    let mut run = Running::start(player.project.command(&player.words("run")));
    run.until("task_published");
    run
}

/// Waits until the system has stopped a process.
fn is_stopped(run: &Running) {
    until("it stands still", || {
        let stat = fs::read_to_string(format!("/proc/{}/stat", run.id())).unwrap();
        stat.rsplit(')').next().unwrap().trim_start().starts_with('T')
    });
}

#[test]
fn the_same_run_and_the_same_wallet_are_refused_while_one_works() {
    let lab = Lab::up(&["--latency", "500ms"], 2, 1);
    let first = lab.dozen(0);
    let second = lab.second(0, MANUAL, &first);
    second.write("rows.csv", rows(1));
    let run = begun(&first);
    first.act("resume").exits(75).says(&["E0921", "another process"]);
    first.project.run(&["run", "--new", "--yes"]).exits(75).says(&["another process"]);
    second.run(&["run", "--yes"]).exits(75).says(&["another process"]);
    run.end().exits(0);
    lab.audit(&first, DOZEN);
    // In turn two projects may use one wallet.
    second.run(&["run", "--yes"]).exits(0);
    assert_eq!(lab.bought(&first).len() as u64, DOZEN + 1);
}

#[test]
fn a_holder_that_stands_still_keeps_its_lock_and_goes_on_when_woken() {
    let lab = Lab::up(&["--latency", "0ms..200ms"], 3, 1);
    let player = lab.dozen(0);
    let run = begun(&player);
    run.signal(Signal::STOP);
    is_stopped(&run);
    player.act("resume").exits(75).says(&["another process"]);
    run.signal(Signal::CONT);
    run.end().exits(0);
    lab.audit(&player, DOZEN);
}

#[test]
fn lock_files_of_dead_processes_stop_nobody() {
    let lab = Lab::up(&["--latency", "0ms..200ms"], 4, 1);
    let player = lab.dozen(0);
    begun(&player).kill();
    // As if an unrelated process had the number of the dead one by now.
    for lock in locks(&player) {
        let text = fs::read_to_string(&lock).unwrap();
        let mut note: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_ne!(note["holder"]["pid"], 0, "{text}");
        note["holder"]["pid"] = std::process::id().into();
        fs::write(&lock, note.to_string()).unwrap();
    }
    player.act("resume").exits(0);
    lab.audit(&player, DOZEN);
}

fn locks(player: &Player) -> Vec<std::path::PathBuf> {
    let home = player.project.home();
    let files = crate::support::files(&home).into_iter();
    let locks: Vec<_> =
        files.filter(|name| name.ends_with(".lock")).map(|name| home.join(name)).collect();
    assert_eq!(locks.len(), 2, "one of the run, one of the wallet: {locks:?}");
    locks
}

/// The journal of a machine that died, or that still works, and of which nobody here can tell.
#[test]
fn a_lease_of_another_machine_is_left_alone_until_one_says_that_it_is_gone() {
    let lab = Lab::up(&["--latency", "0ms..200ms"], 6, 1);
    let player = lab.dozen(0);
    begun(&player).kill();
    let database = player.project.path().join(".ogflow/ogflow.db");
    let lane = rusqlite::Connection::open(&database).unwrap();
    let elsewhere = r#"{"machine":"elsewhere","boot":"another","pid":7}"#;
    assert_eq!(lane.execute("UPDATE lane SET holder = ?1", [elsewhere]).unwrap(), 1);
    drop(lane);
    let before = lab.bought(&player);
    let words = ["E0921", "process 7 on machine `elsewhere`", "--take-over"];
    player.act("resume").exits(75).says(&words);
    player.project.run(&["run", "--new", "--yes"]).exits(75).says(&words);
    assert_eq!(lab.bought(&player), before, "nothing was published");
    let taken = player.project.run(&["resume", "--yes", "--take-over"]).exits(0);
    taken.says(&["Taking over from process 7 on machine `elsewhere`"]);
    lab.audit(&player, DOZEN);
    // Of a run that has ended nobody holds anything.
    let lane = rusqlite::Connection::open(&database).unwrap();
    let holder: String = lane.query_row("SELECT holder FROM lane", [], |row| row.get(0)).unwrap();
    assert_eq!(holder, "");
}

/// A holder is stopped, somebody removes its lock files and goes on, and the holder wakes up in the
/// middle or afterwards: its next append is refused.
#[test]
fn a_holder_that_wakes_up_after_a_take_over_sends_nothing_new() {
    let (seed, cases) = (seed(), count(12, 120));
    let lab = Lab::up(&["--latency", "0ms..300ms"], seed, cases);
    each_case("take-over", seed, (cases, 6), |number| {
        let mut chance = Chance::new(seed, number);
        let player = lab.dozen(number);
        let old = begun(&player);
        old.signal(Signal::STOP);
        is_stopped(&old);
        locks(&player).iter().for_each(|lock| fs::remove_file(lock).unwrap());
        let mut new = Running::start(player.project.command(&player.words("resume")));
        // Either the holder wakes up in the middle of the other's work, or after its end.
        let in_the_middle = chance.hits(50) && new.tells("run_started");
        if in_the_middle {
            old.signal(Signal::CONT);
        }
        let new = new.end();
        old.signal(Signal::CONT);
        let old = old.end();
        // Stopped within an append, the holder has the database itself, and nobody takes over.
        let codes = [old.code, new.code];
        assert!([[75, 0], [0, 75]].contains(&codes), "{codes:?}\n{}\n{}", old.stderr, new.stderr);
        lab.audit(&player, DOZEN);
    });
    tell(&format!("take-over: seed {seed}, {cases} cases, 0 violations"));
}

/// A killed run that several processes want to go on with at the same moment.
#[test]
fn of_many_that_resume_at_once_one_goes_on() {
    let (seed, cases) = (seed(), count(15, 180));
    let lab = Lab::up(&["--latency", "0ms..200ms"], seed, cases);
    each_case("race", seed, (cases, 4), |number| {
        let mut chance = Chance::new(seed, number);
        let player = lab.dozen(number);
        begun(&player).kill();
        let many = chance.among(2..=4);
        let all: Vec<Running> = (0..many)
            .map(|_| Running::start(player.project.command(&player.words("resume"))))
            .collect();
        let codes: Vec<i32> = all.into_iter().map(|one| one.end().code).collect();
        assert!(codes.contains(&0), "somebody finished: {codes:?}");
        assert!(codes.iter().all(|code| [0, 75].contains(code)), "{codes:?}");
        lab.audit(&player, DOZEN);
    });
    tell(&format!("race: seed {seed}, {cases} cases, 0 violations"));
}

/// Two machines with one wallet are beyond locks: the chain's nonces are what is left. Nothing is
/// published twice, and the run whose wallet was used elsewhere stops.
#[test]
fn a_wallet_that_another_machine_used_stops_an_unfinished_run() {
    let lab = Lab::up(&["--latency", "0ms..200ms"], 5, 1);
    let (here, there) = (lab.dozen(0), lab.dozen(0));
    begun(&here).kill();
    there.act("run").exits(0);
    let before = lab.bought(&here);
    here.act("resume").exits(9).says(&["E0913", "was used elsewhere"]);
    assert_eq!(lab.bought(&here), before, "nothing more was published");
    let vault = lab.oracle.money(&[here.wallet])[0];
    assert!(vault.frozen <= U256::from(DOZEN * PAYMENT), "only what was open before");
}
