//! What is not what it was when a plan was saved.

use std::fs;
use std::path::Path;

use alloy::primitives::B256;

use super::{PlanFile, figures};
use crate::cli::failure::Failure;
use crate::cli::prepare::{Opened, Prepared};
use crate::cli::settings::Settings;
use crate::pipeline::{Code, Problem};
use crate::plan::{Part, SourceEntry, Sources};
use crate::report::plan_json;
use crate::units::Wei;
use crate::units::cid::sha256;
use crate::units::time::show_duration;

impl PlanFile {
    /// Before anything is checked: the network, this program, and the text of every file.
    ///
    /// # Errors
    /// Exit 2 for another network, exit 8 with the files that changed.
    pub fn same_texts(&self, settings: &Settings, here: &Path) -> Result<(), Failure> {
        let network = &settings.network.value;
        let (name, chain_id) = (&self.network.0, self.network.1);
        if *name != network.name || chain_id != network.chain_id {
            let message = format!("{} is a plan for {name}, not for {}", self.name, network.name);
            return Err(Failure::usage(message).help(format!("--network {name}")));
        }
        let mut changed = Vec::new();
        if self.saved.ogflow != env!("CARGO_PKG_VERSION") {
            changed.push(format!("ogflow (it was {})", self.saved.ogflow));
        }
        for text in &self.saved.texts {
            match fs::read(here.join(&text.name)) {
                Ok(bytes) if sha256(&bytes) == text.sha256 => {}
                Ok(_) => changed.push(text.name.clone()),
                Err(_) => changed.push(format!("{} (it cannot be read)", text.name)),
            }
        }
        self.refuse(&changed)
    }

    /// When the pipeline was read and the chain was asked: params and sources.
    ///
    /// # Errors
    /// Exit 8 with what changed.
    pub fn same_sources(&self, opened: &Opened) -> Result<(), Failure> {
        let now = &opened.checked.pipeline.params;
        let mut changed: Vec<String> = self
            .params
            .iter()
            .filter(|(name, value)| now.get(*name) != Some(value))
            .map(|(name, _)| format!("param `{name}`"))
            .collect();
        changed.extend(sources(&self.saved.sources, &opened.sources));
        if self.signer.is_some() && self.signer != opened.connection.signer {
            changed.push("the signer".to_owned());
        }
        self.refuse(&changed)
    }

    /// When the plan was made again: everything.
    ///
    /// # Errors
    /// Exit 8 with what changed.
    pub fn same_plan(&self, prepared: &Prepared) -> Result<(), Failure> {
        let now = &prepared.summary.fingerprint;
        let mut changed = Vec::new();
        for part in self.fingerprint.changed(now) {
            match part {
                Part::Inputs => changed.extend(self.inputs(prepared)),
                Part::GasPrice => changed.push(gas(self.fingerprint.gas_price, now.gas_price)),
                Part::Pipeline => changed.push("the pipeline, a template or a param".to_owned()),
                Part::Sources => changed.push("what a source's contract says".to_owned()),
                Part::Cache => changed.push("what is reused".to_owned()),
            }
        }
        let document = plan_json::document(&prepared.summary);
        if changed.is_empty() && figures(&document["totals"]) != self.figures {
            changed.push("what it comes to".to_owned());
        }
        self.refuse(&changed)
    }

    /// A failure on the way to the plan, as one of a plan that could be made once: its files are
    /// what they were, so what differs is what they name.
    pub fn failed(&self, failure: Failure) -> Failure {
        let Some(first) = failure.problems.last() else { return failure };
        let changed = if first.code == Code::E0315 {
            vec!["a param".to_owned()]
        } else {
            self.files_of(&failure.problems)
        };
        self.stale(&changed).because(first.line())
    }

    /// The input files that problems are about.
    fn files_of(&self, problems: &[Problem]) -> Vec<String> {
        let steps: Vec<&str> = problems.iter().filter_map(|it| it.step.as_deref()).collect();
        let inputs = self.saved.inputs.iter();
        let mut files: Vec<String> = inputs
            .filter(|input| steps.contains(&input.step.as_str()))
            .filter_map(|input| input.file.clone())
            .collect();
        files.dedup();
        if files.is_empty() { vec!["an input file".to_owned()] } else { files }
    }

    /// The input files whose content is another.
    fn inputs(&self, prepared: &Prepared) -> Vec<String> {
        let now: Vec<Option<B256>> = prepared
            .plan
            .steps()
            .iter()
            .map(|step| step.items.as_ref().map(|items| items.sha256))
            .collect();
        let mut changed: Vec<String> = Vec::new();
        for (input, now) in self.saved.inputs.iter().zip(now) {
            let name =
                input.file.clone().unwrap_or_else(|| format!("the items of `{}`", input.step));
            if input.sha256 != now && !changed.contains(&name) {
                changed.push(name);
            }
        }
        if changed.is_empty() { vec!["an input file".to_owned()] } else { changed }
    }

    fn refuse(&self, changed: &[String]) -> Result<(), Failure> {
        if changed.is_empty() { Ok(()) } else { Err(self.stale(changed)) }
    }
}

/// What the contracts of sources say otherwise, each in words.
fn sources(then: &Sources, now: &Sources) -> Vec<String> {
    let mut changed = Vec::new();
    for entry in &then.entries {
        match now.entries.iter().find(|it| it.named == entry.named) {
            Some(now) => changed.extend(source(entry, now)),
            None => changed.push(format!("source {}", entry.named)),
        }
    }
    changed
}

fn source(then: &SourceEntry, now: &SourceEntry) -> Vec<String> {
    let named = &then.named;
    let (Some(old), Some(new)) = (&then.facts, &now.facts) else {
        return vec![format!("source {named} (it is not there any more)")];
    };
    let mut changed = Vec::new();
    if then.address != now.address {
        changed.push(format!("the address of source {named}"));
    }
    if old.active != new.active {
        changed.push(format!("source {named} (it takes no more tasks)"));
    }
    if old.min_payment != new.min_payment {
        let (was, is) = (old.min_payment, new.min_payment);
        changed.push(format!("the minimum payment of source {named} (was {was}, is {is})"));
    }
    if old.max_expiry != new.max_expiry {
        let (was, is) = (show_duration(old.max_expiry), show_duration(new.max_expiry));
        changed.push(format!("the longest expiry of source {named} (was {was}, is {is})"));
    }
    if old.delivery != new.delivery {
        changed.push(format!("who confirms the responses of source {named}"));
    }
    changed
}

fn gas(then: Option<Wei>, now: Option<Wei>) -> String {
    let show = |price: Option<Wei>| price.unwrap_or_default().to_u256();
    format!("the gas price (was {} wei, is {} wei)", show(then), show(now))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use alloy::primitives::Address;

    use super::*;
    use crate::units::source::{Delivery, SourceFacts};

    fn one(change: impl FnOnce(&mut SourceEntry)) -> Sources {
        let facts = SourceFacts {
            client: Address::ZERO,
            active: true,
            min_payment: Wei::parse("0.01 OGPU").unwrap(),
            max_expiry: Duration::from_hours(1),
            delivery: Delivery::ManualConfirmation,
            registrants: 3,
        };
        let mut entry =
            SourceEntry { named: "llm".into(), address: Address::ZERO, facts: Some(facts) };
        change(&mut entry);
        Sources { entries: vec![entry], block: None }
    }

    #[test]
    fn every_parameter_of_a_source_that_decides_about_money_is_named() {
        let before = one(|_| {});
        let named = |now: &Sources| sources(&before, now).join("; ");
        let facts = |change: fn(&mut SourceFacts)| {
            named(&one(|entry| change(entry.facts.as_mut().unwrap())))
        };
        assert_eq!(named(&one(|_| {})), "");
        assert_eq!(facts(|it| it.registrants = 9), "", "providers come and go");
        assert_eq!(
            facts(|it| it.min_payment = Wei::parse("0.02 OGPU").unwrap()),
            "the minimum payment of source llm (was 0.01 OGPU, is 0.02 OGPU)"
        );
        assert!(facts(|it| it.max_expiry = Duration::from_mins(1)).contains("longest expiry"));
        assert!(facts(|it| it.delivery = Delivery::FirstResponse).contains("who confirms"));
        assert!(facts(|it| it.active = false).contains("takes no more tasks"));
        assert!(named(&one(|it| it.facts = None)).contains("not there"));
        assert!(named(&one(|it| it.address = Address::repeat_byte(1))).contains("the address"));
        assert_eq!(named(&Sources::default()), "source llm");
    }
}
