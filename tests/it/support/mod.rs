//! A project in a temporary folder, the binary in it, and a devnet for other programs.
//!
//! What the crash suites need besides is in rooms of its own: [`chance`] is where their seeds come
//! from, [`lab`] is a devnet with many wallets, [`proxy`] a wire that lies, and [`oracle`] is the
//! chain that judges them.

pub(crate) mod chance;
pub(crate) mod damage;
pub(crate) mod lab;
pub(crate) mod oracle;
pub(crate) mod proxy;
mod terminal;

pub(crate) mod http;

use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, mpsc};
use std::time::Duration;

use serde_json::Value;

/// What is tested.
const BINARY: &str = env!("CARGO_BIN_EXE_ogflow");
/// Longer than any command of these tests takes.
const PATIENCE: Duration = Duration::from_secs(120);
/// What a command left: exit code and both streams together.
#[derive(Debug)]
pub(crate) struct Ran {
    /// The exit code; 128 and the signal where a signal ended it.
    pub(crate) code: i32,
    /// What it wrote to stdout.
    pub(crate) stdout: String,
    /// What it wrote to stderr.
    pub(crate) stderr: String,
}

impl Ran {
    /// Asserts the exit code, showing both streams otherwise.
    #[track_caller]
    pub(crate) fn exits(self, code: i32) -> Self {
        assert_eq!(self.code, code, "stdout:\n{}\nstderr:\n{}", self.stdout, self.stderr);
        self
    }

    /// Asserts that stderr holds all of these.
    #[track_caller]
    pub(crate) fn says(self, parts: &[&str]) -> Self {
        for part in parts {
            assert!(self.stderr.contains(part), "no `{part}` in\n{}", self.stderr);
        }
        self
    }

    /// Asserts that stdout holds all of these.
    #[track_caller]
    pub(crate) fn prints(self, parts: &[&str]) -> Self {
        for part in parts {
            assert!(self.stdout.contains(part), "no `{part}` in\n{}", self.stdout);
        }
        self
    }

    /// Stdout as one JSON document.
    #[track_caller]
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.stdout)
            .unwrap_or_else(|error| panic!("{error} in\n{}\n{}", self.stdout, self.stderr))
    }

    /// Stdout as lines of JSON.
    #[track_caller]
    pub(crate) fn lines(&self) -> Vec<Value> {
        assert!(self.stdout.is_empty() || self.stdout.ends_with('\n'), "a torn last line");
        self.stdout
            .lines()
            .map(|line| serde_json::from_str(line).unwrap_or_else(|e| panic!("{e} in {line}")))
            .collect()
    }
}

/// A project with a home of its own; both are gone when it is dropped.
#[derive(Debug)]
pub(crate) struct Project {
    root: Arc<tempfile::TempDir>,
    folder: &'static str,
    vars: Vec<(String, String)>,
}

impl Project {
    /// An empty project.
    pub(crate) fn new() -> Self {
        let root = tempfile::tempdir().unwrap();
        fs::create_dir_all(root.path().join("home/p")).unwrap();
        Self { root: Arc::new(root), folder: "p", vars: Vec::new() }
    }

    /// Another project in the same home, without variables.
    pub(crate) fn sibling(&self, folder: &'static str) -> Self {
        let sibling = Self { root: Arc::clone(&self.root), folder, vars: Vec::new() };
        fs::create_dir_all(sibling.path()).unwrap();
        sibling
    }

    /// A project with a pipeline `p.yaml`.
    pub(crate) fn with(pipeline: &str) -> Self {
        let project = Self::new();
        project.write("p.yaml", pipeline);
        project
    }

    /// The same, with a variable for every command.
    pub(crate) fn var(mut self, name: &str, value: &str) -> Self {
        self.vars.push((name.to_owned(), value.to_owned()));
        self
    }

    /// The project's folder.
    pub(crate) fn path(&self) -> PathBuf {
        self.home().join(self.folder)
    }

    /// The home folder.
    pub(crate) fn home(&self) -> PathBuf {
        self.root.path().join("home")
    }

    /// Writes a file of the project.
    pub(crate) fn write(&self, path: &str, bytes: impl AsRef<[u8]>) {
        let path = self.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, bytes).unwrap();
    }

    /// Reads a file of the project.
    pub(crate) fn read(&self, path: &str) -> String {
        fs::read_to_string(self.path().join(path)).unwrap()
    }

    /// The binary with these arguments, no terminal, and no variable of the caller's.
    pub(crate) fn command(&self, args: &[&str]) -> Command {
        self.program(BINARY, args)
    }

    /// Another program in its place.
    pub(crate) fn program(&self, program: &str, args: &[&str]) -> Command {
        let mut command = Command::new(program);
        command
            .args(args)
            .current_dir(self.path())
            .env_clear()
            .env("HOME", self.home())
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .envs(self.vars.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        command
    }

    /// Runs the binary to its end.
    #[track_caller]
    pub(crate) fn run(&self, args: &[&str]) -> Ran {
        Running::start(self.command(args)).end()
    }

    /// Runs the binary where it gets so much memory, in KiB, and so much processor time, in
    /// seconds; the system ends it if it wants more.
    #[track_caller]
    pub(crate) fn run_within(&self, kib: u32, seconds: u32, args: &[&str]) -> Ran {
        let script = format!("ulimit -d {kib} && ulimit -t {seconds} && exec \"$@\"");
        let shell = ["-c", script.as_str(), "sh", BINARY];
        Running::start(self.program("sh", &[&shell, args].concat())).end()
    }

    /// Runs the binary to its end on a terminal of 80 columns; `stdout` is what is on the screen.
    #[track_caller]
    pub(crate) fn in_terminal(&self, args: &[&str]) -> Ran {
        terminal::run(self.command(args))
    }

    /// Starts the binary.
    pub(crate) fn start(&self, args: &[&str]) -> Running {
        Running::start(self.command(args))
    }

    /// Asserts that nothing was published and nothing deposited.
    #[track_caller]
    pub(crate) fn spent_nothing(&self) {
        let runs = self.run(&["status", "--json"]).exits(0).json();
        assert_eq!(runs["runs"], serde_json::json!([]), "something ran");
    }
}

/// A process of ours that goes on.
#[derive(Debug)]
pub(crate) struct Running {
    child: Child,
    /// What it wrote to stdout, once that is closed.
    stdout: mpsc::Receiver<String>,
    stderr: Option<BufReader<std::process::ChildStderr>>,
    said: String,
}

impl Running {
    /// Starts a command whose streams are pipes.
    pub(crate) fn start(mut command: Command) -> Self {
        let mut child = command.spawn().unwrap();
        let mut out = child.stdout.take().unwrap();
        let (closed, stdout) = mpsc::channel();
        drop(std::thread::spawn(move || {
            let mut text = String::new();
            drop(out.read_to_string(&mut text));
            drop(closed.send(text));
        }));
        let stderr = BufReader::new(child.stderr.take().unwrap());
        Self { child, stdout, stderr: Some(stderr), said: String::new() }
    }

    /// Waits until stderr has said this.
    #[track_caller]
    pub(crate) fn until(&mut self, part: &str) {
        assert!(self.tells(part), "it ended without `{part}`:\n{}", self.said);
    }

    /// Waits until stderr has said this; `false` if it ends before.
    pub(crate) fn tells(&mut self, part: &str) -> bool {
        let stderr = self.stderr.as_mut().unwrap();
        loop {
            let mut line = String::new();
            let read = stderr.read_line(&mut line).unwrap();
            self.said.push_str(&line);
            if read == 0 || line.contains(part) {
                return read > 0;
            }
        }
    }

    /// The process.
    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// Sends a signal.
    pub(crate) fn signal(&self, signal: rustix::process::Signal) {
        let id = i32::try_from(self.child.id()).unwrap();
        let pid = rustix::process::Pid::from_raw(id).unwrap();
        rustix::process::kill_process(pid, signal).unwrap();
    }

    /// Kills it, as a crash would.
    pub(crate) fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Waits for its end.
    #[track_caller]
    pub(crate) fn end(mut self) -> Ran {
        let mut stderr = self.stderr.take().unwrap();
        let reader = std::thread::spawn(move || {
            let mut bytes = Vec::new();
            drop(stderr.read_to_end(&mut bytes));
            String::from_utf8_lossy(&bytes).into_owned()
        });
        let Ok(stdout) = self.stdout.recv_timeout(PATIENCE) else {
            drop(self.child.kill());
            let stderr = reader.join().unwrap();
            panic!("it did not end in {} s:\n{}{stderr}", PATIENCE.as_secs(), self.said);
        };
        let status = self.child.wait().unwrap();
        let stderr = std::mem::take(&mut self.said) + &reader.join().unwrap();
        Ran { code: code(status), stdout, stderr }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

fn code(status: ExitStatus) -> i32 {
    use std::os::unix::process::ExitStatusExt;
    status.code().unwrap_or_else(|| 128 + status.signal().unwrap_or(0))
}

/// A devnet that another process serves, with what its ready line says.
#[derive(Debug)]
pub(crate) struct Net {
    /// The ready line.
    pub(crate) ready: Value,
    _project: Project,
    child: Child,
}

impl Net {
    /// Serves a devnet on a free port.
    pub(crate) fn up(flags: &[&str]) -> Self {
        let project = Project::new();
        let mut command =
            project.command(&[&["devnet", "up", "--port", "0", "--json"], flags].concat());
        command.stderr(Stdio::null());
        let mut child = command.spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let ready = serde_json::from_str(&line).unwrap();
        Self { ready, _project: project, child }
    }

    /// A text of the ready line.
    pub(crate) fn get(&self, name: &str) -> &str {
        self.ready[name].as_str().unwrap()
    }

    /// `[networks.lab]` for it, with more lines behind.
    pub(crate) fn profile(&self, more: &str) -> String {
        let network = ogflow::units::Network::devnet();
        format!(
            "[networks.lab]\nchain_id = 31337\nrpc = [\"{}\"]\npin_url = \"{}\"\n\
             gateways = [\"{}\"]\nallow_private_hosts = true\nnexus = \"{}\"\n\
             controller = \"{}\"\nterminal = \"{}\"\nvault = \"{}\"\nfinality = \"depth:1\"\n{more}\n",
            self.get("url"),
            self.get("pin_url"),
            self.get("gateway"),
            network.nexus,
            network.controller,
            network.terminal,
            network.vault,
        )
    }
}

impl Drop for Net {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// Waits until something is so.
#[track_caller]
pub(crate) fn until(what: &str, so: impl Fn() -> bool) {
    let end = tokio::time::Instant::now() + PATIENCE;
    while !so() {
        assert!(tokio::time::Instant::now() < end, "it takes too long until {what}");
        std::thread::park_timeout(Duration::from_millis(10));
    }
}

/// A pipeline with one echo task.
pub(crate) const HELLO: &str = "\
version: 1
name: hello
steps:
  hello:
    source: builtin:echo
    function: echo
    payment: 0.001 OGPU
    data: { message: Hello }
outputs:
  said: \"{{ steps.hello.output.message }}\"
";

/// A pipeline with an echo task for each row of `rows.csv`.
pub(crate) const ROWS: &str = "\
version: 1
name: rows
steps:
  each:
    source: builtin:echo
    function: echo
    payment: 0.001 OGPU
    foreach: { file: rows.csv, key: id }
    data: { text: \"{{ item.text }}\" }
";

/// `rows.csv` with so many rows.
pub(crate) fn rows(count: usize) -> String {
    let mut text = String::from("id,text\n");
    (0..count).for_each(|at| text.push_str(&format!("r-{at},text {at}\n")));
    text
}

/// The files below a folder, sorted, as paths from it.
pub(crate) fn files(folder: &Path) -> Vec<String> {
    fn walk(base: &Path, folder: &Path, found: &mut Vec<String>) {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                walk(base, &path, found);
            } else {
                found.push(path.strip_prefix(base).unwrap().display().to_string());
            }
        }
    }
    let mut found = Vec::new();
    walk(folder, folder, &mut found);
    found.sort();
    found
}
