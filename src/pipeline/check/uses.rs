//! `uses` and `with`: which template a step takes, and what it gives to it.

use std::sync::Arc;

use serde_json::{Map, Value};

use super::Check;
use super::shape::{get, value};
use super::step::StepKeys;
use super::template::{built_in, check_template};
use crate::pipeline::document::{Body, Node};
use crate::pipeline::expr::{ExprError, Template};
use crate::pipeline::forms;
use crate::pipeline::problem::{Code, Severity, Span};
use crate::pipeline::step::{StepRead, Task};
use crate::pipeline::template::{BadInput, InputFault, TaskTemplate};
use crate::pipeline::written::{Written, WrittenTemplate};

impl Check<'_> {
    pub(super) fn uses(
        &mut self,
        uses: &Node,
        keys: &StepKeys<'_>,
        reads: &mut Vec<StepRead>,
    ) -> Option<Task> {
        for key in ["function", "data", "extra"] {
            if let Some(entry) = get(keys.own, key) {
                let message = format!("`uses` and `{key}` exclude each other");
                let problem = self.reader.problem(Code::E0203, entry.key_span, message);
                self.reader.push(problem.help("the template says it; give inputs under `with`"));
            }
        }
        let template = self.template_of(uses);
        let with = match keys.own("with") {
            Some(node) => self.data_map(node, "with", reads),
            None => {
                let span = Span::new(uses.span.end(), 0);
                let nothing = Node { span, body: Body::Map(Vec::new()) };
                Some(Written::new(Template::Map(Vec::new()), &self.reader.file, &nothing))
            }
        };
        let (template, with) = (template?, with?);
        self.inputs_fit(&template, &with, uses);
        Some(Task::Template { template, with })
    }

    /// The template that `uses` names; its own problems are reported once.
    fn template_of(&mut self, node: &Node) -> Option<Arc<TaskTemplate>> {
        let name = self.reader.text(node, "uses")?;
        if let Some((_, found)) = self.templates.iter().find(|(known, _)| *known == name) {
            return found.clone();
        }
        let found = match name.strip_prefix("builtin:") {
            Some(_) => self.built_in_template(node, &name),
            None => self.project_template(node, &name),
        };
        self.templates.push((name, found.clone()));
        found
    }

    fn built_in_template(&mut self, node: &Node, name: &str) -> Option<Arc<TaskTemplate>> {
        let all = built_in();
        let bare = name.strip_prefix("builtin:").unwrap_or(name);
        if let Some(found) = all.iter().find(|template| template.name == bare) {
            return Some(Arc::clone(found));
        }
        let names: Vec<&str> = all.iter().map(|template| template.name.as_str()).collect();
        let hint = match forms::closest(bare, names.iter().copied()) {
            Some(meant) => format!("did you mean `builtin:{meant}`?"),
            None => "`ogflow templates list` shows the built-in ones".to_owned(),
        };
        let error = ExprError::new(Code::E0302, format!("there is no template `{name}`"));
        self.reader.refuse(node, error.hint(hint));
        None
    }

    fn project_template(&mut self, node: &Node, path: &str) -> Option<Arc<TaskTemplate>> {
        let span = node.mark(&self.reader.file);
        if !path.ends_with(".yaml") && !path.ends_with(".yml") {
            let message = format!("`{path}` is not the path of a template");
            let help = format!("write `./templates/{path}.yaml`, or `builtin:NAME`");
            let problem = self.reader.problem(Code::E0307, span, message);
            self.reader.push(problem.help(help));
            return None;
        }
        let file = match self.setting.loader.text(&self.reader.file.name, path) {
            Ok(file) => file,
            Err(error) => {
                self.unloadable(span, &error);
                return None;
            }
        };
        self.parts.push(Arc::clone(&file));
        let (template, problems) = check_template(&file, self.setting.loader);
        let mut refused = false;
        for problem in problems {
            refused |= problem.severity() == Severity::Error;
            self.reader.push(problem);
        }
        template.filter(|_| !refused).map(|template| {
            self.parts.extend(template.parts.iter().map(Arc::clone));
            Arc::new(template)
        })
    }

    /// E0311 for inputs that are unknown, missing, or known now and wrong.
    fn inputs_fit(&mut self, template: &TaskTemplate, with: &WrittenTemplate, uses: &Node) {
        let (Body::Map(entries), Template::Map(values)) = (&with.node.body, &with.value) else {
            return;
        };
        for (entry, (name, written)) in entries.iter().zip(values) {
            let Some(input) = template.input(name) else {
                self.reader.push(*template.problem(with, template.unknown(name)));
                continue;
            };
            let fixed = written.references().iter().all(|found| found.path[0] == "params");
            if !fixed || (self.params.is_none() && !written.is_constant()) {
                continue;
            }
            let Ok(given) = written.evaluate(&self.scope) else { continue };
            if let Err(mismatch) = input.schema.check(&given) {
                let place = inner(&entry.value, &mismatch.path).mark(&self.reader.file);
                let reason = InputFault::Mismatch(mismatch);
                let bad = BadInput { input: name.clone(), reason };
                let mut problem = template.problem(with, bad);
                problem.span = Some(place);
                self.reader.push(*problem);
            }
        }
        for input in template.inputs.iter().filter(|input| input.default.is_none()) {
            if value(entries, &input.name).is_none() {
                let bad = BadInput { input: input.name.clone(), reason: InputFault::Missing };
                let mut problem = template.problem(with, bad);
                if entries.is_empty() {
                    problem.span = Some(uses.mark(&self.reader.file));
                }
                self.reader.push(*problem);
            }
        }
    }
}

/// The node at a JSON pointer, as far as the tree follows it.
fn inner<'n>(node: &'n Node, pointer: &str) -> &'n Node {
    pointer.split('/').skip(1).fold(node, |node, part| {
        let next = match &node.body {
            Body::Map(entries) => value(entries, part),
            Body::List(nodes) => part.parse().ok().and_then(|at: usize| nodes.get(at)),
            Body::Scalar(_) | Body::Broken => None,
        };
        next.unwrap_or(node)
    })
}

/// The entries of a map of JSON.
pub(super) fn json_map(value: Value) -> Option<Map<String, Value>> {
    match value {
        Value::Object(map) => Some(map),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_) => {
            None
        }
    }
}
