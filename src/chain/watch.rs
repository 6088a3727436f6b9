//! The log stream of the registry (safety.md, section 9).
//!
//! One `eth_getLogs` per page is the truth of what happened; the cursor is the caller's. What a
//! page proves is decided in [`page`], which is pure. Here is the loop around it: when to poll,
//! how far to read at once, and how to find back after a reorg.
//!
//! This is the only place in the room that waits for the chain to move.

use std::collections::BTreeSet;

use alloy::primitives::{Address, B256};
use serde_json::json;
use tokio::time::Instant;

use super::contract::log::topics;
use super::contract::{
    LogError, ProtocolLog, ResponseStatus, TaskStatus as WireStatus, decode_log,
};
use super::error::{ChainError, Fault};
use super::finality::{FinalBlock, FinalityRule};
use super::reading::{Header, RawLog, ask_header, ask_latest, header_in, hex, some_header};
use super::rpc::{Ask, Endpoint, Reply, take};
use crate::units::{BlockRef, ChainTime, LogPage, LogRead, Seen, Sighting, TaskStatus};

mod page;
mod rewind;
#[cfg(test)]
mod tests;

use page::{Page, Step, judge};
use rewind::{Past, rewind};

/// How many blocks the first page covers.
const FIRST_WIDTH: u64 = 500;
/// How many blocks a page covers at most.
const MOST_WIDTH: u64 = 10_000;

/// What the watcher remembers between two polls. Nothing of it is needed to be right: a new one
/// only reads a few logs twice.
#[derive(Debug)]
pub(super) struct Watcher {
    head: Option<(Header, Instant)>,
    last_poll: Option<Instant>,
    behind_since: Option<Instant>,
    width: u64,
    widest: u64,
    delivered: BTreeSet<(u64, B256, u64)>,
    tried: usize,
}

impl Default for Watcher {
    fn default() -> Self {
        Self {
            head: None,
            last_poll: None,
            behind_since: None,
            width: FIRST_WIDTH,
            widest: MOST_WIDTH,
            delivered: BTreeSet::new(),
            tried: 0,
        }
    }
}

/// What does not change from page to page.
pub(super) struct Stream<'a> {
    pub(super) nexus: Address,
    pub(super) finality: &'a FinalityRule,
    pub(super) endpoint: &'a Endpoint,
}

impl Watcher {
    /// Waits until there is something above the last block of `ring`, and reads it.
    pub(super) async fn read(
        &mut self,
        stream: &Stream<'_>,
        (ring, final_number): (&[BlockRef], u64),
    ) -> Result<LogRead, ChainError> {
        let past = Past { ring, final_number, below: stream.finality.reach() };
        let Some(cursor) = ring.last().copied() else {
            let head = stream.endpoint.read_as(&[ask_latest()], first_header).await?;
            return Ok(LogRead::Rewound(head.block()));
        };
        self.tried = 0;
        loop {
            self.wait_for_poll(stream.endpoint, cursor).await;
            if self.target(stream.endpoint, cursor).is_none() {
                self.refresh(stream, cursor).await?;
            }
            let Some(to) = self.target(stream.endpoint, cursor) else {
                match self.idle(stream.endpoint, past).await? {
                    Some(read) => return Ok(read),
                    None => continue,
                }
            };
            if let Some(read) = self.page(stream, past, to).await? {
                return Ok(read);
            }
        }
    }

    /// Polls at the endpoint's pace; at once while catching up.
    async fn wait_for_poll(&self, endpoint: &Endpoint, cursor: BlockRef) {
        let far_behind =
            self.head.is_some_and(|(head, _)| head.number > cursor.number + self.width);
        if let Some(last) = self.last_poll
            && !far_behind
        {
            tokio::time::sleep_until(last + endpoint.timing().poll).await;
        }
    }

    /// The last block to read now: the one below the head, or the head once it has stood.
    fn target(&self, endpoint: &Endpoint, cursor: BlockRef) -> Option<u64> {
        let (head, since) = self.head?;
        let stood = since.elapsed() >= endpoint.timing().settle;
        let top = if stood { head.number } else { head.number.saturating_sub(1) };
        (top > cursor.number).then(|| top.min(cursor.number.saturating_add(self.width)))
    }

    async fn refresh(&mut self, stream: &Stream<'_>, cursor: BlockRef) -> Result<(), ChainError> {
        let head = stream.endpoint.read_as(&[ask_latest()], first_header).await?;
        self.last_poll = Some(Instant::now());
        self.saw_head(head, cursor);
        Ok(())
    }

    fn saw_head(&mut self, head: Header, cursor: BlockRef) {
        let now = Instant::now();
        if head.number >= cursor.number {
            self.behind_since = None;
        } else if self.behind_since.is_none() {
            self.behind_since = Some(now);
        }
        if self.head.is_none_or(|(known, _)| known.hash != head.hash) {
            self.head = Some((head, now));
        }
    }

    /// Nothing to read: is the head another block than the cursor, or below it for too long?
    async fn idle(
        &self,
        endpoint: &Endpoint,
        past: Past<'_>,
    ) -> Result<Option<LogRead>, ChainError> {
        let cursor = past.ring.last().copied();
        let replaced = self.head.zip(cursor).is_some_and(|((head, _), cursor)| {
            head.number == cursor.number && head.hash != cursor.hash
        });
        let lost =
            self.behind_since.is_some_and(|since| since.elapsed() >= endpoint.timing().patience);
        if replaced || lost {
            return Ok(rewind(endpoint, past).await?.map(LogRead::Rewound));
        }
        Ok(None)
    }

    /// Reads one page; `None` if it has to be asked for again.
    async fn page(
        &mut self,
        stream: &Stream<'_>,
        past: Past<'_>,
        to: u64,
    ) -> Result<Option<LogRead>, ChainError> {
        let Some(cursor) = past.ring.last().copied() else { return Ok(None) };
        let now = Instant::now();
        let probe = stream.finality.probe(now);
        let from = (cursor.number + 1).saturating_sub(stream.endpoint.timing().overlap);
        let sure = self.head.and_then(|(head, _)| stream.finality.surely(&head));
        let mut asks = vec![
            ask_latest(),
            ask_header(to),
            ask_header(cursor.number),
            self.ask_logs(stream, from, to),
            ask_header(sure.unwrap_or(to).min(to)),
        ];
        asks.extend(probe.ask.clone());
        self.last_poll = Some(now);
        let replies = match stream.endpoint.exchange(&asks).await {
            Ok(replies) => replies,
            Err(fault) => return self.refused(stream.endpoint, fault).await,
        };
        let (page, last) = match read_page(&asks, &replies, to) {
            Ok(page) => page,
            Err(fault) => return self.refused(stream.endpoint, fault).await,
        };
        self.saw_head(page.latest, cursor);
        match judge(cursor, &page) {
            Step::Advance { to, logs } => {
                let settled = stream.finality.settle(
                    stream.endpoint,
                    &page.latest,
                    (&probe, replies.get(5)),
                    now,
                )?;
                let last = final_below(stream.endpoint, settled, (&last, &to)).await?;
                self.widen(to.number - cursor.number);
                let sightings = self.news(cursor, logs);
                self.forget_below(from);
                let (final_number, final_time) = last;
                let (to_time, to) = (to.time, to.block());
                let after = cursor;
                let page = LogPage { after, to, to_time, final_number, final_time, sightings };
                Ok(Some(LogRead::Advanced(page)))
            }
            Step::Rewind => Ok(rewind(stream.endpoint, past).await?.map(LogRead::Rewound)),
            Step::Behind => self.behind(stream.endpoint, past, now).await,
            Step::Contradiction(about) => {
                self.refused(stream.endpoint, Fault::Inconsistent { about }).await
            }
        }
    }

    /// A replica that lags proves nothing; but one that never catches up has lost blocks.
    async fn behind(
        &mut self,
        endpoint: &Endpoint,
        past: Past<'_>,
        now: Instant,
    ) -> Result<Option<LogRead>, ChainError> {
        let since = *self.behind_since.get_or_insert(now);
        if since.elapsed() >= endpoint.timing().patience {
            self.behind_since = None;
            return Ok(rewind(endpoint, past).await?.map(LogRead::Rewound));
        }
        self.head = None;
        Ok(None)
    }

    fn ask_logs(&self, stream: &Stream<'_>, from: u64, to: u64) -> Ask {
        let head = self.head.map(|(head, _)| head).filter(|head| head.number == to);
        let filter = match head {
            // At width 1 the block's own hash says which logs are meant, whatever the node limits.
            Some(head) if self.width == 1 => {
                json!({ "blockHash": head.hash, "address": stream.nexus, "topics": [topics()] })
            }
            Some(_) | None => json!({
                "fromBlock": hex(from), "toBlock": hex(to),
                "address": stream.nexus, "topics": [topics()],
            }),
        };
        Ask::optional("eth_getLogs", json!([filter]))
    }

    /// A page was refused: halve it, and wait if it cannot get smaller.
    async fn refused(
        &mut self,
        endpoint: &Endpoint,
        fault: Fault,
    ) -> Result<Option<LogRead>, ChainError> {
        let too_much = fault.is_too_much();
        let can_halve = self.width > 1;
        if can_halve && (too_much || fault == Fault::Silence) {
            self.width = (self.width / 2).max(1);
            if too_much {
                self.widest = self.width;
            }
            tracing::debug!(endpoint = %endpoint.name(), width = self.width, %fault, "page halved");
        }
        // Finding the width that a node serves is no failed try; it ends at one block.
        if !(can_halve && too_much) {
            self.tried += 1;
            endpoint.pause_after(self.tried, fault).await?;
        }
        Ok(None)
    }

    /// A page of the full width worked: the next may cover twice as much, but no more than was
    /// ever refused.
    fn widen(&mut self, covered: u64) {
        if covered >= self.width {
            self.width = self.width.saturating_mul(2).min(self.widest);
        }
    }

    /// The sightings that were not delivered before, in chain order.
    fn news(&mut self, cursor: BlockRef, logs: Vec<RawLog>) -> Vec<Sighting> {
        let mut sightings = Vec::with_capacity(logs.len());
        for log in logs {
            let Some((block, tx_hash, log_index)) = page::place(&log) else { continue };
            let key = (block.number, block.hash, log_index);
            let old = block.number <= cursor.number && self.delivered.contains(&key);
            if old {
                continue;
            }
            self.delivered.insert(key);
            if let Some(what) = sighted(&log) {
                sightings.push(Sighting { block, tx_hash, log_index, what });
            }
        }
        sightings
    }

    fn forget_below(&mut self, number: u64) {
        self.delivered = self.delivered.split_off(&(number, B256::ZERO, 0));
    }
}

fn first_header(asks: &[Ask], replies: &[Reply]) -> Result<Header, Fault> {
    some_header(&asks[0], &replies[0])
}

/// The final block of a page: never above its last block `to`, and `last` is surely final.
async fn final_below(
    endpoint: &Endpoint,
    settled: FinalBlock,
    (last, to): (&Header, &Header),
) -> Result<(u64, ChainTime), ChainError> {
    if let Some(time) = settled.time.filter(|_| settled.number <= to.number) {
        return Ok((settled.number, time));
    }
    if last.number <= settled.number.min(to.number) {
        return Ok((last.number, last.time));
    }
    let number = settled.number.min(to.number);
    let header = endpoint.read_as(&[ask_header(number)], first_header).await?;
    Ok((number, header.time))
}

fn read_page(asks: &[Ask], replies: &[Reply], to: u64) -> Result<(Page, Header), Fault> {
    let logs: Vec<RawLog> = take(&asks[3], &replies[3], "logs")?;
    let page = Page {
        latest: some_header(&asks[0], &replies[0])?,
        wanted: to,
        to: header_in(&asks[1], &replies[1])?,
        at_cursor: header_in(&asks[2], &replies[2])?,
        logs,
    };
    let last = header_in(&asks[4], &replies[4])?.unwrap_or(page.latest);
    Ok((page, last))
}

/// What a log says, if it is one that the engine knows.
fn sighted(log: &RawLog) -> Option<Seen> {
    match decode_log(&log.topics, &log.data) {
        Ok(ProtocolLog::TaskPublished { task, source }) => {
            Some(Seen::TaskPublished { task, source })
        }
        Ok(ProtocolLog::TaskStatusChanged { task, status }) => {
            Some(Seen::TaskStatus { task, status: status_of(status) })
        }
        Ok(ProtocolLog::ResponseSubmitted { response, task }) => {
            Some(Seen::ResponseSubmitted { response, task })
        }
        Ok(ProtocolLog::ResponseStatusChanged { response, status }) => {
            (status == ResponseStatus::Confirmed).then_some(Seen::ResponseConfirmed { response })
        }
        Ok(_) | Err(LogError::UnknownEvent) => None,
        Err(error) => {
            tracing::warn!(%error, "a log of the registry that cannot be read");
            None
        }
    }
}

/// A contract's status in the engine's words.
pub(super) const fn status_of(status: WireStatus) -> TaskStatus {
    match status {
        WireStatus::New => TaskStatus::New,
        WireStatus::Attempted => TaskStatus::Attempted,
        WireStatus::Responded => TaskStatus::Responded,
        WireStatus::Canceled => TaskStatus::Canceled,
        WireStatus::Expired => TaskStatus::Expired,
        WireStatus::Finalized => TaskStatus::Finalized,
        WireStatus::Unknown(number) => TaskStatus::Unknown(number),
    }
}
