//! The identity as one file in a folder.

use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use anyhow::Context;
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};

use super::{IdentityStore, StoreFuture, StoredIdentity};

/// The file's name in its folder.
const FILE: &str = "identity.json";

/// Keeps the identity in a file that only its owner may read.
#[derive(Debug, Clone)]
pub struct FileStore {
    folder: PathBuf,
}

#[derive(Serialize, Deserialize)]
struct Document {
    private_key: String,
    certificate: String,
    ca: String,
    relay_pin: String,
    enrolled_with: String,
}

impl FileStore {
    /// Keeps it in `folder`, which is made when it is first written.
    pub fn new(folder: impl Into<PathBuf>) -> Self {
        Self { folder: folder.into() }
    }

    fn path(&self) -> PathBuf {
        self.folder.join(FILE)
    }

    fn read(&self) -> anyhow::Result<Option<StoredIdentity>> {
        let text = match fs::read(self.path()) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => {
                return Err(error).with_context(|| format!("{} could not be read", self.path().display()));
            }
        };
        let document: Document = serde_json::from_slice(&text).with_context(|| {
            format!("{} is damaged; remove it and enrol with a new join token", self.path().display())
        })?;
        Ok(Some(StoredIdentity {
            private_key: SecretString::from(document.private_key),
            certificate: document.certificate,
            ca: document.ca,
            relay_pin: document.relay_pin,
            enrolled_with: document.enrolled_with,
        }))
    }

    fn write(&self, identity: &StoredIdentity) -> anyhow::Result<()> {
        let document = Document {
            private_key: identity.private_key.expose_secret().to_owned(),
            certificate: identity.certificate.clone(),
            ca: identity.ca.clone(),
            relay_pin: identity.relay_pin.clone(),
            enrolled_with: identity.enrolled_with.clone(),
        };
        let text = serde_json::to_vec_pretty(&document)?;
        replace(&self.folder, &self.path(), &text)
            .with_context(|| format!("{} could not be written; check the folder's rights", self.path().display()))
    }
}

impl IdentityStore for FileStore {
    fn load(&self) -> StoreFuture<'_, Option<StoredIdentity>> {
        let store = self.clone();
        Box::pin(async move { tokio::task::spawn_blocking(move || store.read()).await? })
    }

    fn save<'a>(&'a self, identity: &'a StoredIdentity) -> StoreFuture<'a, ()> {
        let (store, identity) = (self.clone(), identity.clone());
        Box::pin(async move { tokio::task::spawn_blocking(move || store.write(&identity)).await? })
    }

    fn location(&self) -> String {
        self.path().display().to_string()
    }
}

/// Writes beside, syncs, renames over: a crash leaves the old file or the new one.
fn replace(folder: &Path, path: &Path, content: &[u8]) -> io::Result<()> {
    fs::DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
    let draft = path.with_extension("new");
    match fs::remove_file(&draft) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&draft)?;
    file.write_all(content)?;
    file.sync_all()?;
    fs::rename(&draft, path)?;
    fs::File::open(folder)?.sync_all()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;
    use crate::identity::tests::identity;

    #[tokio::test]
    async fn an_identity_comes_back_from_a_private_file() {
        let folder = tempfile::tempdir().expect("makes a folder");
        let store = FileStore::new(folder.path().join("deep/er"));
        assert!(store.load().await.expect("reads").is_none());
        for _ in 0..2 {
            let identity = identity();
            store.save(identity.stored()).await.expect("writes");
            let loaded = store.load().await.expect("reads").expect("is there");
            assert_eq!(loaded.certificate, identity.stored().certificate);
            assert_eq!(loaded.private_key.expose_secret(), identity.stored().private_key.expose_secret());
        }
        let mode = fs::metadata(store.path()).expect("exists").permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        assert_eq!(fs::read_dir(&store.folder).expect("lists").count(), 1);
    }

    #[tokio::test]
    async fn a_damaged_file_is_an_error_that_says_what_to_do() {
        let folder = tempfile::tempdir().expect("makes a folder");
        fs::write(folder.path().join(FILE), "{").expect("writes");
        let error = FileStore::new(folder.path()).load().await.expect_err("is damaged");
        assert!(error.to_string().contains("enrol with a new join token"), "{error}");
    }
}
