//! From `[networks.NAME]` and the built-in profiles to the one network that a command uses.
//!
//! A project may describe a network of its own. What it may not do unasked is to bend one whose
//! coin is worth money: each field in which its word decides there is reported, and the caller
//! asks the user or refuses. A project never makes money play money.

use alloy::primitives::Address;
use url::Url;

use super::super::failure::{Exit, Failure};
use super::document::NetworkDocument;
use crate::units::{Network, PayerRule};

/// The chain id whose coin is always worth money.
const MAINNET_CHAIN: u64 = 1071;
/// The built-in networks, in the order of their risk.
pub const BUILT_IN: [&str; 3] = ["devnet", "testnet", "mainnet"];

/// Who says what about one network, lowest word first.
#[derive(Clone, Copy, Debug, Default)]
pub struct Words<'a> {
    /// The user's settings file.
    pub user: Option<&'a NetworkDocument>,
    /// The project's settings file.
    pub project: Option<&'a NetworkDocument>,
    /// An RPC URL from flag or variable, and whether the project set it.
    pub rpc_url: Option<(&'a str, bool)>,
}

/// A network, and where the project's word decides about real money.
#[derive(Debug)]
pub struct Resolved {
    /// The network.
    pub network: Network,
    /// Keys in which the project bends a network with real money; empty where it does not.
    pub bent: Vec<&'static str>,
}

/// Puts the words about the network `name` together.
///
/// # Errors
/// When the network is unknown, incomplete or contradictory, or a project says that real money
/// is play money.
pub fn resolve(name: &str, words: Words<'_>, known: &[String]) -> Result<Resolved, Failure> {
    let base = built_in(name);
    if base.is_none() && words.user.is_none() && words.project.is_none() {
        return Err(unknown(name, known));
    }
    let trusted = match (&base, words.user) {
        (Some(base), Some(user)) => Some(overlaid(base.clone(), user)),
        (Some(base), None) => Some(base.clone()),
        (None, Some(user)) => complete(name, user, None).ok(),
        (None, None) => None,
    };
    let bare = match (&trusted, words.project) {
        (Some(trusted), Some(project)) => overlaid(trusted.clone(), project),
        (Some(trusted), None) => trusted.clone(),
        (None, project) => {
            complete(name, words.user.unwrap_or(&NetworkDocument::default()), project)?
        }
    };
    let (mut full, mut safe) = (bare, trusted);
    if let Some((url, by_project)) = words.rpc_url {
        use_rpc(&mut full, url)?;
        if let (Some(safe), false) = (&mut safe, by_project) {
            use_rpc(safe, url)?;
        }
    }
    keep_real(&mut full, safe.as_ref(), words.project)?;
    judge(&full)?;
    let bent = if full.real_money { bent(&full, safe.as_ref()) } else { Vec::new() };
    Ok(Resolved { network: full, bent })
}

fn built_in(name: &str) -> Option<Network> {
    match name {
        "devnet" => Some(Network::devnet()),
        "testnet" => Some(Network::testnet()),
        "mainnet" => Some(Network::mainnet()),
        _ => None,
    }
}

fn unknown(name: &str, known: &[String]) -> Failure {
    let failure = Failure::new(Exit::Invalid, format!("there is no network `{name}`"));
    let near = super::super::suggest::nearest(name, known.iter().map(String::as_str));
    failure.help(match near {
        Some(near) => format!("did you mean `{near}`?"),
        None => format!("the networks are {}", known.join(", ")),
    })
}

/// The network with what the document says about it.
fn overlaid(mut network: Network, document: &NetworkDocument) -> Network {
    fn set<T: Clone>(field: &mut T, value: Option<&T>) {
        if let Some(value) = value {
            field.clone_from(value);
        }
    }
    set(&mut network.chain_id, document.chain_id.as_ref());
    set(&mut network.rpc, document.rpc.as_ref());
    set(&mut network.pin_url, document.pin_url.as_ref());
    set(&mut network.gateways, document.gateways.as_ref());
    set(&mut network.allow_any_https, document.allow_any_https.as_ref());
    set(&mut network.allow_private_hosts, document.allow_private_hosts.as_ref());
    set(&mut network.nexus, document.nexus.as_ref());
    set(&mut network.controller, document.controller.as_ref());
    set(&mut network.terminal, document.terminal.as_ref());
    set(&mut network.vault, document.vault.as_ref());
    set(&mut network.finality, document.finality.as_ref());
    set(&mut network.symbol, document.symbol.as_ref());
    set(&mut network.payer, document.payer.as_ref());
    set(&mut network.window, document.window.as_ref());
    set(&mut network.rpc_batch, document.rpc_batch.as_ref());
    set(&mut network.real_money, document.real_money.as_ref());
    if document.explorer.is_some() {
        network.explorer = document.explorer.as_ref().map(|url| url.trim_end_matches('/').into());
    }
    network
}

/// A network of one's own: what has no sensible default must be written by somebody.
fn complete(
    name: &str,
    user: &NetworkDocument,
    project: Option<&NetworkDocument>,
) -> Result<Network, Failure> {
    let blank = Network {
        name: name.to_owned(),
        chain_id: 0,
        rpc: Vec::new(),
        pin_url: String::new(),
        gateways: Vec::new(),
        nexus: Address::ZERO,
        controller: Address::ZERO,
        terminal: Address::ZERO,
        vault: Address::ZERO,
        explorer: None,
        symbol: "OGPU".into(),
        payer: PayerRule::Auto,
        real_money: true,
        devnet: false,
        ..Network::testnet()
    };
    let network = overlaid(blank, user);
    let network = project.map_or(network.clone(), |project| overlaid(network, project));
    let has_finality =
        user.finality.is_some() || project.is_some_and(|words| words.finality.is_some());
    let missing: Vec<&str> = [
        ("chain_id", network.chain_id == 0),
        ("rpc", network.rpc.is_empty()),
        ("pin_url", network.pin_url.is_empty()),
        ("gateways", network.gateways.is_empty() && !network.allow_any_https),
        ("nexus", network.nexus.is_zero()),
        ("controller", network.controller.is_zero()),
        ("terminal", network.terminal.is_zero()),
        ("vault", network.vault.is_zero()),
        ("finality", !has_finality),
    ]
    .into_iter()
    .filter_map(|(key, missing)| missing.then_some(key))
    .collect();
    if missing.is_empty() {
        return Ok(network);
    }
    let message = format!("network `{name}` has no {}", missing.join(", no "));
    Err(Failure::new(Exit::Invalid, message).help(format!("add it to [networks.{name}]")))
}

/// Puts an RPC URL in the place of the profile's own. A devnet serves files at the same place.
fn use_rpc(network: &mut Network, url: &str) -> Result<(), Failure> {
    let parsed = web_url("the RPC URL", url)?;
    network.rpc = vec![url.to_owned()];
    if network.devnet {
        let at = |path: &str| parsed.join(path).map_or_else(|_| url.to_owned(), String::from);
        network.pin_url = at("/file/create");
        network.gateways = vec![at("/ipfs/")];
        network.allow_private_hosts = true;
    }
    Ok(())
}

/// Real money stays real: by the chain id, and against a project's word.
fn keep_real(
    full: &mut Network,
    safe: Option<&Network>,
    project: Option<&NetworkDocument>,
) -> Result<(), Failure> {
    let real = full.chain_id == MAINNET_CHAIN || safe.is_some_and(|safe| safe.real_money);
    if real && project.and_then(|words| words.real_money) == Some(false) {
        let message = format!("the project says that `{}` has no real money", full.name);
        return Err(Failure::new(Exit::Invalid, message)
            .help(format!("take `real_money` out of [networks.{}]", full.name)));
    }
    full.real_money |= full.chain_id == MAINNET_CHAIN;
    Ok(())
}

/// Whether the parts of a network can be used at all.
fn judge(network: &Network) -> Result<(), Failure> {
    let named = |what: &str| format!("`{what}` of network `{}`", network.name);
    for url in &network.rpc {
        web_url(&named("rpc"), url)?;
    }
    web_url(&named("pin_url"), &network.pin_url)?;
    for url in &network.gateways {
        web_url(&named("gateways"), url)?;
    }
    if network.window == 0 || network.rpc_batch == 0 {
        let message = format!("{} must be 1 or more", named("window"));
        return Err(Failure::new(Exit::Invalid, message));
    }
    Ok(())
}

/// The URL, if it is one that can be asked.
fn web_url(what: &str, text: &str) -> Result<Url, Failure> {
    let wrong = |why: String| {
        Failure::new(Exit::Invalid, format!("{what} is not a web address: `{text}`")).because(why)
    };
    let url = Url::parse(text).map_err(|error| wrong(error.to_string()))?;
    match url.scheme() {
        "http" | "https" if url.has_host() => Ok(url),
        other => Err(wrong(format!("`{other}` is neither http nor https"))),
    }
}

/// The keys in which the network differs from what the user and the program say of it.
fn bent(full: &Network, safe: Option<&Network>) -> Vec<&'static str> {
    let Some(safe) = safe else {
        return vec!["chain_id", "rpc", "pin_url", "gateways", "nexus", "controller", "vault"];
    };
    [
        ("chain_id", full.chain_id != safe.chain_id),
        ("rpc", full.rpc != safe.rpc),
        ("pin_url", full.pin_url != safe.pin_url),
        ("gateways", full.gateways != safe.gateways),
        ("allow_any_https", full.allow_any_https != safe.allow_any_https),
        ("allow_private_hosts", full.allow_private_hosts != safe.allow_private_hosts),
        ("nexus", full.nexus != safe.nexus),
        ("controller", full.controller != safe.controller),
        ("terminal", full.terminal != safe.terminal),
        ("vault", full.vault != safe.vault),
        ("finality", full.finality != safe.finality),
        ("payer", full.payer != safe.payer),
        ("window", full.window != safe.window),
    ]
    .into_iter()
    .filter_map(|(key, differs)| differs.then_some(key))
    .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    use super::super::document::SettingsDocument;

    fn document(body: &str) -> NetworkDocument {
        let text = format!("[networks.x]\n{body}");
        SettingsDocument::parse(Path::new("t"), &text).unwrap().networks.remove("x").unwrap()
    }

    const LAB: &str = "chain_id = 31337\nrpc = [\"http://127.0.0.1:8545\"]\n\
        pin_url = \"http://127.0.0.1:8700/file/create\"\n\
        gateways = [\"http://127.0.0.1:8700/ipfs/\"]\nfinality = \"depth:1\"\n\
        nexus = \"0x0000000000000000000000000000000000000001\"\n\
        controller = \"0x0000000000000000000000000000000000000002\"\n\
        terminal = \"0x0000000000000000000000000000000000000003\"\n\
        vault = \"0x0000000000000000000000000000000000000004\"\n";

    fn known() -> Vec<String> {
        BUILT_IN.map(str::to_owned).to_vec()
    }

    #[test]
    fn a_network_of_ones_own_has_real_money_unless_it_says_otherwise() {
        let real = document(LAB);
        let words = |lab| Words { user: Some(lab), ..Words::default() };
        assert!(resolve("lab", words(&real), &known()).unwrap().network.real_money);
        let play = NetworkDocument { real_money: Some(false), ..real.clone() };
        let lab = resolve("lab", words(&play), &known()).unwrap();
        assert!(!lab.network.real_money && lab.bent.is_empty());
        assert_eq!(lab.network.name, "lab");
    }

    #[test]
    fn what_has_no_default_is_asked_for_all_at_once() {
        let lab = document("rpc = [\"http://127.0.0.1:1\"]");
        let error =
            resolve("lab", Words { user: Some(&lab), ..Words::default() }, &known()).unwrap_err();
        assert_eq!(
            error.message,
            "network `lab` has no chain_id, no pin_url, no gateways, no nexus, no controller, no \
             terminal, no vault, no finality"
        );
    }

    #[test]
    fn a_project_that_bends_a_network_with_real_money_is_reported() {
        let project = document("rpc = [\"https://evil.example\"]\nfinality = \"depth:1\"");
        let words = Words { project: Some(&project), ..Words::default() };
        assert_eq!(resolve("mainnet", words, &known()).unwrap().bent, ["rpc", "finality"]);
        assert!(resolve("testnet", words, &known()).unwrap().bent.is_empty());
        let own = document(LAB);
        let own = Words { project: Some(&own), ..Words::default() };
        assert!(!resolve("lab", own, &known()).unwrap().bent.is_empty());
    }

    #[test]
    fn an_rpc_url_bends_a_network_only_if_the_project_set_it() {
        for (by_project, bent) in [(true, vec!["rpc"]), (false, vec![])] {
            let rpc_url = Some(("https://rpc.example", by_project));
            let resolved =
                resolve("mainnet", Words { rpc_url, ..Words::default() }, &known()).unwrap();
            assert_eq!(resolved.bent, bent);
            assert_eq!(resolved.network.rpc, ["https://rpc.example"]);
        }
    }

    #[test]
    fn a_project_cannot_say_that_real_money_is_play_money() {
        let project = document("real_money = false");
        let words = Words { project: Some(&project), ..Words::default() };
        assert_eq!(resolve("mainnet", words, &known()).unwrap_err().exit, Exit::Invalid);
        let mut own = document(LAB);
        own.chain_id = Some(MAINNET_CHAIN);
        own.real_money = Some(false);
        let words = Words { project: Some(&own), ..Words::default() };
        assert_eq!(resolve("own", words, &known()).unwrap_err().exit, Exit::Invalid);
        let words = Words { user: Some(&own), ..Words::default() };
        assert!(resolve("own", words, &known()).unwrap().network.real_money);
    }

    #[test]
    fn a_devnet_elsewhere_serves_files_where_it_serves_rpc() {
        let words = Words { rpc_url: Some(("http://127.0.0.1:8545", false)), ..Words::default() };
        let network = resolve("devnet", words, &known()).unwrap().network;
        assert_eq!(network.pin_url, "http://127.0.0.1:8545/file/create");
        assert_eq!(network.gateways, ["http://127.0.0.1:8545/ipfs/"]);
        assert!(network.allow_private_hosts && network.devnet);
    }

    #[test]
    fn an_unknown_network_gets_the_nearest_name() {
        let error = resolve("tesnet", Words::default(), &known()).unwrap_err();
        assert_eq!(error.help.as_deref(), Some("did you mean `testnet`?"));
    }

    #[test]
    fn what_is_not_a_web_address_is_refused() {
        for url in ["ftp://x", "127.0.0.1:8545", "", "file:///etc/passwd"] {
            let words = Words { rpc_url: Some((url, false)), ..Words::default() };
            assert_eq!(
                resolve("devnet", words, &known()).unwrap_err().exit,
                Exit::Invalid,
                "{url}"
            );
        }
    }
}
