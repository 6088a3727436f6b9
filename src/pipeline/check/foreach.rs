//! What a step runs over, and what its items look like.

use serde_json::Value;

use super::Check;
use super::names::{ItemShape, Place};
use super::shape::{Keys, quoted, value};
use super::step::{StepKeys, note_reads};
use crate::pipeline::document::{Body, Entry, Node};
use crate::pipeline::expr::ExprError;
use crate::pipeline::foreach::{CellType, FileItems, Foreach, ItemFormat};
use crate::pipeline::forms;
use crate::pipeline::items::Records;
use crate::pipeline::loader::LoadError;
use crate::pipeline::problem::{Code, Span};
use crate::pipeline::step::{ReadPlace, StepRead};
use crate::pipeline::written::{WrittenExpression, WrittenTemplate};

/// The keys of `foreach` for a file.
const FOREACH: Keys = Keys { known: &["file", "format", "key", "types", "limit"], later: &[] };
/// What `steps.x.results` holds per item.
const RESULT: &[&str] =
    &["key", "item", "output", "provider", "paid", "ms", "task", "response", "reason"];
/// What a glob holds per item.
const FILE: &[&str] = &["path", "name", "stem", "ext", "size", "text"];

impl Check<'_> {
    /// What the step runs over; also sets what its expressions may read of an item.
    pub(super) fn foreach(
        &mut self,
        keys: &StepKeys<'_>,
        reads: &mut Vec<StepRead>,
    ) -> Option<Foreach> {
        let Some(node) = keys.own("foreach") else {
            self.names.items = ItemShape::None;
            return Some(Foreach::Once);
        };
        // Until more is known, any field may exist.
        self.names.items = ItemShape::Unknown { from_outputs: false };
        match &node.body {
            Body::Broken => None,
            Body::Scalar(_) => self.foreach_expression(node, reads),
            Body::List(_) => self.foreach_list(node, reads),
            Body::Map(entries) => self.foreach_file(node, entries).map(Foreach::File),
        }
    }

    fn foreach_expression(&mut self, node: &Node, reads: &mut Vec<StepRead>) -> Option<Foreach> {
        let written = self.reader.expression(node, "foreach")?;
        let references = written.references();
        self.reader.names(&references, Place::Start, &self.names);
        let whole = is_one_path(&written);
        let place = if whole { ReadPlace::ForeachWhole } else { ReadPlace::Foreach };
        note_reads(&references, place, reads);
        let from_outputs = references.iter().any(|found| found.path[0] == "steps");
        let results = whole && references[0].path.get(2).is_some_and(|field| field == "results");
        self.names.items = match results {
            true => ItemShape::Fields { names: RESULT, from_outputs },
            false => ItemShape::Unknown { from_outputs },
        };
        Some(Foreach::Expression(written))
    }

    fn foreach_list(&mut self, node: &Node, reads: &mut Vec<StepRead>) -> Option<Foreach> {
        let written = self.reader.template(node)?;
        let references = written.references();
        self.reader.names(&references, Place::Start, &self.names);
        note_reads(&references, ReadPlace::Foreach, reads);
        let from_outputs = references.iter().any(|found| found.path[0] == "steps");
        self.names.items = ItemShape::Unknown { from_outputs };
        Some(Foreach::List(written))
    }

    fn foreach_file(&mut self, node: &Node, entries: &[Entry]) -> Option<FileItems> {
        let file_node = value(entries, "file");
        if file_node.is_none() {
            let span = node.mark(&self.reader.file);
            let problem = self.reader.problem(Code::E0204, span, "`file` is missing in `foreach`");
            self.reader.push(problem.help("a map here names a file: `{file: data/rows.csv}`"));
        }
        self.reader.unknown_keys(entries, FOREACH);
        let file_node = file_node?;
        let path = self.fixed_text(file_node, "file");
        let format = path.as_ref().and_then(|path| self.format(entries, file_node, path));
        let key = match value(entries, "key") {
            Some(node) => {
                let span = node.mark(&self.reader.file);
                self.reader.text(node, "key").map(|key| Some((key, span)))
            }
            None => Some(None),
        };
        let types = self.types(entries, format);
        let limit = self.limit(entries);
        let file = FileItems {
            from: self.reader.file.name.clone(),
            path: path?,
            span: file_node.mark(&self.reader.file),
            format: format?,
            key: key?,
            types: types?.into_iter().map(|(name, _, kind)| (name, kind)).collect(),
            limit: limit?,
        };
        self.look_at_file(&file, entries)?;
        Some(file)
    }

    fn format(&mut self, entries: &[Entry], file: &Node, path: &str) -> Option<ItemFormat> {
        let words = [
            ("csv", ItemFormat::Csv),
            ("tsv", ItemFormat::Tsv),
            ("jsonl", ItemFormat::Jsonl),
            ("json", ItemFormat::Json),
            ("yaml", ItemFormat::Yaml),
            ("glob", ItemFormat::Glob),
        ];
        if let Some(node) = value(entries, "format") {
            if node.as_scalar().is_some_and(|scalar| scalar.text == "parquet") {
                self.reader.later(node.span, "parquet");
                return None;
            }
            return self.reader.word(node, "format", &words);
        }
        if path.contains(['*', '?', '[']) {
            return Some(ItemFormat::Glob);
        }
        let extension = path.rsplit_once('.').map_or("", |(_, extension)| extension);
        let known = words.iter().find(|(word, _)| extension.eq_ignore_ascii_case(word));
        match (known, extension) {
            (Some((_, format)), _) => Some(*format),
            (None, "yml") => Some(ItemFormat::Yaml),
            (None, "parquet") => {
                self.reader.later(file.mark(&self.reader.file), "parquet");
                None
            }
            (None, _) => {
                let names: Vec<_> = words.iter().map(|(word, _)| *word).collect();
                let message = format!("the ending of `{path}` does not say how to read it");
                let span = file.mark(&self.reader.file);
                let problem = self.reader.problem(Code::E0210, span, message);
                let help = format!("add `format:` with one of {}", quoted(&names));
                self.reader.push(problem.help(help));
                None
            }
        }
    }

    fn types(
        &mut self,
        entries: &[Entry],
        format: Option<ItemFormat>,
    ) -> Option<Vec<(String, Span, CellType)>> {
        let Some(node) = value(entries, "types") else { return Some(Vec::new()) };
        let columns = self.reader.map(node, "types")?;
        let words = [
            ("string", CellType::String),
            ("integer", CellType::Integer),
            ("number", CellType::Number),
            ("boolean", CellType::Boolean),
            ("json", CellType::Json),
        ];
        let mut types = Vec::new();
        for entry in columns {
            let kind = self.reader.word(&entry.value, "types", &words)?;
            types.push((entry.key.clone(), entry.key_span, kind));
        }
        if !matches!(format, Some(ItemFormat::Csv | ItemFormat::Tsv) | None) {
            let span = node.mark(&self.reader.file);
            let message = "`types` is for csv and tsv, whose cells are text";
            self.reader.push(self.reader.problem(Code::E0203, span, message));
            return None;
        }
        Some(types)
    }

    fn limit(&mut self, entries: &[Entry]) -> Option<Option<u64>> {
        let Some(node) = value(entries, "limit") else { return Some(None) };
        let number = match node.as_scalar() {
            Some(scalar) if scalar.text.contains("{{") => {
                let written = self.reader.template(node)?;
                self.reader.names(&written.references(), Place::Fixed, &self.names);
                let result = self.evaluate_now(&written)?;
                let Some(number) = result.as_u64() else {
                    let message =
                        format!("`limit` takes a whole number of 0 or more, not {result}");
                    self.reader.refuse(node, ExprError::new(Code::E0208, message));
                    return None;
                };
                number
            }
            Some(_) | None => self.reader.integer(node, "limit", (0, u64::MAX))?,
        };
        Some((number > 0).then_some(number))
    }

    /// Looks whether the file is there, and at the names of its columns.
    fn look_at_file(&mut self, file: &FileItems, entries: &[Entry]) -> Option<()> {
        if file.format == ItemFormat::Glob {
            self.names.items = ItemShape::Fields { names: FILE, from_outputs: false };
            let found = self.setting.loader.glob(&file.from, &file.path);
            return found.map(|_| ()).map_err(|error| self.unloadable(file.span, &error)).ok();
        }
        let bytes = match self.setting.loader.open(&file.from, &file.path) {
            Ok(bytes) => bytes,
            Err(error) => {
                self.unloadable(file.span, &error);
                return None;
            }
        };
        if !matches!(file.format, ItemFormat::Csv | ItemFormat::Tsv) {
            return Some(());
        }
        // Names that are no columns are told below, each at its own place.
        let bare = FileItems { key: None, types: Vec::new(), ..file.clone() };
        let records = match Records::open(&bare, bytes) {
            Ok(records) => records,
            Err(error) => {
                self.reader.push(error.problem(&self.reader.file, &bare));
                return None;
            }
        };
        let columns = records.columns().unwrap_or_default();
        let columns: Vec<String> = columns.into_iter().map(str::to_owned).collect();
        self.columns_exist(file, entries, &columns);
        self.names.items = ItemShape::Columns(columns);
        Some(())
    }

    /// E0303 for `key` and `types` that name no column.
    fn columns_exist(&mut self, file: &FileItems, entries: &[Entry], columns: &[String]) {
        let typed = value(entries, "types").and_then(|node| match &node.body {
            Body::Map(entries) => Some(entries),
            Body::Scalar(_) | Body::List(_) | Body::Broken => None,
        });
        let typed = typed.into_iter().flatten().map(|entry| (&entry.key, entry.key_span));
        let key = file.key.iter().map(|(name, span)| (name, *span));
        for (name, span) in key.chain(typed).filter(|(name, _)| !columns.contains(name)) {
            let known = columns.iter().map(String::as_str);
            let help = match forms::closest(name, known.clone()) {
                Some(meant) => format!("did you mean `{meant}`?"),
                None => format!("the columns are {}", quoted(&known.take(20).collect::<Vec<_>>())),
            };
            let message = format!("{} has no column `{name}`", file.path);
            let problem = self.reader.problem(Code::E0303, span, message);
            self.reader.push(problem.help(help));
        }
    }

    /// Keeps E0307 or E0504.
    pub(super) fn unloadable(&mut self, span: Span, error: &LoadError) {
        let message = match error {
            LoadError::Unreadable { source, .. } => format!("{error}: {source}"),
            LoadError::Missing { .. } | LoadError::Outside { .. } | LoadError::NotUtf8 { .. } => {
                error.to_string()
            }
        };
        let problem = self.reader.problem(error.code(), span, message);
        self.reader.push(match error.hint() {
            Some(hint) => problem.help(hint),
            None => problem,
        });
    }

    /// Text that is known before anything runs: it may read params.
    pub(super) fn fixed_text(&mut self, node: &Node, key: &str) -> Option<String> {
        let raw = self.reader.raw(node, key, "text")?;
        if !raw.contains("{{") {
            return Some(raw.to_owned());
        }
        let written = self.reader.template(node)?;
        let before = self.reader.problems.len();
        self.reader.names(&written.references(), Place::Fixed, &self.names);
        if self.reader.problems.len() > before {
            return None;
        }
        match self.evaluate_now(&written)? {
            Value::String(text) => Some(text),
            other @ (Value::Null
            | Value::Bool(_)
            | Value::Number(_)
            | Value::Array(_)
            | Value::Object(_)) => {
                let message = format!("`{key}` takes text, not {}", forms::kind(&other));
                self.reader.refuse(node, ExprError::new(Code::E0202, message));
                None
            }
        }
    }

    /// The value of something that reads nothing but params; `None` if they are not there.
    pub(super) fn evaluate_now(&mut self, written: &WrittenTemplate) -> Option<Value> {
        self.params.as_ref()?;
        match written.evaluate(&self.scope) {
            Ok(value) => Some(value),
            Err(problem) => {
                self.reader.push(*problem);
                None
            }
        }
    }
}

/// Whether an expression is nothing but one path: `steps.x.results`.
fn is_one_path(written: &WrittenExpression) -> bool {
    let source = written.value.source().trim();
    match written.value.references() {
        [one] => one.dotted() == source,
        _ => false,
    }
}
