//! The few shapes that the devnet's log is made of: numbers, hashes, bytes in a row.
//!
//! Numbers take as many bytes as they need (LEB128), 256-bit words a length byte and no leading
//! zeros. There is one way to write each value.

use alloy::primitives::{Address, B256, U256};

/// Appends values to bytes.
#[derive(Debug, Default)]
pub(super) struct Writer {
    bytes: Vec<u8>,
}

impl Writer {
    pub(super) fn into_bytes(self) -> Vec<u8> {
        self.bytes
    }

    pub(super) fn byte(&mut self, value: u8) {
        self.bytes.push(value);
    }

    pub(super) fn number(&mut self, mut value: u64) {
        loop {
            let low = u8::try_from(value & 0x7f).expect("seven bits fit into a byte");
            value >>= 7;
            if value == 0 {
                return self.byte(low);
            }
            self.byte(low | 0x80);
        }
    }

    pub(super) fn word(&mut self, value: U256) {
        let all = value.to_be_bytes::<32>();
        let used = &all[value.leading_zeros() / 8..];
        self.number(used.len() as u64);
        self.bytes.extend_from_slice(used);
    }

    pub(super) fn address(&mut self, value: &Address) {
        self.bytes.extend_from_slice(value.as_slice());
    }

    pub(super) fn hash(&mut self, value: &B256) {
        self.bytes.extend_from_slice(value.as_slice());
    }

    pub(super) fn bytes(&mut self, value: &[u8]) {
        self.number(value.len() as u64);
        self.bytes.extend_from_slice(value);
    }
}

/// Takes values off bytes, in the order in which they were written; `None` where they end early
/// or are not what a [`Writer`] writes.
#[derive(Debug)]
pub(super) struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    pub(super) const fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    pub(super) const fn is_at_end(&self) -> bool {
        self.rest.is_empty()
    }

    fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let (head, rest) = self.rest.split_at_checked(count)?;
        self.rest = rest;
        Some(head)
    }

    pub(super) fn byte(&mut self) -> Option<u8> {
        self.take(1).map(|bytes| bytes[0])
    }

    pub(super) fn number(&mut self) -> Option<u64> {
        let mut value = 0_u64;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            let part = u64::from(byte & 0x7f);
            if part << shift >> shift != part {
                return None;
            }
            value |= part << shift;
            if byte & 0x80 == 0 {
                return Some(value);
            }
        }
        None
    }

    pub(super) fn count(&mut self) -> Option<usize> {
        // Nothing is shorter than a byte, so a count past the rest is a lie.
        usize::try_from(self.number()?).ok().filter(|count| *count <= self.rest.len())
    }

    pub(super) fn word(&mut self) -> Option<U256> {
        let length = usize::try_from(self.number()?).ok()?;
        if length > 32 { None } else { Some(U256::from_be_slice(self.take(length)?)) }
    }

    pub(super) fn address(&mut self) -> Option<Address> {
        self.take(20).map(Address::from_slice)
    }

    pub(super) fn hash(&mut self) -> Option<B256> {
        self.take(32).map(B256::from_slice)
    }

    pub(super) fn bytes(&mut self) -> Option<&'a [u8]> {
        let length = usize::try_from(self.number()?).ok()?;
        self.take(length)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_written_reads_back_and_then_nothing_is_left() {
        let numbers = [0, 1, 127, 128, 300, u64::from(u32::MAX), u64::MAX];
        let words = [U256::ZERO, U256::from(1), U256::from(256), U256::MAX];
        let mut writer = Writer::default();
        numbers.iter().for_each(|n| writer.number(*n));
        words.iter().for_each(|w| writer.word(*w));
        writer.bytes(b"text");
        writer.address(&Address::repeat_byte(1));
        writer.hash(&B256::repeat_byte(2));
        let bytes = writer.into_bytes();
        let mut reader = Reader::new(&bytes);
        numbers.iter().for_each(|n| assert_eq!(reader.number(), Some(*n)));
        words.iter().for_each(|w| assert_eq!(reader.word(), Some(*w)));
        assert_eq!(reader.bytes(), Some(&b"text"[..]));
        assert_eq!(reader.address(), Some(Address::repeat_byte(1)));
        assert_eq!(reader.hash(), Some(B256::repeat_byte(2)));
        assert!(reader.is_at_end());
        assert_eq!(reader.byte(), None);
    }

    #[test]
    fn a_length_that_goes_past_the_end_is_refused() {
        assert_eq!(Reader::new(&[5, 1, 2]).bytes(), None);
        assert_eq!(Reader::new(&[33]).word(), None);
        assert_eq!(Reader::new(&[200, 1]).count(), None);
        assert_eq!(Reader::new(&[0xff; 11]).number(), None);
    }
}
