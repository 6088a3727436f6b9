//! What a step's items are, how many there are, and after which step that is known.

use super::batch::{self, KnownItems};
use super::{ItemsOf, PlannedStep, Range};
use crate::pipeline::{Foreach, ItemFormat, Pipeline, ReadPlace, Step};

/// What the items of a step are.
pub(super) fn kind(step: &Step) -> ItemsOf {
    match &step.foreach {
        Foreach::Once => ItemsOf::Once,
        Foreach::File(items) if items.format == ItemFormat::Glob => ItemsOf::Files,
        Foreach::File(_) => ItemsOf::Rows,
        Foreach::List(_) => ItemsOf::Entries,
        Foreach::Expression(_) => {
            let whole = step.reads.iter().any(|read| read.place == ReadPlace::ForeachWhole);
            if whole { ItemsOf::Results } else { ItemsOf::Entries }
        }
    }
}

/// How many items a step has, and the step after which that is known.
pub(super) fn width(
    pipeline: &Pipeline,
    step: &Step,
    known: Option<&KnownItems>,
    (before, streams): (&[PlannedStep], Option<u16>),
) -> (Range, Option<u16>) {
    let place = |name: &crate::units::StepName| {
        before.iter().position(|other| pipeline.steps[other.written_at].name == *name)
    };
    let most = step.max_items.map(|most| u64::from(most.get()));
    let lower = |bound: Option<u64>| match (bound, most) {
        (Some(bound), Some(most)) => Some(bound.min(most)),
        (Some(one), None) | (None, Some(one)) => Some(one),
        (None, None) => None,
    };
    let shaped_by = step
        .reads
        .iter()
        .filter(|read| {
            matches!(read.place, ReadPlace::ForeachWhole | ReadPlace::Foreach | ReadPlace::Shaping)
        })
        .filter_map(|read| place(&read.step))
        .max()
        .and_then(|place| u16::try_from(place).ok());
    if let Some(known) = known {
        let count = u64::from(known.count);
        if batch::filters_late(step) && count > 0 {
            return (Range { min: 1, max: lower(Some(count)) }, shaped_by);
        }
        return (Range::exactly(count), None);
    }
    let whole = step.reads.iter().find(|read| {
        read.place == ReadPlace::ForeachWhole
            && matches!(read.field.as_str(), "results" | "outputs" | "failed")
    });
    let upstream = whole.and_then(|read| place(&read.step)).map(|place| &before[place]);
    match upstream {
        Some(upstream) if streams.is_some() && step.filter.is_none() => {
            (upstream.width, upstream.known_after)
        }
        Some(upstream) => {
            let max = lower(upstream.width.max);
            (Range { min: max.map_or(1, |max| max.min(1)), max }, shaped_by)
        }
        None => (Range { min: 1, max: most }, shaped_by),
    }
}
