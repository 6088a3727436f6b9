//! What names an item: a key from the item, or one made of its content.

use std::collections::HashMap;

use serde_json::Value;
use sha2::{Digest, Sha256};

use super::ItemError;
use crate::pipeline::problem::Code;
use crate::units::{ItemKey, KeyHash, canonical};

/// The key that a value is: text or an integer, 1 to 200 bytes, no control characters.
///
/// # Errors
/// E0309 for anything else, without a place.
pub fn key_of(value: &Value) -> Result<ItemKey, ItemError> {
    let text = match value {
        Value::String(text) => text.clone(),
        Value::Number(number) if number.is_i64() || number.is_u64() => number.to_string(),
        Value::Null => return Err(bad("null")),
        Value::Bool(_) => return Err(bad("a boolean")),
        Value::Number(_) => return Err(bad("a number with a fraction")),
        Value::Array(_) => return Err(bad("a list")),
        Value::Object(_) => return Err(bad("an object")),
    };
    if text.is_empty() {
        return Err(bad("empty"));
    }
    ItemKey::parse(&text).ok_or_else(|| {
        if text.len() > ItemKey::MAX_BYTES {
            bad(&format!("{} bytes long", text.len()))
        } else {
            bad("text with control characters")
        }
    })
}

fn bad(what: &str) -> ItemError {
    ItemError::new(Code::E0309, format!("the key is {what}"))
        .hint("keys are text or integers of 1 to 200 bytes, without control characters")
}

/// The first 48 bits of SHA-256 over the canonical JSON of an item.
pub fn content_key(value: &Value) -> [u8; 6] {
    let digest = Sha256::digest(canonical::to_vec(value));
    let mut bits = [0; 6];
    bits.copy_from_slice(&digest[..6]);
    bits
}

/// Makes keys of contents: 12 hex digits, then `-2`, `-3` for exact doubles, in input order.
#[derive(Debug, Default)]
pub struct ContentKeys {
    seen: HashMap<[u8; 6], u32>,
}

impl ContentKeys {
    /// The key of the next item, by what [`content_key`] says of it.
    ///
    /// # Panics
    /// Never: hex digits are a key.
    pub fn name(&mut self, content: [u8; 6]) -> ItemKey {
        let count = self.seen.entry(content).or_insert(0);
        *count = count.saturating_add(1);
        let mut text = data_encoding::HEXLOWER.encode(&content);
        if *count > 1 {
            text.push_str(&format!("-{count}"));
        }
        ItemKey::parse(&text).expect("hex digits are a key")
    }
}

/// Two records of the same key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Duplicate {
    /// The row of the first.
    pub first: u64,
    /// The row of the second.
    pub second: u64,
}

/// The keys of all records, as 128 bits and a row each.
#[derive(Debug, Default)]
pub struct KeyList {
    keys: Vec<(KeyHash, u32)>,
}

impl KeyList {
    /// Takes note of the key of a row.
    pub fn push(&mut self, key: KeyHash, row: u64) {
        self.keys.push((key, u32::try_from(row).unwrap_or(u32::MAX)));
    }

    /// How many keys were noted.
    pub fn len(&self) -> usize {
        self.keys.len()
    }

    /// Whether none was.
    pub fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }

    /// Records of equal keys: the first row of each key with each later one, by later row, at
    /// most `limit` of them.
    pub fn duplicates(mut self, limit: usize) -> Vec<Duplicate> {
        self.keys.sort_unstable();
        let mut found = Vec::new();
        for group in self.keys.chunk_by(|a, b| a.0 == b.0).filter(|group| group.len() > 1) {
            let first = u64::from(group[0].1);
            let later = group[1..].iter();
            found.extend(later.map(|(_, row)| Duplicate { first, second: u64::from(*row) }));
        }
        found.sort_unstable_by_key(|duplicate| (duplicate.second, duplicate.first));
        found.truncate(limit);
        found
    }
}
