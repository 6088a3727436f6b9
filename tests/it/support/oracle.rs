//! What the chain says, asked over its JSON-RPC: never what our own journal says.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Mutex;

use alloy::consensus::{SignableTransaction, TxEip1559, TxEnvelope};
use alloy::eips::eip2718::Encodable2718;
use alloy::primitives::{Address, B256, Bytes, TxKind, U256};
use alloy::signers::SignerSync;
use alloy::signers::local::PrivateKeySigner;
use alloy::sol_types::{SolCall, SolEvent};
use ogflow::chain::contract::abi::{IController, INexus, IVault};
use ogflow::units::Network;
use serde_json::{Value, json};

use super::{http, until};

/// The most requests in one batch.
const BATCH: usize = 100;

/// What a wallet has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Money {
    /// In the wallet.
    pub(crate) wallet: U256,
    /// In its vault, free.
    pub(crate) free: U256,
    /// In its vault, in escrow.
    pub(crate) frozen: U256,
    /// How many transactions of it are on the chain.
    pub(crate) count: u64,
}

/// A node that is asked.
#[derive(Debug)]
pub(crate) struct Oracle {
    url: String,
    /// Task keys by the URL of their config.
    keys: Mutex<BTreeMap<String, String>>,
}

impl Oracle {
    /// The oracle behind a node's own URL: no proxy is between.
    pub(crate) fn new(url: &str) -> Self {
        Self { url: url.to_owned(), keys: Mutex::default() }
    }

    /// Asks many things; the replies are in the order of the requests.
    pub(crate) fn ask_all(&self, asks: &[(&str, Value)]) -> Vec<Value> {
        let mut replies = Vec::with_capacity(asks.len());
        for chunk in asks.chunks(BATCH) {
            let body = chunk.iter().enumerate().map(|(id, (method, params))| {
                json!({"jsonrpc": "2.0", "id": id, "method": method, "params": params})
            });
            let mut page = http::post(&self.url, &body.collect());
            let page = page.as_array_mut().unwrap_or_else(|| panic!("no batch came back"));
            page.sort_by_key(|reply| reply["id"].as_u64());
            assert_eq!(page.len(), chunk.len());
            for (reply, ask) in page.iter_mut().zip(chunk) {
                assert!(reply.get("error").is_none(), "{ask:?}: {reply}");
                replies.push(reply["result"].take());
            }
        }
        replies
    }

    /// What each of these wallets has now.
    pub(crate) fn money(&self, wallets: &[Address]) -> Vec<Money> {
        let vault = Network::devnet().vault;
        let call = |data: Vec<u8>| {
            ("eth_call", json!([{"to": vault, "data": Bytes::from(data)}, "latest"]))
        };
        let asks: Vec<_> = wallets
            .iter()
            .flat_map(|wallet| {
                [
                    ("eth_getBalance", json!([wallet, "latest"])),
                    call(IVault::balanceOfCall(*wallet).abi_encode()),
                    call(IVault::frozenPaymentCall(*wallet).abi_encode()),
                    ("eth_getTransactionCount", json!([wallet, "latest"])),
                ]
            })
            .collect();
        let replies = self.ask_all(&asks);
        let number = |value: &Value| value.as_str().unwrap().parse::<U256>().unwrap();
        let money = |reply: &[Value]| Money {
            wallet: number(&reply[0]),
            free: number(&reply[1]),
            frozen: number(&reply[2]),
            count: number(&reply[3]).to(),
        };
        replies.chunks(4).map(money).collect()
    }

    /// The height of the chain.
    pub(crate) fn height(&self) -> u64 {
        let reply = self.ask_all(&[("eth_blockNumber", json!([]))]);
        reply[0].as_str().unwrap().parse::<U256>().unwrap().to()
    }

    /// The task key of every successful publication of a wallet since a block: the tag of the
    /// pinned config, and the config's URL where it has none.
    pub(crate) fn publications(&self, wallet: Address, since: u64) -> Vec<String> {
        let config = |input: &Bytes| {
            let call = IController::publishTaskCall::abi_decode(input).unwrap();
            self.key_of(&call.taskParams.config)
        };
        self.inputs(wallet, since).iter().map(config).collect()
    }

    fn key_of(&self, url: &str) -> String {
        if let Some(key) = self.keys.lock().unwrap().get(url) {
            return key.clone();
        }
        let config: Value = serde_json::from_slice(&http::get(url)).unwrap();
        let key = config["ogflow"].as_str().unwrap_or(url).to_owned();
        self.keys.lock().unwrap().insert(url.to_owned(), key.clone());
        key
    }

    /// The hashes of all transactions of a wallet since a block.
    pub(crate) fn transactions(&self, wallet: Address, since: u64) -> Vec<B256> {
        let block = |number| ("eth_getBlockByNumber", json!([format!("0x{number:x}"), true]));
        let asks: Vec<_> = (since..=self.height()).map(block).collect();
        let blocks = self.ask_all(&asks);
        let txs = blocks.iter().flat_map(|block| block["transactions"].as_array().unwrap());
        let ours = txs.filter(|tx| sender(tx) == wallet);
        ours.map(|tx| hash(&tx["hash"])).collect()
    }

    /// Gives every wallet `coins` of its own and as much in its vault, from the account of `key`.
    pub(crate) fn endow(&self, key: &str, wallets: &[Address], coins: u64) {
        let value = U256::from(coins) * U256::from(1_000_000_000_000_000_000_u64);
        let vault = Network::devnet().vault;
        let gifts = wallets.iter().flat_map(|wallet| {
            let deposit = IVault::depositCall { account: *wallet }.abi_encode();
            [(*wallet, Vec::new(), value), (vault, deposit, value)]
        });
        self.send(key, gifts);
        until("the gifts arrive", || self.money(wallets).iter().all(|money| money.free == value));
    }

    /// Sends transactions as the account of `key`, whatever a journal of ours says.
    pub(crate) fn send(
        &self,
        key: &str,
        calls: impl IntoIterator<Item = (Address, Vec<u8>, U256)>,
    ) {
        let signer: PrivateKeySigner = key.parse().unwrap();
        let first = self.money(&[signer.address()])[0].count;
        let sign =
            |(call, nonce)| ("eth_sendRawTransaction", json!([signed(&signer, nonce, call)]));
        let asks: Vec<_> = calls.into_iter().zip(first..).map(sign).collect();
        // No more at once than a pool keeps of one account.
        asks.chunks(16).for_each(|few| drop(self.ask_all(few)));
    }

    /// The input of every publication of a wallet since a block. Read again where a reorg took one of
    /// the transactions meanwhile.
    pub(crate) fn inputs(&self, wallet: Address, since: u64) -> Vec<Bytes> {
        let mut reads = (0..20).map(|_| self.published(since));
        let txs = reads.find(|txs| txs.iter().all(Value::is_object)).expect("a chain that stands");
        let ours = txs.iter().filter(|tx| sender(tx) == wallet);
        ours.map(|tx| tx["input"].as_str().unwrap().parse().unwrap()).collect()
    }

    /// The transactions of all publications since a block.
    fn published(&self, since: u64) -> Vec<Value> {
        let filter = json!([{
            "address": Network::devnet().nexus, "topics": [INexus::TaskPublished::SIGNATURE_HASH],
            "fromBlock": format!("0x{since:x}"), "toBlock": "latest",
        }]);
        let logs = self.ask_all(&[("eth_getLogs", filter)]).remove(0);
        let logs = logs.as_array().unwrap().iter();
        let asks: Vec<_> =
            logs.map(|log| ("eth_getTransactionByHash", json!([log["transactionHash"]]))).collect();
        self.ask_all(&asks)
    }
}

/// The bytes of a transaction of the account of `signer`.
pub(crate) fn signed(
    signer: &PrivateKeySigner,
    nonce: u64,
    (to, input, value): (Address, Vec<u8>, U256),
) -> Bytes {
    let tx = TxEip1559 {
        chain_id: 31_337,
        nonce,
        gas_limit: 2_000_000,
        max_fee_per_gas: 100_000_000_000,
        max_priority_fee_per_gas: 1_000_000_000,
        to: TxKind::Call(to),
        value,
        input: input.into(),
        ..TxEip1559::default()
    };
    let signature = signer.sign_hash_sync(&tx.signature_hash()).unwrap();
    TxEnvelope::from(tx.into_signed(signature)).encoded_2718().into()
}

fn sender(tx: &Value) -> Address {
    tx["from"].as_str().unwrap().parse().unwrap()
}

fn hash(value: &Value) -> B256 {
    value.as_str().unwrap().parse().unwrap()
}

/// Task keys that were published more than once: what must never be.
pub(crate) fn doubled(keys: &[String]) -> Vec<&str> {
    let mut seen = BTreeSet::new();
    keys.iter().map(String::as_str).filter(|key| !seen.insert(*key)).collect()
}
