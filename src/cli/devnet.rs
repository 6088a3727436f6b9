//! `ogflow devnet`: a network in a box, served to other programs.

use std::path::Path;
use std::time::Duration;

use serde_json::{Map, Value, json};
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};

use super::args::{DevnetArgs, DevnetCommand, DevnetUpArgs, KnobArgs};
use super::connect::{Served, open_town};
use super::errors::of_devnet;
use super::failure::{Exit, Failure};
use super::select;
use super::settings::Settings;
use crate::devnet::knobs::{KnobError, Knobs};
use crate::devnet::{Devnet, DevnetError, Mining, Options, Place, PoolLimits, Town, town};
use crate::pipeline::Code;
use crate::units::text::counted;

/// How long a devnet that was told to stop may take.
const PATIENCE: Duration = Duration::from_secs(10);
/// Between two looks whether it has.
const LOOK: Duration = Duration::from_millis(50);

/// Serves, stops or forgets a devnet.
///
/// # Errors
/// When a knob, the port or the folder cannot be used.
pub fn devnet(args: &DevnetArgs, settings: &Settings) -> Result<Exit, Failure> {
    let folder = settings.state().join("devnet");
    match &args.command {
        DevnetCommand::Up(args) => {
            let mut knobs = Knobs::default();
            for (name, value) in args.knobs() {
                knobs.turn(name, value).map_err(|error| of_knob(&error))?;
            }
            super::runtime()?.block_on(up(args, knobs, settings, &folder))
        }
        DevnetCommand::Down => super::runtime()?.block_on(down(settings, &folder)),
        DevnetCommand::Reset => reset(settings, &folder),
    }
}

/// The knobs of `--devnet KEY=VALUE`.
///
/// # Errors
/// Exit 2 for a knob that there is not, or a value that it does not take.
pub fn knobs(args: &KnobArgs, settings: &Settings) -> Result<Knobs, Failure> {
    let mut knobs = Knobs::default();
    for pair in &args.devnet {
        knobs.turn_pair(pair).map_err(|error| of_knob(&error))?;
    }
    if !args.devnet.is_empty() && !settings.network.value.devnet {
        let message = format!(
            "`--devnet` turns a knob of the devnet, and this is {}",
            settings.network.value.name
        );
        return Err(Failure::usage(message).help("leave it out, or use --network devnet"));
    }
    Ok(knobs)
}

fn of_knob(error: &KnobError) -> Failure {
    Failure::of(Exit::Usage, error).help(error.hint())
}

async fn up(
    args: &DevnetUpArgs,
    knobs: Knobs,
    settings: &Settings,
    folder: &Path,
) -> Result<Exit, Failure> {
    if let Some(served) = Served::find(folder) {
        let message = format!("this project's devnet is up already at {}", served.url);
        return Err(Failure::new(Exit::Locked, message)
            .coded(Code::E0921)
            .help("`ogflow devnet down` stops it"));
    }
    let port = knobs.port;
    let listener = TcpListener::bind(("127.0.0.1", port)).await.map_err(|error| {
        Failure::new(Exit::Unexpected, format!("port {port} cannot be served on"))
            .because(error)
            .help("choose another with --port, or --port 0 for a free one")
    })?;
    let address = listener
        .local_addr()
        .map_err(|error| Failure::new(Exit::Unexpected, "the port is not known").because(error))?;
    let url = format!("http://{address}");
    let turned = Knobs { port: address.port(), ..knobs };
    let town = open_town(Place::Folder(folder.to_path_buf()), turned.clone(), url.clone())?;
    let served = Served { url, pid: std::process::id(), sources: town.sources().clone() };
    served.leave(folder).map_err(|error| Failure::of(Exit::Unexpected, &error))?;
    announce(&served, &turned, settings)?;
    if !args.service.is_empty() {
        let url = format!("CALLBACK_URL=http://{address}/callback");
        settings.ui.talk(&format!("Services need {url} in their environment."));
    }
    let ended = serve(listener, &town, settings).await;
    Served::forget(folder);
    ended
}

/// Serves until a signal comes or something breaks.
async fn serve(listener: TcpListener, town: &Town, settings: &Settings) -> Result<Exit, Failure> {
    let broken = |error: std::io::Error| {
        Failure::new(Exit::Unexpected, "the devnet cannot serve").because(error)
    };
    let mut interrupt = signal(SignalKind::interrupt()).map_err(broken)?;
    let mut terminate = signal(SignalKind::terminate()).map_err(broken)?;
    let server = axum::serve(listener, town.router());
    tokio::select! {
        ended = async { server.await } => ended.map(|()| Exit::Done).map_err(broken),
        worked = town.work() => {
            worked.map(|()| Exit::Done).map_err(|error| of_devnet(&error))
        }
        _ = interrupt.recv() => stopped(settings),
        _ = terminate.recv() => stopped(settings),
    }
}

fn stopped(settings: &Settings) -> Result<Exit, Failure> {
    settings.ui.talk("The devnet stopped; its chain is kept.");
    Ok(Exit::Done)
}

/// The ready line on stdout, and what a program needs to know on stderr.
fn announce(served: &Served, knobs: &Knobs, settings: &Settings) -> Result<(), Failure> {
    let ui = &settings.ui;
    let (account, key) = town::account();
    let network = served.network(&settings.network.value);
    if let Some(fields) = &settings.json {
        let sources: Map<String, Value> =
            served.sources.iter().map(|(name, at)| (name.clone(), json!(at.to_string()))).collect();
        let line = json!({
            "url": served.url,
            "chain_id": crate::devnet::CHAIN_ID,
            "pin_url": network.pin_url,
            "gateway": network.gateways[0],
            "providers": knobs.providers,
            "sources": sources,
            "account": account.to_string(),
            "private_key": key,
        });
        return ui.data(&format!("{}\n", select::fields(line, fields)?));
    }
    let names: Vec<&str> = served.sources.keys().map(String::as_str).collect();
    let turned = knobs.to_string();
    ui.out(&format!(
        "devnet at {} (chain {})  {}  sources: {}  play money",
        served.url,
        crate::devnet::CHAIN_ID,
        counted(knobs.providers, "provider"),
        names.join(", ")
    ))?;
    if !turned.is_empty() {
        ui.talk(&format!(" knobs    {turned}"));
    }
    for (name, address) in &served.sources {
        ui.talk(&format!(" source   {name:<8} {address}"));
    }
    ui.talk(&format!(" pin      {}", network.pin_url));
    ui.talk(&format!(" gateway  {}", network.gateways[0]));
    ui.talk(&format!(" account  {account}  play money in wallet and vault"));
    ui.talk(&format!(" key      {key}  known to everybody"));
    ui.talk("Ctrl-C stops it.");
    Ok(())
}

async fn down(settings: &Settings, folder: &Path) -> Result<Exit, Failure> {
    let Some(served) = Served::find(folder) else {
        Served::forget(folder);
        settings.ui.talk("No devnet is up for this project.");
        return Ok(Exit::Done);
    };
    let pid = i32::try_from(served.pid).ok().and_then(rustix::process::Pid::from_raw);
    let told = pid.map(|pid| rustix::process::kill_process(pid, rustix::process::Signal::TERM));
    if let Some(Err(error)) = told {
        let message = format!("process {} cannot be stopped", served.pid);
        return Err(Failure::new(Exit::Unexpected, message).because(error));
    }
    let mut waited = Duration::ZERO;
    while Served::find(folder).is_some() {
        if waited >= PATIENCE {
            let message = format!("process {} does not stop", served.pid);
            return Err(Failure::new(Exit::Unexpected, message));
        }
        tokio::time::sleep(LOOK).await;
        waited += LOOK;
    }
    settings.ui.talk(&format!("Stopped the devnet at {}; its chain is kept.", served.url));
    Ok(Exit::Done)
}

fn reset(settings: &Settings, folder: &Path) -> Result<Exit, Failure> {
    if let Some(served) = Served::find(folder) {
        let message = format!("the devnet is up at {}", served.url);
        return Err(Failure::new(Exit::Locked, message)
            .coded(Code::E0921)
            .help("`ogflow devnet down` stops it"));
    }
    if !folder.exists() {
        settings.ui.talk("There is no chain to forget.");
        return Ok(Exit::Done);
    }
    in_use(folder)?;
    std::fs::remove_dir_all(folder).map_err(|error| {
        Failure::new(Exit::Unexpected, format!("{} cannot be removed", folder.display()))
            .because(error)
    })?;
    settings.ui.talk("Forgot the devnet's chain. Runs on it can be read, not resumed.");
    Ok(Exit::Done)
}

/// Refuses while another process has the chain open.
fn in_use(folder: &Path) -> Result<(), Failure> {
    let clock = std::sync::Arc::new(|| crate::units::ChainTime::from_secs(0));
    let opened = Devnet::open(Options {
        place: Place::Folder(folder.to_path_buf()),
        genesis: town::genesis(),
        mining: Mining::ByTick,
        limits: PoolLimits::default(),
        base: crate::units::network::DEVNET_BASE.to_owned(),
        clock,
    });
    match opened {
        Err(error @ DevnetError::Locked { .. }) => Err(of_devnet(&error)),
        // A chain that cannot be read is what a reset is for.
        Ok(_)
        | Err(
            DevnetError::Io { .. }
            | DevnetError::NotOurs { .. }
            | DevnetError::OtherGenesis { .. }
            | DevnetError::Record { .. }
            | DevnetError::Broken { .. }
            | DevnetError::Port { .. },
        ) => Ok(()),
    }
}
