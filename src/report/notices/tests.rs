use super::super::fixture::{at, ogpu, story, task, until};
use super::*;
use crate::engine::SlotEnd;
use crate::units::{Network, Nonce, Slot};

/// All notices of the story, as text.
fn told(network: Network) -> String {
    let story = story(network);
    let mut tally = Tally::new();
    let mut lines = Vec::new();
    for (at, event) in &story {
        let fact = Fact { at: *at, event };
        for notice in notices(&tally, fact) {
            lines.push(format!("[{:?}]", notice.kind));
            lines.extend(notice.lines);
        }
        tally.apply(fact);
    }
    lines.join("\n")
}

#[test]
fn failures_say_what_happened_what_it_cost_and_what_comes_next() {
    let network = Network { symbol: "OGPU".into(), explorer: None, ..Network::testnet() };
    assert_eq!(
        told(network).lines().collect::<Vec<_>>(),
        [
            "[Published]",
            " published    label/rev-1   0x000000000000000000000000000000000000000A",
            "[Published]",
            " published    label/rev-2   0x000000000000000000000000000000000000000b",
            "[Published]",
            " published    label/rev-3   0x000000000000000000000000000000000000000C",
            "[Confirmed]",
            " confirmed    label/rev-1   0.008 OGPU paid   after 38 s",
            "[Failed]",
            " rejected     label/rev-2   output.score is \"five\"\\u{1b}[2J",
            "              0x0000…0006  not paid, 0.01 OGPU still frozen by the vault",
            "              round 2 at 0.012 OGPU",
            "[Failed]",
            " no response  label/rev-3   nobody attempted it in time",
            "              not paid, 0.01 OGPU still frozen by the vault",
            "              no further round",
            "[Published]",
            " published    label/rev-2   0x000000000000000000000000000000000000000b",
            "[Failed]",
            " rejected     label/rev-2   output.score is \"five\"\\u{1b}[2J",
            "              not paid, 0.012 OGPU still frozen by the vault",
            "              no further round",
        ]
    );
}

#[test]
fn on_a_devnet_every_line_that_names_money_says_play_money() {
    for line in told(Network::devnet()).lines().filter(|line| line.contains("OGPU")) {
        assert!(line.ends_with("play money"), "{line}");
    }
}

#[test]
fn what_strangers_wrote_reaches_no_terminal_raw() {
    let text = told(Network::testnet());
    assert!(!text.chars().any(|c| c.is_control() && c != '\n'), "{text:?}");
    let again = Notice::again(1, 3, "a/b", "pin service\u{1b}[0m said 503", Duration::from_secs(1));
    assert_eq!(
        again.lines,
        [" try 1 of 3   a/b   pin service\\u{1b}[0m said 503, retrying in 1 s"]
    );
}

#[test]
fn a_response_that_was_paid_and_refused_has_its_own_words() {
    let tally = until(&story(Network::mainnet()), 8);
    let outcome = Outcome::RejectedPaid {
        response: task_response(),
        reason: "not JSON".into(),
        paid: ogpu("0.02"),
    };
    let event = Event::TaskDone { task: task(0), outcome };
    let notice = notices(&tally, Fact { at: at(9), event: &event }).remove(0);
    assert_eq!(
        notice.lines,
        [" rejected, paid  label/rev-1   not JSON", "              0.02 OGPU paid"]
    );
}

fn task_response() -> Address {
    super::super::fixture::address(25)
}

#[test]
fn a_task_is_slow_and_not_failed_while_it_is_open() {
    let tally = until(&story(Network::testnet()), 42);
    let late = slow(&tally, at(1000), Duration::from_secs(60));
    let lines: Vec<_> = late.iter().flat_map(|notice| &notice.lines).collect();
    assert_eq!(
        lines,
        [
            " slow         label/rev-2   published 16 min ago",
            " slow         label/rev-3   published 16 min ago"
        ]
    );
    assert!(late.iter().all(|notice| notice.kind == NoticeKind::Slow));
    assert!(slow(&tally, at(50), Duration::from_secs(60)).is_empty());
}

#[test]
fn a_nonce_that_was_used_elsewhere_is_named() {
    let slot = Slot { wallet: Address::ZERO, nonce: Nonce(12) };
    let event =
        Event::SlotFinal { slot, end: SlotEnd::Foreign { tx_hash: None }, gas_paid: Wei::ZERO };
    let notice = notices(&Tally::new(), Fact { at: at(0), event: &event }).remove(0);
    assert!(notice.lines[0].contains("nonce 12 of 0x0000"), "{:?}", notice.lines);
}
