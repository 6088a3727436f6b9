//! A chain, providers and a journal that see what the loop does, small enough to be right by
//! reading. A block comes each second of paused time.

#![expect(clippy::wildcard_enum_match_arm, reason = "a test names what it is about")]

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use alloy::primitives::{Address, B256};
use serde_json::{Value, json};

use crate::chain::{
    Chain, ChainError, ChainFacts, CodeHashes, Fault, SignError, SignRequest, SurveyRequest,
    VaultFacts, WalletFacts,
};
use crate::content::MemoryContent;
use crate::engine::Event;
use crate::store::{
    Appended, Batch, Durable, Journal, LaneKey, LaneState, Loaded, MemoryJournal, StoreError,
};
use crate::units::cid::sha256;
use crate::units::source::{Delivery, SourceFacts};
use crate::units::{
    BlockRef, Call, ChainTime, Fees, LaneView, LogPage, LogRead, Network, Nonce, NonceUse, Receipt,
    ReceiptStatus, ResponseFacts, RunId, Seen, SendOutcome, Seq, Sighting, SignedTx, Slot, Survey,
    TaskFacts, TaskStatus, Untrusted, Wei,
};

pub(super) const WALLET: Address = Address::repeat_byte(0xaa);
const PROVIDER: Address = Address::repeat_byte(0xbb);
const CODE: B256 = B256::repeat_byte(0xcc);
pub(super) const GENESIS: B256 = B256::repeat_byte(0xdd);

/// What the journal holds, as the world outside may know it.
#[derive(Default)]
pub(super) struct Disk {
    pub(super) signed: BTreeSet<B256>,
    pub(super) reserved: BTreeSet<Slot>,
    pub(super) outputs: BTreeMap<B256, Vec<u8>>,
    pub(super) events: Vec<Event>,
    pub(super) appends: usize,
    /// The append that fails, counted from 1.
    pub(super) failing: Option<usize>,
    /// The next append that brings signed bytes fails.
    pub(super) fails_signed: bool,
    /// The next append that tells of a published task fails.
    pub(super) fails_published: bool,
    /// What a lease gives back lacks its last version.
    pub(super) loses_bytes: bool,
}

pub(super) type Shared<T> = Arc<Mutex<T>>;

pub(super) fn held<T>(shared: &Shared<T>) -> MutexGuard<'_, T> {
    shared.lock().unwrap()
}

/// A journal in memory that notes what has become durable.
pub(super) struct Watched {
    pub(super) inner: MemoryJournal,
    pub(super) disk: Shared<Disk>,
}

impl Journal for Watched {
    fn load(&self, run: &RunId) -> Result<Loaded<'_>, StoreError> {
        self.inner.load(run)
    }

    fn lane(&self, lane: &LaneKey, run: &RunId) -> Result<LaneState, StoreError> {
        self.inner.lane(lane, run)
    }

    fn is_final(&self, lane: &LaneKey, nonce: crate::units::Nonce) -> Result<bool, StoreError> {
        self.inner.is_final(lane, nonce)
    }

    fn append(&mut self, batch: &Batch<'_>) -> Result<Appended, StoreError> {
        let mut disk = held(&self.disk);
        disk.appends += 1;
        let fails_signed = disk.fails_signed && !batch.signed.is_empty();
        let published = |event: &Event| matches!(event, Event::TaskPublished { .. });
        let fails_published = disk.fails_published && batch.events.iter().any(published);
        if fails_signed || fails_published || disk.failing == Some(disk.appends) {
            (disk.fails_signed, disk.fails_published) = (false, false);
            let source = std::io::Error::other("the disk is broken");
            return Err(StoreError::Io { path: "journal".into(), source });
        }
        let mut appended = self.inner.append(batch)?;
        if disk.loses_bytes && batch.signed.is_empty() {
            drop(appended.durable.pop());
        }
        disk.signed.extend(batch.signed.iter().map(|tx| tx.hash));
        disk.outputs.extend(batch.outputs.iter().map(|(hash, body)| (*hash, body.to_vec())));
        for event in batch.events {
            if let Event::SlotReserved { slot, .. } = event {
                disk.reserved.insert(*slot);
            }
        }
        disk.events.extend_from_slice(batch.events);
        Ok(appended)
    }
}

/// A chain with providers on it.
pub(super) struct Stage {
    pub(super) state: Shared<State>,
    pub(super) disk: Shared<Disk>,
    content: Arc<MemoryContent>,
}

#[derive(Default)]
pub(super) struct State {
    blocks: Vec<Block>,
    pool: BTreeMap<u64, (B256, Call)>,
    responses: BTreeMap<Address, ResponseFacts>,
    /// So many sends from now on get no reply; of every second one the bytes are lost too.
    pub(super) lost_replies: u32,
    /// Requests of all kinds that reached the chain.
    pub(super) requests: u64,
    /// Every read fails from now on.
    pub(super) unreachable: bool,
    /// Providers that respond to nothing.
    pub(super) silent: bool,
    /// Sends of bytes, doubled ones included.
    pub(super) sends: u64,
    /// A nonce whose bytes become a version that no journal has, before anybody gets them.
    pub(super) lost_version: Option<u64>,
    /// That version.
    unknown: Option<SignedTx>,
    /// Transactions of the wallet that are not ours.
    pub(super) foreign: u64,
    pub(super) genesis: Option<B256>,
    /// The code of the controller, if it is not what it was.
    pub(super) controller: Option<B256>,
    /// From which look on it is that.
    pub(super) controller_from: u32,
    looks: u32,
}

struct Block {
    at: BlockRef,
    txs: Vec<(B256, Call)>,
    logs: Vec<(B256, Seen)>,
}

fn block(number: u64) -> BlockRef {
    BlockRef { number, hash: sha256(&number.to_be_bytes()) }
}

impl Stage {
    pub(super) fn new(content: Arc<MemoryContent>, disk: Shared<Disk>) -> Self {
        let first = Block { at: block(0), txs: vec![], logs: vec![] };
        let state = State { blocks: vec![first], ..State::default() };
        Self { state: Arc::new(Mutex::new(state)), disk, content }
    }

    fn ask(&self) -> Result<MutexGuard<'_, State>, ChainError> {
        let mut state = held(&self.state);
        state.requests += 1;
        if state.unreachable {
            let endpoint = "http://stage".into();
            return Err(ChainError::Unreachable { endpoint, tries: 3, fault: Fault::Connect });
        }
        Ok(state)
    }

    /// Puts what the pool holds into a block; providers respond to what was published before.
    fn mine(&self, state: &mut State) {
        let at = block(state.blocks.len() as u64);
        let mut new = Block { at, txs: vec![], logs: vec![] };
        let silent = state.silent;
        let last = state.blocks.last().map_or(&[][..], |block| &block.logs);
        let published: Vec<Address> = last
            .iter()
            .filter_map(|(_, seen)| match seen {
                Seen::TaskPublished { task, .. } if !silent => Some(*task),
                _ => None,
            })
            .collect();
        for task in published {
            let facts = self.response(state, task);
            new.logs.push((B256::ZERO, Seen::ResponseSubmitted { response: facts.response, task }));
            state.responses.insert(facts.response, facts);
        }
        let mut nonce = state.count();
        while let Some((hash, call)) = state.pool.remove(&nonce) {
            if let Call::PublishTask { source, .. } = &call {
                let task = Address::from_word(hash);
                new.logs.push((hash, Seen::TaskPublished { task, source: *source }));
            }
            if let Call::ConfirmResponse { response } = &call {
                new.logs.push((hash, Seen::ResponseConfirmed { response: *response }));
                if let Some(facts) = state.responses.get_mut(response) {
                    facts.confirmed = true;
                }
            }
            new.txs.push((hash, call));
            nonce += 1;
        }
        state.blocks.push(new);
    }

    /// A provider's work: the output repeats the task's data.
    fn response(&self, state: &State, task: Address) -> ResponseFacts {
        let all = state.blocks.iter().flat_map(|block| &block.txs);
        let config = all
            .filter(|(hash, _)| Address::from_word(*hash) == task)
            .find_map(|(_, call)| match call {
                Call::PublishTask { config, .. } => self.content.bytes_at(config),
                _ => None,
            })
            .expect("what was published is pinned");
        let config: Value = serde_json::from_slice(&config).unwrap();
        let output = json!({"echo": config["data"]}).to_string();
        ResponseFacts {
            response: Address::from_word(sha256(task.as_slice())),
            task,
            provider: PROVIDER,
            url: self.content.put(output),
            payment: Wei::from_u128(1),
            confirmed: false,
        }
    }
}

impl State {
    fn count(&self) -> u64 {
        self.foreign + self.blocks.iter().map(|block| block.txs.len() as u64).sum::<u64>()
    }

    /// Configs of all successful publications.
    pub(super) fn published(&self) -> Vec<String> {
        let txs = self.blocks.iter().flat_map(|block| &block.txs);
        txs.filter_map(|(_, call)| match call {
            Call::PublishTask { config, .. } => Some(config.clone()),
            _ => None,
        })
        .collect()
    }
}

impl Chain for Stage {
    fn wallet(&self) -> Option<Address> {
        Some(WALLET)
    }

    async fn guard(&self) -> Result<ChainFacts, ChainError> {
        let mut state = self.ask()?;
        state.looks += 1;
        let head = state.blocks.last().unwrap().at;
        let controller = state.controller.filter(|_| state.looks > state.controller_from);
        Ok(ChainFacts {
            chain_id: Network::devnet().chain_id,
            genesis: state.genesis.unwrap_or(GENESIS),
            code: CodeHashes {
                nexus: CODE,
                controller: controller.unwrap_or(CODE),
                terminal: CODE,
                vault: CODE,
            },
            client: Untrusted::from("stage"),
            head,
            head_time: ChainTime::from_secs(1_000 + head.number),
            settled: head,
            finalized: None,
        })
    }

    async fn sign(&self, requests: Vec<SignRequest>) -> Vec<Result<SignedTx, SignError>> {
        let sign = |request: SignRequest| {
            let SignRequest { slot, seq, call, fees } = request;
            assert!(held(&self.disk).reserved.contains(&slot), "reserved before it is signed");
            let raw = serde_json::to_vec(&(slot, seq, &call, &fees)).unwrap();
            Ok(SignedTx { slot, seq, hash: sha256(&raw), raw: raw.into() })
        };
        requests.into_iter().map(sign).collect()
    }

    async fn send(&self, txs: Vec<Durable<SignedTx>>) -> Vec<(Slot, Seq, SendOutcome)> {
        let mut state = held(&self.state);
        let mut last = None;
        let mut outcomes = Vec::new();
        for tx in &txs {
            let tx = tx.get();
            assert!(held(&self.disk).signed.contains(&tx.hash), "journaled before it is sent");
            assert!(last < Some(tx.slot.nonce), "in nonce order");
            last = Some(tx.slot.nonce);
            state.sends += 1;
            let (_, _, call, _): (Slot, Seq, Call, Fees) = serde_json::from_slice(&tx.raw).unwrap();
            let used = tx.slot.nonce.0 < state.count();
            let lost = state.lost_replies > 0;
            if !used && (!lost || state.lost_replies.is_multiple_of(2)) {
                let mut hash = tx.hash;
                if state.lost_version.take_if(|nonce| *nonce == tx.slot.nonce.0).is_some() {
                    let raw = [tx.raw.as_ref(), b" "].concat();
                    hash = sha256(&raw);
                    state.unknown = Some(SignedTx { hash, raw: raw.into(), ..tx.clone() });
                }
                // What is in the pool stays there.
                state.pool.entry(tx.slot.nonce.0).or_insert((hash, call));
            }
            let honest = if used { SendOutcome::MaybeUsed } else { SendOutcome::Seen };
            state.lost_replies = state.lost_replies.saturating_sub(1);
            outcomes.push((tx.slot, tx.seq, if lost { SendOutcome::Unknown } else { honest }));
        }
        outcomes
    }

    async fn view(
        &self,
        _: Address,
        hashes: Vec<B256>,
        doubts: Vec<Nonce>,
    ) -> Result<LaneView, ChainError> {
        let state = self.ask()?;
        let head = state.blocks.last().unwrap().at;
        let mut receipts = Vec::new();
        for block in &state.blocks {
            for (hash, call) in block.txs.iter().filter(|(hash, _)| hashes.contains(hash)) {
                let publishes = matches!(call, Call::PublishTask { .. });
                receipts.push(Receipt {
                    tx_hash: *hash,
                    block: block.at,
                    gas_paid: Wei::from_u128(21),
                    published: publishes.then(|| Address::from_word(*hash)),
                    status: ReceiptStatus::Ok,
                });
            }
        }
        let count = state.count();
        let final_number = head.number;
        let unknown = state.unknown.iter().filter(|tx| doubts.contains(&tx.slot.nonce));
        let uses = unknown.map(|tx| {
            let (_, _, call, fees): (Slot, Seq, Call, Fees) =
                serde_json::from_slice(&tx.raw).unwrap();
            let (nonce, raw) = (tx.slot.nonce, tx.raw.clone());
            NonceUse { nonce, tx_hash: tx.hash, call: Some((call, fees)), raw }
        });
        let uses = uses.collect();
        Ok(LaneView { head, count, final_number, final_count: count, receipts, doubts, uses })
    }

    async fn survey(&self, request: SurveyRequest) -> Result<Survey, ChainError> {
        let state = self.ask()?;
        let head = state.blocks.last().unwrap().at;
        let rich = Wei::parse("1000 OGPU").unwrap();
        Ok(Survey {
            head,
            time: ChainTime::from_secs(1_000 + head.number),
            max_fee_per_gas: Wei::from_u128(10),
            max_priority_fee_per_gas: Wei::from_u128(1),
            legacy: false,
            publish_gas: request.publishes.iter().map(|_| 300_000).collect(),
            confirm_gas: 100_000,
            wallet_balance: rich,
            vault_balance: rich,
            vault_frozen: Wei::ZERO,
        })
    }

    async fn read_logs(&self, ring: &[BlockRef], _: u64) -> Result<LogRead, ChainError> {
        tokio::time::sleep(Duration::from_secs(1)).await;
        let mut state = self.ask()?;
        self.mine(&mut state);
        let after = *ring.last().expect("a run begins at a block");
        let from = after.number + 1;
        let fresh = state.blocks.iter().filter(|block| block.at.number >= from);
        let sightings = fresh
            .flat_map(|block| {
                (0_u64..).zip(&block.logs).map(|(log_index, (tx_hash, what))| Sighting {
                    block: block.at,
                    tx_hash: *tx_hash,
                    log_index,
                    what: what.clone(),
                })
            })
            .collect();
        let to = state.blocks.last().unwrap().at;
        let to_time = ChainTime::from_secs(1_000 + to.number);
        let final_number = to.number;
        let final_time = to_time;
        let page = LogPage { after, to, to_time, final_number, final_time, sightings };
        Ok(LogRead::Advanced(page))
    }

    async fn read_responses(
        &self,
        responses: Vec<Address>,
        _: BlockRef,
    ) -> Result<Vec<Option<ResponseFacts>>, ChainError> {
        let state = self.ask()?;
        Ok(responses.iter().map(|response| state.responses.get(response).cloned()).collect())
    }

    async fn read_tasks(
        &self,
        tasks: Vec<Address>,
        at: BlockRef,
    ) -> Result<Vec<Option<TaskFacts>>, ChainError> {
        let state = self.ask()?;
        let facts = |task: Address| {
            let responses: Vec<Address> =
                state.responses.values().filter(|r| r.task == task).map(|r| r.response).collect();
            let attempts = responses.len() as u64;
            let status = if attempts > 0 { TaskStatus::Responded } else { TaskStatus::New };
            Some(TaskFacts { task, block: at, status, attempts, responses })
        };
        Ok(tasks.into_iter().map(facts).collect())
    }

    async fn read_source(&self, _: Address) -> Result<Option<SourceFacts>, ChainError> {
        drop(self.ask()?);
        Ok(Some(source()))
    }

    async fn vault_of(&self, _: Address) -> Result<VaultFacts, ChainError> {
        drop(self.ask()?);
        Ok(VaultFacts::default())
    }

    async fn wallet_of(&self, _: Address) -> Result<WalletFacts, ChainError> {
        let state = self.ask()?;
        let latest = state.count();
        let pending = latest + state.pool.len() as u64;
        Ok(WalletFacts { balance: Wei::ZERO, latest, pending })
    }

    async fn is_agent_of(&self, _: Address, _: Address) -> Result<bool, ChainError> {
        drop(self.ask()?);
        Ok(false)
    }

    async fn estimate(&self, _: Address, _: Call) -> Result<u64, ChainError> {
        drop(self.ask()?);
        Ok(300_000)
    }
}

/// A source that takes everything and leaves confirming to the client.
pub(super) fn source() -> SourceFacts {
    SourceFacts {
        client: WALLET,
        active: true,
        min_payment: Wei::parse("0.001 OGPU").unwrap(),
        max_expiry: Duration::from_secs(86_400),
        delivery: Delivery::ManualConfirmation,
        registrants: 1,
    }
}
