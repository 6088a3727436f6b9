//! A settings file as typed: `ogflow.toml` of a project, `config.toml` of a user.

use std::collections::BTreeMap;
use std::num::NonZeroU32;
use std::path::Path;

use alloy::primitives::Address;
use serde::{Deserialize, Deserializer, de::Error as _};

use super::super::failure::{Exit, Failure};
use super::super::ui::ColorChoice;
use super::choice::{ProgressChoice, Show};
use crate::pipeline;
use crate::units::time::Rate;
use crate::units::{Finality, PayerRule, Wei};

/// All that a settings file may say. What it leaves out, a lower layer says.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct SettingsDocument {
    /// The network to use.
    pub network: Option<String>,
    /// The keystore that signs; users only.
    pub account: Option<String>,
    /// The most that a run may spend.
    #[serde(deserialize_with = "money")]
    pub max_spend: Option<Wei>,
    /// Above this, a run with real money asks twice.
    #[serde(deserialize_with = "money")]
    pub confirm_above: Option<Wei>,
    /// The pipeline that commands mean when none is named; projects only.
    pub pipeline: Option<String>,
    /// Ceilings on the pipeline's own limits.
    pub limits: LimitsDocument,
    /// How progress is shown.
    pub progress: Option<ProgressChoice>,
    /// Which tasks scroll by.
    pub show: Option<Show>,
    /// When to colour.
    #[serde(deserialize_with = "color")]
    pub color: Option<ColorChoice>,
    /// Words and lists instead of boxes and bars.
    pub accessible: Option<bool>,
    /// Networks, by name.
    pub networks: BTreeMap<String, NetworkDocument>,
}

/// `[limits]`, written as in a pipeline (language.md, section 4).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct LimitsDocument {
    /// Publications started.
    #[serde(deserialize_with = "rate")]
    pub publish_rate: Option<Rate>,
    /// Publications that may go at once after a quiet time.
    pub burst: Option<u32>,
    /// Tasks open on chain.
    pub in_flight: Option<u32>,
    /// Calls to the node.
    #[serde(deserialize_with = "rate")]
    pub rpc_rate: Option<Rate>,
    /// Uploads to the pin service.
    #[serde(deserialize_with = "rate")]
    pub pin_rate: Option<Rate>,
}

impl LimitsDocument {
    /// A pipeline's own limits with these as ceilings.
    #[must_use]
    pub fn lower(self, own: pipeline::Limits) -> pipeline::Limits {
        let lower = |own: NonZeroU32, ceiling: Option<u32>| {
            own.min(ceiling.and_then(NonZeroU32::new).unwrap_or(own))
        };
        pipeline::Limits {
            publish_rate: slower(own.publish_rate, self.publish_rate),
            burst: lower(own.burst, self.burst),
            in_flight: lower(own.in_flight, self.in_flight),
            rpc_rate: slower(own.rpc_rate, self.rpc_rate),
            pin_rate: slower(own.pin_rate, self.pin_rate),
        }
    }

    /// The lower of the two, limit by limit.
    #[must_use]
    pub fn lowest(self, other: Self) -> Self {
        let fewer = |a: Option<u32>, b: Option<u32>| match (a, b) {
            (Some(a), Some(b)) => Some(a.min(b)),
            (a, b) => a.or(b),
        };
        Self {
            publish_rate: slower(self.publish_rate, other.publish_rate),
            burst: fewer(self.burst, other.burst),
            in_flight: fewer(self.in_flight, other.in_flight),
            rpc_rate: slower(self.rpc_rate, other.rpc_rate),
            pin_rate: slower(self.pin_rate, other.pin_rate),
        }
    }
}

/// The slower of two rates; one that is not written is none.
fn slower(a: Option<Rate>, b: Option<Rate>) -> Option<Rate> {
    match (a, b) {
        (Some(a), Some(b)) => Some(if a.interval() >= b.interval() { a } else { b }),
        (a, b) => a.or(b),
    }
}

/// `[networks.NAME]` (cli.md, section 5): of a network of one's own, or what is changed about a
/// built-in one.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct NetworkDocument {
    /// What `eth_chainId` must say.
    pub chain_id: Option<u64>,
    /// JSON-RPC endpoints.
    pub rpc: Option<Vec<String>>,
    /// Where files are pinned.
    pub pin_url: Option<String>,
    /// URL prefixes that responses are read from.
    pub gateways: Option<Vec<String>>,
    /// Whether any https URL may be read.
    pub allow_any_https: Option<bool>,
    /// Whether loopback and private addresses may be read.
    pub allow_private_hosts: Option<bool>,
    /// The registry.
    pub nexus: Option<Address>,
    /// The contract that the client calls.
    pub controller: Option<Address>,
    /// The contract of identities.
    pub terminal: Option<Address>,
    /// The contract that holds the money.
    pub vault: Option<Address>,
    /// `tag` or `depth:N`.
    #[serde(deserialize_with = "finality")]
    pub finality: Option<Finality>,
    /// The block explorer's address.
    pub explorer: Option<String>,
    /// The coin's symbol.
    pub symbol: Option<String>,
    /// `auto`, `signer` or `source-owner`.
    pub payer: Option<PayerRule>,
    /// The most open slots of a wallet.
    pub window: Option<u32>,
    /// The most requests in one JSON-RPC batch.
    pub rpc_batch: Option<u32>,
    /// Whether the coin is worth money.
    pub real_money: Option<bool>,
}

impl SettingsDocument {
    /// Reads a settings file.
    ///
    /// # Errors
    /// When the text is not TOML, a key is unknown or a value has the wrong form.
    pub fn parse(path: &Path, text: &str) -> Result<Self, Failure> {
        toml::from_str(text).map_err(|error| {
            let message = format!("{} cannot be read as settings", path.display());
            Failure::new(Exit::Invalid, message)
                .because(error.to_string().trim_end())
                .help("`ogflow help environment` lists the keys that settings may have")
        })
    }
}

fn money<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Wei>, D::Error> {
    let text = String::deserialize(from)?;
    Wei::parse(&text).map(Some).map_err(|e| D::Error::custom(format!("{e}; {}", e.hint())))
}

fn rate<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Rate>, D::Error> {
    let text = String::deserialize(from)?;
    Rate::parse(&text).map(Some).map_err(|e| D::Error::custom(format!("{e}; {}", e.hint())))
}

fn finality<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Finality>, D::Error> {
    let text = String::deserialize(from)?;
    let read = text.parse().map(Some);
    read.map_err(|e: crate::units::network::NetworkError| {
        D::Error::custom(format!("{e}; {}", e.hint()))
    })
}

fn color<'de, D: Deserializer<'de>>(from: D) -> Result<Option<ColorChoice>, D::Error> {
    use clap::ValueEnum;
    let text = String::deserialize(from)?;
    ColorChoice::from_str(&text, false)
        .map(Some)
        .map_err(|_| D::Error::custom("write `auto`, `always` or `never`"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<SettingsDocument, Failure> {
        SettingsDocument::parse(Path::new("ogflow.toml"), text)
    }

    #[test]
    fn a_whole_file_is_read() {
        let document = read(
            "network = \"lab\"\nmax_spend = \"10 OGPU\"\nprogress = \"plain\"\ncolor = \"never\"\n\
             [limits]\npublish_rate = \"5/s\"\nin_flight = 7\n\
             [networks.lab]\nchain_id = 31337\nrpc = [\"http://127.0.0.1:8545\"]\n\
             finality = \"depth:1\"\npayer = \"source-owner\"\nreal_money = false\n",
        )
        .unwrap();
        assert_eq!(document.max_spend, Some(Wei::parse("10 OGPU").unwrap()));
        assert_eq!(document.limits.in_flight, Some(7));
        let lab = &document.networks["lab"];
        assert_eq!(lab.finality, Some(Finality::Depth(1)));
        assert_eq!(lab.payer, Some(PayerRule::SourceOwner));
    }

    #[test]
    fn what_is_not_a_setting_is_refused_with_its_line() {
        for text in [
            "netwrok = \"testnet\"",
            "max_spend = \"10\"",
            "max_spend = 10",
            "[limits]\npublish_rate = \"5\"",
            "[networks.x]\nfinality = \"depth:0\"",
            "[networks.x]\nconfirmations = 3",
            "[networks.x]\nvault = \"0x12\"",
            "yes = true",
            "x",
        ] {
            let error = read(text).unwrap_err();
            assert_eq!(error.exit, Exit::Invalid, "{text}");
            assert!(error.because[0].contains("line "), "{text}: {:?}", error.because);
        }
    }

    #[test]
    fn of_two_limits_the_lower_holds() {
        let a = read("[limits]\npublish_rate = \"5/s\"\nburst = 10").unwrap().limits;
        let b = read("[limits]\npublish_rate = \"60/m\"\nin_flight = 3").unwrap().limits;
        let both = a.lowest(b);
        assert_eq!(both.publish_rate, Some(Rate::parse("60/m").unwrap()));
        assert_eq!((both.burst, both.in_flight), (Some(10), Some(3)));
        assert_eq!(a.lowest(b), b.lowest(a));
    }
}
