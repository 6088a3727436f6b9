//! The real binary on a foreign node that takes blocks back (safety.md, section 12): anvil's
//! reorgs, with and without a transaction at our nonce in the new branch, rollbacks, snapshots,
//! drops and dear blocks, while runs are going and between a kill and its resume.
//!
//! Blocks come when this suite mines them, and all wallets of a chain see all that happens to it.
//! anvil forgets what a reorg takes out, so all of it has to be sent again. What must hold is read
//! from the chain, never from our journal.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use alloy::primitives::{Address, B256, U256, keccak256};
use alloy::signers::local::PrivateKeySigner;
use serde_json::{Value, json};

use super::interop_anvil::Lab;
use super::interop_kit::{Tools, tools};
use crate::support::chance::{Chance, count, each_case, seed, tell};
use crate::support::oracle::{Money, Oracle, doubled};
use crate::support::{Project, rows, until};

mod crew;
mod trouble;

use crew::Crew;
use trouble::{KINDS, Trouble};

/// The key of anvil's first account, which everybody knows.
const BANK: &str = "0xac0974bec39a17e36ba4a6b4d238ff944bacb478cbed5efcae784d7bf4f2ff80";
/// Tasks of each run.
const TASKS: u64 = 2;
/// What each of them pays, in wei: 0.001 OGPU.
const PAYMENT: u64 = 1_000_000_000_000_000;
/// Runs at the same time on one chain.
const WAVE: u64 = 30;
/// What happens to the chain while they go on.
const EVENTS: u64 = 30;
/// The depths at which blocks are final on the two chains. No reorg goes so deep.
const FINAL: [u64; 2] = [65, 5];
/// How long a block takes, at least.
const PACE: Duration = Duration::from_millis(60);

const PIPELINE: &str = "version: 1
name: reorgs
defaults: { payment: 0.001 OGPU, expires: 6h }
steps:
  ask:
    source: 'SOURCE'
    function: echo
    foreach: { file: rows.csv, key: id }
    data: { text: '{{ item.text }}' }
";

/// One wallet with a project.
struct Player {
    project: Project,
    key: B256,
    wallet: Address,
    start: Money,
    since: u64,
    /// A transaction that is not ours may have one of its nonces.
    betrayed: AtomicBool,
    /// Its runs are over.
    over: AtomicBool,
    /// The blocks after which it starts, is killed and goes on, from the beginning of its wave.
    plan: [u64; 3],
    killed: bool,
}

/// How many runs ended how.
#[derive(Default)]
struct Tally {
    done: AtomicU64,
    quarantined: AtomicU64,
    kills: AtomicU64,
    stops: AtomicU64,
}

/// A chain whose blocks this suite mines.
struct Chain {
    lab: Lab,
    oracle: Oracle,
    /// Blocks mined, whether they still stand or not.
    mined: AtomicU64,
    depth: u64,
}

impl Chain {
    /// Starts one, where blocks are final at a depth, with money in these wallets.
    fn open(tools: &Tools, depth: u64, wallets: &[Address]) -> Self {
        let mut lab = Lab::open(tools);
        let oracle = Oracle::new(&lab.rpc);
        oracle.endow(BANK, wallets, 10);
        lab.dismiss_providers();
        oracle.ask_all(&[
            ("evm_setIntervalMining", json!([0])),
            ("evm_setAutomine", json!([false])),
            ("anvil_mine", json!(["0x60"])),
        ]);
        Self { lab, oracle, mined: AtomicU64::new(0), depth }
    }

    fn player(&self, key: B256, chance: &mut Chance) -> Player {
        let wallet = address(&key);
        let project = Project::with(&PIPELINE.replace("SOURCE", &self.lab.get("source")))
            .var("OGFLOW_NETWORK", "lab")
            .var("OGFLOW_PRIVATE_KEY", &key.to_string());
        let depth = format!("depth:{}", self.depth);
        project.write("ogflow.toml", self.lab.profile(&self.lab.rpc).replace("depth:2", &depth));
        project.write("rows.csv", rows(usize::try_from(TASKS).unwrap()));
        let starts = chance.among(0..=40);
        let dies = starts + chance.among(5..=90);
        Player {
            project,
            key,
            wallet,
            start: self.oracle.money(&[wallet])[0],
            // What comes after a deep reorg comes in blocks below today's head.
            since: self.oracle.height().saturating_sub(self.depth),
            betrayed: AtomicBool::new(false),
            over: AtomicBool::new(false),
            plan: [starts, dies, dies + chance.among(0..=25)],
            killed: chance.hits(50),
        }
    }

    /// Mines until all players are over; meanwhile providers work, and trouble comes.
    fn go_on(&self, players: &[Player], chance: &mut Chance, kinds: &[AtomicU64]) {
        let mut crew = Crew::new(&self.lab, &self.oracle);
        let mut trouble = Trouble::new(&self.oracle, self.depth);
        let mut next = chance.among(20..=30);
        let mut events = 0;
        let first = self.mined.load(Ordering::Relaxed);
        while players.iter().any(|player| !player.over.load(Ordering::Relaxed)) {
            let mined = self.mined.fetch_add(1, Ordering::Relaxed) + 1 - first;
            assert!(mined < 8_000, "runs do not end");
            crew.work();
            self.oracle.ask_all(&[("evm_mine", json!([]))]);
            thread::park_timeout(PACE);
            if mined >= next && events < EVENTS {
                let kind = trouble.happen(players, chance);
                kinds[kind].fetch_add(1, Ordering::Relaxed);
                events += 1;
                next = mined + chance.among(3..=9);
            }
        }
    }

    /// Waits until so many blocks of a wave were mined.
    fn wait(&self, first: u64, blocks: u64) {
        until("blocks are mined", || self.mined.load(Ordering::Relaxed) >= first + blocks);
    }

    /// A player's whole life: run, perhaps killed and resumed, then held against the chain.
    fn live(&self, player: &Player, first: u64, tally: &Tally) {
        let [starts, dies, goes_on] = player.plan;
        self.wait(first, starts);
        let words = |command| [command, "--yes", "--progress", "json", "--max-spend", "5 OGPU"];
        let running = player.project.start(&words("run"));
        let ran = if player.killed {
            self.wait(first, dies);
            running.kill();
            tally.kills.fetch_add(1, Ordering::Relaxed);
            self.wait(first, goes_on);
            let command = if player.status()["runs"] == json!([]) { "run" } else { "resume" };
            let words = words(command);
            player.project.run(if command == "run" { &words } else { &words[..4] })
        } else {
            running.end()
        };
        // A node that took a block back may have nothing to say of it for a while: what stopped so
        // goes on with a resume.
        let mut ran = ran;
        for _ in 0..3 {
            // Or it says that there is no source: before anything is published, then.
            let blind = ran.code == 3 && ran.stderr.contains("there is no source");
            if ran.code != 7 && !blind {
                break;
            }
            tally.stops.fetch_add(1, Ordering::Relaxed);
            let again = words(if blind { "run" } else { "resume" });
            ran = player.project.run(if blind { &again } else { &again[..4] });
        }
        match ran.code {
            0 => {
                self.audit(player);
                tally.done.fetch_add(1, Ordering::Relaxed);
            }
            9 if player.betrayed.load(Ordering::Relaxed) => {
                self.stays_quarantined(player);
                tally.quarantined.fetch_add(1, Ordering::Relaxed);
            }
            _ => drop(ran.exits(0)),
        }
    }

    /// Every task published once and confirmed, all outputs there, the ledger the chain's.
    fn audit(&self, player: &Player) {
        let keys = self.oracle.publications(player.wallet, player.since);
        assert_eq!(doubled(&keys), [""; 0], "published twice by {}", player.wallet);
        assert_eq!(keys.len() as u64, TASKS, "publications of {}", player.wallet);
        let now = self.oracle.money(&[player.wallet])[0];
        assert_eq!(now.frozen, U256::ZERO, "nothing is left in escrow");
        assert_eq!(player.start.free - now.free, U256::from(TASKS * PAYMENT), "what was paid");
        let status = player.status();
        let run = &status["runs"][0];
        assert_eq!((&run["state"], &run["confirmed"]), (&json!("done"), &json!(TASKS)), "{status}");
        let gas: U256 = run["gas_wei"].as_str().unwrap().parse().unwrap();
        if !player.betrayed.load(Ordering::Relaxed) {
            assert_eq!(player.start.wallet - now.wallet, gas, "what gas cost");
        }
        let results = player.project.run(&["results", "latest", "--step", "ask"]).exits(0);
        let rows = results.lines();
        assert_eq!(rows.len() as u64, TASKS);
        rows.iter().for_each(|row| assert_eq!(row["output"]["text"], row["item"]["text"], "{row}"));
    }

    /// Nothing twice, nothing confirmed that the chain does not say is paid, and a further resume
    /// publishes nothing.
    fn stays_quarantined(&self, player: &Player) {
        let money = || self.oracle.money(&[player.wallet])[0];
        let keys = self.oracle.publications(player.wallet, player.since);
        assert_eq!(doubled(&keys), [""; 0], "published twice by {}", player.wallet);
        let before = money();
        let paid = player.start.free - before.free - before.frozen;
        let status = player.status();
        if status["runs"] == json!([]) {
            assert_eq!((keys.len(), paid), (0, U256::ZERO), "a wallet that was never begun with");
            return;
        }
        let confirmed = status["runs"][0]["confirmed"].as_u64().unwrap();
        assert!(U256::from(confirmed * PAYMENT) <= paid, "{confirmed} confirmed, {paid} wei paid");
        let ran = player.project.run(&["resume", "--yes"]);
        if ran.code == 0 {
            // A reorg took the other transaction back: the nonce is free again, and was used once.
            return self.audit(player);
        }
        ran.exits(9);
        let after = self.oracle.publications(player.wallet, player.since);
        assert_eq!(after.len(), keys.len(), "nothing new is published");
        assert_eq!(money().free, before.free, "nothing new is paid");
    }
}

impl Player {
    fn status(&self) -> Value {
        self.project.run(&["status", "--json"]).exits(0).json()
    }
}

fn address(key: &B256) -> Address {
    PrivateKeySigner::from_bytes(key).unwrap().address()
}

#[test]
fn whatever_the_chain_takes_back_each_task_is_paid_once() {
    let Some(tools) = tools("reorgs on anvil") else { return };
    let (seed, waves) = (seed(), count(1, 10));
    let (tally, kinds) = (Tally::default(), [const { AtomicU64::new(0) }; KINDS.len()]);
    let chains = FINAL.len() as u64;
    each_case("reorgs on anvil", seed, (chains, chains), |number| {
        let keys = |wave: u64| {
            (0..WAVE)
                .map(move |n| keccak256(format!("ogflow reorgs wallet {seed} {number} {wave} {n}")))
        };
        let wallets: Vec<Address> = (0..waves).flat_map(keys).map(|key| address(&key)).collect();
        let depth = FINAL[usize::try_from(number).unwrap()];
        let chain = Chain::open(&tools, depth, &wallets);
        for wave in 0..waves {
            let mut chance = Chance::new(seed, number * 1_000 + wave);
            let players: Vec<Player> =
                keys(wave).map(|key| chain.player(key, &mut chance)).collect();
            let first = chain.mined.load(Ordering::Relaxed);
            thread::scope(|scope| {
                for player in &players {
                    let (chain, tally) = (&chain, &tally);
                    scope.spawn(move || {
                        let over = Over(&player.over);
                        chain.live(player, first, tally);
                        drop(over);
                    });
                }
                chain.go_on(&players, &mut chance, &kinds);
            });
        }
    });
    let counts = [&tally.done, &tally.quarantined, &tally.kills, &tally.stops];
    let [done, quarantined, kills, stops] = counts.map(|n| n.load(Ordering::Relaxed));
    let told: Vec<String> = KINDS
        .iter()
        .zip(&kinds)
        .map(|(kind, count)| format!("{} {kind}", count.load(Ordering::Relaxed)))
        .collect();
    tell(&format!(
        "reorgs on anvil: seed {seed}, {} events ({}), {kills} kills, {stops} stops, {done} runs done, {quarantined} \
         quarantined, 0 violations",
        chains * waves * EVENTS,
        told.join(", ")
    ));
    assert!(kinds.iter().all(|count| count.load(Ordering::Relaxed) > 0), "a kind never came");
    assert!(done > 0);
}

/// Says that a player is over, however its thread ends.
struct Over<'a>(&'a AtomicBool);

impl Drop for Over<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}
