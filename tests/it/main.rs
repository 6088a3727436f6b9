//! Integration tests.

#![expect(clippy::unwrap_used, reason = "a failed test is a panic")]

mod abi;
mod again;
mod architecture;
mod bad_files;
mod bad_items;
mod cancel;
mod chain;
mod commands;
mod corruption;
mod detach;
mod disk;
mod flags;
mod hostile;
mod interop_anvil;
mod interop_kit;
mod interop_sdk;
mod interop_vader;
mod interop_wire;
mod kills;
mod looking;
mod lost;
mod model;
mod money;
mod only;
mod reclaim;
mod reorgs;
mod runs;
mod saved_plans;
mod streams;
mod support;
mod terminal;
mod two_processes;
mod watching;
mod wire;
