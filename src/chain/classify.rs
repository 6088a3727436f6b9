//! What a reply to a send means: one table (safety.md, section 8).
//!
//! Nodes have no common error codes for sends, so this is the one place in the program that
//! matches on text. Rows are tried from top to bottom, in lower case, and the first that fits
//! decides; what fits none is [`SendOutcome::Unknown`]. No outcome changes what a slot is bound
//! to, so a wrong row costs time, never money.

use crate::units::SendOutcome;

#[cfg(test)]
mod tests;

/// What came back for one sent transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SendReply<'a> {
    /// The transaction's own hash.
    Accepted,
    /// A JSON-RPC error.
    Refused {
        /// Its code.
        code: i64,
        /// Its message.
        message: &'a str,
    },
    /// An HTTP status that is not success, and no JSON-RPC in the body.
    Status {
        /// The status.
        status: u16,
        /// Whether the endpoint said how long to wait.
        retry_after: bool,
    },
    /// No reply, or nothing that makes sense: timeout, reset, HTML, another hash.
    Nothing,
}

/// Rows of outcome and spellings; a spelling may stand anywhere in the message.
///
/// The order matters where one spelling contains another: `replacement transaction underpriced`
/// before `underpriced`, `account limit exceeded` before any other limit, `feetoolowtocompete`
/// before `feetoolow`.
const TABLE: &[(SendOutcome, &[&str])] = &[
    (
        SendOutcome::WrongChain,
        &[
            "invalid chain id",
            "invalidtxchainid",
            "invalid chainid",
            "wrong chainid",
            "wrong chain id",
            "chain id mismatch",
            "chainid mismatch",
            "incorrect chain id",
            "chainid not supported",
            "invalid network id",
        ],
    ),
    (
        SendOutcome::Seen,
        &[
            "already known",
            "alreadyknown",
            "already imported",
            "already in the pool",
            "already in pool",
            "already in mempool",
            "already exists in cache",
            "already exist in cache",
            "with the same hash was already",
            "existing tx with same hash",
            "existing txn with same hash",
            "ownnoncealreadyused",
            "tx already exist",
        ],
    ),
    (
        SendOutcome::MaybeUsed,
        &[
            "nonce too low",
            "nonce is too low",
            "noncetoolow",
            "oldnonce",
            "invalid transaction nonce",
            "nonce below",
            "nonce has already been used",
            "stale nonce",
            "nonce is stale",
        ],
    ),
    (
        SendOutcome::Conflict,
        &[
            "replacement transaction underpriced",
            "another transaction with same nonce",
            "tx with same nonce already",
            "insufficient gas price to replace",
            "replacementnotallowed",
            "could not replace existing tx",
            "replaced by transaction with higher tip",
            "replacement gas price is too low",
            "replacement fee too low",
            "too low to replace",
            "gas price too low to replace",
        ],
    ),
    (
        SendOutcome::Full,
        &[
            "txpool is full",
            "tx pool is full",
            "transaction pool is full",
            "mempool is full",
            "sub-pool is full",
            "account limit exceeded",
            "feetoolowtocompete",
            "fee too low to compete",
            "future transaction tries to replace pending",
            "in-flight",
            "inflight",
            "as a spammer",
            "as spammer",
            "due to pool size constraints",
            "too many transactions in the queue",
            "exceeds the limit of pending transactions",
            "txpool overflow",
        ],
    ),
    (
        SendOutcome::Gap,
        &[
            "nonce too high",
            "nonce is too high",
            "noncetoohigh",
            "noncegap",
            "nonce gap",
            "nonce is not consistent",
            "gapped-nonce",
            "exceeds next nonce",
            "too far in the future",
            "noncetoofarinfuture",
            "too distant from current sender nonce",
            "invalid transaction with a lower nonce",
            "lower nonce",
            "incorrect nonce",
        ],
    ),
    (
        SendOutcome::NoFunds,
        &[
            "insufficient funds",
            "insufficientfunds",
            "insufficient balance",
            "overdraws",
            "overdraft",
            "upfront cost exceeds",
            "out of balance",
            "have enough funds",
            "not enough funds",
            "not enough balance",
            "insufficient msg.value",
        ],
    ),
    (
        SendOutcome::NodePolicy,
        &[
            "exceeds the configured cap",
            "transaction fee cap exceeded",
            "not authorized to send",
            "by acl policy",
            "permission denied",
            "transaction is not permitted",
            "is banned in local queue",
            "sender is not whitelisted",
        ],
    ),
    (
        SendOutcome::Bad,
        &[
            "intrinsic gas",
            "intrinsicgas",
            "floor data gas",
            "exceeds block gas limit",
            "exceeds block's gas limit",
            "exceeds current gas limit",
            "exceeds transaction gas limit",
            "gas limit exceeds",
            "gaslimitexceeded",
            "gas limit too high",
            "gas limit is too high",
            "gas required exceeds allowance",
            "gas uint64 overflow",
            "gasuintoverflow",
            "int256overflow",
            "oversized data",
            "input data too large",
            "exceeds max initcode size",
            "max initcode size exceeded",
            "initcode too large",
            "exceeds max_input_bytes",
            "maxtxsizeexceeded",
            "rlptoolong",
            "negative value",
            "invalid sender",
            "invalid signature",
            "failedtoresolvesender",
            "sender not an eoa",
            "senderiscontract",
            "type not supported",
            "not supported tx type",
            "notsupportedtxtype",
            "unsupported transaction type",
            "invalid transaction type",
            "higher than max fee per gas",
            "exceeds max fee per gas",
            "greater than max fee per gas",
            "only replay-protected",
            "rlp: ",
            "failed to decode",
            "could not decode",
            "transaction could not be decoded",
            "supplied gas is beyond limit",
            "nonce has max value",
        ],
    ),
    (
        SendOutcome::TooCheap,
        &[
            "underpriced",
            "below minimum",
            "below configured minimum",
            "below chain minimum",
            "below current base fee",
            "less than block base fee",
            "lower than block base fee",
            "lower than the current base fee",
            "feetoolow",
            "fee too low",
            "gas price too low",
            "gas price is too low",
            "gas price supplied is too low",
            "priority fee per gas too low",
            "gas tip cap",
            "minimum needed",
        ],
    ),
    (
        SendOutcome::StaleNode,
        &[
            "header not found",
            "missing trie node",
            "world state",
            "initial sync is still in progress",
            "node is syncing",
            "is not synced",
        ],
    ),
];

/// Words of a node that wants fewer requests.
const SLOW_DOWN: &[&str] = &[
    "rate limit",
    "ratelimit",
    "too many requests",
    "request limit",
    "requests limit",
    "request count exceeded",
    "compute units",
    "throughput limit",
    "limit exceeded",
    "capacity exceeded",
    "exceeded the quota",
    "quota exceeded",
];

/// Codes that mean nothing but a rate limit where the text means nothing.
const SLOW_DOWN_CODES: [i64; 6] = [429, -32005, -32007, -32012, -32016, -32055];

/// What the reply means for the transaction that was sent.
pub fn classify(reply: SendReply<'_>) -> SendOutcome {
    match reply {
        SendReply::Accepted => SendOutcome::Seen,
        SendReply::Refused { code, message } => refused(code, &message.to_lowercase()),
        SendReply::Status { status: 429, .. } | SendReply::Status { retry_after: true, .. } => {
            SendOutcome::SlowDown
        }
        SendReply::Status { .. } | SendReply::Nothing => SendOutcome::Unknown,
    }
}

/// Whether a JSON-RPC error asks for fewer requests.
pub(super) fn is_rate_limit(code: i64, message: &str) -> bool {
    refused(code, &message.to_lowercase()) == SendOutcome::SlowDown
}

fn refused(code: i64, message: &str) -> SendOutcome {
    if let Some(outcome) = whole(message) {
        return outcome;
    }
    let row = TABLE.iter().find(|(_, words)| words.iter().any(|word| message.contains(word)));
    if let Some((outcome, _)) = row {
        return *outcome;
    }
    let wants_less = SLOW_DOWN.iter().any(|word| message.contains(word));
    if wants_less || SLOW_DOWN_CODES.contains(&code) {
        return SendOutcome::SlowDown;
    }
    SendOutcome::Unknown
}

/// Spellings that count only as the whole message, or not after `un`.
fn whole(message: &str) -> Option<SendOutcome> {
    match message.trim().trim_end_matches('.') {
        "stale" | "mined" => Some(SendOutcome::MaybeUsed),
        "spammer" => Some(SendOutcome::Full),
        text if text.contains("known transaction") && !text.contains("unknown transaction") => {
            Some(SendOutcome::Seen)
        }
        _ => None,
    }
}
