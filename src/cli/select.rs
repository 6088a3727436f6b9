//! `--json=FIELD,…`: of each object only the fields that were asked for.

use serde_json::{Map, Value};

use super::failure::Failure;
use super::suggest;

/// The value with only these fields of each object at its top; all of them where none is named.
///
/// # Errors
/// Exit 2 for a field that no object has.
pub fn fields(value: Value, wanted: &[String]) -> Result<Value, Failure> {
    if wanted.is_empty() {
        return Ok(value);
    }
    let objects: Vec<&Map<String, Value>> = match value.as_array() {
        Some(rows) => rows.iter().filter_map(Value::as_object).collect(),
        None => value.as_object().into_iter().collect(),
    };
    for field in wanted {
        if !objects.is_empty() && objects.iter().all(|object| !object.contains_key(field)) {
            let known = objects.iter().flat_map(|object| object.keys().map(String::as_str));
            let near = suggest::nearest(field, known.clone());
            let names: Vec<&str> = objects[0].keys().map(String::as_str).collect();
            return Err(Failure::usage(format!("there is no field `{field}`")).help(match near {
                Some(near) => format!("did you mean `{near}`?"),
                None => format!("the fields are {}", names.join(", ")),
            }));
        }
    }
    Ok(kept(value, wanted))
}

fn kept(value: Value, wanted: &[String]) -> Value {
    match value {
        Value::Array(rows) => rows.into_iter().map(|row| kept_row(row, wanted)).collect(),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Object(_) => {
            kept_row(value, wanted)
        }
    }
}

fn kept_row(row: Value, wanted: &[String]) -> Value {
    match row {
        Value::Object(object) => {
            object.into_iter().filter(|(name, _)| wanted.contains(name)).collect()
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_) => row,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn only_the_wanted_fields_stay_in_the_order_of_the_document() {
        let wanted = ["b".to_owned(), "a".to_owned()];
        let rows = json!([{"a": 1, "x": 0, "b": 2}, {"b": 3}]);
        assert_eq!(fields(rows, &wanted).unwrap().to_string(), r#"[{"a":1,"b":2},{"b":3}]"#);
        let all = json!({"a": 1});
        assert_eq!(fields(all.clone(), &[]).unwrap(), all);
    }

    #[test]
    fn a_field_that_nothing_has_is_refused_with_the_nearest() {
        let error = fields(json!({"state": 1}), &["sate".to_owned()]).unwrap_err();
        assert_eq!(error.help.as_deref(), Some("did you mean `state`?"));
    }
}
