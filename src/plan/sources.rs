//! What the pipeline asks of a source, against what its contract allows.

use std::sync::Arc;
use std::time::Duration;

use alloy::primitives::Address;
use serde::{Deserialize, Serialize};

use crate::pipeline::{Code, Expires, Payment, Pipeline, Problem, SourceRef, Step, Task};
use crate::units::source::{Delivery, SourceFacts};
use crate::units::time::show_duration;
use crate::units::{Network, Wei};

/// Room between a task's expiry and the longest that its source takes: the block that includes
/// the publication may be younger than the one that it was signed at (language.md, section 5.1).
const MARGIN: Duration = Duration::from_secs(30);

/// A source that the pipeline names, as the chain has it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SourceEntry {
    /// What the pipeline says: an address, or `builtin:` and a name.
    pub named: String,
    /// The contract.
    pub address: Address,
    /// What the contract says; `None` if there is no source at the address.
    pub facts: Option<SourceFacts>,
}

/// All sources that a pipeline names.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sources {
    /// The sources.
    pub entries: Vec<SourceEntry>,
    /// The block at which they were read; `None` for a record of an earlier plan.
    pub block: Option<u64>,
}

impl Sources {
    /// The source that the pipeline means.
    pub fn get(&self, source: &SourceRef) -> Option<&SourceEntry> {
        let named = source.to_string();
        self.entries.iter().find(|entry| entry.named == named)
    }

    /// The sources that a pipeline's steps use, each once, in the order of first use.
    pub fn wanted(pipeline: &Pipeline) -> Vec<SourceRef> {
        let mut wanted: Vec<SourceRef> = Vec::new();
        for step in &pipeline.steps {
            if !wanted.contains(&step.source.at) {
                wanted.push(step.source.at.clone());
            }
        }
        wanted
    }
}

/// Problems of one step with its source, in the order source, payment, expiry, delivery.
pub(super) struct Judge<'a> {
    pub(super) pipeline: &'a Pipeline,
    pub(super) network: &'a Network,
    pub(super) sources: &'a Sources,
}

impl Judge<'_> {
    /// The step's source, if there is one that takes its tasks.
    pub(super) fn source(
        &self,
        step: &Step,
        problems: &mut Vec<Problem>,
    ) -> Option<(Address, SourceFacts)> {
        let named = named(step);
        let at = |code, message: String| {
            Problem::new(code, &self.pipeline.file, step.source.span, message)
                .in_step(step.name.as_str())
        };
        let found = self.sources.get(&step.source.at);
        let Some((address, facts)) =
            found.and_then(|entry| Some((entry.address, entry.facts.as_ref()?)))
        else {
            let message = format!("there is no source at {}", step.source.at);
            let network = &self.network.name;
            problems.push(at(Code::E0401, message).help(format!(
                "the address holds no source contract on {network}{}",
                self.at_block()
            )));
            return None;
        };
        if !facts.active {
            problems.push(
                at(Code::E0402, format!("source {named} is inactive"))
                    .help("it takes no new tasks, and never will again; name another source"),
            );
            return None;
        }
        if facts.registrants == 0 {
            problems.push(
                at(Code::W0421, format!("no provider is registered for source {named}"))
                    .help("tasks may expire unanswered; their payment then comes back"),
            );
        }
        Some((address, facts.clone()))
    }

    /// E0412 for a payment below the source's minimum.
    pub(super) fn payment(&self, step: &Step, facts: &SourceFacts, problems: &mut Vec<Problem>) {
        let Payment::Fixed(payment) = &step.payment else { return };
        if *payment < facts.min_payment {
            let span = step.payment_span;
            problems.push(self.too_low(step, *payment, facts.min_payment).at_span(span));
        }
    }

    fn too_low(&self, step: &Step, payment: Wei, minimum: Wei) -> TooLow {
        let problem = Problem::new(
            Code::E0412,
            &self.pipeline.file,
            None,
            "payment is below the minimum of the source",
        )
        .label(format!("{payment} < {minimum}"))
        .help(format!(
            "source {} asks for at least {minimum} per task ({}{})",
            named(step),
            self.network.name,
            self.at_block()
        ))
        .in_step(step.name.as_str());
        TooLow(problem)
    }

    fn at_block(&self) -> String {
        self.sources.block.map_or_else(String::new, |block| format!(", block {block}"))
    }

    /// How long a task lives; E0413 above what the source takes.
    pub(super) fn expires(
        &self,
        step: &Step,
        facts: &SourceFacts,
        problems: &mut Vec<Problem>,
    ) -> Duration {
        let asked = match &step.expires {
            Expires::After(span) => Some(*span),
            Expires::Default | Expires::PerItem(_) => None,
        };
        match lifetime(asked, facts.max_expiry) {
            Ok(life) => life,
            Err(limit) => {
                let asked = show_duration(asked.unwrap_or_default());
                let limit = show_duration(limit);
                let problem = Problem::new(
                    Code::E0413,
                    &self.pipeline.file,
                    step.expires_span,
                    "`expires` is longer than the source allows",
                );
                problems.push(
                    problem
                        .label(format!("{asked} > {limit}"))
                        .help(format!("source {} takes tasks of at most {limit}", named(step)))
                        .in_step(step.name.as_str()),
                );
                facts.max_expiry
            }
        }
    }

    /// W0420 and W0607 for checks that come after the payment.
    pub(super) fn delivery(
        &self,
        step: &Step,
        facts: &SourceFacts,
        checks: bool,
        problems: &mut Vec<Problem>,
    ) {
        if facts.delivery != Delivery::FirstResponse || !checks {
            return;
        }
        let at = |code, message: &str| {
            Problem::new(code, &self.pipeline.file, step.span, message).in_step(step.name.as_str())
        };
        problems.push(at(Code::W0420, "the source pays before the output can be checked").help(
            "it pays the first response by itself; `accept` can only mark it rejected, paid",
        ));
        if step.retry.after.rejected && step.retry.max > 0 {
            problems.push(
                at(Code::W0607, "a retry after `rejected` buys the item again")
                    .help("leave `rejected` out of `retry.after` for this source"),
            );
        }
    }
}

/// A problem that still needs its place.
struct TooLow(Problem);

impl TooLow {
    fn at_span(self, span: crate::pipeline::Span) -> Problem {
        Problem { span: Some(span), ..self.0 }
    }
}

/// The life of a task: what is asked, or 30 minutes, held within what the source takes.
///
/// # Errors
/// What the source takes, when more is asked.
pub(super) fn lifetime(asked: Option<Duration>, limit: Duration) -> Result<Duration, Duration> {
    match asked {
        Some(asked) if asked > limit => Err(limit),
        asked => {
            // Half of a life that is shorter than the margin itself still leaves room.
            let most = limit.saturating_sub(MARGIN).max(limit / 2);
            Ok(asked.unwrap_or(Expires::DEFAULT).min(most))
        }
    }
}

/// The source as the step names it.
fn named(step: &Step) -> String {
    match &step.source.alias {
        Some(alias) => format!("`{alias}`"),
        None => step.source.at.to_string(),
    }
}

/// Whether a step or its template checks outputs.
pub(super) fn checks_outputs(step: &Step) -> bool {
    let of_template = match &step.task {
        Task::Direct { .. } => false,
        Task::Template { template, .. } => !template.accept.is_empty(),
    };
    of_template || !step.accept.is_empty()
}

/// E0304, for a pipeline that was not checked before.
pub(super) fn circle_problem(pipeline: &Arc<Pipeline>, circle: &super::graph::Circle) -> Problem {
    let mut names: Vec<&str> = circle.0.iter().map(crate::units::StepName::as_str).collect();
    names.extend(names.first().copied());
    let span = circle.0.first().and_then(|name| pipeline.step(name.as_str())).map(|step| step.span);
    let message = format!("steps wait for each other in a circle: {}", names.join(" -> "));
    Problem::new(Code::E0304, &pipeline.file, span, message).help("remove one of these references")
}
