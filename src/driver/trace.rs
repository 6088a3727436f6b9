//! The trace of an event, made from the event itself, in this one place.

use crate::engine::Event;

/// Notes an event for whoever traces.
#[expect(clippy::too_many_lines, reason = "a table: one line for each event")]
pub(super) fn trace(event: &Event) {
    use tracing::{debug, info};
    match event {
        Event::RunStarted(header) => info!(run = %header.run, "run started"),
        Event::RunResumed { epoch, .. } => info!(epoch, "run resumed"),
        Event::LaneTaken { wallet, next_nonce, open, foreign, foreign_tx, passed } => {
            let open = open.len();
            info!(%wallet, nonce = %next_nonce, open, ?foreign, ?foreign_tx, passed, "lane taken");
        }
        Event::Surveyed(_) => debug!("surveyed"),
        Event::LogsRead { to, .. } => debug!(block = to.number, "logs read"),
        Event::LogsRewound { to } => info!(block = to.number, "logs rewound"),
        Event::StepExpanded { step, expansion } => info!(step, ?expansion, "step expanded"),
        Event::ItemsRead { step, items } => debug!(step, items = items.len(), "items read"),
        Event::StepEnded { step, end } => info!(step, ?end, "step ended"),
        Event::ConfigPinned { task, bytes, .. } => debug!(%task, bytes, "pinned"),
        Event::SlotReserved { slot, task, .. } => {
            debug!(%task, wallet = %slot.wallet, nonce = %slot.nonce, "slot reserved");
        }
        Event::VersionWanted { slot, .. } => info!(nonce = %slot.nonce, "higher fees wanted"),
        Event::VersionSigned { slot, seq, hash, .. } => {
            debug!(nonce = %slot.nonce, seq = seq.0, tx_hash = %hash, "signed");
        }
        Event::Sent { wallet, sends } => {
            for note in sends {
                debug!(%wallet, nonce = %note.nonce, seq = note.seq.0, outcome = ?note.outcome, "sent");
            }
        }
        Event::Due { timers } => debug!(timers = timers.len(), "due"),
        Event::LaneViewed { wallet, head, count, .. } => {
            debug!(%wallet, block = head.number, count, "lane viewed");
        }
        Event::SlotMined { slot, block, ok, .. } => {
            debug!(nonce = %slot.nonce, block = block.number, ok, "mined");
        }
        Event::SlotReopened { slot } => info!(nonce = %slot.nonce, "slot reopened"),
        Event::SlotFinal { slot, end, gas_paid } => {
            debug!(nonce = %slot.nonce, ?end, wei = %gas_paid.to_u256(), "final");
        }
        Event::TaskPublished { task, address, block, .. } => {
            info!(%task, %address, block = block.number, "published");
        }
        Event::TaskAdopted { task, publication, .. } => {
            info!(%task, address = %publication.address, nonce = %publication.nonce, "adopted");
        }
        Event::FencesAsked { count } => info!(count, "fences asked"),
        Event::PublicationsFound { found } => info!(count = found.len(), "publications found"),
        Event::LaneRead { below } => info!(nonce = %below, "lane read"),
        Event::TaskAttempted { task } => debug!(%task, "attempted"),
        Event::ResponseSeen { task, response, .. } => debug!(%task, %response, "response seen"),
        Event::OutputFetched { task, response, len, .. } => {
            debug!(%task, %response, len, "output fetched");
        }
        Event::FetchFailed { task, response, reason, .. } => {
            info!(%task, %response, reason, "fetch failed");
        }
        Event::OutputChecked { task, response, verdict } => {
            debug!(%task, %response, ?verdict, "output checked");
        }
        Event::ResponseChosen { task, response } => debug!(%task, %response, "response chosen"),
        Event::ResponseConfirmed { task, response, .. } => info!(%task, %response, "confirmed"),
        Event::TaskRead { task, .. } => debug!(%task, "task read"),
        Event::ResponseGone { task, response } => info!(%task, %response, "no response to it"),
        Event::ResponsesExhausted { task } => info!(%task, "responses exhausted"),
        Event::ExpirySeen { task } => info!(%task, "past its expiry, read once more"),
        Event::ExpiryPassed { task } => info!(%task, "expiry passed"),
        Event::RoundOpened { task, round, .. } => info!(%task, %round, "round opened"),
        Event::TaskReopened { task, round, .. } => info!(%task, %round, "task reopened"),
        Event::StepReopened { step } => info!(step, "step reopened"),
        Event::PaymentsRaised { permille, .. } => info!(permille, "payments raised"),
        Event::CodeAccepted { .. } => info!("other code accepted"),
        Event::TaskDone { task, outcome } => info!(%task, ?outcome, "done"),
        Event::EscrowReturned { amount } => info!(wei = %amount.to_u256(), "escrow returned"),
        Event::BudgetReached { needed } => info!(wei = %needed.to_u256(), "budget reached"),
        Event::DepositAsked { amount, .. } => info!(wei = %amount.to_u256(), "deposit asked"),
        Event::CancelAsked { scope, discard } => info!(?scope, discard, "cancel asked"),
        Event::ReclaimAsked { tasks } => info!(tasks = tasks.len(), "reclaim asked"),
        Event::DrainAsked { .. } => info!("drain asked"),
        Event::RunEnded { outcome } => info!(?outcome, "run ended"),
    }
}
