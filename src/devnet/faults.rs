//! Chance on the devnet: how often something goes wrong, and what decides when.
//!
//! [`Dice`] is where chance comes from: one random stream per [`Concern`], each a function of
//! the seed and of what is decided upon. So turning one knob moves no other concern's throws, and a
//! restarted devnet throws the same again. What can be turned is in [`knobs`](super::knobs).

use std::fmt;
use std::time::Duration;

use sha2::{Digest, Sha256};

/// How many parts a [`Share`] divides the whole into.
const PARTS: u32 = 1_000_000;

/// A part of a whole, exact to a millionth: `5%`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Share(u32);

impl Share {
    /// Never.
    pub const NEVER: Self = Self(0);
    /// Always.
    pub const ALWAYS: Self = Self(PARTS);

    /// Reads `5%`, `0.5%`, `100%`; `None` for anything else, and above 100 %.
    pub fn parse(text: &str) -> Option<Self> {
        let number = text.strip_suffix('%')?;
        let (whole, fraction) = number.split_once('.').unwrap_or((number, "0"));
        let digits = |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit());
        if !digits(whole) || !digits(fraction) || fraction.len() > 4 {
            return None;
        }
        let whole: u32 = whole.parse().ok()?;
        let fraction: u32 = format!("{fraction:0<4}").parse().ok()?;
        let parts = whole.checked_mul(PARTS / 100)?.checked_add(fraction)?;
        (parts <= PARTS).then_some(Self(parts))
    }
}

impl fmt::Display for Share {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (whole, fraction) = (self.0 / (PARTS / 100), self.0 % (PARTS / 100));
        if fraction == 0 {
            return write!(f, "{whole}%");
        }
        let fraction = format!("{fraction:04}");
        write!(f, "{whole}.{}%", fraction.trim_end_matches('0'))
    }
}

/// What a throw decides. Each has a random stream of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Concern {
    /// The private keys of the providers.
    Key,
    /// Which provider takes a task.
    Provider,
    /// How long it works.
    Latency,
    /// Whether anybody attempts a task.
    Silence,
    /// Whether an attempted task gets a response.
    Failure,
    /// Whether the output is wrong.
    Wrong,
    /// Whether less than the payment is claimed.
    Price,
    /// Whether a read of the gateway fails.
    Gateway,
    /// What a built-in function makes up.
    Output,
}

/// The random stream of one concern: a function of seed, concern and key.
///
/// There is no state, so the order of throws does not matter: the same task meets the same
/// fate however busy the devnet is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Dice {
    seed: u64,
    concern: Concern,
}

impl Dice {
    /// The stream of `concern` under `seed`.
    pub const fn new(seed: u64, concern: Concern) -> Self {
        Self { seed, concern }
    }

    /// 32 even bytes for `key`.
    pub fn bytes(self, key: &[u8]) -> [u8; 32] {
        let mut hash = Sha256::new();
        hash.update(self.seed.to_be_bytes());
        hash.update([b'/', self.name()]);
        hash.update(key);
        hash.finalize().into()
    }

    /// An even number for `key`.
    pub fn roll(self, key: &[u8]) -> u64 {
        let [a, b, c, d, e, f, g, h, ..] = self.bytes(key);
        u64::from_be_bytes([a, b, c, d, e, f, g, h])
    }

    /// Whether `key` falls into `share`.
    pub fn hits(self, share: Share, key: &[u8]) -> bool {
        share != Share::NEVER && self.below(u64::from(PARTS), key) < u64::from(share.0)
    }

    /// An even number from 0 to `count` - 1 for `key`; 0 if `count` is 0.
    pub fn below(self, count: u64, key: &[u8]) -> u64 {
        let scaled = u128::from(self.roll(key)) * u128::from(count);
        // A product of two u64, shifted by 64, is below the second.
        u64::try_from(scaled >> 64).unwrap_or(0)
    }

    /// A span between `from` and `to`, to the millisecond.
    pub fn span(self, (from, to): (Duration, Duration), key: &[u8]) -> Duration {
        let width = to.saturating_sub(from).as_millis();
        let width = u64::try_from(width).unwrap_or(u64::MAX).saturating_add(1);
        from.saturating_add(Duration::from_millis(self.below(width, key)))
    }

    /// One letter per concern; changing one changes what a seed means.
    const fn name(self) -> u8 {
        match self.concern {
            Concern::Key => b'k',
            Concern::Provider => b'p',
            Concern::Latency => b'l',
            Concern::Silence => b's',
            Concern::Failure => b'f',
            Concern::Wrong => b'w',
            Concern::Price => b'c',
            Concern::Gateway => b'g',
            Concern::Output => b'o',
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_reads_back_as_it_was_printed() {
        for text in ["0%", "5%", "0.5%", "12.25%", "0.0001%", "100%"] {
            assert_eq!(Share::parse(text).unwrap().to_string(), text);
        }
        for text in ["", "%", "5", "-1%", "101%", "100.0001%", "1e1%", "0.00001%", "5 %", ".5%"] {
            assert_eq!(Share::parse(text), None, "{text}");
        }
    }

    #[test]
    fn a_share_hits_about_as_often_as_it_says() {
        let dice = Dice::new(7, Concern::Failure);
        let hits = |share: &str| {
            let share = Share::parse(share).unwrap();
            (0_u32..10_000).filter(|n| dice.hits(share, &n.to_be_bytes())).count()
        };
        assert_eq!(hits("0%"), 0);
        assert_eq!(hits("100%"), 10_000);
        assert!((400..600).contains(&hits("5%")), "{}", hits("5%"));
    }

    #[test]
    fn concerns_do_not_share_a_stream_and_seeds_differ() {
        let share = Share::parse("50%").unwrap();
        let throws = |seed, concern| -> Vec<bool> {
            (0_u8..64).map(|n| Dice::new(seed, concern).hits(share, &[n])).collect()
        };
        let first = throws(1, Concern::Failure);
        assert_eq!(first, throws(1, Concern::Failure));
        assert_ne!(first, throws(1, Concern::Wrong));
        assert_ne!(first, throws(2, Concern::Failure));
    }

    #[test]
    fn a_latency_stays_in_its_range() {
        let dice = Dice::new(3, Concern::Latency);
        let range = (Duration::from_millis(200), Duration::from_millis(203));
        let mut seen = std::collections::BTreeSet::new();
        for n in 0_u8..100 {
            let span = dice.span(range, &[n]);
            assert!(range.0 <= span && span <= range.1, "{span:?}");
            seen.insert(span);
        }
        assert_eq!(seen.len(), 4, "both ends are reached");
        assert_eq!(dice.span((Duration::ZERO, Duration::ZERO), b"x"), Duration::ZERO);
    }
}
