//! What effects bring back, and what they share while they are out.

use std::sync::{Arc, Mutex, PoisonError, RwLock};

use alloy::primitives::B256;
use bytes::Bytes;
use tokio::sync::mpsc::UnboundedSender;

use crate::engine::{EffectKey, Input};
use crate::plan::{Plan, PlanItem, Scope};
use crate::units::{SignedTx, TaskId};

use super::results::ResultIndex;
use super::{DriveError, ItemStore, News, Notice, ReadOutput};

/// The end of one effect.
pub(crate) struct Report {
    /// The effects that are not out any more.
    pub done: Vec<EffectKey>,
    /// What the engine is told; nothing if there is nothing to tell.
    pub input: Option<Input>,
    /// A signed version, kept by the shell until it is appended.
    pub signed: Option<SignedTx>,
    /// A small output, to be appended with the fact that names it.
    pub output: Option<(B256, Bytes)>,
}

impl Report {
    /// An effect that ended with one input.
    pub(crate) fn of(done: EffectKey, input: Input) -> Self {
        Self { done: vec![done], input: Some(input), signed: None, output: None }
    }
}

/// How the gateways have been doing: since when none of them has given anything.
#[derive(Debug, Default)]
pub(crate) struct Gateway(Mutex<Option<tokio::time::Instant>>);

/// For so long every fetch may fail before the gateways count as down. An output is given up
/// only after longer, so one that waits at a gateway that is down is never given up.
const GATEWAY_PATIENCE: std::time::Duration = std::time::Duration::from_secs(15);

/// What all effects of a run share.
pub(crate) struct Shared<C, N> {
    pub plan: Arc<Plan>,
    pub chain: Arc<C>,
    pub content: Arc<N>,
    pub items: Arc<ItemStore>,
    pub outputs: ReadOutput,
    pub results: RwLock<ResultIndex>,
    pub scopes: RwLock<Vec<Option<Arc<Scope>>>>,
    pub gateway: Gateway,
    pub run_facts: crate::plan::RunFacts,
    pub news: UnboundedSender<News>,
    pub notify: Arc<dyn Fn(Notice) + Send + Sync>,
}

impl<C, N> Shared<C, N> {
    /// Tells the loop what effects brought.
    pub(crate) fn report(&self, reports: Vec<Report>) {
        // The loop may have ended; then nobody wants to know.
        let _gone = self.news.send(News::Inputs(reports));
    }

    /// Ends the run.
    pub(crate) fn fail(&self, error: DriveError) {
        let _gone = self.news.send(News::Fatal(error));
    }

    /// Notes that a gateway gave something.
    pub(crate) fn gateway_replied(&self) {
        *self.gateway.0.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    /// Notes that a fetch failed, and says whether nothing has come for too long.
    pub(crate) fn gateway_is_down(&self) -> bool {
        let mut since = self.gateway.0.lock().unwrap_or_else(PoisonError::into_inner);
        since.get_or_insert_with(tokio::time::Instant::now).elapsed() >= GATEWAY_PATIENCE
    }

    /// What expressions of a step see, made once: the steps that it reads are over.
    pub(crate) fn scope(&self, step: u16) -> Result<Arc<Scope>, String> {
        let place = usize::from(step);
        let known = self.scopes.read().unwrap_or_else(PoisonError::into_inner);
        if let Some(scope) = known.get(place).and_then(Clone::clone) {
            return Ok(scope);
        }
        drop(known);
        let values = self.values(step)?;
        let scope = Arc::new(self.plan.scope(step, &values));
        let mut known = self.scopes.write().unwrap_or_else(PoisonError::into_inner);
        known[place] = Some(scope.clone());
        Ok(scope)
    }

    /// What became of the steps that a step waits for as a whole.
    pub(crate) fn values(&self, step: u16) -> Result<Vec<(u16, crate::plan::StepValues)>, String> {
        let rule = &self.plan.schedule().steps[usize::from(step)];
        let whole = rule.upstreams.iter().filter(|edge| edge.kind == crate::plan::EdgeKind::Whole);
        whole.map(|edge| Ok((edge.step, self.step_values(edge.step)?))).collect()
    }

    /// What became of a step's items, with the items themselves and their outputs.
    pub(crate) fn step_values(&self, step: u16) -> Result<crate::plan::StepValues, String> {
        let records = {
            let results = self.results.read().unwrap_or_else(PoisonError::into_inner);
            results.of_step(step)
        };
        let mut values = crate::plan::StepValues {
            entries: Vec::with_capacity(records.len()),
            spent: records.spent,
        };
        for (place, record) in &records.entries {
            let item = self.item(TaskId::new(step, *place))?;
            values.entries.push(record.entry(item, &self.outputs)?);
        }
        Ok(values)
    }

    /// An item, from where its step keeps it, or from the upstream item that it is made of.
    pub(crate) fn item(&self, id: TaskId) -> Result<PlanItem, String> {
        let planned = &self.plan.steps()[usize::from(id.step)];
        match planned.streams {
            None => self.items.get(self.plan.step_name(id.step).as_str(), id.step, id.item),
            Some(upstream) => {
                let scope = self.scope(id.step)?;
                let entry = self.upstream_entry(upstream, id.item)?;
                let made = self.plan.streamed(id.step, id.item, &entry, &scope)?;
                made.ok_or_else(|| "the upstream item has no output".to_owned())
            }
        }
    }

    /// What became of one item of a step.
    pub(crate) fn upstream_entry(
        &self,
        step: u16,
        place: u32,
    ) -> Result<crate::plan::StepEntry, String> {
        let record = {
            let results = self.results.read().unwrap_or_else(PoisonError::into_inner);
            results.get(step, place)
        };
        let record = record.ok_or_else(|| "the upstream item is not done".to_owned())?;
        let item = self.item(TaskId::new(step, place))?;
        record.entry(item, &self.outputs)
    }
}
