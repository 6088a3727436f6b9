//! A quota on requests: it delays, and decides nothing.

use std::time::Duration;

use governor::clock::Clock;
use governor::middleware::NoOpMiddleware;
use governor::state::{InMemoryState, NotKeyed};
use governor::{Quota, RateLimiter};
use tokio::sync::Mutex;
use tokio::time::Instant;

use crate::units::time::Rate;

/// The runtime's clock, so that a paused clock paces too.
#[derive(Clone, Debug)]
struct RuntimeClock(Instant);

impl Clock for RuntimeClock {
    type Instant = Duration;

    fn now(&self) -> Duration {
        self.0.elapsed()
    }
}

type Limiter = RateLimiter<NotKeyed, InMemoryState, RuntimeClock, NoOpMiddleware<Duration>>;

/// Lets requests start at a rate, first come, first served.
#[derive(Debug)]
pub(super) struct Pace {
    limiter: Option<Limiter>,
    clock: RuntimeClock,
    queue: Mutex<()>,
}

impl Pace {
    /// A pace that lets a second's worth go at once; `None` never waits.
    pub(super) fn new(rate: Option<Rate>) -> Self {
        let clock = RuntimeClock(Instant::now());
        let quota = |rate: Rate| {
            let even = Quota::with_period(rate.interval().max(Duration::from_nanos(1)))?;
            Some(even.allow_burst(rate.in_a_second()))
        };
        let limiter =
            rate.and_then(quota).map(|quota| RateLimiter::direct_with_clock(quota, clock.clone()));
        Self { limiter, clock, queue: Mutex::new(()) }
    }

    /// Returns when the next request may start.
    pub(super) async fn turn(&self) {
        let Some(limiter) = &self.limiter else { return };
        let _first = self.queue.lock().await;
        while let Err(early) = limiter.check() {
            let wait = early.wait_time_from(self.clock.now());
            tokio::time::sleep(wait.max(Duration::from_millis(1))).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn requests_beyond_the_quota_wait_and_the_clock_is_the_runtimes() {
        let pace = Pace::new(Rate::parse("10/s").ok());
        let start = Instant::now();
        for _ in 0..10 {
            pace.turn().await;
        }
        assert_eq!(start.elapsed(), Duration::ZERO);
        for _ in 0..20 {
            pace.turn().await;
        }
        let took = start.elapsed();
        assert!(took >= Duration::from_millis(1990), "{took:?}");
        assert!(took <= Duration::from_millis(2100), "{took:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn without_a_quota_nothing_waits() {
        let pace = Pace::new(None);
        let start = Instant::now();
        for _ in 0..10_000 {
            pace.turn().await;
        }
        assert_eq!(start.elapsed(), Duration::ZERO);
    }
}
