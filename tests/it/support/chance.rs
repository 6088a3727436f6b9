//! What the randomised suites share: a seed, how many cases, and the line that tells of them.

use std::io::Write;
use std::ops::RangeInclusive;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// A stream of even numbers from one seed (splitmix64).
#[derive(Clone, Debug)]
pub(crate) struct Chance(u64);

impl Chance {
    /// The stream of `seed`, case `case`: each case has its own, so one can be played alone.
    pub(crate) fn new(seed: u64, case: u64) -> Self {
        let mut chance = Self(seed ^ case.wrapping_mul(0x9E37_79B9_7F4A_7C15));
        chance.next();
        chance
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// A number of the range.
    pub(crate) fn among(&mut self, range: RangeInclusive<u64>) -> u64 {
        range.start() + self.next() % (range.end() - range.start() + 1)
    }

    /// A place in a list of so many.
    pub(crate) fn place(&mut self, len: usize) -> usize {
        usize::try_from(self.next() % u64::try_from(len.max(1)).unwrap()).unwrap()
    }

    /// One of these.
    pub(crate) fn one<T: Copy>(&mut self, of: &[T]) -> T {
        of[self.place(of.len())]
    }

    /// Whether a thing of so many percent happens.
    pub(crate) fn hits(&mut self, percent: u64) -> bool {
        self.next() % 100 < percent
    }

    /// A span of at most so many milliseconds.
    pub(crate) fn up_to(&mut self, millis: u64) -> Duration {
        Duration::from_millis(self.among(0..=millis))
    }
}

/// The seed of this run of the tests: `SEED`, or one that no run had before.
pub(crate) fn seed() -> u64 {
    use std::hash::{BuildHasher, Hasher, RandomState};
    let given = std::env::var_os("SEED").and_then(|text| text.to_str()?.parse().ok());
    given.unwrap_or_else(|| RandomState::new().build_hasher().finish() >> 16)
}

/// How many cases: `few` per change, `many` under `LONG=1`; or so many as `CASES` says.
pub(crate) fn count(few: u64, many: u64) -> u64 {
    let given = std::env::var_os("CASES").and_then(|text| text.to_str()?.parse().ok());
    if let Some(cases) = given {
        return cases;
    }
    if std::env::var_os("LONG").is_some() { many } else { few }
}

/// Tells of a suite in one line on stderr.
pub(crate) fn tell(line: &str) {
    std::io::stderr().write_all(format!("{line}\n").as_bytes()).unwrap();
}

/// Does `case` for every number below `cases`, by so many workers. A case that panics fails the
/// test once the others are done, and the seed is told.
pub(crate) fn each_case(
    suite: &str,
    seed: u64,
    (cases, workers): (u64, u64),
    case: impl Fn(u64) + Sync,
) {
    let (next, failed) = (AtomicU64::new(0), Mutex::new(Vec::new()));
    let take = || {
        let go_on = failed.lock().unwrap().is_empty();
        Some(next.fetch_add(1, Ordering::Relaxed)).filter(|number| go_on && *number < cases)
    };
    let work = || {
        while let Some(number) = take() {
            if catch_unwind(AssertUnwindSafe(|| case(number))).is_err() {
                failed.lock().unwrap().push(number);
            }
        }
    };
    std::thread::scope(|scope| {
        for _ in 0..workers {
            scope.spawn(work);
        }
    });
    let failed = failed.into_inner().unwrap();
    assert!(
        failed.is_empty(),
        "{suite}: cases {failed:?} failed; play them again with SEED={seed}"
    );
}
