//! Chance from a seed, without an order: the same question has the same reply, whoever asks first.

/// Draws by name, so that two things that happen in one moment do not change each other's luck.
#[derive(Clone, Copy, Debug)]
pub(super) struct Dice(u64);

/// One step of `SplitMix64`: spreads a number over 64 bits.
const fn mix(number: u64) -> u64 {
    let z = number.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

impl Dice {
    pub(super) const fn new(seed: u64) -> Self {
        Self(mix(seed))
    }

    /// The dice of one thing.
    pub(super) fn of(self, name: &[u8]) -> Self {
        let mut state = self.0;
        for chunk in name.chunks(8) {
            let mut word = [0; 8];
            word[..chunk.len()].copy_from_slice(chunk);
            state = mix(state ^ u64::from_le_bytes(word));
        }
        Self(mix(state ^ name.len() as u64))
    }

    /// The dice of one thing among those that are counted.
    pub(super) fn at(self, what: &str, number: u64) -> Self {
        let named = self.of(what.as_bytes());
        Self(mix(named.0 ^ number))
    }

    /// A number below this one.
    pub(super) const fn below(self, limit: u64) -> u64 {
        self.0 % limit
    }

    /// Yes, in so many of a thousand cases.
    pub(super) const fn chance(self, permille: u64) -> bool {
        self.0 % 1000 < permille
    }
}
