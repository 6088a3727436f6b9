//! Reading a tree key by key: every wrong type is a problem, and what is read has its type.

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::pipeline::document::{Body, Entry, Node};
use crate::pipeline::expr::ExprError;
use crate::pipeline::forms;
use crate::pipeline::problem::{Code, Problem, SourceText, Span};
use crate::pipeline::scalar;
use crate::pipeline::written::at;
use crate::units::Wei;

/// Collects what is wrong with one file, on the way to what it means.
pub(super) struct Reader {
    /// The file.
    pub(super) file: Arc<SourceText>,
    /// What was found so far.
    pub(super) problems: Vec<Problem>,
    /// The step that is being read.
    pub(super) step: Option<String>,
    seen: BTreeSet<(Code, Option<Span>, String)>,
}

/// The keys of one map: those that are known, and those that come later.
#[derive(Clone, Copy)]
pub(super) struct Keys {
    /// Keys that are read.
    pub(super) known: &'static [&'static str],
    /// Keys of the language that this version does not act on.
    pub(super) later: &'static [&'static str],
}

/// The entry of a key.
pub(super) fn get<'n>(entries: &'n [Entry], key: &str) -> Option<&'n Entry> {
    entries.iter().find(|entry| entry.key == key)
}

/// The value of a key.
pub(super) fn value<'n>(entries: &'n [Entry], key: &str) -> Option<&'n Node> {
    get(entries, key).map(|entry| &entry.value)
}

impl Reader {
    pub(super) fn new(file: &Arc<SourceText>) -> Self {
        Self { file: Arc::clone(file), problems: Vec::new(), step: None, seen: BTreeSet::new() }
    }

    /// Keeps a problem, as one of the step that is being read.
    pub(super) fn push(&mut self, mut problem: Problem) {
        if problem.step.is_none() {
            problem.step.clone_from(&self.step);
        }
        // A default that is wrong is met by every step that uses it.
        let fact = (problem.code, problem.span, problem.message.clone());
        if problem.file != self.file || self.seen.insert(fact) {
            self.problems.push(problem);
        }
    }

    /// A problem of this file, not yet kept.
    pub(super) fn problem(&self, code: Code, span: Span, message: impl Into<String>) -> Problem {
        Problem::new(code, &self.file, span, message)
    }

    /// Keeps what is wrong with a scalar.
    pub(super) fn refuse(&mut self, node: &Node, error: ExprError) {
        let problem = at(&self.file, node, error);
        self.push(problem);
    }

    /// Keeps E0202: `key` wants something else.
    pub(super) fn wrong_type(&mut self, node: &Node, key: &str, want: &str) {
        if matches!(node.body, Body::Broken) {
            return;
        }
        let message = format!("`{key}` takes {want}, not {}", node.kind());
        let span = match node.is_null() && node.span.len == 0 {
            true => Span::new(node.span.offset.saturating_sub(1), 1),
            false => node.mark(&self.file),
        };
        self.push(self.problem(Code::E0202, span, message));
    }

    /// The entries of a map.
    pub(super) fn map<'n>(&mut self, node: &'n Node, key: &str) -> Option<&'n [Entry]> {
        match &node.body {
            Body::Map(entries) => Some(entries),
            Body::Scalar(_) | Body::List(_) | Body::Broken => {
                self.wrong_type(node, key, "a map");
                None
            }
        }
    }

    /// The entries of a list.
    pub(super) fn list<'n>(&mut self, node: &'n Node, key: &str) -> Option<&'n [Node]> {
        match &node.body {
            Body::List(nodes) => Some(nodes),
            Body::Scalar(_) | Body::Map(_) | Body::Broken => {
                self.wrong_type(node, key, "a list");
                None
            }
        }
    }

    /// Reports keys that are not known, and keys that come later.
    pub(super) fn unknown_keys(&mut self, entries: &[Entry], keys: Keys) {
        for entry in entries {
            let key = entry.key.as_str();
            if keys.known.contains(&key) {
                continue;
            }
            if keys.later.contains(&key) {
                self.later(entry.key_span, key);
                continue;
            }
            let all = keys.known.iter().chain(keys.later).copied();
            let help = match forms::closest(key, all) {
                Some(meant) => format!("did you mean `{meant}`?"),
                None => format!("the keys here are {}", quoted(keys.known)),
            };
            let problem = self.problem(Code::E0201, entry.key_span, format!("unknown key `{key}`"));
            self.push(problem.help(help));
        }
    }

    /// Reports something of the language that this version does not act on.
    pub(super) fn later(&mut self, span: Span, what: &str) {
        let problem = self
            .problem(Code::E0214, span, format!("`{what}` is not supported yet"))
            .help("this version refuses it instead of ignoring it; remove it for now");
        self.push(problem);
    }

    /// Text, quoted or plain.
    pub(super) fn text(&mut self, node: &Node, key: &str) -> Option<String> {
        let Some(scalar) = node.as_scalar() else {
            self.wrong_type(node, key, "text");
            return None;
        };
        match scalar.is_plain().then(|| scalar::value(scalar)) {
            None | Some(Ok(serde_json::Value::String(_))) => Some(scalar.text.clone()),
            Some(Ok(other)) => {
                let kind = forms::kind(&other);
                let message = format!("`{key}` takes text, not {kind}");
                let help = format!("put quotes around it if text is meant: \"{}\"", scalar.text);
                let problem = self.problem(Code::E0202, node.mark(&self.file), message);
                self.push(problem.help(help));
                None
            }
            Some(Err(error)) => {
                self.refuse(node, error);
                None
            }
        }
    }

    /// Text as it stands, whatever YAML would take it for: money, durations, words.
    pub(super) fn raw<'n>(&mut self, node: &'n Node, key: &str, want: &str) -> Option<&'n str> {
        let scalar = node.as_scalar();
        if scalar.is_none() {
            self.wrong_type(node, key, want);
        }
        scalar.map(|scalar| scalar.text.as_str())
    }

    /// A value in one of the written forms.
    pub(super) fn form<T>(
        &mut self,
        node: &Node,
        (key, want): (&str, &str),
        read: impl Fn(&str) -> Result<T, ExprError>,
    ) -> Option<T> {
        let text = self.raw(node, key, want)?;
        match read(text) {
            Ok(value) => Some(value),
            Err(error) => {
                self.refuse(node, error);
                None
            }
        }
    }

    /// An amount of money, zero included.
    pub(super) fn money(&mut self, node: &Node, key: &str) -> Option<Wei> {
        self.form(node, (key, "an amount of money"), forms::money)
    }

    /// `true` or `false`.
    pub(super) fn boolean(&mut self, node: &Node, key: &str) -> Option<bool> {
        let plain = node.as_scalar().filter(|scalar| scalar.is_plain());
        match plain.map(|scalar| scalar.text.as_str()) {
            Some("true") => Some(true),
            Some("false") => Some(false),
            Some(word) if scalar::is_old_boolean(word) => {
                self.old_boolean(node, word);
                None
            }
            _ => {
                self.wrong_type(node, key, "`true` or `false`");
                None
            }
        }
    }

    /// Reports E0106.
    pub(super) fn old_boolean(&mut self, node: &Node, word: &str) {
        let message = format!("`{word}` is a boolean for some YAML readers and text for others");
        let problem = self.problem(Code::E0106, node.span, message);
        self.push(problem.help("write `true` or `false`"));
    }

    /// A whole number from `least` to `most`.
    pub(super) fn integer(
        &mut self,
        node: &Node,
        key: &str,
        (least, most): (u64, u64),
    ) -> Option<u64> {
        let value = self.typed(node, key, "a whole number")?;
        let number = match value.as_i64() {
            Some(number) => i128::from(number),
            None => match value.as_u64() {
                Some(number) => i128::from(number),
                None => {
                    self.wrong_number(node, key);
                    return None;
                }
            },
        };
        if number < i128::from(least) || number > i128::from(most) {
            let range = match most {
                u64::MAX | 0xffff_ffff => format!("of {least} or more"),
                most => format!("from {least} to {most}"),
            };
            let message = format!("`{key}` takes a whole number {range}, not {number}");
            let problem = self.problem(Code::E0208, node.mark(&self.file), message);
            self.push(problem);
            return None;
        }
        u64::try_from(number).ok()
    }

    fn wrong_number(&mut self, node: &Node, key: &str) {
        let written = node.as_scalar().map_or("", |scalar| scalar.text.as_str());
        let message = format!("`{key}` takes a whole number, not `{written}`");
        let problem = self.problem(Code::E0202, node.mark(&self.file), message);
        self.push(problem);
    }

    /// A number from `least` to `most`.
    pub(super) fn number(
        &mut self,
        node: &Node,
        key: &str,
        (least, most): (f64, f64),
    ) -> Option<f64> {
        let value = self.typed(node, key, "a number")?;
        let Some(number) = value.as_f64() else {
            self.wrong_type(node, key, "a number");
            return None;
        };
        if !(least..=most).contains(&number) {
            let message = format!("`{key}` takes a number from {least} to {most}, not {number}");
            self.push(self.problem(Code::E0208, node.mark(&self.file), message));
            return None;
        }
        Some(number)
    }

    /// The value of a plain scalar.
    fn typed(&mut self, node: &Node, key: &str, want: &str) -> Option<serde_json::Value> {
        let Some(scalar) = node.as_scalar() else {
            self.wrong_type(node, key, want);
            return None;
        };
        if !scalar.is_plain() || scalar.is_null() {
            self.wrong_type(node, key, want);
            return None;
        }
        match scalar::value(scalar) {
            Ok(value) => Some(value),
            Err(error) => {
                self.refuse(node, error);
                None
            }
        }
    }

    /// One of a few words.
    pub(super) fn word<T: Copy>(
        &mut self,
        node: &Node,
        key: &str,
        words: &[(&str, T)],
    ) -> Option<T> {
        let names: Vec<_> = words.iter().map(|(name, _)| *name).collect();
        let text = self.raw(node, key, &format!("one of {}", quoted(&names)))?;
        if let Some((_, value)) = words.iter().find(|(name, _)| *name == text) {
            return Some(*value);
        }
        self.unknown_word(node, key, &names);
        None
    }

    /// Reports E0210.
    pub(super) fn unknown_word(&mut self, node: &Node, key: &str, words: &[&str]) {
        let text = node.as_scalar().map_or("", |scalar| scalar.text.as_str());
        let help = match forms::closest(text, words.iter().copied()) {
            Some(meant) => format!("did you mean `{meant}`? Allowed are {}", quoted(words)),
            None => format!("allowed are {}", quoted(words)),
        };
        let message = format!("`{text}` is not a word that `{key}` knows");
        self.push(self.problem(Code::E0210, node.mark(&self.file), message).help(help));
    }
}

/// A list of words, each in backticks.
pub(super) fn quoted(words: &[&str]) -> String {
    let words: Vec<_> = words.iter().map(|word| format!("`{word}`")).collect();
    words.join(", ")
}
