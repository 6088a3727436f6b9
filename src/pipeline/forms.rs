//! Written forms: money, durations, percents, addresses, words (language.md, section 3).
//!
//! Each reader gives an [`ExprError`], a problem that does not know its place yet, so that the
//! same words serve what is written in the file and what an item holds.

use std::str::FromStr;
use std::time::Duration;

use alloy::primitives::Address;
use serde_json::Value;

use super::SourceRef;
use super::expr::ExprError;
use super::price::{Complexity, Payment};
use super::problem::Code;
use crate::units::Wei;
use crate::units::time::{Rate, parse_duration};
use crate::units::wei::WeiError;

/// An amount of money, zero included.
pub(super) fn money(text: &str) -> Result<Wei, ExprError> {
    Wei::parse(text)
        .map_err(|error| ExprError::new(Code::E0206, error.to_string()).hint(error.hint()))
}

/// A payment: an amount greater than zero, a class of work, or `minimum`.
pub(super) fn payment(text: &str) -> Result<Payment, ExprError> {
    if text == "minimum" {
        return Ok(Payment::Minimum);
    }
    if let Some(class) = Complexity::parse(text) {
        return Ok(Payment::Fixed(class.payment()));
    }
    match Wei::parse(text) {
        Ok(amount) if amount.is_zero() => Err(not_positive()),
        Ok(amount) => Ok(Payment::Fixed(amount)),
        Err(WeiError::Negative { .. }) => Err(not_positive()),
        Err(error @ WeiError::NotANumber { .. }) => {
            let words = [&["minimum"], Complexity::WORDS].concat();
            let hint = match closest(text, words.iter().copied()) {
                Some(word) => format!("did you mean `{word}`?"),
                None => "write money as `0.01 OGPU`, or one of `simple`, `medium`, `complex`, \
                     `minimum`"
                    .into(),
            };
            Err(ExprError::new(Code::E0206, error.to_string()).hint(hint))
        }
        Err(error) => Err(ExprError::new(Code::E0206, error.to_string()).hint(error.hint())),
    }
}

fn not_positive() -> ExprError {
    ExprError::new(Code::E0206, "Payment must be positive").hint("Payment must be greater than 0")
}

/// A payment that an expression gave.
pub(super) fn payment_value(value: &Value) -> Result<Payment, ExprError> {
    match value {
        Value::String(text) => payment(text),
        Value::Number(number) => payment(&number.to_string()),
        Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => {
            Err(ExprError::new(Code::E0206, format!("{} is not an amount of money", kind(value)))
                .hint("a payment is text such as `0.01 OGPU`"))
        }
    }
}

/// A duration of zero or more.
pub(super) fn duration(text: &str) -> Result<Duration, ExprError> {
    parse_duration(text)
        .map_err(|error| ExprError::new(Code::E0207, error.to_string()).hint(error.hint()))
}

/// The life of a task: a duration longer than nothing, or one of three words.
pub(super) fn expires(text: &str) -> Result<Duration, ExprError> {
    match text {
        "short" => return Ok(Duration::from_secs(300)),
        "medium" => return Ok(Duration::from_secs(3600)),
        "long" => return Ok(Duration::from_secs(86400)),
        _ => {}
    }
    let past = text.strip_prefix('-').is_some_and(|rest| parse_duration(rest).is_ok());
    match parse_duration(text) {
        Ok(span) if !span.is_zero() => Ok(span),
        Ok(_) => Err(in_the_past()),
        Err(_) if past => Err(in_the_past()),
        Err(error) => {
            let hint = match closest(text, ["short", "medium", "long"]) {
                Some(word) => format!("did you mean `{word}`?"),
                None => format!("{}, or `short`, `medium`, `long`", error.hint()),
            };
            Err(ExprError::new(Code::E0207, error.to_string()).hint(hint))
        }
    }
}

fn in_the_past() -> ExprError {
    ExprError::new(Code::E0207, "Expiry must be future")
        .hint("Expiry time must be in the future: write how long a task lives, such as `30m`")
}

/// The life of a task that an expression gave.
pub(super) fn expires_value(value: &Value) -> Result<Duration, ExprError> {
    match value {
        Value::String(text) => expires(text),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_) => {
            Err(ExprError::new(Code::E0207, format!("{} is not a duration", kind(value)))
                .hint("a duration is text such as `30m`"))
        }
    }
}

/// A rate.
pub(super) fn rate(text: &str) -> Result<Rate, ExprError> {
    Rate::parse(text)
        .map_err(|error| ExprError::new(Code::E0207, error.to_string()).hint(error.hint()))
}

/// A percent in thousandths: `5%` is 50, `0.5%` is 5.
pub(super) fn permille(text: &str) -> Result<u32, ExprError> {
    let bad = || {
        ExprError::new(Code::E0208, format!("`{text}` is not a percent from 0 to 100"))
            .hint("write a percent as `5%` or `0.5%`")
    };
    let number = text.strip_suffix('%').ok_or_else(bad)?;
    let (whole, tenth) = number.split_once('.').unwrap_or((number, "0"));
    let digits = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
    if !digits(whole) || !digits(tenth) || tenth.len() != 1 {
        return Err(bad());
    }
    let whole: u32 = whole.parse().map_err(|_| bad())?;
    let tenth: u32 = tenth.parse().map_err(|_| bad())?;
    let permille = whole.checked_mul(10).and_then(|whole| whole.checked_add(tenth));
    permille.filter(|permille| *permille <= 1000).ok_or_else(bad)
}

/// A source that is not an alias: `builtin:NAME` or an address.
pub(super) fn source(text: &str) -> Result<SourceRef, ExprError> {
    if let Some(name) = text.strip_prefix("builtin:") {
        let fits = !name.is_empty()
            && name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
        return match fits {
            true => Ok(SourceRef::Builtin(name.to_owned())),
            false => Err(ExprError::new(Code::E0209, format!("`{text}` names no source"))
                .hint("the devnet's sources are `builtin:echo`, `builtin:llm`, and so on")),
        };
    }
    address(text).map(SourceRef::Address)
}

/// An address: `0x` and 40 hex digits in one case, or with a right checksum (EIP-55).
fn address(text: &str) -> Result<Address, ExprError> {
    let bad = |message: String| {
        ExprError::new(Code::E0209, message)
            .hint("an address is quoted text: `0x` and 40 hex digits")
    };
    let Some(digits) = text.strip_prefix("0x") else {
        return Err(bad(format!("`{text}` is not an address")));
    };
    if !digits.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return Err(bad(format!("`{text}` is not an address")));
    }
    if digits.len() != 40 {
        return Err(bad(format!("`{text}` has {} hex digits, not 40", digits.len())));
    }
    let address =
        Address::from_str(text).map_err(|_| bad(format!("`{text}` is not an address")))?;
    let upper = digits.bytes().any(|byte| byte.is_ascii_uppercase());
    let lower = digits.bytes().any(|byte| byte.is_ascii_lowercase());
    if upper && lower && Address::parse_checksummed(text, None).is_err() {
        let message = format!("the checksum of `{text}` is wrong");
        return Err(ExprError::new(Code::E0209, message)
            .hint("a digit or its case is mistyped; copy the address again"));
    }
    Ok(address)
}

/// The candidate that was most likely meant, if any is close enough.
pub(super) fn closest<'a>(
    typed: &str,
    candidates: impl IntoIterator<Item = &'a str>,
) -> Option<&'a str> {
    let typed_len = typed.chars().count();
    if typed_len > 100 {
        return None;
    }
    let allowed = match typed_len {
        0..=2 => 1,
        3..=5 => 2,
        _ => 3,
    };
    candidates
        .into_iter()
        .map(|candidate| (strsim::osa_distance(typed, candidate), candidate))
        .filter(|(distance, candidate)| {
            *distance <= allowed && *distance < candidate.chars().count()
        })
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

/// What kind of value it is, with its article.
pub(super) fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "text",
        Value::Array(_) => "a list",
        Value::Object(_) => "a map",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn money_without_unit_with_another_unit_negative_or_too_precise_is_refused() {
        for bad in ["1", "1 ETH", "0.0000000000000000001 OGPU", "1.5 wei", "0.0000000001 gwei"] {
            assert_eq!(payment(bad).unwrap_err().code, Code::E0206, "{bad}");
        }
        for bad in ["0 OGPU", "-1 OGPU", "0.0 gwei", "-0.5 OGPU"] {
            let error = payment(bad).unwrap_err();
            assert_eq!(error.message, "Payment must be positive", "{bad}");
            assert_eq!(error.hint.as_deref(), Some("Payment must be greater than 0"));
        }
    }

    #[test]
    fn wei_above_64_bits_is_read_exactly() {
        let Ok(Payment::Fixed(amount)) = payment("12345678901234567890123 wei") else {
            panic!("refused")
        };
        assert_eq!(amount.to_u128(), Some(12_345_678_901_234_567_890_123));
    }

    #[test]
    fn a_misspelt_class_of_work_gets_a_suggestion() {
        assert_eq!(payment("simpel").unwrap_err().hint.as_deref(), Some("did you mean `simple`?"));
        assert_eq!(expires("meduim").unwrap_err().hint.as_deref(), Some("did you mean `medium`?"));
    }

    #[test]
    fn an_expiry_of_nothing_or_less_is_not_in_the_future() {
        for bad in ["0s", "-30m", "0h0m"] {
            assert_eq!(expires(bad).unwrap_err().message, "Expiry must be future", "{bad}");
        }
        assert_eq!(expires("long"), Ok(Duration::from_secs(86400)));
    }

    #[test]
    fn percents_have_at_most_one_decimal_and_stay_within_a_hundred() {
        for (text, permille) in [("5%", 50), ("0.5%", 5), ("100%", 1000), ("0%", 0)] {
            assert_eq!(super::permille(text), Ok(permille));
        }
        for bad in ["5", "101%", "-1%", "%", "0.05%", "1e1%", "99999999999%", ".5%", "5 %"] {
            assert_eq!(super::permille(bad).unwrap_err().code, Code::E0208, "{bad}");
        }
    }

    #[test]
    fn an_address_has_forty_digits_in_one_case_or_a_right_checksum() {
        let right = "0x5B38Da6a701c568545dCfcB03FcB875f56beddC4";
        assert!(source(right).is_ok());
        assert!(source(&right.to_lowercase()).is_ok());
        assert!(source(&format!("0x{}", right[2..].to_uppercase())).is_ok());
        let wrong = right.replace("Da6a", "da6a");
        assert!(source(&wrong).unwrap_err().message.contains("checksum"));
        for bad in ["0xff", "5B38", "", "0x", "builtin:", "builtin:LLM", "0xé"] {
            assert_eq!(source(bad).unwrap_err().code, Code::E0209, "{bad}");
        }
    }

    #[test]
    fn suggestions_are_close_to_what_was_typed() {
        assert_eq!(closest("sumarise", ["summarise", "digest"]), Some("summarise"));
        assert_eq!(closest("txt", ["text", "id"]), Some("text"));
        assert_eq!(closest("weather", ["text", "id"]), None);
        assert_eq!(closest("x", ["y"]), None, "nothing in common");
    }
}
