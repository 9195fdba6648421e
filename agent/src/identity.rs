//! Who this agent is: a key, the certificate that the relay's CA made for it, and the pin of that CA.

mod file;
mod secret;

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context, ensure};
use podlatch_link::pin::CaPin;
use podlatch_protocol::enrolment::Certificate;
use rcgen::{CertificateParams, DistinguishedName, KeyPair, PKCS_ECDSA_P256_SHA256, PublicKeyData};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use secrecy::{ExposeSecret, SecretString};
use sha2::{Digest, Sha256};

pub use file::FileStore;
pub use secret::SecretStore;

/// A key that is not certified yet.
pub struct NewKey(KeyPair);

impl fmt::Debug for NewKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("NewKey")
    }
}

impl NewKey {
    /// Makes a key (ECDSA P-256).
    pub fn generate() -> anyhow::Result<Self> {
        Ok(Self(KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).context("a key could not be made")?))
    }

    /// A request (PKCS#10, DER) for a certificate. It names nobody: the relay writes the names.
    pub fn request(&self) -> anyhow::Result<Vec<u8>> {
        let mut params = CertificateParams::default();
        params.distinguished_name = DistinguishedName::new();
        Ok(params.serialize_request(&self.0).context("a certificate request could not be made")?.der().to_vec())
    }

    /// Takes the relay's answer, if it is for this key and from the pinned CA.
    pub fn certified(self, answer: &Certificate, pin: CaPin, enrolled_with: TokenDigest) -> anyhow::Result<Identity> {
        ensure!(CaPin::of_certificate(&answer.ca) == Ok(pin), "the relay answered with another CA than the pinned one");
        Identity::new(StoredIdentity {
            private_key: SecretString::from(self.0.serialize_pem()),
            certificate: pem(&answer.certificate),
            ca: pem(&answer.ca),
            relay_pin: pin.to_string(),
            enrolled_with: enrolled_with.0,
        })
    }
}

/// SHA-256 of the join token that an identity came from, so that a token is tried once only.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TokenDigest(String);

impl TokenDigest {
    /// The digest of a token.
    pub fn of(token: &SecretString) -> Self {
        Self(hex::encode(Sha256::digest(token.expose_secret())))
    }
}

/// An identity in its stored form.
#[derive(Debug, Clone)]
pub struct StoredIdentity {
    /// PKCS#8, PEM.
    pub private_key: SecretString,
    /// PEM.
    pub certificate: String,
    /// PEM.
    pub ca: String,
    /// [`CaPin`] as text.
    pub relay_pin: String,
    /// [`TokenDigest`] as text.
    pub enrolled_with: String,
}

/// A key and its certificate, parsed and matching.
#[derive(Debug, Clone)]
pub struct Identity {
    stored: StoredIdentity,
    certificate: CertificateDer<'static>,
    private_key: SecretKey,
    pin: CaPin,
    not_before: SystemTime,
    not_after: SystemTime,
}

#[derive(Clone)]
struct SecretKey(Vec<u8>);

impl fmt::Debug for SecretKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[private key]")
    }
}

impl Identity {
    /// Parses a stored identity and checks that its parts belong together.
    pub fn new(stored: StoredIdentity) -> anyhow::Result<Self> {
        let key = KeyPair::from_pem(stored.private_key.expose_secret()).context("the stored key is unreadable")?;
        let certificate = CertificateDer::from_pem_slice(stored.certificate.as_bytes())
            .context("the stored certificate is unreadable")?;
        let pin = stored.relay_pin.parse().context("the stored pin is unreadable")?;
        let (not_before, not_after) = {
            let (_, parsed) = x509_parser::parse_x509_certificate(&certificate)
                .map_err(|_| anyhow::anyhow!("the stored certificate is unreadable"))?;
            let matches = parsed.public_key().raw == key.subject_public_key_info();
            ensure!(matches, "the certificate is for another key");
            let validity = parsed.validity();
            (moment(validity.not_before.timestamp()), moment(validity.not_after.timestamp()))
        };
        Ok(Self { private_key: SecretKey(key.serialize_der()), stored, certificate, pin, not_before, not_after })
    }

    /// The stored form.
    pub const fn stored(&self) -> &StoredIdentity {
        &self.stored
    }

    /// The certificate.
    pub const fn certificate(&self) -> &CertificateDer<'static> {
        &self.certificate
    }

    /// The key, for TLS.
    pub fn private_key(&self) -> PrivateKeyDer<'static> {
        PrivatePkcs8KeyDer::from(self.private_key.0.clone()).into()
    }

    /// The CA that this identity belongs to.
    pub const fn pin(&self) -> CaPin {
        self.pin
    }

    /// The join token that it came from.
    pub fn enrolled_with(&self) -> TokenDigest {
        TokenDigest(self.stored.enrolled_with.clone())
    }

    /// End of validity.
    pub const fn expires_at(&self) -> SystemTime {
        self.not_after
    }

    /// How long the certificate lives in all.
    pub fn lifetime(&self) -> Duration {
        self.not_after.duration_since(self.not_before).unwrap_or_default()
    }

    /// How long it is still valid; zero when it is over.
    pub fn remaining(&self, now: SystemTime) -> Duration {
        self.not_after.duration_since(now).unwrap_or_default()
    }
}

/// What an [`IdentityStore`] returns.
pub type StoreFuture<'a, T> = Pin<Box<dyn Future<Output = anyhow::Result<T>> + Send + 'a>>;

/// Where the identity outlives the process.
pub trait IdentityStore: Send + Sync + fmt::Debug {
    /// The identity, if there is one. Cancel safe.
    fn load(&self) -> StoreFuture<'_, Option<StoredIdentity>>;

    /// Replaces the identity: wholly or not at all, and durably. Not cancel safe: whether it was replaced is then unknown.
    fn save<'a>(&'a self, identity: &'a StoredIdentity) -> StoreFuture<'a, ()>;

    /// Where that is, for people.
    fn location(&self) -> String;
}

fn pem(der: &[u8]) -> String {
    use base64::Engine;
    let text = base64::engine::general_purpose::STANDARD.encode(der);
    let lines: Vec<_> = text.as_bytes().chunks(64).map(String::from_utf8_lossy).collect();
    format!("-----BEGIN CERTIFICATE-----\n{}\n-----END CERTIFICATE-----\n", lines.join("\n"))
}

fn moment(unix_seconds: i64) -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(u64::try_from(unix_seconds).unwrap_or(0))
}

#[cfg(test)]
pub(crate) mod tests {
    use rcgen::Issuer;

    use super::*;

    /// A certificate for `key` by a CA that is made for it.
    pub(crate) fn answer_for(key: &NewKey) -> (Certificate, CaPin) {
        let ca_key = KeyPair::generate().expect("makes a key");
        let params = CertificateParams::default();
        let ca = params.self_signed(&ca_key).expect("signs").der().to_vec();
        let issuer = Issuer::new(params, ca_key);
        let certificate = CertificateParams::default().signed_by(&key.0, &issuer).expect("signs").der().to_vec();
        let pin = CaPin::of_certificate(&ca).expect("is a certificate");
        (Certificate { certificate, ca, not_after_unix_seconds: 0 }, pin)
    }

    pub(crate) fn identity() -> Identity {
        let key = NewKey::generate().expect("makes a key");
        let (answer, pin) = answer_for(&key);
        key.certified(&answer, pin, TokenDigest("00".to_owned())).expect("is certified")
    }

    #[test]
    fn an_answer_for_another_key_or_from_another_ca_is_refused() {
        let (key, other) = (NewKey::generate().expect("makes a key"), NewKey::generate().expect("makes a key"));
        let (answer, pin) = answer_for(&other);
        assert!(key.certified(&answer, pin, TokenDigest(String::new())).is_err());
        let (answer, _) = answer_for(&other);
        assert!(other.certified(&answer, pin, TokenDigest(String::new())).is_err());
    }

    #[test]
    fn nothing_of_the_key_is_printed() {
        let identity = identity();
        let text = format!("{identity:?} {:?}", NewKey::generate().expect("makes a key"));
        assert!(!text.contains("PRIVATE KEY"), "{text}");
    }

    #[test]
    fn a_stored_identity_is_the_same_identity() {
        let identity = identity();
        let again = Identity::new(identity.stored().clone()).expect("parses");
        assert_eq!((again.pin(), again.certificate()), (identity.pin(), identity.certificate()));
        assert_eq!(again.private_key(), identity.private_key());
    }
}
