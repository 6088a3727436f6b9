//! How one task moves from state to state; called by the fold and by nothing else.

use alloy::primitives::{Address, B256};

use crate::units::{Revert, TaskStatus, Wei};

use super::retry::RoundEnd;
use super::task::{
    Candidate, Ending, MOST_DENIED, MOST_STARVED, Origin, Published, Response, Says, Stage, Task,
    TaskState,
};
use super::{FailReason, Offer, Outcome, Verdict};

impl Task {
    /// Adds a response to those that nobody has looked at, and looks if nothing else is looked at.
    pub(super) fn queue(&mut self, response: Response) {
        let Some(published) = self.published_mut() else { return };
        published.queue.push_back(response);
        if let TaskState::Awaiting(published) = &self.state {
            let mut published = published.clone();
            // On a task that is given up nothing else would say so.
            published.attempted |= self.discarded;
            self.state = self.next_look(published);
        }
    }

    /// The state in which the next response is looked at, or awaited: first the one that is paid, for
    /// it is what was bought, whoever has confirmed it and whatever was thought of it before. One of a
    /// task that is given up is looked at only if it is paid.
    fn next_look(&self, mut published: Published) -> TaskState {
        if let Some((address, block)) = published.confirmed {
            published.queue.retain(|queued| queued.address != address);
            published.queue.push_front(Response { address, block });
        } else if self.discarded {
            return TaskState::Awaiting(published);
        }
        published.look()
    }

    /// Gives up its outputs: what has no confirm yet gets none.
    pub(super) fn discard(&mut self) {
        self.discarded = true;
        let (published, response) = match &self.state {
            TaskState::Checking { published, response, .. } => (published, *response),
            TaskState::Choosing { published, candidate }
            | TaskState::Confirming { published, candidate, nonce: None } => {
                (published, candidate.response)
            }
            TaskState::Waiting { .. }
            | TaskState::Pinning
            | TaskState::Ready { .. }
            | TaskState::Publishing { .. }
            | TaskState::Awaiting(_)
            | TaskState::Confirming { nonce: Some(_), .. }
            | TaskState::Closing { .. } => return,
        };
        let mut published = published.clone();
        published.attempted = true;
        published.queue.push_front(response);
        self.state = self.next_look(published);
    }

    /// Ends the round of a task that waits, once everything about it is final.
    pub(super) fn close(&mut self, ending: impl FnOnce(&Published) -> Ending) {
        let Some(published) = self.published() else { return };
        let published = published.clone();
        let end = ending(&published);
        self.state = TaskState::Closing { after: published.block.number, published, end };
    }

    /// A task that was adopted may have been taken back in the time that the journal does not know;
    /// that is over once the height of this read is final.
    pub(super) fn was_canceled(&mut self, status: TaskStatus, after: u64) {
        if let TaskState::Awaiting(published) = &self.state
            && published.origin == Origin::Chain
            && status == TaskStatus::Canceled
        {
            let (published, end) = (published.clone(), Ending::Done(Outcome::Canceled));
            self.state = TaskState::Closing { published, end, after };
        }
    }

    /// The contract calls a task finalized of which no log has told that: one of the responses that
    /// were refused is paid. Each is looked at again, with what its contract says; not sooner than
    /// the next read that time asks for, if a node cannot say it.
    pub(super) fn was_finalized(&mut self, status: TaskStatus) {
        if let TaskState::Awaiting(published) = &self.state
            && status == TaskStatus::Finalized
            && published.confirmed.is_none()
        {
            let mut published = published.clone();
            published.says = Says::Finalized;
            published.queue.extend(published.refused.iter().copied());
            self.state = self.next_look(published);
        }
    }

    /// Keeps what was fetched.
    pub(super) fn fetched(&mut self, of: Address, offer: &Offer, sha256: B256) {
        if let TaskState::Checking { stage, response, .. } = &mut self.state
            && response.address == of
        {
            *stage = Stage::Fetched { offer: offer.clone(), sha256 };
        }
    }

    /// Goes on after the look at the output of a response; `in_full` says that a confirmed response
    /// gets the whole payment whatever it asks (protocol.md, section 5).
    pub(super) fn judge(&mut self, of: Address, verdict: &Verdict, in_full: bool) {
        let TaskState::Checking { published, response, stage } = &self.state else { return };
        if response.address != of {
            return;
        }
        let (mut published, response) = (published.clone(), *response);
        let confirmed_at = published.confirmed_at(response.address);
        let payment = self.payment;
        let paid = |asked: Wei| if in_full { payment } else { asked.min(payment) };
        self.state = match (verdict, stage, confirmed_at) {
            (Verdict::Accepted, Stage::Fetched { offer, sha256 }, Some(after)) => {
                let paid = paid(offer.payment);
                let outcome =
                    Outcome::Confirmed { response: response.address, sha256: *sha256, paid };
                TaskState::Closing { published, end: Ending::Done(outcome), after }
            }
            (Verdict::Accepted, Stage::Fetched { .. }, None) if self.discarded => {
                published.queue.push_front(response);
                self.next_look(published)
            }
            (Verdict::Accepted, Stage::Fetched { offer, sha256 }, None) => {
                let price = offer.payment.min(payment);
                let candidate = Candidate { response, price, sha256: *sha256 };
                TaskState::Choosing { published, candidate }
            }
            (Verdict::Accepted, Stage::Fetching { .. } | Stage::Cooling { .. }, _) => return,
            (Verdict::Rejected { reason } | Verdict::Unreadable { reason }, stage, Some(after)) => {
                let asked = match stage {
                    Stage::Fetched { offer, .. } => offer.payment,
                    Stage::Fetching { .. } | Stage::Cooling { .. } => payment,
                };
                let paid = paid(asked);
                let response = response.address;
                let outcome = Outcome::RejectedPaid { response, reason: reason.clone(), paid };
                TaskState::Closing { published, end: Ending::Done(outcome), after }
            }
            (Verdict::Rejected { .. } | Verdict::Unreadable { .. }, _, None) => {
                published.refuse(response, verdict.refusal());
                published.read_wanted = published.says == Says::Nothing;
                self.next_look(published)
            }
        };
    }

    /// Settles on the accepted response.
    pub(super) fn choose(&mut self) {
        if let TaskState::Choosing { published, candidate } = &self.state {
            self.state = TaskState::Confirming {
                published: published.clone(),
                candidate: candidate.clone(),
                nonce: None,
            };
        }
    }
}

impl Task {
    /// Forgets what happened in blocks above `height`.
    ///
    /// A response that was found by a direct read may be older than the block of that read: what
    /// is forgotten is read anew.
    pub(super) fn rewind(&mut self, height: u64) {
        // One that has settled on a response, or on none, is not read again as a rule.
        let will_read = !matches!(
            self.state,
            TaskState::Confirming { .. } | TaskState::Closing { end: Ending::Round(_), .. }
        );
        let Some(published) = self.published_mut() else { return };
        published.read_wanted |= published.says != Says::Nothing;
        published.says = Says::Nothing;
        let known = published.queue.len() + published.refused.len();
        let stands = |response: &Response| response.block.number <= height;
        published.queue.retain(stands);
        if will_read {
            published.refused.retain(stands);
            if published.refused.is_empty() {
                published.refusal = None;
            }
        }
        published.read_wanted |= published.queue.len() + published.refused.len() < known;
        if published.confirmed.is_some_and(|(_, block)| block.number > height) {
            published.confirmed = None;
        }
        let gone = match &self.state {
            TaskState::Checking { response, .. } => response.block.number > height,
            TaskState::Choosing { candidate, .. } => candidate.response.block.number > height,
            TaskState::Closing { end: Ending::Done(_), after, .. } => *after > height,
            TaskState::Waiting { .. }
            | TaskState::Pinning
            | TaskState::Ready { .. }
            | TaskState::Publishing { .. }
            | TaskState::Awaiting(_)
            | TaskState::Confirming { .. }
            | TaskState::Closing { end: Ending::Round(_), .. } => false,
        };
        if gone && let Some(published) = self.published() {
            let mut published = published.clone();
            published.read_wanted = true;
            self.state = self.next_look(published);
        }
    }

    /// What was looked at as a confirmed response is none: whatever there is, the task itself says.
    pub(super) fn response_is_gone(&mut self, gone: Address) {
        let Some(published) = self.published_mut() else { return };
        published.confirmed = published.confirmed.filter(|(response, _)| *response != gone);
        if let TaskState::Checking { published, response, .. } = &self.state
            && response.address == gone
        {
            let mut published = published.clone();
            published.read_wanted = true;
            self.state = self.next_look(published);
        }
    }

    /// The confirm is final: the task closes with the chosen response paid.
    pub(super) fn confirm_is_final(&mut self) {
        if let TaskState::Confirming { published, candidate, .. } = &self.state {
            self.state = candidate.closing(published.clone(), 0);
        }
    }

    /// The contract refused the confirm, in a block of this height. If the response is known to be
    /// confirmed, it is paid; if another one is, that one is looked at, for it is what was bought.
    /// One that ran out of gas is signed again with more. Else the task and its response are read again, as somebody may have confirmed it. A second
    /// refusal says that nothing will be paid through us, and once the log stream has come past it
    /// without a word, that nothing was.
    pub(super) fn confirm_was_refused(&mut self, revert: &Revert, height: u64) {
        let TaskState::Confirming { published, candidate, .. } = &self.state else { return };
        let mut published = published.clone();
        if let Some(after) = published.confirmed_at(candidate.response.address) {
            self.state = candidate.closing(published, after);
            return;
        }
        if let Some((address, block)) = published.confirmed {
            published.queue.push_front(Response { address, block });
            self.state = published.look();
            return;
        }
        if *revert == Revert::OutOfGas && published.starved < MOST_STARVED && !self.discarded {
            published.starved += 1;
            let candidate = candidate.clone();
            self.state = TaskState::Confirming { published, candidate, nonce: None };
            return;
        }
        published.denied += 1;
        if published.denied < MOST_DENIED {
            published.read_wanted = true;
            published.queue.push_front(candidate.response);
            self.state = self.next_look(published);
            return;
        }
        // The log stream may still tell that somebody else has confirmed it.
        published.queue.push_front(candidate.response);
        let reason = FailReason::PublishError(format!("the confirm was refused: {revert}"));
        let end = Ending::Round(RoundEnd { reason, may_retry: false });
        self.state = TaskState::Closing { published, end, after: height };
    }

    /// Somebody confirmed the response that this task was about to confirm: it is paid. In a round
    /// that was about to end unpaid, the one that is paid is looked at.
    pub(super) fn confirmed_meanwhile(&mut self) {
        if let TaskState::Closing { published, end: Ending::Round(_), .. } = &self.state
            && published.confirmed.is_some()
        {
            self.state = self.next_look(published.clone());
            return;
        }
        if let TaskState::Awaiting(published) = &self.state {
            self.state = self.next_look(published.clone());
        }
        let (TaskState::Choosing { published, candidate }
        | TaskState::Confirming { published, candidate, nonce: None }) = &self.state
        else {
            return;
        };
        let Some(after) = published.confirmed_at(candidate.response.address) else { return };
        self.state = candidate.closing(published.clone(), after);
    }
}

#[cfg(test)]
mod tests;
