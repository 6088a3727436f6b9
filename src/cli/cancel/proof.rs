//! What was cancelled, with its transactions, and whether the vault shows the refund.

use alloy::primitives::Address;

use super::super::connect::Connection;
use super::super::errors::of_chain;
use super::super::failure::Failure;
use super::super::history::{EndedTask, History};
use super::super::settings::Settings;
use super::look::{Look, clock_time};
use crate::chain::Chain;
use crate::engine::{CancelScope, Outcome};
use crate::report::Reached;
use crate::report::layout::Coin;
use crate::units::text::counted;
use crate::units::{RunId, TaskId, Wei};

/// What the end is told with.
pub(super) struct Told<'a> {
    pub(super) settings: &'a Settings,
    pub(super) connection: &'a Connection,
    pub(super) run: &'a RunId,
    pub(super) scope: &'a CancelScope,
}

impl Told<'_> {
    /// The table of what was done on stdout; what came back and what could not on stderr.
    ///
    /// # Errors
    /// When the vault cannot be read, or stdout not written.
    pub(super) async fn end(
        &self,
        payer: Address,
        look: &Look,
        (before, after): (&History, &History),
    ) -> Result<(), Failure> {
        let canceled: Vec<(TaskId, &EndedTask)> = after
            .all_ended()
            .filter(|(id, ended)| ended.outcome == Outcome::Canceled && before.task(*id).is_none())
            .collect();
        let coin = Coin::of(&self.connection.network);
        if self.settings.json.is_none() {
            let rows: Vec<String> =
                canceled.iter().map(|(id, ended)| row(after, &coin, *id, ended)).collect();
            if !rows.is_empty() {
                self.settings.ui.out(&rows.join("\n"))?;
            }
        }
        let refund =
            canceled.iter().map(|(_, ended)| payment(ended)).fold(Wei::ZERO, Wei::saturating_add);
        let vault =
            self.connection.chain.vault_of(payer).await.map_err(|error| of_chain(&error))?;
        let count = counted(canceled.len(), "task");
        let ui = &self.settings.ui;
        if canceled.is_empty() {
            ui.talk(" Nothing could be cancelled; nothing more is published.");
        } else if refund.is_zero() {
            ui.talk(&format!(" {count} cancelled; nothing was in escrow"));
        } else if vault.frozen <= expected(look, before, after) {
            let back = coin.exact(refund);
            ui.talk(&coin.line(format!(" {count} cancelled, {back} back in the vault (checked)")));
        } else {
            ui.talk(&format!(" {count} cancelled"));
            ui.warn(&format!("the vault does not show {} back yet", coin.exact(refund)));
        }
        self.left(&coin, after);
        Ok(())
    }

    /// What could not be cancelled.
    fn left(&self, coin: &Coin, after: &History) {
        let tally = after.tally();
        let open: Vec<_> = tally.open().filter(|(id, _)| self.scope.holds(*id)).collect();
        if open.is_empty() {
            return;
        }
        let locked = open.iter().filter(|(_, task)| task.is_on_chain());
        let locked = locked.fold(Wei::ZERO, |sum, (_, task)| sum.saturating_add(task.payment));
        let taken = open.iter().all(|(_, task)| task.now >= Reached::Attempted);
        let why = if taken { "attempted or responded" } else { "not settled" };
        let until = open.iter().filter_map(|(_, task)| task.expiry).max();
        let until =
            until.map_or_else(String::new, |at| format!("; they end by {}", clock_time(at)));
        let ui = &self.settings.ui;
        let count = counted(open.len(), "task");
        ui.talk(&coin.line(format!(
            " {count} not cancelled: {why} ({} stays locked{until})",
            coin.exact(locked)
        )));
        ui.talk(&format!(" What they bring is kept: `ogflow resume {}` collects it.", self.run));
    }
}

/// What was in escrow for a task when it ended, in wei.
fn payment(ended: &EndedTask) -> Wei {
    if ended.task.is_on_chain() { ended.task.payment } else { Wei::ZERO }
}

/// The most that the vault may hold now: what it held for others, what is still open, and what
/// failed meanwhile and may not be back.
fn expected(look: &Look, before: &History, after: &History) -> Wei {
    let others = look.frozen.saturating_sub(look.held);
    let open = after.tally().open().filter(|(_, task)| task.is_on_chain());
    let open = open.fold(Wei::ZERO, |sum, (_, task)| sum.saturating_add(task.payment));
    let failed = after.all_ended().filter(|(id, ended)| {
        matches!(ended.outcome, Outcome::Failed(_)) && before.task(*id).is_none()
    });
    let failed = failed.fold(Wei::ZERO, |sum, (_, ended)| sum.saturating_add(payment(ended)));
    others.saturating_add(open).saturating_add(failed)
}

fn row(after: &History, coin: &Coin, id: TaskId, ended: &EndedTask) -> String {
    let label = format!("{}/{}", after.tally().name(id.step), ended.task.key);
    let back = coin.exact(payment(ended));
    match after.canceled_by(id) {
        Some(hash) => coin.line(format!(" {label}   cancelled   {back}   {hash}")),
        None => format!(" {label}   cancelled   nothing was published"),
    }
}
