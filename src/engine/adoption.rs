//! What a lost journal knew, read back from the chain (safety.md, sections 6 and 7).
//!
//! The chain says what the wallet has published; a tag in a config says for which task of which
//! run. A task whose present round is among it is not published: it goes on from its contract, as
//! if the log stream had just told of it, and is read directly for what came before. Without a tag
//! the config itself is compared: equal items are interchangeable.

use std::collections::{BTreeMap, BTreeSet};

use alloy::primitives::B256;
use serde::{Deserialize, Serialize};

use crate::units::{Cid, Nonce, PastPublication, Round, TaskId, TaskKey, Timestamp};

use super::task::{LastClosed, Origin, Published, Task, TaskState};
use super::{Engine, Event, FailReason, Timer, Turn};

/// How many publications one fact names at most.
const CHUNK: usize = 256;
/// How many rounds of a task are looked for: between two that were published there may be some that
/// left nothing on the chain.
const ROUNDS: u32 = 32;

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
    /// The transactions of those that tasks have got.
    given: BTreeSet<B256>,
}

impl Finds {
    fn is_empty(&self) -> bool {
        self.by_key.is_empty() && self.by_config.is_empty()
    }

    /// Remembers publications that no task has got. Of two with one tag the first counts: it is the
    /// one that was meant.
    pub(super) fn add(&mut self, found: &[Found]) {
        for Found { key, publication } in found {
            if self.given.contains(&publication.tx_hash) {
                continue;
            }
            match key {
                Some(key) => {
                    self.by_key.entry(*key).or_insert_with(|| publication.clone());
                }
                None => {
                    let same = self.by_config.entry(config_of(&publication.config)).or_default();
                    if same.iter().all(|known| known.tx_hash != publication.tx_hash) {
                        same.insert(0, publication.clone());
                    }
                }
            }
        }
    }

    fn give(&mut self, key: TaskKey, publication: &PastPublication) {
        self.given.insert(publication.tx_hash);
        self.by_key.remove(&key);
        let config = config_of(&publication.config);
        if let Some(same) = self.by_config.get_mut(&config) {
            same.retain(|known| known.tx_hash != publication.tx_hash);
            if same.is_empty() {
                self.by_config.remove(&config);
            }
        }
    }
}

/// What two URLs of one config have in common: the content id, whatever the gateway.
fn config_of(url: &str) -> String {
    let id = url.parse().ok().and_then(|url| Cid::in_url(&url));
    id.map_or_else(|| url.to_owned(), |id| id.to_string())
}

/// A publication of a task's present round, or of a later one.
struct Find {
    round: Round,
    key: TaskKey,
    publication: PastPublication,
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

    /// Adopts the publications of a task that it does not know, oldest round first. A later round
    /// was opened once the one before it was closed for good, whatever is known of that here.
    pub(super) fn adopt(&mut self, id: TaskId, turn: &mut Turn) {
        while let Some(Find { round, key, publication }) = self.find(id) {
            if self.tasks.get(id).is_some_and(|task| task.round < round) {
                let (payment, not_before) = (publication.payment, turn.now);
                let after = FailReason::PublishError("the chain shows a later round".into());
                let opened = Event::RoundOpened { task: id, round, after, payment, not_before };
                self.emit(turn, opened);
            }
            self.emit(turn, Event::TaskAdopted { task: id, key, publication });
        }
    }

    fn find(&self, id: TaskId) -> Option<Find> {
        if self.finds.is_empty() {
            return None;
        }
        let task = self.tasks.get(id)?;
        let round = match task.last_closed() {
            LastClosed::Before(round) => round,
            LastClosed::MaybeThis(round) => round.next(),
            LastClosed::Unknown => return None,
        };
        if !self.finds.by_key.is_empty() {
            let mut tagged = round;
            for _ in 0..ROUNDS {
                let key = self.key_at(id, tagged)?;
                if let Some(publication) = self.finds.by_key.get(&key).cloned() {
                    return Some(Find { round: tagged, key, publication });
                }
                tagged = tagged.next();
            }
        }
        let TaskState::Ready { url } = &task.state else { return None };
        let publication = self.finds.by_config.get(&config_of(url))?.last()?.clone();
        Some(Find { round, key: self.key_at(id, round)?, publication })
    }

    pub(super) fn task_adopted(
        &mut self,
        id: TaskId,
        key: TaskKey,
        publication: &PastPublication,
        at: Timestamp,
    ) {
        self.finds.give(key, publication);
        let PastPublication { nonce, address, block, expiry, payment, gas_paid, .. } = publication;
        self.ledger.adopt(*payment, *gas_paid);
        self.last_publication = self.last_publication.max(block.number);
        self.timers.clear(Timer::Round(id));
        let published = Published {
            is_final: true,
            origin: Origin::Chain,
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
        lane.foreign = lane.foreign.filter(|nonce| *nonce >= below);
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
