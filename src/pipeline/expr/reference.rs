//! Paths of names that an expression reads, with their places.

#![expect(
    clippy::wildcard_enum_match_arm,
    reason = "enums of the engine, which may grow, and of which few variants concern us"
)]

use minijinja::machinery::Span as EngineSpan;
use minijinja::machinery::ast::Expr;

use crate::pipeline::problem::Span;

/// A name that an expression reads, with what is read of it: `steps.x.results`, `item.text`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reference {
    /// The names, outermost first.
    pub path: Vec<String>,
    /// The whole path in the text.
    pub span: Span,
    /// Each name of the path in the text.
    pub parts: Vec<Span>,
    /// Whether the expression asks if it exists: `| default(...)`, `is defined`.
    pub optional: bool,
}

impl Reference {
    /// The path with dots.
    pub fn dotted(&self) -> String {
        self.path.join(".")
    }

    pub(super) fn shifted(&self, by: usize) -> Self {
        Self {
            path: self.path.clone(),
            span: self.span.shifted(by),
            parts: self.parts.iter().map(|part| part.shifted(by)).collect(),
            optional: self.optional,
        }
    }
}

/// The engine's span as one of ours.
pub(super) fn place(span: EngineSpan) -> Span {
    let (from, to) = (span.start_offset as usize, span.end_offset as usize);
    Span::new(from, to.saturating_sub(from))
}

/// The names of `a.b['c']`; `None` for anything that is not a path of fixed names.
pub(super) fn path_of(expression: &Expr<'_>) -> Option<(Vec<String>, Vec<Span>)> {
    match expression {
        Expr::Var(it) => Some((vec![it.id.to_owned()], vec![place(it.span())])),
        Expr::GetAttr(it) => {
            let (mut path, mut parts) = path_of(&it.expr)?;
            let end = place(it.span()).end();
            path.push(it.name.to_owned());
            parts.push(Span::new(end.saturating_sub(it.name.len()), it.name.len()));
            Some((path, parts))
        }
        Expr::GetItem(it) => {
            let Expr::Const(key) = &it.subscript_expr else { return None };
            let name = key.value.as_str()?;
            let (mut path, mut parts) = path_of(&it.expr)?;
            path.push(name.to_owned());
            parts.push(place(key.span()));
            Some((path, parts))
        }
        _ => None,
    }
}
