//! How fast a plan is made: one pass over 100,000 rows of CSV, checked, rendered and measured.
//!
//! `cargo bench --bench plan` prints the time of a pass; the row text is made, not read from a
//! disk, so that the figure is the program's own. `ROWS=1000000` takes as many rows.
#![expect(clippy::disallowed_methods, reason = "a bench takes its size from the environment")]

use std::io::{self, Read};
use std::sync::Arc;
use std::time::Duration;

use alloy::primitives::Address;
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use ogflow::pipeline::check::Setting;
use ogflow::pipeline::{FoundFile, LoadError, Loader, Pipeline, SourceText};
use ogflow::plan::{NoSink, Plan, Request, SourceEntry, Sources};
use ogflow::units::source::{Delivery, SourceFacts};
use ogflow::units::{Network, Wei};

const TEMPLATE: &str = "version: 1
kind: template
name: classify
inputs:
  text: { type: string, maxLength: 8000 }
  labels: { type: array, items: { type: string }, minItems: 2 }
  stars: { type: [integer, 'null'], default: null }
task:
  function: chat
  data:
    labels: '{{ inputs.labels }}'
    stars: '{{ inputs.stars }}'
    messages:
      - { role: system, content: Reply with JSON and nothing else. }
      - role: user
        content: |
          Labels: {{ inputs.labels | join(', ') }}
          Text: {{ inputs.text }}
";

const BY_TEMPLATE: &str = "version: 1
name: by-template
sources: { llm: builtin:llm }
params: { labels: { type: array, items: { type: string }, default: [good, bad] } }
steps:
  label:
    uses: ./classify.yaml
    source: llm
    payment: 0.01 OGPU
    foreach: { file: rows.csv, key: id, types: { stars: integer } }
    with: { text: '{{ item.text }}', labels: '{{ params.labels }}', stars: '{{ item.stars }}' }
";

const DIRECT: &str = "version: 1
name: direct
sources: { llm: builtin:llm }
steps:
  summarise:
    source: llm
    function: chat
    payment: 0.01 OGPU
    foreach: { file: rows.csv, key: id }
    data: { prompt: 'Summarise in one sentence: {{ item.text }}' }
";

/// Files in memory.
struct Files(Arc<[u8]>);

impl Loader for Files {
    fn text(&self, _: &str, _: &str) -> Result<Arc<SourceText>, LoadError> {
        Ok(SourceText::new("classify.yaml", TEMPLATE))
    }

    fn open(&self, _: &str, _: &str) -> Result<Box<dyn Read + Send>, LoadError> {
        Ok(Box::new(io::Cursor::new(Arc::clone(&self.0))))
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

fn rows(count: u32) -> Files {
    let mut text = String::from("id,text,stars\n");
    for row in 0..count {
        let body = "Great screen, but the battery is weak and the \"\"case\"\" feels cheap. ";
        text.push_str(&format!("rev-{row:07},\"{body}{row}\",{}\n", row % 5 + 1));
    }
    Files(text.into_bytes().into())
}

fn plan(pipeline: &Arc<Pipeline>, files: &Files, network: &Network) -> Plan {
    let facts = SourceFacts {
        client: Address::ZERO,
        active: true,
        min_payment: Wei::ZERO,
        max_expiry: Duration::from_secs(86_400),
        delivery: Delivery::ManualConfirmation,
        registrants: 1,
    };
    let entries = Sources::wanted(pipeline).into_iter().map(|source| SourceEntry {
        named: source.to_string(),
        address: Address::repeat_byte(1),
        facts: Some(facts.clone()),
    });
    let request = Request {
        pipeline: Arc::clone(pipeline),
        network,
        sources: Sources { entries: entries.collect(), block: None },
        loader: files,
        sink: &mut NoSink,
        limit: None,
    };
    Plan::make(request).expect("the rows are sound").plan
}

fn passes(criterion: &mut Criterion) {
    let count = std::env::var("ROWS").ok().and_then(|rows| rows.parse().ok()).unwrap_or(100_000);
    let (files, network) = (rows(count), Network::devnet());
    let mut group = criterion.benchmark_group("plan");
    group.throughput(Throughput::Elements(u64::from(count))).sample_size(10);
    for (name, text) in [("direct", DIRECT), ("template", BY_TEMPLATE)] {
        let file = SourceText::new("p.yaml", text);
        let setting = Setting { loader: &files, params: &[], network: &network };
        let (pipeline, problems) = Pipeline::check(&file, setting);
        let pipeline = Arc::new(pipeline.unwrap_or_else(|| panic!("{problems:#?}")));
        group.bench_function(name, |bencher| bencher.iter(|| plan(&pipeline, &files, &network)));
    }
    group.finish();
}

criterion_group!(benches, passes);
criterion_main!(benches);
