//! The doors between the rooms, held by a scan of the sources.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// Which rooms each room may import.
const DOORS: [(&str, &[&str]); 11] = [
    ("units", &[]),
    ("pipeline", &["units"]),
    ("plan", &["units", "pipeline"]),
    ("engine", &["units", "plan"]),
    ("chain", &["units"]),
    ("content", &["units"]),
    ("devnet", &["units", "chain"]),
    ("store", &["units", "engine"]),
    ("report", &["units", "plan", "engine"]),
    ("driver", &["units", "plan", "engine", "chain", "content", "store"]),
    (
        "cli",
        &[
            "units", "pipeline", "plan", "engine", "chain", "content", "devnet", "store", "report",
            "driver",
        ],
    ),
];

/// The one file behind a door that is otherwise shut: `chain` may name the proof that a fact is
/// durable.
const KEYHOLE: (&str, &str) = ("chain", "store::durable");

/// Crates that only these rooms may name.
const HOMES: [(&str, &[&str]); 8] = [
    ("rusqlite", &["store"]),
    ("clap", &["cli"]),
    ("indicatif", &["cli"]),
    ("miette", &["pipeline"]),
    ("revm", &["devnet"]),
    ("axum", &["devnet", "cli", "content", "chain"]),
    ("reqwest", &["content", "chain", "devnet"]),
    ("minijinja", &["pipeline"]),
];

/// What must not stand anywhere in `src/`, outside of tests: layers that pick nonces or send again
/// on their own, and work that was left undone.
const BANNED: [&str; 9] = [
    "NonceFiller",
    "GasFiller",
    "with_recommended_fillers",
    "RetryBackoffLayer",
    "FallbackLayer",
    "todo!",
    "unimplemented!",
    "arbitrary_precision",
    "untagged",
];

/// Alloy types that every room may name.
const PRIMITIVES: [&str; 6] = ["Address", "B256", "Bytes", "U256", "address", "keccak256"];

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// Every source file with its room and its text without comments, test modules cut off.
fn sources() -> Vec<(String, PathBuf, String)> {
    fn walk(folder: &Path, found: &mut Vec<PathBuf>) {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                walk(&path, found);
            } else if path.extension().is_some_and(|end| end == "rs") {
                found.push(path);
            }
        }
    }
    let src = root().join("src");
    let mut files = Vec::new();
    walk(&src, &mut files);
    files.sort();
    files
        .into_iter()
        .filter(|path| !is_test_file(path))
        .filter_map(|path| {
            let inner = path.strip_prefix(&src).unwrap();
            let first = inner.components().next().unwrap().as_os_str().to_string_lossy();
            let room = first.trim_end_matches(".rs").to_owned();
            let text = fs::read_to_string(&path).unwrap();
            let text = text.split("\n#[cfg(test)]\nmod tests {").next().unwrap().to_owned();
            let code: String = text
                .lines()
                .filter(|line| !line.trim_start().starts_with("//"))
                .map(|line| format!("{line}\n"))
                .collect();
            (room != "main" && room != "lib").then_some((room, path, code))
        })
        .collect()
}

fn is_test_file(path: &Path) -> bool {
    let text = path.display().to_string();
    ["tests", "_tests.rs", "tests.rs", "fixture.rs", "scripted.rs", "kit.rs"]
        .iter()
        .any(|part| text.contains(part))
}

/// The words behind `crate::` in a text: `crate::room::…` and `use crate::{room, …}`.
fn imports(code: &str) -> BTreeSet<String> {
    let word = |text: &str| -> String {
        text.chars().take_while(|c| c.is_alphanumeric() || *c == '_' || *c == ':').collect()
    };
    let mut found = BTreeSet::new();
    for (at, _) in code.match_indices("crate::") {
        let rest = &code[at + "crate::".len()..];
        if let Some(list) = rest.strip_prefix('{') {
            let list = &list[..list.find('}').unwrap_or(list.len())];
            found.extend(list.split(',').map(|part| word(part.trim())));
        } else {
            found.insert(word(rest));
        }
    }
    found
}

#[test]
fn every_room_imports_only_what_its_doors_allow() {
    let rooms: Vec<&str> = DOORS.iter().map(|(room, _)| *room).collect();
    for (room, path, code) in sources() {
        let (_, doors) = DOORS
            .iter()
            .find(|(name, _)| *name == room)
            .unwrap_or_else(|| panic!("{room} is not on the table of doors"));
        for import in imports(&code) {
            let target = import.split(':').next().unwrap().to_owned();
            let keyhole = room == KEYHOLE.0 && import.starts_with(KEYHOLE.1);
            let is_room = rooms.contains(&target.as_str());
            assert!(
                !is_room || target == room || doors.contains(&target.as_str()) || keyhole,
                "{}: {room} may not import `{import}`",
                path.display()
            );
        }
    }
}

#[test]
fn every_folder_of_the_sources_is_on_the_table() {
    for entry in fs::read_dir(root().join("src")).unwrap() {
        let entry = entry.unwrap();
        let name = entry.file_name().to_string_lossy().into_owned();
        if entry.path().is_dir() {
            assert!(DOORS.iter().any(|(room, _)| *room == name), "{name} is not on the table");
        }
    }
}

#[test]
fn crates_stay_in_their_rooms() {
    for (room, path, code) in sources() {
        for (name, homes) in HOMES {
            let used = code.contains(&format!("{name}::")) || code.contains(&format!("use {name}"));
            assert!(
                !used || homes.contains(&room.as_str()),
                "{}: only {homes:?} may name {name}",
                path.display()
            );
        }
    }
}

#[test]
fn alloy_beyond_its_primitives_is_for_the_chain_and_the_devnet() {
    for (room, path, code) in sources() {
        if room == "chain" || room == "devnet" {
            continue;
        }
        for (at, _) in code.match_indices("alloy::") {
            let rest = &code[at + "alloy::".len()..];
            assert!(rest.starts_with("primitives::"), "{}: {}", path.display(), line_of(rest));
            let names = rest["primitives::".len()..].trim_start_matches('{');
            let names =
                &names[..names.find(['}', ';', '(', ')', '>', '\n']).unwrap_or(names.len())];
            for name in names.split(',').map(str::trim).filter(|name| !name.is_empty()) {
                let name = name.split("::").next().unwrap();
                let name: String = name.chars().take_while(|c| c.is_alphanumeric()).collect();
                assert!(PRIMITIVES.contains(&name.as_str()), "{}: {name}", path.display());
            }
        }
    }
}

fn line_of(text: &str) -> &str {
    text.lines().next().unwrap_or(text)
}

#[test]
fn banned_names_stand_nowhere() {
    for (_, path, code) in sources() {
        for name in BANNED {
            assert!(!code.contains(name), "{} names `{name}`", path.display());
        }
    }
}

#[test]
fn the_pure_rooms_know_no_clock_no_runtime_and_no_hash_map() {
    for (room, path, code) in sources() {
        if !["units", "plan", "engine", "report"].contains(&room.as_str()) {
            continue;
        }
        for name in ["tokio::", "SystemTime", "Instant::now", "std::env", "std::net", "std::fs"] {
            assert!(!code.contains(name), "{} names `{name}`", path.display());
        }
        if room == "engine" {
            for name in ["HashMap", "HashSet", "RandomState", "tracing::"] {
                assert!(!code.contains(name), "{} names `{name}`", path.display());
            }
        }
    }
}

#[test]
fn every_test_file_is_listed() {
    let folder = root().join("tests/it");
    let main = fs::read_to_string(folder.join("main.rs")).unwrap();
    for entry in fs::read_dir(&folder).unwrap() {
        let entry = entry.unwrap();
        let name = entry.file_name().to_string_lossy().into_owned();
        let module = name.trim_end_matches(".rs");
        let has_code = name.ends_with(".rs") || entry.path().join("mod.rs").is_file();
        if module != "main" && has_code {
            assert!(main.contains(&format!("mod {module};")), "{name} is not in main.rs");
        }
    }
}

#[test]
fn the_documents_name_files_that_exist() {
    for document in ["README.md", "ARCHITECTURE.md", "CONTRIBUTING.md"] {
        let Ok(text) = fs::read_to_string(root().join(document)) else { continue };
        for word in text.split(['`', '(', ')', ' ', '\n', ',', ';']) {
            let path = word.trim_end_matches(['.', ':', '/']);
            let named = ["src/", "tests/", "pipelines/", "templates/", "contracts/", "benches/"]
                .iter()
                .any(|start| path.starts_with(start));
            let plain = path.chars().all(|c| c.is_alphanumeric() || "/._-".contains(c));
            if named && plain && !path.contains("/.") {
                assert!(root().join(path).exists(), "{document} names {path}");
            }
        }
    }
}
