//! From a list of effects to grouped calls, and from their ends to inputs.
//!
//! The turn is the batch: what one turn asks for is sent, signed and read together. Every effect
//! ends in one [`Reply`], whatever happens to it; sends to one lane go out one group after the
//! other, so nonce n+1 leaves with n or after n was replied to.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use alloy::primitives::{Address, B256};
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use crate::chain::{Chain, SignRequest};
use crate::content::Content;
use crate::engine::{Effect, EffectKey, Input, PinFailure, Window};
use crate::store::Durable;
use crate::units::{BlockRef, Nonce, Round, Seq, SignedTx, Slot, TaskId, TaskKey, Wei};

use super::crew::{Carry, Crew, Reply};
use super::desk::Desk;
use super::gather::{Fetch, Gatherer, fetch_all};

/// Configs that are rendered in one piece of work.
const RENDER_CHUNK: usize = 64;
/// Versions that are signed in one piece of work.
const SIGN_CHUNK: usize = 100;
/// Contracts that are read in one batch.
const READ_CHUNK: usize = 100;
/// How long reads are gathered that nobody waits for.
const PATIENCE: Duration = Duration::from_secs(6);
/// Outputs that are checked in one piece of work.
const CHECK_CHUNK: usize = 64;

/// Performs effects, and knows which are out.
#[derive(Debug)]
pub(super) struct Performer<C, K> {
    crew: Crew<C, K>,
    out: BTreeSet<EffectKey>,
    work: JoinSet<()>,
    sender: mpsc::UnboundedSender<Reply>,
    /// Bytes that may be sent, by slot and version.
    durable: BTreeMap<(Slot, Seq), Durable<SignedTx>>,
    gatherer: Gatherer,
    /// Lanes with a group of sends on its way, and what waits behind it.
    lanes: BTreeMap<Address, BTreeSet<(Slot, Seq)>>,
}

/// A turn's effects by kind.
#[derive(Default)]
struct Work {
    pins: Vec<(TaskId, Round, (TaskKey, Wei))>,
    signs: Vec<SignRequest>,
    sends: BTreeMap<Address, BTreeSet<(Slot, Seq)>>,
    fetches: BTreeMap<BlockRef, Vec<Fetch>>,
    checks: Vec<(TaskId, Address, B256)>,
    tasks: BTreeMap<BlockRef, Vec<(TaskId, Address)>>,
}

impl<C: Chain, K: Content> Performer<C, K> {
    /// A performer whose replies go to `sender`.
    pub(super) fn new(crew: Crew<C, K>, sender: mpsc::UnboundedSender<Reply>) -> Self {
        Self {
            crew,
            out: BTreeSet::new(),
            work: JoinSet::new(),
            sender,
            durable: BTreeMap::new(),
            gatherer: Gatherer::default(),
            lanes: BTreeMap::new(),
        }
    }

    /// Takes bytes that an append made durable.
    pub(super) fn take(&mut self, durable: Vec<Durable<SignedTx>>) {
        let named = durable.into_iter().map(|tx| ((tx.get().slot, tx.get().seq), tx));
        self.durable.extend(named);
    }

    /// Whether the bytes of a version are here.
    pub(super) fn holds(&self, version: &(Slot, Seq)) -> bool {
        self.durable.contains_key(version)
    }

    /// Forgets the bytes of a slot that is final.
    pub(super) fn forget(&mut self, slot: Slot) {
        let versions = (slot, Seq(0))..=(slot, Seq(u16::MAX));
        let gone: Vec<_> = self.durable.range(versions).map(|(key, _)| *key).collect();
        for key in gone {
            self.durable.remove(&key);
        }
    }

    /// Notes that effects have ended.
    pub(super) fn ended(&mut self, reply: &Reply) {
        let mut lanes = BTreeSet::new();
        for key in &reply.keys {
            self.out.remove(key);
            if let EffectKey::Broadcast(slot, _) = key {
                lanes.insert(slot.wallet);
            }
        }
        for wallet in lanes {
            if let Some(waiting) = self.lanes.remove(&wallet) {
                self.send(wallet, waiting);
            }
        }
        while let Some(done) = self.work.try_join_next() {
            if let Err(error) = done
                && let Ok(panic) = error.try_into_panic()
            {
                std::panic::resume_unwind(panic);
            }
        }
    }

    /// How many effects are out.
    pub(super) fn out(&self) -> usize {
        self.out.len()
    }

    /// Starts what is not out yet; `hurry` says that nothing is to be gathered that can be read now.
    pub(super) fn perform(&mut self, effects: Vec<Effect>, hurry: bool) {
        let mut work = Work::default();
        for effect in effects {
            if !self.out.insert(effect.key()) {
                continue;
            }
            match effect {
                Effect::Survey => self.survey(),
                Effect::ReadLogs { ring, final_number } => self.read_logs(ring, final_number),
                Effect::Expand { step } => self.expand(step),
                Effect::ReadItems { step, window } => self.read_items(step, window),
                Effect::View { wallet, hashes, doubts } => self.view(wallet, (hashes, doubts)),
                Effect::Pin { task, round, key, payment } => {
                    work.pins.push((task, round, (key, payment)));
                }
                Effect::Sign { slot, seq, call, fees } => {
                    work.signs.push(SignRequest { slot, seq, call, fees });
                }
                Effect::Broadcast { slot, seq } => {
                    work.sends.entry(slot.wallet).or_default().insert((slot, seq));
                }
                Effect::Fetch { task, of, response, at } => {
                    work.fetches.entry(at).or_default().push((task, of, response));
                }
                Effect::Check { task, response, sha256 } => {
                    work.checks.push((task, response, sha256));
                }
                Effect::ReadTask { task, address, at } => {
                    work.tasks.entry(at).or_default().push((task, address));
                }
            }
        }
        self.perform_groups(work, hurry);
    }

    fn perform_groups(&mut self, work: Work, hurry: bool) {
        for (wallet, versions) in work.sends {
            match self.lanes.get_mut(&wallet) {
                Some(waiting) => waiting.extend(versions),
                None => self.send(wallet, versions),
            }
        }
        for chunk in work.signs.chunks(SIGN_CHUNK) {
            self.sign(chunk.to_vec());
        }
        for chunk in work.pins.chunks(RENDER_CHUNK) {
            self.pin(chunk.to_vec());
        }
        for (at, fetches) in work.fetches {
            self.fetch(fetches, at, hurry);
        }
        for chunk in work.checks.chunks(CHECK_CHUNK) {
            self.check(chunk.to_vec());
        }
        for (at, tasks) in work.tasks {
            tasks.chunks(READ_CHUNK).for_each(|chunk| self.read_tasks(chunk.to_vec(), at));
        }
    }

    /// Starts work that ends in one reply.
    fn start(&mut self, work: impl Future<Output = Reply> + Send + 'static) {
        let sender = self.sender.clone();
        drop(self.work.spawn(async move {
            // Nobody listens any more once the run was left.
            drop(sender.send(work.await));
        }));
    }

    /// Starts work on the blocking pool that ends in one reply.
    fn start_blocking(&mut self, work: impl FnOnce(&Desk) -> Reply + Send + 'static) {
        let (sender, desk) = (self.sender.clone(), Arc::clone(&self.crew.desk));
        drop(self.work.spawn_blocking(move || drop(sender.send(work(&desk)))));
    }

    fn survey(&mut self) {
        let crew = self.crew.clone();
        self.start(async move {
            if let Err(error) = crew.watch.look(crew.chain.as_ref()).await {
                return Reply::failed(vec![EffectKey::Survey], error);
            }
            let survey = crew.chain.survey(crew.survey_request()).await;
            Reply::of(EffectKey::Survey, survey.map(|survey| Input::Surveyed(Box::new(survey))))
        });
    }

    fn read_logs(&mut self, ring: Arc<[BlockRef]>, final_number: u64) {
        let chain = Arc::clone(&self.crew.chain);
        self.start(async move {
            let read = chain.read_logs(&ring, final_number).await;
            Reply::of(EffectKey::ReadLogs, read.map(Input::Logs))
        });
    }

    fn expand(&mut self, step: u16) {
        self.start_blocking(move |desk| {
            let input = desk.expand(step).map(|expansion| Input::Expanded { step, expansion });
            Reply::of(EffectKey::Expand(step), input)
        });
    }

    fn read_items(&mut self, step: u16, window: Window) {
        self.start_blocking(move |desk| {
            let items = desk.read_items(step, &window);
            Reply::of(EffectKey::ReadItems(step), items.map(|items| Input::Items { step, items }))
        });
    }

    fn view(&mut self, wallet: Address, (hashes, doubts): (Vec<B256>, Vec<Nonce>)) {
        let chain = Arc::clone(&self.crew.chain);
        self.start(async move {
            let key = EffectKey::View(wallet);
            let view = match chain.view(wallet, hashes.clone(), doubts).await {
                Ok(view) => view,
                Err(error) => return Reply::failed(vec![key], error),
            };
            // Whichever version of its slot it is: that the engine says.
            let bytes = view.uses.iter().map(|found| {
                let slot = Slot { wallet, nonce: found.nonce };
                let (hash, raw) = (found.tx_hash, found.raw.clone());
                tracing::warn!(nonce = %found.nonce, %hash, "used by what no receipt told of");
                Carry::Signed(SignedTx { slot, seq: Seq::default(), hash, raw })
            });
            let carry = bytes.collect();
            Reply { carry, ..Reply::told(key, Input::Viewed { wallet, asked: hashes, view }) }
        });
    }

    /// Sends a group of one lane; the lane is busy until the replies are there.
    fn send(&mut self, wallet: Address, versions: BTreeSet<(Slot, Seq)>) {
        let (known, gone): (Vec<_>, Vec<_>) =
            versions.into_iter().partition(|version| self.durable.contains_key(version));
        for (slot, seq) in gone {
            // The slot has become final while this waited behind another group.
            self.out.remove(&EffectKey::Broadcast(slot, seq));
        }
        let txs: Vec<_> = known.iter().filter_map(|key| self.durable.get(key).cloned()).collect();
        if txs.is_empty() {
            return;
        }
        self.lanes.insert(wallet, BTreeSet::new());
        let keys = known.iter().map(|(slot, seq)| EffectKey::Broadcast(*slot, *seq)).collect();
        let chain = Arc::clone(&self.crew.chain);
        self.start(async move {
            let outcomes = chain.send(txs).await;
            let sends = outcomes.into_iter().map(|(slot, seq, said)| (slot.nonce, seq, said));
            let inputs = vec![Input::Sent { wallet, sends: sends.collect() }];
            Reply { keys, inputs, carry: Vec::new(), error: None }
        });
    }

    fn sign(&mut self, requests: Vec<SignRequest>) {
        let chain = Arc::clone(&self.crew.chain);
        self.start(async move {
            let keys = requests.iter().map(|r| EffectKey::Sign(r.slot, r.seq)).collect();
            let signed = chain.sign(requests.clone()).await;
            let mut reply = Reply { keys, inputs: Vec::new(), carry: Vec::new(), error: None };
            for (request, signed) in requests.into_iter().zip(signed) {
                match signed {
                    Ok(tx) => {
                        let SignRequest { slot, seq, call, fees } = request;
                        reply.inputs.push(Input::Signed { slot, seq, hash: tx.hash, call, fees });
                        reply.carry.push(Carry::Signed(tx));
                    }
                    Err(error) => reply.error = Some(error.into()),
                }
            }
            reply
        });
    }

    /// Renders a chunk of configs, then pins each by itself.
    fn pin(&mut self, pins: Vec<(TaskId, Round, (TaskKey, Wei))>) {
        let (sender, crew) = (self.sender.clone(), self.crew.clone());
        let runtime = tokio::runtime::Handle::current();
        drop(self.work.spawn_blocking(move || {
            for (task, round, (key, payment)) in pins {
                let effect = EffectKey::Pin(task, round);
                let config = match crew.desk.render(task, (&key, payment)) {
                    Ok(Ok(config)) => config,
                    Ok(Err(reason)) => {
                        let failure = PinFailure::Render(reason);
                        let input = Input::PinFailed { task, round, failure };
                        drop(sender.send(Reply::told(effect, input)));
                        continue;
                    }
                    Err(error) => {
                        drop(sender.send(Reply::failed(vec![effect], error)));
                        continue;
                    }
                };
                let (sender, crew) = (sender.clone(), crew.clone());
                drop(runtime.spawn(async move {
                    drop(sender.send(crew.pin(task, round, config).await));
                }));
            }
        }));
    }

    /// Reads responses now if there are many or somebody waits for them, and else soon.
    fn fetch(&mut self, fetches: Vec<Fetch>, at: BlockRef, hurry: bool) {
        let (ready, rest) = self.gatherer.add(fetches, at, hurry);
        if !ready.is_empty() {
            let (crew, sender) = (self.crew.clone(), self.sender.clone());
            drop(self.work.spawn(fetch_all(crew, sender, (ready, at))));
        }
        let Some(rest) = rest else { return };
        let (gatherer, crew, sender) =
            (self.gatherer.clone(), self.crew.clone(), self.sender.clone());
        drop(self.work.spawn(async move {
            tokio::time::sleep(PATIENCE).await;
            if let Some(left) = gatherer.take(rest) {
                fetch_all(crew, sender, left).await;
            }
        }));
    }

    fn check(&mut self, checks: Vec<(TaskId, Address, B256)>) {
        self.start_blocking(move |desk| {
            let mut reply = Reply {
                keys: checks.iter().map(|(task, r, _)| EffectKey::Check(*task, *r)).collect(),
                inputs: Vec::new(),
                carry: Vec::new(),
                error: None,
            };
            for (task, response, sha256) in checks {
                match desk.check(task, &sha256) {
                    Ok(verdict) => reply.inputs.push(Input::Checked { task, response, verdict }),
                    Err(error) => reply.error = Some(error),
                }
            }
            reply
        });
    }

    fn read_tasks(&mut self, tasks: Vec<(TaskId, Address)>, at: BlockRef) {
        let chain = Arc::clone(&self.crew.chain);
        self.start(async move {
            let keys = tasks.iter().map(|(task, _)| EffectKey::ReadTask(*task)).collect();
            let addresses = tasks.iter().map(|(_, address)| *address).collect();
            let facts = match chain.read_tasks(addresses, at).await {
                Ok(facts) => facts,
                Err(error) => return Reply::not_read(keys, error),
            };
            let told = tasks.into_iter().zip(facts);
            // What the node cannot tell is no news: the log stream says what a reorg took.
            let inputs = told
                .filter_map(|((task, _), facts)| Some(Input::TaskRead { task, facts: facts? }))
                .collect();
            Reply { keys, inputs, carry: Vec::new(), error: None }
        });
    }
}
