//! Where recordings are kept for good: objects in a folder or in an S3 bucket.
//!
//! The objects of a recording are named `ORGANISATION/SESSION/…`: `00000001.cast` and so on, its segments; and
//! `manifest.jsonl`, which is there once the recording is over.

use std::fmt;
use std::fs::DirBuilder;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path as FsPath, PathBuf};
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::{StreamExt, TryStreamExt};
use object_store::aws::{AmazonS3Builder, AmazonS3ConfigKey};
use object_store::local::LocalFileSystem;
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt, RetryConfig};
use podlatch_protocol::id::{OrganisationId, SessionId};
use tokio::time::timeout;

use super::manifest::MAX_ENTRY_BYTES;
use super::sealing::SEGMENT_BYTES;

/// How long one request to the store may take, its own retries included.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(20);

/// Largest object that is read, in bytes: a manifest of a session of weeks, or a segment with its entry.
const MAX_OBJECT_BYTES: u64 = 64 * 1024 * 1024;
const _: () = assert!(MAX_OBJECT_BYTES > (SEGMENT_BYTES + 2 * MAX_ENTRY_BYTES) as u64);

/// The manifest's name.
pub(super) const MANIFEST: &str = "manifest.jsonl";

/// The name of a segment.
pub(super) fn segment_name(index: u64) -> String {
    format!("{index:08}.cast")
}

/// Where recordings are to be kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StoreLocation {
    /// In this folder.
    Folder(PathBuf),
    /// In an S3 bucket, below a prefix.
    S3 {
        /// The bucket's name.
        bucket: String,
        /// May be empty.
        prefix: String,
    },
}

/// No place to keep recordings.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no place for recordings: say a folder, or s3://BUCKET/PREFIX")]
pub struct BadLocation(String);

impl FromStr for StoreLocation {
    type Err = BadLocation;

    fn from_str(text: &str) -> Result<Self, BadLocation> {
        let bad = || BadLocation(text.to_owned());
        match text.split_once("://") {
            None if text.is_empty() => Err(bad()),
            None => Ok(Self::Folder(text.into())),
            Some(("s3", rest)) => {
                let (bucket, prefix) = rest.split_once('/').unwrap_or((rest, ""));
                let prefix = prefix.trim_end_matches('/');
                if bucket.is_empty() || Path::parse(prefix).is_err() {
                    return Err(bad());
                }
                Ok(Self::S3 { bucket: bucket.to_owned(), prefix: prefix.to_owned() })
            }
            Some(_) => Err(bad()),
        }
    }
}

impl fmt::Display for StoreLocation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Folder(folder) => write!(f, "{}", folder.display()),
            Self::S3 { bucket, prefix } => write!(f, "s3://{bucket}/{prefix}"),
        }
    }
}

/// When output counts as durable.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Durability {
    /// Once the hot log is synced: the store is no safer than its disk.
    Synced,
    /// Once it is stored: a lost relay loses nothing.
    Stored,
}

/// The store could not do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// There is no such object.
    #[error("{0} does not exist in the recordings store")]
    NotFound(String),
    /// An object is far larger than any that was written.
    #[error("{0} in the recordings store is too large to be of a recording")]
    TooLarge(String),
    /// It did not answer in time.
    #[error("the recordings store {0} did not answer within {REQUEST_TIMEOUT:?}. Check that it can be reached")]
    Timeout(String),
    /// It refused.
    #[error("the recordings store failed: {0}. Check its address, credentials, free space and permissions")]
    Failed(String),
}

/// Where recordings are kept. Cheap to clone.
#[derive(Clone)]
pub struct RecordingsStore {
    objects: Arc<dyn ObjectStore>,
    prefix: Path,
    name: Arc<str>,
    durability: Durability,
}

impl fmt::Debug for RecordingsStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // An object store's own debug print may know credentials.
        f.debug_tuple("RecordingsStore").field(&self.name).finish()
    }
}

impl RecordingsStore {
    /// Opens the store; a folder is made, for this user only, unless it exists. S3 is set up by the usual variables
    /// (`AWS_REGION`, `AWS_ACCESS_KEY_ID`, `AWS_ENDPOINT`, …), which come as `environment`. Reaches for nothing yet.
    pub fn open(
        location: &StoreLocation,
        environment: impl IntoIterator<Item = (String, String)>,
    ) -> Result<Self, StoreError> {
        match location {
            StoreLocation::Folder(folder) => Self::in_folder(folder),
            StoreLocation::S3 { bucket, prefix } => Self::in_bucket(location, bucket, prefix, environment),
        }
    }

    fn in_folder(folder: &FsPath) -> Result<Self, StoreError> {
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(folder)
            .map_err(|error| StoreError::Failed(format!("{}: {error}", folder.display())))?;
        // Without it a segment could be lost with the machine, after its hot log was removed.
        let objects = LocalFileSystem::new_with_prefix(folder).map_err(|error| failed(&error))?.with_fsync(true);
        Ok(Self {
            objects: Arc::new(objects),
            prefix: Path::default(),
            name: folder.display().to_string().into(),
            durability: Durability::Synced,
        })
    }

    fn in_bucket(
        location: &StoreLocation,
        bucket: &str,
        prefix: &str,
        environment: impl IntoIterator<Item = (String, String)>,
    ) -> Result<Self, StoreError> {
        let mut builder = AmazonS3Builder::new();
        for (name, value) in environment.into_iter().filter(|(name, _)| name.starts_with("AWS_")) {
            if let Ok(key) = name.to_ascii_lowercase().parse::<AmazonS3ConfigKey>() {
                builder = builder.with_config(key, value);
            }
        }
        // The worker tries again by itself, for as long as it takes.
        let retry = RetryConfig { max_retries: 1, retry_timeout: REQUEST_TIMEOUT / 2, ..RetryConfig::default() };
        let objects = builder.with_bucket_name(bucket).with_retry(retry).build().map_err(|error| failed(&error))?;
        Ok(Self {
            objects: Arc::new(objects),
            prefix: Path::from(prefix),
            name: location.to_string().into(),
            durability: Durability::Stored,
        })
    }

    pub(super) fn durability(&self) -> Durability {
        self.durability
    }

    fn folder_of(&self, organisation: OrganisationId, session: SessionId) -> Path {
        self.prefix.clone().join(organisation.to_string()).join(session.to_string())
    }

    /// Stores an object of a recording, in place of one of the same name. Cancel safe: it is stored whole or not at all.
    pub(super) async fn put(
        &self,
        (organisation, session): (OrganisationId, SessionId),
        name: &str,
        bytes: Bytes,
    ) -> Result<(), StoreError> {
        let path = self.folder_of(organisation, session).join(name);
        let put = timeout(REQUEST_TIMEOUT, self.objects.put(&path, bytes.into())).await;
        put.map_err(|_| self.timed_out())?.map(drop).map_err(|error| failed(&error))
    }

    /// Reads an object of a recording. Cancel safe.
    pub(super) async fn get(
        &self,
        (organisation, session): (OrganisationId, SessionId),
        name: &str,
    ) -> Result<Bytes, StoreError> {
        let path = self.folder_of(organisation, session).join(name);
        let get = async {
            let found = self.objects.get(&path).await.map_err(|error| not_found(name, &error))?;
            if found.meta.size > MAX_OBJECT_BYTES {
                return Err(StoreError::TooLarge(name.to_owned()));
            }
            found.bytes().await.map_err(|error| failed(&error))
        };
        timeout(REQUEST_TIMEOUT, get).await.map_err(|_| self.timed_out())?
    }

    /// Removes every object of a recording; returns how many there were. Cancel safe: call it again.
    pub(crate) async fn remove(&self, organisation: OrganisationId, session: SessionId) -> Result<u64, StoreError> {
        let folder = self.folder_of(organisation, session);
        let list = self.objects.list(Some(&folder)).map_ok(|meta| meta.location).try_collect::<Vec<_>>();
        let found =
            timeout(REQUEST_TIMEOUT, list).await.map_err(|_| self.timed_out())?.map_err(|error| failed(&error))?;
        let mut removed = 0;
        for path in found {
            let deleted = timeout(REQUEST_TIMEOUT, self.objects.delete(&path)).await.map_err(|_| self.timed_out())?;
            match deleted {
                Ok(()) | Err(object_store::Error::NotFound { .. }) => removed += 1,
                Err(error) => return Err(failed(&error)),
            }
        }
        Ok(removed)
    }

    /// The numbers of a recording's segments, in order. Cancel safe.
    pub(super) async fn segments(
        &self,
        organisation: OrganisationId,
        session: SessionId,
    ) -> Result<Vec<u64>, StoreError> {
        let folder = self.folder_of(organisation, session);
        let list = async {
            let mut objects = self.objects.list(Some(&folder));
            let mut indexes = Vec::new();
            while let Some(meta) = objects.next().await {
                let meta = meta.map_err(|error| failed(&error))?;
                let name = meta.location.filename().and_then(|name| name.strip_suffix(".cast"));
                indexes.extend(name.and_then(|index| index.parse::<u64>().ok()));
            }
            indexes.sort_unstable();
            Ok(indexes)
        };
        timeout(REQUEST_TIMEOUT, list).await.map_err(|_| self.timed_out())?
    }

    fn timed_out(&self) -> StoreError {
        StoreError::Timeout(self.name.to_string())
    }
}

fn failed(error: &object_store::Error) -> StoreError {
    StoreError::Failed(error.to_string())
}

fn not_found(name: &str, error: &object_store::Error) -> StoreError {
    match error {
        object_store::Error::NotFound { .. } => StoreError::NotFound(name.to_owned()),
        _ => failed(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_a_folder_or_a_bucket() {
        let s3 = |bucket: &str, prefix: &str| StoreLocation::S3 { bucket: bucket.into(), prefix: prefix.into() };
        for (text, location) in [
            ("/var/recordings", StoreLocation::Folder("/var/recordings".into())),
            ("s3://bucket", s3("bucket", "")),
            ("s3://bucket/some/prefix/", s3("bucket", "some/prefix")),
        ] {
            assert_eq!(text.parse(), Ok(location), "{text}");
        }
        for text in ["", "s3://", "https://example.org/x", "s3://bucket/a//b"] {
            assert!(text.parse::<StoreLocation>().is_err(), "{text}");
        }
    }

    #[tokio::test]
    async fn a_folder_keeps_objects_apart_by_recording() {
        let folder = tempfile::tempdir().expect("a folder");
        let location = StoreLocation::Folder(folder.path().join("deep/store"));
        let store = RecordingsStore::open(&location, []).expect("opens");
        let organisation = OrganisationId::new(1, &[1; 10]);
        let (one, other) = (SessionId::new(1, &[2; 10]), SessionId::new(1, &[3; 10]));
        for index in [2, 1] {
            let name = segment_name(index);
            store.put((organisation, one), &name, Bytes::from_static(b"cast")).await.expect("stores");
        }
        assert_eq!(store.segments(organisation, one).await.expect("lists"), [1, 2]);
        assert_eq!(store.get((organisation, one), "00000001.cast").await.expect("reads"), "cast");
        let missing = store.get((organisation, other), "00000001.cast").await;
        assert!(matches!(missing, Err(StoreError::NotFound(_))), "{missing:?}");
        assert_eq!(store.remove(organisation, one).await.expect("removes"), 2);
        assert_eq!(store.segments(organisation, one).await.expect("lists"), Vec::<u64>::new());
    }
}
