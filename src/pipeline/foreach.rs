//! What a step runs over.

use super::problem::Span;
use super::written::{WrittenExpression, WrittenTemplate};

/// What a step runs over.
#[derive(Clone, Debug)]
pub enum Foreach {
    /// Nothing: it has one task, whose key is the step's id.
    Once,
    /// The list that an expression gives.
    Expression(WrittenExpression),
    /// A list written in the pipeline.
    List(WrittenTemplate),
    /// The rows of a file, or the files of a glob.
    File(FileItems),
}

/// The rows of a file, or the files of a glob.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileItems {
    /// The name of the file that holds the path, which the path is relative to.
    pub from: String,
    /// The path as written.
    pub path: String,
    /// Where it is written.
    pub span: Span,
    /// How the file is read.
    pub format: ItemFormat,
    /// The column or property that names an item.
    pub key: Option<(String, Span)>,
    /// Columns whose cells are not text.
    pub types: Vec<(String, CellType)>,
    /// Only the first so many; `None` for all.
    pub limit: Option<u64>,
}

/// How an item file is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ItemFormat {
    /// Rows with commas, the first one names the columns.
    Csv,
    /// Rows with tabs, the first one names the columns.
    Tsv,
    /// A JSON value per line.
    Jsonl,
    /// One JSON list.
    Json,
    /// One YAML list.
    Yaml,
    /// The files that a pattern matches.
    Glob,
}

/// What the text of a cell is read as.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CellType {
    /// Text, also when empty.
    String,
    /// A whole number of 64 bits.
    Integer,
    /// A number.
    Number,
    /// `true` or `false`.
    Boolean,
    /// Any JSON.
    Json,
}
