//! A devnet that another process serves, wallets on it, and the audit of what they bought.

use std::collections::BTreeSet;

use alloy::primitives::{Address, B256, U256, keccak256};
use alloy::signers::local::PrivateKeySigner;
use alloy::sol_types::SolCall;
use ogflow::chain::contract::abi::IController;
use serde_json::Value;

use super::oracle::{Money, Oracle, doubled};
use super::{Net, Project, Ran, rows};

/// What each wallet gets, in the wallet and in the vault.
const COINS: u64 = 10;
/// What a task of these suites pays, in wei: 0.001 OGPU.
pub(crate) const PAYMENT: u64 = 1_000_000_000_000_000;

/// Tasks of a source that leaves confirming to us, so that there is something to send at both ends
/// of a task's life.
pub(crate) const MANUAL: &str = "version: 1
name: manual
sources: { llm: 'LLM' }
defaults: { payment: 0.001 OGPU }
steps:
  ask:
    source: llm
    function: chat
    foreach: { file: rows.csv, key: id }
    data: { text: '{{ item.text }}' }
";
/// The same, and as many tasks that nobody has to confirm.
pub(crate) const BOTH: &str = "version: 1
name: both
sources: { echo: 'ECHO', llm: 'LLM' }
defaults: { payment: 0.001 OGPU }
steps:
  ask:
    source: llm
    function: chat
    foreach: { file: rows.csv, key: id }
    data: { text: '{{ item.text }}' }
  each:
    source: echo
    function: echo
    foreach: { file: rows.csv, key: id }
    data: { text: '{{ item.text }}' }
";
/// The tasks of a [`Lab::dozen`].
pub(crate) const DOZEN: u64 = 12;

/// A served devnet with wallets that have money.
#[derive(Debug)]
pub(crate) struct Lab {
    /// The devnet.
    pub(crate) net: Net,
    /// The chain.
    pub(crate) oracle: Oracle,
    keys: Vec<B256>,
    start: Money,
}

/// One wallet with a project.
#[derive(Debug)]
pub(crate) struct Player {
    /// The project.
    pub(crate) project: Project,
    /// The wallet.
    pub(crate) wallet: Address,
    /// What the wallet had when it began.
    start: Money,
    /// The block before its first.
    pub(crate) since: u64,
}

fn address(key: &B256) -> Address {
    PrivateKeySigner::from_bytes(key).unwrap().address()
}

impl Lab {
    /// Serves a devnet with so many wallets, which `seed` names.
    pub(crate) fn up(flags: &[&str], seed: u64, wallets: u64) -> Self {
        let net = Net::up(flags);
        let oracle = Oracle::new(net.get("url"));
        let keys: Vec<B256> =
            (0..wallets).map(|n| keccak256(format!("ogflow test wallet {seed} {n}"))).collect();
        let addresses: Vec<Address> = keys.iter().map(address).collect();
        oracle.endow(net.get("private_key"), &addresses, COINS);
        let start = oracle.money(&addresses[..1])[0];
        Self { net, oracle, keys, start }
    }

    /// Wallet `n` in a project of its own. The pipeline's `ECHO` and `LLM` become the addresses of
    /// the devnet's sources; `rpc` is where the program thinks that the node is.
    pub(crate) fn player(&self, n: u64, pipeline: &str, rpc: Option<&str>) -> Player {
        let project = self.at_home(Project::new(), n, rpc);
        self.write(&project, pipeline);
        let wallet = self.wallet(n);
        Player { project, wallet, start: self.start, since: self.oracle.height() }
    }

    /// Wallet `n` with a run of twelve tasks that we confirm.
    pub(crate) fn dozen(&self, n: u64) -> Player {
        let player = self.player(n, MANUAL, None);
        player.project.write("rows.csv", rows(usize::try_from(DOZEN).unwrap()));
        player
    }

    /// Another project of the same user, with the same wallet.
    pub(crate) fn second(&self, n: u64, pipeline: &str, first: &Player) -> Project {
        let project = self.at_home(first.project.sibling("q"), n, None);
        self.write(&project, pipeline);
        project
    }

    fn at_home(&self, project: Project, n: u64, rpc: Option<&str>) -> Project {
        // The node takes nothing back here, so nothing has to wait for a second look.
        let limits = "real_money = false\n[limits]\npublish_rate = \"1000/s\"\nburst = 1000\n";
        let profile = self.net.profile(limits).replace("depth:1", "tag");
        let node = format!("rpc = [\"{}\"]", self.net.get("url"));
        let profile = match rpc {
            Some(rpc) => profile.replace(&node, &format!("rpc = [\"{rpc}\"]")),
            None => profile,
        };
        let config = project.home().join(".config/ogflow");
        std::fs::create_dir_all(&config).unwrap();
        std::fs::write(config.join("config.toml"), profile).unwrap();
        let key = self.keys[usize::try_from(n).unwrap()];
        project.var("OGFLOW_NETWORK", "lab").var("OGFLOW_PRIVATE_KEY", &key.to_string())
    }

    fn write(&self, project: &Project, pipeline: &str) {
        let source = |name: &str| self.net.ready["sources"][name].as_str().unwrap();
        let text = pipeline.replace("ECHO", source("echo")).replace("LLM", source("llm"));
        project.write("p.yaml", text);
    }

    /// Publishes once more what a player has published first, as another program could.
    pub(crate) fn publish_again(&self, n: u64, player: &Player) {
        let input = self.oracle.inputs(player.wallet, player.since)[0].to_vec();
        let controller = ogflow::units::Network::devnet().controller;
        let key = self.keys[usize::try_from(n).unwrap()].to_string();
        self.oracle.send(&key, [(controller, input, U256::ZERO)]);
    }

    /// Publishes a task whose config nobody can read, as another program could have done.
    pub(crate) fn publish_unreadable(&self, n: u64, player: &Player) {
        let input = &self.oracle.inputs(player.wallet, player.since)[0];
        let mut call = IController::publishTaskCall::abi_decode(input).unwrap();
        call.taskParams.config = format!("{}-gone", call.taskParams.config);
        let controller = ogflow::units::Network::devnet().controller;
        let key = self.keys[usize::try_from(n).unwrap()].to_string();
        self.oracle.send(&key, [(controller, call.abi_encode(), U256::ZERO)]);
    }

    /// Sends nothing from wallet `n` to itself, as another program could.
    pub(crate) fn use_elsewhere(&self, n: u64) {
        let key = self.keys[usize::try_from(n).unwrap()].to_string();
        self.oracle.send(&key, [(self.wallet(n), Vec::new(), U256::ZERO)]);
    }

    /// The address of wallet `n`.
    pub(crate) fn wallet(&self, n: u64) -> Address {
        address(&self.keys[usize::try_from(n).unwrap()])
    }

    /// The task keys that a player's wallet has published.
    pub(crate) fn bought(&self, player: &Player) -> Vec<String> {
        self.oracle.publications(player.wallet, player.since)
    }

    /// How many tasks a player's wallet has paid or escrowed by now; all pay the same.
    pub(crate) fn paid(&self, player: &Player) -> u64 {
        let now = self.oracle.money(&[player.wallet])[0];
        ((player.start.free - now.free) / U256::from(PAYMENT)).to()
    }

    /// Holds a player whose only run is over against the chain: `tasks` task keys, each published
    /// once; nothing in escrow; the ledger is the chain's to the wei; another resume sends nothing.
    #[track_caller]
    pub(crate) fn audit(&self, player: &Player, tasks: u64) {
        let bought = self.bought(player);
        assert_eq!(doubled(&bought), [""; 0], "published twice by {}", player.wallet);
        assert_eq!(bought.len() as u64, tasks, "publications of {}", player.wallet);
        let runs: BTreeSet<&str> = bought.iter().map(|key| &key[..8]).collect();
        assert_eq!(runs.len(), 1, "all of one run");
        let now = self.oracle.money(&[player.wallet])[0];
        assert_eq!(now.frozen, U256::ZERO, "nothing is left in escrow");
        let status = player.project.run(&["status", "--json"]).exits(0).json();
        let runs = status["runs"].as_array().unwrap();
        assert_eq!(runs.len(), 1, "{status}");
        assert_eq!((&runs[0]["state"], &runs[0]["confirmed"]), (&"done".into(), &tasks.into()));
        assert_eq!(wei(&runs[0]["paid_wei"]), player.start.free - now.free, "what was paid");
        assert_eq!(wei(&runs[0]["gas_wei"]), player.start.wallet - now.wallet, "what gas cost");
        assert_eq!(wei(&runs[0]["locked_wei"]), U256::ZERO);
        player.project.run(&["resume"]).exits(0).says(&["Nothing to resume"]);
        let after = self.oracle.money(&[player.wallet])[0];
        assert_eq!(after, now, "an idle resume changes nothing");
    }

    /// What goes on after a crash: before anything is on the chain there may be no run yet.
    pub(crate) fn next_command(&self, player: &Player) -> &'static str {
        if self.paid(player) > 0 {
            return "resume";
        }
        let runs = player.project.run(&["status", "--json"]).exits(0).json();
        if runs["runs"].as_array().unwrap().is_empty() { "run" } else { "resume" }
    }

    /// S2: every transaction of the wallet that the chain knows is in the journal.
    #[track_caller]
    pub(crate) fn signed_before_sent(&self, player: &Player) {
        let database = player.project.path().join(".ogflow/ogflow.db");
        let flags = rusqlite::OpenFlags::SQLITE_OPEN_READ_ONLY;
        let journal = rusqlite::Connection::open_with_flags(database, flags).unwrap();
        let mut hashes = journal.prepare("SELECT hash FROM signed").unwrap();
        let signed = hashes.query_map([], |row| row.get::<_, [u8; 32]>(0)).unwrap();
        let signed: BTreeSet<B256> = signed.map(|hash| hash.unwrap().into()).collect();
        for hash in self.oracle.transactions(player.wallet, player.since) {
            assert!(signed.contains(&hash), "{hash} of {} was never journaled", player.wallet);
        }
    }

    /// Asserts that nothing was published twice, and says how many were published at all.
    #[track_caller]
    pub(crate) fn nothing_twice(&self, player: &Player) -> u64 {
        let bought = self.bought(player);
        assert_eq!(doubled(&bought), [""; 0], "published twice by {}", player.wallet);
        bought.len() as u64
    }
}

impl Player {
    /// `ogflow run` or `ogflow resume`, with what answers every question.
    pub(crate) fn act(&self, command: &str) -> Ran {
        self.project.run(&self.words(command))
    }

    /// The arguments of a `run` or `resume` that asks nothing and shows its events on stderr.
    pub(crate) fn words<'a>(&self, command: &'a str) -> [&'a str; 4] {
        [command, "--yes", "--progress", "json"]
    }

    /// Asserts that a step's outputs are all there, each the one of its item.
    #[track_caller]
    pub(crate) fn has_outputs(&self, step: &str, items: u64) {
        let rows = self.project.run(&["results", "latest", "--step", step]).exits(0).lines();
        assert_eq!(rows.len() as u64, items, "outputs of {step}");
        for row in &rows {
            assert_eq!(row["output"]["text"], row["item"]["text"], "{row}");
        }
    }
}

fn wei(value: &Value) -> U256 {
    value.as_str().unwrap_or_else(|| panic!("{value}")).parse().unwrap()
}
