//! Time as a parameter: moments and spans, and no clock.

use std::fmt;
use std::num::NonZeroU32;
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// A moment of wall-clock time, in milliseconds since the Unix epoch.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct Timestamp(u64);

impl Timestamp {
    /// The moment `millis` milliseconds after the Unix epoch.
    pub const fn from_millis(millis: u64) -> Self {
        Self(millis)
    }

    /// Milliseconds since the Unix epoch.
    pub const fn as_millis(self) -> u64 {
        self.0
    }

    /// This moment, later by `span`; held at the last moment there is.
    #[must_use]
    pub fn after(self, span: Duration) -> Self {
        Self(self.0.saturating_add(u64::try_from(span.as_millis()).unwrap_or(u64::MAX)))
    }

    /// How long ago `earlier` was; zero if it is not earlier.
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_millis(self.0.saturating_sub(earlier.0))
    }
}

/// A moment as the chain counts it: a block's timestamp, in seconds since the Unix epoch.
///
/// Expiry is judged by this clock alone (safety.md, section 7).
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct ChainTime(u64);

impl ChainTime {
    /// The moment `secs` seconds after the Unix epoch.
    pub const fn from_secs(secs: u64) -> Self {
        Self(secs)
    }

    /// Seconds since the Unix epoch.
    pub const fn as_secs(self) -> u64 {
        self.0
    }

    /// This moment, later by the whole seconds of `span`.
    #[must_use]
    pub const fn after(self, span: Duration) -> Self {
        Self(self.0.saturating_add(span.as_secs()))
    }

    /// How long until `later`; zero if that is not later.
    pub const fn until(self, later: Self) -> Duration {
        Duration::from_secs(later.0.saturating_sub(self.0))
    }
}

/// Why a text is not a span or a rate (language.md, section 3).
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TimeError {
    /// Not of the form `90s`, `1h30m`.
    #[error("`{text}` is not a duration")]
    NotADuration {
        /// What was written.
        text: String,
    },
    /// Not of the form `5/s`.
    #[error("`{text}` is not a rate")]
    NotARate {
        /// What was written.
        text: String,
    },
}

impl TimeError {
    /// What the author can do, in one line.
    pub fn hint(&self) -> &'static str {
        match self {
            Self::NotADuration { .. } => "write a duration as `200ms`, `90s`, `30m`, `1h30m`, `2d`",
            Self::NotARate { .. } => "write a rate as `5/s`, `100/m`, `1000/h`",
        }
    }
}

/// Reads a written duration: `200ms`, `90s`, `30m`, `1h30m`, `2d`.
///
/// Units go from large to small, each at most once.
///
/// # Errors
/// When the text has another form, or the span does not fit 64 bits of milliseconds.
pub fn parse_duration(text: &str) -> Result<Duration, TimeError> {
    let error = || TimeError::NotADuration { text: text.into() };
    let mut rest = text;
    let mut millis: u64 = 0;
    let mut last_unit = u64::MAX;
    while !rest.is_empty() {
        let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
        let number: u64 = rest[..digits].parse().map_err(|_| error())?;
        rest = &rest[digits..];
        let (unit, len) = match rest.as_bytes() {
            [b'm', b's', ..] => (1, 2),
            [b's', ..] => (1000, 1),
            [b'm', ..] => (60_000, 1),
            [b'h', ..] => (3_600_000, 1),
            [b'd', ..] => (86_400_000, 1),
            _ => return Err(error()),
        };
        if unit >= last_unit {
            return Err(error());
        }
        last_unit = unit;
        rest = &rest[len..];
        let part = number.checked_mul(unit).ok_or_else(error)?;
        millis = millis.checked_add(part).ok_or_else(error)?;
    }
    if last_unit == u64::MAX { Err(error()) } else { Ok(Duration::from_millis(millis)) }
}

/// Prints a span in the form that `parse_duration` reads: `1h30m`.
pub fn show_duration(span: Duration) -> String {
    let mut millis = u64::try_from(span.as_millis()).unwrap_or(u64::MAX);
    let mut text = String::new();
    for (unit, name) in [(86_400_000, "d"), (3_600_000, "h"), (60_000, "m"), (1000, "s"), (1, "ms")]
    {
        if millis >= unit {
            text.push_str(&format!("{}{name}", millis / unit));
            millis %= unit;
        }
    }
    if text.is_empty() { "0s".into() } else { text }
}

/// How many of something may happen in a span of time: `5/s`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rate {
    /// How many.
    pub count: NonZeroU32,
    /// In how many milliseconds; never 0.
    pub per_ms: u64,
}

impl Rate {
    /// Reads a written rate: `5/s`, `100/m`, `1000/h`.
    ///
    /// # Errors
    /// When the text has another form or counts to 0.
    pub fn parse(text: &str) -> Result<Self, TimeError> {
        let error = || TimeError::NotARate { text: text.into() };
        let (count, unit) = text.split_once('/').ok_or_else(error)?;
        if !count.bytes().all(|b| b.is_ascii_digit()) {
            return Err(error());
        }
        let per_ms = match unit {
            "s" => 1000,
            "m" => 60_000,
            "h" => 3_600_000,
            _ => return Err(error()),
        };
        Ok(Self { count: count.parse().map_err(|_| error())?, per_ms })
    }

    /// The time between two, if they are evenly spread.
    pub fn interval(self) -> Duration {
        Duration::from_millis(self.per_ms) / self.count.get()
    }

    /// How many fall into one second, at least 1: a fair number to let go at once.
    pub fn in_a_second(self) -> NonZeroU32 {
        let count = u64::from(self.count.get()).saturating_mul(1000) / self.per_ms.max(1);
        let count = u32::try_from(count).unwrap_or(u32::MAX);
        NonZeroU32::new(count).unwrap_or(NonZeroU32::MIN)
    }
}

impl fmt::Display for Rate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let unit = match self.per_ms {
            1000 => "s",
            60_000 => "m",
            _ => "h",
        };
        write!(f, "{}/{unit}", self.count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_read_as_written_and_printed_back() {
        for (text, millis) in [
            ("200ms", 200),
            ("90s", 90_000),
            ("30m", 1_800_000),
            ("1h30m", 5_400_000),
            ("2d", 172_800_000),
            ("1m5ms", 60_005),
        ] {
            assert_eq!(parse_duration(text), Ok(Duration::from_millis(millis)), "{text}");
        }
        assert_eq!(show_duration(Duration::from_secs(5400)), "1h30m");
        assert_eq!(show_duration(Duration::ZERO), "0s");
    }

    #[test]
    fn what_is_not_a_duration_is_refused() {
        for text in [
            "",
            "5",
            "m",
            "1 h",
            "30m1h",
            "1h1h",
            "-5s",
            "1.5h",
            "12:30:00",
            "5 s",
            "999999999999d",
        ] {
            assert!(parse_duration(text).is_err(), "{text}");
        }
    }

    #[test]
    fn what_is_not_a_rate_is_refused() {
        assert_eq!(Rate::parse("100/m").unwrap().interval(), Duration::from_millis(600));
        let in_a_second = ["100/m", "90/m", "7/s", "1/h"]
            .map(|text| Rate::parse(text).unwrap().in_a_second().get());
        assert_eq!(in_a_second, [1, 1, 7, 1]);
        for text in ["", "5", "0/s", "5/d", "/s", "-1/s", "+1/s", "5 /s"] {
            assert!(Rate::parse(text).is_err(), "{text}");
        }
    }
}
