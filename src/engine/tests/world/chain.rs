//! A chain with a wallet and providers on it, small enough to be right by reading.
//!
//! It forgets nothing that it was sent: any version of a slot may be mined, now or after a reorg,
//! if its fee cap allows it. Blocks three deep are final and stay.

use std::collections::BTreeMap;

use alloy::primitives::{Address, B256, keccak256};

use super::dice::Dice;
use super::{Faults, GAS, PAYMENT};
use crate::engine::Found;
use crate::units::{
    BlockRef, Call, ChainTime, Fees, LaneView, LogPage, LogRead, Nonce, NonceUse, PastPublication,
    Receipt, ReceiptStatus, Revert, Seen, Sighting, Slot, Survey, TaskFacts, TaskId, TaskKey,
    TaskStatus, Wei,
};

/// What the vault holds at first.
const VAULT: u128 = 10_000_000;
/// The source that pays by itself; the other waits for a confirm.
const PAYS_BY_ITSELF: Address = Address::repeat_byte(1);
/// The hash of a stranger's transaction.
pub(in super::super) const STRANGER: B256 = B256::repeat_byte(0xff);
/// So many blocks above the final one may be taken back.
const DEPTH: usize = 2;

/// A transaction that somebody was sent.
#[derive(Clone)]
pub(super) struct Tx {
    pub slot: Slot,
    pub hash: B256,
    pub call: Call,
    pub fees: Fees,
    pub owner: Option<(TaskId, TaskKey)>,
}

/// A transaction in a block.
#[derive(Clone)]
pub(super) struct Mined {
    height: usize,
    pub tx: Tx,
    pub ok: bool,
    pub gas_paid: Wei,
}

/// A log of a contract.
struct Log {
    height: usize,
    tx_hash: B256,
    seen: Seen,
}

struct Block {
    at: BlockRef,
    time: u64,
}

pub(in super::super) struct Chain {
    blocks: Vec<Block>,
    /// The wallet's transactions, in the order of the blocks.
    txs: Vec<Mined>,
    logs: Vec<Log>,
    /// The height up to which nothing is ever taken back.
    final_height: usize,
    /// Every version of every slot that reached the network.
    sent: BTreeMap<u64, Vec<Tx>>,
    /// What a unit of gas costs, in wei.
    pub price: u64,
    /// What the wallet holds at first, in wei.
    pub wallet: Wei,
    /// A nonce that a stranger uses.
    pub steal_nonce: Option<u64>,
    /// Somebody attempts these as well and says nothing more.
    pub second_attempts: Vec<TaskId>,
    /// Logs of confirms get lost.
    pub unlogged_confirms: bool,
    /// A nonce of which a version is mined that no journal has.
    pub lost_version: Option<u64>,
    /// Whether it tells what has used up a nonce.
    pub finds_uses: bool,
    /// Blocks are empty.
    pub stands: bool,
    /// Nobody responds to these.
    pub silent_items: Vec<TaskId>,
    /// A stranger confirms the responses to these.
    pub confirmed_by_others: Vec<TaskId>,
}

impl Chain {
    pub(super) fn new() -> Self {
        let genesis = Block { at: block_at(0, 0), time: 1000 };
        Self {
            blocks: vec![genesis],
            txs: Vec::new(),
            logs: Vec::new(),
            final_height: 0,
            sent: BTreeMap::new(),
            price: 1,
            wallet: Wei::from_u128(VAULT),
            steal_nonce: None,
            second_attempts: Vec::new(),
            unlogged_confirms: false,
            lost_version: None,
            finds_uses: true,
            stands: false,
            silent_items: Vec::new(),
            confirmed_by_others: Vec::new(),
        }
    }

    pub(in super::super) fn genesis(&self) -> BlockRef {
        self.blocks[0].at
    }

    /// The newest block that stays.
    pub(super) fn settled_block(&self) -> BlockRef {
        self.blocks[self.final_height.min(self.blocks.len() - 1)].at
    }

    /// What the wallet has published in blocks that stay, with the tags of its configs.
    pub(super) fn found(&self) -> Vec<Found> {
        let published = self.settled().iter().filter(|mined| mined.ok).filter_map(|mined| {
            let Call::PublishTask { source, config, expiry, payment } = &mined.tx.call else {
                return None;
            };
            let (_, key) = mined.tx.owner?;
            let address = self.logs.iter().find_map(|log| match log.seen {
                Seen::TaskPublished { task, .. } if log.tx_hash == mined.tx.hash => Some(task),
                _ => None,
            })?;
            let publication = PastPublication {
                nonce: mined.tx.slot.nonce,
                tx_hash: mined.tx.hash,
                address,
                block: self.blocks[mined.height].at,
                source: *source,
                config: config.clone(),
                expiry: *expiry,
                payment: *payment,
                gas_paid: mined.gas_paid,
            };
            Some(Found { key: Some(key), publication })
        });
        published.collect()
    }

    fn head(&self) -> &Block {
        self.blocks.last().expect("there is a first block")
    }

    /// The wallet's transactions.
    pub(super) fn mined(&self) -> &[Mined] {
        &self.txs
    }

    /// The same, of blocks that stay.
    pub(super) fn settled(&self) -> &[Mined] {
        let end = self.txs.partition_point(|mined| mined.height <= self.final_height);
        &self.txs[..end]
    }

    /// How many transactions of the wallet the chain holds.
    pub(super) fn count(&self) -> u64 {
        self.txs.len() as u64
    }

    /// Takes in a transaction; says whether its nonce is free.
    pub(super) fn take(&mut self, tx: Tx) -> bool {
        let free = self.count() <= tx.slot.nonce.0;
        let versions = self.sent.entry(tx.slot.nonce.0).or_default();
        if free && versions.iter().all(|known| known.hash != tx.hash) {
            versions.push(tx);
        }
        free
    }

    /// Pools lose all that is in no block.
    pub(in super::super) fn forget_pools(&mut self) {
        let count = self.count();
        self.sent.retain(|nonce, _| *nonce < count);
    }

    /// Pools keep the newest version of a nonce alone, or the oldest.
    pub(in super::super) fn keep_version(&mut self, nonce: u64, newest: bool) {
        let versions = self.sent.entry(nonce).or_default();
        let last = versions.len().saturating_sub(1);
        *versions = versions.drain(..).skip(if newest { last } else { 0 }).take(1).collect();
    }

    /// A block: some of what was sent, in nonce order; sometimes a reorg or another price first.
    pub(super) fn mine(&mut self, now_s: u64, faults: Faults, dice: &mut Dice) {
        if dice.chance(faults.reorgs) {
            let left = self.blocks.len().saturating_sub(DEPTH).max(self.final_height + 1);
            self.blocks.truncate(left);
            self.txs.retain(|mined| mined.height < left);
            self.logs.retain(|log| log.height < left);
        }
        if dice.chance(faults.spikes) {
            self.price = 1 + dice.below(20);
        } else if faults.spikes > 0 && dice.below(20) == 0 {
            self.price = 1;
        }
        let number = self.head().at.number + 1;
        let time = now_s.max(self.head().time + 1);
        self.blocks.push(Block { at: block_at(number, dice.below(u64::MAX)), time });
        while !self.stands
            && let Some(tx) = self.pick(self.count(), dice)
        {
            self.execute(tx);
            if dice.below(4) == 0 {
                break;
            }
        }
        self.respond(dice);
        self.final_height = self.final_height.max(self.blocks.len().saturating_sub(DEPTH + 1));
    }

    fn log(&mut self, tx_hash: B256, seen: Seen) {
        self.logs.push(Log { height: self.blocks.len() - 1, tx_hash, seen });
    }

    /// Some version of a slot that today's price allows.
    fn pick(&self, nonce: u64, dice: &mut Dice) -> Option<Tx> {
        let price = Wei::from_u128(u128::from(self.price));
        let payable: Vec<&Tx> =
            self.sent.get(&nonce)?.iter().filter(|tx| tx.fees.max_fee_per_gas >= price).collect();
        let tx = if payable.is_empty() { None } else { Some(payable[dice.place(payable.len())]) };
        let tx = tx?.clone();
        Some(if self.steal_nonce == Some(nonce) {
            Tx { hash: STRANGER, call: Call::NoOp, owner: None, ..tx }
        } else if self.lost_version == Some(nonce) {
            Tx { hash: keccak256(tx.hash), ..tx }
        } else {
            tx
        })
    }

    fn execute(&mut self, tx: Tx) {
        let log = match &tx.call {
            Call::PublishTask { source, expiry, .. } => {
                let task = Address::from_word(tx.hash);
                let seen = Seen::TaskPublished { task, source: *source };
                (expiry.as_secs() > self.head().time).then_some(seen)
            }
            Call::ConfirmResponse { response } => {
                let seen = Seen::ResponseConfirmed { response: *response };
                (!self.has_seen(&seen)).then_some(seen)
            }
            Call::CancelTask { task } => {
                let seen = Seen::TaskStatus { task: *task, status: TaskStatus::Canceled };
                let attempted = Seen::TaskStatus { task: *task, status: TaskStatus::Attempted };
                (!self.has_seen(&seen) && !self.has_seen(&attempted)).then_some(seen)
            }
            Call::Deposit { .. } | Call::NoOp => None,
        };
        let wants_log = !matches!(tx.call, Call::Deposit { .. } | Call::NoOp);
        let ok = log.is_some() || !wants_log;
        if let Some(seen) = log {
            self.log(tx.hash, seen);
        }
        // A stranger's gas is not the run's.
        let gas = if tx.hash == B256::repeat_byte(0xff) { 0 } else { (GAS - 1) * self.price };
        let gas_paid = Wei::from_u128(u128::from(gas));
        self.txs.push(Mined { height: self.blocks.len() - 1, tx, ok, gas_paid });
    }

    /// Whether the task of this contract was cancelled.
    pub(super) fn has_canceled(&self, task: Address) -> bool {
        self.has_seen(&Seen::TaskStatus { task, status: TaskStatus::Canceled })
    }

    /// Whether a publication that a task was once bound to may still come on the chain, or stands
    /// there without having been cancelled for good.
    pub(super) fn may_pay(&self, id: TaskId) -> bool {
        let settled = self.settled().len() as u64;
        let ours = |tx: &&Tx| tx.owner.is_some_and(|(owner, _)| owner == id);
        let open = self.sent.range(settled..).flat_map(|(_, txs)| txs).any(|tx| ours(&tx));
        let standing = self.settled().iter().filter(|mined| mined.ok && ours(&&mined.tx));
        let canceled = |mined: &&Mined| {
            let task = Address::from_word(mined.tx.hash);
            let seen = Seen::TaskStatus { task, status: TaskStatus::Canceled };
            self.has_seen_by(&seen, self.final_height as u64)
        };
        open || standing.filter(|mined| !canceled(mined)).count() > 0
    }

    fn has_seen(&self, wanted: &Seen) -> bool {
        self.logs.iter().any(|log| log.seen == *wanted)
    }

    pub(super) fn has_confirmed(&self, response: Address) -> bool {
        self.has_seen(&Seen::ResponseConfirmed { response })
    }

    /// Whether `response` is confirmed at the block `at`; no if that block is gone.
    pub(super) fn is_confirmed(&self, response: Address, at: BlockRef) -> bool {
        self.stands(&at) && self.has_seen_by(&Seen::ResponseConfirmed { response }, at.number)
    }

    fn has_seen_by(&self, wanted: &Seen, height: u64) -> bool {
        self.logs.iter().any(|log| log.height as u64 <= height && log.seen == *wanted)
    }

    fn stands(&self, block: &BlockRef) -> bool {
        usize::try_from(block.number)
            .ok()
            .and_then(|number| self.blocks.get(number))
            .is_some_and(|known| known.at == *block)
    }

    fn response_of(task: Address) -> Address {
        Address::from_word(keccak256(task))
    }

    /// The task of the run whose contract this is.
    fn task_at(&self, address: Address) -> Option<TaskId> {
        let publisher = |tx: &&Tx| Address::from_word(tx.hash) == address;
        self.sent.values().flatten().find(publisher).and_then(|tx| tx.owner).map(|(task, _)| task)
    }

    /// Providers respond to what was published before this block and is neither silent nor
    /// responded to.
    fn respond(&mut self, dice: &mut Dice) {
        let height = self.blocks.len() - 1;
        let published: Vec<(Address, Address)> = self
            .logs
            .iter()
            .filter(|log| log.height < height)
            .filter_map(|log| match log.seen {
                Seen::TaskPublished { task, source } => Some((task, source)),
                Seen::ResponseSubmitted { .. }
                | Seen::ResponseConfirmed { .. }
                | Seen::TaskStatus { .. } => None,
            })
            .collect();
        for (task, source) in published {
            let id = self.task_at(task);
            let is_among = |items: &[TaskId]| id.is_some_and(|id| items.contains(&id));
            let response = Self::response_of(task);
            let tx = keccak256(response);
            let responded = Seen::ResponseSubmitted { response, task };
            let confirmed = Seen::ResponseConfirmed { response };
            if self.has_canceled(task) {
                continue;
            }
            if self.has_seen(&responded) {
                let meddled = is_among(&self.confirmed_by_others) && dice.below(4) == 0;
                if meddled && !self.has_seen(&confirmed) {
                    self.log(keccak256(tx), confirmed);
                }
                continue;
            }
            if is_among(&self.silent_items) || dice.below(2) == 0 {
                continue;
            }
            self.log(tx, Seen::TaskStatus { task, status: TaskStatus::Attempted });
            let mut logs = vec![responded];
            if source == PAYS_BY_ITSELF {
                logs.push(confirmed);
            }
            if dice.below(2) == 0 {
                logs.reverse();
            }
            logs.into_iter().for_each(|seen| self.log(tx, seen));
        }
    }

    pub(super) fn survey(&self) -> Survey {
        let price = Wei::from_u128(u128::from(self.price));
        let published =
            self.txs.iter().filter(|mined| mined.ok && mined.tx.owner.is_some()).count();
        let paid = Wei::from_u128(PAYMENT).saturating_mul(published as u64);
        let left = self
            .txs
            .iter()
            .map(|mined| mined.gas_paid.saturating_add(mined.tx.call.value()))
            .fold(self.wallet, Wei::saturating_sub);
        Survey {
            head: self.head().at,
            time: ChainTime::from_secs(self.head().time),
            max_fee_per_gas: price,
            max_priority_fee_per_gas: Wei::from_u128(1),
            legacy: false,
            publish_gas: vec![GAS; 3],
            confirm_gas: GAS,
            wallet_balance: left,
            vault_balance: Wei::from_u128(VAULT).saturating_sub(paid),
            vault_frozen: Wei::from_u128(VAULT),
        }
    }

    pub(in super::super) fn read_logs(&self, ring: &[BlockRef]) -> Option<LogRead> {
        let cursor = *ring.last()?;
        if !self.stands(&cursor) {
            let common = ring.iter().rev().find(|block| self.stands(block))?;
            return Some(LogRead::Rewound(*common));
        }
        let head = self.head();
        if head.at == cursor {
            return None;
        }
        let from = usize::try_from(cursor.number).ok()? + 1;
        let sightings = (0_u64..)
            .zip(&self.logs)
            .filter(|(_, log)| log.height >= from)
            .filter(|(_, log)| {
                let confirm = matches!(log.seen, Seen::ResponseConfirmed { .. });
                !(confirm && self.unlogged_confirms)
            })
            .map(|(log_index, log)| Sighting {
                block: self.blocks[log.height].at,
                tx_hash: log.tx_hash,
                log_index,
                what: log.seen.clone(),
            })
            .collect();
        let last = &self.blocks[self.final_height];
        Some(LogRead::Advanced(LogPage {
            after: cursor,
            to: head.at,
            to_time: ChainTime::from_secs(head.time),
            final_number: last.at.number,
            final_time: ChainTime::from_secs(last.time),
            sightings,
        }))
    }

    pub(super) fn view(&self, hashes: &[B256], doubts: &[Nonce]) -> LaneView {
        let asked = self.txs.iter().filter(|mined| hashes.contains(&mined.tx.hash));
        let receipts = asked.map(|Mined { height, tx, ok, gas_paid }| {
            let published = matches!(tx.call, Call::PublishTask { .. }) && *ok;
            let reverted = ReceiptStatus::Reverted(Revert::AlreadyFinalized);
            Receipt {
                tx_hash: tx.hash,
                block: self.blocks[*height].at,
                gas_paid: *gas_paid,
                published: published.then(|| Address::from_word(tx.hash)),
                status: if *ok { ReceiptStatus::Ok } else { reverted },
            }
        });
        let doubtful = self.settled().iter().filter(|mined| doubts.contains(&mined.tx.slot.nonce));
        let uses = doubtful.filter(|_| self.finds_uses).map(|mined| NonceUse {
            nonce: mined.tx.slot.nonce,
            tx_hash: mined.tx.hash,
            call: (mined.tx.hash != STRANGER).then(|| (mined.tx.call.clone(), mined.tx.fees)),
            raw: alloy::primitives::Bytes::new(),
        });
        LaneView {
            head: self.head().at,
            count: self.count(),
            final_number: self.blocks[self.final_height].at.number,
            final_count: self.settled().len() as u64,
            receipts: receipts.collect(),
            doubts: doubts.to_vec(),
            uses: uses.collect(),
        }
    }

    /// A task as it is at the block `block`; nothing if that block is gone.
    pub(super) fn facts(&self, address: Address, block: BlockRef) -> Option<TaskFacts> {
        let response = Self::response_of(address);
        let submitted = Seen::ResponseSubmitted { response, task: address };
        let responded = self.has_seen_by(&submitted, block.number);
        let confirmed = Seen::ResponseConfirmed { response };
        let status = match responded {
            _ if self.has_seen_by(&confirmed, block.number) => TaskStatus::Finalized,
            true => TaskStatus::Responded,
            false => TaskStatus::New,
        };
        let id = self.task_at(address);
        let silent = id.is_some_and(|id| self.second_attempts.contains(&id));
        self.stands(&block).then(|| TaskFacts {
            task: address,
            block,
            status,
            attempts: u64::from(responded) + u64::from(responded && silent),
            responses: if responded { vec![response] } else { vec![] },
        })
    }
}

fn block_at(number: u64, salt: u64) -> BlockRef {
    let hash = keccak256([number.to_be_bytes(), salt.to_be_bytes()].concat());
    BlockRef { number, hash }
}
