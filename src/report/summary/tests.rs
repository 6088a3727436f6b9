use super::super::fixture::{at, ogpu, story, until};
use super::*;
use crate::units::Network;
use serde_json::json;

fn ending() -> Ending {
    Ending {
        at: at(2001),
        live: false,
        predicted_gas: Some(ogpu("0.005")),
        allowed: vec![Allowance::PerTenThousand(500); 2],
        outputs: vec![
            ("digest".into(), json!("Customers praise\n the screen\u{1b}[2J")),
            ("topics".into(), json!(14)),
        ],
    }
}

#[test]
fn the_end_names_every_sum_failure_and_output() {
    let lines = end(&until(&story(Network::mainnet()), 2001), &ending(), Look::default());
    assert_eq!(
        lines,
        [
            " FAILED  review-digest  r-7f3k9q2m  in 33 min",
            "",
            " STEP    CONFIRMED  FAILED  REJECTED, PAID  RETRIED    PAID     GAS  p50 / p95",
            " label           1       2               –        1  0.0080  0.0045  36 s",
            " digest          –       –               –        –  0.0000  0.0000  –",
            " TOTAL           1       2               –        1  0.0080  0.0045  = 0.0125 OGPU of 8.0000",
            " Gas predicted 0.0050, actual 0.0045 (-10.0 %)",
            " 0.02 OGPU back in the vault (checked)",
            " 0.012 OGPU still frozen by the vault",
            "",
            " 2 failed (allowed: 5 % a step):",
            "   label/rev-3  no response",
            "   label/rev-2  rejected twice: output.score is \"five\"\\u{1b}[2J",
            "",
            " outputs.digest  \"Customers praise\\n the screen\\u001b[2J\"",
            " outputs.topics  14",
        ]
    );
}

#[test]
fn on_a_devnet_the_sums_are_play_money() {
    let tally = until(&story(Network::devnet()), 2001);
    let text = end(&tally, &ending(), Look::default()).join("\n");
    for line in text.lines().filter(|line| line.contains("OGPU") || line.contains("Gas")) {
        assert!(line.ends_with("play money"), "{line}");
    }
    assert!(closing(&tally).ends_with("play money"));
}

#[test]
fn many_failures_are_named_in_part_with_the_command_for_the_rest() {
    let mut tally = until(&story(Network::testnet()), 1);
    let items = (10..40)
        .map(|item| crate::engine::ItemEntry {
            item,
            key: crate::units::ItemKey::parse(&format!("k{item}")).unwrap(),
            fate: crate::engine::ItemFate::Failed { reason: "no".into() },
        })
        .collect();
    let apply = |tally: &mut Tally, event| {
        tally.apply(crate::report::Fact { at: at(2), event: &event });
    };
    apply(&mut tally, crate::engine::Event::ItemsRead { step: 0, items });
    for item in 10..40 {
        let reason = crate::engine::FailReason::RenderError("no".into());
        let outcome = crate::engine::Outcome::Failed(reason);
        let task = crate::units::TaskId::new(0, item);
        apply(&mut tally, crate::engine::Event::TaskDone { task, outcome });
    }
    let text = end(&tally, &Ending::default(), Look::default()).join("\n");
    assert!(text.contains("   … 20 more: ogflow results r-7f3k9q2m --errors -"), "{text}");
    assert!(text.contains("label/k10  render error: no"), "{text}");
    assert!(!text.contains("label/k20"), "{text}");
}

#[test]
fn items_that_a_failed_run_never_published_are_counted() {
    let mut tally = until(&story(Network::mainnet()), 2001);
    let expansion = crate::engine::Expansion::Items { count: 5, blob: None };
    let event = crate::engine::Event::StepExpanded { step: 1, expansion };
    tally.apply(crate::report::Fact { at: at(2001), event: &event });
    let text = end(&tally, &ending(), Look::default()).join("\n");
    let line =
        " 5 items of digest were not published: more tasks failed than `allow_failures` allows";
    assert!(text.contains(line), "{text}");
    assert!(!text.contains("of label"), "{text}");
}

#[test]
fn a_run_whose_process_died_has_stopped_and_says_what_is_left() {
    let tally = until(&story(Network::mainnet()), 42);
    let shown = |live| {
        let ending = Ending { at: at(42), live, ..Ending::default() };
        end(&tally, &ending, Look::default()).join("\n")
    };
    assert!(shown(true).starts_with(" RUNNING  review-digest"), "{}", shown(true));
    assert!(!shown(true).contains("has not begun"), "{}", shown(true));
    assert!(shown(false).starts_with(" STOPPED  review-digest"), "{}", shown(false));
    assert!(shown(false).contains(" digest has not begun"), "{}", shown(false));
}

#[test]
fn stopping_says_what_is_open_and_how_to_go_on() {
    let lines = stopping(&until(&story(Network::mainnet()), 42), Duration::from_secs(30));
    assert_eq!(
        lines,
        [
            "Stopping: no new tasks. 2 tasks are open on chain; 0.02 OGPU is locked.",
            "They go on whether or not this program runs. Waiting up to 30 s …",
            "Press Ctrl-C again to leave now.   Later: ogflow resume r-7f3k9q2m   or   ogflow cancel r-7f3k9q2m",
        ]
    );
}

#[test]
fn a_resumed_run_counts_its_tasks_by_what_becomes_of_them() {
    let lines = standing(&until(&story(Network::mainnet()), 50), at(650), 0);
    assert_eq!(
        lines,
        [
            " r-7f3k9q2m review-digest on mainnet, started 10 min ago, spent 0.0115 of 8.0000 OGPU",
            "",
            " 1  already confirmed  nothing to do",
            " 2  still open         watched until they expire",
        ]
    );
}

#[test]
fn a_round_that_waits_for_its_moment_is_not_published_now() {
    let lines = standing(&until(&story(Network::mainnet()), 1900), at(1901), 0).join("\n");
    assert!(lines.contains("1  between two rounds  published anew, the first in 4 s"), "{lines}");
    assert!(!lines.contains("not yet published"), "{lines}");
    let lines = standing(&until(&story(Network::mainnet()), 1900), at(1905), 0).join("\n");
    assert!(lines.contains("1  not yet published  published as there is room"), "{lines}");
}

#[test]
fn what_is_tried_again_is_told_apart_from_what_stays_failed() {
    let lines = standing(&until(&story(Network::mainnet()), 2001), at(2002), 1).join("\n");
    assert!(lines.contains(" 1  failed             nothing to do"), "{lines}");
    assert!(lines.contains(" 1  failed             published anew"), "{lines}");
}

#[test]
fn a_run_that_never_began_has_no_summary() {
    assert!(end(&Tally::new(), &ending(), Look::default()).is_empty());
    assert!(standing(&Tally::new(), at(0), 0).is_empty());
}
