//! Which run a command means.

use super::errors::of_store;
use super::failure::Failure;
use super::settings::Settings;
use crate::store::views::Resolved;
use crate::store::{RunLock, StateFolder, Views};
use crate::units::RunId;

/// The run that a text names.
///
/// # Errors
/// Exit 2 when it names none, or more than one.
pub fn resolve(views: &Views, text: &str) -> Result<RunId, Failure> {
    match views.resolve(text).map_err(|error| of_store(&error))? {
        Resolved::One(run) => Ok(run),
        Resolved::Several(runs) => {
            let names: Vec<&str> = runs.iter().map(RunId::as_str).collect();
            Err(Failure::usage(format!("`{text}` is the start of more than one run"))
                .help(format!("name one: {}", names.join(", "))))
        }
        Resolved::None => {
            let rows = views.runs().map_err(|error| of_store(&error))?;
            let names = rows.iter().map(|row| row.run.as_str());
            let failure = Failure::usage(format!("there is no run `{text}`"));
            Err(failure.help(match super::suggest::nearest(text, names) {
                Some(near) => format!("did you mean `{near}`?"),
                None => "`ogflow status` lists the runs".to_owned(),
            }))
        }
    }
}

/// Whether a process works on a run now.
///
/// # Errors
/// When its lock cannot be read.
pub fn is_live(folder: &StateFolder, run: &RunId) -> Result<bool, Failure> {
    RunLock::is_held(folder, run).map_err(|error| of_store(&error))
}

/// The newest run that can go on.
///
/// # Errors
/// When the journal cannot be read.
pub fn newest_unfinished(views: &Views) -> Result<Option<RunId>, Failure> {
    let rows = views.runs().map_err(|error| of_store(&error))?;
    Ok(rows.into_iter().find(|row| row.state.is_unfinished()).map(|row| row.run))
}

/// The newest run of a pipeline; only where there is none, the newest of the vault.
///
/// # Errors
/// Exit 2 when nothing ever ran.
pub fn newest(views: &Views, settings: &Settings) -> Result<RunId, Failure> {
    let latest = views.latest().map_err(|error| of_store(&error))?;
    latest.ok_or_else(|| none(settings))
}

/// The failure of a command about runs where there are none.
pub fn none(settings: &Settings) -> Failure {
    Failure::usage(format!("nothing ran in {} yet", settings.project.display()))
        .help("`ogflow run FILE` starts a run")
}
