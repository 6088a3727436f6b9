//! A project under paused time: its plan, chain, content, journal and clock.

use alloy::primitives::{Address, B256};
use serde_json::Value;

use super::super::*;
use super::stage::{Disk, Shared, Stage, WALLET, Watched, held, source};
use crate::content::MemoryContent;
use crate::pipeline::check::Setting;
use crate::pipeline::{NoFiles, Pipeline, SourceText};
use crate::plan::{Balances, GasPrices, Request, SourceEntry, Sources};
use crate::store::MemoryJournal;
use crate::units::{Network, SignedTx, Wei};

/// A step over a list, one that takes its results as they come, and one that waits for all.
const THREE_STEPS: &str = "version: 1
name: test
sources: { llm: builtin:llm }
defaults: { source: llm, function: chat, payment: 0.01 OGPU, expires: 1h }
steps:
  greet:
    foreach: [ann, 'b\"o,b', çé, dan, eve]
    data: { name: '{{ item }}' }
  again:
    foreach: steps.greet.results
    data: { name: '{{ item.output.echo.name }}', who: '{{ item.provider }}' }
  all:
    data:
      names: '{{ steps.again.outputs | map(attribute=\"echo.name\") | list }}'
      count: '{{ steps.greet.count }}'
";

fn verify(_: &SignedTx) -> bool {
    true
}

/// A project with everything around it.
pub(super) struct Scene {
    _home: tempfile::TempDir,
    plan: Arc<Plan>,
    blobs: Blobs,
    pub(super) chain: Arc<Stage>,
    pub(super) content: Arc<MemoryContent>,
    pub(super) journal: Watched,
    pub(super) disk: Shared<Disk>,
    pub(super) signals: Vec<(u64, Signal)>,
    pub(super) detach: bool,
    pub(super) cap: Option<Wei>,
    epoch_of_time: Timestamp,
}

impl Scene {
    pub(super) fn new() -> Self {
        Self::of(THREE_STEPS)
    }

    fn of(text: &str) -> Self {
        let home = tempfile::tempdir().unwrap();
        let blobs = Blobs::open(home.path()).unwrap();
        let network = Network { payer: crate::units::PayerRule::Signer, ..Network::devnet() };
        let setting = Setting { loader: &NoFiles, params: &[], network: &network };
        let (pipeline, problems) = Pipeline::check(&SourceText::new("p.yaml", text), setting);
        let shown: Vec<_> = problems.iter().map(crate::pipeline::Problem::line).collect();
        let pipeline = Arc::new(pipeline.unwrap_or_else(|| panic!("{shown:#?}")));
        let entries = Sources::wanted(&pipeline).into_iter().map(|wanted| SourceEntry {
            named: wanted.to_string(),
            address: Address::repeat_byte(7),
            facts: Some(source()),
        });
        let sources = Sources { entries: entries.collect(), block: None };
        let sink = &mut BlobSink::new(blobs.clone());
        let request =
            Request { pipeline, network: &network, sources, loader: &NoFiles, sink, limit: None };
        let plan = Arc::new(Plan::make(request).unwrap().plan);
        let (content, disk) = (Arc::new(MemoryContent::new()), Shared::<Disk>::default());
        Self {
            _home: home,
            plan,
            blobs,
            chain: Arc::new(Stage::new(Arc::clone(&content), Arc::clone(&disk))),
            content,
            journal: Watched { inner: MemoryJournal::new(verify), disk: Arc::clone(&disk) },
            disk,
            signals: Vec::new(),
            detach: false,
            cap: None,
            epoch_of_time: Timestamp::from_millis(1_000_000),
        }
    }

    pub(super) fn run_id() -> RunId {
        RunId::from_random(5)
    }

    pub(super) async fn start(&mut self) -> Result<Finish, DriverError> {
        self.start_as(Self::run_id()).await
    }

    pub(super) async fn start_as(&mut self, run: RunId) -> Result<Finish, DriverError> {
        let facts = self.chain.guard().await.unwrap();
        let start = preflight::Start {
            run,
            plan: &self.plan,
            bundle: Value::Null,
            facts: &facts,
            signer: WALLET,
            payer: WALLET,
            cap: self.cap,
            at: self.epoch_of_time,
            seed: 1,
        };
        let begin = Begin::Start(start.header());
        self.drive(begin, Vec::new()).await
    }

    pub(super) async fn resume(&mut self) -> Result<Finish, DriverError> {
        self.drive(
            Begin::Resume {
                run: Self::run_id(),
                cap: None,
                wishes: Wishes::default(),
                consent: Consent::default(),
            },
            Vec::new(),
        )
        .await
    }

    /// Goes on, and answers for this code.
    pub(super) async fn resume_accepting(&mut self, code: B256) -> Result<Finish, DriverError> {
        let (run, wishes) = (Self::run_id(), Wishes::default());
        let consent = Consent { take_over: false, code: vec![code] };
        self.drive(Begin::Resume { run, cap: None, wishes, consent }, Vec::new()).await
    }

    pub(super) async fn drive<'a>(
        &'a mut self,
        begin: Begin,
        observers: Vec<Observer<'a>>,
    ) -> Result<Finish, DriverError> {
        let (sender, signals) = mpsc::channel(2);
        let planned = std::mem::take(&mut self.signals);
        let _sender = tokio::spawn(async move {
            for (after_s, signal) in planned {
                tokio::time::sleep(std::time::Duration::from_secs(after_s)).await;
                sender.send(signal).await.unwrap();
            }
            std::future::pending::<()>().await;
        });
        let disk = Arc::clone(&self.disk);
        let outputs: Outputs =
            Arc::new(move |sha256: &B256| Ok(held(&disk).outputs.get(sha256).cloned()));
        let clock = Clock::starting_at(self.epoch_of_time);
        let finish = drive(Drive {
            chain: Arc::clone(&self.chain),
            content: Arc::clone(&self.content),
            journal: &mut self.journal,
            plan: Arc::clone(&self.plan),
            blobs: self.blobs.clone(),
            outputs,
            begin,
            clock,
            detach: self.detach,
            signals,
            observers,
            summary: None,
            notice: None,
            mark: None,
        })
        .await;
        self.epoch_of_time = clock.now();
        finish
    }

    /// The data of every task that was published, sorted.
    pub(super) fn bought(&self) -> Vec<String> {
        let published = held(&self.chain.state).published();
        let mut data: Vec<String> = published
            .iter()
            .map(|config| {
                let bytes = self.content.bytes_at(config).unwrap();
                let config: Value = serde_json::from_slice(&bytes).unwrap();
                config["data"].to_string()
            })
            .collect();
        data.sort();
        data
    }

    /// What `plan` prints as the most that the run can come to, at the prices that it starts with.
    pub(super) async fn planned_maximum(&self) -> Wei {
        let request = preflight::figures(&self.plan, (Some(WALLET), Some(WALLET)));
        let survey = self.chain.survey(request).await.unwrap();
        let gas = Some(GasPrices {
            publish_gas: survey.publish_gas,
            confirm_gas: survey.confirm_gas,
            price: survey.max_fee_per_gas,
        });
        let balances = Balances { gas, ..Balances::default() };
        self.plan.summary(self.epoch_of_time, &balances, &[]).totals.total.max.unwrap()
    }

    /// What the run paid, gas included, by its journal.
    pub(super) fn spent(&self) -> Wei {
        let paid = |event: &Event| match event {
            Event::TaskDone { outcome, .. } => outcome.paid().unwrap_or_default(),
            Event::SlotFinal { gas_paid, .. } => *gas_paid,
            _ => Wei::ZERO,
        };
        held(&self.disk).events.iter().map(paid).fold(Wei::ZERO, Wei::saturating_add)
    }

    pub(super) fn outcomes(&self) -> (usize, usize) {
        let disk = held(&self.disk);
        let done = disk.events.iter().filter_map(|event| match event {
            Event::TaskDone { outcome, .. } => Some(outcome.paid().is_some()),
            _ => None,
        });
        let done: Vec<_> = done.collect();
        (done.iter().filter(|paid| **paid).count(), done.len())
    }
}
