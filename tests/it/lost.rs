//! The journal is gone (safety.md, section 6, row 25): what a run then does, as it is today.

use std::collections::BTreeSet;

use crate::support::lab::{Lab, Player};
use crate::support::{Running, rows};

const PIPELINE: &str = "version: 1
name: lost
sources: { echo: 'ECHO' }
steps:
  each:
    source: echo
    function: echo
    payment: 0.001 OGPU
    foreach: { file: rows.csv, key: id }
    data: { text: '{{ item.text }}' }
";
/// Tasks of a run.
const TASKS: u64 = 6;

/// A player whose run was killed with everything published, and whose database is gone.
fn without_journal(lab: &Lab) -> Player {
    let player = lab.player(0, PIPELINE, None);
    player.project.write("rows.csv", rows(usize::try_from(TASKS).unwrap()));
    let mut run = Running::start(player.project.command(&player.words("run")));
    (0..TASKS).for_each(|_| run.until("task_published"));
    run.kill();
    assert_eq!(lab.nothing_twice(&player), TASKS);
    let state = player.project.path().join(".ogflow");
    for file in ["ogflow.db", "ogflow.db-wal", "ogflow.db-shm"] {
        std::fs::remove_file(state.join(file)).unwrap();
    }
    player
}

#[test]
fn without_its_journal_nothing_is_published_until_somebody_says_so() {
    let lab = Lab::up(&["--latency", "1s"], 8, 1);
    let player = without_journal(&lab);
    player.act("resume").exits(2).says(&["nothing ran"]);
    player.project.run(&["run"]).exits(4).says(&["E0802", "--yes"]);
    assert_eq!(lab.nothing_twice(&player), TASKS, "nothing more was published");
}

/// A new run is a new payment, here too: nothing of the lost one is found again. Its tasks have
/// other keys, so the chain tells the two apart.
#[test]
fn a_new_run_after_the_loss_buys_anew_under_other_keys() {
    let lab = Lab::up(&["--latency", "1s"], 9, 1);
    let player = without_journal(&lab);
    player.act("run").exits(0);
    let keys = lab.bought(&player);
    assert_eq!(lab.nothing_twice(&player), 2 * TASKS);
    let runs: BTreeSet<&str> = keys.iter().map(|key| &key[..8]).collect();
    assert_eq!(runs.len(), 2, "{keys:?}");
}
