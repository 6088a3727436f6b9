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
use super::select;
use super::settings::Settings;
use crate::plan::{ItemSink, NoSink};
use crate::report;

/// Shows the plan.
///
/// # Errors
/// When there is a problem, the network cannot be read, or the money is short.
pub fn plan(args: &PlanArgs, settings: &Settings, here: &Path) -> Result<Exit, Failure> {
    super::runtime()?.block_on(async {
        let wanted = Wanted {
            file: args.file.as_deref(),
            params: &args.params,
            knobs: &args.devnet,
            limit: args.limit,
            max_spend: args.max_spend,
            password_file: None,
        };
        let opened = prepare::open(settings, here, &wanted, Purpose::Look).await?;
        let mut first = FirstItems::new(args.sample.unwrap_or(0), None);
        let sink: &mut dyn ItemSink = match args.sample {
            Some(_) => &mut first,
            None => &mut NoSink,
        };
        let prepared = prepare::prepare(settings, opened, &wanted, sink).await?;
        show(args, settings, &prepared, &first)
    })
}

fn show(
    args: &PlanArgs,
    settings: &Settings,
    prepared: &Prepared,
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
    match format {
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
    prepared.summary.affordable().map_err(|error| of_plan(&error))?;
    ui.next(&report::plan::next(&prepared.summary));
    Ok(Exit::Done)
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
