//! The table against what nodes really say, client by client.

use std::collections::BTreeSet;

use super::*;
use crate::units::SendOutcome::{
    Bad, Conflict, Full, Gap, MaybeUsed, NoFunds, NodePolicy, Seen, SlowDown, StaleNode, TooCheap,
    Unknown, WrongChain,
};

/// Every spelling that safety.md, section 8, lists.
const LISTED: &[(&str, SendOutcome)] = &[
    ("already known", Seen),
    ("known transaction", Seen),
    ("already imported", Seen),
    ("AlreadyKnown", Seen),
    ("OwnNonceAlreadyUsed", Seen),
    ("tx already exists in cache", Seen),
    ("nonce too low", MaybeUsed),
    ("nonce is too low", MaybeUsed),
    ("OldNonce", MaybeUsed),
    ("invalid transaction nonce", MaybeUsed),
    ("Stale", MaybeUsed),
    ("replacement transaction underpriced", Conflict),
    ("another transaction with same nonce", Conflict),
    ("insufficient gas price to replace", Conflict),
    ("transaction underpriced", TooCheap),
    ("below minimum", TooCheap),
    ("FeeTooLow", TooCheap),
    ("max fee per gas less than block base fee", TooCheap),
    ("priority fee below minimum", TooCheap),
    ("nonce too high", Gap),
    ("NonceGap", Gap),
    ("exceeds next nonce", Gap),
    ("too far in the future", Gap),
    ("txpool is full", Full),
    ("account limit exceeded", Full),
    ("FeeTooLowToCompete", Full),
    ("future transaction tries to replace pending", Full),
    ("in-flight limit", Full),
    ("insufficient funds for gas * price + value", NoFunds),
    ("overdraws", NoFunds),
    ("upfront cost exceeds", NoFunds),
    ("intrinsic gas too low", Bad),
    ("exceeds block gas limit", Bad),
    ("gas required exceeds allowance", Bad),
    ("oversized data", Bad),
    ("invalid sender", Bad),
    ("type not supported", Bad),
    ("tx fee exceeds the configured cap", NodePolicy),
    ("invalid chain id", WrongChain),
    ("invalid chain id for signer", WrongChain),
    ("header not found", StaleNode),
    ("missing trie node", StaleNode),
];

/// go-ethereum, and go-opera, which keeps its words.
const GETH: &[(&str, SendOutcome)] = &[
    ("already known", Seen),
    ("known transaction: 5e1d3a76fbf824220eafc8c79ad578ad2b67d01b0c2425eb1f1347e8f50882ab", Seen),
    ("nonce too low: next nonce 12, tx nonce 11", MaybeUsed),
    (
        "nonce too low: address 0x71562b71999873DB5b286dF957af199Ec94617F7, tx: 0 state: 4",
        MaybeUsed,
    ),
    ("nonce too high: address 0x71562b71999873DB5b286dF957af199Ec94617F7, tx: 9 state: 4", Gap),
    ("nonce too high: tx nonce 9, gapped nonce 5", Gap),
    ("nonce has max value: address 0x71562b71999873DB5b286dF957af199Ec94617F7", Bad),
    ("gapped-nonce tx from delegated accounts", Gap),
    ("in-flight transaction limit reached for delegated accounts", Full),
    ("account limit exceeded: pooled 16 txs", Full),
    ("replacement transaction underpriced: new tx gas fee cap 110 <= 120 queued", Conflict),
    (
        "replacement transaction underpriced: new tx gas tip cap 1 <= 2 queued + 10% replacement",
        Conflict,
    ),
    ("transaction underpriced: gas tip cap 1, minimum needed 1000000000", TooCheap),
    ("transaction underpriced: tip needed 1000000000, tip permitted 1", TooCheap),
    ("transaction gas price below minimum: gas tip cap 0, minimum needed 1", TooCheap),
    (
        "max fee per gas less than block base fee: address 0x71562b71999873DB5b286dF957af199Ec94617F7, maxFeePerGas: 1, baseFee: 875000000",
        TooCheap,
    ),
    ("max priority fee per gas higher than max fee per gas", Bad),
    (
        "max priority fee per gas higher than max fee per gas: address 0x71562b71999873DB5b286dF957af199Ec94617F7, maxPriorityFeePerGas: 2, maxFeePerGas: 1",
        Bad,
    ),
    ("max fee per gas higher than 2^256-1", Unknown),
    (
        "insufficient funds for gas * price + value: balance 0, tx cost 21000000000000, overshot 21000000000000",
        NoFunds,
    ),
    (
        "insufficient funds for gas * price + value: balance 10, queued cost 7, tx cost 8, overshot 5",
        NoFunds,
    ),
    (
        "insufficient funds for gas * price + value: address 0x71562b71999873DB5b286dF957af199Ec94617F7 have 0 want 21000",
        NoFunds,
    ),
    ("insufficient funds for transfer", NoFunds),
    ("insufficient balance for transfer", NoFunds),
    ("intrinsic gas too low: gas 20999, minimum needed 21000", Bad),
    ("intrinsic gas too low: have 20999, want 21000", Bad),
    ("insufficient gas for floor data gas cost: gas 21000, minimum needed 24500", Bad),
    ("exceeds block gas limit: tx gas 40000000, limit 30000000", Bad),
    ("transaction gas limit too high (cap: 16777216, tx: 20000000)", Bad),
    ("gas limit reached", Unknown),
    ("gas uint64 overflow", Bad),
    ("max initcode size exceeded: code size 49153, limit 49152", Bad),
    ("oversized data: transaction size 131073, limit 131072", Bad),
    ("negative value", Bad),
    ("invalid sender: invalid transaction v, r, s values", Bad),
    ("sender not an eoa: address 0x71562b71999873DB5b286dF957af199Ec94617F7, codehash: 0x12", Bad),
    ("transaction type not supported", Bad),
    ("transaction type not supported: tx type 3 not supported by this pool", Bad),
    ("tx fee (1.10 ether) exceeds the configured cap (1.00 ether)", NodePolicy),
    ("only replay-protected (EIP-155) transactions allowed over RPC", Bad),
    ("invalid chain id for signer: have 1 want 1337", WrongChain),
    ("rlp: element is larger than containing list", Bad),
    ("typed transaction too short", Unknown),
    ("address already reserved", Unknown),
    ("txpool is full", Full),
    ("missing trie node 4b9d (path 0a0b) state 0x12 is not available", StaleNode),
    ("header not found", StaleNode),
    ("context deadline exceeded", Unknown),
    ("execution reverted", Unknown),
    ("transaction underpriced", TooCheap),
    ("exceeds block gas limit", Bad),
    ("tx fee (3.15 ftm) exceeds the configured cap (1.00 ftm)", NodePolicy),
    ("nonce too low", MaybeUsed),
    ("nonce too high", Gap),
    ("intrinsic gas too low", Bad),
    ("insufficient funds for gas * price + value", NoFunds),
    ("replacement transaction underpriced", Conflict),
];

const RETH: &[(&str, SendOutcome)] = &[
    ("already known", Seen),
    ("already imported", Seen),
    ("[0x5e1d3a76fbf824220eafc8c79ad578ad2b67d01b0c2425eb1f1347e8f50882ab] Already imported", Seen),
    ("insufficient gas price to replace existing transaction", Conflict),
    ("replacement transaction underpriced", Conflict),
    ("transaction feeCap 7 below chain minimum", TooCheap),
    ("max fee per gas less than block base fee", TooCheap),
    ("transaction underpriced", TooCheap),
    ("transaction priority fee below minimum required priority fee 1000000", TooCheap),
    (
        "rejected due to 0x71562b71999873DB5b286dF957af199Ec94617F7 being identified as a spammer",
        Full,
    ),
    (
        "0x71562b71999873DB5b286dF957af199Ec94617F7 identified as spammer. Transaction 0x12 rejected.",
        Full,
    ),
    ("transaction discarded outright due to pool size constraints", Full),
    ("txpool is full", Full),
    ("transaction's gas limit 40000000 exceeds block's gas limit 30000000", Bad),
    ("transaction's size 200000 exceeds max_input_bytes 131072", Bad),
    ("transaction's size 60000 exceeds max_init_code_size 49152", Unknown),
    ("transaction overdraws sender account balance", NoFunds),
    ("insufficient funds for gas * price + value: have 0 want 42000", NoFunds),
    ("transaction nonce is not consistent: next nonce 4, tx nonce 3", Gap),
    ("nonce too low: next nonce 4, tx nonce 3", MaybeUsed),
    ("nonce too high", Gap),
    ("invalid sender", Bad),
    ("intrinsic gas too low", Bad),
    ("exceeds block gas limit", Bad),
    ("oversized data: transaction size 131073, limit 131072", Bad),
    ("input data too large", Bad),
    ("max priority fee per gas higher than max fee per gas", Bad),
    ("transaction type not supported", Bad),
    (
        "tx fee (2000000000000000000 wei) exceeds the configured cap (1000000000000000000 wei)",
        NodePolicy,
    ),
    ("invalid chain ID for signer", WrongChain),
    ("failed to decode signed transaction", Bad),
    (
        "transaction type 3 conflicts with existing transaction for 0x71562b71999873DB5b286dF957af199Ec94617F7",
        Unknown,
    ),
    ("in-flight transaction limit reached for delegated accounts", Full),
    ("gapped-nonce tx from delegated accounts", Gap),
];

const NETHERMIND: &[(&str, SendOutcome)] = &[
    ("AlreadyKnown", Seen),
    ("already known", Seen),
    ("OwnNonceAlreadyUsed", Seen),
    ("OldNonce", MaybeUsed),
    ("OldNonce, Current nonce: 12, nonce of rejected tx: 11", MaybeUsed),
    ("nonce too low", MaybeUsed),
    ("NonceGap, Future nonce. Expected nonce: 12", Gap),
    ("NonceGap", Gap),
    ("nonce too high", Gap),
    ("NonceTooFarInFuture", Gap),
    ("FeeTooLow", TooCheap),
    ("FeeTooLow, EffectivePriorityFeePerGas too low 1 < 2, BaseFee: 7", TooCheap),
    ("FeeTooLow, Gas price: 1, base fee: 7", TooCheap),
    ("FeeTooLowToCompete", Full),
    ("FeeTooLowToCompete, Current lowest fee in the pool 7", Full),
    ("fee too low to compete", Full),
    ("ReplacementNotAllowed", Conflict),
    ("replacement transaction underpriced", Conflict),
    ("InsufficientFunds", NoFunds),
    ("InsufficientFunds, Account balance: 0, cumulative cost: 21000", NoFunds),
    ("insufficient funds for gas * price + value", NoFunds),
    ("GasLimitExceeded", Bad),
    ("GasLimitExceeded, Gas limit: 30000000, gas limit of rejected tx: 40000000", Bad),
    ("FailedToResolveSender", Bad),
    ("Int256Overflow", Bad),
    ("SenderIsContract", Bad),
    ("sender not an eoa", Bad),
    ("NotSupportedTxType", Bad),
    ("MaxTxSizeExceeded", Bad),
    ("Invalid", Unknown),
    ("Invalid, InvalidTxChainId: Expected 1, got 2", WrongChain),
    ("PermissionDenied", Unknown),
];

const BESU: &[(&str, SendOutcome)] = &[
    ("Known transaction", Seen),
    ("Nonce too low", MaybeUsed),
    ("Transaction nonce below sender account nonce", MaybeUsed),
    ("Nonce too high", Gap),
    ("Incorrect nonce", Gap),
    ("Transaction nonce is too distant from current sender nonce", Gap),
    ("An invalid transaction with a lower nonce exists", Gap),
    ("Replacement transaction underpriced", Conflict),
    ("Gas price below configured minimum gas price", TooCheap),
    ("Gas price below current base fee", TooCheap),
    ("Upfront cost exceeds account balance", NoFunds),
    ("Intrinsic gas exceeds gas limit", Bad),
    ("Transaction gas limit exceeds block gas limit", Bad),
    ("Max priority fee per gas exceeds max fee per gas", Bad),
    ("Invalid signature", Bad),
    ("Invalid transaction type", Bad),
    ("Sender account not authorized to send transactions", NodePolicy),
    ("Transaction fee cap exceeded", NodePolicy),
    ("Wrong chainId", WrongChain),
    ("Wrong Chain ID in transaction signature", WrongChain),
    ("ChainId not supported", WrongChain),
    ("Initial sync is still in progress", StaleNode),
    ("World state unavailable", StaleNode),
    ("Internal error", Unknown),
];

const ERIGON: &[(&str, SendOutcome)] = &[
    ("already known", Seen),
    ("ALREADY_EXISTS: already known", Seen),
    ("INTERNAL_ERROR: existing tx with same hash", Seen),
    ("existing txn with same hash", Seen),
    ("mined", MaybeUsed),
    ("nonce too low", MaybeUsed),
    ("INTERNAL_ERROR: nonce too low", MaybeUsed),
    ("replaced by transaction with higher tip", Conflict),
    ("replacement transaction underpriced", Conflict),
    ("could not replace existing tx", Conflict),
    ("underpriced", TooCheap),
    ("fee too low", TooCheap),
    ("pending sub-pool is full", Full),
    ("baseFee sub-pool is full", Full),
    ("queued sub-pool is full", Full),
    ("spammer", Full),
    ("insufficient funds", NoFunds),
    ("oversized data", Bad),
    ("invalid sender", Bad),
    ("negative value", Bad),
    ("GasUintOverflow", Bad),
    ("IntrinsicGas", Bad),
    ("RLPTooLong", Bad),
    ("initcode too large", Bad),
    ("unsupported transaction type", Bad),
    ("gas limit too high. Max: 30000000", Bad),
    ("sender disallowed to send tx by ACL policy", NodePolicy),
    ("success", Unknown),
    ("not set", Unknown),
];

const ANVIL: &[(&str, SendOutcome)] = &[
    ("transaction already imported", Seen),
    ("nonce too low", MaybeUsed),
    ("Nonce too high", Gap),
    ("replacement transaction underpriced", Conflict),
    ("transaction underpriced", TooCheap),
    ("max fee per gas less than block base fee", TooCheap),
    ("max priority fee per gas higher than max fee per gas", Bad),
    ("Insufficient funds for gas * price + value", NoFunds),
    ("Out of gas: gas required exceeds allowance: 21000", Bad),
    ("intrinsic gas too low", Bad),
    ("invalid chain id for signer", WrongChain),
    ("Failed to decode transaction", Bad),
    ("transaction type not supported", Bad),
    ("gas too high", Unknown),
];

/// `OpenEthereum` and its kin, and providers in front of nodes.
const OTHERS: &[(&str, SendOutcome)] = &[
    ("Transaction with the same hash was already imported.", Seen),
    ("Transaction nonce is too low. Try incrementing the nonce.", MaybeUsed),
    (
        "Transaction gas price supplied is too low. There is another transaction with same nonce in the queue. Try increasing the gas price or incrementing the nonce.",
        Conflict,
    ),
    (
        "Transaction gas price is too low. It does not satisfy your node's minimal gas price (minimal: 10, got: 1). Try increasing the gas price.",
        TooCheap,
    ),
    (
        "There are too many transactions in the queue. Your transaction was dropped due to limit. Try increasing the fee.",
        Full,
    ),
    (
        "Insufficient funds. The account you tried to send transaction from does not have enough funds. Required 10 and got: 1.",
        NoFunds,
    ),
    (
        "Transaction cost exceeds current gas limit. Limit: 100, got: 200. Try decreasing supplied gas.",
        Bad,
    ),
    ("Supplied gas is beyond limit.", Bad),
    ("Sender is banned in local queue.", NodePolicy),
    ("Transaction is not permitted.", NodePolicy),
    ("Transaction is discarded due to a too stale nonce", MaybeUsed),
    ("Transaction is discarded due to out of balance, needs 9 but account balance is 8", NoFunds),
    (
        "Tx with same nonce already inserted. to replace it, you need to specify a gas price > 7",
        Conflict,
    ),
    ("tx already exist", Seen),
    ("100/second request limit reached - reduce calls per second or upgrade", SlowDown),
    ("Too Many Requests", SlowDown),
    ("Your app has exceeded its compute units per second capacity.", SlowDown),
    ("daily request count exceeded, request rate limited", SlowDown),
    ("limit exceeded", SlowDown),
    ("rate limited, try again in 4ms", SlowDown),
];

const HOSTILE: &[(&str, SendOutcome)] = &[
    ("", Unknown),
    ("unknown transaction", Unknown),
    ("Unknown transaction type", Unknown),
    ("<html><body>502 Bad Gateway</body></html>", Unknown),
    ("\u{0}\u{1b}[2J", Unknown),
    ("stale cache entry", Unknown),
    ("undermined", Unknown),
    ("connection reset by peer", Unknown),
];

const ALL: [&[(&str, SendOutcome)]; 9] =
    [LISTED, GETH, RETH, NETHERMIND, BESU, ERIGON, ANVIL, OTHERS, HOSTILE];

fn refused(message: &str) -> SendOutcome {
    classify(SendReply::Refused { code: -32000, message })
}

#[test]
fn every_spelling_of_every_client_has_its_outcome() {
    for (message, outcome) in ALL.iter().copied().flatten() {
        assert_eq!(refused(message), *outcome, "{message}");
        assert_eq!(refused(&message.to_uppercase()), *outcome, "in upper case: {message}");
    }
    let different: BTreeSet<&str> = ALL.iter().copied().flatten().map(|(text, _)| *text).collect();
    assert!(different.len() >= 150, "only {} strings", different.len());
}

#[test]
fn every_spelling_of_the_table_is_reached_by_its_own_row() {
    for (outcome, words) in TABLE {
        for word in *words {
            assert_eq!(refused(word), *outcome, "{word} is shadowed by a row above");
        }
    }
    assert!(SLOW_DOWN.iter().all(|word| refused(word) == SlowDown));
}

#[test]
fn a_code_decides_only_where_the_text_says_nothing() {
    for code in SLOW_DOWN_CODES {
        assert_eq!(classify(SendReply::Refused { code, message: "no words" }), SlowDown);
        // Besu says both of these with codes that elsewhere mean a rate limit.
        let gas = "Transaction gas limit exceeds block gas limit";
        assert_eq!(classify(SendReply::Refused { code, message: gas }), Bad);
        let sender = "Sender account not authorized to send transactions";
        assert_eq!(classify(SendReply::Refused { code, message: sender }), NodePolicy);
    }
    assert_eq!(classify(SendReply::Refused { code: -32603, message: "no words" }), Unknown);
}

#[test]
fn what_is_not_a_json_rpc_reply_is_unknown_unless_it_asks_for_patience() {
    assert_eq!(classify(SendReply::Nothing), Unknown);
    for status in [301, 400, 403, 404, 413, 500, 502, 503, 504] {
        assert_eq!(classify(SendReply::Status { status, retry_after: false }), Unknown);
        assert_eq!(classify(SendReply::Status { status, retry_after: true }), SlowDown);
    }
    assert_eq!(classify(SendReply::Status { status: 429, retry_after: false }), SlowDown);
}
