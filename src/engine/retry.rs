//! A new round or not, for how much, and when; and how long to wait before the same bytes go
//! again.

use std::time::Duration;

use crate::plan::RetryRule;
use crate::units::{Round, TaskId, Timestamp, Wei};

use super::FailReason;

/// The longest wait between two sends of the same bytes.
const SEND_CEILING: Duration = Duration::from_secs(60);
/// The wait before the second send of the same bytes.
const SEND_BASE: Duration = Duration::from_secs(1);

/// A round to come.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct NextRound {
    /// Its number.
    pub round: Round,
    /// Its payment, in wei.
    pub payment: Wei,
    /// Not before this.
    pub not_before: Timestamp,
}

/// How a round ended without an accepted output.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct RoundEnd {
    /// Why.
    pub reason: FailReason,
    /// Whether another round could end otherwise: never for a revert that nothing is known of.
    pub may_retry: bool,
}

/// Which round comes after one that ended so; `None` if the item has failed.
///
/// | ended by | another round if |
/// |---|---|
/// | nobody responded | `after` names `expired` |
/// | not published | `after` names `publish_error`, and the failure was not one of content |
/// | responses refused, nothing paid | `after` names `rejected` |
/// | output unreadable, not rendered, budget | never |
pub(super) fn next_round(
    rule: &RetryRule,
    end: &RoundEnd,
    (task, round, payment): (TaskId, Round, Wei),
    (now, seed): (Timestamp, u64),
) -> Option<NextRound> {
    let listed = match end.reason {
        FailReason::Expired => rule.after_expired,
        FailReason::PublishError(_) => rule.after_publish_error,
        FailReason::Rejected(_) => rule.after_rejected,
        FailReason::FetchError(_) | FailReason::RenderError(_) | FailReason::Budget => false,
    };
    if !listed || !end.may_retry || round.get() > rule.max {
        return None;
    }
    let next = round.next();
    let wait = rule.backoff(next);
    let spread = jitter(seed, task, next, rule.jitter_permille);
    let not_before = now.after(wait + wait * spread / 1000);
    Some(NextRound { round: next, payment: rule.next_payment(payment), not_before })
}

/// How long to wait before send number `sends + 1` of the same bytes, jitter included.
///
/// Doubles with each send and stops at a minute. The jitter is at most a quarter of the delay and
/// comes from `seed` alone, so a replayed run waits as long as the run that it replays.
pub(super) fn resend_after(sends: u32, seed: u64) -> Duration {
    let doubled = SEND_BASE.saturating_mul(1 << sends.saturating_sub(1).min(6));
    let delay = doubled.min(SEND_CEILING);
    let share = u32::try_from(mix(seed ^ u64::from(sends)) % 250).unwrap_or(0);
    delay + delay * share / 1000
}

/// A number from 0 to `permille`, the same for the same task and round.
fn jitter(seed: u64, task: TaskId, round: Round, permille: u32) -> u32 {
    let place = (u64::from(task.step) << 48) ^ (u64::from(task.item) << 16);
    let drawn = mix(seed ^ place ^ u64::from(round.get()));
    u32::try_from(drawn % u64::from(permille.saturating_add(1))).unwrap_or(0)
}

/// One step of `SplitMix64`: spreads a seed over 64 bits.
const fn mix(seed: u64) -> u64 {
    let z = seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    const TASK: TaskId = TaskId::new(0, 3);

    fn decide(rule: &RetryRule, reason: FailReason, may_retry: bool, round: Round) -> bool {
        let end = RoundEnd { reason, may_retry };
        let ended = (TASK, round, Wei::from_u128(10));
        next_round(rule, &end, ended, (Timestamp::from_millis(0), 1)).is_some()
    }

    #[test]
    fn only_a_listed_end_that_may_differ_next_time_opens_a_round() {
        let text = || String::from("why");
        for bits in 0..16_u8 {
            let flag = |n: u8| bits & (1 << n) != 0;
            let rule = RetryRule {
                after_expired: flag(0),
                after_publish_error: flag(1),
                after_rejected: flag(2),
                ..RetryRule::default()
            };
            let may = flag(3);
            let decide = |reason| decide(&rule, reason, may, Round::FIRST);
            assert_eq!(decide(FailReason::Expired), flag(0) && may);
            assert_eq!(decide(FailReason::PublishError(text())), flag(1) && may);
            assert_eq!(decide(FailReason::Rejected(text())), flag(2) && may);
            assert!(!decide(FailReason::FetchError(text())));
            assert!(!decide(FailReason::RenderError(text())));
            assert!(!decide(FailReason::Budget));
        }
    }

    #[test]
    fn an_item_has_one_round_and_the_further_rounds_of_its_rule() {
        let rule = RetryRule { max: 2, ..RetryRule::default() };
        let rounds = [Round::FIRST, Round::FIRST.next(), Round::FIRST.next().next()];
        assert_eq!(
            rounds.map(|r| decide(&rule, FailReason::Expired, true, r)),
            [true, true, false]
        );
        let none = RetryRule { max: 0, ..RetryRule::default() };
        assert!(!decide(&none, FailReason::Expired, true, Round::FIRST));
    }

    #[test]
    fn the_same_bytes_go_again_ever_more_slowly_but_for_ever() {
        let waits = [1, 2, 3, 6, 7, 1_000_000].map(|sends| resend_after(sends, 7));
        assert!(waits.windows(2).all(|pair| pair[0] < pair[1].saturating_mul(2)));
        assert!(waits[0] >= SEND_BASE && waits[0] <= SEND_BASE * 5 / 4);
        assert!(waits[5] >= SEND_CEILING && waits[5] <= SEND_CEILING * 5 / 4);
    }
}
