//! What the chain showed of a run and no task of its plan has got.

use alloy::primitives::Address;

use super::super::errors::of_store;
use super::super::failure::Failure;
use super::super::place;
use super::super::settings::Settings;
use crate::driver::ChainRead;
use crate::engine::Found;
use crate::store::LaneKey;
use crate::units::TaskKey;
use crate::units::text::counted;

/// What was found with the run's tags and may be of no item of its plan.
pub(super) struct Left<'a> {
    settings: &'a Settings,
    lane: LaneKey,
    found: Vec<(TaskKey, Address)>,
}

impl<'a> Left<'a> {
    /// What was found of it.
    pub(super) fn of(settings: &'a Settings, lane: LaneKey, read: &ChainRead) -> Self {
        let tagged = |found: &Found| Some((found.key?, found.publication.address));
        Self { settings, lane, found: read.found.iter().filter_map(tagged).collect() }
    }

    /// Says what no task has got, once the run is over or has stopped.
    ///
    /// # Errors
    /// When the journal cannot be read.
    pub(super) fn tell(&self) -> Result<(), Failure> {
        /// How many are named.
        const MOST: usize = 5;
        let Some((views, _)) = place::views(self.settings)? else { return Ok(()) };
        let bound = views.bound_tasks(&self.lane).map_err(|error| of_store(&error))?;
        let left = self.found.iter().filter(|(key, _)| !bound.contains(key));
        let left: Vec<String> = left.map(|(_, address)| address.to_string()).collect();
        if left.is_empty() {
            return Ok(());
        }
        let named = left.iter().take(MOST).cloned().collect::<Vec<_>>().join(", ");
        let more = if left.len() > MOST { ", …" } else { "" };
        self.settings.ui.warn(&format!(
            "{} of this run {} no task of its plan that was read: {named}{more}",
            counted(left.len(), "publication"),
            if left.len() == 1 { "is of" } else { "are of" },
        ));
        Ok(())
    }
}
