//! The NDJSON stream of a run (cli.md, section 6): one line per thing that happened.
//!
//! The journal's events and these lines are two vocabularies. A line is made from an event and
//! the figures before it, so that it can name keys, providers and amounts. What a resumed run
//! folds before it goes on makes no lines.

use std::time::Duration;

use alloy::primitives::Address;
use serde_json::{Map, Value, json};

use super::figures::{OpenTask, Reached, StepTally, latency, paid, reason};
use super::layout::rfc3339;
use super::tally::{Fact, Tally};
use crate::engine::{Event, Expansion, FailReason, Offer, Outcome, RunOutcome, StepEnd, Verdict};
use crate::plan::OnExceed;
use crate::units::{Call, TaskId, Timestamp, Wei};

/// The schema of these lines.
pub const SCHEMA: &str = "ogflow.events/v1";
/// The least time between two `spend` lines.
const SPEND_EVERY: Duration = Duration::from_secs(1);

/// What kind of line, and its fields behind those that all have.
type Line = (&'static str, Value);

/// Turns facts into lines.
#[derive(Debug)]
pub struct EventStream {
    tally: Tally,
    on_exceed: OnExceed,
    seq: u64,
    spend: Option<(Timestamp, [Wei; 3])>,
}

impl EventStream {
    /// A stream that goes on from where `tally` stands.
    pub fn new(tally: Tally, on_exceed: OnExceed) -> Self {
        Self { tally, on_exceed, seq: 0, spend: None }
    }

    /// The figures so far.
    pub fn tally(&self) -> &Tally {
        &self.tally
    }

    /// Takes one fact in; returns its lines, each without a line break.
    pub fn observe(&mut self, fact: Fact<'_>) -> Vec<String> {
        let before = self.describe(fact);
        self.tally.apply(fact);
        let mut lines: Vec<String> =
            before.into_iter().map(|(kind, fields)| self.line(fact.at, kind, fields)).collect();
        lines.extend(self.after(fact));
        lines.extend(self.spend(fact.at));
        lines
    }

    /// The line that holds the plan, after `run_started`.
    pub fn plan(&mut self, at: Timestamp, plan: Value) -> String {
        self.line(at, "plan", json!({"plan": plan}))
    }

    /// The line of a warning or an error of the files.
    pub fn diagnostic(&mut self, at: Timestamp, fields: Value) -> String {
        self.line(at, "diagnostic", fields)
    }

    /// The last line, with the exit code and the pipeline's outputs.
    pub fn finished(&mut self, at: Timestamp, exit: u8, outputs: Map<String, Value>) -> String {
        let (total, money) = (self.tally.total(), self.tally.money());
        let mut fields = json!({"state": state(self.tally.outcome()), "exit": exit});
        extend(&mut fields, counts(&total));
        extend(
            &mut fields,
            json!({
                "paid_wei": money.paid, "gas_wei": money.gas, "locked_wei": money.locked,
                "outputs": outputs,
            }),
        );
        self.line(at, "run_finished", fields)
    }

    fn line(&mut self, at: Timestamp, kind: &str, fields: Value) -> String {
        self.seq += 1;
        let run = self.tally.run().map(|run| run.id.as_str());
        let mut line = json!({"ts": rfc3339(at), "run": run, "seq": self.seq, "type": kind});
        extend(&mut line, fields);
        line.to_string()
    }

    /// What is told from the figures before the event.
    #[expect(clippy::too_many_lines, reason = "a table: one arm for each event")]
    fn describe(&self, fact: Fact<'_>) -> Vec<Line> {
        match fact.event {
            Event::StepExpanded { step, expansion } => self.expanded(*step, expansion),
            Event::ConfigPinned { task, url, bytes, .. } => {
                self.about(*task, "task_pinned", json!({"config_url": url, "bytes": bytes}))
            }
            Event::TaskPublished { task, address, block, tx_hash } => {
                let gas = self.tally.task(*task).map(|task| task.gas).filter(|gas| !gas.is_zero());
                let at = json!({"task": address, "tx": tx_hash, "block": block.number});
                self.about(*task, "task_published", and(at, json!({"gas_wei": gas})))
            }
            Event::TaskAdopted { task, publication, .. } => {
                let at = json!({
                    "task": publication.address, "tx": publication.tx_hash,
                    "block": publication.block.number,
                });
                let known = json!({"gas_wei": publication.gas_paid, "adopted": true});
                self.about(*task, "task_published", and(at, known))
            }
            Event::TaskAttempted { task } => {
                let who = json!({"provider": null, "suggested_wei": null});
                self.about(*task, "task_attempted", and(json!({"task": self.address(*task)}), who))
            }
            Event::OutputFetched { task, response, offer, .. } => {
                self.responded(*task, *response, offer)
            }
            Event::OutputChecked { task, response, verdict } => {
                self.checked(*task, *response, verdict)
            }
            Event::ExpiryPassed { task } => self.expired(*task),
            Event::RoundOpened { task, round, after, payment, not_before } => {
                let (after, wait) = (reason(after).0, millis(not_before.since(fact.at)));
                let how = json!({"after": after, "payment_wei": payment, "wait_ms": wait});
                self.about(*task, "task_retried", and(json!({"round": round}), how))
            }
            Event::TaskReopened { task, round, after, payment } => {
                let how = json!({"after": reason(after).0, "payment_wei": payment, "wait_ms": 0});
                self.about(*task, "task_retried", and(json!({"round": round}), how))
            }
            Event::TaskDone { task, outcome } => self.done(*task, outcome, fact.at),
            Event::StepEnded { step, end } => vec![("step_finished", self.step_ended(*step, *end))],
            Event::BudgetReached { needed } => vec![("budget_reached", self.budget(*needed))],
            Event::DrainAsked { .. } => vec![("paused", json!({"reason": "user"}))],
            Event::RunEnded { outcome } => paused(*outcome),
            Event::RunStarted(_)
            | Event::DepositAsked { .. }
            | Event::CancelAsked { .. }
            | Event::ReclaimAsked { .. }
            | Event::FencesAsked { .. }
            | Event::PublicationsFound { .. }
            | Event::LaneRead { .. }
            | Event::RunResumed { .. }
            | Event::LaneTaken { .. }
            | Event::Surveyed(_)
            | Event::LogsRead { .. }
            | Event::LogsRewound { .. }
            | Event::ItemsRead { .. }
            | Event::StepReopened { .. }
            | Event::PaymentsRaised { .. }
            | Event::CodeAccepted { .. }
            | Event::SlotReserved { .. }
            | Event::VersionWanted { .. }
            | Event::VersionSigned { .. }
            | Event::Sent { .. }
            | Event::Due { .. }
            | Event::LaneViewed { .. }
            | Event::SlotMined { .. }
            | Event::SlotReopened { .. }
            | Event::SlotFinal { .. }
            | Event::ResponseSeen { .. }
            | Event::FetchFailed { .. }
            | Event::ResponseChosen { .. }
            | Event::ResponseConfirmed { .. }
            | Event::ResponseGone { .. }
            | Event::ExpirySeen { .. }
            | Event::ResponsesExhausted { .. }
            | Event::TaskRead { .. }
            | Event::EscrowReturned { .. } => Vec::new(),
        }
    }

    fn responded(&self, id: TaskId, response: Address, offer: &Offer) -> Vec<Line> {
        let fields = json!({
            "task": self.address(id), "response": response,
            "provider": offer.provider, "price_wei": offer.payment,
        });
        self.about(id, "task_responded", fields)
    }

    fn checked(&self, id: TaskId, response: Address, verdict: &Verdict) -> Vec<Line> {
        let why = match verdict {
            Verdict::Accepted => return Vec::new(),
            Verdict::Rejected { reason } | Verdict::Unreadable { reason } => reason,
        };
        let task = self.tally.task(id);
        let offer = task.and_then(|task| task.offer.as_ref());
        let offer = offer.filter(|(of, _)| *of == response).map(|(_, offer)| offer);
        let confirmed = task.and_then(|task| task.confirmed);
        let is_paid = confirmed.is_some_and(|confirmed| confirmed.response == response);
        let paid = offer.filter(|_| is_paid).map(|offer| offer.payment);
        let fields = json!({
            "response": response, "provider": offer.map(|offer| offer.provider),
            "paid": paid.is_some(), "paid_wei": paid.unwrap_or_default(), "reason": why,
        });
        self.about(id, "task_rejected", fields)
    }

    fn budget(&self, needed: Wei) -> Value {
        let cap = self.tally.run().and_then(|run| run.cap);
        let on_exceed = match self.on_exceed {
            OnExceed::Pause => "pause",
            OnExceed::Stop => "stop",
        };
        json!({"cap_wei": cap, "needed_wei": needed, "on_exceed": on_exceed})
    }

    /// What needs the figures after the event.
    fn after(&mut self, fact: Fact<'_>) -> Option<String> {
        if matches!(fact.event, Event::RunStarted(_) | Event::RunResumed { .. }) {
            let fields = self.run_started()?;
            return Some(self.line(fact.at, "run_started", fields));
        }
        let Event::VersionSigned { slot, seq, hash, call, .. } = fact.event else { return None };
        let Call::PublishTask { payment, .. } = call else { return None };
        let (task, _) = self.tally.slot(*slot)?;
        let fields = json!({"tx": hash, "nonce": slot.nonce, "bump": seq, "payment_wei": payment});
        let (kind, fields) = self.about(task, "task_submitted", fields).pop()?;
        Some(self.line(fact.at, kind, fields))
    }

    fn run_started(&self) -> Option<Value> {
        let run = self.tally.run()?;
        Some(json!({
            "schema": SCHEMA, "pipeline": run.pipeline, "network": run.network.name,
            "chain_id": run.network.chain_id, "signer": run.signer,
            "resumed": self.tally.resumed(), "cap_wei": run.cap,
        }))
    }

    fn expanded(&self, step: u16, expansion: &Expansion) -> Vec<Line> {
        let items = match expansion {
            Expansion::Items { count, .. } => Some(*count),
            Expansion::Streaming => None,
            Expansion::Skipped | Expansion::Failed { .. } => return Vec::new(),
        };
        vec![("step_started", json!({"step": self.tally.name(step), "items": items}))]
    }

    fn expired(&self, id: TaskId) -> Vec<Line> {
        let task = self.tally.task(id);
        let fields = json!({
            "task": self.address(id),
            "attempted": task.is_some_and(|task| task.now >= Reached::Attempted),
            "locked_wei": locked(task),
        });
        self.about(id, "task_expired", fields)
    }

    fn done(&self, id: TaskId, outcome: &Outcome, at: Timestamp) -> Vec<Line> {
        let task = self.tally.task(id);
        let failed = |why: &str, message: &str| {
            let locked = if paid(outcome).is_zero() { locked(task) } else { Wei::ZERO };
            let fields = json!({
                "reason": why, "message": message, "paid_wei": paid(outcome), "locked_wei": locked,
            });
            self.about(id, "task_failed", fields)
        };
        match outcome {
            Outcome::Confirmed { response, paid, .. } => {
                let offer = task.and_then(|task| task.offer.as_ref());
                let provider = offer.filter(|(of, _)| of == response).map(|(_, o)| o.provider);
                let fields = json!({
                    "response": response, "provider": provider, "paid_wei": paid,
                    "gas_wei": task.map(|task| task.gas).unwrap_or_default(),
                    "ms": task.and_then(|task| latency(task, at)),
                    "tx": task.and_then(|task| task.confirmed).and_then(|confirmed| confirmed.tx),
                });
                self.about(id, "task_confirmed", fields)
            }
            Outcome::RejectedPaid { reason, .. } => failed("rejected_paid", reason),
            Outcome::Failed(why) => failed(reason(why).0, message(why)),
            Outcome::Canceled => {
                let fields = json!({"task": self.address(id), "refund_wei": locked(task)});
                self.about(id, "task_canceled", fields)
            }
            Outcome::Skipped => Vec::new(),
        }
    }

    fn step_ended(&self, step: u16, end: StepEnd) -> Value {
        let state = match end {
            StepEnd::Done => "done",
            StepEnd::Skipped | StepEnd::Upstream | StepEnd::Canceled => "skipped",
            StepEnd::Failed => "failed",
        };
        let figures = self.tally.steps().nth(usize::from(step)).map(|(_, figures)| figures);
        let figures = figures.cloned().unwrap_or_default();
        let mut fields = json!({"step": self.tally.name(step), "state": state});
        extend(&mut fields, counts(&figures));
        extend(&mut fields, json!({"paid_wei": figures.paid, "gas_wei": figures.gas}));
        fields
    }

    /// A line about a task, if it is open: step, key and round first, then `fields`.
    fn about(&self, id: TaskId, kind: &'static str, fields: Value) -> Vec<Line> {
        let Some(task) = self.tally.task(id) else { return Vec::new() };
        let mut about =
            json!({"step": self.tally.name(id.step), "key": task.key, "round": task.round});
        extend(&mut about, fields);
        vec![(kind, about)]
    }

    fn address(&self, id: TaskId) -> Option<Address> {
        self.tally.task(id).and_then(|task| task.address)
    }

    fn spend(&mut self, at: Timestamp) -> Option<String> {
        let money = self.tally.money();
        let now = [money.paid, money.gas, money.locked];
        let (last, shown) = self.spend.unwrap_or((Timestamp::default(), [Wei::ZERO; 3]));
        if shown == now || at.since(last) < SPEND_EVERY {
            return None;
        }
        self.spend = Some((at, now));
        let cap = self.tally.run().and_then(|run| run.cap);
        let fields = json!({
            "paid_wei": money.paid, "gas_wei": money.gas, "locked_wei": money.locked, "cap_wei": cap,
        });
        Some(self.line(at, "spend", fields))
    }
}

fn paused(outcome: RunOutcome) -> Vec<Line> {
    let why = match outcome {
        RunOutcome::PausedBudget => "budget",
        RunOutcome::PausedFunds => "funds",
        RunOutcome::Done
        | RunOutcome::Failed
        | RunOutcome::OverBudget
        | RunOutcome::Stopped
        | RunOutcome::Quarantined
        | RunOutcome::Canceled => return Vec::new(),
    };
    vec![("paused", json!({"reason": why}))]
}

/// `run_finished.state`, and the state of a run in `status`.
pub(super) fn state(outcome: Option<RunOutcome>) -> &'static str {
    match outcome {
        // Left before it had an outcome: it can be resumed.
        None => "stopped",
        Some(RunOutcome::Done) => "done",
        Some(RunOutcome::Failed | RunOutcome::OverBudget) => "failed",
        Some(RunOutcome::PausedBudget | RunOutcome::PausedFunds) => "paused",
        Some(RunOutcome::Stopped | RunOutcome::Quarantined | RunOutcome::Canceled) => "stopped",
    }
}

fn counts(step: &StepTally) -> Value {
    json!({
        "confirmed": step.confirmed, "reused": 0, "failed": step.failed,
        "rejected_paid": step.rejected_paid, "retried": step.retried,
    })
}

fn locked(task: Option<&OpenTask>) -> Wei {
    task.filter(|task| task.is_on_chain()).map(|task| task.payment).unwrap_or_default()
}

/// The message of a failure; for a silent task, the words that screens use.
pub(super) fn message(why: &FailReason) -> &str {
    match why {
        FailReason::Expired => "no response",
        FailReason::Budget => "the budget was reached",
        FailReason::Rejected(_)
        | FailReason::PublishError(_)
        | FailReason::FetchError(_)
        | FailReason::RenderError(_) => reason(why).1,
    }
}

fn and(mut first: Value, second: Value) -> Value {
    extend(&mut first, second);
    first
}

fn millis(span: Duration) -> u64 {
    u64::try_from(span.as_millis()).unwrap_or(u64::MAX)
}

/// Puts the fields of `more` behind those of `object`, or in their place.
pub(super) fn extend(object: &mut Value, more: Value) {
    if let (Value::Object(object), Value::Object(more)) = (object, more) {
        object.extend(more);
    }
}

#[cfg(test)]
mod tests;
