//! The pinned contents, by their CIDs: what IPFS is on the real network.
//!
//! In a file that only grows, so that a run's configs and outputs survive a crash; only the places
//! are held in memory. The same bytes are kept once.

use std::collections::BTreeMap;
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::PathBuf;
use std::sync::{Mutex, MutexGuard, PoisonError};

use alloy::primitives::{B256, Bytes};

use super::error::DevnetError;
use super::log::{GrowingFile, Label, frame, read_frames};
use super::place::Place;
use crate::units::cid::Cid;

const LABEL: Label = Label { line: "ogflow devnet pins 1", owner: B256::ZERO };

/// Where one content is.
#[derive(Clone, Debug)]
enum Held {
    Memory(Bytes),
    File { from: u64, length: usize },
}

#[derive(Debug, Default)]
struct Shelf {
    read: bool,
    held: BTreeMap<Cid, Held>,
}

/// All pinned contents.
#[derive(Debug)]
pub(super) struct Pins {
    /// The file, unless everything is in memory.
    path: Option<PathBuf>,
    /// The same, for writing.
    file: Option<GrowingFile>,
    shelf: Mutex<Shelf>,
}

impl Pins {
    pub(super) fn open(place: &Place) -> Result<Self, DevnetError> {
        let path = place.file("pins.log");
        let file = match (&path, place.is_writable()) {
            (Some(path), true) => Some(GrowingFile::open(path.clone(), LABEL)?),
            _ => None,
        };
        Ok(Self { path: path.filter(|path| path.exists()), file, shelf: Mutex::default() })
    }

    /// The shelf, read from the file when somebody first asks.
    fn shelf(&self) -> Result<MutexGuard<'_, Shelf>, DevnetError> {
        let mut shelf = self.shelf.lock().unwrap_or_else(PoisonError::into_inner);
        if !shelf.read {
            if let Some(path) = &self.path {
                let end = read_frames(path, LABEL, |at, payload| {
                    if let Some((cid, from)) = read_pin(payload) {
                        let length = payload.len() - from;
                        shelf.held.insert(cid, Held::File { from: at + from as u64, length });
                    }
                    Ok(())
                })?;
                self.file.as_ref().map_or(Ok(()), |file| file.start_at(end))?;
            }
            shelf.read = true;
        }
        Ok(shelf)
    }

    /// Keeps `content`. Returns once it is on disk.
    pub(super) fn put(&self, content: &[u8]) -> Result<Cid, DevnetError> {
        let cid = self.shelve(content)?;
        self.sync()?;
        Ok(cid)
    }

    /// Keeps all of `contents`. Returns once they are on disk, after one sync.
    pub(super) fn put_all(&self, contents: &[Bytes]) -> Result<Vec<Cid>, DevnetError> {
        let cids = contents.iter().map(|content| self.shelve(content)).collect::<Result<_, _>>()?;
        self.sync()?;
        Ok(cids)
    }

    fn sync(&self) -> Result<(), DevnetError> {
        self.file.as_ref().map_or(Ok(()), GrowingFile::sync)
    }

    fn shelve(&self, content: &[u8]) -> Result<Cid, DevnetError> {
        let cid = Cid::for_file(content);
        let mut shelf = self.shelf()?;
        if shelf.held.contains_key(&cid) {
            return Ok(cid);
        }
        let held = match &self.file {
            None => Held::Memory(Bytes::copy_from_slice(content)),
            Some(file) => {
                let payload = write_pin(cid, content);
                let mut framed = Vec::with_capacity(payload.len() + 8);
                frame(&mut framed, &payload);
                let at = file.append(&framed)?;
                let from = at + (framed.len() - content.len()) as u64;
                Held::File { from, length: content.len() }
            }
        };
        shelf.held.insert(cid, held);
        Ok(cid)
    }

    /// The content with this CID, if it is here.
    pub(super) fn get(&self, cid: &Cid) -> Result<Option<Bytes>, DevnetError> {
        let held = self.shelf()?.held.get(cid).cloned();
        let (from, length) = match held {
            None => return Ok(None),
            Some(Held::Memory(bytes)) => return Ok(Some(bytes)),
            Some(Held::File { from, length }) => (from, length),
        };
        let Some(path) = &self.path else { return Ok(None) };
        let mut bytes = vec![0; length];
        File::open(path)
            .and_then(|file| file.read_exact_at(&mut bytes, from))
            .map_err(|source| DevnetError::io(path, source))?;
        Ok(Some(bytes.into()))
    }
}

fn write_pin(cid: Cid, content: &[u8]) -> Vec<u8> {
    let name = cid.to_string();
    let mut payload = Vec::with_capacity(1 + name.len() + content.len());
    payload.push(u8::try_from(name.len()).expect("a CIDv0 has 46 characters"));
    payload.extend_from_slice(name.as_bytes());
    payload.extend_from_slice(content);
    payload
}

fn read_pin(payload: &[u8]) -> Option<(Cid, usize)> {
    let length = usize::from(*payload.first()?);
    let name = payload.get(1..=length)?;
    let cid = std::str::from_utf8(name).ok()?.parse().ok()?;
    Some((cid, 1 + length))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pinned_content_is_there_after_a_restart() {
        let folder = tempfile::tempdir().unwrap();
        let place = Place::Folder(folder.path().into());
        let pins = Pins::open(&place).unwrap();
        let contents = [&b"{\"a\":1}"[..], b"", &[7; 300_000]];
        let cids: Vec<_> = contents.iter().map(|c| pins.put(c).unwrap()).collect();
        drop(pins);
        let pins = Pins::open(&place).unwrap();
        for (cid, content) in cids.iter().zip(contents) {
            assert_eq!(pins.get(cid).unwrap().unwrap(), *content);
        }
        assert_eq!(pins.get(&Cid::for_file(b"never pinned")).unwrap(), None);
    }

    #[test]
    fn the_same_bytes_are_kept_once() {
        let folder = tempfile::tempdir().unwrap();
        let place = Place::Folder(folder.path().into());
        let pins = Pins::open(&place).unwrap();
        let first = pins.put(b"same").unwrap();
        let size = || std::fs::metadata(folder.path().join("pins.log")).unwrap().len();
        let before = size();
        assert_eq!(pins.put(b"same").unwrap(), first);
        assert_eq!(size(), before);
    }

    #[test]
    fn a_reader_sees_the_file_and_keeps_its_own_pins_to_itself() {
        let folder = tempfile::tempdir().unwrap();
        let writer = Pins::open(&Place::Folder(folder.path().into())).unwrap();
        let cid = writer.put(b"there").unwrap();
        let reader = Pins::open(&Place::ReadOnly(folder.path().into())).unwrap();
        assert_eq!(reader.get(&cid).unwrap().unwrap(), b"there"[..]);
        let own = reader.put(b"own").unwrap();
        assert_eq!(reader.get(&own).unwrap().unwrap(), b"own"[..]);
        assert_eq!(writer.get(&own).unwrap(), None);
    }
}
