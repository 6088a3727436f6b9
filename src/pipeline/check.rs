//! A file against the language: from the tree to a [`Pipeline`], with every problem on the way.

mod foreach;
mod graph;
mod names;
mod params;
mod policy;
mod price;
mod shape;
mod sources;
mod step;
mod template;
mod top;
mod uses;
mod values;

#[cfg(test)]
mod tests;

use std::sync::Arc;

use serde_json::{Map, Value};

use names::Names;
use params::Declared;
use shape::{Keys, Reader, value};
use sources::Aliases;

pub use params::ParamValue;
pub use template::{built_in, check_template};

use super::document::{self, Body, Entry, Node};
use super::expr::{Datum, Scope};
use super::loader::Loader;
use super::problem::{Code, Problem, Severity, SourceText, errors_last};
use super::template::TaskTemplate;
use super::{Budget, Limits, Output, Pipeline, Step};
use crate::units::text::counted;
use crate::units::{Network, StepName};

/// What a file is checked against, besides the language.
#[derive(Clone, Copy)]
pub struct Setting<'a> {
    /// Reads the files that the pipeline names.
    pub loader: &'a dyn Loader,
    /// The params given for this run, in the order of giving.
    pub params: &'a [(String, ParamValue)],
    /// The network that it is to run on.
    pub network: &'a Network,
}

impl Pipeline {
    /// Checks a file. The pipeline is there exactly when no problem is an error.
    ///
    /// All problems come in one go, warnings first; within a step in the order source, function,
    /// data, payment, expiry, then the rest.
    pub fn check(file: &Arc<SourceText>, setting: Setting<'_>) -> (Option<Self>, Vec<Problem>) {
        let (root, mut problems) = document::read(file);
        let mut pipeline = None;
        if let Some(root) = root {
            let mut check = Check::new(file, setting);
            pipeline = check.pipeline(&root);
            problems.append(&mut check.reader.problems);
        }
        errors_last(&mut problems);
        shorten(&mut problems);
        let refused = problems.iter().any(|problem| problem.severity() == Severity::Error);
        (pipeline.filter(|_| !refused), problems)
    }
}

/// The most problems of one file that are told.
const MAX_PROBLEMS: usize = 200;

/// Cuts a list that nobody would read to its end, and says so. Errors are behind warnings, so
/// warnings go first.
fn shorten(problems: &mut Vec<Problem>) {
    let left = problems.len().saturating_sub(MAX_PROBLEMS);
    let warnings =
        problems.iter().take_while(|problem| problem.severity() == Severity::Warning).count();
    problems.drain(..left.min(warnings));
    let rest = problems.len().saturating_sub(MAX_PROBLEMS);
    if rest > 0 {
        problems.truncate(MAX_PROBLEMS);
        if let Some(last) = problems.last().cloned() {
            let message = format!("not shown: {}", counted(rest, "more problem"));
            problems.push(Problem::new(last.code, &last.file, None, message));
        }
    }
}

/// The keys of a pipeline file.
const TOP: Keys = Keys {
    known: &[
        "version",
        "kind",
        "name",
        "description",
        "params",
        "secrets",
        "sources",
        "budget",
        "limits",
        "defaults",
        "steps",
        "outputs",
        "tag",
    ],
    later: &["notify"],
};

/// One file on its way to a pipeline.
struct Check<'a> {
    reader: Reader,
    setting: Setting<'a>,
    names: Names,
    /// The values of the params; `None` when they could not be had.
    params: Option<Map<String, Value>>,
    /// Sees the params.
    scope: Scope,
    aliases: Aliases,
    budget: Budget,
    /// Templates by what `uses` says; `None` for those with errors.
    templates: Vec<(String, Option<Arc<TaskTemplate>>)>,
    /// Files that were read on the way.
    parts: Vec<Arc<SourceText>>,
    /// Which step reads which, also of steps that are refused.
    edges: Vec<graph::Edge>,
}

impl<'a> Check<'a> {
    fn new(file: &Arc<SourceText>, setting: Setting<'a>) -> Self {
        Self {
            reader: Reader::new(file),
            setting,
            names: Names::default(),
            params: None,
            scope: Scope::empty(),
            aliases: Aliases::default(),
            budget: Budget::default(),
            templates: Vec::new(),
            parts: Vec::new(),
            edges: Vec::new(),
        }
    }

    fn pipeline(&mut self, root: &Node) -> Option<Pipeline> {
        let Body::Map(entries) = &root.body else {
            let span = root.mark(&self.reader.file);
            let message = format!("a pipeline is a map of keys, not {}", root.kind());
            let problem = self.reader.problem(Code::E0202, span, message);
            self.reader.push(problem.help("it starts with `version: 1`, `name` and `steps`"));
            return None;
        };
        if !self.reader.version(entries) {
            return None;
        }
        self.reader.kind(entries, "pipeline");
        let name = self.reader.name_key(root, entries);
        let description =
            value(entries, "description").and_then(|node| self.reader.text(node, "description"));
        self.read_params(entries);
        self.read_secrets(entries);
        self.read_sources(entries);
        self.budget = self.read_budget(entries);
        let limits = self.read_limits(entries);
        let defaults = self.read_defaults(entries);
        let steps = self.read_steps(root, entries, defaults);
        let outputs = self.read_outputs(entries);
        let tag = value(entries, "tag").map(|node| self.reader.boolean(node, "tag"));
        self.reader.unknown_keys(entries, TOP);
        self.report_circles();
        self.warn_of_widths(&steps);
        Some(Pipeline {
            file: Arc::clone(&self.reader.file),
            parts: std::mem::take(&mut self.parts),
            name: name?,
            description,
            params: self.params.take()?,
            sources: self.aliases.resolved(),
            budget: std::mem::take(&mut self.budget),
            limits: limits?,
            steps,
            outputs,
            only: Vec::new(),
            tag: tag.unwrap_or(Some(true))?,
        })
    }

    fn read_params(&mut self, entries: &[Entry]) {
        let mut declared: Vec<Declared> = Vec::new();
        let mut broken = false;
        if let Some(node) = value(entries, "params") {
            if let Some(params) = self.reader.map(node, "params") {
                self.names.params = params.iter().map(|entry| entry.key.clone()).collect();
                let env = Some(self.setting.loader);
                declared = self.reader.declarations(params, "a param", env);
                broken = declared.len() != params.len();
            } else {
                broken = true;
            }
        }
        if broken {
            return;
        }
        self.params = self.reader.param_values(&declared, self.setting.params);
        if let Some(params) = &self.params {
            let values = Datum::from_json(&Value::Object(params.clone()));
            self.scope = self.scope.with("params", values);
        }
    }

    fn read_steps(&mut self, root: &Node, entries: &[Entry], defaults: &[Entry]) -> Vec<Step> {
        let Some(node) = value(entries, "steps") else {
            let span = root.mark(&self.reader.file);
            let problem = self.reader.problem(Code::E0204, span, "`steps` is missing");
            self.reader.push(problem.help("a pipeline has at least one step under `steps`"));
            return Vec::new();
        };
        let Some(steps) = self.reader.map(node, "steps") else { return Vec::new() };
        if steps.is_empty() {
            let span = node.mark(&self.reader.file);
            let problem = self.reader.problem(Code::E0204, span, "`steps` is empty");
            self.reader.push(problem.help("a pipeline has at least one step"));
        }
        self.names.steps = steps
            .iter()
            .map(|entry| {
                let many = match &entry.value.body {
                    Body::Map(keys) => value(keys, "foreach").is_some(),
                    Body::Scalar(_) | Body::List(_) | Body::Broken => false,
                };
                (entry.key.clone(), many)
            })
            .collect();
        let mut read = Vec::new();
        for entry in steps {
            self.reader.step = Some(entry.key.clone());
            read.extend(self.step(entry, defaults));
            self.reader.step = None;
        }
        read
    }

    fn read_outputs(&mut self, entries: &[Entry]) -> Vec<Output> {
        let Some(node) = value(entries, "outputs") else { return Vec::new() };
        let Some(outputs) = self.reader.map(node, "outputs") else { return Vec::new() };
        let mut all = Vec::new();
        for entry in outputs {
            let Some(written) = self.reader.template(&entry.value) else { continue };
            let references = written.references();
            self.reader.names(&references, names::Place::Outputs, &self.names);
            let mut reads: Vec<StepName> = Vec::new();
            for reference in references.iter().filter(|found| found.path[0] == "steps") {
                let step = reference.path.get(1).and_then(|name| StepName::parse(name));
                reads.extend(step.filter(|step| !reads.contains(step)));
            }
            all.push(Output { name: entry.key.clone(), value: written, reads });
        }
        all
    }

    fn read_limits(&mut self, entries: &[Entry]) -> Option<Limits> {
        match value(entries, "limits") {
            Some(node) => self.reader.limits(node),
            None => Some(Limits::default()),
        }
    }
}
