//! A chain, a pin service, providers and a shell, small enough to be right by reading.

#![expect(clippy::wildcard_enum_match_arm, reason = "each question is about one kind of fact")]

use std::collections::{BTreeMap, BTreeSet};
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use alloy::primitives::{Address, B256, keccak256};

use crate::engine::ItemFate;
use crate::engine::event::FORMAT;
use crate::engine::{
    Effect, EffectKey, Engine, Event, Expansion, Input, ItemEntry, Offer, Outcome, RunHeader,
    RunOutcome, Verdict, Window,
};
use crate::plan::{
    Allowance, Edge, EdgeKind, Limits, OnExceed, OnPartial, RetryRule, Schedule, StepRule,
};
use crate::units::source::Delivery;
use crate::units::{
    BlockRef, Call, ChainTime, ItemKey, LaneView, LogPage, LogRead, Network, Nonce, Receipt,
    ReceiptStatus, RunId, Seen, SendOutcome, Seq, Sighting, Slot, StepName, Survey, TaskFacts,
    TaskId, TaskKey, TaskStatus, Timestamp, Wei,
};

const WALLET: Address = Address::repeat_byte(0xaa);
const PAYMENT: u128 = 1000;
const GAS: u64 = 100;
const VAULT: u128 = 10_000_000;

/// What may go wrong.
#[derive(Clone, Copy)]
pub(super) struct Faults {
    /// In a hundred: a reply is lost, doubled, late, or the shell crashes.
    pub chaos: u64,
    /// In a hundred: a block takes the last two blocks back.
    pub reorgs: u64,
}

impl Faults {
    pub(super) const fn none() -> Self {
        Self { chaos: 0, reorgs: 0 }
    }

    pub(super) const fn all() -> Self {
        Self { chaos: 8, reorgs: 4 }
    }
}

/// A transaction that somebody was sent.
#[derive(Clone)]
struct Tx {
    slot: Slot,
    hash: B256,
    call: Call,
    owner: Option<(TaskId, TaskKey)>,
}

#[derive(Clone)]
struct Block {
    at: BlockRef,
    time: u64,
    txs: Vec<(Tx, bool)>,
    logs: Vec<(B256, Seen)>,
}

pub(super) struct World {
    pub engine: Engine,
    pub journal: Vec<(Timestamp, Event)>,
    pub cap: Option<Wei>,
    pub double_everything: bool,
    pub every_reply: Option<SendOutcome>,
    pub steal_nonce: Option<u64>,
    pub silent_items: Vec<TaskId>,
    pub wrong_items: Vec<TaskId>,
    schedule: Arc<Schedule>,
    limits: Limits,
    faults: Faults,
    rng: u64,
    now: u64,
    steps: u64,
    chain: Vec<Block>,
    pool: BTreeMap<u64, Vec<Tx>>,
    signed: BTreeMap<B256, Tx>,
    durable: BTreeSet<B256>,
    out: BTreeMap<EffectKey, Effect>,
    late: Vec<Input>,
    nonces: u64,
}

fn rule(name: &str, upstreams: Vec<Edge>, delivery: Delivery, source: u8) -> StepRule {
    StepRule {
        name: StepName::parse(name).unwrap(),
        upstreams,
        concurrency: NonZeroU32::new(6).unwrap(),
        allow_failures: Allowance::Count(0),
        on_partial: OnPartial::Drop,
        retry: RetryRule::default(),
        source: Address::repeat_byte(source),
        delivery,
        max_expiry: Duration::from_secs(86_400),
    }
}

fn block_at(number: u64, salt: u64) -> BlockRef {
    let hash = keccak256([number.to_be_bytes(), salt.to_be_bytes()].concat());
    BlockRef { number, hash }
}

impl World {
    pub(super) fn new(seed: u64, faults: Faults) -> Self {
        Self::with_cap(seed, faults, 10_000_000)
    }

    /// A run that publishes nothing.
    pub(super) fn without_steps(seed: u64, faults: Faults) -> Self {
        Self::of_steps(seed, faults, 10_000_000, Vec::new())
    }

    /// Transactions of the wallet on the chain.
    pub(super) fn transactions(&self) -> u64 {
        self.count(self.chain.len())
    }

    pub(super) fn with_cap(seed: u64, faults: Faults, cap: u128) -> Self {
        let per_item = Edge { step: 0, kind: EdgeKind::PerItem };
        let whole = |step| Edge { step, kind: EdgeKind::Whole };
        let steps = vec![
            rule("first", vec![], Delivery::FirstResponse, 1),
            rule("stream", vec![per_item], Delivery::ManualConfirmation, 2),
            rule("reduce", vec![whole(0), whole(1)], Delivery::FirstResponse, 1),
        ];
        Self::of_steps(seed, faults, cap, steps)
    }

    fn of_steps(seed: u64, faults: Faults, cap: u128, steps: Vec<StepRule>) -> Self {
        let schedule = Arc::new(Schedule { steps, fingerprint: B256::ZERO });
        let limits = Limits {
            publish_rate: None,
            burst: NonZeroU32::MIN,
            in_flight: NonZeroU32::new(10).unwrap(),
            window: NonZeroU32::new(8).unwrap(),
            on_exceed: OnExceed::Pause,
            reserve_gas: Wei::ZERO,
            max_per_task: None,
        };
        let genesis = Block { at: block_at(0, 0), time: 1000, txs: vec![], logs: vec![] };
        let cap = Some(Wei::from_u128(cap));
        let mut world = Self {
            engine: Engine::new(schedule.clone(), limits.clone()),
            journal: Vec::new(),
            cap,
            double_everything: false,
            every_reply: None,
            steal_nonce: None,
            silent_items: Vec::new(),
            wrong_items: Vec::new(),
            schedule,
            limits,
            faults,
            rng: seed,
            now: 1_000_000,
            steps: 0,
            chain: vec![genesis],
            pool: BTreeMap::new(),
            signed: BTreeMap::new(),
            durable: BTreeSet::new(),
            out: BTreeMap::new(),
            late: Vec::new(),
            nonces: 0,
        };
        let header = world.header();
        world.feed(Input::Start(Box::new(header)));
        world.feed(Input::Lane { wallet: WALLET, next_nonce: Nonce(0), open: vec![] });
        world
    }

    fn header(&self) -> RunHeader {
        RunHeader {
            format: FORMAT,
            run: RunId::from_random(7),
            pipeline: "world".into(),
            steps: self.schedule.steps.iter().map(|step| step.name.clone()).collect(),
            fingerprint: B256::ZERO,
            network: Network::devnet(),
            genesis: B256::ZERO,
            code: [B256::ZERO; 4],
            signer: WALLET,
            payer: WALLET,
            cap: self.cap,
            started_at: Timestamp::from_millis(self.now),
            start_block: self.chain[0].at,
            seed: 1,
            bundle: serde_json::Value::Null,
        }
    }

    pub(super) const fn width(&self, step: u16) -> u32 {
        if step == 2 { 1 } else { 12 }
    }

    pub(super) fn items(&self) -> usize {
        12 + 12 + 1
    }

    pub(super) const fn steps_taken(&self) -> u64 {
        self.steps
    }

    pub(super) fn allow_failures(&mut self, count: u32) {
        let mut schedule = (*self.schedule).clone();
        for step in &mut schedule.steps {
            step.allow_failures = Allowance::Count(count);
        }
        self.schedule = Arc::new(schedule);
        let journal = self.journal.iter().cloned();
        self.engine = Engine::replay(self.schedule.clone(), self.limits.clone(), journal);
    }

    fn random(&mut self, below: u64) -> u64 {
        self.rng = self.rng.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.rng ^ (self.rng >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % below
    }

    fn chance(&mut self, percent: u64) -> bool {
        percent > 0 && self.random(100) < percent
    }

    /// Gives the engine one input, keeps its facts, starts what is waited on, checks I11.
    pub(super) fn feed(&mut self, input: Input) {
        let doubled =
            (self.double_everything && !matches!(input, Input::Start(_))).then(|| input.clone());
        self.feed_once(input);
        if let Some(input) = doubled.filter(|i| !matches!(i, Input::Lane { .. })) {
            self.feed_once(input);
        }
    }

    fn feed_once(&mut self, input: Input) {
        let now = Timestamp::from_millis(self.now);
        let events = self.engine.handle(input, now);
        for event in &events {
            if let Event::VersionSigned { hash, .. } = event {
                self.durable.insert(*hash);
            }
        }
        self.journal.extend(events.iter().map(|event| (now, event.clone())));
        for effect in self.engine.waiting(&events) {
            self.out.entry(effect.key()).or_insert(effect);
        }
        self.check_step();
    }

    /// What must hold after every step: I11, and the cap (I7, S7).
    fn check_step(&self) {
        if self.engine.outcome().is_none() && self.engine.header().is_some() {
            let alive = !self.out.is_empty() || self.engine.wakes_at().is_some();
            assert!(alive, "nothing is out and nothing wakes the run");
        }
        if let Some(cap) = self.cap {
            let committed = self.engine.ledger().committed();
            assert!(committed <= cap, "{committed} of {cap}");
        }
    }

    pub(super) fn run(&mut self) -> RunOutcome {
        while self.step() {
            assert!(
                self.steps < 60_000,
                "the run does not end: {:?} {:?}",
                self.every_reply,
                self.engine
            );
        }
        self.engine.outcome().expect("a run that stopped has an outcome")
    }

    /// One thing happens: a crash, a block, a reply, or time passes.
    pub(super) fn step(&mut self) -> bool {
        if self.engine.outcome().is_some() {
            return false;
        }
        self.steps += 1;
        self.now += self.random(400);
        if self.steps.is_multiple_of(3) {
            self.mine();
        }
        if self.chance(self.faults.chaos) && self.chance(30) {
            self.crash();
            return true;
        }
        if !self.late.is_empty() && self.random(3) == 0 {
            let index = usize::try_from(self.random(self.late.len() as u64)).unwrap();
            let input = self.late.swap_remove(index);
            self.feed(input);
            return true;
        }
        let keys: Vec<EffectKey> = self.out.keys().cloned().collect();
        let due = self.engine.wakes_at().is_some_and(|at| at.as_millis() <= self.now);
        if due || keys.is_empty() {
            if let Some(at) = self.engine.wakes_at().filter(|_| keys.is_empty()) {
                self.now = self.now.max(at.as_millis());
            }
            self.feed(Input::Tick);
            return true;
        }
        let index = usize::try_from(self.random(keys.len() as u64)).unwrap();
        let effect = self.out.remove(&keys[index]).expect("it was just there");
        self.perform(&effect);
        true
    }

    /// Whether the run waits for answers alone.
    pub(super) fn has_published_all(&self) -> bool {
        self.engine.has_published_all()
    }

    /// Asks the run to stop now.
    pub(super) fn leave(&mut self) {
        self.feed(Input::Drain { until: Timestamp::from_millis(self.now) });
    }

    /// The shell dies: only the journal and the world stay.
    fn crash(&mut self) {
        self.out.clear();
        // What was on its way is still on its way, and comes to the next process.
        let keep = self.random(2) == 0;
        if !keep {
            self.late.clear();
        }
        self.check_replay();
        let journal = self.journal.iter().cloned();
        self.engine = Engine::replay(self.schedule.clone(), self.limits.clone(), journal);
        self.resume(self.cap);
    }

    pub(super) fn resume(&mut self, cap: Option<Wei>) {
        self.cap = cap;
        self.out.clear();
        self.nonces += 1;
        self.feed(Input::Resume { epoch: self.nonces, cap });
        let next = Nonce(self.count(self.chain.len()));
        self.feed(Input::Lane { wallet: WALLET, next_nonce: next, open: vec![] });
        for effect in self.engine.outstanding() {
            self.out.entry(effect.key()).or_insert(effect);
        }
    }

    pub(super) fn check_replay(&self) {
        let journal = self.journal.iter().cloned();
        let replayed = Engine::replay(self.schedule.clone(), self.limits.clone(), journal);
        assert_eq!(format!("{replayed:?}"), format!("{:?}", self.engine));
        assert_eq!(replayed.outstanding(), self.engine.outstanding());
        assert_eq!(replayed.wakes_at(), self.engine.wakes_at());
    }

    /// How many transactions of the wallet the first `blocks` blocks hold.
    fn count(&self, blocks: usize) -> u64 {
        self.chain[..blocks].iter().map(|block| block.txs.len() as u64).sum()
    }

    fn head(&self) -> &Block {
        self.chain.last().expect("there is a first block")
    }

    fn final_index(&self) -> usize {
        self.chain.len().saturating_sub(3)
    }

    /// A block: some of what the pool holds, in nonce order; sometimes a reorg first.
    fn mine(&mut self) {
        if self.chance(self.faults.reorgs) && self.chain.len() > 3 {
            for _ in 0..2 {
                let gone = self.chain.pop().expect("there are more than three");
                for (tx, _) in gone.txs {
                    self.pool.entry(tx.slot.nonce.0).or_default().push(tx);
                }
            }
        }
        let number = self.head().at.number + 1;
        let salt = self.random(u64::MAX);
        let time = (self.now / 1000).max(self.head().time + 1);
        let mut block = Block { at: block_at(number, salt), time, txs: vec![], logs: vec![] };
        let mut nonce = self.count(self.chain.len());
        while let Some(mut versions) = self.pool.remove(&nonce) {
            let index = usize::try_from(self.random(versions.len() as u64)).unwrap();
            let mut tx = versions.swap_remove(index);
            if self.steal_nonce == Some(nonce) {
                tx = Tx { hash: B256::repeat_byte(0xff), call: Call::NoOp, owner: None, ..tx };
            }
            self.execute(tx, &mut block);
            nonce += 1;
            if self.random(4) == 0 {
                break;
            }
        }
        self.respond(&mut block);
        self.chain.push(block);
    }

    fn execute(&self, tx: Tx, block: &mut Block) {
        let mut ok = true;
        match &tx.call {
            Call::PublishTask { source, expiry, .. } => {
                ok = expiry.as_secs() > block.time;
                if ok {
                    let task = Address::from_word(tx.hash);
                    block.logs.push((tx.hash, Seen::TaskPublished { task, source: *source }));
                }
            }
            Call::ConfirmResponse { response } => {
                ok = !self.is_confirmed(*response);
                if ok {
                    let seen = Seen::ResponseConfirmed { response: *response };
                    block.logs.push((tx.hash, seen));
                }
            }
            Call::CancelTask { .. } | Call::Deposit { .. } | Call::NoOp => {}
        }
        block.txs.push((tx, ok));
    }

    fn logs(&self) -> impl Iterator<Item = &Seen> {
        self.chain.iter().flat_map(|block| block.logs.iter().map(|(_, seen)| seen))
    }

    fn is_confirmed(&self, response: Address) -> bool {
        self.logs().any(|seen| *seen == Seen::ResponseConfirmed { response })
    }

    fn response_of(task: Address) -> Address {
        Address::from_word(keccak256(task))
    }

    /// The task of the run whose contract this is.
    fn task_at(&self, address: Address) -> Option<TaskId> {
        let publisher = |tx: &&Tx| Address::from_word(tx.hash) == address;
        self.signed.values().find(publisher).and_then(|tx| tx.owner).map(|(task, _)| task)
    }

    /// Providers respond to what is published and neither silent nor responded to.
    fn respond(&mut self, block: &mut Block) {
        let published: Vec<(Address, Address)> = self
            .logs()
            .filter_map(|seen| match seen {
                Seen::TaskPublished { task, source } => Some((*task, *source)),
                _ => None,
            })
            .collect();
        for (task, source) in published {
            let response = Self::response_of(task);
            let responded = Seen::ResponseSubmitted { response, task };
            let silent = self.task_at(task).is_some_and(|id| self.silent_items.contains(&id));
            if silent || self.logs().any(|seen| *seen == responded) || self.random(2) == 0 {
                continue;
            }
            let tx = keccak256(response);
            block.logs.push((tx, Seen::TaskStatus { task, status: TaskStatus::Attempted }));
            let mut logs = vec![responded];
            if source == Address::repeat_byte(1) {
                logs.push(Seen::ResponseConfirmed { response });
            }
            if self.random(2) == 0 {
                logs.reverse();
            }
            block.logs.extend(logs.into_iter().map(|seen| (tx, seen)));
        }
    }

    /// Does what the engine waits on, and brings the news now, later, twice, or never.
    fn perform(&mut self, effect: &Effect) {
        let lost = self.chance(self.faults.chaos);
        let Some(input) = self.result_of(effect) else {
            self.out.insert(effect.key(), effect.clone());
            return;
        };
        if lost {
            // The reply is lost on the way; a live shell asks again.
            self.out.insert(effect.key(), effect.clone());
            return;
        }
        if self.chance(self.faults.chaos) {
            self.late.push(input.clone());
        }
        self.feed(input);
    }

    fn result_of(&mut self, effect: &Effect) -> Option<Input> {
        Some(match effect {
            Effect::Survey => Input::Surveyed(Box::new(self.survey())),
            Effect::ReadLogs { ring } => Input::Logs(self.read_logs(ring)?),
            Effect::Expand { step: 1 } => {
                Input::Expanded { step: 1, expansion: Expansion::Streaming }
            }
            Effect::Expand { step } => {
                let expansion = Expansion::Items { count: self.width(*step), blob: None };
                Input::Expanded { step: *step, expansion }
            }
            Effect::ReadItems { step, window } => {
                Input::Items { step: *step, items: Self::read_items(window) }
            }
            Effect::Pin { task, round, key } => Input::Pinned {
                task: *task,
                round: *round,
                url: format!("http://devnet.invalid/ipfs/{key}"),
                bytes: 10,
                content: B256::ZERO,
            },
            Effect::Sign { slot, seq, call, fees } => {
                let bytes = format!("{slot:?} {seq:?} {call:?} {fees:?}");
                let hash = keccak256(bytes);
                let owner = self.owner_of(*slot, call);
                let tx = Tx { slot: *slot, hash, call: call.clone(), owner };
                self.signed.insert(hash, tx);
                Input::Signed { slot: *slot, seq: *seq, hash, call: call.clone(), fees: *fees }
            }
            Effect::Broadcast { slot, seq } => self.send(*slot, *seq),
            Effect::View { wallet, hashes } => {
                Input::Viewed { wallet: *wallet, asked: hashes.clone(), view: self.view(hashes) }
            }
            Effect::Fetch { task, response } => Input::Fetched {
                task: *task,
                response: *response,
                offer: Offer {
                    provider: Address::ZERO,
                    payment: Wei::from_u128(PAYMENT - 1),
                    url: "http://devnet.invalid/ipfs/x".into(),
                    confirmed: self.is_confirmed(*response),
                },
                sha256: keccak256(response),
                len: 2,
            },
            Effect::Check { task, response, .. } => {
                let wrong = self.wrong_items.contains(task);
                let verdict = if wrong {
                    Verdict::Rejected { reason: "wrong".into() }
                } else {
                    Verdict::Accepted
                };
                Input::Checked { task: *task, response: *response, verdict }
            }
            Effect::ReadTask { task, address } => {
                Input::TaskRead { task: *task, facts: self.facts(*address) }
            }
        })
    }

    /// Whose slot it is, by the journal that binds it.
    fn owner_of(&self, slot: Slot, call: &Call) -> Option<(TaskId, TaskKey)> {
        let publishes = matches!(call, Call::PublishTask { .. });
        self.journal.iter().rev().find_map(|(_, event)| match event {
            Event::SlotReserved { slot: s, task, key, .. } if *s == slot && publishes => {
                Some((*task, *key))
            }
            _ => None,
        })
    }

    fn send(&mut self, slot: Slot, seq: Seq) -> Input {
        let hash = self.journal.iter().rev().find_map(|(_, event)| match event {
            Event::VersionSigned { slot: s, seq: q, hash, .. } if *s == slot && *q == seq => {
                Some(*hash)
            }
            _ => None,
        });
        let hash = hash.expect("S2: only a version that is in the journal is sent");
        assert!(self.durable.contains(&hash), "S2: the journal came first");
        let tx = self.signed[&hash].clone();
        let used = self.count(self.chain.len()) > slot.nonce.0;
        if !used {
            let versions = self.pool.entry(slot.nonce.0).or_default();
            if versions.iter().all(|known| known.hash != hash) {
                versions.push(tx);
            }
        }
        let honest = if used { SendOutcome::MaybeUsed } else { SendOutcome::Seen };
        let lies =
            [SendOutcome::Unknown, SendOutcome::MaybeUsed, SendOutcome::Gap, SendOutcome::Full];
        let lie = self.chance(self.faults.chaos);
        let lie = lie.then(|| lies[usize::try_from(self.random(4)).unwrap()]);
        let outcome = self.every_reply.or(lie).unwrap_or(honest);
        Input::Sent { wallet: WALLET, sends: vec![(slot.nonce, seq, outcome)] }
    }

    fn survey(&self) -> Survey {
        let paid: u128 = self.payments().len() as u128 * PAYMENT;
        Survey {
            head: self.head().at,
            time: ChainTime::from_secs(self.head().time),
            max_fee_per_gas: Wei::from_u128(1),
            max_priority_fee_per_gas: Wei::from_u128(1),
            legacy: false,
            publish_gas: vec![GAS; 3],
            confirm_gas: GAS,
            wallet_balance: Wei::from_u128(VAULT),
            vault_balance: Wei::from_u128(VAULT - paid),
            vault_frozen: Wei::from_u128(VAULT),
        }
    }

    fn read_logs(&self, ring: &[BlockRef]) -> Option<LogRead> {
        let cursor = *ring.last()?;
        let stands = |block: &BlockRef| {
            usize::try_from(block.number)
                .ok()
                .and_then(|number| self.chain.get(number))
                .is_some_and(|known| known.at == *block)
        };
        if !stands(&cursor) {
            let common = ring.iter().rev().find(|block| stands(block))?;
            return Some(LogRead::Rewound(*common));
        }
        let head = self.head();
        if head.at == cursor {
            return None;
        }
        let from = usize::try_from(cursor.number).ok()? + 1;
        let sightings = self.chain[from..]
            .iter()
            .flat_map(|block| {
                (0_u64..).zip(&block.logs).map(|(log_index, (tx_hash, what))| Sighting {
                    block: block.at,
                    tx_hash: *tx_hash,
                    log_index,
                    what: what.clone(),
                })
            })
            .collect();
        let last = &self.chain[self.final_index()];
        Some(LogRead::Advanced(LogPage {
            to: head.at,
            to_time: ChainTime::from_secs(head.time),
            final_number: last.at.number,
            final_time: ChainTime::from_secs(last.time),
            sightings,
        }))
    }

    fn read_items(window: &Window) -> Vec<ItemEntry> {
        let places: Vec<u32> = match window {
            Window::From { from, limit } => (*from..from + limit).collect(),
            Window::Places(places) => places.clone(),
        };
        let fate = ItemFate::Task { payment: Wei::from_u128(PAYMENT), expires_s: 600 };
        places
            .into_iter()
            .map(|item| ItemEntry {
                item,
                key: ItemKey::parse(&format!("item-{item}")).unwrap(),
                fate: fate.clone(),
            })
            .collect()
    }

    fn view(&mut self, hashes: &[B256]) -> LaneView {
        let last = self.final_index();
        let mut receipts = Vec::new();
        for block in &self.chain {
            for (tx, ok) in block.txs.iter().filter(|(tx, _)| hashes.contains(&tx.hash)) {
                let published = matches!(tx.call, Call::PublishTask { .. });
                let revert = crate::units::Revert::AlreadyFinalized;
                receipts.push(Receipt {
                    tx_hash: tx.hash,
                    block: block.at,
                    gas_paid: Wei::from_u128(u128::from(GAS) - 1),
                    published: (published && *ok).then(|| Address::from_word(tx.hash)),
                    status: if *ok { ReceiptStatus::Ok } else { ReceiptStatus::Reverted(revert) },
                });
            }
        }
        LaneView {
            head: self.head().at,
            count: self.count(self.chain.len()),
            final_number: self.chain[last].at.number,
            final_count: self.count(last + 1),
            receipts,
        }
    }

    fn facts(&self, address: Address) -> TaskFacts {
        let response = Self::response_of(address);
        let responded =
            self.logs().any(|s| *s == Seen::ResponseSubmitted { response, task: address });
        TaskFacts {
            task: address,
            block: self.head().at,
            status: if responded { TaskStatus::Responded } else { TaskStatus::New },
            attempts: u64::from(responded),
            responses: if responded { vec![response] } else { vec![] },
        }
    }

    /// Successful publications on the canonical chain, by key.
    pub(super) fn payments(&self) -> BTreeMap<TaskKey, u32> {
        let mut payments = BTreeMap::new();
        for (tx, ok) in self.chain.iter().flat_map(|block| &block.txs) {
            if let (Some((_, key)), true) = (tx.owner, ok) {
                *payments.entry(key).or_insert(0) += 1;
            }
        }
        payments
    }

    pub(super) fn publications_of(&self, task: TaskId) -> usize {
        let ours = |tx: &Tx| tx.owner.is_some_and(|(owner, _)| owner == task);
        self.chain.iter().flat_map(|b| &b.txs).filter(|(tx, ok)| *ok && ours(tx)).count()
    }

    pub(super) fn publications(&self) -> usize {
        self.payments().len()
    }

    /// Bound publications and confirms, by the journal.
    pub(super) fn reservations(&self) -> (usize, usize) {
        let mut counts = (0, 0);
        for (_, event) in &self.journal {
            match event {
                Event::SlotReserved { call: Call::PublishTask { .. }, .. } => counts.0 += 1,
                Event::SlotReserved { .. } => counts.1 += 1,
                _ => {}
            }
        }
        counts
    }

    pub(super) fn outcome_of(&self, id: TaskId) -> Option<Outcome> {
        self.journal.iter().find_map(|(_, event)| match event {
            Event::TaskDone { task, outcome } if *task == id => Some(outcome.clone()),
            _ => None,
        })
    }

    /// The oracle: S1, S4 and S6 by the chain's own books.
    pub(super) fn check_books(&self) {
        for (key, count) in self.payments() {
            assert_eq!(count, 1, "S1: {key} was paid {count} times");
        }
        let mut spent = Wei::ZERO;
        for (_, event) in &self.journal {
            let Event::TaskDone { task, outcome } = event else { continue };
            spent = spent.saturating_add(outcome.paid().unwrap_or_default());
            if let Outcome::Confirmed { response, sha256, .. } = outcome {
                assert!(self.is_confirmed(*response), "S4: {task} says confirmed");
                assert_eq!(*sha256, keccak256(response), "S4: {task} has another output");
            }
        }
        assert_eq!(self.engine.ledger().spent, spent, "S6");
        if self.engine.outcome().is_some_and(|o| o != RunOutcome::Quarantined) {
            assert_eq!(self.engine.ledger().reserved, Wei::ZERO, "S6: nothing is bound");
            assert_eq!(self.engine.ledger().escrowed, Wei::ZERO, "S6: nothing is open");
        }
        let gas: u64 = self.chain.iter().map(|block| block.txs.len() as u64 * (GAS - 1)).sum();
        if self.engine.foreign_slots() == 0 {
            assert_eq!(self.engine.ledger().gas, Wei::from_u128(u128::from(gas)), "S6: gas");
        }
    }
}
