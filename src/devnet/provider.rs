//! Who takes which task when.
//!
//! A turn of the providers has three parts, so that the node is held only for the first and the
//! last: [`Providers::look`] reads the new blocks, [`Providers::work`] decides, makes outputs,
//! pins and signs, and the caller submits the transactions in the order given. Turns do not
//! overlap, so each starts from the nonces that the node knows, and a transaction that the
//! node refused leaves no gap behind.
//!
//! The first look reads the whole chain: tasks that were open when the devnet stopped are taken
//! up again. Time comes in as a parameter; a response that takes longer waits in a queue whose
//! first moment is [`Providers::wakes_at`].

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use alloy::primitives::{Address, B256, Bytes};
use alloy::sol_types::SolCall;
use rayon::prelude::*;
use serde_json::{Map, Value};

use super::crew::{self, Decision, Gas, Mission, Offer, Wallet, Worker};
use super::functions::TaskConfig;
use super::genesis::{CHAIN_ID, NEXUS};
use super::knobs::Knobs;
use super::market::{self, Market};
use super::{BASE_FEE, Node, PlacedLog, PoolTx};
use crate::chain::contract::abi::{INexus, ITask, ResponseParams};
use crate::chain::contract::{ProtocolLog, decode_log};
use crate::units::{BlockRef, ChainTime, Timestamp, Wei};

/// What the providers' transactions may use; about twice what they do use.
const ATTEMPT_GAS: Gas = Gas { limit: 400_000, max_fee: BASE_FEE as u128 };
const SUBMIT_GAS: Gas = Gas { limit: 800_000, max_fee: BASE_FEE as u128 };

/// How many blocks back a reorg is noticed and a task is known to be taken care of. The node
/// takes back fewer.
const REMEMBERED: usize = 128;

/// The devnet's providers.
#[derive(Debug)]
pub struct Providers {
    knobs: Arc<Knobs>,
    wallets: Vec<Wallet>,
    market: Market,
    /// The blocks read last, oldest first.
    trail: VecDeque<BlockRef>,
    /// Tasks taken care of, with the transaction of their publication.
    known: BTreeMap<Address, B256>,
    /// The same tasks by height, oldest first, so that they can be forgotten.
    known_since: VecDeque<(u64, Address)>,
    due: BTreeMap<(Timestamp, u64), (Mission, Bytes)>,
    queued: u64,
}

/// What a look at the node showed.
#[derive(Debug, Default)]
pub struct Sight {
    tasks: Vec<Sighted>,
    /// Sources with a provider who is not registered there yet, by its place in the crew.
    missing: Vec<(Address, usize)>,
    nonces: Vec<u64>,
}

/// A task that somebody should take.
#[derive(Debug)]
struct Sighted {
    offer: Offer,
    config_url: String,
    expiry: ChainTime,
    /// Who has attempted it already.
    attempted: BTreeSet<Address>,
}

/// What a turn wants done.
#[derive(Debug, Default)]
pub struct Turn {
    /// Transactions for the node, in this order.
    pub txs: Vec<PoolTx>,
    /// Questions to service containers.
    pub asks: Vec<Question>,
}

/// A task for a service container. What it says comes back through [`Providers::finished`].
#[derive(Clone, Debug, PartialEq)]
pub struct Question {
    /// Who works on what.
    pub mission: Mission,
    /// When to ask, at the earliest.
    pub at: Timestamp,
    /// The container, by its place in the knobs.
    pub service: usize,
    /// The handler.
    pub function: String,
    /// What the handler gets.
    pub data: Map<String, Value>,
    /// When the task ends, in chain time.
    pub expiry: ChainTime,
}

/// The way to bytes that are pinned here.
pub struct Pins<'a> {
    /// The bytes behind a URL, if this devnet has them.
    pub read: &'a (dyn Fn(&str) -> Option<Bytes> + Sync),
    /// Pins contents together and says where each is; fewer links if that fails.
    pub pin: &'a dyn Fn(&[Bytes]) -> Vec<String>,
}

/// How to find what a task's step accepts.
pub type SchemaOf<'a> = dyn Fn(Address, &TaskConfig) -> Option<Value> + Sync + 'a;

/// A call of the registry by one of the providers.
struct Call {
    provider: u16,
    input: Bytes,
    gas: Gas,
}

impl Providers {
    /// The providers of these knobs, who have seen nothing yet.
    pub fn new(knobs: Arc<Knobs>, market: Market) -> Self {
        Self {
            wallets: crew::wallets(&knobs, CHAIN_ID),
            knobs,
            market,
            trail: VecDeque::new(),
            known: BTreeMap::new(),
            known_since: VecDeque::new(),
            due: BTreeMap::new(),
            queued: 0,
        }
    }

    /// When the next response is ready, if one is being worked on.
    pub fn wakes_at(&self) -> Option<Timestamp> {
        self.due.keys().next().map(|(at, _)| *at)
    }

    /// Takes an output that a service container gave; it is submitted in the next turn.
    pub fn finished(&mut self, mission: Mission, output: Value, now: Timestamp) {
        let bytes = mission.bytes(output);
        self.queue(now, mission, bytes);
    }

    fn queue(&mut self, at: Timestamp, mission: Mission, output: Bytes) {
        self.queued += 1;
        self.due.insert((at, self.queued), (mission, output));
    }

    /// Reads the blocks since the last look. Short: the node waits meanwhile.
    pub fn look(&mut self, node: &Node) -> Sight {
        let head = node.head();
        let from = self.first_unread(node);
        let wanted = |log: &alloy::primitives::Log| log.address == NEXUS;
        let news = News::of(&node.logs(from, head.header.number, wanted));
        let missing = news.missing(&self.wallets);
        self.follow(node, from);
        let now = ChainTime::from_secs(head.header.timestamp);
        let mut published: Vec<_> = news.published.into_iter().collect();
        published.sort_unstable_by_key(|(_, news)| news.place);
        let mut tasks = Vec::new();
        for (task, news) in published {
            if self.known.insert(task, news.tx) != Some(news.tx) {
                self.known_since.push_back((news.place.0, task));
                tasks.extend(sighted(node, task, news).filter(|seen| seen.expiry >= now));
            }
        }
        let nonces = self.wallets.iter().map(|w| node.pending_count(w.address())).collect();
        Sight { tasks, missing, nonces }
    }

    /// Adds the blocks from `from` on to the trail, and forgets what lies too far back.
    fn follow(&mut self, node: &Node, from: u64) {
        for number in from..=node.head().header.number {
            if let Some(block) = node.block(number) {
                self.trail.push_back(BlockRef { number, hash: block.hash });
            }
        }
        while self.trail.len() > REMEMBERED {
            self.trail.pop_front();
        }
        let oldest = self.trail.front().map_or(0, |block| block.number);
        while let Some((_, task)) = self.known_since.pop_front_if(|(height, _)| *height < oldest) {
            self.known.remove(&task);
        }
    }

    /// The height after the last block of the trail that is still on the chain; the trail ends
    /// there.
    fn first_unread(&mut self, node: &Node) -> u64 {
        while let Some(last) = self.trail.back() {
            if node.block(last.number).is_some_and(|block| block.hash == last.hash) {
                return last.number + 1;
            }
            self.trail.pop_back();
        }
        0
    }

    /// Decides about what was seen, and does what is due at `now`.
    pub fn work(
        &mut self,
        sight: Sight,
        pins: &Pins<'_>,
        schema_of: &SchemaOf<'_>,
        now: Timestamp,
    ) -> Turn {
        let Sight { mut tasks, missing, nonces } = sight;
        let (knobs, market) = (&self.knobs, &self.market);
        let decisions: Vec<Option<Decision>> = tasks
            .par_iter_mut()
            .map(|seen| {
                seen.offer.config = (pins.read)(&seen.config_url);
                let source = seen.offer.source;
                let worker = market.workers.get(&source).copied();
                let worker = worker.unwrap_or(Worker::Builtin(&[]));
                crew::decide(knobs, worker, &seen.offer, |config| schema_of(source, config))
            })
            .collect();
        let mut calls = Vec::new();
        let mut asks = Vec::new();
        for (seen, decision) in tasks.into_iter().zip(decisions) {
            calls.extend(self.take(&seen, decision, now, &mut asks));
        }
        calls.extend(self.submissions(pins, now));
        let txs = self.sign(&missing, calls, nonces);
        Turn { txs, asks }
    }

    /// Follows a decision: the attempt at once, the response when it is due.
    fn take(
        &mut self,
        seen: &Sighted,
        decision: Option<Decision>,
        now: Timestamp,
        asks: &mut Vec<Question>,
    ) -> Option<Call> {
        let mission = match decision? {
            Decision::Leave => return None,
            Decision::Abandon(mission) => mission,
            Decision::Respond { mission, after, output } => {
                self.queue(now.after(after), mission, output);
                mission
            }
            Decision::Ask { mission, after, service, function, data } => {
                let at = now.after(after);
                let expiry = seen.expiry;
                asks.push(Question { mission, at, service, function, data, expiry });
                mission
            }
        };
        let provider = self.wallets.get(usize::from(mission.provider))?.address();
        if seen.attempted.contains(&provider) {
            return None;
        }
        let wish = mission.claim.to_u256();
        let attempt = INexus::attemptCall { task: mission.task, provider, suggestedPayment: wish };
        Some(Call {
            provider: mission.provider,
            input: attempt.abi_encode().into(),
            gas: ATTEMPT_GAS,
        })
    }

    /// The responses that are due at `now`, their outputs pinned.
    fn submissions(&mut self, pins: &Pins<'_>, now: Timestamp) -> Vec<Call> {
        let later = self.due.split_off(&(Timestamp::from_millis(now.as_millis() + 1), 0));
        let due = std::mem::replace(&mut self.due, later).into_values();
        let (missions, outputs): (Vec<_>, Vec<_>) = due.unzip();
        let links = (pins.pin)(&outputs);
        let submit = |(mission, data): (Mission, String)| {
            let provider = self.wallets.get(usize::from(mission.provider))?.address();
            let payment = mission.claim.to_u256();
            let params = ResponseParams { task: mission.task, provider, data, payment };
            let call = INexus::submitResponseCall { responseParams: params };
            let input = call.abi_encode().into();
            Some(Call { provider: mission.provider, input, gas: SUBMIT_GAS })
        };
        missions.into_iter().zip(links).filter_map(submit).collect()
    }

    /// Signs registrations and calls, each provider's in their order.
    fn sign(
        &self,
        missing: &[(Address, usize)],
        calls: Vec<Call>,
        mut nonces: Vec<u64>,
    ) -> Vec<PoolTx> {
        let mut txs = Vec::new();
        for (source, provider) in missing {
            let wallet = self.wallets.get(*provider).zip(nonces.get_mut(*provider));
            let Some((wallet, nonce)) = wallet else { continue };
            txs.extend(market::registration(wallet, *nonce, *source));
            *nonce += 1;
        }
        let mut numbered = Vec::with_capacity(calls.len());
        for call in calls {
            let Some(nonce) = nonces.get_mut(usize::from(call.provider)) else { continue };
            numbered.push((call, *nonce));
            *nonce += 1;
        }
        let signed = numbered.into_par_iter().filter_map(|(call, nonce)| {
            let wallet = self.wallets.get(usize::from(call.provider))?;
            let (_, raw) = wallet.sign(nonce, NEXUS, call.input, call.gas);
            PoolTx::trusted(wallet.address(), raw).ok()
        });
        txs.par_extend(signed);
        txs
    }
}

/// What a task's logs say about it, all blocks of a look together.
#[derive(Debug, Default)]
struct TaskNews {
    tx: B256,
    /// Height and place in the block.
    place: (u64, u64),
    source: Address,
    attempted: BTreeSet<Address>,
}

/// What the logs of some blocks say, folded.
#[derive(Debug, Default)]
struct News {
    /// Tasks that were published and have neither a response nor an end.
    published: BTreeMap<Address, TaskNews>,
    new_sources: Vec<Address>,
    /// Source and provider.
    registered: BTreeSet<(Address, Address)>,
}

impl News {
    fn of(logs: &[PlacedLog]) -> Self {
        let mut news = Self::default();
        for placed in logs {
            let topics = placed.log.topics();
            let Ok(log) = decode_log(topics, &placed.log.data.data) else { continue };
            news.fold(placed, log);
        }
        news
    }

    fn fold(&mut self, placed: &PlacedLog, log: ProtocolLog) {
        match log {
            ProtocolLog::TaskPublished { task, source } => {
                let (tx, place) = (placed.tx, (placed.block.number, placed.index));
                let attempted = BTreeSet::new();
                self.published.insert(task, TaskNews { tx, place, source, attempted });
            }
            ProtocolLog::Attempted { task, provider, .. } => {
                if let Some(news) = self.published.get_mut(&task) {
                    news.attempted.insert(provider);
                }
            }
            ProtocolLog::ResponseSubmitted { task, .. } => {
                self.published.remove(&task);
            }
            ProtocolLog::TaskStatusChanged { task, status } if status.is_final() => {
                self.published.remove(&task);
            }
            ProtocolLog::SourcePublished { source } => self.new_sources.push(source),
            ProtocolLog::Registered { provider, source, .. } => {
                self.registered.insert((source, provider));
            }
            ProtocolLog::TaskStatusChanged { .. }
            | ProtocolLog::ResponseStatusChanged { .. }
            | ProtocolLog::SourceStatusChanged { .. }
            | ProtocolLog::SourceUpdated { .. } => {}
        }
    }

    /// Who of `wallets` has not registered for a new source.
    fn missing(&self, wallets: &[Wallet]) -> Vec<(Address, usize)> {
        let pairs = self.new_sources.iter().flat_map(|source| {
            let provider = wallets.iter().map(Wallet::address).enumerate();
            provider.map(move |(place, provider)| (*source, provider, place))
        });
        let open = pairs.filter(|(source, who, _)| !self.registered.contains(&(*source, *who)));
        open.map(|(source, _, place)| (source, place)).collect()
    }
}

/// The task with what its contract says; `None` if it says nothing.
fn sighted(node: &Node, task: Address, news: TaskNews) -> Option<Sighted> {
    let params = market::read(node, task, &ITask::taskParamsCall {})?;
    let payment = Wei::from_u256(params.payment);
    let expiry = u64::try_from(params.expiryTime).unwrap_or(u64::MAX);
    Some(Sighted {
        offer: Offer { task, source: news.source, payment, config: None },
        config_url: params.config,
        expiry: ChainTime::from_secs(expiry),
        attempted: news.attempted,
    })
}

#[cfg(test)]
#[path = "provider_tests.rs"]
mod tests;
