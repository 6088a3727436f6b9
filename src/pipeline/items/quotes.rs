//! Whether a stream of rows is within quotes, by the rules of RFC 4180 as the reader of rows has
//! them: a quote counts at the start of a cell, and a doubled one is text.

/// Where in a row a stream is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    /// Before the first byte of a cell.
    Start,
    /// In a cell without quotes, or behind the closing quote of one with them.
    Plain,
    /// Within quotes.
    Quoted,
    /// Behind a quote within quotes: it closes them, or is the first of two.
    Closing,
}

/// Follows the quotes of a stream.
#[derive(Debug)]
pub(super) struct Quotes {
    delimiter: u8,
    place: Place,
}

impl Quotes {
    /// At the start of a stream whose cells are parted by `delimiter`.
    pub(super) const fn new(delimiter: u8) -> Self {
        Self { delimiter, place: Place::Start }
    }

    /// Takes the next bytes.
    pub(super) fn read(&mut self, bytes: &[u8]) {
        for byte in bytes {
            let ends = *byte == self.delimiter || matches!(byte, b'\n' | b'\r');
            self.place = match (self.place, *byte) {
                (Place::Start, b'"') | (Place::Closing, b'"') => Place::Quoted,
                (Place::Quoted, b'"') => Place::Closing,
                (Place::Quoted, _) => Place::Quoted,
                (Place::Start | Place::Plain | Place::Closing, _) if ends => Place::Start,
                (Place::Start | Place::Plain | Place::Closing, _) => Place::Plain,
            };
        }
    }

    /// Whether quotes are open.
    pub(super) fn are_open(&self) -> bool {
        self.place == Place::Quoted
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quotes_are_open_where_a_cell_began_with_one_that_has_no_partner() {
        for (text, open) in [
            ("a,b\n", false),
            ("a,\"b", true),
            ("a,\"b\"", false),
            ("a,\"b\"\"", true),
            ("a,\"b\"\"\"\n", false),
            ("5\" disk,b\n", false),
            ("\"x\ny\",\"z\n1,2\n", true),
            ("\"x\" y,\"z\"\n", false),
        ] {
            let mut quotes = Quotes::new(b',');
            // In two pieces, as a stream may come.
            let (one, two) = text.as_bytes().split_at(text.len() / 2);
            quotes.read(one);
            quotes.read(two);
            assert_eq!(quotes.are_open(), open, "{text:?}");
        }
    }
}
