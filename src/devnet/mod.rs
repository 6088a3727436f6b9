//! A network in a box.
pub mod crew;
pub mod faults;
mod fit;
pub mod functions;
pub mod http;
pub mod knobs;
pub mod schemas;
mod words;
