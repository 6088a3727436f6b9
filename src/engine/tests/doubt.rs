//! Slots that something unknown seems to have used up: what is found there is ours, or is not.

use alloy::primitives::{B256, Bytes};

use super::super::{Event, Input, RunOutcome, SlotEnd};
use super::seeds;
use super::world::{Faults, World};
use crate::units::{Call, LaneView, Nonce, NonceUse, Purpose, Seq, Slot};

fn is_foreign(event: &Event) -> bool {
    matches!(event, Event::SlotFinal { end: SlotEnd::Foreign { .. }, .. })
}

/// The version of this slot that was signed last, and what it does.
fn newest(world: &World, nonce: Nonce) -> Option<(Slot, Seq, B256, Call)> {
    world.journal.iter().rev().find_map(|(_, event)| {
        if let Event::VersionSigned { slot, seq, hash, call, .. } = event
            && slot.nonce == nonce
        {
            Some((*slot, *seq, *hash, call.clone()))
        } else {
            None
        }
    })
}

#[test]
fn a_version_that_no_journal_has_is_found_on_the_chain_and_its_task_goes_on() {
    for nonce in [0, 3, 8] {
        for doubled in [false, true] {
            let mut world = World::manual(41 + nonce, Faults::none(), 1_000_000);
            world.chain.lost_version = Some(nonce);
            world.double_everything = doubled;
            assert_eq!(world.run(), RunOutcome::Done, "nonce {nonce}");
            assert_eq!(world.count(is_foreign), 0);
            let (_, seq, _, _) = newest(&world, Nonce(nonce)).unwrap();
            assert_eq!(seq, Seq(1), "the one that was found is a version like others");
            assert_eq!((world.publications(), world.collected()), (world.items(), world.items()));
            world.check_books();
            world.check_replay();
        }
    }
}

#[test]
fn lost_versions_amid_all_other_faults_are_paid_once_each() {
    for seed in seeds(12, 2_000) {
        let mut world = World::new(seed, Faults::all());
        world.chain.lost_version = Some(seed % 9);
        let outcome = world.run();
        assert!(matches!(outcome, RunOutcome::Done | RunOutcome::Failed), "{seed}: {outcome:?}");
        world.check_books();
        world.check_replay();
    }
}

#[test]
fn a_version_that_is_never_found_closes_its_wallet() {
    let mut world = World::manual(44, Faults::none(), 1_000_000);
    world.chain.lost_version = Some(3);
    world.chain.finds_uses = false;
    assert_eq!(world.run(), RunOutcome::Quarantined);
    assert_eq!(world.count(is_foreign), 1);
    world.check_replay();
}

/// A view in which nothing known has used the first slot up, and what was found there.
fn doubtful(world: &World, found: Option<NonceUse>) -> Input {
    let (slot, _, hash, _) = newest(world, Nonce(0)).unwrap();
    let head = world.chain.genesis();
    let uses = found.into_iter().collect();
    let view = LaneView {
        head,
        count: 1,
        final_number: head.number,
        final_count: 1,
        receipts: vec![],
        doubts: vec![Nonce(0)],
        uses,
    };
    Input::Viewed { wallet: slot.wallet, asked: vec![hash], view }
}

/// A world whose first publication is with the pools, and was in doubt once.
fn in_doubt() -> World {
    let mut world = World::manual(45, Faults::none(), 1_000_000);
    world.chain.stands = true;
    while newest(&world, Nonce(0)).is_none() {
        assert!(world.step());
    }
    world.feed_once(doubtful(&world, None));
    world
}

fn found(call: Option<Call>, hash: B256) -> NonceUse {
    let call = call.map(|call| (call, crate::units::Fees::default()));
    let raw = Bytes::new();
    NonceUse { nonce: Nonce(0), tx_hash: hash, call, raw }
}

#[test]
fn a_known_version_whose_receipt_is_missing_is_never_a_strangers() {
    let mut world = in_doubt();
    let (_, _, hash, call) = newest(&world, Nonce(0)).unwrap();
    for _ in 0..100 {
        world.feed_once(doubtful(&world, Some(found(Some(call.clone()), hash))));
    }
    assert_eq!(world.count(is_foreign), 0);
    assert_eq!(newest(&world, Nonce(0)).unwrap().1, Seq(0));
}

#[test]
fn only_what_does_the_same_is_a_version_of_a_slot() {
    let hash = B256::repeat_byte(7);
    let (_, _, _, call) = newest(&in_doubt(), Nonce(0)).unwrap();
    let Call::PublishTask { source, config, expiry, payment } = call else { panic!("{call:?}") };
    let publish = |config: &str, payment, expiry| {
        Some(Call::PublishTask { source, config: config.into(), expiry, payment })
    };
    let later = expiry.after(std::time::Duration::from_secs(300));
    let dearer = payment.saturating_add(payment);
    let others = [
        None,
        publish("http://devnet.invalid/ipfs/other", payment, expiry),
        publish(&config, dearer, expiry),
        Some(Call::CancelTask { task: source }),
        // Nobody has given it up.
        Some(Call::NoOp),
    ];
    for call in others {
        let mut world = in_doubt();
        world.feed_once(doubtful(&world, Some(found(call.clone(), hash))));
        let end = SlotEnd::Foreign { tx_hash: Some(hash) };
        let ended = |event: &Event| matches!(event, Event::SlotFinal { end: e, .. } if *e == end);
        assert_eq!(world.count(ended), 1, "{call:?}");
        assert!(!world.engine.may_publish());
    }
    let mut world = in_doubt();
    let ours = found(publish(&config, payment, later), hash);
    world.know(&ours);
    world.feed_once(doubtful(&world, Some(ours)));
    assert_eq!(world.count(is_foreign), 0);
    let (_, seq, newest, call) = newest(&world, Nonce(0)).unwrap();
    assert_eq!((seq, newest), (Seq(1), hash), "a fresh expiry is no other purpose");
    assert_eq!(call.purpose(), Some(Purpose::Publish));
}

/// Another run has ended the slot in the store: nothing can be signed for it any more.
#[test]
fn a_slot_of_a_wallet_that_is_closed_already_takes_no_version() {
    let mut world = in_doubt();
    let (slot, _, _, call) = newest(&world, Nonce(0)).unwrap();
    world.feed_once(Input::Lane {
        wallet: slot.wallet,
        next_nonce: Nonce(50),
        open: vec![],
        foreign: Some(Nonce(0)),
        foreign_tx: None,
        passed: 0,
    });
    world.feed_once(doubtful(&world, Some(found(Some(call), B256::repeat_byte(7)))));
    assert_eq!(newest(&world, Nonce(0)).unwrap().1, Seq(0));
    assert_eq!(world.count(is_foreign), 1);
}

/// Whatever was published in its place: of a slot that is given up only a no-op says that nothing was.
#[test]
fn a_slot_that_is_given_up_takes_a_no_op_and_no_publication() {
    for (noop, foreign) in [(true, 0), (false, 1)] {
        let mut world = in_doubt();
        let (_, _, _, call) = newest(&world, Nonce(0)).unwrap();
        world.cancel(super::super::CancelScope::Run, false);
        let call = if noop { Call::NoOp } else { call };
        let ours = found(Some(call), B256::repeat_byte(7));
        world.know(&ours);
        let known = world.journal.len();
        world.feed_once(doubtful(&world, Some(ours)));
        let adopted = world.journal[known..].iter().any(|(_, event)| {
            matches!(event, Event::VersionSigned { hash, .. } if *hash == B256::repeat_byte(7))
        });
        assert_eq!((adopted, world.count(is_foreign)), (noop, foreign));
        let owner = world.journal.iter().find_map(|(_, event)| {
            if let Event::SlotReserved { slot, task, .. } = event
                && slot.nonce == Nonce(0)
            {
                Some(*task)
            } else {
                None
            }
        });
        assert_eq!(world.outcome_of(owner.unwrap()), None, "nothing says that it was taken back");
    }
}
