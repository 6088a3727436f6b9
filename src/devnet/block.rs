//! Blocks as they are kept, and their headers.
//!
//! A block's hash is the keccak of a real header. Its transaction and receipt roots are real
//! tries. The state root is not: it is the hash of the parent's and of what the block changed, so
//! it still says that two chains with the same hash have the same state.

use alloy::consensus::proofs::ordered_trie_root_with_encoder;
use alloy::consensus::{
    EMPTY_OMMER_ROOT_HASH, Header, Receipt, ReceiptEnvelope, ReceiptWithBloom, TxType,
};
use alloy::eips::eip2718::Encodable2718;
use alloy::primitives::{Address, B256, Bloom, Bytes, Log, LogData, address, keccak256};
use alloy::rlp::BufMut;

use super::codec::{Reader, Writer};
use super::evm::{BLOCK_GAS, Done};

/// Wei per unit of gas, the same in every block.
pub const BASE_FEE: u64 = 1_000_000_000;
/// What `eth_maxPriorityFeePerGas` suggests, in wei per unit of gas.
pub const TIP: u64 = 1_000_000_000;
/// Who gets the tips.
const PROPOSER: Address = address!("00000000000000000000000000000000000Fee01");
/// Root of an empty list (EIP-4895: no withdrawals).
const EMPTY_ROOT: B256 = alloy::consensus::constants::EMPTY_ROOT_HASH;

/// A transaction in a block, with what it did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MinedTx {
    /// Its hash.
    pub hash: B256,
    /// Who signed it.
    pub sender: Address,
    /// Its bytes.
    pub raw: Bytes,
    /// Whether it did what it should; `false` for a revert.
    pub ok: bool,
    /// The gas that it used.
    pub gas_used: u64,
    /// The gas that the block had used after it.
    pub gas_used_so_far: u64,
    /// Place of its first log in the block.
    pub first_log: u64,
    /// Its logs.
    pub logs: Vec<Log>,
}

/// A block of the chain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Block {
    /// Its header; the hash is its keccak.
    pub header: Header,
    /// The hash.
    pub hash: B256,
    /// Its transactions, in order.
    pub txs: Vec<MinedTx>,
}

impl Block {
    /// Every log with its transaction and its place in the block.
    pub fn logs(&self) -> impl Iterator<Item = (usize, u64, &Log)> {
        self.txs.iter().enumerate().flat_map(|(at, tx)| {
            tx.logs.iter().zip(tx.first_log..).map(move |(log, place)| (at, place, log))
        })
    }
}

/// The header of block 0, whose state root is the genesis digest.
pub(super) fn first_header(timestamp: u64, digest: B256) -> Header {
    Header { state_root: digest, ..blank(timestamp) }
}

/// The header that transactions of the next block see.
pub(super) fn next_header(parent: &Block, timestamp: u64) -> Header {
    Header {
        parent_hash: parent.hash,
        number: parent.header.number + 1,
        // Time never goes back, but it may stand still: many blocks fit into a second.
        ..blank(timestamp.max(parent.header.timestamp))
    }
}

fn blank(timestamp: u64) -> Header {
    Header {
        ommers_hash: EMPTY_OMMER_ROOT_HASH,
        beneficiary: PROPOSER,
        transactions_root: EMPTY_ROOT,
        receipts_root: EMPTY_ROOT,
        withdrawals_root: Some(EMPTY_ROOT),
        gas_limit: BLOCK_GAS,
        timestamp,
        extra_data: Bytes::from_static(b"ogflow devnet"),
        base_fee_per_gas: Some(BASE_FEE),
        blob_gas_used: Some(0),
        excess_blob_gas: Some(0),
        parent_beacon_block_root: Some(B256::ZERO),
        ..Header::default()
    }
}

/// The block's header once its transactions are known, with `redo` being what they changed.
pub(super) fn seal(mut header: Header, txs: Vec<MinedTx>, parent_root: B256, redo: &[u8]) -> Block {
    let mut changes = parent_root.to_vec();
    changes.extend_from_slice(keccak256(redo).as_slice());
    header.state_root = keccak256(changes);
    if !txs.is_empty() {
        let receipts: Vec<_> = txs.iter().map(receipt).collect();
        header.transactions_root =
            ordered_trie_root_with_encoder(&txs, |tx: &MinedTx, out| out.put_slice(&tx.raw));
        header.receipts_root =
            ordered_trie_root_with_encoder(&receipts, |receipt, out| receipt.encode_2718(out));
        header.logs_bloom =
            receipts.iter().fold(Bloom::ZERO, |bloom, receipt| bloom | *receipt.logs_bloom());
        header.gas_used = txs.last().map_or(0, |tx| tx.gas_used_so_far);
    }
    let hash = header.hash_slow();
    Block { header, hash, txs }
}

/// The receipt of a mined transaction, as consensus has it.
pub(super) fn receipt(tx: &MinedTx) -> ReceiptEnvelope {
    let receipt = Receipt {
        status: tx.ok.into(),
        cumulative_gas_used: tx.gas_used_so_far,
        logs: tx.logs.clone(),
    };
    let logs_bloom = receipt.bloom_slow();
    let with_bloom = ReceiptWithBloom { receipt, logs_bloom };
    // Only types 0 and 2 get into the pool, and only type 2 begins with its number.
    if tx.raw.first() == Some(&u8::from(TxType::Eip1559)) {
        ReceiptEnvelope::Eip1559(with_bloom)
    } else {
        ReceiptEnvelope::Legacy(with_bloom)
    }
}

/// Collects a block's transactions while they run.
#[derive(Debug, Default)]
pub(super) struct Builder {
    pub(super) txs: Vec<MinedTx>,
    gas_used: u64,
    logs: u64,
}

impl Builder {
    pub(super) const fn gas_used(&self) -> u64 {
        self.gas_used
    }

    pub(super) fn push(&mut self, hash: B256, sender: Address, raw: Bytes, done: Done) {
        self.gas_used += done.gas_used;
        let first_log = self.logs;
        self.logs += done.logs.len() as u64;
        self.txs.push(MinedTx {
            hash,
            sender,
            raw,
            ok: done.ok,
            gas_used: done.gas_used,
            gas_used_so_far: self.gas_used,
            first_log,
            logs: done.logs,
        });
    }
}

/// Writes what a transaction did, its bytes left out.
pub(super) fn write_done(writer: &mut Writer, tx: &MinedTx) {
    writer.byte(u8::from(tx.ok));
    writer.number(tx.gas_used);
    writer.number(tx.logs.len() as u64);
    for log in &tx.logs {
        writer.address(&log.address);
        writer.number(log.topics().len() as u64);
        for topic in log.topics() {
            writer.hash(topic);
        }
        writer.bytes(&log.data.data);
    }
}

/// Reads what [`write_done`] wrote.
pub(super) fn read_done(reader: &mut Reader<'_>) -> Option<Done> {
    let ok = reader.byte()? == 1;
    let gas_used = reader.number()?;
    let mut logs = Vec::with_capacity(reader.count()?);
    for _ in 0..logs.capacity() {
        let address = reader.address()?;
        let topics = (0..reader.count()?).map(|_| reader.hash()).collect::<Option<Vec<_>>>()?;
        let data = Bytes::copy_from_slice(reader.bytes()?);
        logs.push(Log { address, data: LogData::new(topics, data)? });
    }
    Some(Done { ok, gas_used, logs })
}
