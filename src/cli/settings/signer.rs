//! Who signs: a keystore by name, a key from a variable, or the devnet's own account.
//!
//! A key is never in argv, in YAML, in a log or in an error. A keystore is found here and judged
//! by its file alone; its password is asked for only when something is about to be signed.

use std::fmt;
use std::path::{Path, PathBuf};

use alloy::primitives::Address;
use serde_json::Value;

use super::super::failure::{Exit, Failure};
use super::choice::{Origin, Sourced};
use super::environment::{Environment, Place};
use crate::pipeline::Code;
use crate::units::{Network, Secret};

/// Variables that hold a key, first choice first; the second is the Python SDK's name.
const KEY_VARIABLES: [&str; 2] = ["OGFLOW_PRIVATE_KEY", "CLIENT_PRIVATE_KEY"];
/// The least scrypt cost that passes without a warning.
const STRONG_SCRYPT: u64 = 1 << 18;
/// More than any keystore has.
const LARGEST_KEYSTORE: u64 = 64 * 1024;

/// Where the signing key is.
#[derive(Clone, Debug)]
pub enum SignerChoice {
    /// The built-in account of a devnet, with play money.
    Devnet,
    /// A key in a variable.
    Key {
        /// The key, as 64 hex digits with or without `0x`.
        key: Secret,
        /// Which variable.
        origin: Origin,
    },
    /// A keystore file.
    Keystore(Keystore),
    /// Nowhere: nothing can be signed.
    Nowhere,
}

/// A keystore file that was found and may be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Keystore {
    /// The name that the reader gave.
    pub name: String,
    /// The file.
    pub path: PathBuf,
    /// Whether it stands in Foundry's folder.
    pub foundry: bool,
    /// The address that it says it holds; old and strict tools leave it out.
    pub address: Option<Address>,
    /// Why its protection is weak, if it is.
    pub weak: Option<String>,
}

impl fmt::Display for SignerChoice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Devnet => f.write_str("the devnet's account"),
            Self::Key { origin, .. } => origin.fmt(f),
            Self::Keystore(keystore) if keystore.foundry => {
                write!(f, "Foundry's keystore {}", keystore.name)
            }
            Self::Keystore(keystore) => write!(f, "keystore {}", keystore.name),
            Self::Nowhere => f.write_str("no signer"),
        }
    }
}

impl SignerChoice {
    /// Chooses: `--account` or the user's `account`, then the key variables; a devnet's own
    /// account unless the flag says otherwise (cli.md, section 3.15).
    ///
    /// # Errors
    /// When the named keystore is not there or not safe to use.
    pub fn choose(
        network: &Network,
        account: Option<&Sourced<String>>,
        env: &Environment,
        folders: &[PathBuf],
    ) -> Result<Self, Failure> {
        let by_flag = account.is_some_and(|account| matches!(account.origin, Origin::Flag(_)));
        if network.devnet && !by_flag {
            return Ok(Self::Devnet);
        }
        if let Some(account) = account {
            return Keystore::find(&account.value, folders).map(Self::Keystore);
        }
        for name in KEY_VARIABLES {
            if let Some((value, place)) = env.placed(name) {
                let origin = match place {
                    Place::Process => Origin::Variable(name),
                    Place::File => Origin::EnvFile(name),
                };
                return Ok(Self::Key { key: Secret::from(value.to_owned()), origin });
            }
        }
        Ok(Self::Nowhere)
    }

    /// What to warn of where money is real.
    pub fn warning(&self, network: &Network) -> Option<String> {
        match self {
            Self::Key { origin, .. } if network.real_money => Some(format!(
                "the key comes from {origin}, where other programs can read it; \
                 a keystore is safer"
            )),
            Self::Keystore(Keystore { name, weak: Some(weak), .. }) => {
                Some(format!("keystore `{name}` is weakly protected: {weak}"))
            }
            Self::Devnet | Self::Key { .. } | Self::Keystore(_) | Self::Nowhere => None,
        }
    }

    /// The failure of a command that must sign and cannot.
    pub fn missing(network: &Network) -> Failure {
        let message = format!("there is no key to sign with on {}", network.name);
        Failure::new(Exit::NeedsAnswer, message).coded(Code::E0801).help(
            "set --account to the name of a keystore, or OGFLOW_PRIVATE_KEY, or use \
             --network devnet",
        )
    }
}

impl Keystore {
    /// Finds the keystore of this name.
    ///
    /// # Errors
    /// When no folder has it, others can read it, or it is no keystore.
    pub fn find(name: &str, folders: &[PathBuf]) -> Result<Self, Failure> {
        let plain = !name.is_empty()
            && !name.starts_with('.')
            && !name.contains(['/', '\\'])
            && !name.chars().any(char::is_control);
        if !plain {
            return Err(Failure::usage(format!("`{name}` is not the name of an account")));
        }
        for (index, folder) in folders.iter().enumerate() {
            for file in [name.to_owned(), format!("{name}.json")] {
                let path = folder.join(file);
                if path.is_file() {
                    return Self::judge(name, path, index > 0);
                }
            }
        }
        let message = format!("there is no keystore `{name}`");
        Err(Failure::new(Exit::NeedsAnswer, message).coded(Code::E0801).help(help(name, folders)))
    }

    fn judge(name: &str, path: PathBuf, foundry: bool) -> Result<Self, Failure> {
        let shown = path.display().to_string();
        refuse_open_file(&path, &shown)?;
        let wrong = |why: String| {
            Failure::new(Exit::NeedsAnswer, format!("{shown} is not a keystore"))
                .coded(Code::E0801)
                .because(why)
        };
        let len = path.metadata().map_err(|error| wrong(error.to_string()))?.len();
        if len > LARGEST_KEYSTORE {
            return Err(wrong(format!("it has {len} bytes")));
        }
        let text = std::fs::read_to_string(&path).map_err(|error| wrong(error.to_string()))?;
        let json: Value = serde_json::from_str(&text).map_err(|_| wrong("not JSON".into()))?;
        if json["version"] != 3 || !json["crypto"].is_object() {
            return Err(wrong("only version 3 is read".into()));
        }
        let address = json["address"].as_str().and_then(|text| text.parse().ok());
        Ok(Self { name: name.to_owned(), foundry, address, weak: weakness(&json), path })
    }
}

/// Refuses a file that the group or the world can read or write.
#[cfg(unix)]
fn refuse_open_file(path: &Path, shown: &str) -> Result<(), Failure> {
    use std::os::unix::fs::PermissionsExt;
    let mode = path.metadata().map_or(0, |meta| meta.permissions().mode());
    if mode & 0o077 == 0 {
        return Ok(());
    }
    let message = format!("other users can read the keystore {shown}");
    Err(Failure::new(Exit::NeedsAnswer, message)
        .coded(Code::E0801)
        .help(format!("chmod 600 '{shown}'")))
}

#[cfg(not(unix))]
fn refuse_open_file(_path: &Path, _shown: &str) -> Result<(), Failure> {
    Ok(())
}

/// Why the key derivation is weaker than what ogflow itself would write, if it is.
fn weakness(json: &Value) -> Option<String> {
    let crypto = &json["crypto"];
    match crypto["kdf"].as_str() {
        Some("scrypt") => {
            let cost = crypto["kdfparams"]["n"].as_u64().unwrap_or(0);
            (cost < STRONG_SCRYPT).then(|| format!("scrypt N is {cost}, below {STRONG_SCRYPT}"))
        }
        Some(other) => Some(format!("it uses `{other:.20}` instead of scrypt")),
        None => Some("it names no key derivation".into()),
    }
}

/// Which keystores there are, or where they would have to stand.
fn help(name: &str, folders: &[PathBuf]) -> String {
    let mut names: Vec<String> = folders
        .iter()
        .filter_map(|folder| std::fs::read_dir(folder).ok())
        .flatten()
        .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
        .map(|file| file.trim_end_matches(".json").to_owned())
        .filter(|file| !file.starts_with('.'))
        .collect();
    names.sort();
    names.dedup();
    if let Some(near) = super::super::suggest::nearest(name, names.iter().map(String::as_str)) {
        return format!("did you mean `{near}`?");
    }
    if names.is_empty() {
        let places: Vec<String> = folders.iter().map(|f| f.display().to_string()).collect();
        return format!("keystores are looked for in {}", places.join(" and "));
    }
    format!("the keystores are {}", names.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = r#"{"version":3,"address":"f39fd6e51aad88f6f4ce6ab8827279cfffb92266",
        "crypto":{"kdf":"scrypt","kdfparams":{"n":262144}}}"#;

    #[cfg(unix)]
    fn write(path: &Path, text: &str, mode: u32) {
        use std::os::unix::fs::PermissionsExt;
        std::fs::write(path, text).unwrap();
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
    }

    fn env(pairs: &[(&str, &str)]) -> Environment {
        pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    #[test]
    #[cfg(unix)]
    fn our_folder_comes_before_foundrys_and_both_are_read_in_place() {
        let (ours, theirs) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let folders = [ours.path().to_path_buf(), theirs.path().to_path_buf()];
        write(&theirs.path().join("dev"), &GOOD.replace("262144", "8192"), 0o600);
        let found = Keystore::find("dev", &folders).unwrap();
        assert!(found.foundry && found.weak.unwrap().contains("8192"));
        write(&ours.path().join("dev.json"), GOOD, 0o600);
        let found = Keystore::find("dev", &folders).unwrap();
        assert!(!found.foundry && found.weak.is_none() && found.address.is_some());
        let missing = Keystore::find("dve", &folders).unwrap_err();
        assert_eq!(missing.help.as_deref(), Some("did you mean `dev`?"));
        assert_eq!(missing.exit, Exit::NeedsAnswer);
    }

    #[test]
    #[cfg(unix)]
    fn a_keystore_that_others_can_read_is_refused_with_the_command_that_mends_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("dev");
        write(&path, GOOD, 0o640);
        let error = Keystore::find("dev", &[folder.path().to_path_buf()]).unwrap_err();
        assert_eq!(error.help, Some(format!("chmod 600 '{}'", path.display())));
        write(&path, "{\"version\":1}", 0o600);
        assert!(Keystore::find("dev", &[folder.path().to_path_buf()]).is_err());
    }

    #[test]
    fn a_name_is_never_a_path() {
        for name in ["", "../x", "/etc/passwd", ".hidden", "a/b", "a\\b", "a\nb"] {
            assert_eq!(Keystore::find(name, &[]).unwrap_err().exit, Exit::Usage, "{name:?}");
        }
    }

    #[test]
    fn variables_come_in_their_order_and_a_devnet_asks_for_none() {
        let both = env(&[("OGFLOW_PRIVATE_KEY", "a"), ("CLIENT_PRIVATE_KEY", "b")]);
        let choose = |network: &Network, env: &Environment| {
            SignerChoice::choose(network, None, env, &[]).unwrap()
        };
        assert_eq!(choose(&Network::testnet(), &both).to_string(), "OGFLOW_PRIVATE_KEY");
        let second = env(&[("CLIENT_PRIVATE_KEY", "b")]);
        let chosen = choose(&Network::mainnet(), &second);
        assert_eq!(chosen.to_string(), "CLIENT_PRIVATE_KEY");
        assert!(chosen.warning(&Network::mainnet()).is_some());
        assert!(chosen.warning(&Network::testnet()).is_none());
        assert!(matches!(choose(&Network::devnet(), &both), SignerChoice::Devnet));
        assert!(matches!(choose(&Network::testnet(), &env(&[])), SignerChoice::Nowhere));
        assert!(!format!("{chosen:?}").contains('b') || format!("{chosen:?}").contains("***"));
    }

    #[test]
    fn a_users_account_does_not_reach_the_devnet_but_the_flag_does() {
        let named = |origin| Sourced::new("nobody".to_owned(), origin);
        let choose = |account: &Sourced<String>| {
            SignerChoice::choose(&Network::devnet(), Some(account), &Environment::default(), &[])
        };
        assert!(matches!(choose(&named(Origin::User("c".into()))), Ok(SignerChoice::Devnet)));
        assert!(choose(&named(Origin::Flag("--account"))).is_err());
    }
}
