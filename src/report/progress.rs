//! A run under way: the block that stays on a terminal, and lines for everything else.

use std::time::Duration;

use super::figures::StepTally;
use super::layout::{Look, rfc3339, span, stopwatch};
use super::notices::{Notice, notices};
use super::tally::{Fact, Tally};
use crate::engine::{Event, RunOutcome, StepEnd};
use crate::units::Timestamp;
use crate::units::text::thousands;

/// The longest silence of plain lines.
const QUIET: Duration = Duration::from_secs(30);
/// The least time between two plain lines of a step under way.
const PACE: Duration = Duration::from_secs(1);
/// A plain line each time that this many percent more of a step have ended.
const SHARE: u64 = 5;
/// Columns of the bar.
const BAR: usize = 30;

/// Follows a run: folds its facts and says what is worth saying.
#[derive(Debug)]
pub struct Progress {
    tally: Tally,
    said: Vec<u64>,
    spoke_at: Timestamp,
}

impl Progress {
    /// Follows from where `tally` stands: nothing is said of what it has already folded.
    pub fn new(tally: Tally) -> Self {
        let said = tally.steps().map(|(_, step)| share(step)).collect();
        Self { tally, said, spoke_at: Timestamp::default() }
    }

    /// The figures so far.
    pub fn tally(&self) -> &Tally {
        &self.tally
    }

    /// Takes one fact in, and returns what should scroll by.
    pub fn observe(&mut self, fact: Fact<'_>) -> Vec<Notice> {
        let said = notices(&self.tally, fact);
        self.tally.apply(fact);
        said
    }

    /// The lines for a screen that cannot be drawn over, if it is time for some: the start and
    /// the end of steps, each 5 % of a step but not more than one a second, and each 30 s.
    ///
    /// To be asked after each fact that was observed, with it, and on a timer without one.
    pub fn plain(&mut self, fact: Option<Fact<'_>>, now: Timestamp) -> Vec<String> {
        let mut lines: Vec<String> =
            fact.and_then(|fact| self.milestone(fact)).into_iter().collect();
        let shares: Vec<u64> = self.tally.steps().map(|(_, step)| share(step)).collect();
        self.said.resize(shares.len(), 0);
        let silence = now.since(self.spoke_at);
        let (quiet, paced) = (silence >= QUIET, silence >= PACE);
        for (place, (name, step)) in self.tally.steps().enumerate() {
            let moved = shares[place] > self.said[place];
            let busy = step.started && step.end.is_none() && step.tasks() > 0;
            if busy && (quiet || moved && paced) {
                lines.push(self.step_line(name.as_str(), step, now));
                self.said[place] = shares[place];
            }
        }
        if !lines.is_empty() {
            self.spoke_at = now;
        }
        lines.into_iter().map(|line| format!("{} {line}", rfc3339(now))).collect()
    }

    #[expect(clippy::too_many_lines, reason = "a table: one arm for each event")]
    fn milestone(&self, fact: Fact<'_>) -> Option<String> {
        match fact.event {
            Event::RunStarted(header) => {
                let coin = self.tally.coin();
                let cap = header.cap.map(|cap| coin.line(format!(", cap {}", coin.exact(cap))));
                Some(format!("run {} started{}", header.run, cap.unwrap_or_default()))
            }
            Event::RunResumed { .. } => {
                self.tally.run().map(|run| format!("run {} goes on", run.id))
            }
            Event::StepEnded { step, end } => {
                let figures = self.tally.steps().nth(usize::from(*step))?.1;
                Some(self.end_line(self.tally.name(*step), figures, *end))
            }
            Event::CancelAsked { .. } => Some("cancelling: no new tasks".into()),
            Event::DrainAsked { .. } => Some("stopping: no new tasks".into()),
            Event::RunEnded { outcome } => {
                self.tally.run().map(|run| format!("run {} {}", run.id, outcome_words(*outcome)))
            }
            Event::LaneTaken { .. }
            | Event::Surveyed(_)
            | Event::LogsRead { .. }
            | Event::LogsRewound { .. }
            | Event::StepExpanded { .. }
            | Event::ItemsRead { .. }
            | Event::ConfigPinned { .. }
            | Event::SlotReserved { .. }
            | Event::VersionWanted { .. }
            | Event::VersionSigned { .. }
            | Event::Sent { .. }
            | Event::Due { .. }
            | Event::LaneViewed { .. }
            | Event::SlotMined { .. }
            | Event::SlotReopened { .. }
            | Event::SlotFinal { .. }
            | Event::TaskPublished { .. }
            | Event::TaskAttempted { .. }
            | Event::ResponseSeen { .. }
            | Event::OutputFetched { .. }
            | Event::FetchFailed { .. }
            | Event::OutputChecked { .. }
            | Event::ResponseChosen { .. }
            | Event::ResponseConfirmed { .. }
            | Event::ResponseGone { .. }
            | Event::ExpirySeen { .. }
            | Event::ResponsesExhausted { .. }
            | Event::ExpiryPassed { .. }
            | Event::RoundOpened { .. }
            | Event::TaskReopened { .. }
            | Event::StepReopened { .. }
            | Event::PaymentsRaised { .. }
            | Event::CodeAccepted { .. }
            | Event::TaskDone { .. }
            | Event::TaskRead { .. }
            | Event::EscrowReturned { .. }
            | Event::DepositAsked { .. }
            | Event::ReclaimAsked { .. }
            | Event::FencesAsked { .. }
            | Event::PublicationsFound { .. }
            | Event::LaneRead { .. }
            | Event::TaskAdopted { .. }
            | Event::BudgetReached { .. } => None,
        }
    }

    fn step_line(&self, name: &str, step: &StepTally, now: Timestamp) -> String {
        let coin = self.tally.coin();
        let spent = coin.line(format!("spent {}", coin.rounded(self.tally.money().spent())));
        let left = self.left(now).map(|left| format!(", about {} left", span(left)));
        let doing = if step.published < step.tasks() { "publishing task" } else { "published" };
        format!(
            "{name} {doing} {}/{}, {} confirmed, {} failed{}, {spent}{}",
            step.published,
            known_total(step),
            step.confirmed,
            step.failed,
            rejected_paid(step),
            left.unwrap_or_default()
        )
    }

    fn end_line(&self, name: &str, step: &StepTally, end: StepEnd) -> String {
        let coin = self.tally.coin();
        let word = match end {
            StepEnd::Done => "done",
            StepEnd::Skipped => return format!("{name} skipped"),
            StepEnd::Failed => "failed",
            StepEnd::Canceled if !step.started => {
                return format!("{name} not started: the run was cancelled");
            }
            StepEnd::Canceled => "cancelled",
            StepEnd::Upstream => return format!("{name} not started: a step before it failed"),
        };
        let paid =
            coin.line(format!("paid {}, gas {}", coin.exact(step.paid), coin.exact(step.gas)));
        let extra = rejected_paid(step);
        format!(
            "{name} {word}: {} confirmed, {} failed{extra}, {paid}",
            step.confirmed, step.failed
        )
    }

    /// How long the rest may take at the rate of lately; `None` while that is a guess.
    fn left(&self, now: Timestamp) -> Option<Duration> {
        let rate = self.tally.millirate(now);
        let total = self.tally.total();
        let left = total.items.map(|_| total.tasks().saturating_sub(total.ended()))?;
        (rate > 0 && left > 0).then(|| Duration::from_secs(left * 1000 / rate))
    }

    /// The block that stays at the bottom of a terminal.
    pub fn block(&self, now: Timestamp, look: Look) -> Vec<String> {
        let mut lines = vec![self.head(now, look), String::new()];
        let width = self.tally.steps().map(|(name, _)| name.as_str().len()).max().unwrap_or(0);
        for (place, (name, step)) in self.tally.steps().enumerate() {
            let head = format!(" {:<width$}  ", name.as_str());
            lines.push(format!("{head}{}", self.step_state(place, step)));
            if step.started && step.end.is_none() && step.published > 0 {
                let blank = " ".repeat(head.len());
                lines.push(format!("{blank}{}", counts(step)));
            }
        }
        lines.extend([String::new(), self.foot(now)]);
        lines.iter().map(|line| look.text(look.fit(line)).into_owned()).collect()
    }

    fn head(&self, now: Timestamp, look: Look) -> String {
        let Some(run) = self.tally.run() else { return " Reading chain state …".into() };
        let block = self.tally.block().map_or_else(String::new, |(block, at)| {
            format!("  block {} ({} ago)", thousands(block.number), span(now.since(at)))
        });
        let left = format!(" {}  {}  {}{block}", run.pipeline, run.id, run.network.name);
        let clock = stopwatch(now.since(run.started_at));
        let gap = look.width.saturating_sub(left.chars().count() + clock.len());
        format!("{left}{}{clock}", " ".repeat(gap.max(2)))
    }

    fn step_state(&self, place: usize, step: &StepTally) -> String {
        match step.end {
            Some(StepEnd::Skipped) => return "skipped".into(),
            Some(StepEnd::Upstream) => return "not started: a step before it failed".into(),
            Some(StepEnd::Canceled) if !step.started => return "cancelled".into(),
            Some(StepEnd::Done | StepEnd::Failed | StepEnd::Canceled) | None => {}
        }
        if !step.started {
            let waits: Vec<&str> = self.tally.waits_for(place).map(|name| name.as_str()).collect();
            return match waits.is_empty() {
                true => "reads its items …".into(),
                false => format!("waits for {}", waits.join(", ")),
            };
        }
        let mut line = format!("{}  {}/{}", bar(step), step.confirmed, known_total(step));
        if step.failed > 0 {
            line.push_str(&format!("   {} failed", step.failed));
        }
        if step.rejected_paid > 0 {
            line.push_str(&format!("   {} rejected, paid", step.rejected_paid));
        }
        if step.retried > 0 {
            line.push_str(&format!("   {} retried", step.retried));
        }
        line
    }

    fn foot(&self, now: Timestamp) -> String {
        let (coin, money) = (self.tally.coin(), self.tally.money());
        let spent = money.spent().coins_rounded(4);
        let mut line = match self.tally.run().and_then(|run| run.cap) {
            Some(cap) => format!(" spent {spent} of {}", coin.rounded(cap)),
            None => format!(" spent {spent} {}", coin.symbol()),
        };
        line.push_str(&format!("   locked {}", money.locked.coins_rounded(4)));
        let rate = self.tally.millirate(now);
        let (tenths, per) = if rate >= 100 { (rate / 100, "s") } else { (rate * 60 / 100, "min") };
        if tenths > 0 {
            line.push_str(&format!("   {}.{} tasks/{per}", tenths / 10, tenths % 10));
        }
        if let Some(left) = self.left(now) {
            line.push_str(&format!("   about {} left", stopwatch(left)));
        }
        coin.line(line)
    }
}

/// How a run ended, in words.
pub(super) fn outcome_words(outcome: RunOutcome) -> &'static str {
    match outcome {
        RunOutcome::Done => "done",
        RunOutcome::Failed => "finished with failures",
        RunOutcome::OverBudget => "ended: the budget was reached",
        RunOutcome::PausedBudget => "paused: the budget was reached",
        RunOutcome::PausedFunds => "paused: the vault or the wallet is too low",
        RunOutcome::Stopped => "stopped",
        RunOutcome::Quarantined => "stopped: the wallet was used elsewhere",
        RunOutcome::Canceled => "cancelled",
    }
}

fn counts(step: &StepTally) -> String {
    format!(
        "published {}  attempted {}  responded {}  confirmed {}",
        step.published, step.attempted, step.responded, step.confirmed
    )
}

fn rejected_paid(step: &StepTally) -> String {
    match step.rejected_paid {
        0 => String::new(),
        n => format!(", {n} rejected, paid"),
    }
}

fn known_total(step: &StepTally) -> String {
    match step.items {
        Some(_) => step.tasks().to_string(),
        None => format!("{}+", step.tasks()),
    }
}

/// How many steps of 5 % of a step's tasks have ended.
fn share(step: &StepTally) -> u64 {
    (step.ended() * 100).checked_div(step.tasks()).unwrap_or(0) / SHARE
}

/// `█` confirmed, `▒` on chain, `×` failed or rejected, `·` not published.
fn bar(step: &StepTally) -> String {
    let total = step.tasks().max(1);
    let cells = |count: u64| {
        let cells = (count.saturating_mul(BAR as u64)).div_ceil(total);
        usize::try_from(cells).unwrap_or(BAR)
    };
    let failed = step.failed + step.rejected_paid + step.dismissed;
    let lost = cells(failed).min(BAR);
    let good = cells(step.confirmed).min(BAR - lost);
    let on_chain = step.published.saturating_sub(step.ended());
    let busy = cells(on_chain).min(BAR - lost - good);
    let rest = BAR - lost - good - busy;
    ["█".repeat(good), "▒".repeat(busy), "×".repeat(lost), "·".repeat(rest)].concat()
}

#[cfg(test)]
mod tests;
