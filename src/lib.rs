//! ogflow: declarative batch pipelines for the OpenGPU network.

pub mod pipeline;
pub mod units;
