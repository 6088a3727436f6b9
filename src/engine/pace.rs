//! The pace gate: how fast publications may start.
//!
//! The rule is governor's (GCRA), under a clock that only [`Pace::start`] moves, to the event's
//! own time. What comes out is one moment, so the gate itself is a comparison, and a replayed
//! run waits exactly as the first one did.

use std::num::NonZeroU32;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use governor::clock::{Clock, Reference};
use governor::middleware::StateInformationMiddleware;
use governor::nanos::Nanos;
use governor::state::{InMemoryState, NotKeyed};
use governor::{Quota, RateLimiter};

use crate::units::Timestamp;
use crate::units::time::Rate;

/// A moment of the gate's clock, in nanoseconds since the Unix epoch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Moment(u64);

impl std::ops::Add<Nanos> for Moment {
    type Output = Self;

    fn add(self, span: Nanos) -> Self {
        Self(self.0.saturating_add(span.as_u64()))
    }
}

impl Reference for Moment {
    fn duration_since(&self, earlier: Self) -> Nanos {
        self.0.saturating_sub(earlier.0).into()
    }

    fn saturating_sub(&self, span: Nanos) -> Self {
        Self(self.0.saturating_sub(span.as_u64()))
    }
}

/// A clock that stands until it is moved.
#[derive(Clone, Debug)]
struct ManualClock(Arc<AtomicU64>);

impl Clock for ManualClock {
    type Instant = Moment;

    fn now(&self) -> Moment {
        Moment(self.0.load(Ordering::Relaxed))
    }
}

type Limiter = RateLimiter<NotKeyed, InMemoryState, ManualClock, StateInformationMiddleware>;

/// The pace gate of a run.
pub(super) struct Pace {
    limiter: Option<(Limiter, ManualClock)>,
    rate: Option<(Rate, NonZeroU32)>,
    opens_at: Timestamp,
}

impl std::fmt::Debug for Pace {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Pace(opens at {})", self.opens_at.as_millis())
    }
}

impl Pace {
    /// A gate that lets `burst` publications start at once and `rate` in the long run; without a
    /// rate it is always open.
    pub(super) fn new(rate: Option<Rate>, burst: NonZeroU32) -> Self {
        let opens_at = Timestamp::from_millis(0);
        Self { limiter: None, rate: rate.map(|rate| (rate, burst)), opens_at }
    }

    /// When the next publication may start.
    pub(super) const fn opens_at(&self) -> Timestamp {
        self.opens_at
    }

    /// Counts a publication that started at `at`.
    pub(super) fn start(&mut self, at: Timestamp) {
        let Some((rate, burst)) = self.rate else { return };
        let millis = |at: Timestamp| at.as_millis().saturating_mul(1_000_000);
        let (limiter, clock) = self.limiter.get_or_insert_with(|| {
            let clock = ManualClock(Arc::new(AtomicU64::new(millis(at))));
            let interval = rate.interval().max(Duration::from_nanos(1));
            let quota = Quota::with_period(interval).unwrap_or(Quota::per_second(rate.count));
            let limiter = RateLimiter::direct_with_clock(quota.allow_burst(burst), clock.clone())
                .with_middleware::<StateInformationMiddleware>();
            (limiter, clock)
        });
        clock.0.store(millis(at), Ordering::Relaxed);
        let room = limiter.check().is_ok_and(|state| state.remaining_burst_capacity() > 0);
        // Without room a second question is refused, takes nothing and names the moment.
        let wait = match if room { None } else { limiter.check().err() } {
            Some(not_until) => not_until.wait_time_from(Moment(millis(at))),
            None => Duration::ZERO,
        };
        // Rounded up: a gate that opens within a millisecond is closed until its end.
        let wait = u64::try_from(wait.as_nanos().div_ceil(1_000_000)).unwrap_or(u64::MAX);
        self.opens_at = at.after(Duration::from_millis(wait));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn starts(rate: &str, burst: u32, count: usize) -> Vec<u64> {
        let mut pace = Pace::new(Rate::parse(rate).ok(), NonZeroU32::new(burst).unwrap());
        let mut now = Timestamp::from_millis(1_000_000);
        let mut started = Vec::new();
        for _ in 0..count {
            now = now.max(pace.opens_at());
            pace.start(now);
            started.push(now.as_millis() - 1_000_000);
        }
        started
    }

    #[test]
    fn publications_start_at_the_rate_after_a_burst() {
        assert_eq!(starts("1/s", 1, 4), [0, 1000, 2000, 3000]);
        assert_eq!(starts("5/s", 3, 6), [0, 0, 0, 200, 400, 600]);
        assert_eq!(starts("3/s", 1, 3), [0, 334, 668]);
    }

    #[test]
    fn without_a_rate_the_gate_is_always_open() {
        assert_eq!(starts("none", 1, 3), [0, 0, 0]);
    }
}
