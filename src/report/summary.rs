//! The end of a run, and where one stands.

use std::time::Duration;

use serde_json::Value;

use super::figures::{Reached, StepTally};
use super::layout::{Align, Columns, Look, cell, count, span};
use super::notices::verdict;
use super::tally::Tally;
use crate::engine::RunOutcome;
use crate::plan::Allowance;
use crate::units::text::counted;
use crate::units::{Timestamp, Untrusted, Wei};

/// How many failures the summary names.
const NAMED: usize = 10;
/// How much of an output it shows.
const SHOWN: usize = 100;

/// What the summary needs besides the figures.
#[derive(Clone, Debug, Default)]
pub struct Ending {
    /// When it ended.
    pub at: Timestamp,
    /// Whether a process still works on it.
    pub live: bool,
    /// What the plan expected to pay for gas.
    pub predicted_gas: Option<Wei>,
    /// How many items of each step may fail.
    pub allowed: Vec<Allowance>,
    /// The pipeline's outputs by name, where they could be evaluated.
    pub outputs: Vec<(String, Value)>,
}

/// The end summary, one line each; for stdout.
pub fn end(tally: &Tally, ending: &Ending, look: Look) -> Vec<String> {
    let Some(run) = tally.run() else { return Vec::new() };
    let took = ending.at.since(run.started_at);
    let mut lines = vec![
        format!(" {}  {}  {}  in {}", state(tally, ending.live), run.pipeline, run.id, span(took)),
        String::new(),
    ];
    lines.extend(table(tally));
    lines.extend(gas(tally, ending));
    lines.extend(refunds(tally));
    lines.extend(failures(tally, ending));
    lines.extend(unpublished(tally, ending.live));
    if !ending.outputs.is_empty() {
        lines.push(String::new());
    }
    for (name, value) in &ending.outputs {
        lines.push(format!(" outputs.{name}  {}", shown(value)));
    }
    lines.into_iter().map(|line| look.text(line).into_owned()).collect()
}

/// One line with the totals, for the log of a run off a terminal.
pub fn closing(tally: &Tally) -> String {
    let (total, coin, money) = (tally.total(), tally.coin(), tally.money());
    let id = tally.run().map(|run| run.id.to_string()).unwrap_or_default();
    coin.line(format!(
        "{} {id}: {} confirmed, {} failed, {} rejected, paid; spent {}, locked {}",
        state(tally, true),
        total.confirmed,
        total.failed,
        total.rejected_paid,
        coin.exact(money.spent()),
        coin.exact(money.locked),
    ))
}

/// What the first signal says.
pub fn stopping(tally: &Tally, wait: Duration) -> Vec<String> {
    let open = tally.open().filter(|(_, task)| task.is_on_chain()).count();
    let coin = tally.coin();
    let id = tally.run().map(|run| run.id.to_string()).unwrap_or_default();
    let tasks = if open == 1 { "1 task is".into() } else { format!("{open} tasks are") };
    if wait.is_zero() {
        return vec![
            coin.line(format!(
                "Leaving: {tasks} open on chain; {} is locked.",
                coin.exact(tally.money().locked)
            )),
            "They go on whether or not this program runs.".to_owned(),
        ];
    }
    vec![
        coin.line(format!(
            "Stopping: no new tasks. {tasks} open on chain; {} is locked.",
            coin.exact(tally.money().locked)
        )),
        format!("They go on whether or not this program runs. Waiting up to {} …", span(wait)),
        format!(
            "Press Ctrl-C again to leave now.   Later: ogflow resume {id}   or   ogflow cancel {id}"
        ),
    ]
}

/// What a resumed run finds, before it looks at the chain.
///
/// `again` of its failed tasks will be published anew.
pub fn standing(tally: &Tally, now: Timestamp, again: u64) -> Vec<String> {
    let Some(run) = tally.run() else { return Vec::new() };
    let (coin, total) = (tally.coin(), tally.total());
    let spent = tally.money().spent().coins_rounded(4);
    let of = run.cap.map_or_else(
        || format!("{spent} {}", coin.symbol()),
        |cap| format!("{spent} of {}", coin.rounded(cap)),
    );
    let age = span(now.since(run.started_at));
    let head = format!(
        " {} {} on {}, started {age} ago, spent {of}",
        run.id, run.pipeline, run.network.name
    );
    let then = if tally.is_canceled() { "cancelled" } else { "published as there is room" };
    let at = |mark: Reached| tally.open().filter(|(_, task)| task.now == mark).count() as u64;
    let later: Vec<Timestamp> = tally
        .open()
        .filter(|(_, task)| task.now == Reached::Waiting)
        .filter_map(|(_, task)| task.not_before.filter(|moment| *moment > now))
        .collect();
    let unread =
        tally.steps().map(|(_, step)| step.items.unwrap_or_default().saturating_sub(step.read));
    let unpublished = at(Reached::Waiting) + unread.sum::<u64>() - later.len() as u64;
    let wait = later.iter().min().map(|first| span(first.since(now))).unwrap_or_default();
    let wait = format!("published anew, the first in {wait}");
    let mut columns = Columns::new(&[Align::Right, Align::Left, Align::Left]);
    for (number, what, then) in [
        (total.confirmed, "already confirmed", "nothing to do"),
        (total.failed.saturating_sub(again), "failed", "nothing to do"),
        (again.min(total.failed), "failed", "published anew"),
        (total.rejected_paid, "rejected, paid", "nothing to do"),
        (at(Reached::Responded), "responded", "will be checked and confirmed"),
        (at(Reached::Attempted), "taken by a provider", "watched until they expire"),
        (at(Reached::Published), "still open", "watched until they expire"),
        (at(Reached::Submitted), "submitted, no receipt known", "the same bytes are sent again"),
        (later.len() as u64, "between two rounds", wait.as_str()),
        (unpublished, "not yet published", then),
    ] {
        if number > 0 {
            columns.row([number.to_string().as_str(), what, then]);
        }
    }
    let mut lines = vec![coin.line(head), String::new()];
    lines.extend(columns.lines());
    lines
}

/// The word for where the run is. One whose process has died says nothing of it, and has stopped.
pub fn state(tally: &Tally, live: bool) -> &'static str {
    match tally.outcome() {
        None if live => "RUNNING",
        None => "STOPPED",
        Some(RunOutcome::Done) => "DONE",
        Some(RunOutcome::Failed) => "FAILED",
        Some(RunOutcome::OverBudget) => "OVER BUDGET",
        Some(RunOutcome::PausedBudget | RunOutcome::PausedFunds) => "PAUSED",
        Some(RunOutcome::Stopped | RunOutcome::Quarantined) => "STOPPED",
        Some(RunOutcome::Canceled) => "CANCELED",
    }
}

fn table(tally: &Tally) -> Vec<String> {
    use Align::{Left, Right};
    let (coin, money) = (tally.coin(), tally.money());
    let mut columns = Columns::new(&[Left, Right, Right, Right, Right, Right, Right, Left]);
    columns.row([
        "STEP",
        "CONFIRMED",
        "FAILED",
        "REJECTED, PAID",
        "RETRIED",
        "PAID",
        "GAS",
        "p50 / p95",
    ]);
    for (name, step) in tally.steps() {
        columns.row(row(name.as_str(), step, &latencies(step)));
    }
    let spent = format!("= {}", coin.rounded(money.spent()));
    let of = tally.run().and_then(|run| run.cap);
    let of = of.map(|cap| format!(" of {}", cell(cap))).unwrap_or_default();
    let mut total = tally.total();
    total.gas = money.gas; // transactions for no task, such as a deposit, count too
    columns.row(row("TOTAL", &total, &coin.line(format!("{spent}{of}"))));
    columns.lines()
}

fn row(name: &str, step: &StepTally, last: &str) -> [String; 8] {
    [
        name.to_owned(),
        count(step.confirmed),
        count(step.failed),
        count(step.rejected_paid),
        count(step.retried),
        cell(step.paid),
        cell(step.gas),
        last.to_owned(),
    ]
}

fn latencies(step: &StepTally) -> String {
    match (step.percentile(50), step.percentile(95)) {
        (Some(half), Some(_)) if step.latencies.len() == 1 => span(half),
        (Some(half), Some(most)) => format!("{} / {}", span(half), span(most)),
        _ => "–".into(),
    }
}

fn gas(tally: &Tally, ending: &Ending) -> Option<String> {
    let (coin, actual) = (tally.coin(), tally.money().gas);
    let predicted = ending.predicted_gas.filter(|wei| !wei.is_zero())?;
    // Tenths of a percent, of the two amounts as the screen shows them.
    let shown = |wei: Wei| wei.coins_rounded(6).replace('.', "").parse::<i64>().ok();
    let (then, now) = (shown(predicted)?, shown(actual)?);
    let tenths = now.checked_sub(then)?.checked_mul(1000)?.checked_div(then)?;
    let sign = if tenths < 0 { '-' } else { '+' };
    let (whole, part) = (tenths.abs() / 10, tenths.abs() % 10);
    Some(coin.line(format!(
        " Gas predicted {}, actual {} ({sign}{whole}.{part} %)",
        cell(predicted),
        cell(actual)
    )))
}

fn refunds(tally: &Tally) -> Vec<String> {
    let (coin, money) = (tally.coin(), tally.money());
    let mut lines = Vec::new();
    if !money.refunded.is_zero() {
        let text = format!(" {} back in the vault (checked)", coin.exact(money.refunded));
        lines.push(coin.line(text));
    }
    if !money.locked.is_zero() {
        lines.push(coin.line(format!(" {} still frozen by the vault", coin.exact(money.locked))));
    }
    lines
}

/// The items that nobody was asked about, and why.
fn unpublished(tally: &Tally, live: bool) -> Vec<String> {
    let why = match tally.outcome() {
        Some(RunOutcome::Done) => return Vec::new(),
        None if live => return Vec::new(),
        None => "",
        Some(RunOutcome::Failed) => ": more tasks failed than `allow_failures` allows",
        Some(RunOutcome::OverBudget | RunOutcome::PausedBudget) => ": the cap was reached",
        Some(RunOutcome::PausedFunds) => ": the money ran out",
        Some(RunOutcome::Stopped | RunOutcome::Quarantined) => "",
        Some(RunOutcome::Canceled) => ": the run was cancelled",
    };
    let mut lines = Vec::new();
    for (name, step) in tally.steps() {
        let ended = step.confirmed + step.failed + step.rejected_paid + step.dismissed;
        let met = step.dropped + step.published.max(ended);
        let left = step.items.unwrap_or_default().saturating_sub(met);
        let begins_later = step.items.is_none() && step.read == 0 && step.end.is_none();
        if begins_later {
            lines.push(format!(" {name} has not begun"));
        }
        if left > 0 {
            let were = if left == 1 { "was" } else { "were" };
            lines.push(format!(" {} of {name} {were} not published{why}", counted(left, "item")));
        }
    }
    if !lines.is_empty() {
        lines.insert(0, String::new());
    }
    lines
}

fn failures(tally: &Tally, ending: &Ending) -> Vec<String> {
    let total = tally.total();
    let bad = total.failed + total.rejected_paid;
    if bad == 0 {
        return Vec::new();
    }
    let mut lines = vec![String::new(), format!(" {bad} failed{}:", allowed(ending))];
    let mut columns = Columns::new(&[Align::Left, Align::Left, Align::Left]);
    for failure in tally.failures().iter().take(NAMED) {
        let label = format!("{}/{}", tally.name(failure.step), failure.key);
        columns.row(["", &label, &verdict(&failure.outcome, failure.rounds.get())]);
    }
    lines.extend(columns.lines());
    let more = bad.saturating_sub(NAMED as u64);
    if let Some(run) = tally.run().filter(|_| more > 0) {
        lines.push(format!("   … {more} more: ogflow results {} --errors -", run.id));
    }
    lines
}

/// What was allowed to fail, where that is one rule for all steps.
fn allowed(ending: &Ending) -> String {
    let Some(first) = ending.allowed.first() else { return String::new() };
    if ending.allowed.iter().any(|other| other != first) {
        return String::new();
    }
    match first {
        Allowance::Count(count) => format!(" (allowed: {count} a step)"),
        Allowance::PerTenThousand(share) if share % 100 == 0 => {
            format!(" (allowed: {} % a step)", share / 100)
        }
        Allowance::PerTenThousand(share) => {
            format!(" (allowed: {}.{:02} % a step)", share / 100, share % 100)
        }
    }
}

fn shown(value: &Value) -> String {
    let text = Untrusted::from(crate::units::canonical::to_string(value));
    format!("{text:.SHOWN$}")
}

#[cfg(test)]
mod tests;
