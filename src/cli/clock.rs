//! The time, for what has no turn of the driver: screens, and the devnet's blocks.

use crate::units::Timestamp;

/// Now.
pub fn now() -> Timestamp {
    let millis = jiff::Timestamp::now().as_millisecond();
    Timestamp::from_millis(u64::try_from(millis).unwrap_or(0))
}
