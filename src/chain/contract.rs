//! The contracts as ogflow speaks to them: calls out, logs and reverts in (protocol.md, section 2).
//!
//! * [`abi`]: the interfaces, as Solidity, for `alloy`'s encoder.
//! * [`status`]: the enums. On the wire they are `uint8`, so a value that nobody has heard of is
//!   a state to report, never a decoding error.
//! * [`call`]: a [`Call`](crate::units::Call) to call data and back.
//! * [`log`]: the registry's logs, decoded strictly: right topic count, right length, right padding.
//! * [`revert`]: what a revert says.
//!
//! Pure: bytes to values and back. Nothing here knows an endpoint.

pub mod abi;
pub mod call;
pub mod log;
pub mod revert;
pub mod status;

pub use call::{CallError, Target, decode_call, encode_call};
pub use log::{LogError, ProtocolLog, decode_log, topics};
pub use revert::{Revert, decode_revert};
pub use status::{Delivery, ResponseStatus, SourceStatus, TaskStatus};
