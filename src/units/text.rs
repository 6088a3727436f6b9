//! Text that needs care: what must never be shown, and what strangers wrote.

use std::fmt::{self, Write};

use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};

/// A key, a password or a token. Prints as `***`, is wiped on drop, cannot be serialized.
#[derive(Clone)]
pub struct Secret(SecretString);

impl Secret {
    /// The text itself, for the one place that needs it.
    pub fn expose(&self) -> &str {
        self.0.expose_secret()
    }
}

impl From<String> for Secret {
    fn from(text: String) -> Self {
        Self(SecretString::from(text))
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

impl fmt::Display for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

/// A number in groups of three digits: `20,934,118`.
pub fn thousands(number: u64) -> String {
    let digits = number.to_string();
    let mut out = String::with_capacity(digits.len() + digits.len() / 3);
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

/// A number of things: `1 task`, `1,204 tasks`.
pub fn counted(number: impl TryInto<u64>, noun: &str) -> String {
    let number = number.try_into().unwrap_or(u64::MAX);
    let plural = if number == 1 { "" } else { "s" };
    format!("{} {noun}{plural}", thousands(number))
}

/// Text from outside: outputs, provider names, an endpoint's error.
///
/// `Display` and `Debug` keep it on one line, write control, bidirectional and invisible
/// characters as escapes, and end it with `…` after [`Untrusted::SHOWN`] characters, or after
/// as many as the format's precision says (`{text:.40}`). Serialized as it came: JSON escapes
/// what a machine must not see raw.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Untrusted(String);

impl Untrusted {
    /// How many characters are shown where the format does not say.
    pub const SHOWN: usize = 200;

    /// The text as it came; never for a terminal.
    pub fn raw(&self) -> &str {
        &self.0
    }

    /// Gives the text back as it came.
    pub fn into_raw(self) -> String {
        self.0
    }

    /// The whole text, escaped but not shortened.
    pub fn escaped(&self) -> String {
        self.0.chars().map(Escaped).map(|c| c.to_string()).collect()
    }
}

impl From<String> for Untrusted {
    fn from(text: String) -> Self {
        Self(text)
    }
}

impl From<&str> for Untrusted {
    fn from(text: &str) -> Self {
        Self(text.to_owned())
    }
}

impl fmt::Display for Untrusted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let most = f.precision().unwrap_or(Self::SHOWN);
        for (shown, c) in self.0.chars().enumerate() {
            if shown == most {
                return f.write_char('…');
            }
            Escaped(c).fmt(f)?;
        }
        Ok(())
    }
}

impl fmt::Debug for Untrusted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Untrusted(\"{self}\")")
    }
}

/// One character, as an escape if it is hidden.
struct Escaped(char);

impl fmt::Display for Escaped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            '\n' => f.write_str("\\n"),
            '\r' => f.write_str("\\r"),
            '\t' => f.write_str("\\t"),
            c if is_hidden(c) => write!(f, "\\u{{{:x}}}", u32::from(c)),
            c => f.write_char(c),
        }
    }
}

/// Whether a terminal would act on this character, or show nothing for it.
///
/// C0, DEL and C1; bidirectional marks, embeddings and isolates; zero-width characters, line
/// and paragraph separators, invisible operators, fillers, annotation marks and tags.
fn is_hidden(c: char) -> bool {
    c.is_control()
        || matches!(c,
            '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}' | '\u{1160}' | '\u{17b4}' | '\u{17b5}'
            | '\u{180b}'..='\u{180f}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}' | '\u{3164}' | '\u{feff}' | '\u{ffa0}'
            | '\u{fff0}'..='\u{fffb}' | '\u{1d173}'..='\u{1d17a}' | '\u{e0000}'..='\u{e0fff}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_grouped_and_one_thing_is_no_plural() {
        let numbers = [0, 7, 999, 1_000, 20_934_118].map(thousands);
        assert_eq!(numbers, ["0", "7", "999", "1,000", "20,934,118"]);
        let tasks = [0_usize, 1, 2, 1_204].map(|number| counted(number, "task"));
        assert_eq!(tasks, ["0 tasks", "1 task", "2 tasks", "1,204 tasks"]);
    }
    use proptest::prelude::*;

    #[test]
    fn a_secret_prints_as_stars_whatever_holds_it() {
        let secret = Secret::from("canary-0xac09".to_owned());
        let shown = format!("{secret} {secret:?} {:#?} {:?}", Some(&secret), vec![secret.clone()]);
        assert!(!shown.contains("canary"), "{shown}");
        assert_eq!(format!("{secret:?}"), "***");
        assert_eq!(secret.expose(), "canary-0xac09");
    }

    #[test]
    fn characters_that_steer_a_terminal_are_written_as_escapes() {
        for (text, shown) in [
            ("a\u{1b}[2Jb", "a\\u{1b}[2Jb"),
            ("\u{9b}31m", "\\u{9b}31m"),
            ("a\nb\r\tc\0", "a\\nb\\r\\tc\\u{0}"),
            ("user\u{202e}gnp.exe", "user\\u{202e}gnp.exe"),
            ("\u{2066}x\u{2069}", "\\u{2066}x\\u{2069}"),
            ("pass\u{200b}word\u{feff}", "pass\\u{200b}word\\u{feff}"),
            ("\u{7f}\u{85}\u{2028}", "\\u{7f}\\u{85}\\u{2028}"),
            ("\u{e0041}tag", "\\u{e0041}tag"),
            ("größer 日本語 😀 \"q\" \\", "größer 日本語 😀 \"q\" \\"),
        ] {
            assert_eq!(Untrusted::from(text).to_string(), shown);
        }
    }

    #[test]
    fn long_text_ends_with_an_ellipsis() {
        let long = Untrusted::from("x".repeat(1_000_000));
        assert_eq!(long.to_string().chars().count(), Untrusted::SHOWN + 1);
        assert!(long.to_string().ends_with('…'));
        assert_eq!(format!("{:.3}", Untrusted::from("abcdef")), "abc…");
        assert_eq!(format!("{:.6}", Untrusted::from("abcdef")), "abcdef");
        assert_eq!(long.escaped().len(), 1_000_000);
    }

    proptest! {
        #[test]
        fn nothing_that_is_shown_is_a_control_character(text in any::<String>()) {
            let untrusted = Untrusted::from(text);
            for shown in [format!("{untrusted}"), format!("{untrusted:?}"), untrusted.escaped()] {
                prop_assert!(!shown.chars().any(is_hidden), "{:?}", shown);
            }
        }
    }
}
