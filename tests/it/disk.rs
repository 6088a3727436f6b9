//! A disk that takes no more (safety.md, sections 3 and 12): no append, no send, and a resume once
//! there is room.
//!
//! What an unprivileged process can do to itself is a limit on the size of its files, which fails a
//! write in the middle as a full disk does. Where the system lets us mount, a small disk in memory
//! fills up as well.

use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};

use crate::support::chance::{Chance, count, each_case, seed, tell};
use crate::support::lab::{DOZEN, Lab, Player};
use crate::support::{Ran, Running};

/// How the disk ends.
#[derive(Clone, Copy, Debug)]
enum End {
    /// A write beyond the limit fails.
    Fails,
    /// A write beyond the limit kills the process.
    Kills,
    /// The disk is full.
    Full,
}

impl End {
    /// How a process may end then. Beside the database there is SQLite's index of the log, whose
    /// lack of room is an error of the disk.
    const fn codes(self) -> &'static [i32] {
        match self {
            Self::Fails => &[0, 1],
            // 128 and SIGXFSZ.
            Self::Kills => &[0, 153],
            Self::Full => &[0, 1, 11],
        }
    }
}

/// Runs a script in the project, with the binary and the arguments of a run as its own.
fn scripted(player: &Player, shell: &[&str], script: &str) -> Ran {
    let run = player.project.command(&player.words("run"));
    let mut command = player.project.program(shell[0], &shell[1..]);
    command.args(["-c", script, "sh"]).arg(run.get_program()).args(run.get_args());
    Running::start(command).end()
}

/// A run whose disk ends after about so many KiB; in the end the state is where it belongs.
fn run_until(player: &Player, end: End, kib: u64) -> Ran {
    // Blocks of 512 bytes.
    let limit = format!("ulimit -f {} && exec \"$@\"", 2 * kib);
    match end {
        End::Fails => scripted(player, &["sh"], &format!("trap '' XFSZ && {limit}")),
        End::Kills => scripted(player, &["sh"], &limit),
        End::Full => {
            let script = format!(
                "mkdir .ogflow kept && mount -t tmpfs -o size={kib}k tmpfs .ogflow || exit 99
                 \"$@\"; code=$?
                 cp -a .ogflow/. kept && umount .ogflow && rmdir .ogflow && mv kept .ogflow
                 exit $code"
            );
            scripted(player, &["unshare", "--user", "--map-root-user", "--mount", "sh"], &script)
        }
    }
}

/// Whether a process of ours may mount something for itself.
fn may_mount() -> bool {
    let script = "mount -t tmpfs tmpfs /mnt";
    let args = ["--user", "--map-root-user", "--mount", "sh", "-c", script];
    let mut try_it = Command::new("unshare");
    let done = try_it.args(args).stdout(Stdio::null()).stderr(Stdio::null()).status();
    done.is_ok_and(|status| status.success())
}

#[test]
fn a_disk_that_takes_no_more_stops_a_run_and_costs_nothing() {
    let (seed, cases) = (seed(), count(50, 1_000));
    let lab = Lab::up(&["--latency", "0ms..200ms"], seed, cases);
    let ends: &[End] =
        if may_mount() { &[End::Fails, End::Kills, End::Full] } else { &[End::Fails, End::Kills] };
    let (stopped, full) = (AtomicU64::new(0), AtomicU64::new(0));
    each_case("disk", seed, (cases, 8), |number| {
        let mut chance = Chance::new(seed, number);
        let player = lab.dozen(number);
        let (end, kib) = (chance.one(ends), chance.among(16..=1_000));
        let ran = run_until(&player, end, kib);
        assert!(end.codes().contains(&ran.code), "{end:?} after {kib} KiB: {ran:?}");
        lab.nothing_twice(&player);
        stopped.fetch_add(u64::from(ran.code != 0), Ordering::Relaxed);
        full.fetch_add(u64::from(matches!(end, End::Full)), Ordering::Relaxed);
        if ran.code != 0 {
            player.act(lab.next_command(&player)).exits(0);
        }
        lab.audit(&player, DOZEN);
        lab.signed_before_sent(&player);
        player.has_outputs("ask", DOZEN);
    });
    let (stopped, full) = (stopped.into_inner(), full.into_inner());
    tell(&format!(
        "disk: seed {seed}, {cases} cases ({full} on a full disk, {stopped} stopped), 0 violations"
    ));
    assert!(stopped > 0, "a limit was reached");
}
