//! From (state, input) to facts: slots, by what was signed, sent and viewed.

use alloy::primitives::{Address, B256};

use crate::units::{
    BlockRef, Call, LaneView, Nonce, Purpose, Receipt, ReceiptStatus, SendOutcome, Seq, Slot, Wei,
};

use super::admission::fees;
use super::publication::{Next, Owner, Publication, PublicationState, after_send, bumped};
use super::verdict::{SlotVerdict, judge};
use super::{Engine, Event, Outcome, SendNote, SlotEnd, Turn};

/// So many views must find a slot used up by nothing that we know before that is believed. They
/// follow each other faster than others do.
const UNEXPLAINED_VIEWS: u32 = 12;
/// The same for a slot that was seen in a block: that its receipt is missing now proves little.
const UNEXPLAINED_VIEWS_OF_MINED: u32 = 60;

impl Engine {
    /// Takes a signed version if it is the one that the slot waits for.
    pub(super) fn on_signed(&mut self, event: Event, turn: &mut Turn) {
        let Event::VersionSigned { slot, seq, call, fees, .. } = &event else { return };
        let waits = self.publication(*slot).is_some_and(|publication| {
            publication.state == PublicationState::Reserved
                && publication.next_seq() == *seq
                && publication.signs() == *call
                && publication.fees == *fees
        });
        if waits {
            self.emit(turn, event);
        }
    }

    pub(super) fn publication(&self, slot: Slot) -> Option<&Publication> {
        let lane = self.lane.as_ref().filter(|lane| lane.wallet == slot.wallet)?;
        lane.slots.get(&slot.nonce)
    }

    /// Notes what endpoints said of slots that are still pending.
    pub(super) fn on_sent(
        &mut self,
        wallet: Address,
        sends: &[(Nonce, Seq, SendOutcome)],
        turn: &mut Turn,
    ) {
        let notes: Vec<SendNote> = sends
            .iter()
            .filter(|(nonce, seq, _)| {
                self.publication(Slot { wallet, nonce: *nonce }).is_some_and(|publication| {
                    publication.state == PublicationState::Signed
                        && publication.newest() == Some(*seq)
                })
            })
            .map(|(nonce, seq, outcome)| SendNote { nonce: *nonce, seq: *seq, outcome: *outcome })
            .collect();
        if notes.is_empty() {
            return;
        }
        self.emit(turn, Event::Sent { wallet, sends: notes.clone() });
        for note in notes {
            let publication = self.publication(Slot { wallet, nonce: note.nonce });
            let versions = publication.map_or(0, |publication| publication.versions.len());
            // What is pending at a fence's nonce is to be outbid.
            let outbids = note.outcome == SendOutcome::Conflict
                && publication.is_some_and(Publication::is_fence);
            if outbids || after_send(note.outcome, versions) == Next::Bump {
                self.consider_bump(note.nonce, true, turn);
            }
        }
    }

    /// Raises the fees of a slot if it holds up its lane and the market asks for more, or if a
    /// node has just refused them.
    pub(super) fn consider_bump(&mut self, nonce: Nonce, refused: bool, turn: &mut Turn) {
        let (Some(lane), Some((quoted_at, survey))) = (&self.lane, &self.survey) else { return };
        let Some(publication) = lane.slots.get(&nonce) else { return };
        // What a node refuses again wants another look at the market, not a further step alone.
        if refused && publication.quoted_at == Some(*quoted_at) {
            return;
        }
        let bumpable =
            lane.lowest_pending() == Some(nonce) && publication.state == PublicationState::Held;
        let outbid = survey.max_fee_per_gas > publication.fees.max_fee_per_gas;
        if bumpable && (refused || outbid) {
            let call = publication.signs();
            self.want_version(nonce, call, turn);
        }
    }

    /// Wants a version with a fresh expiry for each publication that has waited too long for a
    /// block, lowest first, whatever holds up the lane.
    pub(super) fn refresh_expiries(&mut self, turn: &mut Turn) {
        let Some(lane) = &self.lane else { return };
        let late: Vec<(Nonce, Call)> = lane
            .pending()
            .filter_map(|(nonce, publication)| Some((nonce, self.refreshed(publication)?)))
            .collect();
        for (nonce, call) in late {
            self.want_version(nonce, call, turn);
        }
    }

    /// Wants a further version of a slot with higher fees, if there is money for it.
    fn want_version(&mut self, nonce: Nonce, call: Call, turn: &mut Turn) {
        let (Some(lane), Some((_, survey))) = (&self.lane, &self.survey) else { return };
        let Some(publication) = lane.slots.get(&nonce).filter(|p| p.is_replaceable()) else {
            return;
        };
        let market = fees(survey, publication.fees.gas_limit);
        let raised = bumped(publication.fees, market);
        let (old, new) = (publication.gas_ceiling(), raised.ceiling());
        let extra = new.and_then(|new| new.checked_sub(old));
        let committed = self.ledger.committed();
        let within_cap = extra.is_some_and(|extra| {
            self.cap.is_none_or(|cap| committed.saturating_add(extra) <= cap)
                && extra <= self.purse.wallet
        });
        if within_cap {
            let slot = lane.slot(nonce);
            self.emit(turn, Event::VersionWanted { slot, call, fees: raised });
        }
    }

    /// Notes in which block a transaction is. One that was in another block before is reopened
    /// first: a contract that it made may have another address there.
    pub(super) fn note_mined(
        &mut self,
        slot: Slot,
        seq: Seq,
        (block, ok): (BlockRef, bool),
        turn: &mut Turn,
    ) {
        let state = PublicationState::Mined { seq, block, ok };
        let Some(publication) = self.publication(slot).filter(|known| known.state != state) else {
            return;
        };
        if publication.mined().is_some() {
            self.emit(turn, Event::SlotReopened { slot });
        }
        self.emit(turn, Event::SlotMined { slot, seq, block, ok });
    }

    /// Judges the slots that a view was asked about.
    pub(super) fn on_view(
        &mut self,
        wallet: Address,
        asked: &[B256],
        view: &LaneView,
        turn: &mut Turn,
    ) {
        if self.lane.as_ref().is_none_or(|lane| lane.wallet != wallet) {
            return;
        }
        let mut nonces: Vec<Nonce> =
            asked.iter().filter_map(|hash| self.by_hash.get(hash).copied()).collect();
        nonces.sort_unstable();
        nonces.dedup();
        let unexplained = nonces.iter().copied().filter(|n| self.is_unexplained(*n, asked, view));
        self.emit(
            turn,
            Event::LaneViewed {
                wallet,
                head: view.head,
                count: view.count,
                final_count: view.final_count,
                unexplained: unexplained.collect(),
            },
        );
        for nonce in nonces {
            let slot = Slot { wallet, nonce };
            if !self.adopt_version(slot, view, turn) {
                self.on_verdict(slot, view, turn);
            }
        }
    }

    /// Takes a transaction that has used a slot up for a version of it, if it does what the slot is
    /// for: whoever has lost it, it was ours. The next view finds its receipt.
    ///
    /// Where the chain itself was read, and where another run has ended the slot, it is not a version
    /// any more: its task is adopted by its tag. Of a slot that is given up only a no-op is one.
    fn adopt_version(&mut self, slot: Slot, view: &LaneView, turn: &mut Turn) -> bool {
        let (Some(lane), Some(publication)) = (&self.lane, self.publication(slot)) else {
            return false;
        };
        // What was seen in a block is doubted for longer.
        let views = if publication.mined().is_some() { UNEXPLAINED_VIEWS } else { 1 };
        let doubted = publication.unexplained >= views && publication.owner != Owner::OtherRun;
        let is_live = slot.nonce >= lane.read_below && !lane.is_quarantined();
        let Some(found) = view.use_of(slot.nonce).filter(|_| doubted && is_live) else {
            return false;
        };
        let Some((call, fees)) = &found.call else { return false };
        let (hash, seq) = (found.tx_hash, publication.next_seq());
        if !publication.signs().is_like(call) || publication.version_of(hash).is_some() {
            return false;
        }
        if publication.mined().is_some() {
            self.emit(turn, Event::SlotReopened { slot });
        }
        let (call, fees) = (call.clone(), *fees);
        self.emit(turn, Event::VersionSigned { slot, seq, hash, call, fees });
        true
    }

    /// Whether every version of a slot was asked about, and the view says that it is finally used
    /// up by none of them. After the first time only a look for what did counts; and one of its own
    /// versions that it finds explains the nonce, whatever becomes of the receipt.
    fn is_unexplained(&self, nonce: Nonce, asked: &[B256], view: &LaneView) -> bool {
        let publication = self.lane.as_ref().and_then(|lane| lane.slots.get(&nonce));
        publication.is_some_and(|publication| {
            let found = view.use_of(nonce).map(|found| found.tx_hash);
            (publication.unexplained == 0 || view.doubts.contains(&nonce))
                && found.is_none_or(|hash| publication.version_of(hash).is_none())
                && publication.versions.iter().all(|(_, hash)| asked.contains(hash))
                && judge(nonce, publication.versions.iter().copied(), view)
                    == SlotVerdict::Unexplained
        })
    }

    fn on_verdict(&mut self, slot: Slot, view: &LaneView, turn: &mut Turn) {
        let Some(publication) = self.publication(slot) else { return };
        let owner = publication.owner;
        match judge(slot.nonce, publication.versions.iter().copied(), view) {
            SlotVerdict::Open => {
                // Of these the stream never tells; a node that is behind costs one repeat.
                let gone = publication.mined().is_some_and(|(seq, block, ok)| {
                    (!ok || !publication.is_logged(seq)) && block.number <= view.head.number
                });
                if gone {
                    self.emit(turn, Event::SlotReopened { slot });
                }
            }
            SlotVerdict::Nothing => {}
            SlotVerdict::Unexplained => {
                // Our wallet has signed what was found: no view more can make it ours.
                let tx_hash = view.use_of(slot.nonce).map(|found| found.tx_hash);
                let known = tx_hash.and_then(|hash| publication.version_of(hash)).is_some();
                let views = match (publication.mined(), tx_hash) {
                    (None, Some(_)) => 1,
                    (None, None) | (Some(_), Some(_)) => UNEXPLAINED_VIEWS,
                    (Some(_), None) => UNEXPLAINED_VIEWS_OF_MINED,
                };
                if !known && (publication.unexplained >= views || publication.is_fence()) {
                    let (end, gas_paid) = (SlotEnd::Foreign { tx_hash }, Wei::ZERO);
                    self.emit(turn, Event::SlotFinal { slot, end, gas_paid });
                    if let Owner::Task { task, .. } = owner {
                        self.adopt(task, turn);
                    }
                }
            }
            SlotVerdict::Mined(seq, receipt) => {
                // Where the stream has passed, it is right, and a node on another branch is not: it
                // has told of what was mined there, and of what it tells nothing was not.
                let known = publication.mined().map(|(_, block, _)| block);
                let told = receipt.status == ReceiptStatus::Ok && publication.is_logged(seq);
                let passed = |block: BlockRef| self.has_passed_height(block.number);
                if !(known.is_some_and(passed) || (told && passed(receipt.block))) {
                    self.note_receipt((slot, seq), owner, receipt, turn);
                }
            }
            SlotVerdict::Final(seq, receipt) => {
                let noop = publication.is_noop(seq);
                self.note_receipt((slot, seq), owner, receipt, turn);
                let end = match &receipt.status {
                    ReceiptStatus::Ok => SlotEnd::Ok { seq },
                    ReceiptStatus::Reverted(revert) => {
                        SlotEnd::Reverted { seq, revert: revert.clone() }
                    }
                };
                let gas_paid = receipt.gas_paid;
                self.emit(turn, Event::SlotFinal { slot, end, gas_paid });
                self.after_final(owner, (&receipt.status, noop), turn);
            }
        }
    }

    fn note_receipt(
        &mut self,
        (slot, seq): (Slot, Seq),
        owner: Owner,
        receipt: &Receipt,
        turn: &mut Turn,
    ) {
        let ok = receipt.status == ReceiptStatus::Ok;
        self.note_mined(slot, seq, (receipt.block, ok), turn);
        if let Some(address) = receipt.published.filter(|_| ok) {
            self.note_published(owner, address, (receipt.block, receipt.tx_hash), turn);
        }
    }

    /// What a final slot means for its task.
    fn after_final(
        &mut self,
        owner: Owner,
        (status, noop): (&ReceiptStatus, bool),
        turn: &mut Turn,
    ) {
        let Owner::Task { task, round, purpose, .. } = owner else { return };
        let current = self.tasks.get(task).is_some_and(|t| t.round == round);
        match (purpose, status) {
            (Purpose::Publish, ReceiptStatus::Reverted(revert)) if current => {
                self.on_publish_revert(task, revert, turn);
            }
            (Purpose::Publish, ReceiptStatus::Ok) if current && noop => {
                self.emit(turn, Event::TaskDone { task, outcome: Outcome::Canceled });
            }
            (Purpose::Cancel, ReceiptStatus::Ok) if current => {
                self.emit(turn, Event::TaskDone { task, outcome: Outcome::Canceled });
            }
            _ => self.follow(task, turn),
        }
    }
}
