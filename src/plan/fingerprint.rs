//! What a plan was made from, as hashes: a saved plan is stale, and a journal another plan's, as
//! soon as one of them differs.

use alloy::primitives::B256;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::{Fingerprint, KnownItems, PlanError, Sources};
use crate::pipeline::Pipeline;
use crate::units::{Network, Wei, canonical};

impl Fingerprint {
    /// What `self` has that `other` has not, in words; `None` if nothing that matters differs.
    /// A gas price is the same until it has risen or fallen by a quarter (cli.md, section 3.3).
    ///
    /// # Errors
    /// [`PlanError::Stale`] with the first part that differs.
    pub fn compare(&self, now: &Self) -> Result<(), PlanError> {
        let stale = |what: &str| Err(PlanError::Stale { what: what.to_owned() });
        if self.pipeline != now.pipeline {
            return stale("the pipeline, a template or a param");
        }
        if self.inputs != now.inputs {
            return stale("an input file");
        }
        if self.sources != now.sources {
            return stale("what a source's contract says");
        }
        if self.cache != now.cache {
            return stale("what is reused");
        }
        match (self.gas_price, now.gas_price) {
            (Some(then), Some(now)) if moved(then, now) => stale("the gas price"),
            (Some(_) | None, _) => Ok(()),
        }
    }
}

/// Whether a price has moved by more than a quarter.
fn moved(then: Wei, now: Wei) -> bool {
    let (low, high) = (then.min(now), then.max(now));
    high.saturating_sub(low).saturating_mul(4) > then
}

/// Pipeline, templates, schemas and params.
pub(super) fn of_pipeline(pipeline: &Pipeline) -> B256 {
    let mut hash = Sha256::new();
    let mut add = |text: &str| {
        hash.update(u64::try_from(text.len()).unwrap_or(u64::MAX).to_be_bytes());
        hash.update(text.as_bytes());
    };
    add(&pipeline.file.text);
    for part in &pipeline.parts {
        add(&part.name);
        add(&part.text);
    }
    add(&canonical::to_string(&Value::Object(pipeline.params.clone())));
    B256::new(hash.finalize().into())
}

/// The contents of the input files, by step.
pub(super) fn of_inputs<'a>(
    items: impl Iterator<Item = (&'a str, Option<&'a KnownItems>)>,
) -> B256 {
    let list: Vec<Value> = items
        .map(|(step, items)| json!([step, items.map(|items| (items.sha256, items.count))]))
        .collect();
    canonical::digest(&Value::Array(list))
}

/// The network, the sources, and what their contracts say that decides about money. How many
/// providers have registered, and the block that was read, change all the time and decide nothing.
pub(super) fn of_sources(network: &Network, sources: &Sources) -> B256 {
    let list: Vec<Value> = sources
        .entries
        .iter()
        .map(|entry| {
            let facts = entry.facts.as_ref().map(|facts| {
                let span = u64::try_from(facts.max_expiry.as_millis()).unwrap_or(u64::MAX);
                (facts.min_payment, span, facts.delivery)
            });
            json!([entry.named, entry.address, facts])
        })
        .collect();
    canonical::digest(&json!([network.chain_id, network.controller, list]))
}

/// All parts in one number. What is reused and the gas price are not among them: they change
/// what a run costs, not what it is.
pub(super) fn of_all(parts: &Fingerprint) -> B256 {
    canonical::digest(&json!([parts.pipeline, parts.inputs, parts.sources]))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parts() -> Fingerprint {
        let hash = |byte| B256::repeat_byte(byte);
        Fingerprint {
            pipeline: hash(1),
            inputs: hash(2),
            sources: hash(3),
            cache: hash(4),
            gas_price: Some(Wei::from_u128(100)),
        }
    }

    #[test]
    fn each_part_that_differs_makes_a_plan_stale_and_is_named() {
        let other = B256::repeat_byte(9);
        let changed = |change: fn(&mut Fingerprint, B256)| {
            let mut now = parts();
            change(&mut now, other);
            parts().compare(&now).unwrap_err().to_string()
        };
        assert!(changed(|now, other| now.pipeline = other).contains("pipeline"));
        assert!(changed(|now, other| now.inputs = other).contains("input file"));
        assert!(changed(|now, other| now.sources = other).contains("source"));
        assert!(changed(|now, other| now.cache = other).contains("reused"));
        assert_eq!(parts().compare(&parts()), Ok(()));
    }

    #[test]
    fn a_gas_price_may_move_by_a_quarter() {
        let compare = |now: u128| {
            parts()
                .compare(&Fingerprint { gas_price: Some(Wei::from_u128(now)), ..parts() })
                .is_ok()
        };
        assert!(compare(125) && compare(75));
        assert!(!compare(126) && !compare(74));
        assert_eq!(parts().compare(&Fingerprint { gas_price: None, ..parts() }), Ok(()));
    }
}
