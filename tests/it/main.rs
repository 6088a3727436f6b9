//! Integration tests.

mod abi;
mod chain;
