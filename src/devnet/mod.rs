//! A network in a box.
pub mod faults;
mod fit;
pub mod functions;
pub mod knobs;
mod words;
