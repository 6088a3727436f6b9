//! The command line: what is typed, what is shown, how it ends.
//!
//! The only room that knows clap, the terminal and exit codes, and the only one that may import
//! all others. A command resolves its [`settings`] once, joins the rooms it needs in one place,
//! and turns whatever comes out into words: results on stdout, all else on stderr.
//!
//! Nothing is decided here that matters to money; the rooms below refuse by themselves. What is
//! decided here is whether a person said yes.

pub mod args;
pub mod cancel;
pub mod check;
pub mod clock;
pub mod conduct;
pub mod connect;
pub mod devnet;
pub mod disk;
mod errand;
pub mod errors;
pub mod failure;
pub mod file;
pub mod filter;
pub mod follow;
pub mod graph;
pub mod help;
pub mod history;
pub mod init;
pub mod openai;
pub mod place;
pub mod plan;
pub mod plan_file;
pub mod prepare;
pub mod problems;
pub mod question;
pub mod render;
pub mod results;
pub mod resume;
pub mod rows;
pub mod run;
pub mod runs;
pub mod sample;
pub mod saved;
pub mod schemas;
mod screen;
pub mod select;
pub mod settings;
pub mod status;
pub mod suggest;
pub mod table;
pub mod templates;
pub mod ui;
pub mod vault;
pub mod watch;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;

use self::args::{Args, Command};
use self::failure::{Exit, Failure};
use self::settings::{Environment, Settings};
use self::ui::{Surroundings, Ui};

/// Reads the command line, does what it says, and gives the exit code.
pub fn main() -> ExitCode {
    let env = Environment::of_process();
    let around = Surroundings::look(|name| env.get(name).map(str::to_owned));
    let args = match Args::try_parse() {
        Ok(args) => args,
        Err(error) => {
            if let Some(failure) = help::later::flag(&error) {
                let ui = Ui::new(&around, ui::Manner::default());
                return ExitCode::from(failure.tell(&ui).code());
            }
            let _ignored = error.print();
            let usage = error.use_stderr();
            return ExitCode::from(if usage { Exit::Usage.code() } else { Exit::Done.code() });
        }
    };
    let early = Ui::new(&around, args.global.manner(None, None));
    trace(&args.global, &env);
    let exit =
        perform(args, env).unwrap_or_else(|failure| problems::tell_failure(&failure, &early));
    ExitCode::from(exit.code())
}

/// Lets traces through to stderr: by the number of `-v`, else as `OGFLOW_LOG` says.
fn trace(flags: &args::GlobalArgs, env: &Environment) {
    use tracing_subscriber::EnvFilter;
    let by_flag = match flags.verbose {
        0 => None,
        1 => Some("ogflow=info"),
        2 => Some("ogflow=debug"),
        _ => Some("ogflow=trace"),
    };
    let Some(words) = by_flag.or_else(|| env.get("OGFLOW_LOG")) else { return };
    let traces = tracing_subscriber::fmt()
        .with_env_filter(EnvFilter::new(words))
        .with_writer(std::io::stderr)
        .with_ansi(false);
    // Only a second call could fail, and there is none.
    let _ignored = traces.try_init();
}

/// Does one command.
fn perform(args: Args, env: Environment) -> Result<Exit, Failure> {
    if let Some(Command::Other(words)) = &args.command {
        return Err(help::no_command(words));
    }
    let here = enter(args.global.directory.as_deref())?;
    let settings = Settings::resolve(&args.global, env, &here)?;
    let ui = &settings.ui;
    match args.command {
        None => help::screen(ui, &settings.network.value.name, settings.network.value.devnet),
        Some(Command::Help(args)) => help::help(&args, ui),
        Some(Command::Explain(args)) => help::explain(&args, ui),
        Some(Command::Init(args)) => init::init(&args, &settings, &here),
        Some(Command::Check(args)) => check::check(&args, &settings, &here),
        Some(Command::Plan(args)) => plan::plan(&args, &settings, &here),
        Some(Command::Run(args)) => run::run(&args, &settings, &here),
        Some(Command::Resume(args)) => resume::resume(&args, &settings, &here),
        Some(Command::Cancel(args)) => cancel::cancel(&args, &settings),
        Some(Command::Templates(args)) => templates::templates(&args, &settings, &here),
        Some(Command::Devnet(args)) => devnet::devnet(&args, &settings),
        Some(Command::Graph(args)) => graph::graph(&args, &settings, &here),
        Some(Command::Other(words)) => Err(help::no_command(&words)),
        Some(Command::Status(args)) => status::status(&args, &settings),
        Some(Command::Results(args)) => results::results(&args, &settings),
        Some(Command::Render(args)) => render::render(&args, &settings, &here),
        Some(Command::Vault(args)) => vault::vault(&args, &settings),
    }
}

/// Goes to the folder of `-C` and says where that is.
fn enter(directory: Option<&std::path::Path>) -> Result<PathBuf, Failure> {
    if let Some(directory) = directory {
        std::env::set_current_dir(directory).map_err(|error| {
            Failure::usage(format!("{} cannot be entered", directory.display())).because(error)
        })?;
    }
    std::env::current_dir().map_err(|error| {
        Failure::new(Exit::Unexpected, "there is no current folder").because(error)
    })
}

/// The runtime for what waits on the network. The caller's thread drives the loop; the rest has
/// threads of its own.
fn runtime() -> Result<tokio::runtime::Runtime, Failure> {
    /// Each thread keeps memory of its own, so few of them hold much less of it than many.
    const BLOCKING_THREADS: usize = 6;

    tokio::runtime::Builder::new_multi_thread()
        .max_blocking_threads(BLOCKING_THREADS)
        .enable_all()
        .build()
        .map_err(|error| Failure::new(Exit::Unexpected, "no threads to work with").because(error))
}

/// How screens of the report may look on this terminal.
fn look(ui: &Ui) -> crate::report::Look {
    crate::report::Look { width: ui.width(), ascii: ui.ascii() }
}
