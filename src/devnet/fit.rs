//! Makes up a JSON value that fits a schema: what the devnet's `chat` and `classify` say.
//!
//! The value follows from schema, data and seed alone. Words are taken from the data, so that
//! a run on the devnet reads like one; numbers lie in the upper third of their range, so that
//! thresholds such as `score >= 3` let most of them through. Draft keywords that say nothing
//! about a single value (`$id`, `title`, ...) are ignored. What cannot be met by making values
//! up one by one (a `pattern` that no candidate matches, `not`, dependencies) is not met: the
//! output then fails its checks, which is also something that providers do.

use std::cell::Cell;

use serde_json::{Map, Number, Value, json};

use super::faults::Dice;
use super::words;

/// How deep a made-up value may be; below that only what is required is filled in.
const DEPTH: usize = 6;

/// How deep a schema is followed at all, which ends those that refer to themselves.
const DEEPEST: usize = 32;

/// How many values are made up in all, which ends schemas that refer to themselves twice.
const MOST_VALUES: u32 = 10_000;

/// How wide the range of an unbounded integer is taken to be.
const INTEGER_WIDTH: i64 = 100;

/// A value that fits `schema`, about `data`.
pub(super) fn fit(schema: &Value, data: &Map<String, Value>, dice: Dice) -> Value {
    let text = words::subject(data);
    let labels = labels(data);
    let left = Cell::new(MOST_VALUES);
    let fitter = Fitter { root: schema, text: &text, labels: &labels, dice, left };
    fitter.value(schema, &Place::default())
}

/// The list `labels` or `classes` of the data, if it has one with something in it.
fn labels(data: &Map<String, Value>) -> Vec<Value> {
    ["labels", "classes"]
        .into_iter()
        .filter_map(|name| data.get(name).and_then(Value::as_array))
        .find(|list| !list.is_empty())
        .cloned()
        .unwrap_or_default()
}

/// Where in the value we are.
#[derive(Clone, Default)]
struct Place {
    /// The name of the property, or of the one around it.
    name: String,
    /// All names and indices from the top, which key the throws.
    path: String,
    depth: usize,
}

impl Place {
    fn inside(&self, step: &str, name: &str) -> Self {
        let path = format!("{}/{step}", self.path);
        Self { name: name.into(), path, depth: self.depth + 1 }
    }

    /// The same place under another schema (`$ref`, `allOf`), one level deeper against loops.
    fn again(&self) -> Self {
        Self { depth: self.depth + 1, ..self.clone() }
    }
}

struct Fitter<'a> {
    root: &'a Value,
    text: &'a str,
    labels: &'a [Value],
    dice: Dice,
    /// How many values may still be made up.
    left: Cell<u32>,
}

impl Fitter<'_> {
    fn value(&self, schema: &Value, place: &Place) -> Value {
        let left = self.left.get();
        self.left.set(left.saturating_sub(1));
        let Some(schema) = schema.as_object().filter(|_| place.depth <= DEEPEST && left > 0) else {
            return Value::Null;
        };
        if let Some(value) = self.chosen(schema, place) {
            return value;
        }
        if let Some(target) = schema.get("$ref").and_then(Value::as_str) {
            let pointer = target.strip_prefix('#').unwrap_or_default();
            let target = self.root.pointer(pointer).unwrap_or(&Value::Null);
            return self.value(target, &place.again());
        }
        if let Some(merged) = merged(schema) {
            return self.value(&merged, &place.again());
        }
        self.typed(schema, kind(schema), place)
    }

    /// What `const`, `enum` and the data's labels leave to choose from.
    fn chosen(&self, schema: &Map<String, Value>, place: &Place) -> Option<Value> {
        if let Some(value) = schema.get("const") {
            return Some(value.clone());
        }
        let allowed = schema.get("enum").and_then(Value::as_array);
        if place.name == "label" {
            let fits = |label: &&Value| match allowed {
                Some(allowed) => allowed.contains(label),
                None => matches!(kind(schema), "string" | "any") && label.is_string(),
            };
            let labels: Vec<&Value> = self.labels.iter().filter(fits).collect();
            if let Some(label) = self.pick(&labels, place) {
                return Some((*label).clone());
            }
        }
        allowed.and_then(|allowed| self.pick(allowed, place)).cloned()
    }

    fn pick<'v, T>(&self, list: &'v [T], place: &Place) -> Option<&'v T> {
        let count = u64::try_from(list.len()).unwrap_or(u64::MAX);
        let index = self.dice.below(count, place.path.as_bytes());
        usize::try_from(index).ok().and_then(|index| list.get(index))
    }

    fn typed(&self, schema: &Map<String, Value>, kind: &str, place: &Place) -> Value {
        match kind {
            "object" => self.object(schema, place),
            "array" => self.array(schema, place),
            "integer" => self.integer(schema, place),
            "number" => self.number(schema, place),
            "boolean" => Value::Bool(true),
            "null" => Value::Null,
            _ => Value::String(self.string(schema, place)),
        }
    }

    fn object(&self, schema: &Map<String, Value>, place: &Place) -> Value {
        let required: Vec<&str> = schema
            .get("required")
            .and_then(Value::as_array)
            .map(|names| names.iter().filter_map(Value::as_str).collect())
            .unwrap_or_default();
        let mut made = Map::new();
        let properties = schema.get("properties").and_then(Value::as_object);
        for (name, property) in properties.into_iter().flatten() {
            if place.depth < DEPTH || required.contains(&name.as_str()) {
                made.insert(name.clone(), self.value(property, &place.inside(name, name)));
            }
        }
        for name in required {
            if !made.contains_key(name) {
                let other = schema.get("additionalProperties").filter(|s| s.is_object());
                let other = other.cloned().unwrap_or_else(|| json!({"type": "string"}));
                made.insert(name.into(), self.value(&other, &place.inside(name, name)));
            }
        }
        Value::Object(made)
    }

    fn array(&self, schema: &Map<String, Value>, place: &Place) -> Value {
        let least = schema.get("minItems").and_then(Value::as_u64).unwrap_or(1).min(1000);
        let most = schema.get("maxItems").and_then(Value::as_u64).unwrap_or(u64::MAX);
        let first = schema.get("prefixItems").and_then(Value::as_array).cloned();
        let first = first.unwrap_or_default();
        let prefix = u64::try_from(first.len()).unwrap_or(0);
        let rest = schema.get("items").cloned().unwrap_or_else(|| json!({"type": "string"}));
        let closed = rest == Value::Bool(false);
        let wanted = least.max(prefix).max(u64::from(place.depth < DEPTH && !closed)).min(most);
        let mut made = Vec::new();
        for index in 0..wanted {
            let at = usize::try_from(index).unwrap_or(usize::MAX);
            let item = first.get(at).unwrap_or(&rest);
            made.push(self.value(item, &place.inside(&index.to_string(), &place.name)));
        }
        Value::Array(made)
    }

    /// A whole number in the upper third of its range.
    fn integer(&self, schema: &Map<String, Value>, place: &Place) -> Value {
        let low = bound(schema, "minimum", "exclusiveMinimum", 1);
        let high = bound(schema, "maximum", "exclusiveMaximum", -1);
        let (low, high) = match (low, high) {
            (Some(low), Some(high)) => (low, high.max(low)),
            (Some(low), None) => (low, low.saturating_add(INTEGER_WIDTH)),
            (None, Some(high)) if high < 0 => (high.saturating_sub(INTEGER_WIDTH), high),
            (None, Some(high)) => (0, high),
            (None, None) => (0, INTEGER_WIDTH),
        };
        let width = high.abs_diff(low);
        let third = width / 3;
        let up = (width - third) + self.dice.below(third + 1, place.path.as_bytes());
        let value = low.saturating_add_unsigned(up);
        let step = schema.get("multipleOf").and_then(Value::as_i64).filter(|step| *step > 1);
        json!(step.map_or(value, |step| value - value.rem_euclid(step)))
    }

    /// A number in the upper third of its range, to four digits where that stays inside.
    fn number(&self, schema: &Map<String, Value>, place: &Place) -> Value {
        let get = |name: &str| schema.get(name).and_then(Value::as_f64);
        let low = get("minimum").or(get("exclusiveMinimum"));
        let high = get("maximum").or(get("exclusiveMaximum"));
        let (low, high) = match (low, high) {
            (Some(low), Some(high)) => (low, high),
            (Some(low), None) => (low, low + 1.0),
            (None, Some(high)) if high <= 0.0 => (high - 1.0, high),
            (None, Some(high)) => (0.0, high),
            (None, None) => (0.0, 1.0),
        };
        // 0.70 to 0.97 of the way: neither end, since it may be excluded.
        let percent = u32::try_from(self.dice.below(28, place.path.as_bytes())).unwrap_or(0) + 70;
        let value = low + (high - low) * f64::from(percent) / 100.0;
        let rounded = (value * 10_000.0).round() / 10_000.0;
        let value = if rounded > low && rounded < high { rounded } else { value };
        let value = match get("multipleOf").filter(|step| *step > 0.0) {
            Some(step) => (value / step).floor() * step,
            None => value,
        };
        Number::from_f64(value).map_or(Value::Null, Value::Number)
    }

    fn string(&self, schema: &Map<String, Value>, place: &Place) -> String {
        let bound = |name: &str| {
            let bound = schema.get(name).and_then(Value::as_u64);
            bound.and_then(|n| usize::try_from(n).ok())
        };
        let throw = self.dice.roll(place.path.as_bytes());
        if let Some(text) = schema.get("format").and_then(Value::as_str).and_then(formatted) {
            return text.into();
        }
        if let Some(text) = schema.get("pattern").and_then(Value::as_str).and_then(matching) {
            return text.into();
        }
        let most = bound("maxLength").unwrap_or(usize::MAX);
        let text = if words::is_short(&place.name) || most < words::SHORT {
            words::word(self.text, throw)
        } else {
            words::sentence(self.text)
        };
        words::sized(&text, bound("minLength").unwrap_or(0), most)
    }
}

/// The first type that the schema allows, guessed from its other keywords where it names none.
fn kind(schema: &Map<String, Value>) -> &str {
    let named = match schema.get("type") {
        Some(Value::Array(kinds)) => {
            let mut kinds = kinds.iter().filter_map(Value::as_str);
            kinds.find(|kind| *kind != "null").or(Some("null"))
        }
        Some(Value::String(kind)) => Some(kind.as_str()),
        Some(_) | None => None,
    };
    let has = |names: &[&str]| names.iter().any(|name| schema.contains_key(*name));
    named.unwrap_or_else(|| {
        if has(&["properties", "required", "additionalProperties"]) {
            "object"
        } else if has(&["items", "prefixItems", "minItems"]) {
            "array"
        } else if has(&["minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum"]) {
            "number"
        } else {
            "any"
        }
    })
}

/// A bound as a whole number, moved by `off` where it is an excluded one.
fn bound(schema: &Map<String, Value>, included: &str, excluded: &str, off: i64) -> Option<i64> {
    let whole = |value: &Value| {
        let float = || value.as_f64().map(|f| if off > 0 { f.ceil() } else { f.floor() });
        value.as_i64().or_else(|| format!("{:.0}", float()?).parse().ok())
    };
    let included = schema.get(included).and_then(whole);
    let moved = |value: &Value| {
        let is_whole = value.as_i64().is_some();
        whole(value).map(|n| if is_whole { n.saturating_add(off) } else { n })
    };
    let excluded = schema.get(excluded).and_then(moved);
    match (included, excluded) {
        (Some(a), Some(b)) => Some(if off > 0 { a.max(b) } else { a.min(b) }),
        (a, b) => a.or(b),
    }
}

/// The schema with its `allOf` folded in, or with the first of its `anyOf` or `oneOf`.
fn merged(schema: &Map<String, Value>) -> Option<Value> {
    let mut whole = schema.clone();
    let mut parts = Vec::new();
    if let Some(Value::Array(all)) = whole.remove("allOf") {
        parts.extend(all);
    }
    for either in ["anyOf", "oneOf"] {
        if let Some(Value::Array(choices)) = whole.remove(either) {
            parts.extend(choices.into_iter().next());
        }
    }
    if parts.is_empty() {
        return None;
    }
    for part in parts {
        let Value::Object(part) = part else { continue };
        for (name, value) in part {
            fold(&mut whole, name, value);
        }
    }
    Some(Value::Object(whole))
}

/// Adds one keyword to a schema: lists of names and maps of properties grow, others stay.
fn fold(whole: &mut Map<String, Value>, name: String, value: Value) {
    match (whole.get_mut(&name), value) {
        (Some(Value::Object(known)), Value::Object(more)) => known.extend(more),
        (Some(Value::Array(known)), Value::Array(more)) if name == "required" => {
            known.extend(more);
        }
        (Some(_), _) => {}
        (None, value) => {
            whole.insert(name, value);
        }
    }
}

/// An example of a format that JSON Schema names.
fn formatted(format: &str) -> Option<&'static str> {
    Some(match format {
        "date" => "2026-01-15",
        "time" => "12:30:00Z",
        "date-time" => "2026-01-15T12:30:00Z",
        "duration" => "PT30M",
        "email" | "idn-email" => "someone@example.org",
        "hostname" | "idn-hostname" => "example.org",
        "ipv4" => "192.0.2.1",
        "ipv6" => "2001:db8::1",
        "uri" | "iri" | "uri-reference" | "iri-reference" => "https://example.org/",
        "uuid" => "123e4567-e89b-42d3-a456-426614174000",
        _ => return None,
    })
}

/// The first of a few usual texts that the pattern matches.
fn matching(pattern: &str) -> Option<&'static str> {
    const USUAL: [&str; 16] = [
        "en",
        "EN",
        "word",
        "Word",
        "WORD",
        "two words",
        "Two words.",
        "a-b",
        "a_b",
        "1",
        "12",
        "12.5",
        "2026-01-15",
        "ABC-123",
        "abc123",
        "+1 555 0100",
    ];
    let validator = jsonschema::validator_for(&json!({"pattern": pattern})).ok()?;
    USUAL.into_iter().find(|text| validator.is_valid(&json!(text)))
}

#[cfg(test)]
#[path = "fit_tests.rs"]
mod tests;
