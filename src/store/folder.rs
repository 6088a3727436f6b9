//! The state folder: made private, refused where locks prove nothing.

use std::fs::{self, DirBuilder, File, OpenOptions, Permissions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use alloy::primitives::B256;
use rustix::fs::StatFs;

use super::StoreError;

/// Mode of folders: whoever reads signed bytes can send them.
const FOLDER_MODE: u32 = 0o700;
/// Mode of files.
const FILE_MODE: u32 = 0o600;
/// The bits of group and others.
const FOREIGN_BITS: u32 = 0o077;

/// A project's state folder, `.ogflow`: on a local disk, for its owner alone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StateFolder(PathBuf);

impl StateFolder {
    /// Opens the folder at `path`; makes it, and takes rights of others away, where needed.
    ///
    /// # Errors
    /// [`StoreError::Network`] on a network file system; [`StoreError::Io`].
    pub fn open(path: &Path) -> Result<Self, StoreError> {
        private_folder(path)?;
        let stat = rustix::fs::statfs(path).map_err(|e| io_error(path)(e.into()))?;
        if is_network(&stat) {
            return Err(StoreError::Network { path: path.into() });
        }
        Ok(Self(path.into()))
    }

    /// The folder.
    pub fn path(&self) -> &Path {
        &self.0
    }

    /// The journal's database.
    pub fn database(&self) -> PathBuf {
        self.0.join("ogflow.db")
    }

    /// Where outputs lie that are too large for a row.
    pub fn blobs(&self) -> PathBuf {
        self.0.join("blobs")
    }

    /// The file of the output with this SHA-256, if it is too large for a row.
    pub fn blob(&self, sha256: &B256) -> PathBuf {
        self.blobs().join(data_encoding::HEXLOWER.encode(sha256.as_slice()))
    }
}

/// Makes a folder of mode 0700, parents included, or takes the rights of others away.
pub(super) fn private_folder(path: &Path) -> Result<(), StoreError> {
    let mut builder = DirBuilder::new();
    builder.recursive(true).mode(FOLDER_MODE).create(path).map_err(io_error(path))?;
    let mode = fs::metadata(path).map_err(io_error(path))?.mode();
    if mode & FOREIGN_BITS != 0 {
        fs::set_permissions(path, Permissions::from_mode(FOLDER_MODE)).map_err(io_error(path))?;
    }
    Ok(())
}

/// Opens a file of mode 0600 for reading and writing; makes it if there is none.
pub(super) fn private_file(path: &Path) -> Result<File, StoreError> {
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).truncate(false).mode(FILE_MODE);
    let file = options.open(path).map_err(io_error(path))?;
    let mode = file.metadata().map_err(io_error(path))?.mode() & 0o777;
    if mode & FOREIGN_BITS != 0 {
        return Err(StoreError::Exposed { path: path.into(), mode });
    }
    Ok(file)
}

/// The error of an operation on `path`.
pub(super) fn io_error(path: &Path) -> impl FnOnce(io::Error) -> StoreError + '_ {
    move |source| {
        if source.kind() == io::ErrorKind::StorageFull {
            StoreError::Full { path: path.into() }
        } else {
            StoreError::Io { path: path.into(), source }
        }
    }
}

/// Whether a file system is on another machine.
#[cfg(any(target_os = "linux", target_os = "android"))]
fn is_network(stat: &StatFs) -> bool {
    is_network_magic(u64::try_from(stat.f_type).unwrap_or_default() & 0xFFFF_FFFF)
}

/// Whether a file system is on another machine.
#[cfg(not(any(target_os = "linux", target_os = "android")))]
fn is_network(stat: &StatFs) -> bool {
    /// `MNT_LOCAL` of BSD systems: the file system is stored locally.
    const LOCAL: u64 = 0x1000;
    u64::from(stat.f_flags) & LOCAL == 0
}

/// The numbers of statfs(2) for NFS, SMB, SMB2, CIFS, NCP, 9P, AFS, Coda, Ceph, Lustre, OCFS2,
/// GFS2.
#[cfg(any(target_os = "linux", target_os = "android"))]
const fn is_network_magic(magic: u64) -> bool {
    matches!(
        magic,
        0x6969
            | 0x517B
            | 0xFE53_4D42
            | 0xFF53_4D42
            | 0x564C
            | 0x0102_1997
            | 0x5346_414F
            | 0x7375_7245
            | 0x00C3_6400
            | 0x0BD0_0BD0
            | 0x7461_636F
            | 0x0116_1970
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_state_folder_belongs_to_its_owner_alone() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("a/.ogflow");
        StateFolder::open(&path).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777, 0o700);

        fs::set_permissions(&path, Permissions::from_mode(0o755)).unwrap();
        StateFolder::open(&path).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777, 0o700);
    }

    #[test]
    fn a_file_that_others_can_read_is_refused() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("ogflow.db");
        drop(private_file(&path).unwrap());
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777, 0o600);
        fs::set_permissions(&path, Permissions::from_mode(0o640)).unwrap();
        let error = private_file(&path).unwrap_err();
        assert!(matches!(error, StoreError::Exposed { mode: 0o640, .. }), "{error:?}");
        assert!(error.hint().unwrap().starts_with("run `chmod 600 "));
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn network_file_systems_are_known_by_their_numbers() {
        let local = [0xEF53, 0x5846_5342, 0x9123_683E, 0x0102_1994, 0x794C_7630, 0x2FC1_2FC1];
        assert!(local.iter().all(|magic| !is_network_magic(*magic)));
        assert!([0x6969, 0xFF53_4D42, 0x0102_1997].iter().all(|magic| is_network_magic(*magic)));
    }
}
