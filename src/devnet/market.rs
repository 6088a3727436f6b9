//! The sources that every devnet has, and who is registered for them.
//!
//! Everything is done by ordinary transactions, so it is in the log and a second start finds it
//! done. A source is known again by the content id of its metadata, not by its place: knobs
//! may add sources and providers between two starts.

use std::collections::{BTreeMap, BTreeSet};

use alloy::primitives::{Address, Bytes, U256};
use alloy::sol_types::SolCall;
use serde_json::json;
use url::Url;

use super::crew::{Gas, Wallet, Worker};
use super::functions::{BUILTIN_SOURCES, BuiltinSource};
use super::genesis::{CHAIN_ID, NEXUS, VAULT};
use super::knobs::{Knobs, ServiceSource};
use super::{BASE_FEE, Node, PoolTx};
use crate::chain::contract::abi::{INexus, ISource, IVault, SourceParams};
use crate::units::Wei;
use crate::units::cid::Cid;

/// The seed of the key that publishes the built-in sources, whatever the devnet's own seed is.
const OWNER_SEED: u64 = 0x6f67_666c_6f77;

/// What the transactions of the market may cost.
const PUBLISH_GAS: Gas = Gas { limit: 3_000_000, max_fee: BASE_FEE as u128 };
const REGISTER_GAS: Gas = Gas { limit: 500_000, max_fee: BASE_FEE as u128 };
const TRANSFER_GAS: Gas = Gas { limit: 21_000, max_fee: BASE_FEE as u128 };

/// Providers with less get [`PROVIDER_COINS`] more, for gas; both in wei.
const PROVIDER_LOW: u128 = 100 * COIN;
const PROVIDER_COINS: u128 = 1_000_000 * COIN;
const COIN: u128 = 1_000_000_000_000_000_000;

/// Sources of services that are not built in: as the SDK's builder makes them.
const SERVICE_MIN_PAYMENT: u128 = 1_000_000_000_000_000;
const SERVICE_MAX_EXPIRY: u64 = 86_400;

/// CPU, in the bit mask of environments (protocol.md, section 2).
const CPU: u8 = 1;

/// A source that the devnet publishes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wanted {
    /// What pipelines call it, behind `builtin:`.
    pub name: String,
    description: String,
    first_response: bool,
    min_payment: u128,
    max_expiry: u64,
    worker: Worker,
}

impl Wanted {
    /// The bytes of its metadata (protocol.md, section 7), which name it for good.
    pub fn metadata(&self) -> Bytes {
        let metadata = json!({
            "cpu": "", "nvidia": "", "amd": "",
            "name": format!("builtin:{}", self.name),
            "description": self.description,
            "logoUrl": "",
        });
        metadata.to_string().into_bytes().into()
    }

    fn cid(&self) -> Cid {
        Cid::for_file(&self.metadata())
    }

    fn params(&self, owner: Address, metadata_url: String) -> SourceParams {
        SourceParams {
            client: owner,
            imageMetadataUrl: metadata_url,
            imageEnvironments: CPU,
            minPayment: U256::from(self.min_payment),
            minAvailableLockup: U256::ZERO,
            maxExpiryDuration: U256::from(self.max_expiry),
            privacyEnabled: false,
            optionalParamsUrl: String::new(),
            deliveryMethod: u8::from(self.first_response),
            lastUpdateTime: U256::ZERO,
        }
    }
}

/// The built-in sources, then those of services that are none of them.
pub fn wanted(knobs: &Knobs) -> Vec<Wanted> {
    let service_of = |wanted: &str| {
        knobs.services.iter().position(|service| match &service.source {
            ServiceSource::Named(name) => name == wanted,
            ServiceSource::At(_) => false,
        })
    };
    let builtin = |source: &BuiltinSource| Wanted {
        name: source.name.into(),
        description: source.description.into(),
        first_response: source.first_response,
        min_payment: source.min_payment,
        max_expiry: source.max_expiry,
        worker: service_of(source.name).map_or(Worker::Builtin(source.functions), Worker::Service),
    };
    let mut all: Vec<Wanted> = BUILTIN_SOURCES.iter().map(builtin).collect();
    for (place, service) in knobs.services.iter().enumerate() {
        let ServiceSource::Named(name) = &service.source else { continue };
        if all.iter().all(|known| known.name != *name) {
            all.push(Wanted {
                name: name.clone(),
                description: "Run by a service container.".into(),
                first_response: false,
                min_payment: SERVICE_MIN_PAYMENT,
                max_expiry: SERVICE_MAX_EXPIRY,
                worker: Worker::Service(place),
            });
        }
    }
    all
}

/// Who publishes the built-in sources and pays the providers' gas. Block 0 has to make it rich.
pub fn owner() -> Address {
    owner_wallet().address()
}

/// Where a built-in source stands on every devnet: they are the registry's first contracts.
pub fn builtin_address(name: &str) -> Option<Address> {
    let nonces = 1..;
    let mut all = BUILTIN_SOURCES.iter().zip(nonces);
    all.find(|(source, _)| source.name == name).map(|(_, nonce)| NEXUS.create(nonce))
}

fn owner_wallet() -> Wallet {
    Wallet::of_provider(OWNER_SEED, 0, CHAIN_ID)
}

/// The sources on chain, as far as the devnet has to know them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Market {
    /// The sources that pipelines call `builtin:NAME`.
    pub by_name: BTreeMap<String, Address>,
    /// Who works for a source; one that is not listed gets every built-in function.
    pub workers: BTreeMap<Address, Worker>,
}

impl Market {
    /// Reads which of the wanted sources are on the chain.
    pub fn read(node: &Node, knobs: &Knobs) -> Self {
        let mut market = Self::default();
        let mut named = BTreeMap::new();
        for wanted in wanted(knobs) {
            named.insert(wanted.cid().to_string(), wanted);
        }
        for (address, params) in sources(node) {
            let cid = Url::parse(&params.imageMetadataUrl).ok().and_then(|url| Cid::in_url(&url));
            let ours = params.client == owner();
            let Some(cid) = cid.filter(|_| ours) else { continue };
            if let Some(wanted) = named.remove(&cid.to_string()) {
                market.by_name.insert(wanted.name, address);
                market.workers.insert(address, wanted.worker);
            }
        }
        for (place, service) in knobs.services.iter().enumerate() {
            if let ServiceSource::At(address) = service.source {
                market.workers.insert(address, Worker::Service(place));
            }
        }
        market
    }

    /// The transactions that publish what is missing; `url_of` says where bytes are pinned.
    pub fn publications(
        &self,
        node: &Node,
        knobs: &Knobs,
        url_of: impl Fn(Bytes) -> String,
    ) -> Vec<PoolTx> {
        let wallet = owner_wallet();
        let nonce = node.pending_count(wallet.address());
        let missing = wanted(knobs).into_iter().filter(|w| !self.by_name.contains_key(&w.name));
        missing
            .zip(nonce..)
            .filter_map(|(wanted, nonce)| {
                let params = wanted.params(wallet.address(), url_of(wanted.metadata()));
                let call = INexus::publishSourceCall { sourceParams: params };
                let (_, raw) = wallet.sign(nonce, NEXUS, call.abi_encode().into(), PUBLISH_GAS);
                PoolTx::trusted(wallet.address(), raw).ok()
            })
            .collect()
    }
}

/// The transfers to providers who have little left for gas, from the one who publishes the
/// sources: `later` of its transactions come before them.
pub fn fundings(node: &Node, wallets: &[Wallet], later: usize) -> Vec<PoolTx> {
    let owner = owner_wallet();
    let nonce = node.pending_count(owner.address()) + later as u64;
    let low = |wallet: &&Wallet| node.balance(wallet.address()) < U256::from(PROVIDER_LOW);
    let coins = Wei::from_u128(PROVIDER_COINS);
    let transfer = |(wallet, nonce): (&Wallet, u64)| {
        let call = (Bytes::new(), TRANSFER_GAS);
        let (_, raw) = owner.sign_with(nonce, wallet.address(), coins, call);
        PoolTx::trusted(owner.address(), raw).ok()
    };
    wallets.iter().filter(low).zip(nonce..).filter_map(transfer).collect()
}

/// The owner's transactions after which `account` has at least this much.
pub fn gifts(node: &Node, account: Address, wallet: Wei, vault: Wei) -> Vec<PoolTx> {
    let owner = owner_wallet();
    let nonce = node.pending_count(owner.address());
    let has = read(node, VAULT, &IVault::balanceOfCall(account)).unwrap_or_default();
    let to_vault = vault.saturating_sub(Wei::from_u256(has));
    let to_wallet = wallet.saturating_sub(Wei::from_u256(node.balance(account)));
    let deposit = IVault::depositCall { account }.abi_encode();
    let gifts = [
        (account, to_wallet, (Bytes::new(), TRANSFER_GAS)),
        (VAULT, to_vault, (deposit.into(), REGISTER_GAS)),
    ];
    let gifts = gifts.into_iter().filter(|(_, amount, _)| !amount.is_zero());
    let signed = |((to, amount, call), nonce)| {
        let (_, raw) = owner.sign_with(nonce, to, amount, call);
        PoolTx::trusted(owner.address(), raw).ok()
    };
    gifts.zip(nonce..).filter_map(signed).collect()
}

/// The transactions that register each of these providers for every source where it is not yet.
pub fn registrations(node: &Node, wallets: &[Wallet]) -> Vec<PoolTx> {
    let mut all = Vec::new();
    let mut nonces: Vec<u64> = wallets.iter().map(|w| node.pending_count(w.address())).collect();
    for (source, _) in sources(node) {
        let registered = registrants(node, source);
        for (wallet, nonce) in wallets.iter().zip(&mut nonces) {
            if registered.contains(&wallet.address()) {
                continue;
            }
            all.extend(registration(wallet, *nonce, source));
            *nonce += 1;
        }
    }
    all
}

/// One provider's registration for one source.
pub(super) fn registration(wallet: &Wallet, nonce: u64, source: Address) -> Option<PoolTx> {
    let provider = wallet.address();
    let call = INexus::registerCall { source, provider, preferredEnvironment: CPU };
    let (_, raw) = wallet.sign(nonce, NEXUS, call.abi_encode().into(), REGISTER_GAS);
    PoolTx::trusted(provider, raw).ok()
}

/// Every source with its parameters, in the order in which they were published.
fn sources(node: &Node) -> Vec<(Address, SourceParams)> {
    let count = read(node, NEXUS, &INexus::getSourceCountCall {}).unwrap_or_default();
    let Some(last) = count.checked_sub(U256::ONE) else { return Vec::new() };
    let all = INexus::getSourcesCall { lower: U256::ZERO, upper: last };
    let all = read(node, NEXUS, &all).unwrap_or_default();
    let with_params =
        |source: Address| Some((source, read(node, source, &ISource::getSourceParamsCall {})?));
    all.into_iter().filter_map(with_params).collect()
}

fn registrants(node: &Node, source: Address) -> BTreeSet<Address> {
    let count = read(node, source, &ISource::getRegistrantCountCall {}).unwrap_or_default();
    let Some(last) = count.checked_sub(U256::ONE) else { return BTreeSet::new() };
    let all = ISource::getRegistrantsCall { lower: U256::ZERO, upper: last };
    read(node, source, &all).unwrap_or_default().into_iter().collect()
}

/// What a contract of ours returns at the head; `None` if it refuses.
pub(super) fn read<C: SolCall>(node: &Node, contract: Address, call: &C) -> Option<C::Return> {
    let reply = node.call(contract, call.abi_encode().into()).ok()?;
    C::abi_decode_returns(&reply).ok()
}

#[cfg(test)]
#[path = "market_tests.rs"]
mod tests;
