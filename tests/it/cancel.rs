//! `cancel`: what comes back to the vault, what stays, and what a crash in the middle changes.
//!
//! Judged on the chain: for a task that was called cancelled nothing has left the vault.

use alloy::primitives::U256;
use serde_json::Value;

use crate::support::lab::{DOZEN, Lab, PAYMENT, Player};
use crate::support::{Project, ROWS, Ran, rows};

/// A devnet on which nobody attempts anything.
fn quiet(seed: u64, more: &[&str]) -> Lab {
    Lab::up(&[&["--silent", "100%"], more].concat(), seed, 1)
}

/// Asserts that a player has all its money but for gas, and that the run is over.
#[track_caller]
fn all_is_back(lab: &Lab, player: &Player) {
    assert_eq!(lab.paid(player), 0, "nothing was paid");
    let now = lab.oracle.money(&[player.wallet])[0];
    assert_eq!(now.frozen, U256::ZERO, "nothing is in escrow");
    let status = player.project.run(&["status", "--json"]).exits(0).json();
    let run = &status["runs"][0];
    assert_eq!((&run["state"], &run["locked_wei"]), (&"canceled".into(), &"0".into()), "{run}");
    lab.signed_before_sent(player);
    player.project.run(&["cancel"]).exits(0).says(&["Nothing to cancel"]);
    player.project.run(&["cancel", "latest"]).exits(0).says(&["Nothing to cancel", "is canceled"]);
    player.project.run(&["resume", "latest"]).exits(0).says(&["Nothing to do"]);
    assert_eq!(lab.oracle.money(&[player.wallet])[0], now, "none of that changes anything");
}

fn of_type<'a>(events: &'a [Value], kind: &str) -> Vec<&'a Value> {
    events.iter().filter(|event| event["type"] == kind).collect()
}

#[test]
fn what_nobody_has_attempted_comes_back_to_the_vault() {
    let lab = quiet(1, &[]);
    let player = lab.dozen(0);
    player.project.run(&["run", "--yes", "--detach"]).exits(11);
    assert_eq!(lab.paid(&player), DOZEN);
    let before = lab.oracle.money(&[player.wallet])[0];
    let asked = player.project.run(&["cancel"]).exits(4);
    asked.says(&[
        "12 tasks not yet attempted",
        "can be cancelled",
        "refund 0.012",
        "E0802",
        "--yes",
    ]);
    assert_eq!(lab.oracle.money(&[player.wallet])[0], before, "no yes, no transaction");
    let ran = player.project.run(&["cancel", "--yes", "--json"]).exits(0);
    let events = ran.lines();
    let canceled = of_type(&events, "task_canceled");
    assert_eq!(canceled.len() as u64, DOZEN);
    for event in canceled {
        assert_eq!(event["refund_wei"], PAYMENT.to_string(), "{event}");
        assert!(event["task"].is_string(), "{event}");
    }
    let last = events.last().unwrap();
    assert_eq!((&last["state"], &last["exit"]), (&"stopped".into(), &0.into()), "{last}");
    ran.says(&["12 tasks cancelled, 0.012", "back in the vault (checked)"]);
    let listed = player.project.run(&["status", "latest", "--tasks", "-o", "jsonl"]).exits(0);
    assert!(listed.lines().iter().all(|task| task["state"] == "canceled"));
    all_is_back(&lab, &player);
}

/// Publishes a dozen of which some are attempted and answered late, and cancels; gives what the
/// cancel said and how many it took back.
fn some_attempted(lab: &Lab, player: &Player) -> (Ran, u64) {
    player.project.run(&["run", "--yes", "--detach"]).exits(11);
    let ran = player.project.run(&["cancel", "--yes"]).exits(0);
    let rows = ran.stdout.lines().filter(|line| line.contains("cancelled   0.001")).count();
    assert_eq!(lab.bought(player).len() as u64, DOZEN, "nothing more is published");
    (ran, rows as u64)
}

#[test]
fn what_somebody_attempts_stays_and_is_collected_by_a_resume() {
    let lab = Lab::up(&["--silent", "50%", "--latency", "4s", "--seed", "3"], 2, 1);
    let player = lab.dozen(0);
    let (ran, back) = some_attempted(&lab, &player);
    assert!(back > 0 && back < DOZEN, "{ran:?}");
    let left = DOZEN - back;
    ran.says(&[
        &format!("{back} tasks cancelled"),
        "(checked)",
        &format!("{left} tasks not cancelled: attempted or responded"),
        "ogflow resume",
    ]);
    assert_eq!(lab.paid(&player), left);
    let again = player.project.run(&["cancel", "--yes"]).exits(0);
    again.says(&["cannot be cancelled by the contract", "Nothing to cancel"]);
    let resumed = player.project.run(&["resume", "--yes"]).exits(11);
    resumed.says(&["The run was cancelled", "nothing is published"]);
    assert_eq!(lab.paid(&player), left, "each was paid once, and none of the others");
    assert_eq!(lab.oracle.money(&[player.wallet])[0].frozen, U256::ZERO);
    let results = player.project.run(&["results", "latest"]).exits(0).lines();
    assert_eq!(results.len() as u64, left, "what was bought is kept");
    assert_eq!(lab.nothing_twice(&player), DOZEN);
    lab.signed_before_sent(&player);
}

#[test]
fn a_cancel_that_is_killed_goes_on_by_a_cancel_or_a_resume() {
    for (seed, commands) in [(3, ["cancel", "resume"]), (4, ["resume", "cancel"])] {
        let lab = quiet(seed, &["--block-time", "300ms"]);
        let player = lab.dozen(0);
        player.project.run(&["run", "--yes", "--detach"]).exits(11);
        let mut killed = player.project.start(&player.words("cancel"));
        killed.until("task_canceled");
        killed.kill();
        for command in commands {
            player.project.run(&player.words(command));
        }
        all_is_back(&lab, &player);
    }
}

#[test]
fn a_publication_that_is_in_no_block_is_taken_back_whichever_transaction_wins() {
    for seed in [5, 6] {
        let lab = quiet(seed, &["--block-time", "1500ms"]);
        let player = lab.dozen(0);
        let mut run = player.project.start(&player.words("run"));
        run.until("task_submitted");
        run.kill();
        player.project.run(&["cancel", "--yes"]).exits(0).says(&["cancelled"]);
        all_is_back(&lab, &player);
        lab.nothing_twice(&player);
    }
}

#[test]
fn a_part_is_cancelled_by_step_or_by_where_and_the_rest_goes_on() {
    let project = Project::with(ROWS);
    project.write("rows.csv", rows(6));
    let silent = ["--devnet", "silent=100%"];
    project.run(&[&["run", "--detach"][..], &silent].concat()).exits(11);
    project.run(&["cancel", "--step", "nope"]).exits(2).says(&["the run has no step `nope`"]);
    project.run(&["cancel", "--where", "stat == 'x'"]).exits(2).says(&["did you mean `state`?"]);
    let tasks = project.run(&["status", "latest", "--tasks", "-o", "jsonl"]).exits(0).lines();
    let key = tasks[0]["key"].as_str().unwrap();
    let one = format!("key == '{key}'");
    let ran = project.run(&[&["cancel", "--where", &one][..], &silent].concat()).exits(0);
    ran.says(&["1 task cancelled", "(checked)"]);
    let status = project.run(&["status", "--json"]).exits(0).json();
    let run = &status["runs"][0];
    assert_eq!(
        (&run["state"], &run["locked_wei"]),
        (&"stopped".into(), &"5000000000000000".into())
    );
    let step = tasks[0]["step"].as_str().unwrap();
    let ran = project.run(&[&["cancel", "--step", step][..], &silent].concat()).exits(0);
    ran.says(&["5 tasks cancelled", "(checked)"]);
    let vault = project.run(&["vault", "status", "--json"]).exits(0).json();
    assert_eq!(vault["vault_free_wei"], "1000000000000000000000000");
    assert_eq!(vault["vault_locked_wei"], "0");
}

#[test]
fn nothing_to_cancel_is_one_line_and_exit_0() {
    let project = Project::with(ROWS);
    project.write("rows.csv", rows(1));
    project.run(&["cancel"]).exits(2).says(&["nothing ran"]);
    project.run(&["run"]).exits(0);
    project.run(&["cancel"]).exits(0).says(&["Nothing to cancel: every run here has ended."]);
    project.run(&["cancel", "latest"]).exits(0).says(&["Nothing to cancel", "is done"]);
    project.run(&["cancel", "r-zzzz"]).exits(2).says(&["there is no run"]);
}

#[test]
fn a_run_that_is_live_is_cancelled_by_its_own_process_only() {
    let lab = quiet(7, &[]);
    let player = lab.dozen(0);
    let mut run = player.project.start(&player.words("run"));
    run.until("task_published");
    player.project.run(&["cancel", "--yes"]).exits(75);
    run.kill();
    player.project.run(&["cancel", "--yes"]).exits(0);
    all_is_back(&lab, &player);
}
