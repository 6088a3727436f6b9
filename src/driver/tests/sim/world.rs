//! Blocks, reorgs, pools and time: what happens to the chain while the program looks elsewhere.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use alloy::primitives::B256;
use tokio::time::Instant;

use super::books::Books;
use super::contracts::{BASE_FEE, Chain, EPOCH};
use super::market::Market;
use super::points::Points;
use super::pool::{Pool, Refusal, Tx};
use super::setting::Setting;
use crate::content::MemoryContent;

/// Reasons of its own that a contract may have to undo a publication.
const REASONS: [&str; 3] = ["Expired", "PaymentTooLow", "NotToday"];

/// How much of what happened.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Counts {
    /// Exchanges with nodes.
    pub packets: u64,
    /// Exchanges that sent something.
    pub sends: u64,
    pub faults: u64,
    pub reorgs: u64,
    pub kills: u64,
    pub lives: u64,
}

pub(super) struct World {
    pub setting: Setting,
    pub chain: Chain,
    pub books: Books,
    pub counts: Counts,
    /// Where a process may die.
    pub points: Points,
    /// Exchanges by the methods in them.
    pub kinds: BTreeMap<String, u64>,
    /// Nothing below or at this height is ever taken back.
    pub final_height: u64,
    pub content: Arc<MemoryContent>,
    /// What some replica still serves, and until when.
    old_fork: Option<(Chain, u64)>,
    pools: Vec<Pool>,
    /// Every transaction that any node has ever taken.
    leaked: BTreeMap<u64, Vec<Arc<Tx>>>,
    blocks_made: u64,
    started: Instant,
    /// Whether the run has ended once, and what failed is tried again.
    pub retried: bool,
    /// A story that no fault comes into any more.
    pub over: bool,
}

pub(super) type Shared = Arc<Mutex<World>>;

pub(super) fn held(world: &Shared) -> MutexGuard<'_, World> {
    world.lock().unwrap_or_else(PoisonError::into_inner)
}

impl World {
    pub(super) fn new(setting: Setting) -> Self {
        Self {
            chain: Chain::new(),
            books: Books::default(),
            counts: Counts::default(),
            points: Points::new(setting.death),
            kinds: BTreeMap::new(),
            final_height: 0,
            content: Arc::new(MemoryContent::new()),
            old_fork: None,
            pools: (0..setting.nodes).map(|_| Pool::default()).collect(),
            leaked: BTreeMap::new(),
            blocks_made: 0,
            started: Instant::now(),
            retried: false,
            over: false,
            setting,
        }
    }

    /// Milliseconds since the story began.
    pub(super) fn now(&self) -> u64 {
        u64::try_from(self.started.elapsed().as_millis()).unwrap()
    }

    /// Whether nothing goes wrong any more.
    pub(super) fn is_calm(&self) -> bool {
        self.over || self.now() >= self.setting.calm_ms
    }

    fn chance(&self, what: &str, number: u64, permille: u64) -> bool {
        !self.is_calm() && self.setting.dice.at(what, number).chance(permille)
    }

    /// Time for the next block.
    pub(super) fn mine(&mut self) {
        let rates = self.setting.rates;
        if self.chance("stand", self.now() / 60_000, rates.stand) {
            return;
        }
        let unsettled = self.chain.head() - self.final_height;
        if unsettled > 0 && self.chance("reorg", self.blocks_made, rates.reorg) {
            let dice = self.setting.dice.at("depth", self.blocks_made);
            let depth = 1 + dice.below(unsettled);
            self.reorg(depth);
            // The other branch is longer at once, or comes in block by block.
            if dice.at("at once", 0).chance(500) {
                (0..depth).for_each(|_| self.block());
            }
        }
        self.block();
        self.shake_pools();
    }

    fn reorg(&mut self, depth: u64) {
        self.counts.reorgs += 1;
        let old = self.chain.clone();
        let stays_ms = self.setting.dice.at("fork stays", self.blocks_made).below(6_000);
        self.old_fork = Some((old, self.now() + stays_ms));
        let txs = self.chain.rewind(self.chain.head() - depth);
        if self.setting.profile.returns_reorged() {
            for pool in &mut self.pools {
                txs.iter().for_each(|tx| pool.put_back(tx));
            }
        }
    }

    fn block(&mut self) {
        self.blocks_made += 1;
        let rates = self.setting.rates;
        let dice = self.setting.dice.at("block", self.blocks_made);
        let time = (EPOCH + self.now() / 1_000).max(self.chain.time() + 1);
        self.chain.open_block(time, self.base_fee(), self.blocks_made);
        if !self.setting.eager && dice.at("stranger", 0).chance(150) {
            self.chain.serve_a_stranger();
        }
        let mut published = Vec::new();
        for _ in 0..1 + dice.below(self.setting.room) {
            let nonce = self.chain.money().count;
            let Some(tx) = self.pick(nonce) else { break };
            let refuse = self.chance("revert", nonce ^ self.blocks_made << 20, rates.revert);
            let reason = REASONS[usize::try_from(dice.at("reason", nonce).below(3)).unwrap()];
            self.chain.execute(&tx, refuse.then_some(reason));
            let made = self.chain.mined(&tx.hash).and_then(|(_, mined)| mined.published);
            published.extend(made);
        }
        let content = Arc::clone(&self.content);
        let Setting { dice, eager, bulky, .. } = self.setting;
        let market = Market { content: &content, dice, eager, bulky };
        published.into_iter().for_each(|task| market.announce(&mut self.chain, task));
        market.trade(&mut self.chain);
        let count = self.chain.money().count;
        self.pools.iter_mut().for_each(|pool| pool.advance(count));
        let settled = self.chain.head().saturating_sub(self.setting.unsettled);
        self.final_height = self.final_height.max(settled);
        self.books.check_chain(&self.chain);
    }

    fn base_fee(&self) -> u128 {
        let minute = self.now() / 60_000;
        if self.chance("spike", minute, self.setting.rates.spike) {
            BASE_FEE * u128::from(2 + self.setting.dice.at("how dear", minute).below(7))
        } else {
            BASE_FEE
        }
    }

    /// What a miner has for a nonce: as a rule what is in some pool, sometimes any bytes that
    /// were ever seen.
    fn pick(&self, nonce: u64) -> Option<Arc<Tx>> {
        let dice = self.setting.dice.at("pick", nonce ^ self.blocks_made << 20);
        let base_fee = self.chain.blocks.last().map_or(BASE_FEE, |block| block.base_fee);
        let payable = |tx: &&Arc<Tx>| tx.cap() >= base_fee;
        if self.chance("old bytes", nonce ^ self.blocks_made << 20, 30) {
            let versions: Vec<_> = self.leaked.get(&nonce)?.iter().filter(payable).collect();
            let which = usize::try_from(dice.below(versions.len().max(1) as u64)).unwrap();
            return versions.get(which).map(|tx| Arc::clone(tx));
        }
        let first = usize::try_from(dice.below(self.pools.len() as u64)).unwrap();
        let (left, right) = self.pools.split_at(first);
        right.iter().chain(left).find_map(|pool| pool.at(nonce).filter(payable)).cloned()
    }

    /// Pools forget, and remember what they had forgotten.
    fn shake_pools(&mut self) {
        let (rate, block) = (self.setting.rates.drop, self.blocks_made);
        if rate == 0 || self.is_calm() {
            return;
        }
        for index in 0..self.pools.len() {
            for nonce in self.pools[index].nonces() {
                if self.chance("drop", nonce ^ block << 20 ^ (index as u64) << 50, rate) {
                    self.pools[index].forget(nonce);
                }
            }
        }
        let back: Vec<Arc<Tx>> = self
            .leaked
            .range(self.chain.money().count..)
            .filter(|(nonce, _)| self.chance("return", *nonce ^ block << 20, rate / 2))
            .filter_map(|(_, versions)| versions.first().cloned())
            .collect();
        back.iter().for_each(|tx| self.pools[0].put_back(tx));
    }

    /// A node takes bytes in.
    pub(super) fn receive(&mut self, node: usize, tx: Tx) -> Result<B256, Refusal> {
        let tx = Arc::new(tx);
        let money = self.chain.money();
        let fees = tx.fees.ceiling().and_then(|gas| gas.checked_add(tx.call.value()));
        if fees.and_then(|most| most.to_u128()).is_none_or(|most| most > money.wallet) {
            let text = "insufficient funds for gas * price + value: balance 0, tx cost 1";
            return Err((-32000, text.into()));
        }
        let base_fee = self.base_fee();
        let state = (money.count, base_fee);
        self.pools[node].take(&tx, self.setting.profile, state)?;
        let versions = self.leaked.entry(tx.nonce).or_default();
        if versions.iter().all(|known| known.hash != tx.hash) {
            versions.push(Arc::clone(&tx));
        }
        Ok(tx.hash)
    }

    /// The wallet's count with what waits in a node's pool.
    pub(super) fn pending(&self, node: usize, next: u64) -> u64 {
        self.pools[node].pending(next)
    }

    /// The chain that answers an exchange, and its head there: now and then that of a replica
    /// that lags, or that has not heard of a reorg.
    pub(super) fn replica(&self, lag: Option<u64>) -> (&Chain, u64) {
        if let (Some(lag), Some((old, until))) = (lag, &self.old_fork)
            && lag % 2 == 1
            && self.now() < *until
        {
            return (old, old.head());
        }
        (&self.chain, self.chain.head().saturating_sub(lag.unwrap_or(0)))
    }
}
