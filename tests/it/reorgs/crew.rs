//! Providers that work by what the chain says now, whatever it said before: a reorg, or a pool that
//! forgets, costs them nothing but another look.

use alloy::primitives::{Address, B256, Bytes, U256, keccak256};
use alloy::signers::local::PrivateKeySigner;
use alloy::sol_types::{SolCall, SolEvent};
use ogflow::chain::contract::abi::{INexus, ITask, ResponseParams};
use ogflow::units::Network;
use serde_json::{Value, json};

use crate::interop_anvil::Lab;
use crate::support::http;
use crate::support::oracle::{Oracle, signed};

/// How far back tasks are looked for.
const WINDOW: u64 = 400;
/// Providers of the lab.
const PROVIDERS: usize = 3;

pub(super) struct Crew<'a> {
    oracle: &'a Oracle,
    pins: String,
    source: Address,
    providers: Vec<PrivateKeySigner>,
}

impl<'a> Crew<'a> {
    pub(super) fn new(lab: &Lab, oracle: &'a Oracle) -> Self {
        let key = |n| keccak256(format!("ogflow interop provider {n}"));
        let providers = (0..PROVIDERS).map(key).map(|key| PrivateKeySigner::from_bytes(&key));
        Self {
            oracle,
            pins: format!("{}/file/create", lab.pins_url),
            source: lab.get("source").parse().unwrap(),
            providers: providers.map(Result::unwrap).collect(),
        }
    }

    /// One provider attempts and responds to every task that nobody has attempted, unless it waits
    /// for what it sent before.
    pub(super) fn work(&mut self) {
        self.providers.rotate_left(1);
        let provider = &self.providers[0];
        let count = |at| ("eth_getTransactionCount", json!([provider.address(), at]));
        let height = self.oracle.height();
        let counts = self.oracle.ask_all(&[count("latest"), count("pending")]);
        if counts[0] != counts[1] {
            return;
        }
        let mut nonce = number(&counts[0]);
        let mut sends = Vec::new();
        for (task, config) in self.open_tasks(height.saturating_sub(WINDOW)) {
            let config: Value = serde_json::from_slice(&http::get(&config)).unwrap();
            let link = http::pin(&self.pins, config["data"].to_string().as_bytes());
            for input in self.calls(task, link) {
                let call = (Network::devnet().nexus, input, U256::ZERO);
                sends.push(("eth_sendRawTransaction", json!([signed(provider, nonce, call)])));
                nonce += 1;
            }
        }
        self.oracle.ask_all(&sends);
    }

    fn calls(&self, task: Address, data: String) -> [Vec<u8>; 2] {
        let (provider, payment) = (self.providers[0].address(), U256::from(super::PAYMENT));
        let attempt = INexus::attemptCall { task, provider, suggestedPayment: payment };
        let responds = ResponseParams { task, provider, data, payment };
        let responds = INexus::submitResponseCall { responseParams: responds };
        [attempt.abi_encode(), responds.abi_encode()]
    }

    /// Tasks of our source that are new, with the URLs of their configs.
    fn open_tasks(&self, since: u64) -> Vec<(Address, String)> {
        let filter = json!([{
            "address": Network::devnet().nexus, "topics": [INexus::TaskPublished::SIGNATURE_HASH],
            "fromBlock": format!("0x{since:x}"), "toBlock": "latest",
        }]);
        let logs = self.oracle.ask_all(&[("eth_getLogs", filter)]).remove(0);
        let data = logs.as_array().unwrap().iter().map(|log| bytes(&log["data"]));
        let tasks: Vec<Address> = data
            .map(|data| INexus::TaskPublished::abi_decode_data(&data).unwrap())
            .filter(|(_, source)| *source == self.source)
            .map(|(task, _)| task)
            .collect();
        let call = |task: &Address, input: Vec<u8>| {
            ("eth_call", json!([{"to": task, "data": Bytes::from(input)}, "latest"]))
        };
        let status = |task| call(task, ITask::getStatusCall {}.abi_encode());
        let statuses = self.oracle.ask_all(&tasks.iter().map(status).collect::<Vec<_>>());
        let is_new = |said: &Value| bytes(said).0 == B256::ZERO.0[..];
        let new = tasks.iter().zip(&statuses).filter(|(_, said)| is_new(said));
        let new: Vec<Address> = new.map(|(task, _)| *task).collect();
        let params = |task| call(task, ITask::taskParamsCall {}.abi_encode());
        let params = self.oracle.ask_all(&new.iter().map(params).collect::<Vec<_>>());
        let config =
            |said: &Value| ITask::taskParamsCall::abi_decode_returns(&bytes(said)).unwrap().config;
        new.into_iter().zip(params.iter().map(config)).collect()
    }
}

fn bytes(value: &Value) -> Bytes {
    value.as_str().unwrap().parse().unwrap()
}

fn number(value: &Value) -> u64 {
    value.as_str().unwrap().parse::<U256>().unwrap().to()
}
