//! `ogflow resume`: goes on with a run that has stopped, with its recorded plan.

mod coming;
mod from_chain;
mod left;

use std::sync::Arc;

use alloy::primitives::B256;
use serde_json::Value;

use super::args::{ResumeArgs, WatchArgs};
use super::clock;
use super::conduct::Conduct;
use super::connect::{Connection, Purpose};
use super::errors::{of_plan, of_store};
use super::failure::{Exit, Failure};
use super::file;
use super::history::History;
use super::place::{self, StatePlace};
use super::question::{self, Spending};
use super::settings::Settings;
use super::watch::Manner;
use super::{check, devnet, runs};
use crate::chain::Chain;
use crate::driver::{Begin, ChainRead, Consent, facts};
use crate::engine::{RunHeader, RunOutcome, Wishes};
use crate::pipeline::Code;
use crate::plan::{Bundle, Plan};
use crate::report::{self, Fact};
use crate::store::{LaneKey, RunState, Views, WalletLock};
use crate::units::text::counted;
use crate::units::{RunId, Wei};

/// What a resume is told.
#[derive(Debug)]
pub struct Again<'a> {
    /// The run.
    pub run: RunId,
    /// `--yes`.
    pub yes: bool,
    /// `--max-spend`, from the run's start.
    pub max_spend: Option<Wei>,
    /// Whether it is left when everything is published that waits for no answer.
    pub detach: bool,
    /// What is wished besides going on.
    pub wishes: Wishes,
    /// What the reader answers for.
    pub consent: Consent,
    /// What the chain told of the run, if it was read.
    pub read: Option<ChainRead>,
    /// How it is watched.
    pub watch: &'a WatchArgs,
}

/// Goes on with a run.
///
/// # Errors
/// When there is no such run, it cannot go on, or the reader says no.
pub fn resume(
    args: &ResumeArgs,
    settings: &Settings,
    here: &std::path::Path,
) -> Result<Exit, Failure> {
    if args.from_chain {
        return from_chain::resume(args, settings, here);
    }
    let Some((views, _)) = place::views(settings)? else {
        return Err(runs::none(settings));
    };
    let run = match &args.run {
        Some(text) => runs::resolve(&views, text)?,
        None if args.retry_failed => runs::newest(&views, settings)?,
        None => match runs::newest_unfinished(&views)? {
            Some(run) => run,
            None => {
                settings.ui.say("Nothing to resume: every run here has ended.");
                return Ok(Exit::Done);
            }
        },
    };
    if let Some(exit) = over(args, settings, &views, &run)? {
        return Ok(exit);
    }
    let header = views.header(&run).map_err(|error| of_store(&error))?;
    drop(views);
    edited(args.as_recorded, settings, here, &header)?;
    super::runtime()?.block_on(async {
        let knobs = devnet::knobs(&args.devnet, settings)?;
        let password = args.watch.password_file.as_ref();
        let connection = Connection::open(settings, Purpose::Act, &knobs, password)?;
        if connection.network.name != header.network.name {
            return Err(other_network(&header, &connection));
        }
        let state = StatePlace::open(settings)?;
        let lane = LaneKey::of(&header);
        let lock = state.lock_wallet(settings, &connection, &lane)?;
        let again = Again {
            run,
            yes: args.yes,
            max_spend: args.max_spend,
            detach: false,
            wishes: Wishes {
                retry_failed: args.retry_failed,
                raise_permille: args.raise.unwrap_or(0),
            },
            consent: Consent { take_over: args.take_over, code: args.accept_code.clone() },
            read: None,
            watch: &args.watch,
        };
        go(settings, connection, state, lock, again).await
    })
}

/// Says so if a run has ended and nothing of it can go on.
fn over(
    args: &ResumeArgs,
    settings: &Settings,
    views: &Views,
    run: &RunId,
) -> Result<Option<Exit>, Failure> {
    let row = views.run(run).map_err(|error| of_store(&error))?;
    let RunState::Ended(outcome) = row.state else { return Ok(None) };
    let again = args.retry_failed && matches!(outcome, RunOutcome::Done | RunOutcome::Failed);
    if row.state.is_unfinished() || again {
        return Ok(None);
    }
    let word = row.state.word();
    settings.ui.say(&format!("Nothing to do: run {run} of {} is {word}.", row.pipeline));
    settings.ui.next(&format!("ogflow status {run}"));
    tracing::debug!(?outcome, "ended before");
    Ok(Some(Exit::Done))
}

pub(super) fn other_network(header: &RunHeader, connection: &Connection) -> Failure {
    let message = format!(
        "run {} is on {}, not on {}",
        header.run, header.network.name, connection.network.name
    );
    Failure::usage(message).help(format!("--network {}", header.network.name))
}

/// Refuses, or asks, when the pipeline was edited since the run began.
///
/// # Errors
/// Exit 8 off a terminal; exit 12 when the reader says no.
pub fn edited(
    as_recorded: bool,
    settings: &Settings,
    here: &std::path::Path,
    header: &RunHeader,
) -> Result<(), Failure> {
    if as_recorded || header.steps.is_empty() {
        return Ok(());
    }
    let bundle = Bundle::parse(&header.bundle).map_err(|error| of_plan(&error))?;
    let typed = std::path::Path::new(&bundle.pipeline.name);
    if typed.as_os_str() == "-" {
        return Ok(());
    }
    // A pipeline that is gone is no other pipeline: the record is all there is.
    let Ok(now) = file::read(settings, here, Some(typed)) else { return Ok(()) };
    let mut changed = Vec::new();
    if now.text.text != bundle.pipeline.text {
        changed.push(bundle.pipeline.name.clone());
    }
    let root = check::disk(settings, here, typed)?;
    for part in &bundle.parts {
        let found = std::fs::read_to_string(root.join(&part.name));
        if found.is_ok_and(|text| text != part.text) {
            changed.push(part.name.clone());
        }
    }
    if changed.is_empty() {
        return Ok(());
    }
    let files = changed.join(", ");
    if now.text.text != bundle.pipeline.text {
        settings.ui.say(&difference(&bundle.pipeline.text, &now.text.text));
    }
    if settings.no_input || !settings.ui.can_ask() {
        let message = format!("{files} was edited since run {} began", header.run);
        let help = format!(
            "`ogflow resume {} --as-recorded` goes on with the stored plan; `ogflow run --new` \
             starts another run",
            header.run
        );
        return Err(Failure::new(Exit::Stale, message).coded(Code::E0831).help(help));
    }
    let question = format!("{files} was edited. Go on with the plan as recorded?");
    match question::yes(settings, &question, "--as-recorded")? {
        true => Ok(()),
        false => Err(question::declined()),
    }
}

/// The lines that differ, a few of them.
fn difference(old: &str, new: &str) -> String {
    const MOST: usize = 12;
    let (old, new): (Vec<&str>, Vec<&str>) = (old.lines().collect(), new.lines().collect());
    let same = |(a, b): &(&&str, &&str)| a == b;
    let head = old.iter().zip(&new).take_while(same).count();
    let rest = (&old[head..], &new[head..]);
    let tail = rest.0.iter().rev().zip(rest.1.iter().rev()).take_while(same).count();
    let mut lines = vec![format!("from line {}", head + 1)];
    let changed = |all: &[&str], sign: char, lines: &mut Vec<String>| {
        let part = &all[head..all.len() - tail];
        lines.extend(part.iter().take(MOST).map(|line| format!("  {sign} {line}")));
        if part.len() > MOST {
            lines.push(format!("  {sign} … {}", counted(part.len() - MOST, "more line")));
        }
    };
    changed(&old, '-', &mut lines);
    changed(&new, '+', &mut lines);
    lines.join("\n")
}

/// Tells how the run stands, and what becomes of it; `tried` failed tasks get another round.
fn tell(settings: &Settings, history: &History, tried: u64) {
    let standing = report::summary::standing(history.tally(), clock::now(), tried);
    settings.ui.talk(&standing.join("\n"));
    if history.tally().is_canceled() {
        settings.ui.say("The run was cancelled: nothing is published; what is open is collected.");
    }
}

/// Goes on, with everything open and locked.
///
/// # Errors
/// When the record or the chain is not what it was, or the reader says no.
pub async fn go(
    settings: &Settings,
    connection: Connection,
    state: StatePlace,
    lock: WalletLock,
    again: Again<'_>,
) -> Result<Exit, Failure> {
    let views = Views::open(&state.folder).map_err(|error| of_store(&error))?;
    let views = views.ok_or_else(|| runs::none(settings))?;
    let mut header = views.header(&again.run).map_err(|error| of_store(&error))?;
    let plan = restored(&header)?;
    let limits = settings.limits.lower(plan.pipeline().limits);
    let plan = plan.with_limits(limits);
    let history = read_history(&views, &again.run)?;
    let engine = coming::replayed(&views, &again.run, &plan)?;
    let lane = views.lane(&LaneKey::of(&header), &again.run).map_err(|error| of_store(&error))?;
    drop(views);
    if let Some(now) = engine.header() {
        header.code = now.code;
    }
    let coming = coming::Coming::of(&engine, &history, again.wishes);
    let tried = coming.tried.len() as u64;
    tell(settings, &history, tried);
    coming.lines(&engine, history.tally().coin()).iter().for_each(|line| settings.ui.talk(line));
    if engine.outcome().is_some_and(coming::is_over) && tried == 0 {
        settings.ui.say(&format!("Nothing to try again in run {}.", again.run));
        return Ok(Exit::Done);
    }
    coming::enough_of_a_cap(&again, &engine, history.tally().coin())?;
    let found = connection.chain.guard().await.map_err(|error| super::errors::of_chain(&error))?;
    coming::answered_for(settings, (&header, &found), &lane, &again.consent)?;
    let cap = again.max_spend.map(Some);
    let most = again.max_spend.or(header.cap);
    ask(settings, &connection, (&again, tried), &header, most)?;
    let (run, wishes, consent) = (again.run.clone(), again.wishes, again.consent);
    let begin = Begin::Resume { run, cap, wishes, consent }.after(again.read);
    let conduct = Conduct {
        settings,
        connection: &connection,
        state: &state,
        facts: facts(&header),
        begin,
        run: again.run,
        lock,
        manner: Manner {
            progress: Manner::settle(
                again.watch.progress.unwrap_or(settings.progress),
                &settings.ui,
            ),
            show: again.watch.show.unwrap_or(settings.show),
            json: settings.json.is_some(),
            on_exceed: plan.limits().on_exceed,
            plan: Value::Null,
        },
        gas: Vec::new(),
        detach: again.detach,
        timeout: again.watch.timeout,
        plan: Arc::new(plan),
    };
    conduct.go().await
}

/// Asks before more is spent.
fn ask(
    settings: &Settings,
    connection: &Connection,
    (again, tried): (&Again<'_>, u64),
    header: &RunHeader,
    most: Option<Wei>,
) -> Result<(), Failure> {
    let network = &connection.network;
    let kind = if network.real_money { " with real money" } else { "" };
    let shown = most.map_or_else(String::new, |most| {
        format!(": {} {} at most from its start", question::shown_amount(most), network.symbol)
    });
    let anew = match tried {
        0 => String::new(),
        _ => format!(", {} anew", counted(tried, "failed task")),
    };
    let what = format!("Go on with run {} on {}{kind}{anew}{shown}.", header.run, network.name);
    let name = &header.pipeline;
    let capped = most.is_some();
    question::spend(
        settings,
        &Spending { network, what, most, verb: "spend up to", name, capped, yes: again.yes },
    )
}

/// The plan of a run, made again from its record.
///
/// # Errors
/// When this program no longer takes the record.
pub fn restored(header: &RunHeader) -> Result<Plan, Failure> {
    if header.steps.is_empty() {
        return Ok(Plan::without_steps(&header.network));
    }
    let bundle = Bundle::parse(&header.bundle).map_err(|error| of_plan(&error))?;
    let plan = bundle.restore(&header.network).map_err(Failure::of_problems)?;
    let (was, is): (B256, B256) = (header.fingerprint, plan.fingerprint());
    if was == is {
        return Ok(plan);
    }
    let message = format!("the plan of run {} comes out otherwise than when it began", header.run);
    Err(Failure::new(Exit::Stale, message)
        .coded(Code::E0831)
        .help("go on with the ogflow that started it"))
}

/// Folds all events of a run.
///
/// # Errors
/// When the journal cannot be read.
pub fn read_history(views: &Views, run: &RunId) -> Result<History, Failure> {
    let mut history = History::default();
    for recorded in views.events(run, 0).map_err(|error| of_store(&error))? {
        let recorded = recorded.map_err(|error| of_store(&error))?;
        history.observe(Fact { at: recorded.at, event: &recorded.event });
    }
    Ok(history)
}
