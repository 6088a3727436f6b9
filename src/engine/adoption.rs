//! What a lost journal knew, read back from the chain (safety.md, sections 6 and 7).
//!
//! The chain says what the wallet has published; a tag in a config says for which task of which
//! run. A task whose present round is among it is not published: it goes on from its contract, as
//! if the log stream had just told of it, and is read directly for what came before. Without a tag
//! the config itself is compared: equal items are interchangeable.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::units::{Nonce, PastPublication, TaskId, TaskKey, Timestamp};

use super::task::{Published, Task, TaskState};
use super::{Engine, Event, Timer, Turn};

/// How many publications one fact names at most.
const CHUNK: usize = 256;

/// A publication of the wallet, and which task it is of.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Found {
    /// The tag in its config; `None` if there is none.
    pub key: Option<TaskKey>,
    /// The publication.
    pub publication: PastPublication,
}

/// Publications that no task has been found for yet.
#[derive(Clone, Debug, Default)]
pub(super) struct Finds {
    by_key: BTreeMap<TaskKey, PastPublication>,
    /// Those without a tag, by config; the last is the oldest.
    by_config: BTreeMap<String, Vec<PastPublication>>,
}

impl Finds {
    fn is_empty(&self) -> bool {
        self.by_key.is_empty() && self.by_config.is_empty()
    }

    /// Remembers publications. Of two with one tag the first counts: it is the one that was meant.
    pub(super) fn add(&mut self, found: &[Found]) {
        for Found { key, publication } in found {
            match key {
                Some(key) => {
                    self.by_key.entry(*key).or_insert_with(|| publication.clone());
                }
                None => {
                    let same = self.by_config.entry(publication.config.clone()).or_default();
                    if same.iter().all(|known| known.tx_hash != publication.tx_hash) {
                        same.insert(0, publication.clone());
                    }
                }
            }
        }
    }

    fn find(&self, key: TaskKey, state: &TaskState) -> Option<&PastPublication> {
        self.by_key.get(&key).or_else(|| {
            let TaskState::Ready { url } = state else { return None };
            self.by_config.get(url)?.last()
        })
    }

    fn remove(&mut self, key: TaskKey, publication: &PastPublication) {
        self.by_key.remove(&key);
        if let Some(same) = self.by_config.get_mut(&publication.config) {
            same.retain(|known| known.tx_hash != publication.tx_hash);
            if same.is_empty() {
                self.by_config.remove(&publication.config);
            }
        }
    }
}

impl Engine {
    /// Takes what was read of the chain, once, and adopts what belongs to known tasks.
    pub(super) fn on_chain_read(&mut self, found: Vec<Found>, below: Nonce, turn: &mut Turn) {
        if self.lane.as_ref().is_none_or(|lane| below <= lane.read_below) {
            return;
        }
        for chunk in found.chunks(CHUNK) {
            self.emit(turn, Event::PublicationsFound { found: chunk.to_vec() });
        }
        self.emit(turn, Event::LaneRead { below });
        let live: Vec<TaskId> = self.tasks.iter().map(|(id, _)| id).collect();
        live.into_iter().for_each(|id| self.adopt(id, turn));
    }

    /// Adopts the publication of a task's present round, if there is one that it does not know.
    pub(super) fn adopt(&mut self, id: TaskId, turn: &mut Turn) {
        if self.finds.is_empty() {
            return;
        }
        let Some(task) = self.tasks.get(id).filter(|task| !task.is_open()) else { return };
        let Some(key) = self.key_for(id) else { return };
        let Some(publication) = self.finds.find(key, &task.state).cloned() else { return };
        self.emit(turn, Event::TaskAdopted { task: id, key, publication });
    }

    pub(super) fn task_adopted(
        &mut self,
        id: TaskId,
        key: TaskKey,
        publication: &PastPublication,
        at: Timestamp,
    ) {
        self.finds.remove(key, publication);
        let PastPublication { nonce, address, block, expiry, payment, gas_paid, .. } = publication;
        self.ledger.adopt(*payment, *gas_paid);
        self.last_publication = self.last_publication.max(block.number);
        self.timers.clear(Timer::Round(id));
        let published = Published {
            is_final: true,
            read_wanted: true,
            ..Published::new(*nonce, *address, *block, *expiry)
        };
        self.change(id, |task| {
            task.payment = *payment;
            task.state = TaskState::Awaiting(published);
        });
        self.listen(id, at);
    }

    /// Below this nonce nothing is unknown any more. What waits for slots that were used by
    /// something else will wait for others.
    pub(super) fn lane_read(&mut self, below: Nonce) {
        let Some(lane) = &mut self.lane else { return };
        lane.began = lane.began.max(below);
        lane.read_below = below;
        lane.quarantined = false;
        let gone = |task: &Task| task.slot().is_some_and(|nonce| !lane.slots.contains_key(&nonce));
        let stuck: Vec<TaskId> =
            self.tasks.iter().filter(|(_, task)| gone(task)).map(|(id, _)| id).collect();
        stuck.into_iter().for_each(|id| self.unbind(id));
    }

    /// A task whose slot was used by something else: it is bound anew, or adopted.
    pub(super) fn unbind(&mut self, id: TaskId) {
        let Some(task) = self.tasks.get(id) else { return };
        let publishing = matches!(task.state, TaskState::Publishing { .. });
        if publishing {
            self.release_payment(task.payment);
        }
        self.change(id, |task| {
            if publishing {
                task.state = TaskState::Pinning;
            } else if let TaskState::Confirming { nonce, .. } = &mut task.state {
                *nonce = None;
            }
        });
    }
}
