//! What a step runs over: rows of a file, one after the other.
//!
//! A file is never held: [`Records`] cuts the stream into raw records, one at a time, and a
//! [`Decoder`] makes values of them, on as many threads as there are. [`KeyList`] keeps 20 bytes
//! of each record, enough to find two of the same key.
//!
//! Rows are counted as a spreadsheet shows them: the row with the names of the columns is row 1.
//! Nothing here opens a file; whoever does hands in the stream.

mod cells;
mod json_list;
mod keys;
mod lines;
mod quotes;
#[cfg(test)]
mod tests;

use std::fmt;
use std::io::{self, BufReader, Read};

use serde_json::{Map, Value};

pub use keys::{ContentKeys, Duplicate, KeyList, content_key, key_of};

use super::foreach::{CellType, FileItems, ItemFormat};
use super::loader::FoundFile;
use super::problem::{Code, Problem, SourceText};
use cells::Cells;
use json_list::JsonList;
use lines::Lines;

/// The most bytes that one record may have.
pub const MAX_RECORD_BYTES: usize = 16 << 20;

/// The most bytes that a YAML file may have, which is the one format that is not streamed.
pub const MAX_YAML_BYTES: usize = 64 << 20;

/// Why an item file cannot be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ItemError {
    /// What kind of problem.
    pub code: Code,
    /// What is wrong, as a lowercase fragment that names the row.
    pub message: String,
    /// What to do, in one line.
    pub hint: Option<String>,
}

impl ItemError {
    /// An error without advice.
    pub fn new(code: Code, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), hint: None }
    }

    /// The same, with what to do about it.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// As a problem of the pipeline that names the file.
    pub fn problem(self, pipeline: &std::sync::Arc<SourceText>, items: &FileItems) -> Problem {
        let span = match (&items.key, self.code) {
            (Some((_, span)), Code::E0303 | Code::E0306 | Code::E0309) => *span,
            (Some(_) | None, _) => items.span,
        };
        let problem = Problem::new(self.code, pipeline, span, self.message);
        match self.hint {
            Some(hint) => problem.help(hint),
            None => problem,
        }
    }
}

impl fmt::Display for ItemError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for ItemError {}

/// One record of a file.
#[derive(Clone, Debug, PartialEq)]
pub struct Record {
    /// Its row in the file, from 1; the names of columns are row 1 of a file that has them.
    pub row: u64,
    /// Its value.
    pub value: Value,
}

/// One record as it was cut from the stream.
#[derive(Clone, Debug)]
pub struct RawRecord {
    row: u64,
    body: RawBody,
}

#[derive(Clone, Debug)]
enum RawBody {
    Cells(csv::StringRecord),
    Text(String),
    Value(Value),
}

impl RawRecord {
    /// Its size in bytes, roughly.
    pub fn size(&self) -> usize {
        match &self.body {
            RawBody::Cells(cells) => cells.as_slice().len() + 16 * cells.len(),
            RawBody::Text(text) => text.len(),
            RawBody::Value(_) => 256,
        }
    }
}

/// The records of one file, cut from a stream.
pub struct Records {
    path: String,
    source: Source,
    decoder: Decoder,
}

enum Source {
    Cells(Box<Cells>),
    Lines(Lines),
    List(JsonList),
    Values(std::vec::IntoIter<Value>, u64),
}

impl Records {
    /// Starts to read `input` as `items` says.
    ///
    /// # Errors
    /// E0307 when the file has no header or is not what its format says, E0303 when the key or a
    /// typed column is not among its columns.
    pub fn open(items: &FileItems, input: Box<dyn Read + Send>) -> Result<Self, ItemError> {
        let input = BufReader::with_capacity(1 << 16, input);
        let input = without_mark(input, &items.path)?;
        let mut decoder = Decoder { path: items.path.clone(), columns: Vec::new() };
        let source = match items.format {
            ItemFormat::Csv | ItemFormat::Tsv => {
                let cells = Cells::open(items, input)?;
                decoder.columns = cells.columns(&items.types);
                Source::Cells(Box::new(cells))
            }
            ItemFormat::Jsonl => Source::Lines(Lines::new(input)),
            ItemFormat::Json => Source::List(JsonList::new(input)),
            ItemFormat::Yaml => Source::Values(yaml(input, &items.path)?.into_iter(), 0),
            ItemFormat::Glob => Source::Values(Vec::new().into_iter(), 0),
        };
        Ok(Self { path: items.path.clone(), source, decoder })
    }

    /// The names of the columns; `None` for formats without any.
    pub fn columns(&self) -> Option<Vec<&str>> {
        match &self.source {
            Source::Cells(_) => {
                Some(self.decoder.columns.iter().map(|(name, _)| name.as_str()).collect())
            }
            Source::Lines(_) | Source::List(_) | Source::Values(..) => None,
        }
    }

    /// What makes values of this file's records. It may be used on any thread.
    pub fn decoder(&self) -> Decoder {
        self.decoder.clone()
    }

    /// The next record as it stands in the file.
    ///
    /// # Errors
    /// E0307 with the row; nothing can be read after an error.
    pub fn next_raw(&mut self) -> Option<Result<RawRecord, ItemError>> {
        let (row, found) = match &mut self.source {
            Source::Cells(cells) => cells.next(&self.path),
            Source::Lines(lines) => lines.next(&self.path),
            Source::List(list) => list.next(&self.path),
            Source::Values(values, row) => {
                *row += 1;
                (*row, values.next().map(|value| Ok(RawBody::Value(value))))
            }
        };
        found.map(|found| found.map(|body| RawRecord { row, body }))
    }
}

impl Iterator for Records {
    type Item = Result<Record, ItemError>;

    fn next(&mut self) -> Option<Self::Item> {
        let raw = self.next_raw()?;
        Some(raw.and_then(|raw| self.decoder.decode(raw)))
    }
}

/// Makes values of raw records.
#[derive(Clone, Debug)]
pub struct Decoder {
    path: String,
    columns: Vec<(String, Option<CellType>)>,
}

impl Decoder {
    /// The value of a record.
    ///
    /// # Errors
    /// E0307 for a line that is not JSON, E0308 for a cell of the wrong type or a number that
    /// JSON readers would round.
    pub fn decode(&self, raw: RawRecord) -> Result<Record, ItemError> {
        let row = raw.row;
        let value = match raw.body {
            RawBody::Cells(cells) => self.cells(row, &cells)?,
            RawBody::Text(text) => lines::parse(&text, row, &self.path)?,
            RawBody::Value(value) => value,
        };
        Ok(Record { row, value })
    }

    fn cells(&self, row: u64, cells: &csv::StringRecord) -> Result<Value, ItemError> {
        let mut map = Map::with_capacity(self.columns.len());
        for ((name, cell_type), cell) in self.columns.iter().zip(cells) {
            let value = match cell_type {
                None => Value::String(cell.to_owned()),
                Some(cell_type) => cells::typed(cell, *cell_type).ok_or_else(|| {
                    let what = cells::type_name(*cell_type);
                    let shown: String = cell.chars().take(40).collect();
                    let path = &self.path;
                    ItemError::new(
                        Code::E0308,
                        format!("row {row} of {path}, column `{name}`: `{shown}` is not {what}"),
                    )
                    .hint("correct the cell, or the type of its column under `types`")
                })?,
            };
            map.insert(name.clone(), value);
        }
        Ok(Value::Object(map))
    }
}

/// The item of one file that a glob found; `text` only if it is read.
pub fn file_value(found: &FoundFile, text: Option<String>) -> Value {
    let name = found.path.rsplit('/').next().unwrap_or_default();
    let (stem, ext) = match name.rsplit_once('.') {
        Some((stem, ext)) if !stem.is_empty() => (stem, ext),
        Some(_) | None => (name, ""),
    };
    let mut map = Map::new();
    for (key, value) in
        [("path", found.path.as_str()), ("name", name), ("stem", stem), ("ext", ext)]
    {
        map.insert(key.to_owned(), Value::from(value));
    }
    map.insert("size".to_owned(), Value::from(found.size));
    if let Some(text) = text {
        map.insert("text".to_owned(), Value::from(text));
    }
    Value::Object(map)
}

/// The stream behind a byte order mark, if there is one.
fn without_mark(
    mut input: BufReader<Box<dyn Read + Send>>,
    path: &str,
) -> Result<BufReader<Box<dyn Read + Send>>, ItemError> {
    let mut first = [0_u8; 3];
    let mut len = 0;
    while len < first.len() {
        match input.read(&mut first[len..]) {
            Ok(0) => break,
            Ok(read) => len += read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(unreadable(path, None, &error)),
        }
    }
    let start = &first[..len];
    if start.starts_with(&[0xff, 0xfe]) || start.starts_with(&[0xfe, 0xff]) {
        return Err(
            ItemError::new(Code::E0307, format!("{path} is UTF-16")).hint("save it as UTF-8")
        );
    }
    let kept: Vec<u8> = if start == [0xef, 0xbb, 0xbf] { Vec::new() } else { start.to_vec() };
    let whole: Box<dyn Read + Send> = Box::new(io::Cursor::new(kept).chain(input));
    Ok(BufReader::with_capacity(1 << 16, whole))
}

/// E0307 for a stream that broke.
fn unreadable(path: &str, row: Option<u64>, error: &io::Error) -> ItemError {
    let place = row.map_or_else(|| path.to_owned(), |row| format!("row {row} of {path}"));
    if error.kind() == io::ErrorKind::FileTooLarge {
        let mib = MAX_RECORD_BYTES >> 20;
        return ItemError::new(Code::E0307, format!("{place} is larger than {mib} MiB"))
            .hint("a quote that is never closed makes one row of all that follows");
    }
    ItemError::new(Code::E0307, format!("{place} cannot be read: {error}"))
}

fn not_utf8(path: &str, row: u64) -> ItemError {
    ItemError::new(Code::E0307, format!("row {row} of {path} is not UTF-8"))
        .hint("save it as UTF-8")
}

/// A whole YAML list.
fn yaml(input: impl Read, path: &str) -> Result<Vec<Value>, ItemError> {
    let mut bytes = Vec::new();
    let limit = u64::try_from(MAX_YAML_BYTES).unwrap_or(u64::MAX);
    let read = input.take(limit + 1).read_to_end(&mut bytes);
    read.map_err(|error| unreadable(path, None, &error))?;
    if bytes.len() > MAX_YAML_BYTES {
        let mib = MAX_YAML_BYTES >> 20;
        return Err(ItemError::new(Code::E0307, format!("{path} is larger than {mib} MiB"))
            .hint("YAML is read as a whole; use JSON lines for large files"));
    }
    let text = String::from_utf8(bytes)
        .map_err(|_| ItemError::new(Code::E0307, format!("{path} is not UTF-8")))?;
    match serde_saphyr::from_str::<Value>(&text) {
        Ok(Value::Array(items)) => Ok(items),
        Ok(other) => Err(no_list(path, kind_of(&other))),
        Err(error) => {
            let first = error.to_string();
            let first = first.lines().next().unwrap_or_default();
            Err(ItemError::new(Code::E0307, format!("{path} is not YAML: {first}")))
        }
    }
}

fn no_list(path: &str, kind: &str) -> ItemError {
    ItemError::new(Code::E0307, format!("{path} holds {kind}, not a list"))
        .hint("a file of items is a list: one entry per item")
}

const fn kind_of(value: &Value) -> &'static str {
    match value {
        Value::Null => "nothing",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "text",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    }
}
