//! The file with the sealing keys: one key a line, 64 hexadecimal digits; empty lines and lines that begin with `#` do not
//! count.

use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use secrecy::{ExposeSecret, SecretString};

use super::{KEY_BYTES, SealingKeys};
use crate::entropy::Entropy;

/// Its name in the data folder, unless the operator keeps it elsewhere.
pub const KEY_FILE: &str = "sealing.key";

/// Longer files are something else.
const MAX_FILE_BYTES: u64 = 16 * 1024;

/// The sealing keys cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum SealingKeyError {
    /// The file cannot be read or written.
    #[error("the sealing key file {path} could not be {action}")]
    File {
        /// Which.
        path: PathBuf,
        /// What was tried.
        action: &'static str,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// Others can read it.
    #[error("everybody on this machine can read the sealing key file {0}: run `chmod 600 {0}`")]
    Public(PathBuf),
    /// It has another form.
    #[error(
        "line {line} of the sealing key file {path} is no key: each line is 64 hexadecimal digits (`openssl rand -hex 32`)"
    )]
    Content {
        /// Which.
        path: PathBuf,
        /// The line, from 1.
        line: usize,
    },
    /// There is no key in it.
    #[error(
        "there is no key in the sealing key file {0}: write 64 hexadecimal digits into it (`openssl rand -hex 32`)"
    )]
    Empty(PathBuf),
    /// It is no key file.
    #[error("{0} is too long for a sealing key file")]
    TooLong(PathBuf),
    /// The library refused a key.
    #[error("a sealing key cannot be used")]
    Unusable,
}

/// Where the keys are: where the operator says, or in the data folder.
pub fn key_file(told: Option<&Path>, data: &Path) -> PathBuf {
    told.map_or_else(|| data.join(KEY_FILE), Path::to_owned)
}

impl SealingKeys {
    /// Reads the keys. A file that the operator named has to exist; the one in the data folder is made where it is missing,
    /// for this user only. Blocks.
    pub fn load_or_create(told: Option<&Path>, data: &Path, entropy: &Entropy) -> Result<Self, SealingKeyError> {
        let path = key_file(told, data);
        if told.is_none() && !path.exists() {
            create(&path, entropy).map_err(file_error(&path, "written"))?;
        }
        Self::load(&path)
    }

    /// Reads the keys. Blocks.
    pub fn load(path: &Path) -> Result<Self, SealingKeyError> {
        let metadata = fs::metadata(path).map_err(file_error(path, "read"))?;
        if metadata.permissions().mode() & 0o007 != 0 {
            return Err(SealingKeyError::Public(path.to_owned()));
        }
        if metadata.len() > MAX_FILE_BYTES {
            return Err(SealingKeyError::TooLong(path.to_owned()));
        }
        let text = SecretString::from(fs::read_to_string(path).map_err(file_error(path, "read"))?);
        let mut keys = Vec::new();
        for (number, line) in text.expose_secret().lines().enumerate() {
            let line = line.trim();
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let mut key = [0; KEY_BYTES];
            let content = |_| SealingKeyError::Content { path: path.to_owned(), line: number + 1 };
            hex::decode_to_slice(line, &mut key).map_err(content)?;
            keys.push(key);
        }
        let keys = Self::of(&keys).map_err(|_| SealingKeyError::Unusable)?;
        keys.ok_or_else(|| SealingKeyError::Empty(path.to_owned()))
    }
}

/// Writes a new key, whole or not at all. Where there is one already, it stays.
fn create(path: &Path, entropy: &Entropy) -> io::Result<()> {
    let key: [u8; KEY_BYTES] = entropy.bytes();
    let draft = path.with_extension(format!("{}.new", hex::encode(entropy.bytes::<8>())));
    let written =
        write_private(&draft, &format!("{}\n", hex::encode(key))).and_then(|()| match fs::hard_link(&draft, path) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
            other => other,
        });
    let removed = fs::remove_file(&draft);
    written.and(removed)?;
    path.parent().map_or(Ok(()), |folder| fs::File::open(folder)?.sync_all())
}

fn write_private(path: &Path, content: &str) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    file.write_all(content.as_bytes())?;
    file.sync_all()
}

fn file_error(path: &Path, action: &'static str) -> impl FnOnce(io::Error) -> SealingKeyError {
    move |source| SealingKeyError::File { path: path.to_owned(), action, source }
}

#[cfg(test)]
mod tests {
    use podlatch_protocol::id::OrganisationId;
    use uuid::Uuid;

    use super::*;
    use crate::auth::seal::SealedPlace;

    fn written(text: &str) -> (tempfile::TempDir, PathBuf) {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("keys");
        write_private(&path, text).expect("is written");
        (folder, path)
    }

    #[test]
    fn a_key_is_made_once_for_this_user_only() {
        let (folder, entropy) = (tempfile::tempdir().expect("a folder"), Entropy::seeded(1));
        let place = SealedPlace {
            organisation: OrganisationId::from_uuid(Uuid::from_u128(1)),
            kind: "test",
            record: Uuid::from_u128(2),
        };
        let keys = SealingKeys::load_or_create(None, folder.path(), &entropy).expect("is made");
        let sealed = keys.seal(&place, &SecretString::from("a secret")).expect("seals");
        let again = SealingKeys::load_or_create(None, folder.path(), &entropy).expect("is there");
        again.open(&place, &sealed).expect("is the same key");
        let mode = folder.path().join(KEY_FILE).metadata().expect("exists").permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        assert_eq!(fs::read_dir(folder.path()).expect("is a folder").count(), 1, "no draft is left");
    }

    #[test]
    fn a_file_that_the_operator_named_is_never_made() {
        let folder = tempfile::tempdir().expect("a folder");
        let missing = folder.path().join("missing");
        let error = SealingKeys::load_or_create(Some(&missing), folder.path(), &Entropy::seeded(1)).err();
        assert!(matches!(error, Some(SealingKeyError::File { .. })), "{error:?}");
        assert!(!missing.exists());
    }

    #[test]
    fn a_file_has_one_key_a_line() {
        let (one, two) = ("11".repeat(KEY_BYTES), "22".repeat(KEY_BYTES));
        let (_folder, path) = written(&format!("# new\n{one}\n\n# old\n  {two}\n"));
        let keys = SealingKeys::load(&path).expect("is fine");
        assert_eq!(keys.keys().count(), 2);
    }

    #[test]
    fn a_file_that_is_wrong_says_where() {
        let (_folder, path) = written("# mine\nnot a key\n");
        assert!(matches!(SealingKeys::load(&path), Err(SealingKeyError::Content { line: 2, .. })));
        let (_folder, path) = written("# nothing\n");
        assert!(matches!(SealingKeys::load(&path), Err(SealingKeyError::Empty(_))));
        let (_folder, path) = written(&"11".repeat(KEY_BYTES));
        fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).expect("is changed");
        assert!(matches!(SealingKeys::load(&path), Err(SealingKeyError::Public(_))));
    }
}
