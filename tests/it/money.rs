//! Real money, questions that nobody can answer, keys, and hostile projects.

use std::fs;

use crate::support::{HELLO, Net, Project, ROWS, rows};

/// A project on the network `lab`, whose money counts as real, with a key that has none.
fn lab(net: &Net, more: &str) -> Project {
    let echo = net.ready["sources"]["echo"].as_str().unwrap();
    let project = Project::with(&HELLO.replace("builtin:echo", &format!("\"{echo}\"")));
    let config = project.home().join(".config/ogflow");
    fs::create_dir_all(&config).unwrap();
    fs::write(config.join("config.toml"), net.profile(more)).unwrap();
    project.var("OGFLOW_NETWORK", "lab")
}

/// The key of the devnet's own account, which has money.
fn rich(net: &Net) -> String {
    net.get("private_key").to_owned()
}

/// A key that nobody has ever given anything.
const POOR: &str = "0x0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

#[test]
fn no_signer_is_exit_4_and_plan_works_without_one() {
    let net = Net::up(&[]);
    let project = lab(&net, "real_money = false");
    project.run(&["run", "--yes"]).exits(4).says(&["E0801", "--account", "OGFLOW_PRIVATE_KEY"]);
    project.run(&["plan"]).exits(0).prints(&["no signer"]);
    project.spent_nothing();
}

#[test]
fn an_empty_vault_is_exit_5_with_the_command_that_fills_it() {
    let net = Net::up(&[]);
    let project = lab(&net, "real_money = false").var("OGFLOW_PRIVATE_KEY", POOR);
    project.run(&["run", "--yes"]).exits(5).says(&[
        "E0811",
        "ogflow vault deposit",
        "--network lab",
    ]);
    project.run(&["vault", "deposit", "1 OGPU", "--yes"]).exits(5).says(&["E0812"]);
    project.spent_nothing();
}

#[test]
fn a_deposit_and_its_gas_stay_below_what_it_may_spend() {
    let net = Net::up(&[]);
    let project = lab(&net, "real_money = false").var("OGFLOW_PRIVATE_KEY", &rich(&net));
    let deposit = ["vault", "deposit", "1 OGPU", "--yes", "--max-spend"];
    let within = |cap| project.run(&[&deposit[..], &[cap]].concat());
    within("1 OGPU").exits(6).says(&["E0821", "--max-spend"]);
    project.spent_nothing();
    within("1.1 OGPU").exits(0);
}

#[test]
fn off_a_terminal_nothing_waits_for_an_answer() {
    let net = Net::up(&[]);
    let key = rich(&net);
    let test = lab(&net, "real_money = false").var("OGFLOW_PRIVATE_KEY", &key);
    test.run(&["run"]).exits(4).says(&["E0802", "--yes"]);
    test.spent_nothing();
    test.run(&["run", "--yes"]).exits(0);
    let real = lab(&net, "").var("OGFLOW_PRIVATE_KEY", &key);
    real.run(&["run"]).exits(4).says(&["E0802", "real money"]);
    real.run(&["run", "--yes"]).exits(4).says(&["E0803", "--max-spend"]);
    real.spent_nothing();
    real.run(&["run", "--yes", "--max-spend", "1 OGPU"]).exits(0).says(&["warning:", "keystore"]);
}

#[test]
fn what_is_spent_is_never_above_the_cap() {
    let net = Net::up(&[]);
    let project = lab(&net, "real_money = false").var("OGFLOW_PRIVATE_KEY", &rich(&net));
    project.run(&["run", "--yes", "--max-spend", "0.0001 OGPU"]).exits(6).says(&["E0821"]);
    project.spent_nothing();
}

/// Five tasks of a source that leaves confirming to us.
const CONFIRMED: &str = "version: 1
name: confirmed
sources: { llm: LLM }
defaults: { source: llm, function: chat, payment: 0.001 OGPU, retry: { max: 0 } }
steps:
  ask:
    foreach: [a, b, c, d]
    data: { text: '{{ item }}' }
  sum:
    data: { text: '{{ steps.ask.count }}' }
";

#[test]
fn a_cap_of_exactly_what_plan_prints_pays_for_confirms_too() {
    let net = Net::up(&[]);
    let project = lab(&net, "real_money = false").var("OGFLOW_PRIVATE_KEY", &rich(&net));
    let source = net.ready["sources"]["llm"].as_str().unwrap();
    project.write("p.yaml", CONFIRMED.replace("LLM", &format!("'{source}'")));
    let plan = project.run(&["plan", "--json"]).exits(0).json();
    let wei = |value: &serde_json::Value| value.as_str().unwrap().parse::<u128>().unwrap();
    let most = wei(&plan["totals"]["total_wei"]["max"]);
    let cap = |wei: u128| format!("{}.{:018} OGPU", wei / 10_u128.pow(18), wei % 10_u128.pow(18));
    project.run(&["run", "--yes", "--max-spend", &cap(most - 1)]).exits(6).says(&["E0821"]);
    project.spent_nothing();
    let ran = project.run(&["run", "--yes", "--json", "--max-spend", &cap(most)]).exits(0);
    let finished = ran.lines().into_iter().find(|event| event["type"] == "run_finished").unwrap();
    let spent = wei(&finished["paid_wei"]) + wei(&finished["gas_wei"]);
    assert!(spent <= most, "{spent} of {most}");
    let confirms = ran.lines().iter().filter(|event| event["type"] == "task_confirmed").count();
    assert_eq!(confirms, 5);
}

#[test]
fn a_wrong_chain_id_is_refused_before_anything_is_signed() {
    let net = Net::up(&[]);
    let project = lab(&net, "real_money = false").var("OGFLOW_PRIVATE_KEY", &rich(&net));
    let config = project.home().join(".config/ogflow/config.toml");
    let text = fs::read_to_string(&config).unwrap();
    fs::write(&config, text.replace("chain_id = 31337", "chain_id = 31338")).unwrap();
    project.run(&["run", "--yes"]).exits(9).says(&["E0911", "31337", "31338"]);
    project.spent_nothing();
    let vault = ogflow::units::Network::devnet().vault.to_string();
    let nobody = "0x00000000000000000000000000000000000000bb";
    fs::write(&config, text.replace(&vault, nobody)).unwrap();
    project.run(&["run", "--yes"]).exits(9).says(&["E0912", "no code", "`Vault`"]);
    project.spent_nothing();
}

#[test]
fn a_node_that_is_down_is_exit_7_after_a_bounded_time() {
    let net = Net::up(&[]);
    let project = lab(&net, "real_money = false").var("OGFLOW_PRIVATE_KEY", POOR);
    let ran = project.run(&["run", "--yes", "--rpc-url", "http://127.0.0.1:9"]).exits(7);
    ran.says(&["E0901", "`http://127.0.0.1:9` in 5 tries", "check the network's `rpc` URL"]);
    project.spent_nothing();
}

#[test]
fn a_node_that_goes_down_in_the_middle_is_exit_7_with_the_command_that_goes_on() {
    let net = Net::up(&["--latency", "60s"]);
    let project = lab(&net, "real_money = false").var("OGFLOW_PRIVATE_KEY", &rich(&net));
    let mut run = project.start(&["run", "--yes", "--json", "--progress", "json"]);
    run.until("task_published");
    drop(net);
    let ran = run.end().exits(7).says(&["E0901", "`rpc` URL", "ogflow resume r-"]);
    let last = ran.lines().pop().unwrap();
    assert_eq!((&last["type"], &last["state"]), (&"run_finished".into(), &"stopped".into()));
    let runs = project.run(&["status", "--json"]).exits(0).json();
    assert_ne!(runs["runs"][0]["state"], "done", "{runs}");
}

#[test]
fn a_project_cannot_bend_a_network_with_real_money_off_a_terminal() {
    let project = Project::with(HELLO).var("OGFLOW_PRIVATE_KEY", POOR);
    project.write("ogflow.toml", "[networks.mainnet]\nrpc = [\"http://127.0.0.1:9\"]\n");
    let run = ["run", "--network", "mainnet", "--yes", "--max-spend", "1 OGPU"];
    let pipeline = HELLO.replace("builtin:echo", "\"0x00000000000000000000000000000000000000aa\"");
    project.write("p.yaml", &pipeline);
    project.run(&run).exits(4).says(&["rpc", "mainnet"]);
    project.write("ogflow.toml", "");
    project.write(".env", "OGFLOW_RPC_URL=http://127.0.0.1:9\n");
    project.run(&run).exits(4).says(&["Using OGFLOW_RPC_URL from", "rpc"]);
}

#[test]
fn a_project_cannot_pick_the_key_or_say_that_money_is_play_money() {
    let project = Project::with(HELLO);
    project.write("ogflow.toml", "account = \"alice\"\n");
    project.run(&["plan"]).exits(3).says(&["may not"]);
    project.write("ogflow.toml", "[networks.mainnet]\nreal_money = false\n");
    project.run(&["plan", "--network", "mainnet"]).exits(3).says(&["real_money"]);
    project.write("ogflow.toml", "yes = true\n");
    project.run(&["plan"]).exits(3).says(&["line 1"]);
}

#[test]
fn the_key_is_in_no_stream_and_no_file() {
    let net = Net::up(&[]);
    let key = rich(&net);
    let project = lab(&net, "real_money = false").var("OGFLOW_PRIVATE_KEY", &key);
    let needle = key.trim_start_matches("0x").to_lowercase();
    let ran = project.run(&["run", "--yes", "-vv"]).exits(0);
    assert!(!format!("{}{}", ran.stdout, ran.stderr).to_lowercase().contains(&needle));
    for file in crate::support::files(&project.path()) {
        let bytes = fs::read(project.path().join(&file)).unwrap();
        let text = String::from_utf8_lossy(&bytes).to_lowercase();
        assert!(!text.contains(&needle), "the key is in {file}");
        let raw: Vec<u8> = (0..needle.len() / 2)
            .map(|at| u8::from_str_radix(&needle[2 * at..2 * at + 2], 16).unwrap())
            .collect();
        assert!(!bytes.windows(raw.len()).any(|window| window == raw), "the key is in {file}");
    }
}

#[test]
fn the_pythons_variable_signs_too_and_a_bad_key_is_not_shown() {
    let net = Net::up(&[]);
    let project = lab(&net, "real_money = false").var("CLIENT_PRIVATE_KEY", &rich(&net));
    project.run(&["run", "--yes"]).exits(0).says(&["CLIENT_PRIVATE_KEY"]);
    let bad = lab(&net, "real_money = false").var("OGFLOW_PRIVATE_KEY", "0xcanary");
    let ran = bad.run(&["run", "--yes"]).exits(4).says(&["E0801"]);
    assert!(!ran.stderr.contains("canary"));
}

#[test]
fn a_pin_service_that_is_down_is_exit_7_and_the_run_can_be_resumed() {
    let net = Net::up(&[]);
    let project = lab(&net, "real_money = false").var("OGFLOW_PRIVATE_KEY", &rich(&net));
    let config = project.home().join(".config/ogflow/config.toml");
    let good = fs::read_to_string(&config).unwrap();
    let down = good.replace(net.get("pin_url"), "http://127.0.0.1:9/file/create");
    assert_ne!(good, down);
    fs::write(&config, down).unwrap();
    project.run(&["run", "--yes"]).exits(7).says(&[
        "E0902",
        "try 2 of 3",
        "`pin_url`",
        "ogflow resume r-",
    ]);
    fs::write(&config, good).unwrap();
    project.run(&["resume", "--yes"]).exits(0);
    assert_eq!(project.run(&["results", "latest"]).exits(0).lines().len(), 1);
}

/// How far the gas of a run was from what its plan had expected, in percent.
#[track_caller]
fn gas_error(stdout: &str) -> f64 {
    let line = stdout.lines().find(|line| line.starts_with(" Gas predicted ")).expect("the line");
    let percent = line.split_once('(').and_then(|(_, rest)| rest.split_once(" %)"));
    percent.expect("a percentage").0.parse().expect("a number")
}

#[test]
fn gas_is_expected_within_3_percent_and_never_above_its_ceiling() {
    for (source, function) in [("builtin:echo", "echo"), ("builtin:llm", "chat")] {
        let pipeline = ROWS
            .replace("builtin:echo", source)
            .replace("function: echo", &format!("function: {function}"));
        let project = Project::with(&pipeline);
        // A source's first tasks, then others of it; many, then one.
        for count in [30, 30, 1] {
            project.write("rows.csv", rows(count));
            let plan = project.run(&["plan", "--json"]).exits(0).json();
            let wei =
                |name: &str| plan["totals"][name]["max"].as_str().unwrap().parse::<u128>().unwrap();
            assert!(wei("gas_expected_wei") < wei("gas_wei"), "{plan}");
            assert_eq!(wei("total_wei"), wei("payment_wei") + wei("gas_wei"), "at most");
            let ran = project.run(&["run"]).exits(0);
            let error = gas_error(&ran.stdout);
            assert!(error.abs() <= 3.0, "{source}, {count}: {}", ran.stdout);
            let runs = project.run(&["status", "--json"]).exits(0).json();
            let paid = runs["runs"][0]["gas_wei"].as_str().unwrap().parse::<u128>().unwrap();
            assert!(paid <= wei("gas_wei"), "{runs}");
        }
    }
}
