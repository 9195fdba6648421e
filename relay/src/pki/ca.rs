//! The certificate authority itself: its key and certificate, and what it signs with them.

use std::fs;
use std::path::Path;
use std::time::Duration;

use podlatch_link::pin::CaPin;
use podlatch_protocol::version::RELAY_TLS_NAME;
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose, PublicKeyData, SanType, SubjectPublicKeyInfo,
};
use rustls::pki_types::CertificateDer;
use sha2::{Digest, Sha256};
use time::OffsetDateTime;

use super::files::{file_error, load_or_create_certificate, load_or_create_key};
use super::request::{IssueError, verified_key};
use super::{AgentIdentity, CERTIFICATE_FILE, KEY_FILE, PkiError};
use crate::clock::UnixMillis;
use crate::domain::agent::PublicKeySha256;

/// The CA certificate outlives every deployment: agents pin its key, so a new certificate for it changes nothing for them.
const CA_LIFETIME: Duration = Duration::from_hours(24 * 365 * 20);

/// How long certificates live.
#[derive(Debug, Clone, Copy)]
pub struct Lifetimes {
    /// An agent's certificate. Agents renew at half of it.
    pub agent: Duration,
    /// The relay's tunnel certificate, which is made anew in time.
    pub relay: Duration,
    /// How far the begin of validity lies in the past, for agents whose clock is behind.
    pub backdate: Duration,
}

impl Default for Lifetimes {
    fn default() -> Self {
        Self { agent: Duration::from_hours(24), relay: Duration::from_hours(24 * 7), backdate: Duration::from_mins(5) }
    }
}

/// A certificate that was just made for an agent.
#[derive(Debug, Clone)]
pub struct IssuedCertificate {
    /// The certificate, DER.
    pub certificate: CertificateDer<'static>,
    /// The key that it certifies.
    pub public_key: PublicKeySha256,
    /// End of its validity.
    pub expires_at: UnixMillis,
}

/// The certificate authority.
#[derive(Debug)]
pub struct Ca {
    certificate: CertificateDer<'static>,
    issuer: Issuer<'static, KeyPair>,
    pin: CaPin,
    lifetimes: Lifetimes,
}

impl Ca {
    /// Loads the CA of a data folder, or makes it. Several processes may do so at once: all get the same.
    ///
    /// Blocking: file I/O.
    pub fn load_or_create(data_dir: &Path, now: UnixMillis) -> Result<Self, PkiError> {
        fs::create_dir_all(data_dir).map_err(file_error(data_dir, "made"))?;
        let key = load_or_create_key(&data_dir.join(KEY_FILE))?;
        let certificate = load_or_create_certificate(&data_dir.join(CERTIFICATE_FILE), &key, now)?;
        let pin = CaPin::of_certificate(&certificate).map_err(|_| PkiError::Mismatch)?;
        if pin != CaPin::of_public_key(&key.subject_public_key_info()) {
            return Err(PkiError::Mismatch);
        }
        let issuer = Issuer::from_ca_cert_der(&certificate, key)?;
        Ok(Self { certificate, issuer, pin, lifetimes: Lifetimes::default() })
    }

    /// The same CA with other lifetimes.
    #[must_use]
    pub fn with_lifetimes(mut self, lifetimes: Lifetimes) -> Self {
        self.lifetimes = lifetimes;
        self
    }

    /// What agents pin.
    pub const fn pin(&self) -> CaPin {
        self.pin
    }

    /// The CA's own certificate, DER.
    pub const fn certificate(&self) -> &CertificateDer<'static> {
        &self.certificate
    }

    /// Certifies the public key of a request (PKCS#10, DER) as `identity`'s. Nothing else of the request is looked at.
    pub fn issue_agent_certificate(
        &self,
        request: &[u8],
        identity: AgentIdentity,
        now: UnixMillis,
    ) -> Result<IssuedCertificate, IssueError> {
        let key = verified_key(request)?;
        let expires_at = now.plus(self.lifetimes.agent);
        let mut params = self.leaf(identity.agent.to_string(), now, expires_at);
        params.subject_alt_names = vec![SanType::URI(identity.uri().try_into().map_err(PkiError::from)?)];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        let certificate = params.signed_by(&key, &self.issuer).map_err(PkiError::from)?.der().clone();
        Ok(IssuedCertificate { certificate, public_key: hash(&key), expires_at: whole_seconds(expires_at) })
    }

    /// The key for which a request asks, if [`Self::issue_agent_certificate`] would take it.
    pub fn check_request(&self, request: &[u8]) -> Result<PublicKeySha256, IssueError> {
        verified_key(request).map(|key| hash(&key))
    }

    /// Derives a secret for `purpose` from the CA's key: the same one in every life of the relay.
    pub fn derived_secret(&self, purpose: &str) -> [u8; 32] {
        let mut hash = Sha256::new();
        hash.update(b"podlatch derived secret\0");
        hash.update(purpose.as_bytes());
        hash.update([0]);
        hash.update(self.issuer.key().serialized_der());
        hash.finalize().into()
    }

    /// Certifies a key of this relay for its tunnel: the certificate, and the CA's behind it.
    pub(super) fn issue_relay_certificate(
        &self,
        key: &KeyPair,
        now: UnixMillis,
    ) -> Result<Vec<CertificateDer<'static>>, PkiError> {
        let mut params = self.leaf("podlatch relay".to_owned(), now, now.plus(self.lifetimes.relay));
        params.subject_alt_names = vec![SanType::DnsName(RELAY_TLS_NAME.try_into()?)];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        let certificate = params.signed_by(key, &self.issuer)?.der().clone();
        Ok(vec![certificate, self.certificate.clone()])
    }

    pub(super) const fn lifetimes(&self) -> &Lifetimes {
        &self.lifetimes
    }

    fn leaf(&self, common_name: String, now: UnixMillis, expires_at: UnixMillis) -> CertificateParams {
        let mut params = CertificateParams::default();
        params.not_before = date(UnixMillis::new(now.get() - millis(self.lifetimes.backdate)));
        params.not_after = date(expires_at);
        params.distinguished_name = name(common_name);
        params.is_ca = IsCa::ExplicitNoCa;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.use_authority_key_identifier_extension = true;
        params
    }
}

fn hash(key: &SubjectPublicKeyInfo) -> PublicKeySha256 {
    PublicKeySha256(Sha256::digest(key.subject_public_key_info()).into())
}

/// The CA's own certificate.
pub(super) fn ca_certificate(key: &KeyPair, now: UnixMillis) -> Result<rcgen::Certificate, rcgen::Error> {
    let mut params = CertificateParams::default();
    params.not_before = date(UnixMillis::new(now.get() - millis(Lifetimes::default().backdate)));
    params.not_after = date(now.plus(CA_LIFETIME));
    params.distinguished_name = name("podlatch relay CA".to_owned());
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::DigitalSignature];
    params.self_signed(key)
}

fn name(common_name: String) -> DistinguishedName {
    let mut name = DistinguishedName::new();
    name.push(DnType::CommonName, common_name);
    name
}

fn date(at: UnixMillis) -> OffsetDateTime {
    OffsetDateTime::from_unix_timestamp(at.get().div_euclid(1_000)).unwrap_or(OffsetDateTime::UNIX_EPOCH)
}

fn whole_seconds(at: UnixMillis) -> UnixMillis {
    UnixMillis::new(at.get().div_euclid(1_000) * 1_000)
}

fn millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}
