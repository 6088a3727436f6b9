//! What every journal must do and refuse: one suite, run on each of them.

use alloy::primitives::{B256, Bytes};

use crate::engine::{Event, OpenSlot, OpenVersion, RunOutcome, SlotEnd};
use crate::units::{ChainTime, Nonce, Revert, Seq, SignedTx, Timestamp};

use super::fixture::{
    WALLET, Writer, block, bytes, ended, fees, header, key, proves, publish, reserved, run, signed,
    slot,
};
use super::{Journal, LaneKey, MemoryJournal, Refusal, SqliteJournal, StateFolder, StoreError};
use slots::*;

mod slots;

/// Each claim as a test of each journal.
macro_rules! on_each_journal {
    ($($claim:ident),* $(,)?) => {
        mod sqlite {
            use super::*;
            $(#[test] fn $claim() {
                let home = tempfile::tempdir().unwrap();
                let folder = StateFolder::open(&home.path().join(".ogflow")).unwrap();
                super::$claim(&mut SqliteJournal::open(&folder, proves).unwrap());
            })*
        }
        mod memory {
            use super::*;
            $(#[test] fn $claim() { super::$claim(&mut MemoryJournal::new(proves)); })*
        }
    };
}

on_each_journal!(
    what_was_appended_is_loaded_in_order,
    a_run_that_nobody_started_is_unknown,
    a_start_is_the_first_event_and_no_other_is,
    a_group_out_of_its_place_is_refused,
    an_old_epoch_is_refused_after_another_took_the_lane,
    a_lease_is_taken_one_epoch_at_a_time,
    a_lease_names_its_machine_until_its_run_ends,
    bytes_become_durable_by_the_append_alone,
    bytes_that_no_event_names_are_refused,
    a_nonce_is_bound_once_and_none_is_skipped,
    a_task_has_one_live_slot_for_each_purpose,
    a_final_success_keeps_its_task_bound_for_ever,
    a_task_may_be_bound_again_after_its_slot_was_lost_for_good,
    a_version_of_another_call_is_refused,
    a_refreshed_expiry_is_the_same_call,
    a_no_op_ends_what_its_slot_was_for,
    versions_count_up_and_stop_with_the_slot,
    a_final_slot_never_changes,
    slots_of_other_wallets_are_refused,
    an_adopted_task_is_bound_for_ever,
    only_nonces_that_are_behind_can_be_adopted,
    a_fence_is_a_slot_that_does_nothing,
    a_resume_returns_the_bytes_of_all_open_slots_of_the_lane,
    a_lane_shows_the_open_slots_of_other_runs,
    a_lane_never_moves_over_open_slots_nor_back,
    a_lane_knows_the_highest_nonce_that_a_stranger_used,
    a_cursor_goes_back_only_by_a_rewind,
    a_refused_group_leaves_nothing_behind,
    another_chain_is_another_lane,
    an_output_too_large_for_a_row_is_refused,
);

#[track_caller]
fn refusal<T: std::fmt::Debug>(result: Result<T, StoreError>) -> Refusal {
    match result {
        Err(StoreError::Refused(refusal)) => refusal,
        other => panic!("not refused: {other:?}"),
    }
}

fn loaded(journal: &dyn Journal, n: u64) -> Vec<Event> {
    let loaded = journal.load(&run(n)).unwrap();
    loaded.events.map(|event| event.unwrap().event).collect()
}

fn reverted() -> SlotEnd {
    SlotEnd::Reverted { seq: Seq(0), revert: Revert::Expired }
}

/// A run with task 1 bound to nonce 0 and signed.
fn with_one_slot(journal: &mut dyn Journal) -> Writer {
    let mut writer = Writer::start(journal, 1, 0);
    let tx = bytes(0, 0);
    writer.write(journal, &[reserved(0, 1), signed(&tx, publish(1))], &[tx]).unwrap();
    writer
}

fn what_was_appended_is_loaded_in_order(journal: &mut dyn Journal) {
    let mut writer = with_one_slot(journal);
    writer
        .write(
            journal,
            &[Event::SlotMined { slot: slot(0), seq: Seq(0), block: block(3), ok: true }],
            &[],
        )
        .unwrap();
    let loaded = journal.load(&writer.run).unwrap();
    assert_eq!((loaded.next_seq, loaded.epoch), (4, 1));
    assert_eq!(*loaded.header, header(&writer.run));
    assert_eq!(loaded.last_at, Timestamp::from_millis(2_003));
    let events: Vec<_> = loaded.events.map(Result::unwrap).collect();
    let places: Vec<_> = events.iter().map(|e| (e.seq, e.at.as_millis())).collect();
    assert_eq!(places, [(0, 2_000), (1, 2_001), (2, 2_001), (3, 2_003)]);
    assert_eq!(events[2].event, signed(&bytes(0, 0), publish(1)));
}

fn a_run_that_nobody_started_is_unknown(journal: &mut dyn Journal) {
    assert_eq!(refusal(journal.load(&run(1))), Refusal::UnknownRun { run: run(1) });
    let mut writer = Writer { run: run(1), epoch: 1, seq: 1 };
    let refused = writer.write(journal, &[reserved(0, 1)], &[]);
    assert_eq!(refusal(refused), Refusal::UnknownRun { run: run(1) });
}

fn a_start_is_the_first_event_and_no_other_is(journal: &mut dyn Journal) {
    let mut first = Writer { run: run(1), epoch: 1, seq: 0 };
    let refused = first.write(journal, &[reserved(0, 1)], &[]);
    assert!(matches!(refusal(refused), Refusal::OutOfOrder { .. }));
    let mut writer = Writer::start(journal, 1, 0);
    let again = [Event::RunStarted(Box::new(header(&run(1))))];
    assert!(matches!(refusal(writer.write(journal, &again, &[])), Refusal::OutOfOrder { .. }));
    let doubled = Writer { run: run(1), epoch: 2, seq: 0 }.write(journal, &again, &[]);
    assert_eq!(refusal(doubled), Refusal::OutOfOrder { what: "event", given: 0, expected: 1 });
}

fn a_group_out_of_its_place_is_refused(journal: &mut dyn Journal) {
    let mut writer = Writer::start(journal, 1, 0);
    for seq in [2, 9] {
        writer.seq = seq;
        let refused = refusal(writer.write(journal, &[reserved(0, 1)], &[]));
        assert_eq!(refused, Refusal::OutOfOrder { what: "event", given: seq, expected: 1 });
    }
}

fn an_old_epoch_is_refused_after_another_took_the_lane(journal: &mut dyn Journal) {
    let mut old = Writer::start(journal, 1, 0);
    let mut new = Writer { run: run(1), epoch: 2, seq: 1 };
    new.write(journal, &[Event::RunResumed { epoch: 2, cap: None }], &[]).unwrap();
    // It knows no event of the new one, and is told the reason, not the consequence.
    let refused = refusal(old.write(journal, &[reserved(0, 1)], &[]));
    assert_eq!(refused, Refusal::StaleEpoch { given: 1, current: 2 });
    // Another run of the same wallet takes the lane from both.
    let _third = Writer::start(journal, 2, 2);
    let refused = refusal(new.write(journal, &[reserved(0, 1)], &[]));
    assert_eq!(refused, Refusal::StaleEpoch { given: 2, current: 3 });
}

fn a_lease_is_taken_one_epoch_at_a_time(journal: &mut dyn Journal) {
    let mut writer = Writer::start(journal, 1, 0);
    for epoch in [0, 1, 3] {
        writer.epoch = epoch;
        let resumed = [Event::RunResumed { epoch, cap: None }];
        let refused = refusal(writer.write(journal, &resumed, &[]));
        assert_eq!(refused, Refusal::StaleEpoch { given: epoch, current: 1 });
    }
}

fn a_lease_names_its_machine_until_its_run_ends(journal: &mut dyn Journal) {
    let lane = LaneKey::of(&header(&run(1)));
    let mut writer = Writer::start(journal, 1, 0);
    let holder = journal.lane(&lane, &run(1)).unwrap().holder;
    assert_eq!(holder, Some(super::LeaseHolder::this_process()));
    let outcome = crate::engine::RunOutcome::Stopped;
    writer.write(journal, &[Event::RunEnded { outcome }], &[]).unwrap();
    assert_eq!(journal.lane(&lane, &run(1)).unwrap().holder, None);
    let resumed = [Event::RunResumed { epoch: 2, cap: None }];
    writer.epoch = 2;
    writer.write(journal, &resumed, &[]).unwrap();
    assert!(journal.lane(&lane, &run(2)).unwrap().holder.is_some());
}

fn bytes_become_durable_by_the_append_alone(journal: &mut dyn Journal) {
    let mut writer = Writer::start(journal, 1, 0);
    let tx = bytes(0, 0);
    let events = [reserved(0, 1), signed(&tx, publish(1))];
    let appended = writer.write(journal, &events, std::slice::from_ref(&tx)).unwrap();
    let durable: Vec<_> = appended.durable.iter().map(|durable| durable.get().clone()).collect();
    assert_eq!(durable, [tx]);
    assert_eq!(appended.next_seq, 3);
}

fn bytes_that_no_event_names_are_refused(journal: &mut dyn Journal) {
    let mut writer = Writer::start(journal, 1, 0);
    let (tx, other) = (bytes(0, 0), bytes(0, 1));
    let sign = signed(&tx, publish(1));
    let lie = SignedTx { hash: B256::ZERO, ..tx.clone() };
    let cases: [(&[Event], &[SignedTx]); 5] = [
        (&[reserved(0, 1), sign.clone()], &[]),
        (&[reserved(0, 1)], std::slice::from_ref(&tx)),
        (&[reserved(0, 1), sign.clone()], &[other]),
        (&[reserved(0, 1), sign.clone()], &[lie]),
        (&[reserved(0, 1), sign.clone()], &[tx.clone(), tx.clone()]),
    ];
    for (events, signed) in cases {
        let refused = refusal(writer.write(journal, events, signed));
        assert!(matches!(refused, Refusal::Bytes { .. }), "{refused:?}");
    }
}

fn a_resume_returns_the_bytes_of_all_open_slots_of_the_lane(journal: &mut dyn Journal) {
    let mut first = with_one_slot(journal);
    let (bump, next, third) = (bytes(0, 1), bytes(1, 0), bytes(2, 0));
    let events = [signed(&bump, publish(1)), reserved(1, 2), signed(&next, publish(2))];
    first.write(journal, &events, &[bump.clone(), next]).unwrap();
    let events = [ended(1, reverted()), reserved(2, 3), signed(&third, publish(3)), reserved(3, 4)];
    first.write(journal, &events, std::slice::from_ref(&third)).unwrap();
    let mined = Event::SlotMined { slot: slot(2), seq: Seq(0), block: block(1), ok: true };
    first.write(journal, &[mined], &[]).unwrap();

    let mut other = Writer { run: run(2), epoch: 2, seq: 0 };
    let start = [Event::RunStarted(Box::new(header(&run(2))))];
    let appended = other.write(journal, &start, &[]).unwrap();
    let expected = [bytes(0, 0), bump, third];
    assert!(appended.durable.iter().map(super::Durable::get).eq(&expected), "{appended:?}");
    first.epoch = 3;
    let resumed = [Event::RunResumed { epoch: 3, cap: None }];
    let appended = first.write(journal, &resumed, &[]).unwrap();
    assert!(appended.durable.iter().map(super::Durable::get).eq(&expected), "{appended:?}");
}

fn a_lane_shows_the_open_slots_of_other_runs(journal: &mut dyn Journal) {
    let lane = LaneKey::of(&header(&run(1)));
    assert_eq!(journal.lane(&lane, &run(1)).unwrap(), super::LaneState::default());
    let mut writer = with_one_slot(journal);
    writer.write(journal, &[reserved(1, 2)], &[]).unwrap();
    let own = journal.lane(&lane, &run(1)).unwrap();
    assert_eq!((own.epoch, own.next_nonce, own.open.len()), (1, Nonce(2), 0));
    let seen = journal.lane(&lane, &run(2)).unwrap();
    let version = OpenVersion { seq: Seq(0), hash: bytes(0, 0).hash, fees: fees() };
    let open = [
        OpenSlot { nonce: Nonce(0), versions: vec![version] },
        OpenSlot { nonce: Nonce(1), versions: vec![] },
    ];
    assert_eq!(seen.open, open);
    assert_eq!((own.unsigned, seen.unsigned), (None, Some((run(1), Nonce(1)))));
}

fn a_lane_never_moves_over_open_slots_nor_back(journal: &mut dyn Journal) {
    let mut writer = Writer::start(journal, 1, 0);
    let taken = |nonce| Event::LaneTaken {
        wallet: WALLET,
        next_nonce: Nonce(nonce),
        open: vec![],
        foreign: None,
        foreign_tx: None,
        passed: 0,
    };
    writer.write(journal, &[taken(57), reserved(57, 1), taken(58)], &[]).unwrap();
    for nonce in [57, 59] {
        let refused = refusal(writer.write(journal, &[taken(nonce)], &[]));
        assert_eq!(refused, Refusal::OutOfOrder { what: "nonce", given: nonce, expected: 58 });
    }
    writer
        .write(
            journal,
            &[ended(57, SlotEnd::Foreign { tx_hash: None }), taken(60), reserved(60, 1)],
            &[],
        )
        .unwrap();
}

fn a_lane_knows_the_highest_nonce_that_a_stranger_used(journal: &mut dyn Journal) {
    let lane = LaneKey::of(&header(&run(1)));
    let mut writer = Writer::start(journal, 1, 0);
    let mut then = |journal: &mut dyn Journal, events: &[Event]| {
        writer.write(journal, events, &[]).unwrap();
        journal.lane(&lane, &run(2)).unwrap().last_foreign
    };
    let taken = |nonce| Event::LaneTaken {
        wallet: WALLET,
        next_nonce: Nonce(nonce),
        open: vec![],
        foreign: None,
        foreign_tx: None,
        passed: 0,
    };
    assert_eq!(then(journal, &[taken(0), reserved(0, 1)]), None);
    assert_eq!(then(journal, &[ended(0, SlotEnd::Foreign { tx_hash: None })]), Some(Nonce(0)));
    assert_eq!(then(journal, &[reserved(1, 1)]), Some(Nonce(0)));
    assert_eq!(then(journal, &[ended(1, SlotEnd::Foreign { tx_hash: None })]), Some(Nonce(1)));
    assert_eq!(then(journal, &[taken(5)]), Some(Nonce(4)));
    assert_eq!(then(journal, &[reserved(5, 1), reserved(6, 2)]), Some(Nonce(4)));
}

fn a_cursor_goes_back_only_by_a_rewind(journal: &mut dyn Journal) {
    let mut writer = Writer::start(journal, 1, 0);
    let read = |number| Event::LogsRead {
        to: block(number),
        to_time: ChainTime::default(),
        final_number: 0,
        final_time: ChainTime::default(),
    };
    writer.write(journal, &[read(8), read(8)], &[]).unwrap();
    let refused = refusal(writer.write(journal, &[read(7)], &[]));
    assert_eq!(refused, Refusal::OutOfOrder { what: "block", given: 7, expected: 8 });
    writer.write(journal, &[Event::LogsRewound { to: block(5) }, read(7)], &[]).unwrap();
}

fn a_refused_group_leaves_nothing_behind(journal: &mut dyn Journal) {
    let mut writer = with_one_slot(journal);
    let tx = bytes(1, 0);
    let mut events = vec![reserved(1, 2), signed(&tx, publish(2)), ended(0, reverted())];
    events.push(reserved(2, 2));
    let refused = refusal(writer.write(journal, &events, std::slice::from_ref(&tx)));
    assert_eq!(refused, Refusal::LiveBinding { task: key(2) });
    assert_eq!(loaded(journal, 1).len(), 3);
    // Everything in it can still happen.
    events.pop();
    writer.write(journal, &events, &[tx]).unwrap();
    // Nor does a refused start leave a run.
    let mut late = Writer { run: run(9), epoch: 7, seq: 0 };
    let start = [Event::RunStarted(Box::new(header(&run(9))))];
    assert!(matches!(refusal(late.write(journal, &start, &[])), Refusal::StaleEpoch { .. }));
    assert!(matches!(refusal(journal.load(&run(9))), Refusal::UnknownRun { .. }));
}

fn another_chain_is_another_lane(journal: &mut dyn Journal) {
    let _here = with_one_slot(journal);
    let mut there = header(&run(2));
    there.genesis = B256::repeat_byte(0x55);
    let mut writer = Writer { run: run(2), epoch: 1, seq: 0 };
    writer.write(journal, &[Event::RunStarted(Box::new(there)), reserved(0, 9)], &[]).unwrap();
    writer.write(journal, &[Event::RunEnded { outcome: RunOutcome::Stopped }], &[]).unwrap();
}

fn an_output_too_large_for_a_row_is_refused(journal: &mut dyn Journal) {
    let writer = Writer::start(journal, 1, 0);
    let large = [(B256::ZERO, Bytes::from(vec![0; super::ROW_OUTPUT_MAX + 1]))];
    let batch = super::Batch { outputs: &large, ..writer.batch(&[]) };
    let refused = refusal(journal.append(&batch));
    assert_eq!(refused, Refusal::LargeOutput { len: super::ROW_OUTPUT_MAX + 1 });
    let fits = [(B256::ZERO, Bytes::from(vec![0; super::ROW_OUTPUT_MAX]))];
    let batch = super::Batch { outputs: &fits, ..writer.batch(&[]) };
    assert_eq!(journal.append(&batch).unwrap().next_seq, 1);
}
