//! From a checked pipeline to a plan.

use std::num::NonZeroU32;
use std::sync::Arc;

use alloy::primitives::{Address, B256};

use super::batch::{self, ItemSink, KnownItems, Pass};
use super::graph::Graph;
use super::sources::{Judge, checks_outputs, circle_problem};
use super::width::{kind, width};
use super::{
    Allowance, EdgeKind, Fingerprint, OnPartial, Plan, PlannedStep, RetryRule, Schedule, Sources,
    StepRule, fingerprint,
};
use crate::pipeline::accept::Acceptance;
use crate::pipeline::{
    self, AllowFailures, Code, Foreach, Loader, Payment, Pipeline, Problem, Severity, SourceText,
    Step, Task, errors_last,
};
use crate::units::source::SourceFacts;
use crate::units::time::Rate;
use crate::units::{Network, Wei};

/// Publications started, where the pipeline does not say (language.md, section 4).
pub(super) const DEFAULT_PUBLISH_RATE: Rate = per_second(1);
/// Calls to the node, where the pipeline does not say.
pub(super) const DEFAULT_RPC_RATE: Rate = per_second(20);
/// Uploads to the pin service, where the pipeline does not say.
pub(super) const DEFAULT_PIN_RATE: Rate = per_second(10);

const fn per_second(count: u32) -> Rate {
    Rate { count: NonZeroU32::new(count).expect("a default rate is not zero"), per_ms: 1000 }
}

/// What a plan is made from.
pub struct Request<'a> {
    /// The pipeline.
    pub pipeline: Arc<Pipeline>,
    /// The network.
    pub network: &'a Network,
    /// The sources of the pipeline, as the chain has them.
    pub sources: Sources,
    /// Reads item files.
    pub loader: &'a dyn Loader,
    /// Where items go that are to be there for the run.
    pub sink: &'a mut dyn ItemSink,
    /// Only the first so many items of each `foreach`.
    pub limit: Option<u64>,
}

/// A plan, and what its author may want to look at.
#[derive(Debug)]
pub struct Planned {
    /// The plan.
    pub plan: Plan,
    /// Warnings that it gave rise to.
    pub warnings: Vec<Problem>,
}

impl Plan {
    /// Makes a plan: sources, payments and expiries first, then the items.
    ///
    /// # Errors
    /// All problems, warnings first.
    pub fn make(request: Request<'_>) -> Result<Planned, Vec<Problem>> {
        let Request { pipeline, network, sources, loader, sink, limit } = request;
        let graph = Graph::of(&pipeline.steps)
            .map_err(|circle| vec![circle_problem(&pipeline, &circle)])?;
        let mut problems = Vec::new();
        let judged = judge(&pipeline, network, &sources, &mut problems);
        let mut items = vec![None; pipeline.steps.len()];
        for (at, step) in graph.order.iter().enumerate() {
            let written = &pipeline.steps[*step];
            let Some((_, facts)) = &judged[*step] else { continue };
            if is_off(&pipeline, written) {
                items[at] = Some(KnownItems::default());
            } else if batch::is_known(written) {
                let limit = limits(written, limit);
                let pass =
                    Pass { pipeline: &pipeline, step: written, facts: Some(facts), loader, limit };
                items[at] = pass.run(sink, &mut problems);
            }
        }
        errors_last(&mut problems);
        let found = Found { sources, judged, items };
        match assemble(pipeline, network, graph, found) {
            Ok(plan) if problems.iter().all(is_warning) => Ok(Planned { plan, warnings: problems }),
            Ok(_) => Err(problems),
            Err(more) => {
                problems.extend(more);
                Err(problems)
            }
        }
    }

    /// The plan of a run that publishes nothing: one that moves money into the vault.
    ///
    /// # Panics
    /// Never: a plan without steps has nothing that could be wrong.
    pub fn without_steps(network: &Network) -> Self {
        let pipeline = Pipeline {
            file: SourceText::new("(deposit)", ""),
            parts: Vec::new(),
            name: "vault-deposit".into(),
            description: None,
            params: serde_json::Map::new(),
            sources: Vec::new(),
            budget: crate::pipeline::Budget::default(),
            limits: crate::pipeline::Limits::default(),
            steps: Vec::new(),
            outputs: Vec::new(),
            only: Vec::new(),
            tag: true,
        };
        let made = restore(Arc::new(pipeline), network, Sources::default(), Vec::new());
        made.expect("a plan without steps has nothing that could be wrong").plan
    }

    /// Looks at all items of a pipeline without asking any chain: for `check --offline`.
    pub fn check_items(pipeline: &Arc<Pipeline>, loader: &dyn Loader) -> Vec<Problem> {
        let mut problems = Vec::new();
        let known = |step: &&Step| batch::is_known(step) && !is_off(pipeline, step);
        for step in pipeline.steps.iter().filter(known) {
            let pass = Pass { pipeline, step, facts: None, loader, limit: limits(step, None) };
            pass.run(&mut super::NoSink, &mut problems);
        }
        errors_last(&mut problems);
        problems
    }
}

/// Makes a plan again from what an earlier one found.
pub(super) fn restore(
    pipeline: Arc<Pipeline>,
    network: &Network,
    sources: Sources,
    items: Vec<Option<KnownItems>>,
) -> Result<Planned, Vec<Problem>> {
    let graph =
        Graph::of(&pipeline.steps).map_err(|circle| vec![circle_problem(&pipeline, &circle)])?;
    let mut problems = Vec::new();
    let judged = judge(&pipeline, network, &sources, &mut problems);
    let mut items = items;
    items.resize(pipeline.steps.len(), None);
    let plan = assemble(pipeline, network, graph, Found { sources, judged, items })?;
    problems.retain(is_warning);
    Ok(Planned { plan, warnings: problems })
}

/// Whether a step's `if` says no whatever happens: it reads nothing but params.
fn is_off(pipeline: &Pipeline, step: &Step) -> bool {
    step.condition.as_ref().is_some_and(|condition| {
        let references = condition.references();
        references.iter().all(|found| found.path.first().is_some_and(|name| name == "params"))
            && condition.holds(&pipeline.scope()) == Ok(false)
    })
}

fn is_warning(problem: &Problem) -> bool {
    problem.severity() == Severity::Warning
}

/// The lower of the step's own limit and that of the command.
fn limits(step: &Step, limit: Option<u64>) -> Option<u64> {
    let own = match &step.foreach {
        Foreach::File(items) => items.limit,
        Foreach::Once | Foreach::List(_) | Foreach::Expression(_) => None,
    };
    let once = matches!(step.foreach, Foreach::Once);
    match (own, limit.filter(|_| !once)) {
        (Some(own), Some(limit)) => Some(own.min(limit)),
        (Some(one), None) | (None, Some(one)) => Some(one),
        (None, None) => None,
    }
}

/// The source of each step, in the order of writing; `None` where there is none to be had.
type Judged = Vec<Option<(Address, SourceFacts)>>;

fn judge(
    pipeline: &Pipeline,
    network: &Network,
    sources: &Sources,
    problems: &mut Vec<Problem>,
) -> Judged {
    let judge = Judge { pipeline, network, sources };
    let steps = pipeline.steps.iter();
    steps
        .map(|step| {
            let (address, facts) = judge.source(step, problems)?;
            judge.payment(step, &facts, problems);
            judge.expires(step, &facts, problems);
            judge.delivery(step, &facts, checks_outputs(step), problems);
            Some((address, facts))
        })
        .collect()
}

/// What was found out about a pipeline.
struct Found {
    sources: Sources,
    /// In the order of writing.
    judged: Judged,
    /// In plan order.
    items: Vec<Option<KnownItems>>,
}

fn assemble(
    pipeline: Arc<Pipeline>,
    network: &Network,
    graph: Graph,
    found: Found,
) -> Result<Plan, Vec<Problem>> {
    let Found { sources, judged, items } = found;
    let mut steps: Vec<PlannedStep> = Vec::with_capacity(graph.order.len());
    let mut rules = Vec::with_capacity(graph.order.len());
    let mut problems = Vec::new();
    for (at, written_at) in graph.order.iter().enumerate() {
        let written = &pipeline.steps[*written_at];
        let Some((source, facts)) = judged[*written_at].clone() else { continue };
        let (own, of_template) = match checks(&pipeline, written) {
            Ok(checks) => checks,
            Err(problem) => {
                problems.push(*problem);
                continue;
            }
        };
        let judge = Judge { pipeline: &pipeline, network, sources: &sources };
        let expires = judge.expires(written, &facts, &mut Vec::new());
        let streams = graph.upstreams[at]
            .iter()
            .find(|edge| edge.kind == EdgeKind::PerItem)
            .map(|edge| edge.step);
        let (width, known_after) = width(&pipeline, written, items[at].as_ref(), (&steps, streams));
        rules.push(rule(&pipeline, written, (source, &facts), graph.upstreams[at].clone()));
        steps.push(PlannedStep {
            written_at: *written_at,
            source_alias: written.source.alias.clone(),
            source,
            facts,
            expires,
            of: kind(written),
            width,
            known_after,
            items: items[at].clone(),
            streams,
            save: written.save.clone(),
            own,
            of_template,
        });
    }
    if steps.len() < graph.order.len() {
        return Err(problems);
    }
    let parts = Fingerprint {
        pipeline: fingerprint::of_pipeline(&pipeline),
        inputs: fingerprint::of_inputs(
            rules.iter().zip(&steps).map(|(rule, step)| (rule.name.as_str(), step.items.as_ref())),
        ),
        sources: fingerprint::of_sources(network, &sources),
        cache: B256::ZERO,
        gas_price: None,
    };
    let schedule = Schedule { steps: rules, fingerprint: fingerprint::of_all(&parts) };
    Ok(Plan {
        pipeline,
        network: network.clone(),
        sources,
        steps,
        schedule: Arc::new(schedule),
        fingerprint: parts,
    })
}

fn checks(
    pipeline: &Pipeline,
    step: &Step,
) -> Result<(Acceptance, Option<Acceptance>), Box<Problem>> {
    let compile = |accept: &pipeline::Accept| {
        Acceptance::compile(accept).map_err(|mismatch| {
            let message = format!("the schema of `accept` is not JSON Schema: {mismatch}");
            let problem = Problem::new(Code::E0212, &pipeline.file, step.span, message);
            Box::new(problem.in_step(step.name.as_str()))
        })
    };
    let of_template = match &step.task {
        Task::Direct { .. } => None,
        Task::Template { template, .. } => Some(compile(&template.accept)?),
    };
    Ok((compile(&step.accept)?, of_template))
}

fn rule(
    pipeline: &Pipeline,
    step: &Step,
    (source, facts): (Address, &SourceFacts),
    upstreams: Vec<super::Edge>,
) -> StepRule {
    StepRule {
        name: step.name.clone(),
        upstreams,
        concurrency: step.concurrency.unwrap_or(pipeline.limits.in_flight),
        allow_failures: match step.allow_failures {
            AllowFailures::Count(count) => Allowance::Count(count),
            AllowFailures::Permille(share) => Allowance::PerTenThousand(share.saturating_mul(10)),
        },
        on_partial: match step.on_partial {
            pipeline::OnPartial::Drop => OnPartial::Drop,
            pipeline::OnPartial::Keep => OnPartial::Keep,
            pipeline::OnPartial::Fail => OnPartial::Fail,
        },
        retry: retry(step, pipeline.budget.max_per_task),
        source,
        delivery: facts.delivery,
        max_expiry: facts.max_expiry,
    }
}

fn retry(step: &Step, max_per_task: Option<Wei>) -> RetryRule {
    let retry = &step.retry;
    RetryRule {
        max: retry.max,
        after_expired: retry.after.expired,
        after_publish_error: retry.after.publish_error,
        after_rejected: retry.after.rejected,
        backoff_base: retry.backoff.base,
        backoff_factor_permille: permille(retry.backoff.factor),
        backoff_max: retry.backoff.max,
        jitter_permille: permille(retry.backoff.jitter),
        raise_permille: retry.raise_permille,
        max_payment: retry.max_payment.or(max_per_task),
    }
}

/// A factor in thousandths; what is written is a small number, checked before.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "clamped to what 32 bits hold"
)]
fn permille(factor: f64) -> u32 {
    (factor * 1000.0).round().clamp(0.0, f64::from(u32::MAX)) as u32
}

/// The payment of a step's first round where it is the same for all items.
pub(super) fn fixed_payment(step: &Step, facts: &SourceFacts) -> Option<Wei> {
    match &step.payment {
        Payment::Fixed(amount) => Some(*amount),
        Payment::Minimum => Some(facts.min_payment),
        Payment::PerItem(_) => None,
    }
}
