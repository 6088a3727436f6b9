//! Flags that every command takes, and flags of later versions.

use crate::support::{HELLO, Project, ROWS, rows};

#[test]
fn settings_files_can_be_named_and_left_out() {
    let project = Project::with(HELLO);
    project.write("ogflow.toml", "network = \"testnet\"\n");
    project.run(&["plan"]).exits(3).says(&["builtin:echo"]);
    project.run(&["plan", "--no-config"]).exits(0).prints(&["on devnet"]);
    project.write("ogflow.toml", "");
    project.write("mine.toml", "max_spend = \"0.5 OGPU\"\n");
    let plan = project.run(&["plan", "--json", "--config-file", "mine.toml"]).exits(0).json();
    assert_eq!(plan["totals"]["cap_wei"], "500000000000000000");
    project.run(&["plan", "--config-file", "nope.toml"]).exits(3).says(&["nope.toml"]);
}

#[test]
fn an_env_file_can_be_named_and_left_out() {
    let project = Project::with(HELLO);
    project.write(".env", "OGFLOW_MAX_SPEND=0.25 OGPU\n");
    project.write("other.env", "OGFLOW_MAX_SPEND=0.125 OGPU\n");
    for (flags, cap) in [
        (&[][..], serde_json::json!("250000000000000000")),
        (&["--env-file", "other.env"], serde_json::json!("125000000000000000")),
        (&["--no-env-file"], serde_json::Value::Null),
    ] {
        let plan = project.run(&[&["plan", "--json"][..], flags].concat()).exits(0).json();
        assert_eq!(plan["totals"]["cap_wei"], cap, "{flags:?}");
    }
    let missing = project.run(&["plan", "--env-file", "nope.env"]);
    assert!(missing.code != 0 && missing.stderr.contains("nope.env"), "{missing:?}");
}

#[test]
fn a_command_works_in_another_folder() {
    let project = Project::new();
    project.write("deep/p.yaml", ROWS);
    project.write("deep/rows.csv", rows(2));
    project.run(&["-C", "deep", "plan", "--out", "plan.json"]).exits(0);
    project.run(&["-C", "deep", "run", "plan.json"]).exits(0);
    assert!(
        project.path().join("deep/.ogflow").is_dir() && !project.path().join(".ogflow").exists()
    );
    project.run(&["-C", "nowhere", "plan"]).exits(2).says(&["nowhere"]);
}

#[test]
fn accessible_screens_are_words_and_lists() {
    let project = Project::with(HELLO);
    project.run(&["run", "--accessible"]).exits(0);
    for args in [&["status", "--accessible"][..], &["status", "--tasks", "--accessible"]] {
        let shown = project.run(args).exits(0).stdout;
        assert!(!shown.contains('│') && !shown.contains("  STATE"), "{shown}");
        assert!(shown.to_lowercase().contains("state"), "{shown}");
    }
}

#[test]
fn flags_of_later_versions_say_what_does_the_job_today() {
    let project = Project::with(HELLO);
    for (args, tip) in [
        (&["plan", "--explain"][..], "not reused yet"),
        (&["plan", "--no-cache"], "not reused yet"),
        (&["run", "--no-cache"], "nothing to switch off"),
        (&["run", "--canary", "3"], "--limit N"),
        (&["run", "--canary=3"], "--limit N"),
    ] {
        project.run(args).exits(2).says(&["not part of this version yet", tip, "Exit 2"]);
    }
    project.run(&["run", "--max-sped", "1 OGPU"]).exits(2).says(&["--max-spend"]);
    project.spent_nothing();
}
