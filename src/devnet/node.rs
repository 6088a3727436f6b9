//! The node: pool, blocks, state; time passed in.
//!
//! Everything that changes it is one of three acts: take a transaction, mine a block, take blocks
//! back. Each act appends one record to [`Node::take_records`], and [`Node::replay`] does the act
//! of a record again, with the same state and hashes as its end. Nothing here reads a clock or
//! touches a disk.

use std::collections::BTreeSet;
use std::sync::Arc;

use alloy::primitives::map::B256Map;
use alloy::primitives::{Address, B256, Bytes, Log, U256};

use super::block::{self, BASE_FEE, Block, Builder, MinedTx};
use super::evm::{self, Ask, BLOCK_GAS, CallFailure};
use super::genesis::Genesis;
use super::pool::{Pool, PoolError, PoolLimits, PoolTx};
use super::record::{self, Record, RecordError};
use super::state::{Brief, State, View};
use crate::units::{BlockRef, ChainTime};

/// A log with its place on the chain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlacedLog {
    /// The block.
    pub block: BlockRef,
    /// The transaction.
    pub tx: B256,
    /// Place in the block, from 0.
    pub index: u64,
    /// Address, topics and data.
    pub log: Log,
}

/// Where a transaction is.
#[derive(Clone, Debug)]
pub(super) enum Found<'a> {
    /// In the pool.
    Waiting(&'a PoolTx),
    /// In a block, at a place.
    Mined(&'a Block, usize),
}

/// A chain of its own, in memory.
#[derive(Debug)]
pub struct Node {
    state: State,
    blocks: Vec<Block>,
    by_hash: B256Map<u64>,
    mined: B256Map<(u64, u32)>,
    pool: Pool,
    limits: PoolLimits,
    records: Vec<Vec<u8>>,
}

impl Node {
    /// A chain that has only block 0.
    pub fn new(genesis: &Genesis, limits: PoolLimits) -> Self {
        let header = block::first_header(genesis.time.as_secs(), genesis.digest());
        let hash = header.hash_slow();
        let mut state = State::new(&genesis.accounts());
        state.seal(hash);
        Self {
            state,
            blocks: vec![Block { header, hash, txs: Vec::new() }],
            by_hash: B256Map::from_iter([(hash, 0)]),
            mined: B256Map::default(),
            pool: Pool::default(),
            limits,
            records: Vec::new(),
        }
    }

    /// The newest block.
    ///
    /// # Panics
    ///
    /// Never: block 0 is always there.
    pub fn head(&self) -> &Block {
        self.blocks.last().expect("block 0 is never taken back")
    }

    /// The block at a height.
    pub fn block(&self, number: u64) -> Option<&Block> {
        usize::try_from(number).ok().and_then(|at| self.blocks.get(at))
    }

    /// The block with a hash.
    pub fn block_by_hash(&self, hash: B256) -> Option<&Block> {
        self.by_hash.get(&hash).and_then(|number| self.block(*number))
    }

    pub(super) fn find(&self, hash: &B256) -> Option<Found<'_>> {
        if let Some(waiting) = self.pool.get(hash) {
            return Some(Found::Waiting(waiting));
        }
        let (number, at) = self.mined.get(hash)?;
        self.block(*number).map(|block| Found::Mined(block, *at as usize))
    }

    /// Whether a block would have nothing in it.
    pub fn is_idle(&self) -> bool {
        self.pool.is_empty()
    }

    /// The next nonce of `account`, counting what waits in the pool.
    pub fn pending_count(&self, account: Address) -> u64 {
        self.pool.pending_count(account, self.sender(account).nonce)
    }

    /// The next nonce of `account` at the end of block `number`; `None` if that is not known.
    pub fn count_at(&self, account: Address, number: u64) -> Option<u64> {
        Some(self.state.at(number)?.brief(account).unwrap_or(Brief::EMPTY).nonce)
    }

    pub(super) fn view(&self, number: u64) -> Option<View<'_>> {
        self.state.at(number)
    }

    fn sender(&self, account: Address) -> Brief {
        self.state.brief(account).unwrap_or(Brief::EMPTY)
    }

    /// Takes a transaction into the pool. Nothing is mined.
    ///
    /// # Errors
    ///
    /// [`PoolError`], in a real node's words.
    pub fn submit(&mut self, tx: PoolTx) -> Result<B256, PoolError> {
        self.pool.check(&tx, self.sender(tx.sender), self.limits)?;
        self.records.push(record::submitted(&tx));
        let hash = tx.hash;
        self.pool.insert(tx);
        Ok(hash)
    }

    /// Mines one block at `now`, or at the head's time if that is later, with everything in the
    /// pool that fits. The block may be empty.
    pub fn mine(&mut self, now: ChainTime) -> BlockRef {
        let header = block::next_header(self.head(), now.as_secs());
        let order = self.pool.ready(BASE_FEE, |account| self.sender(account).nonce);
        let txs = self.execute(&header, &order);
        let parent_root = self.head().header.state_root;
        let redo = self.state.close();
        let block = block::seal(header, txs, parent_root, &redo);
        self.records.push(record::mined(&block, &redo));
        self.append(block)
    }

    /// Runs `order`, leaving out what the block has no room for or what cannot run any more.
    fn execute(
        &mut self,
        header: &alloy::consensus::Header,
        order: &[Arc<PoolTx>],
    ) -> Vec<MinedTx> {
        let builder = std::cell::RefCell::new((Builder::default(), BTreeSet::new()));
        let mut waiting = order.iter();
        let next = || {
            waiting.by_ref().find_map(|tx| {
                let held = builder.borrow();
                let fits = held.0.gas_used().saturating_add(gas_limit(tx)) <= BLOCK_GAS;
                if !fits || held.1.contains(&tx.sender) {
                    drop(held);
                    // Its later transactions cannot run either.
                    builder.borrow_mut().1.insert(tx.sender);
                    return None;
                }
                Some((tx.sender, &tx.tx, tx))
            })
        };
        evm::run_block(&mut self.state, header, next, |tx: &Arc<PoolTx>, done| {
            let (builder, stuck) = &mut *builder.borrow_mut();
            match done {
                Ok(done) => builder.push(tx.hash, tx.sender, tx.raw.clone(), done),
                Err(_) => {
                    stuck.insert(tx.sender);
                }
            }
        });
        builder.into_inner().0.txs
    }

    fn append(&mut self, block: Block) -> BlockRef {
        let number = block.header.number;
        let place = BlockRef { number, hash: block.hash };
        for (tx, at) in block.txs.iter().zip(0_u32..) {
            self.mined.insert(tx.hash, (number, at));
            let next = self.sender(tx.sender).nonce;
            self.pool.drop_used(tx.sender, next);
        }
        self.state.seal(block.hash);
        self.by_hash.insert(block.hash, number);
        self.blocks.push(block);
        place
    }

    /// Takes the newest `depth` blocks back, or as many as are known well enough. Their
    /// transactions wait in the pool again, to be mined into other blocks. Returns how many.
    pub fn reorg(&mut self, depth: usize) -> usize {
        let depth = depth.min(self.state.depth()).min(self.blocks.len() - 1);
        if depth == 0 {
            return 0;
        }
        self.records.push(record::reorged(depth));
        let kept = self.blocks.len() - depth;
        let dropped = self.blocks.split_off(kept);
        for block in &dropped {
            self.state.step_back();
            self.by_hash.remove(&block.hash);
        }
        for tx in dropped.into_iter().flat_map(|block| block.txs) {
            self.mined.remove(&tx.hash);
            if let Ok(tx) = PoolTx::trusted(tx.sender, tx.raw) {
                self.pool.insert(tx);
            }
        }
        depth
    }

    /// What a contract would return at the head, to a caller with nothing at stake.
    ///
    /// # Errors
    ///
    /// [`CallFailure`]: the contract said no, or the machine stopped.
    pub fn call(&self, to: Address, data: Bytes) -> Result<Bytes, CallFailure> {
        let ask = Ask { to: Some(to), data, ..Ask::default() };
        self.ask(self.head().header.number, &ask)
    }

    pub(super) fn ask(&self, number: u64, ask: &Ask) -> Result<Bytes, CallFailure> {
        let (view, header) = self.footing(number)?;
        evm::call(view, &header, ask)
    }

    pub(super) fn estimate(&self, number: u64, ask: &Ask) -> Result<u64, CallFailure> {
        let (view, header) = self.footing(number)?;
        evm::estimate(view, &header, ask)
    }

    /// The state of block `number` and a header as its successor would have.
    fn footing(&self, number: u64) -> Result<(View<'_>, alloy::consensus::Header), CallFailure> {
        let gone = || CallFailure::Refused { reason: "historical state is not available".into() };
        let block = self.block(number).ok_or_else(gone)?;
        let view = self.state.at(number).filter(View::has_storage).ok_or_else(gone)?;
        Ok((view, block.header.clone()))
    }

    /// Every log in the blocks `from..=to` that `wanted` lets through, oldest first.
    pub fn logs(&self, from: u64, to: u64, wanted: impl Fn(&Log) -> bool) -> Vec<PlacedLog> {
        let blocks = (from..=to).map_while(|number| self.block(number));
        let mut found = Vec::new();
        for block in blocks {
            let place = BlockRef { number: block.header.number, hash: block.hash };
            let logs = block.logs().filter(|(_, _, log)| wanted(log));
            found.extend(logs.map(|(at, index, log)| PlacedLog {
                block: place,
                tx: block.txs[at].hash,
                index,
                log: log.clone(),
            }));
        }
        found
    }

    /// The balance of a wallet at the head, in wei.
    pub fn balance(&self, account: Address) -> U256 {
        self.sender(account).balance
    }

    /// The records of all acts since the last call, oldest first.
    pub fn take_records(&mut self) -> Vec<Vec<u8>> {
        std::mem::take(&mut self.records)
    }

    /// Does the act of a record again.
    ///
    /// # Errors
    ///
    /// [`RecordError`] if the record does not follow from what was before it.
    pub fn replay(&mut self, bytes: &[u8]) -> Result<(), RecordError> {
        match record::read(bytes)? {
            Record::Submitted(tx) => self.pool.insert(*tx),
            Record::Mined(mined) => {
                if mined.header.parent_hash != self.head().hash {
                    return Err(RecordError::Astray);
                }
                let mut builder = Builder::default();
                for (hash, done) in mined.txs {
                    let tx = self.pool.get(&hash).ok_or(RecordError::Astray)?;
                    builder.push(hash, tx.sender, tx.raw.clone(), done);
                }
                self.state.apply(mined.redo).ok_or(RecordError::Malformed)?;
                let hash = mined.header.hash_slow();
                self.append(Block { header: mined.header, hash, txs: builder.txs });
            }
            Record::Reorged { depth } => {
                if self.reorg(depth) != depth {
                    return Err(RecordError::Astray);
                }
                self.records.clear();
            }
        }
        Ok(())
    }
}

fn gas_limit(tx: &PoolTx) -> u64 {
    alloy::consensus::Transaction::gas_limit(&tx.tx)
}
