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

    /// Goes on after the look at the output of a response; `in_full` says that a confirmed response gets the
    /// whole payment whatever it asks (protocol.md, section 5).
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
mod tests {
    use super::*;
    use crate::units::{BlockRef, ChainTime, KeyHash, Nonce};

    const BLOCK: BlockRef = BlockRef { number: 7, hash: B256::ZERO };

    fn response(byte: u8) -> Response {
        Response { address: Address::repeat_byte(byte), block: BLOCK }
    }

    /// A task whose confirm of the first response is on its way.
    fn confirming(confirmed: Option<Response>) -> Task {
        let published = Published {
            nonce: Nonce(0),
            address: Address::repeat_byte(1),
            block: BLOCK,
            expiry: ChainTime::from_secs(1),
            is_final: true,
            origin: Origin::OwnSlot,
            attempted: true,
            queue: std::collections::VecDeque::new(),
            refused: Vec::new(),
            refusal: None,
            confirmed: confirmed.map(|response| (response.address, response.block)),
            denied: 0,
            starved: 0,
            read_wanted: false,
            expired_at: None,
            says: Says::Nothing,
        };
        let candidate =
            Candidate { response: response(2), price: Wei::from_u128(5), sha256: B256::ZERO };
        let mut task = Task::new(KeyHash([0; 16]), Wei::from_u128(9), 60);
        task.state = TaskState::Confirming { published, candidate, nonce: Some(Nonce(1)) };
        task
    }

    #[test]
    fn a_refused_confirm_of_what_is_confirmed_already_is_paid() {
        let mut task = confirming(Some(response(2)));
        task.confirm_was_refused(&Revert::AlreadyConfirmed, 9);
        let TaskState::Closing { end: Ending::Done(outcome), after, .. } = task.state else {
            panic!("{:?}", task.state)
        };
        assert_eq!((outcome.paid(), after), (Some(Wei::from_u128(5)), 7));
    }

    #[test]
    fn a_refused_confirm_looks_at_the_response_that_is_confirmed_instead() {
        let mut task = confirming(Some(response(3)));
        for revert in [Revert::AlreadyFinalized, Revert::Other("whatever".into())] {
            let mut task = task.clone();
            task.confirm_was_refused(&revert, 9);
            let TaskState::Checking { response: looked_at, .. } = task.state else {
                panic!("{:?}", task.state)
            };
            assert_eq!(looked_at, response(3));
        }
        task.confirm_was_refused(&Revert::AlreadyConfirmed, 9);
        task.judge(response(3).address, &Verdict::Rejected { reason: "wrong".into() }, false);
        let TaskState::Closing { end: Ending::Done(outcome), .. } = task.state else {
            panic!("{:?}", task.state)
        };
        assert!(matches!(outcome, Outcome::RejectedPaid { .. }), "{outcome:?}");
    }

    #[test]
    fn a_confirm_that_ran_out_of_gas_is_signed_again_some_times() {
        let mut task = confirming(None);
        for round in 1..=MOST_STARVED {
            task.confirm_was_refused(&Revert::OutOfGas, 9);
            let TaskState::Confirming { published, candidate, nonce: None } = task.state.clone()
            else {
                panic!("{:?}", task.state)
            };
            assert_eq!((published.starved, published.denied), (round, 0));
            let nonce = Some(Nonce(u64::from(round)));
            task.state = TaskState::Confirming { published, candidate, nonce };
        }
        task.confirm_was_refused(&Revert::OutOfGas, 9);
        assert!(matches!(task.state, TaskState::Checking { .. }), "{:?}", task.state);
    }

    #[test]
    fn what_is_forgotten_of_a_branch_is_read_anew_and_its_addresses_are_free() {
        let mut task =
            confirming(Some(Response { block: BlockRef { number: 9, ..BLOCK }, ..response(4) }));
        let published = task.published_mut().unwrap();
        published.refuse(response(5), FailReason::Rejected("no".into()));
        published.refuse(
            Response { block: BlockRef { number: 8, ..BLOCK }, ..response(6) },
            FailReason::Rejected("no".into()),
        );
        published
            .queue
            .push_back(Response { block: BlockRef { number: 8, ..BLOCK }, ..response(7) });
        let known = |task: &Task| -> Vec<Address> { task.responses().collect() };
        assert_eq!(known(&task), [7, 5, 6, 2, 4].map(Address::repeat_byte));
        let mut settled = task.clone();
        settled.rewind(7);
        assert_eq!(known(&settled), [5, 6, 2].map(Address::repeat_byte), "it reads no more");
        let published = task.published().unwrap().clone();
        task.state = TaskState::Choosing {
            published,
            candidate: Candidate {
                response: response(2),
                price: Wei::from_u128(5),
                sha256: B256::ZERO,
            },
        };
        task.rewind(7);
        assert_eq!(known(&task), [5, 2].map(Address::repeat_byte));
        assert!(!task.knows(response(6).address) && task.knows(response(5).address));
        assert!(task.published().unwrap().read_wanted);
    }

    /// The same task before anything is looked at, with one response that was refused.
    fn awaiting(origin: Origin) -> Task {
        let mut task = confirming(None);
        let mut published = task.published().unwrap().clone();
        published.origin = origin;
        published.refuse(response(4), FailReason::Rejected("no".into()));
        task.state = TaskState::Awaiting(published);
        task
    }

    #[test]
    fn an_adopted_task_that_was_taken_back_ends_as_cancelled_once_that_is_final() {
        let mut ours = awaiting(Origin::OwnSlot);
        ours.was_canceled(TaskStatus::Canceled, 12);
        assert!(matches!(ours.state, TaskState::Awaiting(_)), "of ours the cancel's slot tells");
        let mut task = awaiting(Origin::Chain);
        task.was_canceled(TaskStatus::Responded, 12);
        assert!(matches!(task.state, TaskState::Awaiting(_)));
        task.was_canceled(TaskStatus::Canceled, 12);
        let TaskState::Closing { end: Ending::Done(outcome), after, .. } = task.state else {
            panic!("{:?}", task.state)
        };
        assert_eq!((outcome, after), (Outcome::Canceled, 12));
    }

    #[test]
    fn what_the_contract_calls_finalized_is_looked_at_once_more_and_again_after_a_reorg() {
        let mut task = awaiting(Origin::OwnSlot);
        task.was_finalized(TaskStatus::Responded);
        assert!(matches!(task.state, TaskState::Awaiting(_)));
        for _ in 0..2 {
            // As the read has done.
            task.published_mut().unwrap().read_wanted = false;
            task.was_finalized(TaskStatus::Finalized);
            let TaskState::Checking { published, response: looked_at, .. } = &task.state else {
                panic!("{:?}", task.state)
            };
            assert_eq!((*looked_at, published.read_wanted), (response(4), false));
            let refused = Verdict::Rejected { reason: "no".into() };
            task.judge(response(4).address, &refused, false);
            let TaskState::Awaiting(published) = &task.state else { panic!("{:?}", task.state) };
            assert!(!published.read_wanted, "time asks for the next read, and no reply does");
            task.rewind(BLOCK.number);
            assert!(task.published().unwrap().read_wanted, "what it said may be gone");
        }
    }

    #[test]
    fn what_is_paid_is_looked_at_next_whatever_is_looked_at_now() {
        for discarded in [false, true] {
            let mut task = awaiting(Origin::OwnSlot);
            task.discarded = discarded;
            task.state = TaskState::Checking {
                published: task.published().unwrap().clone(),
                response: response(5),
                stage: Stage::Fetching { failed: 0 },
            };
            // Refused before, and confirmed by somebody while another one is looked at.
            task.published_mut().unwrap().confirmed = Some((response(4).address, BLOCK));
            task.confirmed_meanwhile();
            let refused = Verdict::Rejected { reason: "no".into() };
            task.judge(response(4).address, &refused, false);
            assert!(
                matches!(&task.state, TaskState::Checking { response: r, .. } if *r == response(5))
            );
            task.judge(response(5).address, &refused, false);
            assert!(
                matches!(&task.state, TaskState::Checking { response: r, .. } if *r == response(4))
            );
            task.judge(response(4).address, &refused, false);
            let TaskState::Closing { end: Ending::Done(outcome), .. } = &task.state else {
                panic!("{:?}", task.state)
            };
            assert!(matches!(outcome, Outcome::RejectedPaid { .. }));
        }
    }

    #[test]
    fn a_confirmed_response_that_is_none_is_forgotten_and_nothing_counts_as_paid() {
        let mut task = confirming(Some(response(3)));
        task.confirm_was_refused(&Revert::AlreadyFinalized, 9);
        task.response_is_gone(response(3).address);
        let TaskState::Awaiting(published) = task.state else { panic!("{:?}", task.state) };
        assert_eq!((published.confirmed, published.read_wanted), (None, true));
    }

    #[test]
    fn a_confirm_that_is_refused_twice_and_of_which_nothing_is_paid_ends_the_round() {
        let mut task = confirming(None);
        task.confirm_was_refused(&Revert::AlreadyFinalized, 9);
        let TaskState::Checking { published, response: looked_at, .. } = task.state.clone() else {
            panic!("{:?}", task.state)
        };
        assert_eq!(looked_at, response(2));
        let candidate =
            Candidate { response: looked_at, price: Wei::from_u128(5), sha256: B256::ZERO };
        task.state = TaskState::Confirming { published, candidate, nonce: Some(Nonce(2)) };
        task.confirm_was_refused(&Revert::AlreadyFinalized, 9);
        assert!(
            matches!(task.state, TaskState::Closing { end: Ending::Round(_), after: 9, .. }),
            "{:?}",
            task.state
        );
        assert!(task.responses().any(|known| known == response(2).address), "it is still known");
        // The stranger who was faster shows only when the log stream comes past the refusal.
        task.published_mut().unwrap().confirmed = Some((response(2).address, BLOCK));
        task.confirmed_meanwhile();
        let TaskState::Checking { response: looked_at, .. } = task.state else {
            panic!("{:?}", task.state)
        };
        assert_eq!(looked_at, response(2));
    }
}
