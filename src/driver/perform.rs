//! From a turn's list of effects to grouped calls, and back to news.
//!
//! The turn is the batch: what is waited on at once goes out together. An effect is out at most
//! once; sends of a lane go one group after the other, in nonce order.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use tokio::task::JoinSet;

use crate::chain::{Chain, OnRevert, PublishSample, SignRequest, SurveyRequest};
use crate::content::Content;
use crate::engine::{Effect, EffectKey, Input, RunHeader, Window};
use crate::plan::Plan;
use crate::store::Durable;
use crate::units::{Round, SendOutcome, Seq, SignedTx, Slot, TaskId, TaskKey};

use super::work::{Report, Shared};
use super::{DriveError, fetches};

/// How many configs or outputs one thread works on at a time.
const CPU_CHUNK: usize = 64;
/// How many versions one thread signs at a time.
const SIGN_CHUNK: usize = 32;
/// The most versions in one group of sends.
const SEND_GROUP: usize = 512;
/// A URL as long as any that the pin service gives: a gateway and a CID.
const LONGEST_CID: usize = 64;

/// What is out.
pub(super) struct Performer<C, N> {
    shared: Arc<Shared<C, N>>,
    tasks: JoinSet<()>,
    out: BTreeSet<EffectKey>,
    durable: BTreeMap<(Slot, Seq), Durable<SignedTx>>,
    unsent: BTreeSet<(Slot, Seq)>,
    sending: bool,
    survey: SurveyRequest,
}

/// A turn's effects by kind.
#[derive(Default)]
struct Groups {
    signs: Vec<SignRequest>,
    pins: Vec<(TaskId, Round, TaskKey)>,
    fetches: Vec<(TaskId, alloy::primitives::Address)>,
    checks: Vec<fetches::Check>,
    reads: Vec<(TaskId, alloy::primitives::Address)>,
}

impl<C: Chain, N: Content> Performer<C, N> {
    pub(super) fn new(shared: Arc<Shared<C, N>>, header: &RunHeader) -> Self {
        let survey = SurveyRequest {
            wallet: Some(header.signer),
            payer: Some(header.payer),
            publishes: samples(&shared.plan, header),
            confirm: None,
            on_revert: OnRevert::Guess,
        };
        Self {
            shared,
            tasks: JoinSet::new(),
            out: BTreeSet::new(),
            durable: BTreeMap::new(),
            unsent: BTreeSet::new(),
            sending: false,
            survey,
        }
    }

    /// Takes bytes that an append made durable.
    pub(super) fn keep(&mut self, durable: Vec<Durable<SignedTx>>) {
        for tx in durable {
            self.durable.insert((tx.get().slot, tx.get().seq), tx);
        }
    }

    /// Forgets the bytes of a slot that is used up.
    pub(super) fn forget(&mut self, slot: Slot) {
        let versions = self.durable.range((slot, Seq(0))..=(slot, Seq(u16::MAX)));
        let keys: Vec<(Slot, Seq)> = versions.map(|(key, _)| *key).collect();
        for key in keys {
            self.durable.remove(&key);
            self.unsent.remove(&key);
        }
    }

    /// Notes that effects are not out any more.
    pub(super) fn done(&mut self, keys: &[EffectKey]) {
        for key in keys {
            self.out.remove(key);
            self.sending &= !matches!(key, EffectKey::Broadcast(..));
        }
        while self.tasks.try_join_next().is_some() {}
    }

    /// Starts what is waited on and not out.
    pub(super) fn perform(&mut self, effects: Vec<Effect>) {
        let mut groups = Groups::default();
        for effect in effects {
            if self.out.insert(effect.key()) {
                self.sort(effect, &mut groups);
            }
        }
        self.start(groups);
        self.send();
    }

    fn sort(&mut self, effect: Effect, groups: &mut Groups) {
        match effect {
            Effect::Sign { slot, seq, call, fees } => {
                groups.signs.push(SignRequest { slot, seq, call, fees });
            }
            Effect::Broadcast { slot, seq } => {
                self.unsent.insert((slot, seq));
            }
            Effect::Pin { task, round, key } => groups.pins.push((task, round, key)),
            Effect::Fetch { task, response } => groups.fetches.push((task, response)),
            Effect::Check { task, response, sha256 } => {
                groups.checks.push(fetches::Check { task, response, sha256 });
            }
            Effect::ReadTask { task, address } => groups.reads.push((task, address)),
            Effect::Survey => self.survey(),
            Effect::ReadLogs { ring } => self.read_logs(ring),
            Effect::View { wallet, hashes } => self.view(wallet, hashes),
            Effect::Expand { step } => self.expand(step),
            Effect::ReadItems { step, window } => self.read_items(step, window),
        }
    }

    fn start(&mut self, groups: Groups) {
        for chunk in chunks(groups.signs, SIGN_CHUNK) {
            let shared = self.shared.clone();
            self.tasks.spawn(sign(shared, chunk));
        }
        for chunk in chunks(groups.pins, CPU_CHUNK) {
            let shared = self.shared.clone();
            self.tasks.spawn(fetches::pin(shared, chunk));
        }
        for chunk in chunks(groups.fetches, fetches::RESPONSES) {
            let shared = self.shared.clone();
            self.tasks.spawn(fetches::fetch(shared, chunk));
        }
        for chunk in chunks(groups.checks, CPU_CHUNK) {
            let shared = self.shared.clone();
            self.tasks.spawn_blocking(move || {
                let reports = chunk.into_iter().map(|check| check.run(&shared)).collect();
                shared.report(reports);
            });
        }
        for chunk in chunks(groups.reads, fetches::RESPONSES) {
            let shared = self.shared.clone();
            self.tasks.spawn(fetches::read_tasks(shared, chunk));
        }
    }

    /// Sends the next group of a lane, if none is on its way.
    fn send(&mut self) {
        if self.sending || self.unsent.is_empty() {
            return;
        }
        let mut txs = Vec::new();
        while txs.len() < SEND_GROUP
            && let Some(key) = self.unsent.pop_first()
        {
            // A version without durable bytes belongs to a slot that was used up meanwhile.
            match self.durable.get(&key) {
                Some(tx) => txs.push(tx.clone()),
                None => {
                    self.out.remove(&EffectKey::Broadcast(key.0, key.1));
                }
            }
        }
        if txs.is_empty() {
            return;
        }
        self.sending = true;
        let shared = self.shared.clone();
        self.tasks.spawn(async move {
            let outcomes = shared.chain.send(txs).await;
            if outcomes.iter().any(|(_, _, outcome)| *outcome == SendOutcome::WrongChain) {
                shared.fail(DriveError::WrongChain);
            }
            shared.report(sent(&outcomes));
        });
    }

    fn survey(&mut self) {
        let (shared, request) = (self.shared.clone(), self.survey.clone());
        self.tasks.spawn(async move {
            match shared.chain.survey(request).await {
                Ok(survey) => {
                    let input = Input::Surveyed(Box::new(survey));
                    shared.report(vec![Report::of(EffectKey::Survey, input)]);
                }
                Err(error) => shared.fail(DriveError::Chain(error)),
            }
        });
    }

    fn read_logs(&mut self, ring: Arc<[crate::units::BlockRef]>) {
        let shared = self.shared.clone();
        self.tasks.spawn(async move {
            match shared.chain.read_logs(&ring).await {
                Ok(read) => {
                    shared.report(vec![Report::of(EffectKey::ReadLogs, Input::Logs(read))]);
                }
                Err(error) => shared.fail(DriveError::Chain(error)),
            }
        });
    }

    fn view(&mut self, wallet: alloy::primitives::Address, hashes: Vec<alloy::primitives::B256>) {
        let shared = self.shared.clone();
        self.tasks.spawn(async move {
            match shared.chain.view(wallet, hashes.clone()).await {
                Ok(view) => {
                    let input = Input::Viewed { wallet, asked: hashes, view };
                    shared.report(vec![Report::of(EffectKey::View(wallet), input)]);
                }
                Err(error) => shared.fail(DriveError::Chain(error)),
            }
        });
    }

    fn expand(&mut self, step: u16) {
        let shared = self.shared.clone();
        self.tasks.spawn_blocking(move || {
            let expansion = fetches::expand(&shared, step);
            let input = Input::Expanded { step, expansion };
            shared.report(vec![Report::of(EffectKey::Expand(step), input)]);
        });
    }

    fn read_items(&mut self, step: u16, window: Window) {
        let shared = self.shared.clone();
        self.tasks.spawn_blocking(move || {
            let items = fetches::read_items(&shared, step, window);
            let input = Input::Items { step, items };
            shared.report(vec![Report::of(EffectKey::ReadItems(step), input)]);
        });
    }
}

async fn sign<C: Chain, N: Content>(shared: Arc<Shared<C, N>>, requests: Vec<SignRequest>) {
    let signed = shared.chain.sign(requests.clone()).await;
    let mut reports = Vec::with_capacity(signed.len());
    for (request, signed) in requests.into_iter().zip(signed) {
        let SignRequest { slot, seq, call, fees } = request;
        match signed {
            Ok(tx) => {
                let input = Input::Signed { slot, seq, hash: tx.hash, call, fees };
                let done = vec![EffectKey::Sign(slot, seq)];
                let signed = Some(tx);
                reports.push(Report { done, input: Some(input), signed, output: None });
            }
            Err(error) => shared.fail(DriveError::Sign(error)),
        }
    }
    shared.report(reports);
}

/// What endpoints said, as one input a lane.
fn sent(outcomes: &[(Slot, Seq, SendOutcome)]) -> Vec<Report> {
    let mut lanes: BTreeMap<_, Vec<_>> = BTreeMap::new();
    let mut done = Vec::with_capacity(outcomes.len());
    for (slot, seq, outcome) in outcomes {
        lanes.entry(slot.wallet).or_default().push((slot.nonce, *seq, *outcome));
        done.push(EffectKey::Broadcast(*slot, *seq));
    }
    let mut reports: Vec<Report> = lanes
        .into_iter()
        .map(|(wallet, sends)| Report {
            done: Vec::new(),
            input: Some(Input::Sent { wallet, sends }),
            signed: None,
            output: None,
        })
        .collect();
    if let Some(first) = reports.first_mut() {
        first.done = done;
    }
    reports
}

/// One publication a step to estimate gas for, with the longest URL that may come.
fn samples(plan: &Plan, header: &RunHeader) -> Vec<PublishSample> {
    let gateway = header.network.gateways.first().map_or("", String::as_str);
    let config = format!("{gateway}{}", "Q".repeat(LONGEST_CID));
    plan.steps()
        .iter()
        .map(|step| PublishSample {
            source: step.source,
            config: config.clone(),
            payment: step.facts.min_payment,
            expires: step.expires,
        })
        .collect()
}

/// Splits a list into pieces of at most `size`.
fn chunks<T>(mut list: Vec<T>, size: usize) -> Vec<Vec<T>> {
    let mut pieces = Vec::with_capacity(list.len().div_ceil(size));
    while list.len() > size {
        let rest = list.split_off(size);
        pieces.push(std::mem::replace(&mut list, rest));
    }
    if !list.is_empty() {
        pieces.push(list);
    }
    pieces
}
