//! Acceptance, retries, allowed failures, and where rows are saved.

use std::sync::Arc;

use serde_json::Value;

use super::Check;
use super::names::{Names, Place};
use super::shape::{Keys, Reader, value};
use super::step::StepKeys;
use crate::pipeline::document::{Body, Entry, Node};
use crate::pipeline::expr::ExprError;
use crate::pipeline::forms;
use crate::pipeline::policy::{
    Accept, AllowFailures, Backoff, OnPartial, Retry, RetryAfter, Save, SaveFormat,
};
use crate::pipeline::price::Payment;
use crate::pipeline::problem::{Code, Span};
use crate::pipeline::schema::Schema;
use crate::pipeline::written::WrittenExpression;

/// The keys of `accept`.
pub(super) const ACCEPT: Keys = Keys { known: &["schema", "when"], later: &[] };
/// The keys of `retry`.
const RETRY: Keys =
    Keys { known: &["max", "after", "backoff", "raise", "max_payment"], later: &[] };
/// The keys of `retry.backoff`.
const BACKOFF: Keys = Keys { known: &["base", "factor", "max", "jitter"], later: &[] };
/// The keys of `save`.
const SAVE: Keys = Keys { known: &["file", "format"], later: &[] };
/// The keys of `confirm`.
const CONFIRM: Keys = Keys { known: &["policy", "wait"], later: &[] };
/// The words of `confirm`, of which only the first is supported.
const POLICIES: &[&str] = &["first_valid", "cheapest", "agreement", "manual"];
/// The words of `save.format`.
const FORMATS: &[(&str, SaveFormat)] = &[
    ("jsonl", SaveFormat::Jsonl),
    ("csv", SaveFormat::Csv),
    ("json", SaveFormat::Json),
    ("openai-batch", SaveFormat::OpenaiBatch),
    ("raw", SaveFormat::Raw),
];

impl Reader {
    /// The list of expressions that must be true of an output.
    pub(super) fn when(
        &mut self,
        node: &Node,
        place: Place,
        names: &Names,
    ) -> Vec<WrittenExpression> {
        let mut all = Vec::new();
        for node in self.list(node, "when").unwrap_or_default() {
            let Some(written) = self.expression(node, "when") else { continue };
            self.names(&written.references(), place, names);
            all.push(written);
        }
        all
    }

    /// Reports a schema that is none; `place` is where it is written.
    pub(super) fn valid_schema(&mut self, source: &Value, place: Span) -> Option<Arc<Value>> {
        match Schema::compile(source) {
            Ok(schema) => Some(Arc::clone(schema.source())),
            Err(mismatch) => {
                let message = format!("this is not a valid JSON Schema: {mismatch}");
                self.push(self.problem(Code::E0212, place, message));
                None
            }
        }
    }
}

impl Check<'_> {
    pub(super) fn accept(&mut self, keys: &StepKeys<'_>) -> Option<Accept> {
        let Some(node) = keys.own("accept") else { return Some(Accept::default()) };
        let entries = self.reader.map(node, "accept")?;
        let schema = match value(entries, "schema") {
            Some(node) => Some(self.output_schema(node)?),
            None => None,
        };
        let when = match value(entries, "when") {
            Some(node) => self.reader.when(node, Place::Accept, &self.names),
            None => Vec::new(),
        };
        self.reader.unknown_keys(entries, ACCEPT);
        Some(Accept { schema, when })
    }

    /// A schema written in place, or the path of one.
    pub(super) fn output_schema(&mut self, node: &Node) -> Option<Arc<Value>> {
        let span = node.mark(&self.reader.file);
        if matches!(node.body, Body::Map(_)) {
            let source = self.reader.plain_json(node)?;
            return self.reader.valid_schema(&source, span);
        }
        let path = self.reader.text(node, "schema")?;
        let file = match self.setting.loader.text(&self.reader.file.name, &path) {
            Ok(file) => file,
            Err(error) => {
                self.unloadable(span, &error);
                return None;
            }
        };
        self.parts.push(Arc::clone(&file));
        match serde_json::from_str::<Value>(&file.text) {
            Ok(source) => self.reader.valid_schema(&source, span),
            Err(error) => {
                let message = format!("`{path}` is not JSON: {error}");
                self.reader.push(self.reader.problem(Code::E0212, span, message));
                None
            }
        }
    }

    /// Every policy but the first is refused.
    pub(super) fn confirm(&mut self, keys: &StepKeys<'_>) {
        let Some(node) = keys.get("confirm") else { return };
        let policy = match &node.body {
            Body::Map(entries) => {
                self.reader.unknown_keys(entries, CONFIRM);
                match value(entries, "policy") {
                    Some(policy) => policy,
                    None => {
                        let span = node.mark(&self.reader.file);
                        let message = "`policy` is missing in `confirm`";
                        self.reader.push(self.reader.problem(Code::E0204, span, message));
                        return;
                    }
                }
            }
            Body::Scalar(_) | Body::List(_) | Body::Broken => node,
        };
        let word = self.reader.raw(policy, "confirm", "a policy").map(str::to_owned);
        match word.as_deref() {
            None | Some("first_valid") => {}
            Some(word) if POLICIES.contains(&word) => {
                self.reader.later(policy.mark(&self.reader.file), &format!("confirm: {word}"));
            }
            Some(_) => self.reader.unknown_word(policy, "confirm", POLICIES),
        }
    }

    pub(super) fn retry(
        &mut self,
        keys: &StepKeys<'_>,
        payment: Option<&Payment>,
    ) -> Option<Retry> {
        let default = Retry::default();
        let Some(node) = keys.get("retry") else { return Some(default) };
        let entries = self.reader.map(node, "retry")?;
        let before = self.reader.problems.len();
        let get = |key: &str| value(entries, key);
        let reader = &mut self.reader;
        let max = get("max").and_then(|node| reader.integer(node, "max", (0, 10)));
        let after = get("after").and_then(|node| reader.retry_after(node));
        let backoff = get("backoff").and_then(|node| reader.backoff(node));
        let raise = get("raise")
            .and_then(|node| reader.form(node, ("raise", "a percent"), forms::permille));
        let max_payment = get("max_payment").and_then(|node| reader.money(node, "max_payment"));
        reader.unknown_keys(entries, RETRY);
        if self.reader.problems.len() > before {
            return None;
        }
        if let (Some(node), Some(ceiling), Some(Payment::Fixed(amount))) =
            (get("max_payment"), max_payment, payment)
            && ceiling < *amount
        {
            let message = "`max_payment` is below `payment`, so nothing is ever raised";
            let problem = self.reader.problem(Code::W0603, node.mark(&self.reader.file), message);
            self.reader.push(problem.label(format!("{ceiling} < {amount}")));
        }
        Some(Retry {
            max: max.and_then(|max| u16::try_from(max).ok()).unwrap_or(default.max),
            after: after.unwrap_or(default.after),
            backoff: backoff.unwrap_or(default.backoff),
            raise_permille: raise.unwrap_or(default.raise_permille),
            max_payment,
        })
    }

    pub(super) fn allow_failures(&mut self, keys: &StepKeys<'_>) -> Option<AllowFailures> {
        let Some(node) = keys.get("allow_failures") else { return Some(AllowFailures::Count(0)) };
        let text = self.reader.raw(node, "allow_failures", "a whole number or a percent")?;
        if text.ends_with('%') {
            let form = ("allow_failures", "a percent");
            return self.reader.form(node, form, forms::permille).map(AllowFailures::Permille);
        }
        let count = self.reader.integer(node, "allow_failures", (0, u64::from(u32::MAX)))?;
        u32::try_from(count).ok().map(AllowFailures::Count)
    }

    pub(super) fn on_partial(&mut self, keys: &StepKeys<'_>) -> Option<OnPartial> {
        let Some(node) = keys.get("on_partial") else { return Some(OnPartial::default()) };
        let words =
            [("drop", OnPartial::Drop), ("keep", OnPartial::Keep), ("fail", OnPartial::Fail)];
        self.reader.word(node, "on_partial", &words)
    }

    pub(super) fn save(&mut self, keys: &StepKeys<'_>) -> Option<Option<Save>> {
        let Some(node) = keys.own("save") else { return Some(None) };
        let (file, format) = match &node.body {
            Body::Map(entries) => (self.save_file(node, entries)?, self.save_format(entries)?),
            Body::Scalar(_) | Body::List(_) | Body::Broken => (node, None),
        };
        let path = self.fixed_text(file, "save")?;
        let span = file.mark(&self.reader.file);
        if path.trim().is_empty() || path.ends_with('/') {
            let error = ExprError::new(Code::E0504, format!("`{path}` is not the path of a file"));
            self.reader.refuse(file, error);
            return None;
        }
        if let Err(error) = self.setting.loader.inside(&self.reader.file.name, &path) {
            self.unloadable(span, &error);
            return None;
        }
        let extension = path.rsplit_once('.').map_or("", |(_, extension)| extension);
        let by_extension = match extension {
            "csv" => SaveFormat::Csv,
            "json" => SaveFormat::Json,
            _ => SaveFormat::Jsonl,
        };
        Some(Some(Save { path, span, format: format.unwrap_or(by_extension) }))
    }

    fn save_file<'n>(&mut self, node: &Node, entries: &'n [Entry]) -> Option<&'n Node> {
        self.reader.unknown_keys(entries, SAVE);
        let file = value(entries, "file");
        if file.is_none() {
            let span = node.mark(&self.reader.file);
            let message = "`file` is missing in `save`";
            self.reader.push(self.reader.problem(Code::E0204, span, message));
        }
        file
    }

    fn save_format(&mut self, entries: &[Entry]) -> Option<Option<SaveFormat>> {
        match value(entries, "format") {
            Some(node) => self.reader.word(node, "format", FORMATS).map(Some),
            None => Some(None),
        }
    }
}

impl Reader {
    fn retry_after(&mut self, node: &Node) -> Option<RetryAfter> {
        #[derive(Clone, Copy, PartialEq)]
        enum End {
            Expired,
            PublishError,
            Rejected,
            Tie,
        }
        let words = [
            ("expired", End::Expired),
            ("publish_error", End::PublishError),
            ("rejected", End::Rejected),
            ("tie", End::Tie),
        ];
        let mut after = RetryAfter { expired: false, publish_error: false, rejected: false };
        for node in self.list(node, "after")? {
            match self.word(node, "after", &words)? {
                End::Expired => after.expired = true,
                End::PublishError => after.publish_error = true,
                End::Rejected => after.rejected = true,
                End::Tie => self.later(node.span, "tie"),
            }
        }
        Some(after)
    }

    fn backoff(&mut self, node: &Node) -> Option<Backoff> {
        let entries = self.map(node, "backoff")?;
        let default = Backoff::default();
        let span = |reader: &mut Self, key: &str| {
            let node = value(entries, key)?;
            reader.form(node, (key, "a duration"), forms::duration)
        };
        let base = span(self, "base");
        let max = span(self, "max");
        let mut number = |key: &str, range: (f64, f64)| {
            let node = value(entries, key)?;
            self.number(node, key, range)
        };
        let factor = number("factor", (1.0, 100.0));
        let jitter = number("jitter", (0.0, 1.0));
        self.unknown_keys(entries, BACKOFF);
        Some(Backoff {
            base: base.unwrap_or(default.base),
            factor: factor.unwrap_or(default.factor),
            max: max.unwrap_or(default.max),
            jitter: jitter.unwrap_or(default.jitter),
        })
    }
}
