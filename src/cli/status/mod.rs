//! `ogflow status`: runs, the tasks of one, or one task from its pipeline to its transaction.
//! Works while a run is live; reads, and nothing else.

mod list;
mod one;
pub mod tasks;

use super::args::{RowFormat, StatusArgs};
use super::conduct::exit_of;
use super::failure::{Exit, Failure};
use super::filter::Filter;
use super::follow::{self, Followed};
use super::settings::Settings;
use super::{place, runs};
use crate::units::RunId;

/// Shows what was asked for.
///
/// # Errors
/// When there is no such run or task, the journal cannot be read, or patience ends.
pub fn status(args: &StatusArgs, settings: &Settings) -> Result<Exit, Failure> {
    let form = form(args, settings);
    let fields = fields(args, settings, form)?;
    let filter = Filter::parse(args.filter.as_deref(), tasks::FIELDS)?;
    if filter.is_some() && !args.tasks {
        return Err(Failure::usage("`--where` chooses among tasks").help("add --tasks"));
    }
    let following = args.follow.watch || args.wait;
    let Some((views, folder)) = place::views(settings)? else {
        if args.run.is_some() || following {
            return Err(runs::none(settings));
        }
        return list::nothing(settings, form);
    };
    if args.run.is_none() && !args.tasks && !following {
        return list::list((&views, &folder), settings, (form, &fields), args.limit);
    }
    let run = match &args.run {
        Some(text) => runs::resolve(&views, text)?,
        None => runs::newest(&views, settings)?,
    };
    let (views, folder) = (&views, &folder);
    let shown = one::Shown { views, folder, settings, form, fields, filter };
    if following { follow(args, &shown, &run) } else { show(args, &shown, &run) }
}

/// Shows a run, its tasks, or one of them.
fn show(args: &StatusArgs, shown: &one::Shown<'_>, run: &RunId) -> Result<Exit, Failure> {
    match &args.task {
        Some(label) => shown.task(run, label),
        None if args.tasks => shown.tasks(run, args.limit),
        None => shown.run(run),
    }
}

/// Shows it whenever something has happened, until the run or the task is over.
fn follow(args: &StatusArgs, shown: &one::Shown<'_>, run: &RunId) -> Result<Exit, Failure> {
    let mut followed = Followed::new(shown.views, shown.folder, run);
    let outcome = follow::until(&args.follow, shown.settings, || {
        let glance = followed.look()?;
        if args.follow.watch && glance.changed {
            shown.settings.ui.clear()?;
            show(args, shown, run)?;
        }
        let ended = match &args.task {
            Some(label) => shown.has_ended(run, label)?,
            None => false,
        };
        let over = glance.over.map(Some);
        Ok(over.or(ended.then_some(None)))
    })?;
    if !args.wait {
        return Ok(Exit::Done);
    }
    if !args.follow.watch {
        show(args, shown, run)?;
    }
    Ok(outcome.map_or(Exit::Done, exit_of))
}

/// The form of the rows: the flag, or JSON where `--json` says so.
fn form(args: &StatusArgs, settings: &Settings) -> RowFormat {
    match (args.output, &settings.json) {
        (Some(form), _) => form,
        (None, Some(_)) => RowFormat::Json,
        (None, None) => RowFormat::Table,
    }
}

/// The fields that are wanted of each row; all where none is named.
fn fields(args: &StatusArgs, settings: &Settings, form: RowFormat) -> Result<Vec<String>, Failure> {
    let by_json = settings.json.clone().unwrap_or_default();
    if args.fields.is_empty() {
        return Ok(by_json);
    }
    match form {
        RowFormat::Json | RowFormat::Jsonl => Ok(args.fields.clone()),
        RowFormat::Table | RowFormat::Wide | RowFormat::Csv | RowFormat::Name => {
            Err(Failure::usage("fields are chosen in the forms json and jsonl only")
                .help("add -o jsonl"))
        }
    }
}
