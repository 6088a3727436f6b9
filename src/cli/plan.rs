//! `ogflow plan`: what a run would publish and cost. Opens no signer and writes nothing.

use std::path::Path;

use serde_json::{Value, json};

use super::args::{PlanArgs, PlanFormat};
use super::connect::Purpose;
use super::errors::of_plan;
use super::failure::{Exit, Failure};
use super::prepare::{self, Prepared, Wanted};
use super::problems::Findings;
use super::sample::{self, FirstItems};
use super::settings::Settings;
use super::{file, plan_file, select};
use crate::plan::{ItemSink, NoSink};
use crate::report;

/// Shows the plan.
///
/// # Errors
/// When there is a problem, the network cannot be read, or the money is short.
pub fn plan(args: &PlanArgs, settings: &Settings, here: &Path) -> Result<Exit, Failure> {
    super::runtime()?.block_on(async {
        let wanted = Wanted {
            limit: args.limit,
            only: args.only.as_deref(),
            max_spend: args.max_spend,
            ..Wanted::new(&args.params, &args.devnet)
        };
        let file = file::read(settings, here, args.file.as_deref())?;
        if args.out.is_some() && file.path.as_os_str() == "-" {
            return Err(Failure::usage("a pipeline from stdin cannot be saved as a plan")
                .help("a saved plan names its files: write the pipeline to one"));
        }
        if plan_file::read(&file)?.is_some() {
            let name = file.path.display();
            return Err(Failure::usage(format!("{name} is a saved plan"))
                .help(format!("`ogflow run {name}` carries it out")));
        }
        let opened = prepare::open((settings, here), file, &wanted, Purpose::Look).await?;
        let mut first = FirstItems::new(args.sample.unwrap_or(0), None);
        let sink: &mut dyn ItemSink = match args.sample {
            Some(_) => &mut first,
            None => &mut NoSink,
        };
        let prepared = prepare::prepare(settings, opened, &wanted, sink).await?;
        show(args, settings, (&prepared, &wanted), &first)
    })
}

fn show(
    args: &PlanArgs,
    settings: &Settings,
    (prepared, wanted): (&Prepared, &Wanted<'_>),
    items: &FirstItems,
) -> Result<Exit, Failure> {
    let ui = &settings.ui;
    tell_warnings(settings, prepared);
    let samples = match args.sample {
        Some(count) => sample::bodies(prepared, items, count)?,
        None => Vec::new(),
    };
    let format = match (args.format, &settings.json) {
        (Some(format), _) => format,
        (None, Some(_)) => PlanFormat::Json,
        (None, None) => PlanFormat::Table,
    };
    let to_stdout = args.out.as_ref().is_some_and(|out| out.as_os_str() == "-");
    match format {
        PlanFormat::Json | PlanFormat::Md | PlanFormat::Table if to_stdout => {}
        PlanFormat::Json => {
            let mut document = report::plan_json::document(&prepared.summary);
            if args.sample.is_some() {
                document["samples"] = samples.iter().map(sample::Body::json).collect();
            }
            let fields = settings.json.clone().unwrap_or_default();
            ui.data(&format!("{}\n", select::fields(document, &fields)?))?;
        }
        PlanFormat::Md => {
            ui.data(&(report::plan::markdown(&prepared.summary).join("\n") + "\n"))?;
            for body in &samples {
                ui.data(&body.markdown())?;
            }
        }
        PlanFormat::Table => {
            let look = super::look(ui);
            ui.out(&report::plan::table(&prepared.summary, look).join("\n"))?;
            for body in &samples {
                ui.out(&format!("\n{}", body.text()))?;
            }
        }
    }
    if let Some(out) = &args.out {
        plan_file::write(ui, out, (prepared, wanted))?;
    }
    prepared.summary.affordable().map_err(|error| of_plan(&error))?;
    ui.next(&next(args, prepared));
    Ok(Exit::Done)
}

/// What to type next: a run of just this plan.
fn next(args: &PlanArgs, prepared: &Prepared) -> String {
    let mut next = report::plan::next(&prepared.summary);
    let run = format!("ogflow run {}", prepared.summary.pipeline.file);
    let Some(rest) = next.strip_prefix(&run).map(str::to_owned) else { return next };
    match &args.out {
        Some(out) if out.as_os_str() != "-" => format!("ogflow run {}{rest}", out.display()),
        Some(_) | None => {
            let only = args.only.as_ref().map(|only| format!(" --only {only}"));
            let limit = args.limit.map(|limit| format!(" --limit {limit}"));
            next.extend(only.into_iter().chain(limit));
            next
        }
    }
}

/// Draws the warnings on stderr, without a closing count.
pub fn tell_warnings(settings: &Settings, prepared: &Prepared) {
    let findings = Findings {
        file: &prepared.checked.file.text.name,
        problems: &prepared.warnings,
        steps: None,
        deny_warnings: false,
    };
    findings.draw(&settings.ui);
}

/// A plan's document for the event stream.
pub fn document(prepared: &Prepared) -> Value {
    json!(report::plan_json::document(&prepared.summary))
}
