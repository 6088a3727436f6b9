//! The pool of one node, by the rules and in the words of its client.
//!
//! Only what a client sees: how many transactions of one account are taken, what becomes of one
//! above a gap, when a second version replaces the first, and how a refusal is spelled.

use std::collections::BTreeMap;
use std::sync::Arc;

use alloy::primitives::{B256, Bytes};

use crate::units::{Call, Fees};

/// A transaction of the wallet, as nodes see it.
#[derive(Debug)]
pub(super) struct Tx {
    pub hash: B256,
    pub raw: Bytes,
    pub nonce: u64,
    pub call: Call,
    pub fees: Fees,
    /// The tag of the config that it publishes.
    pub key: Option<String>,
}

impl Tx {
    pub(super) fn cap(&self) -> u128 {
        self.fees.max_fee_per_gas.to_u128().unwrap_or(u128::MAX)
    }

    fn tip(&self) -> u128 {
        self.fees.max_priority_fee_per_gas.to_u128().unwrap_or(u128::MAX)
    }
}

/// Which client a node runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Profile {
    Geth,
    Reth,
    Nethermind,
    Besu,
    Opera,
    Anvil,
}

/// What a pool does with a transaction above a gap.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Gap {
    /// Keeps so many.
    Keep(usize),
    /// Refuses it.
    Refuse,
}

/// What a pool does with more transactions than it takes of one account.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Above {
    Refuse,
    /// Says yes and forgets it.
    Forget,
}

/// A refusal: code and message.
pub(super) type Refusal = (i64, String);

impl Profile {
    pub(super) const ALL: [Self; 6] =
        [Self::Geth, Self::Reth, Self::Nethermind, Self::Besu, Self::Opera, Self::Anvil];

    pub(super) const fn client(self) -> &'static str {
        match self {
            Self::Geth => "Geth/v1.16.7-stable/linux-amd64/go1.25.1",
            Self::Reth => "reth/v1.9.3/x86_64-unknown-linux-gnu",
            Self::Nethermind => "Nethermind/v1.35.2/linux-x64/dotnet10.0.0",
            Self::Besu => "besu/v25.11.0/linux-x86_64/openjdk-java-21",
            Self::Opera => "go-opera/v1.1.3-rc.5/linux-amd64/go1.21.3",
            Self::Anvil => "anvil/v1.7.1",
        }
    }

    /// How many next transactions of one account it takes, and what becomes of more.
    const fn slots(self) -> (usize, Above) {
        match self {
            Self::Geth => (64, Above::Forget),
            Self::Reth | Self::Nethermind => (16, Above::Refuse),
            Self::Besu => (200, Above::Refuse),
            Self::Opera => (16, Above::Forget),
            Self::Anvil => (usize::MAX, Above::Refuse),
        }
    }

    const fn gap(self) -> Gap {
        match self {
            Self::Geth | Self::Reth => Gap::Keep(64),
            Self::Opera => Gap::Keep(32),
            Self::Nethermind => Gap::Refuse,
            Self::Besu => Gap::Keep(8),
            Self::Anvil => Gap::Keep(usize::MAX),
        }
    }

    /// How much more a replacement must offer, in both fees, in percent.
    const fn bump(self) -> u128 {
        match self {
            Self::Anvil => 5,
            Self::Geth | Self::Reth | Self::Nethermind | Self::Besu | Self::Opera => 10,
        }
    }

    /// Whether it refuses what cannot pay today's base fee.
    const fn wants_base_fee(self) -> bool {
        matches!(self, Self::Nethermind | Self::Anvil | Self::Besu)
    }

    /// Whether what a reorg takes out of a block goes back into the pool.
    pub(super) const fn returns_reorged(self) -> bool {
        !matches!(self, Self::Anvil)
    }

    fn known(self, hash: B256) -> Refusal {
        match self {
            Self::Geth | Self::Opera => (-32000, "already known".into()),
            Self::Reth => (-32000, format!("[{hash}] Already imported")),
            Self::Nethermind => (-32010, "AlreadyKnown".into()),
            Self::Besu => (-32000, "Known transaction".into()),
            Self::Anvil => (-32003, "transaction already imported".into()),
        }
    }

    fn used(self, nonce: u64, next: u64) -> Refusal {
        match self {
            Self::Geth | Self::Reth => {
                (-32000, format!("nonce too low: next nonce {next}, tx nonce {nonce}"))
            }
            Self::Opera => (-32000, "nonce too low".into()),
            Self::Nethermind => {
                let text =
                    format!("OldNonce, Current nonce: {next}, nonce of rejected tx: {nonce}");
                (-32010, text)
            }
            Self::Besu => (-32001, "Nonce too low".into()),
            Self::Anvil => (-32003, "nonce too low".into()),
        }
    }

    fn gapped(self, next: u64) -> Refusal {
        match self {
            Self::Nethermind => (-32010, format!("NonceGap, Future nonce. Expected nonce: {next}")),
            Self::Besu => {
                (-32006, "Transaction nonce is too distant from current sender nonce".into())
            }
            Self::Geth | Self::Reth | Self::Opera | Self::Anvil => {
                (-32000, "nonce too high".into())
            }
        }
    }

    fn too_little_more(self) -> Refusal {
        match self {
            Self::Geth | Self::Opera | Self::Anvil => {
                (-32000, "replacement transaction underpriced".into())
            }
            Self::Reth => (-32000, "insufficient gas price to replace existing transaction".into()),
            Self::Nethermind => (-32010, "ReplacementNotAllowed".into()),
            Self::Besu => (-32000, "Replacement transaction underpriced".into()),
        }
    }

    fn full(self) -> Refusal {
        match self {
            Self::Reth => (-32000, "rejected due to 0x71 being identified as a spammer".into()),
            Self::Nethermind => (-32010, "FeeTooLowToCompete".into()),
            Self::Geth | Self::Besu | Self::Opera | Self::Anvil => {
                (-32000, "txpool is full".into())
            }
        }
    }

    fn too_cheap(self, base_fee: u128) -> Refusal {
        match self {
            Self::Nethermind => (-32010, format!("FeeTooLow, Gas price: 1, base fee: {base_fee}")),
            Self::Besu => (-32009, "Gas price below current base fee".into()),
            Self::Geth | Self::Reth | Self::Opera | Self::Anvil => {
                (-32003, "max fee per gas less than block base fee".into())
            }
        }
    }
}

/// The wallet's transactions in the pool of one node, one for each nonce.
#[derive(Debug, Default)]
pub(super) struct Pool {
    txs: BTreeMap<u64, Arc<Tx>>,
}

impl Pool {
    /// Takes a transaction in, or says why not, while the wallet's next nonce is `next`.
    pub(super) fn take(
        &mut self,
        tx: &Arc<Tx>,
        profile: Profile,
        (next, base_fee): (u64, u128),
    ) -> Result<(), Refusal> {
        if tx.nonce < next {
            return Err(profile.used(tx.nonce, next));
        }
        if profile.wants_base_fee() && tx.cap() < base_fee {
            return Err(profile.too_cheap(base_fee));
        }
        if let Some(old) = self.txs.get(&tx.nonce) {
            if old.hash == tx.hash {
                return Err(profile.known(tx.hash));
            }
            let enough = |fee: u128| fee + (fee * profile.bump()).div_ceil(100);
            if tx.cap() < enough(old.cap()) || tx.tip() < enough(old.tip()) {
                return Err(profile.too_little_more());
            }
            self.txs.insert(tx.nonce, Arc::clone(tx));
            return Ok(());
        }
        let in_line = (next..).take_while(|nonce| self.txs.contains_key(nonce)).count();
        let first_free = next + in_line as u64;
        if tx.nonce > first_free {
            let above = self.txs.range(first_free..).count();
            match profile.gap() {
                Gap::Keep(most) if above < most => {}
                Gap::Keep(_) | Gap::Refuse => return Err(profile.gapped(first_free)),
            }
        }
        let (slots, above) = profile.slots();
        if in_line >= slots {
            return match above {
                Above::Refuse => Err(profile.full()),
                Above::Forget => Ok(()),
            };
        }
        self.txs.insert(tx.nonce, Arc::clone(tx));
        Ok(())
    }

    /// The transaction that is next in line at this nonce.
    pub(super) fn at(&self, nonce: u64) -> Option<&Arc<Tx>> {
        self.txs.get(&nonce)
    }

    /// Puts back what was in a block, unless there is something.
    pub(super) fn put_back(&mut self, tx: &Arc<Tx>) {
        self.txs.entry(tx.nonce).or_insert_with(|| Arc::clone(tx));
    }

    /// Forgets a transaction.
    pub(super) fn forget(&mut self, nonce: u64) {
        self.txs.remove(&nonce);
    }

    /// Forgets what is used up.
    pub(super) fn advance(&mut self, next: u64) {
        self.txs = self.txs.split_off(&next);
    }

    /// The nonces that it holds.
    pub(super) fn nonces(&self) -> Vec<u64> {
        self.txs.keys().copied().collect()
    }

    /// The wallet's count with what is in line here.
    pub(super) fn pending(&self, next: u64) -> u64 {
        next + (next..).take_while(|nonce| self.txs.contains_key(nonce)).count() as u64
    }
}

/// The gas that a call takes.
pub(super) fn gas_of(call: &Call) -> u64 {
    match call {
        Call::PublishTask { config, .. } => 310_000 + 16 * config.len() as u64,
        Call::ConfirmResponse { .. } => 95_000,
        Call::CancelTask { .. } | Call::Deposit { .. } => 60_000,
        Call::NoOp => 21_000,
    }
}
