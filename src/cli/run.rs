//! `ogflow run`: shows the plan, asks, publishes, collects, confirms.

use std::path::Path;
use std::sync::Arc;

use super::args::RunArgs;
use super::clock;
use super::conduct::Conduct;
use super::connect::Purpose;
use super::errors::{of_driver, of_plan, of_store};
use super::failure::{Exit, Failure};
use super::file::{self, PipelineFile};
use super::place::{self, StatePlace};
use super::plan;
use super::plan_file::{self, PlanFile};
use super::prepare::{self, Opened, Prepared, Wanted};
use super::question::{self, Spending};
use super::resume::{self, Again};
use super::settings::Settings;
use super::watch::Manner;
use crate::driver::preflight::{self, Start};
use crate::driver::{Begin, BlobSink, ChainRead, Consent, facts};
use crate::engine::Wishes;
use crate::pipeline::Code;
use crate::report;
use crate::store::{LaneKey, RunRow, Views, WalletLock};
use crate::units::{Network, RunId, Wei};

/// Runs a pipeline, or a saved plan of one.
///
/// # Errors
/// Everything that keeps a run from starting; how a run ends is its exit, not an error.
pub fn run(args: &RunArgs, settings: &Settings, here: &Path) -> Result<Exit, Failure> {
    let mut file = file::read(settings, here, args.file.as_deref())?;
    let saved = plan_file::read(&file)?;
    if let Some(saved) = &saved {
        fixed(args)?;
        saved.same_texts(settings, here)?;
        file = file::read(settings, here, Some(&saved.pipeline))?;
    }
    super::runtime()?.block_on(go((settings, here), args, file, saved.as_ref()))
}

async fn go(
    (settings, here): (&Settings, &Path),
    args: &RunArgs,
    file: PipelineFile,
    saved: Option<&PlanFile>,
) -> Result<Exit, Failure> {
    let wanted = wanted(args, saved);
    let why = |failure: Failure| match saved {
        Some(saved) => saved.failed(failure),
        None => failure,
    };
    let opened = prepare::open((settings, here), file, &wanted, Purpose::Act).await.map_err(why)?;
    if let Some(saved) = saved {
        saved.same_sources(&opened)?;
    }
    let state = StatePlace::open(settings)?;
    let lane = lane(&opened)?;
    let lock = state.lock_wallet(settings, &opened.connection, &lane)?;
    if let Some(row) = unfinished(args, settings, &state, &opened)? {
        let views = Views::open(&state.folder).map_err(|error| of_store(&error))?;
        let views = views.ok_or_else(|| super::runs::none(settings))?;
        let header = views.header(&row.run).map_err(|error| of_store(&error))?;
        drop(views);
        resume::edited(false, settings, here, &header)?;
        let again = Again {
            run: row.run,
            yes: args.yes,
            max_spend: args.max_spend,
            detach: args.detach,
            wishes: Wishes::default(),
            consent: Consent::default(),
            read: None,
            watch: &args.watch,
        };
        return resume::go(settings, opened.connection, state, lock, again).await;
    }
    let mut sink = BlobSink::new(state.blobs.clone());
    let prepared = prepare::prepare(settings, opened, &wanted, &mut sink).await.map_err(why)?;
    if let Some(saved) = saved {
        saved.same_plan(&prepared)?;
    }
    let most = saved.and_then(|saved| saved.saved.most_wei);
    start((args, most), settings, &state, lock, (prepared, None)).await
}

/// Begins a run that was lost again under its old id, with what the chain told of it.
///
/// # Errors
/// As [`run`].
pub(super) async fn recovered(
    settings: &Settings,
    args: &RunArgs,
    wanted: &Wanted<'_>,
    (opened, state, lock): (Opened, StatePlace, WalletLock),
    (run, read): (RunId, ChainRead),
) -> Result<Exit, Failure> {
    let mut sink = BlobSink::new(state.blobs.clone());
    let prepared = prepare::prepare(settings, opened, wanted, &mut sink).await?;
    start((args, None), settings, &state, lock, (prepared, Some((run, read)))).await
}

/// Refuses flags that a saved plan has settled.
fn fixed(args: &RunArgs) -> Result<(), Failure> {
    let params = &args.params;
    let flags = [
        ("--param", !params.param.is_empty()),
        ("--params", params.params.is_some()),
        ("--limit", args.limit.is_some()),
        ("--only", args.only.is_some()),
    ];
    match flags.iter().find(|(_, given)| *given) {
        Some((flag, _)) => Err(Failure::usage(format!("{flag} is settled by a saved plan"))
            .help("make another plan: `ogflow plan FILE --out PLAN` takes the same flag")),
        None => Ok(()),
    }
}

/// What is asked for: by the flags, or by the saved plan with the flags that may lower its cap.
fn wanted<'a>(args: &'a RunArgs, saved: Option<&'a PlanFile>) -> Wanted<'a> {
    let typed = Wanted {
        limit: args.limit,
        only: args.only.as_deref(),
        max_spend: args.max_spend,
        password_file: args.watch.password_file.as_ref(),
        ..Wanted::new(&args.params, &args.devnet)
    };
    match saved {
        Some(saved) => Wanted {
            params: saved.given(),
            limit: saved.saved.limit,
            only: saved.saved.only.as_deref(),
            ceiling: saved.cap,
            ..typed
        },
        None => typed,
    }
}

/// The lane that the run publishes through.
pub(super) fn lane(opened: &Opened) -> Result<LaneKey, Failure> {
    let network = &opened.connection.network;
    let wallet =
        opened.connection.signer.ok_or_else(|| super::settings::SignerChoice::missing(network))?;
    Ok(LaneKey { chain_id: network.chain_id, genesis: opened.facts.genesis, wallet })
}

/// The unfinished run of this pipeline that is to go on, if there is one and it is wanted.
fn unfinished(
    args: &RunArgs,
    settings: &Settings,
    state: &StatePlace,
    opened: &Opened,
) -> Result<Option<RunRow>, Failure> {
    let views = Views::open(&state.folder).map_err(|error| of_store(&error))?;
    let Some(views) = views else { return Ok(None) };
    let name = &opened.checked.pipeline.name;
    let rows = views.unfinished(name).map_err(|error| of_store(&error))?;
    let mut found = None;
    for row in rows.into_iter().filter(|row| row.network == opened.connection.network.name) {
        let header = views.header(&row.run).map_err(|error| of_store(&error))?;
        // A run on a chain that is gone cannot go on, so it is in nobody's way.
        if header.genesis == opened.facts.genesis {
            found = Some(row);
            break;
        }
    }
    let Some(row) = found.filter(|_| !args.new) else { return Ok(None) };
    if args.resume {
        return Ok(Some(row));
    }
    let question = format!("Run {} of {name} is not finished. Go on with it?", row.run);
    if settings.no_input || !settings.ui.can_ask() {
        let message = format!("run {} of `{name}` is not finished", row.run);
        return Err(Failure::new(Exit::NeedsAnswer, message)
            .coded(Code::E0802)
            .help("--resume goes on with it, --new starts another one"));
    }
    Ok(question::yes(settings, &question, "--resume or --new")?.then_some(row))
}

/// Shows the plan, asks, and conducts the run.
async fn start(
    (args, ceiling): (&RunArgs, Option<Wei>),
    settings: &Settings,
    state: &StatePlace,
    lock: WalletLock,
    (prepared, lost): (Prepared, Option<(RunId, ChainRead)>),
) -> Result<Exit, Failure> {
    show(settings, &prepared);
    // Of a lost run nobody knows yet how much of it is paid already.
    if lost.is_none() {
        prepared.summary.affordable().map_err(|error| of_plan(&error))?;
    }
    let network = Arc::clone(&prepared.connection.network);
    let cap = engine_cap(&network, &prepared, ceiling);
    question::spend(settings, &spending(args, &prepared, cap))?;
    let signer = prepared
        .connection
        .signer
        .ok_or_else(|| super::settings::SignerChoice::missing(&network))?;
    if !network.devnet && lost.is_none() {
        let chain = prepared.connection.chain.as_ref();
        preflight::rehearse(chain, &prepared.plan, signer, prepared.facts.head_time)
            .await
            .map_err(|error| of_driver(&error))?;
    }
    let (fresh, seed) = place::random_run();
    let (run, read) = lost.map_or((fresh, None), |(run, read)| (run, Some(read)));
    let header = Start {
        run: run.clone(),
        plan: &prepared.plan,
        bundle: prepared.plan.bundle().to_json(),
        facts: &prepared.facts,
        signer,
        payer: prepared.payer.map_or(signer, |payer| payer.address),
        cap,
        at: clock::now(),
        seed,
    }
    .header();
    let conduct = Conduct {
        settings,
        connection: &prepared.connection,
        state,
        run,
        facts: facts(&header),
        begin: Begin::Start(header).after(read),
        lock,
        manner: Manner {
            progress: Manner::settle(
                args.watch.progress.unwrap_or(settings.progress),
                &settings.ui,
            ),
            show: args.watch.show.unwrap_or(settings.show),
            json: settings.json.is_some(),
            on_exceed: prepared.plan.limits().on_exceed,
            plan: plan::document(&prepared),
        },
        gas: prepared.gas.clone(),
        detach: args.detach,
        timeout: args.watch.timeout,
        plan: Arc::clone(&prepared.plan),
    };
    conduct.go().await
}

/// Shows plan and warnings on stderr.
fn show(settings: &Settings, prepared: &Prepared) {
    plan::tell_warnings(settings, prepared);
    let lines = report::plan::table(&prepared.summary, super::look(&settings.ui));
    settings.ui.talk(&format!("{}\n", lines.join("\n")));
    settings.ui.talk("");
}

/// The cap that the engine keeps: what is typed or shown, and never above a cap that was set.
/// `ceiling` is what a saved plan showed.
fn engine_cap(network: &Network, prepared: &Prepared, ceiling: Option<Wei>) -> Option<Wei> {
    if network.devnet {
        return prepared.cap;
    }
    let most = prepared.summary.totals.at_most().map(question::rounded_up);
    prepare::lowest(prepare::lowest(most, ceiling), prepared.cap)
}

/// What the question before spending is about.
fn spending<'a>(args: &RunArgs, prepared: &'a Prepared, cap: Option<Wei>) -> Spending<'a> {
    let summary = &prepared.summary;
    let network = &prepared.connection.network;
    let publish = report::plan::tasks(summary.totals.publish);
    let amount = |wei: Wei| format!("{} {}", question::shown_amount(wei), network.symbol);
    let planned = summary.totals.total.max.map_or_else(
        || "an unbounded amount".to_owned(),
        |total| format!("{} as planned", amount(total)),
    );
    let most =
        cap.map_or_else(String::new, |cap| format!(", {} at most with retries", amount(cap)));
    let kind = if network.real_money { " with real money" } else { "" };
    Spending {
        network,
        what: format!("Publish {publish} on {}{kind}: {planned}{most}.", network.name),
        most: cap,
        verb: "spend up to",
        name: &prepared.checked.pipeline.name,
        capped: prepared.cap.is_some(),
        yes: args.yes,
    }
}
