//! One slot: what it is bound to, which versions exist, where its transaction stands.
//!
//! ```text
//! Reserved -> Signed -> Held -> Mined -> (final: the slot leaves the lane)
//!     ^          ^       |  ^     |
//!     |          +-Cooling  +-----+ reorg
//!     +--- a further version is wanted
//! ```

use alloy::primitives::B256;

use crate::units::{
    BlockRef, Call, ChainTime, Fees, Purpose, Round, SendOutcome, Seq, TaskId, TaskKey, Timestamp,
    Wei,
};

/// One bound slot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Publication {
    /// Whose it is.
    pub owner: Owner,
    /// What the slot is for: what every version does but for no-ops.
    pub call: Call,
    /// From which version on it is given up: these do nothing but use the nonce up.
    pub withdrawn: Option<Seq>,
    /// The gas and fees of the newest version.
    pub fees: Fees,
    /// When the market was asked by which a further version's fees were chosen; `None` for the first.
    pub quoted_at: Option<Timestamp>,
    /// Every version that was signed, oldest first.
    pub versions: Vec<(Seq, B256)>,
    /// When the task of each version that publishes one ends: a later version may give it longer.
    pub expiries: Vec<(Seq, ChainTime)>,
    /// How often bytes of it were sent.
    pub sends: u32,
    /// How often it was found used up by nothing that we know.
    pub unexplained: u32,
    /// Where its transaction stands.
    pub state: PublicationState,
}

/// Whose slot it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Owner {
    /// A task of this run.
    Task {
        /// The task.
        task: TaskId,
        /// The round that it was bound in.
        round: Round,
        /// What the slot is for.
        purpose: Purpose,
        /// The key of the round.
        key: TaskKey,
    },
    /// Another run of the same database, which left it open.
    OtherRun,
}

/// Where the transaction of one slot stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum PublicationState {
    /// Bound and journaled; the newest version is not signed.
    Reserved,
    /// Signed and journaled; its bytes are to be sent.
    Signed,
    /// The same bytes go again, but not before a timer.
    Cooling,
    /// A node has it, as far as anyone said.
    Held,
    /// In a block that may still be taken back.
    Mined {
        /// Which version.
        seq: Seq,
        /// The block.
        block: BlockRef,
        /// Whether it did what it was for.
        ok: bool,
    },
}

/// What a reply to a send asks for. No variant takes another nonce, because no reply changes
/// what a slot is bound to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Next {
    /// Wait for the chain.
    Watch,
    /// Read the lane now.
    Look,
    /// Send the lower slots again, then this one.
    LowerFirst,
    /// Open fewer slots; send again later.
    Narrow,
    /// Read the balances; send again later.
    Funds,
    /// Send the same bytes again later.
    Again,
    /// Sign a further version with higher fees.
    Bump,
}

/// What to do about one reply to one send (safety.md, section 8).
pub(super) const fn after_send(outcome: SendOutcome, versions: usize) -> Next {
    match outcome {
        SendOutcome::Seen => Next::Watch,
        SendOutcome::MaybeUsed => Next::Look,
        SendOutcome::Conflict if versions > 1 => Next::Bump,
        // Only one version of ours: a stranger's transaction is pending at our nonce.
        SendOutcome::Conflict => Next::Look,
        SendOutcome::TooCheap => Next::Bump,
        SendOutcome::Gap => Next::LowerFirst,
        SendOutcome::Full => Next::Narrow,
        SendOutcome::NoFunds => Next::Funds,
        SendOutcome::Bad
        | SendOutcome::NodePolicy
        | SendOutcome::WrongChain
        | SendOutcome::Unknown
        | SendOutcome::SlowDown
        | SendOutcome::StaleNode => Next::Again,
    }
}

impl Publication {
    /// The payment that the slot may cause, in wei; nothing but for publications.
    pub(super) const fn payment(&self) -> Wei {
        match (&self.call, self.owner) {
            (Call::PublishTask { payment, .. }, Owner::Task { .. }) => *payment,
            _ => Wei::ZERO,
        }
    }

    /// The most gas money that any version can cost, in wei.
    pub(super) fn gas_ceiling(&self) -> Wei {
        self.fees.ceiling().unwrap_or(Wei::from_u256(alloy::primitives::U256::MAX))
    }

    /// What a further version does.
    pub(super) fn signs(&self) -> Call {
        if self.withdrawn.is_some() { Call::NoOp } else { self.call.clone() }
    }

    /// Whether this version only uses the nonce up.
    pub(super) fn is_noop(&self, seq: Seq) -> bool {
        self.withdrawn.is_some_and(|from| seq >= from)
    }

    /// The version that a further signature makes.
    pub(super) fn next_seq(&self) -> Seq {
        self.versions.last().map_or(Seq(0), |(seq, _)| seq.next())
    }

    /// The newest signed version.
    pub(super) fn newest(&self) -> Option<Seq> {
        self.versions.last().map(|(seq, _)| *seq)
    }

    /// The hash of this version.
    pub(super) fn hash_of(&self, seq: Seq) -> Option<B256> {
        self.versions.iter().find(|(known, _)| *known == seq).map(|(_, hash)| *hash)
    }

    /// When the task ends that this transaction publishes; `None` if it is not known to publish one.
    pub(super) fn expiry_of(&self, hash: B256) -> Option<ChainTime> {
        let seq = self.version_of(hash)?;
        self.expiries.iter().find(|(known, _)| *known == seq).map(|(_, expiry)| *expiry)
    }

    /// Whether a further version may take the place of what is signed or to be signed.
    pub(super) fn is_replaceable(&self) -> bool {
        self.is_pending() && self.versions.len() < MOST_VERSIONS && self.owner != Owner::OtherRun
    }

    /// Which version is in a block, as far as is known, in which, and whether it went well there.
    pub(super) const fn mined(&self) -> Option<(Seq, BlockRef, bool)> {
        match self.state {
            PublicationState::Mined { seq, block, ok } => Some((seq, block, ok)),
            PublicationState::Reserved
            | PublicationState::Signed
            | PublicationState::Cooling
            | PublicationState::Held => None,
        }
    }

    /// Whether this version publishes a task.
    pub(super) fn is_publish(&self, seq: Seq) -> bool {
        matches!(self.call, Call::PublishTask { .. }) && !self.is_noop(seq)
    }

    /// Whether it is there to use its nonce up, and does not mind what does.
    pub(super) const fn is_fence(&self) -> bool {
        matches!(self.owner, Owner::Task { purpose: Purpose::Fence, .. })
    }

    /// Whether another run has left it without anything that could be sent.
    pub(super) fn is_unsigned(&self) -> bool {
        self.owner == Owner::OtherRun
            && self.versions.is_empty()
            && self.state == PublicationState::Held
    }

    /// Whether the registry logs this version when it has gone well.
    pub(super) fn is_logged(&self, seq: Seq) -> bool {
        let logged = matches!(self.call, Call::PublishTask { .. } | Call::ConfirmResponse { .. });
        logged && !self.is_noop(seq)
    }

    /// The version with this transaction hash.
    pub(super) fn version_of(&self, hash: B256) -> Option<Seq> {
        self.versions.iter().find(|(_, known)| *known == hash).map(|(seq, _)| *seq)
    }

    /// Whether its bytes, or bytes to come, can still change the chain's mind.
    pub(super) const fn is_pending(&self) -> bool {
        !matches!(self.state, PublicationState::Mined { .. })
    }
}

/// The most versions of one slot (safety.md, section 7).
const MOST_VERSIONS: usize = 12;

/// When the task ends that a call publishes.
pub(super) const fn expiry_in(call: &Call) -> Option<ChainTime> {
    match call {
        Call::PublishTask { expiry, .. } => Some(*expiry),
        Call::ConfirmResponse { .. }
        | Call::CancelTask { .. }
        | Call::Deposit { .. }
        | Call::NoOp => None,
    }
}

/// Fees that a pool takes in place of `old`: both up by at least an eighth, at least the market's,
/// and never less gas (safety.md, section 7).
pub(super) fn bumped(old: Fees, market: Fees) -> Fees {
    let eighth_more = |fee: Wei| fee.raised_by_permille(125).unwrap_or(fee);
    Fees {
        gas_limit: old.gas_limit.max(market.gas_limit),
        max_fee_per_gas: eighth_more(old.max_fee_per_gas).max(market.max_fee_per_gas),
        max_priority_fee_per_gas: eighth_more(old.max_priority_fee_per_gas)
            .max(market.max_priority_fee_per_gas),
        legacy: old.legacy,
    }
}

/// When a slot that nobody mined is looked at again.
pub(super) fn bump_look(at: Timestamp) -> Timestamp {
    at.after(std::time::Duration::from_secs(30))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bump_raises_both_fees_by_an_eighth_and_never_lowers_gas() {
        let fees = |gas_limit, fee, tip| Fees {
            gas_limit,
            max_fee_per_gas: Wei::from_u128(fee),
            max_priority_fee_per_gas: Wei::from_u128(tip),
            legacy: false,
        };
        assert_eq!(bumped(fees(100, 80, 8), fees(90, 1, 1)), fees(100, 90, 9));
        assert_eq!(bumped(fees(100, 81, 1), fees(110, 200, 1)), fees(110, 200, 2));
    }

    #[test]
    fn a_reply_that_proves_nothing_sends_the_same_bytes_again() {
        for outcome in [SendOutcome::Unknown, SendOutcome::StaleNode, SendOutcome::SlowDown] {
            assert_eq!(after_send(outcome, 1), Next::Again);
        }
        assert_eq!(after_send(SendOutcome::Seen, 1), Next::Watch);
        assert_eq!(after_send(SendOutcome::MaybeUsed, 1), Next::Look);
        assert_eq!(after_send(SendOutcome::Conflict, 1), Next::Look);
        assert_eq!(after_send(SendOutcome::Conflict, 2), Next::Bump);
    }
}
