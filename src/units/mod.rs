//! The words that every room uses: ids, money, time, slots, content ids, networks.
//!
//! Values only. This room imports no other, reads no clock and touches no disk or net, so
//! whatever is said here means the same to the engine, the chain and the terminal.

pub mod canonical;
pub mod cid;
pub mod facts;
pub mod ids;
pub mod network;
#[cfg(test)]
pub(crate) mod settings_of_tests;
pub mod source;
pub mod text;
pub mod time;
pub mod tx;
pub mod wei;

pub use cid::{Cid, CidMatch, FileHasher};
pub use facts::{
    GasForecast, LaneView, LogPage, LogRead, NonceUse, PastPublication, PublishGas, Receipt,
    ReceiptStatus, ResponseFacts, Revert, Seen, SendOutcome, Sighting, Survey, TaskFacts,
    TaskStatus,
};
pub use ids::{ItemKey, KeyHash, Round, RunId, StepName, TaskId, TaskKey};
pub use network::{Finality, Network, PayerRule};
pub use source::{Delivery, SourceFacts};
pub use text::{Secret, Untrusted};
pub use time::{ChainTime, Timestamp};
pub use tx::{BlockRef, Call, Fees, Nonce, Purpose, Seq, SignedTx, Slot};
pub use wei::Wei;
