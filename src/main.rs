//! The `ogflow` binary.

fn main() {}
