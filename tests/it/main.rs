//! Integration tests.

#![expect(clippy::unwrap_used, reason = "a failed test is a panic")]

mod abi;
mod chain;
