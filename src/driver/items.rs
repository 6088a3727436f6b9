//! Items on disk: a file of JSON lines a step, found by place through a sparse index.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, BufRead, BufReader, BufWriter, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use alloy::primitives::B256;
use sha2::{Digest, Sha256};

use crate::plan::{ItemSink, PlanItem};
use crate::units::StepName;

/// Every so many lines the place in the file is remembered.
const STRIDE: u32 = 64;

/// The items of a run's steps, in the blob folder.
#[derive(Debug)]
pub struct ItemStore {
    folder: PathBuf,
    open: Mutex<BTreeMap<u16, Option<Arc<Lines>>>>,
}

/// A file of lines that was indexed.
#[derive(Debug)]
struct Lines {
    file: Mutex<File>,
    offsets: Vec<u64>,
    count: u32,
}

impl ItemStore {
    /// A store in the blob folder `folder`, which exists.
    pub fn new(folder: &Path) -> Self {
        Self { folder: folder.to_owned(), open: Mutex::new(BTreeMap::new()) }
    }

    /// A sink that keeps items under the hash of their lines.
    pub fn sink(&self) -> BlobSink {
        BlobSink { folder: self.folder.clone(), current: None }
    }

    /// Says where a step's items are; `None` for the one item of a step without `foreach`.
    ///
    /// # Errors
    /// When the file is missing or cannot be read.
    pub fn open(&self, step: u16, blob: Option<B256>) -> io::Result<()> {
        let lines = match blob {
            None => None,
            Some(sha256) => {
                let path = self.folder.join(data_encoding::HEXLOWER.encode(sha256.as_slice()));
                Some(Arc::new(Lines::index(&path)?))
            }
        };
        self.open.lock().unwrap_or_else(PoisonError::into_inner).insert(step, lines);
        Ok(())
    }

    /// The item of a step at this place.
    ///
    /// # Errors
    /// A line for people: the step was not opened, or the file does not hold the item.
    pub fn get(&self, name: &str, step: u16, place: u32) -> Result<PlanItem, String> {
        Ok(self.window(name, step, place, 1)?.remove(0))
    }

    /// So many items of a step from a place on; all of them, or an error.
    ///
    /// # Errors
    /// As for one item.
    pub fn window(
        &self,
        name: &str,
        step: u16,
        from: u32,
        count: u32,
    ) -> Result<Vec<PlanItem>, String> {
        let lines = {
            let open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
            open.get(&step).cloned().ok_or_else(|| format!("the items of `{name}` are not open"))?
        };
        match lines {
            None => Ok(vec![PlanItem::once(name)]),
            Some(lines) => lines
                .read(from, count)
                .map_err(|error| format!("item {from} of `{name}` cannot be read: {error}")),
        }
    }
}

impl Lines {
    /// Finds the lines of a file, reading it once.
    fn index(path: &Path) -> io::Result<Self> {
        let mut reader = BufReader::with_capacity(1 << 20, File::open(path)?);
        let (mut offsets, mut at, mut count) = (Vec::new(), 0_u64, 0_u32);
        loop {
            if count.is_multiple_of(STRIDE) {
                offsets.push(at);
            }
            let skipped = reader.skip_until(b'\n')?;
            if skipped == 0 {
                break;
            }
            at += skipped as u64;
            count += 1;
        }
        Ok(Self { file: Mutex::new(reader.into_inner()), offsets, count })
    }

    fn read(&self, from: u32, count: u32) -> io::Result<Vec<PlanItem>> {
        let beyond = || io::Error::new(io::ErrorKind::UnexpectedEof, "there is no such item");
        if from.checked_add(count).is_none_or(|end| end > self.count) {
            return Err(beyond());
        }
        let offset = self.offsets.get((from / STRIDE) as usize).ok_or_else(beyond)?;
        let mut file = self.file.lock().unwrap_or_else(PoisonError::into_inner);
        file.seek(SeekFrom::Start(*offset))?;
        let mut reader = BufReader::with_capacity(64 << 10, Read::by_ref(&mut *file));
        for _ in 0..from % STRIDE {
            reader.skip_until(b'\n')?;
        }
        let mut line = Vec::new();
        let mut items = Vec::with_capacity(count as usize);
        for place in from..from + count {
            line.clear();
            reader.read_until(b'\n', &mut line)?;
            let malformed = || io::Error::new(io::ErrorKind::InvalidData, "the line is damaged");
            items.push(PlanItem::from_line(place, &line).ok_or_else(malformed)?);
        }
        Ok(items)
    }
}

/// Keeps items as files named by the SHA-256 of their lines.
#[derive(Debug)]
pub struct BlobSink {
    folder: PathBuf,
    current: Option<(BufWriter<tempfile::NamedTempFile>, Sha256)>,
}

impl ItemSink for BlobSink {
    fn line(&mut self, _: &StepName, line: &[u8]) -> io::Result<()> {
        if self.current.is_none() {
            let file = tempfile::NamedTempFile::new_in(&self.folder)?;
            self.current = Some((BufWriter::with_capacity(1 << 18, file), Sha256::new()));
        }
        if let Some((writer, hasher)) = &mut self.current {
            hasher.update(line);
            writer.write_all(line)?;
        }
        Ok(())
    }

    fn end(&mut self, step: &StepName) -> io::Result<Option<B256>> {
        if self.current.is_none() {
            self.line(step, b"")?;
        }
        let Some((writer, hasher)) = self.current.take() else { return Ok(None) };
        let file = writer.into_inner().map_err(io::IntoInnerError::into_error)?;
        file.as_file().sync_all()?;
        let sha256 = B256::from_slice(&hasher.finalize());
        let path = self.folder.join(data_encoding::HEXLOWER.encode(sha256.as_slice()));
        file.persist(&path).map_err(|error| error.error)?;
        File::open(&self.folder)?.sync_all()?;
        Ok(Some(sha256))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::units::ItemKey;

    #[test]
    fn every_item_is_found_again_by_its_place() {
        let folder = tempfile::tempdir().unwrap();
        let store = ItemStore::new(folder.path());
        let mut sink = store.sink();
        let step = StepName::parse("a").unwrap();
        for index in 0..200_u32 {
            let key = ItemKey::parse(&format!("k{index}")).unwrap();
            let item = PlanItem { index, key, value: serde_json::json!({"n": index, "t": "a\nb"}) };
            sink.line(&step, &item.to_line()).unwrap();
        }
        let blob = sink.end(&step).unwrap();
        store.open(3, blob).unwrap();
        for place in [0, 1, 63, 64, 65, 127, 128, 199] {
            let item = store.get("a", 3, place).unwrap();
            assert_eq!(item.key.as_str(), format!("k{place}"));
            assert_eq!(item.value["n"], place);
        }
        let window = store.window("a", 3, 60, 10).unwrap();
        assert!(window.iter().zip(60..70).all(|(item, place)| item.index == place));
        assert!(store.get("a", 3, 200).is_err());
        assert!(store.window("a", 3, 150, 51).is_err());
        assert!(store.get("a", 4, 0).is_err());
    }

    #[test]
    fn a_step_without_foreach_has_the_one_item_that_is_named_after_it() {
        let folder = tempfile::tempdir().unwrap();
        let store = ItemStore::new(folder.path());
        store.open(0, None).unwrap();
        assert_eq!(store.get("hello", 0, 0).unwrap().key.as_str(), "hello");
    }
}
