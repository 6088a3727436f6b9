//! A JSON value per line.

use std::io::{BufRead, Read};

use serde_json::Value;

use super::{ItemError, MAX_RECORD_BYTES, RawBody, not_utf8, unreadable};
use crate::pipeline::problem::Code;

/// A reader of lines; empty ones are passed over.
pub(super) struct Lines {
    input: Box<dyn BufRead + Send>,
    row: u64,
    broken: bool,
}

impl Lines {
    pub(super) fn new(input: impl BufRead + Send + 'static) -> Self {
        Self { input: Box::new(input), row: 0, broken: false }
    }

    pub(super) fn next(&mut self, path: &str) -> (u64, Option<Result<RawBody, ItemError>>) {
        loop {
            if self.broken {
                return (self.row, None);
            }
            self.row += 1;
            match self.line(path) {
                Ok(None) => return (self.row, None),
                Ok(Some(line)) if line.trim().is_empty() => {}
                Ok(Some(line)) => return (self.row, Some(Ok(RawBody::Text(line)))),
                Err(error) => {
                    self.broken = true;
                    return (self.row, Some(Err(error)));
                }
            }
        }
    }

    fn line(&mut self, path: &str) -> Result<Option<String>, ItemError> {
        let mut bytes = Vec::new();
        let limit = u64::try_from(MAX_RECORD_BYTES).unwrap_or(u64::MAX);
        let read = (&mut self.input).take(limit + 1).read_until(b'\n', &mut bytes);
        let read = read.map_err(|error| unreadable(path, Some(self.row), &error))?;
        if read == 0 {
            return Ok(None);
        }
        if bytes.len() > MAX_RECORD_BYTES {
            let mib = MAX_RECORD_BYTES >> 20;
            let message = format!("row {} of {path} is larger than {mib} MiB", self.row);
            return Err(ItemError::new(Code::E0307, message).hint("each line holds one JSON value"));
        }
        String::from_utf8(bytes).map(Some).map_err(|_| not_utf8(path, self.row))
    }
}

/// The value of one record of JSON.
pub(super) fn parse(text: &str, row: u64, path: &str) -> Result<Value, ItemError> {
    if let Some(digits) = oversized_integer(text) {
        let shown: String = digits.chars().take(40).collect();
        let message = format!("row {row} of {path}: the integer {shown} has more than 64 bits");
        return Err(ItemError::new(Code::E0308, message).hint("quote it to keep it exact"));
    }
    serde_json::from_str(text.trim()).map_err(|error| {
        let place = if row_is_line(&error) {
            String::new()
        } else {
            format!(", column {}", error.column())
        };
        let what = strip_place(&error.to_string());
        ItemError::new(Code::E0307, format!("row {row} of {path}{place} is not JSON: {what}"))
    })
}

fn row_is_line(error: &serde_json::Error) -> bool {
    error.column() == 0
}

/// The message without serde's own line and column, which count inside the record.
fn strip_place(message: &str) -> String {
    message.rsplit_once(" at line ").map_or(message, |(what, _)| what).to_owned()
}

/// An integer outside of strings that fits neither 64 bits signed nor unsigned: a reader of JSON
/// makes a rounded number of it, without a word.
fn oversized_integer(text: &str) -> Option<&str> {
    let bytes = text.as_bytes();
    let mut at = 0;
    while at < bytes.len() {
        match bytes[at] {
            b'"' => at = after_string(bytes, at + 1),
            b'-' | b'0'..=b'9' => {
                let end = number_end(bytes, at);
                let number = &text[at..end];
                let integer = number.bytes().all(|byte| byte.is_ascii_digit() || byte == b'-');
                if integer
                    && number.len() > 18
                    && number.parse::<i64>().is_err()
                    && number.parse::<u64>().is_err()
                {
                    return Some(number);
                }
                at = end;
            }
            _ => at += 1,
        }
    }
    None
}

fn after_string(bytes: &[u8], mut at: usize) -> usize {
    while at < bytes.len() {
        match bytes[at] {
            b'\\' => at += 2,
            b'"' => return at + 1,
            _ => at += 1,
        }
    }
    bytes.len()
}

fn number_end(bytes: &[u8], from: usize) -> usize {
    let part =
        |byte: &u8| byte.is_ascii_digit() || matches!(byte, b'.' | b'-' | b'+' | b'e' | b'E');
    bytes[from..].iter().position(|byte| !part(byte)).map_or(bytes.len(), |len| from + len)
}
