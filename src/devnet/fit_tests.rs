use super::*;
use crate::devnet::faults::Concern;

fn made(schema: &Value, data: &Value, seed: u64) -> Value {
    fit(schema, data.as_object().unwrap(), Dice::new(seed, Concern::Output))
}

/// Whether `value` holds against `schema`, by the validator that `accept` uses.
fn assert_fits(schema: &Value, value: &Value) {
    let validator = jsonschema::validator_for(schema).unwrap();
    let errors: Vec<String> = validator.iter_errors(value).map(|e| e.to_string()).collect();
    assert!(errors.is_empty(), "{value} against {schema}: {errors:?}");
}

#[test]
fn what_is_made_up_fits_the_schema_for_any_seed() {
    let data = json!({"text": "Great screen, weak battery.", "labels": ["good", "bad"]});
    let schemas = [
        json!({"type": "object", "required": ["summary", "topic", "score"], "properties": {
            "summary": {"type": "string", "minLength": 1}, "topic": {"type": "string", "minLength": 1},
            "score": {"type": "integer", "minimum": 1, "maximum": 5}}}),
        json!({"type": "object", "required": ["label", "confidence"], "properties": {
            "label": {"enum": ["cat", "dog"]},
            "confidence": {"type": "number", "minimum": 0, "maximum": 1}}}),
        json!({"type": "object", "additionalProperties": false, "required": ["a", "b", "c", "d"],
            "properties": {
            "a": {"type": "array", "minItems": 3, "maxItems": 3, "items": {"type": "integer",
                "exclusiveMinimum": 0, "exclusiveMaximum": 4, "multipleOf": 1}},
            "b": {"type": ["null", "number"], "exclusiveMinimum": 0, "exclusiveMaximum": 0.001},
            "c": {"const": {"x": [1]}},
            "d": {"type": "string", "maxLength": 3, "minLength": 3}}}),
        json!({"type": "object", "required": ["when", "id", "code"], "properties": {
            "when": {"type": "string", "format": "date"},
            "id": {"type": "string", "format": "uuid"},
            "code": {"type": "string", "pattern": "^[A-Z]{3}-[0-9]+$"}}}),
        json!({"$defs": {"n": {"type": "integer", "minimum": 10, "multipleOf": 7}},
            "type": "object", "required": ["n", "m"],
            "properties": {"n": {"$ref": "#/$defs/n"}, "m": {"allOf": [{"type": "integer"},
                {"maximum": -5}]}}}),
        json!({"anyOf": [{"type": "object", "required": ["x"], "properties": {"x": {"type":
            "boolean"}}}, {"type": "string"}]}),
        json!({"type": "array", "prefixItems": [{"type": "string"}, {"type": "integer"}],
            "items": false}),
        json!({"required": ["free"]}),
        json!({"type": "number", "minimum": 0.5, "maximum": 0.5}),
    ];
    for schema in &schemas {
        for seed in 0..50 {
            assert_fits(schema, &made(schema, &data, seed));
        }
    }
}

#[test]
fn numbers_come_from_the_upper_third_of_their_range() {
    let schema = json!({"type": "object", "properties": {
        "score": {"type": "integer", "minimum": 1, "maximum": 5},
        "share": {"type": "number", "minimum": -1, "maximum": 1}}});
    for seed in 0..50 {
        let value = made(&schema, &json!({"text": "x"}), seed);
        assert!(value["score"].as_i64().unwrap() >= 4, "{value}");
        assert!(value["share"].as_f64().unwrap() >= 1.0 / 3.0, "{value}");
    }
}

#[test]
fn a_label_is_one_of_the_labels_or_classes_of_the_data() {
    let free = json!({"type": "object", "properties": {"label": {"type": "string"}}});
    let few = json!({"type": "object", "properties": {"label": {"enum": ["dog", "cow"]}}});
    for seed in 0..20 {
        let value = made(&free, &json!({"labels": ["good", "bad"]}), seed);
        assert!(["good", "bad"].contains(&value["label"].as_str().unwrap()), "{value}");
        let value = made(&few, &json!({"classes": ["cat", "dog"]}), seed);
        assert_eq!(value["label"], "dog", "both the data and the schema hold");
        let value = made(&few, &json!({"classes": []}), seed);
        assert!(["dog", "cow"].contains(&value["label"].as_str().unwrap()), "{value}");
    }
}

#[test]
fn a_schema_that_refers_to_itself_or_to_nothing_ends() {
    let endless = json!({"$ref": "#"});
    assert_eq!(made(&endless, &json!({"a": 1}), 0), Value::Null);
    let tree =
        json!({"type": "object", "required": ["next"], "properties": {"next": {"$ref": "#"}}});
    assert!(made(&tree, &json!({"a": 1}), 0).is_object());
    let wide = json!({"type": "object", "required": ["l", "r"],
        "properties": {"l": {"$ref": "#"}, "r": {"$ref": "#"}}});
    assert!(made(&wide, &json!({"a": 1}), 0).is_object());
    let lost = json!({"type": "object", "properties": {"a": {"$ref": "#/$defs/gone"}}});
    assert_eq!(made(&lost, &json!({"a": 1}), 0), json!({"a": null}));
    let many = json!({"type": "array", "minItems": 1_000_000_000, "items": {"type": "null"}});
    assert_eq!(made(&many, &json!({"a": 1}), 0).as_array().unwrap().len(), 1000);
}

#[test]
fn the_same_seed_and_data_make_the_same_value() {
    let schema = json!({"type": "object", "properties": {"score": {"type": "integer"},
        "topic": {"type": "string"}}});
    let data = json!({"text": "A long text about batteries, screens and chargers"});
    assert_eq!(made(&schema, &data, 1), made(&schema, &data, 1));
    let different = (2..20).any(|seed| made(&schema, &data, seed) != made(&schema, &data, 1));
    assert!(different);
}
