//! A plan as a record from which the same plan can be made again, without any of its files.

use std::io::{self, Read};
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::{KnownItems, Plan, PlanError, Planned, Sources, make};
use crate::pipeline::check::{ParamValue, Setting};
use crate::pipeline::{
    Foreach, FoundFile, ItemFormat, LoadError, Loader, Pipeline, Problem, Severity, SourceText,
};
use crate::units::{Network, StepName};

/// Everything that a plan was made from, with what was found in its item files. A run stores
/// it, so that later edits cannot hurt a resume.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Bundle {
    /// The pipeline.
    pub pipeline: Text,
    /// Templates and schemas.
    pub parts: Vec<Text>,
    /// The params with their values.
    pub params: Map<String, Value>,
    /// The steps that were selected, where the others were left out.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub only: Vec<StepName>,
    /// The sources, as their contracts were.
    pub sources: Sources,
    /// What was found in the items of each step, in plan order.
    pub items: Vec<Option<KnownItems>>,
    /// The first rows of the item files that name columns.
    pub headers: Vec<Header>,
}

/// A file of text.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Text {
    /// Its name.
    pub name: String,
    /// Its text.
    pub text: String,
}

/// The first row of an item file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Header {
    /// The path as written.
    pub path: String,
    /// The row.
    pub row: String,
}

impl Plan {
    /// The record of this plan.
    pub fn bundle(&self) -> Bundle {
        let text =
            |file: &Arc<SourceText>| Text { name: file.name.clone(), text: file.text.clone() };
        Bundle {
            pipeline: text(&self.pipeline.file),
            parts: self.pipeline.parts.iter().map(text).collect(),
            params: self.pipeline.params.clone(),
            only: self.pipeline.only.clone(),
            sources: self.sources.clone(),
            items: self.steps.iter().map(|step| step.items.clone()).collect(),
            headers: self.headers(),
        }
    }

    fn headers(&self) -> Vec<Header> {
        let mut headers: Vec<Header> = Vec::new();
        for step in &self.steps {
            let written = &self.pipeline.steps[step.written_at];
            let columns = step.items.as_ref().and_then(|items| items.columns.as_ref());
            let (Foreach::File(items), Some(columns)) = (&written.foreach, columns) else {
                continue;
            };
            if headers.iter().any(|known| known.path == items.path) {
                continue;
            }
            let delimiter = if items.format == ItemFormat::Tsv { b'\t' } else { b',' };
            headers.push(Header { path: items.path.clone(), row: row(columns, delimiter) });
        }
        headers
    }
}

/// The names of columns as a row that reads back as them.
fn row(columns: &[String], delimiter: u8) -> String {
    let mut writer = csv::WriterBuilder::new().delimiter(delimiter).from_writer(Vec::new());
    let written = writer.write_record(columns).ok().and_then(|()| writer.into_inner().ok());
    written.and_then(|bytes| String::from_utf8(bytes).ok()).unwrap_or_default()
}

impl Bundle {
    /// Reads the record that a run stored.
    ///
    /// # Errors
    /// [`PlanError::Record`] when it is none.
    pub fn parse(json: &Value) -> Result<Self, PlanError> {
        Self::deserialize(json).map_err(|error| PlanError::Record { what: error.to_string() })
    }

    /// The record as JSON.
    ///
    /// # Panics
    /// Never: every field is JSON.
    pub fn to_json(&self) -> Value {
        serde_json::to_value(self).expect("texts, maps and numbers serialize")
    }

    /// Makes the plan again.
    ///
    /// # Errors
    /// The problems of the pipeline, if this program no longer takes it.
    pub fn restore(self, network: &Network) -> Result<Plan, Vec<Problem>> {
        let file = SourceText::new(self.pipeline.name.as_str(), self.pipeline.text.as_str());
        let params: Vec<(String, ParamValue)> = self
            .params
            .iter()
            .map(|(name, value)| (name.clone(), ParamValue::Typed(value.clone())))
            .collect();
        let setting = Setting { loader: &self, params: &params, network };
        let (pipeline, mut problems) = Pipeline::check(&file, setting);
        let Some(mut pipeline) = pipeline else {
            problems.retain(|problem| problem.severity() == Severity::Error);
            return Err(problems);
        };
        pipeline.keep(&self.only);
        let known = self.items.clone();
        let restored = make::restore(Arc::new(pipeline), network, self.sources.clone(), known);
        restored.map(|Planned { plan, .. }| plan)
    }
}

/// `path`, as seen from the folder of the file `from`, without `.` and `..`.
fn joined(from: &str, path: &str) -> String {
    let folder = from.rsplit_once('/').map_or("", |(folder, _)| folder);
    let mut parts: Vec<&str> = Vec::new();
    for part in folder.split('/').chain(path.split('/')) {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop();
            }
            name => parts.push(name),
        }
    }
    parts.join("/")
}

impl Loader for Bundle {
    fn text(&self, from: &str, path: &str) -> Result<Arc<SourceText>, LoadError> {
        let wanted = joined(from, path);
        let same = |part: &&Text| joined("", &part.name) == wanted;
        let ends =
            |part: &&Text| joined("", &part.name).ends_with(&format!("/{}", joined("", path)));
        let found = self.parts.iter().find(same).or_else(|| self.parts.iter().find(ends));
        found
            .map(|part| SourceText::new(part.name.as_str(), part.text.as_str()))
            .ok_or_else(|| LoadError::Missing { path: path.to_owned() })
    }

    /// The first row, which is all that a check looks at.
    fn open(&self, _: &str, path: &str) -> Result<Box<dyn Read + Send>, LoadError> {
        let row = self.headers.iter().find(|header| header.path == path);
        let bytes = row.map_or_else(Vec::new, |header| header.row.clone().into_bytes());
        Ok(Box::new(io::Cursor::new(bytes)))
    }

    fn glob(&self, _: &str, _: &str) -> Result<Vec<FoundFile>, LoadError> {
        Ok(Vec::new())
    }

    fn inside(&self, _: &str, _: &str) -> Result<(), LoadError> {
        Ok(())
    }

    fn env(&self, _: &str) -> Option<String> {
        None
    }
}
