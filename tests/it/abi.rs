//! The interfaces in `chain::contract`, the devnet's artifacts and the ABI files of the Python
//! package `ogpu` say the same.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

use alloy::primitives::hex;
use ogflow::chain::contract::abi::{
    IController, IErrors, INexus, IResponse, ISource, ITask, ITerminal, IVault,
};
use serde::Deserialize;
use serde_json::Value;

/// (signature, selector) of every function that ogflow calls or reads.
fn functions() -> BTreeMap<&'static str, Vec<(&'static str, String)>> {
    macro_rules! of {
        ($($contract:literal = $calls:ty;)*) => {
            BTreeMap::from([$(($contract, pairs(<$calls>::SIGNATURES, <$calls>::SELECTORS)),)*])
        };
    }
    of! {
        "Controller" = IController::IControllerCalls;
        "Nexus" = INexus::INexusCalls;
        "Terminal" = ITerminal::ITerminalCalls;
        "Vault" = IVault::IVaultCalls;
        "Source" = ISource::ISourceCalls;
        "Task" = ITask::ITaskCalls;
        "Response" = IResponse::IResponseCalls;
    }
}

/// (signature, first topic) of every event that ogflow reads.
fn events() -> BTreeMap<&'static str, Vec<(&'static str, String)>> {
    macro_rules! of {
        ($($contract:literal = $events:ty;)*) => {
            BTreeMap::from([$(($contract, pairs(<$events>::SIGNATURES, <$events>::SELECTORS)),)*])
        };
    }
    of! {
        "Nexus" = INexus::INexusEvents;
        "Terminal" = ITerminal::ITerminalEvents;
        "Vault" = IVault::IVaultEvents;
    }
}

fn pairs<const N: usize>(
    signatures: &[&'static str],
    hashes: &[[u8; N]],
) -> Vec<(&'static str, String)> {
    signatures.iter().copied().zip(hashes.iter().map(hex::encode)).collect()
}

#[derive(Debug, Deserialize, PartialEq, Eq)]
struct Function {
    selector: String,
    outputs: String,
    mutability: String,
}

#[derive(Debug, Deserialize)]
struct Event {
    topic: String,
    indexed: usize,
}

#[derive(Debug, Deserialize)]
struct Contract {
    functions: BTreeMap<String, Function>,
    events: BTreeMap<String, Event>,
    errors: BTreeMap<String, String>,
}

/// By network and contract.
type Facts = BTreeMap<String, BTreeMap<String, Contract>>;

/// What the package says, or why it could not be asked.
#[expect(clippy::disallowed_methods, reason = "tests are told by the environment")]
fn facts() -> Result<Facts, String> {
    let path = std::env::var("OGFLOW_ABI_FACTS");
    let text = match path {
        Ok(path) => std::fs::read_to_string(path).unwrap(),
        Err(_) => {
            let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/interop");
            let python = folder.join(".venv/bin/python");
            if !python.exists() {
                assert!(std::env::var("OGFLOW_INTEROP").is_err(), "tests/interop/.venv is missing");
                return Err("tests/interop/.venv is missing; tests/run.sh makes it".into());
            }
            let script = folder.join("abi_facts.py");
            let output = Command::new(python).arg(script).output().unwrap();
            assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
            String::from_utf8(output.stdout).unwrap()
        }
    };
    Ok(serde_json::from_str(&text).unwrap())
}

fn facts_or_say_why(test: &str) -> Option<Facts> {
    facts().map_err(|why| super::interop_kit::say_not_run(test, &why)).ok()
}

#[test]
fn every_selector_is_that_of_the_python_packages_abi() {
    let Some(facts) = facts_or_say_why("every_selector_is_that_of_the_python_packages_abi") else {
        return;
    };
    let mut compared = 0;
    for (network, contracts) in &facts {
        for (contract, ours) in functions() {
            for (signature, selector) in ours {
                let theirs = contracts[contract].functions.get(signature);
                let theirs = theirs.map(|function| function.selector.as_str());
                assert_eq!(theirs, Some(selector.as_str()), "{network} {contract} {signature}");
                compared += 1;
            }
        }
        let custom = pairs(IErrors::IErrorsErrors::SIGNATURES, IErrors::IErrorsErrors::SELECTORS);
        for (signature, selector) in custom {
            let theirs: Vec<_> =
                contracts.values().filter_map(|c| c.errors.get(signature)).collect();
            assert!(!theirs.is_empty(), "{network} {signature}");
            assert!(theirs.iter().all(|theirs| **theirs == selector), "{network} {signature}");
        }
    }
    assert!(compared > 100, "{compared} selectors");
}

#[test]
fn every_topic_is_that_of_the_python_packages_abi_and_nothing_is_indexed() {
    let name = "every_topic_is_that_of_the_python_packages_abi_and_nothing_is_indexed";
    let Some(facts) = facts_or_say_why(name) else { return };
    for (network, contracts) in &facts {
        for (contract, ours) in events() {
            for (signature, topic) in ours {
                let theirs = &contracts[contract].events[signature];
                assert_eq!((&theirs.topic, theirs.indexed), (&topic, 0), "{network} {signature}");
            }
        }
    }
}

/// The ABI of an artifact in `contracts/`.
fn artifact(contract: &str) -> Vec<Value> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("contracts/artifacts");
    let text = std::fs::read_to_string(folder.join(format!("{contract}.json"))).unwrap();
    let artifact: Value = serde_json::from_str(&text).unwrap();
    artifact["abi"].as_array().unwrap().clone()
}

fn shape(parameters: &Value) -> String {
    let shapes: Vec<_> = parameters.as_array().unwrap().iter().map(shape_of_one).collect();
    format!("({})", shapes.join(","))
}

fn shape_of_one(parameter: &Value) -> String {
    let kind = parameter["type"].as_str().unwrap();
    match kind.strip_prefix("tuple") {
        Some(suffix) => format!("{}{suffix}", shape(&parameter["components"])),
        None => kind.to_owned(),
    }
}

/// Signature to (outputs, mutability) of an artifact's functions.
fn compiled(contract: &str) -> BTreeMap<String, (String, String)> {
    let entries = artifact(contract);
    let functions = entries.iter().filter(|entry| entry["type"] == "function");
    functions
        .map(|entry| {
            let name = entry["name"].as_str().unwrap();
            let mutability = entry["stateMutability"].as_str().unwrap().to_owned();
            (format!("{name}{}", shape(&entry["inputs"])), (shape(&entry["outputs"]), mutability))
        })
        .collect()
}

#[test]
fn the_devnets_contracts_have_every_function_and_event_that_ogflow_uses() {
    for (contract, ours) in functions() {
        let compiled = compiled(contract);
        for (signature, _) in ours {
            assert!(compiled.contains_key(signature), "{contract} {signature}");
        }
    }
    for (contract, ours) in events() {
        let entries = artifact(contract);
        let compiled: Vec<_> = entries
            .iter()
            .filter(|entry| entry["type"] == "event")
            .map(|entry| {
                let inputs = entry["inputs"].as_array().unwrap();
                assert!(inputs.iter().all(|input| input["indexed"] == false), "{contract}");
                format!("{}{}", entry["name"].as_str().unwrap(), shape(&entry["inputs"]))
            })
            .collect();
        for (signature, _) in ours {
            assert!(compiled.iter().any(|known| known == signature), "{contract} {signature}");
        }
    }
}

#[test]
fn the_devnets_contracts_return_what_the_python_packages_abi_says() {
    let name = "the_devnets_contracts_return_what_the_python_packages_abi_says";
    let Some(facts) = facts_or_say_why(name) else { return };
    let mut compared = 0;
    for contract in functions().into_keys() {
        for (signature, (outputs, mutability)) in compiled(contract) {
            let Some(theirs) = facts["testnet"][contract].functions.get(&signature) else {
                continue;
            };
            assert_eq!(outputs, theirs.outputs, "{contract} {signature}");
            // A constant needs no state; callers see no difference.
            let mutability = mutability.replace("pure", "view");
            assert_eq!(mutability, theirs.mutability, "{contract} {signature}");
            compared += 1;
        }
    }
    assert!(compared > 80, "{compared} functions");
}
