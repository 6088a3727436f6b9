//! Settings, resolved once into a plain struct that remembers who said what.
//!
//! Highest word first: flags, environment, the project's `.env`, the project's `ogflow.toml`,
//! the user's `config.toml`, defaults. A project is a stranger's folder until proven otherwise:
//! it may choose a network and lower a ceiling; it never picks the key, raises what may be
//! spent, or bends a network with real money unasked. No file can say yes.
//!
//! Nothing behind this module asks where a value came from, except to print it.

pub mod choice;
pub mod document;
pub mod environment;
pub mod folders;
pub mod networks;
pub mod signer;
pub mod trust;

use std::fs;
use std::path::{Path, PathBuf};

pub use choice::{Origin, ProgressChoice, Show, Sourced};
pub use document::LimitsDocument;
pub use environment::Environment;
pub use folders::Folders;
pub use signer::{Keystore, SignerChoice};

use self::document::SettingsDocument;
use self::environment::Place;
use super::args::GlobalArgs;
use super::failure::{Exit, Failure};
use super::ui::{ColorChoice, Manner, Surroundings, Ui};
use crate::units::{Network, Wei};

/// Above this many wei a run with real money asks twice, unless somebody says otherwise: 50 coins.
const CONFIRM_ABOVE: u128 = 50_000_000_000_000_000_000;

/// All that the commands need to know about their surroundings.
#[derive(Debug)]
pub struct Settings {
    /// The project's root.
    pub project: PathBuf,
    /// The network.
    pub network: Sourced<Network>,
    /// Keys in which the project bends a network with real money, unless the user allowed it.
    pub bent: Vec<&'static str>,
    /// The keystore that was asked for by name.
    pub account: Option<Sourced<String>>,
    /// The file that holds the keystore's password.
    pub password_file: Option<PathBuf>,
    /// The most that a run may spend.
    pub max_spend: Option<Sourced<Wei>>,
    /// Above this a run with real money asks twice.
    pub confirm_above: Wei,
    /// The pipeline that commands mean when none is named.
    pub pipeline: Option<PathBuf>,
    /// Ceilings on the pipeline's own limits.
    pub limits: LimitsDocument,
    /// How progress is shown.
    pub progress: ProgressChoice,
    /// Which tasks scroll by.
    pub show: Show,
    /// Whether questions are out of the question.
    pub no_input: bool,
    /// What `--json` asked for.
    pub json: Option<Vec<String>>,
    /// Where the user's things are.
    pub folders: Folders,
    /// The variables, for keys and `env()` defaults.
    pub env: Environment,
    /// How to speak.
    pub ui: Ui,
}

/// One settings file that was read.
struct Layer {
    path: PathBuf,
    document: SettingsDocument,
}

impl Layer {
    fn read(path: &Path) -> Result<Option<Self>, Failure> {
        match fs::read_to_string(path) {
            Ok(text) => {
                let document = SettingsDocument::parse(path, &text)?;
                Ok(Some(Self { path: path.to_path_buf(), document }))
            }
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(error) => {
                let message = format!("{} cannot be read", path.display());
                Err(Failure::new(Exit::Invalid, message).because(error))
            }
        }
    }
}

/// The layers below the flags.
struct Layers {
    env: Environment,
    project: Option<Layer>,
    user: Option<Layer>,
}

impl Layers {
    /// Reads the files that there are.
    fn read(
        flags: &GlobalArgs,
        mut env: Environment,
        folders: &Folders,
        root: &Path,
        ui: &Ui,
    ) -> Result<Self, Failure> {
        if let Some((path, text)) = env_file(flags, folders, root)? {
            let taken = env.add_file(&path, &text)?;
            if !taken.is_empty() {
                ui.say(&format!("Using {} from {}", taken.join(", "), path.display()));
            }
        }
        if flags.no_config {
            return Ok(Self { env, project: None, user: None });
        }
        let project = Layer::read(&root.join(folders::PROJECT_FILE))?;
        let named = flags.config_file.clone().or_else(|| {
            env.placed("OGFLOW_CONFIG_FILE")
                .filter(|(_, place)| *place == Place::Process)
                .map(|(path, _)| PathBuf::from(path))
        });
        let user = match (named, &folders.config_file) {
            (Some(path), _) => Some(Layer::read(&path)?.ok_or_else(|| {
                Failure::new(Exit::Invalid, format!("there is no file {}", path.display()))
            })?),
            (None, Some(path)) => Layer::read(path)?,
            (None, None) => None,
        };
        if let Some(layer) = &project
            && layer.document.account.is_some()
        {
            let message =
                format!("{} sets `account`, which a project may not", layer.path.display());
            return Err(Failure::new(Exit::Invalid, message)
                .help("use --account, OGFLOW_ACCOUNT or your own config.toml"));
        }
        Ok(Self { env, project, user })
    }

    /// A setting that each layer may say, highest first.
    fn first<T>(
        &self,
        variable: Option<&'static str>,
        read: impl Fn(&str) -> Result<T, Failure>,
        from: impl Fn(&SettingsDocument) -> Option<T>,
    ) -> Result<Option<Sourced<T>>, Failure> {
        if let Some(name) = variable
            && let Some((value, place)) = self.env.placed(name)
        {
            let origin = match place {
                Place::Process => Origin::Variable(name),
                Place::File => Origin::EnvFile(name),
            };
            return read(value).map(|value| Some(Sourced::new(value, origin)));
        }
        let of = |layer: &Option<Layer>, origin: fn(PathBuf) -> Origin| {
            let layer = layer.as_ref()?;
            from(&layer.document).map(|value| Sourced::new(value, origin(layer.path.clone())))
        };
        Ok(of(&self.project, Origin::Project).or_else(|| of(&self.user, Origin::User)))
    }

    /// A ceiling: the user's word, which the project may only lower.
    fn ceiling(
        &self,
        variable: Option<&'static str>,
        from: impl Fn(&SettingsDocument) -> Option<Wei>,
    ) -> Result<Option<Sourced<Wei>>, Failure> {
        let mut user = self.user.as_ref().and_then(|layer| {
            Some(Sourced::new(from(&layer.document)?, Origin::User(layer.path.clone())))
        });
        let mut project = self.project.as_ref().and_then(|layer| {
            Some(Sourced::new(from(&layer.document)?, Origin::Project(layer.path.clone())))
        });
        if let Some(name) = variable
            && let Some((text, place)) = self.env.placed(name)
        {
            let value = money(name, text)?;
            match place {
                Place::Process => user = Some(Sourced::new(value, Origin::Variable(name))),
                Place::File => project = Some(Sourced::new(value, Origin::EnvFile(name))),
            }
        }
        Ok(match (user, project) {
            (Some(user), Some(project)) if project.value < user.value => Some(project),
            (Some(user), _) => Some(user),
            (None, project) => project,
        })
    }
}

/// The `.env` file to use, with its text; `~/.env` is never one.
fn env_file(
    flags: &GlobalArgs,
    folders: &Folders,
    root: &Path,
) -> Result<Option<(PathBuf, String)>, Failure> {
    if flags.no_env_file {
        return Ok(None);
    }
    let path = flags.env_file.clone().unwrap_or_else(|| root.join(".env"));
    let of_home = folders.home.as_ref().is_some_and(|home| same_file(&path, &home.join(".env")));
    if of_home {
        return Ok(None);
    }
    match fs::read_to_string(&path) {
        Ok(text) => Ok(Some((path, text))),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound && flags.env_file.is_none() => {
            Ok(None)
        }
        Err(error) => {
            let message = format!("{} cannot be read", path.display());
            Err(Failure::new(Exit::Invalid, message).because(error))
        }
    }
}

fn same_file(a: &Path, b: &Path) -> bool {
    match (fs::canonicalize(a), fs::canonicalize(b)) {
        (Ok(a), Ok(b)) => a == b,
        _ => a == b,
    }
}

fn money(what: &str, text: &str) -> Result<Wei, Failure> {
    Wei::parse(text).map_err(|error| {
        Failure::new(Exit::Invalid, format!("`{what}` is not an amount of money"))
            .because(&error)
            .help(error.hint())
    })
}

fn word<T: clap::ValueEnum>(what: &str, text: &str) -> Result<T, Failure> {
    T::from_str(text, true).map_err(|_| {
        let words: Vec<String> = T::value_variants()
            .iter()
            .filter_map(|value| Some(value.to_possible_value()?.get_name().to_owned()))
            .collect();
        Failure::new(Exit::Invalid, format!("`{what}` is `{text}`"))
            .help(format!("the words are {}", words.join(", ")))
    })
}

fn truth(what: &str, text: &str) -> Result<bool, Failure> {
    match text.to_ascii_lowercase().as_str() {
        "1" | "true" | "yes" => Ok(true),
        "0" | "false" | "no" => Ok(false),
        _ => Err(Failure::new(Exit::Invalid, format!("`{what}` is neither true nor false"))),
    }
}

impl Settings {
    /// Resolves everything that flags, variables and files say, for a command typed in `from`.
    ///
    /// # Errors
    /// When a file or variable says something that cannot be.
    pub fn resolve(flags: &GlobalArgs, env: Environment, from: &Path) -> Result<Self, Failure> {
        let around = Surroundings::look(|name| env.get(name).map(str::to_owned));
        let early = Ui::new(&around, flags.manner(None, None));
        let folders = Folders::of(&env);
        let root = folders::project_root(from, folders.home.as_deref());
        let layers = Layers::read(flags, env, &folders, &root, &early)?;
        let ui = Self::speak(flags, &layers, &around)?;
        let (network, bent) = Self::network(flags, &layers)?;
        let bent = match trust::is_trusted(folders.data.as_deref(), &root, &network.value) {
            true => Vec::new(),
            false => bent,
        };
        let flagged =
            flags.account.clone().map(|name| Sourced::new(name, Origin::Flag("--account")));
        let named = |text: &str| Ok(text.to_owned());
        let account = match flagged {
            Some(account) => Some(account),
            None => layers.first(Some("OGFLOW_ACCOUNT"), named, |d| d.account.clone())?,
        };
        let show = layers.first(None, |text| word("show", text), |d| d.show)?;
        let progress = layers.first(
            Some("OGFLOW_PROGRESS"),
            |t| word("OGFLOW_PROGRESS", t),
            |d| d.progress,
        )?;
        let limits = [&layers.project, &layers.user].into_iter().flatten();
        let usual = Wei::from_u128(CONFIRM_ABOVE);
        Ok(Self {
            bent,
            account,
            network,
            max_spend: layers.ceiling(Some("OGFLOW_MAX_SPEND"), |d| d.max_spend)?,
            confirm_above: layers.ceiling(None, |d| d.confirm_above)?.map_or(usual, |said| {
                if said.origin.is_project() { said.value.min(usual) } else { said.value }
            }),
            pipeline: layers
                .project
                .as_ref()
                .and_then(|layer| layer.document.pipeline.as_ref())
                .map(|file| root.join(file)),
            limits: limits
                .map(|layer| layer.document.limits)
                .fold(LimitsDocument::default(), LimitsDocument::lowest),
            progress: progress.map_or_else(ProgressChoice::default, |it| it.value),
            show: show.map_or_else(Show::default, |it| it.value),
            no_input: flags.no_input,
            json: flags.json_fields(),
            password_file: layers.env.get("OGFLOW_PASSWORD_FILE").map(PathBuf::from),
            project: root,
            folders,
            env: layers.env,
            ui,
        })
    }

    /// How to speak, now that all layers are known.
    fn speak(flags: &GlobalArgs, layers: &Layers, around: &Surroundings) -> Result<Ui, Failure> {
        let color: Option<Sourced<ColorChoice>> =
            layers.first(Some("OGFLOW_COLOR"), |text| word("OGFLOW_COLOR", text), |d| d.color)?;
        let accessible = layers.first(
            Some("OGFLOW_ACCESSIBLE"),
            |text| truth("OGFLOW_ACCESSIBLE", text),
            |d| d.accessible,
        )?;
        let manner: Manner = flags.manner(color.map(|it| it.value), accessible.map(|it| it.value));
        Ok(Ui::new(around, manner))
    }

    /// The network that is meant, and where the project bends it.
    fn network(
        flags: &GlobalArgs,
        layers: &Layers,
    ) -> Result<(Sourced<Network>, Vec<&'static str>), Failure> {
        let flagged =
            flags.network.clone().map(|name| Sourced::new(name, Origin::Flag("--network")));
        let named = |text: &str| Ok(text.to_owned());
        let name = match flagged {
            Some(name) => name,
            None => layers
                .first(Some("OGFLOW_NETWORK"), named, |d| d.network.clone())?
                .unwrap_or_else(|| Sourced::new("devnet".to_owned(), Origin::Default)),
        };
        Self::network_named(name, flags.rpc_url.as_deref(), layers)
    }

    fn network_named(
        name: Sourced<String>,
        rpc_flag: Option<&str>,
        layers: &Layers,
    ) -> Result<(Sourced<Network>, Vec<&'static str>), Failure> {
        let variable = layers.env.placed("OGFLOW_RPC_URL");
        let words_of = |layer: &Option<Layer>| {
            layer.as_ref().and_then(|layer| layer.document.networks.get(&name.value).cloned())
        };
        let (user, project) = (words_of(&layers.user), words_of(&layers.project));
        let words = networks::Words {
            user: user.as_ref(),
            project: project.as_ref(),
            rpc_url: rpc_flag
                .map(|url| (url, false))
                .or_else(|| variable.map(|(url, place)| (url, place == Place::File))),
        };
        let mut known: Vec<String> = networks::BUILT_IN.map(str::to_owned).to_vec();
        for layer in [&layers.project, &layers.user].into_iter().flatten() {
            known.extend(layer.document.networks.keys().cloned());
        }
        known.dedup();
        let resolved = networks::resolve(&name.value, words, &known)?;
        Ok((Sourced::new(resolved.network, name.origin), resolved.bent))
    }

    /// Who signs on this network.
    ///
    /// # Errors
    /// When the named keystore is not there or not safe to use.
    pub fn signer(&self) -> Result<SignerChoice, Failure> {
        let folders = &self.folders.keystores;
        SignerChoice::choose(&self.network.value, self.account.as_ref(), &self.env, folders)
    }

    /// The folder with the project's state.
    pub fn state(&self) -> PathBuf {
        self.project.join(".ogflow")
    }
}

#[cfg(test)]
mod tests;
