//! Expressions, and values that may hold expressions anywhere in them.

use super::shape::Reader;
use crate::pipeline::document::{Body, Node, Scalar};
use crate::pipeline::expr::{Expression, ScalarStyle, Template};
use crate::pipeline::problem::{Code, Span};
use crate::pipeline::scalar;
use crate::pipeline::written::{Written, WrittenExpression, WrittenTemplate};

impl Reader {
    /// A key that takes an expression without braces.
    pub(super) fn expression(&mut self, node: &Node, key: &str) -> Option<WrittenExpression> {
        let source = self.raw(node, key, "an expression")?;
        if node.is_null() {
            self.wrong_type(node, key, "an expression");
            return None;
        }
        match Expression::compile(source) {
            Ok(expression) => Some(Written::new(expression, &self.file, node)),
            Err(error) => {
                self.refuse(node, error);
                None
            }
        }
    }

    /// A value that may hold expressions anywhere in it.
    pub(super) fn template(&mut self, node: &Node) -> Option<WrittenTemplate> {
        self.compile(node).map(|template| Written::new(template, &self.file, node))
    }

    fn compile(&mut self, node: &Node) -> Option<Template> {
        match &node.body {
            Body::Broken => None,
            Body::Scalar(scalar) => self.compile_scalar(node, scalar),
            Body::List(nodes) => {
                // Every element is looked at, also behind one that is refused.
                let items: Vec<_> = nodes.iter().map(|node| self.compile(node)).collect();
                items.into_iter().collect::<Option<Vec<_>>>().map(Template::List)
            }
            Body::Map(entries) => {
                let items: Vec<_> = entries
                    .iter()
                    .map(|entry| Some((entry.key.clone(), self.compile(&entry.value)?)))
                    .collect();
                items.into_iter().collect::<Option<Vec<_>>>().map(Template::Map)
            }
        }
    }

    fn compile_scalar(&mut self, node: &Node, scalar: &Scalar) -> Option<Template> {
        let one_line = !self.file.slice(node.span).trim_end().contains('\n');
        let style = match scalar.is_block() || !one_line {
            true => ScalarStyle::Block,
            false => ScalarStyle::Flow,
        };
        let template = match Template::from_scalar(&scalar.text, style) {
            Ok(Template::Literal(_)) if scalar.is_plain() => {
                scalar::value(scalar).map(Template::Literal)
            }
            other => other,
        };
        match template {
            Ok(template) => {
                self.warn_of_text(node, scalar, &template);
                Some(template)
            }
            Err(error) => {
                self.refuse(node, error);
                None
            }
        }
    }

    /// W0711: a block scalar that looks like a whole value but is text.
    fn warn_of_text(&mut self, node: &Node, scalar: &Scalar, template: &Template) {
        let text = scalar.text.trim();
        let alone = scalar.is_block()
            && matches!(template, Template::Text(_))
            && matches!(Template::from_scalar(text, ScalarStyle::Flow), Ok(Template::Whole { .. }));
        if alone {
            let message = "a block scalar that is only `{{ }}` stays text";
            let span = node.locate(Span::new(0, scalar.text.trim_end().len()), &self.file);
            let problem = self.problem(Code::W0711, span, message);
            self.push(problem.help(format!("to keep its type, write \"{text}\" on one line")));
        }
    }
}
