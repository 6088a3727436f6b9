//! `vault reclaim`: what comes back of tasks that nobody has answered, and what does not.

use alloy::primitives::U256;

use crate::support::lab::{Lab, MANUAL, PAYMENT, Player};
use crate::support::rows;

/// A run of three tasks that has failed since nobody answers.
fn unanswered(lab: &Lab) -> Player {
    let brief = "    expires: 5s\n    retry: { max: 0 }\n    allow_failures: 3\n    foreach:";
    let player = lab.player(0, &MANUAL.replace("    foreach:", brief), None);
    player.project.write("rows.csv", rows(3));
    player.act("run").exits(0).says(&["no response"]);
    assert_eq!(lab.oracle.money(&[player.wallet])[0].frozen, U256::from(3 * PAYMENT));
    player
}

#[test]
fn what_nobody_took_is_taken_back_once_and_what_came_back_is_read() {
    let lab = Lab::up(&["--silent", "100%"], 8, 1);
    let player = unanswered(&lab);
    player.project.run(&["vault", "reclaim"]).exits(4).says(&["E0802", "--yes", "0.003"]);
    let back = player.project.run(&["vault", "reclaim", "--yes"]).exits(0);
    assert_eq!(back.stdout.lines().filter(|line| line.len() == 66).count(), 3, "{}", back.stdout);
    back.says(&["ask/r-0", "can be taken back", "3 of 3 taken back, 0.003 OGPU back", "(checked)"]);
    assert_eq!(lab.oracle.money(&[player.wallet])[0].frozen, U256::ZERO);
    player.project.run(&["vault", "reclaim", "--yes"]).exits(0).says(&["Nothing to take back"]);
    let json = player.project.run(&["vault", "reclaim", "--yes", "--json"]).exits(0);
    assert_eq!(json.stdout, "", "nothing was sent");
    player.project.run(&["status"]).exits(0).prints(&["vault-reclaim"]);
    let latest = player.project.run(&["status", "latest", "--json"]).exits(0).json();
    assert_eq!(latest["pipeline"], "manual", "a run of the vault is not what was run last");
}

#[test]
fn what_the_contracts_give_back_to_no_client_is_said_and_nothing_is_sent() {
    let lab = Lab::up(&["--fail", "100%"], 9, 1);
    let player = unanswered(&lab);
    let sent = lab.oracle.inputs(player.wallet, player.since).len();
    let back = player.project.run(&["vault", "reclaim", "--yes"]).exits(0);
    assert_eq!(back.stdout, "");
    back.says(&["refused to a client", "AlreadyFinalized", "Nothing can be taken back now"]);
    assert_eq!(lab.oracle.inputs(player.wallet, player.since).len(), sent);
}

#[test]
fn where_nothing_ran_nothing_is_taken_back() {
    let lab = Lab::up(&[], 10, 1);
    let player = lab.player(0, MANUAL, None);
    player.project.run(&["vault", "reclaim", "--yes"]).exits(0).says(&["Nothing to take back"]);
}
