//! Saved plans: what `plan --out` writes, and what `run` does with it or refuses.

use std::fs;

use ogflow::units::canonical;
use serde_json::{Value, json};

use crate::support::{HELLO, Net, Project, ROWS, files, rows};

/// A pipeline with a template, a param and a file of items.
const WHOLE: &str = "\
version: 1
name: whole
params:
  tone: { type: string, default: calm }
steps:
  each:
    source: builtin:echo
    uses: say.yaml
    payment: 0.001 OGPU
    foreach: { file: rows.csv, key: id }
    with: { text: \"{{ item.text }} {{ params.tone }}\" }
";

const TEMPLATE: &str = "\
version: 1
kind: template
name: say
description: Says a text.
inputs:
  text: { type: string }
task:
  function: echo
  data: { text: \"{{ inputs.text }}\" }
";

fn whole() -> Project {
    let project = Project::with(WHOLE);
    project.write("say.yaml", TEMPLATE);
    project.write("rows.csv", rows(3));
    project
}

fn with_rows(count: usize) -> Project {
    let project = Project::with(ROWS);
    project.write("rows.csv", rows(count));
    project
}

/// Changes a saved plan and makes its digest fit again.
fn edit(project: &Project, change: impl FnOnce(&mut Value)) {
    let mut plan: Value = serde_json::from_str(&project.read("plan.json")).unwrap();
    plan.as_object_mut().unwrap().remove("digest");
    change(&mut plan);
    plan["digest"] = json!(canonical::digest(&plan));
    project.write("plan.json", plan.to_string());
}

#[test]
fn a_plan_takes_the_place_of_another_plan_and_of_no_other_file() {
    let project = whole();
    let before = project.read("p.yaml");
    project.run(&["plan", "--out", "p.yaml"]).exits(2).says(&["is no saved plan"]);
    assert_eq!(project.read("p.yaml"), before);
    project.run(&["plan", "--out", "plan.json"]).exits(0);
    project.run(&["plan", "--out", "plan.json"]).exits(0);
}

#[test]
fn a_saved_plan_runs_exactly_and_saving_it_writes_nothing_else() {
    let project = whole();
    let before = files(&project.path());
    project
        .run(&["plan", "--out", "plan.json", "--limit", "2", "--param", "tone=loud"])
        .exits(0)
        .prints(&["2 rows", "TOTAL"])
        .says(&["wrote plan.json", "Next: ogflow run plan.json"]);
    let mut expected = before;
    expected.push("plan.json".to_owned());
    expected.sort();
    assert_eq!(files(&project.path()), expected, "a plan writes its file and nothing else");
    project.run(&["run", "plan.json"]).exits(0);
    let rows = project.run(&["results"]).exits(0).lines();
    assert_eq!(rows.len(), 2);
    assert_eq!(rows[1]["output"]["text"], "text 1 loud");
}

#[test]
fn a_saved_plan_is_the_document_of_the_plan_with_a_schema() {
    let project = with_rows(3);
    let shown = project.run(&["plan", "--json", "--out", "plan.json"]).exits(0).json();
    let saved: Value = serde_json::from_str(&project.read("plan.json")).unwrap();
    assert_eq!(saved["schema"], "ogflow.plan/v1");
    assert_eq!(saved["saved"]["version"], 1);
    assert_eq!(saved["totals"], shown["totals"]);
    let piped = project.run(&["plan", "--out", "-"]).exits(0);
    assert_eq!(piped.json()["saved"], saved["saved"]);
}

#[test]
fn every_file_that_changes_makes_a_plan_stale_and_is_named() {
    let project = whole();
    project.run(&["plan", "--out", "plan.json"]).exits(0);
    for (file, old, new) in [
        ("rows.csv", rows(3), rows(3).replace("text 1", "text one")),
        ("rows.csv", rows(3), rows(4)),
        ("rows.csv", rows(3), "id,other\na,b\n".to_owned()),
        ("rows.csv", rows(3), rows(3) + "r-0,again\n"),
        ("p.yaml", WHOLE.to_owned(), WHOLE.replace("0.001", "0.002")),
        ("p.yaml", WHOLE.to_owned(), "broken: [".to_owned()),
        ("say.yaml", TEMPLATE.to_owned(), TEMPLATE.replace("Says a", "Says the")),
    ] {
        project.write(file, &new);
        let ran = project.run(&["run", "plan.json"]).exits(8);
        let ran = ran.says(&["E0831", "stale", file, "--out plan.json"]);
        let others = ["rows.csv", "p.yaml has", "say.yaml"].into_iter();
        for other in others.filter(|other| !other.starts_with(file)) {
            assert!(!ran.stderr.contains(other), "{file}: {}", ran.stderr);
        }
        project.write(file, &old);
    }
    fs::remove_file(project.path().join("say.yaml")).unwrap();
    project.run(&["run", "plan.json"]).exits(8).says(&["say.yaml (it cannot be read)"]);
    project.spent_nothing();
    project.write("say.yaml", TEMPLATE);
    project.run(&["run", "plan.json"]).exits(0);
}

#[test]
fn the_text_of_a_matched_file_counts_even_where_its_size_does_not_change() {
    let project = Project::with(&ROWS.replace("file: rows.csv, key: id", "file: \"in/*.txt\""));
    project.write("in/a.txt", "one");
    project.run(&["plan", "--out", "plan.json"]).exits(0);
    project.write("in/a.txt", "two");
    project.run(&["run", "plan.json"]).exits(8).says(&["in/*.txt has changed"]);
}

#[test]
fn a_param_that_comes_out_otherwise_makes_a_plan_stale() {
    let project = whole();
    project.write("values.yaml", "tone: loud\n");
    project.run(&["plan", "--out", "plan.json", "--params", "values.yaml"]).exits(0);
    project.write("values.yaml", "tone: soft\n");
    project.run(&["run", "plan.json"]).exits(8).says(&["E0831", "param `tone` has changed"]);
    project.write("values.yaml", "tone: [1]\n");
    project.run(&["run", "plan.json"]).exits(8).says(&["a param has changed"]);
    project.spent_nothing();
}

#[test]
fn what_the_chain_says_now_is_compared_with_what_it_said() {
    type Change = fn(&mut Value);
    let project = with_rows(2);
    project.run(&["plan", "--out", "plan.json"]).exits(0);
    let kept = project.read("plan.json");
    let changes: [(Change, &str); 4] = [
        (
            |plan| {
                plan["saved"]["sources"]["entries"][0]["facts"]["min_payment"] = json!("1");
                plan["fingerprint"]["sources"] = plan["fingerprint"]["inputs"].clone();
            },
            "the minimum payment of source builtin:echo",
        ),
        (
            |plan| {
                let price = plan["fingerprint"]["gas_price_wei"].as_str().unwrap();
                let price: u128 = price.parse().unwrap();
                plan["fingerprint"]["gas_price_wei"] = json!((price * 2).to_string());
            },
            "the gas price",
        ),
        (|plan| plan["signer"]["address"] = json!(format!("0x{:040x}", 1)), "the signer"),
        (|plan| plan["saved"]["ogflow"] = json!("0.0.1"), "ogflow (it was 0.0.1)"),
    ];
    for (change, part) in changes {
        edit(&project, change);
        project.run(&["run", "plan.json"]).exits(8).says(&["E0831", part]);
        project.write("plan.json", &kept);
    }
    edit(&project, |plan| {
        let price = plan["fingerprint"]["gas_price_wei"].as_str().unwrap();
        let price: u128 = price.parse().unwrap();
        plan["fingerprint"]["gas_price_wei"] = json!((price * 9 / 10).to_string());
    });
    project.run(&["run", "plan.json"]).exits(0);
}

#[test]
fn a_plan_and_a_pipeline_are_told_apart_by_their_content() {
    let project = with_rows(2);
    project.run(&["plan", "--out", "plan.yaml"]).exits(0);
    project.write("p.json", ROWS);
    project.run(&["run", "p.json"]).exits(0);
    project.run(&["run", "plan.yaml"]).exits(0);
    let printed = project.run(&["plan", "p.yaml", "--json"]).exits(0).stdout;
    project.write("printed.json", &printed);
    project.run(&["run", "printed.json"]).exits(2).says(&["printed", "--out printed.json"]);
    let damaged = project.read("plan.yaml").replace("\"limit\": null", "\"limit\": 1");
    project.write("damaged.json", &damaged);
    project.run(&["run", "damaged.json"]).exits(2).says(&["edited or damaged"]);
    let newer = project.read("plan.yaml").replace("\"version\": 1", "\"version\": 2");
    project.write("newer.json", &newer);
    project.run(&["run", "newer.json"]).exits(2).says(&["another version"]);
    project.run(&["plan", "plan.yaml"]).exits(2).says(&["ogflow run plan.yaml"]);
}

#[test]
fn a_saved_plan_settles_what_runs_and_where() {
    let project = with_rows(2);
    project.run(&["plan", "--out", "plan.json"]).exits(0);
    for flag in [&["--param", "a=1"][..], &["--limit", "1"], &["--only", "each"]] {
        let args = [&["run", "plan.json"][..], flag].concat();
        project.run(&args).exits(2).says(&[flag[0], "settled by a saved plan"]);
    }
    let ran = project.run(&["run", "plan.json", "--network", "testnet"]).exits(2);
    ran.says(&["is a plan for devnet", "--network devnet"]);
    project.spent_nothing();
}

#[test]
fn a_saved_cap_holds_and_only_a_lower_one_replaces_it() {
    let project = with_rows(2);
    project.run(&["plan", "--out", "plan.json", "--max-spend", "1 OGPU"]).exits(0);
    for (more, cap) in [
        (&[][..], "1000000000000000000"),
        (&["--max-spend", "5 OGPU"], "1000000000000000000"),
        (&["--max-spend", "0.5 OGPU"], "500000000000000000"),
    ] {
        let args = [&["run", "plan.json", "--json"][..], more].concat();
        let started = &project.run(&args).exits(0).lines()[0];
        assert_eq!(started["cap_wei"], cap, "{more:?}");
    }
}

#[test]
fn a_saved_plan_asks_where_money_is_real_and_holds_no_secret() {
    let net = Net::up(&[]);
    let echo = net.ready["sources"]["echo"].as_str().unwrap();
    let project = Project::with(&HELLO.replace("builtin:echo", &format!("\"{echo}\"")));
    let config = project.home().join(".config/ogflow");
    fs::create_dir_all(&config).unwrap();
    fs::write(config.join("config.toml"), net.profile("")).unwrap();
    let key = net.get("private_key");
    let project = project.var("OGFLOW_NETWORK", "lab").var("OGFLOW_PRIVATE_KEY", key);
    project.run(&["plan", "--out", "plan.json"]).exits(0);
    let text = project.read("plan.json").to_lowercase();
    assert!(!text.contains(&key.trim_start_matches("0x").to_lowercase()), "the key is in it");
    assert!(!text.contains(net.get("url")), "the address of a node is in it");
    project.run(&["run", "plan.json"]).exits(4).says(&["E0802", "real money"]);
    project.run(&["run", "plan.json", "--yes"]).exits(4).says(&["E0803", "--max-spend"]);
    project.spent_nothing();
    let run = ["run", "plan.json", "--yes", "--max-spend", "3 OGPU", "--json"];
    let started = &project.run(&run).exits(0).lines()[0];
    // Never above what the plan showed, whatever the flag says.
    assert_eq!(started["cap_wei"], "10000000000000000");
}

#[test]
fn a_pipeline_from_stdin_cannot_be_saved() {
    let project = Project::new();
    project.write("p.yaml", HELLO);
    let mut command = project.command(&["plan", "-", "--out", "plan.json"]);
    command.stdin(fs::File::open(project.path().join("p.yaml")).unwrap());
    crate::support::Running::start(command).end().exits(2).says(&["stdin"]);
    assert!(!project.path().join("plan.json").exists());
}
