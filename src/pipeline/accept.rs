//! Is an output good enough? A JSON Schema and conditions give one verdict with one reason.
//!
//! Outputs are a stranger's bytes. They are parsed with a limit of size and depth, never as a
//! template; patterns run in linear time; conditions have their limit of steps. A reason names
//! the place and the schema rule, is one line long, and repeats little of the output.

#[cfg(test)]
mod tests;

use std::fmt::Write;

use jsonschema::error::{TypeKind, ValidationErrorKind as Kind};
use jsonschema::{PatternOptions, ValidationError, Validator};
use serde_json::Value;

use super::expr::{Datum, Scope};
use super::policy::Accept;
use super::schema::Mismatch;
use super::written::WrittenExpression;
use crate::units::text::counted;

/// The largest output that is parsed, in bytes. Larger ones are kept on disk and refused.
pub const MAX_OUTPUT_BYTES: usize = 64 << 20;

/// How much of a value a reason repeats, in characters.
const SHOWN: usize = 60;

/// Whether an output is good enough.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It is.
    Accepted,
    /// It is not.
    Rejected {
        /// Why, in one printable line.
        reason: String,
    },
}

impl Verdict {
    fn rejected(reason: impl Into<String>) -> Self {
        Self::Rejected { reason: printable(&reason.into()) }
    }

    /// The reason of a refusal.
    pub fn reason(&self) -> Option<&str> {
        match self {
            Self::Accepted => None,
            Self::Rejected { reason } => Some(reason),
        }
    }
}

/// The compiled checks of one `accept`.
#[derive(Debug)]
pub struct Acceptance {
    schema: Option<Validator>,
    when: Vec<WrittenExpression>,
}

impl Acceptance {
    /// Compiles the checks. Schemas refer to themselves only: nothing is fetched.
    ///
    /// # Errors
    /// When the schema is not JSON Schema, or refers to something outside of itself.
    pub fn compile(accept: &Accept) -> Result<Self, Mismatch> {
        let schema = accept.schema.as_deref().map(|source| {
            let options = jsonschema::options().with_pattern_options(PatternOptions::regex());
            options.build(source).map_err(|error| Mismatch {
                path: error.instance_path().to_string(),
                message: printable(&error.to_string()),
            })
        });
        Ok(Self { schema: schema.transpose()?, when: accept.when.clone() })
    }

    /// Whether any output is good enough.
    pub fn is_empty(&self) -> bool {
        self.schema.is_none() && self.when.is_empty()
    }

    /// The verdict on an output. `scope` holds all that conditions see besides `output`.
    pub fn check(&self, output: &Value, scope: &Scope) -> Verdict {
        if let Some(schema) = &self.schema
            && let Some(error) = schema.iter_errors(output).next()
        {
            return Verdict::rejected(explain(&error));
        }
        if self.when.is_empty() {
            return Verdict::Accepted;
        }
        let scope = scope.with("output", Datum::from_json(output));
        for condition in &self.when {
            match condition.holds(&scope) {
                Ok(true) => {}
                Ok(false) => {
                    let source = condition.value.source().trim();
                    return Verdict::rejected(format!("`{source}` is not true"));
                }
                Err(problem) => {
                    let source = condition.value.source().trim();
                    return Verdict::rejected(format!("`{source}`: {}", problem.message));
                }
            }
        }
        Verdict::Accepted
    }
}

/// An output's bytes as JSON.
///
/// # Errors
/// The reason for which it can be none: too large, too deep, not JSON.
pub fn parse_output(bytes: &[u8]) -> Result<Value, Verdict> {
    if bytes.len() > MAX_OUTPUT_BYTES {
        let (len, limit) = (bytes.len(), MAX_OUTPUT_BYTES >> 20);
        return Err(Verdict::rejected(format!(
            "the output has {len} bytes, more than {limit} MiB"
        )));
    }
    serde_json::from_slice(bytes)
        .map_err(|error| Verdict::rejected(format!("the output is not JSON: {error}")))
}

/// What a schema says against an output: `output.score is "five", not an integer (schema
/// /properties/score)`.
fn explain(error: &ValidationError<'_>) -> String {
    let place = dotted(&error.instance_path().to_string());
    let schema = error.schema_path().to_string();
    let owner = schema.rsplit_once('/').map_or("", |(owner, _)| owner);
    let owner = if owner.is_empty() { "/" } else { owner };
    let fault = fault(error.kind(), error.instance());
    format!("{place} {fault} (schema {owner})")
}

fn fault(kind: &Kind, value: &Value) -> String {
    let is = || format!("is {}", shown(value));
    match kind {
        Kind::Type { kind } => format!("{}, not {}", is(), type_name(kind)),
        Kind::Required { property } => format!("has no `{}`", bare(property)),
        Kind::Enum { options } => format!("{}, not one of {}", is(), shown(options)),
        Kind::Constant { expected_value } => format!("{}, not {}", is(), shown(expected_value)),
        Kind::Minimum { limit } => format!("{}, below {limit}", is()),
        Kind::Maximum { limit } => format!("{}, above {limit}", is()),
        Kind::ExclusiveMinimum { limit } => format!("{}, not above {limit}", is()),
        Kind::ExclusiveMaximum { limit } => format!("{}, not below {limit}", is()),
        Kind::MultipleOf { multiple_of } => format!("{}, no multiple of {multiple_of}", is()),
        Kind::MinLength { limit } => {
            format!("{}, shorter than {}", is(), counted(*limit, "character"))
        }
        Kind::MaxLength { limit } => format!("is longer than {}", counted(*limit, "character")),
        Kind::MinItems { limit } => format!("has fewer entries than {limit}"),
        Kind::MaxItems { limit } => format!("has more entries than {limit}"),
        Kind::MinProperties { limit } => format!("has fewer than {}", counted(*limit, "field")),
        Kind::MaxProperties { limit } => format!("has more than {}", counted(*limit, "field")),
        Kind::UniqueItems => "has an entry twice".to_owned(),
        Kind::Pattern { pattern } => format!("{}, which does not match `{pattern}`", is()),
        Kind::Format { format } => format!("{}, which is no {format}", is()),
        Kind::AdditionalProperties { unexpected } | Kind::UnevaluatedProperties { unexpected } => {
            let name = unexpected.first().map_or("", String::as_str);
            format!("has `{name}`, which is not expected")
        }
        Kind::AdditionalItems { .. } | Kind::UnevaluatedItems { .. } => {
            "has entries that are not expected".to_owned()
        }
        Kind::AnyOf { .. } | Kind::OneOfNotValid { .. } => {
            format!("{}, which matches none of the alternatives", is())
        }
        Kind::OneOfMultipleValid { .. } => {
            format!("{}, which matches more than one alternative", is())
        }
        Kind::FalseSchema => "is not expected".to_owned(),
        Kind::Contains
        | Kind::ContentEncoding { .. }
        | Kind::ContentMediaType { .. }
        | Kind::Custom { .. }
        | Kind::FromUtf8 { .. }
        | Kind::Not { .. }
        | Kind::PropertyNames { .. }
        | Kind::Referencing(_)
        | Kind::BacktrackLimitExceeded { .. }
        | Kind::RegexEngineFailure { .. } => format!("{}, against `{}`", is(), kind.keyword()),
    }
}

fn type_name(kind: &TypeKind) -> String {
    let named = |name: &str| {
        let article =
            if matches!(name.as_bytes().first(), Some(b'a' | b'i' | b'o')) { "an" } else { "a" };
        if name == "null" { name.to_owned() } else { format!("{article} {name}") }
    };
    match kind {
        TypeKind::Single(one) => named(&one.to_string()),
        TypeKind::Multiple(several) => {
            let names: Vec<_> = several.iter().map(|one| named(&one.to_string())).collect();
            names.join(" or ")
        }
    }
}

/// A JSON pointer as an expression would write it.
fn dotted(pointer: &str) -> String {
    let mut out = String::from("output");
    for part in pointer.split('/').skip(1) {
        let part = part.replace("~1", "/").replace("~0", "~");
        if part.bytes().all(|byte| byte.is_ascii_digit()) && !part.is_empty() {
            let _ = write!(out, "[{part}]");
        } else {
            let _ = write!(out, ".{part}");
        }
    }
    out
}

fn bare(value: &Value) -> String {
    value.as_str().map_or_else(|| shown(value), str::to_owned)
}

/// A value as JSON, cut where it gets long. A list or an object is named rather than written,
/// so that a megabyte of output is not serialized for sixty characters of it.
fn shown(value: &Value) -> String {
    match value {
        Value::String(text) => match text.char_indices().nth(SHOWN) {
            Some((at, _)) => format!("{:?}…", &text[..at]),
            None => Value::String(text.clone()).to_string(),
        },
        Value::Array(items) if items.len() > 8 => format!("a list of {} entries", items.len()),
        Value::Object(fields) if fields.len() > 8 => {
            format!("an object of {} fields", fields.len())
        }
        Value::Array(items) if items.iter().any(is_container) => "a list".to_owned(),
        Value::Object(fields) if fields.values().any(is_container) => "an object".to_owned(),
        Value::Array(items) => {
            let items: Vec<_> = items.iter().map(shown).collect();
            cut(&format!("[{}]", items.join(", ")))
        }
        Value::Object(fields) => {
            let fields: Vec<_> = fields
                .iter()
                .map(|(key, value)| format!("{}: {}", cut(key), shown(value)))
                .collect();
            cut(&format!("{{{}}}", fields.join(", ")))
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => value.to_string(),
    }
}

const fn is_container(value: &Value) -> bool {
    matches!(value, Value::Array(_) | Value::Object(_))
}

fn cut(text: &str) -> String {
    match text.char_indices().nth(SHOWN * 2) {
        Some((at, _)) => format!("{}…", &text[..at]),
        None => text.to_owned(),
    }
}

/// One line without anything that steers a terminal, of bounded length.
fn printable(text: &str) -> String {
    let mut out = String::new();
    for character in text.chars().take(400) {
        let steers = character.is_control()
            || matches!(character, '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
        if steers {
            out.extend(character.escape_unicode());
        } else {
            out.push(character);
        }
    }
    out
}
