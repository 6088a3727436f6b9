//! Groups as the turns of a driver make them: slots are reserved, signed, sent, mined and used up.

use std::collections::BTreeMap;

use alloy::primitives::{B256, Bytes};

use super::super::super::fixture::{block, ended, reserved, signed, slot};
use super::super::super::guards::SlotState;
use super::books::Books;
use super::disk::Dice;
use crate::engine::{Event, SendNote, SlotEnd};
use crate::units::cid::sha256;
use crate::units::{ChainTime, Nonce, Revert, SendOutcome, Seq, SignedTx};

/// The last task that a story reserves a slot for; a key of the fixture is one byte.
const LAST_TASK: u8 = 250;

/// A group that is being put together.
#[derive(Default)]
pub(super) struct Plan {
    pub(super) events: Vec<Event>,
    pub(super) signed: Vec<SignedTx>,
    pub(super) outputs: Vec<(B256, Bytes)>,
    /// The books after the group.
    pub(super) books: Books,
}

impl Plan {
    /// An empty group after these books.
    pub(super) fn on(books: &Books) -> Self {
        Self { books: books.clone(), ..Self::default() }
    }

    pub(super) fn add(&mut self, event: Event) {
        self.books.take(&event);
        self.events.push(event);
    }
}

/// Who makes the groups of a story.
pub(super) struct Turns {
    dice: Dice,
    /// Every version ever made, by its hash.
    pub(super) made: BTreeMap<B256, SignedTx>,
    next_task: u8,
}

impl Turns {
    pub(super) fn new(seed: u64) -> Self {
        Self { dice: Dice::new(seed ^ 0x7075), made: BTreeMap::new(), next_task: 0 }
    }

    /// A group as a turn makes it: some of the things that happen to slots.
    pub(super) fn plan(&mut self, books: &Books) -> Plan {
        let mut plan = Plan::on(books);
        for _ in 0..=self.dice.below(3) {
            match self.dice.below(8) {
                0..=2 => self.reserve(&mut plan),
                3 => self.sign_one(&mut plan),
                4 => Self::send(&mut plan),
                5 => self.mine(&mut plan),
                6 => self.finish(&mut plan),
                _ => self.read_logs(&mut plan),
            }
        }
        if plan.events.is_empty() {
            self.read_logs(&mut plan);
        }
        plan
    }

    fn reserve(&mut self, plan: &mut Plan) {
        for _ in 0..=self.dice.below(3) {
            if self.next_task == LAST_TASK {
                return;
            }
            self.next_task += 1;
            let nonce = plan.books.next_nonce();
            plan.add(reserved(nonce, self.next_task));
            if self.dice.chance(700) {
                self.sign(plan, nonce);
            }
        }
    }

    fn sign_one(&mut self, plan: &mut Plan) {
        let open = plan.books.in_state(SlotState::Open, 0);
        if !open.is_empty() {
            let nonce = self.dice.pick(&open);
            self.sign(plan, nonce);
        }
    }

    /// Another version of a slot: bytes that no version had before, of some length.
    fn sign(&mut self, plan: &mut Plan, nonce: u64) {
        let held = &plan.books.slots[&nonce];
        let (call, seq) = (held.call.clone(), Seq(held.versions));
        let mut raw = self.made.len().to_be_bytes().to_vec();
        raw.resize(100 + usize::try_from(self.dice.below(900)).unwrap(), nonce.to_be_bytes()[7]);
        let tx = SignedTx { slot: slot(nonce), seq, hash: sha256(&raw), raw: raw.into() };
        plan.add(signed(&tx, call));
        self.made.insert(tx.hash, tx.clone());
        plan.signed.push(tx);
    }

    fn send(plan: &mut Plan) {
        let open = plan.books.in_state(SlotState::Open, 1);
        let note = |nonce: u64| {
            let seq = Seq(plan.books.slots[&nonce].versions - 1);
            SendNote { nonce: Nonce(nonce), seq, outcome: SendOutcome::Seen }
        };
        let sends: Vec<_> = open.into_iter().map(note).collect();
        if !sends.is_empty() {
            plan.add(Event::Sent { wallet: slot(0).wallet, sends });
        }
    }

    fn mine(&mut self, plan: &mut Plan) {
        for nonce in plan.books.in_state(SlotState::Open, 1) {
            if self.dice.chance(500) {
                let seq = Seq(plan.books.slots[&nonce].versions - 1);
                let block = block(plan.books.cursor);
                plan.add(Event::SlotMined { slot: slot(nonce), seq, block, ok: true });
            }
        }
    }

    /// Slots end, and an output comes with them.
    fn finish(&mut self, plan: &mut Plan) {
        for nonce in plan.books.in_state(SlotState::Mined, 1) {
            if self.dice.chance(500) {
                let versions = plan.books.slots[&nonce].versions;
                plan.add(ended(nonce, end(versions, self.dice.chance(200))));
                let body = vec![nonce.to_be_bytes()[7]; 3_000];
                plan.outputs.push((sha256(&body), body.into()));
            }
        }
    }

    fn read_logs(&mut self, plan: &mut Plan) {
        let number = plan.books.cursor + 1 + self.dice.below(3);
        let time = ChainTime::from_secs(number);
        let (to, final_number) = (block(number), number / 2);
        plan.add(Event::LogsRead { to, to_time: time, final_number, final_time: time });
    }
}

/// How a slot of the story ends.
const fn end(versions: u16, reverted: bool) -> SlotEnd {
    let seq = Seq(versions - 1);
    if reverted { SlotEnd::Reverted { seq, revert: Revert::Expired } } else { SlotEnd::Ok { seq } }
}
