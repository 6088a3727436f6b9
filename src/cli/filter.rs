//! `--where EXPR`: of rows only those for which an expression holds.
//!
//! The expression sees the fields of a row by their names. Amounts are money, so that they
//! compare with `money('0.01 OGPU')`; a field that a row lacks is null.

use std::cell::RefCell;

use serde_json::Value;

use super::failure::Failure;
use super::suggest;
use super::ui::Ui;
use crate::pipeline::{Datum, Expression, Scope};
use crate::units::Wei;

/// Which rows are meant.
#[derive(Debug)]
pub struct Filter {
    expression: Expression,
    names: &'static [&'static str],
    seen: RefCell<Seen>,
}

/// What came of the rows that were looked at.
#[derive(Clone, Debug, Default)]
struct Seen {
    judged: usize,
    failed: usize,
    why: Option<String>,
}

impl Filter {
    /// The filter of a flag, if there is one; `names` are the fields of a row.
    ///
    /// # Errors
    /// Exit 2 when it is no expression, or reads a field that no row has.
    pub fn parse(
        text: Option<&str>,
        names: &'static [&'static str],
    ) -> Result<Option<Self>, Failure> {
        let Some(text) = text else { return Ok(None) };
        let expression = Expression::compile(text).map_err(|error| {
            Failure::usage(format!("`--where {text}` is no expression: {error}"))
                .maybe_help(error.hint.clone())
        })?;
        let read = expression.references().iter().filter_map(|found| found.path.first());
        for name in read {
            if names.contains(&name.as_str()) {
                continue;
            }
            let failure = Failure::usage(format!("no row has a field `{name}`"));
            return Err(failure.help(match suggest::nearest(name, names.iter().copied()) {
                Some(near) => format!("did you mean `{near}`?"),
                None => format!("the fields are {}", names.join(", ")),
            }));
        }
        Ok(Some(Self { expression, names, seen: RefCell::default() }))
    }

    /// Whether a row is meant. One for which the expression has no value is not.
    pub fn keeps(&self, row: &Value) -> bool {
        let scope = self.names.iter().fold(Scope::empty(), |scope, name| {
            let amount = name.ends_with("_wei").then(|| amount(&row[*name]));
            scope.with(
                name,
                match amount.flatten() {
                    Some(amount) => Datum::money(amount),
                    None => Datum::from_json(&row[*name]),
                },
            )
        });
        let held = self.expression.holds(&scope);
        let mut seen = self.seen.borrow_mut();
        seen.judged += 1;
        held.unwrap_or_else(|error| {
            seen.failed += 1;
            seen.why.get_or_insert_with(|| error.to_string());
            false
        })
    }

    /// Says how many rows the expression had no value for.
    ///
    /// # Errors
    /// Exit 2 when it had none for any.
    pub fn finish(&self, ui: &Ui) -> Result<(), Failure> {
        let seen = self.seen.borrow();
        let Some(why) = &seen.why else { return Ok(()) };
        if seen.failed == seen.judged {
            let message = format!("`--where {}` holds for no row: {why}", self.expression.source());
            return Err(Failure::usage(message));
        }
        let rows = crate::units::text::counted(seen.failed, "row");
        ui.warn(&format!("{rows} left out, because `--where` has no value for them: {why}"));
        Ok(())
    }
}

/// An amount of a machine format.
fn amount(value: &Value) -> Option<Wei> {
    serde_json::from_value(value.clone()).ok()
}

/// Whether a row is meant, where there may be no filter.
pub fn keeps(filter: Option<&Filter>, row: impl FnOnce() -> Value) -> bool {
    filter.is_none_or(|filter| filter.keeps(&row()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    const NAMES: &[&str] = &["state", "output", "paid_wei"];

    fn filter(text: &str) -> Filter {
        Filter::parse(Some(text), NAMES).unwrap().unwrap()
    }

    #[test]
    fn rows_are_kept_by_their_fields_and_amounts_compare_as_money() {
        let row = json!({"state": "failed", "output": {"n": 3}, "paid_wei": "20000000000000000"});
        for (text, kept) in [
            ("state == 'failed'", true),
            ("state == 'confirmed'", false),
            ("output.n > 2 and paid_wei > money('0.01 OGPU')", true),
            ("paid_wei > money('0.02 OGPU')", false),
        ] {
            assert_eq!(filter(text).keeps(&row), kept, "{text}");
        }
    }

    #[test]
    fn a_row_without_a_value_is_left_out_and_only_rows_without_any_are_an_error() {
        let filter = filter("output.n > 2");
        assert!(!filter.keeps(&json!({"state": "failed"})));
        assert!(filter.finish(&Ui::plain()).is_err());
        assert!(filter.keeps(&json!({"output": {"n": 3}})));
        assert!(filter.finish(&Ui::plain()).is_ok());
    }

    #[test]
    fn a_field_that_no_row_has_is_refused_with_the_nearest() {
        let error = Filter::parse(Some("sate == 'x'"), NAMES).unwrap_err();
        assert_eq!(error.help.as_deref(), Some("did you mean `state`?"));
        assert!(Filter::parse(Some("state =="), NAMES).is_err());
        assert!(Filter::parse(None, NAMES).unwrap().is_none());
    }
}
