//! Which items a step has, once the steps that it reads are over.

use alloy::primitives::B256;
use serde_json::Value;

use super::Plan;
use super::batch::{self, ItemSink};
use super::task::{PlanItem, item_scope, one_line};
use super::upstream::{RunFacts, StepEntry, StepValues, with_run};
use crate::pipeline::items::{ContentKeys, content_key, key_of};
use crate::pipeline::{Code, Datum, ExprError, Foreach, OnPartial, ReadPlace, Scope, Step};
use crate::units::ItemKey;

/// The most bytes that one entry of a list may have as JSON.
const MAX_ENTRY_BYTES: usize = 8 << 20;

/// Which items a step has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Expanded {
    /// So many, kept under a hash; `None` for the one item of a step without `foreach`.
    Items {
        /// How many.
        count: u32,
        /// Where they are kept, one [`PlanItem::to_line`] each.
        blob: Option<B256>,
    },
    /// One for each item of the upstream step, as they come.
    Streaming,
    /// `if` said no.
    Skipped,
    /// They could not be made.
    Failed {
        /// Why, in one line.
        reason: String,
    },
}

/// The entries of a list, each as JSON.
///
/// # Errors
/// E0705 for anything but a list, E0704 for an entry above 8 MiB.
pub(super) fn list_of(datum: &Datum) -> Result<Vec<Value>, ExprError> {
    let Some(entries) = datum.entries() else {
        let kind = datum.kind();
        return Err(ExprError::new(Code::E0705, format!("`foreach` is {kind}, not a list"))
            .hint("`foreach` takes a list: `steps.x.results`, `[a, b]`, or a file"));
    };
    entries.iter().map(|entry| entry.to_json(MAX_ENTRY_BYTES)).collect()
}

impl Plan {
    /// Which items a step has. `scope` is its [`scope`](Self::scope), `values` the steps that
    /// are over; the items go to `sink` unless they were kept before.
    pub fn expand(
        &self,
        step: u16,
        values: &[(u16, StepValues)],
        run: &RunFacts,
        sink: &mut dyn ItemSink,
    ) -> Expanded {
        let scope = with_run(&self.scope(step, values), run);
        let (planned, written) = self.step(step);
        match written.condition.as_ref().map(|condition| condition.holds(&scope)) {
            Some(Ok(false)) => return Expanded::Skipped,
            Some(Err(problem)) => return Expanded::Failed { reason: one_line(problem) },
            Some(Ok(true)) | None => {}
        }
        if planned.streams.is_some() {
            return Expanded::Streaming;
        }
        if let Some(known) = &planned.items
            && (known.blob.is_some() || matches!(written.foreach, Foreach::Once))
        {
            return Expanded::Items { count: known.count, blob: known.blob };
        }
        match self.listed(step, written, &scope, values) {
            Ok(items) => self.keep(written, items, sink),
            Err(reason) => Expanded::Failed { reason },
        }
    }

    /// The item that a streaming step makes of an entry of its upstream step; `None` if the
    /// entry is hidden from readers. `filter` is asked by [`keeps`](Self::keeps).
    ///
    /// # Errors
    /// When the item's key is none; as one line for the item.
    pub fn streamed(
        &self,
        step: u16,
        index: u32,
        entry: &StepEntry,
        scope: &Scope,
    ) -> Result<Option<PlanItem>, String> {
        let (planned, written) = self.step(step);
        let Some(upstream) = planned.streams else { return Ok(None) };
        let (_, upstream) = self.step(upstream);
        if entry.output.is_none() && upstream.on_partial != OnPartial::Keep {
            return Ok(None);
        }
        let value = entry_value(written, entry);
        let key = match &written.key {
            None => entry.key.clone(),
            Some(_) => written_key(written, &value, scope, index)?,
        };
        Ok(Some(PlanItem { index, key, value }))
    }

    /// The items of a list or an expression, shaped, with their keys.
    fn listed(
        &self,
        step: u16,
        written: &Step,
        scope: &Scope,
        values: &[(u16, StepValues)],
    ) -> Result<Vec<PlanItem>, String> {
        let drafts: Vec<(Option<ItemKey>, Value)> = match self.whole_read(step, values) {
            Some(entries) => entries
                .into_iter()
                .map(|entry| (Some(entry.key.clone()), entry_value(written, entry)))
                .collect(),
            None => evaluated(written, scope)?.into_iter().map(|value| (None, value)).collect(),
        };
        let mut contents = ContentKeys::default();
        let mut items = Vec::new();
        for (ordinal, (known, value)) in drafts.into_iter().enumerate() {
            let ordinal = u32::try_from(ordinal).unwrap_or(u32::MAX);
            let key = match (&written.key, known) {
                (Some(_), _) => written_key(written, &value, scope, ordinal)?,
                (None, Some(key)) => key,
                (None, None) => contents.name(content_key(&value)),
            };
            let place = u32::try_from(items.len()).unwrap_or(u32::MAX);
            if let Some(filter) = &written.filter
                && !filter.holds(&item_scope(written, scope, &value, ordinal)).map_err(one_line)?
            {
                continue;
            }
            items.push(PlanItem { index: place, key, value });
        }
        unique(&items)?;
        Ok(items)
    }

    /// The entries of the upstream step when `foreach` is no more than its results or outputs.
    fn whole_read<'v>(
        &self,
        step: u16,
        values: &'v [(u16, StepValues)],
    ) -> Option<Vec<&'v StepEntry>> {
        let (_, written) = self.step(step);
        let read = written.reads.iter().find(|read| {
            read.place == ReadPlace::ForeachWhole
                && matches!(read.field.as_str(), "results" | "outputs")
        })?;
        let upstream = self.place(&read.step)?;
        let (_, upstream_step) = self.step(upstream);
        let (_, values) = values.iter().find(|(place, _)| *place == upstream)?;
        Some(values.visible(upstream_step.on_partial).collect())
    }

    fn keep(&self, written: &Step, items: Vec<PlanItem>, sink: &mut dyn ItemSink) -> Expanded {
        let count = u32::try_from(items.len()).unwrap_or(u32::MAX);
        if let Some(most) = written.max_items.filter(|most| count > most.get()) {
            let code = Code::E0310;
            let reason = format!("{code} {count} items, more than the {most} of `max_items`");
            return Expanded::Failed { reason };
        }
        let kept = items
            .iter()
            .try_for_each(|item| sink.line(&written.name, &item.to_line()))
            .and_then(|()| sink.end(&written.name));
        match kept {
            Ok(blob) => Expanded::Items { count, blob },
            Err(error) => Expanded::Failed { reason: format!("the items cannot be kept: {error}") },
        }
    }
}

/// What `item` is for an entry: the result as a whole, or its output.
fn entry_value(written: &Step, entry: &StepEntry) -> Value {
    let outputs = written
        .reads
        .iter()
        .any(|read| read.place == ReadPlace::ForeachWhole && read.field == "outputs");
    if outputs { entry.output.clone().unwrap_or_default() } else { entry.result() }
}

fn evaluated(written: &Step, scope: &Scope) -> Result<Vec<Value>, String> {
    match &written.foreach {
        Foreach::Once => Ok(Vec::new()),
        Foreach::File(items) => Err(format!("the items of {} were not kept", items.path)),
        Foreach::List(list) => {
            let items = list.evaluate(scope).map_err(one_line)?;
            let datum = Datum::from_json(&items);
            list_of(&datum).map_err(|error| format!("{} {error}", error.code))
        }
        Foreach::Expression(expression) => {
            let datum = expression.value.evaluate_datum(scope);
            datum
                .and_then(|datum| list_of(&datum))
                .map_err(|error| format!("{} {error}", error.code))
        }
    }
}

fn written_key(step: &Step, value: &Value, scope: &Scope, at: u32) -> Result<ItemKey, String> {
    let Some(key) = &step.key else { return Err("the step has no key".to_owned()) };
    let value = key.evaluate(&item_scope(step, scope, value, at)).map_err(one_line)?;
    key_of(&value).map_err(|error| format!("{} entry {}: {error}", error.code, u64::from(at) + 1))
}

fn unique(items: &[PlanItem]) -> Result<(), String> {
    let mut keys = crate::pipeline::items::KeyList::default();
    for (row, item) in (1_u64..).zip(items) {
        keys.push(item.key.hash(), row);
    }
    match keys.duplicates(1).first() {
        None => Ok(()),
        Some(twice) => {
            let at = usize::try_from(twice.second).unwrap_or(usize::MAX) - 1;
            let key = &items[at].key;
            let (code, first, second) = (Code::E0306, twice.first, twice.second);
            Err(format!("{code} key `{key}` in entries {first} and {second} of `foreach`"))
        }
    }
}

impl Plan {
    /// Whether [`keeps`](Self::keeps) has to be asked for each item when it is read: its `filter`
    /// waits for outputs, or the items come one by one.
    pub fn filters_on_reading(&self, step: u16) -> bool {
        let (planned, written) = self.step(step);
        written.filter.is_some() && (planned.streams.is_some() || batch::filters_late(written))
    }
}
