//! The devnet's providers: their keys, and what each decides about a task.
//!
//! Pure. A decision follows from the seed, the task's address and its config, so a devnet
//! that starts again decides as before: a task that was to be left alone stays alone. When it
//! happens and what is sent is [`provider`](super::provider)'s.

use std::time::Duration;

use alloy::consensus::{SignableTransaction, TxEip1559, TxEnvelope};
use alloy::eips::eip2718::Encodable2718;
use alloy::primitives::{Address, B256, Bytes, TxKind, U256};
use alloy::signers::SignerSync;
use alloy::signers::local::PrivateKeySigner;
use serde_json::{Map, Value};

use super::faults::{Concern, Dice};
use super::functions::{self, Function, Refusal, TaskConfig};
use super::knobs::Knobs;
use crate::units::Wei;

/// A provider's key.
#[derive(Clone, Debug)]
pub struct Wallet {
    signer: PrivateKeySigner,
    chain_id: u64,
}

/// What a provider's transactions pay for gas.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Gas {
    /// The most gas that the transaction may use.
    pub limit: u64,
    /// The most that a unit of gas may cost, in wei.
    pub max_fee: u128,
}

impl Wallet {
    /// The wallet of provider `index` under `seed`.
    pub fn of_provider(seed: u64, index: u16, chain_id: u64) -> Self {
        let dice = Dice::new(seed, Concern::Key);
        let mut round: u32 = 0;
        loop {
            let key = [&index.to_be_bytes()[..], &round.to_be_bytes()].concat();
            // Of 2^256 numbers all but a 2^128th part are keys.
            if let Ok(signer) = PrivateKeySigner::from_bytes(&B256::new(dice.bytes(&key))) {
                return Self { signer, chain_id };
            }
            round += 1;
        }
    }

    /// The provider's address.
    pub const fn address(&self) -> Address {
        self.signer.address()
    }

    /// The address and the private key.
    pub fn into_key(self) -> (Address, B256) {
        (self.signer.address(), self.signer.to_bytes())
    }

    /// The signed bytes of a call of `to`, and their hash.
    ///
    /// # Panics
    /// Never: signing a hash with a key in memory cannot fail.
    pub fn sign(&self, nonce: u64, to: Address, input: Bytes, gas: Gas) -> (B256, Bytes) {
        self.sign_with(nonce, to, Wei::ZERO, (input, gas))
    }

    /// The same with coins sent along.
    ///
    /// # Panics
    /// As [`Wallet::sign`].
    pub fn sign_with(
        &self,
        nonce: u64,
        to: Address,
        value: Wei,
        (input, gas): (Bytes, Gas),
    ) -> (B256, Bytes) {
        let transaction = TxEip1559 {
            chain_id: self.chain_id,
            nonce,
            gas_limit: gas.limit,
            max_fee_per_gas: gas.max_fee,
            max_priority_fee_per_gas: 0,
            to: TxKind::Call(to),
            value: value.to_u256(),
            access_list: alloy::eips::eip2930::AccessList::default(),
            input,
        };
        let hash = transaction.signature_hash();
        let signature = self.signer.sign_hash_sync(&hash).expect("a key in memory signs any hash");
        let envelope = TxEnvelope::from(transaction.into_signed(signature));
        (*envelope.tx_hash(), envelope.encoded_2718().into())
    }
}

/// A published task, as a provider sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Offer {
    /// Its contract.
    pub task: Address,
    /// Its source.
    pub source: Address,
    /// What the client pays, in wei.
    pub payment: Wei,
    /// The pinned bytes of its config; `None` where they cannot be read here.
    pub config: Option<Bytes>,
}

/// The wallets of all providers under these knobs.
pub fn wallets(knobs: &Knobs, chain_id: u64) -> Vec<Wallet> {
    (0..knobs.providers).map(|index| Wallet::of_provider(knobs.seed, index, chain_id)).collect()
}

/// Who works for a source.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Worker {
    /// The built-in functions of this list; empty means all of them.
    Builtin(&'static [Function]),
    /// The service container of this place in the knobs.
    Service(usize),
}

/// What a provider does about a task.
#[derive(Clone, Debug, PartialEq)]
pub enum Decision {
    /// Nobody attempts it.
    Leave,
    /// It is attempted, and then nothing more comes.
    Abandon(Mission),
    /// It is attempted, and this output follows after a while.
    Respond {
        /// Who does it.
        mission: Mission,
        /// How long the work takes.
        after: Duration,
        /// The output's bytes, ready to be pinned.
        output: Bytes,
    },
    /// It is attempted, and a service container is asked for the output.
    Ask {
        /// Who does it.
        mission: Mission,
        /// How long to wait before asking.
        after: Duration,
        /// The container, by its place in the knobs.
        service: usize,
        /// The handler.
        function: String,
        /// What the handler gets.
        data: Map<String, Value>,
    },
}

/// A task in a provider's hands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mission {
    /// The task.
    pub task: Address,
    /// The provider, by its place in the crew.
    pub provider: u16,
    /// What it claims for a response, in wei.
    pub claim: Wei,
    /// Whether its output is bent before it is pinned.
    pub wrong: bool,
}

impl Mission {
    /// The bytes to pin for `output`.
    ///
    /// # Panics
    /// Never: a JSON value can always be written.
    pub fn bytes(&self, output: Value) -> Bytes {
        let output = if self.wrong { functions::wrong(&output) } else { output };
        serde_json::to_vec(&output).expect("a JSON value can be written").into()
    }
}

/// Decides what becomes of an offer. `schema` is what its step accepts, where that is known.
///
/// `None` when there are no providers at all.
pub fn decide(
    knobs: &Knobs,
    worker: Worker,
    offer: &Offer,
    schema: impl FnOnce(&TaskConfig) -> Option<Value>,
) -> Option<Decision> {
    let key = offer.task.as_slice();
    let dice = |concern| Dice::new(knobs.seed, concern);
    let provider = dice(Concern::Provider).below(u64::from(knobs.providers), key);
    let provider = u16::try_from(provider).ok().filter(|index| *index < knobs.providers)?;
    if dice(Concern::Silence).hits(knobs.silent, key) {
        return Some(Decision::Leave);
    }
    let cheap = dice(Concern::Price).hits(knobs.cheap, key);
    let wrong = dice(Concern::Wrong).hits(knobs.wrong, key);
    let claim = if cheap { nine_tenths(offer.payment) } else { offer.payment };
    let mission = Mission { task: offer.task, provider, claim, wrong };
    let config = offer.config.as_ref().map(|bytes| TaskConfig::parse(bytes));
    let Some(Ok(config)) = config else { return Some(Decision::Abandon(mission)) };
    if dice(Concern::Failure).hits(knobs.fail, key) {
        return Some(Decision::Abandon(mission));
    }
    let after = dice(Concern::Latency).span(knobs.latency, key);
    let offered = match worker {
        Worker::Builtin(offered) => offered,
        Worker::Service(service) => {
            let TaskConfig { function, data } = config;
            return Some(Decision::Ask { mission, after, service, function, data });
        }
    };
    let schema = schema(&config);
    Some(match functions::work(&config, offered, schema.as_ref(), knobs.seed) {
        Ok(work) => {
            let after = after.saturating_add(work.took);
            Decision::Respond { mission, after, output: mission.bytes(work.output) }
        }
        Err(Refusal::NotAttempted) => Decision::Leave,
        Err(Refusal::BadConfig | Refusal::UnknownFunction | Refusal::BadData | Refusal::Raised) => {
            Decision::Abandon(mission)
        }
    })
}

/// Nine tenths of an amount, rounded down.
fn nine_tenths(amount: Wei) -> Wei {
    let tenth = Wei::from_u256(amount.to_u256().div_ceil(U256::from(10_u64)));
    amount.saturating_sub(tenth)
}

#[cfg(test)]
#[path = "crew_tests.rs"]
mod tests;
