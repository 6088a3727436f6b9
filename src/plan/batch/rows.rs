//! One record at a time, on any thread: value, key, filter, config, payment, life.

use serde_json::Value;

use super::{filters_late, reads_at};
use crate::pipeline::items::{Decoder, RawRecord, Record, content_key, key_of};
use crate::pipeline::{
    Code, Expires, FileItems, Foreach, ItemFormat, Payment, Pipeline, Problem, ReadPlace, Scope,
    Span, Step, Task,
};
use crate::plan::sources;
use crate::plan::task::{config, item_scope, within_limit};
use crate::units::source::SourceFacts;
use crate::units::{ItemKey, Wei, canonical};

/// One record on its way to an item.
pub(super) enum Raw {
    Record(RawRecord),
    Value(Record),
}

/// A record that was decoded, asked for its key, and shaped.
pub(super) struct Shaped {
    pub(super) record: Record,
    pub(super) key: Named,
    pub(super) keeps: bool,
    pub(super) scope: Scope,
}

/// A key, or what one will be made of.
pub(super) enum Named {
    Key(ItemKey),
    Content([u8; 6]),
}

/// An item that was tried out.
pub(super) struct Tried {
    pub(super) payment: Wei,
    pub(super) life_ms: Option<u64>,
    pub(super) bytes: Option<u64>,
    pub(super) line: Option<Vec<u8>>,
}

/// What is needed to look at the records of one step.
#[derive(Clone, Copy)]
pub(super) struct Rows<'a> {
    pub(super) pipeline: &'a Pipeline,
    pub(super) step: &'a Step,
    /// What the source's contract says; `None` offline.
    pub(super) facts: Option<&'a SourceFacts>,
}

impl Rows<'_> {
    /// Whether configs can be made before the run.
    pub(super) fn renders(&self) -> bool {
        !reads_at(self.step, ReadPlace::Data)
    }

    pub(super) fn problem(&self, code: Code, span: Span, message: String) -> Problem {
        Problem::new(code, &self.pipeline.file, span, message).in_step(self.step.name.as_str())
    }

    pub(super) fn shape(
        &self,
        raw: Raw,
        decoder: Option<&Decoder>,
        scope: &Scope,
        ordinal: u64,
    ) -> Result<Shaped, Box<Problem>> {
        let record = match (raw, decoder, &self.step.foreach) {
            (Raw::Record(raw), Some(decoder), Foreach::File(items)) => decoder
                .decode(raw)
                .map_err(|error| Box::new(error.problem(&self.pipeline.file, items)))?,
            (Raw::Value(record), _, _) => record,
            (Raw::Record(_), _, _) => unreachable!("records come from files, with their decoder"),
        };
        let place = u32::try_from(ordinal).unwrap_or(u32::MAX);
        let scope = item_scope(self.step, scope, &record.value, place);
        let at_row = |problem: Box<Problem>| self.at_row(problem, record.row);
        let key = self.key(&record, &scope).map_err(at_row)?;
        let keeps = match &self.step.filter {
            Some(filter) if !filters_late(self.step) => filter.holds(&scope).map_err(at_row)?,
            Some(_) | None => true,
        };
        Ok(Shaped { record, key, keeps, scope })
    }

    fn key(&self, record: &Record, scope: &Scope) -> Result<Named, Box<Problem>> {
        let span = match (&self.step.foreach, &self.step.key) {
            (Foreach::File(FileItems { key: Some((_, span)), .. }), _) => *span,
            (_, Some(written)) => written.span(),
            (_, None) => self.step.span,
        };
        let value = match (&self.step.foreach, &self.step.key) {
            (Foreach::Once, _) => Value::String(self.step.name.as_str().to_owned()),
            (Foreach::File(FileItems { key: Some((name, _)), .. }), _) => {
                match record.value.get(name) {
                    Some(value) => value.clone(),
                    None => {
                        let message = format!("the item has no `{name}` to be its key");
                        return Err(Box::new(self.problem(Code::E0309, span, message)));
                    }
                }
            }
            (_, Some(written)) => written.evaluate(scope)?,
            (_, None) => return Ok(Named::Content(content_key(&record.value))),
        };
        key_of(&value).map(Named::Key).map_err(|error| {
            let problem = self.problem(error.code, span, error.message);
            Box::new(match error.hint {
                Some(hint) => problem.help(hint),
                None => problem,
            })
        })
    }

    pub(super) fn try_out(&self, scope: &Scope, row: u64) -> Result<Tried, Box<Problem>> {
        let at_row = |problem: Box<Problem>| self.at_row(problem, row);
        let payment = self.payment(scope).map_err(at_row)?;
        let life_ms = self.life(scope).map_err(at_row)?;
        let bytes = if self.renders() {
            let body = self.step.task.render(scope).map_err(at_row)?;
            let bytes = canonical::to_vec(&Value::Object(config(body)));
            within_limit(bytes.len()).map_err(|error| {
                let problem = self.problem(error.code, self.step.span, error.message);
                at_row(Box::new(problem))
            })?;
            Some(u64::try_from(bytes.len()).unwrap_or(u64::MAX))
        } else {
            None
        };
        Ok(Tried { payment, life_ms, bytes, line: None })
    }

    fn payment(&self, scope: &Scope) -> Result<Wei, Box<Problem>> {
        let minimum = self.facts.map_or(Wei::ZERO, |facts| facts.min_payment);
        let payment = self.step.payment.amount(scope, minimum)?;
        let Payment::PerItem(written) = &self.step.payment else { return Ok(payment) };
        let at = |code, message: String| {
            Box::new(
                Problem::new(code, &written.file, written.span(), message)
                    .in_step(self.step.name.as_str()),
            )
        };
        if payment < minimum {
            let message = "payment is below the minimum of the source".to_owned();
            let mut problem = at(Code::E0412, message);
            problem.label = Some(format!("{payment} < {minimum}"));
            return Err(problem);
        }
        match self.pipeline.budget.max_per_task {
            Some(limit) if payment > limit => Err(at(
                Code::E0206,
                format!("payment {payment} is above `budget.max_per_task` of {limit}"),
            )),
            Some(_) | None => Ok(payment),
        }
    }

    fn life(&self, scope: &Scope) -> Result<Option<u64>, Box<Problem>> {
        let Expires::PerItem(written) = &self.step.expires else { return Ok(None) };
        let asked = self.step.expires.span(scope)?;
        let life = match self.facts {
            None => asked.unwrap_or(Expires::DEFAULT),
            Some(facts) => sources::lifetime(asked, facts.max_expiry).map_err(|limit| {
                let limit = crate::units::time::show_duration(limit);
                let message =
                    format!("`expires` is longer than the {limit} that the source allows");
                Box::new(
                    Problem::new(Code::E0413, &written.file, written.span(), message)
                        .in_step(self.step.name.as_str()),
                )
            })?,
        };
        Ok(Some(u64::try_from(life.as_millis()).unwrap_or(u64::MAX)))
    }

    /// A problem of one item, with its row and the column that it was read from.
    fn at_row(&self, mut problem: Box<Problem>, row: u64) -> Box<Problem> {
        let column = column_of(self.step, &problem);
        let column = column.map_or_else(String::new, |name| format!(", column `{name}`"));
        let place = match &self.step.foreach {
            Foreach::Once => String::new(),
            Foreach::List(_) | Foreach::Expression(_) => format!("entry {row} of `foreach`: "),
            Foreach::File(items) if items.format == ItemFormat::Glob => {
                format!("file {row} of {}: ", items.path)
            }
            Foreach::File(items) => format!("row {row} of {}{column}: ", items.path),
        };
        problem.message = format!("{place}{}", problem.message);
        problem.step.get_or_insert_with(|| self.step.name.as_str().to_owned());
        problem
    }
}

/// The column that a problem of `with` or `data` was read from.
fn column_of(step: &Step, problem: &Problem) -> Option<String> {
    let span = problem.span?;
    let references = match &step.task {
        Task::Direct { data, .. } => data.references(),
        Task::Template { with, .. } => with.references(),
    };
    references
        .into_iter()
        .find(|found| {
            found.path.first().is_some_and(|name| name == "item")
                && found.span.offset < span.end()
                && span.offset < found.span.end()
        })
        .and_then(|found| found.path.get(1).cloned())
}
