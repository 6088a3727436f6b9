//! The keys above the steps: version, name, budget, limits, secrets, defaults.

use std::num::NonZeroU32;

use super::Check;
use super::params::is_id;
use super::shape::{Keys, Reader, get, value};
use crate::pipeline::document::{Entry, Node};
use crate::pipeline::expr::ExprError;
use crate::pipeline::forms;
use crate::pipeline::problem::{Code, Span};
use crate::pipeline::{Budget, Limits, OnExceed};

/// The keys of `budget`.
const BUDGET: Keys =
    Keys { known: &["max", "max_per_task", "reserve_gas", "on_exceed"], later: &[] };
/// The keys of `limits`.
const LIMITS: Keys =
    Keys { known: &["publish_rate", "burst", "in_flight", "rpc_rate", "pin_rate"], later: &[] };
/// The keys of `defaults`.
const DEFAULTS: Keys = Keys {
    known: &[
        "source",
        "function",
        "extra",
        "payment",
        "complexity",
        "expires",
        "concurrency",
        "confirm",
        "retry",
        "allow_failures",
        "on_partial",
    ],
    later: &["canary", "redundancy", "cache"],
};

impl Reader {
    /// Whether the file is of the version that this program reads; a problem if not.
    pub(super) fn version(&mut self, entries: &[Entry]) -> bool {
        let Some(node) = value(entries, "version") else {
            let first = entries.first().map_or(Span::new(0, 1), |entry| entry.key_span);
            let problem = self.problem(Code::E0211, first, "`version` is missing");
            self.push(problem.help("start the file with `version: 1`"));
            return true;
        };
        if node.as_scalar().is_some_and(|scalar| scalar.is_plain() && scalar.text == "1") {
            return true;
        }
        let shown = node.as_scalar().map_or(node.kind(), |scalar| scalar.text.as_str());
        let message = format!("version `{shown}` is not known");
        let problem = self.problem(Code::E0211, node.mark(&self.file), message);
        self.push(problem.help("this program reads `version: 1`"));
        false
    }

    /// Reports a `kind` that is not the one expected here.
    pub(super) fn kind(&mut self, entries: &[Entry], expected: &str) {
        let found = value(entries, "kind");
        let text = found.and_then(|node| node.as_scalar()).map(|scalar| scalar.text.as_str());
        let (node, message) = match (found, text) {
            (None, _) if expected == "pipeline" => return,
            (Some(_), Some(text)) if text == expected => return,
            (Some(node), Some(text @ ("pipeline" | "template"))) => {
                (node.mark(&self.file), format!("this file is a {text}, not a {expected}"))
            }
            (Some(node), _) => {
                (node.mark(&self.file), "`kind` is `pipeline` or `template`".to_owned())
            }
            (None, _) => {
                let first = entries.first().map_or(Span::new(0, 1), |entry| entry.key_span);
                (first, format!("this file does not say `kind: {expected}`"))
            }
        };
        let problem = self.problem(Code::E0211, node, message);
        self.push(match expected {
            "pipeline" => problem.help("a step uses a template with `uses: ./FILE.yaml`"),
            _ => problem.help("a template starts with `version: 1` and `kind: template`"),
        });
    }

    /// The name of a pipeline or template.
    pub(super) fn name_key(&mut self, root: &Node, entries: &[Entry]) -> Option<String> {
        let Some(entry) = get(entries, "name") else {
            let span = root.mark(&self.file);
            let problem = self.problem(Code::E0205, span, "`name` is missing");
            self.push(problem.help("add `name:`, such as `name: review-digest`"));
            return None;
        };
        let name = self.text(&entry.value, "name")?;
        let fits = name.len() <= 63
            && name.starts_with(|first: char| first.is_ascii_lowercase())
            && name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
        if fits {
            return Some(name);
        }
        let message = format!("`{name}` is not a name");
        let problem = self.problem(Code::E0205, entry.value.mark(&self.file), message);
        self.push(problem.help("a name is `[a-z][a-z0-9-]{0,62}`: small letters, digits, `-`"));
        None
    }

    pub(super) fn limits(&mut self, node: &Node) -> Option<Limits> {
        let entries = self.map(node, "limits")?;
        let defaults = Limits::default();
        let rate = |reader: &mut Self, key: &str| match value(entries, key) {
            Some(node) => reader.form(node, (key, "a rate"), forms::rate).map(Some),
            None => Some(None),
        };
        let publish_rate = rate(self, "publish_rate");
        let rpc_rate = rate(self, "rpc_rate");
        let pin_rate = rate(self, "pin_rate");
        let burst = self.count(entries, "burst", defaults.burst);
        let in_flight = self.count(entries, "in_flight", defaults.in_flight);
        self.unknown_keys(entries, LIMITS);
        Some(Limits {
            publish_rate: publish_rate?,
            burst: burst?,
            in_flight: in_flight?,
            rpc_rate: rpc_rate?,
            pin_rate: pin_rate?,
        })
    }

    fn count(&mut self, entries: &[Entry], key: &str, default: NonZeroU32) -> Option<NonZeroU32> {
        match value(entries, key) {
            Some(node) => self.positive(node, key),
            None => Some(default),
        }
    }

    /// A whole number from 1 to 2^32 - 1.
    pub(super) fn positive(&mut self, node: &Node, key: &str) -> Option<NonZeroU32> {
        let number = self.integer(node, key, (1, u64::from(u32::MAX)))?;
        u32::try_from(number).ok().and_then(NonZeroU32::new)
    }
}

impl Check<'_> {
    pub(super) fn read_budget(&mut self, entries: &[Entry]) -> Budget {
        let mut budget = Budget::default();
        if let Some(node) = value(entries, "budget")
            && let Some(entries) = self.reader.map(node, "budget")
        {
            let reader = &mut self.reader;
            let mut money = |key: &str| value(entries, key).and_then(|n| reader.money(n, key));
            budget.max = money("max");
            budget.max_per_task = money("max_per_task");
            budget.reserve_gas = money("reserve_gas").unwrap_or_default();
            if let Some(node) = value(entries, "on_exceed") {
                let words = [("pause", OnExceed::Pause), ("stop", OnExceed::Stop)];
                let word = self.reader.word(node, "on_exceed", &words);
                budget.on_exceed = word.unwrap_or_default();
            }
            self.reader.unknown_keys(entries, BUDGET);
        }
        if budget.max.is_none() && self.setting.network.real_money {
            let span = get(entries, "budget").or(get(entries, "name")).map(|entry| entry.key_span);
            let problem = self.reader.problem(
                Code::W0601,
                span.unwrap_or_default(),
                format!("no `budget.max`, and the money of {} is real", self.setting.network.name),
            );
            self.reader.push(problem.help("write `budget: { max: 8 OGPU }`, with your own amount"));
        }
        budget
    }

    /// Secrets are only named: nothing of this version may read them.
    pub(super) fn read_secrets(&mut self, entries: &[Entry]) {
        let Some(node) = value(entries, "secrets") else { return };
        for node in self.reader.list(node, "secrets").unwrap_or_default() {
            let Some(name) = self.reader.text(node, "secrets") else { continue };
            let fits = name.starts_with(|first: char| first.is_ascii_uppercase())
                && name.bytes().all(|b| b.is_ascii_uppercase() || b.is_ascii_digit() || b == b'_');
            if !fits {
                let error = ExprError::new(Code::E0205, format!("`{name}` is not a secret's name"))
                    .hint("secrets are `[A-Z][A-Z0-9_]*`");
                self.reader.refuse(node, error);
            }
        }
    }

    /// The entries of `defaults`; what is wrong with one of them is seen by the step that uses it.
    pub(super) fn read_defaults<'n>(&mut self, entries: &'n [Entry]) -> &'n [Entry] {
        let Some(node) = value(entries, "defaults") else { return &[] };
        let Some(entries) = self.reader.map(node, "defaults") else { return &[] };
        self.reader.unknown_keys(entries, DEFAULTS);
        entries
    }

    pub(super) fn bad_id(&mut self, entry: &Entry, what: &str) -> bool {
        if is_id(&entry.key) {
            return false;
        }
        let message = format!("`{}` is not an id of {what}", entry.key);
        let problem = self.reader.problem(Code::E0205, entry.key_span, message);
        self.reader.push(problem.help("ids are `[a-z][a-z0-9_]*`: small letters, digits, `_`"));
        true
    }
}
