//! What happens to the chain, and to its pool.

use std::sync::atomic::Ordering;

use alloy::primitives::{Bytes, U256};
use alloy::signers::local::PrivateKeySigner;
use serde_json::{Value, json};

use super::Player;
use crate::support::chance::Chance;
use crate::support::oracle::{Oracle, signed};

/// The kinds of trouble, in the order in which [`Trouble::happen`] counts them.
pub(super) const KINDS: [&str; 7] = [
    "reorgs",
    "reorgs with a foreign transaction",
    "rollbacks",
    "reverts to a snapshot",
    "drops",
    "drops of everything",
    "dear blocks",
];

pub(super) struct Trouble<'a> {
    oracle: &'a Oracle,
    /// The depth at which blocks are final: nothing that anybody has seen so deep is taken back.
    depth: u64,
    highest: u64,
    snapshots: Vec<(u64, Value)>,
    /// What comes next; every kind once before any comes again.
    next: Vec<usize>,
}

impl<'a> Trouble<'a> {
    pub(super) fn new(oracle: &'a Oracle, depth: u64) -> Self {
        Self { oracle, depth, highest: 0, snapshots: Vec::new(), next: Vec::new() }
    }

    fn ask(&self, method: &str, params: Value) -> Value {
        self.oracle.ask_all(&[(method, params)]).remove(0)
    }

    /// Something happens; its kind.
    pub(super) fn happen(&mut self, players: &[Player], chance: &mut Chance) -> usize {
        let height = self.oracle.height();
        self.highest = self.highest.max(height);
        if self.next.is_empty() {
            self.next = (0..KINDS.len()).collect();
        }
        let kind = self.next.swap_remove(chance.place(self.next.len()));
        // A block that was seen at the depth of final ones stays.
        let lowest = self.highest + 1 - self.depth;
        let most = height.saturating_sub(lowest).min(64);
        let depth = if most == 0 { 0 } else { chance.among(1..=most) };
        match kind {
            0..=3 if depth == 0 => self.drop_all(),
            0 => self.reorg(depth, &[]),
            1 => self.betray(depth, height, (players, chance)),
            2 => drop(self.ask("anvil_rollback", json!([depth]))),
            3 => self.revert(lowest),
            4 => self.drop_one(chance),
            5 => self.drop_all(),
            _ => {
                let block = self.ask("eth_getBlockByNumber", json!(["latest", false]));
                let fee: U256 = block["baseFeePerGas"].as_str().unwrap().parse().unwrap();
                let dear = fee * U256::from(chance.among(2..=6));
                self.ask("anvil_setNextBlockBaseFeePerGas", json!([dear]));
            }
        }
        if kind <= 2 {
            // What a snapshot holds above the fork is another branch.
            self.snapshots.retain(|(at, _)| *at <= height - depth);
        }
        let at = self.oracle.height();
        let snapshot = self.ask("evm_snapshot", json!([]));
        self.snapshots.push((at, snapshot));
        kind
    }

    fn drop_all(&self) {
        self.ask("anvil_dropAllTransactions", json!([]));
    }

    fn reorg(&self, depth: u64, foreign: &[Bytes]) {
        let pairs: Vec<Value> = foreign.iter().map(|raw| json!([raw, 0])).collect();
        self.ask("anvil_reorg", json!([depth, pairs]));
    }

    /// The new branch holds a transaction that the journal of a player does not know.
    fn betray(&self, depth: u64, height: u64, (players, chance): (&[Player], &mut Chance)) {
        let going = players.iter().filter(|player| !player.over.load(Ordering::Relaxed));
        let going: Vec<&Player> = going.collect();
        if going.is_empty() {
            return self.reorg(depth, &[]);
        }
        let player = chance.one(&going);
        player.betrayed.store(true, Ordering::Relaxed);
        let at = format!("0x{:x}", height - depth);
        let count = self.ask("eth_getTransactionCount", json!([player.wallet, at]));
        let nonce: U256 = count.as_str().unwrap().parse().unwrap();
        let signer = PrivateKeySigner::from_bytes(&player.key).unwrap();
        let raw = signed(&signer, nonce.to(), (player.wallet, Vec::new(), U256::ZERO));
        self.reorg(depth, &[raw]);
    }

    /// Back to the lowest snapshot that takes nothing final back.
    fn revert(&mut self, lowest: u64) {
        self.snapshots.retain(|(height, _)| *height >= lowest);
        if !self.snapshots.is_empty() {
            let (_, snapshot) = self.snapshots.remove(0);
            self.ask("evm_revert", json!([snapshot]));
            // A revert makes later snapshots void.
            self.snapshots.clear();
        }
    }

    fn drop_one(&self, chance: &mut Chance) {
        let content = self.ask("txpool_content", json!([]));
        let pending = content["pending"].as_object().unwrap().values();
        let txs: Vec<&Value> = pending.flat_map(|of| of.as_object().unwrap().values()).collect();
        if !txs.is_empty() {
            let hash = &chance.one(&txs)["hash"];
            self.ask("anvil_dropTransaction", json!([hash]));
        }
    }
}
