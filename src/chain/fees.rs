//! What to offer per unit of gas, and how much gas a call takes (safety.md, section 10). Pure.
//!
//! Two questions, apart from each other: the price, from what the node says at one moment, and the
//! amount, from one estimate and then from receipts.

use std::collections::BTreeMap;

use alloy::primitives::{Address, U256};

use crate::units::{Call, Fees, Wei};

#[cfg(test)]
mod tests;

/// Gas of a publication that nobody could estimate: above what the contracts of `contracts/` take.
pub const TYPICAL_PUBLISH_GAS: u64 = 2_000_000;
/// Gas of a confirm that nobody could estimate.
pub const TYPICAL_CONFIRM_GAS: u64 = 400_000;
/// What a first publication uses where nothing could be estimated, as the contracts of
/// `contracts/` do.
const USUAL_PUBLISH_USE: u64 = 330_000;
/// What a confirm uses there. Before a run there is no response that could be tried.
const USUAL_CONFIRM_USE: u64 = 97_000;
/// How much more it takes to fill empty storage than to change what is there (EIP-2200, EIP-2929).
pub const EMPTY_STORAGE_GAS: u64 = 17_100;
/// What a publication may need beside an estimate that was made while money of the payer was in
/// escrow: the next may be the first again. And a confirm, beside one that was made for a provider
/// with earnings: the next may earn for the first time. With what the inner calls keep back of it
/// (EIP-150).
const REFILL_GAS: u64 = EMPTY_STORAGE_GAS + EMPTY_STORAGE_GAS / 20;
/// Gas of a cancel or a deposit.
pub const TYPICAL_SMALL_GAS: u64 = 250_000;
/// Gas of a transfer of nothing to oneself.
pub const NO_OP_GAS: u64 = 21_000;

/// How far an estimate is raised, in thousandths.
const ESTIMATE_MARGIN: u64 = 80;
/// How far the most that was seen is raised, in thousandths.
const SEEN_MARGIN: u64 = 30;
/// And by how much gas more.
const SEEN_EXTRA: u64 = 5_000;
/// How many receipts it takes to believe them.
const ENOUGH_SEEN: u32 = 8;
/// After how many receipts an estimate is made anew.
const STALE_AFTER: u32 = 500;

/// What a node says about prices, at one moment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Prices {
    /// The newest block's base fee, per gas; `None` on chains without one.
    pub base_fee: Option<Wei>,
    /// Tips at the 50th percentile of the last blocks; empty if the node does not serve them.
    pub tips: Vec<Wei>,
    /// The base fees of those blocks.
    pub base_fees: Vec<Wei>,
    /// What `eth_gasPrice` says.
    pub gas_price: Option<Wei>,
    /// What `eth_maxPriorityFeePerGas` says.
    pub tip: Option<Wei>,
}

/// What to offer per unit of gas.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FeeQuote {
    /// The cap per gas, in wei.
    pub max_fee_per_gas: Wei,
    /// The tip per gas, in wei.
    pub max_priority_fee_per_gas: Wei,
    /// Type 0 transactions only.
    pub legacy: bool,
}

impl FeeQuote {
    /// The fees of a transaction with this much gas.
    pub const fn with_gas(self, gas_limit: u64) -> Fees {
        let Self { max_fee_per_gas, max_priority_fee_per_gas, legacy } = self;
        Fees { gas_limit, max_fee_per_gas, max_priority_fee_per_gas, legacy }
    }
}

/// What to offer, by what the node says; `None` if it says nothing usable.
///
/// | the chain | tip | cap |
/// |---|---|---|
/// | base fee, real fee history | median of the history's tips | 2 x base + tip |
/// | base fee, identical rows (go-opera makes them up) | `eth_maxPriorityFeePerGas`, else price - base | max(2 x base + tip, price) |
/// | no base fee | the price | price x 1.1, type 0 |
pub fn quote(prices: &Prices) -> Option<FeeQuote> {
    let Some(base) = prices.base_fee else {
        let price = prices.gas_price?.raised_by_permille(100)?;
        return Some(FeeQuote {
            max_fee_per_gas: price,
            max_priority_fee_per_gas: price,
            legacy: true,
        });
    };
    let doubled = base.checked_mul(2)?;
    let (tip, floor) = match median(prices) {
        Some(tip) => (tip, Wei::ZERO),
        None => {
            let price = prices.gas_price.unwrap_or(base);
            (prices.tip.unwrap_or_else(|| price.saturating_sub(base)), price)
        }
    };
    let cap = doubled.checked_add(tip)?.max(floor);
    Some(FeeQuote { max_fee_per_gas: cap, max_priority_fee_per_gas: tip, legacy: false })
}

/// The median tip of a fee history, unless the history is made up.
fn median(prices: &Prices) -> Option<Wei> {
    let first = (prices.tips.first()?, prices.base_fees.first()?);
    let made_up = prices.tips.iter().all(|tip| tip == first.0)
        && prices.base_fees.iter().all(|base| base == first.1);
    if made_up {
        return None;
    }
    let mut sorted = prices.tips.clone();
    sorted.sort_unstable();
    sorted.get(sorted.len() / 2).copied()
}

/// What gas is learned by: the same key, the same gas but for details.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum GasKey {
    /// A publication: its source, and the length of the config's URL in 32-byte words.
    Publish {
        /// The source.
        source: Address,
        /// Words of the URL, begun ones counted.
        words: u32,
    },
    /// A confirm.
    Confirm,
    /// A cancel.
    Cancel,
    /// A deposit.
    Deposit,
    /// A no-op.
    NoOp,
}

impl GasKey {
    /// The key of a call.
    pub fn of(call: &Call) -> Self {
        match call {
            Call::PublishTask { source, config, .. } => Self::publish(*source, config),
            Call::ConfirmResponse { .. } => Self::Confirm,
            Call::CancelTask { .. } => Self::Cancel,
            Call::Deposit { .. } => Self::Deposit,
            Call::NoOp => Self::NoOp,
        }
    }

    /// The key of a publication.
    pub fn publish(source: Address, config: &str) -> Self {
        let words = u32::try_from(config.len().div_ceil(32)).unwrap_or(u32::MAX);
        Self::Publish { source, words }
    }

    const fn usual(self) -> u64 {
        match self {
            Self::Publish { .. } => USUAL_PUBLISH_USE,
            Self::Confirm => USUAL_CONFIRM_USE,
            Self::Cancel | Self::Deposit | Self::NoOp => self.typical(),
        }
    }

    /// The least that may be given however little was used: the estimate, and for a publication
    /// and a confirm the refill.
    fn with_refill(self, estimate: u64) -> u64 {
        match self {
            Self::Publish { .. } => {
                estimate.saturating_add(REFILL_GAS).min(raised(estimate, ESTIMATE_MARGIN))
            }
            Self::Confirm => estimate.saturating_add(REFILL_GAS),
            Self::Cancel | Self::Deposit | Self::NoOp => estimate,
        }
    }

    const fn typical(self) -> u64 {
        match self {
            Self::Publish { .. } => TYPICAL_PUBLISH_GAS,
            Self::Confirm => TYPICAL_CONFIRM_GAS,
            Self::Cancel | Self::Deposit => TYPICAL_SMALL_GAS,
            Self::NoOp => NO_OP_GAS,
        }
    }
}

/// What is known about one key's gas.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Known {
    estimate: Option<u64>,
    most_used: u64,
    seen: u32,
}

/// How much gas each kind of call takes: one estimate, then receipts.
///
/// Lives as long as the process: a new one estimates anew, so a changed contract is noticed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct GasBook {
    known: BTreeMap<GasKey, Known>,
}

impl GasBook {
    /// Whether an estimate is due: none yet, too many receipts since, or one ran out of gas.
    pub fn wants_estimate(&self, key: GasKey) -> bool {
        self.known
            .get(&key)
            .is_none_or(|known| known.estimate.is_none() || known.seen >= STALE_AFTER)
    }

    /// Takes a fresh estimate, without a margin.
    pub fn estimated(&mut self, key: GasKey, gas: u64) {
        let known = self.known.entry(key).or_default();
        *known = Known { estimate: Some(gas), most_used: known.most_used, seen: 0 };
    }

    /// Takes note of a receipt: what was used of which limit.
    ///
    /// A reverted transaction that used its whole limit ran out of gas: an estimate is due again,
    /// and until then the limit is at least half as much more.
    pub fn used(&mut self, key: GasKey, used: u64, limit: u64, ok: bool) {
        let known = self.known.entry(key).or_default();
        if ok {
            known.most_used = known.most_used.max(used);
            known.seen = known.seen.saturating_add(1);
        } else if key == GasKey::Confirm {
            // Whoever signs it again doubles the limit, and nobody else needs more for it.
            known.estimate = known.estimate.filter(|_| !ran_out(used, limit));
        } else if used >= limit {
            let more = limit.saturating_add(limit / 2);
            *known = Known { estimate: None, most_used: known.most_used.max(more), seen: 0 };
        }
    }

    /// The gas limit to give.
    ///
    /// An estimate x 1.08; after enough receipts the most that was used x 1.03 + 5,000, but never
    /// less than the estimate itself: a call needs more than it uses in the end, because inner
    /// calls keep back 1/64 (EIP-150) and refunds come last (EIP-3529). A publication keeps room
    /// to fill the payer's escrow anew, within the first margin, and a confirm to be its provider's
    /// first. Without either, what is typical.
    pub fn limit(&self, key: GasKey) -> u64 {
        let known = self.known.get(&key).copied().unwrap_or_default();
        let by_receipts = raised(known.most_used, SEEN_MARGIN).saturating_add(SEEN_EXTRA);
        match known.estimate {
            _ if key == GasKey::NoOp => NO_OP_GAS,
            Some(estimate) if known.seen >= ENOUGH_SEEN => {
                by_receipts.max(key.with_refill(estimate))
            }
            Some(estimate) => {
                let limit = raised(estimate, ESTIMATE_MARGIN);
                limit.max(key.with_refill(estimate)).max(known.most_used)
            }
            None if known.most_used > 0 => by_receipts.max(key.typical()),
            None => key.typical(),
        }
    }

    /// The gas that a call is expected to use: what was estimated, else the most that was seen,
    /// else what is usual. An estimate is hardly above the use.
    pub fn expected(&self, key: GasKey) -> u64 {
        let known = self.known.get(&key).copied().unwrap_or_default();
        match known.estimate {
            Some(estimate) => estimate,
            None if known.most_used > 0 => known.most_used,
            None => key.usual(),
        }
    }
}

/// What a unit of gas is expected to cost while fees stay as they are.
///
/// A transaction pays base fee and tip, and its cap at most; one of type 0 pays what it offers.
pub fn expected_price(base_fee: Option<Wei>, cap: Wei, tip: Wei) -> Wei {
    base_fee.map_or(cap, |base| base.saturating_add(tip).min(cap))
}

/// `gas` raised by thousandths, rounded up.
fn raised(gas: u64, permille: u64) -> u64 {
    let product = u128::from(gas) * u128::from(1_000 + permille);
    u64::try_from(product.div_ceil(1_000)).unwrap_or(u64::MAX)
}

/// Whether a transaction that was undone may have run out of gas. An inner call that does leaves
/// the outer ones a 64th each (EIP-150), with which they undo everything.
pub const fn ran_out(used: u64, limit: u64) -> bool {
    limit.saturating_sub(used) <= limit / 16
}

/// What a transaction paid for gas, in wei.
pub fn gas_paid(used: u64, price: u128) -> Wei {
    Wei::from_u256(U256::from(price).saturating_mul(U256::from(used)))
}
