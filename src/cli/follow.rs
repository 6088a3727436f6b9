//! Looking again and again, until something is over or patience ends.
//!
//! A look that fails is a warning, and the next one may do better; the first has to succeed.

use std::time::Duration;

use clap::Args as ClapArgs;

use super::errors::of_store;
use super::failure::{Exit, Failure};
use super::settings::Settings;
use crate::engine::RunOutcome;
use crate::store::{RunLock, RunState, StateFolder, Views};
use crate::units::RunId;

/// How long, and how often.
#[derive(Clone, Debug, ClapArgs)]
pub struct FollowArgs {
    /// Look again, until the run is over.
    #[arg(long)]
    pub watch: bool,
    /// How long to wait between two looks.
    #[arg(long, value_name = "DUR", value_parser = super::args::span, default_value = "30s")]
    pub interval: Duration,
    /// Stop looking after this long; the run goes on.
    #[arg(long, value_name = "DUR", value_parser = super::args::span)]
    pub timeout: Option<Duration>,
}

/// Looks until `look` gives something.
///
/// # Errors
/// The failure of the first look; exit 11 when patience ends before.
pub fn until<T>(
    args: &FollowArgs,
    settings: &Settings,
    mut look: impl FnMut() -> Result<Option<T>, Failure>,
) -> Result<T, Failure> {
    super::runtime()?.block_on(async {
        let began = tokio::time::Instant::now();
        let mut first = true;
        loop {
            match look() {
                Ok(Some(found)) => return Ok(found),
                Ok(None) => {}
                // The reader has gone, or nothing was ever there.
                Err(failure) if first || failure.exit == Exit::Done => return Err(failure),
                Err(failure) => settings.ui.warn(&failure.message),
            }
            first = false;
            let wait = args.interval.max(Duration::from_millis(10));
            let left = args.timeout.map(|all| all.saturating_sub(began.elapsed()));
            if left.is_some_and(|left| left.is_zero()) {
                return Err(Failure::new(Exit::Stopped, "it is not over yet")
                    .help("it goes on by itself; look again, or wait longer with --timeout"));
            }
            tokio::time::sleep(left.map_or(wait, |left| wait.min(left))).await;
        }
    })
}

/// A run that is looked at.
#[derive(Debug)]
pub struct Followed<'a> {
    /// Reads the journal.
    pub views: &'a Views,
    /// Where the run's lock is.
    pub folder: &'a StateFolder,
    /// The run.
    pub run: &'a RunId,
    seen: Option<u64>,
}

/// What a look at a run shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Glance {
    /// Whether something happened since the last look.
    pub changed: bool,
    /// How the run ended or stopped; `None` while it goes on.
    pub over: Option<RunOutcome>,
}

impl<'a> Followed<'a> {
    /// A run that was not looked at yet.
    pub const fn new(views: &'a Views, folder: &'a StateFolder, run: &'a RunId) -> Self {
        Self { views, folder, run, seen: None }
    }

    /// Looks. A run whose process has died counts as stopped.
    ///
    /// # Errors
    /// When journal or lock cannot be read.
    pub fn look(&mut self) -> Result<Glance, Failure> {
        let state = self.views.run(self.run).map_err(|error| of_store(&error))?.state;
        let count = self.views.count(self.run).map_err(|error| of_store(&error))?;
        let changed = self.seen.replace(count) != Some(count);
        let over = match state {
            RunState::Ended(outcome) => Some(outcome),
            RunState::Running if changed => None,
            RunState::Running => {
                let held = RunLock::is_held(self.folder, self.run);
                let held = held.map_err(|error| of_store(&error))?;
                (!held).then_some(RunOutcome::Stopped)
            }
        };
        Ok(Glance { changed, over })
    }
}
