//! What the author wrote, read and checked.
//!
//! Text comes in, an immutable [`Pipeline`] comes out, and with it every problem that was found,
//! each on the exact text that is wrong. The way there has four stations:
//!
//! * *document*: the YAML as a tree in which each key and value knows its place and how it was
//!   quoted, within budgets of size, depth and aliases.
//! * *check*: the tree against the language: keys, types, names, references, templates.
//! * *expr*: what stands between braces, compiled once, evaluated per item, types kept.
//! * *items* and *accept*: what a step runs over, and which outputs are good enough.
//!
//! A pipeline that has come out can be relied on: names resolve, money has a unit, every source
//! has an address on the network in use, and what this version cannot do was refused.
//!
//! There is no file and no network here. Files that a pipeline names come in through a
//! [`Loader`], so the same check runs on a disk, in an editor and in a test.

pub mod accept;
pub mod catalogue;
pub mod check;
pub mod document;
pub mod expr;
pub mod foreach;
pub mod items;
pub mod loader;
pub mod policy;
pub mod price;
pub mod problem;
pub mod schema;
pub mod selection;
pub mod step;
pub mod template;
pub mod written;

mod builder;
mod forms;
mod locate;
mod scalar;
mod syntax;

use std::fmt;
use std::num::NonZeroU32;
use std::sync::Arc;

use alloy::primitives::Address;
use serde_json::{Map, Value};

pub use check::{ParamValue, Setting, built_in, check_template};
pub use expr::{Datum, ExprError, Expression, Reference, ScalarStyle, Scope, Template};
pub use foreach::{CellType, FileItems, Foreach, ItemFormat};
pub use loader::{FoundFile, LoadError, Loader, NoFiles};
pub use policy::{Accept, AllowFailures, Backoff, OnPartial, Retry, RetryAfter, Save, SaveFormat};
pub use price::{Complexity, Expires, Payment};
pub use problem::{Code, Look, Problem, Severity, SourceText, Span, errors_last, explain};
pub use selection::{Selection, SelectionError};
pub use step::{ReadPlace, Step, StepRead, StepSource, Task, TaskBody};
pub use template::TaskTemplate;
pub use written::{Written, WrittenExpression, WrittenTemplate};

use crate::units::Wei;
use crate::units::time::Rate;

/// A pipeline that can be relied on, for one network and one set of params.
#[derive(Clone, Debug)]
pub struct Pipeline {
    /// The file that it was read from.
    pub file: Arc<SourceText>,
    /// The template and schema files that it was made from, each once, in order of use.
    pub parts: Vec<Arc<SourceText>>,
    /// Its name.
    pub name: String,
    /// What the author says about it.
    pub description: Option<String>,
    /// The value of each param, in the order of declaration.
    pub params: Map<String, Value>,
    /// The alias of each source with the source on this network, in the order of declaration.
    pub sources: Vec<(String, SourceRef)>,
    /// What the run may spend.
    pub budget: Budget,
    /// How fast and how wide the run may go.
    pub limits: Limits,
    /// The steps, in the order of writing. There is at least one, and no circle among them.
    pub steps: Vec<Step>,
    /// What is shown at the end, in the order of writing.
    pub outputs: Vec<Output>,
    /// The steps that were selected, where the others were left out; empty when none was.
    pub only: Vec<crate::units::StepName>,
    /// Whether task configs carry the tag by which a lost journal can be rebuilt.
    pub tag: bool,
}

impl Pipeline {
    /// The step with this id.
    pub fn step(&self, name: &str) -> Option<&Step> {
        self.steps.iter().find(|step| step.name.as_str() == name)
    }

    /// A scope that sees `params`.
    pub fn scope(&self) -> Scope {
        Scope::empty().with("params", Datum::from_json(&Value::Object(self.params.clone())))
    }
}

/// A source on one network.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SourceRef {
    /// A source of the devnet, by the name behind `builtin:`.
    Builtin(String),
    /// A source contract.
    Address(Address),
}

impl fmt::Display for SourceRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Builtin(name) => write!(f, "builtin:{name}"),
            Self::Address(address) => write!(f, "{address}"),
        }
    }
}

/// What a run may spend.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Budget {
    /// The cap on payments and gas together.
    pub max: Option<Wei>,
    /// The ceiling for one payment, raised ones too.
    pub max_per_task: Option<Wei>,
    /// What stays in the wallet for confirms and cancels.
    pub reserve_gas: Wei,
    /// What happens when the cap is reached.
    pub on_exceed: OnExceed,
}

/// What happens when the cap is reached. Both publish nothing more and collect what is open.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OnExceed {
    /// The rest waits for a resume with a higher cap.
    #[default]
    Pause,
    /// The rest fails.
    Stop,
}

/// How fast and how wide a run may go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// How fast publications start; `None` when nothing is written, which means 1/s, and no
    /// limit on a devnet.
    pub publish_rate: Option<Rate>,
    /// How many may start at once after a quiet time.
    pub burst: NonZeroU32,
    /// How many tasks may be open on chain, in the whole run.
    pub in_flight: NonZeroU32,
    /// Calls to the node; `None` when nothing is written, which means 20/s, and no limit on a
    /// devnet.
    pub rpc_rate: Option<Rate>,
    /// Uploads to the pin service; `None` when nothing is written, which means 10/s, and no
    /// limit on a devnet.
    pub pin_rate: Option<Rate>,
}

impl Default for Limits {
    /// No rates written, bursts of 1, 200 open tasks.
    fn default() -> Self {
        Self {
            publish_rate: None,
            burst: NonZeroU32::MIN,
            in_flight: NonZeroU32::new(200).expect("200 is not 0"),
            rpc_rate: None,
            pin_rate: None,
        }
    }
}

/// A value that is shown at the end of a run.
#[derive(Clone, Debug, PartialEq)]
pub struct Output {
    /// Its name.
    pub name: String,
    /// What it is made from.
    pub value: WrittenTemplate,
    /// The steps that it reads, each once.
    pub reads: Vec<crate::units::StepName>,
}
