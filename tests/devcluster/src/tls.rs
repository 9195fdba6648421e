//! The cluster's own certificate authority and server certificate.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, Result};
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose,
};
use rustls::ServerConfig;
use rustls_pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};

const CA_NAME: &str = "podlatch devcluster CA";
/// The names under which clients reach the API server.
const SERVER_NAMES: [&str; 7] = [
    "127.0.0.1",
    "::1",
    "localhost",
    "kubernetes",
    "kubernetes.default",
    "kubernetes.default.svc",
    "kubernetes.default.svc.cluster.local",
];

/// What clients trust and what the server shows.
pub(crate) struct Tls {
    pub(crate) ca_pem: String,
    pub(crate) server: Arc<ServerConfig>,
}

impl Tls {
    /// Takes the authority from the folder, or makes one there; the server's certificate is always new.
    pub(crate) fn load_or_create(folder: &Path) -> Result<Self> {
        let key = load_or_create_key(&folder.join("ca-key.pem"))?;
        let ca_path = folder.join("ca.pem");
        let params = ca_params();
        let ca_pem = if let Ok(pem) = fs::read_to_string(&ca_path) {
            pem
        } else {
            let pem = params.self_signed(&key).context("make the certificate authority")?.pem();
            fs::write(&ca_path, &pem).with_context(|| format!("write {}", ca_path.display()))?;
            pem
        };
        let server = server_config(&Issuer::new(params, key))?;
        Ok(Self { ca_pem, server: Arc::new(server) })
    }
}

fn load_or_create_key(path: &Path) -> Result<KeyPair> {
    if let Ok(pem) = fs::read_to_string(path) {
        return KeyPair::from_pem(&pem).with_context(|| format!("read {}; remove it to start anew", path.display()));
    }
    let key = KeyPair::generate().context("make a key")?;
    crate::files::write_private(path, key.serialize_pem().as_bytes())?;
    Ok(key)
}

fn ca_params() -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, CA_NAME);
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params
}

fn server_config(issuer: &Issuer<'_, KeyPair>) -> Result<ServerConfig> {
    let key = KeyPair::generate().context("make a key")?;
    let names = SERVER_NAMES.map(str::to_owned);
    let mut params = CertificateParams::new(names).context("name the server")?;
    params.distinguished_name.push(DnType::CommonName, "kube-apiserver");
    params.use_authority_key_identifier_extension = true;
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    let certificate = params.signed_by(&key, issuer).context("sign the server's certificate")?;
    let private = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .context("choose TLS versions")?
        .with_no_client_auth()
        .with_single_cert(vec![certificate.der().clone()], private)
        .context("use the server's certificate")?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(config)
}
