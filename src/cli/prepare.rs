//! From a file to a plan on a network: what `plan`, `run` and `render` have in common.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use alloy::primitives::Address;

use super::args::{KnobArgs, ParamArgs};
use super::check::{self, Checked};
use super::connect::{Connection, Purpose};
use super::errors::{of_chain, of_driver};
use super::failure::Failure;
use super::file::PipelineFile;
use super::settings::Settings;
use super::{clock, devnet, suggest};
use crate::chain::{Chain, ChainFacts};
use crate::driver::preflight::{self, Payer, PayerReason};
use crate::pipeline::{Pipeline, Problem, Selection, SelectionError};
use crate::plan::{
    Balances, GasPrices, ItemSink, PayerKind, PayerSummary, Plan, PlanSummary, Planned, Request,
    SignerSummary, Sources, StepGas,
};
use crate::units::{Survey, Wei};

/// What a command says about the pipeline that it means.
#[derive(Clone, Copy, Debug)]
pub struct Wanted<'a> {
    /// Params.
    pub params: &'a ParamArgs,
    /// Knobs of a devnet in process.
    pub knobs: &'a KnobArgs,
    /// Only the first so many items.
    pub limit: Option<u32>,
    /// `--only`.
    pub only: Option<&'a str>,
    /// `--max-spend`.
    pub max_spend: Option<Wei>,
    /// The cap of a saved plan, which no other word can raise.
    pub ceiling: Option<Wei>,
    /// `--password-file`.
    pub password_file: Option<&'a PathBuf>,
}

impl<'a> Wanted<'a> {
    /// The whole pipeline with these params, and nothing said about money.
    pub const fn new(params: &'a ParamArgs, knobs: &'a KnobArgs) -> Self {
        Self {
            params,
            knobs,
            limit: None,
            only: None,
            max_spend: None,
            ceiling: None,
            password_file: None,
        }
    }
}

/// A plan, and all that it was made from.
#[derive(Debug)]
pub struct Prepared {
    /// The pipeline.
    pub checked: Checked,
    /// The network.
    pub connection: Connection,
    /// What the guard found.
    pub facts: ChainFacts,
    /// The sources as the chain has them.
    pub sources: Sources,
    /// The plan.
    pub plan: Arc<Plan>,
    /// All warnings.
    pub warnings: Vec<Problem>,
    /// Whose vault pays, where a signer is known.
    pub payer: Option<Payer>,
    /// The figures.
    pub summary: PlanSummary,
    /// What gas is expected to come to, by step in plan order.
    pub gas: Vec<StepGas>,
    /// What stops the run.
    pub cap: Option<Wei>,
}

/// The first half of preparing: what the rest needs before items are read.
#[derive(Debug)]
pub struct Opened {
    /// The pipeline.
    pub checked: Checked,
    /// The network.
    pub connection: Connection,
    /// What the guard found.
    pub facts: ChainFacts,
    /// The sources as the chain has them.
    pub sources: Sources,
}

/// Leaves out the steps that `--only` does not name.
fn select_steps(pipeline: &mut Pipeline, only: &str) -> Result<(), Failure> {
    let chosen = Selection::parse(only).of(pipeline).map_err(|error| {
        let names = || pipeline.steps.iter().map(|step| step.name.as_str());
        let help = match &error {
            SelectionError::Unknown { step } => match suggest::nearest(step, names()) {
                Some(near) => format!("did you mean `{near}`?"),
                None => format!("its steps are {}", names().collect::<Vec<_>>().join(", ")),
            },
            SelectionError::Missing { reader, .. } => {
                format!("`--only +{reader}` takes along what it reads")
            }
        };
        Failure::usage(error.to_string()).help(help)
    })?;
    pipeline.keep(&chosen);
    Ok(())
}

/// Checks the pipeline, connects, and reads the sources.
///
/// # Errors
/// Everything that can be wrong with file, settings, key and network.
pub async fn open(
    (settings, here): (&Settings, &Path),
    file: PipelineFile,
    wanted: &Wanted<'_>,
    purpose: Purpose,
) -> Result<Opened, Failure> {
    let knobs = devnet::knobs(wanted.knobs, settings)?;
    let mut checked = check::text(settings, here, file, wanted.params)?;
    let pipeline = Arc::make_mut(&mut checked.pipeline);
    pipeline.limits = settings.limits.lower(pipeline.limits);
    if let Some(only) = wanted.only {
        select_steps(pipeline, only)?;
        let kept = |problem: &Problem| {
            problem.step.as_deref().is_none_or(|step| pipeline.step(step).is_some())
        };
        checked.warnings.retain(kept);
    }
    let connection = Connection::open(settings, purpose, &knobs, wanted.password_file)?;
    if !settings.network.value.devnet {
        settings.ui.talk("Reading chain state …");
    }
    let facts = connection.chain.guard().await.map_err(|error| of_chain(&error))?;
    let mut named = Vec::new();
    for source in Sources::wanted(&checked.pipeline) {
        let address = connection.address_of(&source)?;
        named.push((source.to_string(), address));
    }
    let block = Some(facts.head.number);
    let sources = preflight::read_sources(connection.chain.as_ref(), named, block)
        .await
        .map_err(|error| of_driver(&error))?;
    Ok(Opened { checked, connection, facts, sources })
}

impl Opened {
    /// Makes the plan; items go to `sink`.
    ///
    /// # Errors
    /// All problems of sources, payments and items.
    pub fn plan(
        self,
        limit: Option<u32>,
        sink: &mut dyn ItemSink,
    ) -> Result<(Self, Planned), Failure> {
        let request = Request {
            pipeline: Arc::clone(&self.checked.pipeline),
            network: &self.connection.network,
            sources: self.sources.clone(),
            loader: &self.checked.disk,
            sink,
            limit: limit.map(u64::from),
        };
        let planned = Plan::make(request).map_err(|problems| {
            let mut all = self.checked.warnings.clone();
            all.extend(problems);
            Failure::of_problems(all)
        })?;
        Ok((self, planned))
    }
}

/// Prepares a plan with its figures.
///
/// # Errors
/// As [`open`] and [`Opened::plan`], and when fees and balances cannot be read.
pub async fn prepare(
    settings: &Settings,
    opened: Opened,
    wanted: &Wanted<'_>,
    sink: &mut dyn ItemSink,
) -> Result<Prepared, Failure> {
    let (opened, planned) = opened.plan(wanted.limit, sink)?;
    let Opened { checked, connection, facts, sources } = opened;
    let Planned { plan, warnings: found } = planned;
    let mut warnings = checked.warnings.clone();
    warnings.extend(found);
    let chain = connection.chain.as_ref();
    let payer = match connection.signer {
        Some(signer) => {
            Some(preflight::payer(chain, &plan, signer).await.map_err(|error| of_driver(&error))?)
        }
        None => None,
    };
    let whose = (connection.signer, payer.map(|payer| payer.address));
    let request = preflight::figures(&plan, whose);
    let survey = chain.survey(request.clone()).await.map_err(|error| of_chain(&error))?;
    let forecast = chain.forecast(&request, &survey).await.map_err(|error| of_chain(&error))?;
    let cap = lowest(cap(settings, wanted.max_spend, plan.budget()), wanted.ceiling);
    let balances = Balances { forecast, ..balances(&connection, payer, &survey, cap) };
    let summary = plan.summary(clock::now(), &balances, &warnings);
    let gas = plan.expected_gas(&balances.forecast);
    Ok(Prepared {
        sources,
        plan: Arc::new(plan),
        checked,
        connection,
        facts,
        warnings,
        payer,
        summary,
        gas,
        cap,
    })
}

/// The lower of two caps, either of which may be missing.
pub fn lowest(one: Option<Wei>, other: Option<Wei>) -> Option<Wei> {
    match (one, other) {
        (Some(one), Some(other)) => Some(one.min(other)),
        (one, other) => one.or(other),
    }
}

/// What stops a run: `--max-spend`, else the lower of the pipeline's word and the user's.
fn cap(settings: &Settings, flag: Option<Wei>, budget: Option<Wei>) -> Option<Wei> {
    let user = settings.max_spend.as_ref().map(|it| it.value);
    flag.or(lowest(budget, user))
}

fn balances(
    connection: &Connection,
    payer: Option<Payer>,
    survey: &Survey,
    cap: Option<Wei>,
) -> Balances {
    let signer = connection.signer;
    Balances {
        signer: signer.map(|address| SignerSummary { address, origin: connection.origin.clone() }),
        payer: payer
            .map(|payer| PayerSummary { address: payer.address, kind: kind(payer, signer) }),
        vault_free: payer.map(|_| survey.vault_balance),
        wallet: signer.map(|_| survey.wallet_balance),
        gas: Some(GasPrices {
            publish_gas: survey.publish_gas.clone(),
            confirm_gas: survey.confirm_gas,
            price: survey.max_fee_per_gas,
        }),
        cap,
        ..Balances::default()
    }
}

fn kind(payer: Payer, signer: Option<Address>) -> PayerKind {
    match payer.why {
        PayerReason::Profile | PayerReason::OnlyOne if Some(payer.address) != signer => {
            PayerKind::SourceOwner
        }
        PayerReason::Profile
        | PayerReason::OnlyOne
        | PayerReason::Same
        | PayerReason::NotOwner
        | PayerReason::Sender => PayerKind::Signer,
    }
}
