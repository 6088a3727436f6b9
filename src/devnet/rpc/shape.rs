//! Blocks, transactions, receipts and logs in the shapes that clients expect.

use alloy::consensus::transaction::Recovered;
use alloy::consensus::{Transaction as _, TxEnvelope};
use alloy::eips::eip2718::Decodable2718;
use alloy::eips::eip4895::Withdrawals;
use alloy::primitives::{Address, B256, TxKind, U256};
use alloy::rpc::types::{
    Block as RpcBlock, BlockTransactions, Header as RpcHeader, Log as RpcLog,
    Transaction as RpcTransaction, TransactionReceipt,
};

use super::super::block::{BASE_FEE, Block, MinedTx, receipt as consensus_receipt};
use super::super::pool::PoolTx;

type Receipt = TransactionReceipt<alloy::consensus::ReceiptEnvelope<RpcLog>>;

fn envelope(raw: &[u8]) -> TxEnvelope {
    TxEnvelope::decode_2718_exact(raw).expect("what is in a block was decoded before")
}

/// A block with the hashes of its transactions, or with all of them.
pub(super) fn block(block: &Block, full: bool) -> RpcBlock {
    let transactions = if full {
        let all = (0..block.txs.len()).map(|at| mined(block, at)).collect();
        BlockTransactions::Full(all)
    } else {
        BlockTransactions::Hashes(block.txs.iter().map(|tx| tx.hash).collect())
    };
    let bytes: usize = block.txs.iter().map(|tx| tx.raw.len()).sum();
    let header = RpcHeader {
        hash: block.hash,
        inner: block.header.clone(),
        total_difficulty: Some(U256::ZERO),
        size: Some(U256::from(bytes + alloy::rlp::Encodable::length(&block.header))),
    };
    let withdrawals = Some(Withdrawals::default());
    RpcBlock { header, uncles: Vec::new(), transactions, withdrawals }
}

/// A transaction in a block.
pub(super) fn mined(block: &Block, at: usize) -> RpcTransaction {
    let tx = &block.txs[at];
    let envelope = envelope(&tx.raw);
    let price = envelope.effective_gas_price(Some(BASE_FEE));
    RpcTransaction {
        inner: Recovered::new_unchecked(envelope, tx.sender),
        block_hash: Some(block.hash),
        block_number: Some(block.header.number),
        transaction_index: Some(at as u64),
        effective_gas_price: Some(price),
        block_timestamp: Some(block.header.timestamp),
    }
}

/// A transaction in the pool.
pub(super) fn waiting(tx: &PoolTx) -> RpcTransaction {
    RpcTransaction {
        inner: Recovered::new_unchecked(tx.tx.clone(), tx.sender),
        block_hash: None,
        block_number: None,
        transaction_index: None,
        effective_gas_price: None,
        block_timestamp: None,
    }
}

/// The receipt of a transaction in a block.
pub(super) fn receipt(block: &Block, at: usize) -> Receipt {
    let tx = &block.txs[at];
    let envelope = envelope(&tx.raw);
    let to = match envelope.kind() {
        TxKind::Call(to) => Some(to),
        TxKind::Create => None,
    };
    let mut index = tx.first_log;
    let inner = consensus_receipt(tx).map_logs(|log| {
        let rpc = place(block, tx.hash, at as u64, index, log);
        index += 1;
        rpc
    });
    Receipt {
        inner,
        transaction_hash: tx.hash,
        transaction_index: Some(at as u64),
        block_hash: Some(block.hash),
        block_number: Some(block.header.number),
        gas_used: tx.gas_used,
        effective_gas_price: envelope.effective_gas_price(Some(BASE_FEE)),
        blob_gas_used: None,
        blob_gas_price: None,
        from: tx.sender,
        to,
        contract_address: created(tx, &envelope),
    }
}

fn created(tx: &MinedTx, envelope: &TxEnvelope) -> Option<Address> {
    (tx.ok && envelope.is_create()).then(|| tx.sender.create(envelope.nonce()))
}

fn place(
    block: &Block,
    tx: B256,
    tx_index: u64,
    index: u64,
    log: alloy::primitives::Log,
) -> RpcLog {
    RpcLog {
        inner: log,
        block_hash: Some(block.hash),
        block_number: Some(block.header.number),
        block_timestamp: Some(block.header.timestamp),
        transaction_hash: Some(tx),
        transaction_index: Some(tx_index),
        log_index: Some(index),
        removed: false,
    }
}

/// Logs of one block that `wanted` lets through.
pub(super) fn logs<'a>(
    block: &'a Block,
    wanted: impl Fn(&alloy::primitives::Log) -> bool + 'a,
) -> impl Iterator<Item = RpcLog> + 'a {
    block
        .logs()
        .filter(move |(_, _, log)| wanted(log))
        .map(|(at, index, log)| place(block, block.txs[at].hash, at as u64, index, log.clone()))
}
