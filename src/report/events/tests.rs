use super::super::fixture::{at, story, until};
use super::*;
use crate::units::Network;
use std::collections::BTreeMap;

fn lines() -> Vec<Value> {
    let mut stream = EventStream::new(Tally::new(), OnExceed::Pause);
    let mut lines = Vec::new();
    for (place, (at, event)) in story(Network::testnet()).iter().enumerate() {
        lines.extend(stream.observe(Fact { at: *at, event }));
        if place == 0 {
            lines.push(stream.plan(*at, json!({"schema": "ogflow.plan/v1"})));
        }
    }
    let outputs = Map::from_iter([("digest".to_owned(), json!("x"))]);
    lines.push(stream.finished(at(2001), 10, outputs));
    lines.iter().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn each_line_has_the_common_fields_and_the_sequence_grows_by_one() {
    for (place, line) in lines().iter().enumerate() {
        assert_eq!(line["seq"], json!(place + 1));
        assert_eq!(line["run"], "r-7f3k9q2m");
        assert!(line["ts"].as_str().unwrap().ends_with('Z'));
        let keys: Vec<&String> = line.as_object().unwrap().keys().take(4).collect();
        assert_eq!(keys, ["ts", "run", "seq", "type"]);
    }
}

#[test]
fn the_types_and_their_fields_are_those_of_the_document() {
    let documented = BTreeMap::from([
        ("run_started", "schema pipeline network chain_id signer resumed cap_wei"),
        ("plan", "plan"),
        ("step_started", "step items"),
        ("task_pinned", "step key round config_url bytes"),
        ("task_submitted", "step key round tx nonce bump payment_wei"),
        ("task_published", "step key round task tx block gas_wei"),
        ("task_attempted", "step key round task provider suggested_wei"),
        ("task_responded", "step key round task response provider price_wei"),
        ("task_rejected", "step key round response provider paid paid_wei reason"),
        ("task_confirmed", "step key round response provider paid_wei gas_wei ms tx"),
        ("task_expired", "step key round task attempted locked_wei"),
        ("task_retried", "step key round after payment_wei wait_ms"),
        ("task_failed", "step key round reason message paid_wei locked_wei"),
        ("spend", "paid_wei gas_wei locked_wei cap_wei"),
        (
            "step_finished",
            "step state confirmed reused failed rejected_paid retried paid_wei gas_wei",
        ),
        (
            "run_finished",
            "state exit confirmed reused failed rejected_paid retried paid_wei gas_wei \
             locked_wei outputs",
        ),
    ]);
    let mut seen = BTreeMap::new();
    for line in lines() {
        let kind = line["type"].as_str().unwrap().to_owned();
        let fields: Vec<String> = line.as_object().unwrap().keys().skip(4).cloned().collect();
        let expected = documented.get(kind.as_str()).unwrap_or_else(|| panic!("{line}"));
        assert_eq!(fields.join(" "), *expected, "{kind}");
        seen.insert(kind, ());
    }
    assert_eq!(seen.len(), documented.len(), "{seen:?}");
}

#[test]
fn amounts_are_strings_of_wei_and_a_retry_names_its_new_round() {
    let lines = lines();
    let find = |kind: &str| lines.iter().find(|line| line["type"] == kind).unwrap();
    let confirmed = find("task_confirmed");
    assert_eq!(confirmed["key"], "rev-1");
    assert_eq!(confirmed["paid_wei"], "8000000000000000");
    assert_eq!(confirmed["gas_wei"], "1500000000000000");
    assert_eq!(confirmed["ms"], 36_000);
    assert_eq!(confirmed["provider"], "0x0000000000000000000000000000000000000005");
    assert!(confirmed["tx"].as_str().unwrap().ends_with("09"));
    let retried = find("task_retried");
    assert_eq!((&retried["round"], &retried["after"]), (&json!(2), &json!("rejected")));
    assert_eq!(retried["wait_ms"], 5000);
    let finished = find("run_finished");
    assert_eq!((&finished["state"], &finished["exit"]), (&json!("failed"), &json!(10)));
    assert_eq!(finished["locked_wei"], "12000000000000000");
}

#[test]
fn spending_is_told_once_a_second_at_most_and_only_when_it_changed() {
    let spends: Vec<String> = lines()
        .iter()
        .filter(|line| line["type"] == "spend")
        .map(|line| line["ts"].as_str().unwrap().to_owned())
        .collect();
    let mut distinct = spends.clone();
    distinct.dedup();
    assert_eq!(spends, distinct);
    assert!(spends.len() >= 5, "{spends:?}");
}

#[test]
fn what_was_folded_before_makes_no_lines() {
    let story = story(Network::testnet());
    let mut stream = EventStream::new(until(&story, 42), OnExceed::Stop);
    let resumed = Event::RunResumed { epoch: 2, cap: None };
    let lines = stream.observe(Fact { at: at(43), event: &resumed });
    let first: Value = serde_json::from_str(&lines[0]).unwrap();
    assert_eq!((&first["type"], &first["resumed"]), (&json!("run_started"), &json!(true)));
    assert_eq!(first["seq"], 1);
}

#[test]
fn no_line_holds_a_line_break() {
    let mut stream = EventStream::new(Tally::new(), OnExceed::Stop);
    let line = stream.diagnostic(at(0), json!({"message": "a\nb\r\u{1b}"}));
    assert!(!line.chars().any(char::is_control), "{line:?}");
}
