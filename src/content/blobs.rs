//! Files named by the SHA-256 of their bytes.

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use alloy::primitives::B256;
use data_encoding::HEXLOWER;
use sha2::{Digest, Sha256};
use tempfile::NamedTempFile;

use super::ContentError;
use crate::units::cid::sha256;

/// The folder of blobs inside a state folder.
const FOLDER: &str = "blobs";

/// A folder of blobs. Cheap to clone; safe to use from many threads and processes.
///
/// A blob appears whole or not at all: it is written beside, synced, and renamed to its hash.
#[derive(Clone, Debug)]
pub struct Blobs {
    folder: Arc<Path>,
}

impl Blobs {
    /// Opens, or makes, `blobs` inside a state folder; only its owner may enter.
    ///
    /// # Errors
    ///
    /// [`ContentError::Blob`] if the folder cannot be made.
    pub fn open(state: &Path) -> Result<Self, ContentError> {
        let folder = state.join(FOLDER);
        make_private(&folder).map_err(|source| blob_error(&folder, source))?;
        Ok(Self { folder: folder.into() })
    }

    /// The folder itself.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Where the blob with this hash is, or would be.
    pub fn path(&self, sha256: B256) -> PathBuf {
        self.folder.join(HEXLOWER.encode(sha256.as_slice()))
    }

    /// Whether the blob is there.
    pub fn contains(&self, sha256: B256) -> bool {
        self.path(sha256).is_file()
    }

    /// Begins a blob whose bytes come in pieces.
    ///
    /// # Errors
    ///
    /// [`ContentError::Blob`] if the folder cannot be written.
    pub fn writer(&self) -> Result<BlobWriter, ContentError> {
        let file = tempfile::Builder::new()
            .prefix(".part-")
            .tempfile_in(&self.folder)
            .map_err(|source| blob_error(&self.folder, source))?;
        Ok(BlobWriter { blobs: self.clone(), file, sha: Sha256::new(), len: 0 })
    }

    /// Stores `bytes`, durably, and says their hash.
    ///
    /// # Errors
    ///
    /// [`ContentError::Blob`] if the folder cannot be written.
    pub fn put(&self, bytes: &[u8]) -> Result<B256, ContentError> {
        let mut writer = self.writer()?;
        writer.write_all(bytes).map_err(|source| blob_error(&self.folder, source))?;
        Ok(writer.finish()?.0)
    }

    /// Reads a blob whole and checks it against its hash.
    ///
    /// # Errors
    ///
    /// [`ContentError::Blob`] if it is missing or damaged.
    pub fn get(&self, hash: B256) -> Result<Vec<u8>, ContentError> {
        let path = self.path(hash);
        let mut bytes = Vec::new();
        File::open(&path)
            .and_then(|mut file| file.read_to_end(&mut bytes))
            .map_err(|source| blob_error(&path, source))?;
        if sha256(&bytes) != hash {
            let damaged =
                io::Error::new(io::ErrorKind::InvalidData, "the bytes do not fit the name");
            return Err(blob_error(&path, damaged));
        }
        Ok(bytes)
    }
}

/// A blob on its way. Dropped before [`BlobWriter::finish`], it leaves nothing behind.
#[derive(Debug)]
pub struct BlobWriter {
    blobs: Blobs,
    file: NamedTempFile,
    sha: Sha256,
    len: u64,
}

impl BlobWriter {
    /// SHA-256 of the bytes so far.
    pub fn sha256(&self) -> B256 {
        B256::new(self.sha.clone().finalize().into())
    }

    /// Syncs the bytes, gives the file its name, syncs the folder; returns hash and length.
    ///
    /// # Errors
    ///
    /// [`ContentError::Blob`] if any of this fails; the blob is then not there.
    pub fn finish(self) -> Result<(B256, u64), ContentError> {
        let sha256 = self.sha256();
        let path = self.blobs.path(sha256);
        let wrong = |source| blob_error(&path, source);
        self.file.as_file().sync_all().map_err(wrong)?;
        self.file.persist(&path).map_err(|error| wrong(error.error))?;
        File::open(&self.blobs.folder).and_then(|folder| folder.sync_all()).map_err(wrong)?;
        Ok((sha256, self.len))
    }
}

impl Write for BlobWriter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.file.write(bytes)?;
        self.sha.update(&bytes[..written]);
        self.len += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

fn make_private(folder: &Path) -> io::Result<()> {
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(folder)
}

pub(super) fn blob_error(path: &Path, source: io::Error) -> ContentError {
    ContentError::Blob { path: path.to_owned(), source }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_put_is_found_by_its_hash_and_by_its_owner_only() {
        let state = tempfile::tempdir().unwrap();
        let blobs = Blobs::open(state.path()).unwrap();
        let hash = blobs.put(b"hello").unwrap();
        assert_eq!(hash, sha256(b"hello"));
        assert!(blobs.contains(hash));
        assert_eq!(blobs.get(hash).unwrap(), b"hello");
        assert_eq!(blobs.put(b"hello").unwrap(), hash, "again changes nothing");
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
            assert_eq!(mode(&state.path().join(FOLDER)), 0o700);
            assert_eq!(mode(&blobs.path(hash)), 0o600);
        }
    }

    #[test]
    fn a_blob_that_was_not_finished_leaves_no_file() {
        let state = tempfile::tempdir().unwrap();
        let blobs = Blobs::open(state.path()).unwrap();
        let mut writer = blobs.writer().unwrap();
        writer.write_all(b"half").unwrap();
        assert!(!blobs.contains(sha256(b"half")), "no name before it is whole");
        drop(writer);
        assert_eq!(fs::read_dir(state.path().join(FOLDER)).unwrap().count(), 0);
    }

    #[test]
    fn a_damaged_or_missing_blob_is_an_error_and_writing_it_again_heals_it() {
        let state = tempfile::tempdir().unwrap();
        let blobs = Blobs::open(state.path()).unwrap();
        let hash = blobs.put(b"hello").unwrap();
        fs::write(blobs.path(hash), b"hellp").unwrap();
        assert!(matches!(blobs.get(hash), Err(ContentError::Blob { .. })));
        blobs.put(b"hello").unwrap();
        assert_eq!(blobs.get(hash).unwrap(), b"hello");
        assert!(matches!(blobs.get(B256::ZERO), Err(ContentError::Blob { .. })));
    }
}
