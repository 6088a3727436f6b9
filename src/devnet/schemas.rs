//! What the steps of a run accept, so that made-up outputs can fit.
//!
//! A schema never reaches the chain: the run hands it over before it publishes. A task carries no
//! step either, so the schema is found again by what the config shows: source, function, and the
//! names of the data's fields. Steps that agree in all three share their schemas, and an
//! output then fits all of them together, where that is possible.

use std::collections::BTreeMap;

use alloy::primitives::Address;
use serde_json::{Value, json};

use super::functions::TaskConfig;

/// What a task's config shows of its step.
type Shape = (Address, String, Vec<String>);

/// The schemas that were handed over.
#[derive(Clone, Debug, Default)]
pub struct Schemas {
    known: BTreeMap<Shape, Vec<Value>>,
}

impl Schemas {
    /// Notes what a step accepts that publishes to `source`, calls `function`, and whose data
    /// have `fields`. The same again changes nothing.
    pub fn hand_over<'a>(
        &mut self,
        source: Address,
        function: &str,
        fields: impl IntoIterator<Item = &'a str>,
        schema: &Value,
    ) {
        let shape = (source, function.to_owned(), sorted(fields));
        let schemas = self.known.entry(shape).or_default();
        if !schemas.contains(schema) {
            schemas.push(schema.clone());
        }
    }

    /// What the step behind `config` accepts, as far as it is known.
    pub fn of_task(&self, source: Address, config: &TaskConfig) -> Option<Value> {
        let fields = sorted(config.data.keys().map(String::as_str));
        match self.known.get(&(source, config.function.clone(), fields))?.as_slice() {
            [] => None,
            [one] => Some(one.clone()),
            several => Some(json!({"allOf": several})),
        }
    }
}

fn sorted<'a>(fields: impl IntoIterator<Item = &'a str>) -> Vec<String> {
    let mut fields: Vec<String> = fields.into_iter().map(str::to_owned).collect();
    fields.sort_unstable();
    fields
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(function: &str, data: Value) -> TaskConfig {
        let data = data.as_object().unwrap().clone();
        TaskConfig { function: function.into(), data }
    }

    #[test]
    fn a_schema_is_found_by_source_function_and_fields() {
        let (llm, other) = (Address::repeat_byte(1), Address::repeat_byte(2));
        let mut schemas = Schemas::default();
        let (score, text) = (json!({"title": "score"}), json!({"title": "text"}));
        schemas.hand_over(llm, "chat", ["prompt"], &score);
        schemas.hand_over(llm, "chat", ["notes", "prompt"], &text);
        let one = config("chat", json!({"prompt": "x"}));
        assert_eq!(schemas.of_task(llm, &one), Some(score));
        let two = config("chat", json!({"prompt": "x", "notes": []}));
        assert_eq!(schemas.of_task(llm, &two), Some(text));
        assert_eq!(schemas.of_task(other, &one), None);
        assert_eq!(schemas.of_task(llm, &config("classify", json!({"prompt": "x"}))), None);
        assert_eq!(schemas.of_task(llm, &config("chat", json!({"topic": "x"}))), None);
    }

    #[test]
    fn steps_of_one_shape_share_their_schemas_and_doubles_change_nothing() {
        let llm = Address::repeat_byte(1);
        let mut schemas = Schemas::default();
        let (a, b) = (json!({"required": ["a"]}), json!({"required": ["b"]}));
        for schema in [&a, &b, &a] {
            schemas.hand_over(llm, "chat", ["prompt"], schema);
        }
        let both = schemas.of_task(llm, &config("chat", json!({"prompt": "x"})));
        assert_eq!(both, Some(json!({"allOf": [a, b]})));
    }
}
