//! The list of runs, newest first. Locked money of stopped runs is always shown: it is what
//! people forget.

use serde_json::{Value, json};

use super::super::args::RowFormat;
use super::super::failure::{Exit, Failure};
use super::super::settings::Settings;
use super::super::table::Table;
use super::super::{clock, errors, resume, runs, select, watch};
use crate::engine::RunOutcome;
use crate::report::layout;
use crate::store::{RunRow, RunState, StateFolder, Views};
use crate::units::{Timestamp, Wei};

/// A run in the list.
struct Listed {
    row: RunRow,
    figures: Value,
    /// Whether a process works on it.
    live: bool,
}

impl Listed {
    /// Where it stands; a run whose process has died has stopped, whatever its last word was.
    fn state(&self) -> &'static str {
        match self.row.state {
            RunState::Running if !self.live => RunState::Ended(RunOutcome::Stopped).word(),
            state @ (RunState::Running | RunState::Ended(_)) => state.word(),
        }
    }

    fn count(&self, name: &str) -> u64 {
        self.figures[name].as_u64().unwrap_or(0)
    }

    fn wei(&self, name: &str) -> Wei {
        serde_json::from_value(self.figures[name].clone()).unwrap_or_default()
    }

    fn spent(&self) -> Wei {
        self.wei("paid_wei").saturating_add(self.wei("gas_wei"))
    }

    fn tasks(&self) -> String {
        if self.count("tasks") == 0 {
            return "–".to_owned();
        }
        let total = match self.figures["known"].as_bool() {
            Some(true) => self.count("tasks").to_string(),
            Some(false) | None => format!("{}+", self.count("tasks")),
        };
        format!("{}/{total}", self.count("confirmed"))
    }

    fn cap(&self) -> String {
        let cap: Option<Wei> =
            serde_json::from_value(self.figures["cap_wei"].clone()).unwrap_or_default();
        cap.map_or_else(|| "–".to_owned(), |cap| cap.coins_rounded(2))
    }

    /// What a reader should not forget about it.
    fn remark(&self) -> String {
        let locked = self.wei("locked_wei");
        if locked.is_zero() {
            return String::new();
        }
        format!("! {} OGPU still locked", locked.coins_rounded(2))
    }

    fn json(&self) -> Value {
        let mut out = json!({
            "run": self.row.run,
            "pipeline": self.row.pipeline,
            "network": self.row.network,
            "state": self.state(),
            "started_at": layout::rfc3339(self.row.started_at),
        });
        if let (Value::Object(out), Value::Object(figures)) = (&mut out, &self.figures) {
            out.extend(figures.iter().filter(|(name, _)| *name != "known").map(pair));
        }
        out
    }
}

fn pair((name, value): (&String, &Value)) -> (String, Value) {
    (name.clone(), value.clone())
}

/// Where nothing ever ran.
///
/// # Errors
/// When stdout cannot be written.
pub(super) fn nothing(settings: &Settings, form: RowFormat) -> Result<Exit, Failure> {
    if form == RowFormat::Json {
        settings.ui.data("{\"schema\":\"ogflow.status/v1\",\"runs\":[]}\n")?;
    } else {
        settings.ui.talk("Nothing ran here yet.");
        settings.ui.next("ogflow run FILE");
    }
    Ok(Exit::Done)
}

/// Lists the runs.
///
/// # Errors
/// When the journal cannot be read.
pub(super) fn list(
    (views, folder): (&Views, &StateFolder),
    settings: &Settings,
    (form, fields): (RowFormat, &[String]),
    limit: Option<usize>,
) -> Result<Exit, Failure> {
    let rows = views.runs().map_err(|error| errors::of_store(&error))?;
    let mut listed = Vec::new();
    for row in rows.into_iter().take(limit.unwrap_or(usize::MAX)) {
        let figures = match serde_json::from_str::<Value>(&row.summary) {
            Ok(figures) if figures.is_object() => figures,
            Ok(_) | Err(_) => watch::figures(resume::read_history(views, &row.run)?.tally()),
        };
        let live = runs::is_live(folder, &row.run)?;
        listed.push(Listed { row, figures, live });
    }
    let ui = &settings.ui;
    match form {
        RowFormat::Json => {
            let rows: Value = listed.iter().map(Listed::json).collect();
            let rows = select::fields(rows, fields)?;
            ui.data(&format!("{}\n", json!({"schema": "ogflow.status/v1", "runs": rows})))?;
        }
        RowFormat::Jsonl => {
            for row in &listed {
                ui.data(&format!("{}\n", select::fields(row.json(), fields)?))?;
            }
        }
        RowFormat::Name => {
            for row in &listed {
                ui.data(&format!("{}\n", row.row.run))?;
            }
        }
        RowFormat::Csv => ui.data(&csv(&listed)?)?,
        RowFormat::Table => ui.out(&table(&listed, clock::now()).draw(ui))?,
        RowFormat::Wide => ui.out(&wide(&listed, clock::now()).draw(ui))?,
    }
    let mut open = listed.iter().filter(|it| it.row.state.is_unfinished());
    if let Some(stopped) = open.clone().find(|it| !it.live) {
        ui.next(&format!("ogflow resume {}", stopped.row.run));
    } else if let Some(live) = open.next() {
        ui.next(&format!("ogflow status {} --watch", live.row.run));
    }
    Ok(Exit::Done)
}

fn table(listed: &[Listed], now: Timestamp) -> Table {
    let mut table = Table::new(&[
        "RUN",
        "PIPELINE",
        "NETWORK",
        "STATE",
        ">TASKS",
        ">SPENT / CAP",
        ">LOCKED",
        ">AGE",
        "",
    ]);
    for it in listed {
        let locked = it.wei("locked_wei");
        let locked = if locked.is_zero() { "–".to_owned() } else { locked.coins_rounded(4) };
        table.row(vec![
            it.row.run.to_string(),
            it.row.pipeline.clone(),
            it.row.network.clone(),
            it.state().to_owned(),
            it.tasks(),
            format!("{} / {}", it.spent().coins_rounded(2), it.cap()),
            locked,
            layout::span(now.since(it.row.started_at)),
            it.remark(),
        ]);
    }
    table
}

/// All that the list knows, with exact amounts.
fn wide(listed: &[Listed], now: Timestamp) -> Table {
    let mut table = Table::new(&[
        "RUN", "PIPELINE", "NETWORK", "STATE", ">TASKS", ">FAILED", ">PAID", ">GAS", ">CAP",
        ">LOCKED", "STARTED", ">AGE", "",
    ]);
    for it in listed {
        table.row(vec![
            it.row.run.to_string(),
            it.row.pipeline.clone(),
            it.row.network.clone(),
            it.state().to_owned(),
            it.tasks(),
            it.count("failed").to_string(),
            it.wei("paid_wei").coins(),
            it.wei("gas_wei").coins(),
            it.cap(),
            it.wei("locked_wei").coins(),
            layout::rfc3339(it.row.started_at),
            layout::span(now.since(it.row.started_at)),
            it.remark(),
        ]);
    }
    table
}

fn csv(listed: &[Listed]) -> Result<String, Failure> {
    let mut out = csv::Writer::from_writer(Vec::new());
    let wrong = |error: csv::Error| {
        Failure::new(Exit::Unexpected, "the rows cannot be written").because(error)
    };
    out.write_record([
        "run",
        "pipeline",
        "network",
        "state",
        "started_at",
        "tasks",
        "confirmed",
        "failed",
        "spent_wei",
        "locked_wei",
    ])
    .map_err(wrong)?;
    for it in listed {
        out.write_record([
            it.row.run.to_string(),
            it.row.pipeline.clone(),
            it.row.network.clone(),
            it.state().to_owned(),
            layout::rfc3339(it.row.started_at),
            it.count("tasks").to_string(),
            it.count("confirmed").to_string(),
            it.count("failed").to_string(),
            it.spent().to_u256().to_string(),
            it.wei("locked_wei").to_u256().to_string(),
        ])
        .map_err(wrong)?;
    }
    let bytes = out.into_inner().unwrap_or_default();
    Ok(String::from_utf8(bytes).unwrap_or_default())
}
