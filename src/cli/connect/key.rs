//! The key: opened when something is about to be signed, and not a moment before.

use std::fs;
use std::path::PathBuf;

use alloy::primitives::Address;

use super::super::failure::{Exit, Failure};
use super::super::question;
use super::super::settings::{Keystore, Settings, SignerChoice, trust};
use super::Purpose;
use crate::chain::{KeyError, Signer};
use crate::devnet::town;
use crate::pipeline::Code;
use crate::units::{Network, Secret};

/// More than any password has.
const LONGEST_PASSWORD: usize = 4096;

/// An opened key, and where it came from.
#[derive(Debug)]
pub struct SigningKey {
    /// The key.
    pub signer: Signer,
    /// Where it came from.
    pub origin: String,
}

/// Opens the key that was chosen; asks for a password where one is needed.
///
/// # Errors
/// Exit 4 when there is no key, or it cannot be opened.
pub fn open_key(
    settings: &Settings,
    choice: &SignerChoice,
    network: &Network,
    password_file: Option<&PathBuf>,
) -> Result<SigningKey, Failure> {
    if let Some(warning) = choice.warning(network) {
        settings.ui.warn(&warning);
    }
    let signer = match choice {
        SignerChoice::Devnet => {
            let key = Secret::from(town::account().1.to_string());
            Signer::from_key(&key).map_err(|error| of_key(&error))?
        }
        SignerChoice::Key { key, .. } => Signer::from_key(key).map_err(|error| of_key(&error))?,
        SignerChoice::Keystore(keystore) => {
            let password = password(settings, keystore, password_file)?;
            Signer::from_keystore(&keystore.path, &password).map_err(|error| of_key(&error))?
        }
        SignerChoice::Nowhere => return Err(SignerChoice::missing(network)),
    };
    Ok(SigningKey { signer, origin: choice.to_string() })
}

/// The signer's address, where it is known without a password.
pub(super) fn known_address(choice: &SignerChoice) -> Result<Option<Address>, Failure> {
    match choice {
        SignerChoice::Devnet => Ok(Some(town::account().0)),
        SignerChoice::Key { key, .. } => {
            Signer::from_key(key).map(|key| Some(key.address())).map_err(|error| of_key(&error))
        }
        SignerChoice::Keystore(keystore) => Ok(keystore.address),
        SignerChoice::Nowhere => Ok(None),
    }
}

/// Refuses to act on a network with real money that a project bends, unless the user agrees; a
/// yes is remembered.
pub(super) fn refuse_bent(
    settings: &Settings,
    network: &Network,
    purpose: Purpose,
) -> Result<(), Failure> {
    if settings.bent.is_empty() || purpose == Purpose::Look {
        return Ok(());
    }
    let keys = settings.bent.join(", ");
    settings.ui.warn(&format!(
        "this project sets {keys} of `{}`, a network with real money",
        network.name
    ));
    for url in network.rpc.iter().chain(&network.gateways) {
        settings.ui.say(&format!("  {url}"));
    }
    let question = format!("Trust {} with it from now on?", settings.project.display());
    if !question::yes(settings, &question, "your own config.toml for [networks.NAME]")? {
        return Err(question::declined());
    }
    if let Some(data) = &settings.folders.data {
        let remembered = trust::trust(data, &settings.project, network);
        if remembered.is_err() {
            settings.ui.warn("the answer could not be written down; it will be asked again");
        }
    }
    Ok(())
}

/// The keystore's password: from a file, or from the terminal.
fn password(
    settings: &Settings,
    keystore: &Keystore,
    file: Option<&PathBuf>,
) -> Result<Secret, Failure> {
    if let Some(path) = file.or(settings.password_file.as_ref()) {
        let text = fs::read_to_string(path).map_err(|error| {
            let message = format!("the password file {} cannot be read", path.display());
            Failure::new(Exit::NeedsAnswer, message).coded(Code::E0801).because(error)
        })?;
        let line = text.strip_suffix('\n').unwrap_or(&text);
        let line = line.strip_suffix('\r').unwrap_or(line);
        if line.len() > LONGEST_PASSWORD {
            let message = format!("{} is no password file", path.display());
            return Err(Failure::new(Exit::NeedsAnswer, message).coded(Code::E0801));
        }
        return Ok(Secret::from(line.to_owned()));
    }
    let question = format!("Password of keystore {}: ", keystore.name);
    if settings.no_input || !settings.ui.can_ask() {
        return Err(question::nobody_to_ask(
            question.trim_end_matches([':', ' ']),
            "--password-file or OGFLOW_PASSWORD_FILE",
        ));
    }
    rpassword::prompt_password(question).map(Secret::from).map_err(|error| {
        Failure::new(Exit::NeedsAnswer, "the password cannot be read").because(error)
    })
}

fn of_key(error: &KeyError) -> Failure {
    Failure::of(Exit::NeedsAnswer, error).coded(Code::E0801).help(error.hint())
}
