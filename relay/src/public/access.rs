//! How the relay reaches a public cluster, and as whom. Pure.

use std::fmt;

use podlatch_protocol::id::{ClusterId, OrganisationId};
use rustls::RootCertStore;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};

use crate::auth::seal::SealedPlace;
use crate::outbound::{DnsName, HttpsUrl};

/// Longest token that is taken, in bytes: service account tokens have one to two thousand.
pub const MAX_TOKEN_BYTES: usize = 16 * 1024;

/// Most certificates in one text.
const MAX_CERTIFICATES: usize = 32;

/// Where a public cluster's credential belongs.
pub fn sealed_place(organisation: OrganisationId, cluster: ClusterId) -> SealedPlace {
    SealedPlace { organisation, kind: "cluster_credential", record: cluster.as_uuid() }
}

/// A cluster's API server and who the relay is there.
#[derive(Debug, Clone)]
pub struct ClusterAccess {
    /// Where, and whom to trust there.
    pub server: ApiServer,
    /// Who the relay is there.
    pub credential: Credential,
}

/// A cluster's API server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApiServer {
    /// Its address.
    pub url: HttpsUrl,
    /// Who signs its certificate; `None` is one of the web's authorities.
    pub ca: Option<CaBundle>,
    /// The name in its certificate, where it is another than the address's.
    pub tls_name: Option<DnsName>,
}

/// Certificates of authorities, as PEM.
#[derive(Clone, PartialEq, Eq)]
pub struct CaBundle(String);

/// Who the relay is. Prints nothing of it.
#[derive(Clone)]
pub enum Credential {
    /// A bearer token, of a service account for one.
    Token(BearerToken),
    /// A client certificate.
    Certificate(ClientCertificate),
}

/// A bearer token that fits a header.
#[derive(Clone)]
pub struct BearerToken(SecretString);

/// A client certificate with its chain and its key, as PEM.
#[derive(Clone)]
pub struct ClientCertificate {
    chain: String,
    key: SecretString,
}

/// What was given is no credential.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum InvalidAccess {
    /// No certificate where one belongs.
    #[error("the CA is not a PEM text with the certificates of authorities (-----BEGIN CERTIFICATE-----)")]
    Ca,
    /// The client certificate.
    #[error("the client certificate is not a PEM text with a certificate (-----BEGIN CERTIFICATE-----)")]
    Certificate,
    /// Its key.
    #[error("the client key is not a PEM text with an unencrypted private key (-----BEGIN PRIVATE KEY-----)")]
    Key,
    /// The two do not belong together.
    #[error("the client key is not the key of the client certificate")]
    Mismatch,
    /// The token.
    #[error("the token is empty, longer than {MAX_TOKEN_BYTES} characters, or contains spaces or line breaks")]
    Token,
}

impl CaBundle {
    /// Reads the certificates and drops everything else of the text.
    pub fn from_pem(text: &str) -> Result<Self, InvalidAccess> {
        let certificates = certificates(text).ok_or(InvalidAccess::Ca)?;
        let mut roots = RootCertStore::empty();
        certificates.iter().try_for_each(|der| roots.add(der.clone())).map_err(|_| InvalidAccess::Ca)?;
        Ok(Self(only_certificates(text)))
    }

    /// The PEM text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// As what TLS trusts.
    pub fn roots(&self) -> RootCertStore {
        let mut roots = RootCertStore::empty();
        roots.add_parsable_certificates(certificates(&self.0).unwrap_or_default());
        roots
    }
}

impl fmt::Debug for CaBundle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("CaBundle(…)")
    }
}

impl BearerToken {
    /// Checks a token's form.
    pub fn new(token: SecretString) -> Result<Self, InvalidAccess> {
        let text = token.expose_secret();
        let plain = text.bytes().all(|byte| byte.is_ascii_graphic());
        (plain && (1..=MAX_TOKEN_BYTES).contains(&text.len())).then_some(Self(token)).ok_or(InvalidAccess::Token)
    }

    /// The token.
    pub const fn secret(&self) -> &SecretString {
        &self.0
    }
}

impl ClientCertificate {
    /// Checks that both can be read and belong together.
    pub fn from_pem(chain: &str, key: SecretString) -> Result<Self, InvalidAccess> {
        let certificate = Self { chain: only_certificates(chain), key };
        certificates(&certificate.chain).ok_or(InvalidAccess::Certificate)?;
        let (chain, key) = certificate.parts()?;
        let provider = rustls::crypto::aws_lc_rs::default_provider();
        match rustls::sign::CertifiedKey::from_der(chain, key, &provider) {
            Ok(_) => Ok(certificate),
            Err(rustls::Error::InconsistentKeys(_)) => Err(InvalidAccess::Mismatch),
            Err(rustls::Error::InvalidCertificate(_)) => Err(InvalidAccess::Certificate),
            Err(_) => Err(InvalidAccess::Key),
        }
    }

    /// For TLS.
    pub fn parts(&self) -> Result<(Vec<CertificateDer<'static>>, PrivateKeyDer<'static>), InvalidAccess> {
        let chain = certificates(&self.chain).ok_or(InvalidAccess::Certificate)?;
        let key = PrivateKeyDer::from_pem_slice(self.key.expose_secret().as_bytes()).map_err(|_| InvalidAccess::Key)?;
        Ok((chain, key))
    }
}

impl fmt::Debug for Credential {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Credential({}, …)", self.kind())
    }
}

/// As it is sealed.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Stored {
    Token(String),
    Certificate { chain: String, key: String },
}

impl Credential {
    /// The stable name of what it is.
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Token(_) => "token",
            Self::Certificate(_) => "client_certificate",
        }
    }

    /// One text, to be sealed.
    pub fn to_secret(&self) -> SecretString {
        let stored = match self {
            Self::Token(token) => Stored::Token(token.0.expose_secret().to_owned()),
            Self::Certificate(ClientCertificate { chain, key }) => {
                Stored::Certificate { chain: chain.clone(), key: key.expose_secret().to_owned() }
            }
        };
        // Two texts always become JSON.
        SecretString::from(serde_json::to_string(&stored).unwrap_or_default())
    }

    /// The credential of such a text; `None` if it is another.
    pub fn from_secret(secret: &SecretString) -> Option<Self> {
        match serde_json::from_str(secret.expose_secret()).ok()? {
            Stored::Token(token) => Some(Self::Token(BearerToken(token.into()))),
            Stored::Certificate { chain, key } => Some(Self::Certificate(ClientCertificate { chain, key: key.into() })),
        }
    }
}

fn certificates(text: &str) -> Option<Vec<CertificateDer<'static>>> {
    let all: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(text.as_bytes()).take(MAX_CERTIFICATES + 1).collect();
    all.ok().filter(|all| (1..=MAX_CERTIFICATES).contains(&all.len()))
}

/// A text's certificates without what is around them: a key that was pasted along must not be kept where no key is looked for.
fn only_certificates(text: &str) -> String {
    const BEGIN: &str = "-----BEGIN CERTIFICATE-----";
    const END: &str = "-----END CERTIFICATE-----";
    let mut kept = String::new();
    let mut rest = text;
    while let Some(begin) = rest.find(BEGIN) {
        let Some(length) = rest[begin..].find(END) else {
            break;
        };
        let end = begin + length + END.len();
        kept.push_str(&rest[begin..end]);
        kept.push('\n');
        rest = &rest[end..];
    }
    kept
}
