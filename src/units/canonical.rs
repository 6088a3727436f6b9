//! The one writer of canonical JSON: keys sorted by code point, no blanks, UTF-8 as it is.
//!
//! What is pinned, hashed or used as a key of a cache is written here and nowhere else, so the
//! same value always gives the same bytes. Numbers and strings are written as `serde_json`
//! writes them: the shortest text that reads back as the same value.

use alloy::primitives::B256;
use serde_json::{Map, Value};

use super::cid::sha256;

/// The canonical bytes of `value`.
pub fn to_vec(value: &Value) -> Vec<u8> {
    let mut out = Vec::with_capacity(128);
    write(&mut out, value);
    out
}

/// The canonical text of `value`.
#[expect(clippy::missing_panics_doc, reason = "JSON is UTF-8")]
pub fn to_string(value: &Value) -> String {
    String::from_utf8(to_vec(value)).expect("JSON is written from strings")
}

/// SHA-256 over the canonical bytes of `value`.
pub fn digest(value: &Value) -> B256 {
    sha256(&to_vec(value))
}

fn write(out: &mut Vec<u8>, value: &Value) {
    match value {
        Value::Null | Value::Bool(_) | Value::Number(_) => leaf(out, value),
        Value::String(text) => string(out, text),
        Value::Array(items) => list(out, items),
        Value::Object(fields) => object(out, fields),
    }
}

fn list(out: &mut Vec<u8>, items: &[Value]) {
    out.push(b'[');
    for (index, item) in items.iter().enumerate() {
        if index > 0 {
            out.push(b',');
        }
        write(out, item);
    }
    out.push(b']');
}

fn object(out: &mut Vec<u8>, fields: &Map<String, Value>) {
    let mut sorted: Vec<_> = fields.iter().collect();
    sorted.sort_unstable_by_key(|(key, _)| *key);
    out.push(b'{');
    for (index, (key, value)) in sorted.into_iter().enumerate() {
        if index > 0 {
            out.push(b',');
        }
        string(out, key);
        out.push(b':');
        write(out, value);
    }
    out.push(b'}');
}

fn string(out: &mut Vec<u8>, text: &str) {
    serde_json::to_writer(out, text).expect("a string always serializes");
}

fn leaf(out: &mut Vec<u8>, value: &Value) {
    serde_json::to_writer(out, value).expect("a plain value always serializes");
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    #[test]
    fn keys_are_sorted_at_every_depth_and_blanks_left_out() {
        let value =
            json!({"b": [1, {"z": null, "a": true}], "a": "x y", "": 0.5, "é": -1, "Z": {}});
        assert_eq!(
            to_string(&value),
            r#"{"":0.5,"Z":{},"a":"x y","b":[1,{"a":true,"z":null}],"é":-1}"#
        );
    }

    #[test]
    fn strings_keep_their_letters_and_escape_what_json_must() {
        assert_eq!(to_string(&json!("é\u{1}\"\\\n/😀")), "\"é\\u0001\\\"\\\\\\n/😀\"");
    }

    #[test]
    fn large_integers_are_not_rounded() {
        let value = json!([u64::MAX, i64::MIN]);
        assert_eq!(to_string(&value), "[18446744073709551615,-9223372036854775808]");
    }

    fn any_json() -> impl Strategy<Value = Value> {
        let plain = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            any::<u64>().prop_map(Value::from),
            any::<f64>().prop_filter("JSON has no NaN", |x| x.is_finite()).prop_map(Value::from),
            any::<String>().prop_map(Value::from),
        ];
        plain.prop_recursive(4, 48, 6, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
                prop::collection::vec((any::<String>(), inner), 0..6)
                    .prop_map(|fields| Value::Object(fields.into_iter().collect())),
            ]
        })
    }

    /// The same value with the fields of each object in the opposite order.
    fn reversed(value: &Value) -> Value {
        match value {
            Value::Array(items) => items.iter().map(reversed).collect(),
            Value::Object(fields) => {
                fields.iter().rev().map(|(key, value)| (key.clone(), reversed(value))).collect()
            }
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => value.clone(),
        }
    }

    proptest! {
        #[test]
        fn canonical_json_reads_back_as_the_same_value(value in any_json()) {
            prop_assert_eq!(serde_json::from_slice::<Value>(&to_vec(&value)).unwrap(), value);
        }

        #[test]
        fn the_order_of_fields_changes_no_byte(value in any_json()) {
            prop_assert_eq!(to_vec(&reversed(&value)), to_vec(&value));
        }
    }
}
