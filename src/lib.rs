//! ogflow: declarative batch pipelines for the OpenGPU network.

pub mod chain;
pub mod cli;
pub mod content;
pub mod devnet;
pub mod driver;
pub mod engine;
pub mod pipeline;
pub mod plan;
pub mod report;
pub mod store;
pub mod units;
