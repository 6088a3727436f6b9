//! The engine under the expressions: what of minijinja stays, and what is replaced.

#![expect(
    clippy::wildcard_enum_match_arm,
    reason = "enums of the engine, which may grow, and of which few variants concern us"
)]

use std::sync::LazyLock;

use minijinja::syntax::SyntaxConfig;
use minijinja::value::{Kwargs, Rest, Value, ValueKind};
use minijinja::{
    AutoEscape, Environment, Error, ErrorKind, Output, State, UndefinedBehavior, filters as builtin,
};

use super::blame::refuse;
use super::datum::{self, kind_name};
use super::{ExprError, filters};
use crate::pipeline::problem::Code;
use crate::units::Wei;

/// The name under which a text is known to its environment.
pub(super) const TEXT_NAME: &str = "text";

/// Steps of one evaluation (language.md, section 1).
const FUEL: u64 = 1_000_000;

/// Functions of the language; `env` is one only where the scope has it.
pub(super) const FUNCTIONS: &[&str] = &["dict", "money", "namespace", "range"];

/// Filters of the language.
pub(super) const FILTERS: &[&str] = &[
    "abs",
    "attr",
    "batch",
    "bool",
    "capitalize",
    "chain",
    "count",
    "d",
    "default",
    "dictsort",
    "first",
    "float",
    "fromjson",
    "groupby",
    "indent",
    "int",
    "items",
    "join",
    "last",
    "length",
    "lines",
    "list",
    "lower",
    "map",
    "max",
    "min",
    "reject",
    "rejectattr",
    "replace",
    "reverse",
    "round",
    "select",
    "selectattr",
    "slice",
    "sort",
    "split",
    "string",
    "sum",
    "title",
    "tojson",
    "trim",
    "unique",
    "upper",
    "zip",
];

/// Filters that the engine has and the language does not: they print or mark by themselves.
pub(super) const REMOVED: &[&str] = &["e", "escape", "format", "pprint", "safe"];

/// Tests of the language.
pub(super) const TESTS: &[&str] = &[
    "!=",
    "<",
    "<=",
    "==",
    ">",
    ">=",
    "boolean",
    "defined",
    "divisibleby",
    "endingwith",
    "eq",
    "equalto",
    "even",
    "false",
    "filter",
    "float",
    "ge",
    "greaterthan",
    "gt",
    "in",
    "int",
    "integer",
    "iterable",
    "le",
    "lessthan",
    "lower",
    "lt",
    "mapping",
    "ne",
    "none",
    "number",
    "odd",
    "sameas",
    "sequence",
    "startingwith",
    "string",
    "test",
    "true",
    "undefined",
    "upper",
];

/// The environment that all expressions share.
pub(super) fn environment() -> &'static Environment<'static> {
    static ENVIRONMENT: LazyLock<Environment<'static>> = LazyLock::new(build);
    &ENVIRONMENT
}

/// The delimiters of the engine; a final line break stays, because the author wrote it.
pub(super) fn syntax() -> SyntaxConfig {
    SyntaxConfig::builder()
        .keep_trailing_newline(true)
        .build()
        .expect("the default delimiters differ from one another")
}

fn build() -> Environment<'static> {
    let mut env = Environment::new();
    env.set_syntax(syntax());
    env.set_undefined_behavior(UndefinedBehavior::Strict);
    env.set_auto_escape_callback(|_| AutoEscape::None);
    env.set_fuel(Some(FUEL));
    env.set_debug(true);
    env.set_formatter(format_value);
    env.remove_global("debug");
    for name in REMOVED {
        env.remove_filter(name);
    }
    for (name, filter) in [
        ("lower", Value::from_function(builtin::lower)),
        ("upper", Value::from_function(builtin::upper)),
        ("title", Value::from_function(builtin::title)),
        ("capitalize", Value::from_function(builtin::capitalize)),
        ("trim", Value::from_function(builtin::trim)),
        ("replace", Value::from_function(builtin::replace)),
        ("split", Value::from_function(builtin::split)),
        ("lines", Value::from_function(builtin::lines)),
        ("indent", Value::from_function(builtin::indent)),
    ] {
        guard(&mut env, name, filter);
    }
    env.add_filter("string", |value: &Value| text_of(value));
    env.add_filter("join", filters::join);
    env.add_filter("tojson", filters::tojson);
    env.add_filter("fromjson", filters::fromjson);
    env.add_filter("sum", filters::sum);
    env.add_function("money", |text: &Value| match text.as_str().map(Wei::parse) {
        Some(Ok(amount)) => Ok(datum::money(amount)),
        Some(Err(error)) => {
            Err(refuse(ExprError::new(Code::E0206, error.to_string()).hint(error.hint())))
        }
        None => {
            let kind = kind_name(text);
            Err(refuse(ExprError::new(Code::E0206, format!("money(...) takes text, not {kind}"))))
        }
    });
    env
}

/// Replaces a filter on text by one that takes printable values only: the engine's would print
/// a list in its own way, past the formatter.
fn guard(env: &mut Environment<'static>, name: &'static str, inner: Value) {
    let guarded =
        move |state: &mut State<'_, '_>, value: Value, rest: Rest<Value>, named: Kwargs| {
            let mut arguments = vec![Value::from(text_of(&value)?)];
            for argument in rest.0 {
                if matches!(argument.kind(), ValueKind::Seq | ValueKind::Iterable | ValueKind::Map)
                {
                    return Err(refuse(unprintable(&argument)));
                }
                arguments.push(argument);
            }
            call_on(state, &inner, arguments, &named)
        };
    env.add_filter(name, guarded);
}

/// Calls an engine's filter, with named arguments if there are any.
pub(super) fn call_on(
    state: &mut State<'_, '_>,
    filter: &Value,
    mut arguments: Vec<Value>,
    named: &Kwargs,
) -> Result<Value, Error> {
    let names: Vec<(String, Value)> = named
        .args()
        .map(|name| Ok((name.to_owned(), named.peek(name)?)))
        .collect::<Result<_, Error>>()?;
    if !names.is_empty() {
        arguments.push(Value::from(Kwargs::from_iter(names)));
    }
    filter.call(state, &arguments)
}

fn format_value(out: &mut Output<'_>, _: &mut State<'_, '_>, value: &Value) -> Result<(), Error> {
    match value.as_str() {
        Some(text) => out.write_str(text)?,
        None => out.write_str(&text_of(value)?)?,
    }
    Ok(())
}

/// A value as text, or E0701.
pub(super) fn text_of(value: &Value) -> Result<String, Error> {
    if value.is_undefined() {
        return Err(Error::from(ErrorKind::UndefinedError));
    }
    datum::print(value).ok_or_else(|| refuse(unprintable(value)))
}

fn unprintable(value: &Value) -> ExprError {
    let error =
        ExprError::new(Code::E0701, format!("{} cannot be printed into text", kind_name(value)));
    match value.kind() {
        ValueKind::Seq | ValueKind::Iterable | ValueKind::Map => {
            error.hint("use `| tojson` or `| join(', ')`")
        }
        ValueKind::None => error.hint("use `| default('...', true)` for what to print instead"),
        _ => error,
    }
}

/// Whether a filter is part of the language.
pub(super) fn known_filter(name: &str) -> Result<(), ExprError> {
    if FILTERS.contains(&name) {
        return Ok(());
    }
    if REMOVED.contains(&name) {
        let message = format!("the filter `{name}` is not part of the language");
        return Err(ExprError::new(Code::E0313, message)
            .hint("outputs are data: use `| string`, `| tojson` or `| join(', ')`"));
    }
    Err(unknown("filter", name, FILTERS))
}

/// Whether a test is part of the language.
pub(super) fn known_test(name: &str) -> Result<(), ExprError> {
    if TESTS.contains(&name) { Ok(()) } else { Err(unknown("test", name, TESTS)) }
}

/// E0313 with the nearest name that exists.
pub(super) fn unknown(what: &str, name: &str, known: &[&str]) -> ExprError {
    let error = ExprError::new(Code::E0313, format!("there is no {what} `{name}`"));
    match nearest(name, known.iter().copied()) {
        Some(near) => error.hint(format!("did you mean `{near}`?")),
        None => error,
    }
}

/// The known name that a reader most likely meant.
pub(super) fn nearest<'a>(name: &str, known: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    known
        .map(|candidate| (strsim::damerau_levenshtein(name, candidate), candidate))
        .filter(|(distance, candidate)| {
            *distance <= name.chars().count().max(candidate.chars().count()).div_ceil(3)
        })
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}
