//! What a reader sees: lines, tables and machine forms, folded from events.
//!
//! * [`tally`]: the one fold, over the [`figures`] that all else reads.
//! * [`notices`] and [`progress`]: what scrolls by, and the block that stays.
//! * [`summary`]: the end of a run, and where one stands.
//! * [`plan`] and [`plan_json`]: a plan before anything is spent.
//! * [`events`]: the NDJSON stream; [`rows`] and [`csv`]: results in their formats.
//!
//! Pure: time, width and glyphs are parameters, what comes out is text. A resumed run folds
//! its old facts first and then shows the same figures as the run that went on. Nothing here
//! knows a terminal, a file or a colour.

pub mod csv;
pub mod events;
pub mod figures;
pub mod layout;
pub mod notices;
pub mod plan;
pub mod plan_json;
pub mod progress;
pub mod rows;
pub mod summary;
pub mod tally;

pub use events::EventStream;
pub use figures::{Money, OpenTask, Reached, StepTally};
pub use layout::{Coin, Look};
pub use notices::{Notice, NoticeKind};
pub use progress::Progress;
pub use rows::{ErrorRow, Row};
pub use summary::Ending;
pub use tally::{Fact, Foreign, Tally};

#[cfg(test)]
mod fixture;
