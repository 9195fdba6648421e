//! A kubeconfig, read by a type of our own. Pure: no file is opened, no process started, nothing dialled, whatever it says.
//!
//! Kubernetes' own readers run programs (`exec`, `auth-provider`), open files and take proxies. Here a kubeconfig is data of
//! at most 64 KiB from a stranger. Its current context is read, and nothing else: an address, an authority, and a token or a
//! client certificate. Everything else in it is refused by name.

mod value;

use base64::Engine;
use base64::alphabet::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;

use self::value::{Fields, Value};
use super::access::{ApiServer, BearerToken, CaBundle, ClientCertificate, ClusterAccess, Credential, InvalidAccess};
use crate::outbound::{HttpsUrl, InvalidUrl};

/// Longest kubeconfig that is read, in bytes.
pub const MAX_BYTES: usize = 64 * 1024;

/// Deepest nesting that is read: a kubeconfig has six levels.
const MAX_DEPTH: usize = 16;

/// Most events of the YAML parser: one for each value, and two for each collection.
const MAX_EVENTS: usize = 8_192;

const BASE64: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// A kubeconfig is not taken: why, and what to do instead.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[expect(missing_docs, reason = "each variant is explained by its sentence")]
pub enum KubeconfigError {
    #[error(
        "the kubeconfig is longer than 64 KiB; paste the context for this cluster alone (`kubectl config view --minify --flatten`)"
    )]
    TooLong,
    #[error("the kubeconfig contains control characters; paste it as text")]
    ControlCharacters,
    #[error("the kubeconfig uses YAML anchors, aliases or tags, which are not read; write each value out")]
    Aliases,
    #[error("the kubeconfig has a key twice; remove one of the two")]
    DuplicateKey,
    #[error("the kubeconfig is nested too deeply, or has too many values; paste the context for this cluster alone")]
    TooComplex,
    #[error("the kubeconfig has more than one YAML document; paste one")]
    SeveralDocuments,
    #[error("this is no kubeconfig: it must be YAML or JSON with `kind: Config` and `apiVersion: v1`")]
    NotAKubeconfig,
    #[error(
        "the kubeconfig names no current-context; run `kubectl config use-context` first, or paste `kubectl config view --minify --flatten --raw`"
    )]
    NoContext,
    #[error("the kubeconfig has no {0} of the name that its current context needs")]
    Missing(&'static str),
    #[error("the kubeconfig has two entries named the same among its {0}; remove one of the two")]
    Twice(&'static str),
    #[error("{0} is not a plain text in the kubeconfig; put it in quotes")]
    NotText(&'static str),
    #[error(
        "the kubeconfig's user runs a program for its credentials (`exec`), which the relay never does; create a service account and paste its token"
    )]
    Exec,
    #[error(
        "the kubeconfig's user has an `auth-provider`, which the relay does not run; create a service account and paste its token"
    )]
    AuthProvider,
    #[error(
        "the kubeconfig points at a file with `{0}`, and the relay opens no files; embed it with `kubectl config view --minify --flatten --raw`"
    )]
    File(&'static str),
    #[error(
        "the kubeconfig wants a proxy (`proxy-url`), and the relay takes none; install an agent in this cluster instead"
    )]
    Proxy,
    #[error(
        "the kubeconfig switches off the check of the server's certificate (`insecure-skip-tls-verify`); give the server's CA instead"
    )]
    Insecure,
    #[error("the kubeconfig acts as somebody else (`{0}`); switch impersonation on in the cluster's settings instead")]
    Impersonation(&'static str),
    #[error(
        "the kubeconfig signs in with a user name and a password, which Kubernetes no longer knows; create a service account and paste its token"
    )]
    Password,
    #[error("the kubeconfig's {place} has a field that is not known here: {field}; remove it")]
    UnknownField { place: &'static str, field: String },
    #[error(
        "the kubeconfig's user has no token and no client certificate with its key; create a service account and paste its token"
    )]
    NoCredential,
    #[error("the kubeconfig's user has a token and a client certificate; keep one of the two")]
    TwoCredentials,
    #[error("`{0}` in the kubeconfig is not base64")]
    NotBase64(&'static str),
    #[error("the kubeconfig's server cannot be used: {0}")]
    Server(InvalidUrl),
    #[error("the kubeconfig's tls-server-name is not a DNS name")]
    TlsName,
    #[error("in the kubeconfig, {0}")]
    Access(#[from] InvalidAccess),
}

/// What the current context of a kubeconfig says.
pub fn parse(text: &SecretString) -> Result<ClusterAccess, KubeconfigError> {
    let text = text.expose_secret();
    if text.len() > MAX_BYTES {
        return Err(KubeconfigError::TooLong);
    }
    if text.chars().any(|character| character.is_control() && !matches!(character, '\n' | '\r' | '\t')) {
        return Err(KubeconfigError::ControlCharacters);
    }
    if has_tag(text) {
        return Err(KubeconfigError::Aliases);
    }
    let document: Document = serde_saphyr::from_str_with_options(text, options()).map_err(|error| explain(&error))?;
    document.current()
}

/// Whether something in the text may be a YAML tag (`!include`): readers differ on what those do. A text in quotes that looks
/// the same is refused with them; no kubeconfig needs one.
fn has_tag(text: &str) -> bool {
    let before = |byte: u8| byte.is_ascii_whitespace() || matches!(byte, b'[' | b'{' | b',');
    text.starts_with('!') || text.as_bytes().windows(2).any(|pair| before(pair[0]) && pair[1] == b'!')
}

fn options() -> serde_saphyr::Options {
    serde_saphyr::options! {
        budget: serde_saphyr::budget! {
            max_events: MAX_EVENTS,
            max_nodes: MAX_EVENTS,
            max_aliases: 0,
            max_anchors: 0,
            max_depth: MAX_DEPTH,
            max_documents: 1,
            max_total_scalar_bytes: MAX_BYTES,
            max_merge_keys: 0,
        },
        duplicate_keys: serde_saphyr::DuplicateKeyPolicy::Error,
        strict_booleans: true,
    }
}

#[derive(Deserialize)]
struct Document {
    #[serde(default)]
    kind: Value,
    #[serde(default, rename = "apiVersion")]
    api_version: Value,
    #[serde(default, rename = "current-context")]
    current_context: Value,
    #[serde(default)]
    clusters: Option<Vec<Entry>>,
    #[serde(default)]
    contexts: Option<Vec<Entry>>,
    #[serde(default)]
    users: Option<Vec<Entry>>,
}

/// An entry of one of the three lists.
#[derive(Deserialize)]
struct Entry {
    #[serde(default)]
    name: Value,
    #[serde(default)]
    cluster: Option<Fields>,
    #[serde(default)]
    context: Option<Fields>,
    #[serde(default)]
    user: Option<Fields>,
}

impl Document {
    fn current(self) -> Result<ClusterAccess, KubeconfigError> {
        let is_config = self.kind.as_text() == Some("Config") && self.api_version.as_text() == Some("v1");
        if !is_config {
            return Err(KubeconfigError::NotAKubeconfig);
        }
        let current = self.current_context.as_text().filter(|name| !name.is_empty());
        let current = current.ok_or(KubeconfigError::NoContext)?;
        let context = named(self.contexts, current, "context")?.context.unwrap_or_default();
        let cluster = context.text("cluster")?.ok_or(KubeconfigError::Missing("cluster"))?;
        let user = context.text("user")?.ok_or(KubeconfigError::Missing("user"))?;
        let cluster = named(self.clusters, cluster, "cluster")?.cluster.unwrap_or_default();
        let user = named(self.users, user, "user")?.user.unwrap_or_default();
        Ok(ClusterAccess { server: server(&cluster)?, credential: credential(&user)? })
    }
}

fn named(entries: Option<Vec<Entry>>, name: &str, what: &'static str) -> Result<Entry, KubeconfigError> {
    let mut found = entries.into_iter().flatten().filter(|entry| entry.name.as_text() == Some(name));
    let first = found.next().ok_or(KubeconfigError::Missing(what))?;
    // Programs differ on which of two counts: what one shows is not what the other takes.
    found.next().map_or(Ok(first), |_| Err(KubeconfigError::Twice(what)))
}

fn server(cluster: &Fields) -> Result<ApiServer, KubeconfigError> {
    if cluster.has("certificate-authority") {
        return Err(KubeconfigError::File("certificate-authority"));
    }
    if cluster.has("proxy-url") {
        return Err(KubeconfigError::Proxy);
    }
    if cluster.is_on("insecure-skip-tls-verify") {
        return Err(KubeconfigError::Insecure);
    }
    let known = [
        "server",
        "certificate-authority-data",
        "tls-server-name",
        "insecure-skip-tls-verify",
        "disable-compression",
        "extensions",
    ];
    cluster.only("cluster", &known)?;
    let url = cluster.text("server")?.ok_or(KubeconfigError::Missing("server"))?;
    let url: HttpsUrl = url.parse().map_err(KubeconfigError::Server)?;
    let ca = cluster.text("certificate-authority-data")?;
    let ca = ca.map(|ca| decoded(ca, "certificate-authority-data")).transpose()?;
    let ca = ca.map(|ca| CaBundle::from_pem(ca.expose_secret())).transpose()?;
    let tls_name = cluster.text("tls-server-name")?.map(str::parse).transpose();
    Ok(ApiServer { url, ca, tls_name: tls_name.map_err(|_| KubeconfigError::TlsName)? })
}

fn credential(user: &Fields) -> Result<Credential, KubeconfigError> {
    if user.has("exec") {
        return Err(KubeconfigError::Exec);
    }
    if user.has("auth-provider") {
        return Err(KubeconfigError::AuthProvider);
    }
    for field in ["tokenFile", "client-certificate", "client-key"] {
        if user.has(field) {
            return Err(KubeconfigError::File(field));
        }
    }
    for field in ["as", "as-uid", "as-groups", "as-user-extra"] {
        if user.has(field) {
            return Err(KubeconfigError::Impersonation(field));
        }
    }
    if user.has("username") || user.has("password") {
        return Err(KubeconfigError::Password);
    }
    user.only("user", &["token", "client-certificate-data", "client-key-data", "extensions"])?;
    let certificate = user.text("client-certificate-data")?.zip(user.text("client-key-data")?);
    match (user.text("token")?, certificate) {
        (Some(_), Some(_)) => Err(KubeconfigError::TwoCredentials),
        (Some(token), None) => Ok(Credential::Token(BearerToken::new(token.into())?)),
        (None, Some((chain, key))) => {
            let chain = decoded(chain, "client-certificate-data")?;
            let key = decoded(key, "client-key-data")?;
            Ok(Credential::Certificate(ClientCertificate::from_pem(chain.expose_secret(), key)?))
        }
        (None, None) => Err(KubeconfigError::NoCredential),
    }
}

/// The text of a base64 value, which may be broken into lines.
fn decoded(value: &str, field: &'static str) -> Result<SecretString, KubeconfigError> {
    let compact: String = value.split_ascii_whitespace().collect();
    let bytes = BASE64.decode(compact).map_err(|_| KubeconfigError::NotBase64(field))?;
    String::from_utf8(bytes).map(SecretString::from).map_err(|_| KubeconfigError::NotBase64(field))
}

/// The reader's errors quote what they read, which may be a secret: only their kind is told.
fn explain(error: &serde_saphyr::Error) -> KubeconfigError {
    use serde_saphyr::{Error, budget::BudgetBreach};
    match error.without_snippet() {
        Error::DuplicateMappingKey { .. } => KubeconfigError::DuplicateKey,
        Error::MultipleDocuments { .. } => KubeconfigError::SeveralDocuments,
        Error::Budget { breach, .. } => match breach {
            BudgetBreach::Aliases { .. } | BudgetBreach::Anchors { .. } | BudgetBreach::MergeKeys { .. } => {
                KubeconfigError::Aliases
            }
            BudgetBreach::Documents { .. } => KubeconfigError::SeveralDocuments,
            _ => KubeconfigError::TooComplex,
        },
        _ => KubeconfigError::NotAKubeconfig,
    }
}
