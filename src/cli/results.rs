//! `ogflow results`: the outputs of a run, in input order, failed tasks in a file of their own.

use std::collections::BTreeSet;
use std::io::{self, Write};
use std::path::Path;

use super::args::{ResultFormat, ResultsArgs};
use super::errors::{of_content, of_store};
use super::failure::{Exit, Failure};
use super::filter::{self, Filter};
use super::follow::{self, Followed};
use super::history::{ItemResult, Reader};
use super::place::StatePlace;
use super::rows::{Counts, Form, NewFile, write_raw};
use super::saved::errors_path;
use super::screen;
use super::settings::Settings;
use super::{place, resume, runs, suggest};
use crate::content::Blobs;
use crate::pipeline::SaveFormat;
use crate::plan::Plan;
use crate::store::Views;
use crate::units::text::counted;
use crate::units::{RunId, StepName};

/// The fields of a row, also of one that failed.
const FIELDS: &[&str] = &[
    "key",
    "item",
    "output",
    "state",
    "provider",
    "task",
    "response",
    "tx",
    "paid_wei",
    "gas_wei",
    "ms",
    "round",
    "reason",
    "message",
    "rounds",
    "locked_wei",
];

/// The run whose results are wanted.
struct Wanted {
    run: RunId,
    plan: Plan,
    step: StepName,
    place: u16,
    views: Views,
    state: StatePlace,
}

impl Wanted {
    fn find(args: &ResultsArgs, settings: &Settings) -> Result<Self, Failure> {
        let Some((views, folder)) = place::views(settings)? else {
            return Err(runs::none(settings));
        };
        let run = match &args.run {
            Some(text) => runs::resolve(&views, text)?,
            None => runs::newest(&views, settings)?,
        };
        let header = views.header(&run).map_err(|error| of_store(&error))?;
        if header.steps.is_empty() {
            return Err(Failure::usage(format!("run {run} moved money and has no results")));
        }
        let plan = resume::restored(&header)?;
        let blobs = Blobs::open(folder.path()).map_err(|error| of_content(&error))?;
        let state = StatePlace { folder, blobs };
        let step = step(args, &plan)?;
        let place = plan.place(&step).unwrap_or_default();
        Ok(Self { run, plan, step, place, views, state })
    }
}

/// Writes results.
///
/// # Errors
/// When there is no such run or step, something cannot be read or written, or patience ends.
pub fn results(args: &ResultsArgs, settings: &Settings) -> Result<Exit, Failure> {
    let filter = Filter::parse(args.filter.as_deref(), FIELDS)?;
    let wanted = Wanted::find(args, settings)?;
    let fields = match (&settings.json, args.fields.is_empty()) {
        (Some(fields), true) => fields.clone(),
        (Some(_) | None, _) => args.fields.clone(),
    };
    let format = format(args, settings);
    known_fields(&fields, format)?;
    let form = Form {
        run: &wanted.run,
        step: &wanted.step,
        place: wanted.place,
        format,
        fields: &fields,
        filter: filter.as_ref(),
    };
    if args.follow.watch {
        follow(args, settings, &wanted, &form)?;
    } else {
        once(args, settings, &wanted, &form)?;
    }
    if let Some(filter) = &filter {
        filter.finish(&settings.ui)?;
    }
    Ok(Exit::Done)
}

/// Writes what there is.
fn once(
    args: &ResultsArgs,
    settings: &Settings,
    wanted: &Wanted,
    form: &Form<'_>,
) -> Result<(), Failure> {
    let history = resume::read_history(&wanted.views, &wanted.run)?;
    let outputs = wanted.state.outputs()?;
    let blobs = &wanted.state.blobs;
    let reader = Reader { plan: &wanted.plan, history: &history, blobs, outputs: &outputs };
    let counts = match &args.out {
        Some(path) if path.as_os_str() != "-" => to_files(args, form, &reader, path, settings)?,
        Some(_) | None => to_stdout(args, form, &reader, &wanted.run)?,
    };
    let step = &wanted.step;
    if history.ended(wanted.place).next().is_none() {
        settings.ui.talk(&format!("No task of {step} has ended yet."));
    } else if counts.failed > 0 && args.out.is_none() && args.errors.is_none() {
        let count = counted(counts.failed, "task");
        settings
            .ui
            .talk(&format!("{count} of {step} ended without an output: --errors FILE writes them"));
    }
    Ok(())
}

/// Writes each row once, as it comes, until the run is over; into a file all of them anew.
fn follow(
    args: &ResultsArgs,
    settings: &Settings,
    wanted: &Wanted,
    form: &Form<'_>,
) -> Result<(), Failure> {
    let to_file = args.out.as_ref().is_some_and(|path| path.as_os_str() != "-");
    if !to_file && (form.format != SaveFormat::Jsonl || args.errors.is_some()) {
        return Err(Failure::usage(
            "`--watch` prints rows as jsonl, and only those with an output",
        )
        .help("other formats and --errors need --out FILE"));
    }
    let mut followed = Followed::new(&wanted.views, &wanted.state.folder, &wanted.run);
    let mut known = BTreeSet::new();
    follow::until(&args.follow, settings, || {
        let glance = followed.look()?;
        if glance.changed && to_file {
            once(args, settings, wanted, form)?;
        } else if glance.changed {
            fresh(settings, wanted, form, &mut known)?;
        }
        Ok(glance.over)
    })?;
    Ok(())
}

/// Prints the rows that are not known yet.
fn fresh(
    settings: &Settings,
    wanted: &Wanted,
    form: &Form<'_>,
    known: &mut BTreeSet<u32>,
) -> Result<(), Failure> {
    let history = resume::read_history(&wanted.views, &wanted.run)?;
    let outputs = wanted.state.outputs()?;
    let blobs = &wanted.state.blobs;
    let reader = Reader { plan: &wanted.plan, history: &history, blobs, outputs: &outputs };
    let mut new = BTreeSet::new();
    reader.rows_but(wanted.place, known, &mut |place, row| {
        new.insert(place);
        let meant = filter::keeps(form.filter, || row.json());
        match row {
            ItemResult::Accepted(row) if meant => {
                settings.ui.data(&format!("{}\n", form.text(&row)))
            }
            ItemResult::Accepted(_) | ItemResult::Failed(_) => Ok(()),
        }
    })?;
    known.append(&mut new);
    Ok(())
}

fn format(args: &ResultsArgs, settings: &Settings) -> SaveFormat {
    match (args.format, &settings.json) {
        (Some(ResultFormat::Jsonl), _) | (None, None) => SaveFormat::Jsonl,
        (Some(ResultFormat::Json), _) | (None, Some(_)) => SaveFormat::Json,
        (Some(ResultFormat::Csv), _) => SaveFormat::Csv,
        (Some(ResultFormat::OpenaiBatch), _) => SaveFormat::OpenaiBatch,
        (Some(ResultFormat::Raw), _) => SaveFormat::Raw,
    }
}

/// Refuses fields that no row has, and formats whose rows are fixed.
fn known_fields(fields: &[String], format: SaveFormat) -> Result<(), Failure> {
    const KNOWN: [&str; 12] = [
        "key", "item", "output", "state", "provider", "task", "response", "tx", "paid_wei",
        "gas_wei", "ms", "round",
    ];
    if !fields.is_empty() && !matches!(format, SaveFormat::Jsonl | SaveFormat::Json) {
        return Err(Failure::usage("fields are chosen in the formats jsonl and json only"));
    }
    for field in fields {
        if !KNOWN.contains(&field.as_str()) {
            let near = suggest::nearest(field, KNOWN.into_iter());
            return Err(Failure::usage(format!("there is no field `{field}`")).help(match near {
                Some(near) => format!("did you mean `{near}`?"),
                None => format!("the fields are {}", KNOWN.join(", ")),
            }));
        }
    }
    Ok(())
}

/// The step that is meant: the named one, or the only one.
fn step(args: &ResultsArgs, plan: &Plan) -> Result<StepName, Failure> {
    let names: Vec<&StepName> = plan.schedule().steps.iter().map(|rule| &rule.name).collect();
    let list = || names.iter().map(|name| name.as_str()).collect::<Vec<_>>().join(", ");
    match &args.step {
        Some(typed) => match names.iter().find(|name| name.as_str() == typed) {
            Some(name) => Ok((*name).clone()),
            None => {
                let near = suggest::nearest(typed, names.iter().map(|name| name.as_str()));
                Err(Failure::usage(format!("the run has no step `{typed}`")).help(match near {
                    Some(near) => format!("did you mean `{near}`?"),
                    None => format!("its steps are {}", list()),
                }))
            }
        },
        None if names.len() == 1 => Ok(names[0].clone()),
        None => Err(Failure::usage("the run has more than one step")
            .help(format!("name one with --step: {}", list()))),
    }
}

fn to_stdout(
    args: &ResultsArgs,
    form: &Form<'_>,
    reader: &Reader<'_>,
    run: &RunId,
) -> Result<Counts, Failure> {
    if form.format == SaveFormat::Raw {
        return Err(Failure::usage("raw results are files, one for each output")
            .help(format!("ogflow results {run} --step {} --format raw --out FOLDER", form.step)));
    }
    let mut stdout = screen::stdout();
    let mut errors = None;
    let counts = match &args.errors {
        None => form.write(reader, &mut stdout, None)?,
        // Asked for failed tasks there, a reader wants no outputs between them.
        Some(path) if is_stdout(path) && args.out.is_none() => {
            form.write(reader, &mut io::sink(), Some(&mut stdout))?
        }
        Some(path) if is_stdout(path) => {
            return Err(Failure::usage("outputs and failed tasks cannot both go to stdout").help(
                "leave out `--out -` for failed tasks alone, or write one of them to a file",
            ));
        }
        Some(path) => {
            let file = errors.insert(NewFile::begin(path)?);
            form.write(reader, &mut stdout, Some(file))?
        }
    };
    stdout.flush().map_err(|error| unwritable_stdout(&error))?;
    if let Some(file) = errors {
        file.finish()?;
    }
    Ok(counts)
}

/// Whether a path that was typed means stdout.
fn is_stdout(path: &Path) -> bool {
    path.as_os_str() == "-"
}

fn unwritable_stdout(error: &io::Error) -> Failure {
    if error.kind() == io::ErrorKind::BrokenPipe {
        return Failure::closed_pipe();
    }
    Failure::new(Exit::Unexpected, "stdout cannot be written").because(error)
}

fn to_files(
    args: &ResultsArgs,
    form: &Form<'_>,
    reader: &Reader<'_>,
    path: &Path,
    settings: &Settings,
) -> Result<Counts, Failure> {
    if form.format == SaveFormat::Raw {
        let counts = write_raw(form, reader, path)?;
        settings.ui.say(&format!(
            "wrote {} to {}",
            counted(counts.accepted, "output"),
            path.display()
        ));
        return Ok(counts);
    }
    let mut out = NewFile::begin(path)?;
    if args.errors.as_deref().is_some_and(is_stdout) {
        let mut stdout = screen::stdout();
        let counts = form.write(reader, &mut out, Some(&mut stdout))?;
        stdout.flush().map_err(|error| unwritable_stdout(&error))?;
        out.finish()?;
        let outputs = counted(counts.accepted, "output");
        settings.ui.say(&format!("wrote {outputs} to {}", path.display()));
        return Ok(counts);
    }
    let failed = args.errors.clone().unwrap_or_else(|| errors_path(path));
    let mut errors = NewFile::begin(&failed)?;
    let counts = form.write(reader, &mut out, Some(&mut errors))?;
    out.finish()?;
    let mut line = format!("wrote {} to {}", counted(counts.accepted, "output"), path.display());
    if counts.failed > 0 || args.errors.is_some() {
        errors.finish()?;
        let count = counted(counts.failed, "failed task");
        line.push_str(&format!("; {count} to {}", failed.display()));
    }
    settings.ui.say(&line);
    Ok(counts)
}
