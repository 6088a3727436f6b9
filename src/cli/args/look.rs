//! Commands that look, and those about a network's surroundings.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::{Args as ClapArgs, Subcommand, ValueEnum};

use super::super::follow::FollowArgs;
use super::amount;
use super::work::ParamArgs;
use crate::units::Wei;

/// The form of rows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum RowFormat {
    /// A table.
    #[default]
    Table,
    /// A table with more columns and nothing shortened.
    Wide,
    /// One JSON document.
    Json,
    /// A line of JSON for each row.
    Jsonl,
    /// Comma-separated values.
    Csv,
    /// Names only, one to a line.
    Name,
}

/// `status`
#[derive(Debug, ClapArgs)]
#[command(
    after_long_help = "Examples:\n  ogflow status\n  ogflow status latest --tasks\n  ogflow status latest --tasks --where \"state == 'failed'\"\n  ogflow status latest hello/hello\n  ogflow status --wait --timeout 1h"
)]
pub struct StatusArgs {
    /// The run: its id, the start of it, or `latest`.
    pub run: Option<String>,
    /// One task, as STEP/KEY.
    pub task: Option<String>,
    /// Every task of the run.
    #[arg(long)]
    pub tasks: bool,
    /// The form of the rows.
    #[arg(short = 'o', long = "output", value_enum, value_name = "FORM")]
    pub output: Option<RowFormat>,
    /// Of each row only these fields, in the forms json and jsonl.
    #[arg(long, value_name = "FIELDS", value_delimiter = ',')]
    pub fields: Vec<String>,
    /// Of the tasks only those for which this holds, such as `state == 'failed'`.
    #[arg(long = "where", value_name = "EXPR")]
    pub filter: Option<String>,
    /// At most so many rows.
    #[arg(long, value_name = "N")]
    pub limit: Option<usize>,
    /// Wait until the run is over, show it once, and end with its exit code.
    #[arg(long)]
    pub wait: bool,
    /// How to look again.
    #[command(flatten)]
    pub follow: FollowArgs,
}

/// The form of results.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum ResultFormat {
    /// A line of JSON for each item.
    #[default]
    Jsonl,
    /// One JSON document.
    Json,
    /// Comma-separated values.
    Csv,
    /// The output file of `OpenAI`'s batch interface.
    OpenaiBatch,
    /// A file for each output.
    Raw,
}

/// `results`
#[derive(Debug, ClapArgs)]
#[command(
    after_long_help = "Examples:\n  ogflow results\n  ogflow results latest --step classify --format csv --out out/labels.csv\n  ogflow results latest --where \"output.score > 3\"\n  ogflow results latest --watch --interval 5s"
)]
pub struct ResultsArgs {
    /// The run: its id, the start of it, or `latest`.
    pub run: Option<String>,
    /// The step; needed where there is more than one.
    #[arg(long)]
    pub step: Option<String>,
    /// The form of the results.
    #[arg(long, value_enum)]
    pub format: Option<ResultFormat>,
    /// Where to write them; `-` is stdout.
    #[arg(long, value_name = "FILE")]
    pub out: Option<PathBuf>,
    /// Where to write failed tasks; `-` is stdout.
    #[arg(long, value_name = "FILE")]
    pub errors: Option<PathBuf>,
    /// Of each row only these fields.
    #[arg(long, value_name = "FIELDS", value_delimiter = ',')]
    pub fields: Vec<String>,
    /// Only the rows for which this holds, such as `output.score > 3`.
    #[arg(long = "where", value_name = "EXPR")]
    pub filter: Option<String>,
    /// How to look again: each row once, as it comes.
    #[command(flatten)]
    pub follow: FollowArgs,
}

/// `render`
#[derive(Debug, ClapArgs)]
#[command(
    after_long_help = "Examples:\n  ogflow render hello.yaml hello\n  ogflow render reviews.yaml classify --item rev-0002"
)]
pub struct RenderArgs {
    /// The pipeline; `-` is stdin.
    pub file: PathBuf,
    /// The step.
    pub step: String,
    /// The item, by its key; the first one otherwise.
    #[arg(long, value_name = "KEY")]
    pub item: Option<String>,
    /// Params.
    #[command(flatten)]
    pub params: ParamArgs,
}

/// `templates`
#[derive(Debug, ClapArgs)]
pub struct TemplatesArgs {
    /// What to do with templates.
    #[command(subcommand)]
    pub command: TemplatesCommand,
}

/// What to do with templates.
#[derive(Debug, Subcommand)]
pub enum TemplatesCommand {
    /// List the project's templates and the built-in ones.
    List {
        /// Only of this category: text, media, compute.
        #[arg(long, value_name = "NAME")]
        category: Option<String>,
        /// Only for this use: research, creative, ai-ml, business.
        #[arg(long, value_name = "NAME")]
        use_case: Option<String>,
    },
    /// Show what a template takes, gives and is for.
    Show {
        /// Its name, path, or `builtin:NAME`.
        name: String,
    },
    /// Words of later versions.
    #[command(external_subcommand)]
    Other(Vec<OsString>),
}

/// The form of a picture.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum GraphFormat {
    /// Text.
    #[default]
    Text,
    /// Mermaid, which GitHub draws.
    Mermaid,
    /// The language of Graphviz.
    Dot,
    /// One JSON document.
    Json,
}

/// `graph`
#[derive(Debug, ClapArgs)]
#[command(
    after_long_help = "Examples:\n  ogflow graph\n  ogflow graph --format mermaid\n  ogflow graph --run latest"
)]
pub struct GraphArgs {
    /// The pipeline; `-` is stdin.
    pub file: Option<PathBuf>,
    /// The form of the picture.
    #[arg(long, value_enum)]
    pub format: Option<GraphFormat>,
    /// Draw this run, with how far its steps have come: its id, the start of it, or `latest`.
    #[arg(long, value_name = "RUN", conflicts_with_all = ["file", "param", "params"])]
    pub run: Option<String>,
    /// Params.
    #[command(flatten)]
    pub params: ParamArgs,
}

/// `devnet`
#[derive(Debug, ClapArgs)]
pub struct DevnetArgs {
    /// What to do with the devnet.
    #[command(subcommand)]
    pub command: DevnetCommand,
}

/// What to do with the devnet.
#[derive(Debug, Subcommand)]
pub enum DevnetCommand {
    /// Serve it to other programs, until Ctrl-C.
    Up(Box<DevnetUpArgs>),
    /// Stop the one that serves this project.
    Down,
    /// Forget its chain.
    Reset,
}

/// `devnet up`
#[derive(Debug, ClapArgs)]
#[command(
    after_long_help = "Examples:\n  ogflow devnet up\n  ogflow devnet up --providers 8 --fail 5% --seed 7\n  ogflow devnet up --service vader=http://127.0.0.1:5555"
)]
pub struct DevnetUpArgs {
    /// The port to serve on; 0 takes a free one.
    #[arg(long, value_name = "PORT")]
    pub port: Option<String>,
    /// How many providers.
    #[arg(long, value_name = "N")]
    pub providers: Option<String>,
    /// How long a provider works: 200ms or 200ms..2s.
    #[arg(long, value_name = "DUR")]
    pub latency: Option<String>,
    /// How many tasks get no response.
    #[arg(long, value_name = "PCT")]
    pub fail: Option<String>,
    /// How many tasks nobody attempts.
    #[arg(long, value_name = "PCT")]
    pub silent: Option<String>,
    /// How many outputs fail the checks.
    #[arg(long, value_name = "PCT")]
    pub wrong: Option<String>,
    /// How many responses ask for less than was offered.
    #[arg(long, value_name = "PCT")]
    pub cheap: Option<String>,
    /// Take the newest block back once every N blocks.
    #[arg(long, value_name = "N")]
    pub reorg: Option<String>,
    /// How many reads of the gateway fail.
    #[arg(long, value_name = "PCT")]
    pub gateway_errors: Option<String>,
    /// Mine at this interval; at once otherwise.
    #[arg(long, value_name = "DUR")]
    pub block_time: Option<String>,
    /// Where all chance comes from.
    #[arg(long, value_name = "N")]
    pub seed: Option<String>,
    /// Let a real service container work for a source.
    #[arg(long, value_name = "SOURCE=URL")]
    pub service: Vec<String>,
}

impl DevnetUpArgs {
    /// The knobs as the devnet takes them.
    pub fn knobs(&self) -> Vec<(&'static str, &str)> {
        let single = [
            ("port", &self.port),
            ("providers", &self.providers),
            ("latency", &self.latency),
            ("fail", &self.fail),
            ("silent", &self.silent),
            ("wrong", &self.wrong),
            ("cheap", &self.cheap),
            ("reorg", &self.reorg),
            ("gateway-errors", &self.gateway_errors),
            ("block-time", &self.block_time),
            ("seed", &self.seed),
        ];
        let single = single.into_iter().filter_map(|(name, value)| Some((name, value.as_deref()?)));
        single.chain(self.service.iter().map(|value| ("service", value.as_str()))).collect()
    }
}

/// `vault`
#[derive(Debug, ClapArgs)]
pub struct VaultArgs {
    /// What to do with the vault.
    #[command(subcommand)]
    pub command: VaultCommand,
}

/// What to do with the vault.
#[derive(Debug, Subcommand)]
pub enum VaultCommand {
    /// Show what is free and what is locked.
    Status,
    /// Move money from the wallet into the vault.
    #[command(
        after_long_help = "Examples:\n  ogflow vault deposit \"1.25 OGPU\" --network testnet"
    )]
    Deposit {
        /// How much: `1.25 OGPU`, also as two words.
        #[arg(required = true, num_args = 1..=2)]
        amount: Vec<String>,
        /// Whose vault; it cannot be taken back.
        #[arg(long = "for", value_name = "ADDRESS")]
        account: Option<String>,
        /// Skip the question.
        #[arg(short, long)]
        yes: bool,
        /// The most that this may spend, gas included.
        #[arg(long, value_name = "AMOUNT", value_parser = amount)]
        max_spend: Option<Wei>,
        /// Read the keystore's password from a file.
        #[arg(long, value_name = "FILE")]
        password_file: Option<PathBuf>,
    },
    /// Take payments of expired tasks back, where the contracts let a client do it.
    #[command(after_long_help = "Examples:\n  ogflow vault reclaim --network testnet")]
    Reclaim {
        /// Skip the question.
        #[arg(short, long)]
        yes: bool,
        /// Read the keystore's password from a file.
        #[arg(long, value_name = "FILE")]
        password_file: Option<PathBuf>,
    },
    /// Words of later versions.
    #[command(external_subcommand)]
    Other(Vec<OsString>),
}

/// `explain`
#[derive(Debug, ClapArgs)]
pub struct ExplainArgs {
    /// A code, such as E0412; all codes otherwise.
    pub code: Option<String>,
}

/// `help`
#[derive(Debug, ClapArgs)]
pub struct HelpArgs {
    /// A command or a topic.
    pub topic: Vec<String>,
}
