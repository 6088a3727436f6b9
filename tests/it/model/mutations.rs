//! One broken rule each, and what breaks with it. Most are what other senders do (safety.md,
//! section 2).

use super::bounds::Bounds;
use super::properties::{S1, S2, S3, S4, S5};
use super::searches::{breaks, holds_but_for, tier};
use super::state::Faults;

/// One broken rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mutation {
    /// A publication is sent, then written down.
    SendBeforeAppend,
    /// A bump that was lost is found at its nonce and not known: so the task is bound again.
    BumpBeforeAppend,
    /// The same, but what is found at the nonce is decoded and adopted.
    BumpBeforeAppendAdopting,
    /// The count is above the nonce and no receipt was seen: so the task is bound again.
    RebindUnseen,
    /// A revert that is not final is taken for the end.
    RebindOnRevert,
    /// A success that is not final is taken for the end.
    DoneWhenMined,
    /// A send failed, so nothing was sent, so the task is bound again.
    RebindOnError,
    /// A send failed, so its nonce is free.
    ReuseNonce,
    /// A send failed, so the next nonce is what the chain says.
    ResetNonce,
    /// An append returns before it is on the disk.
    NoSync,
    /// A task is shown as canceled as soon as somebody asks.
    CanceledWhenAsked,
    /// A round is closed by a clock on this side, whatever its slot says.
    NextRoundEarly,
    /// Another response is chosen while the confirm of the first is live.
    AnotherChoice,
    /// The store takes appends of any epoch.
    OldEpoch,
    /// A journal that is older than its lane moves on without reading what it published.
    MovedLane,
    /// The count is from a final view, the receipts are from one that lags.
    TwoViews,
    /// A response is chosen before its block is final.
    ConfirmEarly,
}

const NONE: Faults = Bounds::SLOTS.faults;
const ONE: Bounds = Bounds { tasks: 1, ..Bounds::SLOTS };
const ONE_CRASH: Bounds = Bounds { faults: Faults { crashes: 1, ..NONE }, ..ONE };
const TWO_TASKS: Bounds = Bounds { nonces: 2, ..Bounds::SLOTS };
const TWO_ROUNDS: Bounds = Bounds { rounds: 2, ..Bounds::RUNS };
const TWO_RESPONSES: Bounds = Bounds { responses: 2, ..Bounds::RUNS };
const TAKEOVER: Faults = Faults { takeovers: 1, ..NONE };

#[test]
fn sending_before_the_append_pays_twice_after_a_kill() {
    breaks(Mutation::SendBeforeAppend, ONE_CRASH, &[(S2, 2), (S5, 4), (S1, 8)]);
}

#[test]
fn sending_a_bump_before_its_append_pays_twice() {
    breaks(Mutation::BumpBeforeAppend, ONE_CRASH, &[(S2, 3), (S5, 8), (S1, 10)]);
}

#[test]
fn a_lost_bump_that_is_decoded_and_adopted_breaks_the_journal_and_nothing_else() {
    breaks(Mutation::BumpBeforeAppendAdopting, ONE_CRASH, &[(S2, 3)]);
    let faults = Faults { foreign: 1, reverts: 1, reorgs: 1, crashes: 1, ..NONE };
    let bounds = tier(Bounds { faults, ..ONE }, Bounds { faults, ..TWO_TASKS });
    holds_but_for(Mutation::BumpBeforeAppendAdopting, bounds, &[S2]);
}

#[test]
fn binding_again_because_no_receipt_was_seen_pays_twice() {
    breaks(Mutation::RebindUnseen, ONE, &[(S5, 5), (S1, 7)]);
}

#[test]
fn binding_again_after_a_revert_that_is_not_final_pays_twice() {
    let faults = Faults { reverts: 1, reorgs: 1, ..NONE };
    breaks(Mutation::RebindOnRevert, Bounds { faults, ..ONE }, &[(S5, 5), (S1, 9)]);
}

#[test]
fn a_success_that_is_not_final_is_shown_although_it_may_go() {
    breaks(Mutation::DoneWhenMined, ONE, &[(S4, 4)]);
}

#[test]
fn binding_again_after_a_failed_send_pays_twice() {
    breaks(Mutation::RebindOnError, ONE, &[(S5, 3), (S1, 6)]);
}

#[test]
fn the_nonce_of_a_failed_send_serves_two_tasks_when_it_is_used_again() {
    breaks(Mutation::ReuseNonce, TWO_TASKS, &[(S3, 3), (S1, 6)]);
}

#[test]
fn a_next_nonce_taken_from_the_chain_serves_two_tasks() {
    breaks(Mutation::ResetNonce, TWO_TASKS, &[(S3, 3), (S1, 7)]);
}

#[test]
fn an_append_without_a_sync_is_forgotten_by_a_power_cut() {
    breaks(Mutation::NoSync, ONE_CRASH, &[(S2, 2), (S5, 4), (S1, 7), (S4, 10)]);
}

#[test]
fn canceled_as_soon_as_asked_is_a_lie() {
    breaks(Mutation::CanceledWhenAsked, ONE, &[(S5, 3)]);
}

#[test]
fn a_next_round_before_the_last_is_closed_pays_twice() {
    breaks(Mutation::NextRoundEarly, TWO_ROUNDS, &[(S1, 5)]);
}

#[test]
fn another_choice_while_a_confirm_is_live_shows_an_output_that_was_not_paid() {
    breaks(Mutation::AnotherChoice, TWO_RESPONSES, &[(S4, 16)]);
}

#[test]
fn an_append_under_an_old_epoch_breaks_what_the_new_holder_relies_on() {
    let rounds = Bounds { faults: TAKEOVER, ..TWO_ROUNDS };
    breaks(Mutation::OldEpoch, rounds, &[(S1, 14)]);
    let responses = Bounds { faults: TAKEOVER, ..TWO_RESPONSES };
    breaks(Mutation::OldEpoch, responses, &[(S4, 17)]);
    breaks(Mutation::OldEpoch, Bounds { faults: TAKEOVER, ..ONE }, &[(S5, 4)]);
}

#[test]
fn a_lane_moved_over_a_publication_of_ours_pays_twice() {
    let faults = Faults { copies: 1, ..NONE };
    let bounds = Bounds { faults, cancels: false, window: 2, ..ONE };
    breaks(Mutation::MovedLane, bounds, &[(S1, 8)]);
}

#[test]
fn a_verdict_from_two_views_pays_twice() {
    breaks(Mutation::TwoViews, ONE, &[(S5, 6), (S1, 8)]);
}

#[test]
fn a_response_chosen_before_it_is_final_is_another_one_after_a_reorg() {
    let faults = Faults { reorgs: 1, ..NONE };
    breaks(Mutation::ConfirmEarly, Bounds { faults, ..Bounds::RUNS }, &[(S4, 15)]);
}
