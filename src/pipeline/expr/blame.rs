//! What went wrong in the engine, in our words and at the very name that is wrong.

#![expect(
    clippy::wildcard_enum_match_arm,
    reason = "enums of the engine, which may grow, and of which few variants concern us"
)]

use minijinja::value::{Value, ValueKind};
use minijinja::{Error, ErrorKind};

use super::engine::nearest;
use super::{ExprError, Reference, Scope};
use crate::pipeline::problem::{Code, Span};

/// What a filter of ours or the formatter refuses, carried through the engine's own error.
#[derive(Debug, thiserror::Error)]
#[error("{}", .0.message)]
struct Refusal(ExprError);

pub(super) fn refuse(error: ExprError) -> Error {
    Error::new(ErrorKind::InvalidOperation, error.message.clone()).with_source(Refusal(error))
}

/// A syntax error of the engine, with its place.
pub(super) fn explain_syntax(error: &Error) -> ExprError {
    let detail = error.detail().unwrap_or("the expression cannot be read");
    located(ExprError::new(Code::E0313, detail.to_owned()), error)
}

/// An error of the engine, without looking at the scope.
pub(super) fn plain(error: &Error) -> ExprError {
    if let Some(refusal) = refusal(error) {
        return located(refusal, error);
    }
    let detail = error.detail().map_or_else(|| error.kind().to_string(), str::to_owned);
    let found = match error.kind() {
        ErrorKind::OutOfFuel => ExprError::new(Code::E0703, "the expression takes too many steps")
            .hint("one scalar has 1,000,000 steps; work on fewer entries"),
        ErrorKind::UndefinedError => ExprError::new(Code::E0702, detail)
            .hint("use `| default(...)` or `is defined` where it may be missing"),
        ErrorKind::SyntaxError
        | ErrorKind::UnknownFilter
        | ErrorKind::UnknownTest
        | ErrorKind::UnknownFunction
        | ErrorKind::UnknownMethod => ExprError::new(Code::E0313, detail),
        _ => ExprError::new(Code::E0705, detail),
    };
    located(found, error)
}

/// An error of the engine, with the name that is undefined if that is what happened.
pub(super) fn explain(error: &Error, references: &[Reference], scope: &Scope) -> ExprError {
    let found = plain(error);
    if found.code == Code::E0702 {
        let mut better = undefined(references, found.span, scope);
        if better.span.is_none() {
            better = found;
        }
        return better;
    }
    found
}

fn located(error: ExprError, cause: &Error) -> ExprError {
    match (error.span, cause.range()) {
        (None, Some(range)) => error.at(Span::new(range.start, range.len())),
        (Some(_) | None, _) => error,
    }
}

fn refusal(error: &Error) -> Option<ExprError> {
    let mut cause: Option<&(dyn std::error::Error + 'static)> = std::error::Error::source(error);
    while let Some(current) = cause {
        if let Some(Refusal(found)) = current.downcast_ref::<Refusal>() {
            return Some(found.clone());
        }
        cause = current.source();
    }
    None
}

/// E0702 for the first name inside `within` that the scope lacks, marked at that very name.
pub(super) fn undefined(
    references: &[Reference],
    within: Option<Span>,
    scope: &Scope,
) -> ExprError {
    let near = |reference: &&Reference| {
        within.is_some_and(|span| {
            reference.span.offset < span.end() && span.offset < reference.span.end()
        })
    };
    let required = || references.iter().filter(|reference| !reference.optional);
    let blamed = required().filter(near).find_map(|reference| missing(reference, scope));
    // A filter fails at its own name, beside the path that it was given.
    let blamed = blamed.or_else(|| required().find_map(|reference| missing(reference, scope)));
    blamed.unwrap_or_else(|| {
        let error = ExprError::new(Code::E0702, "the value is undefined")
            .hint("use `| default(...)` or `is defined` where it may be missing");
        within.map_or(error.clone(), |span| error.at(span))
    })
}

fn missing(reference: &Reference, scope: &Scope) -> Option<ExprError> {
    let mut holder: Option<Value> = None;
    for (place, name) in reference.path.iter().enumerate() {
        let next = match &holder {
            None => scope.get(name).cloned(),
            Some(holder) => holder.get_attr(name).ok().filter(|value| !value.is_undefined()),
        };
        if let Some(next) = next {
            holder = Some(next);
            continue;
        }
        let shown = reference.path[..=place].join(".");
        let known: Vec<String> = match &holder {
            None => scope.names().into_iter().map(str::to_owned).collect(),
            Some(holder) => names_of(holder),
        };
        let hint = match nearest(name, known.iter().map(String::as_str)) {
            Some(near) => format!("did you mean `{near}`?"),
            None => "use `| default(...)` or `is defined` where it may be missing".to_owned(),
        };
        let error = ExprError::new(Code::E0702, format!("`{shown}` is undefined")).hint(hint);
        return Some(error.at(reference.parts[place]));
    }
    None
}

fn names_of(value: &Value) -> Vec<String> {
    let keys = value.try_iter().ok().filter(|_| value.kind() == ValueKind::Map);
    keys.into_iter().flatten().take(500).filter_map(|key| key.as_str().map(str::to_owned)).collect()
}
