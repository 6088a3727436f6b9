//! Every task of a run that has begun, in input order, with where it stands.

use alloy::primitives::Address;
use serde_json::{Value, json};

use super::super::history::History;
use super::super::table::Table;
use crate::report::figures::paid;
use crate::report::{Reached, layout, rows};
use crate::units::{TaskId, Untrusted, Wei};

/// The fields of a task, for `--where`.
pub const FIELDS: &[&str] =
    &["task", "step", "key", "state", "round", "paid_wei", "address", "reason"];

/// A task in the list.
#[derive(Debug)]
pub struct Listed {
    /// Its place in the plan.
    pub id: TaskId,
    /// `STEP/KEY`.
    pub label: String,
    /// A word of cli.md, section 6.
    pub state: &'static str,
    /// Its round.
    pub round: u16,
    /// What was paid for it.
    pub paid: Wei,
    /// Its contract.
    pub task: Option<Address>,
    /// Why it failed.
    pub why: String,
}

impl Listed {
    /// For machines.
    pub fn json(&self) -> Value {
        let (step, key) = self.label.split_once('/').unwrap_or((&self.label, ""));
        json!({
            "task": self.label,
            "step": step,
            "key": key,
            "state": self.state,
            "round": self.round,
            "paid_wei": self.paid,
            "address": self.task.map(|it| it.to_string()),
            "reason": if self.why.is_empty() { Value::Null } else { json!(self.why) },
        })
    }
}

/// The tasks of a run that have begun.
pub fn all(history: &History) -> Vec<Listed> {
    let tally = history.tally();
    let mut out: Vec<Listed> = tally
        .open()
        .map(|(id, task)| Listed {
            id,
            label: tally.label(id),
            state: word(task.now),
            round: task.round.get(),
            paid: Wei::ZERO,
            task: task.address,
            why: String::new(),
        })
        .collect();
    for step in 0..tally.steps().count() {
        let step = u16::try_from(step).unwrap_or(u16::MAX);
        out.extend(history.ended(step).map(|(item, ended)| {
            let why = rows::failure(&ended.outcome);
            Listed {
                id: TaskId::new(step, item),
                label: format!("{}/{}", tally.name(step), ended.task.key),
                state: rows::state(&ended.outcome),
                round: ended.task.round.get(),
                paid: paid(&ended.outcome),
                task: ended.task.address,
                why: why.map_or_else(String::new, |(reason, message)| {
                    if message.is_empty() {
                        reason.to_owned()
                    } else {
                        format!("{reason}: {message}")
                    }
                }),
            }
        }));
    }
    out.sort_by_key(|it| it.id);
    out
}

/// Tasks as comma-separated values.
pub(super) fn csv(all: &[Listed]) -> String {
    let mut text = String::from("task,state,round,paid_wei,address\n");
    for row in all {
        let address = row.task.map_or_else(String::new, |it| it.to_string());
        let label = row.label.replace('"', "\"\"");
        let paid = row.paid.to_u256();
        text.push_str(&format!("\"{label}\",{},{},{paid},{address}\n", row.state, row.round));
    }
    text
}

/// Tasks as a table; a wide one shortens nothing.
pub(super) fn table(all: &[Listed], wide: bool) -> Table {
    let mut table = Table::new(&["TASK", "STATE", ">ROUND", ">PAID", "ADDRESS", "REASON"]);
    let address = |it: &Address| if wide { it.to_string() } else { layout::short(it) };
    for row in all {
        let paid = if wide { row.paid.coins() } else { row.paid.coins_rounded(4) };
        table.row(vec![
            Untrusted::from(row.label.as_str()).to_string(),
            row.state.to_owned(),
            row.round.to_string(),
            paid,
            row.task.as_ref().map_or_else(|| "–".to_owned(), address),
            Untrusted::from(row.why.as_str()).to_string(),
        ]);
    }
    table
}

/// The word for how far a task has come.
pub(super) const fn word(reached: Reached) -> &'static str {
    match reached {
        Reached::Waiting => "waiting",
        Reached::Submitted => "submitted",
        Reached::Published => "published",
        Reached::Attempted => "attempted",
        Reached::Responded => "responded",
    }
}
