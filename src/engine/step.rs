//! One step: which items it has, how many it may still read, and how it ends.

use std::collections::BTreeSet;

use crate::plan::{EdgeKind, OnPartial, Schedule, StepRule};
use crate::units::KeyHash;

use super::effect::Window;
use super::tasks::Class;
use super::{Expansion, StepEnd};

/// A step reads more items while fewer than this many of its tasks are not bound yet.
const READ_AHEAD: u32 = 512;
/// How many items are read at once.
const READ_WINDOW: u32 = 256;

/// One step of a run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Step {
    /// What is known of its items; `None` before it was released and expanded.
    pub expansion: Option<Expansion>,
    /// How it ended.
    pub end: Option<StepEnd>,
    /// How many items were read, in input order.
    pub read: u32,
    /// Streaming: places of the upstream step that are done and not read.
    pub pending: BTreeSet<u32>,
    /// What is known of each item.
    pub items: Vec<ItemRecord>,
    /// Tasks that are not bound yet.
    pub before: u32,
    /// Tasks that are bound or on chain.
    pub open: u32,
    /// Items that ended with an accepted output.
    pub confirmed: u32,
    /// Items that failed, `rejected, paid` included.
    pub failed: u32,
    /// Items that were taken back.
    pub withdrawn: u32,
    /// Whether all of it is to be taken back: it reads no more items.
    pub canceled: bool,
}

/// What is known of an item, for ever: 17 bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct ItemRecord {
    /// The item's key.
    pub key: KeyHash,
    /// What became of it.
    pub mark: Mark,
}

/// What became of an item.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mark {
    /// Not read.
    Unread,
    /// Its task has not ended.
    Live,
    /// Ended with an accepted output.
    Confirmed,
    /// Failed.
    Failed,
    /// `filter` said no, or it was not needed.
    Dropped,
}

impl Step {
    /// A step that nothing is known of.
    pub(super) const fn new() -> Self {
        Self {
            expansion: None,
            end: None,
            read: 0,
            pending: BTreeSet::new(),
            items: Vec::new(),
            before: 0,
            open: 0,
            confirmed: 0,
            failed: 0,
            withdrawn: 0,
            canceled: false,
        }
    }

    /// Records an item that was read.
    pub(super) fn record(&mut self, place: u32, key: KeyHash, mark: Mark) {
        let index = place as usize;
        if self.items.len() <= index {
            let unread = ItemRecord { key: KeyHash([0; 16]), mark: Mark::Unread };
            self.items.resize(index + 1, unread);
        }
        self.items[index] = ItemRecord { key, mark };
        self.pending.remove(&place);
        self.read = self.read.saturating_add(1);
    }

    /// What is known of an item.
    pub(super) fn mark(&self, place: u32) -> Mark {
        self.items.get(place as usize).map_or(Mark::Unread, |record| record.mark)
    }

    /// Changes what is known of an item.
    pub(super) fn set_mark(&mut self, place: u32, mark: Mark) {
        if let Some(record) = self.items.get_mut(place as usize) {
            record.mark = mark;
        }
    }

    /// Moves one task between the counts.
    pub(super) const fn count(&mut self, from: Option<Class>, to: Option<Class>) {
        match from {
            Some(Class::Before) => self.before -= 1,
            Some(Class::Open) => self.open -= 1,
            None => {}
        }
        match to {
            Some(Class::Before) => self.before += 1,
            Some(Class::Open) => self.open += 1,
            None => {}
        }
    }

    /// Whether its items come one by one from an upstream step.
    pub(super) const fn is_streaming(&self) -> bool {
        matches!(self.expansion, Some(Expansion::Streaming))
    }

    /// Whether readers of it can start: it ended well.
    pub(super) const fn ended_well(&self) -> bool {
        matches!(self.end, Some(StepEnd::Done | StepEnd::Skipped))
    }

    /// Whether it ended badly.
    pub(super) const fn ended_badly(&self) -> bool {
        matches!(self.end, Some(StepEnd::Failed | StepEnd::Upstream | StepEnd::Canceled))
    }
}

/// The steps of a run.
#[derive(Clone, Debug)]
pub(super) struct Steps {
    all: Vec<Step>,
}

impl Steps {
    /// Steps that nothing is known of.
    pub(super) fn new(count: usize) -> Self {
        Self { all: (0..count).map(|_| Step::new()).collect() }
    }

    /// The step at this place.
    pub(super) fn get(&self, step: u16) -> Option<&Step> {
        self.all.get(usize::from(step))
    }

    /// The step at this place, to be changed.
    pub(super) fn get_mut(&mut self, step: u16) -> Option<&mut Step> {
        self.all.get_mut(usize::from(step))
    }

    /// The places of all steps.
    pub(super) fn places(&self) -> std::ops::Range<u16> {
        0..u16::try_from(self.all.len()).unwrap_or(u16::MAX)
    }

    /// Whether every step has ended, and whether all ended well.
    pub(super) fn ended(&self) -> Option<bool> {
        let all = self.all.iter().all(|step| step.end.is_some());
        all.then(|| self.all.iter().all(Step::ended_well))
    }

    /// Whether any step was cancelled.
    pub(super) fn any_canceled(&self) -> bool {
        self.all.iter().any(|step| step.end == Some(StepEnd::Canceled))
    }

    /// How many items a step has, as far as that is known.
    pub(super) fn total(&self, schedule: &Schedule, place: u16) -> Option<u32> {
        let step = self.get(place)?;
        match step.expansion.as_ref()? {
            Expansion::Items { count, .. } => Some(*count),
            Expansion::Skipped | Expansion::Failed { .. } => Some(0),
            Expansion::Streaming => self.total(schedule, streamed_from(rule(schedule, place)?)?),
        }
    }

    /// Whether more of its items failed than it tolerates.
    pub(super) fn is_failing(&self, schedule: &Schedule, place: u16) -> bool {
        let (Some(step), Some(rule)) = (self.get(place), rule(schedule, place)) else {
            return false;
        };
        let total = self.total(schedule, place).unwrap_or(step.read);
        step.failed > rule.allow_failures.of(total)
            || matches!(step.expansion, Some(Expansion::Failed { .. }))
    }

    /// Whether a step that it reads cannot give it what it needs.
    pub(super) fn is_orphaned(&self, schedule: &Schedule, place: u16) -> bool {
        let Some(reader) = rule(schedule, place) else { return false };
        reader.upstreams.iter().any(|edge| {
            let (Some(step), Some(up)) = (self.get(edge.step), rule(schedule, edge.step)) else {
                return false;
            };
            let lacking = step.failed > 0 || step.withdrawn > 0;
            let partly = up.on_partial == OnPartial::Fail && lacking;
            step.ended_badly()
                || self.is_failing(schedule, edge.step)
                || (step.end.is_some() && partly)
        })
    }

    /// Whether everything is there that it needs to know its items.
    pub(super) fn is_released(&self, schedule: &Schedule, place: u16) -> bool {
        let Some(reader) = rule(schedule, place) else { return false };
        reader.upstreams.iter().all(|edge| {
            self.get(edge.step).is_some_and(|step| match edge.kind {
                EdgeKind::Whole => step.ended_well(),
                EdgeKind::PerItem => step.expansion.is_some() && !step.ended_badly(),
            })
        }) && !self.is_orphaned(schedule, place)
    }

    /// Whether nothing of it is left to be read.
    fn is_read(&self, schedule: &Schedule, place: u16) -> bool {
        let Some(step) = self.get(place) else { return true };
        match &step.expansion {
            None => false,
            Some(Expansion::Items { count, .. }) => step.read >= *count,
            Some(Expansion::Skipped | Expansion::Failed { .. }) => true,
            Some(Expansion::Streaming) => {
                let upstream = rule(schedule, place).and_then(streamed_from);
                let ended = upstream.and_then(|up| self.get(up)).is_some_and(Step::ended_well);
                ended && step.pending.is_empty()
            }
        }
    }

    /// How a step ends now; `None` while it goes on, or if it has ended.
    pub(super) fn end_of(&self, schedule: &Schedule, place: u16) -> Option<StepEnd> {
        let step = self.get(place)?;
        if step.end.is_some() || step.open > 0 {
            return None;
        }
        if self.is_failing(schedule, place) {
            return Some(StepEnd::Failed);
        }
        if step.canceled && step.before == 0 {
            let whole = self.is_read(schedule, place) && step.withdrawn == 0;
            if !whole {
                return Some(StepEnd::Canceled);
            }
        }
        if self.is_orphaned(schedule, place) {
            return Some(StepEnd::Upstream);
        }
        if !self.is_read(schedule, place) || step.before > 0 {
            return None;
        }
        let empty = step.confirmed == 0 && step.failed == 0;
        if empty && step.withdrawn > 0 {
            return Some(StepEnd::Canceled);
        }
        Some(if empty { StepEnd::Skipped } else { StepEnd::Done })
    }

    /// Which items a step should read now.
    pub(super) fn window(&self, schedule: &Schedule, place: u16) -> Option<Window> {
        let step = self.get(place)?;
        let closed = step.end.is_some()
            || step.canceled
            || step.before >= READ_AHEAD
            || self.is_failing(schedule, place)
            || self.is_orphaned(schedule, place);
        if closed {
            return None;
        }
        match &step.expansion {
            Some(Expansion::Items { count, .. }) if step.read < *count => {
                Some(Window::From { from: step.read, limit: READ_WINDOW.min(count - step.read) })
            }
            Some(Expansion::Streaming) if !step.pending.is_empty() => {
                let places = step.pending.iter().take(READ_WINDOW as usize).copied().collect();
                Some(Window::Places(places))
            }
            _ => None,
        }
    }

    /// The steps that take the items of this one as they come.
    pub(super) fn streamed_by(schedule: &Schedule, place: u16) -> Vec<u16> {
        let reads = |rule: &StepRule| streamed_from(rule) == Some(place);
        (0_u16..).zip(&schedule.steps).filter(|(_, r)| reads(r)).map(|(n, _)| n).collect()
    }
}

/// The rule of the step at this place.
pub(super) fn rule(schedule: &Schedule, place: u16) -> Option<&StepRule> {
    schedule.steps.get(usize::from(place))
}

/// The step whose items this one takes as they come.
pub(super) fn streamed_from(rule: &StepRule) -> Option<u16> {
    rule.upstreams.iter().find(|edge| edge.kind == EdgeKind::PerItem).map(|edge| edge.step)
}
