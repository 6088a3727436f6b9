//! What scrolls by: one task's good or bad news, said once.

use std::time::Duration;

use alloy::primitives::{Address, B256};

use super::figures::{OpenTask, Reached, paid, reason};
use super::layout::{short, span, time_of_day};
use super::tally::{Fact, Tally};
use crate::engine::{Event, FailReason, Outcome, SlotEnd};
use crate::units::{TaskId, Timestamp, Untrusted, Wei};

/// Of which kind a notice is, for `--show`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum NoticeKind {
    /// Something went wrong for a task, or for the run.
    Failed,
    /// A request failed and is tried again; nothing is lost by it.
    Retried,
    /// A task is on its way for longer than most.
    Slow,
    /// An output was accepted and paid.
    Confirmed,
    /// A task is on chain.
    Published,
}

/// A few lines that scroll by once. The first begins with a word for what happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Notice {
    /// Its kind.
    pub kind: NoticeKind,
    /// Its lines, without control characters.
    pub lines: Vec<String>,
}

/// Columns of the word that a notice begins with.
const WORD: usize = 13;

impl Notice {
    fn new(kind: NoticeKind, word: &str, what: &str, why: &str) -> Self {
        let gap = if word.len() < WORD { "" } else { "  " };
        let mut line = format!(" {word:<WORD$}{gap}{what}");
        if !why.is_empty() {
            line.push_str("   ");
            line.push_str(why);
        }
        Self { kind, lines: vec![line] }
    }

    fn and(mut self, line: &str) -> Self {
        self.lines.push(format!(" {:<WORD$}{line}", ""));
        self
    }

    /// A try that failed and is made again: `try 1 of 3`.
    pub fn again(tried: u32, of: u32, task: &str, why: &str, wait: Duration) -> Self {
        let why = format!("{}, retrying in {}", Untrusted::from(why), span(wait));
        Self::new(NoticeKind::Retried, &format!("try {tried} of {of}"), task, &why)
    }
}

/// What to say about a fact, seen from the tally just before it.
#[expect(clippy::too_many_lines, reason = "a table: one arm for each event")]
pub fn notices(tally: &Tally, fact: Fact<'_>) -> Vec<Notice> {
    let one = |notice| vec![notice];
    match fact.event {
        Event::RoundOpened { task, round, after, payment, .. } => {
            one(ended(tally, *task, after, fact.at).and(&next_round(tally, round.get(), *payment)))
        }
        Event::TaskDone { task, outcome } => done(tally, *task, outcome, fact.at),
        Event::TaskPublished { task, address, tx_hash, .. } => {
            one(published(tally, *task, *address, *tx_hash))
        }
        Event::TaskAdopted { task, publication, .. } => {
            let label = tally.label(*task);
            let why = format!("found on the chain, task {}", publication.address);
            one(Notice::new(NoticeKind::Published, "adopted", &label, &why))
        }
        Event::FetchFailed { task, reason, again_at: Some(again), .. } => {
            let (label, wait) = (tally.label(*task), span(again.since(fact.at)));
            let why = format!("{}, retrying in {wait}", clean(reason));
            one(Notice::new(NoticeKind::Retried, "not fetched", &label, &why))
        }
        Event::BudgetReached { needed } => one(budget(tally, *needed)),
        Event::LogsRewound { to } => {
            let why = format!("the chain took blocks back, to block {}", to.number);
            one(Notice::new(NoticeKind::Failed, "reorg", &why, ""))
        }
        Event::SlotFinal { slot, end: SlotEnd::Foreign { tx_hash }, .. } => {
            let why = format!("nonce {} of {} was used elsewhere", slot.nonce, slot.wallet);
            let by = tx_hash.map_or_else(String::new, |hash| format!("by transaction {hash}"));
            one(Notice::new(NoticeKind::Failed, "quarantine", &why, &by))
        }
        Event::LaneTaken { wallet, next_nonce, passed: 1.., .. } => {
            let why = format!("{wallet} was used elsewhere since the last run");
            let begins = format!("this one begins at nonce {next_nonce}");
            one(Notice::new(NoticeKind::Retried, "moved on", &why, &begins))
        }
        Event::RunStarted(_)
        | Event::RunResumed { .. }
        | Event::LaneTaken { .. }
        | Event::Surveyed(_)
        | Event::LogsRead { .. }
        | Event::StepExpanded { .. }
        | Event::ItemsRead { .. }
        | Event::StepEnded { .. }
        | Event::StepReopened { .. }
        | Event::PaymentsRaised { .. }
        | Event::CodeAccepted { .. }
        | Event::TaskReopened { .. }
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
        | Event::TaskRead { .. }
        | Event::EscrowReturned { .. }
        | Event::DepositAsked { .. }
        | Event::CancelAsked { .. }
        | Event::ReclaimAsked { .. }
        | Event::FencesAsked { .. }
        | Event::PublicationsFound { .. }
        | Event::LaneRead { .. }
        | Event::DrainAsked { .. }
        | Event::RunEnded { .. } => Vec::new(),
    }
}

fn published(tally: &Tally, id: TaskId, address: Address, tx_hash: B256) -> Notice {
    let label = tally.label(id);
    let notice = Notice::new(NoticeKind::Published, "published", &label, &address.to_string());
    match explorer(tally) {
        Some(base) => notice.and(&format!("{base}/tx/{tx_hash}")),
        None => notice,
    }
}

fn budget(tally: &Tally, needed: Wei) -> Notice {
    let coin = tally.coin();
    let why = format!("to go on it would have to be {}; nothing more starts", coin.exact(needed));
    Notice::new(NoticeKind::Failed, "budget", &coin.line(why), "")
}

/// Tasks that are on chain and older than `limit`, oldest first: they are slow, not failed.
pub fn slow(tally: &Tally, now: Timestamp, limit: Duration) -> Vec<Notice> {
    let mut late: Vec<(Timestamp, TaskId)> = tally
        .open()
        .filter(|(_, task)| task.is_on_chain())
        .filter_map(|(id, task)| task.published_at.map(|at| (at, id)))
        .filter(|(at, _)| now.since(*at) > limit)
        .collect();
    late.sort_unstable();
    let notice = |(at, id): (Timestamp, TaskId)| {
        let why = format!("published {} ago", span(now.since(at)));
        Notice::new(NoticeKind::Slow, "slow", &tally.label(id), &why)
    };
    late.into_iter().map(notice).collect()
}

fn done(tally: &Tally, id: TaskId, outcome: &Outcome, at: Timestamp) -> Vec<Notice> {
    let label = tally.label(id);
    let coin = tally.coin();
    let notice = match outcome {
        Outcome::Confirmed { paid, .. } => {
            let took = tally.task(id).and_then(|task| task.published_at).map(|from| at.since(from));
            let took = took.map(|took| format!("   after {}", span(took))).unwrap_or_default();
            let why = coin.line(format!("{} paid{took}", coin.exact(*paid)));
            Notice::new(NoticeKind::Confirmed, "confirmed", &label, &why)
        }
        Outcome::RejectedPaid { reason, .. } => {
            let money = coin.line(format!("{} paid", coin.exact(paid(outcome))));
            Notice::new(NoticeKind::Failed, "rejected, paid", &label, &clean(reason)).and(&money)
        }
        Outcome::Failed(reason) => ended(tally, id, reason, at).and("no further round"),
        Outcome::Canceled => Notice::new(NoticeKind::Failed, "cancelled", &label, ""),
        Outcome::Skipped => return Vec::new(),
    };
    vec![notice]
}

/// How a round ended, and what became of its payment.
fn ended(tally: &Tally, id: TaskId, after: &FailReason, at: Timestamp) -> Notice {
    let (word, why) = match after {
        FailReason::Expired => ("no response", unanswered(tally.task(id)).to_owned()),
        FailReason::Rejected(why) => ("rejected", clean(why)),
        FailReason::PublishError(why) => ("not published", clean(why)),
        FailReason::FetchError(why) => ("not fetched", clean(why)),
        FailReason::RenderError(why) => ("not rendered", clean(why)),
        FailReason::Budget => ("budget", "the cap leaves nothing for it".to_owned()),
    };
    let notice = Notice::new(NoticeKind::Failed, word, &tally.label(id), &why);
    match tally.task(id).filter(|task| task.is_on_chain()) {
        Some(task) => notice.and(&frozen(tally, task, at)),
        None => notice,
    }
}

fn unanswered(task: Option<&OpenTask>) -> &'static str {
    match task.map(|task| task.now) {
        Some(Reached::Attempted) => "a provider took it and did not respond in time",
        Some(Reached::Responded) => "it expired before a response was confirmed",
        Some(Reached::Waiting | Reached::Submitted | Reached::Published) | None => {
            "nobody attempted it in time"
        }
    }
}

/// The payment of an ended round: it is not back before the vault was read.
fn frozen(tally: &Tally, task: &OpenTask, at: Timestamp) -> String {
    let coin = tally.coin();
    let who = task.offer.as_ref().map(|(_, offer)| format!("{}  ", short(&offer.provider)));
    let end = task.expiry.map(|end| Timestamp::from_millis(end.as_secs().saturating_mul(1000)));
    let state = match end.filter(|end| *end > at) {
        Some(end) => format!("locked until {}", time_of_day(end)),
        None => "still frozen by the vault".into(),
    };
    let payment = coin.exact(task.payment);
    coin.line(format!("{}not paid, {payment} {state}", who.unwrap_or_default()))
}

fn next_round(tally: &Tally, round: u16, payment: Wei) -> String {
    let coin = tally.coin();
    coin.line(format!("round {round} at {}", coin.exact(payment)))
}

fn explorer(tally: &Tally) -> Option<&str> {
    tally.run().and_then(|run| run.network.explorer.as_deref())
}

/// A stranger's words, fit for a line.
pub(super) fn clean(text: &str) -> String {
    Untrusted::from(text).to_string()
}

/// A failure in the words of the summary.
pub(super) fn verdict(outcome: &Outcome, rounds: u16) -> String {
    let times = match rounds {
        0 | 1 => String::new(),
        2 => " twice".into(),
        n => format!(" {n} times"),
    };
    match outcome {
        Outcome::RejectedPaid { reason, .. } => format!("rejected, paid: {}", clean(reason)),
        Outcome::Failed(FailReason::Expired) => format!("no response{times}"),
        Outcome::Failed(FailReason::Rejected(why)) => format!("rejected{times}: {}", clean(why)),
        Outcome::Failed(FailReason::Budget) => "not published: the budget was reached".into(),
        Outcome::Failed(other) => {
            let (word, detail) = reason(other);
            format!("{}{times}: {}", word.replace('_', " "), clean(detail))
        }
        Outcome::Confirmed { .. } => "confirmed".into(),
        Outcome::Canceled => "cancelled".into(),
        Outcome::Skipped => "skipped".into(),
    }
}

#[cfg(test)]
mod tests;
