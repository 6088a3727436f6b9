//! Task templates: a task with typed inputs, written once and used by many steps.

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Map, Value};

use super::document::Body;
use super::expr::{Datum, ExprError, Scope};
use super::policy::Accept;
use super::price::Complexity;
use super::problem::{Code, Problem, SourceText};
use super::schema::{Mismatch, Schema};
use super::step::TaskBody;
use super::written::{WrittenTemplate, at};

/// A task with typed inputs.
#[derive(Clone, Debug)]
pub struct TaskTemplate {
    /// Its name.
    pub name: String,
    /// Where it comes from.
    pub origin: Origin,
    /// The file that it was read from.
    pub file: Arc<SourceText>,
    /// The schema files that it names.
    pub parts: Vec<Arc<SourceText>>,
    /// One line about it.
    pub description: Option<String>,
    /// More about it.
    pub docs: Option<String>,
    /// What kind of work it is.
    pub category: Option<Category>,
    /// What it is good for.
    pub use_cases: Vec<UseCase>,
    /// Its inputs, in the order of declaration.
    pub inputs: Vec<Input>,
    /// The handler's name.
    pub function: String,
    /// The handler's input, a map; sees `inputs` only.
    pub data: WrittenTemplate,
    /// Keys beside `data` in the config; sees `inputs` only.
    pub extra: Option<WrittenTemplate>,
    /// How long its tasks live, where the step does not say.
    pub expires: Option<Duration>,
    /// What class of work it is.
    pub complexity: Option<Complexity>,
    /// Which outputs are good enough; `when` sees `inputs` and `output`.
    pub accept: Accept,
    /// Examples with what should come of them.
    pub tests: Vec<TemplateTest>,
}

/// Where a template comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// Part of ogflow.
    BuiltIn,
    /// A file of the project.
    Project,
}

/// What kind of work a template does (Tasks page).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Category {
    /// Chat, classification, summaries, translation.
    Text,
    /// Pictures, sound, video.
    Media,
    /// Statistics, simulation, transformation of data.
    Compute,
}

impl Category {
    /// The words.
    pub const WORDS: &'static [&'static str] = &["text", "media", "compute"];

    /// The category that a word means.
    pub fn parse(word: &str) -> Option<Self> {
        match word {
            "text" => Some(Self::Text),
            "media" => Some(Self::Media),
            "compute" => Some(Self::Compute),
            _ => None,
        }
    }

    /// The word for it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Text => "text",
            Self::Media => "media",
            Self::Compute => "compute",
        }
    }
}

/// What a template is good for (Tasks page).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UseCase {
    /// Research.
    Research,
    /// Creative work.
    Creative,
    /// Machine learning.
    AiMl,
    /// Business.
    Business,
}

impl UseCase {
    /// The words.
    pub const WORDS: &'static [&'static str] = &["research", "creative", "ai-ml", "business"];

    /// The use that a word means.
    pub fn parse(word: &str) -> Option<Self> {
        match word {
            "research" => Some(Self::Research),
            "creative" => Some(Self::Creative),
            "ai-ml" => Some(Self::AiMl),
            "business" => Some(Self::Business),
            _ => None,
        }
    }

    /// The word for it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Research => "research",
            Self::Creative => "creative",
            Self::AiMl => "ai-ml",
            Self::Business => "business",
        }
    }
}

/// One input of a template.
#[derive(Clone, Debug)]
pub struct Input {
    /// Its name.
    pub name: String,
    /// What its value must match.
    pub schema: Schema,
    /// What it is.
    pub description: Option<String>,
    /// Its value when none is given; `None` makes it required.
    pub default: Option<Value>,
    /// Values that show what is meant.
    pub examples: Vec<Value>,
}

impl Input {
    /// As lists show it: `text`, `stars?` or `temperature=0`.
    pub fn shorthand(&self) -> String {
        match &self.default {
            None => self.name.clone(),
            Some(Value::Null) => format!("{}?", self.name),
            Some(value) => format!("{}={value}", self.name),
        }
    }
}

/// An example of a template with what should come of it.
#[derive(Clone, Debug)]
pub struct TemplateTest {
    /// What it shows.
    pub name: String,
    /// The inputs.
    pub with: Map<String, Value>,
    /// What the data must be, if that is part of it.
    pub data: Option<Value>,
    /// An output to check.
    pub output: Option<Value>,
    /// Whether the output should be accepted.
    pub accepted: Option<bool>,
}

/// Why the values given to a template are refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BadInput {
    /// The input.
    pub input: String,
    /// What is wrong with it.
    pub reason: InputFault,
}

/// What is wrong with a value given to a template.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum InputFault {
    /// The template has no input of that name; the closest name is given.
    Unknown(Option<String>),
    /// There is no value, and no default.
    Missing,
    /// The value does not match the input's schema.
    Mismatch(Mismatch),
}

impl TaskTemplate {
    /// The inputs with their defaults filled in.
    ///
    /// # Errors
    /// The first input, in the order of declaration, that is missing or does not match; an
    /// unknown one first of all.
    pub fn inputs(&self, given: &Map<String, Value>) -> Result<Value, BadInput> {
        if let Some(name) = given.keys().find(|name| self.input(name).is_none()) {
            return Err(self.unknown(name));
        }
        let mut inputs = Map::with_capacity(self.inputs.len());
        for input in &self.inputs {
            let bad = |reason| BadInput { input: input.name.clone(), reason };
            let value = match given.get(&input.name) {
                Some(value) => {
                    let fits = input.schema.check(value);
                    fits.map_err(|mismatch| bad(InputFault::Mismatch(mismatch)))?;
                    value.clone()
                }
                None => input.default.clone().ok_or_else(|| bad(InputFault::Missing))?,
            };
            inputs.insert(input.name.clone(), value);
        }
        Ok(Value::Object(inputs))
    }

    /// The input of that name.
    pub fn input(&self, name: &str) -> Option<&Input> {
        self.inputs.iter().find(|input| input.name == name)
    }

    pub(super) fn unknown(&self, name: &str) -> BadInput {
        let known = self.inputs.iter().map(|input| input.name.as_str());
        let closest = super::forms::closest(name, known).map(str::to_owned);
        BadInput { input: name.to_owned(), reason: InputFault::Unknown(closest) }
    }

    /// What goes to the provider, from inputs that [`inputs`](Self::inputs) gave.
    ///
    /// # Errors
    /// E0204 when the data comes out empty, and what evaluation may give.
    pub fn render(&self, inputs: Value) -> Result<TaskBody, Box<Problem>> {
        let scope = Scope::empty().with("inputs", Datum::from_json(&inputs));
        let extra = self.extra.as_ref().map(|extra| extra.evaluate(&scope)).transpose()?;
        let body = TaskBody {
            function: self.function.clone(),
            data: super::step::object(self.data.evaluate(&scope)?),
            extra: extra.map(super::step::object).unwrap_or_default(),
            inputs: Some(inputs),
        };
        if body.data.is_empty() {
            let error = ExprError::new(Code::E0204, "Input data is required");
            return Err(Box::new(self.data.problem(error)));
        }
        Ok(body)
    }

    /// E0311 for values that were refused, at the value in the step's `with`.
    pub(super) fn problem(&self, with: &WrittenTemplate, bad: BadInput) -> Box<Problem> {
        let name = &self.name;
        let BadInput { input, reason } = bad;
        let entry = match &with.node.body {
            Body::Map(entries) => entries.iter().find(|entry| entry.key == input),
            Body::Scalar(_) | Body::List(_) | Body::Broken => None,
        };
        let place = match (entry, &reason) {
            (Some(entry), InputFault::Mismatch(_)) => entry.value.mark(&with.file),
            (Some(entry), InputFault::Unknown(_) | InputFault::Missing) => entry.key_span,
            (None, _) => with.span(),
        };
        let (message, hint) = match reason {
            InputFault::Unknown(closest) => {
                let hint = match closest {
                    Some(closest) => format!("did you mean `{closest}`?"),
                    None => format!("its inputs are {}", self.names()),
                };
                (format!("template `{name}` has no input `{input}`"), hint)
            }
            InputFault::Missing => (
                format!("template `{name}` needs a value for its input `{input}`"),
                format!("add `{input}:` under `with`"),
            ),
            InputFault::Mismatch(mismatch) => (
                format!("input `{input}` of template `{name}` does not fit: {mismatch}"),
                format!("`ogflow templates show {name}` tells what it takes"),
            ),
        };
        let error = ExprError::new(Code::E0311, message).hint(hint);
        let mut problem = at(&with.file, &with.node, error);
        problem.span = Some(place);
        Box::new(problem)
    }

    fn names(&self) -> String {
        let names: Vec<_> = self.inputs.iter().map(|input| format!("`{}`", input.name)).collect();
        names.join(", ")
    }
}
