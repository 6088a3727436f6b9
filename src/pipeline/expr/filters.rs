//! Filters and functions of the language that are not the engine's.

use std::sync::Arc;

use minijinja::value::{Kwargs, Object, ObjectRepr, Rest, Value};
use minijinja::{Error, ErrorKind, State, filters as builtin};

use super::ExprError;
use super::blame::refuse;
use super::datum::{self, Money, kind_name};
use super::engine::{call_on, text_of};
use crate::pipeline::problem::Code;
use crate::units::Wei;

/// `list | join(', ')`, `list | join(', ', attribute='name')`.
pub(super) fn join(
    state: &mut State<'_, '_>,
    value: Value,
    between: Option<Value>,
    attribute: Option<Value>,
    named: Kwargs,
) -> Result<String, Error> {
    let between = match between {
        Some(between) => text_of(&between)?,
        None => named.get::<Option<String>>("d")?.unwrap_or_default(),
    };
    let attribute = match attribute {
        Some(attribute) => Some(attribute),
        None => named.get::<Option<Value>>("attribute")?,
    };
    named.assert_all_used()?;
    let items = mapped(state, value, attribute)?;
    let mut text = String::new();
    for (at, item) in items.try_iter()?.checked().enumerate() {
        state.consume_fuel(1)?;
        if at > 0 {
            text.push_str(&between);
        }
        text.push_str(&text_of(&item?)?);
        if text.len() > super::MAX_SCALAR_BYTES {
            return Err(refuse(datum::too_large(text.len(), super::MAX_SCALAR_BYTES)));
        }
    }
    Ok(text)
}

/// The list, or the list of one attribute of its entries.
fn mapped(
    state: &mut State<'_, '_>,
    value: Value,
    attribute: Option<Value>,
) -> Result<Value, Error> {
    let Some(attribute) = attribute else { return Ok(value) };
    let named = Kwargs::from_iter([("attribute", attribute)]);
    state.apply_filter("map", &[value, Value::from(named)])
}

/// `value | tojson`, `value | tojson(indent=2)`: compact, keys in their order.
pub(super) fn tojson(
    state: &State<'_, '_>,
    value: &Value,
    indent: Option<u8>,
    named: Kwargs,
) -> Result<String, Error> {
    let indent = match indent {
        Some(indent) => Some(indent),
        None => named.get::<Option<u8>>("indent")?,
    };
    named.assert_all_used()?;
    if value.is_undefined() {
        return Err(Error::from(ErrorKind::UndefinedError));
    }
    let json = datum::to_json(value, super::MAX_SCALAR_BYTES).map_err(refuse)?;
    let text = match indent {
        None | Some(0) => json.to_string(),
        Some(width) => indented(&json, width),
    };
    state.consume_fuel(u64::try_from(text.len()).unwrap_or(u64::MAX) / 64)?;
    Ok(text)
}

fn indented(json: &serde_json::Value, width: u8) -> String {
    use serde::Serialize;
    let step = " ".repeat(usize::from(width.min(8)));
    let mut bytes = Vec::new();
    let formatter = serde_json::ser::PrettyFormatter::with_indent(step.as_bytes());
    let mut writer = serde_json::Serializer::with_formatter(&mut bytes, formatter);
    json.serialize(&mut writer).expect("JSON values serialize");
    String::from_utf8(bytes).expect("JSON is UTF-8")
}

/// `text | fromjson`.
pub(super) fn fromjson(state: &State<'_, '_>, value: &Value) -> Result<Value, Error> {
    if value.is_undefined() {
        return Err(Error::from(ErrorKind::UndefinedError));
    }
    let Some(text) = value.as_str() else {
        let kind = kind_name(value);
        return Err(refuse(ExprError::new(
            Code::E0705,
            format!("`fromjson` takes text, not {kind}"),
        )));
    };
    state.consume_fuel(u64::try_from(text.len()).unwrap_or(u64::MAX) / 16)?;
    match serde_json::from_str(text) {
        Ok(json) => Ok(datum::from_json(&json)),
        Err(error) => {
            Err(refuse(ExprError::new(Code::E0705, format!("the text is not JSON: {error}"))))
        }
    }
}

/// `list | sum`, also of money.
pub(super) fn sum(
    state: &mut State<'_, '_>,
    value: Value,
    rest: Rest<Value>,
    named: Kwargs,
) -> Result<Value, Error> {
    let attribute = match rest.0.first() {
        Some(attribute) => Some(attribute.clone()),
        None => named.peek::<Option<Value>>("attribute")?,
    };
    let attribute = attribute.filter(|name| !name.is_undefined() && !name.is_none());
    let items = mapped(state, value.clone(), attribute)?;
    let mut total = Wei::ZERO;
    let mut amounts = 0_usize;
    let mut others = 0_usize;
    for item in items.try_iter()?.checked() {
        state.consume_fuel(1)?;
        match item?.downcast_object_ref::<Money>() {
            Some(Money(amount)) => {
                amounts += 1;
                total = total.saturating_add(*amount);
            }
            None => others += 1,
        }
    }
    match (amounts, others) {
        (0, _) => {
            let mut arguments = vec![value];
            arguments.extend(rest.0);
            call_on(state, &Value::from_function(builtin::sum), arguments, &named)
        }
        (_, 0) => Ok(datum::money(total)),
        (_, _) => Err(refuse(ExprError::new(Code::E0705, "money sums with money only"))),
    }
}

/// The function `env`, over the variables that it may read.
#[derive(Debug)]
struct EnvironmentReader(Vec<(String, String)>);

impl Object for EnvironmentReader {
    fn repr(self: &Arc<Self>) -> ObjectRepr {
        ObjectRepr::Plain
    }

    fn call(self: &Arc<Self>, _: &mut State<'_, '_>, args: &[Value]) -> Result<Value, Error> {
        let [name] = args else {
            return Err(Error::new(ErrorKind::TooManyArguments, "`env` takes one name"));
        };
        let name = name.as_str().unwrap_or_default();
        match self.0.iter().find(|(known, _)| known == name) {
            Some((_, value)) => Ok(Value::from(value.as_str())),
            None => Ok(Value::UNDEFINED),
        }
    }
}

pub(super) fn environment_reader(variables: Vec<(String, String)>) -> Value {
    Value::from_object(EnvironmentReader(variables))
}
