//! What one page of the log stream proves: (cursor, page) -> step. Pure, without a clock.

use std::collections::BTreeMap;

use alloy::primitives::B256;

use crate::chain::reading::{Header, RawLog};
use crate::units::BlockRef;

/// The replies of one poll, all of one endpoint and one batch.
#[derive(Clone, Debug)]
pub(super) struct Page {
    /// The newest block that the endpoint has.
    pub(super) latest: Header,
    /// The last block that was asked for.
    pub(super) wanted: u64,
    /// Its header, if the endpoint has it.
    pub(super) to: Option<Header>,
    /// The header at the cursor's height, if the endpoint has it.
    pub(super) at_cursor: Option<Header>,
    /// The logs.
    pub(super) logs: Vec<RawLog>,
}

/// What to do with a page.
#[derive(Clone, Debug)]
pub(super) enum Step {
    /// It continues the cursor: move on to `to`. The logs are in chain order, without doubles.
    Advance {
        /// The new cursor.
        to: Header,
        /// What was logged, the overlap included.
        logs: Vec<RawLog>,
    },
    /// The cursor's block is not on the chain any more.
    Rewind,
    /// The endpoint does not have the blocks that were asked for: a replica that lags.
    Behind,
    /// The replies cannot be true together: ask again.
    Contradiction(&'static str),
}

/// Judges a page.
///
/// | the endpoint's reply | step |
/// |---|---|
/// | its newest block is below `wanted`, or a header is missing | behind |
/// | another block at the cursor's height | rewind |
/// | `to` does not follow the cursor, a log of a block outside the range or off the chain, a log of a pending or removed block | contradiction |
/// | all else | advance |
pub(super) fn judge(cursor: BlockRef, page: &Page) -> Step {
    let (Some(to), Some(at_cursor)) = (page.to, page.at_cursor) else { return Step::Behind };
    if at_cursor.number != cursor.number || to.number != page.wanted {
        return Step::Contradiction("block numbers");
    }
    if at_cursor.hash != cursor.hash {
        return Step::Rewind;
    }
    if page.latest.number < page.wanted {
        return Step::Behind;
    }
    let next = to.number == cursor.number + 1;
    if (next && to.parent != cursor.hash) || to.number <= cursor.number {
        return Step::Contradiction("the block after the cursor");
    }
    match in_order(cursor, &to, &page.logs) {
        Some(logs) => Step::Advance { to, logs },
        None => Step::Contradiction("its logs"),
    }
}

/// The logs by place, once each; `None` if one of them cannot be on the chain of these headers.
fn in_order(cursor: BlockRef, to: &Header, logs: &[RawLog]) -> Option<Vec<RawLog>> {
    let mut hashes = BTreeMap::from([(cursor.number, cursor.hash), (to.number, to.hash)]);
    let mut sorted: BTreeMap<(u64, u64), RawLog> = BTreeMap::new();
    for log in logs {
        let (block, _, index) = place(log)?;
        let known = *hashes.entry(block.number).or_insert(block.hash);
        if log.removed || block.number > to.number || known != block.hash {
            return None;
        }
        sorted.entry((block.number, index)).or_insert_with(|| log.clone());
    }
    Some(sorted.into_values().collect())
}

/// A log's block, transaction and index; `None` for a log that is in no block.
pub(super) fn place(log: &RawLog) -> Option<(BlockRef, B256, u64)> {
    let block = BlockRef { number: log.block_number?.to(), hash: log.block_hash? };
    Some((block, log.transaction_hash?, log.log_index?.to()))
}

#[cfg(test)]
mod tests {
    use alloy::primitives::{Address, Bytes, U64};

    use super::*;
    use crate::units::ChainTime;

    fn hash(number: u64, fork: u8) -> B256 {
        let mut bytes = [fork; 32];
        bytes[24..].copy_from_slice(&number.to_be_bytes());
        B256::from(bytes)
    }

    fn header(number: u64, fork: u8) -> Header {
        Header {
            number,
            hash: hash(number, fork),
            parent: hash(number.saturating_sub(1), fork),
            time: ChainTime::from_secs(number),
            base_fee: None,
        }
    }

    fn log(number: u64, fork: u8, index: u64) -> RawLog {
        RawLog {
            address: Address::ZERO,
            topics: Vec::new(),
            data: Bytes::new(),
            block_hash: Some(hash(number, fork)),
            block_number: Some(U64::from(number)),
            transaction_hash: Some(B256::ZERO),
            log_index: Some(U64::from(index)),
            removed: false,
        }
    }

    fn cursor() -> BlockRef {
        BlockRef { number: 10, hash: hash(10, 1) }
    }

    fn page(logs: Vec<RawLog>) -> Page {
        let at_cursor = Some(header(10, 1));
        Page { latest: header(14, 1), wanted: 13, to: Some(header(13, 1)), at_cursor, logs }
    }

    #[test]
    fn a_page_that_continues_the_cursor_advances_with_its_logs_in_chain_order() {
        let logs = vec![log(13, 1, 0), log(11, 1, 7), log(11, 1, 2), log(9, 1, 0), log(11, 1, 7)];
        let Step::Advance { to, logs } = judge(cursor(), &page(logs)) else { panic!("advance") };
        assert_eq!(to, header(13, 1));
        let places: Vec<(u64, u64)> =
            logs.iter().filter_map(place).map(|(block, _, index)| (block.number, index)).collect();
        assert_eq!(places, [(9, 0), (11, 2), (11, 7), (13, 0)]);
    }

    #[test]
    fn another_block_at_the_cursor_rewinds_whatever_else_the_page_says() {
        let replaced = Page { at_cursor: Some(header(10, 2)), ..page(vec![log(13, 1, 0)]) };
        assert!(matches!(judge(cursor(), &replaced), Step::Rewind));
    }

    #[test]
    fn a_replica_that_lacks_a_block_is_behind_and_proves_nothing() {
        let no_cursor = Page { at_cursor: None, ..page(vec![]) };
        let no_to = Page { to: None, ..page(vec![]) };
        let short = Page { latest: header(12, 1), ..page(vec![]) };
        for lagging in [no_cursor, no_to, short] {
            assert!(matches!(judge(cursor(), &lagging), Step::Behind), "{lagging:?}");
        }
    }

    #[test]
    fn a_page_that_contradicts_itself_is_asked_for_again() {
        let mut pending = log(11, 1, 0);
        pending.block_hash = None;
        let mut removed = log(11, 1, 0);
        removed.removed = true;
        let torn = Page {
            wanted: 11,
            to: Some(Header { parent: hash(10, 9), ..header(11, 1) }),
            ..page(vec![])
        };
        let other_height = Page { to: Some(header(12, 1)), ..page(vec![]) };
        let lies = [
            page(vec![log(14, 1, 0)]),
            page(vec![log(13, 2, 0)]),
            page(vec![log(10, 2, 0)]),
            page(vec![log(11, 1, 0), log(11, 2, 1)]),
            page(vec![pending]),
            page(vec![removed]),
            torn,
            other_height,
        ];
        for lie in lies {
            let step = judge(cursor(), &lie);
            assert!(matches!(step, Step::Contradiction(_)), "{lie:?} gave {step:?}");
        }
    }
}
