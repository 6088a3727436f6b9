//! The node's three acts as bytes.
//!
//! A mined block's record holds what the block changed, not only which transactions it has, so
//! reading it needs neither the EVM nor a signature. A transaction's bytes are stored once, when
//! it comes in; the block names it by its hash.

use alloy::consensus::Header;
use alloy::primitives::{B256, Bytes};
use alloy::rlp::{Decodable, Encodable};

use super::block::{Block, read_done, write_done};
use super::codec::{Reader, Writer};
use super::evm::Done;
use super::pool::PoolTx;

const SUBMITTED: u8 = 1;
const MINED: u8 = 2;
const REORGED: u8 = 3;

/// Why a record cannot be read or done again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RecordError {
    /// Not what a devnet of this version writes.
    #[error("a record of the devnet's log is malformed")]
    Malformed,
    /// It does not follow from the records before it.
    #[error("a record of the devnet's log does not follow from those before it")]
    Astray,
}

/// A block to be appended.
pub(super) struct Mined<'a> {
    pub(super) header: Header,
    pub(super) txs: Vec<(B256, Done)>,
    pub(super) redo: &'a [u8],
}

/// An act.
pub(super) enum Record<'a> {
    Submitted(Box<PoolTx>),
    Mined(Box<Mined<'a>>),
    Reorged { depth: usize },
}

pub(super) fn submitted(tx: &PoolTx) -> Vec<u8> {
    let mut writer = Writer::default();
    writer.byte(SUBMITTED);
    writer.address(&tx.sender);
    writer.bytes(&tx.raw);
    writer.into_bytes()
}

pub(super) fn mined(block: &Block, redo: &[u8]) -> Vec<u8> {
    let mut header = Vec::new();
    block.header.encode(&mut header);
    let mut writer = Writer::default();
    writer.byte(MINED);
    writer.bytes(&header);
    writer.number(block.txs.len() as u64);
    for tx in &block.txs {
        writer.hash(&tx.hash);
        write_done(&mut writer, tx);
    }
    writer.bytes(redo);
    writer.into_bytes()
}

pub(super) fn reorged(depth: usize) -> Vec<u8> {
    let mut writer = Writer::default();
    writer.byte(REORGED);
    writer.number(depth as u64);
    writer.into_bytes()
}

pub(super) fn read(bytes: &[u8]) -> Result<Record<'_>, RecordError> {
    let mut reader = Reader::new(bytes);
    let record = read_record(&mut reader).ok_or(RecordError::Malformed)?;
    if reader.is_at_end() { Ok(record) } else { Err(RecordError::Malformed) }
}

fn read_record<'a>(reader: &mut Reader<'a>) -> Option<Record<'a>> {
    match reader.byte()? {
        SUBMITTED => {
            let sender = reader.address()?;
            let raw = Bytes::copy_from_slice(reader.bytes()?);
            PoolTx::trusted(sender, raw).ok().map(|tx| Record::Submitted(Box::new(tx)))
        }
        MINED => {
            let header = Header::decode(&mut reader.bytes()?).ok()?;
            let count = reader.count()?;
            let txs = (0..count)
                .map(|_| Some((reader.hash()?, read_done(reader)?)))
                .collect::<Option<Vec<_>>>()?;
            let redo = reader.bytes()?;
            Some(Record::Mined(Box::new(Mined { header, txs, redo })))
        }
        REORGED => Some(Record::Reorged { depth: usize::try_from(reader.number()?).ok()? }),
        _ => None,
    }
}
