//! `ogflow cancel`: takes back what nobody has attempted, and proves the refund by the vault.
//!
//! The chain is read first and shown; only a yes signs anything. Then the run is resumed with the
//! wish in its journal, and left once it is final what became of each task.

mod look;
mod proof;

use std::sync::Arc;

use serde_json::Value;

use super::args::CancelArgs;
use super::conduct::{Conduct, exit_of};
use super::connect::{Connection, Purpose};
use super::errors::{of_chain, of_driver, of_store};
use super::failure::{Exit, Failure};
use super::filter::Filter;
use super::history::History;
use super::place::{self, StatePlace};
use super::settings::Settings;
use super::status::tasks;
use super::watch::Manner;
use super::{devnet, question, resume, runs, suggest};
use crate::chain::Chain;
use crate::driver::preflight;
use crate::driver::{Begin, Consent, Finish, facts};
use crate::engine::{CancelScope, RunHeader, RunOutcome};
use crate::report::layout::Coin;
use crate::store::LaneKey;
use crate::units::RunId;
use crate::units::text::counted;

use look::Look;

/// Takes back what can be taken back of a run.
///
/// # Errors
/// When there is no such run, another process works on it, the chain cannot be read, or the reader
/// says no.
pub fn cancel(args: &CancelArgs, settings: &Settings) -> Result<Exit, Failure> {
    let filter = Filter::parse(args.filter.as_deref(), tasks::FIELDS)?;
    let Some((views, _)) = place::views(settings)? else {
        return Err(runs::none(settings));
    };
    let run = match &args.run {
        Some(text) => runs::resolve(&views, text)?,
        None => match runs::newest_unfinished(&views)? {
            Some(run) => run,
            None => {
                settings.ui.say("Nothing to cancel: every run here has ended.");
                return Ok(Exit::Done);
            }
        },
    };
    let row = views.run(&run).map_err(|error| of_store(&error))?;
    if !row.state.is_unfinished() {
        let word = row.state.word();
        settings.ui.say(&format!("Nothing to cancel: run {run} of {} is {word}.", row.pipeline));
        settings.ui.next(&format!("ogflow status {run}"));
        return Ok(Exit::Done);
    }
    let header = views.header(&run).map_err(|error| of_store(&error))?;
    drop(views);
    super::runtime()?.block_on(async {
        let knobs = devnet::knobs(&args.devnet, settings)?;
        let password = args.watch.password_file.as_ref();
        let connection = Connection::open(settings, Purpose::Act, &knobs, password)?;
        if connection.network.name != header.network.name {
            return Err(resume::other_network(&header, &connection));
        }
        Order { args, settings, connection, header, filter }.go(&run).await
    })
}

/// A wish to cancel.
struct Order<'a> {
    args: &'a CancelArgs,
    settings: &'a Settings,
    connection: Connection,
    header: Box<RunHeader>,
    filter: Option<Filter>,
}

impl Order<'_> {
    async fn go(self, run: &RunId) -> Result<Exit, Failure> {
        let settings = self.settings;
        let state = StatePlace::open(settings)?;
        let lock = state.lock_wallet(settings, &self.connection, &LaneKey::of(&self.header))?;
        let (before, lane) = self.record(&state, run)?;
        let mut header = self.header.clone();
        header.code = before.accepted_code().unwrap_or(header.code);
        let header = &header;
        let found = self.connection.chain.guard().await.map_err(|error| of_chain(&error))?;
        preflight::same_chain(header, &found, &Consent::default())
            .map_err(|error| of_driver(&error))?;
        let scope = self.scope(&before)?;
        let look = Look::take(&self.connection, header, (&before, &lane), &scope).await?;
        let coin = Coin::of(&self.connection.network);
        settings.ui.talk(&look.lines(&coin).join("\n"));
        if look.is_idle(&scope) {
            settings.ui.say(&format!("Nothing to cancel in run {run}."));
            settings.ui.next(&look.next(run));
            return Ok(Exit::Done);
        }
        look.affordable(&self.connection)?;
        self.ask(&look, &coin, run)?;
        let plan = resume::restored(header)?;
        let limits = settings.limits.lower(plan.pipeline().limits);
        let plan = plan.with_limits(limits);
        let watch = &self.args.watch;
        let progress = watch.progress.unwrap_or(settings.progress);
        let conduct = Conduct {
            settings,
            connection: &self.connection,
            state: &state,
            facts: facts(header),
            begin: Begin::Cancel {
                run: run.clone(),
                scope: scope.clone(),
                discard: self.args.discard,
                gas: look.gas_at_most(),
            },
            run: run.clone(),
            lock,
            manner: Manner {
                progress: Manner::settle(progress, &settings.ui),
                show: watch.show.unwrap_or(settings.show),
                json: settings.json.is_some(),
                on_exceed: plan.limits().on_exceed,
                plan: Value::Null,
            },
            gas: Vec::new(),
            detach: false,
            timeout: watch.timeout,
            plan: Arc::new(plan),
        };
        let (finish, history) = conduct.told(exit).await?;
        let told = proof::Told { settings, connection: &self.connection, run, scope: &scope };
        told.end(header.payer, &look, (&before, &history)).await?;
        self.next(run, &finish, &history);
        Ok(exit(&finish))
    }

    /// What the journal says of the run, and which slots of its wallet are open.
    fn record(
        &self,
        state: &StatePlace,
        run: &RunId,
    ) -> Result<(History, crate::store::LaneState), Failure> {
        let views = crate::store::Views::open(&state.folder).map_err(|error| of_store(&error))?;
        let views = views.ok_or_else(|| runs::none(self.settings))?;
        let history = resume::read_history(&views, run)?;
        // Of no run in particular: so all open slots are listed, this run's among them.
        let nobody = RunId::from_random(0);
        let lane = views.lane(&LaneKey::of(&self.header), &nobody);
        Ok((history, lane.map_err(|error| of_store(&error))?))
    }

    /// Which tasks are meant.
    fn scope(&self, history: &History) -> Result<CancelScope, Failure> {
        let step = self.args.step.as_deref().map(|step| self.step(step)).transpose()?;
        let Some(filter) = &self.filter else {
            return Ok(step.map_or(CancelScope::Run, |step| CancelScope::Step { step }));
        };
        let mut rows = tasks::all(history);
        rows.retain(|row| history.task(row.id).is_none());
        rows.retain(|row| step.is_none_or(|step| row.id.step == step));
        rows.retain(|row| filter.keeps(&row.json()));
        filter.finish(&self.settings.ui)?;
        let tasks = rows.into_iter().map(|row| row.id).collect();
        Ok(CancelScope::Tasks { tasks })
    }

    fn step(&self, wanted: &str) -> Result<u16, Failure> {
        let names = || self.header.steps.iter().map(crate::units::StepName::as_str);
        let place = names().position(|name| name == wanted);
        let place = place.and_then(|place| u16::try_from(place).ok());
        place.ok_or_else(|| {
            let failure = Failure::usage(format!("the run has no step `{wanted}`"));
            failure.help(match suggest::nearest(wanted, names()) {
                Some(near) => format!("did you mean `{near}`?"),
                None => format!("its steps are {}", names().collect::<Vec<_>>().join(", ")),
            })
        })
    }

    /// Asks before anything is signed (cli.md, section 4): a cancel brings money back.
    fn ask(&self, look: &Look, coin: &Coin, run: &RunId) -> Result<(), Failure> {
        if self.args.yes || self.connection.network.devnet {
            return Ok(());
        }
        let question = match look.attemptable() {
            0 => format!("Cancel run {run}, so that it publishes nothing more?"),
            count => coin.line(format!(
                "Cancel {} and get {} back to the vault?",
                counted(count, "task"),
                coin.exact(look.refund())
            )),
        };
        match question::yes(self.settings, &question, "--yes")? {
            true => Ok(()),
            false => Err(Failure::new(Exit::Declined, "nothing was cancelled")),
        }
    }

    fn next(&self, run: &RunId, finish: &Finish, history: &History) {
        let left = history.tally().open().next().is_some();
        self.settings.ui.next(&match finish.outcome {
            RunOutcome::PausedFunds => {
                format!("send coins to {}, then ogflow cancel {run}", self.header.signer)
            }
            RunOutcome::Stopped if finish.signal.is_some() => format!("ogflow cancel {run}"),
            RunOutcome::Stopped if left => format!("ogflow resume {run}"),
            RunOutcome::PausedBudget
            | RunOutcome::Quarantined
            | RunOutcome::Stopped
            | RunOutcome::Done
            | RunOutcome::Failed
            | RunOutcome::OverBudget
            | RunOutcome::Canceled => format!("ogflow status {run}"),
        });
    }
}

/// The exit of a cancel: what could not be cancelled is no failure of it.
const fn exit(finish: &Finish) -> Exit {
    match finish.outcome {
        RunOutcome::Stopped if finish.signal.is_none() => Exit::Done,
        RunOutcome::Canceled | RunOutcome::Done | RunOutcome::Failed | RunOutcome::OverBudget => {
            Exit::Done
        }
        RunOutcome::Stopped
        | RunOutcome::PausedBudget
        | RunOutcome::PausedFunds
        | RunOutcome::Quarantined => exit_of(finish.outcome),
    }
}
