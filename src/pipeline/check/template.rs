//! Template files, and the templates that are part of ogflow.

use std::sync::{Arc, OnceLock};

use serde_json::Value;

use super::names::{Names, Place};
use super::shape::{Keys, get, value};
use super::step::StepKeys;
use super::uses::json_map;
use super::{Check, Setting};
use crate::pipeline::document::{self, Body, Entry, Node};
use crate::pipeline::forms;
use crate::pipeline::loader::{Loader, NoFiles};
use crate::pipeline::policy::Accept;
use crate::pipeline::problem::{Code, Problem, SourceText, Span, errors_last};
use crate::pipeline::template::{Category, Input, Origin, TaskTemplate, TemplateTest, UseCase};
use crate::pipeline::written::WrittenTemplate;
use crate::units::Network;

/// The keys of a template file.
const TEMPLATE: Keys = Keys {
    known: &[
        "version",
        "kind",
        "name",
        "description",
        "docs",
        "category",
        "use_cases",
        "inputs",
        "task",
        "accept",
        "tests",
    ],
    later: &[],
};
/// The keys of `task`.
const TASK: Keys =
    Keys { known: &["function", "data", "extra", "expires", "complexity"], later: &[] };
/// The keys of one of the `tests`.
const TEST: Keys = Keys { known: &["name", "with", "data", "output", "accepted"], later: &[] };

/// The templates that are part of ogflow, by name.
///
/// # Panics
/// When one of them has an error, which a test rules out.
pub fn built_in() -> &'static [Arc<TaskTemplate>] {
    static ALL: OnceLock<Vec<Arc<TaskTemplate>>> = OnceLock::new();
    ALL.get_or_init(|| {
        [
            include_str!("../builtin/openchat-text2text.yaml"),
            include_str!("../builtin/openchat-text2image.yaml"),
            include_str!("../builtin/hf-inference.yaml"),
        ]
        .map(|text| {
            let file = SourceText::new("built in", text);
            let (template, _) = check_template(&file, &NoFiles);
            let template = template.expect("the built-in templates are checked by a test");
            Arc::new(TaskTemplate { origin: Origin::BuiltIn, ..template })
        })
        .to_vec()
    })
}

/// Checks a template file. The template is there exactly when no problem is an error.
pub fn check_template(
    file: &Arc<SourceText>,
    loader: &dyn Loader,
) -> (Option<TaskTemplate>, Vec<Problem>) {
    let (root, mut problems) = document::read(file);
    let mut template = None;
    if let Some(root) = root {
        // A template sees no network; the devnet stands in for it.
        let network = Network::devnet();
        let mut check = Check::new(file, Setting { loader, params: &[], network: &network });
        template = check.template(&root);
        problems.append(&mut check.reader.problems);
    }
    errors_last(&mut problems);
    let refused = problems
        .iter()
        .any(|problem| problem.severity() == crate::pipeline::problem::Severity::Error);
    (template.filter(|_| !refused), problems)
}

impl Check<'_> {
    fn template(&mut self, root: &Node) -> Option<TaskTemplate> {
        let entries = self.reader.map(root, "a template")?;
        if !self.reader.version(entries) {
            return None;
        }
        self.reader.kind(entries, "template");
        let name = self.reader.name_key(root, entries);
        let mut text = |key: &str| value(entries, key).and_then(|n| self.reader.text(n, key));
        let (description, docs) = (text("description"), text("docs"));
        let category = self.category(entries);
        let use_cases = self.use_cases(entries);
        let inputs = self.inputs(entries);
        let task = self.template_task(root, entries);
        let accept = self.template_accept(entries);
        let tests = self.template_tests(entries);
        self.reader.unknown_keys(entries, TEMPLATE);
        let (function, data, extra, expires, complexity) = task?;
        Some(TaskTemplate {
            name: name?,
            origin: Origin::Project,
            file: Arc::clone(&self.reader.file),
            parts: std::mem::take(&mut self.parts),
            description,
            docs,
            category,
            use_cases,
            inputs,
            function,
            data,
            extra,
            expires,
            complexity,
            accept: accept?,
            tests,
        })
    }

    fn category(&mut self, entries: &[Entry]) -> Option<Category> {
        let node = value(entries, "category")?;
        let words =
            [("text", Category::Text), ("media", Category::Media), ("compute", Category::Compute)];
        self.reader.word(node, "category", &words)
    }

    fn use_cases(&mut self, entries: &[Entry]) -> Vec<UseCase> {
        let Some(node) = value(entries, "use_cases") else { return Vec::new() };
        let words = [
            ("research", UseCase::Research),
            ("creative", UseCase::Creative),
            ("ai-ml", UseCase::AiMl),
            ("business", UseCase::Business),
        ];
        let nodes = self.reader.list(node, "use_cases").unwrap_or_default();
        nodes.iter().filter_map(|node| self.reader.word(node, "use_cases", &words)).collect()
    }

    fn inputs(&mut self, entries: &[Entry]) -> Vec<Input> {
        let Some(node) = value(entries, "inputs") else { return Vec::new() };
        let Some(entries) = self.reader.map(node, "inputs") else { return Vec::new() };
        self.names.inputs = entries.iter().map(|entry| entry.key.clone()).collect();
        let declared = self.reader.declarations(entries, "an input", None);
        let input = |declared: super::Declared| {
            let source = declared.schema.source();
            let description = source.get("description").and_then(Value::as_str).map(str::to_owned);
            let examples = source.get("examples").and_then(Value::as_array);
            Input {
                name: declared.name,
                description,
                examples: examples.cloned().unwrap_or_default(),
                schema: declared.schema,
                default: declared.default,
            }
        };
        declared.into_iter().map(input).collect()
    }

    #[expect(clippy::type_complexity, reason = "the parts of one task, taken apart at once")]
    fn template_task(
        &mut self,
        root: &Node,
        entries: &[Entry],
    ) -> Option<(
        String,
        WrittenTemplate,
        Option<WrittenTemplate>,
        Option<std::time::Duration>,
        Option<crate::pipeline::Complexity>,
    )> {
        let Some(entry) = get(entries, "task") else {
            let span = root.mark(&self.reader.file);
            let problem = self.reader.problem(Code::E0204, span, "`task` is missing");
            self.reader.push(problem.help("add `task:` with `function` and `data`"));
            return None;
        };
        let task = self.reader.map(&entry.value, "task")?;
        let keys = StepKeys { own: task, defaults: &[], id: entry.key_span };
        let function = self.function(keys.own("function"), keys.id);
        let data = self.template_map(&keys, "data", true);
        let extra = self.template_map(&keys, "extra", false);
        if let Some(node) = keys.own("extra") {
            self.reserved_extra(node);
        }
        let expires = keys
            .own("expires")
            .map(|node| self.reader.form(node, ("expires", "a duration"), forms::expires));
        let complexity = keys.own("complexity").map(|node| self.complexity_word(node));
        self.reader.unknown_keys(task, TASK);
        let (expires, complexity) = (expires.unwrap_or(None), complexity.unwrap_or(None));
        Some((function?, data??, extra?, expires, complexity))
    }

    /// `data` or `extra` of a template: a map that sees its inputs.
    fn template_map(
        &mut self,
        keys: &StepKeys<'_>,
        key: &str,
        required: bool,
    ) -> Option<Option<WrittenTemplate>> {
        let node = keys.own(key);
        let empty = match node.map(|node| &node.body) {
            None => true,
            Some(Body::Map(entries)) => entries.is_empty(),
            Some(Body::Scalar(scalar)) => scalar.is_null(),
            Some(Body::List(_) | Body::Broken) => false,
        };
        if required && empty {
            let span = node.filter(|node| node.span.len > 0).map_or(keys.id, |node| node.span);
            self.reader.push(self.reader.problem(Code::E0204, span, "Input data is required"));
            return None;
        }
        let Some(node) = node else { return Some(None) };
        self.reader.map(node, key)?;
        let written = self.reader.template(node)?;
        self.reader.names(&written.references(), Place::TemplateTask, &self.names);
        Some(Some(written))
    }

    fn template_accept(&mut self, entries: &[Entry]) -> Option<Accept> {
        let Some(node) = value(entries, "accept") else { return Some(Accept::default()) };
        let entries = self.reader.map(node, "accept")?;
        let schema = match value(entries, "schema") {
            Some(node) => Some(self.output_schema(node)?),
            None => None,
        };
        let names: Names = self.names.clone();
        let when = match value(entries, "when") {
            Some(node) => self.reader.when(node, Place::TemplateAccept, &names),
            None => Vec::new(),
        };
        self.reader.unknown_keys(entries, super::policy::ACCEPT);
        Some(Accept { schema, when })
    }

    fn template_tests(&mut self, entries: &[Entry]) -> Vec<TemplateTest> {
        let Some(node) = value(entries, "tests") else { return Vec::new() };
        let nodes = self.reader.list(node, "tests").unwrap_or_default();
        nodes.iter().filter_map(|node| self.template_test(node)).collect()
    }

    fn template_test(&mut self, node: &Node) -> Option<TemplateTest> {
        let entries = self.reader.map(node, "tests")?;
        self.reader.unknown_keys(entries, TEST);
        let missing = |key: &str| value(entries, key).is_none();
        for key in ["name", "with"].into_iter().filter(|key| missing(key)) {
            let span: Span = node.mark(&self.reader.file);
            let message = format!("`{key}` is missing in a test");
            self.reader.push(self.reader.problem(Code::E0204, span, message));
        }
        let name = self.reader.text(value(entries, "name")?, "name")?;
        let mut json = |key: &str| value(entries, key).and_then(|n| self.reader.plain_json(n));
        let (with, data, output) = (json("with")?, json("data"), json("output"));
        let accepted = value(entries, "accepted").and_then(|n| self.reader.boolean(n, "accepted"));
        let Some(with) = json_map(with) else {
            self.reader.wrong_type(value(entries, "with")?, "with", "a map");
            return None;
        };
        Some(TemplateTest { name, with, data, output, accepted })
    }
}
