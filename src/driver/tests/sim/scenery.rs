//! The pipelines of the stories, planned once.

use std::collections::BTreeMap;
use std::sync::{Arc, LazyLock, Mutex};
use std::time::Duration;

use super::contracts::{AUTO, MANUAL};
use super::getters::network;
use crate::content::Blobs;
use crate::driver::items::BlobSink;
use crate::pipeline::check::Setting as Check;
use crate::pipeline::{NoFiles, Pipeline, Problem, SourceText};
use crate::plan::{Plan, Request, SourceEntry, Sources};
use crate::units::source::{Delivery, SourceFacts};
use crate::units::{Finality, Network, Wei};

const HEAD: &str = "version: 1
name: story
limits: { publish_rate: 200/s, burst: 50, in_flight: 5000 }
defaults:
  function: f
  payment: 0.01 OGPU
  expires: 100s
  allow_failures: 100%
  retry: { max: 1, after: [expired, publish_error, rejected] }
steps:
";

/// Twenty items on a source that pays by itself.
const AUTOMATIC: &str = "  a:
    source: builtin:echo
    foreach: range(20) | list
    data: { n: '{{ item }}' }
    accept: { when: [output.ok] }
";

/// Twenty items that are confirmed by the client.
const CONFIRMED: &str = "  a:
    source: builtin:llm
    foreach: range(20) | list
    data: { n: '{{ item }}' }
    accept: { when: [output.ok] }
";

/// A step, one that takes its results as they come, and one that waits for all.
const CHAINED: &str = "  a:
    source: builtin:llm
    foreach: range(11) | list
    data: { n: '{{ item }}' }
    accept: { when: [output.ok] }
  b:
    source: builtin:echo
    foreach: steps.a.results
    data: { n: '{{ item.output.echo.n }}' }
    accept: { when: [output.ok] }
  c:
    source: builtin:llm
    data: { sum: '{{ steps.b.count }}' }
";

/// The same in small.
const SMALL: &str = "  a:
    source: builtin:echo
    foreach: range(2) | list
    data: { n: '{{ item }}' }
    accept: { when: [output.ok] }
  b:
    source: builtin:llm
    foreach: steps.a.results
    data: { n: '{{ item.output.echo.n }}' }
    accept: { when: [output.ok] }
  c:
    source: builtin:llm
    data: { sum: '{{ steps.b.count }}' }
";

/// The same with so many items, for a run without trouble.
fn many(steps: &str, count: u32) -> String {
    steps.replace("range(20)", &format!("range({count})"))
}

/// Which pipeline.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Steps {
    Automatic,
    Confirmed,
    Chained,
    /// So many items that are confirmed by the client.
    Many(u32),
    /// So many items on a source that pays by itself.
    ManyPaid(u32),
    Small,
    /// No steps: what a run has that moves money, and does nothing else.
    None,
}

/// A plan and the blobs that its items are in.
#[derive(Clone)]
pub(super) struct Scenery {
    pub plan: Arc<Plan>,
    pub blobs: Blobs,
}

type Key = (Steps, u32, String, (u32, bool));

static PLANS: LazyLock<Mutex<BTreeMap<Key, Scenery>>> = LazyLock::new(Mutex::default);
static HOME: LazyLock<tempfile::TempDir> = LazyLock::new(|| tempfile::tempdir().unwrap());

impl Scenery {
    /// The plan of a pipeline with this window, finality and batch size, near or far away.
    pub(super) fn of(
        (which, window): (Steps, u32),
        finality: Finality,
        batch: (u32, bool),
    ) -> Self {
        let key = (which, window, finality.to_string(), batch);
        let mut plans = PLANS.lock().unwrap();
        plans.entry(key).or_insert_with(|| Self::make((which, window), finality, batch)).clone()
    }

    fn make(
        (which, window): (Steps, u32),
        finality: Finality,
        (rpc_batch, remote): (u32, bool),
    ) -> Self {
        let rpc = if remote { vec!["https://node.invalid".into()] } else { Vec::new() };
        let network = Network { window, finality, rpc_batch, rpc, ..network().clone() };
        let blobs = Blobs::open(HOME.path()).unwrap();
        let steps = match which {
            Steps::Automatic => AUTOMATIC.into(),
            Steps::Confirmed => CONFIRMED.into(),
            Steps::Chained => CHAINED.into(),
            Steps::Small => SMALL.into(),
            Steps::Many(count) => many(CONFIRMED, count),
            Steps::ManyPaid(count) => many(AUTOMATIC, count),
            Steps::None => {
                return Self { plan: Arc::new(Plan::without_steps(&network)), blobs };
            }
        };
        let text = format!("{HEAD}{steps}");
        let check = Check { loader: &NoFiles, params: &[], network: &network };
        let (pipeline, problems) = Pipeline::check(&SourceText::new("p.yaml", &text), check);
        let shown: Vec<_> = problems.iter().map(Problem::line).collect();
        let pipeline = Arc::new(pipeline.unwrap_or_else(|| panic!("{shown:#?}")));
        let entries = Sources::wanted(&pipeline).into_iter().map(|wanted| {
            let named = wanted.to_string();
            let manual = named.contains("llm");
            let facts = Some(facts(manual));
            SourceEntry { named, address: if manual { MANUAL } else { AUTO }, facts }
        });
        let sources = Sources { entries: entries.collect(), block: None };
        let sink = &mut BlobSink::new(blobs.clone());
        let request =
            Request { pipeline, network: &network, sources, loader: &NoFiles, sink, limit: None };
        Self { plan: Arc::new(Plan::make(request).unwrap().plan), blobs }
    }
}

fn facts(manual: bool) -> SourceFacts {
    let delivery = if manual { Delivery::ManualConfirmation } else { Delivery::FirstResponse };
    SourceFacts {
        client: alloy::primitives::Address::ZERO,
        active: true,
        min_payment: Wei::parse("0.001 OGPU").unwrap(),
        max_expiry: Duration::from_secs(86_400),
        delivery,
        registrants: 2,
    }
}
