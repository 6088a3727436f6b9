//! IPFS content ids: read, compute, compare.

use std::fmt;
use std::str::FromStr;

use alloy::primitives::B256;
use cid::Version;
use multihash::Multihash;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use url::Url;

/// Bytes per leaf that `ipfs add` cuts a file into.
const CHUNK: usize = 256 * 1024;
/// Links per inner node of the balanced tree that `ipfs add` builds.
const LINKS: usize = 174;
/// Multicodec of SHA2-256.
const SHA2_256: u64 = 0x12;
/// Multicodec of a block that is the file itself.
const RAW: u64 = 0x55;
/// Multicodec of a block that is a protobuf node.
const DAG_PB: u64 = 0x70;
/// Longest text that is read as a content id; those in use have 46 and 59 characters.
const LONGEST: usize = 128;

/// SHA-256 of `bytes`.
pub fn sha256(bytes: &[u8]) -> B256 {
    B256::new(Sha256::digest(bytes).into())
}

/// An IPFS content id, version 0 (`Qm…`) or 1.
///
/// Serialized as its text.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Cid(cid::Cid);

/// A text that is no content id.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not an IPFS content id")]
pub struct CidError;

/// What recomputing a content id from a file's bytes said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CidMatch {
    /// The bytes are the file that the id names.
    Same,
    /// They are another file.
    Differs,
    /// The id depends on how the file was cut into blocks (over 256 KiB), or on something else
    /// that the bytes alone do not tell, and the usual way gives another id.
    Unknown,
}

impl Cid {
    /// The CIDv0 that `ipfs add` gives a file with these bytes, also over many chunks.
    pub fn for_file(bytes: &[u8]) -> Self {
        let mut hasher = FileHasher::new();
        hasher.update(bytes);
        hasher.finish()
    }

    /// The id in a gateway address of the form `…/ipfs/<cid>` or `<cid>.ipfs.…/`.
    ///
    /// `None` where a path follows the id, since it then names a folder, not the file.
    pub fn in_url(url: &Url) -> Option<Self> {
        let mut segments = url.path_segments()?.filter(|part| !part.is_empty());
        if let Some(first) = segments.next() {
            return match (first, segments.next(), segments.next()) {
                ("ipfs", Some(id), None) => id.parse().ok(),
                _ => None,
            };
        }
        let (id, rest) = url.host_str()?.split_once('.')?;
        if rest.starts_with("ipfs.") { id.parse().ok() } else { None }
    }

    /// Compares with a file, given the CIDv0 (from [`FileHasher`]), SHA-256 and length of its
    /// bytes.
    pub fn compare(&self, usual: Self, sha256: B256, len: u64) -> CidMatch {
        let (hash, found) = (self.0.hash(), usual.0.hash());
        if hash.code() != SHA2_256 {
            return CidMatch::Unknown;
        }
        match self.0.codec() {
            RAW if hash.digest() == sha256.as_slice() => CidMatch::Same,
            RAW => CidMatch::Differs,
            DAG_PB if hash == found => CidMatch::Same,
            DAG_PB if self.0.version() == Version::V0 && len <= CHUNK as u64 => CidMatch::Differs,
            _ => CidMatch::Unknown,
        }
    }

    /// Compares with the file that has these bytes.
    pub fn verify(&self, bytes: &[u8]) -> CidMatch {
        self.compare(Self::for_file(bytes), sha256(bytes), bytes.len() as u64)
    }
}

impl FromStr for Cid {
    type Err = CidError;

    fn from_str(text: &str) -> Result<Self, CidError> {
        if text.len() > LONGEST || !text.bytes().all(|b| b.is_ascii_graphic() && b != b'/') {
            return Err(CidError);
        }
        let id: cid::Cid = text.parse().map_err(|_| CidError)?;
        // The usual base must read back: the parser ignores bytes after the hash.
        if text.starts_with(['b', 'Q']) && id.to_string() != text {
            return Err(CidError);
        }
        Ok(Self(id))
    }
}

impl TryFrom<String> for Cid {
    type Error = CidError;

    fn try_from(text: String) -> Result<Self, CidError> {
        text.parse()
    }
}

impl From<Cid> for String {
    fn from(id: Cid) -> Self {
        id.to_string()
    }
}

impl fmt::Display for Cid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Debug for Cid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Cid({})", self.0)
    }
}

/// Computes the CIDv0 of a file that arrives in pieces.
///
/// The rules are those of `ipfs add`: leaves of 256 KiB in `UnixFS` nodes, a balanced tree of at
/// most 174 links a node. Holds one leaf and 48 bytes for each 256 KiB seen.
#[derive(Debug)]
pub struct FileHasher {
    part: Vec<u8>,
    leaves: Vec<Node>,
}

/// A node of the tree, as its parent sees it.
#[derive(Clone, Copy, Debug)]
struct Node {
    digest: [u8; 32],
    /// Bytes of this block and of all blocks below it.
    blocks: u64,
    /// Bytes of the file below this node.
    file: u64,
}

impl FileHasher {
    /// A hasher that has seen nothing.
    pub fn new() -> Self {
        Self { part: Vec::new(), leaves: Vec::new() }
    }

    /// Takes the next bytes of the file.
    pub fn update(&mut self, mut bytes: &[u8]) {
        if !self.part.is_empty() {
            let (head, tail) = bytes.split_at(bytes.len().min(CHUNK - self.part.len()));
            self.part.extend_from_slice(head);
            bytes = tail;
            if self.part.len() == CHUNK {
                self.leaves.push(leaf(&self.part));
                self.part.clear();
            }
        }
        if bytes.is_empty() {
            return;
        }
        let (chunks, rest) = bytes.as_chunks::<CHUNK>();
        self.leaves.extend(chunks.iter().map(|chunk| leaf(chunk)));
        self.part.extend_from_slice(rest);
    }

    /// The id of all bytes taken.
    #[expect(clippy::missing_panics_doc, reason = "the sizes of a hash are fixed")]
    pub fn finish(mut self) -> Cid {
        if !self.part.is_empty() || self.leaves.is_empty() {
            self.leaves.push(leaf(&self.part));
        }
        let mut level = self.leaves;
        while level.len() > 1 {
            level = level.chunks(LINKS).map(parent).collect();
        }
        let hash = Multihash::wrap(SHA2_256, &level[0].digest).expect("32 bytes fit in 64");
        Cid(cid::Cid::new_v0(hash).expect("SHA-256 is the hash of CIDv0"))
    }
}

impl Default for FileHasher {
    fn default() -> Self {
        Self::new()
    }
}

/// A leaf: node { data: unixfs { type: file, data, size } }.
fn leaf(data: &[u8]) -> Node {
    let len = data.len() as u64;
    let mut head = vec![0x08, 0x02];
    if len > 0 {
        head.push(0x12);
        varint(&mut head, len);
    }
    let mut tail = vec![0x18];
    varint(&mut tail, len);
    let mut frame = vec![0x0a];
    varint(&mut frame, head.len() as u64 + len + tail.len() as u64);
    let mut sha = Sha256::new();
    for piece in [&frame[..], &head, data, &tail] {
        sha.update(piece);
    }
    let blocks = (frame.len() + head.len() + tail.len()) as u64 + len;
    Node { digest: sha.finalize().into(), blocks, file: len }
}

/// An inner node: the links first, then the sizes of what they lead to.
fn parent(children: &[Node]) -> Node {
    let mut block = Vec::with_capacity(children.len() * 56);
    let mut sizes = vec![0x08, 0x02, 0x18];
    let file = children.iter().map(|child| child.file).sum();
    varint(&mut sizes, file);
    for child in children {
        let mut link = vec![0x0a, 0x22, 0x12, 0x20];
        link.extend_from_slice(&child.digest);
        link.extend_from_slice(&[0x12, 0x00, 0x18]); // an empty name, then the size
        varint(&mut link, child.blocks);
        block.push(0x12);
        varint(&mut block, link.len() as u64);
        block.extend_from_slice(&link);
        sizes.push(0x20);
        varint(&mut sizes, child.file);
    }
    block.push(0x0a);
    varint(&mut block, sizes.len() as u64);
    block.extend_from_slice(&sizes);
    let below: u64 = children.iter().map(|child| child.blocks).sum();
    Node { digest: sha256(&block).0, blocks: block.len() as u64 + below, file }
}

/// Appends a protobuf variable-length integer.
fn varint(out: &mut Vec<u8>, mut value: u64) {
    loop {
        let low = (value & 0x7f).to_le_bytes()[0];
        value >>= 7;
        if value == 0 {
            return out.push(low);
        }
        out.push(low | 0x80);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Bytes that differ from chunk to chunk.
    fn pattern(len: usize) -> Vec<u8> {
        let byte = |i: usize| (i * 31 + (i >> 8) * 17 + (i >> 16) * 7) & 255;
        (0..len).map(|i| u8::try_from(byte(i)).unwrap()).collect()
    }

    #[test]
    fn ids_are_those_that_ipfs_gives() {
        let fixed = |bytes: &[u8]| Cid::for_file(bytes).to_string();
        assert_eq!(fixed(b"hello world\n"), "QmT78zSuBmuS4z925WZfrqQ1qHaJ56DQaTfyMUF7F8ff5o");
        assert_eq!(fixed(b""), "QmbFMke1KXqnYyBBWxB74N4c5SBnJMVAiMNRcGu6x1AwQH");
        assert_eq!(fixed(&[0; 1 << 20]), "QmVkbauSDEaMP4Tkq6Epm9uW75mWm136n81YH8fGtfwdHU");
        for (len, id) in [
            (1, "QmS9JArPwa55ePgDnyg6TzX24mYTS1b1vLqWNebyVotKxQ"),
            (CHUNK - 1, "QmWrhMr2ezHVZ5ikXbAXUTfpzMMrvir85mC1EPuREVUHF8"),
            (CHUNK, "QmVwssxbD7qXmDP7iSkicicxA1BXqRMiAEUtWMHSTwHZwQ"),
            (CHUNK + 1, "Qmaq6BTRta2uaBdUvDA4u1za9vNz6jLuJKRHe4pvmCDaop"),
            (4 * CHUNK, "QmUf9QwiqaychTtp55epZCLk9nDj1dE57tNgEgbmETdoij"),
        ] {
            assert_eq!(fixed(&pattern(len)), id, "{len} bytes");
        }
    }

    #[test]
    fn a_file_of_more_chunks_than_a_node_has_links_gets_another_level() {
        for (len, id) in [
            (LINKS * CHUNK, "Qmao2ysNhRJ1sFbHseaJbjyKMonQTn66GKvs8eMkkTweXL"),
            (LINKS * CHUNK + 1, "QmXC9NxMi2LBC4VqydYYLpjrFHpksjwwx7MmK8TW63hDHc"),
            ((LINKS + 1) * CHUNK + 1, "QmXAGVTMmeKUwAj7mg3YNg1XUo7P41UbxjvAeUsdz6vqQW"),
        ] {
            assert_eq!(Cid::for_file(&pattern(len)).to_string(), id, "{len} bytes");
        }
    }

    #[test]
    fn the_pieces_in_which_a_file_arrives_do_not_matter() {
        let bytes = pattern(3 * CHUNK + 77);
        for piece in [1021, CHUNK - 1, CHUNK, CHUNK + 1, 2 * CHUNK + 3] {
            let mut hasher = FileHasher::new();
            bytes.chunks(piece).for_each(|part| hasher.update(part));
            assert_eq!(hasher.finish(), Cid::for_file(&bytes), "pieces of {piece}");
        }
    }

    #[test]
    fn other_bytes_are_refused_where_the_id_can_be_recomputed_and_unknown_elsewhere() {
        let small = Cid::for_file(b"hello");
        assert_eq!(small.verify(b"hello"), CidMatch::Same);
        assert_eq!(small.verify(b"hellp"), CidMatch::Differs);
        let raw: Cid =
            "bafkreibm6jg3ux5qumhcn2b3flc3tyu6dmlb4xa7u5bf44yegnrjhc4yeq".parse().unwrap();
        assert_eq!(raw.verify(b"hello"), CidMatch::Same);
        assert_eq!(raw.verify(b"hellp"), CidMatch::Differs);
        let large = pattern(CHUNK + 9);
        assert_eq!(Cid::for_file(&large).verify(&large), CidMatch::Same);
        assert_eq!(small.verify(&large), CidMatch::Unknown, "perhaps cut in another way");
    }

    #[test]
    fn only_an_id_alone_is_read_as_an_id() {
        let id = "QmT78zSuBmuS4z925WZfrqQ1qHaJ56DQaTfyMUF7F8ff5o";
        assert_eq!(id.parse::<Cid>().unwrap().to_string(), id);
        for text in [
            "",
            "Q",
            "Qm",
            "QmT78zSuBmuS4z925WZfrqQ1qHaJ56DQaTfyMUF7F8ff5",
            "QmT78zSuBmuS4z925WZfrqQ1qHaJ56DQaTfyMUF7F8ff5O",
            "QmT78zSuBmuS4z925WZfrqQ1qHaJ56DQaTfyMUF7F8ff50",
            " QmT78zSuBmuS4z925WZfrqQ1qHaJ56DQaTfyMUF7F8ff5o",
            "/ipfs/QmT78zSuBmuS4z925WZfrqQ1qHaJ56DQaTfyMUF7F8ff5o",
            "bafkrei",
            "bafkreibm6jg3ux5qumhcn2b3flc3tyu6dmlb4xa7u5bf44yegnrjhc4yeqaaaaaa",
        ] {
            assert_eq!(text.parse::<Cid>(), Err(CidError), "{text}");
        }
        assert_eq!("b".repeat(100_000).parse::<Cid>(), Err(CidError));
    }

    #[test]
    fn an_id_is_found_in_a_gateway_url_that_names_the_file_itself() {
        let id = "QmT78zSuBmuS4z925WZfrqQ1qHaJ56DQaTfyMUF7F8ff5o";
        let found = |url: &str| Cid::in_url(&Url::parse(url).unwrap()).map(|id| id.to_string());
        assert_eq!(found(&format!("https://a.example/ipfs/{id}")).as_deref(), Some(id));
        assert_eq!(found(&format!("https://a.example/ipfs/{id}?filename=x")).as_deref(), Some(id));
        assert_eq!(found(&format!("https://a.example/ipfs/{id}/cat.png")), None);
        assert_eq!(found(&format!("https://a.example/files/{id}")), None);
        assert_eq!(found("https://a.example/"), None);
        let v1 = "bafkreibm6jg3ux5qumhcn2b3flc3tyu6dmlb4xa7u5bf44yegnrjhc4yeq";
        assert_eq!(found(&format!("https://{v1}.ipfs.a.example/")).as_deref(), Some(v1));
        assert_eq!(found(&format!("https://{v1}.a.example/")), None);
    }

    #[test]
    fn an_id_reads_back_from_its_text_and_its_json() {
        let id = Cid::for_file(b"x");
        assert_eq!(id.to_string().parse(), Ok(id));
        let json = serde_json::to_string(&id).unwrap();
        assert_eq!(serde_json::from_str::<Cid>(&json).unwrap(), id);
        assert!(serde_json::from_str::<Cid>("\"nothing\"").is_err());
    }
}
