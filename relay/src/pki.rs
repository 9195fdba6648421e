//! The relay's own certificate authority: it signs the relay's tunnel certificate and the agents' certificates, and nothing
//! else. Agents pin its public key ([`CaPin`]), so neither DNS nor the web's authorities have a say.
//!
//! What a certificate says about an agent is written here, from ids that the store gave; from the agent's request comes the
//! public key alone.

mod files;

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use podlatch_link::pin::CaPin;
use podlatch_protocol::id::{AgentId, ClusterId, OrganisationId};
use podlatch_protocol::version::RELAY_TLS_NAME;
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose, PKCS_ECDSA_P256_SHA256, PKCS_ED25519, PublicKeyData, SanType, SubjectPublicKeyInfo,
};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use sha2::{Digest, Sha256};
use time::OffsetDateTime;
use x509_parser::certification_request::X509CertificationRequest;
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::FromDer;

use self::files::{file_error, load_or_create_certificate, load_or_create_key};
use crate::clock::{Clock, UnixMillis};
use crate::domain::agent::PublicKeySha256;

/// The CA's certificate in the data folder.
pub const CERTIFICATE_FILE: &str = "ca.pem";

/// The CA's key in the data folder; nobody but the relay may read it.
pub const KEY_FILE: &str = "ca-key.pem";

/// The CA certificate outlives every deployment: agents pin its key, so a new certificate for it changes nothing for them.
const CA_LIFETIME: Duration = Duration::from_hours(24 * 365 * 20);

/// Largest certificate request that is looked at, in bytes. One with a P-256 key has about 300.
const MAX_REQUEST_BYTES: usize = 4 * 1024;

/// The trust domain in an agent's SPIFFE id.
const SPIFFE_PREFIX: &str = "spiffe://podlatch/";

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

/// The CA could not be loaded or made, or could not sign.
#[derive(Debug, thiserror::Error)]
pub enum PkiError {
    /// A file could not be read or written.
    #[error("{} could not be {action}; check that the data folder is writable", path.display())]
    File {
        /// Which file.
        path: PathBuf,
        /// What was tried.
        action: &'static str,
        /// Why it failed.
        source: io::Error,
    },
    /// Everybody may read the CA's key.
    #[error("{} can be read by everybody; run: chmod 600 {}", .0.display(), .0.display())]
    KeyIsPublic(PathBuf),
    /// A file does not hold what it should.
    #[error("{} holds no usable {what}; restore it from a backup, or remove both CA files and enrol every agent anew", path.display())]
    Content {
        /// Which file.
        path: PathBuf,
        /// What it should hold.
        what: &'static str,
    },
    /// The certificate belongs to another key.
    #[error("{CERTIFICATE_FILE} and {KEY_FILE} do not belong together; restore both from the same backup")]
    Mismatch,
    /// A certificate could not be made.
    #[error("a certificate could not be made")]
    Certificate(#[from] rcgen::Error),
    /// A key could not be used for TLS.
    #[error("a key could not be used for TLS")]
    Tls(#[from] rustls::Error),
}

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

/// Who an agent is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct AgentIdentity {
    /// The owner of its cluster.
    pub organisation: OrganisationId,
    /// Its cluster.
    pub cluster: ClusterId,
    /// The agent.
    pub agent: AgentId,
}

impl AgentIdentity {
    /// The URI in the agent's certificate.
    pub fn uri(&self) -> String {
        format!("{SPIFFE_PREFIX}o/{}/c/{}/a/{}", self.organisation, self.cluster, self.agent)
    }

    fn parse_uri(uri: &str) -> Option<Self> {
        let parts: Vec<_> = uri.strip_prefix(SPIFFE_PREFIX)?.split('/').collect();
        let ["o", organisation, "c", cluster, "a", agent] = parts[..] else {
            return None;
        };
        Some(Self {
            organisation: organisation.parse().ok()?,
            cluster: cluster.parse().ok()?,
            agent: agent.parse().ok()?,
        })
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

/// What an agent's certificate says. Whether it is genuine was decided by the TLS handshake.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AgentCertificate {
    /// Who presented it.
    pub identity: AgentIdentity,
    /// The key that it certifies.
    pub public_key: PublicKeySha256,
    /// End of its validity.
    pub expires_at: UnixMillis,
}

/// A certificate of this CA that is not exactly an agent's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the presented certificate is not an agent's")]
pub struct NotAnAgentCertificate;

impl AgentCertificate {
    /// Reads a certificate back, strictly: one URI of the one form, for client authentication and nothing else.
    pub fn parse(certificate: &[u8]) -> Result<Self, NotAnAgentCertificate> {
        let (rest, parsed) = x509_parser::parse_x509_certificate(certificate).map_err(|_| NotAnAgentCertificate)?;
        let names = parsed.subject_alternative_name().ok().flatten().ok_or(NotAnAgentCertificate)?;
        let [GeneralName::URI(uri)] = names.value.general_names[..] else {
            return Err(NotAnAgentCertificate);
        };
        let usage = parsed.extended_key_usage().ok().flatten().ok_or(NotAnAgentCertificate)?.value;
        let other_usage = usage.any || usage.server_auth || usage.code_signing || !usage.other.is_empty();
        if !rest.is_empty() || parsed.is_ca() || !usage.client_auth || other_usage {
            return Err(NotAnAgentCertificate);
        }
        Ok(Self {
            identity: AgentIdentity::parse_uri(uri).ok_or(NotAnAgentCertificate)?,
            public_key: PublicKeySha256(Sha256::digest(parsed.public_key().raw).into()),
            expires_at: UnixMillis::new(parsed.validity().not_after.timestamp().saturating_mul(1_000)),
        })
    }
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
        let public_key = PublicKeySha256(Sha256::digest(key.subject_public_key_info()).into());
        Ok(IssuedCertificate { certificate, public_key, expires_at: whole_seconds(expires_at) })
    }

    /// The key for which a request asks, if [`Self::issue_agent_certificate`] would take it.
    pub fn check_request(&self, request: &[u8]) -> Result<PublicKeySha256, IssueError> {
        let key = verified_key(request)?;
        Ok(PublicKeySha256(Sha256::digest(key.subject_public_key_info()).into()))
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

    fn issue_relay_certificate(&self, now: UnixMillis) -> Result<CertifiedKey, PkiError> {
        let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)?;
        let mut params = self.leaf("podlatch relay".to_owned(), now, now.plus(self.lifetimes.relay));
        params.subject_alt_names = vec![SanType::DnsName(RELAY_TLS_NAME.try_into()?)];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        let certificate = params.signed_by(&key, &self.issuer)?.der().clone();
        let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(key.serialize_der()));
        let key = rustls::crypto::aws_lc_rs::sign::any_supported_type(&key)?;
        Ok(CertifiedKey::new(vec![certificate, self.certificate.clone()], key))
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

/// The relay's tunnel certificate: made when it is first needed and again before it runs out.
#[derive(Debug)]
pub struct RelayCertificate {
    ca: Arc<Ca>,
    clock: Clock,
    current: Mutex<Option<Current>>,
}

#[derive(Debug)]
struct Current {
    key: Arc<CertifiedKey>,
    renew_at: UnixMillis,
}

impl RelayCertificate {
    /// Makes the first certificate at once, so that a failure shows at the start.
    pub fn new(ca: Arc<Ca>, clock: Clock) -> Result<Self, PkiError> {
        let relay = Self { ca, clock, current: Mutex::default() };
        relay.current()?;
        Ok(relay)
    }

    fn current(&self) -> Result<Arc<CertifiedKey>, PkiError> {
        let now = self.clock.now();
        let mut current = self.current.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(current) = current.as_ref().filter(|current| now < current.renew_at) {
            return Ok(Arc::clone(&current.key));
        }
        let key = Arc::new(self.ca.issue_relay_certificate(now)?);
        *current = Some(Current { key: Arc::clone(&key), renew_at: now.plus(self.ca.lifetimes.relay / 2) });
        Ok(key)
    }
}

impl ResolvesServerCert for RelayCertificate {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        self.current()
            .inspect_err(|error| tracing::error!(error = error as &dyn std::error::Error, "no tunnel certificate"))
            .ok()
    }
}

/// The key of a request that is signed by that key and of an accepted kind.
fn verified_key(request: &[u8]) -> Result<SubjectPublicKeyInfo, IssueError> {
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

fn ca_certificate(key: &KeyPair, now: UnixMillis) -> Result<rcgen::Certificate, rcgen::Error> {
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

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use rcgen::PKCS_ECDSA_P384_SHA384;

    use super::*;

    const NOW: UnixMillis = UnixMillis::new(1_800_000_000_000);

    fn identity(seed: u8) -> AgentIdentity {
        AgentIdentity {
            organisation: OrganisationId::new(1, &[seed; 10]),
            cluster: ClusterId::new(2, &[seed; 10]),
            agent: AgentId::new(3, &[seed; 10]),
        }
    }

    fn request(key: &KeyPair, names: Vec<SanType>) -> Vec<u8> {
        let mut params = CertificateParams::default();
        params.subject_alt_names = names;
        params.serialize_request(key).expect("makes a request").der().to_vec()
    }

    fn p256() -> KeyPair {
        KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).expect("makes a key")
    }

    fn ca() -> (tempfile::TempDir, Ca) {
        let folder = tempfile::tempdir().expect("makes a folder");
        let ca = Ca::load_or_create(folder.path(), NOW).expect("makes a CA");
        (folder, ca)
    }

    #[test]
    fn the_ca_is_the_same_after_a_restart_and_its_key_is_private() {
        let (folder, ca) = ca();
        let again = Ca::load_or_create(folder.path(), NOW).expect("loads the CA");
        assert_eq!((ca.pin(), ca.certificate()), (again.pin(), again.certificate()));
        assert_eq!(ca.derived_secret("a"), again.derived_secret("a"));
        assert_ne!(ca.derived_secret("a"), ca.derived_secret("b"));
        let key = folder.path().join(KEY_FILE);
        assert_eq!(fs::metadata(&key).expect("exists").permissions().mode() & 0o777, 0o600);
        assert_eq!(fs::read_dir(folder.path()).expect("lists").count(), 2);
    }

    #[test]
    fn processes_that_make_it_at_once_get_the_same_ca() {
        let folder = tempfile::tempdir().expect("makes a folder");
        let pins: Vec<_> = std::thread::scope(|scope| {
            let threads: Vec<_> =
                (0..8).map(|_| scope.spawn(|| Ca::load_or_create(folder.path(), NOW).map(|ca| ca.pin()))).collect();
            threads.into_iter().map(|thread| thread.join().expect("joins").expect("loads")).collect()
        });
        assert!(pins.windows(2).all(|pair| pair[0] == pair[1]));
    }

    #[test]
    fn a_lost_certificate_is_made_anew_for_the_same_pin() {
        let (folder, ca) = ca();
        fs::remove_file(folder.path().join(CERTIFICATE_FILE)).expect("removes");
        assert_eq!(Ca::load_or_create(folder.path(), NOW).expect("loads").pin(), ca.pin());
    }

    #[test]
    fn a_key_that_everybody_can_read_and_a_foreign_key_are_refused() {
        let (folder, _) = ca();
        let key = folder.path().join(KEY_FILE);
        fs::set_permissions(&key, fs::Permissions::from_mode(0o644)).expect("changes mode");
        assert!(matches!(Ca::load_or_create(folder.path(), NOW), Err(PkiError::KeyIsPublic(_))));
        fs::set_permissions(&key, fs::Permissions::from_mode(0o600)).expect("changes mode");
        fs::write(&key, p256().serialize_pem()).expect("writes");
        assert!(matches!(Ca::load_or_create(folder.path(), NOW), Err(PkiError::Mismatch)));
        fs::write(&key, "no key").expect("writes");
        assert!(matches!(Ca::load_or_create(folder.path(), NOW), Err(PkiError::Content { .. })));
    }

    #[test]
    fn from_a_request_comes_the_key_alone() {
        let (_folder, ca) = ca();
        let foreign = SanType::URI(identity(9).uri().try_into().expect("is a URI"));
        let server = SanType::DnsName(RELAY_TLS_NAME.try_into().expect("is a name"));
        let key = p256();
        let issued =
            ca.issue_agent_certificate(&request(&key, vec![foreign, server]), identity(1), NOW).expect("is issued");
        let parsed = AgentCertificate::parse(&issued.certificate).expect("is an agent's");
        assert_eq!(parsed.identity, identity(1));
        assert_eq!(parsed.public_key, issued.public_key);
        assert_eq!(parsed.expires_at, NOW.plus(Lifetimes::default().agent));
        assert_eq!(parsed.expires_at, issued.expires_at);
        assert_eq!(issued.public_key.0, *Sha256::digest(key.subject_public_key_info()));
    }

    #[test]
    fn ed25519_is_accepted_and_other_keys_are_not() {
        let (_folder, ca) = ca();
        let ed25519 = KeyPair::generate_for(&PKCS_ED25519).expect("makes a key");
        assert!(ca.issue_agent_certificate(&request(&ed25519, vec![]), identity(1), NOW).is_ok());
        let p384 = KeyPair::generate_for(&PKCS_ECDSA_P384_SHA384).expect("makes a key");
        let refused = ca.issue_agent_certificate(&request(&p384, vec![]), identity(1), NOW);
        assert!(matches!(refused, Err(IssueError::Algorithm)));
    }

    #[test]
    fn a_request_that_was_tampered_with_is_refused() {
        let (_folder, ca) = ca();
        let good = request(&p256(), vec![]);
        for position in [good.len() - 1, good.len() / 2] {
            let mut bad = good.clone();
            bad[position] ^= 1;
            assert!(ca.issue_agent_certificate(&bad, identity(1), NOW).is_err(), "byte {position}");
        }
        let trailing = [good, vec![0]].concat();
        for bad in [vec![], vec![0; MAX_REQUEST_BYTES + 1], trailing] {
            assert!(matches!(ca.issue_agent_certificate(&bad, identity(1), NOW), Err(IssueError::Malformed)));
        }
    }

    #[test]
    fn only_an_agents_certificate_is_read_as_one() {
        let (_folder, ca) = ca();
        let relay = ca.issue_relay_certificate(NOW).expect("is issued");
        assert_eq!(AgentCertificate::parse(&relay.cert[0]), Err(NotAnAgentCertificate));
        assert_eq!(AgentCertificate::parse(ca.certificate()), Err(NotAnAgentCertificate));
        assert_eq!(AgentCertificate::parse(b""), Err(NotAnAgentCertificate));
    }

    #[test]
    fn an_identity_has_one_spelling() {
        let uri = identity(1).uri();
        assert_eq!(AgentIdentity::parse_uri(&uri), Some(identity(1)));
        for bad in [format!("{uri}/"), format!("{uri}/x"), uri.replace("podlatch", "other"), uri.to_uppercase()] {
            assert_eq!(AgentIdentity::parse_uri(&bad), None, "{bad}");
        }
    }

    #[test]
    fn the_relays_certificate_is_made_anew_at_half_its_life() {
        let (_folder, ca) = ca();
        let (clock, hand) = Clock::manual(NOW);
        let relay = RelayCertificate::new(Arc::new(ca), clock).expect("is issued");
        let first = relay.current().expect("is there");
        assert_eq!(relay.current().expect("is there").cert, first.cert);
        hand.advance(Lifetimes::default().relay / 2);
        assert_ne!(relay.current().expect("is there").cert, first.cert);
    }
}
