//! What an agent asks with: a certificate request, of which the key alone counts.

use rcgen::{PKCS_ECDSA_P256_SHA256, PKCS_ED25519, PublicKeyData, SubjectPublicKeyInfo};
use x509_parser::certification_request::X509CertificationRequest;
use x509_parser::prelude::FromDer;

use super::PkiError;

/// Largest certificate request that is looked at, in bytes. One with a P-256 key has about 300.
pub(super) const MAX_REQUEST_BYTES: usize = 4 * 1024;

/// A certificate request was refused.
#[derive(Debug, thiserror::Error)]
pub enum IssueError {
    /// It is not a certificate request, or not signed by its own key.
    #[error("the certificate request is malformed or its signature does not match its key")]
    Malformed,
    /// Its key is of a kind that is not accepted.
    #[error("the certificate request's key must be ECDSA P-256 or Ed25519")]
    Algorithm,
    /// The certificate could not be made.
    #[error(transparent)]
    Pki(#[from] PkiError),
}

/// The key of a request that is signed by that key and of an accepted kind.
pub(super) fn verified_key(request: &[u8]) -> Result<SubjectPublicKeyInfo, IssueError> {
    if request.len() > MAX_REQUEST_BYTES {
        return Err(IssueError::Malformed);
    }
    let (rest, parsed) = X509CertificationRequest::from_der(request).map_err(|_| IssueError::Malformed)?;
    if !rest.is_empty() {
        return Err(IssueError::Malformed);
    }
    let key = SubjectPublicKeyInfo::from_der(parsed.certification_request_info.subject_pki.raw)
        .map_err(|_| IssueError::Algorithm)?;
    if ![&PKCS_ECDSA_P256_SHA256, &PKCS_ED25519].contains(&key.algorithm()) {
        return Err(IssueError::Algorithm);
    }
    parsed.verify_signature().map_err(|_| IssueError::Malformed)?;
    Ok(key)
}
