//! Providers: who takes a task, how well, how often, and who meddles.

use alloy::primitives::{Address, B256, keccak256};
use serde_json::{Value, json};

use super::contracts::{AUTO, Chain, ResponseRow};
use super::dice::Dice;
use crate::chain::contract::abi::INexus;
use crate::content::{INLINE, MemoryContent};

/// A place where nothing is served.
const NOWHERE: &str = "http://memory.invalid/ipfs/nothing-at-all";

/// How the providers of one task behave.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Manner {
    /// One takes it and responds at once.
    Good,
    /// One takes it, and responds later.
    Slow,
    /// Nobody takes it.
    Silent,
    /// One responds with nonsense.
    Bad,
    /// One responds with nonsense, another one well.
    BadThenGood,
    /// Two respond well.
    Twice,
    /// One names a URL at which nothing is.
    Lost,
    /// One responds well, and a stranger confirms it.
    Meddled,
}

/// What a response holds.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Work {
    Good,
    Bad,
    Nowhere,
}

/// The market around one chain.
pub(super) struct Market<'a> {
    pub content: &'a MemoryContent,
    pub dice: Dice,
    /// Everybody responds at once and well.
    pub eager: bool,
    /// Some outputs are larger than what the journal keeps.
    pub bulky: bool,
}

impl Market<'_> {
    /// What providers and keepers do in the open block.
    pub(super) fn trade(&self, chain: &mut Chain) {
        let height = chain.head();
        while let Some(entry) = chain.due.first_entry().filter(|entry| *entry.key() <= height) {
            for task in entry.remove() {
                self.look_at(chain, task);
            }
        }
        let now = chain.time();
        let over: Vec<Address> =
            chain.expiring.range(..now).flat_map(|(_, tasks)| tasks.iter().copied()).collect();
        for task in over {
            // Who gives it back is unknown; here it comes back some time later, or never.
            if self.dice_of(chain, task).at("returned", height).chance(60) {
                chain.expire(task, keccak256([&task.0[..], b"keeper"].concat()));
            }
        }
    }

    /// Tells the providers of a task that was just published.
    pub(super) fn announce(&self, chain: &mut Chain, task: Address) {
        let wait =
            if self.eager { 1 } else { 1 + self.dice_of(chain, task).at("wait", 0).below(3) };
        chain.due.entry(chain.head() + wait).or_default().insert(task);
    }

    fn dice_of(&self, chain: &Chain, task: Address) -> Dice {
        let key = chain.tasks.get(&task).and_then(|row| row.key.as_deref());
        self.dice.of(key.unwrap_or("stranger").as_bytes())
    }

    fn manner(&self, dice: Dice) -> Manner {
        if self.eager {
            return Manner::Good;
        }
        match dice.at("manner", 0).below(40) {
            0..20 => Manner::Good,
            20..25 => Manner::Slow,
            25..27 => Manner::Silent,
            27..29 => Manner::Bad,
            29..32 => Manner::BadThenGood,
            32..35 => Manner::Twice,
            35..37 => Manner::Lost,
            _ => Manner::Meddled,
        }
    }

    fn look_at(&self, chain: &mut Chain, task: Address) {
        let Some(row) = chain.tasks.get(&task) else { return };
        if row.ended.is_some() || row.expiry <= chain.time() {
            return;
        }
        let dice = self.dice_of(chain, task);
        let stage = (row.attempts.len(), row.responses.len());
        match (self.manner(dice), stage) {
            (Manner::Good, (0, 0)) | (Manner::Twice, (0 | 1, _)) | (Manner::Meddled, (0, 0)) => {
                self.respond(chain, task, Work::Good);
            }
            (Manner::BadThenGood, (1, 1)) => self.respond(chain, task, Work::Good),
            (Manner::Slow, (0, 0)) => {
                self.attempt(chain, task);
            }
            (Manner::Slow, (1, 0)) => self.submit(chain, task, Work::Good),
            (Manner::Bad | Manner::BadThenGood, (0, 0)) => self.respond(chain, task, Work::Bad),
            (Manner::Lost, (0, 0)) => self.respond(chain, task, Work::Nowhere),
            (Manner::Meddled, (1, 1)) => {
                let response = chain.tasks[&task].responses[0].1;
                chain.confirm(response, keccak256([&response.0[..], b"meddler"].concat()));
                return;
            }
            (_, _) => return,
        }
        let wait = 1 + dice.at("again", stage.0 as u64).below(3);
        chain.due.entry(chain.head() + wait).or_default().insert(task);
    }

    fn respond(&self, chain: &mut Chain, task: Address, work: Work) {
        self.attempt(chain, task);
        self.submit(chain, task, work);
    }

    fn attempt(&self, chain: &mut Chain, task: Address) {
        let height = chain.head();
        let Some(row) = chain.tasks.get_mut(&task) else { return };
        let provider =
            Address::left_padding_from(&[0xbb, u8::try_from(row.attempts.len()).unwrap()]);
        row.attempts.push((height, provider));
        if row.attempts.len() == 1 {
            let tx_hash = keccak256([&task.0[..], b"attempt"].concat());
            chain.log(tx_hash, &INexus::TaskStatusChanged { task, status: 1 });
        }
    }

    fn submit(&self, chain: &mut Chain, task: Address, work: Work) {
        let (height, response) = (chain.head(), chain.next_address());
        let Some(row) = chain.tasks.get_mut(&task) else { return };
        let provider = row.attempts.last().map_or(Address::ZERO, |(_, provider)| *provider);
        row.responses.push((height, response));
        let config = self.content.bytes_at(&row.config).expect("what is published is pinned");
        let config: Value = serde_json::from_slice(&config).unwrap();
        let (auto, payment) = (row.source == AUTO, row.payment);
        let share = 500 + u128::from(self.dice.of(&task.0[..]).at("price", 0).below(501));
        let url = match work {
            Work::Good => {
                let mut output = json!({"ok": true, "echo": config["data"], "by": provider});
                if self.bulky && self.dice_of(chain, task).at("bulk", 0).chance(400) {
                    output["bulk"] = json!(".".repeat(INLINE));
                }
                self.content.put(output.to_string())
            }
            Work::Bad => self.content.put(json!({"ok": false}).to_string()),
            Work::Nowhere => NOWHERE.to_owned(),
        };
        let payment = payment * share / 1000;
        let row = ResponseRow { task, provider, url, payment, born: height, confirmed: None };
        chain.responses.insert(response, row);
        let tx_hash: B256 = keccak256([&response.0[..], &task.0[..]].concat());
        chain.log(tx_hash, &INexus::ResponseSubmitted { response, task });
        if auto {
            chain.confirm(response, tx_hash);
        }
    }
}
