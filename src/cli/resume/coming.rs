//! What a resume adds to what is left: failed tasks that are tried again, payments that rise, and
//! a cap that has to be enough.

use std::sync::Arc;

use alloy::primitives::U256;

use super::super::errors::{of_driver, of_store};
use super::super::failure::{Exit, Failure};
use super::super::history::History;
use super::super::settings::Settings;
use super::Again;
use crate::chain::ChainFacts;
use crate::driver::Consent;
use crate::driver::preflight::{self, CodeChange};
use crate::engine::{Engine, RunHeader, RunOutcome, StepEnd, Wishes};
use crate::pipeline::Code;
use crate::plan::Plan;
use crate::report::layout::Coin;
use crate::store::{LaneState, LeaseHolder, Views};
use crate::units::text::counted;
use crate::units::{RunId, TaskId, Wei};

/// Whether only failed tasks could let a run go on that ended so.
pub(super) const fn is_over(outcome: RunOutcome) -> bool {
    match outcome {
        RunOutcome::Done | RunOutcome::Failed | RunOutcome::OverBudget | RunOutcome::Canceled => {
            true
        }
        RunOutcome::PausedBudget
        | RunOutcome::PausedFunds
        | RunOutcome::Stopped
        | RunOutcome::Quarantined => false,
    }
}

/// The run as its journal left it.
///
/// # Errors
/// When the journal cannot be read.
pub(super) fn replayed(views: &Views, run: &RunId, plan: &Plan) -> Result<Engine, Failure> {
    let mut broken = None;
    let events = views.events(run, 0).map_err(|error| of_store(&error))?;
    let events = events.map_while(|recorded| match recorded {
        Ok(recorded) => Some((recorded.at, recorded.event)),
        Err(error) => {
            broken = Some(error);
            None
        }
    });
    let engine = Engine::replay(Arc::clone(plan.schedule()), plan.limits(), events);
    match broken {
        Some(error) => Err(of_store(&error)),
        None => Ok(engine),
    }
}

/// Refuses a cap that is passed already.
///
/// # Errors
/// Exit 6, with what the cap has to be at least.
pub(super) fn enough_of_a_cap(
    again: &Again<'_>,
    engine: &Engine,
    coin: Coin,
) -> Result<(), Failure> {
    let committed = engine.ledger().committed();
    let Some(cap) = again.max_spend.filter(|cap| *cap < committed) else { return Ok(()) };
    let message = format!(
        "run {} has spent and promised {} since its start, more than `--max-spend` of {}",
        again.run,
        coin.exact(committed),
        coin.exact(cap)
    );
    let least = coin.exact(committed);
    let help = match engine.cap() {
        Some(cap) => {
            format!("at least {least}; without the flag its cap of {} stays", coin.exact(cap))
        }
        None => format!("at least {least}; without the flag it has no cap"),
    };
    Err(Failure::new(Exit::Budget, message).coded(Code::E0821).help(help))
}

/// Refuses another machine's lease and other code, unless the reader answers for it; says what was
/// answered for.
///
/// # Errors
/// Exit 75 for a lease, exit 9 for code.
pub(super) fn answered_for(
    settings: &Settings,
    (header, found): (&RunHeader, &ChainFacts),
    lane: &LaneState,
    consent: &Consent,
) -> Result<(), Failure> {
    preflight::same_machine(lane, consent).map_err(|error| of_driver(&error))?;
    let here = LeaseHolder::this_process();
    if let Some(holder) = lane.holder.as_ref().filter(|holder| holder.is_elsewhere(&here)) {
        settings.ui.say(&format!("Taking over from {holder}: it must be gone for good."));
    }
    preflight::same_chain(header, found, consent).map_err(|error| of_driver(&error))?;
    for change in preflight::changed_code(header, found) {
        let CodeChange { contract, address, was, is } = change;
        settings.ui.say(&format!(
            "Accepting other code of {contract} at {address}:\n  it was {was}\n  it is  {is}"
        ));
    }
    Ok(())
}

/// What a resume publishes on top of what is left, or pays more for.
pub(super) struct Coming {
    wishes: Wishes,
    /// Failed tasks that are tried again, each with its payment.
    pub(super) tried: Vec<(TaskId, Wei)>,
    /// Failed tasks that are not, although it was asked for.
    left: u64,
    /// What their gas will be, by what tasks of the run took so far.
    gas: Wei,
    /// Steps that did not start since one before them failed.
    behind: Vec<String>,
}

impl Coming {
    /// What is wished, held against what the run is.
    pub(super) fn of(engine: &Engine, history: &History, wishes: Wishes) -> Self {
        if !wishes.retry_failed {
            let (tried, behind) = (Vec::new(), Vec::new());
            return Self { wishes, tried, left: 0, gas: Wei::ZERO, behind };
        }
        let tried = engine.retriable(wishes.raise_permille);
        let total = history.tally().total();
        let count = tried.len() as u64;
        let published = total.published.saturating_add(total.retried).max(1);
        let gas = total.gas.saturating_mul(count).to_u256() / U256::from(published);
        let left = total.failed.saturating_sub(count);
        let behind = history.tally().steps();
        let behind = behind.filter(|(_, step)| step.end == Some(StepEnd::Upstream));
        let behind = behind.map(|(name, _)| name.to_string()).collect();
        Self { wishes, left, tried, gas: Wei::from_u256(gas), behind }
    }

    /// What a reader should know of it before a yes.
    pub(super) fn lines(&self, engine: &Engine, coin: Coin) -> Vec<String> {
        let mut lines = Vec::new();
        if !self.tried.is_empty() {
            let payments = self.tried.iter().map(|(_, payment)| *payment);
            let payments = payments.fold(Wei::ZERO, Wei::saturating_add);
            let locked = engine.ledger().stuck;
            lines.push(String::new());
            lines.push(coin.line(format!(
                " To try again: {} for at most {}, gas about {} more; {} of ended rounds is still locked",
                counted(self.tried.len(), "failed task"),
                coin.exact(payments),
                coin.rounded(self.gas),
                coin.exact(locked),
            )));
        }
        if !self.tried.is_empty() && !self.behind.is_empty() {
            lines.push(format!(
                " On top comes what did not start because of them: {}",
                self.behind.join(", ")
            ));
        }
        if self.left > 0 {
            lines.push(format!(
                " {} not tried again: nothing to render, a later step that stands on it, or a step \
                 that fails for what was paid",
                counted(self.left, "failed task")
            ));
        }
        let permille = self.wishes.raise_permille;
        if permille > 0 {
            let (whole, tenth) = (permille / 10, permille % 10);
            let percent = if tenth == 0 { whole.to_string() } else { format!("{whole}.{tenth}") };
            lines.push(format!(" Payments of what is not published yet rise by {percent} %"));
        }
        lines
    }
}
