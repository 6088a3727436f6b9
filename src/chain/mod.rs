//! The only room that knows `alloy` beyond its primitive types.

pub mod contract;
