//! What `resume` does besides going on: `--retry-failed`, `--raise`, `--accept-code`, and a cap that
//! is passed already.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::support::lab::{DOZEN, Lab, MANUAL};
use crate::support::proxy::{Fault, Proxy};
use crate::support::{Project, ROWS, rows};

/// A step whose outputs are checked before they are paid, and one that reads it.
const PAIR: &str = "\
version: 1
name: pair
steps:
  one:
    source: builtin:llm
    function: chat
    payment: 0.001 OGPU
    expires: 5s
    retry: { max: 0 }
    data: { prompt: x }
    accept: { schema: { type: object, required: [n], properties: { n: { type: integer } } } }
  two:
    source: builtin:echo
    function: echo
    payment: 0.001 OGPU
    data: { text: \"{{ steps.one.output.n }}\" }
";

fn failed_pair() -> Project {
    let project = Project::with(PAIR);
    project.run(&["run", "--devnet", "wrong=100%"]).exits(10);
    project
}

#[test]
fn what_failed_is_tried_again_in_a_run_that_has_ended_and_its_readers_start() {
    let project = failed_pair();
    project.run(&["resume"]).exits(0).says(&["Nothing to resume"]);
    let ran = project.run(&["resume", "--retry-failed", "--raise", "50%"]).exits(0);
    let ran = ran.says(&["failed  published anew", "To try again: 1 failed task", "0.0015 OGPU"]);
    let ran = ran.says(&["rise by 50 %", "what did not start because of them: two"]);
    assert!(ran.stdout.contains(" DONE  pair"), "{}", ran.stdout);
    let task = project.run(&["status", "latest", "one/one"]).exits(0);
    let task = task.prints(&["Task completed", "round 2     for 0.0015 OGPU", "--retry-failed"]);
    assert_eq!(task.stdout.matches("  published ").count(), 2, "{}", task.stdout);
    let run = project.run(&["status", "latest", "--json"]).exits(0).json();
    for step in 0..2 {
        let step = &run["steps"][step];
        assert_eq!((&step["confirmed"], &step["failed"]), (&1.into(), &0.into()), "{step}");
    }
    assert_eq!(project.run(&["results", "--step", "two"]).exits(0).lines().len(), 1);
    project.run(&["results", "--step", "one", "--errors", "-"]).exits(0).prints(&[]);

    let again = project.run(&["resume", "latest", "--retry-failed"]).exits(0);
    again.says(&["Nothing to try again"]);
}

#[test]
fn a_round_that_was_asked_for_is_bought_once_whatever_kills_the_process() {
    let project = failed_pair();
    let args = ["resume", "--retry-failed", "--devnet", "latency=3s", "--progress", "json"];
    let mut resumed = project.start(&args);
    resumed.until("task_published");
    resumed.kill();
    project.run(&["resume"]).exits(0);
    let run = project.run(&["status", "latest", "--json"]).exits(0).json();
    let step = &run["steps"][0];
    assert_eq!((&step["confirmed"], &step["retried"]), (&1.into(), &1.into()), "{step}");
    let task = project.run(&["status", "latest", "one/one"]).exits(0);
    assert_eq!(task.stdout.matches("  published ").count(), 2, "{}", task.stdout);
}

#[test]
fn a_cap_below_what_is_spent_and_promised_is_refused_and_changes_nothing() {
    let project = Project::with(ROWS);
    project.write("rows.csv", rows(8));
    project.run(&["run", "--detach", "--devnet", "latency=1h"]).exits(11);
    let before = project.run(&["status", "latest", "--json"]).exits(0).stdout;
    let refused = project.run(&["resume", "--max-spend", "0.001 OGPU"]).exits(6);
    refused.says(&["E0821", "has spent and promised 0.0", "at least 0.0", "--max-spend"]);
    assert_eq!(project.run(&["status", "latest", "--json"]).exits(0).stdout, before);
    project.run(&["resume", "--max-spend", "1 OGPU"]).exits(0);
}

#[test]
fn a_raise_that_is_no_percent_is_refused_by_its_name() {
    let project = failed_pair();
    for raise in ["0%", "0.02 OGPU", "101%"] {
        project.run(&["resume", "--retry-failed", "--raise", raise]).exits(2).says(&["--raise"]);
    }
}

#[test]
fn other_code_of_the_contracts_is_refused_until_its_hashes_are_accepted() {
    let lab = Lab::up(&["--latency", "0ms..200ms"], 7, 1);
    let changed = Arc::new(AtomicBool::new(false));
    let seen = Arc::clone(&changed);
    let proxy = Proxy::new(lab.net.get("url"), move |_| match seen.load(Ordering::Relaxed) {
        true => Fault::OtherCode,
        false => Fault::None,
    });
    let player = lab.player(0, MANUAL, Some(&proxy.url));
    player.project.write("rows.csv", rows(usize::try_from(DOZEN).unwrap()));
    let mut run = player.project.start(&player.words("run"));
    run.until("task_published");
    run.kill();
    changed.store(true, Ordering::Relaxed);

    let before = lab.bought(&player);
    // One contract after the other is named with the hash that it has now.
    let mut args: Vec<String> = ["resume", "--yes"].map(str::to_owned).to_vec();
    for contract in ["Nexus", "Controller", "Terminal", "Vault"] {
        let typed: Vec<&str> = args.iter().map(String::as_str).collect();
        let refused = player.project.run(&typed).exits(9).says(&["E0912", contract]);
        let hash = refused.stderr.split("--accept-code ").nth(1).unwrap();
        let hash = hash.split('`').next().unwrap().trim().to_owned();
        assert_eq!(hash.len(), 66, "{}", refused.stderr);
        args.extend(["--accept-code".to_owned(), hash]);
    }
    assert_eq!(lab.bought(&player), before, "nothing was published");
    let typed: Vec<&str> = args.iter().map(String::as_str).collect();
    let taken = player.project.run(&typed).exits(0);
    taken.says(&["Accepting other code of Vault at 0x", "it was 0x", "it is  0x"]);
    lab.audit(&player, DOZEN);
}
