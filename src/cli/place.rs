//! The project's state folder: opened once, with its journal, views, blobs and locks.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use super::clock;
use super::connect::Connection;
use super::errors::{of_content, of_store};
use super::failure::{Exit, Failure};
use super::settings::Settings;
use crate::content::Blobs;
use crate::driver::Outputs;
use crate::store::{Holder, LaneKey, SqliteJournal, StateFolder, Views, WalletLock};
use crate::units::RunId;

/// The state folder of a project that is about to be written.
#[derive(Debug)]
pub struct StatePlace {
    /// The folder.
    pub folder: StateFolder,
    /// Outputs and items.
    pub blobs: Blobs,
}

impl StatePlace {
    /// Opens the folder; makes it if there is none.
    ///
    /// # Errors
    /// When it is on a network file system, readable by others, or cannot be made.
    pub fn open(settings: &Settings) -> Result<Self, Failure> {
        let path = settings.state();
        let folder = StateFolder::open(&path).map_err(|error| of_store(&error))?;
        let ignore = path.join(".gitignore");
        if !ignore.exists() {
            fs::write(&ignore, "*\n").map_err(|error| {
                Failure::new(Exit::Unexpected, format!("{} cannot be written", ignore.display()))
                    .because(error)
            })?;
        }
        let blobs = Blobs::open(&path).map_err(|error| of_content(&error))?;
        Ok(Self { folder, blobs })
    }

    /// The journal, for writing.
    ///
    /// # Errors
    /// When it is damaged, newer than this program, or cannot be used.
    pub fn journal(&self) -> Result<SqliteJournal, Failure> {
        SqliteJournal::open(&self.folder, crate::chain::proof::proves_itself)
            .map_err(|error| of_store(&error))
    }

    /// Reads outputs of any run back, on a connection that cannot write.
    ///
    /// # Errors
    /// When the journal cannot be read.
    pub fn outputs(&self) -> Result<Outputs, Failure> {
        let views = Views::open(&self.folder).map_err(|error| of_store(&error))?;
        let views = Mutex::new(views);
        Ok(Arc::new(move |sha256| {
            let views = views.lock().unwrap_or_else(PoisonError::into_inner);
            views.as_ref().map_or(Ok(None), |views| views.output(sha256))
        }))
    }

    /// Takes the wallet for this process.
    ///
    /// A devnet in this process is another chain in each project, so its wallet is locked there;
    /// every other wallet is locked for all projects of the user.
    ///
    /// # Errors
    /// Exit 75 while another process has it.
    pub fn lock_wallet(
        &self,
        settings: &Settings,
        connection: &Connection,
        lane: &LaneKey,
    ) -> Result<WalletLock, Failure> {
        let own = self.folder.path().to_path_buf();
        let folder: PathBuf = match (&connection.town, &settings.folders.data) {
            (None, Some(data)) => data.clone(),
            (Some(_), _) | (None, None) => own,
        };
        fs::create_dir_all(&folder).map_err(|error| unwritable(&folder, &error))?;
        WalletLock::take(&folder, lane, Holder::this_process(clock::now()))
            .map_err(|error| of_store(&error))
    }
}

fn unwritable(path: &Path, error: &std::io::Error) -> Failure {
    Failure::new(Exit::Unexpected, format!("{} cannot be written", path.display())).because(error)
}

/// A new run's id, and where its jitter comes from: both from the system's randomness.
pub fn random_run() -> (RunId, u64) {
    use std::hash::{BuildHasher, Hasher, RandomState};
    let bits = |seed: u64| {
        let mut hasher = RandomState::new().build_hasher();
        hasher.write_u64(seed);
        hasher.finish()
    };
    (RunId::from_random(bits(1)), bits(2))
}

/// The runs of the project, for looking; `None` if nothing ever ran.
///
/// # Errors
/// When the journal cannot be read.
pub fn views(settings: &Settings) -> Result<Option<(Views, StateFolder)>, Failure> {
    let path = settings.state();
    if !path.is_dir() {
        return Ok(None);
    }
    let folder = StateFolder::open(&path).map_err(|error| of_store(&error))?;
    let views = Views::open(&folder).map_err(|error| of_store(&error))?;
    Ok(views.map(|views| (views, folder)))
}
