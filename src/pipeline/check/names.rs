//! Which names an expression may read where (language.md, section 8).

use super::shape::Reader;
use crate::pipeline::expr::Reference;
use crate::pipeline::forms;
use crate::pipeline::problem::{Code, Problem};

/// The key that an expression stands in, which decides what it sees.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// `params.*.default`.
    ParamDefault,
    /// `foreach`, `if`.
    Start,
    /// `filter`, `key`.
    Shaping,
    /// `data`, `extra`, `with`.
    Data,
    /// `payment`, `expires`.
    Price,
    /// `source`, `foreach.limit`, `foreach.file`, `save`.
    Fixed,
    /// `accept.when` of a step.
    Accept,
    /// `outputs`.
    Outputs,
    /// `task` of a template.
    TemplateTask,
    /// `accept.when` of a template.
    TemplateAccept,
}

impl Place {
    const fn roots(self) -> &'static [&'static str] {
        match self {
            Self::ParamDefault => &["env"],
            Self::Start | Self::Outputs => &["params", "steps", "run"],
            Self::Shaping | Self::Data => &["params", "steps", "item", "index"],
            Self::Price => &["params", "item"],
            Self::Fixed => &["params"],
            Self::Accept => &["output", "params", "item"],
            Self::TemplateTask => &["inputs"],
            Self::TemplateAccept => &["inputs", "output"],
        }
    }
}

/// All names of the language.
const ROOTS: &[&str] =
    &["params", "steps", "item", "index", "run", "inputs", "output", "env", "secrets"];
/// Names of the language that come later.
const LATER: &[&str] = &["matrix", "batch", "group"];
/// What a step offers to others.
const STEP_FIELDS: &[&str] = &["output", "outputs", "results", "failed", "count", "spent"];
/// What is known of a run.
const RUN_FIELDS: &[&str] = &["id", "network", "started_at"];

/// What the items of a step look like.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) enum ItemShape {
    /// There are none: the step has no `foreach`.
    #[default]
    None,
    /// Rows with these columns.
    Columns(Vec<String>),
    /// Something whose fields are seen only at run time; whether it comes from outputs.
    Unknown {
        /// Whether a provider's output is part of it.
        from_outputs: bool,
    },
    /// Results of another step, or files of a glob: these fields.
    Fields {
        /// The names.
        names: &'static [&'static str],
        /// Whether a provider's output is part of it.
        from_outputs: bool,
    },
}

/// What can be named.
#[derive(Clone, Debug, Default)]
pub(super) struct Names {
    /// The params.
    pub(super) params: Vec<String>,
    /// The steps, each with whether it has many tasks.
    pub(super) steps: Vec<(String, bool)>,
    /// The inputs of a template.
    pub(super) inputs: Vec<String>,
    /// The items of the step that is being read.
    pub(super) items: ItemShape,
    /// Whether the step has keys that come later, which make the names that come later.
    pub(super) shaped_later: bool,
}

impl Reader {
    /// Reports every reference to something that is not there or not visible.
    pub(super) fn names(&mut self, references: &[Reference], place: Place, names: &Names) {
        for reference in references {
            if let Some(problem) = self.name(reference, place, names) {
                self.push(problem);
            }
        }
    }

    fn name(&self, reference: &Reference, place: Place, names: &Names) -> Option<Problem> {
        let root = reference.path[0].as_str();
        if LATER.contains(&root) && names.shaped_later {
            // The key was told already, and says more than each use of its name.
            return None;
        }
        if !place.roots().contains(&root) {
            return Some(self.invisible(reference, place));
        }
        match root {
            "params" => self.member(reference, "param", &names.params, Code::E0302),
            "inputs" => self.member(reference, "input", &names.inputs, Code::E0302),
            "steps" => self.step_member(reference, names),
            "item" => self.item(reference, place, &names.items),
            "run" => {
                let fields: Vec<_> = RUN_FIELDS.iter().map(ToString::to_string).collect();
                self.member(reference, "field of `run`", &fields, Code::E0302)
            }
            "index" if place == Place::Data => {
                let message = "`index` in data makes a task depend on its position";
                Some(
                    self.problem(Code::W0710, reference.span, message)
                        .help("use a field of the item, which stays the same when rows move"),
                )
            }
            "index" if names.items == ItemShape::None => Some(self.no_items(reference)),
            _ => None,
        }
    }

    /// A name that exists elsewhere, or nowhere.
    fn invisible(&self, reference: &Reference, place: Place) -> Problem {
        let root = reference.path[0].as_str();
        let at = reference.parts[0];
        let visible = super::shape::quoted(place.roots());
        if root == "secrets" {
            let message = "a secret here would become public";
            return self
                .problem(Code::E0501, reference.span, message)
                .help("task inputs are public; secrets are usable only in `notify.headers`");
        }
        if root == "env" {
            return self
                .problem(Code::E0502, at, "`env()` is allowed only in the default of a param")
                .help("declare a param with `default: \"{{ env('NAME') }}\"` and use the param");
        }
        let tainted = matches!(place, Place::Price | Place::Fixed);
        if tainted && matches!(root, "steps" | "output") {
            return self
                .problem(
                    Code::E0503,
                    reference.span,
                    "an output must not reach money, a source or a path",
                )
                .help(format!("what a provider sent is data only; visible here: {visible}"));
        }
        if LATER.contains(&root) {
            return self
                .problem(Code::E0214, at, format!("`{root}` is not supported yet"))
                .help(format!("visible here: {visible}"));
        }
        if ROOTS.contains(&root) {
            let help = match (root, place) {
                ("output", _) => "`output` exists only in `accept`".to_owned(),
                ("item", Place::Start | Place::Outputs | Place::Fixed) => {
                    format!("`item` exists only per item; visible here: {visible}")
                }
                _ => format!("visible here: {visible}"),
            };
            return self
                .problem(Code::E0314, at, format!("`{root}` is not visible here"))
                .help(help);
        }
        let help = match forms::closest(root, place.roots().iter().copied()) {
            Some(meant) => format!("did you mean `{meant}`?"),
            None => format!("visible here: {visible}"),
        };
        self.problem(Code::E0302, at, format!("there is no `{root}`")).help(help)
    }

    /// `params.x`, `inputs.x`: the second name must be declared.
    fn member(
        &self,
        reference: &Reference,
        what: &str,
        known: &[String],
        code: Code,
    ) -> Option<Problem> {
        let (name, at) = (reference.path.get(1)?, *reference.parts.get(1)?);
        if known.contains(name) {
            return None;
        }
        let problem = self.problem(code, at, format!("there is no {what} `{name}`"));
        Some(suggest(problem, name, known.iter().map(String::as_str)))
    }

    fn step_member(&self, reference: &Reference, names: &Names) -> Option<Problem> {
        let (name, at) = (reference.path.get(1)?, *reference.parts.get(1)?);
        let Some((_, many)) = names.steps.iter().find(|(step, _)| step == name) else {
            let problem = self.problem(Code::E0301, at, format!("there is no step `{name}`"));
            let known = names.steps.iter().map(|(step, _)| step.as_str());
            return Some(suggest(problem, name, known));
        };
        let (field, at) = (reference.path.get(2)?, *reference.parts.get(2)?);
        if field == "output" && *many {
            return Some(
                self.problem(Code::E0305, at, format!("step `{name}` has many outputs"))
                    .help(format!("read the list `steps.{name}.outputs`, or `.results`")),
            );
        }
        if STEP_FIELDS.contains(&field.as_str()) {
            return None;
        }
        let problem = self.problem(Code::E0302, at, format!("a step has no `{field}`"));
        Some(suggest(problem, field, STEP_FIELDS.iter().copied()))
    }

    fn no_items(&self, reference: &Reference) -> Problem {
        let root = &reference.path[0];
        self.problem(Code::E0314, reference.parts[0], format!("`{root}` needs `foreach`"))
            .help("a step without `foreach` has one task and no items")
    }

    fn item(&self, reference: &Reference, place: Place, items: &ItemShape) -> Option<Problem> {
        let from_outputs = match items {
            ItemShape::None => return Some(self.no_items(reference)),
            ItemShape::Columns(_) => false,
            ItemShape::Unknown { from_outputs } | ItemShape::Fields { from_outputs, .. } => {
                *from_outputs
            }
        };
        if from_outputs && place == Place::Price {
            let message = "an output must not reach money";
            return Some(
                self.problem(Code::E0503, reference.span, message)
                    .help("the items of this step hold what providers sent; use params"),
            );
        }
        let (name, at) = (reference.path.get(1)?, *reference.parts.get(1)?);
        if reference.optional {
            return None;
        }
        match items {
            ItemShape::None | ItemShape::Unknown { .. } => None,
            ItemShape::Columns(columns) => {
                if columns.contains(name) {
                    return None;
                }
                let problem = self.problem(Code::E0303, at, format!("there is no column `{name}`"));
                Some(suggest(problem, name, columns.iter().map(String::as_str)))
            }
            ItemShape::Fields { names, .. } => {
                if names.contains(&name.as_str()) {
                    return None;
                }
                let problem = self.problem(Code::E0302, at, format!("the items have no `{name}`"));
                Some(suggest(problem, name, names.iter().copied()))
            }
        }
    }
}

/// Adds what was probably meant, or all there is.
fn suggest<'a>(
    problem: Problem,
    name: &str,
    known: impl Iterator<Item = &'a str> + Clone,
) -> Problem {
    match forms::closest(name, known.clone()) {
        Some(meant) => problem.help(format!("did you mean `{meant}`?")),
        None => {
            let mut all: Vec<_> = known.take(21).collect();
            if all.is_empty() {
                return problem.help("none is declared");
            }
            let more = if all.len() > 20 { ", …" } else { "" };
            all.truncate(20);
            problem.help(format!("there are {}{more}", super::shape::quoted(&all)))
        }
    }
}
