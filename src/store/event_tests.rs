//! Every event reads back from the journal as it was written.

#![expect(clippy::too_many_lines, reason = "lists of all events")]

use proptest::prelude::*;
use proptest::strategy::Union;

use crate::engine::{
    CancelScope, Event, Found, Offer, RunOutcome, SendNote, Stale, StepEnd, Verdict,
};
use crate::units::{
    Nonce, PastPublication, Round, SendOutcome, TaskId, TaskKey, TaskStatus, Timestamp,
};

use super::fixture::{header, proves, run};
use super::{Batch, Journal, SqliteJournal, StateFolder};
use values::*;

mod values;

fn of_run() -> Vec<BoxedStrategy<Event>> {
    let note = (any::<u64>(), seq(), any::<bool>()).prop_map(|(nonce, seq, seen)| SendNote {
        nonce: Nonce(nonce),
        seq,
        outcome: if seen { SendOutcome::Seen } else { SendOutcome::MaybeUsed },
    });
    vec![
        any::<u64>().prop_map(|n| Event::RunStarted(Box::new(header(&run(n))))).boxed(),
        (any::<u64>(), prop::option::of(wei()))
            .prop_map(|(epoch, cap)| Event::RunResumed { epoch, cap })
            .boxed(),
        (
            address(),
            any::<u64>(),
            prop::collection::vec(open_slot(), 0..3),
            prop::option::of(any::<u64>()),
        )
            .prop_map(|(wallet, nonce, open, foreign)| Event::LaneTaken {
                wallet,
                next_nonce: Nonce(nonce),
                open,
                foreign: foreign.map(Nonce),
                foreign_tx: foreign
                    .map(|n| alloy::primitives::B256::repeat_byte(n.to_le_bytes()[0])),
                passed: foreign.map_or(0, |n| n / 2),
            })
            .boxed(),
        survey().prop_map(|survey| Event::Surveyed(Box::new(survey))).boxed(),
        (block(), chain_time(), any::<u64>())
            .prop_map(|(to, time, final_number)| Event::LogsRead {
                to,
                to_time: time,
                final_number,
                final_time: time,
            })
            .boxed(),
        block().prop_map(|to| Event::LogsRewound { to }).boxed(),
        (address(), any::<u64>())
            .prop_map(|(task, gas_limit)| Event::ReclaimAsked {
                tasks: vec![Stale { task, gas_limit }],
            })
            .boxed(),
        (any::<u16>(), expansion())
            .prop_map(|(step, expansion)| Event::StepExpanded { step, expansion })
            .boxed(),
        (any::<u16>(), prop::collection::vec(item(), 0..4))
            .prop_map(|(step, items)| Event::ItemsRead { step, items })
            .boxed(),
        any::<u16>().prop_map(|step| Event::StepEnded { step, end: StepEnd::Upstream }).boxed(),
        (address(), prop::collection::vec(note, 0..4))
            .prop_map(|(wallet, sends)| Event::Sent { wallet, sends })
            .boxed(),
        prop::collection::vec(timer(), 0..4).prop_map(|timers| Event::Due { timers }).boxed(),
        (address(), block(), any::<u64>(), any::<u64>(), any::<Vec<u64>>())
            .prop_map(|(wallet, head, count, final_count, nonces)| Event::LaneViewed {
                wallet,
                head,
                count,
                final_count,
                unexplained: nonces.into_iter().map(Nonce).collect(),
            })
            .boxed(),
        any::<u32>().prop_map(|count| Event::FencesAsked { count }).boxed(),
        any::<u64>().prop_map(|nonce| Event::LaneRead { below: Nonce(nonce) }).boxed(),
        (prop::option::of(any::<[u8; 16]>()), past())
            .prop_map(|(key, publication)| Event::PublicationsFound {
                found: vec![Found { key: key.map(TaskKey), publication }],
            })
            .boxed(),
        (task(), any::<[u8; 16]>(), past())
            .prop_map(|(task, key, publication)| Event::TaskAdopted {
                task,
                key: TaskKey(key),
                publication,
            })
            .boxed(),
        wei().prop_map(|amount| Event::EscrowReturned { amount }).boxed(),
        wei().prop_map(|needed| Event::BudgetReached { needed }).boxed(),
        (address(), wei())
            .prop_map(|(account, amount)| Event::DepositAsked { account, amount })
            .boxed(),
        (scope(), any::<bool>())
            .prop_map(|(scope, discard)| Event::CancelAsked { scope, discard })
            .boxed(),
        moment().prop_map(|until| Event::DrainAsked { until }).boxed(),
        Just(Event::RunEnded { outcome: RunOutcome::PausedFunds }).boxed(),
    ]
}

fn past() -> impl Strategy<Value = PastPublication> {
    let chain = (any::<u64>(), hash(), address(), block());
    let call = (address(), text(), chain_time(), wei());
    (chain, call, wei()).prop_map(|(chain, call, gas_paid)| {
        let ((nonce, tx_hash, address, block), (source, config, expiry, payment)) = (chain, call);
        let nonce = Nonce(nonce);
        PastPublication {
            nonce,
            tx_hash,
            address,
            block,
            source,
            config,
            expiry,
            payment,
            gas_paid,
        }
    })
}

fn scope() -> impl Strategy<Value = CancelScope> {
    let tasks = prop::collection::vec((any::<u16>(), any::<u32>()), 0..4);
    prop_oneof![
        Just(CancelScope::Run),
        any::<u16>().prop_map(|step| CancelScope::Step { step }),
        tasks.prop_map(|tasks| CancelScope::Tasks {
            tasks: tasks.into_iter().map(|(step, item)| TaskId::new(step, item)).collect(),
        }),
    ]
}

fn of_slots() -> Vec<BoxedStrategy<Event>> {
    vec![
        (slot(), task(), any::<[u8; 16]>(), call(), fees(), wei())
            .prop_map(|(slot, task, key, call, fees, confirm_reserve)| Event::SlotReserved {
                slot,
                task,
                key: TaskKey(key),
                call,
                fees,
                confirm_reserve,
            })
            .boxed(),
        (slot(), seq(), hash(), call(), fees())
            .prop_map(|(slot, seq, hash, call, fees)| Event::VersionSigned {
                slot,
                seq,
                hash,
                call,
                fees,
            })
            .boxed(),
        (slot(), call(), fees())
            .prop_map(|(slot, call, fees)| Event::VersionWanted { slot, call, fees })
            .boxed(),
        (slot(), seq(), block(), any::<bool>())
            .prop_map(|(slot, seq, block, ok)| Event::SlotMined { slot, seq, block, ok })
            .boxed(),
        slot().prop_map(|slot| Event::SlotReopened { slot }).boxed(),
        (slot(), end(), wei())
            .prop_map(|(slot, end, gas_paid)| Event::SlotFinal { slot, end, gas_paid })
            .boxed(),
    ]
}

fn of_tasks() -> Vec<BoxedStrategy<Event>> {
    let offer = (address(), wei(), text()).prop_map(|(provider, payment, url)| Offer {
        provider,
        payment,
        url,
    });
    let named = || (task(), address());
    let verdict = prop_oneof![
        Just(Verdict::Accepted),
        text().prop_map(|reason| Verdict::Rejected { reason }),
        text().prop_map(|reason| Verdict::Unreadable { reason }),
    ];
    let status =
        any::<u8>().prop_map(|n| if n == 0 { TaskStatus::New } else { TaskStatus::Unknown(n) });
    let round =
        any::<u16>().prop_map(|n| if n % 2 == 0 { Round::FIRST } else { Round::FIRST.next() });
    vec![
        (task(), text(), any::<u64>(), hash())
            .prop_map(|(task, url, bytes, content)| Event::ConfigPinned {
                task,
                url,
                bytes,
                content,
            })
            .boxed(),
        (task(), address(), block(), hash())
            .prop_map(|(task, address, block, tx_hash)| Event::TaskPublished {
                task,
                address,
                block,
                tx_hash,
            })
            .boxed(),
        task().prop_map(|task| Event::TaskAttempted { task }).boxed(),
        (named(), block())
            .prop_map(|((task, response), block)| Event::ResponseSeen { task, response, block })
            .boxed(),
        (named(), offer, hash(), any::<u64>())
            .prop_map(|((task, response), offer, sha256, len)| Event::OutputFetched {
                task,
                response,
                offer,
                sha256,
                len,
            })
            .boxed(),
        (named(), text(), prop::option::of(moment()))
            .prop_map(|((task, response), reason, again_at)| Event::FetchFailed {
                task,
                response,
                reason,
                again_at,
            })
            .boxed(),
        (named(), verdict)
            .prop_map(|((task, response), verdict)| Event::OutputChecked {
                task,
                response,
                verdict,
            })
            .boxed(),
        named().prop_map(|(task, response)| Event::ResponseChosen { task, response }).boxed(),
        (named(), block(), prop::option::of(hash()))
            .prop_map(|((task, response), block, tx_hash)| Event::ResponseConfirmed {
                task,
                response,
                block,
                tx_hash,
            })
            .boxed(),
        (task(), status, any::<u64>())
            .prop_map(|(task, status, attempts)| Event::TaskRead { task, status, attempts })
            .boxed(),
        (task(), address())
            .prop_map(|(task, response)| Event::ResponseGone { task, response })
            .boxed(),
        task().prop_map(|task| Event::ResponsesExhausted { task }).boxed(),
        task().prop_map(|task| Event::ExpirySeen { task }).boxed(),
        task().prop_map(|task| Event::ExpiryPassed { task }).boxed(),
        (task(), round, fail(), wei(), moment())
            .prop_map(|(task, round, after, payment, not_before)| Event::RoundOpened {
                task,
                round,
                after,
                payment,
                not_before,
            })
            .boxed(),
        (task(), Just(Round::FIRST.next()), fail(), wei())
            .prop_map(|(task, round, after, payment)| Event::TaskReopened {
                task,
                round,
                after,
                payment,
            })
            .boxed(),
        any::<u16>().prop_map(|step| Event::StepReopened { step }).boxed(),
        hash().prop_map(|hash| Event::CodeAccepted { code: [hash; 4] }).boxed(),
        (any::<u32>(), prop::option::of(wei()))
            .prop_map(|(permille, ceiling)| Event::PaymentsRaised { permille, ceiling })
            .boxed(),
        (task(), outcome()).prop_map(|(task, outcome)| Event::TaskDone { task, outcome }).boxed(),
    ]
}

fn any_event() -> Union<BoxedStrategy<Event>> {
    Union::new([of_run(), of_slots(), of_tasks()].concat())
}

proptest! {
    #[test]
    fn every_event_reads_back_as_it_was_written(event in any_event()) {
        let text = serde_json::to_string(&event).unwrap();
        prop_assert!(text.starts_with("{\"kind\":\""), "{}", text);
        prop_assert_eq!(serde_json::from_str::<Event>(&text).unwrap(), event);
    }
}

/// Events that guard nothing, so that any of them may follow any other.
fn unguarded() -> Union<BoxedStrategy<Event>> {
    Union::new(of_tasks())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(16))]
    #[test]
    fn a_journal_on_disk_gives_back_what_it_took(
        groups in prop::collection::vec(prop::collection::vec(unguarded(), 0..9), 1..6)
    ) {
        let home = tempfile::tempdir().unwrap();
        let folder = StateFolder::open(home.path()).unwrap();
        let id = run(1);
        let mut all = vec![Event::RunStarted(Box::new(header(&id)))];
        let mut journal = SqliteJournal::open(&folder, proves).unwrap();
        let mut batch = Batch {
            run: &id, epoch: 1, first_seq: 0, at: Timestamp::from_millis(7),
            events: &all, signed: &[], outputs: &[], summary: None,
        };
        batch.first_seq = journal.append(&batch).unwrap().next_seq;
        for group in &groups {
            batch.first_seq = journal.append(&Batch { events: group, ..batch }).unwrap().next_seq;
        }
        let expected = batch.first_seq;
        all.extend(groups.into_iter().flatten());
        drop(journal);
        let journal = SqliteJournal::open(&folder, proves).unwrap();
        let loaded = journal.load(&id).unwrap();
        prop_assert_eq!(loaded.next_seq, expected);
        let events: Vec<_> = loaded.events.map(|event| event.unwrap().event).collect();
        prop_assert_eq!(events, all);
    }
}
