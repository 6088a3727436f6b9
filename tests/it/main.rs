//! Integration tests.

#![expect(clippy::unwrap_used, reason = "a failed test is a panic")]

mod abi;
mod chain;
mod interop_anvil;
mod interop_kit;
mod interop_sdk;
mod interop_vader;
