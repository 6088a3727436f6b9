//! Where the plan's pure functions meet what the run has produced: items, upstream values,
//! configs, verdicts.
//!
//! Everything here runs on the blocking pool. What it reads is a fold of journaled facts, files
//! that were synced before a fact named them, and the plan; so the same question has the same
//! reply in a resumed run.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use alloy::primitives::B256;
use bytes::Bytes;

use crate::content::Blobs;
use crate::engine::{Event, Expansion, ItemEntry, ItemFate, Verdict, Window};
use crate::plan::{
    EdgeKind, Expanded, Plan, PlanItem, Purchase, RunFacts, Scope, StepEntry, StepValues,
    TaskConfig, parse_output,
};
use crate::store::StoreError;
use crate::units::{ItemKey, TaskId, TaskKey, Timestamp, Wei};

use super::DriverError;
use super::items::{BlobSink, Lines};
use super::results::{Ended, Results};

/// Reads the bytes of an output that the journal names; `None` if they are nowhere.
pub type Outputs = Arc<dyn Fn(&B256) -> Result<Option<Vec<u8>>, StoreError> + Send + Sync>;

/// The most bytes of items that are kept in memory, counted as their lines.
const CACHED_BYTES: usize = 32 << 20;

/// The most outputs that wait in memory for their check; what is dropped is read again.
const HELD_OUTPUTS: usize = 4096;

/// The plan at work.
pub(super) struct Desk {
    plan: Arc<Plan>,
    run: RunFacts,
    blobs: Blobs,
    outputs: Outputs,
    results: Mutex<Results>,
    scopes: Mutex<BTreeMap<u16, Arc<Scope>>>,
    lines: Mutex<BTreeMap<u16, Arc<Mutex<Lines>>>>,
    cache: Mutex<Cache>,
    bodies: Mutex<BTreeMap<B256, Bytes>>,
}

/// Items that were read and whose tasks go on.
#[derive(Default)]
struct Cache {
    items: BTreeMap<TaskId, (Arc<PlanItem>, usize)>,
    bytes: usize,
}

impl fmt::Debug for Desk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Desk").field("run", &self.run).finish_non_exhaustive()
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Desk {
    /// A desk for a run of `plan`.
    pub(super) fn new(plan: Arc<Plan>, run: RunFacts, (blobs, outputs): (Blobs, Outputs)) -> Self {
        let edges = plan.schedule().steps.iter().flat_map(|rule| &rule.upstreams);
        let read = edges.map(|edge| edge.step).collect();
        Self {
            plan,
            run,
            blobs,
            outputs,
            results: Mutex::new(Results::of(read)),
            scopes: Mutex::default(),
            lines: Mutex::default(),
            cache: Mutex::default(),
            bodies: Mutex::default(),
        }
    }

    /// The plan.
    pub(super) const fn plan(&self) -> &Arc<Plan> {
        &self.plan
    }

    /// Takes one journaled fact.
    pub(super) fn fold(&self, event: &Event, at: Timestamp) {
        lock(&self.results).fold(event, at);
        if let Event::TaskDone { task, .. } = event {
            lock(&self.cache).remove(*task);
        }
    }

    /// Asks the fold.
    pub(super) fn results<T>(&self, ask: impl FnOnce(&Results) -> T) -> T {
        ask(&lock(&self.results))
    }

    /// Keeps an output in memory until it is checked.
    pub(super) fn hold_output(&self, sha256: B256, body: Bytes) {
        let mut bodies = lock(&self.bodies);
        if bodies.len() >= HELD_OUTPUTS {
            bodies.clear();
        }
        bodies.insert(sha256, body);
    }

    /// Finds out which items a step has.
    pub(super) fn expand(&self, step: u16) -> Result<Expansion, DriverError> {
        let values = self.values(step)?;
        let mut sink = BlobSink::new(self.blobs.clone());
        let expanded = self.plan.expand(step, &values, &self.run, &mut sink);
        let scope = Arc::new(self.plan.scope(step, &values));
        lock(&self.scopes).insert(step, scope);
        Ok(match expanded {
            Expanded::Items { count, blob } => Expansion::Items { count, blob },
            Expanded::Streaming => Expansion::Streaming,
            Expanded::Skipped => Expansion::Skipped,
            Expanded::Failed { reason } => Expansion::Failed { reason },
        })
    }

    /// Reads a window of a step's items, and says what becomes of each.
    pub(super) fn read_items(
        &self,
        step: u16,
        window: &Window,
    ) -> Result<Vec<ItemEntry>, DriverError> {
        let scope = self.scope(step)?;
        match window {
            Window::From { from, limit } => {
                let items = self.window(step, *from, *limit)?;
                Ok(items
                    .into_iter()
                    .map(|(item, len)| self.judge(step, item, len, &scope))
                    .collect())
            }
            Window::Places(places) => {
                places.iter().map(|place| self.streamed_entry(step, *place, &scope)).collect()
            }
        }
    }

    /// The config of a task's round, and the hash of what is bought for `payment` wei.
    pub(super) fn render(
        &self,
        id: TaskId,
        (key, payment): (&TaskKey, Wei),
    ) -> Result<Result<TaskConfig, String>, DriverError> {
        let item = self.item(id)?;
        let scope = self.scope(id.step)?;
        Ok(self.plan.render(id.step, &item, &scope, Purchase { key: Some(key), payment }))
    }

    /// The verdict on an output that is on disk.
    pub(super) fn check(&self, id: TaskId, sha256: &B256) -> Result<Verdict, DriverError> {
        let held = lock(&self.bodies).remove(sha256);
        let body = match held {
            Some(body) => body,
            None => match (self.outputs)(sha256)? {
                Some(body) => body.into(),
                None => {
                    let reason = "the output is not on disk any more".into();
                    return Ok(Verdict::Unreadable { reason });
                }
            },
        };
        let output = match parse_output(&body) {
            Ok(output) => output,
            Err(verdict) => return Ok(judged(verdict)),
        };
        if !self.plan.steps()[usize::from(id.step)].checks_outputs() {
            return Ok(Verdict::Accepted);
        }
        let (item, scope) = (self.item(id)?, self.scope(id.step)?);
        Ok(judged(self.plan.check_output(id.step, &item, &scope, &output)))
    }

    /// What a step sees of the steps before it, made once they have ended.
    fn scope(&self, step: u16) -> Result<Arc<Scope>, DriverError> {
        if let Some(scope) = lock(&self.scopes).get(&step) {
            return Ok(Arc::clone(scope));
        }
        let scope = Arc::new(self.plan.scope(step, &self.values(step)?));
        lock(&self.scopes).insert(step, Arc::clone(&scope));
        Ok(scope)
    }

    /// The values of all steps that a step reads whole.
    fn values(&self, step: u16) -> Result<Vec<(u16, StepValues)>, DriverError> {
        let rule = &self.plan.schedule().steps[usize::from(step)];
        let whole = rule.upstreams.iter().filter(|edge| edge.kind == EdgeKind::Whole);
        whole.map(|edge| Ok((edge.step, self.step_values(edge.step)?))).collect()
    }

    /// What became of a step that is over.
    pub(super) fn step_values(&self, step: u16) -> Result<StepValues, DriverError> {
        let (all, spent) = self.results(|results| (results.all(step), results.spent(step)));
        let entries = all
            .into_iter()
            .map(|(item, ended)| self.entry(TaskId::new(step, item), ended))
            .collect::<Result<_, _>>()?;
        Ok(StepValues { entries, spent })
    }

    fn entry(&self, id: TaskId, ended: Ended) -> Result<StepEntry, DriverError> {
        let item = self.item(id)?;
        let output = match &ended.sha256 {
            Some(sha256) => Some(self.output(id.step, sha256)?),
            None => None,
        };
        Ok(StepEntry {
            key: item.key.clone(),
            item: item.value.clone(),
            output,
            reason: ended.reason.map(str::to_owned),
            provider: ended.provider,
            paid: ended.paid,
            ms: ended.ms,
            task: ended.task,
            response: ended.response,
        })
    }

    fn output(&self, step: u16, sha256: &B256) -> Result<serde_json::Value, DriverError> {
        let body = (self.outputs)(sha256)?;
        let body = body.ok_or_else(|| self.lost(step, "an output is not on disk any more"))?;
        serde_json::from_slice(&body).map_err(|_| self.lost(step, "an output is no JSON any more"))
    }

    /// An item whose task exists.
    fn item(&self, id: TaskId) -> Result<Arc<PlanItem>, DriverError> {
        if let Some((item, _)) = lock(&self.cache).items.get(&id) {
            return Ok(Arc::clone(item));
        }
        let expansion = self.results(|results| results.expansion(id.step).cloned());
        if matches!(expansion, Some(Expansion::Streaming)) {
            let scope = self.scope(id.step)?;
            let made = self.streamed(id.step, id.item, &scope)?;
            let lost = || self.lost(id.step, "an item cannot be made again");
            return made.ok().flatten().map(Arc::new).ok_or_else(lost);
        }
        let found = self.window(id.step, id.item, 1)?.pop();
        let (item, len) = found.ok_or_else(|| self.lost(id.step, "an item is missing"))?;
        let item = Arc::new(item);
        lock(&self.cache).insert(id, Arc::clone(&item), len);
        Ok(item)
    }

    /// Items of a step from `from` on, each with its size.
    fn window(
        &self,
        step: u16,
        from: u32,
        limit: u32,
    ) -> Result<Vec<(PlanItem, usize)>, DriverError> {
        let expansion = self.results(|results| results.expansion(step).cloned());
        let blob = match expansion {
            Some(Expansion::Items { blob: Some(blob), .. }) => blob,
            Some(Expansion::Items { blob: None, .. }) => {
                let once = PlanItem::once(self.plan.step_name(step).as_str());
                return Ok(if from == 0 { vec![(once, 0)] } else { Vec::new() });
            }
            Some(Expansion::Streaming | Expansion::Skipped | Expansion::Failed { .. }) | None => {
                return Err(self.lost(step, "its items are not listed"));
            }
        };
        let lines = self.lines(step, blob)?;
        let read = lock(&lines).read(from, limit);
        read.map_err(|error| self.lost(step, &error.to_string()))
    }

    fn lines(&self, step: u16, blob: B256) -> Result<Arc<Mutex<Lines>>, DriverError> {
        if let Some(lines) = lock(&self.lines).get(&step) {
            return Ok(Arc::clone(lines));
        }
        let opened = Lines::open(&self.blobs, blob);
        let opened = opened.map_err(|error| self.lost(step, &error.to_string()))?;
        let lines = Arc::new(Mutex::new(opened));
        lock(&self.lines).insert(step, Arc::clone(&lines));
        Ok(lines)
    }

    /// The item that a streaming step makes of an upstream item that is done: an item, none if
    /// the upstream item is hidden, or why it is none.
    fn streamed(
        &self,
        step: u16,
        place: u32,
        scope: &Scope,
    ) -> Result<Result<Option<PlanItem>, String>, DriverError> {
        let upstream = self.plan.steps()[usize::from(step)].streams;
        let upstream = upstream.ok_or_else(|| self.lost(step, "it streams from no step"))?;
        let id = TaskId::new(upstream, place);
        let Some(ended) = self.results(|results| results.ended(id).cloned()) else {
            return Ok(Ok(None));
        };
        let entry = self.entry(id, ended)?;
        Ok(self.plan.streamed(step, place, &entry, scope))
    }

    fn streamed_entry(
        &self,
        step: u16,
        place: u32,
        scope: &Scope,
    ) -> Result<ItemEntry, DriverError> {
        Ok(match self.streamed(step, place, scope)? {
            Ok(Some(item)) => self.judge(step, item, 0, scope),
            Ok(None) => {
                ItemEntry { item: place, key: self.key_of(step, place), fate: ItemFate::Dropped }
            }
            Err(reason) => ItemEntry {
                item: place,
                key: self.key_of(step, place),
                fate: ItemFate::Failed { reason },
            },
        })
    }

    /// A name for a place of a streaming step that has no item: that of the upstream item, or
    /// its number, from 1.
    fn key_of(&self, step: u16, place: u32) -> ItemKey {
        let upstream = self.plan.steps()[usize::from(step)].streams;
        let item = upstream.and_then(|step| self.item(TaskId::new(step, place)).ok());
        let number = || ItemKey::parse(&(u64::from(place) + 1).to_string());
        let key = item.map(|item| item.key.clone()).or_else(number);
        key.expect("a number is a key")
    }

    /// What becomes of an item that was read.
    fn judge(&self, step: u16, item: PlanItem, len: usize, scope: &Scope) -> ItemEntry {
        let kept = if self.plan.filters_on_reading(step) {
            self.plan.keeps(step, &item, scope)
        } else {
            Ok(true)
        };
        let fate = match kept {
            Ok(true) => match self.plan.offer(step, &item, scope) {
                Ok(offered) => ItemFate::Task {
                    payment: offered.payment,
                    expires_s: offered.expires.as_secs(),
                },
                Err(reason) => ItemFate::Failed { reason },
            },
            Ok(false) => ItemFate::Dropped,
            Err(reason) => ItemFate::Failed { reason },
        };
        let entry = ItemEntry { item: item.index, key: item.key.clone(), fate };
        if matches!(entry.fate, ItemFate::Task { .. }) {
            lock(&self.cache).insert(TaskId::new(step, item.index), Arc::new(item), len);
        }
        entry
    }

    fn lost(&self, step: u16, what: &str) -> DriverError {
        DriverError::Items { step: self.plan.step_name(step).clone(), what: what.into() }
    }
}

impl Cache {
    fn insert(&mut self, id: TaskId, item: Arc<PlanItem>, len: usize) {
        self.remove(id);
        self.bytes += len;
        self.items.insert(id, (item, len));
        while self.bytes > CACHED_BYTES {
            let Some((_, (_, len))) = self.items.pop_first() else { break };
            self.bytes -= len;
        }
    }

    fn remove(&mut self, id: TaskId) {
        if let Some((_, len)) = self.items.remove(&id) {
            self.bytes -= len;
        }
    }
}

/// The plan's verdict in the engine's words.
fn judged(verdict: crate::plan::Verdict) -> Verdict {
    match verdict {
        crate::plan::Verdict::Accepted => Verdict::Accepted,
        crate::plan::Verdict::Rejected { reason } => Verdict::Rejected { reason },
    }
}
