//! A node: JSON-RPC requests answered from one branch of the chain at one head.

use alloy::consensus::{Transaction, TxEnvelope};
use alloy::eips::eip2718::Decodable2718;
use alloy::primitives::{Address, B256, Bytes, U256, keccak256};
use alloy::sol_types::{Revert as ErrorString, SolError};
use serde_json::{Value, json};

use super::begin::other_code;
use super::contracts::{AUTO, BASE_FEE, Block, Chain, MANUAL, Mined, TIP};
use super::getters::{self, network};
use super::points::rpc_of;
use super::pool::Tx;
use super::setting::Mutation;
use super::world::{Shared, World, held};
use crate::chain::contract::{Target, decode_call, encode_call};
use crate::units::{Call, Fees, Wei};

/// A refusal: code, message, data.
pub(super) type No = (i64, String, Bytes);

fn no(code: i64, message: &str) -> No {
    (code, message.to_owned(), Bytes::new())
}

/// Code 3 with the reason, as a contract returns it.
pub(super) fn reverted(reason: &str) -> No {
    let data = ErrorString { reason: reason.into() }.abi_encode().into();
    (3, format!("execution reverted: {reason}"), data)
}

/// The replies of one exchange.
pub(super) fn replies(
    world: &Shared,
    node: usize,
    requests: &[Value],
    lag: Option<u64>,
) -> Vec<Value> {
    let mut world = held(world);
    let reply = |request: &Value| {
        let (method, params) = (request["method"].as_str().unwrap(), &request["params"]);
        let result = if method == "eth_sendRawTransaction" {
            take(&mut world, node, params)
        } else {
            Replica::of(&world, node, lag).reply(method, params)
        };
        let id = &request["id"];
        match result {
            Ok(result) => json!({"jsonrpc": "2.0", "id": id, "result": result}),
            Err((code, message, data)) => {
                let error = json!({"code": code, "message": message, "data": data});
                json!({"jsonrpc": "2.0", "id": id, "error": error})
            }
        }
    };
    requests.iter().map(reply).collect()
}

/// The places of an exchange, each once.
pub(super) fn names(world: &Shared, requests: &[Value]) -> Vec<&'static str> {
    let world = held(world);
    let mut names: Vec<&str> = Vec::new();
    for request in requests {
        let (method, params) = (request["method"].as_str().unwrap(), &request["params"]);
        match method {
            "eth_sendRawTransaction" => {
                let raw = serde_json::from_value(params[0].clone()).unwrap();
                let tx = decode(&world, raw);
                names.push(purpose(&tx.call));
                names.extend(world.books.is_later(&tx).then_some("send:later-version"));
            }
            "eth_call" => names.push(callee(&world, &params[0])),
            "eth_getStorageAt" => names.push(rpc_of("eth_getCode")),
            // Asked only where nothing known has used a nonce up.
            "ots_getTransactionBySenderAndNonce" => names.push(rpc_of("eth_getTransactionByHash")),
            other => names.push(rpc_of(other)),
        }
    }
    names.sort_unstable();
    names.dedup();
    names
}

const fn purpose(call: &Call) -> &'static str {
    match call {
        Call::PublishTask { .. } => "send:publish",
        Call::ConfirmResponse { .. } => "send:confirm",
        Call::CancelTask { .. } => "send:cancel",
        Call::Deposit { .. } => "send:deposit",
        Call::NoOp => "send:no-op",
    }
}

fn callee(world: &World, call: &Value) -> &'static str {
    let to: Address = serde_json::from_value(call["to"].clone()).unwrap();
    let network = network();
    match to {
        _ if call.get("from").is_some() => "call:replay",
        _ if to == network.controller => "call:controller",
        _ if to == network.vault => "call:vault",
        _ if world.chain.tasks.contains_key(&to) => "call:task",
        // Where a reorg took a contract it is not known any more what it was.
        _ => "call:response",
    }
}

/// Takes signed bytes in; first the oracle looks at them.
fn take(world: &mut World, node: usize, params: &Value) -> Result<Value, No> {
    let raw: Bytes = serde_json::from_value(params[0].clone()).unwrap();
    let tx = decode(world, raw);
    let World { books, chain, final_height, .. } = world;
    books.check_received(&tx, chain, *final_height);
    let taken = world.receive(node, tx);
    taken.map(|hash| json!(hash)).map_err(|(code, message)| (code, message, Bytes::new()))
}

fn decode(world: &World, raw: Bytes) -> Tx {
    let hash = keccak256(&raw);
    let envelope = TxEnvelope::decode_2718_exact(&raw).unwrap();
    let network = network();
    let wallet = world.books.wallet;
    let target = Target::of(envelope.to().unwrap(), network, wallet).unwrap();
    let call = decode_call(target, Wei::from_u256(envelope.value()), envelope.input()).unwrap();
    let key = match &call {
        Call::PublishTask { config, .. } => world.tag(config),
        _ => None,
    };
    let cap = envelope.max_fee_per_gas();
    let fees = Fees {
        gas_limit: envelope.gas_limit(),
        max_fee_per_gas: Wei::from_u128(cap),
        max_priority_fee_per_gas: Wei::from_u128(
            envelope.max_priority_fee_per_gas().unwrap_or(cap),
        ),
        legacy: envelope.is_legacy(),
    };
    Tx { hash, raw, nonce: envelope.nonce(), call, fees, key }
}

impl World {
    /// The tag in a config: what the oracle knows a round by, whatever the journal says.
    fn tag(&self, config: &str) -> Option<String> {
        let bytes = self.content.bytes_at(config)?;
        let config: Value = serde_json::from_slice(&bytes).ok()?;
        config["ogflow"].as_str().map(str::to_owned)
    }
}

/// A node at one head.
struct Replica<'a> {
    world: &'a World,
    node: usize,
    chain: &'a Chain,
    head: u64,
}

fn hex(number: impl std::fmt::LowerHex) -> Value {
    json!(format!("{number:#x}"))
}

fn from_hex(text: &Value) -> u64 {
    u64::from_str_radix(text.as_str().unwrap().trim_start_matches("0x"), 16).unwrap()
}

impl<'a> Replica<'a> {
    fn of(world: &'a World, node: usize, lag: Option<u64>) -> Self {
        let (chain, head) = world.replica(lag);
        Self { world, node, chain, head }
    }

    fn reply(&self, method: &str, params: &Value) -> Result<Value, No> {
        Ok(match method {
            "eth_chainId" => hex(network().chain_id),
            "web3_clientVersion" => json!(self.world.setting.profile.client()),
            "eth_getStorageAt" => json!(B256::ZERO),
            "eth_getCode" => self.code(serde_json::from_value(params[0].clone()).unwrap()),
            "eth_getBlockByNumber" => {
                self.block_named(&params[0]).map_or(Value::Null, |block| whole(block, &params[1]))
            }
            "ots_getTransactionBySenderAndNonce" => return Err(no(-32601, "no such method")),
            "eth_getTransactionCount" if params[1] == "pending" => {
                hex(self.world.pending(self.node, self.chain.money_at(self.head).count))
            }
            "eth_getTransactionCount" => hex(self.chain.money_at(self.height(&params[1])?).count),
            "eth_getBalance" => hex(self.chain.money_at(self.height(&params[1])?).wallet),
            "eth_getTransactionReceipt" => self.mined(params, |b, m, at| receipt(self, b, m, at)),
            "eth_getTransactionByHash" => {
                self.mined(params, |_, mined, _| transaction(self, mined))
            }
            "eth_getLogs" => self.logs(&params[0])?,
            "eth_call" => return self.call(&params[0], &params[1]),
            "eth_estimateGas" => return self.estimate(&params[0]),
            "eth_gasPrice" => hex(self.base_fee() + TIP),
            "eth_maxPriorityFeePerGas" => hex(TIP),
            "eth_feeHistory" => {
                let fees: Vec<Value> = (0..11).map(|n: u128| hex(self.base_fee() + n)).collect();
                let tips: Vec<Value> = (0..10).map(|_| json!([hex(TIP)])).collect();
                json!({"oldestBlock": "0x1", "baseFeePerGas": fees, "reward": tips})
            }
            other => panic!("the node has no {other}"),
        })
    }

    fn base_fee(&self) -> u128 {
        self.chain.block(self.head).map_or(BASE_FEE, |block| block.base_fee)
    }

    fn code(&self, address: Address) -> Value {
        let network = network();
        let contracts = [network.nexus, network.controller, network.terminal, network.vault];
        let known = contracts.contains(&address) || [AUTO, MANUAL].contains(&address);
        let other = self.world.retried && address == network.controller;
        match known {
            true if other => json!(Bytes::from(other_code())),
            true => json!(format!("{address:#x}")),
            false => json!("0x"),
        }
    }

    fn block_named(&self, name: &Value) -> Option<&'a Block> {
        let number = match name.as_str().unwrap() {
            "latest" => self.head,
            "finalized" => {
                let early = self.world.setting.mutation == Mutation::CallsFinalTooEarly;
                let unsettled = if early { 0 } else { self.world.setting.unsettled };
                self.head.saturating_sub(unsettled)
            }
            _ => from_hex(name),
        };
        (number <= self.head).then(|| self.chain.block(number)).flatten()
    }

    /// The height of a block that state is read at.
    fn height(&self, at: &Value) -> Result<u64, No> {
        let block = match at.get("blockHash") {
            Some(hash) => {
                let hash: B256 = serde_json::from_value(hash.clone()).unwrap();
                let mut blocks = self.chain.blocks.iter().rev();
                blocks.find(|block| block.at.hash == hash && block.at.number <= self.head)
            }
            None => self.block_named(at),
        };
        block.map(|block| block.at.number).ok_or_else(|| no(-32000, "header not found"))
    }

    fn mined(&self, params: &Value, show: impl Fn(&Block, &Mined, usize) -> Value) -> Value {
        let hash: B256 = serde_json::from_value(params[0].clone()).unwrap();
        match self.chain.mined(&hash) {
            Some((block, mined)) if block.at.number <= self.head => {
                let place = block.txs.iter().position(|other| other.tx.hash == hash).unwrap();
                show(block, mined, place)
            }
            _ => Value::Null,
        }
    }

    fn logs(&self, filter: &Value) -> Result<Value, No> {
        let (from, to) = if filter.get("blockHash").is_some() {
            let height = self.height(filter)?;
            (height, height)
        } else {
            (from_hex(&filter["fromBlock"]), from_hex(&filter["toBlock"]))
        };
        if to + 1 - from > self.world.setting.log_span {
            return Err(no(-32000, "query exceeds the range of blocks"));
        }
        // A replica that lags does not refuse: its reply is short.
        let blocks = (from..=to.min(self.head)).filter_map(|number| self.chain.block(number));
        let mut all = Vec::new();
        for block in blocks {
            all.extend((0..block.logs.len()).map(|index| log(block, index)));
        }
        Ok(Value::from(all))
    }

    fn call(&self, call: &Value, at: &Value) -> Result<Value, No> {
        let height = self.height(at)?;
        let to: Address = serde_json::from_value(call["to"].clone()).unwrap();
        let input: Bytes = serde_json::from_value(call["data"].clone()).unwrap();
        if call.get("from").is_some() {
            // A replay of a transaction that was undone: the branch remembers why.
            let tx = self.chain.blocks.iter().flat_map(|block| &block.txs);
            let wanted =
                |mined: &&Mined| encode_call(&mined.tx.call).1 == input && mined.revert.is_some();
            return match tx.rev().find(wanted).and_then(|mined| mined.revert) {
                Some("out of gas") => Err(no(-32000, "out of gas")),
                Some(reason) => Err(reverted(reason)),
                None => Ok(json!("0x")),
            };
        }
        getters::read(self.chain, height, to, &input).map(|data| json!(Bytes::from(data)))
    }

    fn estimate(&self, tx: &Value) -> Result<Value, No> {
        let to: Address = serde_json::from_value(tx["to"].clone()).unwrap();
        let from: Address = serde_json::from_value(tx["from"].clone()).unwrap();
        let value: U256 = serde_json::from_value(tx["value"].clone()).unwrap();
        let input: Bytes = serde_json::from_value(tx["data"].clone()).unwrap();
        let target = Target::of(to, network(), from).unwrap();
        let call = decode_call(target, Wei::from_u256(value), &input).unwrap();
        match self.chain.refusal(&call, None) {
            Some(reason) => Err(reverted(reason)),
            None => Ok(hex(self.chain.gas_of(&call))),
        }
    }
}

fn header(block: &Block) -> Value {
    json!({
        "number": hex(block.at.number), "hash": block.at.hash, "parentHash": block.parent,
        "timestamp": hex(block.time), "baseFeePerGas": hex(block.base_fee),
    })
}

/// A block, with its transactions if they are wanted.
fn whole(block: &Block, full: &Value) -> Value {
    let mut whole = header(block);
    if full == true {
        let txs = block.txs.iter().filter_map(|mined| {
            let envelope = TxEnvelope::decode_2718_exact(&mined.tx.raw).ok()?;
            serde_json::to_value(envelope).ok()
        });
        whole["transactions"] = txs.collect();
    }
    whole
}

fn log(block: &Block, index: usize) -> Value {
    let log = &block.logs[index];
    json!({
        "address": network().nexus, "topics": [log.topic], "data": log.data,
        "blockHash": block.at.hash, "blockNumber": hex(block.at.number),
        "transactionHash": log.tx_hash, "logIndex": hex(index),
    })
}

fn receipt(replica: &Replica<'_>, block: &Block, mined: &Mined, place: usize) -> Value {
    let hash = mined.tx.hash;
    let of_tx = (0..block.logs.len()).filter(|index| block.logs[*index].tx_hash == hash);
    let logs: Vec<Value> = of_tx.map(|index| log(block, index)).collect();
    json!({
        "transactionHash": hash, "transactionIndex": hex(place), "blockHash": block.at.hash,
        "blockNumber": hex(block.at.number), "from": replica.world.books.wallet,
        "status": hex(u64::from(mined.revert.is_none())), "gasUsed": hex(mined.gas_used),
        "effectiveGasPrice": hex(mined.price), "logs": logs,
    })
}

fn transaction(replica: &Replica<'_>, mined: &Mined) -> Value {
    let (tx, wallet) = (&mined.tx, replica.world.books.wallet);
    let (target, input) = encode_call(&tx.call);
    json!({
        "hash": tx.hash, "from": wallet, "to": target.address(network(), wallet),
        "input": input, "value": hex(tx.call.value().to_u256()), "gas": hex(tx.fees.gas_limit),
        "gasPrice": hex(mined.price),
    })
}
