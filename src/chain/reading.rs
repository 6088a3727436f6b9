//! What is asked of a node and what it returns, as far as it is needed here.

use alloy::primitives::{Address, B256, Bytes, U64, U128, U256};
use alloy::sol_types::SolCall;
use serde::Deserialize;
use serde_json::{Value, json};

use super::contract::{ProtocolLog, decode_log};
use super::error::{ChainError, Fault};
use super::rpc::{Ask, Endpoint, Reply, take};
use crate::units::{BlockRef, ChainTime, Wei};

/// A block's header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Header {
    pub(super) number: u64,
    pub(super) hash: B256,
    pub(super) parent: B256,
    pub(super) time: ChainTime,
    pub(super) base_fee: Option<Wei>,
}

impl Header {
    pub(super) const fn block(&self) -> BlockRef {
        BlockRef { number: self.number, hash: self.hash }
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RawHeader {
    number: U64,
    hash: B256,
    parent_hash: B256,
    timestamp: U64,
    base_fee_per_gas: Option<U256>,
}

/// A log as a node returns it.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct RawLog {
    pub(super) address: Address,
    pub(super) topics: Vec<B256>,
    pub(super) data: Bytes,
    pub(super) block_hash: Option<B256>,
    pub(super) block_number: Option<U64>,
    pub(super) transaction_hash: Option<B256>,
    pub(super) log_index: Option<U64>,
    #[serde(default)]
    pub(super) removed: bool,
}

/// A receipt as a node returns it.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct RawReceipt {
    pub(super) transaction_hash: B256,
    pub(super) block_hash: B256,
    pub(super) block_number: U64,
    pub(super) from: Address,
    pub(super) status: U64,
    pub(super) gas_used: U64,
    pub(super) effective_gas_price: Option<U128>,
    #[serde(default)]
    pub(super) logs: Vec<RawLog>,
}

impl RawReceipt {
    /// The task that this transaction published: only if it says so exactly once.
    pub(super) fn published(&self, nexus: Address) -> Option<Address> {
        let mut tasks =
            self.logs.iter().filter(|log| log.address == nexus).filter_map(|log| match decode_log(
                &log.topics,
                &log.data,
            ) {
                Ok(ProtocolLog::TaskPublished { task, .. }) => Some(task),
                Ok(_) | Err(_) => None,
            });
        let task = tasks.next()?;
        tasks.next().is_none().then_some(task)
    }
}

/// A transaction as a node returns it.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct RawTransaction {
    pub(super) from: Address,
    pub(super) to: Option<Address>,
    pub(super) input: Bytes,
    pub(super) value: U256,
    pub(super) gas: U64,
    pub(super) gas_price: Option<U128>,
}

/// The block to read state at.
#[derive(Clone, Copy, Debug)]
pub(super) enum At {
    /// This block and no other of its height (EIP-1898).
    Hash(B256),
    /// The canonical block of this height.
    Number(u64),
    /// Whatever the node thinks is newest.
    Latest,
}

impl At {
    fn json(self) -> Value {
        match self {
            Self::Hash(hash) => json!({ "blockHash": hash }),
            Self::Number(number) => json!(hex(number)),
            Self::Latest => json!("latest"),
        }
    }
}

/// A quantity as JSON-RPC writes it.
pub(super) fn hex(number: u64) -> String {
    format!("0x{number:x}")
}

/// Asks for the header of the newest block.
pub(super) fn ask_latest() -> Ask {
    Ask::new("eth_getBlockByNumber", json!(["latest", false]))
}

/// Asks for the header of the block that the node calls finalized, if it does.
pub(super) fn ask_finalized() -> Ask {
    Ask::optional("eth_getBlockByNumber", json!(["finalized", false]))
}

/// Asks for the header at a height.
pub(super) fn ask_header(number: u64) -> Ask {
    Ask::new("eth_getBlockByNumber", json!([hex(number), false]))
}

/// Asks for a call's result.
pub(super) fn ask_call(to: Address, input: &[u8], at: At) -> Ask {
    let call = json!({ "to": to, "data": Bytes::copy_from_slice(input) });
    Ask::new("eth_call", json!([call, at.json()]))
}

/// Asks what a transaction would return if it ran again.
pub(super) fn ask_replay(tx: &RawTransaction, at: At) -> Ask {
    let RawTransaction { from, to, input, value, gas, .. } = tx;
    let call = json!({ "from": from, "to": to, "data": input, "value": value, "gas": gas });
    Ask::new("eth_call", json!([call, at.json()]))
}

/// Asks for a wallet's transaction count.
pub(super) fn ask_count(wallet: Address, at: At) -> Ask {
    Ask::new("eth_getTransactionCount", json!([wallet, at.json()]))
}

/// Asks for a wallet's coins.
pub(super) fn ask_balance(wallet: Address, at: At) -> Ask {
    Ask::new("eth_getBalance", json!([wallet, at.json()]))
}

/// Asks for a receipt.
pub(super) fn ask_receipt(hash: B256) -> Ask {
    Ask::new("eth_getTransactionReceipt", json!([hash]))
}

/// Asks for a transaction.
pub(super) fn ask_transaction(hash: B256) -> Ask {
    Ask::new("eth_getTransactionByHash", json!([hash]))
}

/// The header in a reply; `None` if the node has no such block.
pub(super) fn header_in(ask: &Ask, reply: &Reply) -> Result<Option<Header>, Fault> {
    let raw: Option<RawHeader> = take(ask, reply, "a block")?;
    Ok(raw.map(|raw| Header {
        number: raw.number.to(),
        hash: raw.hash,
        parent: raw.parent_hash,
        time: ChainTime::from_secs(raw.timestamp.to()),
        base_fee: raw.base_fee_per_gas.map(Wei::from_u256),
    }))
}

/// The header in a reply to a question that always has one.
pub(super) fn some_header(ask: &Ask, reply: &Reply) -> Result<Header, Fault> {
    let missing = Fault::Malformed { method: ask.method, expected: "a block" };
    header_in(ask, reply)?.ok_or(missing)
}

/// A number in a reply.
pub(super) fn number_in(ask: &Ask, reply: &Reply) -> Result<u64, Fault> {
    take::<U64>(ask, reply, "a number").map(|number| number.to())
}

/// An amount in a reply.
pub(super) fn wei_in(ask: &Ask, reply: &Reply) -> Result<Wei, Fault> {
    take::<U256>(ask, reply, "an amount").map(Wei::from_u256)
}

/// What a call returned; nothing if there is no such contract or function.
pub(super) fn returned<C: SolCall>(ask: &Ask, reply: &Reply) -> Result<C::Return, Fault> {
    let data: Bytes = take(ask, reply, "return data")?;
    let expected = "what the contract declares";
    C::abi_decode_returns(&data).map_err(|_| Fault::Malformed { method: ask.method, expected })
}

impl Endpoint {
    /// Reads one batch and turns it into a value; repeated by the schedule if that fails.
    pub(super) async fn read_as<T>(
        &self,
        asks: &[Ask],
        turn: impl Fn(&[Ask], &[Reply]) -> Result<T, Fault> + Send,
    ) -> Result<T, ChainError> {
        let mut tried = 0;
        loop {
            let replies = self.read(asks).await?;
            match turn(asks, &replies) {
                Ok(value) => return Ok(value),
                Err(fault) => {
                    let refused = self.definite(asks, &replies);
                    if let Some(error) = refused.filter(|_| !matches!(fault, Fault::Behind { .. }))
                    {
                        return Err(error);
                    }
                    tried += 1;
                    self.pause_after(tried, fault).await?;
                }
            }
        }
    }

    /// The first definite refusal among replies, as an error.
    fn definite(&self, asks: &[Ask], replies: &[Reply]) -> Option<ChainError> {
        asks.iter().zip(replies).find_map(|(ask, reply)| match reply {
            Err(fault @ Fault::Refused { .. }) => Some(ChainError::Refused {
                endpoint: self.name().to_owned(),
                method: ask.method,
                fault: fault.clone(),
            }),
            Ok(_) | Err(_) => None,
        })
    }
}
