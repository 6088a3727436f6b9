//! The lying replies of `wire` before a foreign node, with the Python SDK and us behind the same
//! proxy (safety.md, section 2). The executions are counted on the chain.

use alloy::primitives::{Address, B256, U256, keccak256};
use alloy::signers::local::PrivateKeySigner;
use alloy::sol_types::SolCall;
use ogflow::chain::contract::abi::IController::{confirmResponseCall, publishTaskCall};
use serde_json::Value;

use super::interop_anvil::Lab;
use super::interop_kit::{Tools, json_of, python, tools};
use crate::support::chance::{each_case, tell};
use crate::support::oracle::Oracle;
use crate::support::proxy::Proxy;
use crate::support::{Project, until};
use crate::wire::{ROWS, first_send};

/// The key of anvil's first account, which everybody knows.
const BANK: &str = "0xac0974bec39a17e36ba4a6b4d238ff944bacb478cbed5efcae784d7bf4f2ff80";

/// One task of a source that leaves confirming to us.
const PIPELINE: &str = "version: 1
name: once
steps:
  once:
    source: 'SOURCE'
    function: echo
    payment: 0.001 OGPU
    data: { text: once }
";

/// A node with a wallet for each case.
struct Bench {
    tools: Tools,
    lab: Lab,
    oracle: Oracle,
    keys: Vec<B256>,
}

impl Bench {
    fn open(tools: Tools, wallets: usize) -> Self {
        let lab = Lab::open(&tools);
        let oracle = Oracle::new(&lab.rpc);
        let keys: Vec<B256> =
            (0..wallets).map(|n| keccak256(format!("ogflow wire wallet {n}"))).collect();
        let bench = Self { tools, lab, oracle, keys };
        let addresses: Vec<Address> = (0..wallets).map(|n| bench.wallet(n)).collect();
        bench.oracle.endow(BANK, &addresses, 10);
        bench
    }

    fn wallet(&self, n: usize) -> Address {
        PrivateKeySigner::from_bytes(&self.keys[n]).unwrap().address()
    }

    /// What the caller of the SDK's `publish_task` sees behind a proxy.
    fn sdk(&self, n: usize, proxy: &Proxy) -> Value {
        let mut sdk = python(&self.tools, "sdk_once.py");
        let pins = format!("{}/file/create", self.lab.pins_url);
        sdk.args([&proxy.url, &pins, &self.lab.get("source")]);
        json_of(sdk.env("CLIENT_PRIVATE_KEY", self.keys[n].to_string()))
    }

    /// A run of one task behind a proxy: to its end, and its ledger held against the chain.
    fn ogflow(&self, n: usize, proxy: &Proxy) {
        let project = Project::with(&PIPELINE.replace("SOURCE", &self.lab.get("source")))
            .var("OGFLOW_NETWORK", "lab")
            .var("OGFLOW_PRIVATE_KEY", &self.keys[n].to_string());
        project.write("ogflow.toml", self.lab.profile(&proxy.url));
        let money = || self.oracle.money(&[self.wallet(n)])[0];
        let before = money();
        project.run(&["run", "--yes", "--max-spend", "1 OGPU"]).exits(0);
        let after = money();
        let status = project.run(&["status", "--json"]).exits(0).json();
        let wei = |name: &str| status["runs"][0][name].as_str().unwrap().parse::<U256>().unwrap();
        assert_eq!(before.free - after.free, wei("paid_wei"), "{status}");
        assert_eq!(before.wallet - after.wallet, wei("gas_wei"), "{status}");
        assert_eq!((after.frozen, after.count), (U256::ZERO, 2), "published once, confirmed once");
    }

    /// How many tasks a wallet has published.
    fn executions(&self, n: usize) -> usize {
        self.oracle.publications(self.wallet(n), 0).len()
    }
}

#[test]
fn behind_the_same_proxy_the_sdk_pays_twice_and_ogflow_once() {
    let Some(tools) = tools("lying replies before anvil") else { return };
    let (publish, confirm) = (publishTaskCall::SELECTOR, confirmResponseCall::SELECTOR);
    let bench = Bench::open(tools, 3 * ROWS.len());
    let seen = std::sync::Mutex::new(vec![0; 3 * ROWS.len()]);
    let cases = u64::try_from(3 * ROWS.len()).unwrap();
    each_case("lying replies before anvil", 0, (cases, cases), |number| {
        let n = usize::try_from(number).unwrap();
        let (row, fault) = ROWS[n % ROWS.len()];
        let call = if n / ROWS.len() == 2 { confirm } else { publish };
        let proxy = Proxy::new(&bench.lab.rpc, first_send(call, fault));
        let caller = if n < ROWS.len() {
            bench.sdk(n, &proxy)
        } else {
            bench.ogflow(n, &proxy);
            Value::Null
        };
        assert_eq!(proxy.faults(), 1, "{row}: the reply was tampered with");
        // A caller who was told of an error does not wait for the block.
        until("it is mined", || bench.executions(n) > 0);
        let executions = bench.executions(n);
        tell(&format!("{number}: {row}: {executions} executions, the caller saw {caller}"));
        seen.lock().unwrap()[n] = executions;
    });
    let seen = seen.into_inner().unwrap();
    assert_eq!(seen[..4], [2; 4], "the SDK");
    // web3 repeats the bytes by itself after a 502. Still in the pool they are refused in words
    // that the SDK does not know, and it gives up; mined, they are "nonce too low".
    assert!([1, 2].contains(&seen[4]), "the SDK after a 502: {seen:?}");
    assert_eq!(seen[ROWS.len()..], [1; 2 * ROWS.len()], "ogflow: publications, then confirms");
    tell(&format!(
        "lying replies before anvil: {cases} rows, the SDK {:?}, ogflow 1 in each",
        &seen[..ROWS.len()]
    ));
}
