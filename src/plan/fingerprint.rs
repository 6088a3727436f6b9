//! What a plan was made from, as hashes: a saved plan is stale, and a journal another plan's, as
//! soon as one of them differs.

use alloy::primitives::B256;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::{Fingerprint, KnownItems, Sources};
use crate::pipeline::Pipeline;
use crate::units::{Network, Wei, canonical};

/// A part of what a plan was made from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// The pipeline, a template, a schema, a param, or which steps were selected.
    Pipeline,
    /// The input files.
    Inputs,
    /// What the sources' contracts say.
    Sources,
    /// What is reused.
    Cache,
    /// The gas price.
    GasPrice,
}

impl Fingerprint {
    /// The parts that are not the same now. A gas price is the same until it has risen or fallen
    /// by more than a quarter (cli.md, section 3.3).
    pub fn changed(&self, now: &Self) -> Vec<Part> {
        let gas = match (self.gas_price, now.gas_price) {
            (Some(then), Some(now)) => moved(then, now),
            (Some(_) | None, _) => false,
        };
        [
            (Part::Pipeline, self.pipeline != now.pipeline),
            (Part::Inputs, self.inputs != now.inputs),
            (Part::Sources, self.sources != now.sources),
            (Part::Cache, self.cache != now.cache),
            (Part::GasPrice, gas),
        ]
        .into_iter()
        .filter_map(|(part, changed)| changed.then_some(part))
        .collect()
    }
}

/// Whether a price has moved by more than a quarter.
fn moved(then: Wei, now: Wei) -> bool {
    let (low, high) = (then.min(now), then.max(now));
    high.saturating_sub(low).saturating_mul(4) > then
}

/// Pipeline, templates, schemas, params, and the steps that were selected.
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
    pipeline.only.iter().for_each(|step| add(step.as_str()));
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
    fn each_part_that_differs_is_named() {
        let other = B256::repeat_byte(9);
        let changed = |change: fn(&mut Fingerprint, B256)| {
            let mut now = parts();
            change(&mut now, other);
            parts().changed(&now)
        };
        assert_eq!(changed(|now, other| now.pipeline = other), [Part::Pipeline]);
        assert_eq!(changed(|now, other| now.inputs = other), [Part::Inputs]);
        assert_eq!(changed(|now, other| now.sources = other), [Part::Sources]);
        assert_eq!(changed(|now, other| now.cache = other), [Part::Cache]);
        let both = changed(|now, other| {
            now.inputs = other;
            now.gas_price = Some(Wei::from_u128(200));
        });
        assert_eq!(both, [Part::Inputs, Part::GasPrice]);
        assert_eq!(parts().changed(&parts()), []);
    }

    #[test]
    fn a_gas_price_may_move_by_a_quarter() {
        let changed =
            |price: Option<u128>| Fingerprint { gas_price: price.map(Wei::from_u128), ..parts() };
        let parts = parts();
        assert!(parts.changed(&changed(Some(125))).is_empty());
        assert!(parts.changed(&changed(Some(75))).is_empty());
        assert!(parts.changed(&changed(None)).is_empty());
        assert_eq!(parts.changed(&changed(Some(126))), [Part::GasPrice]);
        assert_eq!(parts.changed(&changed(Some(74))), [Part::GasPrice]);
    }
}
