//! What a process begins with: the run, its errand, and the chain as it sees it.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use alloy::primitives::{Address, keccak256};
use serde_json::Value;
use tokio::sync::mpsc;

use super::contracts::{AUTO, EPOCH, TaskRow};
use super::getters::network;
use super::mutant::Mutant;
use super::pool::gas_of;
use super::scenery::{Scenery, Steps};
use super::setting::{Errand, Setting};
use super::wire;
use super::world::{Shared, World, held};
use crate::chain::{Chain, Endpoint, RpcChain, Signer};
use crate::driver::{Begin, Consent, DriverError, Signal, preflight};
use crate::engine::{CancelScope, Event, Stale, Wishes};
use crate::units::{Call, Finality, RunId, Secret, Timestamp, Wei};

/// How many tasks of an earlier run wait to be taken back.
const STALE: u8 = 3;
/// How many nonces a fence uses up.
const FENCES: u32 = 6;
/// What each of them has frozen, in wei.
const FROZEN: u128 = 10_000_000_000_000_000;

pub(super) fn signer() -> Signer {
    Signer::from_key(&Secret::from(format!("{:064x}", 0x5eed))).unwrap()
}

/// What cancels may cost above the cap.
fn cancel_gas() -> Wei {
    Wei::parse("0.01 OGPU").unwrap()
}

fn run_id() -> RunId {
    RunId::from_random(5)
}

/// What a process begins with: a run that the journal does not know is started.
pub(super) async fn begin(
    world: &Shared,
    chain: &Mutant,
    scenery: &Scenery,
    (cap, at): (Option<Option<Wei>>, Timestamp),
) -> Result<Begin, DriverError> {
    if !held(world).books.events.is_empty() {
        return Ok(go_on(&mut held(world), cap));
    }
    let facts = chain.guard().await?;
    let wallet = held(world).books.wallet;
    let start = preflight::Start {
        run: run_id(),
        plan: &scenery.plan,
        bundle: Value::Null,
        facts: &facts,
        signer: wallet,
        payer: wallet,
        cap: cap.flatten(),
        at,
        seed: held(world).setting.seed,
    };
    let header = start.header();
    Ok(match held(world).setting.errand {
        Errand::Run | Errand::Cancel | Errand::Stop | Errand::Retry => Begin::Start(header),
        Errand::Deposit => {
            let amount = Wei::parse("0.5 OGPU").unwrap();
            Begin::Deposit { header, account: wallet, amount }
        }
        Errand::Reclaim => Begin::Reclaim { header, tasks: stale().collect() },
        Errand::Fence => Begin::Fence { header, window: FENCES, consent: Consent::default() },
    })
}

/// How a run goes on that is in the journal.
fn go_on(world: &mut World, cap: Option<Option<Wei>>) -> Begin {
    let run = run_id();
    if world.setting.errand == Errand::Cancel && !world.books.is_given_up() {
        let discard = world.setting.dice.at("discard", 0).chance(250);
        world.books.cap = world.books.cap.map(|cap| cap.saturating_add(cancel_gas()));
        return Begin::Cancel { run, scope: CancelScope::Run, discard, gas: cancel_gas() };
    }
    // What the cancel was allowed beside stays allowed.
    let cap = cap.map(|cap| cap.and(world.books.cap));
    let (mut wishes, mut consent) = (Wishes::default(), Consent::default());
    if world.retried {
        consent.code.push(keccak256(other_code()));
        let again = world.has(|event| matches!(event, Event::TaskReopened { .. }));
        if !again {
            wishes = Wishes { retry_failed: true, raise_permille: 250 };
        }
    }
    Begin::Resume { run, cap, wishes, consent }
}

/// The Controller's code once it has changed.
pub(super) fn other_code() -> Vec<u8> {
    [network().controller.as_slice(), &[0]].concat()
}

impl World {
    /// Whether the journal holds such a fact.
    fn has(&self, is_it: impl Fn(&Event) -> bool) -> bool {
        self.books.events.iter().any(|(_, event)| is_it(event))
    }

    /// Whether the run has ended, and is resumed to try again what failed.
    pub(super) fn tries_again(&mut self) -> bool {
        let again = self.setting.errand == Errand::Retry && !self.retried;
        self.retried |= again;
        again
    }

    /// Whether a run that stopped did what it was asked for.
    pub(super) fn may_be_stopped(&self) -> bool {
        self.books.is_given_up() || self.setting.errand == Errand::Stop
    }

    /// Sets the tasks of an earlier run, if this one is there to take them back.
    pub(super) fn set_stale(&mut self) {
        if self.setting.errand != Errand::Reclaim {
            return;
        }
        for Stale { task, .. } in stale() {
            let row = TaskRow {
                source: AUTO,
                config: "http://memory.invalid/ipfs/earlier".into(),
                expiry: EPOCH + 1,
                payment: FROZEN,
                key: None,
                born: 0,
                attempts: Vec::new(),
                responses: Vec::new(),
                ended: None,
            };
            self.chain.tasks.insert(task, row);
            self.books.stale.insert(task);
            self.chain.change_money(|money| {
                money.free -= FROZEN;
                money.frozen += FROZEN;
            });
        }
    }
}

fn stale() -> impl Iterator<Item = Stale> {
    (1..=STALE).map(|number| {
        let task = Address::repeat_byte(0xd0 + number);
        Stale { task, gas_limit: gas_of(&Call::CancelTask { task }) }
    })
}

/// The signals that a process gets: one, where the run is asked to stop and has not heard of it.
pub(super) fn signals(world: &Shared) -> mpsc::Receiver<Signal> {
    let (sender, signals) = mpsc::channel(1);
    let (asked, after) = {
        let world = held(world);
        let asked = world.has(|event| matches!(event, Event::DrainAsked { .. }));
        let stops = world.setting.errand == Errand::Stop && !world.over;
        (stops && !asked, 2_000 + world.setting.dice.at("signal", 0).below(6_000))
    };
    if asked {
        drop(tokio::spawn(async move {
            tokio::time::sleep(Duration::from_millis(after)).await;
            let heard = sender.send(Signal::Interrupt).await;
            assert!(heard.is_ok() || sender.is_closed(), "a process that lives hears signals");
        }));
    }
    signals
}

/// The chain as a new process sees it.
pub(super) fn chain(world: &Shared, scenery: &Scenery) -> Arc<Mutant> {
    let (nodes, timing, mutation, life) = {
        let world = held(world);
        let setting = &world.setting;
        (setting.nodes, setting.timing.clone(), setting.mutation, world.counts.lives)
    };
    let mut endpoints =
        (0..nodes).map(|node| Endpoint::local_with(wire::router(world, node), timing.clone()));
    let first = endpoints.next().unwrap();
    let network = Arc::new(scenery.plan.network().clone());
    let inner = RpcChain::new(network, first, endpoints.collect(), Some(signer()));
    let (world, requests) = (Shared::clone(world), Mutex::default());
    Arc::new(Mutant { inner, world, life, mutation, requests })
}

/// Otherwise a reorg of the first block would leave a run without a block that it knows, for good.
#[tokio::test(start_paused = true)]
async fn a_run_begins_at_a_block_that_no_reorg_takes() {
    for (finality, unsettled) in
        [(Finality::Depth(1), 0), (Finality::Depth(4), 3), (Finality::Tag, 3)]
    {
        let setting = Setting { finality, unsettled, ..Setting::of(1).calm() };
        let world: Shared = Arc::new(Mutex::new(World::new(setting)));
        (0..9).for_each(|_| held(&world).mine());
        let scenery = Scenery::of((Steps::Small, 4), finality, (32, false));
        let facts = chain(&world, &scenery).guard().await.unwrap();
        assert_eq!(facts.settled.number, held(&world).final_height, "{finality}");
        let block = held(&world).chain.block(facts.settled.number).map(|block| block.at);
        assert_eq!(block, Some(facts.settled));
    }
}
