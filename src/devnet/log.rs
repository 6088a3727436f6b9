//! Files that only grow: the chain's acts and the pinned contents.
//!
//! A file is a first line, 32 bytes that say whose it is, and frames: length, checksum, payload.
//! A frame counts once it is whole; a crash in the middle of one leaves a torn tail, which the
//! next start drops. [`GrowingFile::sync`] groups: who comes while another syncs waits for that
//! one and then mostly finds its own bytes on disk too.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{BufRead, BufReader, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use alloy::primitives::B256;

use super::DevnetError;

/// Bytes of a frame before its payload.
pub(super) const FRAME_HEAD: u64 = 8;
/// No frame is longer: a length beyond this is part of a torn tail.
const MAX_FRAME: u32 = 1 << 30;

/// What a file is for, and whose it is.
#[derive(Clone, Copy, Debug)]
pub(super) struct Label {
    /// The first line, without its end.
    pub(super) line: &'static str,
    /// Whose file it is.
    pub(super) owner: B256,
}

impl Label {
    fn to_bytes(self) -> Vec<u8> {
        let mut bytes = self.line.as_bytes().to_vec();
        bytes.push(b'\n');
        bytes.extend_from_slice(self.owner.as_slice());
        bytes
    }
}

/// A file that is locked, appended to and synced.
#[derive(Debug)]
pub(super) struct GrowingFile {
    path: PathBuf,
    file: File,
    written: AtomicU64,
    synced: Mutex<u64>,
    broken: AtomicBool,
}

impl GrowingFile {
    /// Opens or makes the file, and takes its lock, held until the value is dropped.
    pub(super) fn open(path: PathBuf, label: Label) -> Result<Self, DevnetError> {
        let io = |source| DevnetError::io(&path, source);
        if let Some(folder) = path.parent() {
            std::fs::create_dir_all(folder).map_err(io)?;
        }
        let file =
            OpenOptions::new().read(true).append(true).create(true).open(&path).map_err(io)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(DevnetError::Locked { path }),
            Err(TryLockError::Error(source)) => return Err(io(source)),
        }
        let head = label.to_bytes();
        // A crash while the file was made leaves less than its label.
        if file.metadata().map_err(io)?.len() < head.len() as u64 {
            file.set_len(0).map_err(io)?;
            (&file).write_all(&head).map_err(io)?;
            file.sync_all().map_err(io)?;
        }
        check_label(&path, label)?;
        Ok(Self {
            path,
            file,
            written: AtomicU64::new(0),
            synced: Mutex::new(0),
            broken: AtomicBool::new(false),
        })
    }

    /// Drops what comes after `end`, the end of the last whole frame, and appends from there on.
    pub(super) fn start_at(&self, end: u64) -> Result<(), DevnetError> {
        let io = |source| DevnetError::io(&self.path, source);
        if self.file.metadata().map_err(io)?.len() > end {
            self.file.set_len(end).map_err(io)?;
            self.file.sync_all().map_err(io)?;
        }
        self.written.store(end, Ordering::Release);
        *self.synced.lock().unwrap_or_else(PoisonError::into_inner) = end;
        Ok(())
    }

    /// Appends framed bytes; the caller sees to it that only one does so at a time. Returns where
    /// they begin.
    pub(super) fn append(&self, frames: &[u8]) -> Result<u64, DevnetError> {
        self.check()?;
        (&self.file).write_all(frames).map_err(|source| self.fail(source))?;
        Ok(self.written.fetch_add(frames.len() as u64, Ordering::AcqRel))
    }

    /// Returns once everything that was appended before the call is on disk.
    pub(super) fn sync(&self) -> Result<(), DevnetError> {
        self.check()?;
        let wanted = self.written.load(Ordering::Acquire);
        let mut synced = self.synced.lock().unwrap_or_else(PoisonError::into_inner);
        if *synced >= wanted {
            return self.check();
        }
        let reached = self.written.load(Ordering::Acquire);
        self.file.sync_data().map_err(|source| self.fail(source))?;
        *synced = reached;
        Ok(())
    }

    /// Nothing is known about a file after a failed write or sync, so it stays failed.
    fn fail(&self, source: std::io::Error) -> DevnetError {
        self.broken.store(true, Ordering::Release);
        DevnetError::io(&self.path, source)
    }

    fn check(&self) -> Result<(), DevnetError> {
        if self.broken.load(Ordering::Acquire) {
            return Err(DevnetError::Broken { path: self.path.clone() });
        }
        Ok(())
    }
}

/// Adds one frame to `frames`.
///
/// # Panics
///
/// If the payload is longer than any that a request can bring.
pub(super) fn frame(frames: &mut Vec<u8>, payload: &[u8]) {
    let length = u32::try_from(payload.len()).expect("payloads are bounded by the request size");
    frames.extend_from_slice(&length.to_le_bytes());
    frames.extend_from_slice(&crc32fast::hash(payload).to_le_bytes());
    frames.extend_from_slice(payload);
}

fn check_label(path: &Path, label: Label) -> Result<BufReader<File>, DevnetError> {
    let io = |source| DevnetError::io(path, source);
    let mut reader = BufReader::with_capacity(1 << 18, File::open(path).map_err(io)?);
    let mut line = Vec::new();
    reader.by_ref().take(128).read_until(b'\n', &mut line).map_err(io)?;
    if line.strip_suffix(b"\n") != Some(label.line.as_bytes()) {
        return Err(DevnetError::NotOurs { path: path.into() });
    }
    let mut owner = B256::ZERO;
    reader.read_exact(owner.as_mut_slice()).map_err(io)?;
    if owner != label.owner {
        return Err(DevnetError::OtherGenesis { path: path.into() });
    }
    Ok(reader)
}

/// Reads every whole frame and gives it to `visit`, with the place of its payload. Returns the end
/// of the last one.
pub(super) fn read_frames(
    path: &Path,
    label: Label,
    mut visit: impl FnMut(u64, &[u8]) -> Result<(), DevnetError>,
) -> Result<u64, DevnetError> {
    let io = |source| DevnetError::io(path, source);
    let mut reader = check_label(path, label)?;
    let mut end = label.to_bytes().len() as u64;
    let length_of_file = reader.get_ref().metadata().map_err(io)?.len();
    let mut payload = Vec::new();
    while let Some((length, checksum)) = frame_head(&mut reader).map_err(io)? {
        let next = end + FRAME_HEAD + u64::from(length);
        if length > MAX_FRAME || next > length_of_file {
            break;
        }
        payload.resize(length as usize, 0);
        reader.read_exact(&mut payload).map_err(io)?;
        if crc32fast::hash(&payload) != checksum {
            break;
        }
        visit(end + FRAME_HEAD, &payload)?;
        end = next;
    }
    Ok(end)
}

fn frame_head(reader: &mut impl Read) -> std::io::Result<Option<(u32, u32)>> {
    let mut head = [[0; 4]; 2];
    match reader.read_exact(head.as_flattened_mut()) {
        Ok(()) => Ok(Some((u32::from_le_bytes(head[0]), u32::from_le_bytes(head[1])))),
        Err(error) if error.kind() == std::io::ErrorKind::UnexpectedEof => Ok(None),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LABEL: Label = Label { line: "ogflow devnet test 1", owner: B256::ZERO };

    fn frames(payloads: &[&[u8]]) -> Vec<u8> {
        let mut bytes = Vec::new();
        payloads.iter().for_each(|payload| frame(&mut bytes, payload));
        bytes
    }

    fn read(path: &Path) -> (Vec<Vec<u8>>, u64) {
        let mut found = Vec::new();
        let end = read_frames(path, LABEL, |_, payload| {
            found.push(payload.to_vec());
            Ok(())
        })
        .unwrap();
        (found, end)
    }

    fn written(folder: &Path, payloads: &[&[u8]]) -> PathBuf {
        let path = folder.join("log");
        let file = GrowingFile::open(path.clone(), LABEL).unwrap();
        file.append(&frames(payloads)).unwrap();
        file.sync().unwrap();
        path
    }

    #[test]
    fn frames_read_back_in_order() {
        let folder = tempfile::tempdir().unwrap();
        let path = written(folder.path(), &[b"one", b"", b"three"]);
        assert_eq!(read(&path).0, [b"one".to_vec(), b"".to_vec(), b"three".to_vec()]);
    }

    #[test]
    fn a_tail_torn_at_any_byte_is_dropped_and_the_rest_stays() {
        let folder = tempfile::tempdir().unwrap();
        let path = written(folder.path(), &[b"first", b"second"]);
        let whole = std::fs::read(&path).unwrap();
        let second = frames(&[b"second"]).len();
        for cut in 1..second {
            std::fs::write(&path, &whole[..whole.len() - cut]).unwrap();
            let (found, end) = read(&path);
            assert_eq!(found, [b"first".to_vec()], "{cut} bytes short");
            let file = GrowingFile::open(path.clone(), LABEL).unwrap();
            file.start_at(end).unwrap();
            file.append(&frames(&[b"again"])).unwrap();
            drop(file);
            assert_eq!(read(&path).0, [b"first".to_vec(), b"again".to_vec()]);
        }
    }

    #[test]
    fn a_frame_with_a_flipped_bit_ends_the_log() {
        let folder = tempfile::tempdir().unwrap();
        let path = written(folder.path(), &[b"first", b"second", b"third"]);
        let mut bytes = std::fs::read(&path).unwrap();
        let at = bytes.len() - frames(&[b"second", b"third"]).len() + 9;
        bytes[at] ^= 1;
        std::fs::write(&path, bytes).unwrap();
        assert_eq!(read(&path).0, [b"first".to_vec()]);
    }

    #[test]
    fn a_second_process_is_told_that_the_file_is_taken() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log");
        let first = GrowingFile::open(path.clone(), LABEL).unwrap();
        let second = GrowingFile::open(path.clone(), LABEL);
        assert!(matches!(second, Err(DevnetError::Locked { .. })));
        drop(first);
        assert!(GrowingFile::open(path, LABEL).is_ok());
    }

    #[test]
    fn a_file_of_another_chain_or_program_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = written(folder.path(), &[b"x"]);
        let other = Label { owner: B256::repeat_byte(1), ..LABEL };
        let got = GrowingFile::open(path.clone(), other);
        assert!(matches!(got, Err(DevnetError::OtherGenesis { .. })));
        std::fs::write(&path, "something else that is long enough to hold a label, and more")
            .unwrap();
        let got = GrowingFile::open(path, LABEL);
        assert!(matches!(got, Err(DevnetError::NotOurs { .. })));
    }
}
