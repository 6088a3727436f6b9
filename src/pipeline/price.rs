//! What a task offers and how long it lives.

use std::time::Duration;

use super::expr::Scope;
use super::forms;
use super::problem::Problem;
use super::written::WrittenTemplate;
use crate::units::Wei;

/// What one task offers.
#[derive(Clone, Debug)]
pub enum Payment {
    /// The same for all items.
    Fixed(Wei),
    /// What the source asks for.
    Minimum,
    /// Read from each item.
    PerItem(WrittenTemplate),
}

impl Payment {
    /// The offer for one item, from a source that asks for at least `minimum`.
    ///
    /// # Errors
    /// E0206 when what the item says is not an amount greater than zero, and what evaluation
    /// may give.
    pub fn amount(&self, scope: &Scope, minimum: Wei) -> Result<Wei, Box<Problem>> {
        match self {
            Self::Fixed(amount) => Ok(*amount),
            Self::Minimum => Ok(minimum),
            Self::PerItem(written) => match forms::payment_value(&written.evaluate(scope)?) {
                Ok(Self::Fixed(amount)) => Ok(amount),
                Ok(Self::Minimum | Self::PerItem(_)) => Ok(minimum),
                Err(error) => Err(Box::new(written.problem(error))),
            },
        }
    }
}

/// A class of work, with the amount and the times of the Publishing Tasks page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Complexity {
    /// 0.001 to 0.005 OGPU, under 5 minutes.
    Simple,
    /// 0.005 to 0.02 OGPU, 5 to 30 minutes.
    Medium,
    /// 0.02 to 0.1 OGPU, 30 minutes and more.
    Complex,
}

impl Complexity {
    /// The three words.
    pub const WORDS: &'static [&'static str] = &["simple", "medium", "complex"];

    /// The class that a word means.
    pub fn parse(word: &str) -> Option<Self> {
        match word {
            "simple" => Some(Self::Simple),
            "medium" => Some(Self::Medium),
            "complex" => Some(Self::Complex),
            _ => None,
        }
    }

    /// The word for it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Simple => "simple",
            Self::Medium => "medium",
            Self::Complex => "complex",
        }
    }

    /// What a task of this class offers when no payment is written.
    pub fn payment(self) -> Wei {
        match self {
            Self::Simple => milli(1),
            Self::Medium => milli(10),
            Self::Complex => milli(100),
        }
    }

    /// The payments that fit the class, both ends included.
    pub fn payments(self) -> (Wei, Wei) {
        match self {
            Self::Simple => (milli(1), milli(5)),
            Self::Medium => (milli(5), milli(20)),
            Self::Complex => (milli(20), milli(100)),
        }
    }

    /// The shortest time that work of the class takes.
    pub const fn shortest(self) -> Duration {
        match self {
            Self::Simple => Duration::ZERO,
            Self::Medium => Duration::from_secs(5 * 60),
            Self::Complex => Duration::from_secs(30 * 60),
        }
    }
}

/// Thousandths of a coin.
fn milli(thousandths: u128) -> Wei {
    Wei::from_u128(thousandths * 1_000_000_000_000_000)
}

/// How long a task lives, counted from chain time when it is signed.
#[derive(Clone, Debug)]
pub enum Expires {
    /// The same for all items.
    After(Duration),
    /// 30 minutes, or the source's longest life if that is less.
    Default,
    /// Read from each item.
    PerItem(WrittenTemplate),
}

impl Expires {
    /// What is meant when nothing is written and the source allows it.
    pub const DEFAULT: Duration = Duration::from_secs(30 * 60);

    /// The life of one item's task; `None` for the default.
    ///
    /// # Errors
    /// E0207 when what the item says is not a duration, and what evaluation may give.
    pub fn span(&self, scope: &Scope) -> Result<Option<Duration>, Box<Problem>> {
        match self {
            Self::After(span) => Ok(Some(*span)),
            Self::Default => Ok(None),
            Self::PerItem(written) => forms::expires_value(&written.evaluate(scope)?)
                .map(Some)
                .map_err(|error| Box::new(written.problem(error))),
        }
    }
}
