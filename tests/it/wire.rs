//! A wire that lies about what the node did (safety.md, sections 2 and 12), before the devnet.
//!
//! Rows of the first table are the replies behind which other senders publish again. The same
//! rows before anvil, with the Python SDK beside us, are in `interop_wire`.

use std::time::Duration;

use alloy::sol_types::SolCall;
use ogflow::chain::contract::abi::IController::{
    cancelTaskCall, confirmResponseCall, publishTaskCall,
};

use crate::support::chance::{Chance, count, each_case, seed, tell};
use crate::support::lab::{BOTH, Lab, MANUAL, Player};
use crate::support::oracle::doubled;
use crate::support::proxy::{Exchange, Fault, Proxy};
use crate::support::rows;

/// What is done to the reply to a send that the node took.
pub(crate) const ROWS: [(&str, Fault); 5] = [
    ("already known", Fault::Refusal(-32000, "already known")),
    ("nonce too low", Fault::Refusal(-32000, "nonce too low")),
    ("connection reset", Fault::Reset),
    ("no reply", Fault::Silence),
    ("HTTP 502", Fault::Page(502)),
];

/// A rule that does this to the first exchange which sends a call of this selector.
pub(crate) fn first_send(selector: [u8; 4], fault: Fault) -> impl FnMut(&Exchange) -> Fault + Send {
    let mut done = false;
    move |exchange| {
        if done || !exchange.sends.contains(&selector) {
            return Fault::None;
        }
        done = true;
        fault
    }
}

#[test]
fn the_oracle_sees_a_second_publication() {
    let lab = Lab::up(&[], 1, 1);
    let player = lab.player(0, BOTH, None);
    player.project.write("rows.csv", rows(1));
    player.act("run").exits(0);
    assert_eq!(lab.nothing_twice(&player), 2);
    lab.publish_again(0, &player);
    let bought = lab.bought(&player);
    assert_eq!((bought.len(), doubled(&bought).len()), (3, 1), "{bought:?}");
}

#[test]
fn a_reply_that_lies_about_a_send_never_makes_a_second_publication() {
    let calls = [publishTaskCall::SELECTOR, confirmResponseCall::SELECTOR];
    let cases = u64::try_from(ROWS.len() * calls.len()).unwrap();
    let lab = Lab::up(&[], 1, cases);
    each_case("lying replies", 1, (cases, cases), |number| {
        let place = usize::try_from(number).unwrap();
        let (row, fault) = ROWS[place % ROWS.len()];
        let proxy = Proxy::new(lab.net.get("url"), first_send(calls[place / ROWS.len()], fault));
        let player = lab.player(number, BOTH, Some(&proxy.url));
        player.project.write("rows.csv", rows(1));
        let ran = player.act("run");
        assert_eq!(ran.code, 0, "{row}: {}", ran.stderr);
        assert_eq!(proxy.faults(), 1, "{row}: the reply was tampered with");
        lab.audit(&player, 2);
    });
    tell(&format!("lying replies: {cases} rows, 1 publication in each, 0 violations"));
}

/// Of a cancel the reply is tampered with as well: the refund comes once, and nothing is paid.
#[test]
fn a_reply_that_lies_about_a_cancel_takes_the_task_back_once() {
    let cases = u64::try_from(ROWS.len()).unwrap();
    let lab = Lab::up(&["--silent", "100%"], 1, cases);
    each_case("lying replies to cancels", 1, (cases, cases), |number| {
        let (row, fault) = ROWS[usize::try_from(number).unwrap()];
        let rule = first_send(cancelTaskCall::SELECTOR, fault);
        let proxy = Proxy::new(lab.net.get("url"), rule);
        let player = lab.player(number, MANUAL, Some(&proxy.url));
        player.project.write("rows.csv", rows(1));
        player.project.run(&["run", "--yes", "--detach"]).exits(11);
        let count = |player: &Player| lab.oracle.money(&[player.wallet])[0].count;
        let before = count(&player);
        let ran = player.act("cancel");
        assert_eq!(ran.code, 0, "{row}: {}", ran.stderr);
        assert_eq!(proxy.faults(), 1, "{row}: the reply was tampered with");
        assert_eq!(count(&player), before + 1, "{row}: one transaction");
        assert_eq!((lab.paid(&player), lab.nothing_twice(&player)), (0, 1), "{row}");
        lab.signed_before_sent(&player);
        player.project.run(&["cancel"]).exits(0).says(&["Nothing to cancel"]);
    });
    tell(&format!("lying replies to cancels: {cases} rows, 1 refund in each, 0 violations"));
}

/// A fault of any kind.
fn any(chance: &mut Chance) -> Fault {
    let bytes = |chance: &mut Chance| chance.place(400);
    match chance.among(0..=11) {
        0 => ROWS[0].1,
        1 => ROWS[1].1,
        2 | 3 => Fault::Reset,
        4 => Fault::Page(chance.one(&[500, 502, 503, 504])),
        5 => Fault::Refused(chance.one(&[429, 500, 503])),
        6 | 7 => Fault::CutReply(bytes(chance)),
        8 | 9 => Fault::CutRequest(bytes(chance)),
        10 => chance.one(&[Fault::DoubledReply, Fault::DoubledRequest]),
        _ => Fault::Late(Duration::from_millis(chance.among(200..=1_500))),
    }
}

/// A rule that tampers with about every third send and every eighth other exchange, so many times
/// in all.
fn at_random(mut chance: Chance, mut left: u64) -> impl FnMut(&Exchange) -> Fault + Send {
    move |exchange| {
        let percent = if exchange.sends.is_empty() { 12 } else { 35 };
        if left == 0 || !chance.hits(percent) {
            return Fault::None;
        }
        left -= 1;
        any(&mut chance)
    }
}

#[test]
fn a_wire_that_fails_at_random_costs_time_and_nothing_else() {
    const ITEMS: u64 = 4;
    let (seed, cases) = (seed(), count(40, 400));
    let lab = Lab::up(&["--latency", "0ms..100ms"], seed, cases);
    let faults = std::sync::atomic::AtomicU64::new(0);
    each_case("fault proxy", seed, (cases, 10), |number| {
        let mut chance = Chance::new(seed, number);
        let most = chance.among(3..=12);
        let proxy = Proxy::new(lab.net.get("url"), at_random(chance, most));
        let player = lab.player(number, BOTH, Some(&proxy.url));
        player.project.write("rows.csv", rows(usize::try_from(ITEMS).unwrap()));
        // Every try that ends with 7 has used up faults, so this ends.
        let mut ran = player.act("run");
        while ran.code == 7 {
            ran = player.act(lab.next_command(&player));
        }
        ran.exits(0);
        lab.audit(&player, 2 * ITEMS);
        lab.signed_before_sent(&player);
        ["ask", "each"].into_iter().for_each(|step| player.has_outputs(step, ITEMS));
        faults.fetch_add(proxy.faults(), std::sync::atomic::Ordering::Relaxed);
    });
    let faults = faults.into_inner();
    tell(&format!("fault proxy: seed {seed}, {faults} faults in {cases} runs, 0 violations"));
}
