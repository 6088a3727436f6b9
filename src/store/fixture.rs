//! Facts and bytes for tests.

use alloy::primitives::{Address, B256, Bytes};
use serde_json::json;

use crate::engine::{Event, RunHeader, SlotEnd};
use crate::units::{
    BlockRef, Call, ChainTime, Fees, Network, Nonce, PastPublication, RunId, Seq, SignedTx, Slot,
    StepName, TaskId, TaskKey, Timestamp, Wei,
};

use super::{Appended, Batch, Journal, StoreError};

/// The wallet of the tests.
pub(crate) const WALLET: Address = Address::repeat_byte(0xAA);

/// The n-th run.
pub(crate) fn run(n: u64) -> RunId {
    RunId::from_random(n)
}

/// A run's header.
pub(crate) fn header(run: &RunId) -> RunHeader {
    RunHeader {
        format: crate::engine::event::FORMAT,
        run: run.clone(),
        pipeline: "reviews".into(),
        steps: vec![StepName::parse("score").unwrap()],
        fingerprint: B256::repeat_byte(3),
        network: Network::devnet(),
        genesis: B256::repeat_byte(4),
        code: [B256::ZERO; 4],
        signer: WALLET,
        payer: WALLET,
        cap: Some(Wei::from_u128(1 << 80)),
        started_at: Timestamp::from_millis(1_000),
        start_block: block(1),
        seed: 5,
        bundle: json!({"pipeline": "name: reviews\n"}),
    }
}

/// The block at a height.
pub(crate) fn block(number: u64) -> BlockRef {
    BlockRef { number, hash: B256::with_last_byte(u8::try_from(number % 256).unwrap()) }
}

/// The slot at a nonce.
pub(crate) fn slot(nonce: u64) -> Slot {
    Slot { wallet: WALLET, nonce: Nonce(nonce) }
}

/// Fees.
pub(crate) fn fees() -> Fees {
    Fees {
        gas_limit: 500_000,
        max_fee_per_gas: Wei::from_u128(20),
        max_priority_fee_per_gas: Wei::from_u128(1),
        legacy: false,
    }
}

/// The publication of task `n`.
pub(crate) fn publish(n: u8) -> Call {
    Call::PublishTask {
        source: Address::repeat_byte(1),
        config: format!("https://gateway.example/ipfs/{n}"),
        expiry: ChainTime::from_secs(99),
        payment: Wei::from_u128(7),
    }
}

/// Task `n`'s key in its first round.
pub(crate) fn key(n: u8) -> TaskKey {
    TaskKey([n; 16])
}

/// Nonce `nonce` is bound to the publication of task `n`.
pub(crate) fn reserved(nonce: u64, n: u8) -> Event {
    Event::SlotReserved {
        slot: slot(nonce),
        task: TaskId::new(0, u32::from(n)),
        key: key(n),
        call: publish(n),
        fees: fees(),
        confirm_reserve: crate::units::Wei::ZERO,
    }
}

/// The bytes of a version; [`proves`] accepts them.
pub(crate) fn bytes(nonce: u64, seq: u16) -> SignedTx {
    let raw = [&b"signed"[..], &nonce.to_be_bytes(), &seq.to_be_bytes()].concat();
    let hash = crate::units::cid::sha256(&raw);
    SignedTx { slot: slot(nonce), seq: Seq(seq), hash, raw: Bytes::from(raw) }
}

/// The proof that [`bytes`] stand up to.
pub(crate) fn proves(tx: &SignedTx) -> bool {
    crate::units::cid::sha256(&tx.raw) == tx.hash
}

/// The version `tx` does `call`.
pub(crate) fn signed(tx: &SignedTx, call: Call) -> Event {
    Event::VersionSigned { slot: tx.slot, seq: tx.seq, hash: tx.hash, call, fees: fees() }
}

/// Task `n` was published by a nonce that this journal did not bind.
pub(crate) fn adopted(nonce: u64, n: u8) -> Event {
    let Call::PublishTask { source, config, expiry, payment } = publish(n) else { unreachable!() };
    let publication = PastPublication {
        nonce: Nonce(nonce),
        tx_hash: B256::repeat_byte(n),
        address: Address::repeat_byte(n),
        block: block(7),
        source,
        config,
        expiry,
        payment,
        gas_paid: Wei::from_u128(3),
    };
    Event::TaskAdopted { task: TaskId::new(0, n.into()), key: key(n), publication }
}

/// The slot at a nonce is used up.
pub(crate) fn ended(nonce: u64, end: SlotEnd) -> Event {
    Event::SlotFinal { slot: slot(nonce), end, gas_paid: Wei::ZERO }
}

/// A writer of one run: it knows its place and its epoch.
#[derive(Debug)]
pub(crate) struct Writer {
    pub(crate) run: RunId,
    pub(crate) epoch: u64,
    pub(crate) seq: u64,
}

impl Writer {
    /// Starts run `n` in a lane whose epoch is `epoch`.
    pub(crate) fn start(journal: &mut dyn Journal, n: u64, epoch: u64) -> Self {
        let mut writer = Self { run: run(n), epoch: epoch + 1, seq: 0 };
        let header = Box::new(header(&writer.run));
        writer.write(journal, &[Event::RunStarted(header)], &[]).unwrap();
        writer
    }

    /// Appends a group; its place moves on if that worked.
    pub(crate) fn write(
        &mut self,
        journal: &mut dyn Journal,
        events: &[Event],
        signed: &[SignedTx],
    ) -> Result<Appended, StoreError> {
        let batch = Batch { signed, ..self.batch(events) };
        let appended = journal.append(&batch)?;
        self.seq = appended.next_seq;
        Ok(appended)
    }

    /// A group of events alone.
    pub(crate) fn batch<'a>(&'a self, events: &'a [Event]) -> Batch<'a> {
        Batch {
            run: &self.run,
            epoch: self.epoch,
            first_seq: self.seq,
            at: Timestamp::from_millis(2_000 + self.seq),
            events,
            signed: &[],
            outputs: &[],
            summary: None,
        }
    }
}
