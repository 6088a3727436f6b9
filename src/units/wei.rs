//! Money: whole wei, checked arithmetic, and the written form with a unit.

use std::fmt;

use alloy::primitives::U256;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Wei in one coin.
const COIN_DIGITS: usize = 18;
/// Wei in one gwei.
const GWEI_DIGITS: usize = 9;

/// An amount of the network's coin, in wei (10^-18 of a coin).
///
/// There is no `Add` and no `Sub`: every sum says what happens when it does not fit. In
/// journals and machine formats it is a decimal string, because JSON numbers lose integers
/// above 2^53.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Wei(U256);

/// Why a text is not an amount of money (language.md, section 3).
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WeiError {
    /// There is a number and nothing behind it.
    #[error("`{text}` has no unit")]
    NoUnit {
        /// What was written.
        text: String,
    },
    /// The unit is none of `OGPU`, `gwei`, `wei`.
    #[error("`{unit}` is not a unit of money")]
    UnknownUnit {
        /// The word in the unit's place.
        unit: String,
    },
    /// The number starts with a minus sign.
    #[error("`{text}` is negative")]
    Negative {
        /// What was written.
        text: String,
    },
    /// More digits behind the point than the unit has.
    #[error("`{text}` has more than {digits} digits behind the point")]
    TooPrecise {
        /// What was written.
        text: String,
        /// How many digits the unit has.
        digits: usize,
    },
    /// Not a number, or one above 2^256.
    #[error("`{text}` is not an amount of money")]
    NotANumber {
        /// What was written.
        text: String,
    },
}

impl WeiError {
    /// What the author can do, in one line.
    pub fn hint(&self) -> String {
        match self {
            Self::NoUnit { text } => format!("write a unit: `{text} OGPU`, `gwei` or `wei`"),
            Self::UnknownUnit { .. } => {
                "the units are `OGPU` (on every network), `gwei` and `wei`".into()
            }
            Self::Negative { .. } => "write an amount of 0 or more".into(),
            Self::TooPrecise { .. } => "one OGPU is 10^18 wei, one gwei is 10^9 wei".into(),
            Self::NotANumber { .. } => {
                "write money as `0.01 OGPU`, `5 gwei` or `10_000 wei`".into()
            }
        }
    }
}

impl Wei {
    /// Nothing.
    pub const ZERO: Self = Self(U256::ZERO);

    /// An amount of whole wei.
    pub const fn from_u256(wei: U256) -> Self {
        Self(wei)
    }

    /// An amount of whole wei.
    pub fn from_u128(wei: u128) -> Self {
        Self(U256::from(wei))
    }

    /// The amount in wei, as the chain takes it.
    pub const fn to_u256(self) -> U256 {
        self.0
    }

    /// The amount in wei; `None` from 2^128.
    pub fn to_u128(self) -> Option<u128> {
        u128::try_from(self.0).ok()
    }

    /// Whether this is nothing.
    pub fn is_zero(self) -> bool {
        self.0.is_zero()
    }

    /// The sum; `None` on overflow.
    pub fn checked_add(self, other: Self) -> Option<Self> {
        self.0.checked_add(other.0).map(Self)
    }

    /// The difference; `None` below zero.
    pub fn checked_sub(self, other: Self) -> Option<Self> {
        self.0.checked_sub(other.0).map(Self)
    }

    /// The multiple; `None` on overflow.
    pub fn checked_mul(self, times: u64) -> Option<Self> {
        self.0.checked_mul(U256::from(times)).map(Self)
    }

    /// The sum, held at the greatest amount there is: for ceilings, where too much is safe.
    #[must_use]
    pub fn saturating_add(self, other: Self) -> Self {
        Self(self.0.saturating_add(other.0))
    }

    /// The difference, held at zero: for what is left, where nothing is safe.
    #[must_use]
    pub fn saturating_sub(self, other: Self) -> Self {
        Self(self.0.saturating_sub(other.0))
    }

    /// The multiple, held at the greatest amount there is.
    #[must_use]
    pub fn saturating_mul(self, times: u64) -> Self {
        Self(self.0.saturating_mul(U256::from(times)))
    }

    /// This amount raised by `tenths_of_percent` thousandths, rounded up to a whole wei.
    ///
    /// `None` on overflow.
    pub fn raised_by_permille(self, permille: u32) -> Option<Self> {
        let factor = U256::from(1000_u64 + u64::from(permille));
        let scaled = self.0.checked_mul(factor)?;
        Some(Self(scaled.div_ceil(U256::from(1000_u64))))
    }

    /// Reads the written form: number, blank, unit (`0.01 OGPU`, `5 gwei`, `10_000 wei`).
    ///
    /// # Errors
    /// Says which rule of language.md, section 3, the text breaks.
    pub fn parse(text: &str) -> Result<Self, WeiError> {
        let trimmed = text.trim();
        let (number, unit) = match trimmed.rsplit_once(char::is_whitespace) {
            Some((number, unit)) => (number.trim(), unit),
            None => return Err(Self::without_blank(trimmed)),
        };
        let digits = match unit {
            "OGPU" => COIN_DIGITS,
            "gwei" => GWEI_DIGITS,
            "wei" => 0,
            other => return Err(WeiError::UnknownUnit { unit: other.into() }),
        };
        Self::parse_number(number, digits)
    }

    /// The mistake in a text that holds no blank.
    fn without_blank(text: &str) -> WeiError {
        let unit = text.trim_start_matches(|c: char| !c.is_alphabetic());
        let number = &text[..text.len() - unit.len()];
        if number.is_empty() || !number.chars().any(|c| c.is_ascii_digit()) {
            return WeiError::NotANumber { text: text.into() };
        }
        if number.starts_with('-') {
            return WeiError::Negative { text: text.into() };
        }
        if unit.is_empty() {
            return WeiError::NoUnit { text: text.into() };
        }
        if matches!(unit, "OGPU" | "gwei" | "wei") {
            return WeiError::NotANumber { text: text.into() };
        }
        WeiError::UnknownUnit { unit: unit.into() }
    }

    fn parse_number(number: &str, digits: usize) -> Result<Self, WeiError> {
        let not_a_number = || WeiError::NotANumber { text: number.into() };
        if number.starts_with('-') {
            return Err(WeiError::Negative { text: number.into() });
        }
        let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
        let plain = |part: &str| {
            let clean: String = part.chars().filter(|c| *c != '_').collect();
            clean.bytes().all(|b| b.is_ascii_digit()).then_some(clean)
        };
        let whole = plain(whole).filter(|w| !w.is_empty()).ok_or_else(not_a_number)?;
        let fraction = plain(fraction).ok_or_else(not_a_number)?;
        if number.ends_with('.') || number.starts_with('_') || number.ends_with('_') {
            return Err(not_a_number());
        }
        if fraction.len() > digits {
            return Err(WeiError::TooPrecise { text: number.into(), digits });
        }
        let all = format!("{whole}{fraction:0<digits$}");
        U256::from_str_radix(&all, 10).map(Self).map_err(|_| not_a_number())
    }

    /// The amount in coins without its symbol, exact: `0.01`.
    pub fn coins(self) -> String {
        let digits = self.0.to_string();
        let padded = format!("{digits:0>width$}", width = COIN_DIGITS + 1);
        let (whole, fraction) = padded.split_at(padded.len() - COIN_DIGITS);
        let fraction = fraction.trim_end_matches('0');
        if fraction.is_empty() { whole.to_owned() } else { format!("{whole}.{fraction}") }
    }

    /// The amount in coins with `places` digits behind the point, rounded up.
    ///
    /// For tables, where a column has one width. `places` above 18 counts as 18.
    pub fn coins_rounded(self, places: usize) -> String {
        let places = places.min(COIN_DIGITS);
        let unit = U256::from(10_u64).pow(U256::from(COIN_DIGITS - places));
        let scaled = self.0.div_ceil(unit).to_string();
        if places == 0 {
            return scaled;
        }
        let padded = format!("{scaled:0>width$}", width = places + 1);
        let (whole, fraction) = padded.split_at(padded.len() - places);
        format!("{whole}.{fraction}")
    }
}

impl fmt::Display for Wei {
    /// Prints the exact amount with the unit that files use: `0.01 OGPU`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} OGPU", self.coins())
    }
}

impl Serialize for Wei {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for Wei {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        U256::from_str_radix(&text, 10)
            .map(Self)
            .map_err(|_| serde::de::Error::custom("not a decimal number of wei"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn an_amount_above_64_bits_survives_exactly() {
        let wei = Wei::parse("12345678901234567890123 wei").unwrap();
        assert_eq!(wei.to_u256().to_string(), "12345678901234567890123");
        assert_eq!(serde_json::to_string(&wei).unwrap(), "\"12345678901234567890123\"");
    }

    #[test]
    fn each_unit_has_its_own_precision() {
        for (text, wei) in [
            ("0.01 OGPU", "10000000000000000"),
            ("5 gwei", "5000000000"),
            ("1.5 gwei", "1500000000"),
            ("10_000 wei", "10000"),
            ("0.000000000000000001 OGPU", "1"),
            ("1 OGPU", "1000000000000000000"),
        ] {
            assert_eq!(Wei::parse(text).unwrap().to_u256().to_string(), wei, "{text}");
        }
    }

    #[test]
    fn a_text_that_breaks_a_rule_is_refused_by_that_rule() {
        use WeiError as E;
        type Rule = fn(&E) -> bool;
        let cases: &[(&str, Rule)] = &[
            ("1", |e| matches!(e, E::NoUnit { .. })),
            ("0.01", |e| matches!(e, E::NoUnit { .. })),
            ("1 ETH", |e| matches!(e, E::UnknownUnit { .. })),
            ("1ETH", |e| matches!(e, E::UnknownUnit { .. })),
            ("-1 OGPU", |e| matches!(e, E::Negative { .. })),
            ("-1", |e| matches!(e, E::Negative { .. })),
            ("0.0000000000000000001 OGPU", |e| matches!(e, E::TooPrecise { digits: 18, .. })),
            ("1.5 wei", |e| matches!(e, E::TooPrecise { digits: 0, .. })),
            ("1e3 OGPU", |e| matches!(e, E::NotANumber { .. })),
            ("1. OGPU", |e| matches!(e, E::NotANumber { .. })),
            (".5 OGPU", |e| matches!(e, E::NotANumber { .. })),
            ("+5 OGPU", |e| matches!(e, E::NotANumber { .. })),
            ("OGPU", |e| matches!(e, E::NotANumber { .. })),
            ("", |e| matches!(e, E::NotANumber { .. })),
            ("1OGPU", |e| matches!(e, E::NotANumber { .. })),
        ];
        for (text, expected) in cases {
            let error = Wei::parse(text).unwrap_err();
            assert!(expected(&error), "{text}: {error:?}");
        }
    }

    #[test]
    fn a_raise_rounds_up_to_a_whole_wei() {
        assert_eq!(Wei::from_u128(10).raised_by_permille(200), Some(Wei::from_u128(12)));
        assert_eq!(Wei::from_u128(1).raised_by_permille(1), Some(Wei::from_u128(2)));
        assert_eq!(Wei::from_u256(U256::MAX).raised_by_permille(1), None);
    }

    #[test]
    fn rounding_for_a_table_never_shows_less() {
        let wei = Wei::parse("0.010000000000000001 OGPU").unwrap();
        assert_eq!(wei.coins_rounded(4), "0.0101");
        assert_eq!(Wei::parse("12 OGPU").unwrap().coins_rounded(2), "12.00");
        assert_eq!(Wei::ZERO.coins_rounded(0), "0");
    }

    proptest! {
        #[test]
        fn what_is_printed_reads_back_as_the_same_amount(limbs: [u64; 3]) {
            let wei = Wei::from_u256(U256::from_limbs([limbs[0], limbs[1], limbs[2], 0]));
            prop_assert_eq!(Wei::parse(&wei.to_string()), Ok(wei));
            let json = serde_json::to_string(&wei).unwrap();
            prop_assert_eq!(serde_json::from_str::<Wei>(&json).unwrap(), wei);
        }
    }
}
