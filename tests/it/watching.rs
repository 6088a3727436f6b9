//! `--watch` and `--wait`: looking until something is over, or patience ends.

use crate::support::{HELLO, Project, ROWS, rows};

fn with_rows(count: usize) -> Project {
    let project = Project::with(ROWS);
    project.write("rows.csv", rows(count));
    project
}

#[test]
fn waiting_ends_with_the_runs_own_exit_code() {
    let project = Project::with(HELLO);
    project.run(&["run"]).exits(0);
    project.run(&["status", "--wait"]).exits(0).prints(&["DONE"]);
    project.run(&["run", "--detach", "--devnet", "latency=1h"]).exits(11);
    project.run(&["status", "--wait"]).exits(11).prints(&["STOPPED"]);
    project.run(&["status", "--watch"]).exits(0);
    let accept = "echo\n    accept: { when: [\"output.message == 'x'\"] }\n    retry: { max: 0 }\n";
    let fails = Project::with(&HELLO.replace("echo\n    payment", &format!("{accept}    payment")));
    fails.run(&["run"]).exits(10);
    fails.run(&["status", "--wait"]).exits(10).prints(&["FAILED"]);
}

#[test]
fn a_live_run_is_waited_for_and_its_rows_come_once_each() {
    let project = with_rows(30);
    let mut run = project.start(&["run", "--devnet", "latency=50ms..400ms", "--progress", "plain"]);
    run.until("started");
    let wait = project.start(&["status", "--wait", "--interval", "50ms"]);
    let watch = project.start(&["results", "latest", "--watch", "--interval", "20ms"]);
    let json = project.start(&["status", "--watch", "--interval", "50ms", "--json"]);
    run.end().exits(0);
    wait.end().exits(0).prints(&["DONE"]);
    let rows = watch.end().exits(0).lines();
    let mut keys: Vec<String> = rows.iter().map(|row| row["key"].to_string()).collect();
    assert_eq!(keys.len(), 30);
    keys.sort();
    keys.dedup();
    assert_eq!(keys.len(), 30, "no row comes twice");
    let looks = json.end().exits(0).lines();
    assert_eq!(looks.last().unwrap()["state"], "done");
}

#[test]
fn patience_ends_with_exit_11_and_the_run_goes_on() {
    let project = with_rows(3);
    let mut run = project.start(&["run", "--devnet", "latency=1h", "--progress", "json"]);
    run.until("task_published");
    for args in [
        &["status", "--wait"][..],
        &["status", "--watch"],
        &["status", "latest", "each/r-0", "--watch"],
        &["results", "latest", "--watch"],
    ] {
        let args = [args, &["--interval", "20ms", "--timeout", "300ms"]].concat();
        project.run(&args).exits(11).says(&["not over yet", "--timeout"]);
    }
    run.kill();
    // A run whose process has died is not waited for.
    project.run(&["status", "--wait", "--interval", "20ms"]).exits(11);
}

#[test]
fn a_followed_file_is_whole_at_every_moment() {
    let project = with_rows(20);
    let mut run = project.start(&["run", "--devnet", "latency=20ms..200ms", "--progress", "plain"]);
    run.until("started");
    let args = ["results", "latest", "--watch", "--interval", "20ms", "--out", "o.csv"];
    let follow = project.start(&[&args[..], &["--format", "csv"]].concat());
    run.end().exits(0);
    follow.end().exits(0);
    assert_eq!(project.read("o.csv").lines().count(), 21);
    project.run(&["results", "--watch", "--format", "csv"]).exits(2).says(&["--out FILE"]);
}

#[test]
fn there_is_nothing_to_watch_before_anything_ran() {
    let project = with_rows(1);
    for args in [&["status", "--watch"][..], &["status", "--wait"], &["results", "--watch"]] {
        project.run(args).exits(2).says(&["nothing ran"]);
    }
}
