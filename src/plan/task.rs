//! One item: what it offers, the bytes that its task pins, and the verdict on its output.

use std::time::Duration;

use alloy::primitives::B256;
use serde_json::{Map, Value, json};

use super::upstream::{RunFacts, StepValues};
use super::{Plan, Verdict, sources};
use crate::pipeline::{Code, Datum, ExprError, Problem, Scope, Step, Task, TaskBody};
use crate::units::{ItemKey, TaskKey, Wei, canonical};

/// The most bytes that a task config may have (language.md, section 1).
pub const MAX_CONFIG_BYTES: usize = 8 << 20;

/// The key of a config that holds the task key.
const TAG: &str = "ogflow";

/// One item of a step.
#[derive(Clone, Debug, PartialEq)]
pub struct PlanItem {
    /// Its place in the step's input order.
    pub index: u32,
    /// What names it.
    pub key: ItemKey,
    /// What expressions see as `item`; null in a step without `foreach`.
    pub value: Value,
}

/// What one task offers, in its first round.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Offered {
    /// The payment.
    pub payment: Wei,
    /// How long the task lives, counted from chain time when it is signed.
    pub expires: Duration,
}

/// What one round of an item buys.
#[derive(Clone, Copy, Debug)]
pub struct Purchase<'a> {
    /// The tag of the round; it stays out of the config where the pipeline says `tag: false`.
    pub key: Option<&'a TaskKey>,
    /// What the round offers.
    pub payment: Wei,
}

/// The config of a task.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TaskConfig {
    /// What is pinned: canonical JSON of function, data, extras and the tag.
    pub bytes: Vec<u8>,
    /// SHA-256 over the canonical JSON of source, function, data, extras and payment: what is
    /// bought, whichever run buys it (safety.md, section 1).
    pub content: B256,
}

impl PlanItem {
    /// The line under which an item is kept until its task is made.
    pub fn to_line(&self) -> Vec<u8> {
        let mut line = json!({"key": self.key.as_str()});
        line["item"] = self.value.clone();
        let mut bytes = line.to_string().into_bytes();
        bytes.push(b'\n');
        bytes
    }

    /// Reads the line of the item at place `index`; `None` if it is no such line.
    pub fn from_line(index: u32, line: &[u8]) -> Option<Self> {
        let Value::Object(mut map) = serde_json::from_slice(line).ok()? else { return None };
        let key = ItemKey::parse(map.get("key")?.as_str()?)?;
        Some(Self { index, key, value: map.remove("item")? })
    }

    /// The one item of a step without `foreach`, named after the step.
    ///
    /// # Panics
    /// Never: the id of a step is a key.
    pub fn once(step: &str) -> Self {
        let key = ItemKey::parse(step).expect("the id of a step is a key");
        Self { index: 0, key, value: Value::Null }
    }
}

/// The scope of one item: that of its step with `item` and `index`.
pub(super) fn item_scope(step: &Step, scope: &Scope, value: &Value, index: u32) -> Scope {
    if matches!(step.foreach, crate::pipeline::Foreach::Once) {
        return scope.clone();
    }
    scope.with_all([("item", Datum::from_json(value)), ("index", Datum::integer(u64::from(index)))])
}

/// The config as JSON, without the tag.
pub(super) fn config(body: TaskBody) -> Map<String, Value> {
    let mut config = body.extra;
    config.insert("function_name".into(), Value::String(body.function));
    config.insert("data".into(), Value::Object(body.data));
    config
}

/// E0704 for a config above the limit.
pub(super) fn within_limit(len: usize) -> Result<(), ExprError> {
    if len <= MAX_CONFIG_BYTES {
        return Ok(());
    }
    let mib = MAX_CONFIG_BYTES >> 20;
    Err(ExprError::new(
        Code::E0704,
        format!("the task config has {len} bytes, more than {mib} MiB"),
    )
    .hint("put large inputs where the source can fetch them, and pass their address"))
}

impl Plan {
    /// Whether an item becomes a task: `filter` says.
    ///
    /// # Errors
    /// What evaluation may give, as one line for the item.
    pub fn keeps(&self, step: u16, item: &PlanItem, scope: &Scope) -> Result<bool, String> {
        let (_, written) = self.step(step);
        let Some(filter) = &written.filter else { return Ok(true) };
        let scope = item_scope(written, scope, &item.value, item.index);
        filter.holds(&scope).map_err(one_line)
    }

    /// What the first round of an item's task offers.
    ///
    /// # Errors
    /// What evaluation may give, an amount below the source's minimum or above
    /// `budget.max_per_task`, a life that the source does not take; as one line for the item.
    pub fn offer(&self, step: u16, item: &PlanItem, scope: &Scope) -> Result<Offered, String> {
        let (planned, written) = self.step(step);
        let scope = item_scope(written, scope, &item.value, item.index);
        let minimum = planned.facts.min_payment;
        let payment = written.payment.amount(&scope, minimum).map_err(one_line)?;
        if payment < minimum {
            return Err(format!("payment {payment} is below the source's minimum of {minimum}"));
        }
        if let Some(limit) = self.pipeline.budget.max_per_task.filter(|limit| payment > *limit) {
            return Err(format!("payment {payment} is above `budget.max_per_task` of {limit}"));
        }
        let asked = written.expires.span(&scope).map_err(one_line)?;
        let expires = match asked {
            None => planned.expires,
            Some(_) => sources::lifetime(asked, planned.facts.max_expiry).map_err(|limit| {
                let limit = crate::units::time::show_duration(limit);
                format!("`expires` is longer than the {limit} that the source allows")
            })?,
        };
        Ok(Offered { payment, expires })
    }

    /// The bytes that an item's task pins, and the hash of what is bought.
    ///
    /// # Errors
    /// What evaluation may give, and a config above 8 MiB; as one line for the item.
    pub fn render(
        &self,
        step: u16,
        item: &PlanItem,
        scope: &Scope,
        purchase: Purchase<'_>,
    ) -> Result<TaskConfig, String> {
        let Purchase { key, payment } = purchase;
        let (planned, written) = self.step(step);
        let scope = item_scope(written, scope, &item.value, item.index);
        let body = written.task.render(&scope).map_err(one_line)?;
        let bought = json!({
            "source": planned.source.to_string(),
            "function": body.function,
            "data": body.data,
            "extra": body.extra,
            "payment": payment.to_u256().to_string(),
        });
        let content = canonical::digest(&bought);
        let mut config = config(body);
        if let Some(key) = key.filter(|_| self.pipeline.tag) {
            config.insert(TAG.into(), json!(key.to_string()));
        }
        let bytes = canonical::to_vec(&Value::Object(config));
        within_limit(bytes.len()).map_err(|error| error.message)?;
        Ok(TaskConfig { bytes, content })
    }

    /// The verdict on an output of an item: the template's checks, then the step's own.
    pub fn check_output(
        &self,
        step: u16,
        item: &PlanItem,
        scope: &Scope,
        output: &Value,
    ) -> Verdict {
        let (planned, written) = self.step(step);
        let scope = item_scope(written, scope, &item.value, item.index);
        if let (Some(checks), Task::Template { .. }) = (&planned.of_template, &written.task)
            && !checks.is_empty()
        {
            let inputs = match written.task.render(&scope) {
                Ok(body) => body.inputs.unwrap_or_default(),
                Err(problem) => return Verdict::Rejected { reason: one_line(problem) },
            };
            let scope = Scope::empty().with("inputs", Datum::from_json(&inputs));
            let verdict = checks.check(output, &scope);
            if verdict != Verdict::Accepted {
                return verdict;
            }
        }
        planned.own.check(output, &scope)
    }

    /// What the run shows at its end, in the order of writing: the value, or why there is none.
    pub fn outputs(
        &self,
        values: &[(u16, StepValues)],
        run: &RunFacts,
    ) -> Vec<(String, Result<Value, String>)> {
        let scope = self.closing_scope(values, run);
        let outputs = self.pipeline.outputs.iter();
        outputs
            .map(|output| (output.name.clone(), output.value.evaluate(&scope).map_err(one_line)))
            .collect()
    }
}

/// A problem as the reason of one item.
#[expect(clippy::boxed_local, reason = "an adapter for errors that come boxed")]
pub(super) fn one_line(problem: Box<Problem>) -> String {
    format!("{} {}", problem.code, problem.message)
}
