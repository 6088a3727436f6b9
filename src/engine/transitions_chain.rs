//! From (state, input) to facts: surveys, the log stream, direct reads.

use alloy::primitives::{Address, B256};

use crate::units::source::Delivery;
use crate::units::{
    BlockRef, Call, LogPage, LogRead, Purpose, Seen, Sighting, Slot, Survey, TaskFacts, TaskId,
    TaskStatus, Wei,
};

use super::publication::{Owner, PublicationState};
use super::step::rule;
use super::task::{Says, Task, TaskState};
use super::{Engine, Event, Turn};

impl Engine {
    /// Notes fees and balances; what the vault shows back is not stuck any more.
    pub(super) fn on_survey(&mut self, survey: Survey, turn: &mut Turn) {
        let returned = self.returned(&survey).unwrap_or_default();
        self.emit(turn, Event::Surveyed(Box::new(survey)));
        // Where nothing is published any more, no budget is widened by it.
        if !returned.is_zero() && self.cancel.stops_publishing() {
            self.emit(turn, Event::EscrowReturned { amount: returned });
        }
        self.book_refund(turn);
        self.refresh_expiries(turn);
    }

    /// Books what the vault gave back once that is final: until then a reorg can take it again,
    /// when it is spent already.
    fn book_refund(&mut self, turn: &mut Turn) {
        let Some((head, seen)) = self.refund else { return };
        let amount = seen.min(self.ledger.stuck);
        if head.number <= self.final_number && !amount.is_zero() {
            self.emit(turn, Event::EscrowReturned { amount });
        }
    }

    /// How much of what is stuck the vault no longer holds; `None` if this survey cannot say.
    ///
    /// Whatever else the vault has frozen, what is still stuck is part of it. So no more than
    /// that can be stuck, and the payments of open tasks, which a confirm may have taken out
    /// before we know of it, are never taken for money that came back. Believed only at a head
    /// that this run has read the logs of and that stands, and above its last publication: a node
    /// on a branch that is gone may know of no publication at all.
    pub(super) fn returned(&self, survey: &Survey) -> Option<Wei> {
        let stands = survey.head.number <= self.final_number || self.has_passed(survey.head);
        if !stands || survey.head.number < self.last_publication {
            return None;
        }
        let frozen = survey.vault_frozen.saturating_sub(self.surely_frozen());
        Some(self.ledger.stuck.saturating_sub(frozen))
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

    /// The ring has gaps, so the block that still stands may be far below the first that does not;
    /// what is final stays for all that.
    fn on_rewind(&mut self, to: BlockRef, turn: &mut Turn) {
        let Some(lane) = &self.lane else { return };
        for nonce in lane.mined_above(to.number.max(self.final_number)) {
            let slot =
                Slot { wallet: self.lane.as_ref().map_or(Address::ZERO, |l| l.wallet), nonce };
            self.emit(turn, Event::SlotReopened { slot });
        }
        self.emit(turn, Event::LogsRewound { to });
    }

    /// Sightings first, whatever their order within a block; then the cursor; then what finality
    /// allows.
    fn on_page(&mut self, page: LogPage, turn: &mut Turn) {
        self.reopen_unseen(&page, turn);
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
        self.note_refund(turn);
        self.book_refund(turn);
        for id in self.tasks.waiting_for_height(self.final_number) {
            self.follow(id, turn);
        }
        for id in self.tasks.past_expiry(self.final_time) {
            let published = self.tasks.get(id).and_then(Task::published);
            let Some(published) = published.filter(|published| published.confirmed.is_none())
            else {
                continue;
            };
            if published.expired_at.is_none() {
                self.emit(turn, Event::ExpirySeen { task: id });
            } else if published.says == Says::Nothing {
                self.emit(turn, Event::ExpiryPassed { task: id });
                self.follow(id, turn);
            }
        }
    }

    /// Takes back what a view saw ahead of the stream in a block that the stream does not come
    /// through: a branch that is gone, of which no rewind will tell.
    fn reopen_unseen(&mut self, page: &LogPage, turn: &mut Turn) {
        let Some(lane) = &self.lane else { return };
        let passed = page.after.number + 1..=page.to.number;
        let unseen: Vec<Slot> = lane
            .mined_above(page.after.number)
            .into_iter()
            .filter(|nonce| {
                lane.slots.get(nonce).is_some_and(|publication| {
                    let PublicationState::Mined { seq, block, ok: true } = publication.state else {
                        return false;
                    };
                    let hash = publication.hash_of(seq);
                    let seen = |s: &Sighting| Some(s.tx_hash) == hash && s.block == block;
                    publication.is_logged(seq)
                        && passed.contains(&block.number)
                        && !page.sightings.iter().any(seen)
                })
            })
            .map(|nonce| lane.slot(nonce))
            .collect();
        for slot in unseen {
            self.emit(turn, Event::SlotReopened { slot });
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
            Seen::TaskStatus { status: TaskStatus::Canceled, .. } => {
                self.note_ours(sighting, turn);
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

    pub(super) fn note_published(
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

    /// Notes in which block a transaction of ours went well.
    fn note_ours(&mut self, sighting: &Sighting, turn: &mut Turn) {
        let (block, tx_hash) = (sighting.block, sighting.tx_hash);
        if let Some(nonce) = self.by_hash.get(&tx_hash).copied()
            && let Some(lane) = &self.lane
            && let Some(seq) = lane.slots.get(&nonce).and_then(|p| p.version_of(tx_hash))
        {
            let slot = lane.slot(nonce);
            self.note_mined(slot, seq, (block, true), turn);
        }
    }

    fn on_confirmed(&mut self, sighting: &Sighting, response: Address, turn: &mut Turn) {
        let (block, tx_hash) = (sighting.block, sighting.tx_hash);
        self.note_ours(sighting, turn);
        let Some(task) = self.tasks.responded_by(response) else { return };
        let known = self.tasks.get(task).and_then(Task::published).and_then(|p| p.confirmed);
        if known != Some((response, block)) {
            let tx_hash = Some(tx_hash);
            self.emit(turn, Event::ResponseConfirmed { task, response, block, tx_hash });
            self.follow(task, turn);
        }
    }

    /// Takes from a direct read what the log stream did not tell.
    pub(super) fn on_task_read(&mut self, id: TaskId, facts: &TaskFacts, turn: &mut Turn) {
        if self.tasks.at(facts.task) != Some(id) || !self.has_passed(facts.block) {
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
        // What is paid ends no round, whoever has paid it.
        if published.confirmed.is_some() || status == TaskStatus::Finalized {
            return;
        }
        let exhausted = refused > 0 && refused >= attempts;
        let expired = published.expired_at.filter(|_| !self.is_canceling(id));
        if manual && exhausted {
            self.emit(turn, Event::ResponsesExhausted { task: id });
            self.follow(id, turn);
        } else if let Some(height) = expired {
            // What was read before that says nothing of what came since.
            let last = facts.block.number >= height;
            let event = if last {
                Event::ExpiryPassed { task: id }
            } else {
                Event::ExpirySeen { task: id }
            };
            self.emit(turn, event);
            self.follow(id, turn);
        }
    }

    fn is_canceling(&self, id: TaskId) -> bool {
        self.tasks.get(id).is_some_and(|task| task.cancel.is_bound())
    }
}
