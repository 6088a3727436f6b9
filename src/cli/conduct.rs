//! One run under way: what `run` and `resume` have in common from the moment of a yes.

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Map, Value};
use tokio::sync::mpsc;

use super::clock;
use super::connect::Connection;
use super::errors::{of_driver, of_store};
use super::failure::{Exit, Failure};
use super::history::{History, Reader};
use super::place::StatePlace;
use super::settings::Settings;
use super::ui::Ui;
use super::watch::{self, Manner, Watch};
use super::{saved, schemas};
use crate::driver::{self, Begin, Clock, Drive, DriverError, Finish, Outputs, Signal, signals};
use crate::engine::{Event, RunOutcome};
use crate::pipeline::Code;
use crate::plan::{Plan, RunFacts, StepGas};
use crate::report::{self, Ending, Fact, Foreign, Tally};
use crate::store::{Holder, RunLock, WalletLock};
use crate::units::{RunId, Slot, Timestamp, Wei};

/// A run that may start.
#[derive(Debug)]
pub struct Conduct<'a> {
    /// The settings.
    pub settings: &'a Settings,
    /// The network.
    pub connection: &'a Connection,
    /// The state folder.
    pub state: &'a StatePlace,
    /// What is to be done.
    pub plan: Arc<Plan>,
    /// The run's id.
    pub run: RunId,
    /// A new one, or one of the journal.
    pub begin: Begin,
    /// What expressions see as `run`.
    pub facts: RunFacts,
    /// The wallet's lock.
    pub lock: WalletLock,
    /// How it is watched.
    pub manner: Manner,
    /// What gas is expected to cost, by step in plan order; empty if nobody asked.
    pub gas: Vec<StepGas>,
    /// Leaves when everything is published that waits for no answer.
    pub detach: bool,
    /// Stops, resumable, after this long.
    pub timeout: Option<Duration>,
}

/// A run that was driven as far as it goes.
struct Driven {
    watch: Watch,
    finished: Result<Finish, DriverError>,
    outputs: Outputs,
}

impl Conduct<'_> {
    /// Conducts the run to its end, or to where it stops, and tells how it went.
    ///
    /// # Errors
    /// When journal, chain or pin service say no. The run can be resumed.
    pub async fn go(self) -> Result<Exit, Failure> {
        let (settings, plan, state) = (self.settings, Arc::clone(&self.plan), self.state);
        let (facts, run, json) = (self.facts.clone(), self.run.clone(), self.manner.json);
        let gas = self.gas.clone();
        let Driven { watch, finished, outputs } = self.driven().await?;
        let told = Told { settings, plan: &plan, state, facts: &facts, gas, json };
        told.ending(&run, watch, finished, &outputs)
    }

    /// Conducts a run that has no steps to tell of, and gives what its events say.
    ///
    /// # Errors
    /// As [`Conduct::go`].
    pub async fn quietly(self) -> Result<(Finish, History), Failure> {
        let run = self.run.clone();
        let Driven { watch, finished, .. } = self.driven().await?;
        watch.close();
        match finished {
            Ok(finish) => Ok((finish, watch.into_history())),
            Err(error) => Err(of_driver(&error).and_help(&format!("ogflow resume {run} goes on"))),
        }
    }

    /// Conducts a run for a command that tells the end itself: with a stream of events, and with
    /// the exit that `exit` makes of how it was left.
    ///
    /// # Errors
    /// As [`Conduct::go`].
    pub async fn told(
        self,
        exit: impl FnOnce(&Finish) -> Exit,
    ) -> Result<(Finish, History), Failure> {
        let (run, ui, json) = (self.run.clone(), self.settings.ui.clone(), self.manner.json);
        let Driven { watch, finished, .. } = self.driven().await?;
        watch.close();
        let finish = match finished {
            Ok(finish) => finish,
            Err(DriverError::Left(signal)) => return Err(left(&ui, &run, signal)),
            Err(error) => {
                let failure = of_driver(&error);
                watch.finish_stream(clock::now(), failure.exit.code(), Map::new());
                return Err(failure.and_help(&format!("ogflow resume {run} goes on")));
            }
        };
        if json {
            watch.finish_stream(finish.at, exit(&finish).code(), Map::new());
        }
        Ok((finish, watch.into_history()))
    }

    async fn driven(self) -> Result<Driven, Failure> {
        let holder = Holder::this_process(clock::now());
        let _run = RunLock::take(&self.state.folder, &self.run, holder)
            .map_err(|error| of_store(&error))?;
        let mut journal = self.state.journal()?;
        let database = journal.database_id().map_err(|error| of_store(&error))?;
        let outputs = self.state.outputs()?;
        let quotas = self.plan.quotas();
        self.connection.chain.pace(quotas.rpc);
        let content = self.connection.content(quotas.pin, self.state.blobs.clone())?;
        let signals = self.signals()?;
        let schedule = Arc::clone(self.plan.schedule());
        let watch = Watch::new(self.settings.ui.clone(), self.manner.clone(), schedule);
        let background = self.background(&watch);
        let looking = watch.clone();
        let shared = Arc::new(std::sync::Mutex::new(Tally::for_schedule(self.plan.schedule())));
        let past = Arc::clone(&shared);
        let mut observer = |told: driver::Told<'_>| {
            if told.past {
                let fact = Fact { at: told.at, event: told.event };
                past.lock().unwrap_or_else(std::sync::PoisonError::into_inner).apply(fact);
            }
            looking.observe(told);
        };
        let mut summary = |at: Timestamp, events: &[Event]| {
            let mut tally = shared.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
            events.iter().for_each(|event| tally.apply(Fact { at, event }));
            Some(watch::figures(&tally).to_string())
        };
        let mut lock = self.lock;
        let finished = driver::drive(Drive {
            chain: Arc::clone(&self.connection.chain),
            content: Arc::new(content),
            journal: &mut journal,
            plan: Arc::clone(&self.plan),
            blobs: self.state.blobs.clone(),
            outputs: Arc::clone(&outputs),
            begin: self.begin,
            clock: Clock::system(),
            detach: self.detach,
            signals,
            observers: vec![&mut observer],
            summary: Some(&mut summary),
            notice: Some(notice(watch.clone())),
            mark: Some((&mut lock, database)),
        })
        .await;
        background.iter().for_each(tokio::task::JoinHandle::abort);
        drop(journal);
        Ok(Driven { watch, finished, outputs })
    }

    /// The signals of this process, and the one that a timeout sends.
    fn signals(&self) -> Result<mpsc::Receiver<Signal>, Failure> {
        let mut heard = signals::listen().map_err(|error| {
            Failure::new(Exit::Unexpected, "signals cannot be listened to").because(error)
        })?;
        let Some(timeout) = self.timeout else { return Ok(heard) };
        let (sender, receiver) = mpsc::channel(2);
        drop(tokio::spawn(async move {
            let mut late = std::pin::pin!(tokio::time::sleep(timeout));
            let mut over = false;
            loop {
                let signal = tokio::select! {
                    () = &mut late, if !over => { over = true; Signal::Terminate }
                    Some(signal) = heard.recv() => signal,
                    else => break,
                };
                if sender.send(signal).await.is_err() {
                    break;
                }
            }
        }));
        Ok(receiver)
    }

    /// What goes on beside the loop: the devnet's providers, and the eye on the clock.
    fn background(&self, watch: &Watch) -> Vec<tokio::task::JoinHandle<()>> {
        let mut tasks = vec![tokio::spawn(watch.clone().ticking())];
        if let Some(town) = &self.connection.town {
            schemas::hand_over(town, &self.plan);
            let (town, watch) = (town.clone(), watch.clone());
            tasks.push(tokio::spawn(async move {
                if let Err(error) = town.work().await {
                    watch.say(&format!("The devnet's providers stopped: {error}"));
                }
            }));
        }
        tasks
    }
}

/// Hears of failed tries to pin.
fn notice(watch: Watch) -> driver::PinNotice {
    Arc::new(move |task, retry| {
        let label = watch.figures(|tally| tally.label(task));
        let why = retry.error.to_string();
        let notice = report::Notice::again(retry.tried, retry.of, &label, &why, retry.wait);
        notice.lines.iter().for_each(|line| watch.say(line));
    })
}

/// The end of a run that the second signal left.
fn left(ui: &Ui, run: &RunId, signal: Signal) -> Failure {
    ui.say(&format!("Left at once. Nothing is lost.\nNext: ogflow resume {run}"));
    Failure::said(Exit::from_code(signal.exit_code()).unwrap_or(Exit::Interrupted))
}

/// What the end of a run is told from.
struct Told<'a> {
    settings: &'a Settings,
    plan: &'a Plan,
    state: &'a StatePlace,
    facts: &'a RunFacts,
    gas: Vec<StepGas>,
    json: bool,
}

impl Told<'_> {
    /// Tells how the run went: summary and outputs on stdout, what to type next on stderr.
    fn ending(
        &self,
        run: &RunId,
        watch: Watch,
        finished: Result<Finish, DriverError>,
        outputs: &Outputs,
    ) -> Result<Exit, Failure> {
        let ui = &self.settings.ui;
        watch.close();
        let finish = match finished {
            Ok(finish) => finish,
            Err(DriverError::Left(signal)) => return Err(left(ui, run, signal)),
            Err(error) => {
                let failure = of_driver(&error);
                watch.finish_stream(clock::now(), failure.exit.code(), Map::new());
                return Err(failure.and_help(&format!("ogflow resume {run} goes on")));
            }
        };
        let exit = exit_of(finish.outcome);
        let stream = watch.clone();
        let history = watch.into_history();
        let reader =
            Reader { plan: self.plan, history: &history, blobs: &self.state.blobs, outputs };
        let values = self.outputs(&reader);
        let files = saved::write(self.settings, &reader)?;
        if self.json {
            let map: Map<String, Value> = values.iter().cloned().collect();
            stream.finish_stream(finish.at, exit.code(), map);
        } else {
            self.summary(&history, &finish, values)?;
        }
        if !ui.err_is_terminal() {
            ui.talk(&report::summary::closing(history.tally()));
        }
        for line in files {
            ui.talk(&line);
        }
        self.next(run, finish.outcome, &history);
        match history.tally().foreign().filter(|_| finish.outcome == RunOutcome::Quarantined) {
            Some(foreign) => Err(used_elsewhere(foreign)),
            None => Ok(exit),
        }
    }

    fn summary(
        &self,
        history: &History,
        finish: &Finish,
        outputs: Vec<(String, Value)>,
    ) -> Result<(), Failure> {
        let rules = self.plan.schedule().steps.iter();
        let ending = Ending {
            at: finish.at,
            live: false,
            predicted_gas: self.predicted_gas(history.tally()),
            allowed: rules.map(|rule| rule.allow_failures).collect(),
            outputs,
        };
        let ui = &self.settings.ui;
        let lines = report::summary::end(history.tally(), &ending, super::look(ui));
        match ui.out(&lines.join("\n")) {
            // The run is over and on disk; nobody reads its summary any more.
            Err(failure) if failure.exit == Exit::Done => Ok(()),
            told => told,
        }
    }

    /// What the plan expects of gas, for as many publications and confirms as there were; nothing
    /// while the gas of some is not known.
    fn predicted_gas(&self, tally: &Tally) -> Option<Wei> {
        if tally.has_open_slots() {
            return None;
        }
        let steps = tally.steps().zip(&self.gas);
        let gas = steps.map(|((_, step), gas)| {
            gas.of(step.published.saturating_add(step.retried), step.confirmed)
        });
        (!self.gas.is_empty()).then(|| gas.fold(Wei::ZERO, Wei::saturating_add))
    }

    /// The pipeline's outputs that can be evaluated; why the others cannot is said.
    fn outputs(&self, reader: &Reader<'_>) -> Vec<(String, Value)> {
        let pipeline = self.plan.pipeline();
        let mut values = Vec::new();
        for place in 0..self.plan.steps().len() {
            let place = u16::try_from(place).unwrap_or(u16::MAX);
            let name = self.plan.step_name(place);
            if !pipeline.outputs.iter().any(|output| output.reads.contains(name)) {
                continue;
            }
            match reader.values(place) {
                Ok(read) => values.push((place, read)),
                Err(failure) => self.settings.ui.warn(&failure.message),
            }
        }
        let mut shown = Vec::new();
        for (name, value) in self.plan.outputs(&values, self.facts) {
            match value {
                Ok(value) => shown.push((name, value)),
                Err(why) => self.settings.ui.warn(&format!("outputs.{name} has no value: {why}")),
            }
        }
        shown
    }

    fn next(&self, run: &RunId, outcome: RunOutcome, history: &History) {
        let ui = &self.settings.ui;
        let total = history.tally().total();
        ui.next(&match outcome {
            RunOutcome::Done if total.confirmed == 0 => "ogflow status latest".to_owned(),
            RunOutcome::Done => match self.plan.steps().len() {
                1 => "ogflow results".to_owned(),
                _ => {
                    let last = self.plan.steps().len() - 1;
                    let last = u16::try_from(last).unwrap_or(u16::MAX);
                    format!("ogflow results --step {}", self.plan.step_name(last))
                }
            },
            RunOutcome::Failed => format!("ogflow status {run} --tasks"),
            RunOutcome::OverBudget => format!("ogflow status {run}"),
            RunOutcome::PausedBudget => format!("ogflow resume {run} --max-spend AMOUNT"),
            RunOutcome::PausedFunds => {
                let network = &self.plan.network().name;
                format!("ogflow vault deposit AMOUNT --network {network}, then ogflow resume {run}")
            }
            RunOutcome::Stopped => format!("ogflow resume {run}"),
            RunOutcome::Quarantined | RunOutcome::Canceled => format!("ogflow status {run}"),
        });
    }
}

/// A wallet that was used by something that the journal does not know.
fn used_elsewhere(Foreign { slot: Slot { wallet, nonce }, tx_hash }: Foreign) -> Failure {
    let by = tx_hash.map_or_else(String::new, |hash| format!(", but transaction {hash}'s"));
    let said =
        format!("wallet {wallet} was used elsewhere: nonce {nonce} is not this journal's{by}");
    Failure::new(Exit::Guard, said).coded(Code::E0913).help(
        "nothing new was published, since this journal may be an old copy; what was open was \
         collected. `ogflow resume --from-chain` reads what it lacks from the chain and goes on",
    )
}

/// The exit that an outcome has.
pub const fn exit_of(outcome: RunOutcome) -> Exit {
    match outcome {
        RunOutcome::Done => Exit::Done,
        RunOutcome::Failed => Exit::Failures,
        RunOutcome::OverBudget => Exit::Budget,
        RunOutcome::PausedBudget | RunOutcome::Stopped | RunOutcome::Canceled => Exit::Stopped,
        RunOutcome::PausedFunds => Exit::Funds,
        RunOutcome::Quarantined => Exit::Guard,
    }
}
