//! The CA's two files in the data folder: made once, whole or not at all, private.

use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::Path;

use rcgen::{KeyPair, PKCS_ECDSA_P256_SHA256};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;

use super::PkiError;
use super::ca::ca_certificate;
use crate::clock::UnixMillis;

pub(super) fn load_or_create_key(path: &Path) -> Result<KeyPair, PkiError> {
    if !path.exists() {
        let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)?;
        create_once(path, key.serialize_pem().as_bytes())?;
    }
    let metadata = fs::metadata(path).map_err(file_error(path, "read"))?;
    if metadata.permissions().mode() & 0o007 != 0 {
        return Err(PkiError::KeyIsPublic(path.to_owned()));
    }
    let text = fs::read_to_string(path).map_err(file_error(path, "read"))?;
    KeyPair::from_pem(&text).map_err(|_| PkiError::Content { path: path.to_owned(), what: "private key" })
}

pub(super) fn load_or_create_certificate(
    path: &Path,
    key: &KeyPair,
    now: UnixMillis,
) -> Result<CertificateDer<'static>, PkiError> {
    if !path.exists() {
        create_once(path, ca_certificate(key, now)?.pem().as_bytes())?;
    }
    let text = fs::read(path).map_err(file_error(path, "read"))?;
    CertificateDer::from_pem_slice(&text).map_err(|_| PkiError::Content { path: path.to_owned(), what: "certificate" })
}

/// Writes a file that only its owner may read, whole or not at all. Where it exists already, the existing one stays.
fn create_once(path: &Path, content: &[u8]) -> Result<(), PkiError> {
    let draft = path.with_extension(format!("{:016x}.new", rand::random::<u64>()));
    let written = write_private(&draft, content).and_then(|()| match fs::hard_link(&draft, path) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        other => other,
    });
    let removed = fs::remove_file(&draft);
    written.and(removed).and_then(|()| sync_folder(path)).map_err(file_error(path, "written"))
}

fn write_private(path: &Path, content: &[u8]) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(path)?;
    file.write_all(content)?;
    file.sync_all()
}

fn sync_folder(path: &Path) -> io::Result<()> {
    path.parent().map_or(Ok(()), |folder| fs::File::open(folder)?.sync_all())
}

pub(super) fn file_error(path: &Path, action: &'static str) -> impl FnOnce(io::Error) -> PkiError {
    move |source| PkiError::File { path: path.to_owned(), action, source }
}
