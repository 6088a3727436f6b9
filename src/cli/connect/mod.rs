//! From a network's profile to a chain and a place for bytes: joined here and nowhere else.
//!
//! A devnet without a URL lives in this process: the same adapters call its router, and no port
//! is open. A devnet that another process serves for this project is found and used instead.
//! Commands that only look open the devnet read-only and no signer.

mod key;
mod served;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use alloy::primitives::Address;
use url::Url;

pub use key::{SigningKey, open_key};
pub use served::{Served, ServedError};

use super::errors::{of_content, of_devnet};
use super::failure::{Exit, Failure};
use super::settings::Settings;
use crate::chain::{Endpoint, Notify, RpcChain, Signer};
use crate::content::{Blobs, Http, Limits, NetworkContent};
use crate::devnet::knobs::Knobs;
use crate::devnet::{Place, Town, TownOptions, market, town};
use crate::pipeline::{Code, SourceRef};
use crate::units::network::DEVNET_BASE;
use crate::units::time::Rate;
use crate::units::{ChainTime, Network};

/// What a command is connected for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// To look: no signer, nothing written.
    Look,
    /// To act: sign, send, pin.
    Act,
}

/// A network that can be used.
#[derive(Debug)]
pub struct Connection {
    /// The network; for a served devnet with the URL that it was found at.
    pub network: Arc<Network>,
    /// The chain.
    pub chain: Arc<RpcChain>,
    /// The devnet, where it is in this process.
    pub town: Option<Town>,
    /// Who would sign, as far as that is known without a password.
    pub signer: Option<Address>,
    /// Where the key comes from.
    pub origin: String,
    /// Sources of a devnet by the name behind `builtin:`.
    builtin: BTreeMap<String, Address>,
}

impl Connection {
    /// Connects. No request is sent yet.
    ///
    /// # Errors
    /// Exit 4 without a key to act with; exit 3 and 7 when the network cannot be set up.
    pub fn open(
        settings: &Settings,
        purpose: Purpose,
        knobs: &Knobs,
        password_file: Option<&PathBuf>,
    ) -> Result<Self, Failure> {
        let choice = settings.signer()?;
        let place = DevnetPlace::of(settings, purpose, knobs)?;
        let network = match &place {
            DevnetPlace::Served(served) => served.network(&settings.network.value),
            DevnetPlace::Here(_) | DevnetPlace::None => settings.network.value.clone(),
        };
        key::refuse_bent(settings, &network, purpose)?;
        let (key, address) = match purpose {
            Purpose::Look => (None, key::known_address(&choice)?),
            Purpose::Act => {
                let key = open_key(settings, &choice, &network, password_file)?;
                let address = key.signer.address();
                (Some(key.signer), Some(address))
            }
        };
        let network = Arc::new(network);
        let chain = chain(&network, place.town(), key)?;
        let builtin = place.sources();
        Ok(Self {
            chain: Arc::new(chain),
            town: place.into_town(),
            signer: address,
            origin: choice.to_string(),
            network,
            builtin,
        })
    }

    /// The contract of a source that a pipeline names.
    ///
    /// # Errors
    /// When a name behind `builtin:` is none of the devnet's.
    pub fn address_of(&self, source: &SourceRef) -> Result<Address, Failure> {
        match source {
            SourceRef::Address(address) => Ok(*address),
            SourceRef::Builtin(name) => self.builtin.get(name).copied().ok_or_else(|| {
                let known: Vec<&str> = self.builtin.keys().map(String::as_str).collect();
                let near = super::suggest::nearest(name, known.iter().copied());
                let help = match near {
                    Some(near) => format!("did you mean `builtin:{near}`?"),
                    None => format!("the devnet has {}", known.join(", ")),
                };
                Failure::new(Exit::Invalid, format!("the devnet has no source `builtin:{name}`"))
                    .coded(Code::E0401)
                    .help(help)
            }),
        }
    }

    /// Where bytes are pinned to, at this rate, and read from.
    ///
    /// # Errors
    /// When the settings name hosts that the guard refuses, or the disk cannot be written.
    pub fn content(&self, rate: Option<Rate>, blobs: Blobs) -> Result<NetworkContent, Failure> {
        let limits = Limits { pin_rate: rate, ..Limits::for_network(&self.network) };
        let made = match &self.town {
            Some(town) => {
                NetworkContent::new(&self.network, Http::Local(town.router()), limits, blobs)
            }
            None => crate::content::guard::Guard::new(&self.network)
                .and_then(|guard| Http::wire(&guard, limits.connect))
                .and_then(|http| NetworkContent::new(&self.network, http, limits, blobs)),
        };
        made.map_err(|error| of_content(&error))
    }
}

/// The chain behind a profile's endpoints, or behind the devnet's router.
fn chain(
    network: &Arc<Network>,
    town: Option<&Town>,
    signer: Option<Signer>,
) -> Result<RpcChain, Failure> {
    if let Some(town) = town {
        let endpoint = Endpoint::local(town.router());
        return Ok(RpcChain::new(Arc::clone(network), endpoint, Vec::new(), signer));
    }
    let mut endpoints = Vec::new();
    for url in &network.rpc {
        let url = Url::parse(url).map_err(|error| {
            Failure::new(Exit::Invalid, "the RPC URL is not a web address").because(error)
        })?;
        let endpoint = Endpoint::http(&url)
            .map_err(|fault| Failure::of(Exit::Unreachable, &fault).coded(Code::E0901))?;
        let notify: Notify = Arc::new(|notice| tracing::warn!(%notice, "read failed"));
        endpoints.push(endpoint.with_notify(notify));
    }
    if endpoints.is_empty() {
        let message = format!("network `{}` has no RPC endpoint", network.name);
        return Err(Failure::new(Exit::Invalid, message).help("set --rpc-url or `rpc`"));
    }
    let first = endpoints.remove(0);
    Ok(RpcChain::new(Arc::clone(network), first, endpoints, signer))
}

/// Where the devnet is, if the network is one.
enum DevnetPlace {
    /// In this process.
    Here(Town),
    /// Served by another process, for this project or at a URL.
    Served(Served),
    /// Nowhere: another network.
    None,
}

impl DevnetPlace {
    fn of(settings: &Settings, purpose: Purpose, knobs: &Knobs) -> Result<Self, Failure> {
        let network = &settings.network.value;
        if !network.devnet {
            return Ok(Self::None);
        }
        if let Some(url) = network.rpc.first() {
            return Ok(Self::Served(Served::at(url)));
        }
        let folder = settings.state().join("devnet");
        if let Some(served) = Served::find(&folder) {
            return Ok(Self::Served(served));
        }
        let place = match purpose {
            Purpose::Look => Place::ReadOnly(folder),
            Purpose::Act => Place::Folder(folder),
        };
        open_town(place, knobs.clone(), DEVNET_BASE.to_owned()).map(Self::Here)
    }

    const fn town(&self) -> Option<&Town> {
        match self {
            Self::Here(town) => Some(town),
            Self::Served(_) | Self::None => None,
        }
    }

    fn into_town(self) -> Option<Town> {
        match self {
            Self::Here(town) => Some(town),
            Self::Served(_) | Self::None => None,
        }
    }

    fn sources(&self) -> BTreeMap<String, Address> {
        match self {
            Self::Here(town) => town.sources().clone(),
            Self::Served(served) => {
                let mut sources = served.sources.clone();
                for source in crate::devnet::functions::BUILTIN_SOURCES {
                    if let Some(address) = market::builtin_address(source.name) {
                        sources.entry(source.name.to_owned()).or_insert(address);
                    }
                }
                sources
            }
            Self::None => BTreeMap::new(),
        }
    }
}

/// Opens a devnet with its sources and providers.
///
/// # Errors
/// When its files cannot be used.
pub fn open_town(place: Place, knobs: Knobs, base: String) -> Result<Town, Failure> {
    let clock = Arc::new(|| ChainTime::from_secs(super::clock::now().as_millis() / 1000));
    Town::open(TownOptions { place, knobs, base, clock, genesis: town::genesis() })
        .map_err(|error| of_devnet(&error))
}
