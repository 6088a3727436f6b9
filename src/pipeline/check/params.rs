//! Params: their schemas, their defaults, and what was given for this run.

use serde_json::{Map, Value};

use super::names::{Names, Place};
use super::shape::{Reader, value};
use crate::pipeline::document::Entry;
use crate::pipeline::expr::{Reference, Scope, Template};
use crate::pipeline::forms;
use crate::pipeline::loader::Loader;
use crate::pipeline::problem::{Code, Problem, Span};
use crate::pipeline::schema::Schema;

/// A value given for a param outside of the file.
#[derive(Clone, Debug, PartialEq)]
pub enum ParamValue {
    /// Text, read by the param's declared type: `--param n=20`.
    Text(String),
    /// A value that has a type already: an entry of `--params FILE`.
    Typed(Value),
}

/// One declared value: a param of a pipeline or an input of a template.
pub(super) struct Declared {
    pub(super) name: String,
    pub(super) name_span: Span,
    pub(super) schema: Schema,
    pub(super) default: Option<Value>,
}

/// Keywords that a declaration may use.
const KEYWORDS: &[&str] = &[
    "type",
    "default",
    "enum",
    "const",
    "minimum",
    "maximum",
    "exclusiveMinimum",
    "exclusiveMaximum",
    "multipleOf",
    "minLength",
    "maxLength",
    "pattern",
    "format",
    "items",
    "prefixItems",
    "contains",
    "minItems",
    "maxItems",
    "uniqueItems",
    "properties",
    "required",
    "additionalProperties",
    "patternProperties",
    "propertyNames",
    "minProperties",
    "maxProperties",
    "anyOf",
    "oneOf",
    "allOf",
    "not",
    "if",
    "then",
    "else",
    "$defs",
    "$ref",
    "title",
    "description",
    "examples",
];

impl Reader {
    /// The declarations of `params` or `inputs`; `env` reads the environment, where that is
    /// allowed.
    pub(super) fn declarations(
        &mut self,
        entries: &[Entry],
        what: &str,
        env: Option<&dyn Loader>,
    ) -> Vec<Declared> {
        let mut all = Vec::new();
        for entry in entries {
            if !is_id(&entry.key) {
                self.bad_name(entry, what);
                continue;
            }
            if let Some(declared) = self.declaration(entry, env) {
                all.push(declared);
            }
        }
        all
    }

    fn bad_name(&mut self, entry: &Entry, what: &str) {
        let message = format!("`{}` is not a name of {what}", entry.key);
        let problem = self.problem(Code::E0205, entry.key_span, message);
        self.push(problem.help("names are `[a-z][a-z0-9_]*`: small letters, digits, `_`"));
    }

    fn declaration(&mut self, entry: &Entry, env: Option<&dyn Loader>) -> Option<Declared> {
        let name = entry.key.clone();
        let keys = self.map(&entry.value, &name)?;
        for key in keys.iter().filter(|key| !KEYWORDS.contains(&key.key.as_str())) {
            let message = format!("`{}` is not a keyword of JSON Schema", key.key);
            let problem = self.problem(Code::E0212, key.key_span, message);
            self.push(match forms::closest(&key.key, KEYWORDS.iter().copied()) {
                Some(meant) => problem.help(format!("did you mean `{meant}`?")),
                None => problem,
            });
        }
        let mut source = Map::new();
        for key in keys.iter().filter(|key| key.key != "default") {
            source.insert(key.key.clone(), self.plain_json(&key.value)?);
        }
        let schema = match Schema::compile(&Value::Object(source)) {
            Ok(schema) => schema,
            Err(mismatch) => {
                let key = mismatch.path.split('/').nth(1);
                let node = key.and_then(|key| value(keys, key));
                let span = node.map_or(entry.key_span, |node| node.mark(&self.file));
                let message = format!("the schema of `{name}` is not valid: {mismatch}");
                self.push(self.problem(Code::E0212, span, message));
                return None;
            }
        };
        let default = match value(keys, "default") {
            Some(node) => Some(self.default(node, &name, &schema, env)?),
            None => None,
        };
        Some(Declared { name, name_span: entry.key_span, schema, default })
    }

    fn default(
        &mut self,
        node: &crate::pipeline::document::Node,
        name: &str,
        schema: &Schema,
        env: Option<&dyn Loader>,
    ) -> Option<Value> {
        let written = self.template(node)?;
        let constant = written.value.is_constant();
        let references = written.references();
        if !constant {
            let before = self.problems.len();
            self.names(&references, Place::ParamDefault, &Names::default());
            if env.is_none() {
                for reference in references.iter().filter(|found| found.path[0] == "env") {
                    let message = "`env()` is allowed only in the default of a pipeline's param";
                    self.push(self.problem(Code::E0502, reference.span, message));
                }
            }
            if self.problems.len() > before {
                return None;
            }
        }
        let scope = Scope::empty().with_environment(environment(&references, env));
        let result = match written.evaluate(&scope) {
            Ok(value) => value,
            Err(problem) => {
                self.push(*problem);
                return None;
            }
        };
        let result = match (&result, constant || matches!(written.value, Template::Text(_))) {
            (Value::String(text), false) => typed(text, schema.source()),
            _ => result,
        };
        if let Err(mismatch) = schema.check(&result) {
            let message = format!("the default of `{name}` does not fit its schema: {mismatch}");
            self.push(self.problem(Code::E0315, node.mark(&self.file), message));
            return None;
        }
        Some(result)
    }

    /// JSON without expressions, as schemas and examples are.
    pub(super) fn plain_json(&mut self, node: &crate::pipeline::document::Node) -> Option<Value> {
        let written = self.template(node)?;
        match written.value {
            template if template.is_constant() => template.evaluate(&Scope::empty()).ok(),
            _ => {
                let message = "expressions are not evaluated here";
                self.push(self.problem(Code::E0314, node.mark(&self.file), message));
                None
            }
        }
    }

    /// The value of every param: what was given, or else the default.
    pub(super) fn param_values(
        &mut self,
        declared: &[Declared],
        given: &[(String, ParamValue)],
    ) -> Option<Map<String, Value>> {
        let before = self.problems.len();
        let known: Vec<&str> = declared.iter().map(|param| param.name.as_str()).collect();
        for (name, _) in given.iter().filter(|(name, _)| !known.contains(&name.as_str())) {
            let message = format!("there is no param `{name}`");
            let help = match (forms::closest(name, known.iter().copied()), known.is_empty()) {
                (Some(meant), _) => format!("did you mean `{meant}`?"),
                (None, true) => "the pipeline has no params".to_owned(),
                (None, false) => format!("the params are {}", super::shape::quoted(&known)),
            };
            let problem = Problem::new(Code::E0315, &self.file, None, message);
            self.push(problem.help(help));
        }
        let mut values = Map::new();
        for param in declared {
            // Of several values for one param the last one holds, as with other flags.
            let found = given.iter().rev().find(|(name, _)| *name == param.name);
            if let Some(value) = self.param_value(param, found.map(|(_, value)| value)) {
                values.insert(param.name.clone(), value);
            }
        }
        (self.problems.len() == before).then_some(values)
    }

    fn param_value(&mut self, param: &Declared, given: Option<&ParamValue>) -> Option<Value> {
        let name = &param.name;
        let value = match (given, &param.default) {
            (Some(ParamValue::Text(text)), _) => typed(text, param.schema.source()),
            (Some(ParamValue::Typed(value)), _) => value.clone(),
            (None, Some(default)) => return Some(default.clone()),
            (None, None) => {
                let message = format!("param `{name}` has no value");
                let problem = self.problem(Code::E0315, param.name_span, message);
                self.push(problem.help(format!("give it with `--param {name}=VALUE`")));
                return None;
            }
        };
        match param.schema.check(&value) {
            Ok(()) => Some(value),
            Err(mismatch) => {
                let message =
                    format!("the value given for param `{name}` does not fit: {mismatch}");
                self.push(self.problem(Code::E0315, param.name_span, message));
                None
            }
        }
    }
}

/// Whether a text is an id: `[a-z][a-z0-9_]*`.
pub(super) fn is_id(text: &str) -> bool {
    text.starts_with(|first: char| first.is_ascii_lowercase())
        && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_')
}

/// The variables that expressions ask for, as far as they are set.
fn environment(references: &[Reference], env: Option<&dyn Loader>) -> Vec<(String, String)> {
    let names = references
        .iter()
        .filter(|reference| reference.path[0] == "env")
        .filter_map(|reference| reference.path.get(1));
    let read = |name: &String| Some((name.clone(), env?.env(name)?));
    names.filter_map(read).collect()
}

/// A text read by the type that a schema declares; text when it does not fit.
fn typed(text: &str, schema: &Value) -> Value {
    let as_text = Value::String(text.to_owned());
    let types: Vec<&str> = match schema.get("type") {
        Some(Value::String(one)) => vec![one.as_str()],
        Some(Value::Array(many)) => many.iter().filter_map(Value::as_str).collect(),
        _ => return as_text,
    };
    let Ok(parsed) = serde_json::from_str::<Value>(text) else { return as_text };
    let fits = types.iter().any(|name| match *name {
        "integer" | "number" => parsed.is_number(),
        "boolean" => parsed.is_boolean(),
        "array" => parsed.is_array(),
        "object" => parsed.is_object(),
        "null" => parsed.is_null(),
        _ => false,
    });
    if fits { parsed } else { as_text }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_text_is_read_by_the_declared_type_and_stays_text_otherwise() {
        for (text, kind, expected) in [
            ("20", json!("integer"), json!(20)),
            ("20", json!("string"), json!("20")),
            ("007", json!("integer"), json!("007")),
            ("true", json!("boolean"), json!(true)),
            ("true", json!("string"), json!("true")),
            ("[1,2]", json!("array"), json!([1, 2])),
            ("1", json!("array"), json!("1")),
            ("null", json!(["integer", "null"]), json!(null)),
            ("x", json!(["integer", "string"]), json!("x")),
        ] {
            assert_eq!(typed(text, &json!({"type": kind})), expected, "{text} as {kind}");
        }
        assert_eq!(typed("3", &json!({})), json!("3"), "no declared type");
    }
}
