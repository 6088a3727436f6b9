//! kill -9 against the real binary, with the chain in another process (safety.md, section 12).
//!
//! A run of 30 tasks is killed one to five times and resumed. Moments are chosen by what the
//! process itself tells (its events), then a small random delay, so that all phases are hit. What
//! must hold afterwards is read from the chain. A kill leaves the page cache, so nothing here
//! proves anything about a power cut; the store's `power_tests` do.

use std::io::{BufRead, BufReader};
use std::process::{Child, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::time::Duration;

use serde_json::Value;

use crate::support::chance::{Chance, count, each_case, seed, tell};
use crate::support::lab::{BOTH, Lab, Player};

/// Items of each of the two steps.
const ITEMS: u64 = 15;
/// Tasks of a run.
const TASKS: u64 = 2 * ITEMS;
/// Runs at the same time: they wait for the chain most of the time.
const WORKERS: u64 = 8;
/// Longer than a process of a run stands still.
const PATIENCE: Duration = Duration::from_secs(60);

/// When a process is killed.
#[derive(Clone, Copy, Debug)]
enum Moment {
    /// So long after it was started, wherever it is then.
    Started(Duration),
    /// So long after it told the n-th event of a kind.
    Told(&'static str, u64, Duration),
}

impl Moment {
    /// A moment that a process can still reach when so many tasks are published.
    fn any(chance: &mut Chance, published: u64) -> Self {
        if chance.hits(15) {
            return Self::Started(chance.up_to(250));
        }
        let kinds: &[&str] = match published {
            0 => &["run_started", "task_pinned", "task_submitted", "task_published"],
            TASKS => &["task_responded", "task_confirmed"],
            _ => &["task_submitted", "task_published", "task_responded", "task_confirmed"],
        };
        let kind = chance.one(kinds);
        let nth = match kind {
            "run_started" => 1,
            _ => chance.among(1..=6),
        };
        Self::Told(kind, nth, chance.up_to(25))
    }
}

/// A process that will be killed.
struct Victim {
    child: Child,
    /// The type of each event that it tells.
    told: mpsc::Receiver<String>,
}

impl Victim {
    fn start(player: &Player, command: &str) -> Self {
        let mut process = player.project.command(&player.words(command));
        let mut child = process.stdout(Stdio::null()).spawn().unwrap();
        let stderr = BufReader::new(child.stderr.take().unwrap());
        let (sender, told) = mpsc::channel();
        drop(std::thread::spawn(move || {
            for line in stderr.lines().map_while(Result::ok) {
                let event = serde_json::from_str::<Value>(&line).unwrap_or_default();
                let kind = event["type"].as_str().unwrap_or_default().to_owned();
                if sender.send(kind).is_err() {
                    return;
                }
            }
        }));
        Self { child, told }
    }

    /// Kills it at the moment; `false` if it had ended by then.
    fn killed(mut self, moment: Moment) -> bool {
        let delay = match moment {
            Moment::Started(delay) => Some(delay),
            Moment::Told(kind, nth, delay) => self.tells(kind, nth).then_some(delay),
        };
        let alive = delay.is_some_and(|delay| self.lives_on(delay));
        drop(self.child.kill());
        let status = self.child.wait().unwrap();
        alive && status.code().is_none()
    }

    /// Waits for the n-th event of a kind; `false` if it ends before.
    fn tells(&self, kind: &str, nth: u64) -> bool {
        let mut seen = 0;
        while seen < nth {
            match self.told.recv_timeout(PATIENCE) {
                Ok(told) => seen += u64::from(told == kind),
                Err(RecvTimeoutError::Disconnected) => return false,
                Err(RecvTimeoutError::Timeout) => panic!("it stands still before {kind} {nth}"),
            }
        }
        true
    }

    /// Lets it work on for a while; `false` if it ends meanwhile.
    fn lives_on(&self, delay: Duration) -> bool {
        let until = tokio::time::Instant::now() + delay;
        loop {
            let left = until.saturating_duration_since(tokio::time::Instant::now());
            match self.told.recv_timeout(left) {
                Ok(_) => {}
                Err(RecvTimeoutError::Timeout) => return true,
                Err(RecvTimeoutError::Disconnected) => return false,
            }
        }
    }
}

/// How many kills hit which phase of a run.
#[derive(Default)]
struct Tally {
    before: AtomicU64,
    during: AtomicU64,
    after: AtomicU64,
    runs: AtomicU64,
}

impl Tally {
    fn note(&self, published: u64) {
        let phase = match published {
            0 => &self.before,
            TASKS => &self.after,
            _ => &self.during,
        };
        phase.fetch_add(1, Ordering::Relaxed);
    }

    fn kills(&self) -> [u64; 3] {
        [&self.before, &self.during, &self.after].map(|phase| phase.load(Ordering::Relaxed))
    }
}

/// One run: killed, resumed, audited.
fn life(lab: &Lab, number: u64, mut chance: Chance, tally: &Tally) {
    let player = lab.player(number, BOTH, None);
    player.project.write("rows.csv", crate::support::rows(usize::try_from(ITEMS).unwrap()));
    let mut published = 0;
    for _ in 0..chance.among(1..=5) {
        let victim = Victim::start(&player, lab.next_command(&player));
        if !victim.killed(Moment::any(&mut chance, published)) {
            break;
        }
        published = lab.paid(&player);
        tally.note(published);
    }
    player.act(lab.next_command(&player)).exits(0);
    lab.audit(&player, TASKS);
    ["ask", "each"].into_iter().for_each(|step| player.has_outputs(step, ITEMS));
    lab.signed_before_sent(&player);
    tally.runs.fetch_add(1, Ordering::Relaxed);
}

#[test]
fn killed_runs_go_on_and_pay_once() {
    let (seed, runs) = (seed(), count(60, 3_600));
    let lab = Lab::up(&["--latency", "0ms..60ms"], seed, runs);
    let tally = Tally::default();
    each_case("kill -9", seed, (runs, WORKERS), |number| {
        life(&lab, number, Chance::new(seed, number), &tally);
    });
    let [before, during, after] = tally.kills();
    tell(&format!(
        "kill -9: seed {seed}, {} kills in {runs} runs ({before} before, {during} during, {after} \
         after publishing), 0 violations",
        before + during + after
    ));
    assert!(before > 0 && during > 0 && after > 0, "a phase was never hit");
}
