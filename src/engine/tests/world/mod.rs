//! A chain, a pin service, providers and a shell, small enough to be right by reading.
//!
//! The chain is in `chain`, what the engine asks for is done in `shell`, and `books` holds what is
//! owed by the chain's own account. Here is what binds them: one thing happens at a time.

#![expect(clippy::wildcard_enum_match_arm, reason = "each question is about one kind of fact")]

mod books;
mod chain;
mod dice;
mod shell;

use std::collections::{BTreeMap, BTreeSet};
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use alloy::primitives::{Address, B256};

use crate::engine::event::FORMAT;
use crate::engine::{
    CancelScope, Effect, EffectKey, Engine, Event, Found, Input, RunHeader, RunOutcome, Wishes,
};
use crate::plan::{
    Allowance, Edge, EdgeKind, Limits, OnExceed, OnPartial, RetryRule, Schedule, StepRule,
};
use crate::units::source::Delivery;
use crate::units::{Network, Nonce, RunId, SendOutcome, StepName, TaskId, Timestamp, Wei};
pub(super) use chain::STRANGER;
use chain::{Chain, Tx};
use dice::Dice;

const WALLET: Address = Address::repeat_byte(0xaa);
/// What each task offers, in wei.
pub(super) const PAYMENT: u128 = 1000;
/// The gas limit of each transaction; one less is used.
pub(super) const GAS: u64 = 100;
/// The cap of a run that is not about its cap.
const AMPLE: u128 = 10_000_000;

/// What may go wrong.
#[derive(Clone, Copy)]
pub(super) struct Faults {
    /// In a hundred: a reply is lost, doubled, late, or the shell crashes.
    pub chaos: u64,
    /// In a hundred: a block takes the last two blocks back.
    pub reorgs: u64,
    /// In a hundred: a block brings another price of gas, up to twenty times the first.
    pub spikes: u64,
}

impl Faults {
    pub(super) const fn none() -> Self {
        Self { chaos: 0, reorgs: 0, spikes: 0 }
    }

    pub(super) const fn all() -> Self {
        Self { chaos: 8, reorgs: 4, spikes: 0 }
    }

    pub(super) const fn spikes() -> Self {
        Self { spikes: 10, ..Self::none() }
    }

    pub(super) const fn all_and_spikes() -> Self {
        Self { spikes: 10, ..Self::all() }
    }
}

pub(super) struct World {
    pub engine: Engine,
    pub journal: Vec<(Timestamp, Event)>,
    pub cap: Option<Wei>,
    pub chain: Chain,
    pub double_everything: bool,
    pub every_reply: Option<SendOutcome>,
    pub wrong_items: Vec<TaskId>,
    schedule: Arc<Schedule>,
    limits: Limits,
    faults: Faults,
    dice: Dice,
    now: u64,
    steps: u64,
    signed: BTreeMap<B256, Tx>,
    durable: BTreeSet<B256>,
    out: BTreeMap<EffectKey, Effect>,
    late: Vec<Input>,
    epoch: u64,
    run: RunId,
    /// Whether a journal of it was lost: what it cost is in no ledger.
    pub lost: bool,
}

fn rule(name: &str, upstreams: Vec<Edge>, delivery: Delivery) -> StepRule {
    let source = match delivery {
        Delivery::FirstResponse => 1,
        Delivery::ManualConfirmation => 2,
    };
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

impl World {
    pub(super) fn new(seed: u64, faults: Faults) -> Self {
        Self::with_cap(seed, faults, AMPLE)
    }

    /// A run that publishes nothing.
    pub(super) fn without_steps(seed: u64, faults: Faults) -> Self {
        Self::of_steps(seed, faults, AMPLE, Vec::new())
    }

    /// A run of one step whose source leaves confirming to us.
    pub(super) fn manual(seed: u64, faults: Faults, cap: u128) -> Self {
        let step = rule("manual", vec![], Delivery::ManualConfirmation);
        Self::of_steps(seed, faults, cap, vec![step])
    }

    pub(super) fn with_cap(seed: u64, faults: Faults, cap: u128) -> Self {
        let per_item = Edge { step: 0, kind: EdgeKind::PerItem };
        let whole = |step| Edge { step, kind: EdgeKind::Whole };
        let steps = vec![
            rule("first", vec![], Delivery::FirstResponse),
            rule("stream", vec![per_item], Delivery::ManualConfirmation),
            rule("reduce", vec![whole(0), whole(1)], Delivery::FirstResponse),
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
            patient: false,
        };
        let mut world = Self {
            engine: Engine::new(schedule.clone(), limits.clone()),
            journal: Vec::new(),
            cap: Some(Wei::from_u128(cap)),
            chain: Chain::new(),
            double_everything: false,
            every_reply: None,
            wrong_items: Vec::new(),
            schedule,
            limits,
            faults,
            dice: Dice::new(seed),
            now: 1_000_000,
            steps: 0,
            signed: BTreeMap::new(),
            durable: BTreeSet::new(),
            out: BTreeMap::new(),
            late: Vec::new(),
            epoch: 0,
            run: RunId::from_random(7),
            lost: false,
        };
        let header = world.header();
        world.feed(Input::Start(Box::new(header)));
        world.feed(Input::Lane {
            wallet: WALLET,
            next_nonce: Nonce(0),
            open: vec![],
            foreign: None,
            foreign_tx: None,
            passed: 0,
        });
        world
    }

    /// The journal is lost, and every byte that was signed; pools and chain have what they have. The
    /// run goes on from the chain.
    pub(super) fn lose(&mut self) {
        self.lose_but(|_| true);
    }

    /// The same, where the chain shows only some of what was published.
    pub(super) fn lose_but(&mut self, shows: impl Fn(&Found) -> bool) {
        self.lost = true;
        self.cap = None;
        let steps = Schedule { steps: Vec::new(), fingerprint: B256::ZERO };
        let schedule = std::mem::replace(&mut self.schedule, Arc::new(steps));
        let next_nonce = Nonce(self.chain.settled().len() as u64);
        self.begin_again(RunId::from_random(8), next_nonce);
        self.feed(Input::Fences { count: self.limits.window.get() });
        assert_eq!(self.run(), RunOutcome::Done, "a fence");

        self.schedule = schedule;
        let below = Nonce(self.chain.settled().len() as u64);
        self.begin_again(RunId::from_random(7), below);
        let mut found = self.chain.found();
        found.retain(shows);
        self.feed(Input::ChainRead { found, below });
    }

    /// Milliseconds since the world began.
    pub(super) const fn now(&self) -> u64 {
        self.now
    }

    /// Time passes, and blocks come, while nobody hears of anything but the log stream.
    pub(super) fn sleep(&mut self, seconds: u64) {
        self.now += seconds * 1000;
        (0..4).for_each(|_| self.chain.mine(self.now / 1000, self.faults, &mut self.dice));
        let logs = |effect: &&Effect| matches!(effect, Effect::ReadLogs { .. });
        while let Some(effect) = self.out.values().find(logs).cloned() {
            self.out.remove(&effect.key());
            let Effect::ReadLogs { ring, .. } = &effect else { unreachable!() };
            let Some(read) = self.chain.read_logs(ring) else {
                self.out.insert(effect.key(), effect);
                return;
            };
            self.feed(Input::Logs(read));
        }
    }

    /// The lane is taken with nothing of others in it.
    fn take_lane(&mut self, next_nonce: Nonce) {
        self.feed(Input::Lane {
            wallet: WALLET,
            next_nonce,
            open: vec![],
            foreign: None,
            foreign_tx: None,
            passed: 0,
        });
    }

    fn begin_again(&mut self, run: RunId, next_nonce: Nonce) {
        self.run = run;
        self.journal.clear();
        self.out.clear();
        self.engine = Engine::new(self.schedule.clone(), self.limits.clone());
        let header = self.header();
        self.feed(Input::Start(Box::new(header)));
        self.take_lane(next_nonce);
    }

    fn header(&self) -> RunHeader {
        RunHeader {
            format: FORMAT,
            run: self.run.clone(),
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
            start_block: if self.lost { self.chain.settled_block() } else { self.chain.genesis() },
            seed: 1,
            bundle: serde_json::Value::Null,
        }
    }

    pub(super) const fn width(&self, step: u16) -> u32 {
        if step == 2 { 1 } else { 12 }
    }

    fn streams(&self, step: u16) -> bool {
        let rule = &self.schedule.steps[usize::from(step)];
        rule.upstreams.iter().any(|edge| edge.kind == EdgeKind::PerItem)
    }

    pub(super) fn items(&self) -> usize {
        (0_u16..).zip(&self.schedule.steps).map(|(step, _)| self.width(step) as usize).sum()
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
        self.replay();
    }

    pub(super) fn limit(&mut self, change: impl FnOnce(&mut Limits)) {
        change(&mut self.limits);
        self.replay();
    }

    /// Writes bindings of the journal as format 1.0 did, and goes on with it.
    pub(super) fn forget_confirm_reserves(&mut self, mut old: impl FnMut(TaskId) -> bool) {
        for (_, event) in &mut self.journal {
            let Event::SlotReserved { task, .. } = event else { continue };
            if !old(*task) {
                continue;
            }
            let mut json = serde_json::to_value(&*event).unwrap();
            json.as_object_mut().unwrap().remove("confirm_reserve");
            *event = serde_json::from_value(json).unwrap();
        }
        self.replay();
        self.resume(self.cap);
    }

    fn replay(&mut self) {
        self.engine = self.replayed();
    }

    fn replayed(&self) -> Engine {
        let journal = self.journal.iter().cloned();
        Engine::replay(self.schedule.clone(), self.limits.clone(), journal)
    }

    /// Gives the engine one input, keeps its facts, starts what is waited on, checks the world.
    pub(super) fn feed(&mut self, input: Input) {
        let doubled =
            (self.double_everything && !matches!(input, Input::Start(_))).then(|| input.clone());
        self.feed_once(input);
        if let Some(input) = doubled.filter(|i| !matches!(i, Input::Lane { .. })) {
            self.feed_once(input);
        }
    }

    pub(super) fn feed_once(&mut self, input: Input) {
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
        self.check_alive();
        if !events.is_empty() {
            self.check_money();
        }
    }

    /// I11: while the run goes on, something is out or something wakes it.
    fn check_alive(&self) {
        if self.engine.outcome().is_none() && self.engine.header().is_some() {
            let alive = !self.out.is_empty() || self.engine.wakes_at().is_some();
            assert!(alive, "I11: nothing is out and nothing wakes the run");
        }
    }

    /// Whether the run waits for answers alone.
    pub(super) fn has_published_all(&self) -> bool {
        self.engine.has_published_all()
    }

    /// Asks for tasks to be taken back.
    pub(super) fn cancel(&mut self, scope: CancelScope, discard: bool) {
        self.feed(Input::Cancel { scope, discard });
    }

    /// Asks the run to stop now.
    pub(super) fn leave(&mut self) {
        self.feed(Input::Drain { until: Timestamp::from_millis(self.now) });
    }

    pub(super) fn run(&mut self) -> RunOutcome {
        while self.step() {
            let replies = self.every_reply;
            assert!(self.steps < 60_000, "the run does not end: {replies:?}, {:?}", self.out);
        }
        self.engine.outcome().expect("a run that stopped has an outcome")
    }

    /// One thing happens: a crash, a block, a reply, or time passes.
    pub(super) fn step(&mut self) -> bool {
        if self.engine.outcome().is_some() {
            return false;
        }
        self.steps += 1;
        self.now += self.dice.below(400);
        if self.steps.is_multiple_of(3) {
            self.chain.mine(self.now / 1000, self.faults, &mut self.dice);
        }
        if self.dice.chance(self.faults.chaos) && self.dice.chance(30) {
            self.crash();
            return true;
        }
        if !self.late.is_empty() && self.dice.below(3) == 0 {
            let index = self.dice.place(self.late.len());
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
        let key = &keys[self.dice.place(keys.len())];
        let effect = self.out.remove(key).expect("it was just there");
        self.perform(&effect);
        true
    }

    /// The shell dies: only the journal and the world stay.
    fn crash(&mut self) {
        self.out.clear();
        // What was on its way is still on its way, and comes to the next process.
        let keep = self.dice.below(2) == 0;
        if !keep {
            self.late.clear();
        }
        self.check_replay();
        self.replay();
        self.resume(self.cap);
    }

    /// Nobody runs the program for so many milliseconds, and the chain goes on.
    pub(super) fn pause(&mut self, ms: u64) {
        self.now += ms;
        self.chain.mine(self.now / 1000, self.faults, &mut self.dice);
        self.resume(self.cap);
    }

    pub(super) fn resume(&mut self, cap: Option<Wei>) {
        self.resume_with(cap, Wishes::default());
    }

    pub(super) fn resume_with(&mut self, cap: Option<Wei>, wishes: Wishes) {
        self.cap = cap;
        self.out.clear();
        self.epoch += 1;
        self.feed(Input::Resume { epoch: self.epoch, cap, wishes });
        // What is not in a journal that was lost is not behind its end, either.
        let next_nonce = Nonce(if self.lost { 0 } else { self.chain.count() });
        self.take_lane(next_nonce);
        for effect in self.engine.outstanding() {
            self.out.entry(effect.key()).or_insert(effect);
        }
    }

    pub(super) fn check_replay(&self) {
        let replayed = self.replayed();
        assert_eq!(format!("{replayed:?}"), format!("{:?}", self.engine));
        assert_eq!(replayed.outstanding(), self.engine.outstanding());
        assert_eq!(replayed.wakes_at(), self.engine.wakes_at());
    }
}
