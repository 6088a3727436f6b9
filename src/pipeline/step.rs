//! One step as checked: which task to publish, over which items, at what price, and which outputs
//! are good enough.

use std::num::NonZeroU32;
use std::sync::Arc;

use serde_json::{Map, Value};

use super::SourceRef;
use super::expr::{ExprError, Scope};
use super::foreach::Foreach;
use super::policy::{Accept, AllowFailures, OnPartial, Retry, Save};
use super::price::{Complexity, Expires, Payment};
use super::problem::{Code, Problem, Span};
use super::template::TaskTemplate;
use super::written::{WrittenExpression, WrittenTemplate};
use crate::units::StepName;

/// One step of a pipeline.
#[derive(Clone, Debug)]
pub struct Step {
    /// Its id.
    pub name: StepName,
    /// What the author says about it.
    pub description: Option<String>,
    /// Where the id stands.
    pub span: Span,
    /// Who runs its tasks.
    pub source: StepSource,
    /// What its tasks do.
    pub task: Task,
    /// What one of its tasks offers.
    pub payment: Payment,
    /// Where the payment stands, or the id of the step if it is left out.
    pub payment_span: Span,
    /// What class of work the author says it is.
    pub complexity: Option<Complexity>,
    /// How long one of its tasks lives.
    pub expires: Expires,
    /// Where the expiry stands, or the id of the step if it is left out.
    pub expires_span: Span,
    /// What it runs over.
    pub foreach: Foreach,
    /// Which items it keeps.
    pub filter: Option<WrittenExpression>,
    /// What names an item of a list or an expression.
    pub key: Option<WrittenExpression>,
    /// The most tasks that it may make.
    pub max_items: Option<NonZeroU32>,
    /// The most of its tasks that may be open at once; `None` leaves it to `limits.in_flight`.
    pub concurrency: Option<NonZeroU32>,
    /// Which outputs are good enough.
    pub accept: Accept,
    /// When a failed item is published anew.
    pub retry: Retry,
    /// How many items may fail.
    pub allow_failures: AllowFailures,
    /// What readers get of items that failed.
    pub on_partial: OnPartial,
    /// Whether it runs at all.
    pub condition: Option<WrittenExpression>,
    /// Steps that come before it besides those that it reads.
    pub needs: Vec<StepName>,
    /// Where its rows are written while it runs.
    pub save: Option<Save>,
    /// What it reads of other steps.
    pub reads: Vec<StepRead>,
}

/// The source of a step.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StepSource {
    /// The alias under `sources`, if it was named by one.
    pub alias: Option<String>,
    /// The source on the network in use.
    pub at: SourceRef,
    /// Where the step, or `defaults`, names it.
    pub span: Span,
}

/// What a task does.
#[derive(Clone, Debug)]
pub enum Task {
    /// Written in the step.
    Direct {
        /// The handler's name.
        function: String,
        /// The handler's input, a map.
        data: WrittenTemplate,
        /// Keys beside `data` in the config, a map.
        extra: Option<WrittenTemplate>,
    },
    /// Taken from a template.
    Template {
        /// The template.
        template: Arc<TaskTemplate>,
        /// Its inputs, a map; inputs that are left out have their default.
        with: WrittenTemplate,
    },
}

impl Task {
    /// The handler's name.
    pub fn function(&self) -> &str {
        match self {
            Self::Direct { function, .. } => function,
            Self::Template { template, .. } => &template.function,
        }
    }

    /// What goes to the provider for one item.
    ///
    /// # Errors
    /// E0204 when the data comes out empty, E0311 when an input does not fit its template, and
    /// what evaluation may give.
    pub fn render(&self, scope: &Scope) -> Result<TaskBody, Box<Problem>> {
        match self {
            Self::Direct { function, data, extra } => {
                let extra = extra.as_ref().map(|extra| extra.evaluate(scope)).transpose()?;
                let body = TaskBody {
                    function: function.clone(),
                    data: object(data.evaluate(scope)?),
                    extra: extra.map(object).unwrap_or_default(),
                    inputs: None,
                };
                if body.data.is_empty() {
                    let error = ExprError::new(Code::E0204, "Input data is required");
                    return Err(Box::new(data.problem(error)));
                }
                Ok(body)
            }
            Self::Template { template, with } => {
                let given = object(with.evaluate(scope)?);
                let inputs = template.inputs(&given).map_err(|bad| template.problem(with, bad))?;
                template.render(inputs)
            }
        }
    }
}

/// What goes to the provider for one item.
#[derive(Clone, Debug, PartialEq)]
pub struct TaskBody {
    /// The handler's name.
    pub function: String,
    /// The handler's input; never empty.
    pub data: Map<String, Value>,
    /// Keys beside `data` in the config.
    pub extra: Map<String, Value>,
    /// A template's inputs with their defaults, which its `accept` reads as `inputs`.
    pub inputs: Option<Value>,
}

/// The entries of a map; a template of a map evaluates to nothing else.
pub(super) fn object(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(map) => map,
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_) => {
            Map::new()
        }
    }
}

/// One thing that a step reads of another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StepRead {
    /// The other step.
    pub step: StepName,
    /// What of it: `output`, `outputs`, `results`, `failed`, `count`, `spent`; empty when the
    /// expression reads the step as a whole.
    pub field: String,
    /// Which key of the step reads it.
    pub place: ReadPlace,
    /// Where it is read.
    pub span: Span,
}

/// The key of a step that reads another step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReadPlace {
    /// `foreach`, and the expression is no more than that: `steps.x.results`.
    ForeachWhole,
    /// `foreach`, in a larger expression or in a list.
    Foreach,
    /// `if`.
    Condition,
    /// `filter` or `key`.
    Shaping,
    /// `data`, `extra` or `with`.
    Data,
    /// `needs`.
    Needs,
}
