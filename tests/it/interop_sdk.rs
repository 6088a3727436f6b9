//! The unmodified Python SDK against `ogflow devnet up`.

use std::process::Command;

use serde_json::{Value, json};

use super::interop_kit::{Program, Tools, json_of, python, tools};

/// A served devnet in a folder of its own.
fn devnet_up(folder: &tempfile::TempDir) -> Program {
    let mut command = Command::new(env!("CARGO_BIN_EXE_ogflow"));
    command.args(["devnet", "up", "--port", "0", "--json"]).current_dir(folder.path());
    Program::start(&mut command)
}

fn report(tools: &Tools, mode: &str) -> Value {
    let folder = tempfile::tempdir().unwrap();
    let devnet = devnet_up(&folder);
    let ready = devnet.json();
    let text = |name: &str| ready[name].as_str().unwrap().to_owned();
    let mut sdk = python(tools, "sdk_publish.py");
    sdk.args([text("url"), text("pin_url"), mode.into()]);
    json_of(sdk.env("CLIENT_PRIVATE_KEY", text("private_key")))
}

/// What the SDK must have seen, whatever the source's delivery is.
fn assert_seen(report: &Value, delivery: &str) {
    for fact in [
        "source_client",
        "source_tasks",
        "task_config",
        "task_payment",
        "confirmed",
        "winner",
        "output",
        "vault_paid",
        "provider_earned",
    ] {
        assert_eq!(report[fact], json!(true), "{fact}: {report:#}");
    }
    for (fact, value) in [
        ("source_status", json!("ACTIVE")),
        ("task_delivery", json!(delivery)),
        ("attempters", json!(1)),
        ("responses", json!(1)),
        ("confirmed_status", json!("CONFIRMED")),
        ("vault_frozen", json!(0)),
    ] {
        assert_eq!(report[fact], value, "{fact}: {report:#}");
    }
    let statuses = report["statuses"].as_array().unwrap();
    assert!(statuses.contains(&json!("FINALIZED")), "{report:#}");
}

#[test]
fn the_python_sdk_publishes_to_a_manual_source_and_confirms_the_response() {
    let Some(tools) = tools("the Python SDK on the devnet, manual source") else { return };
    assert_seen(&report(&tools, "manual"), "MANUAL_CONFIRMATION");
}

#[test]
fn the_python_sdk_publishes_to_a_source_that_pays_the_first_response() {
    let Some(tools) = tools("the Python SDK on the devnet, first response") else { return };
    assert_seen(&report(&tools, "first"), "FIRST_RESPONSE");
}
