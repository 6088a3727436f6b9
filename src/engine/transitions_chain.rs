//! From (state, input) to facts: slots, logs, views, direct reads.

use alloy::primitives::{Address, B256};

use crate::units::source::Delivery;
use crate::units::{
    BlockRef, Call, LaneView, LogPage, LogRead, Nonce, Purpose, Receipt, ReceiptStatus, Seen,
    SendOutcome, Seq, Sighting, Slot, Survey, TaskFacts, TaskId, TaskStatus, Wei,
};

use super::admission::fees;
use super::publication::{Next, Owner, Publication, PublicationState, after_send, bumped};
use super::step::rule;
use super::task::{Task, TaskState};
use super::verdict::{SlotVerdict, judge};
use super::{Engine, Event, SendNote, SlotEnd, Turn};

/// The most versions of one slot (safety.md, section 7).
const MOST_VERSIONS: usize = 12;
/// So many views must find a slot used up by nothing that we know before that is believed.
const UNEXPLAINED_VIEWS: u32 = 3;

impl Engine {
    /// Notes fees and balances; what the vault shows back is not stuck any more.
    pub(super) fn on_survey(&mut self, survey: Survey, turn: &mut Turn) {
        let returned = self.returned(&survey);
        self.emit(turn, Event::Surveyed(Box::new(survey)));
        if !returned.is_zero() {
            self.emit(turn, Event::EscrowReturned { amount: returned });
        }
    }

    /// How much of what is stuck the vault no longer holds.
    ///
    /// Believed only at a head that this run has read the logs of, and above its last
    /// publication, so that what is missing can be nothing but a payment that came back.
    fn returned(&self, survey: &Survey) -> Wei {
        let cursor = self.ring.back().map_or(0, |block| block.number);
        if survey.head.number > cursor || survey.head.number < self.last_publication {
            return Wei::ZERO;
        }
        let held = self.ledger.locked();
        held.saturating_sub(survey.vault_frozen).min(self.ledger.stuck)
    }

    /// Takes a signed version if it is the one that the slot waits for.
    pub(super) fn on_signed(&mut self, event: Event, turn: &mut Turn) {
        let Event::VersionSigned { slot, seq, call, fees, .. } = &event else { return };
        let waits = self.publication(*slot).is_some_and(|publication| {
            publication.state == PublicationState::Reserved
                && publication.next_seq() == *seq
                && publication.call == *call
                && publication.fees == *fees
        });
        if waits {
            self.emit(turn, event);
        }
    }

    fn publication(&self, slot: Slot) -> Option<&Publication> {
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
            let versions = self
                .publication(Slot { wallet, nonce: note.nonce })
                .map_or(0, |publication| publication.versions.len());
            if after_send(note.outcome, versions) == Next::Bump {
                self.consider_bump(note.nonce, true, turn);
            }
        }
    }

    /// Raises the fees of a slot if it holds up its lane and the market asks for more, or if a
    /// node has just refused them.
    pub(super) fn consider_bump(&mut self, nonce: Nonce, refused: bool, turn: &mut Turn) {
        let (Some(lane), Some((_, survey))) = (&self.lane, &self.survey) else { return };
        let Some(publication) = lane.slots.get(&nonce) else { return };
        let bumpable = lane.lowest_pending() == Some(nonce)
            && publication.state == PublicationState::Held
            && publication.versions.len() < MOST_VERSIONS
            && publication.owner != Owner::OtherRun;
        let market = fees(survey, publication.fees.gas_limit);
        let outbid = market.max_fee_per_gas > publication.fees.max_fee_per_gas;
        if !bumpable || !(refused || outbid) {
            return;
        }
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
            let call = publication.call.clone();
            self.emit(turn, Event::VersionWanted { slot, call, fees: raised });
        }
    }

    /// Follows the log stream: one page on, or back to a block that still stands.
    ///
    /// What does not start at the cursor is late: it may tell of a branch that is gone.
    pub(super) fn on_logs(&mut self, read: LogRead, turn: &mut Turn) {
        let Some(cursor) = self.ring.back() else { return };
        match read {
            LogRead::Advanced(page) if page.after == *cursor => self.on_page(page, turn),
            LogRead::Rewound(to) if to.number < cursor.number => self.on_rewind(to, turn),
            LogRead::Advanced(_) | LogRead::Rewound(_) => {}
        }
    }

    fn on_rewind(&mut self, to: BlockRef, turn: &mut Turn) {
        let Some(lane) = &self.lane else { return };
        for nonce in lane.mined_above(to.number) {
            let slot =
                Slot { wallet: self.lane.as_ref().map_or(Address::ZERO, |l| l.wallet), nonce };
            self.emit(turn, Event::SlotReopened { slot });
        }
        self.emit(turn, Event::LogsRewound { to });
    }

    /// Sightings first, whatever their order within a block; then the cursor; then what finality
    /// allows.
    fn on_page(&mut self, page: LogPage, turn: &mut Turn) {
        let rank = |seen: &Seen| match seen {
            Seen::TaskPublished { .. } => 0,
            Seen::ResponseSubmitted { .. } => 1,
            Seen::TaskStatus { .. } | Seen::ResponseConfirmed { .. } => 2,
        };
        for wanted in 0..=2 {
            for sighting in page.sightings.iter().filter(|s| rank(&s.what) == wanted) {
                self.on_sighting(sighting, turn);
            }
        }
        let LogPage { to, to_time, final_number, final_time, .. } = page;
        self.emit(turn, Event::LogsRead { to, to_time, final_number, final_time });
        for id in self.tasks.waiting_for_height(self.final_number) {
            self.follow(id, turn);
        }
        for id in self.tasks.past_expiry(self.final_time) {
            self.emit(turn, Event::ExpiryPassed { task: id });
            self.follow(id, turn);
        }
    }

    fn on_sighting(&mut self, sighting: &Sighting, turn: &mut Turn) {
        match sighting.what {
            Seen::TaskPublished { task, source } => {
                self.on_published(sighting, (task, source), turn);
            }
            Seen::ResponseSubmitted { response, task } => {
                if let Some(id) = self.tasks.at(task) {
                    self.on_response(id, response, sighting.block, turn);
                }
            }
            Seen::TaskStatus { task, status: TaskStatus::Attempted } => {
                let fresh = self.tasks.at(task).filter(|id| {
                    let published = self.tasks.get(*id).and_then(Task::published);
                    published.is_some_and(|published| !published.attempted)
                });
                if let Some(task) = fresh {
                    self.emit(turn, Event::TaskAttempted { task });
                }
            }
            Seen::TaskStatus { .. } => {}
            Seen::ResponseConfirmed { response } => self.on_confirmed(sighting, response, turn),
        }
    }

    /// A publication counts if its transaction is in the journal and names the same source.
    fn on_published(
        &mut self,
        sighting: &Sighting,
        (address, source): (Address, Address),
        turn: &mut Turn,
    ) {
        let Some(nonce) = self.by_hash.get(&sighting.tx_hash).copied() else { return };
        let Some(lane) = &self.lane else { return };
        let slot = lane.slot(nonce);
        let Some(publication) = lane.slots.get(&nonce) else { return };
        let same_source =
            matches!(publication.call, Call::PublishTask { source: ours, .. } if ours == source);
        let Some(seq) = publication.version_of(sighting.tx_hash).filter(|_| same_source) else {
            return;
        };
        let owner = publication.owner;
        self.note_mined(slot, seq, (sighting.block, true), turn);
        self.note_published(owner, address, (sighting.block, sighting.tx_hash), turn);
    }

    fn note_mined(&mut self, slot: Slot, seq: Seq, (block, ok): (BlockRef, bool), turn: &mut Turn) {
        let state = PublicationState::Mined { seq, block, ok };
        if self.publication(slot).is_some_and(|publication| publication.state != state) {
            self.emit(turn, Event::SlotMined { slot, seq, block, ok });
        }
    }

    fn note_published(
        &mut self,
        owner: Owner,
        address: Address,
        (block, tx_hash): (BlockRef, B256),
        turn: &mut Turn,
    ) {
        let Owner::Task { task: id, round, purpose: Purpose::Publish, .. } = owner else { return };
        let publishing = self.tasks.get(id).is_some_and(|task| {
            task.round == round && matches!(task.state, TaskState::Publishing { .. })
        });
        if publishing {
            self.emit(turn, Event::TaskPublished { task: id, address, block, tx_hash });
        }
    }

    fn on_response(&mut self, id: TaskId, response: Address, block: BlockRef, turn: &mut Turn) {
        let news = self.tasks.get(id).is_some_and(|task| {
            !task.knows(response)
                && match &task.state {
                    TaskState::Awaiting(_)
                    | TaskState::Checking { .. }
                    | TaskState::Choosing { .. } => true,
                    TaskState::Waiting { .. }
                    | TaskState::Pinning
                    | TaskState::Ready { .. }
                    | TaskState::Publishing { .. }
                    | TaskState::Confirming { .. }
                    | TaskState::Closing { .. } => false,
                }
        });
        if news {
            self.emit(turn, Event::ResponseSeen { task: id, response, block });
        }
    }

    fn on_confirmed(&mut self, sighting: &Sighting, response: Address, turn: &mut Turn) {
        let (block, tx_hash) = (sighting.block, sighting.tx_hash);
        if let Some(nonce) = self.by_hash.get(&tx_hash).copied()
            && let Some(lane) = &self.lane
            && let Some(seq) = lane.slots.get(&nonce).and_then(|p| p.version_of(tx_hash))
        {
            let slot = lane.slot(nonce);
            self.note_mined(slot, seq, (block, true), turn);
        }
        let Some(task) = self.tasks.responded_by(response) else { return };
        let known = self.tasks.get(task).and_then(Task::published).and_then(|p| p.confirmed);
        if known != Some((response, block)) {
            let tx_hash = Some(tx_hash);
            self.emit(turn, Event::ResponseConfirmed { task, response, block, tx_hash });
            self.follow(task, turn);
        }
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
            self.on_verdict(Slot { wallet, nonce }, view, turn);
        }
    }

    /// Whether every version of a slot was asked about, and the view says that it is finally used
    /// up by none of them.
    fn is_unexplained(&self, nonce: Nonce, asked: &[B256], view: &LaneView) -> bool {
        let publication = self.lane.as_ref().and_then(|lane| lane.slots.get(&nonce));
        publication.is_some_and(|publication| {
            publication.versions.iter().all(|(_, hash)| asked.contains(hash))
                && judge(nonce, publication.versions.iter().copied(), view)
                    == SlotVerdict::Unexplained
        })
    }

    fn on_verdict(&mut self, slot: Slot, view: &LaneView, turn: &mut Turn) {
        let Some(publication) = self.publication(slot) else { return };
        let owner = publication.owner;
        match judge(slot.nonce, publication.versions.iter().copied(), view) {
            SlotVerdict::Open | SlotVerdict::Nothing => {}
            SlotVerdict::Unexplained => {
                if publication.unexplained >= UNEXPLAINED_VIEWS {
                    let (end, gas_paid) = (SlotEnd::Foreign, Wei::ZERO);
                    self.emit(turn, Event::SlotFinal { slot, end, gas_paid });
                }
            }
            SlotVerdict::Mined(seq, receipt) => {
                self.note_receipt((slot, seq), owner, receipt, turn);
            }
            SlotVerdict::Final(seq, receipt) => {
                self.note_receipt((slot, seq), owner, receipt, turn);
                let end = match &receipt.status {
                    ReceiptStatus::Ok => SlotEnd::Ok { seq },
                    ReceiptStatus::Reverted(revert) => {
                        SlotEnd::Reverted { seq, revert: revert.clone() }
                    }
                };
                let gas_paid = receipt.gas_paid;
                self.emit(turn, Event::SlotFinal { slot, end, gas_paid });
                self.after_final(owner, &receipt.status, turn);
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
    fn after_final(&mut self, owner: Owner, status: &ReceiptStatus, turn: &mut Turn) {
        let Owner::Task { task, round, purpose, .. } = owner else { return };
        let current = self.tasks.get(task).is_some_and(|t| t.round == round);
        match (purpose, status) {
            (Purpose::Publish, ReceiptStatus::Reverted(revert)) if current => {
                self.on_publish_revert(task, revert, turn);
            }
            _ => self.follow(task, turn),
        }
    }

    /// Takes from a direct read what the log stream did not tell.
    pub(super) fn on_task_read(&mut self, id: TaskId, facts: &TaskFacts, turn: &mut Turn) {
        if self.tasks.at(facts.task) != Some(id) {
            return;
        }
        for response in &facts.responses {
            self.on_response(id, *response, facts.block, turn);
        }
        let (status, attempts) = (facts.status, facts.attempts);
        self.emit(turn, Event::TaskRead { task: id, status, attempts });
        let manual = rule(&self.schedule, id.step)
            .is_some_and(|rule| rule.delivery == Delivery::ManualConfirmation);
        let state = self.tasks.get(id).map(|task| &task.state);
        let Some(TaskState::Awaiting(published)) = state else { return };
        let refused = published.refused.len() as u64;
        let exhausted = refused > 0 && refused >= attempts && published.confirmed.is_none();
        if manual && exhausted {
            self.emit(turn, Event::ResponsesExhausted { task: id });
            self.follow(id, turn);
        }
    }
}
