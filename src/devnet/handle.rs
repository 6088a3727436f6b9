//! The devnet as the rest of the program holds it: one node, one log, the pins.
//!
//! A promise runs through it: whatever a caller learns is on disk by then. A change is appended to
//! the log under the node's lock, and nobody gets a reply before what was appended is synced.
//!
//! The log is read when the first question comes, not when the devnet is opened, so a command
//! that asks nothing pays nothing. The time comes from the caller, as a closure.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use alloy::primitives::{Address, B256, Bytes};
use tokio::sync::watch;

use super::error::DevnetError;
use super::evm::CallFailure;
use super::genesis::Genesis;
use super::log::{GrowingFile, Label, frame, read_frames};
use super::node::Node;
use super::pins::Pins;
use super::place::Place;
use super::pool::{PoolError, PoolLimits, PoolTx};
use crate::units::cid::Cid;
use crate::units::{BlockRef, ChainTime};

/// Tells the time, in whole seconds since the Unix epoch.
pub type Clock = Arc<dyn Fn() -> ChainTime + Send + Sync>;

/// When blocks are mined.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Mining {
    /// When transactions come: as many blocks as a batch of them needs. While nothing comes, a block that is
    /// older than a second is followed by an empty one as soon as somebody looks.
    #[default]
    AtOnce,
    /// When [`Devnet::mine`] is called, and only then.
    ByTick,
}

/// What a devnet is opened with.
#[derive(Clone)]
pub struct Options {
    /// Where it is kept.
    pub place: Place,
    /// Block 0. A chain that began with another one is refused.
    pub genesis: Genesis,
    /// When blocks are mined.
    pub mining: Mining,
    /// What the pool takes.
    pub limits: PoolLimits,
    /// The links of pinned contents begin with this; no slash at the end.
    pub base: String,
    /// The time.
    pub clock: Clock,
}

impl fmt::Debug for Options {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Options")
            .field("place", &self.place)
            .field("genesis", &self.genesis.digest())
            .field("mining", &self.mining)
            .field("limits", &self.limits)
            .field("base", &self.base)
            .finish_non_exhaustive()
    }
}

struct Inner {
    options: Options,
    /// `None` until the log has been read.
    node: Mutex<Option<Node>>,
    log: Option<GrowingFile>,
    pins: Pins,
    heads: watch::Sender<BlockRef>,
    lag: AtomicU64,
    /// Readers so far that might have lagged.
    turn: AtomicU64,
}

/// A running devnet. Clones are the same one.
#[derive(Clone)]
pub struct Devnet {
    inner: Arc<Inner>,
}

impl fmt::Debug for Devnet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Devnet").field("options", &self.inner.options).finish_non_exhaustive()
    }
}

impl Devnet {
    /// Opens the devnet at its place, or a new one.
    ///
    /// # Errors
    ///
    /// [`DevnetError`] if another process runs it, or its files are of something else.
    pub fn open(options: Options) -> Result<Self, DevnetError> {
        let label = label(&options.genesis);
        let path = options.place.file("chain.log");
        let log = match path {
            Some(path) if options.place.is_writable() => Some(GrowingFile::open(path, label)?),
            _ => None,
        };
        let pins = Pins::open(&options.place)?;
        let heads = watch::Sender::new(BlockRef { number: 0, hash: B256::ZERO });
        let node = Mutex::new(None);
        let (lag, turn) = (AtomicU64::new(0), AtomicU64::new(0));
        Ok(Self { inner: Arc::new(Inner { options, node, log, pins, heads, lag, turn }) })
    }

    /// The links of pinned contents begin with this.
    pub fn base(&self) -> &str {
        &self.inner.options.base
    }

    /// The head, changed with every block. The first value is block 0's height without a hash;
    /// the log may not have been read yet.
    pub fn heads(&self) -> watch::Receiver<BlockRef> {
        self.inner.heads.subscribe()
    }

    /// Makes every second reader see the chain as it was `blocks` ago, as a replica that lags
    /// behind would. 0 ends it.
    pub fn set_lag(&self, blocks: u64) {
        self.inner.lag.store(blocks, Ordering::Relaxed);
    }

    /// How far behind the next reader is.
    pub(super) fn next_lag(&self) -> u64 {
        match self.inner.lag.load(Ordering::Relaxed) {
            0 => 0,
            lag => lag * (self.inner.turn.fetch_add(1, Ordering::Relaxed) % 2),
        }
    }

    fn node(&self) -> Result<Held<'_>, DevnetError> {
        let mut node = self.inner.node.lock().unwrap_or_else(PoisonError::into_inner);
        if node.is_none() {
            *node = Some(self.load()?);
        }
        Ok(Held { node })
    }

    /// Reads the log, or begins one.
    fn load(&self) -> Result<Node, DevnetError> {
        let Inner { options, log, .. } = &*self.inner;
        let mut node = Node::new(&options.genesis, options.limits);
        if let Some(path) = options.place.file("chain.log").filter(|path| path.exists()) {
            let end = read_frames(&path, label(&options.genesis), |_, payload| {
                node.replay(payload)
                    .map_err(|source| DevnetError::Record { path: path.clone(), source })
            })?;
            log.as_ref().map_or(Ok(()), |log| log.start_at(end))?;
        }
        self.announce(&node);
        Ok(node)
    }

    fn announce(&self, node: &Node) {
        let head = node.head();
        let head = BlockRef { number: head.header.number, hash: head.hash };
        self.inner.heads.send_if_modified(|known| {
            let is_new = *known != head;
            *known = head;
            is_new
        });
    }

    /// Appends what the node did. The caller syncs before it says anything to anybody.
    fn keep(&self, node: &mut Node) -> Result<(), DevnetError> {
        let records = node.take_records();
        if records.is_empty() {
            return Ok(());
        }
        if let Some(log) = &self.inner.log {
            let mut frames = Vec::new();
            records.iter().for_each(|record| frame(&mut frames, record));
            log.append(&frames)?;
        }
        self.announce(node);
        Ok(())
    }

    /// Returns once everything done so far is on disk.
    ///
    /// # Errors
    ///
    /// [`DevnetError`] if the disk does not take it; nothing works from then on.
    pub(super) fn sync(&self) -> Result<(), DevnetError> {
        self.inner.log.as_ref().map_or(Ok(()), GrowingFile::sync)
    }

    /// Takes transactions into the pool and, if blocks are mined at once, mines one with them.
    /// Nothing is synced yet.
    pub(super) fn submit(
        &self,
        txs: impl IntoIterator<Item = PoolTx>,
    ) -> Result<Vec<Result<B256, PoolError>>, DevnetError> {
        let mut held = self.node()?;
        let node = held.get();
        let taken: Vec<_> = txs.into_iter().map(|tx| node.submit(tx)).collect();
        if self.inner.options.mining == Mining::AtOnce && taken.iter().any(Result::is_ok) {
            self.mine_all(node);
        }
        self.keep(node)?;
        Ok(taken)
    }

    /// Mines until nothing in the pool can run any more: a batch may not fit into one block.
    fn mine_all(&self, node: &mut Node) {
        loop {
            node.mine((self.inner.options.clock)());
            if node.is_idle() || node.head().txs.is_empty() {
                return;
            }
        }
    }

    /// Takes transactions, as `eth_sendRawTransaction` does. Blocks until they are on disk.
    ///
    /// # Errors
    ///
    /// [`DevnetError`] if the disk does not take them; a refusal by the pool is inside.
    pub fn send(
        &self,
        txs: impl IntoIterator<Item = PoolTx>,
    ) -> Result<Vec<Result<B256, PoolError>>, DevnetError> {
        let taken = self.submit(txs)?;
        self.sync()?;
        Ok(taken)
    }

    /// Mines a block now, empty or not. Blocks until it is on disk.
    ///
    /// # Errors
    ///
    /// As [`Devnet::send`].
    pub fn mine(&self) -> Result<BlockRef, DevnetError> {
        self.change(|node, now| node.mine(now))
    }

    /// Takes the newest blocks back and mines their transactions into another one (if blocks are
    /// mined at once). Returns how many were taken back: the depth is limited.
    ///
    /// # Errors
    ///
    /// As [`Devnet::send`].
    pub fn reorg(&self, depth: usize) -> Result<usize, DevnetError> {
        let mining = self.inner.options.mining;
        self.change(|node, now| {
            let taken_back = node.reorg(depth);
            if taken_back > 0 && mining == Mining::AtOnce {
                node.mine(now);
            }
            taken_back
        })
    }

    fn change<R>(&self, act: impl FnOnce(&mut Node, ChainTime) -> R) -> Result<R, DevnetError> {
        let mut held = self.node()?;
        let node = held.get();
        let result = act(node, (self.inner.options.clock)());
        self.keep(node)?;
        drop(held);
        self.sync()?;
        Ok(result)
    }

    /// Looks at the node, with a head that is fresh. Nothing is synced yet.
    pub(super) fn look<R>(&self, read: impl FnOnce(&Node) -> R) -> Result<R, DevnetError> {
        let mut held = self.node()?;
        let node = held.get();
        let now = (self.inner.options.clock)();
        let is_stale = now.as_secs() > node.head().header.timestamp;
        if self.inner.options.mining == Mining::AtOnce && is_stale {
            node.mine(now);
            self.keep(node)?;
        }
        Ok(read(node))
    }

    /// Looks at the node. What `read` sees is on disk when this returns.
    ///
    /// # Errors
    ///
    /// [`DevnetError`] if the log cannot be read or written.
    pub fn read<R>(&self, read: impl FnOnce(&Node) -> R) -> Result<R, DevnetError> {
        let result = self.look(read)?;
        self.sync()?;
        Ok(result)
    }

    /// What a contract returns at the head.
    ///
    /// # Errors
    ///
    /// [`DevnetError`] outside, the contract's refusal inside.
    pub fn call(
        &self,
        to: Address,
        data: Bytes,
    ) -> Result<Result<Bytes, CallFailure>, DevnetError> {
        self.read(|node| node.call(to, data))
    }

    /// Keeps `content` and returns its link. Blocks until it is on disk.
    ///
    /// # Errors
    ///
    /// [`DevnetError`] if the disk does not take it.
    pub fn pin(&self, content: &[u8]) -> Result<String, DevnetError> {
        let cid = self.inner.pins.put(content)?;
        Ok(format!("{}/ipfs/{cid}", self.base()))
    }

    /// Keeps contents and returns their links, in order. Blocks until all are on disk, once.
    ///
    /// # Errors
    ///
    /// As [`Devnet::pin`].
    pub fn pin_all(&self, contents: &[Bytes]) -> Result<Vec<String>, DevnetError> {
        let cids = self.inner.pins.put_all(contents)?;
        Ok(cids.into_iter().map(|cid| format!("{}/ipfs/{cid}", self.base())).collect())
    }

    /// The time, as blocks get it.
    pub fn now(&self) -> ChainTime {
        (self.inner.options.clock)()
    }

    /// The pinned content with this CID.
    ///
    /// # Errors
    ///
    /// [`DevnetError`] if the file cannot be read.
    pub fn pinned(&self, cid: &Cid) -> Result<Option<Bytes>, DevnetError> {
        self.inner.pins.get(cid)
    }
}

fn label(genesis: &Genesis) -> Label {
    Label { line: "ogflow devnet chain 1", owner: genesis.digest() }
}

/// The node under its lock.
struct Held<'a> {
    node: MutexGuard<'a, Option<Node>>,
}

impl Held<'_> {
    fn get(&mut self) -> &mut Node {
        self.node.as_mut().expect("the log is read before the lock is handed out")
    }
}
