//! JSON Schema: compiled without fetching anything, with patterns that cannot run away.

use std::fmt;
use std::sync::Arc;

use jsonschema::{PatternOptions, Validator};
use serde_json::Value;

/// A compiled schema. Cloning shares it.
#[derive(Clone)]
pub struct Schema {
    source: Arc<Value>,
    validator: Arc<Validator>,
}

/// Why a value, or a schema itself, is refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mismatch {
    /// The place in the value, as a JSON pointer; empty for the value as a whole.
    pub path: String,
    /// What is wrong there.
    pub message: String,
}

impl fmt::Display for Mismatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.path.is_empty() {
            return f.write_str(&self.message);
        }
        write!(f, "{}: {}", self.path, self.message)
    }
}

impl Schema {
    /// Compiles a schema; the draft is the one that `$schema` names, else 2020-12.
    ///
    /// # Errors
    /// When it is not JSON Schema, or refers to something outside of itself.
    pub fn compile(source: &Value) -> Result<Self, Mismatch> {
        let validator = jsonschema::options()
            .with_pattern_options(PatternOptions::regex())
            .build(source)
            .map_err(|error| Mismatch {
                path: error.instance_path().to_string(),
                message: shorten(&error.to_string()),
            })?;
        Ok(Self { source: Arc::new(source.clone()), validator: Arc::new(validator) })
    }

    /// The schema as JSON.
    pub fn source(&self) -> &Arc<Value> {
        &self.source
    }

    /// The first thing that is wrong with a value.
    ///
    /// # Errors
    /// When the value does not match.
    pub fn check(&self, value: &Value) -> Result<(), Mismatch> {
        match self.validator.iter_errors(value).next() {
            None => Ok(()),
            Some(error) => Err(Mismatch {
                path: error.instance_path().to_string(),
                message: shorten(&error.to_string()),
            }),
        }
    }
}

impl fmt::Debug for Schema {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Schema").field(&self.source).finish()
    }
}

impl PartialEq for Schema {
    fn eq(&self, other: &Self) -> bool {
        self.source == other.source
    }
}

/// The longest text of a message; what is wrong may be wrong with megabytes.
const MAX_MESSAGE: usize = 200;

fn shorten(message: &str) -> String {
    match message.char_indices().nth(MAX_MESSAGE) {
        None => message.to_owned(),
        Some((at, _)) => format!("{} …", &message[..at]),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_value_that_does_not_match_names_the_place_and_the_reason() {
        let schema = Schema::compile(&json!({
            "type": "object", "properties": {"score": {"type": "integer"}}
        }))
        .unwrap();
        assert_eq!(schema.check(&json!({"score": 4})), Ok(()));
        let mismatch = schema.check(&json!({"score": "five"})).unwrap_err();
        assert_eq!(mismatch.path, "/score");
        assert!(mismatch.to_string().contains("five"), "{mismatch}");
    }

    #[test]
    fn what_is_not_json_schema_or_reaches_outside_is_refused() {
        for bad in [
            json!({"type": "integr"}),
            json!({"minimum": "three"}),
            json!({"pattern": "("}),
            json!({"$ref": "https://schemas.example.org/x.json"}),
            json!({"$ref": "file:///etc/passwd"}),
            json!(3),
        ] {
            assert!(Schema::compile(&bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_message_about_a_huge_value_stays_short() {
        let schema = Schema::compile(&json!({"type": "integer"})).unwrap();
        let mismatch = schema.check(&json!("é".repeat(100_000))).unwrap_err();
        assert!(mismatch.message.chars().count() < 220);
    }
}
