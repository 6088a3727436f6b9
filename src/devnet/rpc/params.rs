//! A method's parameters, by place.

use serde::Deserialize;
use serde_json::value::RawValue;

use super::envelope::Fault;

/// The `params` of a request: a list, or nothing.
#[derive(Debug)]
pub(super) struct Params<'a> {
    list: Vec<&'a RawValue>,
}

impl<'a> Params<'a> {
    pub(super) fn new(text: Option<&'a RawValue>) -> Result<Self, Fault> {
        let list = match text {
            None => Vec::new(),
            Some(text) => serde_json::from_str(text.get())
                .map_err(|_| Fault::new(-32602, "invalid params: not a list"))?,
        };
        Ok(Self { list })
    }

    /// The parameter at `at`.
    pub(super) fn get<T: Deserialize<'a>>(&self, at: usize) -> Result<T, Fault> {
        let text = self.list.get(at).ok_or_else(|| {
            Fault::new(-32602, format!("missing value for required argument {at}"))
        })?;
        serde_json::from_str(text.get())
            .map_err(|error| Fault::new(-32602, format!("invalid argument {at}: {error}")))
    }

    /// The parameter at `at`, if there is one that is not `null`.
    pub(super) fn optional<T: Deserialize<'a>>(&self, at: usize) -> Result<Option<T>, Fault> {
        match self.list.get(at) {
            None => Ok(None),
            Some(text) if text.get() == "null" => Ok(None),
            Some(_) => self.get(at).map(Some),
        }
    }
}
