//! From a place in a scalar's text to the place in the file.

use serde_saphyr::granit_parser::ScalarStyle;

use super::document::Node;
use super::problem::{SourceText, Span};

/// Finds pieces of one scalar's text in the file.
///
/// Quoting and folding change only blanks and line breaks, so the n-th other character of the
/// text is the n-th other one in the file. Escapes break this rule; of a scalar with escapes
/// every piece is the whole scalar.
pub(super) struct Locator {
    whole: Span,
    /// For each character that is no blank: where it starts in the text, and where it starts and
    /// ends in the file. Empty when pieces cannot be told apart.
    places: Vec<(usize, usize, usize)>,
}

impl Locator {
    pub(super) fn new(node: &Node, file: &SourceText) -> Self {
        let whole = node.span;
        let nothing = Self { whole, places: Vec::new() };
        let Some(scalar) = node.as_scalar() else { return nothing };
        let raw = file.slice(whole);
        let (body, lead) = match scalar.style {
            ScalarStyle::SingleQuoted | ScalarStyle::DoubleQuoted => {
                (raw.get(1..raw.len().saturating_sub(1)).unwrap_or(raw), 1)
            }
            ScalarStyle::Plain | ScalarStyle::Literal | ScalarStyle::Folded => (raw, 0),
        };
        if scalar.style == ScalarStyle::DoubleQuoted && body.contains('\\') {
            return nothing;
        }
        let solid = |(_, character): &(usize, char)| !character.is_whitespace();
        let mut in_text = scalar.text.char_indices().filter(solid);
        let mut places = Vec::with_capacity(body.len());
        for (at, character) in body.char_indices().filter(solid) {
            let start = whole.offset + lead + at;
            match in_text.next() {
                Some((place, same)) if same == character => {
                    places.push((place, start, start + character.len_utf8()));
                }
                Some(_) | None => return nothing,
            }
        }
        if in_text.next().is_some() {
            return nothing;
        }
        Self { whole, places }
    }

    /// Where a piece of the text stands in the file.
    pub(super) fn locate(&self, piece: Span) -> Span {
        let first = self.places.partition_point(|(at, ..)| *at < piece.offset);
        let behind = self.places.partition_point(|(at, ..)| *at < piece.end());
        let Some((_, start, end)) = self.places.get(first) else { return self.whole };
        let end = match behind.checked_sub(1).filter(|last| *last >= first) {
            Some(last) => self.places[last].2,
            None => *end,
        };
        Span::new(*start, end.saturating_sub(*start))
    }
}
