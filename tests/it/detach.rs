//! `run --detach`: publish, leave, collect with `resume`.

use crate::support::{Net, Project, ROWS, rows};

#[test]
fn a_detached_run_leaves_its_tasks_on_chain_and_resume_collects_them() {
    let project = Project::with(ROWS);
    project.write("rows.csv", rows(30));
    let left = project.run(&["run", "--detach", "--devnet", "latency=1h"]).exits(11);
    let left = left.says(&["Leaving: 30 tasks are open on chain", "Next: ogflow resume r-"]);
    assert!(!left.stderr.contains("Waiting up to"), "{}", left.stderr);
    let left = left.prints(&["Gas predicted"]);
    assert!(!left.stdout.contains("-100.0 %"), "what was published has cost gas: {}", left.stdout);
    let status = project.run(&["status", "latest", "--json"]).exits(0).json();
    assert_eq!(
        (&status["state"], &status["steps"][0]["published"]),
        (&"stopped".into(), &30.into())
    );
    project.run(&["resume"]).exits(0);
    assert_eq!(project.run(&["results", "latest"]).exits(0).lines().len(), 30);
    // Every item was bought once: the vault is short of 30 payments.
    let vault = project.run(&["vault", "status", "--json"]).exits(0).json();
    assert_eq!(vault["vault_free_wei"], "999999970000000000000000");
    assert_eq!(vault["vault_locked_wei"], "0");
}

#[test]
fn tasks_of_a_detached_run_are_answered_while_nobody_looks() {
    let net = Net::up(&["--latency", "10ms"]);
    let project = Project::with(ROWS);
    project.write("rows.csv", rows(4));
    let url = net.get("url");
    project.run(&["run", "--detach", "--rpc-url", url]).exits(11);
    project.run(&["resume", "--rpc-url", url]).exits(0);
    assert_eq!(project.run(&["results", "latest"]).exits(0).lines().len(), 4);
}

#[test]
fn what_may_not_be_open_at_once_waits_for_the_resume() {
    let project = Project::with(&(ROWS.to_owned() + "    concurrency: 5\n"));
    project.write("rows.csv", rows(12));
    let left = project.run(&["run", "--detach", "--devnet", "latency=1h"]).exits(11);
    let left = left.says(&["Leaving: 5 tasks are open on chain"]);
    left.prints(&[" 7 items of each were not published"]);
    project.run(&["resume"]).exits(0);
    assert_eq!(project.run(&["results", "latest"]).exits(0).lines().len(), 12);
}
