//! The journal is gone, or an old copy (safety.md, section 6, rows 24 and 25): nothing is published
//! unasked, and `resume --from-chain` goes on from what the chain knows.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::support::chance::{Chance, count, each_case, seed, tell};
use crate::support::damage::Copy;
use crate::support::lab::{Lab, Player};
use crate::support::{Running, rows};

/// Tasks of a source that pays by itself, and as many that we confirm.
const PIPELINE: &str = "version: 1
name: lost
tag: TAG
sources: { echo: 'ECHO', llm: 'LLM' }
defaults: { payment: 0.001 OGPU }
steps:
  each:
    source: echo
    function: echo
    foreach: { file: rows.csv, key: id }
    data: { text: '{{ item.text }}' }
  ask:
    source: llm
    function: chat
    needs: [each]
    foreach: { file: rows.csv, key: id }
    data: { text: 'ask {{ item.text }}' }
";
/// Items of each step.
const ITEMS: u64 = 5;
/// Tasks of a run.
const TASKS: u64 = 2 * ITEMS;

fn player(lab: &Lab, n: u64, tag: bool) -> Player {
    let player = lab.player(n, &PIPELINE.replace("TAG", &tag.to_string()), None);
    player.project.write("rows.csv", rows(usize::try_from(ITEMS).unwrap()));
    player
}

fn state(player: &Player) -> std::path::PathBuf {
    player.project.path().join(".ogflow")
}

fn lose(player: &Player) {
    for file in ["ogflow.db", "ogflow.db-wal", "ogflow.db-shm"] {
        drop(std::fs::remove_file(state(player).join(file)));
    }
}

/// Runs or resumes until the n-th event of a kind, and kills it; `false` if it ended before.
fn killed_at(player: &Player, words: &[&str], (kind, nth): (&str, u64)) -> bool {
    let mut run = Running::start(player.project.command(words));
    let kind = format!("\"type\":\"{kind}\"");
    let alive = (0..nth).all(|_| run.tells(&kind));
    run.kill();
    alive
}

/// Makes the journal look as if a process of another machine had it.
fn elsewhere(player: &Player) {
    let journal = rusqlite::Connection::open(state(player).join("ogflow.db")).unwrap();
    let elsewhere = r#"{"machine":"elsewhere","boot":"another","pid":7}"#;
    assert_eq!(journal.execute("UPDATE lane SET holder = ?1", [elsewhere]).unwrap(), 1);
}

/// The id of the only run that is there.
fn run_id(player: &Player) -> String {
    let status = player.project.run(&["status", "--json"]).exits(0).json();
    status["runs"][0]["run"].as_str().unwrap_or("r-00000000").to_owned()
}

/// The words that go on with a run whose journal is not what it was.
fn from_chain(run: &str) -> [&str; 8] {
    ["resume", run, "--from-chain", "--pipeline", "p.yaml", "--yes", "--progress", "json"]
}

/// Everything was bought once, and all outputs are there.
#[track_caller]
fn whole(lab: &Lab, player: &Player) {
    assert_eq!(lab.nothing_twice(player), TASKS, "{}", player.wallet);
    player.has_outputs("each", ITEMS);
    let outputs = player.project.run(&["results", "latest", "--step", "ask"]).exits(0).lines();
    assert_eq!(outputs.len() as u64, ITEMS);
}

#[test]
fn without_its_journal_nothing_is_published_until_somebody_says_so() {
    let lab = Lab::up(&["--latency", "1s"], 8, 1);
    let player = player(&lab, 0, true);
    assert!(killed_at(&player, &player.words("run"), ("task_published", ITEMS)));
    lose(&player);
    player.act("resume").exits(2).says(&["nothing ran"]);
    player.project.run(&["run"]).exits(4).says(&["E0802", "--yes"]);
    assert_eq!(lab.nothing_twice(&player), ITEMS, "nothing more was published");
    player
        .project
        .run(&["resume", "--from-chain", "--yes"])
        .exits(2)
        .says(&["named by its whole id"]);
}

/// A new run is a new payment, here too: nothing of the lost one is found again. Its tasks have
/// other keys, so the chain tells the two apart.
#[test]
fn a_new_run_after_the_loss_buys_anew_under_other_keys() {
    let lab = Lab::up(&[], 9, 1);
    let player = player(&lab, 0, true);
    assert!(killed_at(&player, &player.words("run"), ("task_published", ITEMS)));
    let before = lab.nothing_twice(&player);
    lose(&player);
    player.act("run").exits(0);
    let keys = lab.bought(&player);
    assert_eq!(lab.nothing_twice(&player), before + TASKS);
    let runs: BTreeSet<&str> = keys.iter().map(|key| &key[..8]).collect();
    assert_eq!(runs.len(), 2, "{keys:?}");
}

#[test]
fn a_lost_run_goes_on_from_the_chain_and_buys_only_what_was_not_bought() {
    let lab = Lab::up(&["--latency", "200ms"], 10, 1);
    let player = player(&lab, 0, true);
    assert!(killed_at(&player, &player.words("run"), ("task_published", 3)));
    let (run, before) = (run_id(&player), lab.nothing_twice(&player));
    lose(&player);
    let ran = player.project.run(&from_chain(&run)).exits(0);
    let found = format!("{before} of run {run}");
    let ran = ran.says(&[&found, "transfers of nothing"]);
    assert_eq!(ran.stderr.matches("\"adopted\":true").count() as u64, before);
    whole(&lab, &player);
    let status = player.project.run(&["status", &run, "--json"]).exits(0).json();
    assert_eq!((&status["state"], &status["confirmed"]), (&"done".into(), &TASKS.into()));
    assert_eq!(status["locked_wei"], "0");
    player
        .project
        .run(&["resume", &run, "--from-chain", "--yes"])
        .exits(0)
        .says(&["Nothing to do"]);
}

#[test]
fn an_old_copy_says_so_and_goes_on_from_the_chain() {
    let lab = Lab::up(&["--latency", "200ms"], 11, 1);
    let player = player(&lab, 0, true);
    assert!(killed_at(&player, &player.words("run"), ("task_published", 2)));
    let (run, copy) = (run_id(&player), Copy::of(&state(&player)));
    // As if its machine had been put back: what was mined since is on the chain alone.
    player.act("resume").exits(0);
    copy.put(&state(&player));
    player.act("resume").exits(9).says(&["--from-chain"]);
    let before = lab.nothing_twice(&player);
    player.project.run(&from_chain(&run)).exits(0);
    assert_eq!(lab.nothing_twice(&player), before);
    whole(&lab, &player);
}

#[test]
fn a_run_whose_wallet_was_used_elsewhere_goes_on_from_the_chain() {
    let lab = Lab::up(&["--latency", "100ms"], 12, 1);
    let player = player(&lab, 0, true);
    assert!(killed_at(&player, &player.words("run"), ("task_published", 2)));
    let run = run_id(&player);
    lab.use_elsewhere(0);
    player.act("resume").exits(9).says(&["E0913", "--from-chain"]);
    player.project.run(&from_chain(&run)).exits(0);
    whole(&lab, &player);
    // It stays mended: nothing is asked for, and nothing is refused, the next time.
    player.act("resume").exits(0).says(&["Nothing to resume"]);
}

#[test]
fn a_wrong_id_buys_nothing_and_a_pipeline_without_the_items_leaves_none_unsaid() {
    let lab = Lab::up(&["--latency", "100ms"], 13, 1);
    let player = player(&lab, 0, true);
    assert!(killed_at(&player, &player.words("run"), ("task_published", ITEMS)));
    let (run, before) = (run_id(&player), lab.nothing_twice(&player));
    lose(&player);
    let ran = player.project.run(&from_chain("r-00000000")).exits(2);
    ran.says(&["has published nothing of run r-00000000"]);
    assert_eq!(lab.nothing_twice(&player), before);
    player.project.write("rows.csv", "id,text\n1,another\n");
    let ran = player.project.run(&from_chain(&run)).exits(0);
    ran.says(&["of this run", "no task of its plan"]);
}

/// It might be of this run: going on would pay for it again.
#[test]
fn a_config_that_cannot_be_read_stops_everything_until_somebody_answers_for_it() {
    let lab = Lab::up(&["--latency", "100ms"], 16, 1);
    let player = player(&lab, 0, true);
    assert!(killed_at(&player, &player.words("run"), ("task_published", 3)));
    let run = run_id(&player);
    lose(&player);
    lab.publish_unreadable(0, &player);
    let before = lab.oracle.inputs(player.wallet, player.since).len();
    let ran = player.project.run(&from_chain(&run)).exits(7);
    ran.says(&["E0903", "1 config", "--skip-unreadable", "nothing was published"]);
    assert_eq!(lab.oracle.inputs(player.wallet, player.since).len(), before);
    let words = [&from_chain(&run)[..], &["--skip-unreadable"]].concat();
    player.project.run(&words).exits(0).says(&["1 without a tag"]);
    let after = lab.oracle.inputs(player.wallet, player.since).len();
    assert_eq!(after as u64, TASKS + 1, "each task once, and the one that is not ours");
    player.has_outputs("each", ITEMS);
}

#[test]
fn a_fence_that_was_killed_goes_on_and_is_no_run_that_anybody_means() {
    let lab = Lab::up(&["--latency", "100ms"], 14, 1);
    let player = player(&lab, 0, true);
    assert!(killed_at(&player, &player.words("run"), ("task_published", 3)));
    let (run, copy) = (run_id(&player), Copy::of(&state(&player)));
    player.act("resume").exits(0);
    copy.put(&state(&player));
    let before = lab.oracle.height();
    let stopped = Running::start(player.project.command(&from_chain(&run)));
    while lab.oracle.height() < before + 3 {}
    stopped.kill();
    // Without an id the run is meant, not its fence.
    let words = ["resume", "--from-chain", "--yes"];
    player.project.run(&words).exits(0).says(&[&format!("for run {run}")]);
    let status = player.project.run(&["status", "--json"]).exits(0).json();
    let runs = status["runs"].as_array().unwrap();
    assert!(runs.iter().any(|run| run["pipeline"] == "lane-fence"), "{status}");
    assert!(runs.iter().all(|run| run["state"] == "done"), "{status}");
    whole(&lab, &player);
}

#[test]
fn a_journal_that_another_machine_held_goes_on_here_once_that_is_said() {
    let lab = Lab::up(&["--latency", "100ms"], 15, 1);
    let player = player(&lab, 0, true);
    assert!(killed_at(&player, &player.words("run"), ("task_published", 3)));
    let run = run_id(&player);
    elsewhere(&player);
    player.project.run(&from_chain(&run)).exits(75).says(&["--take-over"]);
    let words = [&from_chain(&run)[..], &["--take-over"]].concat();
    player.project.run(&words).exits(0);
    whole(&lab, &player);
}

#[test]
fn a_journal_that_is_lost_or_put_back_at_any_moment_costs_nothing_twice() {
    let (cases, seed) = (count(30, 500), seed());
    let lab = Lab::up(&["--latency", "50ms"], seed, cases);
    let (kills, adopted) = (AtomicU64::new(0), AtomicU64::new(0));
    each_case("lost", seed, (cases, 8), |number| {
        let mut chance = Chance::new(seed, number);
        let tag = chance.hits(70);
        let player = player(&lab, number, tag);
        let kinds = ["task_pinned", "task_submitted", "task_published", "task_confirmed"];
        let point = (chance.one(&kinds), chance.among(1..=TASKS - 1));
        killed_at(&player, &player.words("run"), point);
        let run = run_id(&player);
        // Of what was never published there is nothing to be found.
        if lab.nothing_twice(&player) == 0 {
            player.act(lab.next_command(&player)).exits(0);
            return whole(&lab, &player);
        }
        if chance.hits(50) {
            lose(&player);
        } else {
            let copy = Copy::of(&state(&player));
            copy.without_commits(chance.place(copy.commits())).put(&state(&player));
        }
        let words = from_chain(&run);
        for _ in 0..chance.among(0..=2) {
            let point = (chance.one(&kinds), chance.among(1..=4));
            kills.fetch_add(u64::from(killed_at(&player, &words, point)), Ordering::Relaxed);
        }
        let ran = player.project.run(&words).exits(0);
        adopted.fetch_add(ran.stderr.matches("\"adopted\":true").count() as u64, Ordering::Relaxed);
        whole(&lab, &player);
    });
    let (kills, adopted) = (kills.into_inner(), adopted.into_inner());
    tell(&format!("lost: seed {seed}, {cases} journals, {kills} kills, {adopted} tasks adopted"));
    assert!(adopted > 0);
}
