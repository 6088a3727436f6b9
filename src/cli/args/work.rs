//! Commands that make, check, plan and run.

use std::path::PathBuf;

use clap::{Args as ClapArgs, ValueEnum};

use super::super::settings::{ProgressChoice, Show};
use super::{amount, raise, span};
use crate::units::Wei;

/// `init`
#[derive(Debug, ClapArgs)]
#[command(
    after_long_help = "Examples:\n  ogflow init hello\n  ogflow init reviews --template map-csv"
)]
pub struct InitArgs {
    /// The folder to make; the name of a template is its own answer.
    pub name: Option<String>,
    /// What to start from.
    #[arg(long, value_enum)]
    pub template: Option<super::super::init::Skeleton>,
    /// Replace files that are there.
    #[arg(long)]
    pub force: bool,
}

/// Values for a pipeline's params.
#[derive(Clone, Debug, Default, ClapArgs)]
pub struct ParamArgs {
    /// Set a param.
    #[arg(long = "param", value_name = "NAME=VALUE")]
    pub param: Vec<String>,
    /// Read params from a JSON or YAML file.
    #[arg(long, value_name = "FILE")]
    pub params: Option<PathBuf>,
}

/// How `check` reports.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum CheckFormat {
    /// For people, on stderr.
    #[default]
    Human,
    /// One JSON document.
    Json,
    /// Annotations of GitHub Actions.
    Github,
}

/// What `--deny` makes an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Deny {
    /// Warnings.
    Warnings,
}

/// `check`
#[derive(Debug, ClapArgs)]
#[command(
    after_long_help = "Examples:\n  ogflow check --offline\n  ogflow check --deny warnings --format github"
)]
pub struct CheckArgs {
    /// The pipeline; `-` is stdin.
    pub file: Option<PathBuf>,
    /// Stop before the chain is asked.
    #[arg(long)]
    pub offline: bool,
    /// Treat these as errors.
    #[arg(long, value_enum)]
    pub deny: Option<Deny>,
    /// How to report.
    #[arg(long, value_enum)]
    pub format: Option<CheckFormat>,
    /// Params.
    #[command(flatten)]
    pub params: ParamArgs,
}

/// The form of a plan.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum PlanFormat {
    /// A table.
    Table,
    /// Markdown.
    Md,
    /// JSON.
    Json,
}

/// `plan`
#[derive(Debug, ClapArgs)]
#[command(
    after_long_help = "Examples:\n  ogflow plan\n  ogflow plan --json\n  ogflow plan --sample 2\n  ogflow plan --only +digest\n  ogflow plan --out plan.json && ogflow run plan.json"
)]
pub struct PlanArgs {
    /// The pipeline; `-` is stdin.
    pub file: Option<PathBuf>,
    /// Save the plan: `ogflow run FILE` carries it out exactly, or says what changed.
    #[arg(long, value_name = "FILE")]
    pub out: Option<PathBuf>,
    /// The form of the plan.
    #[arg(long, value_enum)]
    pub format: Option<PlanFormat>,
    /// Also show the first N task bodies of each step.
    #[arg(long, value_name = "N")]
    pub sample: Option<usize>,
    /// The most that the run may spend.
    #[arg(long, value_name = "AMOUNT", value_parser = amount)]
    pub max_spend: Option<Wei>,
    /// Only the first N items of each step that reads a file or a list.
    #[arg(long, value_name = "N")]
    pub limit: Option<u32>,
    /// Only this step; `+STEP` takes along what is before it, `STEP+` what is behind it.
    #[arg(long, value_name = "[+]STEP[+]")]
    pub only: Option<String>,
    /// Params.
    #[command(flatten)]
    pub params: ParamArgs,
    /// The devnet.
    #[command(flatten)]
    pub devnet: KnobArgs,
}

/// The knobs of a devnet in process.
#[derive(Clone, Debug, Default, ClapArgs)]
pub struct KnobArgs {
    /// Turn a knob of the devnet in process: fail=5%, latency=200ms..2s, seed=7, …
    #[arg(long = "devnet", value_name = "KEY=VALUE")]
    pub devnet: Vec<String>,
}

/// How a run is watched.
#[derive(Clone, Debug, Default, ClapArgs)]
pub struct WatchArgs {
    /// How progress is shown.
    #[arg(long, value_enum)]
    pub progress: Option<ProgressChoice>,
    /// Which tasks scroll by.
    #[arg(long, value_enum)]
    pub show: Option<Show>,
    /// Stop, resumable, after this long.
    #[arg(long, value_name = "DUR", value_parser = span)]
    pub timeout: Option<std::time::Duration>,
    /// Read the keystore's password from a file.
    #[arg(long, value_name = "FILE")]
    pub password_file: Option<PathBuf>,
}

/// `run`
#[derive(Debug, ClapArgs)]
#[expect(clippy::struct_excessive_bools, reason = "each is a flag of its own")]
#[command(
    after_long_help = "Examples:\n  ogflow run\n  ogflow run pipelines/quickstart.yaml\n  ogflow run --devnet fail=20% --devnet seed=7\n  ogflow run --only +digest --limit 10\n  ogflow run plan.json\n  ogflow run --detach\n  ogflow run --network testnet --yes --max-spend \"2 OGPU\""
)]
pub struct RunArgs {
    /// The pipeline, or a plan that `plan --out` saved; `-` is stdin.
    pub file: Option<PathBuf>,
    /// Skip the question; never the cap.
    #[arg(short, long)]
    pub yes: bool,
    /// The most that the run may spend.
    #[arg(long, value_name = "AMOUNT", value_parser = amount)]
    pub max_spend: Option<Wei>,
    /// Only the first N items of each step that reads a file or a list.
    #[arg(long, value_name = "N")]
    pub limit: Option<u32>,
    /// Only this step; `+STEP` takes along what is before it, `STEP+` what is behind it.
    #[arg(long, value_name = "[+]STEP[+]")]
    pub only: Option<String>,
    /// Start a new run although one of this pipeline is unfinished.
    #[arg(long, conflicts_with = "resume")]
    pub new: bool,
    /// Go on with the unfinished run of this pipeline, if there is one.
    #[arg(long)]
    pub resume: bool,
    /// Publish, and leave without waiting for answers; `ogflow resume` collects them.
    #[arg(long)]
    pub detach: bool,
    /// Params.
    #[command(flatten)]
    pub params: ParamArgs,
    /// The devnet.
    #[command(flatten)]
    pub devnet: KnobArgs,
    /// How to watch.
    #[command(flatten)]
    pub watch: WatchArgs,
}

/// `resume`
#[derive(Debug, ClapArgs)]
#[expect(clippy::struct_excessive_bools, reason = "each is a flag of its own")]
#[command(
    after_long_help = "Examples:\n  ogflow resume\n  ogflow resume r-7f3k --max-spend \"12 OGPU\"\n  ogflow resume latest --retry-failed --raise 20%\n  ogflow resume r-7f3k09xm --from-chain --pipeline pipelines/reviews.yaml"
)]
pub struct ResumeArgs {
    /// The run: its id, the start of it, or `latest`.
    pub run: Option<String>,
    /// Skip the question; never the cap.
    #[arg(short, long)]
    pub yes: bool,
    /// The most that the run may spend, from its start.
    #[arg(long, value_name = "AMOUNT", value_parser = amount)]
    pub max_spend: Option<Wei>,
    /// Go on with the stored plan although the pipeline was edited.
    #[arg(long)]
    pub as_recorded: bool,
    /// Publish what failed unpaid once more, also in a run that has ended.
    #[arg(long)]
    pub retry_failed: bool,
    /// Raise the payment of what is not published yet, up to the budget's ceiling for one.
    #[arg(long, value_name = "PCT", value_parser = raise)]
    pub raise: Option<u32>,
    /// Go on although another machine held the run: it must be gone for good.
    #[arg(long)]
    pub take_over: bool,
    /// Rebuild what the journal lacks from what the chain knows: for a journal that is lost or an old
    /// copy.
    #[arg(long)]
    pub from_chain: bool,
    /// The pipeline of a run that no journal here knows.
    #[arg(long, value_name = "FILE", requires = "from_chain")]
    pub pipeline: Option<PathBuf>,
    /// The block from which the chain is read, for a run that no journal here knows.
    #[arg(long, value_name = "NUMBER", requires = "from_chain")]
    pub since_block: Option<u64>,
    /// Go on although configs of the wallet's publications cannot be read: they are not of this run.
    #[arg(long, requires = "from_chain")]
    pub skip_unreadable: bool,
    /// As it was for a run that no journal here knows.
    #[arg(long, value_name = "N", requires = "from_chain")]
    pub limit: Option<u32>,
    /// As it was for a run that no journal here knows.
    #[arg(long, value_name = "[+]STEP[+]", requires = "from_chain")]
    pub only: Option<String>,
    /// Params, as they were for a run that no journal here knows.
    #[command(flatten)]
    pub params: ParamArgs,
    /// Go on although a contract has the code with this hash now.
    #[arg(long, value_name = "HASH")]
    pub accept_code: Vec<alloy::primitives::B256>,
    /// The devnet.
    #[command(flatten)]
    pub devnet: KnobArgs,
    /// How to watch.
    #[command(flatten)]
    pub watch: WatchArgs,
}

/// `cancel`
#[derive(Debug, ClapArgs)]
#[command(
    after_long_help = "Examples:\n  ogflow cancel\n  ogflow cancel r-2mm8 --step digest\n  ogflow cancel r-2mm8 --where \"state == 'published'\""
)]
pub struct CancelArgs {
    /// The run: its id, the start of it, or `latest`; the newest unfinished one if left out.
    pub run: Option<String>,
    /// Only this step; the rest of the run can go on.
    #[arg(long, value_name = "STEP")]
    pub step: Option<String>,
    /// Only tasks for which this expression holds; the fields are those of `status --tasks`.
    #[arg(long = "where", value_name = "EXPR")]
    pub filter: Option<String>,
    /// Give up outputs that wait for a confirm, instead of confirming them first.
    #[arg(long)]
    pub discard: bool,
    /// Skip the question.
    #[arg(short, long)]
    pub yes: bool,
    /// The devnet.
    #[command(flatten)]
    pub devnet: KnobArgs,
    /// How to watch.
    #[command(flatten)]
    pub watch: WatchArgs,
}
