//! One item's life: its states, what each waits on, and how a published task ends.

use std::collections::VecDeque;

use alloy::primitives::{Address, B256};

use crate::units::{BlockRef, ChainTime, KeyHash, Nonce, Round, Timestamp, Wei};

use super::cancel::Cancel;
use super::retry::RoundEnd;
use super::{FailReason, Offer, Outcome};

/// How many refused confirms end a round: after the first one everything is looked at again.
pub(super) const MOST_DENIED: u32 = 2;

/// So many times the gas of a confirm is doubled because it ran out.
pub(super) const MOST_STARVED: u32 = 4;

/// How often an output is fetched before it counts as unreadable.
pub(super) const FETCH_TRIES: u32 = 6;

/// A task that has not ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Task {
    /// The item, as the engine knows it.
    pub key: KeyHash,
    /// Which publication of the item this is.
    pub round: Round,
    /// What this round offers, in wei.
    pub payment: Wei,
    /// How long the task lives once it is signed, in seconds of chain time.
    pub expires_s: u64,
    /// What is kept for the gas of its confirm, in wei: from the moment at which it is bound on
    /// a source that leaves confirming to us, until its confirm is bound or the round ends.
    pub confirm_reserve: Wei,
    /// Whether it is to be taken back.
    pub cancel: Cancel,
    /// Whether its outputs are given up: no response of it is looked at or confirmed.
    pub discarded: bool,
    /// Where it stands.
    pub state: TaskState,
}

/// Where a task stands. What is known sits in the variant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum TaskState {
    /// Between two rounds, until a timer.
    Waiting {
        /// When the next round begins.
        until: Timestamp,
    },
    /// Its config is to be pinned.
    Pinning,
    /// Pinned; waits for the gates.
    Ready {
        /// The config's URL.
        url: String,
    },
    /// Bound to a slot that has not published it yet.
    Publishing {
        /// The slot's nonce.
        nonce: Nonce,
    },
    /// On chain, without a response to look at.
    Awaiting(Published),
    /// Looks at one response.
    Checking {
        /// What is on chain.
        published: Published,
        /// The response.
        response: Response,
        /// How far the look is.
        stage: Stage,
    },
    /// Has an accepted output whose response is not final yet.
    Choosing {
        /// What is on chain.
        published: Published,
        /// What would be confirmed.
        candidate: Candidate,
    },
    /// Has settled on a response and waits for its confirm.
    Confirming {
        /// What is on chain.
        published: Published,
        /// What will be confirmed; never changes here.
        candidate: Candidate,
        /// The slot of the confirm, once it is bound.
        nonce: Option<Nonce>,
    },
    /// Over, but for what is not final yet.
    Closing {
        /// What is on chain.
        published: Published,
        /// How it ends.
        end: Ending,
        /// The height that must be final first.
        after: u64,
    },
}

/// Which rounds of a task are closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum LastClosed {
    /// All before this one, which is not published yet as far as is known here.
    Before(Round),
    /// This one, if a later one is on the chain.
    MaybeThis(Round),
    /// A slot, or a payment, says more.
    Unknown,
}

/// How a publication is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Origin {
    /// A slot of the journal published it.
    OwnSlot,
    /// The chain showed it, from a time that the journal does not know.
    Chain,
}

/// What a task's contract has said of its end, where no log has told of one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Says {
    /// Nothing yet.
    Nothing,
    /// A response is confirmed, and that is all that is known of it.
    Finalized,
}

/// What is on chain of a task.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Published {
    /// The slot that published it.
    pub nonce: Nonce,
    /// Its contract.
    pub address: Address,
    /// The block of its publication.
    pub block: BlockRef,
    /// When it ends, in chain time.
    pub expiry: ChainTime,
    /// Whether the publication is final.
    pub is_final: bool,
    /// How it is known.
    pub origin: Origin,
    /// Whether a provider has taken it.
    pub attempted: bool,
    /// Responses that nobody has looked at, oldest first.
    pub queue: VecDeque<Response>,
    /// Responses that were refused.
    pub refused: Vec<Response>,
    /// Why the last one was refused.
    pub refusal: Option<FailReason>,
    /// Which response the chain calls confirmed, and in which block.
    pub confirmed: Option<(Address, BlockRef)>,
    /// How many confirms of ours the contract has refused for good.
    pub denied: u32,
    /// How many confirms of ours have run out of gas.
    pub starved: u32,
    /// Whether it is to be read directly.
    pub read_wanted: bool,
    /// The final height at which it was past its expiry; a read from there on is the last look.
    pub expired_at: Option<u64>,
    /// What its contract has said of its end.
    pub says: Says,
}

/// A response on chain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Response {
    /// Its contract.
    pub address: Address,
    /// Its block.
    pub block: BlockRef,
}

/// How far the look at a response is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Stage {
    /// Its output is to be fetched.
    Fetching {
        /// How often that failed.
        failed: u32,
    },
    /// It is fetched again after a timer.
    Cooling {
        /// How often it failed.
        failed: u32,
    },
    /// Its output is on disk and to be checked.
    Fetched {
        /// Who responded, for how much.
        offer: Offer,
        /// The output.
        sha256: B256,
    },
}

/// A response whose output was accepted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Candidate {
    /// The response.
    pub response: Response,
    /// What the provider asks, in wei.
    pub price: Wei,
    /// Its output.
    pub sha256: B256,
}

/// How a published task ends, once that is final.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Ending {
    /// The item ends.
    Done(Outcome),
    /// The round ends without an accepted output; `retry` says what then.
    Round(RoundEnd),
}

impl Task {
    /// A task in its first round.
    pub(super) const fn new(key: KeyHash, payment: Wei, expires_s: u64) -> Self {
        Self {
            key,
            round: Round::FIRST,
            payment,
            expires_s,
            confirm_reserve: Wei::ZERO,
            cancel: Cancel::No,
            discarded: false,
            state: TaskState::Pinning,
        }
    }

    /// What is on chain of it, if anything is.
    pub(super) const fn published(&self) -> Option<&Published> {
        match &self.state {
            TaskState::Waiting { .. }
            | TaskState::Pinning
            | TaskState::Ready { .. }
            | TaskState::Publishing { .. } => None,
            TaskState::Awaiting(published)
            | TaskState::Checking { published, .. }
            | TaskState::Choosing { published, .. }
            | TaskState::Confirming { published, .. }
            | TaskState::Closing { published, .. } => Some(published),
        }
    }

    /// Which rounds of it are known to be closed, for what the chain shows of later ones.
    pub(super) const fn last_closed(&self) -> LastClosed {
        match &self.state {
            TaskState::Waiting { .. } | TaskState::Pinning | TaskState::Ready { .. } => {
                LastClosed::Before(self.round)
            }
            TaskState::Awaiting(_)
            | TaskState::Checking { .. }
            | TaskState::Choosing { .. }
            | TaskState::Confirming { nonce: None, .. }
            | TaskState::Closing { end: Ending::Round(_), .. } => LastClosed::MaybeThis(self.round),
            TaskState::Publishing { .. }
            | TaskState::Confirming { nonce: Some(_), .. }
            | TaskState::Closing { end: Ending::Done(_), .. } => LastClosed::Unknown,
        }
    }

    /// The slot that it waits for.
    pub(super) const fn slot(&self) -> Option<Nonce> {
        match &self.state {
            TaskState::Publishing { nonce } => Some(*nonce),
            TaskState::Confirming { nonce, .. } => *nonce,
            TaskState::Waiting { .. }
            | TaskState::Pinning
            | TaskState::Ready { .. }
            | TaskState::Awaiting(_)
            | TaskState::Checking { .. }
            | TaskState::Choosing { .. }
            | TaskState::Closing { .. } => None,
        }
    }

    /// What is on chain of it, to be changed.
    pub(super) const fn published_mut(&mut self) -> Option<&mut Published> {
        match &mut self.state {
            TaskState::Waiting { .. }
            | TaskState::Pinning
            | TaskState::Ready { .. }
            | TaskState::Publishing { .. } => None,
            TaskState::Awaiting(published)
            | TaskState::Checking { published, .. }
            | TaskState::Choosing { published, .. }
            | TaskState::Confirming { published, .. }
            | TaskState::Closing { published, .. } => Some(published),
        }
    }

    /// Whether it counts towards the open tasks of the run: bound or on chain, and not over.
    pub(super) const fn is_open(&self) -> bool {
        match &self.state {
            TaskState::Waiting { .. } | TaskState::Pinning | TaskState::Ready { .. } => false,
            TaskState::Publishing { .. }
            | TaskState::Awaiting(_)
            | TaskState::Checking { .. }
            | TaskState::Choosing { .. }
            | TaskState::Confirming { .. }
            | TaskState::Closing { .. } => true,
        }
    }

    /// The response that is looked at, or settled on.
    const fn in_hand(&self) -> Option<Response> {
        match &self.state {
            TaskState::Checking { response, .. } => Some(*response),
            TaskState::Choosing { candidate, .. } | TaskState::Confirming { candidate, .. } => {
                Some(candidate.response)
            }
            TaskState::Waiting { .. }
            | TaskState::Pinning
            | TaskState::Ready { .. }
            | TaskState::Publishing { .. }
            | TaskState::Awaiting(_)
            | TaskState::Closing { .. } => None,
        }
    }

    /// Whether a response is known to this task in any way, but for what the chain said of it.
    pub(super) fn knows(&self, response: Address) -> bool {
        let listed = |published: &Published| {
            let mut listed = published.queue.iter().chain(&published.refused);
            listed.any(|known| known.address == response)
        };
        self.in_hand().is_some_and(|in_hand| in_hand.address == response)
            || self.published().is_some_and(listed)
    }

    /// All responses of this task that are remembered. A reorg can give their addresses to others,
    /// so what it takes back is not among them any more.
    pub(super) fn responses(&self) -> impl Iterator<Item = Address> + '_ {
        let published = self.published();
        let listed = published.into_iter().flat_map(|p| p.queue.iter().chain(&p.refused));
        let confirmed = published.and_then(|p| p.confirmed).map(|(response, _)| response);
        let paid = match &self.state {
            TaskState::Closing { end: Ending::Done(outcome), .. } => outcome.response(),
            TaskState::Closing { end: Ending::Round(_), .. }
            | TaskState::Waiting { .. }
            | TaskState::Pinning
            | TaskState::Ready { .. }
            | TaskState::Publishing { .. }
            | TaskState::Awaiting(_)
            | TaskState::Checking { .. }
            | TaskState::Choosing { .. }
            | TaskState::Confirming { .. } => None,
        };
        let in_hand = self.in_hand().map(|response| response.address);
        listed.map(|response| response.address).chain(in_hand).chain(confirmed).chain(paid)
    }
}

impl Candidate {
    /// The state of a task that was paid for this response, once the height `after` is final.
    pub(super) const fn closing(&self, published: Published, after: u64) -> TaskState {
        let (response, sha256) = (self.response.address, self.sha256);
        let outcome = Outcome::Confirmed { response, sha256, paid: self.price };
        TaskState::Closing { published, end: Ending::Done(outcome), after }
    }
}

impl Published {
    /// A task that has just been published.
    pub(super) const fn new(
        nonce: Nonce,
        address: Address,
        block: BlockRef,
        expiry: ChainTime,
    ) -> Self {
        Self {
            nonce,
            address,
            block,
            expiry,
            is_final: false,
            origin: Origin::OwnSlot,
            attempted: false,
            queue: VecDeque::new(),
            refused: Vec::new(),
            refusal: None,
            confirmed: None,
            denied: 0,
            starved: 0,
            read_wanted: false,
            expired_at: None,
            says: Says::Nothing,
        }
    }

    /// The state in which the next response is looked at, or awaited.
    pub(super) fn look(mut self) -> TaskState {
        match self.queue.pop_front() {
            Some(response) => TaskState::Checking {
                published: self,
                response,
                stage: Stage::Fetching { failed: 0 },
            },
            None => TaskState::Awaiting(self),
        }
    }

    /// Notes that a response was refused.
    pub(super) fn refuse(&mut self, response: Response, reason: FailReason) {
        if self.refused.iter().all(|known| known.address != response.address) {
            self.refused.push(response);
        }
        self.refusal = Some(reason);
    }

    /// The height at which `response` is known to be confirmed, if it is.
    pub(super) fn confirmed_at(&self, response: Address) -> Option<u64> {
        self.confirmed
            .filter(|(confirmed, _)| *confirmed == response)
            .map(|(_, block)| block.number)
    }
}
