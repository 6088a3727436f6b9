//! What every journal must do and refuse about slots and their versions.

use alloy::primitives::Address;

use crate::engine::{Event, SlotEnd};
use crate::units::{Call, ChainTime, Nonce, Seq, Slot, Wei};

use super::super::fixture::{
    WALLET, Writer, adopted, block, bytes, ended, fees, header, key, publish, reserved, run,
    signed, slot,
};
use super::super::{Journal, LaneKey, Refusal};
use super::{refusal, reverted, with_one_slot};

pub(super) fn a_nonce_is_bound_once_and_none_is_skipped(journal: &mut dyn Journal) {
    let mut writer = with_one_slot(journal);
    let refused = refusal(writer.write(journal, &[reserved(0, 2)], &[]));
    assert_eq!(refused, Refusal::SlotTaken { nonce: Nonce(0) });
    let refused = refusal(writer.write(journal, &[reserved(2, 2)], &[]));
    assert_eq!(refused, Refusal::OutOfOrder { what: "nonce", given: 2, expected: 1 });
    writer.write(journal, &[reserved(1, 2), reserved(2, 3)], &[]).unwrap();
}

pub(super) fn a_task_has_one_live_slot_for_each_purpose(journal: &mut dyn Journal) {
    let mut writer = with_one_slot(journal);
    let refused = refusal(writer.write(journal, &[reserved(1, 1)], &[]));
    assert_eq!(refused, Refusal::LiveBinding { task: key(1) });
    let confirm = Event::SlotReserved {
        slot: slot(1),
        task: crate::units::TaskId::new(0, 1),
        key: key(1),
        call: Call::ConfirmResponse { response: Address::repeat_byte(6) },
        fees: fees(),
        confirm_reserve: crate::units::Wei::ZERO,
    };
    writer.write(journal, &[confirm], &[]).unwrap();
    // Nor is there one from another run.
    let mut other = Writer::start(journal, 2, 1);
    let refused = refusal(other.write(journal, &[reserved(2, 1)], &[]));
    assert_eq!(refused, Refusal::LiveBinding { task: key(1) });
}

pub(super) fn a_final_success_keeps_its_task_bound_for_ever(journal: &mut dyn Journal) {
    let mut writer = with_one_slot(journal);
    writer.write(journal, &[ended(0, SlotEnd::Ok { seq: Seq(0) })], &[]).unwrap();
    let refused = refusal(writer.write(journal, &[reserved(1, 1)], &[]));
    assert_eq!(refused, Refusal::LiveBinding { task: key(1) });
}

pub(super) fn a_task_may_be_bound_again_after_its_slot_was_lost_for_good(
    journal: &mut dyn Journal,
) {
    let mut writer = with_one_slot(journal);
    writer.write(journal, &[ended(0, reverted()), reserved(1, 1)], &[]).unwrap();
    writer
        .write(journal, &[ended(1, SlotEnd::Foreign { tx_hash: None }), reserved(2, 1)], &[])
        .unwrap();
    let mined = Event::SlotMined { slot: slot(2), seq: Seq(0), block: block(2), ok: false };
    let refused = refusal(writer.write(journal, &[mined, reserved(3, 1)], &[]));
    assert_eq!(refused, Refusal::LiveBinding { task: key(1) });
}

pub(super) fn a_version_of_another_call_is_refused(journal: &mut dyn Journal) {
    let mut writer = with_one_slot(journal);
    let tx = bytes(0, 1);
    let dearer = Call::PublishTask {
        source: Address::repeat_byte(1),
        config: "https://gateway.example/ipfs/1".into(),
        expiry: ChainTime::from_secs(99),
        payment: Wei::from_u128(8),
    };
    let confirm = Call::ConfirmResponse { response: Address::repeat_byte(1) };
    for call in [publish(2), dearer, confirm] {
        let events = [signed(&tx, call)];
        let refused = refusal(writer.write(journal, &events, std::slice::from_ref(&tx)));
        assert_eq!(refused, Refusal::OtherCall { slot: slot(0), seq: Seq(1) });
    }
}

pub(super) fn a_refreshed_expiry_is_the_same_call(journal: &mut dyn Journal) {
    let mut writer = with_one_slot(journal);
    let tx = bytes(0, 1);
    let mut call = publish(1);
    if let Call::PublishTask { expiry, .. } = &mut call {
        *expiry = ChainTime::from_secs(1_000);
    }
    writer.write(journal, &[signed(&tx, call)], &[tx]).unwrap();
}

pub(super) fn a_no_op_ends_what_its_slot_was_for(journal: &mut dyn Journal) {
    let mut writer = with_one_slot(journal);
    let (noop, back) = (bytes(0, 1), bytes(0, 2));
    writer.write(journal, &[signed(&noop, Call::NoOp)], &[noop]).unwrap();
    let events = [signed(&back, publish(1))];
    let refused = refusal(writer.write(journal, &events, std::slice::from_ref(&back)));
    assert_eq!(refused, Refusal::OtherCall { slot: slot(0), seq: Seq(2) });
    // Only the no-op's final success frees the task.
    let refused = refusal(writer.write(journal, &[reserved(1, 1)], &[]));
    assert_eq!(refused, Refusal::LiveBinding { task: key(1) });
    let events = [ended(0, SlotEnd::Ok { seq: Seq(1) }), reserved(1, 1)];
    writer.write(journal, &events, &[]).unwrap();
}

pub(super) fn versions_count_up_and_stop_with_the_slot(journal: &mut dyn Journal) {
    let mut writer = with_one_slot(journal);
    for seq in [0, 2] {
        let tx = bytes(0, seq);
        let refused = refusal(writer.write(journal, &[signed(&tx, publish(1))], &[tx]));
        let given = u64::from(seq);
        assert_eq!(refused, Refusal::OutOfOrder { what: "version", given, expected: 1 });
    }
    writer.write(journal, &[ended(0, reverted())], &[]).unwrap();
    let tx = bytes(0, 1);
    let refused = refusal(writer.write(journal, &[signed(&tx, publish(1))], &[tx]));
    assert_eq!(refused, Refusal::NoSuchSlot { nonce: Nonce(0) });
}

pub(super) fn a_final_slot_never_changes(journal: &mut dyn Journal) {
    let mut writer = with_one_slot(journal);
    let done = ended(0, SlotEnd::Ok { seq: Seq(0) });
    writer.write(journal, std::slice::from_ref(&done), &[]).unwrap();
    // The same end again is no news; a late view changes nothing; another end is refused.
    writer.write(journal, &[Event::SlotReopened { slot: slot(0) }, done], &[]).unwrap();
    let refused = refusal(writer.write(journal, &[ended(0, reverted())], &[]));
    assert_eq!(refused, Refusal::NoSuchSlot { nonce: Nonce(0) });
    let refused = refusal(writer.write(journal, &[reserved(1, 1)], &[]));
    assert_eq!(refused, Refusal::LiveBinding { task: key(1) });
}

pub(super) fn slots_of_other_wallets_are_refused(journal: &mut dyn Journal) {
    let mut writer = with_one_slot(journal);
    let other = Slot { wallet: Address::repeat_byte(0xBB), nonce: Nonce(0) };
    let mined = Event::SlotMined { slot: other, seq: Seq(0), block: block(1), ok: true };
    for event in [mined, ended(5, SlotEnd::Foreign { tx_hash: None })] {
        let refused = refusal(writer.write(journal, &[event], &[]));
        assert!(matches!(refused, Refusal::NoSuchSlot { .. }), "{refused:?}");
    }
}

fn taken(nonce: u64) -> Event {
    let (wallet, open) = (WALLET, Vec::new());
    Event::LaneTaken {
        wallet,
        next_nonce: Nonce(nonce),
        open,
        foreign: None,
        foreign_tx: None,
        passed: 0,
    }
}

pub(super) fn an_adopted_task_is_bound_for_ever(journal: &mut dyn Journal) {
    let mut writer = Writer::start(journal, 1, 0);
    writer.write(journal, &[taken(5), adopted(3, 1)], &[]).unwrap();
    for again in [reserved(5, 1), adopted(2, 1)] {
        let refused = refusal(writer.write(journal, &[again], &[]));
        assert_eq!(refused, Refusal::LiveBinding { task: key(1) });
    }
    // The same again is no news; another task has no part in it.
    writer.write(journal, &[adopted(3, 1)], &[]).unwrap();
    let refused = refusal(writer.write(journal, &[adopted(3, 2)], &[]));
    assert_eq!(refused, Refusal::SlotTaken { nonce: Nonce(3) });
    let lane = LaneKey::of(&header(&run(1)));
    assert!(journal.is_final(&lane, Nonce(3)).unwrap());
    assert!(!journal.is_final(&lane, Nonce(4)).unwrap());
    // A slot that was bound to another task and lost to this one stays as it is.
    let lost = [reserved(5, 2), ended(5, SlotEnd::Foreign { tx_hash: None }), adopted(5, 3)];
    writer.write(journal, &lost, &[]).unwrap();
    writer.write(journal, &[reserved(6, 2)], &[]).unwrap();
}

pub(super) fn only_nonces_that_are_behind_can_be_adopted(journal: &mut dyn Journal) {
    let mut writer = Writer::start(journal, 1, 0);
    writer.write(journal, &[taken(5)], &[]).unwrap();
    let refused = refusal(writer.write(journal, &[adopted(5, 1)], &[]));
    assert_eq!(refused, Refusal::OutOfOrder { what: "nonce", given: 5, expected: 5 });
}

pub(super) fn a_fence_is_a_slot_that_does_nothing(journal: &mut dyn Journal) {
    let mut writer = Writer::start(journal, 1, 0);
    let fence = Event::SlotReserved {
        slot: slot(0),
        task: crate::units::TaskId::new(u16::MAX, 1),
        key: key(9),
        call: Call::NoOp,
        fees: fees(),
        confirm_reserve: Wei::ZERO,
    };
    let (noop, other) = (bytes(0, 0), bytes(0, 1));
    let events = [fence, signed(&noop, Call::NoOp)];
    writer.write(journal, &events, std::slice::from_ref(&noop)).unwrap();
    let events = [signed(&other, publish(1))];
    let refused = refusal(writer.write(journal, &events, &[other]));
    assert_eq!(refused, Refusal::OtherCall { slot: slot(0), seq: Seq(1) });
    writer.write(journal, &[ended(0, SlotEnd::Ok { seq: Seq(0) })], &[]).unwrap();
    // A run that learns late that its slot was used by something else changes nothing.
    writer.write(journal, &[ended(0, SlotEnd::Foreign { tx_hash: None })], &[]).unwrap();
    let lane = LaneKey::of(&header(&run(1)));
    assert!(journal.is_final(&lane, Nonce(0)).unwrap());
    assert_eq!(journal.lane(&lane, &run(2)).unwrap().last_foreign, None);
}
