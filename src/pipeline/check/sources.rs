//! Sources: aliases, and what each is on the network in use.

use super::Check;
use super::shape::{quoted, value};
use crate::pipeline::SourceRef;
use crate::pipeline::document::{Body, Entry, Node};
use crate::pipeline::forms;
use crate::pipeline::problem::{Code, Span};
use crate::pipeline::step::StepSource;

/// The aliases of a file.
#[derive(Default)]
pub(super) struct Aliases(Vec<Alias>);

struct Alias {
    name: String,
    span: Span,
    target: Target,
}

enum Target {
    At(SourceRef),
    /// There are addresses for these networks only.
    Elsewhere(Vec<String>),
    /// Reported already.
    Broken,
}

impl Aliases {
    /// The aliases that have a source on this network.
    pub(super) fn resolved(&self) -> Vec<(String, SourceRef)> {
        let at = |alias: &Alias| match &alias.target {
            Target::At(source) => Some((alias.name.clone(), source.clone())),
            Target::Elsewhere(_) | Target::Broken => None,
        };
        self.0.iter().filter_map(at).collect()
    }
}

impl Check<'_> {
    pub(super) fn read_sources(&mut self, entries: &[Entry]) {
        let Some(node) = value(entries, "sources") else { return };
        let Some(entries) = self.reader.map(node, "sources") else { return };
        let mut aliases = Vec::new();
        for entry in entries {
            self.bad_id(entry, "a source");
            let target = self.target(&entry.value);
            aliases.push(Alias { name: entry.key.clone(), span: entry.key_span, target });
        }
        self.aliases = Aliases(aliases);
    }

    fn target(&mut self, node: &Node) -> Target {
        let Body::Map(networks) = &node.body else {
            return self.address(node).map_or(Target::Broken, Target::At);
        };
        let here = self.setting.network.name.clone();
        let mut found = None;
        for entry in networks {
            // Every address is read, so that a typo for another network is seen here and now.
            let source = self.plain_address(&entry.value);
            if entry.key == here {
                found = Some(source.filter(|source| self.exists_here(source, &entry.value)));
            }
        }
        match found {
            Some(source) => source.map_or(Target::Broken, Target::At),
            None => Target::Elsewhere(networks.iter().map(|entry| entry.key.clone()).collect()),
        }
    }

    /// An address or `builtin:NAME` for the network in use.
    fn address(&mut self, node: &Node) -> Option<SourceRef> {
        let source = self.plain_address(node)?;
        self.exists_here(&source, node).then_some(source)
    }

    fn plain_address(&mut self, node: &Node) -> Option<SourceRef> {
        let text = self.reader.raw(node, "sources", "an address or `{network: address}`")?;
        self.quoted_address(node, text)
    }

    /// E0209 for an address without quotes, which YAML 1.1 readers take for a number.
    fn quoted_address(&mut self, node: &Node, text: &str) -> Option<SourceRef> {
        let plain = node.as_scalar().is_some_and(|scalar| scalar.is_plain());
        if plain && text.starts_with("0x") {
            let message = "an address without quotes is a number for YAML";
            let problem = self.reader.problem(Code::E0209, node.span, message);
            self.reader.push(problem.help(format!("put it into quotes: \"{text}\"")));
            return None;
        }
        match forms::source(text) {
            Ok(source) => Some(source),
            Err(error) => {
                self.reader.refuse(node, error);
                None
            }
        }
    }

    fn exists_here(&mut self, source: &SourceRef, node: &Node) -> bool {
        let network = self.setting.network;
        match source {
            SourceRef::Builtin(name) if !network.devnet => {
                let message = format!("`builtin:{name}` exists on devnet only");
                let problem =
                    self.reader.problem(Code::E0209, node.mark(&self.reader.file), message);
                let help = format!("give the source's address on {}", network.name);
                self.reader.push(problem.help(help));
                false
            }
            SourceRef::Builtin(_) | SourceRef::Address(_) => true,
        }
    }

    /// The source that a step names: an alias, an address or `builtin:NAME`.
    pub(super) fn step_source(&mut self, node: Option<&Node>, step: Span) -> Option<StepSource> {
        let required = |span: Span| (Code::E0204, span, "Source address is required");
        let missing = match node {
            None => Some(required(step)),
            Some(node) => match node.as_scalar() {
                Some(scalar) if scalar.text.trim().is_empty() || scalar.is_null() => {
                    Some(required(if node.span.len == 0 { step } else { node.span }))
                }
                Some(_) | None => None,
            },
        };
        if let Some((code, span, message)) = missing {
            let problem = self.reader.problem(code, span, message);
            let help = "add `source:` with an alias, an address or `builtin:NAME`, here or under \
                        `defaults`";
            self.reader.push(problem.help(help));
            return None;
        }
        let node = node?;
        let text = self.fixed_text(node, "source")?;
        let span = node.mark(&self.reader.file);
        if let Some(found) = self.alias(&text, span) {
            let at = found?;
            return Some(StepSource { alias: Some(text), at, span });
        }
        if !text.starts_with("0x") && !text.starts_with("builtin:") {
            self.unknown_alias(&text, span);
            return None;
        }
        let at = self.quoted_address(node, &text)?;
        self.exists_here(&at, node).then_some(StepSource { alias: None, at, span })
    }

    /// The source behind an alias; `None` if there is no such alias, `Some(None)` if it has no
    /// source here.
    fn alias(&mut self, name: &str, used: Span) -> Option<Option<SourceRef>> {
        let alias = self.aliases.0.iter().find(|alias| alias.name == name)?;
        let networks = match &alias.target {
            Target::At(source) => return Some(Some(source.clone())),
            Target::Broken => return Some(None),
            Target::Elsewhere(networks) => networks,
        };
        let network = &self.setting.network.name;
        let message = format!("source `{name}` has no address for {network}");
        let help = match networks.is_empty() {
            true => format!("add `{network}: \"0x…\"` to it"),
            false => {
                let names: Vec<_> = networks.iter().map(String::as_str).collect();
                format!("it has one for {}; add `{network}: \"0x…\"`", quoted(&names))
            }
        };
        let (line, _) = self.reader.file.position(used.offset);
        let problem = self.reader.problem(Code::E0312, alias.span, message);
        self.reader.push(problem.label(format!("used in line {line}")).help(help));
        Some(None)
    }

    fn unknown_alias(&mut self, name: &str, span: Span) {
        let known: Vec<&str> = self.aliases.0.iter().map(|alias| alias.name.as_str()).collect();
        let help = match forms::closest(name, known.iter().copied()) {
            Some(meant) => format!("did you mean `{meant}`?"),
            None if known.is_empty() => {
                "write an address in quotes, `builtin:NAME`, or declare it under `sources`".into()
            }
            None => format!("the sources are {}", quoted(&known)),
        };
        let message = format!("there is no source `{name}`");
        let problem = self.reader.problem(Code::E0302, span, message);
        self.reader.push(problem.help(help));
    }
}
