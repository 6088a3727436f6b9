//! What is known, on disk: the journal and the projections that guard money.

pub mod durable;
