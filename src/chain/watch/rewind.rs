//! How the stream finds back to the chain after a reorg.

use crate::chain::error::{ChainError, Fault};
use crate::chain::reading::{Header, ask_header, header_in};
use crate::chain::rpc::{Ask, Endpoint};
use crate::units::BlockRef;

/// What the caller remembers of the stream.
#[derive(Clone, Copy, Debug)]
pub(super) struct Past<'a> {
    /// Blocks that the cursor stood at, oldest first; the last is the cursor.
    pub(super) ring: &'a [BlockRef],
    /// Blocks up to this height are final.
    pub(super) final_number: u64,
    /// How far below the oldest of them the stream goes back if not even that one is left.
    pub(super) below: u64,
}

/// The newest block of the ring that the endpoint still has; `None` if it has the last one.
///
/// If it has none of them, a block below them all. The oldest may be the head that the run began
/// at, and a reorg may go deeper: then a transaction of the run can be below where it began.
pub(super) async fn rewind(
    endpoint: &Endpoint,
    past: Past<'_>,
) -> Result<Option<BlockRef>, ChainError> {
    let ring = past.ring;
    let Some(oldest) = ring.first() else { return Ok(None) };
    let asks: Vec<Ask> = ring.iter().map(|block| ask_header(block.number)).collect();
    let headers: Vec<Option<Header>> = endpoint
        .read_as(&asks, |asks, replies| {
            asks.iter().zip(replies).map(|(ask, reply)| header_in(ask, reply)).collect()
        })
        .await?;
    let stands = |(header, block): &(&Option<Header>, &BlockRef)| {
        header.is_some_and(|header| header.block() == **block)
    };
    if let Some((_, kept)) = headers.iter().zip(ring).rfind(stands) {
        return Ok(Some(*kept).filter(|kept| ring.last() != Some(kept)));
    }
    if oldest.number <= past.final_number || oldest.number == 0 {
        return Err(match headers.first() {
            // Final blocks are not taken back: it lags, for longer than patience lasts.
            Some(None) => {
                let (endpoint, height) = (endpoint.name().to_owned(), oldest.number);
                ChainError::Behind { endpoint, height }
            }
            Some(Some(_)) | None => ChainError::TooDeep { oldest: *oldest },
        });
    }
    let height = oldest.number.saturating_sub(past.below);
    tracing::warn!(endpoint = %endpoint.name(), from = oldest.number, height, "deep reorg");
    let below = |asks: &[Ask], replies: &[_]| {
        header_in(&asks[0], &replies[0])?.ok_or(Fault::Behind { height })
    };
    let header = endpoint.read_as(&[ask_header(height)], below).await?;
    Ok(Some(header.block()))
}
