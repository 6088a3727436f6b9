//! The only place that reads a clock.
//!
//! A run's time starts at the wall clock and then follows a clock that never goes back, so a
//! machine whose time is set while a run goes on neither hurries nor stalls it.

use std::time::{Duration, SystemTime};

use tokio::time::Instant;

use crate::units::Timestamp;

/// A clock that never goes back.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    origin: Timestamp,
    started: Instant,
}

impl Clock {
    /// A clock that shows the machine's time now.
    #[expect(clippy::disallowed_methods, reason = "this is where time comes in")]
    pub fn system() -> Self {
        let since_epoch = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
        let millis = since_epoch.map_or(0, |span| u64::try_from(span.as_millis()).unwrap_or(0));
        Self::starting_at(Timestamp::from_millis(millis))
    }

    /// A clock that shows `origin` now.
    pub fn starting_at(origin: Timestamp) -> Self {
        Self { origin, started: Instant::now() }
    }

    /// The same clock, moved so that it shows `moment` or later: time never goes back within a
    /// run, also where the machine's did between two of its processes.
    #[must_use]
    pub fn not_before(self, moment: Timestamp) -> Self {
        if self.now() < moment { Self::starting_at(moment) } else { self }
    }

    /// The time now.
    pub fn now(&self) -> Timestamp {
        self.origin.after(self.started.elapsed())
    }

    /// Waits until this clock shows `moment`; for ever if there is none.
    pub async fn sleep_until(&self, moment: Option<Timestamp>) {
        match moment {
            // A millisecond more: `now` is rounded down, and must not be before the moment.
            Some(moment) if moment > self.now() => {
                tokio::time::sleep(moment.since(self.now()) + Duration::from_millis(1)).await;
            }
            Some(_) => {}
            None => std::future::pending().await,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_moment_is_reached_and_never_left_again() {
        let clock = Clock::starting_at(Timestamp::from_millis(5_000));
        clock.sleep_until(Some(Timestamp::from_millis(7_000))).await;
        assert!(clock.now() >= Timestamp::from_millis(7_000));
        assert!(clock.now() < Timestamp::from_millis(7_010));
        clock.sleep_until(Some(Timestamp::from_millis(1))).await;
        let later = clock.not_before(Timestamp::from_millis(90_000));
        assert_eq!(later.now(), Timestamp::from_millis(90_000));
        assert!(clock.not_before(Timestamp::from_millis(1)).now() >= clock.now());
    }
}
