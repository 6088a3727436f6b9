//! The VADER pipeline on a foreign EVM: our contracts on anvil, providers by the SDK's ABIs, and
//! an audit by the SDK, which ogflow's own ledger has to agree with to the wei.

use std::collections::BTreeMap;
use std::process::{Command, Stdio};

use alloy::primitives::U256;
use serde_json::{Value, json};

use super::interop_kit::{
    Program, Project, Tools, free_port, json_lines, json_of, python, succeed, tools,
};
use super::interop_vader::check;

/// How many snippets are scored on anvil.
const ROWS: usize = 120;

/// anvil with blocks every second, a pin server, and the providers.
pub(super) struct Lab {
    _node: Anvil,
    _pins: Program,
    providers: Option<Program>,
    pub(super) rpc: String,
    pub(super) pins_url: String,
    ready: Value,
}

struct Anvil(std::process::Child);

impl Drop for Anvil {
    fn drop(&mut self) {
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

impl Lab {
    pub(super) fn open(tools: &Tools) -> Self {
        let port = free_port();
        let mut anvil = Command::new(&tools.anvil);
        anvil.args(["--block-time", "1", "--gas-limit", "1000000000", "--silent", "--port"]);
        anvil.arg(port.to_string()).stdin(Stdio::null()).stdout(Stdio::null());
        let node = Anvil(anvil.spawn().expect("it starts"));
        let pins = Program::start(python(tools, "pin_server.py").arg("0"));
        let pins_url = pins.ready.replace("pinning at ", "");
        let rpc = format!("http://127.0.0.1:{port}");
        let mut providers = python(tools, "anvil_provider.py");
        providers.args([rpc.clone(), format!("{pins_url}/file/create"), "3".into()]);
        let providers = Program::start(&mut providers);
        let ready = providers.json();
        Self { _node: node, _pins: pins, providers: Some(providers), rpc, pins_url, ready }
    }

    /// Sends the providers home: what is published from now on is somebody else's to work on.
    pub(super) fn dismiss_providers(&mut self) {
        self.providers = None;
    }

    pub(super) fn get(&self, name: &str) -> String {
        self.ready[name].as_str().unwrap().to_owned()
    }

    /// The profile under which ogflow knows this network, with its node at `rpc`.
    pub(super) fn profile(&self, rpc: &str) -> String {
        let pins = &self.pins_url;
        format!(
            r#"[networks.lab]
chain_id = 31337
rpc = ["{rpc}"]
pin_url = "{pins}/file/create"
gateways = ["{pins}/ipfs/"]
allow_private_hosts = true
nexus = "0xF87bb2f3edB991a998992f14d35fE142e6Bb50b1"
controller = "0x9fb6022074Fd7Bdb429de0776eb693cA0CB55E09"
terminal = "0x1ea332Fc14a5AFD3AF3852B45C263Ab5b1Dd6f52"
vault = "0x15905a2FbD3EF5d3532b931b5656BB9EB493Bb15"
finality = "depth:2"
symbol = "OGPU"
window = 256
real_money = false

[limits]
publish_rate = "1000/s"
burst = 1000
"#
        )
    }

    fn audit(&self, tools: &Tools) -> Value {
        let mut audit = python(tools, "chain_audit.py");
        json_of(audit.args([self.rpc.clone(), self.get("source"), self.get("client")]))
    }
}

fn wei(value: &Value) -> U256 {
    value.as_str().unwrap_or_else(|| panic!("{value}")).parse().unwrap()
}

/// A text in lower case: the SDK writes addresses with a checksum.
fn lower(value: &Value) -> String {
    value.as_str().unwrap_or_else(|| panic!("{value}")).to_lowercase()
}

#[test]
fn the_ledger_agrees_with_a_foreign_chain_to_the_wei() {
    let Some(tools) = tools("VADER on anvil") else { return };
    let (project, lab) = (Project::new(&tools), Lab::open(&tools));
    std::fs::write(project.path("ogflow.toml"), lab.profile(&lab.rpc)).unwrap();
    let ogflow = |args: &[&str]| {
        let mut command = project.ogflow(args);
        command.args(["--network", "lab"]).env("OGFLOW_PRIVATE_KEY", lab.get("client_key"));
        command
    };
    succeed(&mut ogflow(&["vault", "deposit", "5", "OGPU", "--yes"]));
    let before = lab.audit(&tools);
    assert_eq!(wei(&before["vault_wei"]), U256::from(5_000_000_000_000_000_000_u64));

    let (source, rows) = (format!("source={}", lab.get("source")), format!("rows={ROWS}"));
    let run = ["run", "vader.yaml", "--yes", "--max-spend", "5 OGPU", "--json"];
    let mut run = ogflow(&run);
    let events = json_lines(run.args(["--param", &source, "--param", &rows]));
    let finished = events.iter().find(|event| event["type"] == "run_finished").unwrap();
    let after = lab.audit(&tools);

    let (paid, gas) = (wei(&finished["paid_wei"]), wei(&finished["gas_wei"]));
    assert_eq!(wei(&before["vault_wei"]) - wei(&after["vault_wei"]), paid);
    assert_eq!(wei(&before["wallet_wei"]) - wei(&after["wallet_wei"]), gas);
    assert_eq!(wei(&after["earned_wei"]) - wei(&before["earned_wei"]), paid);
    assert_eq!((&after["frozen_wei"], &finished["locked_wei"]), (&json!("0"), &json!("0")));
    assert!(paid < U256::from(ROWS + 1) * U256::from(1_000_000_000_000_000_u64), "some ask less");

    let tasks = after["tasks"].as_object().unwrap().iter();
    let tasks: BTreeMap<String, &Value> =
        tasks.map(|(address, task)| (address.to_lowercase(), task)).collect();
    assert_eq!(tasks.len(), ROWS + 1);
    for step in ["score", "by_sign"] {
        let results = ["results", "latest", "--format", "jsonl", "--step", step];
        for row in json_lines(&mut ogflow(&results)) {
            let task = tasks[&lower(&row["task"])];
            assert_eq!(task["status"], json!("FINALIZED"), "{row}");
            for fact in ["response", "provider", "paid_wei"] {
                assert_eq!(lower(&task[fact]), lower(&row[fact]), "{fact} of {row}");
            }
        }
    }
    let report = check(&tools, &project, ROWS);
    assert_eq!((&report["in_order"], &report["equal"]), (&json!(true), &json!(true)), "{report}");
}
