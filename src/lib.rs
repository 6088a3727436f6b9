//! ogflow: declarative batch pipelines for the OpenGPU network.
//!
//! The rooms in reading order. What each may know of the others is a table in `ARCHITECTURE.md`,
//! held by a test.
//!
//! 1. [`units`]: the words that everyone uses.
//! 2. [`pipeline`]: what the author wrote, read and checked.
//! 3. [`plan`]: what will be done, before any of it is.
//! 4. [`engine`]: what happens next; pure.
//! 5. [`store`]: what is known, on disk.
//! 6. [`chain`] and [`content`]: the two far sides, seen through adapters.
//! 7. [`driver`]: the loop that joins them.
//! 8. [`devnet`]: a network in a box.
//! 9. [`report`]: what a reader sees, folded from facts.
//! 10. [`cli`]: commands, screens, exit codes.

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
