//! The chain: blocks, the four contracts as a plain state machine, and the wallet's transactions.
//!
//! Everything carries the height at which it happened. So any height can be asked, as a replica
//! that lags would say it, and a reorg is: forget what is above.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use alloy::primitives::{Address, B256, Bytes, keccak256};
use alloy::sol_types::SolEvent;

use super::pool::{Tx, gas_of};
use crate::chain::contract::abi::INexus;
use crate::chain::fees::EMPTY_STORAGE_GAS;
use crate::units::{BlockRef, Call};

/// The source that pays the first response.
pub(super) const AUTO: Address = Address::repeat_byte(0x11);
/// The source that leaves confirming to the client.
pub(super) const MANUAL: Address = Address::repeat_byte(0x22);
/// A source that is somebody else's.
const STRANGE: Address = Address::repeat_byte(0x33);
/// Chain time of the first block, in seconds.
pub(super) const EPOCH: u64 = 1_790_000_000;
/// What vault and wallet hold at first, in wei.
pub(super) const RICH: u128 = 100_000_000_000_000_000_000_000;
/// The tip that the market pays, in wei.
pub(super) const TIP: u128 = 1_000_000;
/// The base fee while nothing is dear, in wei.
pub(super) const BASE_FEE: u128 = 1_000_000_000;

/// A transaction of the wallet in a block.
#[derive(Clone, Debug)]
pub(super) struct Mined {
    pub tx: Arc<Tx>,
    /// Why it was undone, if it was.
    pub revert: Option<&'static str>,
    pub gas_used: u64,
    pub price: u128,
    pub published: Option<Address>,
}

impl Mined {
    pub(super) fn gas_paid(&self) -> u128 {
        u128::from(self.gas_used) * self.price
    }
}

#[derive(Clone, Debug)]
pub(super) struct Log {
    pub topic: B256,
    pub data: Bytes,
    pub tx_hash: B256,
}

#[derive(Clone, Debug)]
pub(super) struct Block {
    pub at: BlockRef,
    pub parent: B256,
    pub time: u64,
    pub base_fee: u128,
    pub txs: Vec<Mined>,
    pub logs: Vec<Log>,
}

/// A task contract.
#[derive(Clone, Debug)]
pub(super) struct TaskRow {
    pub source: Address,
    pub config: String,
    pub expiry: u64,
    pub payment: u128,
    pub key: Option<String>,
    pub born: u64,
    pub attempts: Vec<(u64, Address)>,
    pub responses: Vec<(u64, Address)>,
    /// The height at which it ended, and its status from then on.
    pub ended: Option<(u64, u8)>,
}

/// A response contract.
#[derive(Clone, Debug)]
pub(super) struct ResponseRow {
    pub task: Address,
    pub provider: Address,
    pub url: String,
    pub payment: u128,
    pub born: u64,
    pub confirmed: Option<u64>,
}

/// What wallet and vault hold from a height on.
#[derive(Clone, Copy, Debug)]
pub(super) struct Money {
    height: u64,
    pub wallet: u128,
    pub free: u128,
    pub frozen: u128,
    pub count: u64,
}

/// One branch of the chain.
#[derive(Clone, Debug)]
pub(super) struct Chain {
    pub blocks: Vec<Block>,
    pub tasks: BTreeMap<Address, TaskRow>,
    pub responses: BTreeMap<Address, ResponseRow>,
    /// Tasks that a provider looks at, by height.
    pub due: BTreeMap<u64, BTreeSet<Address>>,
    /// Tasks that are not over, by the end of their life.
    pub expiring: BTreeMap<u64, BTreeSet<Address>>,
    places: BTreeMap<B256, (u64, usize)>,
    /// The height at which a provider has earned for the first time.
    earned: BTreeMap<Address, u64>,
    /// How often the round of each tag is published.
    published: BTreeMap<String, u32>,
    twice: Option<(String, u32)>,
    money: Vec<Money>,
}

impl Chain {
    pub(super) fn new() -> Self {
        let at = BlockRef { number: 0, hash: keccak256("genesis") };
        let block = Block {
            at,
            parent: B256::ZERO,
            time: EPOCH,
            base_fee: BASE_FEE,
            txs: Vec::new(),
            logs: Vec::new(),
        };
        let money = Money { height: 0, wallet: RICH, free: RICH, frozen: 0, count: 0 };
        Self {
            blocks: vec![block],
            tasks: BTreeMap::new(),
            responses: BTreeMap::new(),
            due: BTreeMap::new(),
            expiring: BTreeMap::new(),
            places: BTreeMap::new(),
            earned: BTreeMap::new(),
            published: BTreeMap::new(),
            twice: None,
            money: vec![money],
        }
    }

    pub(super) fn head(&self) -> u64 {
        self.blocks.len() as u64 - 1
    }

    pub(super) fn block(&self, number: u64) -> Option<&Block> {
        self.blocks.get(usize::try_from(number).ok()?)
    }

    fn last(&mut self) -> &mut Block {
        self.blocks.last_mut().expect("there is a first block")
    }

    pub(super) fn time(&self) -> u64 {
        self.blocks.last().map_or(EPOCH, |block| block.time)
    }

    /// Wallet and vault at a height.
    pub(super) fn money_at(&self, height: u64) -> Money {
        let after = self.money.partition_point(|money| money.height <= height);
        self.money[after - 1]
    }

    pub(super) fn money(&self) -> Money {
        *self.money.last().expect("there is a first row")
    }

    pub(super) fn change_money(&mut self, change: impl FnOnce(&mut Money)) {
        let mut money = Money { height: self.head(), ..self.money() };
        change(&mut money);
        if self.money().height == money.height {
            self.money.pop();
        }
        self.money.push(money);
    }

    /// Where a transaction of the wallet is.
    pub(super) fn mined(&self, hash: &B256) -> Option<(&Block, &Mined)> {
        let (height, index) = *self.places.get(hash)?;
        let block = self.block(height)?;
        Some((block, block.txs.get(index)?))
    }

    /// Opens the next block.
    pub(super) fn open_block(&mut self, time: u64, base_fee: u128, salt: u64) {
        let parent = self.last().at;
        let number = parent.number + 1;
        let hash =
            keccak256([&number.to_be_bytes()[..], &salt.to_be_bytes(), &parent.hash.0].concat());
        let at = BlockRef { number, hash };
        let (txs, logs) = (Vec::new(), Vec::new());
        self.blocks.push(Block { at, parent: parent.hash, time, base_fee, txs, logs });
    }

    /// The address of the next contract: it depends on how many there are, as on a real chain.
    pub(super) fn next_address(&self) -> Address {
        let made = self.tasks.len() as u64 + self.responses.len() as u64;
        Address::from_word(keccak256(made.to_be_bytes()))
    }

    pub(super) fn log<E: SolEvent>(&mut self, tx_hash: B256, event: &E) {
        let (topic, data) = (E::SIGNATURE_HASH, event.encode_data().into());
        self.last().logs.push(Log { topic, data, tx_hash });
    }

    /// Runs a transaction of the wallet in the open block; `refuse` is a reason of the contract's
    /// own to undo a publication.
    pub(super) fn execute(&mut self, tx: &Arc<Tx>, refuse: Option<&'static str>) {
        let need = self.gas_of(&tx.call);
        let limit = tx.fees.gas_limit;
        let base_fee = self.last().base_fee;
        let tip = tx.fees.max_priority_fee_per_gas.to_u128().unwrap_or(0);
        let price = tx.cap().min(base_fee + tip);
        let reason = if limit < need { Some("out of gas") } else { self.refusal(&tx.call, refuse) };
        let gas_used = if limit < need { limit } else { need };
        let mut published = None;
        if reason.is_none() {
            published = self.effect(tx);
        }
        let value = tx.call.value().to_u128().unwrap_or(0);
        let sent = if reason.is_none() { value } else { 0 };
        self.change_money(|money| {
            money.count += 1;
            money.wallet -= u128::from(gas_used) * price + sent;
            money.free += sent;
        });
        let height = self.head();
        let block = self.last();
        block.txs.push(Mined { tx: Arc::clone(tx), revert: reason, gas_used, price, published });
        let index = block.txs.len() - 1;
        self.places.insert(tx.hash, (height, index));
    }

    /// What a call takes now: the first that a provider earns fills empty storage.
    pub(super) fn gas_of(&self, call: &Call) -> u64 {
        let first = match call {
            Call::ConfirmResponse { response } => {
                let row = self.responses.get(response);
                row.is_some_and(|row| !self.earned.contains_key(&row.provider))
            }
            Call::PublishTask { .. }
            | Call::CancelTask { .. }
            | Call::Deposit { .. }
            | Call::NoOp => false,
        };
        gas_of(call) + if first { EMPTY_STORAGE_GAS } else { 0 }
    }

    /// A task of somebody else, from beginning to end: it takes the addresses that come next.
    pub(super) fn serve_a_stranger(&mut self) {
        let height = self.head();
        let task = self.next_address();
        let row = TaskRow {
            source: STRANGE,
            config: String::new(),
            expiry: u64::MAX,
            payment: 0,
            key: None,
            born: height,
            attempts: Vec::new(),
            responses: Vec::new(),
            ended: Some((height, 5)),
        };
        self.tasks.insert(task, row);
        let (response, url) = (self.next_address(), String::new());
        let (provider, confirmed) = (STRANGE, Some(height));
        let row = ResponseRow { task, provider, url, payment: 0, born: height, confirmed };
        self.responses.insert(response, row);
        let tx_hash = keccak256([&task.0[..], b"stranger"].concat());
        self.log(tx_hash, &INexus::TaskPublished { task, source: STRANGE });
        self.log(tx_hash, &INexus::ResponseSubmitted { response, task });
        self.log(tx_hash, &INexus::ResponseStatusChanged { response, status: 1 });
        self.log(tx_hash, &INexus::TaskStatusChanged { task, status: 5 });
    }

    /// Why the contracts would undo a call in the open block.
    pub(super) fn refusal(
        &self,
        call: &Call,
        refuse: Option<&'static str>,
    ) -> Option<&'static str> {
        match call {
            Call::PublishTask { expiry, payment, .. } => {
                let payment = payment.to_u128().unwrap_or(u128::MAX);
                if expiry.as_secs() <= self.time() {
                    Some("Expired")
                } else if self.money().free < payment {
                    Some("InsufficientBalance")
                } else {
                    refuse
                }
            }
            Call::ConfirmResponse { response } => {
                let row = self.responses.get(response);
                let task = row.and_then(|row| self.tasks.get(&row.task));
                match (row, task) {
                    (Some(row), _) if row.confirmed.is_some() => Some("AlreadyConfirmed"),
                    (Some(_), Some(task)) if task.ended.is_some() => Some("AlreadyFinalized"),
                    (Some(_), Some(_)) => None,
                    (_, _) => Some("NoSuchResponse"),
                }
            }
            Call::CancelTask { task } => match self.tasks.get(task) {
                Some(row) if row.ended.is_some() || !row.attempts.is_empty() => {
                    Some("AlreadyFinalized")
                }
                Some(_) => None,
                None => Some("NoSuchTask"),
            },
            Call::Deposit { .. } | Call::NoOp => None,
        }
    }

    /// What a call does; the task that it made, if it made one.
    fn effect(&mut self, tx: &Arc<Tx>) -> Option<Address> {
        match &tx.call {
            Call::PublishTask { source, config, expiry, payment } => {
                let task = self.next_address();
                let payment = payment.to_u128().unwrap_or(0);
                let row = TaskRow {
                    source: *source,
                    config: config.clone(),
                    expiry: expiry.as_secs(),
                    payment,
                    key: tx.key.clone(),
                    born: self.head(),
                    attempts: Vec::new(),
                    responses: Vec::new(),
                    ended: None,
                };
                self.expiring.entry(row.expiry).or_default().insert(task);
                self.count_tag(tx.key.as_ref());
                self.tasks.insert(task, row);
                self.change_money(|money| {
                    money.free -= payment;
                    money.frozen += payment;
                });
                self.log(tx.hash, &INexus::TaskPublished { task, source: *source });
                Some(task)
            }
            Call::ConfirmResponse { response } => {
                self.confirm(*response, tx.hash);
                None
            }
            Call::CancelTask { task } => {
                self.give_back(*task, 3, tx.hash);
                None
            }
            Call::Deposit { .. } | Call::NoOp => None,
        }
    }

    fn count_tag(&mut self, tag: Option<&String>) {
        if let Some(tag) = tag {
            let times = self.published.entry(tag.clone()).or_default();
            *times += 1;
            if *times > 1 {
                self.twice.get_or_insert((tag.clone(), *times));
            }
        }
    }

    /// A round that is on this branch more than once.
    pub(super) const fn published_twice(&self) -> Option<&(String, u32)> {
        self.twice.as_ref()
    }

    /// Pays a response and ends its task.
    pub(super) fn confirm(&mut self, response: Address, tx_hash: B256) {
        let height = self.head();
        let Some(row) = self.responses.get_mut(&response) else { return };
        row.confirmed = Some(height);
        let (task, asked) = (row.task, row.payment);
        self.earned.entry(row.provider).or_insert(height);
        let Some(row) = self.tasks.get_mut(&task) else { return };
        row.ended = Some((height, 5));
        let (frozen, expiry) = (row.payment, row.expiry);
        let paid = if row.source == AUTO { frozen } else { asked.min(frozen) };
        self.forget_expiring(expiry, task);
        self.change_money(|money| {
            money.frozen -= frozen;
            money.free += frozen - paid;
        });
        self.log(tx_hash, &INexus::ResponseStatusChanged { response, status: 1 });
        self.log(tx_hash, &INexus::TaskStatusChanged { task, status: 5 });
    }

    /// Gives the payment of a task that is past its life back.
    pub(super) fn expire(&mut self, task: Address, tx_hash: B256) {
        self.give_back(task, 4, tx_hash);
    }

    /// Ends a task that nobody is paid for.
    fn give_back(&mut self, task: Address, status: u8, tx_hash: B256) {
        let height = self.head();
        let Some(row) = self.tasks.get_mut(&task) else { return };
        row.ended = Some((height, status));
        let (payment, expiry) = (row.payment, row.expiry);
        self.forget_expiring(expiry, task);
        self.change_money(|money| {
            money.frozen -= payment;
            money.free += payment;
        });
        self.log(tx_hash, &INexus::TaskStatusChanged { task, status });
    }

    fn forget_expiring(&mut self, expiry: u64, task: Address) {
        if let Some(tasks) = self.expiring.get_mut(&expiry) {
            tasks.remove(&task);
        }
    }

    /// Takes back everything above a height; the wallet's transactions that were there.
    pub(super) fn rewind(&mut self, height: u64) -> Vec<Arc<Tx>> {
        let keep = usize::try_from(height).unwrap() + 1;
        let gone = self.blocks.split_off(keep);
        let txs: Vec<Arc<Tx>> =
            gone.into_iter().flat_map(|block| block.txs).map(|mined| mined.tx).collect();
        for tx in &txs {
            self.places.remove(&tx.hash);
        }
        self.money.retain(|money| money.height <= height);
        self.earned.retain(|_, at| *at <= height);
        self.responses.retain(|_, row| row.born <= height);
        self.tasks.retain(|_, row| row.born <= height);
        for row in self.responses.values_mut() {
            row.confirmed = row.confirmed.filter(|at| *at <= height);
        }
        self.published.clear();
        let tags: Vec<String> = self.tasks.values().filter_map(|row| row.key.clone()).collect();
        tags.iter().for_each(|tag| self.count_tag(Some(tag)));
        self.due.clear();
        self.expiring.clear();
        for (task, row) in &mut self.tasks {
            row.attempts.retain(|(at, _)| *at <= height);
            row.responses.retain(|(at, _)| *at <= height);
            row.ended = row.ended.filter(|(at, _)| *at <= height);
            if row.ended.is_none() {
                self.due.entry(height + 1).or_default().insert(*task);
                self.expiring.entry(row.expiry).or_default().insert(*task);
            }
        }
        txs
    }
}
