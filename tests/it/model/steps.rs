//! What one action makes of a state.

use super::SlotProtocol;
use super::actions::Action;
use super::journal::{Append, End, Slot};
use super::mutations::Mutation;
use super::state::{Entry, Purpose, State, Tx, takes};

impl SlotProtocol {
    pub(super) fn step(&self, before: &State, action: Action) -> Option<State> {
        let mut state = before.clone();
        match action {
            Action::Append(append) => self.append(&mut state, append),
            Action::Sign(append) => state.volatile = Some(append),
            Action::SendSigned => send_from_memory(&mut state)?,
            Action::AppendSigned => {
                let append = state.volatile.take()?;
                self.append(&mut state, append);
            }
            Action::Sync => state.synced = None,
            Action::Send { nonce, tx } => send(&mut state, nonce, tx)?,
            Action::SendFails { nonce, tx } => {
                send(&mut state, nonce, tx)?;
                self.believe_the_error(&mut state, nonce);
            }
            Action::Mine { tx, ok } => {
                if !ok && takes(state.chain.entries(), tx) {
                    state.left.reverts = state.left.reverts.checked_sub(1)?;
                }
                state.chain.push(Entry::Ours { tx, ok });
            }
            Action::MineForeign => {
                state.left.foreign = state.left.foreign.checked_sub(1)?;
                state.chain.push(Entry::Foreign);
            }
            Action::Respond { response, key, good } => {
                state.chain.push(Entry::Response { key, response, good });
            }
            Action::Expire { key } => state.chain.push(Entry::Expired { key }),
            Action::Reorg { to } => {
                state.left.reorgs = state.left.reorgs.checked_sub(1)?;
                state.chain.reorg(to)?;
            }
            Action::Finalise => state.chain.finalise()?,
            Action::Observe { nonce } => self.observe(&mut state, nonce)?,
            Action::Misjudge { nonce } => self.misjudge(&mut state, nonce),
            Action::Crash => {
                state.left.crashes = state.left.crashes.checked_sub(1)?;
                state.volatile = None;
            }
            Action::PowerCut => {
                state.left.crashes = state.left.crashes.checked_sub(1)?;
                state.journal = *state.synced.take()?;
            }
            Action::TakeOver(append) => {
                state.left.takeovers = state.left.takeovers.checked_sub(1)?;
                state.stale = Some((state.journal.epoch, append));
                state.journal.epoch += 1;
            }
            Action::Wake => self.wake(&mut state)?,
            Action::Copy => state.copy = Some(Box::new(state.journal)),
            Action::Restore => {
                state.left.copies = state.left.copies.checked_sub(1)?;
                state.journal = *state.copy.take()?;
            }
            Action::FromChain { count } => self.read_from_chain(&mut state, count),
        }
        Some(state)
    }

    fn append(&self, state: &mut State, append: Append) {
        self.note_unsynced(state);
        state.journal.append(append);
        self.show(state);
    }

    /// Without a sync, the disk holds what it held before.
    fn note_unsynced(&self, state: &mut State) {
        if self.mutation == Some(Mutation::NoSync) && state.synced.is_none() {
            state.synced = Some(Box::new(state.journal));
        }
    }

    /// Shows what the journal says; what was shown stays seen.
    fn show(&self, state: &mut State) {
        state.mark = match self.bounds.faults.copies {
            0 => 0,
            _ => state.mark.max(state.journal.next),
        };
        for task in 0..self.bounds.tasks {
            for key in self.keys_of(task).filter(|key| self.is_done(&state.journal, *key)) {
                state.shown_done |= 1 << key;
            }
            if self.is_canceled(&state.journal, task) {
                state.shown_canceled |= 1 << task;
            }
        }
    }

    fn believe_the_error(&self, state: &mut State, nonce: u8) {
        match self.mutation {
            Some(Mutation::RebindOnError) => state.journal.end(nonce, End::Abandoned),
            Some(Mutation::ReuseNonce) if nonce + 1 == state.journal.next => {
                if let Some(place) = state.journal.slots.get_mut(usize::from(nonce)) {
                    *place = None;
                }
                state.journal.next = nonce;
            }
            Some(Mutation::ResetNonce) => state.journal.next = state.chain.count(),
            _ => {}
        }
    }

    /// The verdict on a slot whose nonce is below the final count.
    fn observe(&self, state: &mut State, nonce: u8) -> Option<()> {
        let entry = state.chain.at_nonce(nonce)?;
        let slot = *state.journal.slot(nonce)?;
        self.note_unsynced(state);
        let Entry::Ours { tx, ok } = entry else {
            state.journal.end(nonce, End::Foreign);
            self.show(state);
            return Some(());
        };
        let known = slot.signed.contains(tx);
        let adopted = !known && self.adopts(&slot, tx);
        if adopted {
            state.journal.adopt(nonce, tx);
            self.close_rounds_below(state, tx);
        }
        let end = match (tx, ok) {
            _ if !known && !adopted => End::Foreign,
            (Tx::NoOp, _) => End::NoOp,
            (Tx::Publish { .. } | Tx::Confirm { .. }, true) => End::Ok,
            (Tx::Publish { .. } | Tx::Confirm { .. }, false) => End::Reverted,
        };
        state.journal.end(nonce, end);
        self.show(state);
        Some(())
    }

    /// Whether a transaction that is not in the journal is taken into it: one of the same purpose
    /// and key, or any at a nonce that is only there to be used up.
    fn adopts(&self, slot: &Slot, tx: Tx) -> bool {
        self.mutation != Some(Mutation::BumpBeforeAppend)
            && (slot.purpose == Purpose::NoOp || slot.purpose == tx.purpose())
    }

    /// A later round was published, so those before it were closed.
    fn close_rounds_below(&self, state: &mut State, tx: Tx) {
        let (Tx::Publish { key, .. } | Tx::Confirm { key, .. }) = tx else { return };
        for lower in key - key % self.bounds.rounds..key {
            state.journal.append(Append::Close { key: lower });
        }
    }

    fn misjudge(&self, state: &mut State, nonce: u8) {
        let end = match self.mutation {
            Some(Mutation::RebindOnRevert) => End::Reverted,
            Some(Mutation::DoneWhenMined) => End::Ok,
            _ => End::Foreign,
        };
        state.journal.end(nonce, end);
        self.show(state);
    }

    /// A process that was stopped before its append wakes; the store knows its epoch.
    fn wake(&self, state: &mut State) -> Option<()> {
        let (epoch, append) = state.stale.take()?;
        let welcome = epoch == state.journal.epoch || self.mutation == Some(Mutation::OldEpoch);
        if welcome && !state.journal.refuses(append) {
            self.append(state, append);
            // It shows what it believes, and it believes that nothing was ever bound.
            if let Append::Cancel { task, nonce: None } = append {
                state.shown_canceled |= 1 << task;
            }
        }
        Some(())
    }

    /// Takes what a view shows at nonces that the journal does not know, and a no-op for each
    /// nonce above that could be on its way: as many as the window lets be open.
    fn read_from_chain(&self, state: &mut State, count: u8) {
        let end = (count + self.bounds.window).min(self.bounds.nonces);
        for nonce in state.journal.next..end {
            let found = state.chain.at_nonce(nonce).filter(|_| nonce < count);
            let tx = match found {
                Some(Entry::Ours { tx, .. }) => tx,
                Some(_) | None => Tx::NoOp,
            };
            state.journal.bind(nonce, tx, true);
            if let Tx::Confirm { key, response } = tx {
                state.journal.append(Append::Choose { key, response });
            }
            self.close_rounds_below(state, tx);
        }
        state.journal.recovering = state.journal.open() > 0;
        self.show(state);
    }
}

/// Lets bytes leave, and notes whether the disk had them.
fn send(state: &mut State, nonce: u8, tx: Tx) -> Option<()> {
    state.leaked.get_mut(usize::from(nonce))?.insert(tx);
    if let Some(synced) = &state.synced {
        state.sent_unwritten |= !synced.slot(nonce).is_some_and(|slot| slot.signed.contains(tx));
    }
    Some(())
}

/// Lets bytes leave that nothing but memory has.
fn send_from_memory(state: &mut State) -> Option<()> {
    let (nonce, tx) = signed(state, state.volatile?)?;
    state.leaked.get_mut(usize::from(nonce))?.insert(tx);
    state.sent_unwritten = true;
    Some(())
}

/// The version that an append signs, and its nonce.
fn signed(state: &State, append: Append) -> Option<(u8, Tx)> {
    match append {
        Append::Bind { key, nonce } => Some((nonce, Tx::Publish { key, version: 0 })),
        Append::BindConfirm { key, nonce } => {
            Some((nonce, Tx::Confirm { key, response: state.journal.chosen(key)? }))
        }
        Append::Bump { nonce } => Some((nonce, state.journal.newer_version(nonce)?)),
        Append::Cancel { .. }
        | Append::Choose { .. }
        | Append::Accept { .. }
        | Append::Close { .. } => None,
    }
}
