//! What will be done, before any of it is.

pub mod schedule;
pub mod summary;

pub use schedule::{
    Allowance, Edge, EdgeKind, Limits, OnExceed, OnPartial, RetryRule, Schedule, StepRule,
};
pub use summary::{
    Fingerprint, ItemsOf, NetworkSummary, PayerKind, PayerSummary, PipelineSummary, PlanSummary,
    Range, Shortfall, SignerSummary, SourceSummary, StepSummary, Totals, WarningSummary, WeiRange,
};
