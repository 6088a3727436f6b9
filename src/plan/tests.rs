//! Plans of whole pipelines, from their text.

mod batch;
mod cost;
mod graph;
mod run;
mod sources;

use std::collections::BTreeMap;
use std::io::{self, Read};
use std::sync::Arc;
use std::time::Duration;

use alloy::primitives::Address;

use super::*;
use crate::pipeline::check::Setting;
use crate::pipeline::{FoundFile, LoadError, Loader, Problem, SourceText};
use crate::units::source::Delivery;

/// A project in memory: a pipeline and its files, with sources that take everything.
#[derive(Clone)]
struct Project {
    text: String,
    files: BTreeMap<String, Vec<u8>>,
    facts: SourceFacts,
    limit: Option<u64>,
}

/// Keeps the lines of all items, by step.
#[derive(Default)]
struct Kept(BTreeMap<String, Vec<String>>);

impl ItemSink for Kept {
    fn line(&mut self, step: &StepName, line: &[u8]) -> io::Result<()> {
        let line = String::from_utf8(line.to_vec()).expect("lines are JSON");
        self.0.entry(step.to_string()).or_default().push(line);
        Ok(())
    }

    fn end(&mut self, step: &StepName) -> io::Result<Option<B256>> {
        let lines = self.0.get(step.as_str()).map_or(0, Vec::len);
        Ok(Some(B256::with_last_byte(u8::try_from(lines % 256).expect("below 256"))))
    }
}

impl Project {
    /// A pipeline with these `steps` and a source `llm`.
    fn new(steps: &str) -> Self {
        Self {
            text: format!("version: 1\nname: test\nsources: {{ llm: builtin:llm }}\n{steps}"),
            files: BTreeMap::new(),
            facts: SourceFacts {
                client: Address::ZERO,
                active: true,
                min_payment: Wei::parse("0.001 OGPU").unwrap(),
                max_expiry: Duration::from_secs(86_400),
                delivery: Delivery::ManualConfirmation,
                registrants: 4,
            },
            limit: None,
        }
    }

    fn file(mut self, path: &str, text: impl Into<Vec<u8>>) -> Self {
        self.files.insert(path.to_owned(), text.into());
        self
    }

    fn pipeline(&self) -> Arc<Pipeline> {
        let file = SourceText::new("p.yaml", self.text.as_str());
        let network = Network::devnet();
        let setting = Setting { loader: self, params: &[], network: &network };
        let (pipeline, problems) = Pipeline::check(&file, setting);
        let shown: Vec<String> = problems.iter().map(Problem::line).collect();
        Arc::new(pipeline.unwrap_or_else(|| panic!("{shown:#?}")))
    }

    fn sources(&self, pipeline: &Pipeline) -> Sources {
        let entries = Sources::wanted(pipeline).into_iter().zip(1_u8..).map(|(source, at)| {
            let facts = Some(self.facts.clone());
            SourceEntry { named: source.to_string(), address: Address::repeat_byte(at), facts }
        });
        Sources { entries: entries.collect(), block: Some(7) }
    }

    fn make(&self, sink: &mut dyn ItemSink) -> Result<Planned, Vec<Problem>> {
        let pipeline = self.pipeline();
        let sources = self.sources(&pipeline);
        let network = Network::devnet();
        let (loader, limit) = (self as &dyn Loader, self.limit);
        Plan::make(Request { pipeline, network: &network, sources, loader, sink, limit })
    }

    fn plan(&self) -> Plan {
        let shown = |problems: Vec<Problem>| problems.iter().map(Problem::line).collect::<Vec<_>>();
        self.make(&mut NoSink).map_err(shown).unwrap().plan
    }

    /// Code, message and marked text of each problem.
    fn problems(&self) -> Vec<(String, String, String)> {
        let problems = match self.make(&mut NoSink) {
            Ok(planned) => planned.warnings,
            Err(problems) => problems,
        };
        let told = |problem: &Problem| {
            let marked = problem.marked().unwrap_or_default().to_owned();
            (problem.code.to_string(), problem.message.clone(), marked)
        };
        problems.iter().map(told).collect()
    }
}

impl Loader for Project {
    fn text(&self, _: &str, path: &str) -> Result<Arc<SourceText>, LoadError> {
        let name = path.trim_start_matches("./");
        let missing = || LoadError::Missing { path: path.to_owned() };
        let bytes = self.files.get(name).ok_or_else(missing)?;
        Ok(SourceText::new(name, String::from_utf8_lossy(bytes)))
    }

    fn open(&self, _: &str, path: &str) -> Result<Box<dyn Read + Send>, LoadError> {
        let missing = || LoadError::Missing { path: path.to_owned() };
        let bytes = self.files.get(path).ok_or_else(missing)?;
        Ok(Box::new(io::Cursor::new(bytes.clone())))
    }

    fn glob(&self, _: &str, pattern: &str) -> Result<Vec<FoundFile>, LoadError> {
        let folder = pattern.split('*').next().unwrap_or_default();
        let found = self.files.iter().filter(|(path, _)| path.starts_with(folder));
        let size = |bytes: &Vec<u8>| u64::try_from(bytes.len()).unwrap_or(0);
        Ok(found.map(|(path, bytes)| FoundFile { path: path.clone(), size: size(bytes) }).collect())
    }

    fn inside(&self, _: &str, _: &str) -> Result<(), LoadError> {
        Ok(())
    }

    fn env(&self, _: &str) -> Option<String> {
        None
    }
}

/// A round that buys nothing and has no tag.
const FREE: Purchase<'_> = Purchase { key: None, payment: Wei::ZERO };

/// The template that the examples use.
const CLASSIFY: &str = "version: 1
kind: template
name: classify
inputs:
  text: { type: string, maxLength: 20 }
  stars: { type: [integer, 'null'], default: null }
task:
  function: chat
  data:
    stars: '{{ inputs.stars }}'
    prompt: 'Label: {{ inputs.text }}'
accept:
  schema: { type: object, required: [label] }
  when: [output.label != inputs.text]
";

fn classify() -> Project {
    Project::new(
        "steps:
  label:
    uses: ./classify.yaml
    source: llm
    payment: 0.01 OGPU
    foreach: { file: rows.csv, key: id, types: { stars: integer } }
    with: { text: '{{ item.text }}', stars: '{{ item.stars }}' }
    accept: { when: [output.score > 0] }
",
    )
    .file("classify.yaml", CLASSIFY)
    .file("rows.csv", "id,text,stars\na,good,4\nb,\"bad, really\",\n")
}
