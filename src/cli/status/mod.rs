//! `ogflow status`: runs, the tasks of one, or one task from its pipeline to its transaction.
//! Works while a run is live; reads, and nothing else.

mod list;
mod one;
mod tasks;

use super::args::{RowFormat, StatusArgs};
use super::failure::{Exit, Failure};
use super::settings::Settings;
use super::{place, runs};

/// Shows what was asked for.
///
/// # Errors
/// When there is no such run or task, or the journal cannot be read.
pub fn status(args: &StatusArgs, settings: &Settings) -> Result<Exit, Failure> {
    let Some((views, folder)) = place::views(settings)? else {
        if args.run.is_some() {
            return Err(runs::none(settings));
        }
        return list::nothing(settings, form(args, settings));
    };
    let form = form(args, settings);
    match (&args.run, &args.task) {
        (None, _) if !args.tasks => list::list(&views, settings, form, args.limit),
        (run, task) => {
            let run = match run {
                Some(text) => runs::resolve(&views, text)?,
                None => runs::newest(&views, settings)?,
            };
            let shown = one::Shown { views: &views, folder: &folder, settings, form };
            match task {
                Some(label) => shown.task(&run, label),
                None if args.tasks => shown.tasks(&run, args.limit),
                None => shown.run(&run),
            }
        }
    }
}

/// The form of the rows: the flag, or JSON where `--json` says so.
fn form(args: &StatusArgs, settings: &Settings) -> RowFormat {
    match (args.output, &settings.json) {
        (Some(form), _) => form,
        (None, Some(_)) => RowFormat::Json,
        (None, None) => RowFormat::Table,
    }
}
