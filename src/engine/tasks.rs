//! The tasks that have not ended, and the orders in which they are looked for.
//!
//! Every change of a task goes through [`Tasks::change`], which files it anew, so that no
//! question scans the tasks: which are ready, which wait for a height or an expiry to be final,
//! which want a confirm, whose contract is this.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

use alloy::primitives::Address;

use crate::units::{ChainTime, TaskId, Wei};

use super::task::{Task, TaskState};

/// The tasks that have not ended.
#[derive(Clone, Debug, Default)]
pub(super) struct Tasks {
    live: BTreeMap<TaskId, Task>,
    /// Pinned tasks that wait for the gates.
    ready: BTreeSet<TaskId>,
    /// Tasks that wait for a height to be final.
    by_height: BTreeSet<(u64, TaskId)>,
    /// Tasks that nobody has responded to, by expiry.
    by_expiry: BTreeSet<(ChainTime, TaskId)>,
    /// Tasks whose confirm has no slot yet: first those that need the usual gas, and of these the
    /// ones that most is kept for.
    unconfirmed: BTreeSet<(u32, Reverse<Wei>, TaskId)>,
    /// Tasks to be taken back whose end is open: not published for good, not attempted, or with a
    /// cancel under way.
    undecided: BTreeSet<TaskId>,
    /// Of those, the ones that a cancel can be signed for.
    cancelable: BTreeSet<TaskId>,
    /// Tasks to be taken back that have a response: they end by themselves.
    collecting: u32,
    by_address: BTreeMap<Address, TaskId>,
    by_response: BTreeMap<Address, TaskId>,
    open: u32,
    /// What is kept for confirms, of all tasks.
    confirm_reserves: Wei,
}

/// What a task counts as in its step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Class {
    /// Not bound to a slot yet.
    Before,
    /// Bound or on chain.
    Open,
}

impl Class {
    /// What a task counts as.
    pub(super) const fn of(task: &Task) -> Self {
        if task.is_open() { Self::Open } else { Self::Before }
    }
}

impl Tasks {
    /// The task, if it has not ended.
    pub(super) fn get(&self, id: TaskId) -> Option<&Task> {
        self.live.get(&id)
    }

    /// All tasks that have not ended, in the order of their ids.
    pub(super) fn iter(&self) -> impl Iterator<Item = (TaskId, &Task)> {
        self.live.iter().map(|(id, task)| (*id, task))
    }

    /// How many are bound or on chain.
    pub(super) const fn open(&self) -> u32 {
        self.open
    }

    /// Adds a task.
    pub(super) fn insert(&mut self, id: TaskId, task: Task) {
        self.file(id, &task);
        self.live.insert(id, task);
    }

    /// Changes a task and files it where it belongs; says what it counted as and counts as.
    pub(super) fn change(
        &mut self,
        id: TaskId,
        change: impl FnOnce(&mut Task),
    ) -> Option<(Class, Class)> {
        let mut task = self.take(id)?;
        let before = Class::of(&task);
        change(&mut task);
        let after = Class::of(&task);
        self.insert(id, task);
        Some((before, after))
    }

    /// Takes a task that has ended.
    pub(super) fn take(&mut self, id: TaskId) -> Option<Task> {
        let task = self.live.remove(&id)?;
        self.unfile(id, &task);
        Some(task)
    }

    /// The task whose contract this is.
    pub(super) fn at(&self, address: Address) -> Option<TaskId> {
        self.by_address.get(&address).copied()
    }

    /// The task that this responds to.
    pub(super) fn responded_by(&self, response: Address) -> Option<TaskId> {
        self.by_response.get(&response).copied()
    }

    /// Tasks to be taken back of which it is open whether they can be.
    pub(super) fn undecided(&self) -> impl Iterator<Item = TaskId> + '_ {
        self.undecided.iter().copied()
    }

    /// The first task that a cancel can be signed for.
    pub(super) fn first_cancelable(&self) -> Option<TaskId> {
        self.cancelable.first().copied()
    }

    /// How many tasks to be taken back have a response that is looked at or paid.
    pub(super) const fn collecting(&self) -> u32 {
        self.collecting
    }

    /// Pinned tasks of a step, in input order.
    pub(super) fn ready_of(&self, step: u16) -> impl Iterator<Item = TaskId> + '_ {
        let all = TaskId::new(step, 0)..=TaskId::new(step, u32::MAX);
        self.ready.range(all).copied()
    }

    /// Whether any pinned task waits for the gates.
    pub(super) fn any_ready(&self) -> bool {
        !self.ready.is_empty()
    }

    /// A task whose confirm has no slot yet: of those, one that needs the usual gas and that most is
    /// kept for, so that if its confirm is too dear, all are.
    pub(super) fn first_unconfirmed(&self) -> Option<TaskId> {
        self.unconfirmed.first().map(|(_, _, id)| *id)
    }

    /// How many tasks have a confirm without a slot.
    pub(super) fn unconfirmed_count(&self) -> u32 {
        u32::try_from(self.unconfirmed.len()).unwrap_or(u32::MAX)
    }

    /// What is kept for the gas of confirms, in wei.
    pub(super) const fn confirm_reserves(&self) -> Wei {
        self.confirm_reserves
    }

    /// Tasks that wait for a height up to this one.
    pub(super) fn waiting_for_height(&self, height: u64) -> Vec<TaskId> {
        self.by_height.iter().take_while(|(h, _)| *h <= height).map(|(_, id)| *id).collect()
    }

    /// Whether a task waits for a height up to this one.
    pub(super) fn any_waits_for_height(&self, height: u64) -> bool {
        self.by_height.first().is_some_and(|(h, _)| *h <= height)
    }

    /// Tasks without a response whose expiry is before this moment.
    pub(super) fn past_expiry(&self, now: ChainTime) -> Vec<TaskId> {
        self.by_expiry.iter().take_while(|(expiry, _)| *expiry < now).map(|(_, id)| *id).collect()
    }

    fn file(&mut self, id: TaskId, task: &Task) {
        if task.is_open() {
            self.open += 1;
        }
        if task.is_undecided() {
            self.undecided.insert(id);
        }
        if task.is_cancelable() {
            self.cancelable.insert(id);
        }
        self.collecting += u32::from(task.is_collecting());
        self.confirm_reserves = self.confirm_reserves.saturating_add(task.confirm_reserve);
        if let Some(published) = task.published() {
            self.by_address.insert(published.address, id);
        }
        self.by_response.extend(task.responses().map(|response| (response, id)));
        match &task.state {
            TaskState::Ready { .. } => {
                self.ready.insert(id);
            }
            // The end of a cancel that is under way says more; and what is to be read may have a
            // response of which no log will tell.
            TaskState::Awaiting(published) if !task.cancel.is_bound() && !published.read_wanted => {
                self.by_expiry.insert((published.expiry, id));
            }
            TaskState::Choosing { candidate, .. } => {
                self.by_height.insert((candidate.response.block.number, id));
            }
            TaskState::Confirming { published, nonce: None, .. } => {
                self.unconfirmed.insert((published.starved, Reverse(task.confirm_reserve), id));
            }
            TaskState::Closing { after, .. } => {
                self.by_height.insert((*after, id));
            }
            TaskState::Waiting { .. }
            | TaskState::Pinning
            | TaskState::Publishing { .. }
            | TaskState::Awaiting(_)
            | TaskState::Checking { .. }
            | TaskState::Confirming { nonce: Some(_), .. } => {}
        }
    }

    fn unfile(&mut self, id: TaskId, task: &Task) {
        if task.is_open() {
            self.open -= 1;
        }
        self.undecided.remove(&id);
        self.cancelable.remove(&id);
        self.collecting -= u32::from(task.is_collecting());
        self.confirm_reserves = self.confirm_reserves.saturating_sub(task.confirm_reserve);
        if let Some(published) = task.published() {
            forget(&mut self.by_address, published.address, id);
        }
        task.responses().for_each(|response| forget(&mut self.by_response, response, id));
        match &task.state {
            TaskState::Ready { .. } => {
                self.ready.remove(&id);
            }
            TaskState::Awaiting(published) => {
                self.by_expiry.remove(&(published.expiry, id));
            }
            TaskState::Choosing { candidate, .. } => {
                self.by_height.remove(&(candidate.response.block.number, id));
            }
            TaskState::Confirming { published, nonce: None, .. } => {
                self.unconfirmed.remove(&(published.starved, Reverse(task.confirm_reserve), id));
            }
            TaskState::Closing { after, .. } => {
                self.by_height.remove(&(*after, id));
            }
            TaskState::Waiting { .. }
            | TaskState::Pinning
            | TaskState::Publishing { .. }
            | TaskState::Checking { .. }
            | TaskState::Confirming { nonce: Some(_), .. } => {}
        }
    }
}

/// Forgets whose address this is, unless a reorg gave it to another task meanwhile.
fn forget(of: &mut BTreeMap<Address, TaskId>, address: Address, id: TaskId) {
    if of.get(&address) == Some(&id) {
        of.remove(&address);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::task::{Published, Response};
    use crate::units::{BlockRef, KeyHash, Nonce};
    use alloy::primitives::B256;

    const ONE: TaskId = TaskId::new(0, 1);
    const TWO: TaskId = TaskId::new(0, 2);

    fn address(byte: u8) -> Address {
        Address::repeat_byte(byte)
    }

    const fn block(number: u64) -> BlockRef {
        BlockRef { number, hash: B256::ZERO }
    }

    fn at(byte: u8) -> TaskState {
        let expiry = ChainTime::from_secs(9);
        TaskState::Awaiting(Published::new(Nonce(0), address(byte), block(3), expiry))
    }

    /// Two tasks, each on chain.
    fn two() -> Tasks {
        let mut tasks = Tasks::default();
        for (id, byte) in [(ONE, 1), (TWO, 2)] {
            let task = Task { state: at(byte), ..Task::new(KeyHash([0; 16]), Wei::ZERO, 60) };
            tasks.insert(id, task);
        }
        tasks
    }

    #[test]
    fn tasks_whose_addresses_a_reorg_swaps_are_both_found() {
        let mut tasks = two();
        // One is published anew, at the address of the other, before that one is taken back.
        tasks.change(ONE, |task| task.state = at(2));
        tasks.change(TWO, |task| task.state = TaskState::Publishing { nonce: Nonce(0) });
        assert_eq!((tasks.at(address(1)), tasks.at(address(2))), (None, Some(ONE)));
        tasks.change(TWO, |task| task.state = at(1));
        assert_eq!((tasks.at(address(1)), tasks.at(address(2))), (Some(TWO), Some(ONE)));
    }

    /// On the next branch their addresses can be those of other tasks, or of other people's.
    #[test]
    fn a_response_that_a_reorg_takes_back_is_nobodys() {
        let mut tasks = two();
        let response = |byte| Response { address: address(byte), block: block(5) };
        tasks.change(ONE, |task| task.queue(response(7)));
        tasks.change(ONE, |task| task.queue(response(8)));
        assert_eq!([7, 8].map(|byte| tasks.responded_by(address(byte))), [Some(ONE); 2]);
        tasks.change(ONE, |task| task.rewind(4));
        assert_eq!([7, 8].map(|byte| tasks.responded_by(address(byte))), [None; 2]);
        tasks.change(TWO, |task| task.queue(response(7)));
        assert_eq!(tasks.responded_by(address(7)), Some(TWO));
    }
}
