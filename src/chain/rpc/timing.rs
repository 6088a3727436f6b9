//! How long everything may take, by how far away the endpoint is.

use std::time::Duration;

/// The timing of one endpoint. It delays requests and decides nothing about money.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Timing {
    /// How long a connection may take.
    pub connect: Duration,
    /// How long a whole exchange may take.
    pub total: Duration,
    /// How long to wait after each failed try of a read; one try more than entries.
    pub backoff: Vec<Duration>,
    /// The longest that an endpoint is left alone when it asks for it.
    pub longest_rest: Duration,
    /// How long between two polls for new blocks.
    pub poll: Duration,
    /// How long a head must have stood before it is read (safety.md, section 9).
    pub settle: Duration,
    /// How long until the second look that a shallow finality asks for; `None` for a chain that
    /// takes nothing back (safety.md, section 7).
    pub second_look: Option<Duration>,
    /// How long a head below the cursor is taken for a replica that lags.
    pub patience: Duration,
    /// How many requests the first batches hold, whatever the profile allows: more once they work.
    pub first_batch: usize,
    /// How many blocks are read again with each page (safety.md, section 9).
    pub overlap: u64,
}

const fn millis(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

impl Timing {
    /// A node in this process: no network between, one view of the chain.
    pub fn in_process() -> Self {
        Self {
            connect: millis(1_000),
            total: millis(30_000),
            backoff: vec![millis(10), millis(50), millis(200)],
            longest_rest: millis(1_000),
            poll: millis(15),
            settle: Duration::ZERO,
            second_look: None,
            patience: millis(1_000),
            first_batch: usize::MAX,
            overlap: 0,
        }
    }

    /// A node on this machine.
    pub fn loopback() -> Self {
        Self {
            connect: millis(2_000),
            backoff: vec![millis(250), millis(500), millis(1_000), millis(2_000)],
            longest_rest: millis(5_000),
            poll: millis(150),
            settle: millis(300),
            second_look: Some(millis(2_000)),
            patience: millis(10_000),
            overlap: 3,
            ..Self::in_process()
        }
    }

    /// A public node, with replicas behind one name.
    pub fn remote() -> Self {
        Self {
            connect: millis(10_000),
            backoff: vec![millis(1_000), millis(2_000), millis(4_000), millis(8_000)],
            longest_rest: millis(60_000),
            poll: millis(2_000),
            settle: millis(2_000),
            patience: millis(30_000),
            first_batch: 32,
            ..Self::loopback()
        }
    }
}
