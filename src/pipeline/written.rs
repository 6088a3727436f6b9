//! Values that still know where in the file they were written.

use std::sync::Arc;

use serde_json::Value;

use super::document::{Body, Node};
use super::expr::{ExprError, Expression, Reference, Scope, Template};
use super::locate::Locator;
use super::problem::{Problem, SourceText, Span};

/// Something compiled, with the place that it was compiled from.
#[derive(Clone, Debug, PartialEq)]
pub struct Written<T> {
    /// What was compiled.
    pub value: T,
    /// The file in which it stands.
    pub file: Arc<SourceText>,
    /// The YAML that it was compiled from.
    pub node: Node,
}

impl<T> Written<T> {
    /// Something compiled from `node` of `file`.
    pub fn new(value: T, file: &Arc<SourceText>, node: &Node) -> Self {
        Self { value, file: Arc::clone(file), node: node.clone() }
    }

    /// Where it stands.
    pub fn span(&self) -> Span {
        self.node.mark(&self.file)
    }

    /// A problem of this value, at the piece of it that the error names.
    pub fn problem(&self, error: ExprError) -> Problem {
        at(&self.file, &self.node, error)
    }
}

/// A YAML value with expressions in it.
pub type WrittenTemplate = Written<Template>;

/// A key that takes an expression.
pub type WrittenExpression = Written<Expression>;

impl WrittenTemplate {
    /// The value, with every expression in it evaluated.
    ///
    /// # Errors
    /// As [`Template::evaluate`], with the place in the file.
    pub fn evaluate(&self, scope: &Scope) -> Result<Value, Box<Problem>> {
        self.value.evaluate(scope).map_err(|error| {
            let found = first_failure(&self.value, &self.node, scope);
            let (node, error) = found.unwrap_or((&self.node, error));
            Box::new(at(&self.file, node, error))
        })
    }

    /// What it reads, with places in the file.
    pub fn references(&self) -> Vec<Reference> {
        let mut all = Vec::new();
        collect(&self.value, &self.node, &self.file, &mut all);
        all
    }
}

impl WrittenExpression {
    /// The value in JSON.
    ///
    /// # Errors
    /// As [`Expression::evaluate`], with the place in the file.
    pub fn evaluate(&self, scope: &Scope) -> Result<Value, Box<Problem>> {
        self.value.evaluate(scope).map_err(|error| Box::new(self.problem(error)))
    }

    /// The value, which has to be true or false.
    ///
    /// # Errors
    /// As [`Expression::holds`], with the place in the file.
    pub fn holds(&self, scope: &Scope) -> Result<bool, Box<Problem>> {
        self.value.holds(scope).map_err(|error| Box::new(self.problem(error)))
    }

    /// What it reads, with places in the file.
    pub fn references(&self) -> Vec<Reference> {
        let locator = Locator::new(&self.node, &self.file);
        self.value.references().iter().map(|reference| placed(reference, &locator)).collect()
    }
}

/// A problem from an error whose span counts from the start of the scalar's text.
pub(super) fn at(file: &Arc<SourceText>, node: &Node, error: ExprError) -> Problem {
    let span = match error.span {
        Some(piece) => node.locate(piece, file),
        None => node.mark(file),
    };
    let problem = Problem::new(error.code, file, span, error.message);
    match error.hint {
        Some(hint) => problem.help(hint),
        None => problem,
    }
}

/// The first scalar of a tree that cannot be evaluated, with the reason.
fn first_failure<'n>(
    template: &Template,
    node: &'n Node,
    scope: &Scope,
) -> Option<(&'n Node, ExprError)> {
    match (template, &node.body) {
        (Template::List(items), Body::List(nodes)) => {
            items.iter().zip(nodes).find_map(|(item, node)| first_failure(item, node, scope))
        }
        (Template::Map(items), Body::Map(entries)) => items
            .iter()
            .zip(entries)
            .find_map(|((_, item), entry)| first_failure(item, &entry.value, scope)),
        _ => template.evaluate(scope).err().map(|error| (node, error)),
    }
}

fn collect(template: &Template, node: &Node, file: &SourceText, all: &mut Vec<Reference>) {
    match (template, &node.body) {
        (Template::List(items), Body::List(nodes)) => {
            for (item, node) in items.iter().zip(nodes) {
                collect(item, node, file, all);
            }
        }
        (Template::Map(items), Body::Map(entries)) => {
            for ((_, item), entry) in items.iter().zip(entries) {
                collect(item, &entry.value, file, all);
            }
        }
        _ => {
            let references = template.references();
            if !references.is_empty() {
                let locator = Locator::new(node, file);
                all.extend(references.iter().map(|found| placed(found, &locator)));
            }
        }
    }
}

fn placed(reference: &Reference, locator: &Locator) -> Reference {
    Reference {
        path: reference.path.clone(),
        span: locator.locate(reference.span),
        parts: reference.parts.iter().map(|part| locator.locate(*part)).collect(),
        optional: reference.optional,
    }
}
