//! What the author wrote, read and checked.
//!
//! Text comes in, an immutable [`Pipeline`](types::Pipeline) comes out, and with it every problem
//! that was found, each on the exact text that is wrong. The way there has four stations:
//!
//! * *document*: the YAML as a tree in which each key and value knows its place and how it was
//!   quoted, within budgets of size, depth and aliases.
//! * *check*: the tree against the language: keys, types, names, references, templates.
//! * *expr*: what stands between braces, compiled once, evaluated per item, types kept.
//! * *items* and *accept*: what a step runs over, and which outputs are good enough.
//!
//! A pipeline that has come out can be relied on: names resolve, money has a unit, every source
//! has an address on the network in use, and what this version cannot do was refused.
//!
//! There is no file and no network here. Files that a pipeline names come in through a
//! [`Loader`](loader::Loader), so the same check runs on a disk, in an editor and in a test.

pub mod catalogue;
pub mod expr;
pub mod problem;

pub use expr::{Datum, ExprError, Expression, Reference, ScalarStyle, Scope, Template};
pub use problem::{Code, Look, Problem, Severity, SourceText, Span, errors_last, explain};
