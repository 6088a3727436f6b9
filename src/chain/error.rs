//! What can go wrong between here and the chain.

use alloy::primitives::{Address, Bytes};

use super::reverts;

use crate::units::{BlockRef, Revert, Untrusted};

/// Why the chain did not tell what was asked.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ChainError {
    /// No endpoint gave a usable reply within its tries (exit 7).
    #[error("no usable reply from `{endpoint}` in {tries} tries")]
    Unreachable {
        /// The last endpoint that was asked: scheme and host.
        endpoint: String,
        /// How often it was asked.
        tries: usize,
        /// What was wrong with the last reply.
        #[source]
        fault: Fault,
    },
    /// No endpoint has a block that was read from one of them before: they lag. Nothing is known to
    /// be wrong, and whoever can wait asks again later (exit 7 for the others).
    #[error("`{endpoint}` has no block {height} yet")]
    Behind {
        /// The last endpoint that was asked: scheme and host.
        endpoint: String,
        /// The block's height.
        height: u64,
    },
    /// An endpoint refused a request for good (exit 7).
    #[error("`{endpoint}` refused `{method}`")]
    Refused {
        /// Scheme and host.
        endpoint: String,
        /// The JSON-RPC method.
        method: &'static str,
        /// What it said.
        #[source]
        fault: Fault,
    },
    /// The endpoint serves another chain than the profile's (exit 9).
    #[error("`{endpoint}` serves chain {found}, the network is chain {expected}")]
    WrongChain {
        /// Scheme and host.
        endpoint: String,
        /// The profile's.
        expected: u64,
        /// The endpoint's.
        found: u64,
    },
    /// No code where one of the four contracts should be (exit 9).
    #[error("there is no code at the address of `{contract}`, {address}")]
    NoCode {
        /// The contract's name.
        contract: &'static str,
        /// Its address in the profile.
        address: Address,
    },
    /// Two endpoints of one network have different blocks at a final height (exit 9).
    #[error("`{one}` and `{other}` have different blocks at height {number}")]
    Disagree {
        /// Scheme and host.
        one: String,
        /// Scheme and host.
        other: String,
        /// The height.
        number: u64,
    },
    /// A call would be refused by the contracts.
    #[error("the contracts refuse `{call}`: {}", reverts::words(.reason))]
    Reverted {
        /// The function.
        call: &'static str,
        /// Why.
        reason: Revert,
        /// The return data.
        data: Bytes,
    },
    /// The address has code, but it does not speak as a source.
    #[error("the contract at {address} is not a source")]
    NotASource {
        /// The address.
        address: Address,
    },
    /// A block that was final is gone: the chain broke its finality, or it is another chain
    /// (exit 9).
    #[error(
        "block {} was final and is not on the chain any more: it is another chain, or one that \
         takes back more than its `finality` says",
        .oldest.number
    )]
    TooDeep {
        /// The oldest block of the ring.
        oldest: BlockRef,
    },
    /// The node has no `finalized` block (exit 9).
    #[error("`{endpoint}` does not serve the `finalized` tag")]
    NoFinalizedTag {
        /// Scheme and host.
        endpoint: String,
    },
}

impl Fault {
    /// Whether a smaller question may be answered.
    pub(super) const fn is_too_much(&self) -> bool {
        match self {
            Self::TooLarge | Self::Refused { .. } => true,
            Self::Status { status, .. } => *status == 413,
            Self::Connect
            | Self::Silence
            | Self::NotJsonRpc
            | Self::Missing
            | Self::Malformed { .. }
            | Self::Behind { .. }
            | Self::Inconsistent { .. } => false,
        }
    }
}

impl ChainError {
    /// What the reader can do, in one line.
    pub fn hint(&self) -> &'static str {
        match self {
            Self::Unreachable { .. } | Self::Behind { .. } => {
                "check the network's `rpc` URL and your connection"
            }
            Self::Refused { .. } => "try another endpoint with `--rpc-url`",
            Self::WrongChain { .. } => "choose the network that the endpoint serves, or fix `rpc`",
            Self::NoCode { .. } => "check the contract addresses of the network's profile",
            Self::Disagree { .. } => "remove the endpoint that is wrong from `rpc`",
            Self::Reverted { reason, .. } => reverts::hint(reason),
            Self::NotASource { .. } => "check the address under `sources`",
            Self::TooDeep { .. } => {
                "check that `rpc` serves the chain that the run was started on; if it does, set a \
                 deeper `finality`"
            }
            Self::NoFinalizedTag { .. } => "set the network's `finality` to `depth:64`",
        }
    }
}

/// What was wrong with one reply.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// No connection.
    #[error("no connection")]
    Connect,
    /// Nothing came in time, or it stopped half-way.
    #[error("the reply did not come in time, or not whole")]
    Silence,
    /// An HTTP status that is not success.
    #[error("HTTP status {status}")]
    Status {
        /// The status.
        status: u16,
        /// How long the endpoint asks to be left alone.
        retry_after: Option<std::time::Duration>,
    },
    /// The reply is larger than any honest one.
    #[error("the reply is too large")]
    TooLarge,
    /// The reply is not JSON-RPC: HTML, broken JSON, something else.
    #[error("the reply is not JSON-RPC")]
    NotJsonRpc,
    /// No reply has the request's id.
    #[error("the reply lacks an answer to a request")]
    Missing,
    /// The result is not what the method returns.
    #[error("`{method}` returned something else than {expected}")]
    Malformed {
        /// The JSON-RPC method.
        method: &'static str,
        /// What it should have returned.
        expected: &'static str,
    },
    /// The node has not come so far.
    #[error("the node has no block {height} yet")]
    Behind {
        /// The block's height.
        height: u64,
    },
    /// Two results of one endpoint contradict each other.
    #[error("the endpoint contradicts itself about {about}")]
    Inconsistent {
        /// What it is about.
        about: &'static str,
    },
    /// A JSON-RPC error.
    #[error("error {code}: {message}")]
    Refused {
        /// The error code.
        code: i64,
        /// The message, a stranger's words.
        message: Untrusted,
        /// Return data of a reverted call.
        data: Option<Bytes>,
    },
}
