//! The YAML as a tree in which each key and each value knows its place and how it was quoted.
//!
//! The tree is built from parser events and not through serde, because the language depends on
//! what serde throws away: where a key stands, whether a scalar was plain, quoted or a block, and
//! all duplicates and unquoted braces of a file instead of the first.

use std::sync::Arc;

use serde_saphyr::granit_parser::ScalarStyle;

use super::builder::{Builder, Stop};
use super::locate::Locator;
use super::problem::{Code, Problem, SourceText, Span};
use super::syntax;

/// The longest text of one file, in bytes.
pub const MAX_BYTES: usize = 1024 * 1024;
/// The deepest nesting of lists and maps.
pub const MAX_DEPTH: usize = 64;
/// The most values of one file, with every alias written out.
pub const MAX_NODES: usize = 100_000;
/// The most bytes of text in those values, with every alias written out.
pub(super) const MAX_EXPANDED: usize = 8 * MAX_BYTES;
/// How many unquoted braces are reported before reading stops.
const MAX_REPAIRS: usize = 32;

/// A value with its place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Node {
    /// Where it stands; for an alias, where its anchor stands.
    pub span: Span,
    /// What it is.
    pub body: Body,
}

/// What a value is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Body {
    /// One piece of text, not yet given a type.
    Scalar(Scalar),
    /// A list.
    List(Vec<Node>),
    /// A map, in the order of writing.
    Map(Vec<Entry>),
    /// Something that was reported already and that nobody should look at again.
    Broken,
}

/// A key and its value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The key's text.
    pub key: String,
    /// Where the key stands.
    pub key_span: Span,
    /// The value.
    pub value: Node,
}

/// One piece of text and how it was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Scalar {
    /// The text after unquoting and unfolding.
    pub text: String,
    /// Plain, quoted or block.
    pub style: ScalarStyle,
}

impl Scalar {
    /// Whether it was written without quotes, so that `3` is a number and `true` a boolean.
    pub fn is_plain(&self) -> bool {
        self.style == ScalarStyle::Plain
    }

    /// Whether it was written as `|` or `>`, which makes it text whatever it holds.
    pub fn is_block(&self) -> bool {
        matches!(self.style, ScalarStyle::Literal | ScalarStyle::Folded)
    }

    /// Whether it is YAML's null.
    pub fn is_null(&self) -> bool {
        self.is_plain() && matches!(self.text.as_str(), "" | "~" | "null" | "Null" | "NULL")
    }
}

impl Node {
    /// The scalar, if it is one.
    pub fn as_scalar(&self) -> Option<&Scalar> {
        match &self.body {
            Body::Scalar(scalar) => Some(scalar),
            Body::List(_) | Body::Map(_) | Body::Broken => None,
        }
    }

    /// Whether it is an empty value or YAML's null.
    pub fn is_null(&self) -> bool {
        self.as_scalar().is_some_and(Scalar::is_null)
    }

    /// Its kind, as a person would say it.
    pub fn kind(&self) -> &'static str {
        match &self.body {
            Body::Scalar(scalar) if scalar.is_null() => "nothing",
            Body::Scalar(_) => "text",
            Body::List(_) => "a list",
            Body::Map(_) => "a map",
            Body::Broken => "something broken",
        }
    }

    /// What to underline for it: all of a scalar, the first line of a list or map.
    pub fn mark(&self, file: &SourceText) -> Span {
        if matches!(self.body, Body::Scalar(_)) {
            return self.span;
        }
        let text = file.slice(self.span);
        let line = text.find('\n').map_or(text, |newline| &text[..newline]);
        Span::new(self.span.offset, line.trim_end().len().max(1))
    }

    /// Where a piece of this scalar's text stands in the file.
    pub fn locate(&self, piece: Span, file: &SourceText) -> Span {
        Locator::new(self, file).locate(piece)
    }
}

/// Reads a file; `None` if it is not a tree, with at least one problem then.
pub fn read(file: &Arc<SourceText>) -> (Option<Node>, Vec<Problem>) {
    let mut problems = Vec::new();
    if file.text.len() > MAX_BYTES {
        let message = format!("the file is larger than {} MiB", MAX_BYTES >> 20);
        let problem = Problem::new(Code::E0107, file, None, message);
        problems.push(problem.help("larger data belongs into an item file, read by `foreach`"));
        return (None, problems);
    }
    let mut text = file.text.clone();
    let mut repaired = Vec::new();
    loop {
        let mut builder = Builder::new(file, &repaired);
        match builder.build(&text) {
            Ok(root) => {
                problems.append(&mut builder.problems);
                if root.is_none() && problems.is_empty() {
                    problems.push(syntax::empty(file));
                }
                return (root, problems);
            }
            Err(Stop::Braces(region)) => {
                problems.push(syntax::unquoted_braces(file, region));
                if repaired.len() == MAX_REPAIRS {
                    return (None, problems);
                }
                syntax::quote(&mut text, region);
                repaired.push(region.offset);
            }
            Err(Stop::Problem(problem)) => {
                problems.append(&mut builder.problems);
                problems.push(*problem);
                return (None, problems);
            }
        }
    }
}
