//! A terminal: a pseudo-terminal whose other end is here.

use std::fs::{File, OpenOptions};
use std::io::Read;
use std::process::{Command, Stdio};

use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{Winsize, tcsetwinsize};

use super::{Ran, code};

/// Runs a command to its end with all three streams on a terminal of 80 columns.
#[track_caller]
pub(super) fn run(mut command: Command) -> Ran {
    let ours = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
    grantpt(&ours).unwrap();
    unlockpt(&ours).unwrap();
    let size = Winsize { ws_row: 50, ws_col: 80, ws_xpixel: 0, ws_ypixel: 0 };
    tcsetwinsize(&ours, size).unwrap();
    let path = ptsname(&ours, Vec::new()).unwrap();
    let theirs = OpenOptions::new().read(true).write(true).open(path.to_str().unwrap()).unwrap();
    let stream = || Stdio::from(theirs.try_clone().unwrap());
    command.stdin(stream()).stdout(stream()).stderr(stream()).env("TERM", "xterm-256color");
    let mut child = command.spawn().unwrap();
    // Only the child has it open now: its end is the end of the screen.
    drop((command, theirs));
    let mut screen = Vec::new();
    let mut reader = File::from(ours);
    let mut bytes = [0; 4096];
    while let Ok(read @ 1..) = reader.read(&mut bytes) {
        screen.extend_from_slice(&bytes[..read]);
    }
    let status = child.wait().unwrap();
    let stdout = String::from_utf8_lossy(&screen).into_owned();
    Ran { code: code(status), stdout, stderr: String::new() }
}
