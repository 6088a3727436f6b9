//! A node that says what a test tells it to: honest about a made-up chain, until it is twisted.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use alloy::primitives::{Address, B256, Bytes, keccak256};
use axum::Router;
use axum::body::Body;
use axum::extract::State;
use axum::http::{Response, StatusCode};
use axum::routing::post;
use serde_json::{Value, json};

use super::rpc::{Endpoint, Timing};

/// What is wrong with the next reply.
#[derive(Clone, Debug)]
pub(super) enum Twist {
    /// Nothing.
    Honest,
    /// A web page.
    Html,
    /// Nothing at all.
    Empty,
    /// JSON that stops half-way.
    Truncated,
    /// JSON, but no JSON-RPC.
    OtherJson,
    /// Ids that were not asked for.
    WrongIds,
    /// The first reply only.
    Partial,
    /// In the opposite order.
    Reversed,
    /// Every reply twice.
    Doubled,
    /// One error for the whole batch.
    OneError(i64, &'static str),
    /// The same error for every request of this method.
    Refuse(&'static str, i64, &'static str),
    /// `null` for every request of this method.
    Null(&'static str),
    /// A string for every result.
    WrongType,
    /// A hash that nobody asked about, for every result.
    OtherHash,
    /// A status and a web page; with seconds to wait.
    Status(u16, Option<u64>),
    /// Never.
    Hang,
}

/// A made-up chain. Blocks are known by height and fork.
#[derive(Debug, Default)]
pub(super) struct Facts {
    pub(super) head: u64,
    /// From this height on, blocks are of the fork with this number.
    pub(super) forks: BTreeMap<u64, u8>,
    pub(super) finalized: Option<u64>,
    /// Transaction counts, from a height on.
    pub(super) counts: BTreeMap<u64, u64>,
    pub(super) receipts: BTreeMap<B256, Value>,
    pub(super) transactions: BTreeMap<B256, Value>,
    pub(super) logs: Vec<Value>,
    /// The code of contracts; all others have one byte of their address.
    pub(super) code: BTreeMap<Address, Bytes>,
    /// What stands behind proxies.
    pub(super) behind: BTreeMap<Address, Address>,
    /// The transactions of whole blocks.
    pub(super) blocks: BTreeMap<u64, Vec<Value>>,
    /// What has used up the wallet's nonces, where it is known by name.
    pub(super) by_sender: BTreeMap<u64, B256>,
    /// The most blocks that one log query may cover.
    pub(super) log_span: Option<u64>,
    /// Error code, message and data of every `eth_call`.
    pub(super) call_error: Option<(i64, String, Bytes)>,
    /// Grows by one block with every packet.
    pub(super) restless: bool,
    /// Takes no block by hash.
    pub(super) no_hashes: bool,
    pub(super) twists: VecDeque<Twist>,
    /// Every packet, as methods.
    pub(super) packets: Vec<Vec<String>>,
    /// Everything that was sent.
    pub(super) sent: Vec<Bytes>,
}

/// The node; clones are the same one.
#[derive(Clone, Debug, Default)]
pub(super) struct ScriptedNode {
    facts: Arc<Mutex<Facts>>,
}

/// The hash of a block.
pub(super) fn hash_of(number: u64, fork: u8) -> B256 {
    let mut bytes = [fork; 32];
    bytes[24..].copy_from_slice(&number.to_be_bytes());
    bytes.into()
}

impl Facts {
    fn fork_at(&self, number: u64) -> u8 {
        self.forks.range(..=number).next_back().map_or(0, |(_, fork)| *fork)
    }

    /// The hash of the canonical block of a height.
    pub(super) fn hash_at(&self, number: u64) -> B256 {
        hash_of(number, self.fork_at(number))
    }

    fn header(&self, number: u64) -> Value {
        if number > self.head {
            return Value::Null;
        }
        json!({
            "number": format!("0x{number:x}"),
            "hash": self.hash_at(number),
            "parentHash": self.hash_at(number.saturating_sub(1)),
            "timestamp": format!("0x{:x}", 1_000 + number),
            "baseFeePerGas": "0x7",
        })
    }

    /// Mines a transaction of `from` into block `number`.
    pub(super) fn mine(&mut self, hash: B256, from: Address, number: u64, ok: bool) {
        let receipt = json!({
            "transactionHash": hash, "blockHash": self.hash_at(number),
            "blockNumber": format!("0x{number:x}"), "from": from, "to": Address::ZERO,
            "status": if ok { "0x1" } else { "0x0" }, "gasUsed": "0x64",
            "effectiveGasPrice": "0x3", "logs": [],
        });
        self.receipts.insert(hash, receipt);
        let tx = json!({
            "hash": hash, "from": from, "to": Address::ZERO, "input": "0x", "value": "0x0",
            "gas": "0x5208", "gasPrice": "0x9",
        });
        self.transactions.insert(hash, tx);
    }

    /// A log of the registry in block `number`.
    pub(super) fn log(&mut self, address: Address, number: u64, index: u64, log: (B256, Bytes)) {
        let value = json!({
            "address": address, "topics": [log.0], "data": log.1,
            "blockHash": self.hash_at(number), "blockNumber": format!("0x{number:x}"),
            "transactionHash": hash_of(number, 0xee), "logIndex": format!("0x{index:x}"),
        });
        self.logs.push(value);
    }

    fn height(&self, at: &Value) -> Result<u64, (i64, String)> {
        let not_found = || (-32000, "header not found".to_owned());
        if let Some(hash) = at.get("blockHash") {
            if self.no_hashes {
                return Err((-32602, "invalid argument 1: hex string expected".into()));
            }
            let hash: B256 = serde_json::from_value(hash.clone()).unwrap();
            let number = u64::from_be_bytes(hash[24..].try_into().unwrap());
            return if self.hash_at(number) == hash { Ok(number) } else { Err(not_found()) };
        }
        let number = match at.as_str().unwrap_or("latest") {
            "latest" | "pending" => self.head,
            hex => u64::from_str_radix(hex.trim_start_matches("0x"), 16).unwrap(),
        };
        if number <= self.head { Ok(number) } else { Err(not_found()) }
    }

    fn reply(&mut self, method: &str, params: &Value) -> Result<Value, (i64, String, Bytes)> {
        let plain = |(code, text): (i64, String)| (code, text, Bytes::new());
        match method {
            "eth_chainId" => Ok(json!("0x7a69")),
            "web3_clientVersion" => Ok(json!("script")),
            "eth_getCode" => {
                let address: Address = serde_json::from_value(params[0].clone()).unwrap();
                let usual = || Bytes::copy_from_slice(&address[..1]);
                Ok(json!(self.code.get(&address).cloned().unwrap_or_else(usual)))
            }
            "eth_getStorageAt" => {
                let address: Address = serde_json::from_value(params[0].clone()).unwrap();
                let slot = "0x360894a13ba1a3210667c828492db98dca3e2076cc3735a920a3ca505d382bbc";
                assert_eq!(params[1], slot, "where EIP-1967 keeps it");
                let behind = self.behind.get(&address).map_or(B256::ZERO, Address::into_word);
                Ok(json!(behind))
            }
            "eth_getBlockByNumber" if params[0] == "finalized" => match self.finalized {
                Some(number) => Ok(self.header(number)),
                None => Err((-32602, "finalized is not a block".into(), Bytes::new())),
            },
            "eth_getBlockByNumber" if params[0] == "latest" => Ok(self.header(self.head)),
            "eth_getBlockByNumber" => {
                let hex = params[0].as_str().unwrap().trim_start_matches("0x");
                let number = u64::from_str_radix(hex, 16).unwrap();
                let mut block = self.header(number);
                if params[1] == true {
                    block["transactions"] = json!(self.blocks.get(&number));
                }
                Ok(block)
            }
            "ots_getTransactionBySenderAndNonce" if self.by_sender.is_empty() => {
                Err((-32601, "the method does not exist".into(), Bytes::new()))
            }
            "ots_getTransactionBySenderAndNonce" => {
                Ok(json!(self.by_sender.get(&params[1].as_u64().unwrap())))
            }
            "eth_getTransactionCount" => {
                let height = self.height(&params[1]).map_err(plain)?;
                let count = self.counts.range(..=height).next_back().map_or(0, |(_, count)| *count);
                Ok(json!(format!("0x{count:x}")))
            }
            "eth_getTransactionReceipt" => Ok(self.known(&self.receipts, params)),
            "eth_getTransactionByHash" => Ok(self.known(&self.transactions, params)),
            "eth_getLogs" => self.logs(&params[0]).map_err(plain),
            "eth_call" => match &self.call_error {
                Some(error) => Err(error.clone()),
                None => Ok(json!("0x")),
            },
            "eth_sendRawTransaction" => {
                let raw: Bytes = serde_json::from_value(params[0].clone()).unwrap();
                let hash = keccak256(&raw);
                self.sent.push(raw);
                Ok(json!(hash))
            }
            other => panic!("the script has no {other}"),
        }
    }

    fn known(&self, from: &BTreeMap<B256, Value>, params: &Value) -> Value {
        let hash: B256 = serde_json::from_value(params[0].clone()).unwrap();
        from.get(&hash).cloned().unwrap_or(Value::Null)
    }

    fn logs(&self, filter: &Value) -> Result<Value, (i64, String)> {
        if filter.get("blockHash").is_some() {
            let number = self.height(filter)?;
            return Ok(self.logs_between(number, number));
        }
        let end = |key: &str| {
            let hex = filter[key].as_str().unwrap().trim_start_matches("0x");
            u64::from_str_radix(hex, 16).unwrap()
        };
        let (from, to) = (end("fromBlock"), end("toBlock"));
        if self.log_span.is_some_and(|span| to - from + 1 > span) {
            return Err((-32005, "query returned more than 10000 results".into()));
        }
        Ok(self.logs_between(from, to))
    }

    fn logs_between(&self, from: u64, to: u64) -> Value {
        let within = |log: &&Value| {
            let hex = log["blockNumber"].as_str().unwrap().trim_start_matches("0x");
            let number = u64::from_str_radix(hex, 16).unwrap();
            (from..=to).contains(&number)
        };
        self.logs.iter().filter(within).cloned().collect()
    }
}

impl ScriptedNode {
    /// A node at this height.
    pub(super) fn at(head: u64) -> Self {
        let node = Self::default();
        node.facts().head = head;
        node
    }

    /// The chain, to look at or to change.
    pub(super) fn facts(&self) -> MutexGuard<'_, Facts> {
        self.facts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How many packets came in.
    pub(super) fn packets(&self) -> usize {
        self.facts().packets.len()
    }

    /// Twists the next replies, in this order.
    pub(super) fn twist(&self, twists: impl IntoIterator<Item = Twist>) {
        self.facts().twists.extend(twists);
    }

    /// The node behind a public endpoint's timing; with a paused clock, that costs no time.
    pub(super) fn endpoint(&self) -> Endpoint {
        Endpoint::local_with(self.router(), Timing::remote())
    }

    /// The node as a router.
    pub(super) fn router(&self) -> Router {
        Router::new().route("/", post(serve)).with_state(self.clone())
    }
}

async fn serve(State(node): State<ScriptedNode>, body: String) -> Response<Body> {
    let requests: Vec<Value> = serde_json::from_str(&body).unwrap();
    let twist = node.facts().twists.pop_front().unwrap_or(Twist::Honest);
    if matches!(twist, Twist::Hang) {
        tokio::time::sleep(Duration::from_secs(3_600)).await;
    }
    let mut facts = node.facts();
    let method = |request: &Value| request["method"].as_str().unwrap().to_owned();
    facts.packets.push(requests.iter().map(method).collect());
    let replies: Vec<Value> =
        requests.iter().map(|request| one(&mut facts, request, &twist)).collect();
    if facts.restless {
        facts.head += 1;
    }
    twisted(&twist, replies)
}

fn one(facts: &mut Facts, request: &Value, twist: &Twist) -> Value {
    let id = &request["id"];
    let method = request["method"].as_str().unwrap();
    if let Twist::Refuse(refused, code, message) = twist
        && *refused == method
    {
        let error = json!({ "code": code, "message": message });
        return json!({ "jsonrpc": "2.0", "id": id, "error": error });
    }
    let result = if matches!(twist, Twist::Null(empty) if *empty == method) {
        Ok(Value::Null)
    } else if matches!(twist, Twist::WrongType) {
        Ok(json!("hello"))
    } else if matches!(twist, Twist::OtherHash) {
        Ok(json!(B256::repeat_byte(0x77)))
    } else {
        facts.reply(method, &request["params"])
    };
    match result {
        Ok(result) => json!({ "jsonrpc": "2.0", "id": id, "result": result }),
        Err((code, message, data)) => {
            let error = json!({ "code": code, "message": message, "data": data });
            json!({ "jsonrpc": "2.0", "id": id, "error": error })
        }
    }
}

fn twisted(twist: &Twist, mut replies: Vec<Value>) -> Response<Body> {
    let page = "<html><body>502 Bad Gateway</body></html>";
    let mut response = Response::builder();
    let body = match twist {
        Twist::Html => page.to_owned(),
        Twist::Empty => String::new(),
        Twist::Truncated => {
            let whole = Value::from(replies).to_string();
            whole[..whole.len() / 2].to_owned()
        }
        Twist::OtherJson => r#"{"hello":["world"]}"#.to_owned(),
        Twist::WrongIds => {
            replies.iter_mut().for_each(|reply| reply["id"] = json!(987_654_321));
            Value::from(replies).to_string()
        }
        Twist::Partial => {
            replies.truncate(1);
            Value::from(replies).to_string()
        }
        Twist::Reversed => {
            replies.reverse();
            Value::from(replies).to_string()
        }
        Twist::Doubled => {
            let twice: Vec<Value> = replies.iter().chain(&replies).cloned().collect();
            Value::from(twice).to_string()
        }
        Twist::OneError(code, message) => {
            let error = json!({ "code": code, "message": message });
            json!({ "jsonrpc": "2.0", "id": null, "error": error }).to_string()
        }
        Twist::Status(status, wait) => {
            response = response.status(StatusCode::from_u16(*status).unwrap());
            if let Some(wait) = wait {
                response = response.header("retry-after", *wait);
            }
            page.to_owned()
        }
        Twist::Honest
        | Twist::Refuse(..)
        | Twist::Null(_)
        | Twist::WrongType
        | Twist::OtherHash
        | Twist::Hang => Value::from(replies).to_string(),
    };
    response.body(Body::from(body)).unwrap()
}
