//! Settings that are one word of a few, and where a setting came from.

use std::fmt;
use std::path::PathBuf;

use serde::Deserialize;

/// How progress is shown.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum ProgressChoice {
    /// A block that redraws itself on a terminal, else lines.
    #[default]
    Auto,
    /// A block that redraws itself.
    Bar,
    /// Lines.
    Plain,
    /// Events as NDJSON, on stderr.
    Json,
    /// Nothing.
    None,
}

/// Which tasks scroll by while a run goes on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Show {
    /// What failed.
    #[default]
    Failed,
    /// And what is tried again.
    Retried,
    /// And what takes longer than most.
    Slow,
    /// And what was confirmed.
    Confirmed,
    /// All of it.
    All,
}

/// Who said what a setting is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// A flag.
    Flag(&'static str),
    /// A variable of the process.
    Variable(&'static str),
    /// A variable in the project's `.env`.
    EnvFile(&'static str),
    /// The project's settings file.
    Project(PathBuf),
    /// The user's settings file.
    User(PathBuf),
    /// Nobody.
    Default,
}

impl Origin {
    /// Whether the project said it, and not the user.
    pub const fn is_project(&self) -> bool {
        match self {
            Self::EnvFile(_) | Self::Project(_) => true,
            Self::Flag(_) | Self::Variable(_) | Self::User(_) | Self::Default => false,
        }
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Flag(flag) => f.write_str(flag),
            Self::Variable(name) => f.write_str(name),
            Self::EnvFile(name) => write!(f, "{name} in .env"),
            Self::Project(path) | Self::User(path) => write!(f, "{}", path.display()),
            Self::Default => f.write_str("default"),
        }
    }
}

/// A setting and who said it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sourced<T> {
    /// The setting.
    pub value: T,
    /// Who said it.
    pub origin: Origin,
}

impl<T> Sourced<T> {
    /// A setting that somebody said.
    pub const fn new(value: T, origin: Origin) -> Self {
        Self { value, origin }
    }
}
