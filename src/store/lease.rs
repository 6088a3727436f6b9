//! Which machine a lane's lease is held on: written with the lease, wiped when its run ends or
//! stops.
//!
//! Locks are of one machine. A journal whose last process died on another machine may be a copy of
//! one that goes on there, and no lock of this machine can tell (safety.md, section 6, row 27). A
//! machine that only started anew has the name that it had, and two names on one kernel, as
//! containers have, share its locks.

use std::fmt;
use std::fs;

use serde::{Deserialize, Serialize};

/// Where Linux says which start of the machine this is.
const BOOT_ID: &str = "/proc/sys/kernel/random/boot_id";

/// Who holds a lease.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LeaseHolder {
    /// The machine's name.
    machine: String,
    /// Which start of it this is; empty where the system does not say.
    boot: String,
    /// The process.
    pid: u32,
}

impl LeaseHolder {
    /// This process, on this machine.
    pub fn this_process() -> Self {
        let machine = rustix::system::uname().nodename().to_string_lossy().into_owned();
        let boot = fs::read_to_string(BOOT_ID).unwrap_or_default().trim().to_owned();
        Self { machine, boot, pid: std::process::id() }
    }

    /// What the database says; `None` if it names no machine, as older versions did.
    pub(super) fn parse(text: &str) -> Option<Self> {
        serde_json::from_str(text).ok()
    }

    /// The text for the database.
    pub(super) fn to_text(&self) -> String {
        serde_json::to_string(self).expect("a holder is plain data")
    }

    /// Whether it is on another machine than `here`, where no lock of `here` reaches.
    pub fn is_elsewhere(&self, here: &Self) -> bool {
        let same_start = !self.boot.is_empty() && self.boot == here.boot;
        self.machine != here.machine && !same_start
    }
}

impl fmt::Display for LeaseHolder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let machine = crate::units::Untrusted::from(self.machine.as_str());
        write!(f, "process {} on machine `{machine}`", self.pid)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn on(machine: &str, boot: &str) -> LeaseHolder {
        LeaseHolder { machine: machine.into(), boot: boot.into(), pid: 7 }
    }

    #[test]
    fn a_lease_is_elsewhere_if_neither_name_nor_start_of_the_machine_is_ours() {
        for (holder, here, elsewhere) in [
            (on("a", "1"), on("a", "1"), false),
            (on("a", "1"), on("a", "2"), false),
            (on("a", "1"), on("b", "1"), false),
            (on("a", "1"), on("b", "2"), true),
            (on("a", ""), on("b", ""), true),
            (on("a", ""), on("a", ""), false),
        ] {
            assert_eq!(holder.is_elsewhere(&here), elsewhere, "{holder:?} {here:?}");
        }
    }

    #[test]
    fn a_holder_reads_back_and_one_of_an_older_version_names_no_machine() {
        let holder = LeaseHolder::this_process();
        assert_eq!(LeaseHolder::parse(&holder.to_text()), Some(holder));
        assert_eq!(LeaseHolder::parse("pid 7"), None);
        assert_eq!(LeaseHolder::parse(""), None);
    }
}
