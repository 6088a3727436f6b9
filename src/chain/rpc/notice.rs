//! Failed tries, for whoever shows them.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use crate::chain::error::Fault;

/// A failed try of a read, for whoever shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Notice {
    /// Scheme and host.
    pub endpoint: String,
    /// Which try it was, from 1.
    pub tried: usize,
    /// How many there are.
    pub tries: usize,
    /// What was wrong.
    pub fault: Fault,
    /// How long until the next; `None` after the last.
    pub wait: Option<Duration>,
}

impl fmt::Display for Notice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { endpoint, tried, tries, fault, wait } = self;
        match wait {
            Some(wait) => write!(
                f,
                "try {tried} of {tries} failed, retrying in {} s ({endpoint}: {fault})",
                wait.as_secs_f32()
            ),
            None => write!(f, "all {tries} tries failed ({endpoint}: {fault})"),
        }
    }
}

/// Who is told of failed tries.
pub type Notify = Arc<dyn Fn(&Notice) + Send + Sync>;
