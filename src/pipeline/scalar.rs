//! Which value a plain scalar is (YAML 1.2, core schema), and which ones are too risky to guess.

use serde_json::{Number, Value};

use super::document::Scalar;
use super::expr::ExprError;
use super::problem::Code;

/// The value of a scalar: of a quoted or block one its text, of a plain one what YAML 1.2 says.
///
/// # Errors
/// E0202 for numbers that JSON or another YAML reader would take for something else: above 64
/// bits, with leading zeros, `.nan`, `.inf`.
pub(super) fn value(scalar: &Scalar) -> Result<Value, ExprError> {
    let text = scalar.text.as_str();
    if !scalar.is_plain() {
        return Ok(Value::String(text.to_owned()));
    }
    match text {
        "" | "~" | "null" | "Null" | "NULL" => return Ok(Value::Null),
        "true" | "True" | "TRUE" => return Ok(Value::Bool(true)),
        "false" | "False" | "FALSE" => return Ok(Value::Bool(false)),
        _ => {}
    }
    match number(text) {
        Some(number) => number.map(Value::Number),
        None => Ok(Value::String(text.to_owned())),
    }
}

/// Words that are booleans in YAML 1.1 and text in YAML 1.2.
pub(super) fn is_old_boolean(word: &str) -> bool {
    ["yes", "no", "on", "off", "y", "n"].iter().any(|old| word.eq_ignore_ascii_case(old))
}

/// The number that a text is, `None` if it is none.
fn number(text: &str) -> Option<Result<Number, ExprError>> {
    let unsigned = text.strip_prefix(['-', '+']).unwrap_or(text);
    let lower = unsigned.to_ascii_lowercase();
    if matches!(lower.as_str(), ".inf" | ".nan") {
        return Some(Err(risky(text, "is not a number in JSON")));
    }
    let (digits, radix) = match (unsigned.get(..2), unsigned == text) {
        (Some("0x"), true) => (&unsigned[2..], 16),
        (Some("0o"), true) => (&unsigned[2..], 8),
        _ => (unsigned, 10),
    };
    let all_digits = |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit());
    if radix != 10 {
        let fits = !digits.is_empty() && digits.chars().all(|digit| digit.is_digit(radix));
        return fits.then(|| match u64::from_str_radix(digits, radix) {
            Ok(number) => Ok(Number::from(number)),
            Err(_) => Err(risky(text, "has more than 64 bits")),
        });
    }
    if all_digits(unsigned) {
        return Some(integer(text, unsigned));
    }
    is_decimal(unsigned).then(|| decimal(text))
}

fn integer(text: &str, digits: &str) -> Result<Number, ExprError> {
    if digits.len() > 1 && digits.starts_with('0') {
        return Err(risky(text, "starts with 0, which some readers take for octal"));
    }
    let signed = text.strip_prefix('+').unwrap_or(text);
    let small = signed.parse::<i64>().map(Number::from);
    small
        .or_else(|_| signed.parse::<u64>().map(Number::from))
        .map_err(|_| risky(text, "has more than 64 bits"))
}

/// `1.5`, `.5`, `1.`, `1e3`, `1.5e-3`.
fn is_decimal(text: &str) -> bool {
    let (mantissa, exponent) = match text.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, Some(exponent)),
        None => (text, None),
    };
    let digits = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
    let exponent_fits = exponent.is_none_or(|exponent| {
        let exponent = exponent.strip_prefix(['-', '+']).unwrap_or(exponent);
        !exponent.is_empty() && digits(exponent)
    });
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    exponent_fits && digits(whole) && digits(fraction) && !(whole.is_empty() && fraction.is_empty())
}

fn decimal(text: &str) -> Result<Number, ExprError> {
    let signed = text.strip_prefix('+').unwrap_or(text);
    let parsed: f64 = signed.parse().map_err(|_| risky(text, "cannot be read as a number"))?;
    Number::from_f64(parsed).ok_or_else(|| risky(text, "is too large for a number"))
}

fn risky(text: &str, why: &str) -> ExprError {
    let shown: String = text.chars().take(80).collect();
    ExprError::new(Code::E0202, format!("`{shown}` {why}"))
        .hint(format!("put quotes around it if text is meant: \"{shown}\""))
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use serde_saphyr::granit_parser::ScalarStyle;

    use super::*;

    fn plain(text: &str) -> Result<Value, ExprError> {
        value(&Scalar { text: text.into(), style: ScalarStyle::Plain })
    }

    #[test]
    fn plain_scalars_have_the_types_of_yaml_1_2() {
        for (text, expected) in [
            ("", json!(null)),
            ("~", json!(null)),
            ("true", json!(true)),
            ("False", json!(false)),
            ("3", json!(3)),
            ("-3", json!(-3)),
            ("+3", json!(3)),
            ("0", json!(0)),
            ("18446744073709551615", json!(18_446_744_073_709_551_615_u64)),
            ("0.7", json!(0.7)),
            (".5", json!(0.5)),
            ("1e3", json!(1000.0)),
            ("0xff", json!(255)),
            ("0o17", json!(15)),
            ("yes", json!("yes")),
            ("12:30:00", json!("12:30:00")),
            ("1_000", json!("1_000")),
            ("1.2.3", json!("1.2.3")),
            ("e3", json!("e3")),
            (".", json!(".")),
            ("-", json!("-")),
            ("0x", json!("0x")),
            ("2024-01-01", json!("2024-01-01")),
            ("é", json!("é")),
        ] {
            assert_eq!(plain(text), Ok(expected), "{text}");
        }
    }

    #[test]
    fn numbers_that_readers_differ_in_are_refused() {
        for bad in [
            "18446744073709551616",
            "-9223372036854775809",
            "0x5B38Da6a701c568545dCfcB03FcB875f56beddC4",
            "010",
            "007",
            ".nan",
            ".inf",
            "-.INF",
            "1e999",
        ] {
            let error = plain(bad).unwrap_err();
            assert_eq!(error.code, Code::E0202, "{bad}");
            assert!(error.hint.unwrap().contains("quotes"), "{bad}");
        }
    }

    #[test]
    fn quotes_and_blocks_make_text_of_anything() {
        for style in [ScalarStyle::SingleQuoted, ScalarStyle::DoubleQuoted, ScalarStyle::Literal] {
            for text in ["3", "null", "007", ".nan"] {
                let scalar = Scalar { text: text.into(), style };
                assert_eq!(value(&scalar), Ok(json!(text)));
            }
        }
    }
}
