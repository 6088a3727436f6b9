//! The oracle: what the journal holds, what reached the network, and whether both may be so.
//!
//! It knows rounds by the tags in what was pinned and payments by the chain alone, never by what
//! the program says of itself. The first thing that is wrong ends the story.

use std::collections::{BTreeMap, BTreeSet};

use alloy::primitives::{Address, B256, Bytes};

use super::contracts::{Chain, TaskRow};
use super::pool::Tx;
use crate::engine::{Event, Outcome};
use crate::units::{BlockRef, Call, Fees, TaskId, Timestamp, Wei};

/// So often a confirm of one response may be bound: each time another block refuses it.
const MOST_CONFIRMS: u32 = 4;

/// A slot, as the journal has it.
#[derive(Debug)]
pub(super) struct SlotBook {
    call: Call,
    /// The tag of the round that it serves.
    tag: String,
    /// The block that it is in, by the journal, while that is not final.
    mined: Option<BlockRef>,
    reserved: Fees,
    versions: Vec<(B256, Fees)>,
    /// Whether the journal gives it up: a no-op may take its place, and nothing else.
    given_up: bool,
}

impl SlotBook {
    /// Whether a version of it may do this.
    fn allows(&self, call: &Call) -> bool {
        same_purpose(&self.call, call) || (self.given_up && *call == Call::NoOp)
    }
}

#[derive(Default)]
pub(super) struct Books {
    pub wallet: Address,
    /// What the journal holds, in order.
    pub events: Vec<(Timestamp, Event)>,
    pub outputs: BTreeMap<B256, Bytes>,
    /// Signed bytes that the journal holds.
    pub signed: BTreeMap<B256, Bytes>,
    pub slots: BTreeMap<u64, SlotBook>,
    /// The tags of an item's rounds, in order.
    rounds: BTreeMap<TaskId, Vec<String>>,
    /// Which item a tag is of, and its place among the rounds.
    tags: BTreeMap<String, (TaskId, usize)>,
    /// Every transaction that some node received.
    received: BTreeSet<B256>,
    pub cap: Option<Wei>,
    /// Tasks of an earlier run, which this one takes back.
    pub stale: BTreeSet<Address>,
    returned: Wei,
    /// Whether the journal says that the run is to be taken back.
    given_up: bool,
    /// How often a confirm of each response was bound.
    confirms: BTreeMap<Address, u32>,
    /// Whether bytes must be in the journal before they leave.
    pub lax: bool,
    /// What was found to be wrong first.
    pub broken: Option<String>,
}

impl Books {
    /// Whether the journal says that the run is to be taken back.
    pub(super) const fn is_given_up(&self) -> bool {
        self.given_up
    }

    pub(super) fn broke(&mut self, what: impl Into<String>) {
        let what = what.into();
        self.broken.get_or_insert(what);
    }

    /// Facts have become durable.
    pub(super) fn note(
        &mut self,
        at: Timestamp,
        events: &[Event],
        signed: impl Iterator<Item = (B256, Bytes)>,
        outputs: &[(B256, Bytes)],
    ) {
        self.signed.extend(signed);
        self.outputs.extend(outputs.iter().cloned());
        events.iter().for_each(|event| self.note_slot(event));
        self.events.extend(events.iter().map(|event| (at, event.clone())));
    }

    fn note_slot(&mut self, event: &Event) {
        match event {
            Event::SlotReserved { slot, task, key, call, fees, .. } => {
                let (call, reserved) = (call.clone(), *fees);
                let publishes = matches!(call, Call::PublishTask { .. });
                let tag = key.to_string();
                let (versions, mined) = (Vec::new(), None);
                let (given_up, of) = (false, tag.clone());
                let book = SlotBook { call, tag: of, mined, reserved, versions, given_up };
                if self.slots.insert(slot.nonce.0, book).is_some() {
                    self.broke(format!("S3: nonce {} is bound twice", slot.nonce));
                }
                if publishes {
                    self.note_round(*task, tag);
                }
            }
            Event::CancelAsked { .. } => self.given_up = true,
            Event::VersionWanted { slot, fees, call } => {
                let given_up = self.given_up;
                if let Some(book) = self.slots.get_mut(&slot.nonce.0) {
                    book.reserved = *fees;
                    let publishes = matches!(book.call, Call::PublishTask { .. });
                    book.given_up |= given_up && publishes && *call == Call::NoOp;
                }
            }
            Event::SlotMined { slot, block, .. } => self.note_mined(slot.nonce.0, Some(*block)),
            Event::SlotReopened { slot } | Event::SlotFinal { slot, .. } => {
                self.note_mined(slot.nonce.0, None);
            }
            Event::VersionSigned { slot, hash, call, fees, .. } => {
                let Some(book) = self.slots.get_mut(&slot.nonce.0) else {
                    self.broke(format!("S3: nonce {} is signed and not bound", slot.nonce));
                    return;
                };
                let same = book.allows(call) && !(book.given_up && *call != Call::NoOp);
                book.versions.push((*hash, *fees));
                if !same {
                    self.broke(format!("S3: nonce {} changed its purpose", slot.nonce));
                }
            }
            _ => {}
        }
    }

    fn note_mined(&mut self, nonce: u64, block: Option<BlockRef>) {
        if let Some(book) = self.slots.get_mut(&nonce) {
            book.mined = block;
        }
    }

    /// Why a run does not end, as far as the oracle can tell.
    pub(super) fn late(&mut self, chain: &Chain) {
        let gone = self.slots.iter().find(|(_, book)| {
            let stands = |at: BlockRef| chain.block(at.number).is_some_and(|block| block.at == at);
            book.mined.is_some_and(|at| !stands(at))
        });
        let why =
            gone.map(|(nonce, _)| format!("nonce {nonce} is taken for mined in a lost block"));
        self.broke(format!("S8: {}", why.unwrap_or_else(|| "the run does not end".into())));
    }

    fn note_round(&mut self, task: TaskId, tag: String) {
        let rounds = self.rounds.entry(task).or_default();
        if rounds.last() != Some(&tag) {
            self.tags.insert(tag.clone(), (task, rounds.len()));
            rounds.push(tag);
        }
    }

    /// Whether these are not the first bytes that were signed for their slot.
    pub(super) fn is_later(&self, tx: &Tx) -> bool {
        let first = self.slots.get(&tx.nonce).and_then(|book| book.versions.first());
        first.is_some_and(|(hash, _)| *hash != tx.hash)
    }

    /// S2, S3 and the second half of S1, for bytes that a node has just received.
    pub(super) fn check_received(&mut self, tx: &Tx, chain: &Chain, final_height: u64) {
        if !self.received.insert(tx.hash) {
            return;
        }
        if self.lax {
            return;
        }
        if self.signed.get(&tx.hash) != Some(&tx.raw) {
            self.broke(format!("S2: nonce {} left before it was in the journal", tx.nonce));
            return;
        }
        let book = self.slots.get(&tx.nonce);
        let Some(book) = book.filter(|book| book.versions.iter().any(|(h, _)| *h == tx.hash))
        else {
            self.broke(format!("S3: nonce {} is not the slot of these bytes", tx.nonce));
            return;
        };
        let (same, served) = (book.allows(&tx.call), book.tag.clone());
        if !same {
            self.broke(format!("S3: nonce {} does something else than was bound", tx.nonce));
        }
        if let Call::ConfirmResponse { response } = &tx.call
            && let Some(row) = chain.responses.get(response).and_then(|r| chain.tasks.get(&r.task))
            && row.key.as_ref() != Some(&served)
        {
            self.broke(format!("S4: nonce {} confirms the response of another task", tx.nonce));
            return;
        }
        if let Call::CancelTask { task } = &tx.call
            && !self.stale.contains(task)
            && chain.tasks.get(task).and_then(|row| row.key.as_ref()) != Some(&served)
        {
            self.broke(format!("S5: nonce {} cancels another task", tx.nonce));
            return;
        }
        let earlier = tx.key.as_ref().and_then(|tag| {
            let (task, place) = self.tags.get(tag)?;
            self.rounds.get(task)?.get(place.checked_sub(1)?)
        });
        if let Some(earlier) = earlier.filter(|tag| !self.is_closed(tag, chain, final_height)) {
            let tag = tx.key.as_deref().unwrap_or_default();
            self.broke(format!("S1: round {tag} leaves while round {earlier} can be paid"));
        }
    }

    /// Whether nothing can be paid for a round any more, by the final part of the chain.
    fn is_closed(&self, tag: &str, chain: &Chain, final_height: u64) -> bool {
        let now = chain.block(final_height).map_or(0, |block| block.time);
        let final_count = chain.money_at(final_height).count;
        let used = |(nonce, book): (&u64, &SlotBook)| {
            let publishes = matches!(book.call, Call::PublishTask { .. });
            let ours = publishes && book.tag == tag && !book.versions.is_empty();
            !ours || *nonce < final_count
        };
        let slots_done = self.slots.iter().all(used);
        let is_over = |row: &TaskRow| {
            let paid = row.responses.iter().any(|(_, response)| {
                chain.responses.get(response).is_some_and(|row| row.confirmed.is_some())
            });
            let by_us = row.responses.iter().any(|(_, r)| self.confirms(*r));
            let manual = row.source == super::contracts::MANUAL;
            !paid && !by_us && row.born <= final_height && (manual || row.expiry <= now)
        };
        let mut rows = chain.tasks.values().filter(|row| row.key.as_deref() == Some(tag));
        slots_done && rows.all(is_over)
    }

    fn confirms(&self, response: Address) -> bool {
        let is_it = |book: &&SlotBook| matches!(&book.call, Call::ConfirmResponse { response: r } if *r == response);
        self.slots.values().any(|book| is_it(&book) && !book.versions.is_empty())
    }

    /// S1 by the chain as it stands.
    pub(super) fn check_chain(&mut self, chain: &Chain) {
        if let Some((tag, times)) = chain.published_twice() {
            self.broke(format!("S1: round {tag} was paid {times} times"));
        }
    }

    /// S4 and S7, when facts have become durable.
    pub(super) fn check_facts(&mut self, events: &[Event], chain: &Chain, final_height: u64) {
        for event in events {
            if let Event::TaskDone { task, outcome: Outcome::Confirmed { response, sha256, .. } } =
                event
                && let Err(why) = self.is_confirmed((*response, sha256), chain, final_height)
            {
                self.broke(format!("S4: {task} says confirmed, but {why}"));
            }
        }
        for event in events {
            if let Event::TaskDone { task, outcome: Outcome::Canceled } = event
                && !self.is_canceled(*task, chain, final_height)
            {
                self.broke(format!("S5: {task} says cancelled, and can be paid"));
            }
        }
        self.check_returned(events, chain);
        self.check_confirms(events);
        if let Some(cap) = self.cap {
            let most = self.worst(chain, final_height);
            if most > cap {
                let told = self.events.len();
                self.broke(format!("S7: {most} can be spent, the cap is {cap} ({told} facts)"));
            }
        }
    }

    /// S6: no more is booked as returned than came back.
    fn check_returned(&mut self, events: &[Event], chain: &Chain) {
        let before = self.returned;
        for event in events {
            if let Event::EscrowReturned { amount } = event {
                self.returned = self.returned.saturating_add(*amount);
            }
        }
        if self.returned == before {
            return;
        }
        let ours = chain.tasks.values().filter(|row| row.key.is_some());
        let back = ours.map(|row| row.payment - row.costs(chain, chain.head())).sum();
        let back = Wei::from_u128(back);
        if self.returned > back {
            let booked = self.returned;
            self.broke(format!("S6: {booked} is booked as returned, {back} came back"));
        }
    }

    /// S8: what the contract refuses to confirm is not tried for ever.
    fn check_confirms(&mut self, events: &[Event]) {
        for event in events {
            let Event::SlotReserved { call: Call::ConfirmResponse { response }, task, .. } = event
            else {
                continue;
            };
            let times = self.confirms.entry(*response).or_default();
            *times += 1;
            if *times > MOST_CONFIRMS {
                self.broke(format!("S8: {task} is confirmed over and over"));
            }
        }
    }

    /// Whether nothing that was signed for an item can be paid any more, by the final part of the
    /// chain: each round was cancelled, or is past its life, or never came.
    pub(super) fn is_canceled(&self, task: TaskId, chain: &Chain, final_height: u64) -> bool {
        let final_count = chain.money_at(final_height).count;
        let now = chain.block(final_height).map_or(0, |block| block.time);
        let tags = self.rounds.get(&task).map_or(&[][..], Vec::as_slice);
        let open = |(nonce, book): (&u64, &SlotBook)| {
            tags.contains(&book.tag) && !book.versions.is_empty() && *nonce >= final_count
        };
        let over = |row: &TaskRow| {
            let paid = row.costs(chain, chain.head()) > 0 && row.ended.is_some();
            let canceled = row.ended.is_some_and(|(at, how)| how == 3 && at <= final_height);
            // What an earlier round was refused is never confirmed.
            let manual = row.source == super::contracts::MANUAL;
            let by_us = row.responses.iter().any(|(_, response)| self.confirms(*response));
            let refused = manual && !row.responses.is_empty() && !by_us;
            !paid && (canceled || refused || row.expiry <= now)
        };
        let ours = |row: &&TaskRow| row.key.as_ref().is_some_and(|tag| tags.contains(tag));
        !self.slots.iter().any(open) && chain.tasks.values().filter(ours).all(over)
    }

    fn is_confirmed(
        &self,
        (response, sha256): (Address, &B256),
        chain: &Chain,
        final_height: u64,
    ) -> Result<(), &'static str> {
        let row = chain.responses.get(&response).ok_or("there is no such response")?;
        if row.confirmed.is_none_or(|at| at > final_height) {
            return Err("its response is not confirmed in a final block");
        }
        let task = chain.tasks.get(&row.task).ok_or("there is no such task")?;
        if task.key.as_ref().is_none_or(|tag| !self.tags.contains_key(tag)) {
            return Err("its task is another's");
        }
        let output = self.outputs.get(sha256).ok_or("its output is not on disk")?;
        if crate::units::cid::sha256(output) != *sha256 {
            return Err("its output on disk is another one");
        }
        Ok(())
    }

    /// What is spent for good and what every byte in the journal could still cause.
    pub(super) fn worst(&self, chain: &Chain, final_height: u64) -> Wei {
        let mut sum = Wei::ZERO;
        for book in self.slots.values() {
            let payment = match &book.call {
                Call::PublishTask { payment, .. } => *payment,
                _ => Wei::ZERO,
            };
            let settled = book.versions.iter().find_map(|(hash, _)| {
                chain.mined(hash).filter(|(block, _)| block.at.number <= final_height)
            });
            let cost = match settled {
                Some((_, mined)) => {
                    let row = mined.published.and_then(|task| chain.tasks.get(&task));
                    let left = row.map_or(0, |row| row.costs(chain, final_height));
                    Wei::from_u128(mined.gas_paid() + left)
                }
                None => {
                    let fees = book.versions.iter().map(|(_, fees)| *fees);
                    let ceilings = fees.chain([book.reserved]).filter_map(|fees| fees.ceiling());
                    ceilings.max().unwrap_or_default().saturating_add(payment)
                }
            };
            sum = sum.saturating_add(cost);
        }
        sum
    }
}

/// Whether two calls do the same for the same task; the end of its life may differ.
fn same_purpose(one: &Call, other: &Call) -> bool {
    match (one, other) {
        (
            Call::PublishTask { source, config, payment, .. },
            Call::PublishTask { source: s, config: c, payment: p, .. },
        ) => (source, config, payment) == (s, c, p),
        (_, _) => one == other,
    }
}
