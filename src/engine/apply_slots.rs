//! The fold of facts about slots: bound, signed, sent, mined, final.

use alloy::primitives::B256;

use crate::units::{
    BlockRef, Call, Fees, Nonce, Purpose, Round, Seq, Slot, TaskId, TaskKey, Timestamp, Wei,
};

use super::apply_chain::{DOUBT_CADENCE, VIEW_CADENCE};
use super::publication::{
    Next, Owner, Publication, PublicationState, after_send, bump_look, expiry_in,
};
use super::retry::resend_after;
use super::task::TaskState;
use super::{Engine, SendNote, SlotEnd, Timer};

/// Whose a slot becomes.
pub(super) struct Binding {
    /// The task.
    pub task: TaskId,
    /// The key of its round.
    pub key: TaskKey,
}

impl Engine {
    pub(super) fn slot_reserved(
        &mut self,
        slot: Slot,
        binding: Binding,
        (call, fees): (&Call, Fees),
        at: Timestamp,
    ) {
        let Binding { task, key } = binding;
        let purpose = call.purpose().unwrap_or(Purpose::Fence);
        // A deposit belongs to no task: nothing waits on it, and below nothing changes with it.
        let round = self.tasks.get(task).map_or(Round::FIRST, |task| task.round);
        let publication = Publication {
            owner: Owner::Task { task, round, purpose, key },
            call: call.clone(),
            withdrawn: None,
            fees,
            quoted_at: None,
            versions: Vec::new(),
            expiries: Vec::new(),
            sends: 0,
            unexplained: 0,
            state: PublicationState::Reserved,
        };
        if purpose == Purpose::Deposit {
            self.deposit = super::Deposit::Bound;
        }
        self.errand_bound(task);
        let (payment, gas) = (publication.payment(), publication.gas_ceiling());
        let of_wallet = gas.saturating_add(call.value());
        self.ledger.reserve(payment.saturating_add(of_wallet));
        self.purse.vault = self.purse.vault.saturating_sub(payment);
        self.purse.wallet = self.purse.wallet.saturating_sub(of_wallet);
        if let Some(lane) = &mut self.lane {
            lane.bind(slot.nonce, publication);
        }
        if !self.timers.is_set(Timer::View(slot.wallet)) {
            self.timers.set(Timer::View(slot.wallet), at.after(VIEW_CADENCE));
        }
        if purpose == Purpose::Publish {
            self.pace.start(at);
            if self.pace.opens_at() > at {
                self.timers.set(Timer::Pace, self.pace.opens_at());
            }
        }
        self.change(task, |task| match purpose {
            Purpose::Publish => task.state = TaskState::Publishing { nonce: slot.nonce },
            Purpose::Confirm => {
                if let TaskState::Confirming { nonce, .. } = &mut task.state {
                    *nonce = Some(slot.nonce);
                }
            }
            Purpose::Cancel => task.cancel = task.cancel.bound(),
            Purpose::Deposit | Purpose::Fence => {}
        });
    }

    pub(super) fn version_wanted(&mut self, nonce: Nonce, call: &Call, fees: Fees) {
        let Some(lane) = &mut self.lane else { return };
        let Some(before) = lane.slots.get(&nonce).map(Publication::gas_ceiling) else { return };
        let quoted_at = self.survey.as_ref().map(|(at, _)| *at);
        lane.change(nonce, |publication| {
            if *call == Call::NoOp {
                let from = publication.next_seq();
                publication.withdrawn.get_or_insert(from);
            } else {
                publication.call = call.clone();
            }
            publication.fees = fees;
            publication.quoted_at = quoted_at;
            publication.state = PublicationState::Reserved;
        });
        let after = lane.slots.get(&nonce).map_or(before, Publication::gas_ceiling);
        self.ledger.release(before);
        self.ledger.reserve(after);
        self.purse.wallet = self.purse.wallet.saturating_add(before).saturating_sub(after);
    }

    /// A version is signed, or was found on the chain: what that one can cost is reserved by now.
    pub(super) fn version_signed(
        &mut self,
        nonce: Nonce,
        (seq, hash): (Seq, B256),
        (call, fees): (&Call, Fees),
    ) {
        self.by_hash.insert(hash, nonce);
        let Some(lane) = &mut self.lane else { return };
        let Some(before) = lane.slots.get(&nonce).map(Publication::gas_ceiling) else { return };
        lane.change(nonce, |publication| {
            publication.versions.push((seq, hash));
            publication.expiries.extend(expiry_in(call).map(|expiry| (seq, expiry)));
            publication.unexplained = 0;
            publication.state = PublicationState::Signed;
            if fees.ceiling() > publication.fees.ceiling() {
                publication.fees = fees;
            }
        });
        let after = lane.slots.get(&nonce).map_or(before, Publication::gas_ceiling);
        let more = after.saturating_sub(before);
        self.ledger.reserve(more);
        self.purse.wallet = self.purse.wallet.saturating_sub(more);
    }

    /// What the replies to a group of sends ask for. A pool that is full says so to each of them,
    /// and is one pool.
    pub(super) fn sent(&mut self, notes: &[SendNote], at: Timestamp) {
        notes.iter().for_each(|note| self.replied(note, at));
        let full = notes.iter().any(|note| after_send(note.outcome, 1) == Next::Narrow);
        if let Some(lane) = self.lane.as_mut().filter(|_| full) {
            lane.narrow();
        }
    }

    /// What a reply asks for; it moves the slot between waiting and sending, and nothing else.
    fn replied(&mut self, note: &SendNote, at: Timestamp) {
        let seed = self.header.as_ref().map_or(0, |header| header.seed);
        let Some(lane) = &mut self.lane else { return };
        let Some(publication) = lane.slots.get(&note.nonce) else { return };
        let next = after_send(note.outcome, publication.versions.len());
        let sends = publication.sends.saturating_add(1);
        let slot = lane.slot(note.nonce);
        let (state, timer, again_at) = match next {
            Next::Watch | Next::Look | Next::Bump => {
                (PublicationState::Held, Timer::Bump(slot), bump_look(at))
            }
            Next::LowerFirst | Next::Narrow | Next::Funds | Next::Again => {
                let again_at = at.after(resend_after(sends, seed ^ note.nonce.0));
                (PublicationState::Cooling, Timer::Send(slot), again_at)
            }
        };
        lane.view_wanted |= next == Next::Look;
        if next == Next::Watch && sends == 1 {
            lane.accepted();
        }
        lane.change(note.nonce, |publication| {
            publication.sends = sends;
            if publication.is_pending() {
                publication.state = state;
            }
        });
        if next == Next::LowerFirst
            && let Some(lowest) = lane.lowest_pending().filter(|lowest| *lowest < note.nonce)
        {
            lane.change(lowest, |publication| {
                if publication.state == PublicationState::Held {
                    publication.state = PublicationState::Signed;
                }
            });
        }
        self.survey_wanted |= next == Next::Funds;
        self.timers.set(timer, again_at);
    }

    /// The wait of a slot is over: the same bytes go again. If it holds up its lane, a pool may have
    /// lost it, and then not it alone: all that waits behind it goes again too.
    pub(super) fn send_again(&mut self, nonce: Nonce, at: Timestamp) {
        let Some(lane) = &mut self.lane else { return };
        let head_of_line = lane.lowest_pending() == Some(nonce);
        let cooling =
            lane.slots.get(&nonce).is_some_and(|slot| slot.state == PublicationState::Cooling);
        if head_of_line && !cooling {
            for held in lane.held_above(nonce) {
                lane.change(held, |publication| publication.state = PublicationState::Signed);
            }
        }
        let slot = lane.slot(nonce);
        lane.view_wanted |= head_of_line;
        lane.change(nonce, |publication| match publication.state {
            PublicationState::Cooling => publication.state = PublicationState::Signed,
            PublicationState::Held if head_of_line => {
                publication.state = PublicationState::Signed;
            }
            PublicationState::Held => {}
            PublicationState::Reserved
            | PublicationState::Signed
            | PublicationState::Mined { .. } => {}
        });
        let still_held = lane
            .slots
            .get(&nonce)
            .is_some_and(|publication| publication.state == PublicationState::Held);
        if still_held {
            self.timers.set(Timer::Bump(slot), bump_look(at));
        }
    }

    /// The wait for a view is over. While the log stream tells of slots, it can wait on.
    pub(super) fn view_due(&mut self, at: Timestamp) {
        let Some(lane) = &mut self.lane else { return };
        if std::mem::take(&mut lane.moves) > 0 {
            self.timers.set(Timer::View(lane.wallet), at.after(VIEW_CADENCE));
        } else {
            lane.view_wanted |= !lane.slots.is_empty();
        }
    }

    pub(super) fn lane_viewed(&mut self, count: u64, unexplained: &[Nonce], at: Timestamp) {
        let Some(lane) = &mut self.lane else { return };
        lane.view_wanted = false;
        (lane.pages, lane.moves) = (0, 0);
        lane.count = count;
        for nonce in unexplained {
            lane.change(*nonce, |publication| publication.unexplained += 1);
        }
        let cadence = if unexplained.is_empty() { VIEW_CADENCE } else { DOUBT_CADENCE };
        self.timers.set(Timer::View(lane.wallet), at.after(cadence));
    }

    pub(super) fn slot_mined(&mut self, nonce: Nonce, seq: Seq, (block, ok): (BlockRef, bool)) {
        let Some(lane) = &mut self.lane else { return };
        let slot = lane.slot(nonce);
        if ok && lane.slots.get(&nonce).is_some_and(Publication::is_pending) {
            lane.widen();
            lane.moves = lane.moves.saturating_add(1);
        }
        lane.change(nonce, |publication| {
            publication.unexplained = 0;
            publication.state = PublicationState::Mined { seq, block, ok };
        });
        self.timers.clear(Timer::Send(slot));
        self.timers.clear(Timer::Bump(slot));
        self.want_receipts();
    }

    /// The chain took a transaction back: its bytes go out again, and its task is not published.
    pub(super) fn slot_reopened(&mut self, nonce: Nonce, at: Timestamp) {
        let Some(lane) = &mut self.lane else { return };
        let slot = lane.slot(nonce);
        let owner = lane.slots.get(&nonce).map(|publication| publication.owner);
        lane.change(nonce, |publication| publication.state = PublicationState::Signed);
        self.timers.set(Timer::Bump(slot), bump_look(at));
        let Some(Owner::Task { task, round, purpose: Purpose::Publish, .. }) = owner else {
            return;
        };
        let Some(current) = self.tasks.get(task).cloned() else { return };
        if current.round == round && current.published().is_some() {
            self.ledger.reopen(current.payment);
            self.change(task, |task| task.state = TaskState::Publishing { nonce });
        }
    }

    pub(super) fn slot_final(&mut self, nonce: Nonce, end: &SlotEnd, gas_paid: Wei) {
        let Some(lane) = &mut self.lane else { return };
        let slot = lane.slot(nonce);
        let Some(publication) = lane.close(nonce) else { return };
        let frees_task = matches!(end, SlotEnd::Foreign { .. }) && self.was_foreign(nonce);
        for (_, hash) in &publication.versions {
            self.by_hash.remove(hash);
        }
        self.timers.clear(Timer::Send(slot));
        self.timers.clear(Timer::Bump(slot));
        let ceiling = publication.gas_ceiling();
        let Owner::Task { task, round, purpose, .. } = publication.owner else {
            // What a fence put in the place of another run's transaction is its own cost.
            if publication.withdrawn.is_some() {
                self.ledger.burn(ceiling, gas_paid);
            }
            return;
        };
        self.ledger.burn(ceiling, gas_paid);
        self.purse.wallet = self.purse.wallet.saturating_add(ceiling.saturating_sub(gas_paid));
        self.errand_final(task, end);
        match (purpose, end) {
            (Purpose::Publish, SlotEnd::Ok { seq }) if publication.is_noop(*seq) => {
                self.release_payment(publication.payment());
            }
            (Purpose::Publish, SlotEnd::Ok { .. }) => self.change(task, |task| {
                if task.round == round
                    && let Some(published) = task.published_mut()
                {
                    published.is_final = true;
                }
            }),
            (Purpose::Publish, SlotEnd::Reverted { .. }) => {
                self.release_payment(publication.payment());
            }
            (Purpose::Confirm, SlotEnd::Ok { .. }) => self.change(task, |task| {
                task.confirm_is_final();
            }),
            (Purpose::Confirm, SlotEnd::Reverted { revert, .. }) => {
                let height = publication.mined().map_or(0, |(_, block, _)| block.number);
                self.change(task, |task| task.confirm_was_refused(revert, height));
            }
            // It was never published, and never will be under this nonce: nothing to confirm.
            (Purpose::Publish, SlotEnd::Foreign { .. }) => self.keep_for_confirm(task, Wei::ZERO),
            (Purpose::Confirm, SlotEnd::Foreign { .. }) | (Purpose::Cancel, SlotEnd::Ok { .. }) => {
            }
            (Purpose::Cancel, SlotEnd::Reverted { .. }) => {
                self.change(task, super::task::Task::cancel_was_refused);
            }
            (Purpose::Cancel, SlotEnd::Foreign { .. }) => {
                self.change(task, |task| task.cancel = super::cancel::Cancel::Refused);
            }
            (Purpose::Fence, _) => {}
            (Purpose::Deposit, end) => {
                self.ledger.release(publication.call.value());
                self.deposit = super::Deposit::Final { ok: matches!(end, SlotEnd::Ok { .. }) };
            }
        }
        if frees_task {
            self.unbind(task);
        }
    }

    /// A slot was used up by something else; says whether its task is free for another one. That
    /// something unknown was there first is what fences are for; below the first nonce that was not
    /// read it is not unknown any more.
    fn was_foreign(&mut self, nonce: Nonce) -> bool {
        let fencing = self.is_fencing();
        let Some(lane) = &mut self.lane else { return false };
        let was_read = nonce < lane.began;
        if !fencing && !was_read {
            lane.foreign = lane.foreign.max(Some(nonce));
            self.foreign += 1;
        }
        !fencing && was_read
    }

    /// What a publication would have paid is free again: it never will be one.
    pub(super) fn release_payment(&mut self, payment: Wei) {
        self.ledger.release(payment);
        self.purse.vault = self.purse.vault.saturating_add(payment);
    }
}
