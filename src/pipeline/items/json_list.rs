//! One JSON list, cut into its entries without holding it.

use std::io::BufRead;

use super::{ItemError, MAX_RECORD_BYTES, RawBody, no_list, not_utf8, unreadable};
use crate::pipeline::problem::Code;

/// A reader of the entries of a list.
pub(super) struct JsonList {
    input: Box<dyn BufRead + Send>,
    row: u64,
    state: State,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    Before,
    Inside,
    After,
}

/// Where the cut stands within one entry.
#[derive(Default)]
struct Cut {
    depth: usize,
    in_string: bool,
    escaped: bool,
}

impl Cut {
    /// Whether `byte` ends the entry; it is then not part of it.
    fn ends(&mut self, byte: u8) -> bool {
        if self.in_string {
            match byte {
                _ if self.escaped => self.escaped = false,
                b'\\' => self.escaped = true,
                b'"' => self.in_string = false,
                _ => {}
            }
            return false;
        }
        match byte {
            b'"' => self.in_string = true,
            b'[' | b'{' => self.depth += 1,
            b',' if self.depth == 0 => return true,
            b']' | b'}' => match self.depth.checked_sub(1) {
                Some(depth) => self.depth = depth,
                None => return true,
            },
            _ => {}
        }
        false
    }
}

impl JsonList {
    pub(super) fn new(input: impl BufRead + Send + 'static) -> Self {
        Self { input: Box::new(input), row: 0, state: State::Before }
    }

    pub(super) fn next(&mut self, path: &str) -> (u64, Option<Result<RawBody, ItemError>>) {
        if self.state == State::After {
            return (self.row, None);
        }
        self.row += 1;
        let found = self.entry(path);
        if found.is_err() {
            self.state = State::After;
        }
        (self.row, found.map(|text| text.map(RawBody::Text)).transpose())
    }

    fn entry(&mut self, path: &str) -> Result<Option<String>, ItemError> {
        if self.state == State::Before {
            match self.visible(path)? {
                Some(b'[') => self.state = State::Inside,
                Some(b'{') => return Err(no_list(path, "an object")),
                Some(_) => return Err(no_list(path, "something else")),
                None => {
                    return Err(ItemError::new(Code::E0307, format!("{path} is empty"))
                        .hint("a file of items is a list: one entry per item"));
                }
            }
        }
        let mut bytes = Vec::new();
        let end = self.cut(&mut bytes, path)?;
        let text = String::from_utf8(bytes).map_err(|_| not_utf8(path, self.row))?;
        let empty = text.trim().is_empty();
        if end == b']' {
            self.state = State::After;
            self.nothing_behind(path)?;
            if empty && self.row == 1 {
                return Ok(None);
            }
        }
        if empty {
            let message = format!("entry {} of {path} is missing: a comma too many", self.row);
            return Err(ItemError::new(Code::E0307, message));
        }
        Ok(Some(text))
    }

    /// Reads one entry into `bytes` and gives the byte that ended it.
    fn cut(&mut self, bytes: &mut Vec<u8>, path: &str) -> Result<u8, ItemError> {
        let mut cut = Cut::default();
        loop {
            let row = self.row;
            let buffer =
                self.input.fill_buf().map_err(|error| unreadable(path, Some(row), &error))?;
            if buffer.is_empty() {
                let message = format!("{path} ends within entry {row}");
                return Err(ItemError::new(Code::E0307, message).hint("the list is never closed"));
            }
            let end = buffer.iter().position(|byte| cut.ends(*byte));
            let taken = end.unwrap_or(buffer.len());
            bytes.extend_from_slice(&buffer[..taken]);
            let ended = end.map(|at| buffer[at]);
            self.input.consume(taken + usize::from(end.is_some()));
            if bytes.len() > MAX_RECORD_BYTES {
                let mib = MAX_RECORD_BYTES >> 20;
                let message = format!("entry {row} of {path} is larger than {mib} MiB");
                return Err(ItemError::new(Code::E0307, message));
            }
            if let Some(byte) = ended {
                return Ok(byte);
            }
        }
    }

    /// The next byte that is no blank, taken from the stream.
    fn visible(&mut self, path: &str) -> Result<Option<u8>, ItemError> {
        loop {
            let buffer = self.input.fill_buf().map_err(|error| unreadable(path, None, &error))?;
            if buffer.is_empty() {
                return Ok(None);
            }
            let found = buffer.iter().position(|byte| !byte.is_ascii_whitespace());
            let byte = found.map(|at| buffer[at]);
            let taken = found.map_or(buffer.len(), |at| at + 1);
            self.input.consume(taken);
            if byte.is_some() {
                return Ok(byte);
            }
        }
    }

    fn nothing_behind(&mut self, path: &str) -> Result<(), ItemError> {
        match self.visible(path)? {
            None => Ok(()),
            Some(_) => {
                let message = format!("{path} goes on behind the list");
                Err(ItemError::new(Code::E0307, message)
                    .hint("the file holds one list and no more"))
            }
        }
    }
}
