//! One step: first what the network needs of a task, in the order of the source pages, then the
//! rest.

use super::Check;
use super::names::{ItemShape, Place};
use super::shape::{Keys, get, value};
use crate::pipeline::document::{Entry, Node};
use crate::pipeline::expr::{ExprError, Reference};
use crate::pipeline::foreach::Foreach;
use crate::pipeline::forms;
use crate::pipeline::problem::{Code, Span};
use crate::pipeline::step::{ReadPlace, Step, StepRead, Task};
use crate::pipeline::written::{WrittenExpression, WrittenTemplate};
use crate::units::StepName;

/// The keys of a step.
const STEP: Keys = Keys {
    known: &[
        "description",
        "uses",
        "with",
        "source",
        "function",
        "data",
        "extra",
        "payment",
        "complexity",
        "expires",
        "foreach",
        "filter",
        "key",
        "max_items",
        "concurrency",
        "accept",
        "confirm",
        "retry",
        "allow_failures",
        "on_partial",
        "if",
        "needs",
        "save",
    ],
    later: &["matrix", "group_by", "batch", "canary", "redundancy", "cache"],
};

/// The keys of one step, and those of `defaults` behind them.
#[derive(Clone, Copy)]
pub(super) struct StepKeys<'n> {
    /// The step's own.
    pub(super) own: &'n [Entry],
    /// Those of `defaults`.
    pub(super) defaults: &'n [Entry],
    /// Where the step's id stands.
    pub(super) id: Span,
}

impl<'n> StepKeys<'n> {
    /// The step's own value, or else the default.
    pub(super) fn get(&self, key: &str) -> Option<&'n Node> {
        value(self.own, key).or_else(|| value(self.defaults, key))
    }

    /// Whether it has keys that come later and bring names of their own.
    fn shaped_later(&self) -> bool {
        ["group_by", "batch", "matrix"].iter().any(|key| self.own(key).is_some())
    }

    /// The step's own value.
    pub(super) fn own(&self, key: &str) -> Option<&'n Node> {
        value(self.own, key)
    }
}

impl Check<'_> {
    pub(super) fn step(&mut self, entry: &Entry, defaults: &[Entry]) -> Option<Step> {
        let bad_id = self.bad_id(entry, "a step");
        let own = self.reader.map(&entry.value, &entry.key)?;
        let keys = StepKeys { own, defaults, id: entry.key_span };
        let mut reads = Vec::new();

        self.names.shaped_later = keys.shaped_later();
        // What the items look like is needed first, but is reported in its turn.
        let before = self.reader.problems.len();
        let foreach = self.foreach(&keys, &mut reads);
        let about_items = self.reader.problems.split_off(before);

        let source = self.step_source(keys.get("source"), keys.id);
        let task = self.task(&keys, &mut reads);
        let complexity = self.complexity(&keys);
        let payment = self.payment(&keys, complexity);
        let expires = self.expires(&keys, task.as_ref());
        self.compare_with_complexity(&keys, (complexity, task.as_ref()), (&payment, &expires));
        self.reader.problems.extend(about_items);

        let filter = self.item_expression(&keys, "filter", &mut reads);
        let key = self.item_key(&keys, foreach.as_ref(), &mut reads);
        let max_items = self.count_key(&keys, "max_items", true);
        let concurrency = self.count_key(&keys, "concurrency", false);
        let accept = self.accept(&keys);
        self.confirm(&keys);
        let retry = self.retry(&keys, payment.as_ref());
        let allow_failures = self.allow_failures(&keys);
        let on_partial = self.on_partial(&keys);
        let condition = self.condition(&keys, &mut reads);
        let needs = self.needs(&keys, entry, &mut reads);
        let save = self.save(&keys);
        let description = keys.own("description").map(|node| self.reader.text(node, "description"));
        self.reader.unknown_keys(own, STEP);
        self.edges(entry, &reads);
        self.names.items = ItemShape::None;

        if bad_id {
            return None;
        }
        let span_of = |key: &str| keys.get(key).map_or(keys.id, |n| n.mark(&self.reader.file));
        Some(Step {
            name: StepName::parse(&entry.key)?,
            description: description.unwrap_or(None),
            span: keys.id,
            source: source?,
            task: task?,
            payment: payment?,
            payment_span: span_of("payment"),
            complexity: complexity?,
            expires: expires?,
            expires_span: span_of("expires"),
            foreach: foreach?,
            filter: filter?,
            key: key?,
            max_items: max_items?,
            concurrency: concurrency?,
            accept: accept?,
            retry: retry?,
            allow_failures: allow_failures?,
            on_partial: on_partial?,
            condition: condition?,
            needs: needs?,
            save: save?,
            reads,
        })
    }

    fn task(&mut self, keys: &StepKeys<'_>, reads: &mut Vec<StepRead>) -> Option<Task> {
        if let Some(uses) = keys.own("uses") {
            return self.uses(uses, keys, reads);
        }
        if let Some(entry) = get(keys.own, "with") {
            let message = "`with` gives inputs to a template, but there is no `uses`";
            let problem = self.reader.problem(Code::E0203, entry.key_span, message);
            self.reader.push(problem.help("add `uses:`, or write `function` and `data` instead"));
        }
        let function = self.function(keys.get("function"), keys.id);
        let data = self.data(keys, reads);
        let extra = self.extra(keys, reads);
        Some(Task::Direct { function: function?, data: data?, extra: extra? })
    }

    pub(super) fn function(&mut self, node: Option<&Node>, owner: Span) -> Option<String> {
        let text = node.and_then(|node| node.as_scalar()).map(|scalar| scalar.text.trim());
        if node.is_none() || text == Some("") || node.is_some_and(Node::is_null) {
            let span = node.filter(|node| node.span.len > 0).map_or(owner, |node| node.span);
            let problem = self.reader.problem(Code::E0204, span, "Function name is required");
            let help = "add `function:` with the handler's name as the source exposes it";
            self.reader.push(problem.help(help));
            return None;
        }
        let node = node?;
        let name = self.reader.text(node, "function")?;
        let fits = name.bytes().all(|b| b.is_ascii_alphanumeric() || b"_.-".contains(&b));
        if !fits {
            let error = ExprError::new(Code::E0205, format!("`{name}` is not a function's name"))
                .hint("a function's name is `[A-Za-z0-9_.-]+`, and is not evaluated");
            self.reader.refuse(node, error);
        }
        fits.then_some(name)
    }

    fn data(&mut self, keys: &StepKeys<'_>, reads: &mut Vec<StepRead>) -> Option<WrittenTemplate> {
        let node = keys.own("data");
        let empty = node.is_some_and(|node| {
            node.is_null()
                || matches!(&node.body, crate::pipeline::document::Body::Map(m) if m.is_empty())
        });
        if node.is_none() || empty {
            let span = node.filter(|node| node.span.len > 0).map_or(keys.id, |node| node.span);
            let problem = self.reader.problem(Code::E0204, span, "Input data is required");
            self.reader.push(problem.help("add `data:`, a map with what the function takes"));
            return None;
        }
        self.data_map(node?, "data", reads)
    }

    fn extra(
        &mut self,
        keys: &StepKeys<'_>,
        reads: &mut Vec<StepRead>,
    ) -> Option<Option<WrittenTemplate>> {
        let Some(node) = keys.get("extra") else { return Some(None) };
        self.reserved_extra(node);
        self.data_map(node, "extra", reads).map(Some)
    }

    /// E0203 for keys of `extra` that the config has already.
    pub(super) fn reserved_extra(&mut self, node: &Node) {
        let crate::pipeline::document::Body::Map(entries) = &node.body else { return };
        for entry in entries {
            if matches!(entry.key.as_str(), "function_name" | "data" | "ogflow") {
                let message = format!("`{}` is a key that the task config has already", entry.key);
                self.reader.push(self.reader.problem(Code::E0203, entry.key_span, message));
            }
        }
    }

    /// A map with expressions that see the item.
    pub(super) fn data_map(
        &mut self,
        node: &Node,
        key: &str,
        reads: &mut Vec<StepRead>,
    ) -> Option<WrittenTemplate> {
        self.reader.map(node, key)?;
        let written = self.reader.template(node)?;
        let references = written.references();
        self.reader.names(&references, Place::Data, &self.names);
        note_reads(&references, ReadPlace::Data, reads);
        Some(written)
    }

    fn item_expression(
        &mut self,
        keys: &StepKeys<'_>,
        key: &str,
        reads: &mut Vec<StepRead>,
    ) -> Option<Option<WrittenExpression>> {
        let Some(entry) = get(keys.own, key) else { return Some(None) };
        if keys.own("foreach").is_none() {
            self.needs_foreach(entry);
            return None;
        }
        let written = self.reader.expression(&entry.value, key)?;
        let references = written.references();
        self.reader.names(&references, Place::Shaping, &self.names);
        note_reads(&references, ReadPlace::Shaping, reads);
        Some(Some(written))
    }

    fn needs_foreach(&mut self, entry: &Entry) {
        let message = format!("`{}` needs `foreach`", entry.key);
        let problem = self.reader.problem(Code::E0203, entry.key_span, message);
        self.reader.push(problem.help("a step without `foreach` has exactly one task"));
    }

    fn item_key(
        &mut self,
        keys: &StepKeys<'_>,
        foreach: Option<&Foreach>,
        reads: &mut Vec<StepRead>,
    ) -> Option<Option<WrittenExpression>> {
        let key = self.item_expression(keys, "key", reads);
        if let (Some(entry), Some(Foreach::File(file))) = (get(keys.own, "key"), foreach)
            && file.key.is_some()
        {
            let message = "`key` and `foreach.key` exclude each other";
            let problem = self.reader.problem(Code::E0203, entry.key_span, message);
            self.reader.push(problem.help("keep one of them"));
        }
        key
    }

    fn count_key(
        &mut self,
        keys: &StepKeys<'_>,
        key: &str,
        of_items: bool,
    ) -> Option<Option<std::num::NonZeroU32>> {
        let Some(node) = keys.get(key) else { return Some(None) };
        let entry = get(keys.own, key).filter(|_| of_items && keys.own("foreach").is_none());
        if let Some(entry) = entry {
            self.needs_foreach(entry);
            return None;
        }
        self.reader.positive(node, key).map(Some)
    }

    fn condition(
        &mut self,
        keys: &StepKeys<'_>,
        reads: &mut Vec<StepRead>,
    ) -> Option<Option<WrittenExpression>> {
        let Some(node) = keys.own("if") else { return Some(None) };
        let written = self.reader.expression(node, "if")?;
        let references = written.references();
        self.reader.names(&references, Place::Start, &self.names);
        note_reads(&references, ReadPlace::Condition, reads);
        Some(Some(written))
    }

    fn needs(
        &mut self,
        keys: &StepKeys<'_>,
        entry: &Entry,
        reads: &mut Vec<StepRead>,
    ) -> Option<Vec<StepName>> {
        let Some(node) = keys.own("needs") else { return Some(Vec::new()) };
        let mut needs = Vec::new();
        let before = self.reader.problems.len();
        for node in self.reader.list(node, "needs")? {
            let Some(name) = self.reader.text(node, "needs") else { continue };
            let span = node.mark(&self.reader.file);
            if !self.names.steps.iter().any(|(step, _)| *step == name) {
                let known = self.names.steps.iter().map(|(step, _)| step.as_str());
                let known = known.filter(|step| *step != entry.key);
                let problem =
                    self.reader.problem(Code::E0301, span, format!("there is no step `{name}`"));
                let problem = match forms::closest(&name, known) {
                    Some(meant) => problem.help(format!("did you mean `{meant}`?")),
                    None => problem,
                };
                self.reader.push(problem);
                continue;
            }
            let Some(step) = StepName::parse(&name) else { continue };
            let place = ReadPlace::Needs;
            reads.push(StepRead { step: step.clone(), field: String::new(), place, span });
            needs.push(step);
        }
        (self.reader.problems.len() == before).then_some(needs)
    }
}

/// Keeps what references read of other steps.
pub(super) fn note_reads(references: &[Reference], place: ReadPlace, reads: &mut Vec<StepRead>) {
    for reference in references.iter().filter(|found| found.path[0] == "steps") {
        let Some(step) = reference.path.get(1).and_then(|name| StepName::parse(name)) else {
            continue;
        };
        let field = reference.path.get(2).cloned().unwrap_or_default();
        reads.push(StepRead { step, field, place, span: reference.span });
    }
}
