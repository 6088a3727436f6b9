//! What is waited for, by moment: one entry a timer, so that setting one moves it.

use std::collections::{BTreeMap, BTreeSet};

use crate::units::Timestamp;

use super::Timer;

/// The timers of a run.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Timers {
    by_moment: BTreeSet<(Timestamp, Timer)>,
    by_timer: BTreeMap<Timer, Timestamp>,
}

impl Timers {
    /// Sets a timer, or moves it.
    pub(super) fn set(&mut self, timer: Timer, at: Timestamp) {
        self.clear(timer);
        self.by_moment.insert((at, timer));
        self.by_timer.insert(timer, at);
    }

    /// Takes a timer away, if it is set.
    pub(super) fn clear(&mut self, timer: Timer) {
        if let Some(at) = self.by_timer.remove(&timer) {
            self.by_moment.remove(&(at, timer));
        }
    }

    /// Whether a timer is set.
    pub(super) fn is_set(&self, timer: Timer) -> bool {
        self.by_timer.contains_key(&timer)
    }

    /// When the next timer is due.
    pub(super) fn next(&self) -> Option<Timestamp> {
        self.by_moment.first().map(|(at, _)| *at)
    }

    /// The timers that are due by `now`, earliest first; they stay set.
    pub(super) fn due(&self, now: Timestamp) -> Vec<Timer> {
        self.by_moment.iter().take_while(|(at, _)| *at <= now).map(|(_, timer)| *timer).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_timer_that_is_set_again_moves() {
        let at = Timestamp::from_millis;
        let mut timers = Timers::default();
        timers.set(Timer::Survey, at(5));
        timers.set(Timer::Drain, at(7));
        timers.set(Timer::Survey, at(9));
        assert_eq!(timers.next(), Some(at(7)));
        assert_eq!(timers.due(at(8)), [Timer::Drain]);
        timers.clear(Timer::Drain);
        assert_eq!(timers.due(at(9)), [Timer::Survey]);
        assert!(!timers.is_set(Timer::Drain));
    }
}
