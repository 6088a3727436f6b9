//! Expressions: compiled once, evaluated per item, types kept.
//!
//! An [`Expression`] is what stands between braces, or in a key that takes an expression. A
//! [`Template`] is a tree of YAML values whose scalars may hold expressions; it is evaluated in
//! place, so what comes out is data and is never read as a template again.
//!
//! Everything is decided here that the engine would decide otherwise (language.md, sections 1
//! and 2): undefined is an error also as a whole value, only text, numbers, booleans and money
//! print, and every evaluation has a limit of steps and of size.

mod blame;
mod datum;
mod engine;
mod filters;
mod reference;
mod scope;
mod syntax;
#[cfg(test)]
mod tests;

use std::fmt;
use std::sync::Arc;

use serde_json::Value;

pub use datum::Datum;
pub use reference::Reference;
pub use scope::Scope;

use super::problem::{Code, Span};

/// Bytes that one scalar may evaluate to (language.md, section 1).
pub const MAX_SCALAR_BYTES: usize = 1 << 20;

/// Why an expression was refused, or could not be evaluated.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExprError {
    /// What kind of problem.
    pub code: Code,
    /// What is wrong, as a lowercase fragment.
    pub message: String,
    /// What to do, in one line.
    pub hint: Option<String>,
    /// Where in the text of the expression or scalar, if that is known.
    pub span: Option<Span>,
}

impl ExprError {
    /// An error without a place and without advice.
    pub fn new(code: Code, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), hint: None, span: None }
    }

    /// The same, with what to do about it.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// The same, at a place.
    #[must_use]
    pub fn at(mut self, span: Span) -> Self {
        self.span = Some(span);
        self
    }

    fn shifted(mut self, by: usize) -> Self {
        self.span = self.span.map(|span| span.shifted(by));
        self
    }
}

impl fmt::Display for ExprError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for ExprError {}

/// One compiled expression. Cloning shares it.
#[derive(Clone)]
pub struct Expression(Arc<CompiledExpression>);

struct CompiledExpression {
    source: String,
    code: minijinja::Expression<'static, 'static>,
    references: Vec<Reference>,
}

impl Expression {
    /// Compiles an expression that is written without braces.
    ///
    /// # Errors
    /// E0313 for a syntax error, for braces and for what is not part of the language; E0206 for
    /// a bad amount in `money('...')`. The span is relative to `source`.
    pub fn compile(source: &str) -> Result<Self, ExprError> {
        let trimmed = source.trim();
        if trimmed.is_empty() {
            return Err(ExprError::new(Code::E0313, "the expression is empty"));
        }
        if let Some(at) = source.find("{{").or_else(|| source.find("{%")) {
            return Err(ExprError::new(Code::E0313, "braces in a key that takes an expression")
                .hint("write the expression alone, without `{{` and `}}`")
                .at(Span::new(at, 2)));
        }
        let references = syntax::expression(source)?;
        let code = engine::environment()
            .compile_expression_owned(source.to_owned())
            .map_err(|error| blame::explain_syntax(&error))?;
        Ok(Self(Arc::new(CompiledExpression { source: source.to_owned(), code, references })))
    }

    /// What it reads, in the order of writing; names set inside the expression are left out.
    pub fn references(&self) -> &[Reference] {
        &self.0.references
    }

    /// The text that was compiled.
    pub fn source(&self) -> &str {
        &self.0.source
    }

    /// The value in JSON.
    ///
    /// # Errors
    /// E0702 for an undefined value, E0703 and E0704 past a limit, E0705 for a wrong type.
    pub fn evaluate(&self, scope: &Scope) -> Result<Value, ExprError> {
        let value = self.value(scope)?;
        datum::to_json(&value, MAX_SCALAR_BYTES).map_err(|error| {
            if error.code == Code::E0702 {
                return blame::undefined(self.references(), Some(self.whole()), scope);
            }
            error.at(self.whole())
        })
    }

    /// The value as expressions see it, so that a list is not copied.
    ///
    /// # Errors
    /// As [`evaluate`](Self::evaluate), but for E0704.
    pub fn evaluate_datum(&self, scope: &Scope) -> Result<Datum, ExprError> {
        self.value(scope).map(Datum::from_engine)
    }

    /// The value, which has to be true or false.
    ///
    /// # Errors
    /// As [`evaluate`](Self::evaluate); E0705 for anything but a boolean.
    pub fn holds(&self, scope: &Scope) -> Result<bool, ExprError> {
        let value = self.value(scope)?;
        bool::try_from(value.clone()).map_err(|_| {
            let kind = datum::kind_name(&value);
            ExprError::new(Code::E0705, format!("`{}` is {kind}, not true or false", self.source()))
                .hint("write a comparison, such as `item.score > 3`")
                .at(self.whole())
        })
    }

    fn whole(&self) -> Span {
        let source = self.source();
        let start = source.len() - source.trim_start().len();
        Span::new(start, source.trim().len())
    }

    fn value(&self, scope: &Scope) -> Result<minijinja::Value, ExprError> {
        let value = self
            .0
            .code
            .eval(scope.root())
            .map_err(|error| blame::explain(&error, self.references(), scope))?;
        if value.is_undefined() {
            return Err(blame::undefined(self.references(), Some(self.whole()), scope));
        }
        Ok(value)
    }
}

impl fmt::Debug for Expression {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Expression").field(&self.source()).finish()
    }
}

impl PartialEq for Expression {
    fn eq(&self, other: &Self) -> bool {
        self.source() == other.source()
    }
}

/// How a YAML scalar was written, which decides whether it can be a whole value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ScalarStyle {
    /// Plain or quoted on one line: exactly one `{{ expression }}` keeps its type.
    Flow,
    /// A block scalar (`|` or `>`) or one of several lines: always text.
    Block,
}

/// Text with expressions in it. Cloning shares it.
#[derive(Clone)]
pub struct TextTemplate(Arc<CompiledText>);

struct CompiledText {
    source: String,
    /// Holds this one text, under [`engine::TEXT_NAME`].
    code: minijinja::Environment<'static>,
    references: Vec<Reference>,
}

impl TextTemplate {
    /// What it reads, in the order of writing.
    pub fn references(&self) -> &[Reference] {
        &self.0.references
    }

    /// The text as written.
    pub fn source(&self) -> &str {
        &self.0.source
    }

    fn compile(text: &str, references: Vec<Reference>) -> Result<Self, ExprError> {
        let mut code = engine::environment().clone();
        code.add_template_owned(engine::TEXT_NAME, text.to_owned())
            .map_err(|error| blame::explain_syntax(&error))?;
        Ok(Self(Arc::new(CompiledText { source: text.to_owned(), code, references })))
    }

    fn evaluate(&self, scope: &Scope) -> Result<String, ExprError> {
        let text = self
            .0
            .code
            .get_template(engine::TEXT_NAME)
            .and_then(|template| template.render(scope.root()))
            .map_err(|error| blame::explain(&error, self.references(), scope))?;
        if text.len() > MAX_SCALAR_BYTES {
            return Err(datum::too_large(text.len(), MAX_SCALAR_BYTES));
        }
        Ok(text)
    }
}

impl fmt::Debug for TextTemplate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("TextTemplate").field(&self.source()).finish()
    }
}

impl PartialEq for TextTemplate {
    fn eq(&self, other: &Self) -> bool {
        self.source() == other.source()
    }
}

/// A tree of YAML values, evaluated in place.
#[derive(Clone, Debug, PartialEq)]
pub enum Template {
    /// A value without expressions.
    Literal(Value),
    /// Exactly one expression, whose type is kept.
    Whole {
        /// The expression between the braces.
        expression: Expression,
        /// Where the expression starts in the scalar's text, in bytes.
        offset: usize,
    },
    /// Text with expressions in it; what comes out is text.
    Text(TextTemplate),
    /// A list of such values.
    List(Vec<Self>),
    /// A map of such values, in the order of writing; keys are never evaluated.
    Map(Vec<(String, Self)>),
}

impl Template {
    /// Compiles the text of one scalar, quotes and indentation already taken off.
    ///
    /// # Errors
    /// As [`Expression::compile`], with spans relative to `text`.
    pub fn from_scalar(text: &str, style: ScalarStyle) -> Result<Self, ExprError> {
        let shape = syntax::text(text)?;
        match (shape, style) {
            (syntax::Shape::Literal, _) => Ok(Self::Literal(Value::String(text.to_owned()))),
            (syntax::Shape::Whole { from, to }, ScalarStyle::Flow) => {
                let expression =
                    Expression::compile(&text[from..to]).map_err(|error| error.shifted(from))?;
                Ok(Self::Whole { expression, offset: from })
            }
            (syntax::Shape::Whole { .. } | syntax::Shape::Text, _) => {
                let references = syntax::text_references(text)?;
                TextTemplate::compile(text, references).map(Self::Text)
            }
        }
    }

    /// What all its scalars read. Spans are relative to the scalar that a reference stands in.
    pub fn references(&self) -> Vec<Reference> {
        let mut all = Vec::new();
        self.collect(&mut all);
        all
    }

    fn collect(&self, all: &mut Vec<Reference>) {
        match self {
            Self::Literal(_) => {}
            Self::Whole { expression, offset } => {
                all.extend(expression.references().iter().map(|found| found.shifted(*offset)));
            }
            Self::Text(text) => all.extend_from_slice(text.references()),
            Self::List(items) => items.iter().for_each(|item| item.collect(all)),
            Self::Map(entries) => entries.iter().for_each(|(_, value)| value.collect(all)),
        }
    }

    /// Whether no scalar of it holds an expression.
    pub fn is_constant(&self) -> bool {
        match self {
            Self::Literal(_) => true,
            Self::Whole { .. } | Self::Text(_) => false,
            Self::List(items) => items.iter().all(Self::is_constant),
            Self::Map(entries) => entries.iter().all(|(_, value)| value.is_constant()),
        }
    }

    /// The value of the whole tree.
    ///
    /// # Errors
    /// As [`Expression::evaluate`], also E0701 for a list, object or null in text; spans are
    /// relative to the text of the scalar that failed.
    pub fn evaluate(&self, scope: &Scope) -> Result<Value, ExprError> {
        match self {
            Self::Literal(value) => Ok(value.clone()),
            Self::Whole { expression, offset } => {
                expression.evaluate(scope).map_err(|error| error.shifted(*offset))
            }
            Self::Text(text) => text.evaluate(scope).map(Value::String),
            Self::List(items) => {
                items.iter().map(|item| item.evaluate(scope)).collect::<Result<_, _>>()
            }
            Self::Map(entries) => {
                let mut map = serde_json::Map::with_capacity(entries.len());
                for (key, value) in entries {
                    map.insert(key.clone(), value.evaluate(scope)?);
                }
                Ok(Value::Object(map))
            }
        }
    }
}
