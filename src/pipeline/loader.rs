//! How files that a pipeline names come in.

use std::io::Read;
use std::sync::Arc;

use super::problem::{Code, SourceText};

/// Why a file could not be had.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// There is none at that path.
    #[error("there is no file `{path}`")]
    Missing {
        /// The path as written.
        path: String,
    },
    /// The path leaves the project.
    #[error("`{path}` is outside of the project")]
    Outside {
        /// The path as written.
        path: String,
    },
    /// It is text in another encoding, or no text.
    #[error("`{path}` is not UTF-8, from byte {at}")]
    NotUtf8 {
        /// The path as written.
        path: String,
        /// The first byte that is not UTF-8.
        at: usize,
    },
    /// It is there but cannot be read.
    #[error("`{path}` cannot be read")]
    Unreadable {
        /// The path as written.
        path: String,
        /// What the system said.
        source: std::io::Error,
    },
}

impl LoadError {
    /// What the author can do, in one line.
    pub fn hint(&self) -> Option<&'static str> {
        match self {
            Self::Missing { .. } => Some("paths are relative to the file that names them"),
            Self::Outside { .. } => {
                Some("files stay inside the project, the folder with `ogflow.toml`")
            }
            Self::NotUtf8 { .. } => Some("save the file as UTF-8"),
            Self::Unreadable { .. } => None,
        }
    }

    /// The code of the problem that it makes.
    pub const fn code(&self) -> Code {
        match self {
            Self::Outside { .. } => Code::E0504,
            Self::Missing { .. } | Self::NotUtf8 { .. } | Self::Unreadable { .. } => Code::E0307,
        }
    }
}

/// One file that a glob found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FoundFile {
    /// Its path, relative to the file that holds the glob, with `/` between folders.
    pub path: String,
    /// Its size in bytes.
    pub size: u64,
}

/// Reads the files that a pipeline names. `from` is the name of the file that holds the path;
/// paths are relative to it and may not leave the project.
pub trait Loader {
    /// The whole text of a small file: a template, a schema.
    ///
    /// # Errors
    /// When the file is missing, outside of the project, not UTF-8 or unreadable.
    fn text(&self, from: &str, path: &str) -> Result<Arc<SourceText>, LoadError>;

    /// The bytes of an item file, from its start, as a stream.
    ///
    /// # Errors
    /// When the file is missing, outside of the project or unreadable.
    fn open(&self, from: &str, path: &str) -> Result<Box<dyn Read + Send>, LoadError>;

    /// The files that a glob matches, sorted by path.
    ///
    /// # Errors
    /// When the pattern leads outside of the project or a folder is unreadable.
    fn glob(&self, from: &str, pattern: &str) -> Result<Vec<FoundFile>, LoadError>;

    /// Whether a path that will be written lies inside of the project.
    ///
    /// # Errors
    /// When it does not.
    fn inside(&self, from: &str, path: &str) -> Result<(), LoadError>;

    /// An environment variable, for `env('NAME')` in defaults of params.
    fn env(&self, name: &str) -> Option<String>;
}

/// A project without files.
#[derive(Clone, Copy, Debug)]
pub struct NoFiles;

impl Loader for NoFiles {
    fn text(&self, _: &str, path: &str) -> Result<Arc<SourceText>, LoadError> {
        Err(LoadError::Missing { path: path.to_owned() })
    }

    fn open(&self, _: &str, path: &str) -> Result<Box<dyn Read + Send>, LoadError> {
        Err(LoadError::Missing { path: path.to_owned() })
    }

    fn glob(&self, _: &str, _: &str) -> Result<Vec<FoundFile>, LoadError> {
        Ok(Vec::new())
    }

    fn inside(&self, _: &str, _: &str) -> Result<(), LoadError> {
        Ok(())
    }

    fn env(&self, _: &str) -> Option<String> {
        None
    }
}
