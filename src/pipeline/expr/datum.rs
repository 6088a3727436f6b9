//! Values as expressions see them, made from JSON and back by hand.
//!
//! By hand, because serde would turn numbers into maps as soon as any dependency switched on
//! `arbitrary_precision`, and amounts of money into floats.

#![expect(
    clippy::wildcard_enum_match_arm,
    reason = "enums of the engine, which may grow, and of which few variants concern us"
)]

use std::cmp::Ordering;
use std::fmt;
use std::sync::Arc;

use minijinja::value::{DynObject, Enumerator, Object, ObjectRepr, Value, ValueKind};
use serde_json::{Map, Number};

use super::ExprError;
use crate::pipeline::problem::Code;
use crate::units::Wei;

/// How deep lists and maps may lie in one another when a value leaves an expression.
const MAX_DEPTH: usize = 200;

/// Maps with more entries than this find a key by binary search.
const LINEAR: usize = 12;

/// A value as expressions see it. Cloning shares it.
#[derive(Clone, Debug)]
pub struct Datum(Value);

impl Datum {
    /// The value of some JSON.
    pub fn from_json(json: &serde_json::Value) -> Self {
        Self(from_json(json))
    }

    /// An amount of money, which compares with money and sums with `sum`.
    pub fn money(amount: Wei) -> Self {
        Self(money(amount))
    }

    /// A text.
    pub fn text(text: &str) -> Self {
        Self(Value::from(text))
    }

    /// A whole number.
    pub fn integer(number: u64) -> Self {
        Self(Value::from(number))
    }

    /// A list.
    pub fn list(items: impl IntoIterator<Item = Self>) -> Self {
        Self(Value::from(items.into_iter().map(|item| item.0).collect::<Vec<_>>()))
    }

    /// A map, in the order of its entries.
    pub fn map<'a>(entries: impl IntoIterator<Item = (&'a str, Self)>) -> Self {
        let entries = entries.into_iter().map(|(key, value)| (Value::from(key), value.0));
        Self(Value::from_object(Record::new(entries.collect())))
    }

    /// The value in JSON, if it is not larger than `limit` bytes; money as its written form.
    ///
    /// # Errors
    /// E0704 past the limit, E0702 for an undefined value in it, E0705 for one that JSON lacks.
    pub fn to_json(&self, limit: usize) -> Result<serde_json::Value, ExprError> {
        to_json(&self.0, limit)
    }

    /// The entries of a list; `None` if it is none.
    pub fn entries(&self) -> Option<Vec<Self>> {
        match self.0.kind() {
            ValueKind::Seq | ValueKind::Iterable => {
                let items = self.0.try_iter().ok()?.checked();
                items.map(|item| item.map(Self)).collect::<Result<_, _>>().ok()
            }
            _ => None,
        }
    }

    /// The value under a key of a map; `None` if it has none.
    pub fn get(&self, key: &str) -> Option<Self> {
        self.0.get_attr(key).ok().filter(|value| !value.is_undefined()).map(Self)
    }

    /// What kind of value it is, with its article: `a list`.
    pub fn kind(&self) -> &'static str {
        kind_name(&self.0)
    }

    pub(super) fn from_engine(value: Value) -> Self {
        Self(value)
    }

    pub(super) fn into_engine(self) -> Value {
        self.0
    }
}

/// A map with text keys that keeps its order.
#[derive(Debug)]
struct Record {
    entries: Vec<(Value, Value)>,
    /// Places of the entries in the order of their keys; empty for small maps.
    by_key: Vec<u32>,
}

impl Record {
    fn new(entries: Vec<(Value, Value)>) -> Self {
        let mut by_key = Vec::new();
        if entries.len() > LINEAR {
            by_key = (0..u32::try_from(entries.len()).unwrap_or(0)).collect();
            by_key.sort_by_key(|at| entries[*at as usize].0.as_str().unwrap_or_default());
        }
        Self { entries, by_key }
    }

    fn get(&self, key: &str) -> Option<&Value> {
        if self.by_key.is_empty() {
            let found = self.entries.iter().find(|(known, _)| known.as_str() == Some(key));
            return found.map(|(_, value)| value);
        }
        let place = self.by_key.binary_search_by_key(&key, |at| {
            self.entries[*at as usize].0.as_str().unwrap_or_default()
        });
        place.ok().map(|place| &self.entries[self.by_key[place] as usize].1)
    }
}

impl Object for Record {
    fn repr(self: &Arc<Self>) -> ObjectRepr {
        ObjectRepr::Map
    }

    fn get_value(self: &Arc<Self>, key: &Value) -> Option<Value> {
        self.get(key.as_str()?).cloned()
    }

    fn get_value_by_str(self: &Arc<Self>, key: &str) -> Option<Value> {
        self.get(key).cloned()
    }

    fn enumerate(self: &Arc<Self>) -> Enumerator {
        Enumerator::Values(self.entries.iter().map(|(key, _)| key.clone()).collect())
    }

    fn enumerator_len(self: &Arc<Self>) -> Option<usize> {
        Some(self.entries.len())
    }
}

/// An amount in expressions: prints, compares with money, and has no arithmetic.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Money(pub(super) Wei);

impl Object for Money {
    fn repr(self: &Arc<Self>) -> ObjectRepr {
        ObjectRepr::Plain
    }

    fn is_true(self: &Arc<Self>) -> bool {
        !self.0.is_zero()
    }

    fn custom_cmp(self: &Arc<Self>, other: &DynObject) -> Option<Ordering> {
        other.downcast_ref::<Self>().map(|other| self.0.cmp(&other.0))
    }

    fn render(self: &Arc<Self>, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

pub(super) fn money(amount: Wei) -> Value {
    Value::from_object(Money(amount))
}

pub(super) fn from_json(json: &serde_json::Value) -> Value {
    match json {
        serde_json::Value::Null => Value::from(()),
        serde_json::Value::Bool(flag) => Value::from(*flag),
        serde_json::Value::Number(number) => from_number(number),
        serde_json::Value::String(text) => Value::from(text.as_str()),
        serde_json::Value::Array(items) => {
            Value::from(items.iter().map(from_json).collect::<Vec<_>>())
        }
        serde_json::Value::Object(map) => {
            let entries =
                map.iter().map(|(key, value)| (Value::from(key.as_str()), from_json(value)));
            Value::from_object(Record::new(entries.collect()))
        }
    }
}

fn from_number(number: &Number) -> Value {
    if let Some(integer) = number.as_i64() {
        Value::from(integer)
    } else if let Some(integer) = number.as_u64() {
        Value::from(integer)
    } else {
        Value::from(number.as_f64().unwrap_or(f64::NAN))
    }
}

/// The JSON of a value, if it fits into `limit` bytes.
pub(super) fn to_json(value: &Value, limit: usize) -> Result<serde_json::Value, ExprError> {
    let mut writer = ToJson { limit, left: limit };
    writer.convert(value, 0)
}

pub(super) fn too_large(len: usize, limit: usize) -> ExprError {
    let kib = limit / 1024;
    ExprError::new(
        Code::E0704,
        format!("the value has {len} bytes or more, the limit is {kib} KiB"),
    )
    .hint("select fewer entries, or fewer of their fields")
}

struct ToJson {
    limit: usize,
    left: usize,
}

impl ToJson {
    fn pay(&mut self, bytes: usize) -> Result<(), ExprError> {
        match self.left.checked_sub(bytes) {
            Some(left) => {
                self.left = left;
                Ok(())
            }
            None => Err(too_large(self.limit.saturating_add(1), self.limit)),
        }
    }

    fn convert(&mut self, value: &Value, depth: usize) -> Result<serde_json::Value, ExprError> {
        self.pay(1)?;
        if depth > MAX_DEPTH {
            let message = format!("lists and maps lie more than {MAX_DEPTH} deep in one another");
            return Err(ExprError::new(Code::E0704, message));
        }
        if let Some(text) = value.as_str() {
            self.pay(text.len())?;
            return Ok(serde_json::Value::String(text.to_owned()));
        }
        if let Some(Money(amount)) = value.downcast_object_ref::<Money>() {
            return Ok(serde_json::Value::String(amount.to_string()));
        }
        match value.kind() {
            ValueKind::None => Ok(serde_json::Value::Null),
            ValueKind::Bool => Ok(serde_json::Value::Bool(value.is_true())),
            ValueKind::Number => to_number(value).map(serde_json::Value::Number),
            ValueKind::Seq | ValueKind::Iterable => self.list(value, depth),
            ValueKind::Map => self.map(value, depth),
            ValueKind::Undefined => {
                Err(ExprError::new(Code::E0702, "an undefined value in the result")
                    .hint("use `| default(...)` where a value may be missing"))
            }
            _ => {
                let kind = kind_name(value);
                Err(ExprError::new(Code::E0705, format!("{kind} cannot become data")))
            }
        }
    }

    fn list(&mut self, value: &Value, depth: usize) -> Result<serde_json::Value, ExprError> {
        let items = value.try_iter().map_err(|error| broken(&error))?.checked();
        let mut list = Vec::new();
        for item in items {
            list.push(self.convert(&item.map_err(|error| broken(&error))?, depth + 1)?);
        }
        Ok(serde_json::Value::Array(list))
    }

    fn map(&mut self, value: &Value, depth: usize) -> Result<serde_json::Value, ExprError> {
        let keys = value.try_iter().map_err(|error| broken(&error))?.checked();
        let mut map = Map::new();
        for key in keys {
            let key = key.map_err(|error| broken(&error))?;
            let Some(name) = key.as_str() else {
                let kind = kind_name(&key);
                return Err(ExprError::new(Code::E0705, format!("{kind} as a key of a map"))
                    .hint("keys are text: `{'1': ...}`"));
            };
            self.pay(name.len())?;
            let entry = value.get_item(&key).map_err(|error| broken(&error))?;
            map.insert(name.to_owned(), self.convert(&entry, depth + 1)?);
        }
        Ok(serde_json::Value::Object(map))
    }
}

fn broken(error: &minijinja::Error) -> ExprError {
    super::blame::plain(error)
}

fn to_number(value: &Value) -> Result<Number, ExprError> {
    if value.is_integer() {
        if let Some(integer) = value.as_i64() {
            return Ok(Number::from(integer));
        }
        return u64::try_from(value.clone()).map(Number::from).map_err(|_| {
            ExprError::new(Code::E0705, format!("the integer {value} has more than 64 bits"))
                .hint("make it text with `| string`")
        });
    }
    let float = f64::try_from(value.clone()).unwrap_or(f64::NAN);
    Number::from_f64(float)
        .ok_or_else(|| ExprError::new(Code::E0705, "the number is infinite or not a number"))
}

/// A printable value as text; `None` for lists, maps, null and what is none of the data types.
pub(super) fn print(value: &Value) -> Option<String> {
    if let Some(text) = value.as_str() {
        return Some(text.to_owned());
    }
    if let Some(Money(amount)) = value.downcast_object_ref::<Money>() {
        return Some(amount.to_string());
    }
    match value.kind() {
        ValueKind::Bool => Some(if value.is_true() { "true" } else { "false" }.to_owned()),
        ValueKind::Number if value.is_integer() => Some(value.to_string()),
        ValueKind::Number => to_number(value).ok().map(|number| number.to_string()),
        _ => None,
    }
}

/// What kind of value it is, with its article.
pub(super) fn kind_name(value: &Value) -> &'static str {
    if value.downcast_object_ref::<Money>().is_some() {
        return "an amount of money";
    }
    match value.kind() {
        ValueKind::Undefined => "undefined",
        ValueKind::None => "null",
        ValueKind::Bool => "a boolean",
        ValueKind::Number => "a number",
        ValueKind::String => "text",
        ValueKind::Bytes => "bytes",
        ValueKind::Seq | ValueKind::Iterable => "a list",
        ValueKind::Map => "an object",
        _ => "a function",
    }
}
