//! Bytes of strangers: small inputs of our own, changed at random, into everything that reads.
//!
//! Nothing may panic, what is read back must be what was written, and no input may cause more
//! work than is stated, counted in what was made or asked, not by a clock. A case is named by its
//! number, so a failing one comes again; `LONG=1` tries thirty times as many.

use std::panic::{AssertUnwindSafe, catch_unwind};

mod targets;

/// The longest input that is made, in bytes.
const LONGEST: usize = 1 << 16;

/// A number after the other, from a seed.
pub(super) struct Chance(u64);

impl Chance {
    pub(super) const fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// A number below this one.
    pub(super) fn below(&mut self, limit: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        usize::try_from((z ^ (z >> 31)) % limit.max(1) as u64).unwrap()
    }

    /// A place from which on something is cut or put in.
    fn place(&mut self, bytes: &[u8]) -> usize {
        self.below(bytes.len() + 1)
    }

    /// Changes bytes in some places: bits, cuts, repeats, words that mean something.
    pub(super) fn change(&mut self, bytes: &mut Vec<u8>, words: &[&str]) {
        for _ in 0..=self.below(5) {
            self.change_once(bytes, words);
        }
        bytes.truncate(LONGEST);
    }

    fn change_once(&mut self, bytes: &mut Vec<u8>, words: &[&str]) {
        let (one, other) = (self.place(bytes), self.place(bytes));
        let (from, to) = (one.min(other), one.max(other).min(one.min(other) + 64));
        match self.below(8) {
            0 => {
                if let Some(byte) = bytes.get_mut(one) {
                    *byte ^= 1 << self.below(8);
                }
            }
            1 => {
                bytes.drain(from..to);
            }
            2 => {
                let piece = bytes[from..to].repeat(1 + self.below(20));
                bytes.splice(from..from, piece);
            }
            3 => bytes.truncate(one),
            4 => bytes.insert(one, u8::try_from(self.below(256)).unwrap()),
            5 => {
                let digits = ["0", "-1", "1e999", "18446744073709551616", "0x", "null", "1.5"];
                let number = digits[self.below(digits.len())].bytes();
                bytes.splice(from..to, number);
            }
            _ => {
                let word = words[self.below(words.len())].bytes();
                bytes.splice(one..one, word);
            }
        }
    }
}

/// Tries many changed forms of the inputs, the inputs themselves first. The target says whether it
/// took one in: where no changed one ever is, nothing is tried but refusals.
#[expect(clippy::disallowed_macros, reason = "a failing input is shown")]
pub(super) fn tries(
    count: u64,
    corpus: &[&[u8]],
    words: &[&str],
    mut target: impl FnMut(&[u8]) -> bool,
) {
    let count = if super::setting_of_the_test("LONG").is_some() { count * 30 } else { count };
    let mut taken = 0;
    for number in 0..count {
        let mut chance = Chance::new(number);
        let first = usize::try_from(number).unwrap();
        let which = if first < corpus.len() { first } else { chance.below(corpus.len()) };
        let mut input = corpus[which].to_vec();
        if first >= corpus.len() {
            chance.change(&mut input, words);
        }
        let seen = catch_unwind(AssertUnwindSafe(|| target(&input)));
        match seen {
            Ok(was_taken) => taken += u64::from(was_taken && first >= corpus.len()),
            Err(panic) => {
                eprintln!("case {number}: {}", String::from_utf8_lossy(&input).escape_debug());
                std::panic::resume_unwind(panic);
            }
        }
    }
    assert!(taken >= count / 500, "only {taken} of {count} inputs were taken in");
}
