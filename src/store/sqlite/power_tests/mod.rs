//! The power goes: what the journal called durable is there, whatever the disk did with the rest.
//!
//! The journal runs on a file system of its own (`vfs`) over a disk that keeps only what was
//! synced (`disk`). `story` is a writer and what must be there when it comes back, `turns` what it
//! writes, `books` what the guards must say. `SEED=n` tells one story again, `LONG=1` tells many more.

mod books;
mod disk;
mod story;
mod turns;
mod vfs;

use disk::{Failure, Fuse, Honesty};
use story::{Counts, Setting, Wrong, tell};
use vfs::Drive;

use crate::units::settings_of_tests::setting_of_the_test;

/// Stories per change.
const STORIES: u64 = 300;
/// The same in the long tier.
const LONG_STORIES: u64 = 5_000;
/// Stories in which a broken promise must come to light.
const BROKEN: u64 = 40;

/// The journal as it is, on a disk that does what it says.
const AS_IT_IS: Setting =
    Setting { honesty: Honesty::Honest, pragma: "", losses: true, fails: None };

/// Tells stories; says which ones went wrong, and how.
#[expect(clippy::disallowed_macros, reason = "a test says what it did")]
fn stories(name: &'static str, setting: Setting, seeds: std::ops::Range<u64>) -> Vec<Wrong> {
    let drive = Drive::new(name);
    let mut all = Counts::default();
    let mut wrong = Vec::new();
    let stories = seeds.end - seeds.start;
    for seed in seeds {
        match tell(&drive, setting, seed) {
            Ok(counts) => all.add(&counts),
            Err(why) => {
                eprintln!("SEED={seed}: {why:?}");
                wrong.push(why);
            }
        }
    }
    eprintln!("{name}: {stories} stories, {} wrong, {all:?}", wrong.len());
    wrong
}

#[test]
fn a_power_loss_takes_nothing_that_was_durable_and_leaves_no_half_group() {
    let seeds = match (setting_of_the_test("SEED"), setting_of_the_test("LONG")) {
        (Some(seed), _) => seed..seed + 1,
        (None, Some(_)) => 0..LONG_STORIES,
        (None, None) => 0..STORIES,
    };
    assert_eq!(stories("power", AS_IT_IS, seeds), []);
}

#[test]
fn a_journal_that_does_not_sync_its_commits_forgets_what_the_network_has() {
    let setting = Setting { pragma: "PRAGMA synchronous = NORMAL", ..AS_IT_IS };
    let wrong = stories("power-normal", setting, 0..BROKEN);
    assert!(wrong.iter().any(|why| matches!(why, Wrong::Left { .. })), "{wrong:?}");
    assert!(wrong.iter().any(|why| matches!(why, Wrong::Forgotten { .. })), "{wrong:?}");
    // That setting forgets; it mixes nothing up.
    let forgot = |why: &Wrong| matches!(why, Wrong::Left { .. } | Wrong::Forgotten { .. });
    assert!(wrong.iter().all(forgot), "{wrong:?}");
}

#[test]
fn a_disk_that_does_not_sync_is_found_out() {
    let broken = |name, honesty| stories(name, Setting { honesty, ..AS_IT_IS }, 0..BROKEN);
    let wrong = broken("power-no-sync", Honesty::NoSync);
    assert!(wrong.iter().any(|why| matches!(why, Wrong::Left { .. })), "{wrong:?}");
    // A checkpoint that was not synced before its log began again mixes old pages with new ones.
    let wrong = broken("power-no-database-sync", Honesty::NoDatabaseSync);
    assert!(wrong.iter().any(|why| matches!(why, Wrong::Refused(_))), "{wrong:?}");
    // A file without a name is not there.
    let wrong = broken("power-no-folder-sync", Honesty::NoFolderSync);
    assert!(wrong.iter().any(|why| matches!(why, Wrong::Left { .. })), "{wrong:?}");
}

#[test]
fn without_a_loss_nothing_is_wrong_with_either_setting() {
    for (name, pragma) in [("power-on", ""), ("power-on-normal", "PRAGMA synchronous = NORMAL")] {
        let setting = Setting { pragma, losses: false, ..AS_IT_IS };
        assert_eq!(stories(name, setting, 0..BROKEN), []);
    }
}

/// Each call to the disk in turn fails once, of a journal's opening, its groups and its checkpoints.
#[test]
fn whatever_call_of_the_disk_fails_no_group_is_half_there_and_none_is_taken_after_it() {
    let calls: u64 = if setting_of_the_test("LONG").is_some() { 1_000 } else { 100 };
    let drive = Drive::new("power-failing");
    let mut all = Counts::default();
    for call in 0..calls {
        for (seed, fuse) in [
            Fuse::FailedChange(call, Failure::Broken),
            Fuse::FailedChange(call, Failure::Full),
            Fuse::FailedSync(call % 40),
        ]
        .into_iter()
        .enumerate()
        {
            let setting = Setting { fails: Some(fuse), ..AS_IT_IS };
            let seed = call * 10 + seed as u64;
            match tell(&drive, setting, seed) {
                Ok(counts) => all.add(&counts),
                Err(why) => panic!("call {call}, {fuse:?}, SEED={seed}: {why:?}"),
            }
        }
    }
    assert!(all.failures > calls * 3, "{all:?}");
}

#[test]
fn the_same_seed_tells_the_same_story_of_the_disk() {
    let drive = Drive::new("power-again");
    for seed in 0..8 {
        assert_eq!(tell(&drive, AS_IT_IS, seed), tell(&drive, AS_IT_IS, seed), "seed {seed}");
    }
}
