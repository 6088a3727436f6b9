//! What a run asks of its plan.

use serde_json::{Value, json};

use super::*;
use crate::units::{ItemKey, TaskKey};

fn entry(key: &str, output: Option<Value>) -> StepEntry {
    StepEntry {
        key: ItemKey::parse(key).unwrap(),
        item: json!({"id": key}),
        reason: output.is_none().then(|| "expired".to_owned()),
        output,
        provider: Some(Address::repeat_byte(9)),
        paid: Wei::parse("0.01 OGPU").unwrap(),
        ms: 5,
        task: None,
        response: None,
    }
}

fn values() -> StepValues {
    let entries = vec![
        entry("a", Some(json!({"n": 1, "text": "{{ 1 + 1 }}"}))),
        entry("b", None),
        entry("c", Some(json!({"n": 3, "text": "x"}))),
    ];
    StepValues { entries, spent: Wei::parse("0.02 OGPU").unwrap() }
}

fn run() -> RunFacts {
    RunFacts {
        id: "r-00000000".into(),
        network: "devnet".into(),
        started_at: "2026-01-01T00:00:00Z".into(),
    }
}

/// Step `a` over two items, and `b` with these lines.
fn two(b: &str) -> Project {
    let one = if b.contains("foreach") { "count" } else { "output | default(\"none\")" };
    Project::new(&format!(
        "defaults: {{ source: llm, function: chat, payment: 0.01 OGPU }}
steps:
  a:
    foreach: [1, 2, 3]
    allow_failures: 1
    data: {{ x: '{{{{ item }}}}' }}
  b:
{b}
outputs:
  sum: '{{{{ steps.a.outputs | sum(attribute=\"n\") }}}}'
  lost: '{{{{ steps.a.failed | map(attribute=\"key\") | list }}}}'
  one: '{{{{ steps.b.{one} }}}}'
  where: '{{{{ run.network }}}}'
"
    ))
}

#[test]
fn configs_are_canonical_and_the_tag_changes_no_content() {
    let plan = classify().plan();
    let item = PlanItem {
        index: 0,
        key: ItemKey::parse("a").unwrap(),
        value: json!({"id": "a", "text": "good", "stars": 4}),
    };
    let scope = plan.scope(0, &[]);
    let payment = Wei::parse("0.01 OGPU").unwrap();
    let render =
        |key: Option<&TaskKey>| plan.render(0, &item, &scope, Purchase { key, payment }).unwrap();
    let key = TaskKey([0xab; 16]);
    let tagged = render(Some(&key));
    assert_eq!(
        String::from_utf8(tagged.bytes).unwrap(),
        format!(
            r#"{{"data":{{"prompt":"Label: good","stars":4}},"function_name":"chat","ogflow":"{key}"}}"#
        )
    );
    assert_eq!(tagged.content, render(None).content);
    let other = plan.render(0, &item, &scope, FREE).unwrap();
    assert_ne!(tagged.content, other.content, "the payment is part of what is bought");
}

#[test]
fn a_pipeline_may_leave_the_tag_out() {
    let mut project = classify();
    project.text.push_str("tag: false\n");
    let plan = project.plan();
    let item = PlanItem {
        index: 0,
        key: ItemKey::parse("a").unwrap(),
        value: json!({"text": "x", "stars": null}),
    };
    let config = plan
        .render(0, &item, &plan.scope(0, &[]), Purchase { key: Some(&TaskKey([1; 16])), ..FREE })
        .unwrap();
    assert!(!String::from_utf8(config.bytes).unwrap().contains("ogflow"));
}

#[test]
fn the_checks_of_a_template_and_of_its_step_both_hold() {
    let plan = classify().plan();
    assert!(plan.steps()[0].checks_outputs());
    let item = PlanItem {
        index: 0,
        key: ItemKey::parse("a").unwrap(),
        value: json!({"text": "good", "stars": 4}),
    };
    let scope = plan.scope(0, &[]);
    let check = |output: Value| plan.check_output(0, &item, &scope, &output);
    assert_eq!(check(json!({"label": "fine", "score": 1})), Verdict::Accepted);
    for (output, word) in [
        (json!({"score": 1}), "has no `label`"),
        (json!({"label": "good", "score": 1}), "`output.label != inputs.text` is not true"),
        (json!({"label": "fine", "score": 0}), "`output.score > 0` is not true"),
        (json!(null), "is null"),
    ] {
        let verdict = check(output);
        assert!(verdict.reason().unwrap().contains(word), "{verdict:?}");
    }
}

#[test]
fn a_step_over_results_streams_them_with_their_keys_and_hides_failed_ones() {
    let plan = two("    foreach: steps.a.results\n    filter: item.output.n > 1\n    data: { x: '{{ item.output.text }}' }").plan();
    let mut kept = Kept::default();
    assert_eq!(plan.expand(1, &[(0, values())], &run(), &mut kept), Expanded::Streaming);
    assert!(plan.filters_on_reading(1));
    let scope = plan.scope(1, &[]);
    let values = values();
    let streamed = |at: usize| plan.streamed(1, 7, &values.entries[at], &scope).unwrap();
    assert_eq!(streamed(1), None, "a failed item has no entry");
    let first = streamed(0).unwrap();
    assert_eq!((first.key.as_str(), first.index), ("a", 7));
    assert_eq!(plan.keeps(1, &first, &scope), Ok(false));
    let third = streamed(2).unwrap();
    assert_eq!(plan.keeps(1, &third, &scope), Ok(true));
    let config = plan.render(1, &third, &scope, FREE).unwrap();
    assert!(String::from_utf8(config.bytes).unwrap().contains(r#""x":"x""#));
    let config = plan.render(1, &first, &scope, FREE).unwrap();
    assert!(
        String::from_utf8(config.bytes).unwrap().contains(r#""x":"{{ 1 + 1 }}""#),
        "never evaluated"
    );
}

#[test]
fn a_step_that_keeps_failures_shows_them_with_their_reason() {
    let mut project = two(
        "    foreach: steps.a.results\n    data: { x: '{{ item.reason | default(item.key) }}' }",
    );
    project.text = project
        .text
        .replace("    allow_failures: 1\n", "    allow_failures: 1\n    on_partial: keep\n");
    let plan = project.plan();
    let scope = plan.scope(1, &[]);
    let failed = plan.streamed(1, 1, &values().entries[1], &scope).unwrap().unwrap();
    assert_eq!(
        (failed.value["output"].clone(), failed.value["reason"].clone()),
        (Value::Null, json!("expired"))
    );
}

#[test]
fn a_list_that_is_made_of_outputs_is_expanded_when_they_are_there() {
    let plan = two(
        "    foreach: steps.a.results\n    max_items: 2\n    data: { x: '{{ item.output.n }}' }",
    )
    .plan();
    let mut kept = Kept::default();
    let expanded = plan.expand(1, &[(0, values())], &run(), &mut kept);
    assert!(matches!(expanded, Expanded::Items { count: 2, .. }), "{expanded:?}");
    let keys: Vec<String> = kept.0["b"]
        .iter()
        .map(|line| PlanItem::from_line(0, line.as_bytes()).unwrap().key.to_string())
        .collect();
    assert_eq!(keys, ["a", "c"], "results keep the keys of their items");
    let many = two(
        "    foreach: steps.a.results\n    max_items: 1\n    data: { x: '{{ item.output.n }}' }",
    )
    .plan();
    let failed = many.expand(1, &[(0, values())], &run(), &mut Kept::default());
    assert!(
        matches!(&failed, Expanded::Failed { reason } if reason.starts_with("E0310")),
        "{failed:?}"
    );
}

#[test]
fn an_expression_that_is_no_list_or_has_a_key_twice_fails_the_step_with_a_reason() {
    for (b, word) in [
        (
            "    foreach: steps.a.outputs[0].n\n    max_items: 9\n    data: { x: 1 }",
            "E0705 `foreach` is a number",
        ),
        ("    foreach: steps.a.outputs[7]\n    max_items: 9\n    data: { x: 1 }", "E0702"),
        (
            "    foreach: steps.a.outputs\n    max_items: 9\n    key: \"'same'\"\n    data: { x: 1 }",
            "E0306 key `same` in entries 1 and 2",
        ),
        (
            "    foreach: steps.a.outputs\n    max_items: 9\n    key: item\n    data: { x: 1 }",
            "E0309 entry 1",
        ),
    ] {
        let plan = two(b).plan();
        let failed = plan.expand(1, &[(0, values())], &run(), &mut Kept::default());
        assert!(
            matches!(&failed, Expanded::Failed { reason } if reason.contains(word)),
            "{b}: {failed:?}"
        );
    }
}

#[test]
fn a_condition_skips_a_step_and_its_readers_see_nothing_of_it() {
    let plan = two("    if: steps.a.count > 5\n    data: { x: 1 }").plan();
    assert_eq!(plan.expand(1, &[(0, values())], &run(), &mut Kept::default()), Expanded::Skipped);
    let shown = plan.outputs(&[(0, values()), (1, StepValues::default())], &run());
    let shown: Vec<(&str, Value)> =
        shown.iter().map(|(name, value)| (name.as_str(), value.clone().unwrap())).collect();
    assert_eq!(
        shown,
        [
            ("sum", json!(4)),
            ("lost", json!(["b"])),
            ("one", json!("none")),
            ("where", json!("devnet"))
        ]
    );
    let always = two("    if: steps.a.count == 2\n    data: { x: 1 }").plan();
    let expanded = always.expand(1, &[(0, values())], &run(), &mut Kept::default());
    assert_eq!(expanded, Expanded::Items { count: 1, blob: None });
}

#[test]
fn an_output_that_is_missing_at_the_end_is_told_and_the_others_are_shown() {
    let plan = two("    data: { x: 1 }").plan();
    let shown = plan.outputs(&[(1, StepValues::default())], &run());
    assert!(shown[0].1.as_ref().unwrap_err().contains("steps.a"), "{shown:?}");
    assert_eq!(shown[3].1, Ok(json!("devnet")));
}

#[test]
fn what_fails_for_one_item_is_one_line_for_it() {
    let plan =
        two("    foreach: steps.a.results\n    data: { x: '{{ item.output.nope }}' }").plan();
    let scope = plan.scope(1, &[]);
    let item = plan.streamed(1, 0, &values().entries[0], &scope).unwrap().unwrap();
    let error = plan.render(1, &item, &scope, FREE).unwrap_err();
    assert_eq!(error, "E0702 `item.output.nope` is undefined");
}

#[test]
fn a_plan_is_made_again_from_its_record_without_any_file() {
    let project = classify();
    let plan = project.make(&mut Kept::default()).unwrap().plan;
    let record = plan.bundle().to_json();
    let text = record.to_string();
    let parsed = Bundle::parse(&serde_json::from_str(&text).unwrap()).unwrap();
    let again = parsed.restore(&Network::devnet()).unwrap();
    assert_eq!(again.fingerprint(), plan.fingerprint());
    assert_eq!(again.schedule(), plan.schedule());
    assert_eq!(again.steps()[0].items, plan.steps()[0].items);
    assert!(matches!(
        again.expand(0, &[], &run(), &mut NoSink),
        Expanded::Items { count: 2, blob: Some(_) }
    ));
    assert!(Bundle::parse(&json!({"pipeline": 3})).is_err());
}

#[test]
fn whatever_a_plan_is_made_from_changes_its_fingerprint() {
    let base = classify();
    let print = |project: &Project| project.plan().fingerprint();
    let file = base.clone().file("rows.csv", "id,text,stars\na,good,5\n");
    let template = base.clone().file("classify.yaml", CLASSIFY.replace("Label:", "Tag:"));
    let mut text = base.clone();
    text.text.push_str("# a comment\n");
    let mut facts = base.clone();
    facts.facts.min_payment = Wei::parse("0.002 OGPU").unwrap();
    let mut same = base.clone();
    same.facts.registrants = 99;
    assert_eq!(print(&same), print(&base), "who has registered decides nothing");
    for other in [file, template, text, facts] {
        assert_ne!(print(&other), print(&base));
    }
}

#[test]
fn items_of_a_file_that_were_not_kept_fail_the_step_instead_of_vanishing() {
    let plan = classify().plan();
    let expanded = plan.expand(0, &[], &run(), &mut Kept::default());
    assert!(
        matches!(&expanded, Expanded::Failed { reason } if reason.contains("not kept")),
        "{expanded:?}"
    );
}

#[test]
fn a_step_that_a_param_switches_off_costs_nothing_and_its_file_is_not_read() {
    let mut project = classify();
    project.text = project.text.replace("    uses:", "    if: params.on\n    uses:");
    project.text.push_str("params: { on: { type: boolean, default: false } }\n");
    let project =
        project.file("rows.csv", "id,text,stars\na,this text is much too long for it,4\n");
    let plan = project.plan();
    assert_eq!(plan.steps()[0].width, Range::exactly(0));
    assert_eq!(plan.expand(0, &[], &run(), &mut NoSink), Expanded::Skipped);
    let on = Project { text: project.text.replace("default: false", "default: true"), ..project };
    assert_eq!(on.problems()[0].0, "E0311");
}

#[test]
fn services_are_asked_no_faster_than_the_default_or_what_is_written() {
    let steps = "steps:\n  a: { source: llm, function: f, payment: 0.01 OGPU, data: { x: 1 } }\n";
    let rate = |text| crate::units::time::Rate::parse(text).ok();
    let mut plan = Project::new(steps).plan();
    assert_eq!(plan.quotas(), Quotas { rpc: None, pin: None }, "a devnet has none");
    plan.network.devnet = false;
    assert_eq!(plan.quotas(), Quotas { rpc: rate("20/s"), pin: rate("10/s") });
    let limits = crate::pipeline::Limits { pin_rate: rate("3/m"), ..plan.pipeline.limits };
    let fingerprint = plan.fingerprint();
    let plan = plan.with_limits(limits);
    assert_eq!(plan.quotas(), Quotas { rpc: rate("20/s"), pin: rate("3/m") });
    assert_eq!(plan.fingerprint(), fingerprint, "how fast is not what");
}
