//! What a view of a lane says about one slot: the verdict table, as a pure function.
//!
//! | view of slot (wallet, n) | verdict |
//! |---|---|
//! | count <= n | open |
//! | receipt of a known version, not final | mined, or mined and reverted |
//! | count > n, no receipt of a known version | nothing |
//! | *final* count > n, receipt of a known version in a final block | final |
//! | *final* count > n, no receipt of a known version | unexplained |
//!
//! No row binds a task anew but the final ones (architecture.md, section 9; safety.md, section 5).

use alloy::primitives::B256;

use crate::units::{LaneView, Nonce, Receipt, Seq};

/// What a view says about a slot.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum SlotVerdict<'a> {
    /// Nothing of this nonce is on the chain: keep, and send the same bytes by policy.
    Open,
    /// Something used the nonce, and this view does not say what: look elsewhere, wait.
    Nothing,
    /// One of our versions is in a block that may still be taken back.
    Mined(Seq, &'a Receipt),
    /// One of our versions is in a final block.
    Final(Seq, &'a Receipt),
    /// The nonce is finally used up, and by no version that we know.
    Unexplained,
}

/// Judges one slot by one view; `versions` are all that were ever signed for it.
pub(super) fn judge<'a>(
    nonce: Nonce,
    versions: impl Iterator<Item = (Seq, B256)>,
    view: &'a LaneView,
) -> SlotVerdict<'a> {
    if view.count <= nonce.0 {
        return SlotVerdict::Open;
    }
    let ours = versions
        .filter_map(|(seq, hash)| Some((seq, view.receipts.iter().find(|r| r.tx_hash == hash)?)))
        .next();
    match ours {
        Some((seq, receipt))
            if view.final_count > nonce.0 && receipt.block.number <= view.final_number =>
        {
            SlotVerdict::Final(seq, receipt)
        }
        Some((seq, receipt)) => SlotVerdict::Mined(seq, receipt),
        None if view.final_count > nonce.0 => SlotVerdict::Unexplained,
        None => SlotVerdict::Nothing,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::units::{BlockRef, ReceiptStatus, Wei};

    fn view(count: u64, final_count: u64, receipt: Option<(u8, u64)>) -> LaneView {
        let receipts = receipt
            .map(|(hash, number)| Receipt {
                tx_hash: B256::repeat_byte(hash),
                block: BlockRef { number, hash: B256::ZERO },
                gas_paid: Wei::ZERO,
                published: None,
                status: ReceiptStatus::Ok,
            })
            .into_iter()
            .collect();
        let head = BlockRef { number: 10, hash: B256::ZERO };
        LaneView {
            head,
            count,
            final_number: 5,
            final_count,
            receipts,
            doubts: Vec::new(),
            uses: Vec::new(),
        }
    }

    /// Whether a verdict on nonce 7, whose versions have the hashes 1 and 2, is that of the table.
    fn fits(verdict: &SlotVerdict<'_>, counts: (u64, u64), receipt: Option<(u8, u64)>) -> bool {
        let (used, finally_used) = (counts.0 == 8, counts.1 == 8);
        let known = receipt.filter(|(hash, _)| *hash != 9);
        let (seq, final_block) = match known {
            Some((hash, number)) => (Some(u16::from(hash) - 1), number <= 5),
            None => (None, false),
        };
        match verdict {
            SlotVerdict::Open => !used,
            SlotVerdict::Nothing => used && !finally_used && seq.is_none(),
            SlotVerdict::Unexplained => used && finally_used && seq.is_none(),
            SlotVerdict::Final(found, _) => {
                used && finally_used && final_block && seq == Some(found.0)
            }
            SlotVerdict::Mined(found, _) => {
                used && seq == Some(found.0) && !(final_block && finally_used)
            }
        }
    }

    /// The table in its other form: one line a row, over every combination that a view can have.
    #[test]
    fn every_view_has_the_verdict_of_the_table() {
        let versions = [(Seq(0), B256::repeat_byte(1)), (Seq(1), B256::repeat_byte(2))];
        for count in [6, 7, 8] {
            for final_count in [6, 7, 8] {
                for receipt in [None, Some((1, 4)), Some((2, 5)), Some((1, 6)), Some((9, 4))] {
                    let view = view(count, final_count, receipt);
                    let verdict = judge(Nonce(7), versions.into_iter(), &view);
                    let ok = fits(&verdict, (count, final_count), receipt);
                    assert!(ok, "count {count}, final {final_count}, {receipt:?}: {verdict:?}");
                }
            }
        }
    }
}
