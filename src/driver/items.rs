//! Items on disk: one JSON line each, in a blob that is read in windows.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Seek, SeekFrom, Write};

use alloy::primitives::B256;
use sha2::{Digest, Sha256};

use crate::content::Blobs;
use crate::content::blobs::BlobWriter;
use crate::plan::{ItemSink, PlanItem};
use crate::units::StepName;

/// Lines between two places that are remembered.
const STRIDE: u32 = 256;

/// Takes the items of steps and keeps those of each step as a blob.
#[derive(Debug)]
pub struct BlobSink {
    blobs: Blobs,
    writer: Option<BlobWriter>,
}

impl BlobSink {
    /// A sink that keeps items in these blobs.
    pub const fn new(blobs: Blobs) -> Self {
        Self { blobs, writer: None }
    }
}

impl ItemSink for BlobSink {
    fn line(&mut self, _: &StepName, line: &[u8]) -> io::Result<()> {
        let writer = match &mut self.writer {
            Some(writer) => writer,
            empty => empty.insert(self.blobs.writer().map_err(io::Error::other)?),
        };
        writer.write_all(line)
    }

    fn end(&mut self, _: &StepName) -> io::Result<Option<B256>> {
        let writer = match self.writer.take() {
            Some(writer) => writer,
            // A step without items has a blob too: of no lines.
            None => self.blobs.writer().map_err(io::Error::other)?,
        };
        let (sha256, _) = writer.finish().map_err(io::Error::other)?;
        Ok(Some(sha256))
    }
}

/// The items of one step, as they were kept.
#[derive(Debug)]
pub(super) struct Lines {
    file: BufReader<File>,
    /// Where every `STRIDE`th line begins.
    places: Vec<u64>,
}

impl Lines {
    /// Opens a blob of lines: one pass checks its hash and finds the places.
    pub(super) fn open(blobs: &Blobs, sha256: B256) -> io::Result<Self> {
        let mut file = BufReader::with_capacity(1 << 16, File::open(blobs.path(sha256))?);
        let mut hasher = Sha256::new();
        let (mut places, mut at, mut count) = (Vec::new(), 0_u64, 0_u32);
        let mut line = Vec::new();
        loop {
            line.clear();
            let len = file.read_until(b'\n', &mut line)?;
            if len == 0 {
                break;
            }
            if count.is_multiple_of(STRIDE) {
                places.push(at);
            }
            hasher.update(&line);
            at += len as u64;
            count += 1;
        }
        if B256::new(hasher.finalize().into()) != sha256 {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "a blob does not fit its name"));
        }
        Ok(Self { file, places })
    }

    /// The items from place `from` on, at most `limit`, each with the length of its line.
    pub(super) fn read(&mut self, from: u32, limit: u32) -> io::Result<Vec<(PlanItem, usize)>> {
        let stride = usize::try_from(from / STRIDE).unwrap_or(usize::MAX);
        let Some(start) = self.places.get(stride) else { return Ok(Vec::new()) };
        self.file.seek(SeekFrom::Start(*start))?;
        let mut line = Vec::new();
        for _ in 0..from % STRIDE {
            line.clear();
            self.file.read_until(b'\n', &mut line)?;
        }
        let mut items = Vec::new();
        for index in from..from.saturating_add(limit) {
            line.clear();
            if self.file.read_until(b'\n', &mut line)? == 0 {
                break;
            }
            let item = PlanItem::from_line(index, &line).ok_or_else(|| {
                let what = format!("line {} is no item", u64::from(index) + 1);
                io::Error::new(io::ErrorKind::InvalidData, what)
            })?;
            items.push((item, line.len()));
        }
        Ok(items)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::units::ItemKey;
    use serde_json::json;

    fn kept(count: u32) -> (tempfile::TempDir, Blobs, B256) {
        let home = tempfile::tempdir().unwrap();
        let blobs = Blobs::open(home.path()).unwrap();
        let step = StepName::parse("score").unwrap();
        let mut sink = BlobSink::new(blobs.clone());
        for index in 0..count {
            let key = ItemKey::parse(&format!("k{index}")).unwrap();
            let item = PlanItem { index, key, value: json!({"text": "a\nb", "n": index}) };
            sink.line(&step, &item.to_line()).unwrap();
        }
        let sha256 = sink.end(&step).unwrap().unwrap();
        (home, blobs, sha256)
    }

    #[test]
    fn any_window_gives_its_items_in_order() {
        let (_home, blobs, sha256) = kept(700);
        let mut lines = Lines::open(&blobs, sha256).unwrap();
        for (from, limit, expected) in
            [(0, 3, 0..3), (255, 2, 255..257), (511, 256, 511..700), (699, 9, 699..700)]
        {
            let items = lines.read(from, limit).unwrap();
            let found: Vec<_> = items.iter().map(|(item, _)| item.index).collect();
            assert_eq!(found, expected.clone().collect::<Vec<_>>());
            let values = items.iter().all(|(item, _)| item.value["n"] == json!(item.index));
            assert!(values, "{expected:?}");
        }
        assert!(lines.read(700, 5).unwrap().is_empty());
        assert!(lines.read(90_000, 5).unwrap().is_empty());
    }

    #[test]
    fn a_step_without_items_is_kept_as_no_lines() {
        let (_home, blobs, sha256) = kept(0);
        assert!(Lines::open(&blobs, sha256).unwrap().read(0, 9).unwrap().is_empty());
    }

    #[test]
    fn items_that_were_changed_are_refused() {
        let (_home, blobs, sha256) = kept(3);
        let mut bytes = std::fs::read(blobs.path(sha256)).unwrap();
        bytes[9] ^= 1;
        std::fs::write(blobs.path(sha256), bytes).unwrap();
        assert_eq!(Lines::open(&blobs, sha256).unwrap_err().kind(), io::ErrorKind::InvalidData);
    }
}
