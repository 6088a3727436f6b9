//! Where the records of a step come from.

use std::io::{self, Read};
use std::sync::{Arc, Mutex, PoisonError};

use alloy::primitives::B256;
use serde_json::Value;
use sha2::{Digest, Sha256};

use super::Pass;
use super::rows::Raw;
use crate::pipeline::items::{Record, Records, file_value};
use crate::pipeline::{
    Code, Datum, FileItems, Foreach, FoundFile, ItemFormat, LoadError, Problem, Span, Step, Task,
    WrittenExpression, WrittenTemplate,
};
use crate::plan::task::MAX_CONFIG_BYTES;
use crate::units::canonical;

/// Where records come from.
pub(super) enum Feed {
    Records(Box<Records>),
    Values(std::vec::IntoIter<Value>, u64),
    Files(std::vec::IntoIter<FoundFile>, u64, Arc<Mutex<Sha256>>),
}

impl Pass<'_> {
    /// Starts to read.
    pub(super) fn feed(&self, hash: &Arc<Mutex<Sha256>>) -> Result<Feed, Box<Problem>> {
        let scope = self.pipeline.scope();
        let values = |values: Vec<Value>| {
            let mut hash = hash.lock().unwrap_or_else(PoisonError::into_inner);
            values.iter().for_each(|value| hash.update(canonical::to_vec(value)));
            drop(hash);
            Feed::Values(values.into_iter(), 0)
        };
        match &self.step.foreach {
            Foreach::Once => Ok(values(vec![Value::Null])),
            Foreach::List(written) => match written.evaluate(&scope)? {
                Value::Array(items) => Ok(values(items)),
                other @ (Value::Null
                | Value::Bool(_)
                | Value::Number(_)
                | Value::String(_)
                | Value::Object(_)) => Err(Box::new(self.no_list(written.span(), &other))),
            },
            Foreach::Expression(written) => {
                let datum = written
                    .value
                    .evaluate_datum(&scope)
                    .map_err(|error| Box::new(written.problem(error)))?;
                let items = crate::plan::expand::list_of(&datum)
                    .map_err(|error| Box::new(written.problem(error)))?;
                Ok(values(items))
            }
            Foreach::File(items) if items.format == ItemFormat::Glob => self.files(items, hash),
            Foreach::File(items) => {
                let input = self
                    .loader
                    .open(&items.from, &items.path)
                    .map_err(|error| Box::new(self.unloaded(items, &error)))?;
                let input = Box::new(Hashing { input, hash: Arc::clone(hash) });
                let records = Records::open(items, input)
                    .map_err(|error| Box::new(error.problem(&self.pipeline.file, items)))?;
                Ok(Feed::Records(Box::new(records)))
            }
        }
    }

    fn no_list(&self, span: Span, value: &Value) -> Problem {
        let kind = Datum::from_json(value).kind();
        self.rows().problem(Code::E0705, span, format!("`foreach` is {kind}, not a list"))
    }

    fn unloaded(&self, items: &FileItems, error: &LoadError) -> Problem {
        let problem = self.rows().problem(error.code(), items.span, error.to_string());
        match error.hint() {
            Some(hint) => problem.help(hint),
            None => problem,
        }
    }

    fn files(&self, items: &FileItems, hash: &Arc<Mutex<Sha256>>) -> Result<Feed, Box<Problem>> {
        let found = self
            .loader
            .glob(&items.from, &items.path)
            .map_err(|error| Box::new(self.unloaded(items, &error)))?;
        let mut begun = hash.lock().unwrap_or_else(PoisonError::into_inner);
        for file in &found {
            begun.update(canonical::to_vec(&file_value(file, None)));
        }
        drop(begun);
        Ok(Feed::Files(found.into_iter(), 0, Arc::clone(hash)))
    }

    /// The next record; `text` of a file is read only if it is used.
    pub(super) fn next(&self, feed: &mut Feed) -> Option<Result<(Raw, usize), Box<Problem>>> {
        match feed {
            Feed::Records(records) => {
                let Foreach::File(items) = &self.step.foreach else { return None };
                Some(match records.next_raw()? {
                    Ok(raw) => {
                        let size = raw.size();
                        Ok((Raw::Record(raw), size))
                    }
                    Err(error) => Err(Box::new(error.problem(&self.pipeline.file, items))),
                })
            }
            Feed::Values(values, row) => {
                *row += 1;
                let value = values.next()?;
                Some(Ok((Raw::Value(Record { row: *row, value }), 256)))
            }
            Feed::Files(files, row, hash) => {
                let Foreach::File(items) = &self.step.foreach else { return None };
                *row += 1;
                let file = files.next()?;
                let text = if reads_text(self.step) { Some(self.text(items, &file)) } else { None };
                Some(text.transpose().map(|text| {
                    // Names and sizes are hashed already; a text counts where it is read.
                    if let Some(text) = &text {
                        let mut hash = hash.lock().unwrap_or_else(PoisonError::into_inner);
                        hash.update(text.as_bytes());
                    }
                    let size = text.as_ref().map_or(256, String::len);
                    (Raw::Value(Record { row: *row, value: file_value(&file, text) }), size)
                }))
            }
        }
    }

    fn text(&self, items: &FileItems, file: &FoundFile) -> Result<String, Box<Problem>> {
        let fail =
            |message: String| Box::new(self.rows().problem(Code::E0307, items.span, message));
        let input = self
            .loader
            .open(&items.from, &file.path)
            .map_err(|error| Box::new(self.unloaded(items, &error)))?;
        let limit = u64::try_from(MAX_CONFIG_BYTES).unwrap_or(u64::MAX);
        let mut bytes = Vec::new();
        input
            .take(limit + 1)
            .read_to_end(&mut bytes)
            .map_err(|error| fail(format!("{} cannot be read: {error}", file.path)))?;
        if bytes.len() > MAX_CONFIG_BYTES {
            return Err(fail(format!("{} is larger than {} MiB", file.path, limit >> 20)));
        }
        String::from_utf8(bytes).map_err(|_| fail(format!("{} is not UTF-8", file.path)))
    }
}

/// Whether a step reads the text of the files that it runs over.
fn reads_text(step: &Step) -> bool {
    let mut references = match &step.task {
        Task::Direct { data, extra, .. } => {
            let mut references = data.references();
            references.extend(extra.iter().flat_map(WrittenTemplate::references));
            references
        }
        Task::Template { with, .. } => with.references(),
    };
    references.extend(step.filter.iter().flat_map(WrittenExpression::references));
    references.extend(step.key.iter().flat_map(WrittenExpression::references));
    references.extend(step.accept.when.iter().flat_map(WrittenExpression::references));
    references.iter().any(|found| {
        found.path.first().is_some_and(|name| name == "item")
            && found.path.get(1).is_none_or(|field| field == "text")
    })
}

/// A stream that is hashed while it is read.
struct Hashing {
    input: Box<dyn Read + Send>,
    hash: Arc<Mutex<Sha256>>,
}

impl Read for Hashing {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.input.read(buffer)?;
        self.hash.lock().unwrap_or_else(PoisonError::into_inner).update(&buffer[..read]);
        Ok(read)
    }
}

/// The hash of what was read.
pub(super) fn hashed(hash: &Mutex<Sha256>) -> B256 {
    B256::new(hash.lock().unwrap_or_else(PoisonError::into_inner).clone().finalize().into())
}
