//! Which outputs are good enough, and what happens to items that fail.

use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;

use super::problem::Span;
use super::written::WrittenExpression;
use crate::units::Wei;

/// Which outputs are good enough. A template's own `accept` holds as well.
#[derive(Clone, Debug, Default)]
pub struct Accept {
    /// What the output must match.
    pub schema: Option<Arc<Value>>,
    /// What must be true of it.
    pub when: Vec<WrittenExpression>,
}

impl Accept {
    /// Whether any output is good enough.
    pub fn is_empty(&self) -> bool {
        self.schema.is_none() && self.when.is_empty()
    }
}

/// When a failed item is published anew.
#[derive(Clone, Debug, PartialEq)]
pub struct Retry {
    /// Further rounds.
    pub max: u16,
    /// After which ends of a round.
    pub after: RetryAfter,
    /// How long to wait between rounds.
    pub backoff: Backoff,
    /// Thousandths added to the payment each round.
    pub raise_permille: u32,
    /// The most that a raised payment may be; `None` leaves it to `budget.max_per_task`.
    pub max_payment: Option<Wei>,
}

impl Default for Retry {
    /// Two further rounds after expiry and errors of publishing, at the same payment.
    fn default() -> Self {
        Self {
            max: 2,
            after: RetryAfter { expired: true, publish_error: true, rejected: false },
            backoff: Backoff::default(),
            raise_permille: 0,
            max_payment: None,
        }
    }
}

/// The ends of a round after which there is another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RetryAfter {
    /// Nobody responded in time.
    pub expired: bool,
    /// It could not be published.
    pub publish_error: bool,
    /// Every response was refused.
    pub rejected: bool,
}

/// How long to wait between rounds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Backoff {
    /// Before the second round.
    pub base: Duration,
    /// By how much each wait is longer than the one before.
    pub factor: f64,
    /// The longest wait.
    pub max: Duration,
    /// The random share of a wait, 0 to 1.
    pub jitter: f64,
}

impl Default for Backoff {
    /// 1 s, 2 s, 4 s and so on, up to 5 minutes, without jitter.
    fn default() -> Self {
        Self {
            base: Duration::from_secs(1),
            factor: 2.0,
            max: Duration::from_secs(300),
            jitter: 0.0,
        }
    }
}

impl Backoff {
    /// How long to wait before round `next`, without jitter; rounds count from 1.
    pub fn before(&self, next: u16) -> Duration {
        let power = i32::from(next.saturating_sub(2));
        let seconds = self.base.as_secs_f64() * self.factor.powi(power);
        Duration::try_from_secs_f64(seconds).unwrap_or(self.max).min(self.max)
    }
}

/// How many items of a step may fail.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AllowFailures {
    /// So many.
    Count(u32),
    /// So many thousandths of all, rounded down.
    Permille(u32),
}

impl AllowFailures {
    /// How many of `items` may fail.
    pub fn of(self, items: u64) -> u64 {
        match self {
            Self::Count(count) => u64::from(count),
            Self::Permille(permille) => {
                let share = u128::from(items) * u128::from(permille) / 1000;
                u64::try_from(share).unwrap_or(u64::MAX)
            }
        }
    }
}

/// What readers of a step get of items that failed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OnPartial {
    /// Nothing of them.
    #[default]
    Drop,
    /// An entry with `output` null and a reason.
    Keep,
    /// Readers do not start.
    Fail,
}

/// Where rows are written while a step runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Save {
    /// The path, relative to the pipeline's file.
    pub path: String,
    /// Where it stands.
    pub span: Span,
    /// The form of the rows.
    pub format: SaveFormat,
}

/// The form of saved rows (cli.md, section 7).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SaveFormat {
    /// A JSON object per line.
    Jsonl,
    /// Cells with commas.
    Csv,
    /// One JSON document.
    Json,
    /// The lines of an `OpenAI` batch output.
    OpenaiBatch,
    /// One file per output.
    Raw,
}
