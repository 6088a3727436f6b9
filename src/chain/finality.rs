//! Which height is final (safety.md, section 7).

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use super::error::ChainError;
use super::reading::{Header, ask_finalized, ask_header, header_in};
use super::rpc::{Ask, Endpoint, Reply};
use crate::units::{BlockRef, ChainTime, Finality};

/// A depth that needs no second look.
const DEEP_ENOUGH: u64 = 3;
/// How far the `finalized` block may be below the head.
const MOST_UNTAGGED: u64 = 256;
/// How many blocks may wait for their second look.
const MOST_WAITING: usize = 64;

/// The final height, and the block's time if that came along.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct FinalBlock {
    pub(super) number: u64,
    pub(super) time: Option<ChainTime>,
}

/// Finds out which height is final, by the network's rule.
#[derive(Debug)]
pub(super) struct FinalityRule {
    rule: Finality,
    wait: Option<Duration>,
    looks: Mutex<SecondLook>,
}

/// What a rule wants to know together with the newest header: at most one request.
#[derive(Debug)]
pub(super) struct Probe {
    pub(super) ask: Option<Ask>,
    looked_at: Option<BlockRef>,
}

impl FinalityRule {
    /// `wait` is how long a shallow block must stand until its second look, if that is due.
    pub(super) fn new(rule: Finality, wait: Option<Duration>) -> Self {
        let shallow = match rule {
            Finality::Depth(depth) => u64::from(depth) < DEEP_ENOUGH,
            Finality::Tag => false,
        };
        Self { rule, wait: wait.filter(|_| shallow), looks: Mutex::default() }
    }

    /// How many blocks below the head of any moment everything was final then. A tag does not say;
    /// it stays within as many as are remembered of the log stream.
    pub(super) fn reach(&self) -> u64 {
        match self.rule {
            Finality::Tag => MOST_UNTAGGED,
            Finality::Depth(depth) => u64::from(depth).max(1),
        }
    }

    /// What to ask in the batch that reads the newest header.
    pub(super) fn probe(&self, now: Instant) -> Probe {
        if self.rule == Finality::Tag {
            return Probe { ask: Some(ask_finalized()), looked_at: None };
        }
        let looked_at = self.wait.and_then(|wait| self.looks().due(now, wait));
        Probe { ask: looked_at.map(|block| ask_header(block.number)), looked_at }
    }

    /// The final block of the chain under `head`.
    pub(super) fn settle(
        &self,
        endpoint: &Endpoint,
        head: &Header,
        (probe, reply): (&Probe, Option<&Reply>),
        now: Instant,
    ) -> Result<FinalBlock, ChainError> {
        match self.rule {
            Finality::Tag => tagged(endpoint, head, probe.ask.as_ref().zip(reply)),
            Finality::Depth(depth) => {
                let number = at_depth(head, depth);
                if self.wait.is_none() {
                    let time = (number == head.number).then_some(head.time);
                    return Ok(FinalBlock { number, time });
                }
                let mut looks = self.looks();
                if let (Some(ask), Some(block)) = (&probe.ask, probe.looked_at) {
                    let seen = reply.and_then(|reply| header_in(ask, reply).ok().flatten());
                    looks.looked(block, seen.map(|header| header.block()));
                }
                if let Some(block) = nameable(head, number) {
                    looks.first_seen(block, now);
                }
                let number = number.min(looks.confirmed.max(at_depth(head, 3)));
                let time = (number == head.number).then_some(head.time);
                Ok(FinalBlock { number, time })
            }
        }
    }

    /// A height that is final under `head` without asking anybody; the rule may know a higher one.
    pub(super) fn surely(&self, head: &Header) -> Option<u64> {
        match self.rule {
            Finality::Tag => None,
            Finality::Depth(depth) if self.wait.is_none() => Some(at_depth(head, depth)),
            Finality::Depth(depth) => {
                let known = self.looks().confirmed.max(at_depth(head, 3));
                Some(at_depth(head, depth).min(known))
            }
        }
    }

    fn looks(&self) -> std::sync::MutexGuard<'_, SecondLook> {
        self.looks.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn tagged(
    endpoint: &Endpoint,
    head: &Header,
    asked: Option<(&Ask, &Reply)>,
) -> Result<FinalBlock, ChainError> {
    let no_tag = || ChainError::NoFinalizedTag { endpoint: endpoint.name().to_owned() };
    let (ask, reply) = asked.ok_or_else(no_tag)?;
    match header_in(ask, reply) {
        Ok(Some(block)) if block.number <= head.number => {
            Ok(FinalBlock { number: block.number, time: Some(block.time) })
        }
        Ok(Some(_)) => Ok(FinalBlock { number: head.number, time: Some(head.time) }),
        // A young chain has finalized nothing but its first block.
        Ok(None) => Ok(FinalBlock { number: 0, time: None }),
        Err(_) => Err(no_tag()),
    }
}

/// The height at this depth; the newest block has depth 1.
pub(super) fn at_depth(head: &Header, depth: u32) -> u64 {
    head.number.saturating_sub(u64::from(depth).saturating_sub(1))
}

/// The block at `number`, if the header itself names it.
const fn nameable(head: &Header, number: u64) -> Option<BlockRef> {
    if number == head.number {
        Some(head.block())
    } else if number + 1 == head.number {
        Some(BlockRef { number, hash: head.parent })
    } else {
        None
    }
}

/// Shallow blocks on their way to their second look.
#[derive(Debug, Default)]
struct SecondLook {
    waiting: VecDeque<(BlockRef, Instant)>,
    confirmed: u64,
}

impl SecondLook {
    /// The newest block whose second look is due.
    fn due(&self, now: Instant, wait: Duration) -> Option<BlockRef> {
        let old_enough = |since: &Instant| now.saturating_duration_since(*since) >= wait;
        self.waiting.iter().rev().find(|(_, since)| old_enough(since)).map(|(block, _)| *block)
    }

    fn first_seen(&mut self, block: BlockRef, now: Instant) {
        while self.waiting.back().is_some_and(|(last, _)| {
            last.number > block.number || (last.number == block.number && last.hash != block.hash)
        }) {
            self.waiting.pop_back();
        }
        let news = self.waiting.back().is_none_or(|(last, _)| last.number < block.number);
        if news && block.number > self.confirmed && self.waiting.len() < MOST_WAITING {
            self.waiting.push_back((block, now));
        }
    }

    fn looked(&mut self, block: BlockRef, seen: Option<BlockRef>) {
        if seen == Some(block) {
            self.confirmed = self.confirmed.max(block.number);
            self.waiting.retain(|(other, _)| other.number > block.number);
        } else if seen.is_some() {
            self.waiting.clear();
        }
    }
}

#[cfg(test)]
mod tests {
    use alloy::primitives::B256;

    use super::*;

    fn block(number: u64, fork: u8) -> BlockRef {
        BlockRef { number, hash: B256::repeat_byte(fork) }
    }

    fn header(number: u64) -> Header {
        let time = ChainTime::from_secs(number);
        let (hash, parent) = (B256::repeat_byte(1), B256::repeat_byte(2));
        Header { number, hash, parent, time, base_fee: None }
    }

    #[test]
    fn the_newest_block_has_depth_1() {
        for (depth, number) in [(1, 100), (2, 99), (64, 37), (101, 0), (5_000, 0)] {
            assert_eq!(at_depth(&header(100), depth), number);
            let rule = FinalityRule::new(Finality::Depth(depth), None);
            assert_eq!(rule.surely(&header(100)), Some(number));
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_shallow_block_is_final_only_after_a_second_look_with_the_same_hash() {
        let (mut looks, wait) = (SecondLook::default(), Duration::from_secs(2));
        let start = Instant::now();
        looks.first_seen(block(7, 1), start);
        assert_eq!(looks.due(start + Duration::from_secs(1), wait), None);
        assert_eq!(looks.due(start + wait, wait), Some(block(7, 1)));
        looks.looked(block(7, 1), None);
        assert_eq!(looks.confirmed, 0, "a reply that says nothing confirms nothing");
        looks.looked(block(7, 1), Some(block(7, 1)));
        assert_eq!(looks.confirmed, 7);
    }

    #[tokio::test(start_paused = true)]
    async fn a_block_that_was_replaced_waits_from_the_start() {
        let (mut looks, wait) = (SecondLook::default(), Duration::from_secs(2));
        let start = Instant::now();
        looks.first_seen(block(7, 1), start);
        looks.first_seen(block(8, 1), start);
        looks.looked(block(7, 1), Some(block(7, 9)));
        assert_eq!(looks.due(start + wait * 2, wait), None);
        looks.first_seen(block(7, 9), start + wait);
        assert_eq!(looks.due(start + wait, wait), None);
        assert_eq!(looks.due(start + wait * 2, wait), Some(block(7, 9)));
    }

    #[test]
    fn a_deep_rule_never_asks_for_a_second_look() {
        let rule = FinalityRule::new(Finality::Depth(3), Some(Duration::from_secs(2)));
        assert!(rule.probe(Instant::now()).ask.is_none());
        assert_eq!(rule.surely(&header(100)), Some(98));
    }
}
