//! Rows with commas or tabs.

use std::io::{self, BufRead, Read};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::Value;

use super::quotes::Quotes;
use super::{ItemError, MAX_RECORD_BYTES, RawBody, not_utf8, unreadable};
use crate::pipeline::foreach::{CellType, FileItems, ItemFormat};
use crate::pipeline::problem::Code;

/// A reader of rows.
pub(super) struct Cells {
    reader: csv::Reader<Bounded>,
    budget: Arc<AtomicUsize>,
    header: csv::StringRecord,
    row: u64,
}

impl Cells {
    pub(super) fn open(
        items: &FileItems,
        input: impl BufRead + Send + 'static,
    ) -> Result<Self, ItemError> {
        let path = &items.path;
        let budget = Arc::new(AtomicUsize::new(MAX_RECORD_BYTES));
        let delimiter = if items.format == ItemFormat::Tsv { b'\t' } else { b',' };
        let (input, quotes) = (Box::new(input), Quotes::new(delimiter));
        let bounded = Bounded { input, quotes, budget: Arc::clone(&budget) };
        let mut reader =
            csv::ReaderBuilder::new().delimiter(delimiter).has_headers(true).from_reader(bounded);
        let header = reader.headers().map_err(|error| explain(&error, path, 1))?.clone();
        if header.is_empty() {
            return Err(ItemError::new(Code::E0307, format!("{path} is empty"))
                .hint("the first row names the columns"));
        }
        let known: Vec<&str> = header.iter().collect();
        if let Some(twice) = first_double(&known) {
            let message = format!("row 1 of {path} names the column `{twice}` twice");
            return Err(ItemError::new(Code::E0307, message));
        }
        if let Some((key, _)) = &items.key {
            require(key, &known, path)?;
        }
        for (column, _) in &items.types {
            require(column, &known, path)?;
        }
        Ok(Self { reader, budget, header, row: 1 })
    }

    /// The names of the columns, with the types of those that have one.
    pub(super) fn columns(&self, types: &[(String, CellType)]) -> Vec<(String, Option<CellType>)> {
        let typed = |name: &str| types.iter().find(|(known, _)| known == name).map(|(_, t)| *t);
        self.header.iter().map(|name| (name.to_owned(), typed(name))).collect()
    }

    pub(super) fn next(&mut self, path: &str) -> (u64, Option<Result<RawBody, ItemError>>) {
        self.row += 1;
        self.budget.store(MAX_RECORD_BYTES, Ordering::Relaxed);
        let mut record = csv::StringRecord::with_capacity(64, self.header.len());
        let found = match self.reader.read_record(&mut record) {
            Ok(true) => Some(Ok(RawBody::Cells(record))),
            Ok(false) => None,
            Err(error) => Some(Err(explain(&error, path, self.row))),
        };
        (self.row, found)
    }
}

fn first_double<'a>(names: &[&'a str]) -> Option<&'a str> {
    let mut sorted = names.to_vec();
    sorted.sort_unstable();
    sorted.windows(2).find(|pair| pair[0] == pair[1]).map(|pair| pair[0])
}

/// E0303 for a column that the file does not have.
pub(super) fn require(column: &str, known: &[&str], path: &str) -> Result<(), ItemError> {
    if known.contains(&column) {
        return Ok(());
    }
    let near = known
        .iter()
        .map(|name| (strsim::damerau_levenshtein(column, name), name))
        .filter(|(distance, name)| *distance <= column.chars().count().max(name.len()).div_ceil(3))
        .min();
    let hint = match near {
        Some((_, name)) => format!("did you mean `{name}`?"),
        None => format!("its columns are {}", listed(known)),
    };
    Err(ItemError::new(Code::E0303, format!("{path} has no column `{column}`")).hint(hint))
}

fn listed(names: &[&str]) -> String {
    let shown: Vec<_> = names.iter().take(12).map(|name| format!("`{name}`")).collect();
    let more = if names.len() > shown.len() { " …" } else { "" };
    format!("{}{more}", shown.join(", "))
}

fn explain(error: &csv::Error, path: &str, row: u64) -> ItemError {
    match error.kind() {
        csv::ErrorKind::Utf8 { .. } => not_utf8(path, row),
        csv::ErrorKind::UnequalLengths { expected_len, len, .. } => {
            let cells = if *len == 1 { "cell" } else { "cells" };
            let message =
                format!("row {row} of {path} has {len} {cells}, the header has {expected_len}");
            ItemError::new(Code::E0307, message)
                .hint("put cells that hold a comma or a line break into double quotes")
        }
        csv::ErrorKind::Io(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
            let message = format!("row {row} of {path} opens a quote that is never closed");
            ItemError::new(Code::E0307, message)
                .hint("close it, or write \"\" for a quote that belongs to the text")
        }
        csv::ErrorKind::Io(error) => unreadable(path, Some(row), error),
        csv::ErrorKind::Seek
        | csv::ErrorKind::Serialize(_)
        | csv::ErrorKind::Deserialize { .. }
        | _ => ItemError::new(Code::E0307, format!("row {row} of {path} cannot be read: {error}")),
    }
}

/// The value of a typed cell; `None` if it has another type. An empty cell is null, but for text.
pub(super) fn typed(cell: &str, cell_type: CellType) -> Option<Value> {
    if cell_type == CellType::String {
        return Some(Value::String(cell.to_owned()));
    }
    let text = cell.trim();
    if text.is_empty() {
        return Some(Value::Null);
    }
    match cell_type {
        CellType::String => Some(Value::String(cell.to_owned())),
        CellType::Integer => integer(text),
        CellType::Number => integer(text).or_else(|| float(text)),
        CellType::Boolean => match text {
            "true" => Some(Value::Bool(true)),
            "false" => Some(Value::Bool(false)),
            _ => None,
        },
        CellType::Json => serde_json::from_str(text).ok(),
    }
}

fn integer(text: &str) -> Option<Value> {
    let small = text.parse::<i64>().ok().map(Value::from);
    small.or_else(|| text.parse::<u64>().ok().map(Value::from))
}

fn float(text: &str) -> Option<Value> {
    let plain =
        |byte: u8| byte.is_ascii_digit() || matches!(byte, b'.' | b'-' | b'+' | b'e' | b'E');
    let integer = text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'-');
    // An integer that came here has more than 64 bits and would be rounded.
    if integer || !text.bytes().all(plain) {
        return None;
    }
    let number = text.parse::<f64>().ok()?;
    serde_json::Number::from_f64(number).map(Value::Number)
}

pub(super) const fn type_name(cell_type: CellType) -> &'static str {
    match cell_type {
        CellType::String => "text",
        CellType::Integer => "an integer of 64 bits",
        CellType::Number => "a number",
        CellType::Boolean => "`true` or `false`",
        CellType::Json => "JSON",
    }
}

/// A stream that ends in an error when one record takes more than its share of it, or when it
/// ends within quotes: the reader of rows would take all that follows for the text of one cell.
struct Bounded {
    input: Box<dyn BufRead + Send>,
    quotes: Quotes,
    budget: Arc<AtomicUsize>,
}

impl Read for Bounded {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let left = self.budget.load(Ordering::Relaxed);
        if left == 0 {
            return Err(io::Error::from(io::ErrorKind::FileTooLarge));
        }
        let read = self.input.read(buffer)?;
        if read == 0 && !buffer.is_empty() && self.quotes.are_open() {
            return Err(io::Error::from(io::ErrorKind::UnexpectedEof));
        }
        self.quotes.read(&buffer[..read]);
        self.budget.store(left.saturating_sub(read), Ordering::Relaxed);
        Ok(read)
    }
}
