//! Results: a row per item, and the rows of those that failed (cli.md, section 7).

use std::fmt::Write as _;

use alloy::primitives::{Address, B256};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use data_encoding::HEXLOWER;
use serde::Serialize;
use serde_json::Value;

use super::figures::reason;
use crate::engine::Outcome;
use crate::units::cid::sha256;
use crate::units::{ItemKey, RunId, StepName, Wei};

/// The schema of the `json` format.
pub const SCHEMA: &str = "ogflow.results/v1";
/// The longest file name, in bytes.
const LONGEST_NAME: usize = 120;

/// The result of one item.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Row {
    /// The item's key.
    pub key: ItemKey,
    /// The item.
    pub item: Value,
    /// The accepted output.
    pub output: Value,
    /// A word of [`state`].
    pub state: &'static str,
    /// Who responded.
    pub provider: Option<Address>,
    /// The task's contract.
    pub task: Option<Address>,
    /// The response's contract.
    pub response: Option<Address>,
    /// The transaction that confirmed it; `None` if the contract did.
    pub tx: Option<B256>,
    /// What was paid.
    #[serde(rename = "paid_wei")]
    pub paid: Wei,
    /// Gas of all its transactions.
    #[serde(rename = "gas_wei")]
    pub gas: Wei,
    /// From publication to confirmation, in milliseconds.
    pub ms: Option<u64>,
    /// The round that was accepted.
    pub round: u16,
}

/// An item without an accepted output.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ErrorRow {
    /// The item's key.
    pub key: ItemKey,
    /// The item.
    pub item: Value,
    /// A word of [`state`].
    pub state: &'static str,
    /// A word of language.md, section 6.
    pub reason: &'static str,
    /// What more is known.
    pub message: String,
    /// The rounds that it had.
    pub rounds: u16,
    /// What was paid, for responses that failed.
    #[serde(rename = "paid_wei")]
    pub paid: Wei,
    /// What is still in escrow.
    #[serde(rename = "locked_wei")]
    pub locked: Wei,
}

/// The state of an ended task, in the words of cli.md, section 6.
pub fn state(outcome: &Outcome) -> &'static str {
    match outcome {
        Outcome::Confirmed { .. } => "confirmed",
        Outcome::RejectedPaid { .. } => "rejected_paid",
        Outcome::Failed(_) => "failed",
        Outcome::Canceled => "canceled",
        Outcome::Skipped => "skipped",
    }
}

/// Why a task has no output, with what more is known; `None` for an accepted one.
pub fn failure(outcome: &Outcome) -> Option<(&'static str, String)> {
    match outcome {
        Outcome::Confirmed { .. } => None,
        Outcome::RejectedPaid { reason, .. } => Some(("rejected_paid", reason.clone())),
        Outcome::Failed(why) => Some((reason(why).0, super::events::message(why).to_owned())),
        Outcome::Canceled => Some(("canceled", String::new())),
        Outcome::Skipped => Some(("skipped", String::new())),
    }
}

/// One line of `jsonl`, with its line break.
///
/// JSON escapes C0 characters; those that a terminal might act on beyond these are escaped too.
pub fn json_line(row: &impl Serialize) -> String {
    let mut line = json_text(row);
    line.push('\n');
    line
}

/// What comes before the rows of the `json` format.
pub fn json_head(run: &RunId, step: &StepName) -> String {
    format!("{{\"schema\":\"{SCHEMA}\",\"run\":\"{run}\",\"step\":\"{step}\",\"results\":[")
}

/// What comes between two of them.
pub const JSON_BETWEEN: &str = ",";
/// What comes behind them.
pub const JSON_TAIL: &str = "]}\n";

/// A row of the `json` format.
pub fn json_text(row: &impl Serialize) -> String {
    let text = serde_json::to_string(row).unwrap_or_default();
    let odd = |c: char| ('\u{7f}'..='\u{9f}').contains(&c) || matches!(c, '\u{2028}' | '\u{2029}');
    if !text.contains(odd) {
        return text;
    }
    let mut out = String::with_capacity(text.len() + 16);
    for c in text.chars() {
        if odd(c) {
            // Outside strings JSON is ASCII, so this stands within one.
            let written = write!(out, "\\u{:04x}", u32::from(c));
            debug_assert!(written.is_ok(), "a string takes all");
        } else {
            out.push(c);
        }
    }
    out
}

/// A file of the `raw` format.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RawFile {
    /// Its name, without folders.
    pub name: String,
    /// Its content.
    pub bytes: Vec<u8>,
}

/// The output of a row as a file of its own: pictures decoded, all else as JSON.
pub fn raw(row: &Row) -> RawFile {
    let (bytes, extension) = picture(&row.output).unwrap_or_else(|| {
        let mut text = serde_json::to_vec_pretty(&row.output).unwrap_or_default();
        text.push(b'\n');
        (text, "json")
    });
    RawFile { name: file_name(&row.key, extension), bytes }
}

/// A file name for a key: readable letters of it, and a hash that keeps keys apart.
///
/// At most 120 bytes; no separators, no leading dot, no letter beyond `[a-z0-9_-]`.
pub fn file_name(key: &ItemKey, extension: &str) -> String {
    let hash = HEXLOWER.encode(&sha256(key.as_str().as_bytes())[..6]);
    let room = LONGEST_NAME.saturating_sub(hash.len() + extension.len() + 2);
    let mut slug = String::new();
    for c in key.as_str().chars() {
        let plain =
            if c.is_ascii_alphanumeric() || c == '_' { c.to_ascii_lowercase() } else { '-' };
        let doubled = plain == '-' && (slug.is_empty() || slug.ends_with('-'));
        if !doubled && slug.len() < room {
            slug.push(plain);
        }
    }
    let slug = slug.trim_end_matches('-');
    if slug.is_empty() {
        format!("{hash}.{extension}")
    } else {
        format!("{slug}-{hash}.{extension}")
    }
}

/// The picture in an output: the first string, at most two levels deep, that is base64 of one.
fn picture(output: &Value) -> Option<(Vec<u8>, &'static str)> {
    let nested = |value: &Value| match value {
        Value::Object(fields) => fields.values().find_map(decode),
        Value::Array(items) => items.iter().find_map(decode),
        Value::String(_) | Value::Null | Value::Bool(_) | Value::Number(_) => decode(value),
    };
    match output {
        Value::Object(fields) => fields.values().find_map(nested),
        Value::Array(items) => items.iter().find_map(nested),
        Value::String(_) | Value::Null | Value::Bool(_) | Value::Number(_) => decode(output),
    }
}

fn decode(value: &Value) -> Option<(Vec<u8>, &'static str)> {
    const KINDS: [(&[u8], &str); 5] = [
        (b"\x89PNG\r\n\x1a\n", "png"),
        (b"\xff\xd8\xff", "jpg"),
        (b"GIF87a", "gif"),
        (b"GIF89a", "gif"),
        (b"RIFF", "webp"),
    ];
    let text = value.as_str()?;
    let text = match text.strip_prefix("data:image/") {
        Some(rest) => rest.split_once(";base64,")?.1,
        None => text,
    };
    // A look at the beginning spares decoding every long text.
    let start = STANDARD.decode(text.get(..16)?).ok()?;
    let (_, extension) = KINDS.iter().find(|(magic, _)| start.starts_with(magic))?;
    let bytes = STANDARD.decode(text).ok()?;
    Some((bytes, extension))
}

#[cfg(test)]
mod tests;
