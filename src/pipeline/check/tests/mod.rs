//! Files in memory, and helpers that make a test three lines long.

mod bad_input;
mod bad_steps;
mod good_input;
mod hostile;
mod yaml;

use std::collections::BTreeMap;
use std::io::{Cursor, Read};

use super::*;
use crate::pipeline::loader::{FoundFile, LoadError};
use crate::pipeline::problem::Look;

/// Files in memory, by path from the root of the project.
#[derive(Default)]
struct Files(BTreeMap<String, Vec<u8>>);

impl Files {
    fn with(mut self, path: &str, bytes: impl Into<Vec<u8>>) -> Self {
        self.0.insert(path.into(), bytes.into());
        self
    }

    /// The path from the root, `None` if it leaves the project.
    fn place(from: &str, path: &str) -> Option<String> {
        let mut parts: Vec<&str> = from.split('/').collect();
        parts.pop();
        if path.starts_with('/') {
            return None;
        }
        for part in path.split('/') {
            match part {
                "" | "." => {}
                ".." => drop(parts.pop()?),
                name => parts.push(name),
            }
        }
        Some(parts.join("/"))
    }

    fn bytes(&self, from: &str, path: &str) -> Result<&[u8], LoadError> {
        let path = path.to_owned();
        let Some(place) = Self::place(from, &path) else {
            return Err(LoadError::Outside { path });
        };
        self.0.get(&place).map(Vec::as_slice).ok_or(LoadError::Missing { path })
    }
}

impl Loader for Files {
    fn text(&self, from: &str, path: &str) -> Result<Arc<SourceText>, LoadError> {
        let bytes = self.bytes(from, path)?.to_vec();
        let text = String::from_utf8(bytes).map_err(|error| LoadError::NotUtf8 {
            path: path.into(),
            at: error.utf8_error().valid_up_to(),
        })?;
        Ok(SourceText::new(Self::place(from, path).unwrap_or_default(), text))
    }

    fn open(&self, from: &str, path: &str) -> Result<Box<dyn Read + Send>, LoadError> {
        Ok(Box::new(Cursor::new(self.bytes(from, path)?.to_vec())))
    }

    fn glob(&self, from: &str, pattern: &str) -> Result<Vec<FoundFile>, LoadError> {
        match Self::place(from, pattern) {
            Some(_) => Ok(Vec::new()),
            None => Err(LoadError::Outside { path: pattern.into() }),
        }
    }

    fn inside(&self, from: &str, path: &str) -> Result<(), LoadError> {
        match Self::place(from, path) {
            Some(_) => Ok(()),
            None => Err(LoadError::Outside { path: path.into() }),
        }
    }

    fn env(&self, name: &str) -> Option<String> {
        (name == "SUBJECT").then(|| "whales".to_owned())
    }
}

fn checked(text: &str, files: &Files) -> (Option<Pipeline>, Vec<Problem>) {
    checked_on(&Network::devnet(), text, files, &[])
}

fn checked_on(
    network: &Network,
    text: &str,
    files: &Files,
    params: &[(String, ParamValue)],
) -> (Option<Pipeline>, Vec<Problem>) {
    let file = SourceText::new("p.yaml", text);
    Pipeline::check(&file, Setting { loader: files, params, network })
}

/// The pipeline of a text that has no problems at all.
fn clean(text: &str, files: &Files) -> Pipeline {
    let (pipeline, problems) = checked(text, files);
    let shown: String = problems.iter().map(|problem| problem.render(Look::default())).collect();
    assert!(problems.is_empty(), "{shown}");
    pipeline.unwrap()
}

/// What is told of a problem: code, line, column, the marked text.
fn told(problem: &Problem) -> (&'static str, usize, usize, String) {
    let (line, column) = problem.position().unwrap_or_default();
    let marked = problem.marked().unwrap_or_default().to_owned();
    (problem.code.as_str(), line, column, marked)
}

/// A pipeline with one step, whose keys are given, indented by four blanks.
fn one_step(keys: &str) -> String {
    format!("version: 1\nname: t\nsteps:\n  a:\n{keys}")
}

/// The keys that a step cannot do without, and four further lines.
fn step_with(keys: &str) -> String {
    one_step(&format!(
        "    source: builtin:echo\n    function: echo\n    payment: 0.001 OGPU\n    data: {{ a: 1 }}\n{keys}"
    ))
}

/// Code, line, column, marked text, and what message or help must contain.
type Expected = (&'static str, usize, usize, &'static str, &'static str);

fn assert_told(text: &str, files: &Files, expected: &[Expected]) {
    let (pipeline, problems) = checked(text, files);
    let shown: String = problems.iter().map(|problem| problem.render(Look::default())).collect();
    let found: Vec<_> = problems.iter().map(told).collect();
    let wanted: Vec<_> = expected
        .iter()
        .map(|(code, line, column, marked, _)| (*code, *line, *column, (*marked).to_owned()))
        .collect();
    assert_eq!(found, wanted, "{text}\n{shown}");
    for (problem, (.., words)) in problems.iter().zip(expected) {
        let said = format!("{} {}", problem.message, problem.help.clone().unwrap_or_default());
        assert!(said.contains(words), "`{words}` is not in `{said}`");
    }
    let errors = expected.iter().any(|(code, ..)| code.starts_with('E'));
    assert_eq!(pipeline.is_none(), errors, "{shown}");
}

fn rows() -> Files {
    Files::default().with("data/r.csv", "id,text,stars\n1,a,4\n2,b,5\n")
}
