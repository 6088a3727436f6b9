//! The small pieces of every screen: columns, amounts, spans, glyphs.

use std::borrow::Cow;
use std::fmt::Display;
use std::time::Duration;

use alloy::primitives::Address;
use jiff::fmt::strtime;
use unicode_width::UnicodeWidthStr;

use crate::units::text::thousands;
use crate::units::{Network, Timestamp, Wei};

/// How a screen may look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Look {
    /// Columns that fit into a line.
    pub width: usize,
    /// Only ASCII: for `--ascii` and locales without UTF-8.
    pub ascii: bool,
}

impl Default for Look {
    fn default() -> Self {
        Self { width: 80, ascii: false }
    }
}

impl Look {
    /// The text with every glyph of ours replaced if only ASCII may be shown.
    pub fn text<'a>(&self, text: impl Into<Cow<'a, str>>) -> Cow<'a, str> {
        let text = text.into();
        if !self.ascii || text.is_ascii() {
            return text;
        }
        const GLYPHS: [(&str, &str); 10] = [
            ("…", "..."),
            ("–", "-"),
            ("→", "->"),
            ("·", "."),
            ("█", "#"),
            ("▒", "="),
            ("×", "x"),
            ("✓", "ok"),
            ("▶", ">"),
            ("─", "-"),
        ];
        GLYPHS.iter().fold(text, |text, (glyph, plain)| text.replace(glyph, plain).into())
    }

    /// Shortens a line to the width, with `…` at its end.
    pub fn fit(&self, line: &str) -> String {
        if line.width() <= self.width {
            return line.to_owned();
        }
        let mut kept = String::new();
        for c in line.chars() {
            if kept.width() + unicode_width::UnicodeWidthChar::width(c).unwrap_or(0) >= self.width {
                break;
            }
            kept.push(c);
        }
        kept.push('…');
        kept
    }
}

/// The network's coin on screens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Coin {
    symbol: String,
    play: bool,
}

impl Coin {
    /// The coin of a network.
    pub fn of(network: &Network) -> Self {
        Self::new(&network.symbol, network.devnet)
    }

    /// A coin by symbol; `play` if it is a devnet's.
    pub fn new(symbol: &str, play: bool) -> Self {
        Self { symbol: symbol.to_owned(), play }
    }

    /// The symbol.
    pub fn symbol(&self) -> &str {
        &self.symbol
    }

    /// The exact amount with its symbol: `0.01 OGPU`.
    pub fn exact(&self, amount: Wei) -> String {
        format!("{} {}", amount.coins(), self.symbol)
    }

    /// The amount with four digits, rounded up, and its symbol.
    pub fn rounded(&self, amount: Wei) -> String {
        format!("{} {}", amount.coins_rounded(PLACES), self.symbol)
    }

    /// A line that names money, with `play money` at its end where it is that.
    pub fn line(&self, text: String) -> String {
        if self.play { format!("{text}   play money") } else { text }
    }
}

/// Digits behind the point in tables.
pub(super) const PLACES: usize = 4;

/// An amount in a column.
pub(super) fn cell(amount: Wei) -> String {
    amount.coins_rounded(PLACES)
}

/// A count, or a dash for none.
pub(super) fn count(number: u64) -> String {
    if number == 0 { "–".into() } else { thousands(number) }
}

/// A span in its two largest units: `0.4 s`, `34 s`, `12 min`, `1 h 4 min`, `3 d 2 h`.
pub fn span(time: Duration) -> String {
    let (millis, secs) = (time.as_millis(), time.as_secs());
    match secs {
        0 => format!("{}.{} s", millis / 1000, millis % 1000 / 100),
        1..120 => format!("{secs} s"),
        120..3600 => format!("{} min", secs / 60),
        3600..86_400 => two(secs / 3600, "h", secs % 3600 / 60, "min"),
        _ => two(secs / 86_400, "d", secs % 86_400 / 3600, "h"),
    }
}

fn two(large: u64, unit: &str, small: u64, small_unit: &str) -> String {
    if small == 0 {
        format!("{large} {unit}")
    } else {
        format!("{large} {unit} {small} {small_unit}")
    }
}

/// A span as a clock shows it: `02:10`, `1:05:00`.
pub fn stopwatch(time: Duration) -> String {
    let secs = time.as_secs();
    let (hours, minutes, secs) = (secs / 3600, secs / 60 % 60, secs % 60);
    if hours > 0 {
        format!("{hours}:{minutes:02}:{secs:02}")
    } else {
        format!("{minutes:02}:{secs:02}")
    }
}

/// A moment in RFC 3339, UTC, to the second.
pub fn rfc3339(at: Timestamp) -> String {
    utc(at, "%Y-%m-%dT%H:%M:%SZ")
}

/// The time of day of a moment, UTC.
pub(super) fn time_of_day(at: Timestamp) -> String {
    utc(at, "%H:%M UTC")
}

fn utc(at: Timestamp, format: &str) -> String {
    let millis = i64::try_from(at.as_millis()).unwrap_or(i64::MAX);
    let moment = jiff::Timestamp::from_millisecond(millis).unwrap_or(jiff::Timestamp::MAX);
    strtime::format(format, moment).expect("the format is a constant and the moment in range")
}

/// An address, or any id in hex, as people compare it: `0x71Ce…09A1`.
pub fn short(address: &Address) -> String {
    let text = address.to_string();
    format!("{}…{}", &text[..6], &text[text.len() - 4..])
}

/// On which side of a column its blanks are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Align {
    Left,
    Right,
}

/// Text in columns, two blanks apart, as wide as the widest cell.
#[derive(Clone, Debug)]
pub(super) struct Columns {
    aligns: Vec<Align>,
    rows: Vec<Vec<String>>,
}

impl Columns {
    pub(super) fn new(aligns: &[Align]) -> Self {
        Self { aligns: aligns.to_vec(), rows: Vec::new() }
    }

    pub(super) fn row<T: Display>(&mut self, cells: impl IntoIterator<Item = T>) {
        self.rows.push(cells.into_iter().map(|cell| cell.to_string()).collect());
    }

    /// The rows, each with one blank before it and none at its end.
    pub(super) fn lines(&self) -> Vec<String> {
        let wide = |column: usize| {
            self.rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.width()).max()
        };
        let widths: Vec<usize> =
            (0..self.aligns.len()).map(|column| wide(column).unwrap_or(0)).collect();
        self.rows.iter().map(|row| self.line(row, &widths)).collect()
    }

    fn line(&self, row: &[String], widths: &[usize]) -> String {
        let mut line = String::from(" ");
        for (place, cell) in row.iter().enumerate() {
            if place > 0 {
                line.push_str("  ");
            }
            let width = widths.get(place).copied().unwrap_or(0);
            let blanks = " ".repeat(width.saturating_sub(cell.width()));
            match self.aligns.get(place) {
                Some(Align::Right) => line.extend([blanks.as_str(), cell]),
                Some(Align::Left) | None => line.extend([cell.as_str(), &blanks]),
            }
        }
        line.truncate(line.trim_end().len());
        line
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_read_as_people_write_them() {
        let spans = [0, 450, 1_000, 119_999, 120_000, 3_599_000, 3_600_000, 3_840_000, 266_400_000]
            .map(|ms| span(Duration::from_millis(ms)));
        assert_eq!(
            spans,
            ["0.0 s", "0.4 s", "1 s", "119 s", "2 min", "59 min", "1 h", "1 h 4 min", "3 d 2 h"]
        );
        assert_eq!(stopwatch(Duration::from_secs(130)), "02:10");
        assert_eq!(stopwatch(Duration::from_secs(3_900)), "1:05:00");
    }

    #[test]
    fn moments_are_utc_and_never_out_of_range() {
        let at = Timestamp::from_millis(1_795_320_631_999);
        assert_eq!(rfc3339(at), "2026-11-22T04:10:31Z");
        assert_eq!(time_of_day(at), "04:10 UTC");
        assert_eq!(rfc3339(Timestamp::from_millis(u64::MAX)), "9999-12-30T22:00:00Z");
    }

    #[test]
    fn columns_are_as_wide_as_their_widest_cell_on_the_screen() {
        let mut columns = Columns::new(&[Align::Left, Align::Right, Align::Left]);
        columns.row(["a", "1", "x"]);
        columns.row(["日本", "100", ""]);
        assert_eq!(columns.lines(), [" a       1  x", " 日本  100"]);
    }

    #[test]
    fn a_line_that_is_too_long_ends_with_an_ellipsis_and_ascii_has_no_glyphs() {
        let look = Look { width: 5, ascii: false };
        assert_eq!(look.fit("abcde"), "abcde");
        assert_eq!(look.fit("abcdef"), "abcd…");
        assert_eq!(look.fit("日本語"), "日本…");
        let ascii = Look { width: 80, ascii: true };
        assert_eq!(ascii.text("██▒×· – a → b …"), "##=x. - a -> b ...");
    }

    #[test]
    fn money_of_a_devnet_is_called_play_money() {
        let coin = Coin::of(&Network::devnet());
        let line = coin.line(format!("spent {}", coin.exact(Wei::parse("0.01 OGPU").unwrap())));
        assert_eq!(line, "spent 0.01 OGPU   play money");
        let real = Coin::of(&Network::mainnet());
        assert_eq!(real.line("x".into()), "x");
    }
}
