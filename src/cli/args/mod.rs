//! The command line as typed: commands, flags, and the short help that stands beside each.

mod look;
mod work;

use std::ffi::OsString;
use std::path::PathBuf;

use clap::{ArgAction, Args as ClapArgs, Parser, Subcommand};

pub use look::*;
pub use work::*;

use super::ui::{ColorChoice, Manner};
use crate::units::Wei;
use crate::units::time::parse_duration;

/// What stands behind a long help: where to learn more.
const TOPICS: &str = "Topics: ogflow help exit-codes | environment | expressions | money | json";

/// The whole command line.
#[derive(Debug, Parser)]
#[command(
    name = "ogflow",
    version,
    about = "Run batches of AI tasks on the OpenGPU network, from one YAML file.",
    after_help = TOPICS,
    disable_help_subcommand = true,
    infer_long_args = false,
    max_term_width = 100
)]
pub struct Args {
    /// What all commands take.
    #[command(flatten)]
    pub global: GlobalArgs,
    /// What to do.
    #[command(subcommand)]
    pub command: Option<Command>,
}

/// Flags that every command takes.
#[derive(Clone, Debug, Default, ClapArgs)]
#[command(next_help_heading = "Global flags")]
#[expect(clippy::struct_excessive_bools, reason = "each is a flag of its own")]
pub struct GlobalArgs {
    /// The network: devnet, testnet, mainnet or one of [networks.NAME].
    #[arg(long, global = true, value_name = "NAME")]
    pub network: Option<String>,
    /// Use this JSON-RPC endpoint instead of the network's own.
    #[arg(long, global = true, value_name = "URL")]
    pub rpc_url: Option<String>,
    /// The keystore that signs.
    #[arg(long, global = true, value_name = "NAME")]
    pub account: Option<String>,
    /// Work in this folder.
    #[arg(short = 'C', long, global = true, value_name = "DIR")]
    pub directory: Option<PathBuf>,
    /// Read this settings file instead of the user's config.toml.
    #[arg(long, global = true, value_name = "FILE")]
    pub config_file: Option<PathBuf>,
    /// Read neither ogflow.toml nor config.toml.
    #[arg(long, global = true)]
    pub no_config: bool,
    /// Read this file instead of the project's .env.
    #[arg(long, global = true, value_name = "FILE")]
    pub env_file: Option<PathBuf>,
    /// Read no .env file.
    #[arg(long, global = true)]
    pub no_env_file: bool,
    /// Say only results, warnings and errors.
    #[arg(short, long, global = true)]
    pub quiet: bool,
    /// Say more; twice says all.
    #[arg(short, long, global = true, action = ArgAction::Count)]
    pub verbose: u8,
    /// When to colour.
    #[arg(long, global = true, value_enum, value_name = "WHEN")]
    pub color: Option<ColorChoice>,
    /// Words and lists instead of boxes and bars.
    #[arg(long, global = true)]
    pub accessible: bool,
    /// Only ASCII characters.
    #[arg(long, global = true)]
    pub ascii: bool,
    /// Never ask a question; fail instead.
    #[arg(long, global = true)]
    pub no_input: bool,
    /// Print JSON; of each object only these fields.
    #[arg(
        long,
        global = true,
        value_name = "FIELDS",
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = ""
    )]
    pub json: Option<String>,
}

impl GlobalArgs {
    /// How to speak: the flags, else what lower layers say.
    pub fn manner(&self, color: Option<ColorChoice>, accessible: Option<bool>) -> Manner {
        Manner {
            color: self.color.or(color).unwrap_or_default(),
            ascii: self.ascii,
            accessible: self.accessible || accessible.unwrap_or(false),
            quiet: self.quiet,
        }
    }

    /// What `--json` asked for: `None` without it, no fields for all of them.
    pub fn json_fields(&self) -> Option<Vec<String>> {
        let fields = self.json.as_ref()?.split(',').map(str::trim);
        Some(fields.filter(|field| !field.is_empty()).map(str::to_owned).collect())
    }
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Make a new project.
    Init(InitArgs),
    /// Find what is wrong with a pipeline.
    #[command(visible_alias = "validate")]
    Check(CheckArgs),
    /// Show what a run would publish and cost; nothing is written.
    Plan(PlanArgs),
    /// Publish a pipeline's tasks, collect, check and confirm their outputs.
    Run(RunArgs),
    /// Go on with a run that has stopped.
    Resume(ResumeArgs),
    /// Take back what nobody has attempted, and publish nothing more.
    Cancel(CancelArgs),
    /// Show runs, their tasks, or one task.
    Status(StatusArgs),
    /// Write the outputs of a run.
    #[command(visible_alias = "export")]
    Results(ResultsArgs),
    /// Print the bytes that a task's config would have.
    Render(RenderArgs),
    /// List and show task templates.
    Templates(TemplatesArgs),
    /// Draw how the steps hang together.
    Graph(GraphArgs),
    /// A network of your own, with play money.
    Devnet(DevnetArgs),
    /// The balance that pays for tasks.
    Vault(VaultArgs),
    /// Tell more about an error code.
    Explain(ExplainArgs),
    /// Help about a command or a topic.
    Help(HelpArgs),
    /// A word that is none of the above.
    #[command(external_subcommand)]
    Other(Vec<OsString>),
}

/// An amount of money, as clap takes it.
fn amount(text: &str) -> Result<Wei, String> {
    Wei::parse(text).map_err(|error| format!("{error}; {}", error.hint()))
}

/// A raise as clap takes it, in thousandths: `20%` is 200.
fn raise(text: &str) -> Result<u32, String> {
    let bad = || format!("`{text}` is not a percent from 0.1% to 100%; write `20%` or `0.5%`");
    let number = text.strip_suffix('%').unwrap_or(text);
    let (whole, tenth) = number.split_once('.').unwrap_or((number, "0"));
    let digits = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
    if !digits(whole) || !digits(tenth) || tenth.len() != 1 {
        return Err(bad());
    }
    let permille = format!("{whole}{tenth}").parse().map_err(|_| bad())?;
    if (1..=1000).contains(&permille) { Ok(permille) } else { Err(bad()) }
}

/// A span of time, as clap takes it.
pub(super) fn span(text: &str) -> Result<std::time::Duration, String> {
    parse_duration(text).map_err(|error| format!("{error}; {}", error.hint()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_definition_is_sound() {
        Args::command().debug_assert();
    }

    #[test]
    fn a_raise_is_a_percent_with_at_most_one_decimal() {
        assert_eq!(["20%", "20", "0.5%", "100%"].map(raise), [Ok(200), Ok(200), Ok(5), Ok(1000)]);
        for text in ["", "%", "0%", "100.1%", "-5%", "1.25%", "1e2%", "0.02 OGPU"] {
            assert!(raise(text).is_err(), "{text}");
        }
    }

    #[test]
    fn json_takes_its_fields_behind_an_equals_sign_only() {
        let fields = |line: &[&str]| {
            let args = Args::try_parse_from([&["ogflow"], line].concat()).unwrap();
            args.global.json_fields()
        };
        assert_eq!(fields(&["status"]), None);
        assert_eq!(fields(&["status", "--json", "latest"]), Some(vec![]));
        assert_eq!(
            fields(&["--json=run, state", "status"]),
            Some(vec!["run".into(), "state".into()])
        );
    }
}
