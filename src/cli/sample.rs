//! Rendered task bodies: for `plan --sample` and `render`.

use std::io;

use alloy::primitives::B256;
use serde_json::{Value, json};

use super::failure::{Exit, Failure};
use super::prepare::Prepared;
use crate::plan::{ItemSink, Plan, PlanItem, Purchase};
use crate::units::StepName;

/// One task body.
#[derive(Clone, Debug)]
pub struct Body {
    /// `STEP/KEY`.
    pub label: String,
    /// The config as it would be pinned, without the tag of a run.
    pub config: Value,
}

impl Body {
    /// For machines.
    pub fn json(&self) -> Value {
        json!({"task": self.label, "config": self.config})
    }

    /// For people.
    pub fn text(&self) -> String {
        let body = serde_json::to_string_pretty(&self.config).unwrap_or_default();
        format!(" {}\n{body}", self.label)
    }

    /// For Markdown.
    pub fn markdown(&self) -> String {
        let body = serde_json::to_string_pretty(&self.config).unwrap_or_default();
        format!("\n`{}`\n\n```json\n{body}\n```\n", self.label)
    }
}

/// Keeps the first items of each step in memory.
#[derive(Debug, Default)]
pub struct FirstItems {
    /// How many of each step are kept.
    pub most: usize,
    /// A key to wait for besides: step and key.
    pub wanted: Option<(String, String)>,
    kept: Vec<(StepName, PlanItem)>,
    place: u32,
}

impl FirstItems {
    /// Keeps `most` items of each step, and the one that is wanted.
    pub fn new(most: usize, wanted: Option<(String, String)>) -> Self {
        Self { most, wanted, kept: Vec::new(), place: 0 }
    }

    /// The kept items of a step.
    pub fn of<'a>(&'a self, step: &'a str) -> impl Iterator<Item = &'a PlanItem> {
        self.kept.iter().filter(move |(name, _)| name.as_str() == step).map(|(_, item)| item)
    }
}

impl ItemSink for FirstItems {
    fn line(&mut self, step: &StepName, line: &[u8]) -> io::Result<()> {
        let first = usize::try_from(self.place).is_ok_and(|place| place < self.most);
        let asked = self.wanted.as_ref().is_some_and(|(name, _)| name == step.as_str());
        if first || asked {
            let item = PlanItem::from_line(self.place, line);
            let fits = |item: &PlanItem| {
                first || self.wanted.as_ref().is_some_and(|(_, key)| key == item.key.as_str())
            };
            self.kept.extend(item.filter(fits).map(|item| (step.clone(), item)));
        }
        self.place += 1;
        Ok(())
    }

    fn end(&mut self, _: &StepName) -> io::Result<Option<B256>> {
        self.place = 0;
        Ok(None)
    }
}

/// The first `count` bodies of every step whose items and data are known before the run.
///
/// # Errors
/// When an item cannot be rendered.
pub fn bodies(prepared: &Prepared, items: &FirstItems, count: usize) -> Result<Vec<Body>, Failure> {
    let plan = &prepared.plan;
    let mut out = Vec::new();
    for place in 0..plan.steps().len() {
        let place = u16::try_from(place).unwrap_or(u16::MAX);
        let name = plan.step_name(place).as_str().to_owned();
        if !is_known(plan, place) {
            continue;
        }
        let once = PlanItem::once(&name);
        let own = items.of(&name).take(count);
        let all: Vec<&PlanItem> = match plan.steps()[usize::from(place)].items {
            Some(_) => own.collect(),
            None => vec![&once],
        };
        for item in all.into_iter().take(count) {
            out.push(body(plan, place, item)?);
        }
    }
    Ok(out)
}

/// Whether a step's items and data can be known before anything ran.
pub fn is_known(plan: &Plan, place: u16) -> bool {
    let step = plan.pipeline().step(plan.step_name(place).as_str());
    step.is_some_and(|step| step.reads.is_empty())
}

/// The body of one item.
///
/// # Errors
/// When it cannot be rendered.
pub fn body(plan: &Plan, place: u16, item: &PlanItem) -> Result<Body, Failure> {
    let label = format!("{}/{}", plan.step_name(place), item.key);
    let scope = plan.scope(place, &[]);
    let wrong = |why: String| {
        Failure::new(Exit::Invalid, format!("{label} cannot be rendered")).because(why)
    };
    let payment = plan.offer(place, item, &scope).map_err(wrong)?.payment;
    let bought = Purchase { key: None, payment };
    let config = plan.render(place, item, &scope, bought).map_err(wrong)?;
    let config = serde_json::from_slice(&config.bytes).map_err(|error| wrong(error.to_string()))?;
    Ok(Body { label, config })
}
