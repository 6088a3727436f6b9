//! One run, its tasks, or one task.

use serde_json::{Value, json};

use super::super::args::RowFormat;
use super::super::failure::{Exit, Failure};
use super::super::filter::{self, Filter};
use super::super::history::History;
use super::super::settings::Settings;
use super::super::{clock, errors, resume, runs, select, suggest, watch};
use super::tasks;
use crate::engine::{Event, RunHeader, Verdict};
use crate::report::layout::{self, Coin};
use crate::report::{self, Ending, StepTally};
use crate::store::{LaneKey, Recorded, StateFolder, Views};
use crate::units::text::{counted, thousands};
use crate::units::{RunId, TaskId, Untrusted};

/// A run that was found.
pub(super) struct Shown<'a> {
    pub(super) views: &'a Views,
    pub(super) folder: &'a StateFolder,
    pub(super) settings: &'a Settings,
    pub(super) form: RowFormat,
    pub(super) fields: Vec<String>,
    pub(super) filter: Option<Filter>,
}

impl Shown<'_> {
    /// One run: its figures by step.
    pub(super) fn run(&self, run: &RunId) -> Result<Exit, Failure> {
        let history = resume::read_history(self.views, run)?;
        let header = self.views.header(run).map_err(|error| errors::of_store(&error))?;
        let ui = &self.settings.ui;
        if self.form == RowFormat::Name {
            ui.data(&format!("{run}\n"))?;
            return Ok(Exit::Done);
        }
        if self.form == RowFormat::Csv {
            ui.data(&steps_csv(history.tally()))?;
            return Ok(Exit::Done);
        }
        if self.is_table() {
            let live = runs::is_live(self.folder, run)?;
            let at = if live { clock::now() } else { self.last_at(run) };
            let ending = Ending { at, live, ..Ending::default() };
            let lines = report::summary::end(history.tally(), &ending, super::super::look(ui));
            ui.out(&lines.join("\n"))?;
            ui.talk(&format!(
                " pipeline {}, state in {}",
                header.pipeline,
                self.folder.path().display()
            ));
            let row = self.views.run(run).map_err(|error| errors::of_store(&error))?;
            ui.next(&match row.state.is_unfinished() && !live {
                true => format!("ogflow resume {run}"),
                false => format!("ogflow status {run} --tasks"),
            });
            return Ok(Exit::Done);
        }
        let document = self.document(&header, &history)?;
        self.print(document)?;
        Ok(Exit::Done)
    }

    const fn is_table(&self) -> bool {
        matches!(self.form, RowFormat::Table | RowFormat::Wide)
    }

    /// Whether a task has ended.
    pub(super) fn has_ended(&self, run: &RunId, label: &str) -> Result<bool, Failure> {
        let history = resume::read_history(self.views, run)?;
        let listed = tasks::all(&history);
        let found = listed.iter().find(|row| row.label == label);
        Ok(found.is_some_and(|row| history.task(row.id).is_some()))
    }

    fn last_at(&self, run: &RunId) -> crate::units::Timestamp {
        let events = self.views.events(run, 0);
        let last = events.ok().and_then(|events| events.filter_map(Result::ok).last());
        last.map_or_else(clock::now, |recorded| recorded.at)
    }

    fn document(&self, header: &RunHeader, history: &History) -> Result<Value, Failure> {
        let tally = history.tally();
        let mut out = watch::figures(tally);
        let steps: Vec<Value> =
            tally.steps().map(|(name, step)| step_json(name.as_str(), step)).collect();
        let nobody = RunId::from_random(0);
        let lane = LaneKey::of(header);
        let lane = self.views.lane(&lane, &nobody).map_err(|error| errors::of_store(&error))?;
        let open = lane.open.len();
        out["schema"] = json!("ogflow.status/v1");
        out["run"] = json!(header.run);
        out["pipeline"] = json!(header.pipeline);
        out["network"] = json!(header.network.name);
        out["chain_id"] = json!(header.network.chain_id);
        let live = runs::is_live(self.folder, &header.run)?;
        out["state"] = json!(report::summary::state(tally, live).to_lowercase());
        out["started_at"] = json!(layout::rfc3339(header.started_at));
        out["signer"] = json!(header.signer.to_string());
        out["payer"] = json!(header.payer.to_string());
        out["steps"] = json!(steps);
        out["wallets"] = json!([{
            "wallet": header.signer.to_string(),
            "next_nonce": lane.next_nonce.0,
            "open_slots": open,
            "window": header.network.window,
        }]);
        Ok(out)
    }

    fn print(&self, document: Value) -> Result<(), Failure> {
        self.settings.ui.data(&format!("{}\n", select::fields(document, &self.fields)?))
    }

    /// The tasks of a run that have begun.
    pub(super) fn tasks(&self, run: &RunId, limit: Option<usize>) -> Result<Exit, Failure> {
        let history = resume::read_history(self.views, run)?;
        let mut all = tasks::all(&history);
        all.retain(|row| filter::keeps(self.filter.as_ref(), || row.json()));
        if let Some(filter) = &self.filter {
            filter.finish(&self.settings.ui)?;
        }
        all.truncate(limit.unwrap_or(usize::MAX));
        self.rows(run, &all)?;
        Ok(Exit::Done)
    }

    /// Tasks in the form that is wanted.
    fn rows(&self, run: &RunId, all: &[tasks::Listed]) -> Result<(), Failure> {
        let ui = &self.settings.ui;
        match self.form {
            RowFormat::Json => {
                let rows: Value = all.iter().map(tasks::Listed::json).collect();
                let rows = select::fields(rows, &self.fields)?;
                let document = json!({"schema": "ogflow.status/v1", "run": run, "tasks": rows});
                ui.data(&format!("{document}\n"))
            }
            RowFormat::Jsonl => all.iter().try_for_each(|row| {
                ui.data(&format!("{}\n", select::fields(row.json(), &self.fields)?))
            }),
            RowFormat::Name => all.iter().try_for_each(|row| ui.data(&format!("{}\n", row.label))),
            RowFormat::Csv => ui.data(&tasks::csv(all)),
            RowFormat::Table | RowFormat::Wide => {
                ui.out(&tasks::table(all, self.form == RowFormat::Wide).draw(ui))?;
                if let Some(first) = all.first() {
                    ui.next(&format!("ogflow status {run} {}", first.label));
                }
                Ok(())
            }
        }
    }

    /// One task: how it stands, and what happened to it.
    pub(super) fn task(&self, run: &RunId, label: &str) -> Result<Exit, Failure> {
        let history = resume::read_history(self.views, run)?;
        let header = self.views.header(run).map_err(|error| errors::of_store(&error))?;
        let all = tasks::all(&history);
        let Some(listed) = all.iter().find(|row| row.label == label) else {
            let near = suggest::nearest(label, all.iter().map(|row| row.label.as_str()));
            return Err(Failure::usage(format!("run {run} has no task `{label}` that has begun"))
                .help(match near {
                    Some(near) => format!("did you mean `{near}`?"),
                    None => format!("`ogflow status {run} --tasks` lists them"),
                }));
        };
        if matches!(self.form, RowFormat::Name | RowFormat::Csv) {
            self.rows(run, std::slice::from_ref(listed))?;
            return Ok(Exit::Done);
        }
        let told = self.happenings(run, listed.id, &header)?;
        if !self.is_table() {
            let mut document = listed.json();
            document["schema"] = json!("ogflow.status/v1");
            document["run"] = json!(run);
            document["events"] =
                told.iter().map(|(at, text)| json!({"at": at, "what": text})).collect();
            self.print(document)?;
            return Ok(Exit::Done);
        }
        let mut lines = vec![self.headline(&history, listed)?];
        let coin = Coin::of(&header.network);
        if let Some(address) = &listed.task {
            let link = header
                .network
                .task_link(address)
                .map_or_else(String::new, |link| format!("   {link}"));
            lines.push(format!(" task {address}{link}"));
        }
        let paid = coin.exact(listed.paid);
        lines.push(coin.line(format!(" round {}   paid {paid}", listed.round)));
        lines.extend(told.into_iter().map(|(at, text)| format!(" {at}  {text}")));
        let look = super::super::look(&self.settings.ui);
        let lines: Vec<String> =
            lines.iter().map(|line| look.text(line.as_str()).into_owned()).collect();
        self.settings.ui.out(&lines.join("\n"))?;
        Ok(Exit::Done)
    }

    /// The first line about a task: what it is waiting for, its output, or why it failed.
    fn headline(&self, history: &History, listed: &tasks::Listed) -> Result<String, Failure> {
        let Some(ended) = history.task(listed.id) else {
            return Ok(match listed.state {
                "responded" => " Response received, awaiting its check and confirmation".to_owned(),
                "waiting" | "submitted" => " Not on chain yet".to_owned(),
                _ => " No responses yet".to_owned(),
            });
        };
        let Some(sha256) = ended.output() else {
            return Ok(format!(
                " {}: {}",
                listed.state.replace('_', ", "),
                Untrusted::from(listed.why.as_str())
            ));
        };
        let output = self.views.output(sha256).map_err(|error| errors::of_store(&error))?;
        let text =
            output.map_or_else(String::new, |bytes| String::from_utf8_lossy(&bytes).into_owned());
        Ok(format!(" Task completed  {}", Untrusted::from(text)))
    }

    /// What the journal says happened to a task, each with its time of day in UTC.
    fn happenings(
        &self,
        run: &RunId,
        id: TaskId,
        header: &RunHeader,
    ) -> Result<Vec<(String, String)>, Failure> {
        let coin = Coin::of(&header.network);
        let mut out = Vec::new();
        for recorded in self.views.events(run, 0).map_err(|error| errors::of_store(&error))? {
            let Recorded { at, event, .. } = recorded.map_err(|error| errors::of_store(&error))?;
            if let Some(text) = happening(id, &event, &coin) {
                out.push((layout::rfc3339(at), text));
            }
        }
        Ok(out)
    }
}

/// A line about one event, if it is about this task.
#[expect(clippy::wildcard_enum_match_arm, reason = "a reader's selection, not a transition")]
fn happening(id: TaskId, event: &Event, coin: &Coin) -> Option<String> {
    let own = |task: &TaskId| *task == id;
    Some(match event {
        Event::ConfigPinned { task, url, bytes, .. } if own(task) => {
            format!("pinned      {} at {}", counted(*bytes, "byte"), Untrusted::from(url.as_str()))
        }
        Event::SlotReserved { slot, task, .. } if own(task) => format!("nonce {}", slot.nonce),
        Event::TaskPublished { task, address, block, tx_hash } if own(task) => {
            format!("published   {address} in block {}, tx {tx_hash}", thousands(block.number))
        }
        Event::TaskAttempted { task } if own(task) => "attempted".to_owned(),
        Event::TaskAdopted { task, publication, .. } if own(task) => format!(
            "adopted     {} in block {}, tx {}",
            publication.address, publication.block.number, publication.tx_hash
        ),
        Event::ResponseSeen { task, response, .. } if own(task) => {
            format!("responded   {response}")
        }
        Event::OutputFetched { task, offer, len, .. } if own(task) => format!(
            "fetched     {} from provider {} for {}",
            counted(*len, "byte"),
            offer.provider,
            coin.exact(offer.payment)
        ),
        Event::FetchFailed { task, reason, .. } if own(task) => {
            format!("not fetched {}", Untrusted::from(reason.as_str()))
        }
        Event::OutputChecked { task, verdict, .. } if own(task) => match verdict {
            Verdict::Accepted => "checked     accepted".to_owned(),
            Verdict::Rejected { reason } | Verdict::Unreadable { reason } => {
                format!("checked     refused: {}", Untrusted::from(reason.as_str()))
            }
        },
        Event::ResponseConfirmed { task, tx_hash, .. } if own(task) => match tx_hash {
            Some(hash) => format!("confirmed   tx {hash}"),
            None => "confirmed".to_owned(),
        },
        Event::ExpiryPassed { task } if own(task) => "expired".to_owned(),
        Event::RoundOpened { task, round, payment, .. } if own(task) => {
            format!("round {round}     for {}", coin.exact(*payment))
        }
        Event::TaskReopened { task, round, payment, .. } if own(task) => {
            format!("round {round}     for {}, asked for by `--retry-failed`", coin.exact(*payment))
        }
        Event::TaskDone { task, .. } if own(task) => "done".to_owned(),
        _ => return None,
    })
}

fn steps_csv(tally: &report::Tally) -> String {
    let mut text =
        String::from("step,items,published,confirmed,failed,rejected_paid,paid_wei,gas_wei\n");
    for (name, step) in tally.steps() {
        let items = step.items.map_or_else(String::new, |items| items.to_string());
        text.push_str(&format!(
            "{name},{items},{},{},{},{},{},{}\n",
            step.published,
            step.confirmed,
            step.failed,
            step.rejected_paid,
            step.paid.to_u256(),
            step.gas.to_u256()
        ));
    }
    text
}

fn step_json(name: &str, step: &StepTally) -> Value {
    json!({
        "step": name,
        "items": step.items,
        "published": step.published,
        "attempted": step.attempted,
        "responded": step.responded,
        "confirmed": step.confirmed,
        "failed": step.failed,
        "rejected_paid": step.rejected_paid,
        "retried": step.retried,
        "paid_wei": step.paid,
        "gas_wei": step.gas,
    })
}
