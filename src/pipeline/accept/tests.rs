//! Verdicts on outputs, friendly and hostile.

use std::sync::Arc;

use serde_json::json;

use super::*;

fn by_schema(schema: Value) -> Acceptance {
    Acceptance::compile(&Accept { schema: Some(Arc::new(schema)), when: Vec::new() }).unwrap()
}

fn by_condition(source: &str) -> Acceptance {
    let file = crate::pipeline::SourceText::new("p.yaml", format!("- {source}\n"));
    let (node, _) = crate::pipeline::document::read(&file);
    let value = crate::pipeline::Expression::compile(source).unwrap();
    let when = vec![crate::pipeline::Written::new(value, &file, &node.unwrap())];
    Acceptance::compile(&Accept { schema: None, when }).unwrap()
}

#[test]
fn a_condition_that_is_not_true_or_cannot_be_asked_is_a_refusal() {
    let scope = Scope::empty().with("inputs", Datum::from_json(&json!({"labels": ["a", "b"]})));
    let check = |source: &str, output: &Value| by_condition(source).check(output, &scope);
    let known = "output.label in inputs.labels";
    assert_eq!(check(known, &json!({"label": "a"})), Verdict::Accepted);
    let refused = check(known, &json!({"label": "c"}));
    assert_eq!(refused.reason(), Some("`output.label in inputs.labels` is not true"));
    for (source, output, word) in [
        (known, json!({}), "`output.label` is undefined"),
        (known, json!("text"), "`output.label` is undefined"),
        ("output.score", json!({"score": 1}), "not true or false"),
        ("output.a | length > 0", json!({"a": 5}), ":"),
        ("output | tojson | length > 0", json!("x".repeat(2_000_000)), "limit"),
    ] {
        let verdict = check(source, &output);
        assert!(verdict.reason().unwrap().contains(word), "{source}: {verdict:?}");
    }
}

fn reason(schema: Value, output: &Value) -> String {
    let verdict = by_schema(schema).check(output, &Scope::empty());
    verdict.reason().expect("refused").to_owned()
}

#[test]
fn a_reason_names_the_place_the_value_and_the_rule() {
    let schema = json!({
        "type": "object", "required": ["score"],
        "properties": {
            "score": {"type": "integer", "minimum": 1, "maximum": 5},
            "label": {"enum": ["cat", "dog"]},
            "tags": {"type": "array", "items": {"type": "string", "minLength": 2}},
            "both": {"type": ["array", "null"]},
        },
        "additionalProperties": false,
    });
    for (output, expected) in [
        (
            json!({"score": "five"}),
            "output.score is \"five\", not an integer (schema /properties/score)",
        ),
        (json!({"score": 0}), "output.score is 0, below 1 (schema /properties/score)"),
        (json!({"score": 6}), "output.score is 6, above 5 (schema /properties/score)"),
        (json!({}), "output has no `score` (schema /)"),
        (json!([1]), "output is [1], not an object (schema /)"),
        (
            json!({"score": 1, "label": "cow"}),
            "output.label is \"cow\", not one of [\"cat\", \"dog\"] (schema /properties/label)",
        ),
        (
            json!({"score": 1, "tags": ["ok", ""]}),
            "output.tags[1] is \"\", shorter than 2 characters (schema /properties/tags/items)",
        ),
        (
            json!({"score": 1, "both": 3}),
            "output.both is 3, not null or an array (schema /properties/both)",
        ),
        (json!({"score": 1, "x": 3}), "output has `x`, which is not expected (schema /)"),
    ] {
        assert_eq!(reason(schema.clone(), &output), expected);
    }
    assert_eq!(by_schema(schema).check(&json!({"score": 3}), &Scope::empty()), Verdict::Accepted);
}

#[test]
fn a_schema_that_refers_to_something_outside_is_refused() {
    for outside in ["https://schemas.example.org/x.json", "file:///etc/passwd", "other.json"] {
        let accept = Accept { schema: Some(Arc::new(json!({"$ref": outside}))), when: Vec::new() };
        assert!(Acceptance::compile(&accept).is_err(), "{outside}");
    }
    let inside = json!({"$ref": "#/$defs/n", "$defs": {"n": {"type": "number"}}});
    assert!(reason(inside, &json!("x")).contains("not a number"));
}

#[test]
fn bytes_that_are_no_json_are_a_reason_and_no_error() {
    for (bytes, word) in [
        (&b"<html>"[..], "not JSON"),
        (b"", "not JSON"),
        (b"{\"a\": NaN}", "not JSON"),
        (b"\xff\xfe", "not JSON"),
        (b"{} {}", "not JSON"),
    ] {
        let verdict = parse_output(bytes).unwrap_err();
        assert!(verdict.reason().unwrap().contains(word), "{bytes:?}");
    }
    assert_eq!(parse_output(b" {\"a\": 1}\n").unwrap(), json!({"a": 1}));
}

#[test]
fn a_deep_output_is_refused_before_anything_recurses_into_it() {
    let deep = format!("{}{}", "[".repeat(1_000_000), "]".repeat(1_000_000));
    assert!(parse_output(deep.as_bytes()).unwrap_err().reason().unwrap().contains("recursion"));
}

#[test]
fn a_reason_stays_one_short_printable_line_whatever_the_output_says() {
    let schema = json!({"type": "object", "properties": {"a": {"type": "integer"}}});
    for hostile in [
        json!({"a": "x".repeat(1_000_000)}),
        json!({"a": "\u{1b}[2J\nrm -rf\u{202e}"}),
        json!({"a": vec![vec![0; 10]; 1000]}),
        json!({"a": {"k".repeat(100_000): 1}}),
        json!("\u{9b}\u{7}\r\n".repeat(500)),
    ] {
        let reason = reason(schema.clone(), &hostile);
        assert!(reason.chars().count() < 450, "{}", reason.len());
        assert!(!reason.chars().any(char::is_control), "{reason:?}");
    }
}

#[test]
fn a_pattern_cannot_run_away() {
    let schema = json!({"type": "string", "pattern": "^(a+)+$"});
    let hostile = json!(format!("{}!", "a".repeat(50_000)));
    assert!(reason(schema, &hostile).contains("does not match"));
}
