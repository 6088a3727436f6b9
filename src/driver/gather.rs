//! Reads of responses, gathered: each page of the log stream brings few, and a batch holds many.

use std::mem;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use alloy::primitives::Address;
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use crate::chain::Chain;
use crate::content::Content;
use crate::engine::EffectKey;
use crate::units::{BlockRef, TaskId};

use super::crew::{Crew, Reply};

/// A response, and the task that it is to be one of.
pub(super) type Fetch = (TaskId, Address, Address);

/// So many are read without waiting for more: two requests each, and one for the block.
const ENOUGH: usize = 49;

/// What is to be read, and at which block.
#[derive(Debug, Default)]
struct Waiting {
    fetches: Vec<Fetch>,
    at: Option<BlockRef>,
    /// How often some were taken: who waited for those has nothing to do with what is left.
    taken: u64,
}

/// Gathers what is to be read.
#[derive(Clone, Debug, Default)]
pub(super) struct Gatherer {
    waiting: Arc<Mutex<Waiting>>,
}

/// What is left waiting, for whoever comes for it later.
pub(super) struct Rest(u64);

impl Gatherer {
    /// Takes responses that are to be read at the block `at`, or at one after it. Gives back those
    /// that are to be read now, which is all of them in a `hurry`, and says if somebody is to come
    /// for the rest.
    pub(super) fn add(
        &self,
        fetches: Vec<Fetch>,
        at: BlockRef,
        hurry: bool,
    ) -> (Vec<Fetch>, Option<Rest>) {
        let mut waiting = self.waiting();
        let nobody_comes = waiting.fetches.is_empty();
        waiting.fetches.extend(fetches);
        waiting.at = Some(at);
        let count = waiting.fetches.len();
        let now = if hurry { count } else { count - count % ENOUGH };
        let ready: Vec<Fetch> = waiting.fetches.drain(..now).collect();
        waiting.taken += u64::from(!ready.is_empty());
        let wanted = !waiting.fetches.is_empty() && (nobody_comes || !ready.is_empty());
        (ready, wanted.then_some(Rest(waiting.taken)))
    }

    /// Takes what is left, unless others took some of it meanwhile.
    pub(super) fn take(&self, Rest(taken): Rest) -> Option<(Vec<Fetch>, BlockRef)> {
        let mut waiting = self.waiting();
        let at = waiting.at.filter(|_| waiting.taken == taken)?;
        waiting.taken += 1;
        Some((mem::take(&mut waiting.fetches), at))
    }

    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Reads responses, a batch at a time, and fetches their outputs.
pub(super) async fn fetch_all<C: Chain, K: Content>(
    crew: Crew<C, K>,
    sender: mpsc::UnboundedSender<Reply>,
    (fetches, at): (Vec<Fetch>, BlockRef),
) {
    let mut reads = JoinSet::new();
    for chunk in fetches.chunks(ENOUGH) {
        drop(reads.spawn(fetch(crew.clone(), sender.clone(), chunk.to_vec(), at)));
    }
    reads.join_all().await;
}

async fn fetch<C: Chain, K: Content>(
    crew: Crew<C, K>,
    sender: mpsc::UnboundedSender<Reply>,
    fetches: Vec<Fetch>,
    at: BlockRef,
) {
    let responses = fetches.iter().map(|(_, _, response)| *response).collect();
    let facts = match crew.chain.read_responses(responses, at).await {
        Ok(facts) => facts,
        Err(error) => {
            let keys = fetches.iter().map(|(task, _, r)| EffectKey::Fetch(*task, *r));
            drop(sender.send(Reply::not_read(keys.collect(), error)));
            return;
        }
    };
    let mut downloads = JoinSet::new();
    for ((task, of, response), facts) in fetches.into_iter().zip(facts) {
        let (sender, crew) = (sender.clone(), crew.clone());
        let facts = facts.filter(|facts| facts.task == of);
        drop(downloads.spawn(async move {
            drop(sender.send(crew.fetch((task, response, at), facts).await));
        }));
    }
    downloads.join_all().await;
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloy::primitives::B256;

    fn fetches(count: u32) -> Vec<Fetch> {
        (0..count).map(|item| (TaskId::new(0, item), Address::ZERO, Address::ZERO)).collect()
    }

    const fn block(number: u64) -> BlockRef {
        BlockRef { number, hash: B256::ZERO }
    }

    #[test]
    fn few_wait_for_more_and_are_read_once_at_the_newest_block() {
        let gatherer = Gatherer::default();
        let (ready, first) = gatherer.add(fetches(9), block(1), false);
        assert!(ready.is_empty());
        let (ready, nobody) = gatherer.add(fetches(9), block(2), false);
        assert!(ready.is_empty() && nobody.is_none(), "somebody comes already");
        let (taken, at) = gatherer.take(first.unwrap()).unwrap();
        assert_eq!((taken.len(), at), (18, block(2)));
        let (_, again) = gatherer.add(fetches(1), block(3), false);
        assert!(again.is_some(), "whoever came has gone");
    }

    #[test]
    fn whole_batches_go_at_once_and_the_rest_waits_anew() {
        let gatherer = Gatherer::default();
        let (_, first) = gatherer.add(fetches(40), block(1), false);
        let (ready, rest) = gatherer.add(fetches(70), block(2), false);
        assert_eq!(ready.len(), 2 * ENOUGH);
        assert!(gatherer.take(first.unwrap()).is_none(), "the first are read by now");
        assert_eq!(gatherer.take(rest.unwrap()).unwrap().0.len(), 110 - 2 * ENOUGH);
    }

    #[test]
    fn in_a_hurry_nothing_waits() {
        let gatherer = Gatherer::default();
        let (_, rest) = gatherer.add(fetches(3), block(1), false);
        let (ready, nobody) = gatherer.add(fetches(1), block(2), true);
        assert_eq!((ready.len(), nobody.is_none()), (4, true));
        assert!(gatherer.take(rest.unwrap()).is_none());
    }
}
