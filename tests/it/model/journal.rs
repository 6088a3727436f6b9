//! What is written down: slots with their versions, cancel requests, choices, closed rounds; and
//! what the store refuses.

use super::state::{KEYS, NONCES, Purpose, Tx, Txs};

/// How a slot stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum End {
    /// Not final, as far as the journal knows.
    Open,
    /// Final: what it was for has happened.
    Ok,
    /// Final: the contract undid it.
    Reverted,
    /// Final: used by something that the journal does not know.
    Foreign,
    /// Final: a no-op took it.
    NoOp,
    /// Given up because of a reply; mutations only.
    Abandoned,
}

/// One bound nonce.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Slot {
    pub purpose: Purpose,
    /// Every version that was ever signed for it.
    pub signed: Txs,
    /// Whether giving up what the slot was for is written down.
    pub given_up: bool,
    pub end: End,
}

impl Slot {
    pub(super) const fn is_live(&self) -> bool {
        matches!(self.end, End::Open | End::Ok)
    }
}

/// A decision, in the form in which it is appended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Append {
    /// Bind a key to a nonce, and sign the first version.
    Bind { key: u8, nonce: u8 },
    /// Bind the confirm of what was chosen to a nonce, and sign it.
    BindConfirm { key: u8, nonce: u8 },
    /// Sign the second version of a slot.
    Bump { nonce: u8 },
    /// Note that a task is to be canceled; with a slot that may be used, sign a no-op for it.
    Cancel { task: u8, nonce: Option<u8> },
    /// Settle on a response whose output was checked.
    Choose { key: u8, response: u8 },
    /// Take the response that a source paid by itself.
    Accept { key: u8 },
    /// Close a round, so that the next may begin.
    Close { key: u8 },
}

/// What the store holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Journal {
    /// By nonce; nothing where the lane was moved over.
    pub slots: [Option<Slot>; NONCES],
    /// The first nonce that was never bound.
    pub next: u8,
    /// Tasks to be canceled, as bits.
    pub canceling: u8,
    /// Keys whose round is closed, as bits.
    pub closed: u8,
    /// Keys whose paid response was accepted, as bits.
    pub accepted: u8,
    /// By key, the response that was chosen.
    pub chosen: [Option<u8>; KEYS],
    /// Which process may append.
    pub epoch: u8,
    /// Whether slots of a chain that was read anew are not all final yet.
    pub recovering: bool,
}

impl Journal {
    pub(super) const EMPTY: Self = Self {
        slots: [None; NONCES],
        next: 0,
        canceling: 0,
        closed: 0,
        accepted: 0,
        chosen: [None; KEYS],
        epoch: 0,
        recovering: false,
    };

    pub(super) fn slot(&self, nonce: u8) -> Option<&Slot> {
        self.slots.get(usize::from(nonce))?.as_ref()
    }

    pub(super) fn slot_mut(&mut self, nonce: u8) -> Option<&mut Slot> {
        self.slots.get_mut(usize::from(nonce))?.as_mut()
    }

    /// Bound slots and their nonces.
    pub(super) fn bound(&self) -> impl Iterator<Item = (u8, &Slot)> {
        (0_u8..).zip(&self.slots).filter_map(|(nonce, slot)| Some((nonce, slot.as_ref()?)))
    }

    /// The slot that is bound to this purpose and not finally used up by something else.
    pub(super) fn live(&self, purpose: Purpose) -> Option<(u8, &Slot)> {
        self.bound().find(|(_, slot)| slot.purpose == purpose && slot.is_live())
    }

    pub(super) fn has_ended_well(&self, purpose: Purpose) -> bool {
        self.live(purpose).is_some_and(|(_, slot)| slot.end == End::Ok)
    }

    pub(super) fn open(&self) -> usize {
        self.bound().filter(|(_, slot)| slot.end == End::Open).count()
    }

    pub(super) const fn is_closed(&self, key: u8) -> bool {
        self.closed & (1 << key) != 0
    }

    pub(super) const fn is_canceling(&self, task: u8) -> bool {
        self.canceling & (1 << task) != 0
    }

    pub(super) fn chosen(&self, key: u8) -> Option<u8> {
        self.chosen.get(usize::from(key)).copied().flatten()
    }

    /// Whether the store's own guards turn an append away: nonces are compared and set, one live
    /// slot for a purpose, one row for a version. Epochs are the caller's.
    pub(super) fn refuses(&self, append: Append) -> bool {
        match append {
            Append::Bind { key, nonce } => {
                nonce < self.next || self.live(Purpose::Publish(key)).is_some()
            }
            Append::BindConfirm { key, nonce } => {
                nonce < self.next || self.live(Purpose::Confirm(key)).is_some()
            }
            Append::Bump { nonce } => self.slot(nonce).is_none_or(|slot| {
                let Purpose::Publish(key) = slot.purpose else { return true };
                slot.signed.contains(Tx::Publish { key, version: 1 })
            }),
            Append::Cancel { .. }
            | Append::Choose { .. }
            | Append::Accept { .. }
            | Append::Close { .. } => false,
        }
    }

    /// Writes a decision down.
    pub(super) fn append(&mut self, append: Append) {
        match append {
            Append::Bind { key, nonce } => {
                let tx = Tx::Publish { key, version: 0 };
                self.bind(nonce, tx, false);
            }
            Append::BindConfirm { key, nonce } => {
                let response = self.chosen(key).unwrap_or(0);
                self.bind(nonce, Tx::Confirm { key, response }, false);
            }
            Append::Bump { nonce } => {
                let version = self.newer_version(nonce);
                if let (Some(slot), Some(tx)) = (self.slot_mut(nonce), version) {
                    slot.signed.insert(tx);
                }
            }
            Append::Cancel { task, nonce } => {
                self.canceling |= 1 << task;
                if let Some(slot) = nonce.and_then(|nonce| self.slot_mut(nonce)) {
                    slot.signed.insert(Tx::NoOp);
                    slot.given_up = true;
                }
            }
            Append::Choose { key, response } => {
                if let Some(chosen) = self.chosen.get_mut(usize::from(key)) {
                    *chosen = Some(response);
                }
            }
            Append::Accept { key } => self.accepted |= 1 << key,
            Append::Close { key } => self.closed |= 1 << key,
        }
    }

    /// Binds a nonce to what a transaction is for; those below that are free stay so for ever.
    pub(super) fn bind(&mut self, nonce: u8, tx: Tx, given_up: bool) {
        let slot = Slot { purpose: tx.purpose(), signed: Txs::one(tx), given_up, end: End::Open };
        if let Some(place) = self.slots.get_mut(usize::from(nonce)) {
            *place = Some(slot);
        }
        self.next = self.next.max(nonce + 1);
    }

    /// The second version of a publication.
    pub(super) fn newer_version(&self, nonce: u8) -> Option<Tx> {
        match self.slot(nonce)?.purpose {
            Purpose::Publish(key) => Some(Tx::Publish { key, version: 1 }),
            Purpose::Confirm(_) | Purpose::NoOp => None,
        }
    }

    /// Notes how a slot ended.
    pub(super) fn end(&mut self, nonce: u8, end: End) {
        if let Some(slot) = self.slot_mut(nonce) {
            slot.end = end;
        }
        self.recovering &= self.open() > 0;
    }

    /// Takes a transaction that the final chain shows at a slot, and that the journal lost.
    pub(super) fn adopt(&mut self, nonce: u8, tx: Tx) {
        if let Some(slot) = self.slot_mut(nonce) {
            slot.signed.insert(tx);
            slot.purpose = tx.purpose();
        }
        if let Tx::Confirm { key, response } = tx {
            self.append(Append::Choose { key, response });
        }
    }
}
