//! The resolved profile of a network: all that is peculiar to one, in fields.

use std::fmt;
use std::str::FromStr;

use alloy::primitives::{Address, address};
use serde::{Deserialize, Serialize};
use url::Url;

/// When a block can no longer be taken back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Finality {
    /// The block and those on top of it, counted: the newest block has depth 1.
    Depth(u32),
    /// At or below the node's `finalized` block.
    Tag,
}

impl fmt::Display for Finality {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Depth(depth) => write!(f, "depth:{depth}"),
            Self::Tag => f.write_str("tag"),
        }
    }
}

impl FromStr for Finality {
    type Err = NetworkError;

    fn from_str(text: &str) -> Result<Self, NetworkError> {
        let error = || NetworkError::Finality { text: text.into() };
        if text == "tag" {
            return Ok(Self::Tag);
        }
        let depth = text.strip_prefix("depth:").ok_or_else(error)?;
        let depth: u32 = depth.parse().map_err(|_| error())?;
        if depth == 0 { Err(error()) } else { Ok(Self::Depth(depth)) }
    }
}

/// Whose vault pays for a task (protocol.md, section 4).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum PayerRule {
    /// Who sends the transaction.
    Signer,
    /// The source's client.
    SourceOwner,
    /// Found out by simulation.
    Auto,
}

/// What is wrong with a network's settings.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NetworkError {
    /// Neither `tag` nor `depth:N` with N from 1.
    #[error("`{text}` is not a finality")]
    Finality {
        /// What was written.
        text: String,
    },
}

impl NetworkError {
    /// What the reader can do, in one line.
    pub fn hint(&self) -> &'static str {
        match self {
            Self::Finality { .. } => "write `tag` or `depth:N`, with N of 1 or more",
        }
    }
}

/// A network as the program uses it (cli.md, section 5).
///
/// Nothing asks for a chain id to decide anything; what differs between networks is a field.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a setting of its own, named as in files"
)]
pub struct Network {
    /// `devnet`, `testnet`, `mainnet` or the name in `[networks.NAME]`.
    pub name: String,
    /// What `eth_chainId` must say.
    pub chain_id: u64,
    /// JSON-RPC endpoints; empty for a devnet in process.
    pub rpc: Vec<String>,
    /// Where files are pinned.
    pub pin_url: String,
    /// URL prefixes that responses are read from.
    pub gateways: Vec<String>,
    /// Whether any https URL may be read.
    pub allow_any_https: bool,
    /// Whether loopback and private addresses may be read.
    pub allow_private_hosts: bool,
    /// The registry, which emits every task event.
    pub nexus: Address,
    /// The contract that the client calls.
    pub controller: Address,
    /// The contract of identities.
    pub terminal: Address,
    /// The contract that holds the money.
    pub vault: Address,
    /// When a block is final.
    pub finality: Finality,
    /// The block explorer's address, without a slash at the end.
    pub explorer: Option<String>,
    /// The coin's symbol on screens.
    pub symbol: String,
    /// Whose vault pays.
    pub payer: PayerRule,
    /// The most slots of a wallet that may be open at once.
    pub window: u32,
    /// The most requests in one JSON-RPC batch; a public node gets fewer at first.
    pub rpc_batch: u32,
    /// Whether its coin is worth money: it decides which questions are asked.
    pub real_money: bool,
    /// Whether this is a network in a box, with play money and no limits of its own.
    pub devnet: bool,
}

/// Where a devnet in process says that its pinned files are. Nothing resolves this name; the
/// devnet's own router answers for it.
pub const DEVNET_BASE: &str = "http://devnet.invalid";

/// Whether a URL leads to this machine.
pub fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(url::Host::Domain(name)) => name == "localhost",
        Some(url::Host::Ipv4(address)) => address.is_loopback(),
        Some(url::Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    }
}

impl Network {
    /// Whether its first endpoint is on another machine: a request costs a round trip, and somebody
    /// counts it.
    pub fn is_remote(&self) -> bool {
        let first = self.rpc.first().and_then(|url| url.parse().ok());
        first.is_some_and(|url| !is_loopback(&url))
    }

    /// The built-in devnet, in process: the testnet's addresses on chain 31337.
    pub fn devnet() -> Self {
        Self {
            name: "devnet".into(),
            chain_id: 31337,
            rpc: Vec::new(),
            pin_url: format!("{DEVNET_BASE}/file/create"),
            gateways: vec![format!("{DEVNET_BASE}/ipfs/")],
            explorer: None,
            symbol: "OGPU".into(),
            finality: Finality::Depth(1),
            window: 4096,
            rpc_batch: 256,
            real_money: false,
            devnet: true,
            ..Self::testnet()
        }
    }

    /// The built-in testnet (protocol.md, section 1).
    pub fn testnet() -> Self {
        Self {
            name: "testnet".into(),
            chain_id: 200_820_172_034,
            rpc: vec!["https://testnetrpc.ogpuscan.io".into()],
            pin_url: "https://capi.ogpuscan.io/file/create".into(),
            gateways: vec!["https://cipfs.ogpuscan.io/ipfs/".into()],
            allow_any_https: false,
            allow_private_hosts: false,
            nexus: address!("0xF87bb2f3edB991a998992f14d35fE142e6Bb50b1"),
            controller: address!("0x9fb6022074Fd7Bdb429de0776eb693cA0CB55E09"),
            terminal: address!("0x1ea332Fc14a5AFD3AF3852B45C263Ab5b1Dd6f52"),
            vault: address!("0x15905a2FbD3EF5d3532b931b5656BB9EB493Bb15"),
            finality: Finality::Tag,
            explorer: Some("https://testnet.ogpuscan.io".into()),
            symbol: "ToGPU".into(),
            payer: PayerRule::Auto,
            window: 32,
            rpc_batch: 100,
            real_money: false,
            devnet: false,
        }
    }

    /// The built-in mainnet (protocol.md, section 1).
    pub fn mainnet() -> Self {
        Self {
            name: "mainnet".into(),
            chain_id: 1071,
            rpc: vec!["https://mainnet-rpc.ogpuscan.io".into()],
            nexus: address!("0x2b0cC6058313801D5feb184a539e3a0C5A87a6a1"),
            controller: address!("0x8661F4B9c30e07A04d795A192478dfD905625a1D"),
            terminal: address!("0xaEBC7b712D38Fc4d841f0732c21B8774339869D3"),
            vault: address!("0xa5c582254AA313528898311362bc698b041580cC"),
            explorer: Some("https://ogpuscan.io".into()),
            symbol: "OGPU".into(),
            real_money: true,
            ..Self::testnet()
        }
    }

    /// A link to a transaction in the explorer, where there is one (EIP-3091).
    pub fn tx_link(&self, hash: &alloy::primitives::B256) -> Option<String> {
        Some(format!("{}/tx/{hash}", self.explorer.as_ref()?))
    }

    /// A link to a task in the explorer, where there is one (protocol.md, section 1).
    pub fn task_link(&self, task: &Address) -> Option<String> {
        Some(format!("{}/task/{task}", self.explorer.as_ref()?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_finality_reads_back_as_it_was_printed() {
        for finality in [Finality::Tag, Finality::Depth(1), Finality::Depth(64)] {
            assert_eq!(finality.to_string().parse(), Ok(finality));
        }
        for bad in ["", "depth:0", "depth:", "depth:-1", "Tag", "finalized"] {
            assert!(bad.parse::<Finality>().is_err(), "{bad}");
        }
    }

    #[test]
    fn only_mainnet_has_real_money_and_no_network_trusts_private_hosts() {
        let all = [Network::devnet(), Network::testnet(), Network::mainnet()];
        assert_eq!(all.each_ref().map(|n| n.real_money), [false, false, true]);
        assert!(all.iter().all(|n| !n.allow_private_hosts && !n.allow_any_https));
    }
}
