//! The key, and what is ever signed with it (safety.md, section 11).
//!
//! A signer knows the four contracts and the calls of [`Call`], and nothing
//! else. It does not believe itself: every signature is recovered, and the bytes that would leave
//! are decoded again and compared with what was asked. The key never prints.

use std::fmt;
use std::path::{Path, PathBuf};

use alloy::consensus::transaction::SignerRecoverable;
use alloy::consensus::{SignableTransaction, Transaction, TxEip1559, TxEnvelope, TxLegacy};
use alloy::eips::eip2718::{Decodable2718, Encodable2718};
use alloy::primitives::{Address, Bytes, TxKind, keccak256};
use alloy::signers::SignerSync;
use alloy::signers::local::PrivateKeySigner;

use super::SignRequest;
use super::contract::{CallError, Target, decode_call, encode_call};
use crate::units::{Call, Fees, Network, Secret, SignedTx, Wei};

#[cfg(test)]
mod tests;

/// The scrypt cost below which a keystore is called weak: log2 of N.
const STRONG_LOG_N: u32 = 18;

/// Why there is no key.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// The text is not 64 hex digits, or not a number below the curve's order.
    #[error("the private key is not 32 bytes of hex that are a key")]
    NotAKey,
    /// The keystore cannot be opened.
    #[error("cannot read the keystore `{}`", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// Others than its owner may read the keystore.
    #[error("others may read the keystore `{}`", path.display())]
    ReadableByOthers {
        /// The file.
        path: PathBuf,
    },
    /// The password is wrong, or the file is no keystore.
    #[error("cannot open the keystore `{}`: wrong password, or not a v3 keystore", path.display())]
    Locked {
        /// The file.
        path: PathBuf,
    },
}

impl KeyError {
    /// What the reader can do, in one line.
    pub fn hint(&self) -> String {
        match self {
            Self::NotAKey => "set `OGFLOW_PRIVATE_KEY` to 0x and 64 hex digits".into(),
            Self::Unreadable { .. } => "check the account's name and the file".into(),
            Self::ReadableByOthers { path } => format!("run `chmod 600 {}`", path.display()),
            Self::Locked { .. } => "check the password".into(),
        }
    }
}

/// Why something was not signed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SignError {
    /// There is no key.
    #[error("there is no signer")]
    NoSigner,
    /// The slot is another wallet's.
    #[error("the slot belongs to {wallet}, the signer is {signer}")]
    OtherWallet {
        /// The slot's.
        wallet: Address,
        /// The signer's.
        signer: Address,
    },
    /// Fees that no transaction can hold, or a tip above the cap.
    #[error("the fees do not fit into a transaction")]
    Fees,
    /// The signature is not by the key.
    #[error("the signature does not recover to the signer")]
    Signature,
    /// The bytes say something else than what was asked.
    #[error("the signed bytes are not what was asked for")]
    Changed,
    /// The bytes are not a call that is ever signed.
    #[error("the signed bytes are no call that is ever signed")]
    NotListed(#[from] CallError),
}

impl SignError {
    /// What the reader can do, in one line.
    pub const fn hint(&self) -> &'static str {
        match self {
            Self::NoSigner => "set `OGFLOW_PRIVATE_KEY` or choose an account with `--account`",
            Self::OtherWallet { .. } => "resume with the key that the run was started with",
            Self::Fees => "lower the fee caps",
            Self::Signature | Self::Changed | Self::NotListed(_) => {
                "this is a bug: nothing was sent"
            }
        }
    }
}

/// One local key and the contracts that it signs for.
pub struct Signer {
    key: PrivateKeySigner,
    weak: bool,
}

impl fmt::Debug for Signer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Signer").field("address", &self.address()).finish_non_exhaustive()
    }
}

impl Signer {
    /// A key as text: 64 hex digits, with or without `0x`.
    ///
    /// # Errors
    ///
    /// [`KeyError::NotAKey`]; the text is in no error.
    pub fn from_key(text: &Secret) -> Result<Self, KeyError> {
        let key: PrivateKeySigner = text.expose().trim().parse().map_err(|_| KeyError::NotAKey)?;
        Ok(Self { key, weak: false })
    }

    /// A v3 keystore file (scrypt or pbkdf2), opened with `password`.
    ///
    /// Takes as long as the file's cost asks for, often a second: not on the loop's thread.
    ///
    /// # Errors
    ///
    /// [`KeyError`] if it cannot be read, others may read it, or it does not open.
    pub fn from_keystore(path: &Path, password: &Secret) -> Result<Self, KeyError> {
        let unreadable = |source| KeyError::Unreadable { path: path.into(), source };
        let text = std::fs::read_to_string(path).map_err(unreadable)?;
        let metadata = std::fs::metadata(path).map_err(unreadable)?;
        if readable_by_others(&metadata) {
            return Err(KeyError::ReadableByOthers { path: path.into() });
        }
        let key = PrivateKeySigner::decrypt_keystore(path, password.expose())
            .map_err(|_| KeyError::Locked { path: path.into() })?;
        Ok(Self { key, weak: is_weak(&text) })
    }

    /// Whose transactions it signs.
    pub const fn address(&self) -> Address {
        self.key.address()
    }

    /// Whether the keystore that it came from is cheap to break open.
    pub const fn is_weak(&self) -> bool {
        self.weak
    }

    /// Signs one version and checks the bytes.
    ///
    /// # Errors
    ///
    /// [`SignError`] if it may not be signed, or came out wrong.
    pub fn sign(&self, network: &Network, request: &SignRequest) -> Result<SignedTx, SignError> {
        let SignRequest { slot, seq, call, fees } = request;
        let signer = self.address();
        if slot.wallet != signer {
            return Err(SignError::OtherWallet { wallet: slot.wallet, signer });
        }
        let envelope = self.envelope(network, request)?;
        let raw = Bytes::from(envelope.encoded_2718());
        let hash = keccak256(&raw);
        let read = decode(&raw, network, signer)?;
        let asked = Fees { max_priority_fee_per_gas: tip_of(fees), ..*fees };
        let same = read.nonce == slot.nonce.0 && read.call == *call && read.fees == asked;
        if !same || hash != *envelope.tx_hash() {
            return Err(SignError::Changed);
        }
        Ok(SignedTx { slot: *slot, seq: *seq, hash, raw })
    }

    fn envelope(&self, network: &Network, request: &SignRequest) -> Result<TxEnvelope, SignError> {
        let Fees { gas_limit, max_fee_per_gas, max_priority_fee_per_gas, legacy } = request.fees;
        let cap = max_fee_per_gas.to_u128().ok_or(SignError::Fees)?;
        let tip = max_priority_fee_per_gas.to_u128().ok_or(SignError::Fees)?;
        if tip > cap || request.fees.ceiling().is_none() {
            return Err(SignError::Fees);
        }
        let (target, input) = encode_call(&request.call);
        let to = TxKind::Call(target.address(network, self.address()));
        let value = request.call.value().to_u256();
        let nonce = request.slot.nonce.0;
        if legacy {
            let chain_id = Some(network.chain_id);
            self.seal(TxLegacy { chain_id, nonce, gas_price: cap, gas_limit, to, value, input })
        } else {
            self.seal(TxEip1559 {
                chain_id: network.chain_id,
                nonce,
                gas_limit,
                max_fee_per_gas: cap,
                max_priority_fee_per_gas: tip,
                to,
                value,
                access_list: alloy::eips::eip2930::AccessList::default(),
                input,
            })
        }
    }

    fn seal<T>(&self, tx: T) -> Result<TxEnvelope, SignError>
    where
        T: SignableTransaction<alloy::primitives::Signature>,
        TxEnvelope: From<alloy::consensus::Signed<T>>,
    {
        let hash = tx.signature_hash();
        let signature = self.key.sign_hash_sync(&hash).map_err(|_| SignError::Signature)?;
        Ok(tx.into_signed(signature).into())
    }
}

/// The tip that the bytes will say: a type 0 transaction has one price for both.
const fn tip_of(fees: &Fees) -> Wei {
    if fees.legacy { fees.max_fee_per_gas } else { fees.max_priority_fee_per_gas }
}

/// What signed bytes of ours say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DecodedTx {
    /// The transaction number.
    pub nonce: u64,
    /// What it does.
    pub call: Call,
    /// With which gas and fees.
    pub fees: Fees,
}

/// Reads signed bytes back, strictly: by `signer`, for this chain, to a contract on the list, with
/// a call on the list.
///
/// # Errors
///
/// [`SignError`] for anything that [`Signer::sign`] would not have made.
pub fn decode(raw: &[u8], network: &Network, signer: Address) -> Result<DecodedTx, SignError> {
    let envelope = TxEnvelope::decode_2718_exact(raw).map_err(|_| SignError::Changed)?;
    if envelope.recover_signer().map_err(|_| SignError::Signature)? != signer {
        return Err(SignError::Signature);
    }
    read(&envelope, network, signer)
}

/// The same for bytes that were checked before: the signature is not recovered again.
pub(super) fn peek(raw: &[u8], network: &Network, signer: Address) -> Option<DecodedTx> {
    let envelope = TxEnvelope::decode_2718_exact(raw).ok()?;
    read(&envelope, network, signer).ok()
}

fn read(tx: &TxEnvelope, network: &Network, signer: Address) -> Result<DecodedTx, SignError> {
    if tx.chain_id() != Some(network.chain_id) || !(tx.is_eip1559() || tx.is_legacy()) {
        return Err(SignError::Changed);
    }
    let to = tx.to().ok_or(SignError::Changed)?;
    let target = Target::of(to, network, signer).ok_or(SignError::Changed)?;
    let call = decode_call(target, Wei::from_u256(tx.value()), tx.input())?;
    let cap = tx.max_fee_per_gas();
    let fees = Fees {
        gas_limit: tx.gas_limit(),
        max_fee_per_gas: Wei::from_u128(cap),
        max_priority_fee_per_gas: Wei::from_u128(tx.max_priority_fee_per_gas().unwrap_or(cap)),
        legacy: tx.is_legacy(),
    };
    Ok(DecodedTx { nonce: tx.nonce(), call, fees })
}

#[cfg(unix)]
fn readable_by_others(metadata: &std::fs::Metadata) -> bool {
    use std::os::unix::fs::PermissionsExt;
    metadata.permissions().mode() & 0o077 != 0
}

#[cfg(not(unix))]
const fn readable_by_others(_: &std::fs::Metadata) -> bool {
    false
}

/// Whether a keystore's own parameters make it cheap to try passwords.
fn is_weak(keystore: &str) -> bool {
    let Ok(value) = serde_json::from_str::<serde_json::Value>(keystore) else { return true };
    let crypto = value.get("crypto").or_else(|| value.get("Crypto"));
    let Some(params) = crypto.and_then(|crypto| crypto.get("kdfparams")) else { return true };
    match params.get("n").and_then(serde_json::Value::as_u64) {
        Some(n) => n < 1 << STRONG_LOG_N,
        None => {
            params.get("c").and_then(serde_json::Value::as_u64).unwrap_or(0) < 1 << STRONG_LOG_N
        }
    }
}
