//! The slot protocol, searched exhaustively: one wallet, its nonces, a chain that reorganises, a
//! journal, and every order in which things can happen.
//!
//! * *State*: the canonical chain with its finality pointer; by nonce, every transaction that ever
//!   leaked, each of which may be mined at any later time (so drops, returns and gossip need no
//!   steps of their own); the journal; what was shown; how often each fault may still happen.
//! * *Actions*: decide and append, send, mine, reorganise, finalise, judge by a view, lose things.
//! * *Properties*: S1 to S5, judged by the chain and by what leaked. S2 is judged at the moment of
//!   sending.
//! * *Mutations*: one broken rule each, and the property that breaks with it, so the search itself
//!   is tested.
//!
//! It is a model: it shares no code with the engine. It is laxer than the program, since it binds
//! again after any final revert or foreign use, without quarantine, with any count that an endpoint
//! may show. Appends are atomic and the protocol keeps nothing volatile, so kills and power cuts
//! bite only in mutations. Left out: fees, funds, expiry of a signed publication, `cancelTask`,
//! and liveness. The lock file's mark is taken to be exact; what a lost mark hides is the guide's.
//!
//! `LONG=1` searches further. A run prints its bounds, its states and its time.

mod actions;
mod bounds;
mod journal;
mod mutations;
mod properties;
mod searches;
mod state;
mod steps;

use stateright::{Model, Property};

use actions::Action;
use bounds::{Bounds, Delivery};
use journal::{Append, Journal};
use mutations::Mutation;
use properties::Milestone;
use state::{Chain, NONCES, Purpose, State, Txs};

/// One search: how far, by which rules.
#[derive(Clone, Copy)]
struct SlotProtocol {
    bounds: Bounds,
    mutation: Option<Mutation>,
    /// What else must be reachable.
    milestones: &'static [Milestone],
}

impl SlotProtocol {
    const fn keys(&self) -> u8 {
        self.bounds.tasks * self.bounds.rounds
    }

    const fn keys_of(&self, task: u8) -> std::ops::Range<u8> {
        task * self.bounds.rounds..(task + 1) * self.bounds.rounds
    }

    /// The key of the round that is not closed.
    fn current_key(&self, journal: &Journal, task: u8) -> Option<u8> {
        self.keys_of(task).find(|key| !journal.is_closed(*key))
    }

    /// Whether tasks that nothing was decided about are all alike: no fault brings an older
    /// journal back.
    fn forgets_nothing(&self) -> bool {
        let Bounds { faults, .. } = self.bounds;
        self.mutation.is_none() && faults.copies == 0 && faults.takeovers == 0
    }

    /// Whether a decision is signed and kept in memory first.
    fn keeps_in_memory(&self, append: Append) -> bool {
        match self.mutation {
            Some(Mutation::SendBeforeAppend) => {
                matches!(append, Append::Bind { .. } | Append::BindConfirm { .. })
            }
            Some(Mutation::BumpBeforeAppend | Mutation::BumpBeforeAppendAdopting) => {
                matches!(append, Append::Bump { .. })
            }
            _ => false,
        }
    }

    /// Whether the journal is older than the lane: the lock file knows of nonces above its own.
    fn refuses_to_start(&self, state: &State) -> bool {
        state.journal.next < state.mark && self.mutation != Some(Mutation::MovedLane)
    }

    fn is_done(&self, journal: &Journal, key: u8) -> bool {
        match self.bounds.delivery {
            Delivery::None => journal.has_ended_well(Purpose::Publish(key)),
            Delivery::Manual => journal.has_ended_well(Purpose::Confirm(key)),
            Delivery::First => journal.accepted & (1 << key) != 0,
        }
    }

    fn is_canceled(&self, journal: &Journal, task: u8) -> bool {
        let bound = self
            .current_key(journal, task)
            .is_some_and(|key| journal.live(Purpose::Publish(key)).is_some());
        journal.is_canceling(task) && (!bound || self.mutation == Some(Mutation::CanceledWhenAsked))
    }
}

impl Model for SlotProtocol {
    type State = State;
    type Action = Action;

    fn init_states(&self) -> Vec<State> {
        vec![State {
            chain: Chain::default(),
            leaked: [Txs::default(); NONCES],
            journal: Journal::EMPTY,
            synced: None,
            volatile: None,
            stale: None,
            copy: None,
            mark: 0,
            shown_done: 0,
            shown_canceled: 0,
            sent_unwritten: false,
            left: self.bounds.faults,
        }]
    }

    fn actions(&self, state: &State, actions: &mut Vec<Action>) {
        self.possible(state, actions);
    }

    fn next_state(&self, state: &State, action: Action) -> Option<State> {
        self.step(state, action)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        let milestones = self.milestones.iter().map(Milestone::property);
        properties::all().into_iter().chain(milestones).collect()
    }
}
