//! Any values, as events hold them.

use alloy::primitives::{Address, B256};
use proptest::prelude::*;

use crate::engine::{
    Expansion, FailReason, ItemEntry, ItemFate, OpenSlot, OpenVersion, Outcome, SlotEnd, Timer,
};
use crate::units::{
    BlockRef, Call, ChainTime, Fees, ItemKey, Nonce, Revert, Seq, Slot, Survey, TaskId, Timestamp,
    Wei,
};

pub(super) fn wei() -> impl Strategy<Value = Wei> {
    any::<u128>().prop_map(Wei::from_u128)
}

pub(super) fn address() -> impl Strategy<Value = Address> {
    any::<[u8; 20]>().prop_map(Address::from)
}

pub(super) fn hash() -> impl Strategy<Value = B256> {
    any::<[u8; 32]>().prop_map(B256::from)
}

pub(super) fn block() -> impl Strategy<Value = BlockRef> {
    (any::<u64>(), hash()).prop_map(|(number, hash)| BlockRef { number, hash })
}

pub(super) fn slot() -> impl Strategy<Value = Slot> {
    (address(), any::<u64>()).prop_map(|(wallet, nonce)| Slot { wallet, nonce: Nonce(nonce) })
}

pub(super) fn seq() -> impl Strategy<Value = Seq> {
    any::<u16>().prop_map(Seq)
}

pub(super) fn task() -> impl Strategy<Value = TaskId> {
    (any::<u16>(), any::<u32>()).prop_map(|(step, item)| TaskId { step, item })
}

pub(super) fn moment() -> impl Strategy<Value = Timestamp> {
    any::<u64>().prop_map(Timestamp::from_millis)
}

pub(super) fn chain_time() -> impl Strategy<Value = ChainTime> {
    any::<u64>().prop_map(ChainTime::from_secs)
}

/// Text as strangers write it: quotes, braces, control characters, any script.
pub(super) fn text() -> impl Strategy<Value = String> {
    prop_oneof![any::<String>(), Just("\"\\\n\u{0}{{ x }}\u{202e}'\u{7f}é😀".to_owned())]
}

pub(super) fn fees() -> impl Strategy<Value = Fees> {
    (any::<u64>(), wei(), wei(), any::<bool>()).prop_map(|(gas_limit, cap, tip, legacy)| Fees {
        gas_limit,
        max_fee_per_gas: cap,
        max_priority_fee_per_gas: tip,
        legacy,
    })
}

pub(super) fn call() -> impl Strategy<Value = Call> {
    prop_oneof![
        (address(), text(), chain_time(), wei()).prop_map(|(source, config, expiry, payment)| {
            Call::PublishTask { source, config, expiry, payment }
        }),
        address().prop_map(|response| Call::ConfirmResponse { response }),
        address().prop_map(|task| Call::CancelTask { task }),
        (address(), wei()).prop_map(|(account, amount)| Call::Deposit { account, amount }),
        Just(Call::NoOp),
    ]
}

pub(super) fn survey() -> impl Strategy<Value = Survey> {
    (block(), chain_time(), wei(), any::<Vec<u64>>(), any::<bool>()).prop_map(
        |(head, time, wei, publish_gas, legacy)| Survey {
            head,
            time,
            max_fee_per_gas: wei,
            max_priority_fee_per_gas: wei,
            legacy,
            publish_gas,
            confirm_gas: 5,
            wallet_balance: wei,
            vault_balance: wei,
            vault_frozen: wei,
        },
    )
}

pub(super) fn open_slot() -> impl Strategy<Value = OpenSlot> {
    let version = (seq(), hash(), fees());
    let version = version.prop_map(|(seq, hash, fees)| OpenVersion { seq, hash, fees });
    (any::<u64>(), prop::collection::vec(version, 0..3))
        .prop_map(|(nonce, versions)| OpenSlot { nonce: Nonce(nonce), versions })
}

pub(super) fn expansion() -> impl Strategy<Value = Expansion> {
    prop_oneof![
        (any::<u32>(), prop::option::of(hash()))
            .prop_map(|(count, blob)| Expansion::Items { count, blob }),
        Just(Expansion::Streaming),
        Just(Expansion::Skipped),
        text().prop_map(|reason| Expansion::Failed { reason }),
    ]
}

pub(super) fn item() -> impl Strategy<Value = ItemEntry> {
    let fate = prop_oneof![
        (wei(), any::<u64>())
            .prop_map(|(payment, expires_s)| ItemFate::Task { payment, expires_s }),
        Just(ItemFate::Dropped),
        text().prop_map(|reason| ItemFate::Failed { reason }),
    ];
    (any::<u32>(), "[^\\p{Cc}]{1,40}", fate).prop_map(|(item, key, fate)| ItemEntry {
        item,
        key: ItemKey::parse(&key).unwrap(),
        fate,
    })
}

pub(super) fn fail() -> impl Strategy<Value = FailReason> {
    prop_oneof![
        Just(FailReason::Expired),
        text().prop_map(FailReason::Rejected),
        text().prop_map(FailReason::PublishError),
        text().prop_map(FailReason::FetchError),
        text().prop_map(FailReason::RenderError),
        Just(FailReason::Budget),
    ]
}

pub(super) fn timer() -> impl Strategy<Value = Timer> {
    prop_oneof![
        slot().prop_map(Timer::Send),
        slot().prop_map(Timer::Bump),
        address().prop_map(Timer::View),
        Just(Timer::Survey),
        Just(Timer::Pace),
        task().prop_map(Timer::Fetch),
        task().prop_map(Timer::Round),
        task().prop_map(Timer::Silence),
        Just(Timer::Drain),
    ]
}

pub(super) fn end() -> impl Strategy<Value = SlotEnd> {
    prop_oneof![
        seq().prop_map(|seq| SlotEnd::Ok { seq }),
        (seq(), text())
            .prop_map(|(seq, why)| SlotEnd::Reverted { seq, revert: Revert::Other(why) }),
        seq().prop_map(|seq| SlotEnd::Reverted { seq, revert: Revert::InsufficientBalance }),
        prop::option::of(hash()).prop_map(|tx_hash| SlotEnd::Foreign { tx_hash }),
    ]
}

pub(super) fn outcome() -> impl Strategy<Value = Outcome> {
    prop_oneof![
        (address(), hash(), wei()).prop_map(|(response, sha256, paid)| Outcome::Confirmed {
            response,
            sha256,
            paid
        }),
        (address(), text(), wei()).prop_map(|(response, reason, paid)| Outcome::RejectedPaid {
            response,
            reason,
            paid
        }),
        fail().prop_map(Outcome::Failed),
        Just(Outcome::Canceled),
        Just(Outcome::Skipped),
    ]
}
