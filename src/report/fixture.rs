//! A small run as its events, for the tests of this room.

use alloy::primitives::{Address, B256};

use super::tally::{Fact, Tally};
use crate::engine::{
    Event, Expansion, FailReason, ItemEntry, ItemFate, Offer, Outcome, RunHeader, RunOutcome,
    SlotEnd, StepEnd, Verdict,
};
use crate::units::{
    BlockRef, Call, ChainTime, Fees, ItemKey, Network, Nonce, Round, RunId, Seq, Slot, StepName,
    TaskId, TaskKey, Timestamp, Wei,
};

/// 2026-11-22T04:10:31Z.
pub(super) const START: u64 = 1_795_320_631_000;

pub(super) type Story = Vec<(Timestamp, Event)>;

pub(super) fn ogpu(text: &str) -> Wei {
    Wei::parse(&format!("{text} OGPU")).unwrap()
}

pub(super) fn at(seconds: u64) -> Timestamp {
    Timestamp::from_millis(START + seconds * 1000)
}

pub(super) fn task(item: u32) -> TaskId {
    TaskId::new(0, item)
}

pub(super) fn address(last: u8) -> Address {
    Address::with_last_byte(last)
}

pub(super) fn block(number: u64) -> BlockRef {
    BlockRef { number, hash: B256::with_last_byte(7) }
}

pub(super) fn slot(nonce: u64) -> Slot {
    Slot { wallet: address(0xaa), nonce: Nonce(nonce) }
}

pub(super) fn started(network: Network) -> Event {
    let step = |name: &str| StepName::parse(name).unwrap();
    Event::RunStarted(Box::new(RunHeader {
        format: (1, 0),
        run: RunId::parse("r-7f3k9q2m").unwrap(),
        pipeline: "review-digest".into(),
        steps: vec![step("label"), step("digest")],
        fingerprint: B256::ZERO,
        network,
        genesis: B256::ZERO,
        code: [B256::ZERO; 4],
        signer: address(0xaa),
        payer: address(0xaa),
        cap: Some(ogpu("8")),
        started_at: at(0),
        start_block: block(100),
        seed: 7,
        bundle: serde_json::Value::Null,
    }))
}

pub(super) fn reserved(nonce: u64, item: u32, call: Call) -> Event {
    let fees = Fees {
        gas_limit: 1,
        max_fee_per_gas: Wei::ZERO,
        max_priority_fee_per_gas: Wei::ZERO,
        legacy: false,
    };
    Event::SlotReserved {
        slot: slot(nonce),
        task: task(item),
        key: TaskKey([0; 16]),
        call,
        fees,
        confirm_reserve: Wei::ZERO,
    }
}

pub(super) fn publish(payment: &str) -> Call {
    Call::PublishTask {
        source: address(1),
        config: "https://one.example/ipfs/Qm".into(),
        expiry: ChainTime::from_secs(START / 1000 + 1800),
        payment: ogpu(payment),
    }
}

pub(super) fn final_ok(nonce: u64, gas: &str) -> Event {
    Event::SlotFinal { slot: slot(nonce), end: SlotEnd::Ok { seq: Seq(0) }, gas_paid: ogpu(gas) }
}

pub(super) fn published(item: u32) -> Event {
    Event::TaskPublished {
        task: task(item),
        address: address(10 + u8::try_from(item).unwrap()),
        block: block(101),
        tx_hash: B256::with_last_byte(3),
    }
}

pub(super) fn signed(nonce: u64, payment: &str) -> Event {
    let Event::SlotReserved { slot, call, fees, .. } = reserved(nonce, 0, publish(payment)) else {
        unreachable!()
    };
    Event::VersionSigned { slot, seq: Seq(0), hash: B256::with_last_byte(3), call, fees }
}

fn fetched(item: u32, provider: u8, payment: &str) -> Event {
    let offer = Offer {
        provider: address(provider),
        payment: ogpu(payment),
        url: "https://one.example/ipfs/Qm".into(),
    };
    let (response, sha256) = (address(20 + provider), B256::ZERO);
    Event::OutputFetched { task: task(item), response, offer, sha256, len: 5 }
}

fn items() -> Event {
    let entry = |(item, key): (u32, &str)| ItemEntry {
        item,
        key: ItemKey::parse(key).unwrap(),
        fate: ItemFate::Task { payment: ogpu("0.01"), expires_s: 1800 },
    };
    let items = [(0, "rev-1"), (1, "rev-2"), (2, "rev-3")].map(entry).to_vec();
    Event::ItemsRead { step: 0, items }
}

/// Three items: one confirmed for less than it offered, one rejected twice, one without any
/// response; then the second step is skipped.
#[expect(clippy::too_many_lines, reason = "a list of events")]
pub(super) fn story(network: Network) -> Story {
    let rejected = || Verdict::Rejected { reason: "output.score is \"five\"\u{1b}[2J".into() };
    let fail = FailReason::Rejected("output.score is \"five\"\u{1b}[2J".into());
    let mut story = vec![
        (0, started(network)),
        (1, Event::StepExpanded { step: 0, expansion: Expansion::Items { count: 3, blob: None } }),
        (1, items()),
        (2, Event::ConfigPinned { task: task(0), url: "u".into(), bytes: 9, content: B256::ZERO }),
    ];
    for item in 0..3 {
        story.push((3, reserved(item.into(), item, publish("0.01"))));
        story.push((3, signed(item.into(), "0.01")));
        story.push((4, published(item)));
        story.push((5, final_ok(item.into(), "0.001")));
    }
    story.extend([
        (6, Event::TaskAttempted { task: task(0) }),
        (7, Event::ResponseSeen { task: task(0), response: address(25), block: block(102) }),
        (8, fetched(0, 5, "0.008")),
        (
            8,
            Event::OutputChecked {
                task: task(0),
                response: address(25),
                verdict: Verdict::Accepted,
            },
        ),
        (9, reserved(3, 0, Call::ConfirmResponse { response: address(25) })),
        (
            40,
            Event::ResponseConfirmed {
                task: task(0),
                response: address(25),
                block: block(103),
                tx_hash: Some(B256::with_last_byte(9)),
            },
        ),
        (41, final_ok(3, "0.0005")),
        (
            42,
            Event::TaskDone {
                task: task(0),
                outcome: Outcome::Confirmed {
                    response: address(25),
                    sha256: B256::ZERO,
                    paid: ogpu("0.008"),
                },
            },
        ),
        (50, fetched(1, 6, "0.01")),
        (50, Event::OutputChecked { task: task(1), response: address(26), verdict: rejected() }),
        (1900, Event::ExpiryPassed { task: task(1) }),
        (
            1900,
            Event::RoundOpened {
                task: task(1),
                round: Round::FIRST.next(),
                after: fail.clone(),
                payment: ogpu("0.012"),
                not_before: at(1905),
            },
        ),
        (1901, Event::ExpiryPassed { task: task(2) }),
        (1901, Event::TaskDone { task: task(2), outcome: Outcome::Failed(FailReason::Expired) }),
        (1906, reserved(4, 1, publish("0.012"))),
        (1907, published(1)),
        (1908, final_ok(4, "0.001")),
        (1950, Event::EscrowReturned { amount: ogpu("0.02") }),
        (2000, Event::TaskDone { task: task(1), outcome: Outcome::Failed(fail) }),
        (2000, Event::StepEnded { step: 0, end: StepEnd::Failed }),
        (2000, Event::StepEnded { step: 1, end: StepEnd::Upstream }),
        (2001, Event::RunEnded { outcome: RunOutcome::Failed }),
    ]);
    story.into_iter().map(|(seconds, event)| (at(seconds), event)).collect()
}

/// The tally after the first events up to a second of the story.
pub(super) fn until(story: &Story, seconds: u64) -> Tally {
    let mut tally = Tally::with_upstreams(vec![vec![], vec![0]]);
    for (time, event) in story.iter().filter(|(time, _)| *time <= at(seconds)) {
        tally.apply(Fact { at: *time, event });
    }
    tally
}
