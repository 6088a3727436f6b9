//! What the environment asks of tests: `SEED=n`, `LONG=1`, `CASES=n`.

/// A setting of a test run, if it is set.
#[expect(clippy::disallowed_methods, reason = "a test is told by its environment how much to do")]
pub(crate) fn setting_of_the_test(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
}
