//! From a file to a plan on a network: what `plan`, `run` and `render` have in common.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use alloy::primitives::Address;

use super::args::{KnobArgs, ParamArgs};
use super::check::{self, Checked};
use super::connect::{Connection, Purpose};
use super::errors::{of_chain, of_driver};
use super::failure::Failure;
use super::settings::Settings;
use super::{clock, devnet};
use crate::chain::{Chain, ChainFacts};
use crate::driver::preflight::{self, Payer, PayerReason};
use crate::pipeline::{Pipeline, Problem};
use crate::plan::{
    Balances, GasPrices, ItemSink, PayerKind, PayerSummary, Plan, PlanSummary, Planned, Request,
    SignerSummary, Sources, StepGas,
};
use crate::units::{Survey, Wei};

/// What a command says about the pipeline that it means.
#[derive(Clone, Copy, Debug)]
pub struct Wanted<'a> {
    /// The file, if it was named.
    pub file: Option<&'a Path>,
    /// Params.
    pub params: &'a ParamArgs,
    /// Knobs of a devnet in process.
    pub knobs: &'a KnobArgs,
    /// Only the first so many items.
    pub limit: Option<u32>,
    /// `--max-spend`.
    pub max_spend: Option<Wei>,
    /// `--password-file`.
    pub password_file: Option<&'a PathBuf>,
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

/// Checks the pipeline, connects, and reads the sources.
///
/// # Errors
/// Everything that can be wrong with file, settings, key and network.
pub async fn open(
    settings: &Settings,
    here: &Path,
    wanted: &Wanted<'_>,
    purpose: Purpose,
) -> Result<Opened, Failure> {
    let knobs = devnet::knobs(wanted.knobs, settings)?;
    let mut checked = check::pipeline(settings, here, wanted.file, wanted.params)?;
    lower_limits(Arc::make_mut(&mut checked.pipeline), settings);
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
    let Opened { checked, connection, facts, .. } = opened;
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
    let cap = cap(settings, wanted.max_spend, plan.budget());
    let balances = Balances { forecast, ..balances(&connection, payer, &survey, cap) };
    let summary = plan.summary(clock::now(), &balances, &warnings);
    let gas = plan.expected_gas(&balances.forecast);
    Ok(Prepared {
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

/// What stops a run: `--max-spend`, else the lower of the pipeline's word and the user's.
fn cap(settings: &Settings, flag: Option<Wei>, budget: Option<Wei>) -> Option<Wei> {
    let user = settings.max_spend.as_ref().map(|it| it.value);
    flag.or(match (budget, user) {
        (Some(budget), Some(user)) => Some(budget.min(user)),
        (budget, user) => budget.or(user),
    })
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

/// Puts the ceilings of the settings on the pipeline's own limits.
fn lower_limits(pipeline: &mut Pipeline, settings: &Settings) {
    let (own, ceiling) = (&mut pipeline.limits, settings.limits);
    let lower = |own: u32, ceiling: Option<u32>| ceiling.map_or(own, |most| own.min(most.max(1)));
    let count =
        |number: u32| std::num::NonZeroU32::new(number).unwrap_or(std::num::NonZeroU32::MIN);
    own.burst = count(lower(own.burst.get(), ceiling.burst));
    own.in_flight = count(lower(own.in_flight.get(), ceiling.in_flight));
    let rates = super::settings::LimitsDocument {
        publish_rate: own.publish_rate,
        rpc_rate: own.rpc_rate,
        pin_rate: own.pin_rate,
        ..super::settings::LimitsDocument::default()
    };
    let lowest = rates.lowest(ceiling);
    own.publish_rate = lowest.publish_rate;
    own.rpc_rate = lowest.rpc_rate;
    own.pin_rate = lowest.pin_rate;
}
