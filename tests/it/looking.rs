//! Looking at runs: forms, fields, `--where`, graphs.

use crate::support::{Project, rows};

/// Six rows, of which two fail their check.
const SOME_FAIL: &str = "\
version: 1
name: some
steps:
  each:
    source: builtin:llm
    function: process_data
    payment: 0.001 OGPU
    foreach: { file: rows.csv, key: id }
    data: { text: \"{{ item.text }}\" }
    accept: { when: [\"item.id not in ['r-1', 'r-4']\"] }
    allow_failures: 50%
    retry: { max: 0 }
";

fn ran() -> Project {
    let project = Project::with(SOME_FAIL);
    project.write("rows.csv", rows(6));
    project.run(&["run", "--devnet", "providers=1"]).exits(0);
    project
}

#[test]
fn tasks_and_results_are_chosen_by_what_they_are() {
    let project = ran();
    let names = |expression: &str| {
        let args = ["status", "--tasks", "--where", expression, "-o", "name"];
        project.run(&args).exits(0).stdout
    };
    assert_eq!(names("state == 'failed'"), "each/r-1\neach/r-4\n");
    assert_eq!(names("key in ['r-0', 'r-5']"), "each/r-0\neach/r-5\n");
    assert_eq!(names("paid_wei > money('0.0005 OGPU')").lines().count(), 4);
    assert_eq!(names("state == 'canceled'"), "");
    let keys = |expression: &str| -> Vec<String> {
        let rows = project.run(&["results", "--where", expression]).exits(0).lines();
        rows.iter().map(|row| row["key"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(keys("item.id > 'r-2'"), ["r-3", "r-5"]);
    let args = ["results", "--where", "state == 'failed'", "--errors", "lost.jsonl"];
    assert_eq!(project.run(&args).exits(0).stdout, "");
    assert_eq!(project.read("lost.jsonl").lines().count(), 2);
    let csv = ["results", "--where", "key == 'r-0'", "--format", "csv"];
    assert_eq!(project.run(&csv).exits(0).stdout.lines().count(), 2);
}

#[test]
fn a_where_that_means_nothing_is_refused_with_a_tip() {
    let project = ran();
    for (args, parts) in [
        (&["status", "--tasks", "--where", "sate == 'x'"][..], &["did you mean `state`?"][..]),
        (&["status", "--tasks", "--where", "state =="], &["is no expression"]),
        (&["status", "--where", "state == 'failed'"], &["--tasks"]),
        (&["results", "--where", "outptu.x"], &["did you mean `output`?"]),
        (&["results", "--where", "output.nope > 3"], &["holds for no row"]),
        (&["status", "--fields", "run"], &["json and jsonl", "-o jsonl"]),
    ] {
        project.run(args).exits(2).says(parts);
    }
    let some = project.run(&["results", "--where", "output.result is defined and reason == none"]);
    drop(some.exits(0));
}

#[test]
fn runs_and_tasks_have_every_form() {
    let project = ran();
    let out = |args: &[&str]| project.run(args).exits(0).stdout;
    let id = out(&["status", "-o", "name"]).trim().to_owned();
    assert!(id.starts_with("r-"), "{id}");
    assert_eq!(out(&["status", &id, "-o", "name"]).trim(), id);
    let wide = out(&["status", "-o", "wide"]);
    assert!(wide.contains("STARTED") && wide.contains("GAS"), "{wide}");
    assert!(out(&["status", &id, "-o", "csv"]).starts_with("step,items,published,"));
    assert!(out(&["status", "-o", "csv"]).starts_with("run,pipeline,"));
    let short = out(&["status", "--tasks"]);
    let wide = out(&["status", "--tasks", "-o", "wide"]);
    let address = out(&["status", "--tasks", "-o", "csv", "--limit", "1"]);
    let address = address.trim().rsplit(',').next().unwrap().to_owned();
    assert!(address.len() == 42 && wide.contains(&address) && !short.contains(&address));
    let line = project.run(&["status", "--tasks", "-o", "jsonl", "--fields", "key,state"]);
    let lines = line.exits(0).lines();
    assert_eq!(lines[0], serde_json::json!({"key": "r-0", "state": "confirmed"}));
    assert_eq!(out(&["status", &id, "each/r-2", "-o", "name"]), "each/r-2\n");
}

#[test]
fn a_graph_is_drawn_for_programs_and_with_the_state_of_a_run() {
    let project = ran();
    let dot = project.run(&["graph", "--format", "dot"]).exits(0).stdout;
    assert!(dot.starts_with("digraph {") && dot.contains("n0 -> n1"), "{dot}");
    let json = project.run(&["graph", "--json"]).exits(0).json();
    assert_eq!(json["schema"], "ogflow.graph/v1");
    assert_eq!(json["arrows"][0], serde_json::json!({"from": "rows.csv", "to": "each"}));
    project.run(&["graph", "--run", "latest"]).exits(0).prints(&["each (4/6, 2 failed)"]);
    let mermaid = project.run(&["graph", "--run", "latest", "--format", "mermaid"]).exits(0);
    mermaid.prints(&["style n1 fill:"]);
    project.run(&["graph", "--run", "r-none"]).exits(2).says(&["there is no run"]);
    project.run(&["graph", "p.yaml", "--run", "latest"]).exits(2);
}
