//! Whether signed bytes prove themselves: what the journal asks before it hands them out again.

use alloy::consensus::TxEnvelope;
use alloy::consensus::transaction::SignerRecoverable;
use alloy::eips::eip2718::Decodable2718;
use alloy::primitives::keccak256;

use crate::units::SignedTx;

/// Whether a transaction's hash is that of its bytes, and the signer recovered from them is its
/// slot's wallet, at its slot's nonce.
pub fn proves_itself(tx: &SignedTx) -> bool {
    use alloy::consensus::Transaction;
    if keccak256(&tx.raw) != tx.hash {
        return false;
    }
    let Ok(envelope) = TxEnvelope::decode_2718_exact(&tx.raw) else { return false };
    envelope.nonce() == tx.slot.nonce.0
        && envelope.recover_signer().is_ok_and(|signer| signer == tx.slot.wallet)
}
