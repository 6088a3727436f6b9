//! What the interop tests share: the tools that `tests/run.sh` installs, and child processes that
//! end with their test.

use std::ffi::OsStr;
use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::mpsc;
use std::time::Duration;

use serde_json::Value;

/// How long a program may take to say that it is ready.
const READY: Duration = Duration::from_secs(120);

/// The programs of other people that the interop tests run.
pub(crate) struct Tools {
    /// The Python of the venv, with the SDK and VADER.
    pub(crate) python: PathBuf,
    /// A foreign EVM node.
    pub(crate) anvil: PathBuf,
    /// The review snippets: id, rating, text.
    pub(crate) reviews: PathBuf,
}

/// The folder with the Python programs.
pub(crate) fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/interop")
}

/// The tools, or `None` with a line on stderr that says which test did not run, and why.
///
/// Under `OGFLOW_INTEROP=1`, which `tests/run.sh` sets, a missing tool is a failure.
pub(crate) fn tools(test: &str) -> Option<Tools> {
    let tools = Tools {
        python: folder().join(".venv/bin/python"),
        anvil: folder().join("node_modules/.bin/anvil"),
        reviews: folder().join(".data/reviews.csv"),
    };
    let missing = [&tools.python, &tools.anvil, &tools.reviews];
    let Some(missing) = missing.into_iter().find(|path| !path.exists()) else {
        return Some(tools);
    };
    let what = missing.strip_prefix(env!("CARGO_MANIFEST_DIR")).unwrap_or(missing);
    let why = format!("{} is missing; tests/run.sh installs it", what.display());
    assert!(std::env::var_os("OGFLOW_INTEROP").is_none(), "{test} cannot run: {why}");
    say_not_run(test, &why);
    None
}

/// Says that a test did not run, past the macros, whose output the test runner keeps to itself
/// when a test passes.
pub(crate) fn say_not_run(test: &str, why: &str) {
    let line = format!("not run: {test}: {why}\n");
    std::io::stderr().write_all(line.as_bytes()).unwrap();
}

/// A child process that is killed when the test is over, however it ends.
pub(crate) struct Program {
    child: Child,
    /// The first line that it printed.
    pub(crate) ready: String,
}

impl Program {
    /// Starts a program and waits for its first line on stdout.
    pub(crate) fn start(command: &mut Command) -> Self {
        let mut child =
            command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("it starts");
        let stdout = child.stdout.take().expect("stdout is a pipe");
        let (sender, receiver) = mpsc::channel();
        std::thread::spawn(move || {
            let mut lines = BufReader::new(stdout).lines();
            drop(sender.send(lines.next().and_then(Result::ok).unwrap_or_default()));
            // The rest is read too, so that the program never waits for a reader.
            lines.for_each(drop);
        });
        let ready = receiver.recv_timeout(READY).unwrap_or_default();
        let program = Self { child, ready };
        assert!(!program.ready.is_empty(), "{command:?} said nothing");
        program
    }

    /// The first line as JSON.
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.ready).expect("the ready line is JSON")
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// A port that nobody listens on just now.
pub(crate) fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// A Python program of `tests/interop`.
pub(crate) fn python(tools: &Tools, program: &str) -> Command {
    let mut command = Command::new(&tools.python);
    command.current_dir(folder()).arg(program).env("PYTHONDONTWRITEBYTECODE", "1");
    command
}

/// A project in a folder of its own, with the VADER pipeline and its rows.
pub(crate) struct Project {
    folder: tempfile::TempDir,
}

impl Project {
    pub(crate) fn new(tools: &Tools) -> Self {
        let project = Self { folder: tempfile::tempdir().unwrap() };
        std::fs::create_dir(project.path(".data")).unwrap();
        std::fs::copy(&tools.reviews, project.path(".data/reviews.csv")).unwrap();
        std::fs::copy(folder().join("vader.yaml"), project.path("vader.yaml")).unwrap();
        project
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// `ogflow` in this project, with no key or setting of the machine.
    pub(crate) fn ogflow<A: AsRef<OsStr>>(&self, args: impl IntoIterator<Item = A>) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_ogflow"));
        command.args(args).current_dir(self.folder.path()).stdin(Stdio::null());
        for name in ["OGFLOW_PRIVATE_KEY", "CLIENT_PRIVATE_KEY", "OGFLOW_NETWORK"] {
            command.env_remove(name);
        }
        command.env("XDG_CONFIG_HOME", self.path("config"));
        command.env("XDG_DATA_HOME", self.path("share")).env("XDG_STATE_HOME", self.path("state"));
        command
    }
}

/// The output of a command that has to end with 0.
pub(crate) fn succeed(command: &mut Command) -> Output {
    let output = command.output().expect("it starts");
    let (out, err) = (text(&output.stdout), text(&output.stderr));
    assert!(output.status.success(), "{command:?}: {}\n{out}\n{err}", output.status);
    output
}

/// The JSON that a command prints.
pub(crate) fn json_of(command: &mut Command) -> Value {
    let output = succeed(command);
    serde_json::from_slice(&output.stdout)
        .unwrap_or_else(|error| panic!("{command:?}: {error}: {}", text(&output.stdout)))
}

/// The JSON lines that a command prints.
pub(crate) fn json_lines(command: &mut Command) -> Vec<Value> {
    let output = succeed(command);
    let lines = text(&output.stdout);
    lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

pub(crate) fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}
