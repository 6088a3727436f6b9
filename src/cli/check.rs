//! `ogflow check`: every problem of a pipeline in one go; and the check that other commands do
//! first.

use std::path::Path;
use std::sync::Arc;

use super::args::{CheckArgs, CheckFormat, Deny, KnobArgs, ParamArgs};
use super::connect::Purpose;
use super::disk::Disk;
use super::failure::{Exit, Failure};
use super::file::{self, PipelineFile};
use super::prepare::{self, Wanted};
use super::problems::Findings;
use super::settings::Settings;
use crate::pipeline::check::Setting;
use crate::pipeline::{Pipeline, Problem, Severity};
use crate::plan::{NoSink, Plan};

/// A pipeline that can be relied on, with where it came from.
#[derive(Debug)]
pub struct Checked {
    /// The file.
    pub file: PipelineFile,
    /// The pipeline.
    pub pipeline: Arc<Pipeline>,
    /// What is worth a look.
    pub warnings: Vec<Problem>,
    /// The files that it names.
    pub disk: Disk,
}

/// Reads and checks the pipeline that a command means, without the chain.
///
/// # Errors
/// As [`file::read`]; all problems in one failure when there is an error among them.
pub fn pipeline(
    settings: &Settings,
    here: &Path,
    typed: Option<&Path>,
    params: &ParamArgs,
) -> Result<Checked, Failure> {
    let file = file::read(settings, here, typed)?;
    text(settings, here, file, params)
}

/// Checks a pipeline that was read, without the chain.
///
/// # Errors
/// All problems in one failure when there is an error among them.
pub fn text(
    settings: &Settings,
    here: &Path,
    file: PipelineFile,
    params: &ParamArgs,
) -> Result<Checked, Failure> {
    let given = file::params(params, here)?;
    let disk = Disk::open(settings, here, &file.path)?;
    let setting = Setting { loader: &disk, params: &given, network: &settings.network.value };
    let (pipeline, problems) = Pipeline::check(&file.text, setting);
    match pipeline {
        Some(pipeline) => {
            Ok(Checked { file, pipeline: Arc::new(pipeline), warnings: problems, disk })
        }
        None => {
            let exit = file::exit_of(&problems, !given.is_empty());
            Err(Failure::of_problems(problems).exit(exit))
        }
    }
}

/// Checks a pipeline and reports.
///
/// # Errors
/// When there is no pipeline to check.
pub fn check(args: &CheckArgs, settings: &Settings, here: &Path) -> Result<Exit, Failure> {
    let format = match (args.format, &settings.json) {
        (Some(format), _) => format,
        (None, Some(_)) => CheckFormat::Json,
        (None, None) => CheckFormat::Human,
    };
    let deny_warnings = args.deny == Some(Deny::Warnings);
    let (problems, steps, name, exit) = match everything(args, settings, here) {
        Ok((problems, steps, name)) => (problems, Some(steps), name, Exit::Invalid),
        Err(failure) => match failure.problems.last() {
            Some(last) => {
                let name = last.file.name.clone();
                (failure.problems, None, name, failure.exit)
            }
            None => return Err(failure),
        },
    };
    let findings = Findings { file: &name, problems: &problems, steps, deny_warnings };
    findings.tell(&settings.ui, exit);
    if format != CheckFormat::Human {
        settings.ui.data(&findings.report(format))?;
    }
    if !findings.pass() {
        return Ok(exit);
    }
    settings.ui.next("ogflow plan");
    Ok(Exit::Done)
}

/// All problems of a pipeline that are no errors, how many steps it has, and its name.
fn everything(
    args: &CheckArgs,
    settings: &Settings,
    here: &Path,
) -> Result<(Vec<Problem>, usize, String), Failure> {
    if args.offline {
        let mut checked = pipeline(settings, here, args.file.as_deref(), &args.params)?;
        checked.warnings.extend(Plan::check_items(&checked.pipeline, &checked.disk));
        let errors = checked.warnings.iter().any(|it| it.severity() == Severity::Error);
        if errors {
            return Err(Failure::of_problems(checked.warnings));
        }
        let name = checked.file.text.name.clone();
        return Ok((checked.warnings, checked.pipeline.steps.len(), name));
    }
    super::runtime()?.block_on(async {
        let knobs = KnobArgs::default();
        let wanted = Wanted::new(&args.params, &knobs);
        let file = file::read(settings, here, args.file.as_deref())?;
        let opened = prepare::open((settings, here), file, &wanted, Purpose::Look).await?;
        let (opened, planned) = opened.plan(None, &mut NoSink)?;
        let mut problems = opened.checked.warnings;
        problems.extend(planned.warnings);
        let name = opened.checked.file.text.name.clone();
        Ok((problems, opened.checked.pipeline.steps.len(), name))
    })
}

/// The folder that paths of a pipeline's parts are seen from.
///
/// # Errors
/// When the folder cannot be opened.
pub fn disk(settings: &Settings, here: &Path, typed: &Path) -> Result<std::path::PathBuf, Failure> {
    Disk::open(settings, here, typed).map(|_| here.to_path_buf())
}
