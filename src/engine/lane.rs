//! The slots of a wallet: which are bound, in which order bytes leave, how many may be open.
//!
//! Bytes leave in nonce order: a slot whose lower neighbour is not signed waits, so neither a
//! crash nor a failing signer makes a gap in a pool. The window is about pools, so it counts the
//! slots that are not mined. It grows with success and is halved when a pool says that it is full.

use std::collections::{BTreeMap, BTreeSet};

use alloy::primitives::{Address, B256};

use crate::units::{Nonce, Slot};

use super::publication::{Publication, PublicationState};

/// How many slots a lane opens before it has learnt more (safety.md, section 7).
const FIRST_WINDOW: u32 = 16;
/// Nodes of the go-opera family keep no more than this of one sender, and drop silently what they
/// have said yes to: up to here only what was mined widens the window. A profile that allows more
/// vouches for pools that say what they do not take, so their yes is enough.
const SILENT_WINDOW: u32 = 32;

/// Of so many slots it is asked at a time what has used them up.
const DOUBTS: usize = 4;

/// So many slots are always worth an exchange of their own.
const WORTH_AN_EXCHANGE: usize = 64;

/// The slots of one wallet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Lane {
    /// The wallet.
    pub wallet: Address,
    /// The first nonce that this run could have bound.
    pub began: Nonce,
    /// Below this nonce the chain itself was read; 0 if it never was.
    pub read_below: Nonce,
    /// The first nonce that nobody has used or bound.
    pub next: Nonce,
    /// Bound slots that are not final.
    pub slots: BTreeMap<Nonce, Publication>,
    /// Slots whose newest version is not signed.
    unsigned: BTreeSet<Nonce>,
    /// Slots whose bytes are to be sent.
    unsent: BTreeSet<Nonce>,
    /// Slots that nothing known has used up, as the last view said.
    doubted: BTreeSet<Nonce>,
    /// Slots that are not in a block.
    pending: BTreeSet<Nonce>,
    /// Slots in blocks that are not known to be final, by height.
    mined: BTreeSet<(u64, Nonce)>,
    /// Those of them whose receipts tell more than the gas: all but publications that went well.
    telling: BTreeSet<(u64, Nonce)>,
    /// How many slots may be pending.
    window: u32,
    /// How many may ever be.
    cap: u32,
    /// Pages of the log stream since the last view.
    pub pages: u32,
    /// How many slots were seen in blocks since the last view was made or put off.
    pub moves: u32,
    /// The count that the last view showed.
    pub count: u64,
    /// Whether a view is wanted whatever else is known.
    pub view_wanted: bool,
    /// Whether it was taken since the run was started or resumed.
    pub is_taken: bool,
    /// The highest nonce that something unknown was found to have used; nothing more is bound.
    pub foreign: Option<Nonce>,
}

impl Lane {
    /// A lane without slots.
    pub(super) fn new(wallet: Address, next: Nonce, cap: u32) -> Self {
        Self {
            wallet,
            began: next,
            read_below: Nonce(0),
            next,
            slots: BTreeMap::new(),
            unsigned: BTreeSet::new(),
            unsent: BTreeSet::new(),
            doubted: BTreeSet::new(),
            pending: BTreeSet::new(),
            mined: BTreeSet::new(),
            telling: BTreeSet::new(),
            window: FIRST_WINDOW.min(cap),
            cap,
            pages: 0,
            moves: 0,
            count: next.0,
            view_wanted: false,
            is_taken: true,
            foreign: None,
        }
    }

    /// The slot with this nonce.
    pub(super) const fn slot(&self, nonce: Nonce) -> Slot {
        Slot { wallet: self.wallet, nonce }
    }

    /// Whether the wallet was found to be used elsewhere.
    pub(super) const fn is_quarantined(&self) -> bool {
        self.foreign.is_some()
    }

    /// Whether another slot may be opened.
    pub(super) fn has_room(&self) -> bool {
        self.is_taken && !self.is_quarantined() && self.pending.len() < self.window as usize
    }

    /// Whether so many slots may be opened that it is worth an exchange. While it is almost full,
    /// what comes next waits for all that is in the pools, and can be sent with others.
    pub(super) fn has_much_room(&self) -> bool {
        let least = (self.window as usize / 4).clamp(1, WORTH_AN_EXCHANGE);
        self.has_room() && self.pending.len() + least <= self.window as usize
    }

    /// Binds a slot.
    pub(super) fn bind(&mut self, nonce: Nonce, publication: Publication) {
        self.next = self.next.max(nonce.next());
        self.slots.insert(nonce, publication);
        self.refile(nonce);
    }

    /// Changes a slot, and files it where its new state belongs.
    pub(super) fn change(&mut self, nonce: Nonce, change: impl FnOnce(&mut Publication)) {
        if let Some(publication) = self.slots.get_mut(&nonce) {
            if let PublicationState::Mined { block, .. } = publication.state {
                self.mined.remove(&(block.number, nonce));
                self.telling.remove(&(block.number, nonce));
            }
            change(publication);
            self.refile(nonce);
        }
    }

    /// Takes a final slot out of the lane.
    pub(super) fn close(&mut self, nonce: Nonce) -> Option<Publication> {
        let publication = self.slots.remove(&nonce)?;
        self.unsigned.remove(&nonce);
        self.unsent.remove(&nonce);
        self.pending.remove(&nonce);
        self.doubted.remove(&nonce);
        if let PublicationState::Mined { block, .. } = publication.state {
            self.mined.remove(&(block.number, nonce));
            self.telling.remove(&(block.number, nonce));
        }
        Some(publication)
    }

    /// A slot was mined as it should be: one more may be open.
    pub(super) fn widen(&mut self) {
        self.window = self.window.saturating_add(1).min(self.cap);
    }

    /// A pool took a slot's bytes: one more may be open, if that can be believed.
    pub(super) fn accepted(&mut self) {
        if self.cap > SILENT_WINDOW {
            self.widen();
        }
    }

    /// A pool is full: half as many may be open.
    pub(super) fn narrow(&mut self) {
        self.window = (self.window / 2).max(1);
    }

    /// Slots whose bytes may go out now that `nonce` is signed: it, and those above that waited
    /// for it.
    pub(super) fn sendable_from(&self, nonce: Nonce) -> impl Iterator<Item = Nonce> + '_ {
        let blocked_at = self.unsigned.first().copied();
        self.unsent
            .range(nonce..)
            .copied()
            .take_while(move |n| blocked_at.is_none_or(|blocked| *n < blocked))
    }

    /// Slots to be signed, lowest first.
    pub(super) fn unsigned(&self) -> impl Iterator<Item = Nonce> + '_ {
        self.unsigned.iter().copied()
    }

    /// Slots above one whose bytes a node has, as far as anyone said.
    pub(super) fn held_above(&self, nonce: Nonce) -> Vec<Nonce> {
        let above = self.pending.range(nonce.next()..).copied();
        above.filter(|nonce| self.slots[nonce].state == PublicationState::Held).collect()
    }

    /// The lowest slot that is not mined.
    pub(super) fn lowest_pending(&self) -> Option<Nonce> {
        self.pending.first().copied()
    }

    /// Slots that are not mined, lowest first.
    pub(super) fn pending(&self) -> impl Iterator<Item = (Nonce, &Publication)> {
        self.pending.iter().filter_map(|nonce| Some((*nonce, self.slots.get(nonce)?)))
    }

    /// Slots in blocks above a height, highest first: what a reorg to that height takes back.
    pub(super) fn mined_above(&self, height: u64) -> Vec<Nonce> {
        self.mined.range((height.saturating_add(1), Nonce(0))..).rev().map(|(_, n)| *n).collect()
    }

    /// Whether a slot is in a block at or below this height.
    pub(super) fn has_mined_up_to(&self, height: u64) -> bool {
        self.mined.first().is_some_and(|(number, _)| *number <= height)
    }

    /// Whether a slot is in a block and a lower one is not: something used that one, and the log
    /// stream does not say what.
    pub(super) fn has_gap(&self) -> bool {
        let highest = self.mined.last().map(|(_, nonce)| *nonce);
        self.lowest_pending().zip(highest).is_some_and(|(lowest, highest)| lowest < highest)
    }

    /// Whether so many slots are in blocks at or below this height.
    pub(super) fn has_mined_up_to_many(&self, height: u64, many: usize) -> bool {
        self.mined.iter().take_while(|(number, _)| *number <= height).nth(many - 1).is_some()
    }

    /// Whether one of them is there whose receipt tells more than the gas.
    pub(super) fn has_telling_up_to(&self, height: u64) -> bool {
        self.telling.first().is_some_and(|(number, _)| *number <= height)
    }

    /// How many slots are in blocks.
    pub(super) fn mined_count(&self) -> usize {
        self.mined.len()
    }

    /// Transactions whose receipts a view should bring, at most `limit`: of slots in blocks up to
    /// `final_number`, those first that tell most, then of slots that something has used.
    pub(super) fn questions(&self, final_number: u64, limit: usize) -> Vec<B256> {
        let up_to_final = ..(final_number.saturating_add(1), Nonce(0));
        let telling = self.telling.range(up_to_final);
        let plain = self.mined.range(up_to_final).filter(|slot| !self.telling.contains(slot));
        let used = self.pending.range(..Nonce(self.count));
        let nonces = telling.chain(plain).map(|(_, nonce)| nonce).chain(used);
        let mut hashes = Vec::new();
        for publication in nonces.filter_map(|nonce| self.slots.get(nonce)) {
            if hashes.len() >= limit {
                break;
            }
            hashes.extend(publication.versions.iter().map(|(_, hash)| *hash));
        }
        hashes
    }

    /// Slots that nothing known has used up, as the last view said, lowest first: so many that
    /// finding out costs little.
    pub(super) fn doubts(&self) -> Vec<Nonce> {
        self.doubted.iter().copied().take(DOUBTS).collect()
    }

    fn refile(&mut self, nonce: Nonce) {
        self.unsigned.remove(&nonce);
        self.unsent.remove(&nonce);
        self.pending.remove(&nonce);
        self.doubted.remove(&nonce);
        let Some(publication) = self.slots.get(&nonce) else { return };
        if publication.unexplained > 0 {
            self.doubted.insert(nonce);
        }
        if publication.is_pending() {
            self.pending.insert(nonce);
        }
        match publication.state {
            PublicationState::Reserved => {
                self.unsigned.insert(nonce);
            }
            PublicationState::Signed => {
                self.unsent.insert(nonce);
            }
            PublicationState::Mined { seq, block, ok } => {
                self.mined.insert((block.number, nonce));
                if !(ok && publication.is_publish(seq)) {
                    self.telling.insert((block.number, nonce));
                }
            }
            PublicationState::Cooling | PublicationState::Held => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::publication::Owner;
    use super::*;
    use crate::units::{Call, Fees, Seq, Wei};

    fn publication(state: PublicationState) -> Publication {
        let fees = Fees {
            gas_limit: 1,
            max_fee_per_gas: Wei::ZERO,
            max_priority_fee_per_gas: Wei::ZERO,
            legacy: false,
        };
        Publication {
            owner: Owner::OtherRun,
            call: Call::NoOp,
            withdrawn: None,
            fees,
            quoted_at: None,
            versions: Vec::new(),
            expiries: Vec::new(),
            sends: 0,
            unexplained: 0,
            state,
        }
    }

    fn lane(states: &[PublicationState]) -> Lane {
        let mut lane = Lane::new(Address::ZERO, Nonce(0), 32);
        for state in states {
            lane.bind(lane.next, publication(*state));
        }
        lane
    }

    #[test]
    fn no_bytes_leave_above_a_slot_that_is_not_signed() {
        use PublicationState::{Reserved, Signed};
        let mut lane = lane(&[Signed, Reserved, Signed, Signed, Reserved, Signed]);
        let sendable =
            |lane: &Lane, from| lane.sendable_from(Nonce(from)).map(|n| n.0).collect::<Vec<_>>();
        assert_eq!(sendable(&lane, 0), [0]);
        lane.change(Nonce(1), |p| p.state = Signed);
        assert_eq!(sendable(&lane, 1), [1, 2, 3]);
        lane.change(Nonce(4), |p| p.state = Signed);
        assert_eq!(sendable(&lane, 4), [4, 5]);
    }

    #[test]
    fn slots_that_are_mined_leave_room_for_others() {
        let mut lane = lane(&[PublicationState::Held; 16]);
        assert!(!lane.has_room());
        let block = crate::units::BlockRef { number: 1, hash: B256::ZERO };
        lane.change(Nonce(0), |p| {
            p.state = PublicationState::Mined { seq: Seq(0), block, ok: true }
        });
        assert!(lane.has_room());
        lane.change(Nonce(0), |p| p.state = PublicationState::Signed);
        assert!(!lane.has_room(), "a reorg took it back");
    }

    #[test]
    fn a_pools_yes_widens_the_window_only_where_the_profile_vouches_for_it() {
        let open = |cap, yes: u32, mined: u32| {
            let mut lane = Lane::new(Address::ZERO, Nonce(0), cap);
            (0..mined).for_each(|_| lane.widen());
            (0..yes).for_each(|_| lane.accepted());
            lane.window
        };
        assert_eq!(open(32, 1000, 0), 16);
        assert_eq!(open(32, 1000, 16), 32);
        assert_eq!(open(4096, 1000, 0), 1016);
        assert_eq!(open(4096, 10_000, 16), 4096);
    }

    fn mined() -> PublicationState {
        let block = crate::units::BlockRef { number: 1, hash: B256::ZERO };
        PublicationState::Mined { seq: Seq(0), block, ok: true }
    }

    #[test]
    fn an_almost_full_window_is_filled_up_only_once_a_quarter_of_it_is_free() {
        let mut lane = lane(&[PublicationState::Held; 13]);
        assert!(lane.has_room() && !lane.has_much_room());
        lane.change(Nonce(0), |p| p.state = mined());
        assert!(lane.has_much_room());
        let mut narrow = Lane::new(Address::ZERO, Nonce(0), 1);
        assert!(narrow.has_much_room());
        narrow.bind(Nonce(0), publication(PublicationState::Held));
        assert!(!narrow.has_much_room());
    }

    #[test]
    fn a_slot_below_one_that_is_mined_is_a_gap_until_it_is_mined_too() {
        let mut lane = lane(&[PublicationState::Held; 3]);
        assert!(!lane.has_gap());
        lane.change(Nonce(1), |p| p.state = mined());
        assert!(lane.has_gap());
        lane.change(Nonce(0), |p| p.state = mined());
        assert!(!lane.has_gap());
        assert!(lane.has_mined_up_to_many(1, 2) && !lane.has_mined_up_to_many(1, 3));
        assert!(!lane.has_mined_up_to_many(0, 1));
    }

    #[test]
    fn the_window_is_halved_by_a_full_pool_and_never_closes() {
        let mut lane = lane(&[]);
        for _ in 0..10 {
            lane.narrow();
        }
        assert!(lane.has_room());
        lane.bind(Nonce(0), publication(PublicationState::Reserved));
        assert!(!lane.has_room());
        lane.widen();
        assert!(lane.has_room());
    }
}
