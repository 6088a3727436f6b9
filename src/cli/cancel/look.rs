//! What the chain says of a run's open tasks before anything is signed.

use std::collections::BTreeMap;

use alloy::primitives::Address;

use super::super::connect::Connection;
use super::super::errors::of_chain;
use super::super::failure::{Exit, Failure};
use super::super::history::History;
use crate::chain::{Chain, SurveyRequest};
use crate::engine::cancel::cancel_ceiling;
use crate::engine::{CancelScope, RunHeader};
use crate::pipeline::Code;
use crate::report::Reached;
use crate::report::layout::Coin;
use crate::store::LaneState;
use crate::units::text::counted;
use crate::units::{
    BlockRef, Call, ChainTime, Purpose, ReceiptStatus, RunId, Slot, Survey, TaskId, TaskStatus, Wei,
};

/// How many tasks are read at once.
const READ_CHUNK: usize = 100;
/// Room above today's gas, in thousandths: prices move, and replacements cost more.
const GAS_ROOM: u32 = 1000;

/// Tasks in the scope of a cancel, by what the chain says of them.
#[derive(Debug)]
pub(super) struct Look {
    /// Nobody has attempted these: count and payments.
    free: Sum,
    /// Signed, and in no block.
    sent: Sum,
    /// Attempted, responded or ended otherwise: they cannot be taken back.
    taken: Sum,
    /// When the last of those ends.
    until: Option<ChainTime>,
    /// Read, and nothing was signed for them.
    unbound: usize,
    /// Items that no task was made of yet.
    unread: u64,
    /// Steps that have not begun and will not.
    unstarted: usize,
    /// Whether the whole run was cancelled before.
    again: bool,
    /// Whether the process that worked on it last was cut off.
    cut_off: bool,
    /// What a cancel costs in gas, and the most that it can, in wei.
    gas: (Wei, Wei),
    /// What the wallet has, in wei.
    wallet: Wei,
    /// What the vault holds for open tasks of anyone, in wei.
    pub(super) frozen: Wei,
    /// Of that, for open tasks of this run, in wei.
    pub(super) held: Wei,
}

/// Some tasks and what they pay, in wei.
#[derive(Clone, Copy, Debug, Default)]
struct Sum {
    count: usize,
    payment: Wei,
}

impl Sum {
    fn add(&mut self, payment: Wei) {
        self.count += 1;
        self.payment = self.payment.saturating_add(payment);
    }
}

impl Look {
    /// Looks: at the wallet's open slots, then at each contract.
    ///
    /// # Errors
    /// When the chain cannot be read.
    pub(super) async fn take(
        connection: &Connection,
        header: &RunHeader,
        (history, lane): (&History, &LaneState),
        scope: &CancelScope,
    ) -> Result<Self, Failure> {
        let chain = connection.chain.as_ref();
        let failed = |error| of_chain(&error);
        let vault = chain.vault_of(header.payer).await.map_err(failed)?;
        let wallet = chain.wallet_of(header.signer).await.map_err(failed)?;
        let request = SurveyRequest { wallet: Some(header.signer), ..SurveyRequest::default() };
        let survey = chain.survey(request).await.map_err(failed)?;
        let known = addresses(connection, header, history, lane).await?;
        let states = statuses(connection, &known, survey.head).await?;
        let tally = history.tally();
        let mut look = Self {
            free: Sum::default(),
            sent: Sum::default(),
            taken: Sum::default(),
            until: None,
            unbound: 0,
            unread: unread(history, scope),
            unstarted: unstarted(history, scope),
            again: tally.is_canceled(),
            cut_off: tally.outcome().is_none(),
            gas: gas(connection, header, &survey, &states).await,
            wallet: wallet.balance,
            frozen: vault.frozen,
            held: Wei::ZERO,
        };
        for (id, task) in tally.open() {
            let status = known.get(&id).and_then(|address| states.get(address));
            if status.is_some_and(is_frozen) {
                look.held = look.held.saturating_add(task.payment);
            }
            if !scope.holds(id) {
                continue;
            }
            match status {
                // One that the chain calls cancelled was by us, and is not final.
                Some(TaskStatus::New | TaskStatus::Canceled) => look.free.add(task.payment),
                Some(
                    TaskStatus::Attempted
                    | TaskStatus::Responded
                    | TaskStatus::Expired
                    | TaskStatus::Finalized
                    | TaskStatus::Unknown(_),
                ) => {
                    look.taken.add(task.payment);
                    look.until = look.until.max(task.expiry);
                }
                None if task.now == Reached::Waiting => look.unbound += 1,
                None => look.sent.add(task.payment),
            }
        }
        Ok(look)
    }

    /// How many tasks may be taken back.
    pub(super) const fn attemptable(&self) -> usize {
        self.free.count + self.sent.count
    }

    /// What comes back at most, in wei.
    pub(super) const fn refund(&self) -> Wei {
        self.free.payment
    }

    /// The most that all of it can cost in gas, in wei. A slot whose publication wins against its
    /// no-op needs a cancel, too.
    pub(super) fn gas_at_most(&self) -> Wei {
        let count = self.free.count.saturating_add(self.sent.count.saturating_mul(3));
        let gas = self.gas.1.saturating_mul(count as u64);
        gas.raised_by_permille(GAS_ROOM).unwrap_or(gas)
    }

    /// Whether nothing is left to be done for this scope.
    pub(super) const fn is_idle(&self, scope: &CancelScope) -> bool {
        let stops_more = match scope {
            CancelScope::Run => !self.again || self.cut_off,
            CancelScope::Step { .. } => self.unread > 0 || self.unstarted > 0,
            CancelScope::Tasks { .. } => false,
        };
        self.attemptable() == 0 && self.unbound == 0 && !stops_more
    }

    /// What to type if there is nothing to do.
    pub(super) fn next(&self, run: &RunId) -> String {
        let word = if self.taken.count > 0 { "resume" } else { "status" };
        format!("ogflow {word} {run}")
    }

    /// Whether the wallet can pay for the gas.
    ///
    /// # Errors
    /// Exit 5 if it cannot pay for one cancel.
    pub(super) fn affordable(&self, connection: &Connection) -> Result<(), Failure> {
        if self.attemptable() == 0 || self.wallet >= self.gas.1 {
            return Ok(());
        }
        let coin = Coin::of(&connection.network);
        let message = format!(
            "the wallet has {}, and a cancel needs {} for gas",
            coin.exact(self.wallet),
            coin.exact(self.gas.1)
        );
        let lacking = coin.rounded(self.gas_at_most().saturating_sub(self.wallet));
        let to = connection.signer.map_or_else(String::new, |signer| format!(" to {signer}"));
        let failure = Failure::new(Exit::Funds, message).coded(Code::E0812);
        Err(failure.help(format!("send {lacking}{to}")))
    }

    /// The table.
    pub(super) fn lines(&self, coin: &Coin) -> Vec<String> {
        let mut rows: Vec<(usize, String, String)> = Vec::new();
        if self.free.count > 0 {
            let gas = self.gas.0.saturating_mul(self.free.count as u64);
            rows.push((
                self.free.count,
                "not yet attempted".into(),
                format!(
                    "can be cancelled    refund {}   gas about {}",
                    coin.exact(self.free.payment),
                    coin.rounded(gas)
                ),
            ));
        }
        if self.sent.count > 0 {
            let what = "cancelled where the chain has not taken them first";
            rows.push((self.sent.count, "sent, in no block".into(), what.into()));
        }
        if self.taken.count > 0 {
            let until = self
                .until
                .map_or_else(String::new, |until| format!("; they end by {}", clock_time(until)));
            rows.push((
                self.taken.count,
                "attempted or responded".into(),
                format!(
                    "cannot be cancelled by the contract ({} stays locked{until})",
                    coin.exact(self.taken.payment)
                ),
            ));
        }
        let unpublished = self.unbound as u64 + self.unread;
        if unpublished > 0 {
            let count = usize::try_from(unpublished).unwrap_or(usize::MAX);
            rows.push((count, "not published".into(), "will not be published".into()));
        }
        if self.unstarted > 0 && !self.again {
            rows.push((self.unstarted, "not started".into(), "will not be started".into()));
        }
        let wide = rows.iter().map(|(_, what, _)| what.chars().count()).max().unwrap_or(0);
        let lines = rows.into_iter().map(|(count, what, then)| {
            let noun = if what == "not started" { "step" } else { "task" };
            let tasks = counted(count, noun);
            coin.line(format!(" {tasks:>9} {what:<wide$}  {then}"))
        });
        lines.collect()
    }
}

/// Whether the vault holds the payment of such a task.
const fn is_frozen(status: &TaskStatus) -> bool {
    match status {
        TaskStatus::New | TaskStatus::Attempted | TaskStatus::Responded => true,
        TaskStatus::Canceled
        | TaskStatus::Expired
        | TaskStatus::Finalized
        | TaskStatus::Unknown(_) => false,
    }
}

/// The hour and minute of a moment of the chain, in UTC.
pub(super) fn clock_time(at: ChainTime) -> String {
    let minutes = at.as_secs() / 60;
    format!("{:02}:{:02} UTC", minutes / 60 % 24, minutes % 60)
}

/// The contracts of open tasks: by the journal, and by receipts that it has not seen.
async fn addresses(
    connection: &Connection,
    header: &RunHeader,
    history: &History,
    lane: &LaneState,
) -> Result<BTreeMap<TaskId, Address>, Failure> {
    let tally = history.tally();
    let mut known: BTreeMap<TaskId, Address> =
        tally.open().filter_map(|(id, task)| Some((id, task.address?))).collect();
    let mut bound = BTreeMap::new();
    for open in &lane.open {
        let slot = Slot { wallet: header.signer, nonce: open.nonce };
        if let Some((id, Purpose::Publish)) = tally.slot(slot) {
            bound.extend(open.versions.iter().map(|version| (version.hash, id)));
        }
    }
    let hashes: Vec<_> = bound.keys().copied().collect();
    for chunk in hashes.chunks(READ_CHUNK) {
        let view = connection.chain.view(header.signer, chunk.to_vec(), Vec::new()).await;
        for receipt in view.map_err(|error| of_chain(&error))?.receipts {
            let ok = receipt.status == ReceiptStatus::Ok;
            let published = receipt.published.filter(|_| ok);
            if let (Some(id), Some(address)) = (bound.get(&receipt.tx_hash), published) {
                known.insert(*id, address);
            }
        }
    }
    Ok(known)
}

/// What the contracts say at one block.
async fn statuses(
    connection: &Connection,
    known: &BTreeMap<TaskId, Address>,
    at: BlockRef,
) -> Result<BTreeMap<Address, TaskStatus>, Failure> {
    let all: Vec<Address> = known.values().copied().collect();
    let mut states = BTreeMap::new();
    for chunk in all.chunks(READ_CHUNK) {
        let read = connection.chain.read_tasks(chunk.to_vec(), at).await;
        let read = read.map_err(|error| of_chain(&error))?;
        states.extend(read.into_iter().flatten().map(|facts| (facts.task, facts.status)));
    }
    Ok(states)
}

/// What one cancel takes in gas, and the most that is reserved for it, in wei.
async fn gas(
    connection: &Connection,
    header: &RunHeader,
    survey: &Survey,
    states: &BTreeMap<Address, TaskStatus>,
) -> (Wei, Wei) {
    let most = cancel_ceiling(survey).unwrap_or(Wei::ZERO);
    let free = states.iter().find(|(_, status)| **status == TaskStatus::New);
    let Some((task, _)) = free else { return (most, most) };
    let call = Call::CancelTask { task: *task };
    // Somebody may have attempted it just now: then a guess is shown.
    let units = connection.chain.estimate(header.signer, call).await;
    let units = units.unwrap_or(survey.confirm_gas);
    (survey.max_fee_per_gas.saturating_mul(units), most)
}

/// Steps in the scope of which nothing is known yet.
fn unstarted(history: &History, scope: &CancelScope) -> usize {
    let steps = (0_u16..).zip(history.tally().steps());
    let open = steps.filter(|(_, (_, step))| step.end.is_none() && !step.started);
    open.filter(|(place, _)| match scope {
        CancelScope::Run => true,
        CancelScope::Step { step } => step == place,
        CancelScope::Tasks { .. } => false,
    })
    .count()
}

/// Items of steps in the scope that no task was made of.
fn unread(history: &History, scope: &CancelScope) -> u64 {
    let steps = (0_u16..).zip(history.tally().steps());
    let meant = steps.filter(|(place, _)| match scope {
        CancelScope::Run => true,
        CancelScope::Step { step } => step == place,
        CancelScope::Tasks { .. } => false,
    });
    let open = meant.filter(|(_, (_, step))| step.end.is_none());
    open.map(|(_, (_, step))| step.items.unwrap_or(step.read).saturating_sub(step.read)).sum()
}
