//! Integration tests.

mod abi;
