//! What must hold in every state, judged by the chain and by what left, never by the journal
//! alone; and what must be possible.

use stateright::Property;

use super::SlotProtocol;
use super::bounds::Delivery;
use super::journal::{End, Slot};
use super::state::{Purpose, State, Tx, confirmed, expired, publications, responses};

/// At most one successful publication a key; no byte of a round before the one below is closed;
/// at most one round of a task paid for a good output.
pub(super) const S1: &str = "S1 one payment";
/// Nothing leaves that is not written down and synced.
pub(super) const S2: &str = "S2 journal before network";
/// One purpose and key for all versions of a nonce, but for a no-op once giving up is written down.
pub(super) const S3: &str = "S3 one purpose per slot";
/// What was shown as done is final, and paid for the output that was kept.
pub(super) const S4: &str = "S4 confirmed is true";
/// What was shown as canceled is not paid and never will be.
pub(super) const S5: &str = "S5 canceled is true";
/// Reachable: every task is done.
pub(super) const DONE: &str = "all tasks done";

pub(super) fn all() -> Vec<Property<SlotProtocol>> {
    vec![
        Property::always(S1, one_payment),
        Property::always(S2, |_: &SlotProtocol, state: &State| !state.sent_unwritten),
        Property::always(S3, one_purpose),
        Property::always(S4, done_is_true),
        Property::always(S5, canceled_is_true),
        Property::sometimes(DONE, |model: &SlotProtocol, state: &State| {
            (0..model.bounds.tasks)
                .all(|task| model.keys_of(task).any(|key| state.shown_done & (1 << key) != 0))
        }),
    ]
}

fn one_payment(model: &SlotProtocol, state: &State) -> bool {
    let entries = state.chain.entries();
    let single = (0..model.keys()).all(|key| publications(entries, key) <= 1);
    let in_order = (0..model.keys()).all(|key| {
        key % model.bounds.rounds == 0
            || !(still_out(state, key) || publications(entries, key) > 0)
            || is_over(model, state, key - 1)
    });
    let paid = |key: &u8| match model.bounds.delivery {
        Delivery::None => false,
        Delivery::Manual => confirmed(entries, *key).is_some(),
        Delivery::First => matches!(responses(entries, *key).next(), Some((_, true))),
    };
    let once = (0..model.bounds.tasks).all(|task| model.keys_of(task).filter(paid).count() <= 1);
    single && in_order && once
}

/// Whether nothing that leaked can still make this round cost anything, by the chain.
fn is_over(model: &SlotProtocol, state: &State, key: u8) -> bool {
    let quiet = !still_out(state, key);
    let finals = state.chain.finals();
    let published = publications(finals, key) > 0;
    quiet
        && match model.bounds.delivery {
            Delivery::None => !published,
            Delivery::Manual => confirmed(state.chain.entries(), key).is_none(),
            Delivery::First => {
                !published
                    || match responses(finals, key).next() {
                        None => expired(finals, key),
                        Some((_, good)) => !good,
                    }
            }
        }
}

/// Whether something that leaked for this key may still be mined, or be taken back and mined.
fn still_out(state: &State, key: u8) -> bool {
    let open = state.leaked.iter().skip(usize::from(state.chain.final_count()));
    open.clone().any(|txs| txs.publishes(key) || txs.confirms(key))
}

fn one_purpose(_: &SlotProtocol, state: &State) -> bool {
    (0_u8..).zip(&state.leaked).all(|(nonce, leaked)| {
        let slot = state.journal.slot(nonce);
        let ever = slot.map_or(*leaked, |slot| leaked.and(slot.signed));
        let given_up = slot.is_some_and(|slot| slot.given_up);
        ever.purposes() <= usize::from(!ever.contains(Tx::NoOp) || given_up)
    })
}

fn done_is_true(model: &SlotProtocol, state: &State) -> bool {
    let finals = state.chain.finals();
    let shown = (0..model.keys()).filter(|key| state.shown_done & (1 << key) != 0);
    shown.into_iter().all(|key| {
        publications(finals, key) == 1
            && match model.bounds.delivery {
                Delivery::None => true,
                Delivery::Manual => confirmed(finals, key).is_some_and(|response| {
                    state.journal.chosen(key).is_none_or(|chosen| chosen == response)
                        && responses(finals, key).any(|found| found == (response, true))
                }),
                Delivery::First => matches!(responses(finals, key).next(), Some((_, true))),
            }
    })
}

/// A round that is closed has its own proof, so only the open one counts.
fn canceled_is_true(model: &SlotProtocol, state: &State) -> bool {
    let shown = (0..model.bounds.tasks).filter(|task| state.shown_canceled & (1 << task) != 0);
    shown.into_iter().all(|task| {
        model.keys_of(task).all(|key| {
            !still_out(state, key)
                && (state.journal.is_closed(key) || publications(state.chain.entries(), key) == 0)
        })
    })
}

/// A further state that a search must reach, so that none is narrow by mistake.
#[derive(Clone, Copy)]
pub(super) struct Milestone {
    name: &'static str,
    holds: fn(&SlotProtocol, &State) -> bool,
}

impl Milestone {
    pub(super) fn property(&self) -> Property<SlotProtocol> {
        Property::sometimes(self.name, self.holds)
    }
}

pub(super) const CANCELED: Milestone = Milestone {
    name: "canceled by a final no-op",
    holds: |_, state| state.shown_canceled != 0 && ended(state, End::NoOp),
};
pub(super) const PUBLISHED_ALL_THE_SAME: Milestone = Milestone {
    name: "final although cancel was asked",
    holds: |_, state| state.journal.canceling != 0 && ended(state, End::Ok),
};
pub(super) const AFTER_A_REVERT: Milestone = Milestone {
    name: "done after a revert",
    holds: |_, state| state.shown_done != 0 && ended(state, End::Reverted),
};
pub(super) const AFTER_A_FOREIGN_USE: Milestone = Milestone {
    name: "done after a foreign use",
    holds: |_, state| state.shown_done != 0 && ended(state, End::Foreign),
};
pub(super) const SECOND_ROUND: Milestone = Milestone {
    name: "done in the second round",
    holds: |model, state| {
        (0..model.keys())
            .any(|key| key % model.bounds.rounds == 1 && state.shown_done & (1 << key) != 0)
    },
};
pub(super) const SECOND_RESPONSE: Milestone = Milestone {
    name: "done with the second response",
    holds: |_, state| state.shown_done != 0 && state.journal.chosen.contains(&Some(1)),
};
pub(super) const TURNED_AWAY: Milestone = Milestone {
    name: "done after a take-over, an old append turned away",
    holds: |_, state| state.journal.epoch > 0 && state.stale.is_none() && state.shown_done != 0,
};
pub(super) const ADOPTED: Milestone = Milestone {
    name: "adopted after the journal was lost",
    holds: |_, state| {
        let adopted = |slot: &Slot| {
            slot.given_up && slot.end == End::Ok && matches!(slot.purpose, Purpose::Publish(_))
        };
        state.left.copies == 0 && state.journal.bound().any(|(_, slot)| adopted(slot))
    },
};
pub(super) const PUBLISHED_ANEW: Milestone = Milestone {
    name: "published anew after a no-op closed what the journal had lost",
    holds: |_, state| state.left.copies == 0 && state.shown_done != 0 && ended(state, End::NoOp),
};

fn ended(state: &State, end: End) -> bool {
    state.journal.bound().any(|(_, slot)| slot.end == end)
}
