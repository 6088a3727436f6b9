//! What will be done, before any of it is.

pub mod schedule;

pub use schedule::{
    Allowance, Edge, EdgeKind, Limits, OnExceed, OnPartial, RetryRule, Schedule, StepRule,
};
