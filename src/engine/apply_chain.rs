//! The fold of facts about the chain: its log stream, the lane, what tasks and responses became.

use std::time::Duration;

use alloy::primitives::{Address, B256};

use crate::units::{BlockRef, Call, ChainTime, Nonce, Survey, TaskId, Timestamp};

use super::OpenSlot;
use super::lane::Lane;
use super::publication::{Owner, Publication, PublicationState};
use super::task::{Published, TaskState};
use super::{Engine, RING, Timer};

/// How long a lane is not looked at while nothing calls for it.
pub(super) const VIEW_CADENCE: Duration = Duration::from_secs(5);
/// The same while a slot is used up by nothing that is known.
pub(super) const DOUBT_CADENCE: Duration = Duration::from_secs(1);

impl Engine {
    /// A nonce that was used elsewhere since the run began may be one of its own in a journal that
    /// is lost: what is open is still collected, and nothing is bound any more.
    pub(super) fn lane_taken(
        &mut self,
        wallet: Address,
        next: Nonce,
        (open, foreign): (&[OpenSlot], Option<Nonce>),
    ) {
        let window = self.limits.window.get();
        let lane = self.lane.get_or_insert_with(|| Lane::new(wallet, next, window));
        lane.next = lane.next.max(next);
        lane.is_taken = true;
        lane.foreign = foreign;
        lane.view_wanted = true;
        for slot in open {
            if lane.slots.contains_key(&slot.nonce) {
                continue;
            }
            // Without a version only a fence may do something about it.
            let newest = slot.versions.last().map(|version| version.fees);
            let state = newest.map_or(PublicationState::Held, |_| PublicationState::Signed);
            let versions: Vec<_> = slot.versions.iter().map(|v| (v.seq, v.hash)).collect();
            self.by_hash.extend(versions.iter().map(|(_, hash)| (*hash, slot.nonce)));
            let publication = Publication {
                owner: Owner::OtherRun,
                call: Call::NoOp,
                withdrawn: None,
                fees: newest.unwrap_or_default(),
                quoted_at: None,
                versions,
                expiries: Vec::new(),
                sends: 0,
                unexplained: 0,
                state,
            };
            lane.bind(slot.nonce, publication);
        }
    }

    /// After a resume nobody knows what left before: every signed version goes out again. Nothing is
    /// bound before the lane is taken anew.
    pub(super) fn reopen_lane(&mut self) {
        let Some(lane) = &mut self.lane else { return };
        lane.view_wanted = true;
        lane.is_taken = false;
        let pending: Vec<Nonce> =
            lane.slots.iter().filter(|(_, p)| p.is_pending()).map(|(nonce, _)| *nonce).collect();
        for nonce in pending {
            lane.change(nonce, |publication| {
                publication.sends = 0;
                if publication.state != PublicationState::Reserved {
                    publication.state = PublicationState::Signed;
                }
            });
        }
    }

    /// Keeps the prices, and takes the balances anew.
    pub(super) fn surveyed(&mut self, survey: &Survey, at: Timestamp) {
        self.survey_wanted = false;
        self.cancel.surveys = self.cancel.surveys.saturating_add(1);
        self.head_time = self.head_time.max(survey.time);
        let returned = self.returned(survey);
        self.refund = match (self.refund, returned) {
            (Some((head, seen)), Some(returned)) => Some((head, seen.min(returned))),
            (None, Some(returned)) => Some((survey.head, returned)),
            (known, None) => known,
        }
        .filter(|(_, seen)| !seen.is_zero());
        self.fill_purse(survey);
        self.count_short_surveys(survey);
        self.survey = Some((at, survey.clone()));
        self.timers.set(Timer::Survey, at.after(self.survey_cadence()));
    }

    pub(super) fn logs_read(
        &mut self,
        to: BlockRef,
        to_time: ChainTime,
        (final_number, final_time): (u64, ChainTime),
    ) {
        self.ring.push_back(to);
        if self.ring.len() > RING {
            // The first is where the run began, or below: no reorg that leaves it is too deep.
            self.ring.remove(1);
        }
        self.head_time = self.head_time.max(to_time);
        self.final_number = self.final_number.max(final_number);
        self.final_time = self.final_time.max(final_time);
        // No log tells of fences.
        let fencing = self.errands.are_fences();
        if let Some(lane) = &mut self.lane {
            lane.pages = lane.pages.saturating_add(1);
            lane.view_wanted |= lane.has_gap() || (fencing && !lane.slots.is_empty());
        }
        self.survey_wanted |= self.is_refund_unread() && self.wants_refund_read();
        self.want_receipts();
    }

    /// Wants a view for the receipts of slots in final blocks, if anything waits for them.
    pub(super) fn want_receipts(&mut self) {
        let wanted = self.waits_for_receipts() && self.has_receipts_enough();
        if let Some(lane) = &mut self.lane {
            lane.view_wanted |= wanted;
        }
    }

    /// Goes back to a block that still stands, and forgets responses of the blocks above it.
    ///
    /// What goes back to where the run began, or further, has taken back all that is remembered:
    /// nothing new is published before as much is read again.
    pub(super) fn logs_rewound(&mut self, to: &BlockRef) {
        if self.ring.front().is_none_or(|first| to.number <= first.number) {
            let cursor = self.ring.back().map_or(0, |block| block.number);
            self.read_again_to = self.read_again_to.max(cursor);
        }
        while self.ring.back().is_some_and(|block| block.number > to.number) {
            self.ring.pop_back();
        }
        self.refund = self.refund.filter(|(head, _)| head.number <= to.number);
        if self.ring.back() != Some(to) {
            self.ring.push_back(*to);
        }
        let stays = to.number.max(self.final_number);
        let touched: Vec<TaskId> = self
            .tasks
            .iter()
            .filter(|(_, task)| task.published().is_some())
            .map(|(id, _)| id)
            .collect();
        for id in touched {
            self.change(id, |task| task.rewind(stays));
        }
    }

    pub(super) fn task_published(
        &mut self,
        id: TaskId,
        address: Address,
        (block, tx_hash): (BlockRef, B256),
        at: Timestamp,
    ) {
        let Some(task) = self.tasks.get(id) else { return };
        let TaskState::Publishing { nonce } = task.state else { return };
        let publication = self.lane.as_ref().and_then(|lane| lane.slots.get(&nonce));
        let expiry = publication.and_then(|known| known.expiry_of(tx_hash));
        self.ledger.escrow(task.payment);
        self.last_publication = self.last_publication.max(block.number);
        // Found by a view, behind the log stream: what the logs said of it since went by unknown.
        let read_wanted = self.has_passed_height(block.number);
        let published = Published {
            read_wanted,
            ..Published::new(nonce, address, block, expiry.unwrap_or_default())
        };
        self.change(id, |task| task.state = TaskState::Awaiting(published));
        self.listen(id, at);
    }

    pub(super) fn response_confirmed(&mut self, id: TaskId, response: Address, block: BlockRef) {
        self.change(id, |task| {
            if let Some(published) = task.published_mut() {
                published.confirmed = Some((response, block));
            }
            task.confirmed_meanwhile();
        });
    }
}
