//! Where a download's bytes go while they arrive: memory, then a blob.

use std::io::Write;

use bytes::{Bytes, BytesMut};

use super::blobs::{BlobWriter, Blobs, blob_error};
use super::error::ContentError;
use super::{Body, Fetched, Proof};
use crate::units::cid::sha256;
use crate::units::{Cid, CidMatch, FileHasher, Untrusted};

/// How much is collected before the blocking pool hashes and writes it.
const PIECE: usize = 256 * 1024;

/// Takes bytes in pieces. Small files never leave memory; of larger ones a piece is in memory.
#[derive(Debug)]
pub(super) struct Sink {
    blobs: Blobs,
    inline: usize,
    len: u64,
    pending: BytesMut,
    spill: Option<Spill>,
}

/// The part of a file that has left memory.
#[derive(Debug)]
struct Spill {
    writer: BlobWriter,
    hasher: FileHasher,
}

impl Sink {
    /// A sink that keeps up to `inline` bytes in memory.
    pub(super) fn new(blobs: Blobs, inline: usize) -> Self {
        Self { blobs, inline, len: 0, pending: BytesMut::new(), spill: None }
    }

    /// Bytes taken so far.
    pub(super) fn len(&self) -> u64 {
        self.len
    }

    /// Takes the next bytes.
    pub(super) async fn push(&mut self, bytes: Bytes) -> Result<(), ContentError> {
        self.len += bytes.len() as u64;
        self.pending.extend_from_slice(&bytes);
        if self.pending.len() >= PIECE.max(self.inline) {
            self.flush().await?;
        }
        Ok(())
    }

    /// Compares with the content id, if there is one, and only then gives the bytes a name.
    pub(super) async fn finish(
        mut self,
        cid: Option<Cid>,
        host: Untrusted,
    ) -> Result<Fetched, ContentError> {
        if self.spill.is_none() && self.pending.len() <= self.inline {
            let bytes = self.pending.freeze();
            let (sha256, usual) = (sha256(&bytes), cid.map(|_| Cid::for_file(&bytes)));
            let proof = prove(cid.zip(usual), sha256, self.len, host)?;
            return Ok(Fetched { sha256, len: self.len, body: Body::Inline(bytes), proof });
        }
        self.flush().await?;
        let spill = self.spill.expect("a flush leaves a spill");
        let seal = move || {
            let usual = spill.hasher.finish();
            let sha256 = spill.writer.sha256();
            let proof = prove(cid.map(|cid| (cid, usual)), sha256, self.len, host)?;
            let (sha256, len) = spill.writer.finish()?;
            Ok(Fetched { sha256, len, body: Body::Blob, proof })
        };
        tokio::task::spawn_blocking(seal).await.expect("sealing a blob does not panic")
    }

    /// Moves what is pending to the blob, on the blocking pool.
    async fn flush(&mut self) -> Result<(), ContentError> {
        let (spill, blobs, piece) = (self.spill.take(), self.blobs.clone(), self.pending.split());
        let write = move || {
            let mut spill = match spill {
                Some(spill) => spill,
                None => Spill { writer: blobs.writer()?, hasher: FileHasher::new() },
            };
            spill.hasher.update(&piece);
            let written = spill.writer.write_all(&piece);
            written.map_err(|source| blob_error(blobs.folder(), source))?;
            Ok(spill)
        };
        let done = tokio::task::spawn_blocking(write).await;
        self.spill = Some(done.expect("writing a blob does not panic")?);
        Ok(())
    }
}

/// What the id in the URL (with the one computed) says about the bytes.
fn prove(
    ids: Option<(Cid, Cid)>,
    sha256: alloy::primitives::B256,
    len: u64,
    host: Untrusted,
) -> Result<Proof, ContentError> {
    let Some((cid, usual)) = ids else { return Ok(Proof::NoCid) };
    match cid.compare(usual, sha256, len) {
        CidMatch::Same => Ok(Proof::Verified),
        CidMatch::Unknown => Ok(Proof::Unverified),
        CidMatch::Differs => Err(ContentError::WrongBytes { host, cid }),
    }
}
