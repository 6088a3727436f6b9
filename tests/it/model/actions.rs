//! What can happen next in a state.

use super::SlotProtocol;
use super::bounds::Delivery;
use super::journal::{Append, End};
use super::mutations::Mutation;
use super::state::{
    Entry, NONCES, Purpose, State, Tx, confirmed, expired, publications, responses, takes,
};

/// One step of the world.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Action {
    /// Decide, sign and append. Nobody else sees the steps between, so they are one.
    Append(Append),
    /// Sign, and keep it in memory; mutations only.
    Sign(Append),
    /// Send what is in memory alone; mutations only.
    SendSigned,
    /// Append what is in memory; mutations only.
    AppendSigned,
    /// What was appended reaches the disk; mutations only.
    Sync,
    /// Send a version. Replies change nothing, so a lost one is the same step.
    Send {
        nonce: u8,
        tx: Tx,
    },
    /// Send a version, and take an error for an answer; mutations only.
    SendFails {
        nonce: u8,
        tx: Tx,
    },
    /// A transaction that leaked gets into a block.
    Mine {
        tx: Tx,
        ok: bool,
    },
    MineForeign,
    /// A provider responds.
    Respond {
        response: u8,
        key: u8,
        good: bool,
    },
    /// A block past the expiry of a task.
    Expire {
        key: u8,
    },
    Reorg {
        to: u8,
    },
    Finalise,
    /// Judge a slot by a view that is pinned to a final block.
    Observe {
        nonce: u8,
    },
    /// Judge a slot as no view allows; mutations only.
    Misjudge {
        nonce: u8,
    },
    /// The process dies, and its memory with it; mutations only, since sound memory holds nothing.
    Crash,
    /// The disk keeps what was synced; mutations only, since sound appends are.
    PowerCut,
    /// The process stops before this append, and another takes the lane over.
    TakeOver(Append),
    /// The stopped process goes on with its append.
    Wake,
    /// Somebody copies the journal.
    Copy,
    /// Somebody puts the copy in the journal's place.
    Restore,
    /// The chain is read anew, by a view with this count.
    FromChain {
        count: u8,
    },
}

impl SlotProtocol {
    pub(super) fn possible(&self, state: &State, actions: &mut Vec<Action>) {
        self.of_the_chain(state, actions);
        self.of_the_providers(state, actions);
        self.of_accidents(state, actions);
        if self.refuses_to_start(state) {
            let counts = state.chain.final_count()..=state.chain.count();
            actions.extend(counts.map(|count| Action::FromChain { count }));
            return;
        }
        self.of_the_sender(state, actions);
        self.of_the_judge(state, actions);
        if state.volatile.is_none() {
            let mut decisions = Vec::new();
            self.decisions(state, &mut decisions);
            let can_lose = state.left.takeovers > 0 && state.stale.is_none();
            for append in decisions {
                if self.keeps_in_memory(append) {
                    actions.push(Action::Sign(append));
                } else {
                    actions.push(Action::Append(append));
                }
                if can_lose {
                    actions.push(Action::TakeOver(append));
                }
            }
        }
    }

    fn of_the_chain(&self, state: &State, actions: &mut Vec<Action>) {
        let chain = &state.chain;
        let count = chain.count();
        for tx in state.leaked.get(usize::from(count)).into_iter().flat_map(|txs| txs.iter()) {
            let takes = takes(chain.entries(), tx);
            if takes {
                actions.push(Action::Mine { tx, ok: true });
            }
            if !takes || (tx != Tx::NoOp && state.left.reverts > 0) {
                actions.push(Action::Mine { tx, ok: false });
            }
        }
        if state.left.foreign > 0 && usize::from(count) < NONCES {
            actions.push(Action::MineForeign);
        }
        let len = u8::try_from(chain.entries().len()).unwrap_or(u8::MAX);
        if state.left.reorgs > 0 {
            actions.extend((chain.final_len()..len).map(|to| Action::Reorg { to }));
        }
        if chain.final_len() < len {
            actions.push(Action::Finalise);
        }
    }

    fn of_the_providers(&self, state: &State, actions: &mut Vec<Action>) {
        let entries = state.chain.entries();
        for key in 0..self.keys() {
            let lives = publications(entries, key) > 0
                && !expired(entries, key)
                && confirmed(entries, key).is_none();
            if !lives {
                continue;
            }
            let response = u8::try_from(responses(entries, key).count()).unwrap_or(u8::MAX);
            if response < self.bounds.responses {
                for good in [true, false] {
                    actions.push(Action::Respond { response, key, good });
                }
            }
            if self.bounds.delivery == Delivery::First && response == 0 {
                actions.push(Action::Expire { key });
            }
        }
    }

    fn of_accidents(&self, state: &State, actions: &mut Vec<Action>) {
        if state.left.crashes > 0 && state.volatile.is_some() {
            actions.push(Action::Crash);
        }
        if state.synced.is_some() {
            actions.push(Action::Sync);
            if state.left.crashes > 0 {
                actions.push(Action::PowerCut);
            }
        }
        if state.stale.is_some() {
            actions.push(Action::Wake);
        }
        if state.left.copies > 0 {
            actions.push(if state.copy.is_none() { Action::Copy } else { Action::Restore });
        }
    }

    fn of_the_sender(&self, state: &State, actions: &mut Vec<Action>) {
        let believes_errors = matches!(
            self.mutation,
            Some(Mutation::RebindOnError | Mutation::ReuseNonce | Mutation::ResetNonce)
        );
        for (nonce, slot) in state.journal.bound() {
            let Some(leaked) = state.leaked.get(usize::from(nonce)) else { continue };
            for tx in slot.signed.without(*leaked).iter() {
                actions.push(Action::Send { nonce, tx });
                if believes_errors {
                    actions.push(Action::SendFails { nonce, tx });
                }
            }
        }
        if state.volatile.is_some() {
            if !state.sent_unwritten {
                actions.push(Action::SendSigned);
            }
            actions.push(Action::AppendSigned);
        }
    }

    fn of_the_judge(&self, state: &State, actions: &mut Vec<Action>) {
        for (nonce, slot) in state.journal.bound().filter(|(_, slot)| slot.end == End::Open) {
            let is_final = nonce < state.chain.final_count();
            if is_final {
                actions.push(Action::Observe { nonce });
            }
            let Some(entry) = state.chain.at_nonce(nonce) else { continue };
            let known = |ok| {
                matches!(entry, Entry::Ours { tx, ok: found }
                    if found == ok && tx != Tx::NoOp && slot.signed.contains(tx))
            };
            let wrong = match self.mutation {
                Some(Mutation::RebindUnseen) => !is_final,
                Some(Mutation::RebindOnRevert) => !is_final && known(false),
                Some(Mutation::DoneWhenMined) => !is_final && known(true),
                Some(Mutation::TwoViews) => is_final,
                _ => false,
            };
            if wrong {
                actions.push(Action::Misjudge { nonce });
            }
        }
    }

    fn decisions(&self, state: &State, decisions: &mut Vec<Append>) {
        if state.journal.recovering {
            return;
        }
        for task in 0..self.bounds.tasks {
            let interchangeable = self.forgets_nothing()
                && is_fresh(state, self, task)
                && (0..task).any(|lower| is_fresh(state, self, lower));
            let Some(key) = self.current_key(&state.journal, task).filter(|_| !interchangeable)
            else {
                continue;
            };
            self.of_the_lane(state, (task, key), decisions);
            self.of_the_round(state, (task, key), decisions);
        }
        for (nonce, slot) in state.journal.bound() {
            let bumpable = self.bounds.versions > 1
                && slot.end == End::Open
                && !slot.given_up
                && state.journal.newer_version(nonce).is_some_and(|tx| !slot.signed.contains(tx));
            if bumpable {
                decisions.push(Append::Bump { nonce });
            }
        }
    }

    /// Slots: binding, and giving up what one is bound to.
    fn of_the_lane(&self, state: &State, (task, key): (u8, u8), decisions: &mut Vec<Append>) {
        let journal = &state.journal;
        let publication = journal.live(Purpose::Publish(key));
        let room = journal.open() < usize::from(self.bounds.window);
        // The count is any between the final one and the latest: the endpoint may lag.
        let lowest = journal.next.max(state.chain.final_count());
        let highest = journal.next.max(state.chain.count());
        let nonces = (lowest..=highest).filter(|nonce| room && *nonce < self.bounds.nonces);
        if !journal.is_canceling(task) {
            if publication.is_none() {
                decisions.extend(nonces.clone().map(|nonce| Append::Bind { key, nonce }));
            }
            let nonce = publication.map(|(nonce, _)| nonce);
            let can_cancel = publication.is_none_or(|(_, slot)| slot.end == End::Open);
            if self.bounds.cancels && can_cancel {
                decisions.push(Append::Cancel { task, nonce });
            }
        }
        if journal.chosen(key).is_some() && journal.live(Purpose::Confirm(key)).is_none() {
            decisions.extend(nonces.map(|nonce| Append::BindConfirm { key, nonce }));
        }
    }

    /// Rounds: choosing, accepting, closing.
    fn of_the_round(&self, state: &State, (task, key): (u8, u8), decisions: &mut Vec<Append>) {
        let (journal, finals) = (&state.journal, state.chain.finals());
        let published = journal.has_ended_well(Purpose::Publish(key));
        if published && self.bounds.delivery == Delivery::Manual {
            let seen = match self.mutation {
                Some(Mutation::ConfirmEarly) => state.chain.entries(),
                _ => finals,
            };
            let confirming =
                journal.live(Purpose::Confirm(key)).is_some_and(|(_, slot)| slot.end == End::Open);
            let may_choose = match journal.chosen(key) {
                None => true,
                Some(_) => self.mutation == Some(Mutation::AnotherChoice) && confirming,
            };
            let fit = responses(seen, key).filter(|(response, good)| {
                *good && may_choose && journal.chosen(key) != Some(*response)
            });
            decisions.extend(fit.map(|(response, _)| Append::Choose { key, response }));
        }
        let first = responses(finals, key).next();
        if published
            && self.bounds.delivery == Delivery::First
            && matches!(first, Some((_, true)))
            && journal.accepted & (1 << key) == 0
        {
            decisions.push(Append::Accept { key });
        }
        let last = key % self.bounds.rounds + 1 == self.bounds.rounds;
        if !last && !journal.is_canceling(task) && self.may_close(state, key) {
            decisions.push(Append::Close { key });
        }
    }

    fn may_close(&self, state: &State, key: u8) -> bool {
        let (journal, finals) = (&state.journal, state.chain.finals());
        if self.mutation == Some(Mutation::NextRoundEarly) {
            return journal.live(Purpose::Publish(key)).is_some();
        }
        match journal.live(Purpose::Publish(key)) {
            // A final revert of a class that does not retry, or a nonce that is gone.
            None => journal.bound().any(|(_, slot)| slot.purpose == Purpose::Publish(key)),
            Some((_, slot)) if slot.end == End::Open => false,
            Some(_) => match self.bounds.delivery {
                Delivery::None => false,
                // Nothing is paid without a confirm, so policy may close it.
                Delivery::Manual => journal.chosen(key).is_none(),
                Delivery::First => match responses(finals, key).next() {
                    None => expired(finals, key),
                    Some((_, good)) => !good,
                },
            },
        }
    }
}

/// Whether nothing was ever decided about a task.
fn is_fresh(state: &State, model: &SlotProtocol, task: u8) -> bool {
    let rounds = model.bounds.rounds;
    let mut keys = task * rounds..(task + 1) * rounds;
    let untouched = |key| !state.journal.bound().any(|(_, s)| s.purpose == Purpose::Publish(key));
    keys.all(untouched) && !state.journal.is_canceling(task)
}
