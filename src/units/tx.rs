//! Transactions as the rest of the program speaks of them: slots, calls, signed versions.

use std::fmt;

use alloy::primitives::{Address, B256, Bytes};
use serde::{Deserialize, Serialize};

use super::{ChainTime, Wei};

/// A wallet's transaction number.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct Nonce(pub u64);

impl Nonce {
    /// The nonce after this one.
    #[must_use]
    pub const fn next(self) -> Self {
        Self(self.0.saturating_add(1))
    }
}

impl fmt::Display for Nonce {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

/// One nonce of one wallet: the lock that the chain enforces.
///
/// Of all transactions ever signed for a slot, at most one can be on the canonical chain.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Slot {
    /// Who signs.
    pub wallet: Address,
    /// The transaction number.
    pub nonce: Nonce,
}

/// Which signed form of a slot's transaction, from 0; a bump is the next.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct Seq(pub u16);

impl Seq {
    /// The version after this one.
    #[must_use]
    pub const fn next(self) -> Self {
        Self(self.0.saturating_add(1))
    }
}

/// What a slot is for. A slot never changes its purpose.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Purpose {
    /// Publishes a task.
    Publish,
    /// Confirms a response.
    Confirm,
    /// Cancels a task that nobody has attempted.
    Cancel,
    /// Moves money from the wallet into the vault.
    Deposit,
    /// Uses its nonce up, so that nothing unknown can.
    Fence,
}

/// A contract call in plain fields: the only calls that are ever signed (safety.md, section 11).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "call", rename_all = "kebab-case")]
pub enum Call {
    /// `Controller.publishTask`.
    PublishTask {
        /// The source that runs the task.
        source: Address,
        /// Where the task's config is pinned.
        config: String,
        /// When the task ends, in chain time.
        expiry: ChainTime,
        /// What the client pays, in wei, from the vault.
        payment: Wei,
    },
    /// `Controller.confirmResponse`.
    ConfirmResponse {
        /// The response's contract.
        response: Address,
    },
    /// `Controller.cancelTask`.
    CancelTask {
        /// The task's contract.
        task: Address,
    },
    /// `Vault.deposit`, payable.
    Deposit {
        /// Whose vault balance grows.
        account: Address,
        /// How much, in wei, from the wallet.
        amount: Wei,
    },
    /// A transfer of nothing to oneself, which uses a nonce up.
    NoOp,
}

impl Call {
    /// The purpose that a slot with this call has; `None` for a no-op, which takes the purpose of
    /// the call that it replaces.
    pub const fn purpose(&self) -> Option<Purpose> {
        match self {
            Self::PublishTask { .. } => Some(Purpose::Publish),
            Self::ConfirmResponse { .. } => Some(Purpose::Confirm),
            Self::CancelTask { .. } => Some(Purpose::Cancel),
            Self::Deposit { .. } => Some(Purpose::Deposit),
            Self::NoOp => None,
        }
    }

    /// Whether both may be versions of one slot: they do the same, but for when the task ends.
    pub fn is_like(&self, other: &Self) -> bool {
        match (self, other) {
            (
                Self::PublishTask { source, config, expiry: _, payment },
                Self::PublishTask { source: s, config: c, expiry: _, payment: p },
            ) => (source, config, payment) == (s, c, p),
            _ => self == other,
        }
    }

    /// What the call sends along from the wallet, in wei; gas not counted.
    pub const fn value(&self) -> Wei {
        match self {
            Self::Deposit { amount, .. } => *amount,
            Self::PublishTask { .. }
            | Self::ConfirmResponse { .. }
            | Self::CancelTask { .. }
            | Self::NoOp => Wei::ZERO,
        }
    }
}

/// The gas and fees of one version.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fees {
    /// The most gas that the transaction may use.
    pub gas_limit: u64,
    /// The most that a unit of gas may cost, in wei.
    pub max_fee_per_gas: Wei,
    /// What the block's proposer gets per unit of gas, in wei.
    pub max_priority_fee_per_gas: Wei,
    /// Type 0 instead of type 2, for chains without base fees.
    pub legacy: bool,
}

impl Fees {
    /// The most that a transaction with these fees can cost in gas, in wei; `None` on overflow.
    pub fn ceiling(&self) -> Option<Wei> {
        self.max_fee_per_gas.checked_mul(self.gas_limit)
    }
}

/// A signed transaction: the bytes that anyone may send.
///
/// Its debug form names the slot and the hash, never the bytes.
#[derive(Clone, PartialEq, Eq)]
pub struct SignedTx {
    /// The slot that it uses up.
    pub slot: Slot,
    /// Which version of the slot.
    pub seq: Seq,
    /// Its transaction hash: keccak256 of `raw`.
    pub hash: B256,
    /// The bytes for `eth_sendRawTransaction`.
    pub raw: Bytes,
}

impl fmt::Debug for SignedTx {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SignedTx")
            .field("slot", &self.slot)
            .field("seq", &self.seq)
            .field("hash", &self.hash)
            .finish_non_exhaustive()
    }
}

/// A block by height and hash.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct BlockRef {
    /// Its height.
    pub number: u64,
    /// Its hash.
    pub hash: B256,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_debug_form_of_a_signed_transaction_has_no_bytes() {
        let slot = Slot { wallet: Address::ZERO, nonce: Nonce(1) };
        let raw = Bytes::from_static(&[0xde, 0xad, 0xbe, 0xef]);
        let tx = SignedTx { slot, seq: Seq(0), hash: B256::ZERO, raw };
        assert!(!format!("{tx:?}").contains("deadbeef"));
    }

    #[test]
    fn a_call_reads_back_as_it_was_written() {
        let call = Call::PublishTask {
            source: Address::repeat_byte(1),
            config: "https://gateway.example/ipfs/Qm".into(),
            expiry: ChainTime::from_secs(9),
            payment: Wei::from_u128(1 << 70),
        };
        let json = serde_json::to_string(&call).unwrap();
        assert_eq!(serde_json::from_str::<Call>(&json).unwrap(), call);
    }
}
