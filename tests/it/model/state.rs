//! What the model's world consists of: transactions, the canonical chain, what leaked, what is
//! written down, what was shown.

use super::journal::{Append, Journal};

/// The most nonces that any bounds may name.
pub(super) const NONCES: usize = 5;
/// The most task keys: tasks times rounds.
pub(super) const KEYS: usize = 4;
/// How many responses a key may get.
const RESPONSES: u8 = 2;
/// How many versions of a publication may be signed.
pub(super) const VERSIONS: u8 = 2;

/// What a slot can be for. A key is the number of a task and a round: `task * rounds + round`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Purpose {
    /// Publish the task of this key.
    Publish(u8),
    /// Confirm a response to the task of this key.
    Confirm(u8),
    /// Use the nonce up, and nothing else: for a chain that is read after the journal was lost.
    NoOp,
}

/// One transaction that the wallet can sign; its nonce is that of the slot it is kept under.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Tx {
    /// A version of a publication.
    Publish { key: u8, version: u8 },
    /// A confirm of one response, by its address.
    Confirm { key: u8, response: u8 },
    /// A transfer of nothing to the wallet itself.
    NoOp,
}

impl Tx {
    /// What the transaction is for.
    pub(super) const fn purpose(self) -> Purpose {
        match self {
            Self::Publish { key, .. } => Purpose::Publish(key),
            Self::Confirm { key, .. } => Purpose::Confirm(key),
            Self::NoOp => Purpose::NoOp,
        }
    }

    const fn bit(self) -> u32 {
        match self {
            Self::Publish { key, version } => 1 << (key * VERSIONS + version),
            Self::Confirm { key, response } => 1 << (8 + key * RESPONSES + response),
            Self::NoOp => 1 << 16,
        }
    }
}

/// A set of transactions of one nonce.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct Txs(u32);

impl Txs {
    const PUBLISH: u32 = 0xff;

    pub(super) const fn one(tx: Tx) -> Self {
        Self(tx.bit())
    }

    pub(super) const fn insert(&mut self, tx: Tx) {
        self.0 |= tx.bit();
    }

    pub(super) const fn contains(self, tx: Tx) -> bool {
        self.0 & tx.bit() != 0
    }

    pub(super) const fn and(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    pub(super) const fn without(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }

    pub(super) const fn publishes(self, key: u8) -> bool {
        self.0 & (0b11 << (key * VERSIONS)) != 0
    }

    pub(super) const fn confirms(self, key: u8) -> bool {
        self.0 & (0b11 << (8 + key * RESPONSES)) != 0
    }

    /// How many (purpose, key) pairs the set serves, no-ops left out.
    pub(super) fn purposes(self) -> usize {
        let mut pairs = self.0 & !Tx::NoOp.bit();
        let mut found = 0;
        while pairs != 0 {
            pairs &= !(0b11 << (pairs.trailing_zeros() & !1));
            found += 1;
        }
        found
    }

    pub(super) fn iter(self) -> impl Iterator<Item = Tx> {
        let mut left = self.0;
        std::iter::from_fn(move || {
            if left == 0 {
                return None;
            }
            let place = left.trailing_zeros();
            left &= left - 1;
            let low = u8::try_from(place & 7).unwrap_or(0);
            Some(match 1_u32 << place {
                bit if bit & Self::PUBLISH != 0 => {
                    Tx::Publish { key: low / VERSIONS, version: low % VERSIONS }
                }
                bit if bit == Tx::NoOp.bit() => Tx::NoOp,
                _ => Tx::Confirm { key: low / RESPONSES, response: low % RESPONSES },
            })
        })
    }
}

/// One thing that happened on the canonical chain.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Entry {
    /// A transaction of ours, at the next nonce.
    Ours { tx: Tx, ok: bool },
    /// A transaction of the same wallet that was signed elsewhere, at the next nonce.
    Foreign,
    /// A provider's response. After a reorg its address may hold another output.
    Response { key: u8, response: u8, good: bool },
    /// A block past the expiry of a task.
    Expired { key: u8 },
}

impl Entry {
    const fn uses_a_nonce(self) -> bool {
        matches!(self, Self::Ours { .. } | Self::Foreign)
    }
}

/// The canonical chain, one entry a block.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct Chain {
    entries: Vec<Entry>,
    finals: u8,
}

impl Chain {
    pub(super) fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// The entries that no reorg takes back.
    pub(super) fn finals(&self) -> &[Entry] {
        &self.entries[..usize::from(self.finals)]
    }

    /// The account nonce at the head.
    pub(super) fn count(&self) -> u8 {
        count(&self.entries)
    }

    /// The account nonce at the last final block.
    pub(super) fn final_count(&self) -> u8 {
        count(self.finals())
    }

    /// What used this nonce.
    pub(super) fn at_nonce(&self, nonce: u8) -> Option<Entry> {
        self.entries.iter().filter(|entry| entry.uses_a_nonce()).nth(usize::from(nonce)).copied()
    }

    pub(super) fn push(&mut self, entry: Entry) {
        self.entries.push(entry);
    }

    /// Takes back every entry from this place on; `None` if one of them is final.
    pub(super) fn reorg(&mut self, to: u8) -> Option<()> {
        (to >= self.finals && usize::from(to) < self.entries.len()).then_some(())?;
        self.entries.truncate(usize::from(to));
        Some(())
    }

    /// Makes one more entry final; `None` if there is none.
    pub(super) fn finalise(&mut self) -> Option<()> {
        (usize::from(self.finals) < self.entries.len()).then_some(())?;
        self.finals += 1;
        Some(())
    }

    pub(super) const fn final_len(&self) -> u8 {
        self.finals
    }
}

fn count(entries: &[Entry]) -> u8 {
    let used = entries.iter().filter(|entry| entry.uses_a_nonce()).count();
    u8::try_from(used).unwrap_or(u8::MAX)
}

/// The transactions of ours that succeeded in these entries.
fn succeeded(entries: &[Entry]) -> impl Iterator<Item = Tx> + '_ {
    entries.iter().filter_map(|entry| match entry {
        Entry::Ours { tx, ok: true } => Some(*tx),
        Entry::Ours { ok: false, .. }
        | Entry::Foreign
        | Entry::Response { .. }
        | Entry::Expired { .. } => None,
    })
}

/// How many publications of a key succeeded in these entries.
pub(super) fn publications(entries: &[Entry], key: u8) -> usize {
    succeeded(entries).filter(|tx| tx.purpose() == Purpose::Publish(key)).count()
}

/// The response whose confirm succeeded in these entries.
pub(super) fn confirmed(entries: &[Entry], key: u8) -> Option<u8> {
    succeeded(entries).find_map(|tx| match tx {
        Tx::Confirm { key: found, response } => (found == key).then_some(response),
        Tx::Publish { .. } | Tx::NoOp => None,
    })
}

/// The responses to a key in these entries: address, and whether the output is the good one.
pub(super) fn responses(entries: &[Entry], key: u8) -> impl Iterator<Item = (u8, bool)> + '_ {
    entries.iter().filter_map(move |entry| match entry {
        Entry::Response { key: found, response, good } => {
            (*found == key).then_some((*response, *good))
        }
        Entry::Ours { .. } | Entry::Foreign | Entry::Expired { .. } => None,
    })
}

/// Whether the contracts take a transaction on top of these entries, unless they are made to
/// undo it: a publication always, a confirm once and of a response that is there.
pub(super) fn takes(entries: &[Entry], tx: Tx) -> bool {
    match tx {
        Tx::Publish { .. } | Tx::NoOp => true,
        Tx::Confirm { key, response } => {
            confirmed(entries, key).is_none()
                && responses(entries, key).any(|(found, _)| found == response)
        }
    }
}

/// Whether these entries reach past the expiry of a key.
pub(super) fn expired(entries: &[Entry], key: u8) -> bool {
    entries.contains(&Entry::Expired { key })
}

/// How often each fault may still happen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct Faults {
    /// Transactions of the wallet that were signed elsewhere.
    pub foreign: u8,
    /// Transactions of ours that the contract undoes.
    pub reverts: u8,
    /// Reorgs, of any depth that is not final.
    pub reorgs: u8,
    /// Ends of the process, by a kill or by a power cut.
    pub crashes: u8,
    /// Other processes that take the lane over while this one stands still before an append.
    pub takeovers: u8,
    /// Older copies of the journal that are put in its place.
    pub copies: u8,
}

/// One state of the world.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct State {
    pub chain: Chain,
    /// By nonce, what any node ever received: each may be mined at any later time.
    pub leaked: [Txs; NONCES],
    pub journal: Journal,
    /// What a power cut leaves, if that is less than the journal; mutations only.
    pub synced: Option<Box<Journal>>,
    /// The one step that is signed and not appended; mutations only.
    pub volatile: Option<Append>,
    /// An append that a process under an older epoch still has in its hands.
    pub stale: Option<(u8, Append)>,
    /// An older copy of the journal.
    pub copy: Option<Box<Journal>>,
    /// The next nonce as the wallet's lock file has it.
    pub mark: u8,
    /// Keys that were shown as done, as bits.
    pub shown_done: u8,
    /// Tasks that were shown as canceled, as bits.
    pub shown_canceled: u8,
    /// Whether bytes ever left that no synced append had.
    pub sent_unwritten: bool,
    pub left: Faults,
}
