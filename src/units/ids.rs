//! Ids that do not mix: runs, steps, items, tasks, rounds.

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use sha2::{Digest, Sha256};

use super::Network;

/// One execution of a plan: `r-` and eight letters or digits.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct RunId(Arc<str>);

impl RunId {
    /// The alphabet of run ids: no letter that is easily taken for another.
    const ALPHABET: &'static [u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";

    /// The id made from 40 random bits.
    pub fn from_random(bits: u64) -> Self {
        let mut text = String::from("r-");
        for place in 0..8 {
            let five_bits = (bits >> (place * 5)).to_le_bytes()[0] & 31;
            text.push(char::from(Self::ALPHABET[usize::from(five_bits)]));
        }
        Self(text.into())
    }

    /// The id with this text; `None` if it has another form.
    pub fn parse(text: &str) -> Option<Self> {
        let tail = text.strip_prefix("r-")?;
        let fits = tail.len() == 8 && tail.bytes().all(|b| Self::ALPHABET.contains(&b));
        fits.then(|| Self(text.into()))
    }

    /// The id as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for RunId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The id of a step, as written in the pipeline: `[a-z][a-z0-9_]*`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct StepName(Arc<str>);

impl StepName {
    /// The name with this text; `None` if it has another form.
    pub fn parse(text: &str) -> Option<Self> {
        let first = text.bytes().next()?;
        let fits = first.is_ascii_lowercase()
            && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_');
        fits.then(|| Self(text.into()))
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for StepName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What names an item within its step: 1 to 200 bytes without control characters.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ItemKey(Arc<str>);

impl ItemKey {
    /// The greatest length of a key, in bytes (language.md, section 6).
    pub const MAX_BYTES: usize = 200;

    /// The key with this text; `None` if it is empty, too long or holds control characters.
    pub fn parse(text: &str) -> Option<Self> {
        let fits = !text.is_empty()
            && text.len() <= Self::MAX_BYTES
            && !text.chars().any(char::is_control);
        fits.then(|| Self(text.into()))
    }

    /// The key as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The 128 bits by which the engine knows the key.
    pub fn hash(&self) -> KeyHash {
        let digest = Sha256::digest(self.0.as_bytes());
        let mut bits = [0; 16];
        bits.copy_from_slice(&digest[..16]);
        KeyHash(bits)
    }
}

impl fmt::Display for ItemKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The first 128 bits of SHA-256 over an item key.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct KeyHash(pub [u8; 16]);

/// One task of a run: its step and its item, by place in the plan, from 0.
///
/// People see `summarise/rev-0042`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct TaskId {
    /// The step's place in the plan.
    pub step: u16,
    /// The item's place in its step's input order.
    pub item: u32,
}

impl TaskId {
    /// The task of item `item` of step `step`.
    pub const fn new(step: u16, item: u32) -> Self {
        Self { step, item }
    }
}

impl fmt::Display for TaskId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.step, self.item)
    }
}

/// The n-th time that an item is published anew, from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Round(u16);

impl Round {
    /// The first publication of an item.
    pub const FIRST: Self = Self(1);

    /// Counted from 1.
    pub const fn get(self) -> u16 {
        self.0
    }

    /// The round after this one.
    #[must_use]
    pub const fn next(self) -> Self {
        Self(self.0.saturating_add(1))
    }
}

impl fmt::Display for Round {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

/// What makes one (run, step, item, round) recognisable on chain: 128 bits, written as the 32
/// hex digits of the config's `ogflow` tag (safety.md, section 1).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TaskKey(pub [u8; 16]);

impl TaskKey {
    /// The key of one round of an item.
    ///
    /// The first 32 bits are of SHA-256 over the run id, so that "a publication of this run" is
    /// a comparison of prefixes; the other 96 are of SHA-256 over a length-prefixed list that
    /// names the chain, the run, the step, the item and the round. The wallet is not in it, so
    /// another wallet cannot publish the item anew.
    pub fn derive(origin: &TaskOrigin<'_>, item: KeyHash, round: Round) -> Self {
        let mut bits = [0; 16];
        bits[..4].copy_from_slice(&Self::run_prefix(origin.run));
        let mut hasher = Sha256::new();
        let mut add = |part: &[u8]| {
            hasher.update((part.len() as u64).to_be_bytes());
            hasher.update(part);
        };
        add(b"ogflow/1");
        add(&origin.network.chain_id.to_be_bytes());
        add(origin.genesis);
        add(origin.network.controller.as_slice());
        add(origin.run.as_str().as_bytes());
        add(origin.step.as_str().as_bytes());
        add(&item.0);
        add(&round.get().to_be_bytes());
        bits[4..].copy_from_slice(&hasher.finalize()[..12]);
        Self(bits)
    }

    /// The 32 bits that all task keys of one run begin with.
    pub fn run_prefix(run: &RunId) -> [u8; 4] {
        let digest = Sha256::digest(run.as_str().as_bytes());
        [digest[0], digest[1], digest[2], digest[3]]
    }
}

/// The parts of a task key that all items of a step share.
#[derive(Clone, Copy, Debug)]
pub struct TaskOrigin<'a> {
    /// The network: its chain id and its Controller count.
    pub network: &'a Network,
    /// The hash of the chain's first block.
    pub genesis: &'a [u8; 32],
    /// The run.
    pub run: &'a RunId,
    /// The step.
    pub step: &'a StepName,
}

/// Hex forms for the 128-bit ids, which are text everywhere outside memory.
macro_rules! hex_id {
    ($name:ident) => {
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(self, f)
            }
        }

        impl $name {
            /// Reads the 32 hex digits that `Display` writes; `None` for anything else.
            pub fn parse(text: &str) -> Option<Self> {
                let bytes = data_encoding::HEXLOWER.decode(text.as_bytes()).ok()?;
                Some(Self(bytes.try_into().ok()?))
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
                Self::parse(&text).ok_or_else(|| serde::de::Error::custom("not 32 hex digits"))
            }
        }
    };
}

hex_id!(KeyHash);
hex_id!(TaskKey);

#[cfg(test)]
mod tests {
    use super::*;

    fn key(run: &str, step: &str, item: &str, round: Round) -> TaskKey {
        let network = Network::devnet();
        let run = RunId::parse(run).unwrap();
        let step = StepName::parse(step).unwrap();
        let origin = TaskOrigin { network: &network, genesis: &[7; 32], run: &run, step: &step };
        TaskKey::derive(&origin, ItemKey::parse(item).unwrap().hash(), round)
    }

    #[test]
    fn each_part_of_a_task_changes_its_key() {
        let base = key("r-00000000", "a", "x", Round::FIRST);
        let others = [
            key("r-00000001", "a", "x", Round::FIRST),
            key("r-00000000", "b", "x", Round::FIRST),
            key("r-00000000", "a", "y", Round::FIRST),
            key("r-00000000", "a", "x", Round::FIRST.next()),
        ];
        assert!(others.iter().all(|other| *other != base));
        assert_eq!(base, key("r-00000000", "a", "x", Round::FIRST));
    }

    #[test]
    fn all_keys_of_a_run_share_their_first_eight_digits() {
        let run = RunId::parse("r-00000000").unwrap();
        let one = key("r-00000000", "a", "x", Round::FIRST);
        assert_eq!(one.0[..4], TaskKey::run_prefix(&run));
        assert_eq!(TaskKey::parse(&one.to_string()), Some(one));
    }

    #[test]
    fn ids_of_another_form_are_refused() {
        assert_eq!(RunId::from_random(u64::MAX).as_str(), "r-zzzzzzzz");
        assert!(RunId::parse("r-iiiiiiii").is_none());
        assert!(RunId::parse("x-00000000").is_none());
        for bad in ["", "A", "1a", "a-b", "é"] {
            assert!(StepName::parse(bad).is_none(), "{bad}");
        }
        assert!(ItemKey::parse(&"k".repeat(200)).is_some());
        assert!(ItemKey::parse(&"k".repeat(201)).is_none());
        assert!(ItemKey::parse("a\nb").is_none());
    }
}
