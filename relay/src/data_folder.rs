//! The folder in which a relay keeps its database, its CA and its recordings.

use std::fs::{DirBuilder, File, OpenOptions, TryLockError};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// Held locked by the relay that serves from the folder.
const LOCK_FILE: &str = "relay.lock";

/// A data folder could not be used.
#[derive(Debug, thiserror::Error)]
pub enum DataFolderError {
    /// It could not be made or written to.
    #[error("the data folder {folder} cannot be used; check that it is a folder which this user may write to")]
    Unusable {
        /// Which.
        folder: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// Another relay serves from it.
    #[error("another relay serves from the data folder {0}; stop it first, or give this one a folder of its own")]
    Locked(PathBuf),
}

/// Makes the folder, for this user only, unless it exists.
pub fn create(folder: &Path) -> Result<(), DataFolderError> {
    DirBuilder::new().recursive(true).mode(0o700).create(folder).map_err(unusable(folder))
}

/// Where recordings are kept for good, unless the relay is told of another place.
pub fn recordings(folder: &Path) -> PathBuf {
    folder.join("recordings")
}

/// Where what is being recorded is written first.
pub fn hot_logs(folder: &Path) -> PathBuf {
    folder.join("hot")
}

/// Makes the folder for what is being recorded, for this user only, unless it exists.
pub fn create_hot_logs(folder: &Path) -> Result<PathBuf, DataFolderError> {
    let hot = hot_logs(folder);
    create(&hot)?;
    Ok(hot)
}

/// The right to serve from a folder: one relay at a time. Given back when it is dropped, or when the process dies.
#[derive(Debug)]
pub struct DataFolderLock {
    _file: File,
}

impl DataFolderLock {
    /// Takes the right.
    pub fn take(folder: &Path) -> Result<Self, DataFolderError> {
        let file = OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .mode(0o600)
            .open(folder.join(LOCK_FILE))
            .map_err(unusable(folder))?;
        match file.try_lock() {
            Ok(()) => Ok(Self { _file: file }),
            Err(TryLockError::WouldBlock) => Err(DataFolderError::Locked(folder.to_owned())),
            Err(TryLockError::Error(source)) => Err(unusable(folder)(source)),
        }
    }
}

fn unusable(folder: &Path) -> impl FnOnce(std::io::Error) -> DataFolderError {
    move |source| DataFolderError::Unusable { folder: folder.to_owned(), source }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn a_new_folder_is_its_users_alone() {
        let parent = tempfile::tempdir().expect("a folder");
        let folder = parent.path().join("a/b");
        create(&folder).expect("creates");
        create(&folder).expect("exists");
        assert_eq!(folder.metadata().expect("exists").permissions().mode() & 0o777, 0o700);
    }

    #[test]
    fn one_relay_at_a_time_serves_from_a_folder() {
        let folder = tempfile::tempdir().expect("a folder");
        let lock = DataFolderLock::take(folder.path()).expect("is free");
        assert!(matches!(DataFolderLock::take(folder.path()), Err(DataFolderError::Locked(_))));
        drop(lock);
        DataFolderLock::take(folder.path()).expect("is free again");
    }
}
