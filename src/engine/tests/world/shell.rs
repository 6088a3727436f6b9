//! What the engine waits on, done: signed, sent, read, fetched, checked.

use alloy::primitives::{Address, B256, keccak256};

use super::chain::Tx;
use super::{PAYMENT, WALLET, World};
use crate::engine::{Effect, Event, Expansion, Input, ItemEntry, ItemFate, Offer, Verdict, Window};
use crate::units::{
    BlockRef, Call, ItemKey, NonceUse, SendOutcome, Seq, Slot, TaskId, TaskKey, Wei,
};

impl World {
    /// Does what the engine waits on, and brings the news now, later, twice, or never.
    pub(super) fn perform(&mut self, effect: &Effect) {
        let lost = self.dice.chance(self.faults.chaos);
        let input = self.result_of(effect).filter(|_| !lost);
        let Some(input) = input else {
            // Nothing to say yet, or the reply is lost on the way; a live shell asks again.
            self.out.insert(effect.key(), effect.clone());
            return;
        };
        if self.dice.chance(self.faults.chaos) {
            self.late.push(input.clone());
        }
        self.feed(input);
    }

    fn result_of(&mut self, effect: &Effect) -> Option<Input> {
        Some(match effect {
            Effect::Survey => Input::Surveyed(Box::new(self.chain.survey())),
            Effect::ReadLogs { ring, .. } => Input::Logs(self.chain.read_logs(ring)?),
            Effect::Expand { step } => {
                let streams = self.streams(*step);
                let items = Expansion::Items { count: self.width(*step), blob: None };
                let expansion = if streams { Expansion::Streaming } else { items };
                Input::Expanded { step: *step, expansion }
            }
            Effect::ReadItems { step, window } => {
                Input::Items { step: *step, items: read_items(window) }
            }
            Effect::Pin { task, round, key, .. } => Input::Pinned {
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
                let tx = Tx { slot: *slot, hash, call: call.clone(), fees: *fees, owner };
                self.signed.insert(hash, tx);
                Input::Signed { slot: *slot, seq: *seq, hash, call: call.clone(), fees: *fees }
            }
            Effect::Broadcast { slot, seq } => self.send(*slot, *seq),
            Effect::View { wallet, hashes, doubts } => {
                let view = self.chain.view(hashes, doubts);
                view.uses.iter().for_each(|found| self.know(found));
                Input::Viewed { wallet: *wallet, asked: hashes.clone(), view }
            }
            Effect::Fetch { task, response, at, .. } => self.fetched(*task, *response, *at),
            Effect::Check { task, response, .. } => {
                let wrong = self.wrong_items.contains(task);
                let rejected = Verdict::Rejected { reason: "wrong".into() };
                let verdict = if wrong { rejected } else { Verdict::Accepted };
                Input::Checked { task: *task, response: *response, verdict }
            }
            Effect::ReadTask { task, address, at } => {
                Input::TaskRead { task: *task, facts: self.chain.facts(*address, *at)? }
            }
        })
    }

    /// Knows a transaction that no journal had as one that can be sent.
    pub(in super::super) fn know(&mut self, found: &NonceUse) {
        let Some((call, fees)) = found.call.clone() else { return };
        let slot = Slot { wallet: WALLET, nonce: found.nonce };
        let (hash, owner) = (found.tx_hash, self.owner_of(slot, &call));
        self.signed.entry(hash).or_insert(Tx { slot, hash, call, fees, owner });
    }

    fn fetched(&self, task: TaskId, response: Address, at: BlockRef) -> Input {
        let offer = Offer {
            provider: Address::ZERO,
            payment: Wei::from_u128(PAYMENT - 1),
            url: "http://devnet.invalid/ipfs/x".into(),
        };
        let confirmed_at = self.chain.is_confirmed(response, at).then_some(at);
        let sha256 = keccak256(response);
        Input::Fetched { task, response, offer, confirmed_at, sha256, len: 2 }
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

    /// Sends the first version of a slot; the reply gets lost.
    pub(in super::super) fn deliver(&mut self, slot: Slot) {
        drop(self.send(slot, Seq(0)));
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
        let free = self.chain.take(self.signed[&hash].clone());
        let honest = if free { SendOutcome::Seen } else { SendOutcome::MaybeUsed };
        let lies =
            [SendOutcome::Unknown, SendOutcome::MaybeUsed, SendOutcome::Gap, SendOutcome::Full];
        let lie = self.dice.chance(self.faults.chaos);
        let lie = lie.then(|| lies[self.dice.place(lies.len())]);
        let outcome = self.every_reply.or(lie).unwrap_or(honest);
        Input::Sent { wallet: WALLET, sends: vec![(slot.nonce, seq, outcome)] }
    }
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
