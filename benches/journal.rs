//! How fast the journal takes facts, and how fast a finished run is read back and folded.
//!
//! `cargo bench --bench journal` writes a run of 10,000 tasks in groups of 128 to a file in the
//! temporary folder, then reads it from there; `TASKS=100000` takes as many tasks. Appends are
//! synced, so their figure is the disk's as much as the program's.
#![expect(clippy::disallowed_methods, reason = "a bench takes its size from the environment")]

use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use alloy::primitives::{Address, B256, Bytes};
use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use ogflow::engine::event::FORMAT;
use ogflow::engine::{
    Engine, Event, Expansion, ItemEntry, ItemFate, Offer, Outcome, RunHeader, RunOutcome, SendNote,
    SlotEnd, Verdict,
};
use ogflow::plan::{Allowance, Limits, OnExceed, OnPartial, RetryRule, Schedule, StepRule};
use ogflow::store::{Batch, Journal, SqliteJournal, StateFolder};
use ogflow::units::cid::sha256;
use ogflow::units::source::Delivery;
use ogflow::units::{
    BlockRef, Call, ChainTime, Fees, ItemKey, Network, Nonce, RunId, SendOutcome, Seq, SignedTx,
    Slot, StepName, TaskId, TaskKey, Timestamp, Wei,
};

const WALLET: Address = Address::repeat_byte(0xaa);
/// Publications in one append.
const GROUP: u32 = 128;

/// Facts that one append takes, with the bytes that they name.
struct Group {
    events: Vec<Event>,
    signed: Vec<SignedTx>,
}

fn header(run: &RunId) -> Event {
    Event::RunStarted(Box::new(RunHeader {
        format: FORMAT,
        run: run.clone(),
        pipeline: "bench".into(),
        steps: vec![StepName::parse("a").expect("a name")],
        fingerprint: B256::ZERO,
        network: Network::devnet(),
        genesis: B256::ZERO,
        code: [B256::ZERO; 4],
        signer: WALLET,
        payer: WALLET,
        cap: None,
        started_at: Timestamp::from_millis(1),
        start_block: block(0),
        seed: 1,
        bundle: serde_json::Value::Null,
    }))
}

fn schedule() -> Arc<Schedule> {
    let step = StepRule {
        name: StepName::parse("a").expect("a name"),
        upstreams: Vec::new(),
        concurrency: NonZeroU32::MAX,
        allow_failures: Allowance::Count(0),
        on_partial: OnPartial::Drop,
        retry: RetryRule::default(),
        source: Address::repeat_byte(1),
        delivery: Delivery::ManualConfirmation,
        max_expiry: Duration::from_secs(86_400),
    };
    Arc::new(Schedule { steps: vec![step], fingerprint: B256::ZERO })
}

fn limits() -> Limits {
    Limits {
        publish_rate: None,
        burst: NonZeroU32::MIN,
        in_flight: NonZeroU32::MAX,
        window: NonZeroU32::MAX,
        on_exceed: OnExceed::Pause,
        reserve_gas: Wei::ZERO,
        max_per_task: None,
        patient: false,
    }
}

fn block(number: u64) -> BlockRef {
    BlockRef { number, hash: sha256(&number.to_be_bytes()) }
}

fn fees() -> Fees {
    Fees {
        gas_limit: 350_000,
        max_fee_per_gas: Wei::from_u128(2_000_000_000),
        max_priority_fee_per_gas: Wei::from_u128(1_000_000_000),
        legacy: false,
    }
}

/// A slot from its reservation to its end, in two lists: until it is signed, and after.
fn slot(nonce: u64, task: TaskId, call: Call) -> ([Event; 2], SignedTx, [Event; 3]) {
    let slot = Slot { wallet: WALLET, nonce: Nonce(nonce) };
    let raw = [nonce.to_be_bytes().as_slice(), &[7; 440]].concat();
    let (hash, seq) = (sha256(&raw), Seq(0));
    let key = TaskKey(B256::from(sha256(&nonce.to_le_bytes()))[..16].try_into().expect("16"));
    let notes = vec![SendNote { nonce: slot.nonce, seq, outcome: SendOutcome::Seen }];
    let end = SlotEnd::Ok { seq };
    (
        [
            Event::SlotReserved {
                slot,
                task,
                key,
                call: call.clone(),
                fees: fees(),
                confirm_reserve: Wei::ZERO,
            },
            Event::VersionSigned { slot, seq, hash, call, fees: fees() },
        ],
        SignedTx { slot, seq, hash, raw: Bytes::from(raw) },
        [
            Event::Sent { wallet: WALLET, sends: notes },
            Event::SlotMined { slot, seq, block: block(nonce), ok: true },
            Event::SlotFinal { slot, end, gas_paid: Wei::from_u128(300_000_000_000_000) },
        ],
    )
}

/// The whole life of the tasks from `from` on, in one group.
fn group(from: u32, to: u32) -> Group {
    let mut group = Group { events: Vec::new(), signed: Vec::new() };
    let fate = ItemFate::Task { payment: Wei::from_u128(1 << 54), expires_s: 3600 };
    let key = |item: u32| ItemKey::parse(&format!("rev-{item:06}")).expect("a key");
    let items = (from..to).map(|item| ItemEntry { item, key: key(item), fate: fate.clone() });
    group.events.push(Event::ItemsRead { step: 0, items: items.collect() });
    for item in from..to {
        let (task, nonce) = (TaskId::new(0, item), u64::from(item) * 2);
        let url = format!("http://devnet.invalid/ipfs/Qm{item:044}");
        let address =
            |salt: u8| Address::from_word(sha256(&[item.to_be_bytes(), [salt; 4]].concat()));
        let (contract, response) = (address(1), address(2));
        let output = sha256(&item.to_be_bytes());
        let publish = Call::PublishTask {
            source: Address::repeat_byte(1),
            config: url.clone(),
            expiry: ChainTime::from_secs(1 << 31),
            payment: Wei::from_u128(1 << 54),
        };
        let content = output;
        group.events.push(Event::ConfigPinned { task, url: url.clone(), bytes: 300, content });
        let (begun, tx, done) = slot(nonce, task, publish);
        let tx_hash = tx.hash;
        group.signed.push(tx);
        group.events.extend(begun);
        group.events.extend(done);
        let offer = Offer { provider: address(3), payment: Wei::from_u128(1 << 54), url };
        let at = block(u64::from(item));
        group.events.extend([
            Event::TaskPublished { task, address: contract, block: at, tx_hash },
            Event::TaskAttempted { task },
            Event::ResponseSeen { task, response, block: at },
            Event::OutputFetched { task, response, offer, sha256: output, len: 120 },
            Event::OutputChecked { task, response, verdict: Verdict::Accepted },
            Event::ResponseChosen { task, response },
        ]);
        let (begun, tx, done) = slot(nonce + 1, task, Call::ConfirmResponse { response });
        let confirmed =
            Event::ResponseConfirmed { task, response, block: at, tx_hash: Some(tx.hash) };
        group.signed.push(tx);
        group.events.extend(begun);
        group.events.push(confirmed);
        group.events.extend(done);
        let paid = Wei::from_u128(1 << 54);
        let outcome = Outcome::Confirmed { response, sha256: output, paid };
        group.events.push(Event::TaskDone { task, outcome });
    }
    group
}

fn groups(tasks: u32) -> Vec<Group> {
    let froms = (0..tasks).step_by(GROUP as usize);
    froms.map(|from| group(from, tasks.min(from + GROUP))).collect()
}

/// Writes a whole run and says how many events it has.
fn write(journal: &mut SqliteJournal, run: &RunId, tasks: u32, groups: &[Group]) -> u64 {
    let (wallet, next_nonce) = (WALLET, Nonce(0));
    let lane = Event::LaneTaken {
        wallet,
        next_nonce,
        open: Vec::new(),
        foreign: None,
        foreign_tx: None,
        passed: 0,
    };
    let expansion = Expansion::Items { count: tasks, blob: Some(B256::ZERO) };
    let first = [header(run), lane, Event::StepExpanded { step: 0, expansion }];
    let mut batch = Batch {
        run,
        epoch: 1,
        first_seq: 0,
        at: Timestamp::from_millis(5),
        events: &first,
        signed: &[],
        outputs: &[],
        summary: Some("{\"done\":0}"),
    };
    let mut append = |batch: &Batch<'_>| journal.append(batch).expect("room").next_seq;
    batch.first_seq = append(&batch);
    for group in groups {
        let group = Batch { events: &group.events, signed: &group.signed, ..batch };
        batch.first_seq = append(&group);
    }
    append(&Batch { events: &[Event::RunEnded { outcome: RunOutcome::Done }], ..batch })
}

fn open(home: &tempfile::TempDir) -> SqliteJournal {
    let folder = StateFolder::open(&home.path().join(".ogflow")).expect("a folder");
    SqliteJournal::open(&folder, |_| true).expect("a journal")
}

fn fold(journal: &SqliteJournal, run: &RunId) -> Engine {
    let loaded = journal.load(run).expect("a run");
    let events = loaded.events.map(|recorded| {
        let recorded = recorded.expect("a whole journal");
        (recorded.at, recorded.event)
    });
    Engine::replay(schedule(), limits(), events)
}

fn journal(criterion: &mut Criterion) {
    let tasks = std::env::var("TASKS").ok().and_then(|n| n.parse().ok()).unwrap_or(10_000_u32);
    let (run, groups) = (RunId::from_random(1), groups(tasks));
    let home = tempfile::tempdir().expect("a folder");
    let mut written = open(&home);
    let events = write(&mut written, &run, tasks, &groups);
    let mut bench = criterion.benchmark_group("journal");
    bench.sample_size(10).throughput(Throughput::Elements(events));
    bench.bench_function("append", |bencher| {
        let fresh = || {
            let home = tempfile::tempdir().expect("a folder");
            let journal = open(&home);
            (home, journal)
        };
        let append =
            |(_home, journal): &mut (_, SqliteJournal)| write(journal, &run, tasks, &groups);
        bencher.iter_batched_ref(fresh, append, BatchSize::PerIteration);
    });
    bench.bench_function("load", |bencher| {
        bencher.iter(|| written.load(&run).expect("a run").events.count());
    });
    bench.bench_function("load and fold", |bencher| {
        bencher.iter(|| fold(&written, &run).outcome());
    });
    bench.finish();
}

criterion_group!(benches, journal);
criterion_main!(benches);
