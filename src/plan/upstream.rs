//! What readers see of a step that is over: `steps.x`.

use alloy::primitives::Address;
use serde_json::{Map, Value, json};

use super::Plan;
use crate::pipeline::{Datum, OnPartial, Scope};
use crate::units::{ItemKey, Wei};

/// What became of one item of a step.
#[derive(Clone, Debug, PartialEq)]
pub struct StepEntry {
    /// The item's key.
    pub key: ItemKey,
    /// The item.
    pub item: Value,
    /// The accepted output; `None` if it failed.
    pub output: Option<Value>,
    /// Why it failed, in a word of language.md, section 6; `None` if it did not.
    pub reason: Option<String>,
    /// Who responded.
    pub provider: Option<Address>,
    /// What was paid.
    pub paid: Wei,
    /// From publication to confirmation, in milliseconds.
    pub ms: u64,
    /// The task's contract.
    pub task: Option<Address>,
    /// The response's contract.
    pub response: Option<Address>,
}

/// What became of a step, in input order.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct StepValues {
    /// Its items; none if it was skipped.
    pub entries: Vec<StepEntry>,
    /// What it cost, gas included.
    pub spent: Wei,
}

/// What `run` says where it is visible.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RunFacts {
    /// The run's id.
    pub id: String,
    /// The network's name.
    pub network: String,
    /// When it started, RFC 3339 in UTC.
    pub started_at: String,
}

impl StepEntry {
    /// The entry of `steps.x.results`, as an item of another step or in one's data.
    pub fn result(&self) -> Value {
        let address = |address: Option<Address>| address.map(|address| address.to_string());
        let mut map = Map::new();
        map.insert("key".into(), json!(self.key.as_str()));
        map.insert("item".into(), self.item.clone());
        map.insert("output".into(), self.output.clone().unwrap_or_default());
        map.insert("provider".into(), json!(address(self.provider)));
        map.insert("paid".into(), json!(self.paid.to_string()));
        map.insert("ms".into(), json!(self.ms));
        map.insert("task".into(), json!(address(self.task)));
        map.insert("response".into(), json!(address(self.response)));
        if let Some(reason) = &self.reason {
            map.insert("reason".into(), json!(reason));
        }
        Value::Object(map)
    }

    /// The same, with `paid` as money.
    fn datum(&self) -> Datum {
        let address =
            |address: Option<Address>| Datum::from_json(&json!(address.map(|a| a.to_string())));
        let mut entries = vec![
            ("key", Datum::text(self.key.as_str())),
            ("item", Datum::from_json(&self.item)),
            ("output", Datum::from_json(self.output.as_ref().unwrap_or(&Value::Null))),
            ("provider", address(self.provider)),
            ("paid", Datum::money(self.paid)),
            ("ms", Datum::integer(self.ms)),
            ("task", address(self.task)),
            ("response", address(self.response)),
        ];
        if let Some(reason) = &self.reason {
            entries.push(("reason", Datum::text(reason)));
        }
        Datum::map(entries)
    }
}

impl StepValues {
    /// The entries that readers get: accepted ones, or all of them with `on_partial: keep`.
    pub(super) fn visible(&self, on_partial: OnPartial) -> impl Iterator<Item = &StepEntry> {
        let all = on_partial == OnPartial::Keep;
        self.entries.iter().filter(move |entry| all || entry.output.is_some())
    }

    fn failed(&self) -> Datum {
        let failed = self.entries.iter().filter(|entry| entry.output.is_none());
        Datum::list(failed.map(|entry| {
            Datum::map([
                ("key", Datum::text(entry.key.as_str())),
                ("item", Datum::from_json(&entry.item)),
                ("reason", Datum::text(entry.reason.as_deref().unwrap_or("canceled"))),
            ])
        }))
    }

    /// What expressions see: only the fields that are read, since each may be long.
    fn datum(&self, on_partial: OnPartial, one_task: bool, wanted: impl Fn(&str) -> bool) -> Datum {
        let mut fields = Vec::new();
        if wanted("results") {
            let results = self.visible(on_partial).map(StepEntry::datum);
            fields.push(("results", Datum::list(results)));
        }
        if wanted("outputs") {
            let null = Value::Null;
            let outputs = self
                .visible(on_partial)
                .map(|entry| Datum::from_json(entry.output.as_ref().unwrap_or(&null)));
            fields.push(("outputs", Datum::list(outputs)));
        }
        let first = self.entries.first().and_then(|entry| entry.output.as_ref());
        if let (true, true, Some(output)) = (wanted("output"), one_task, first) {
            fields.push(("output", Datum::from_json(output)));
        }
        if wanted("failed") {
            fields.push(("failed", self.failed()));
        }
        let accepted = self.entries.iter().filter(|entry| entry.output.is_some()).count();
        fields.push(("count", Datum::integer(u64::try_from(accepted).unwrap_or(u64::MAX))));
        fields.push(("spent", Datum::money(self.spent)));
        Datum::map(fields)
    }
}

impl Plan {
    /// The scope of a step: params, and what it reads of the steps before it. `values` holds the
    /// steps that are over, by place in the plan.
    ///
    /// # Panics
    /// When there is no such step: places come from this plan.
    pub fn scope(&self, step: u16, values: &[(u16, StepValues)]) -> Scope {
        let (_, written) = self.step(step);
        let wanted = |name: &str, field: &str| {
            written.reads.iter().any(|read| {
                read.step.as_str() == name && (read.field == field || read.field.is_empty())
            })
        };
        self.with_steps(values, wanted)
    }

    /// The scope of `outputs`, which are shown at the end of a run.
    pub(super) fn closing_scope(&self, values: &[(u16, StepValues)], run: &RunFacts) -> Scope {
        let references: Vec<_> =
            self.pipeline.outputs.iter().flat_map(|output| output.value.references()).collect();
        let wanted = |name: &str, field: &str| {
            references.iter().any(|found| {
                found.path.first().is_some_and(|first| first == "steps")
                    && found.path.get(1).is_none_or(|step| step == name)
                    && found.path.get(2).is_none_or(|read| read == field)
            })
        };
        with_run(&self.with_steps(values, wanted), run)
    }

    fn with_steps(
        &self,
        values: &[(u16, StepValues)],
        wanted: impl Fn(&str, &str) -> bool,
    ) -> Scope {
        let steps = values.iter().map(|(step, values)| {
            let (planned, written) = self.step(*step);
            let name = written.name.as_str();
            let one_task = planned.of == super::ItemsOf::Once;
            (name, values.datum(written.on_partial, one_task, |field| wanted(name, field)))
        });
        self.pipeline.scope().with("steps", Datum::map(steps))
    }
}

/// The same scope, with `run`.
pub(super) fn with_run(scope: &Scope, run: &RunFacts) -> Scope {
    scope.with(
        "run",
        Datum::map([
            ("id", Datum::text(&run.id)),
            ("network", Datum::text(&run.network)),
            ("started_at", Datum::text(&run.started_at)),
        ]),
    )
}
