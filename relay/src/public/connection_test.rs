//! Whether a public cluster can be reached, and what its credential may do there: step by step, each with its sentence.

use std::sync::Arc;
use std::time::Duration;

use podlatch_cluster::probe::{self, Allowed, Need, ProbeError};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

use super::access::ClusterAccess;
use super::{client, sentence};
use crate::outbound::{DialError, Dialler};

/// How long a TLS handshake may take.
const HANDSHAKE: Duration = Duration::from_secs(10);

/// How long all of it may take: less than a request may.
const LIMIT: Duration = Duration::from_secs(35);

/// What is tried, in this order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// The name has addresses.
    Resolvable,
    /// They may be dialled.
    Allowed,
    /// Something accepts the connection.
    Reachable,
    /// Its certificate is trusted.
    Trusted,
    /// It is Kubernetes, and tells its version.
    Version,
    /// It accepts the credential.
    Authenticated,
    /// The credential may do what a terminal needs.
    Permitted,
}

impl Step {
    /// All of them, in order.
    pub const ALL: [Self; 7] = [
        Self::Resolvable,
        Self::Allowed,
        Self::Reachable,
        Self::Trusted,
        Self::Version,
        Self::Authenticated,
        Self::Permitted,
    ];

    /// The stable name.
    pub const fn slug(self) -> &'static str {
        match self {
            Self::Resolvable => "resolvable",
            Self::Allowed => "allowed",
            Self::Reachable => "reachable",
            Self::Trusted => "trusted",
            Self::Version => "version",
            Self::Authenticated => "authenticated",
            Self::Permitted => "permitted",
        }
    }
}

/// How a step went, with a sentence.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Tried {
    /// Well.
    Ok(String),
    /// Not: what is wrong, and what to do.
    Failed(String),
    /// It was not come to.
    NotTried,
}

/// What was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Findings {
    /// Every step.
    pub steps: Vec<(Step, Tried)>,
    /// What Kubernetes says of itself. Untrusted text.
    pub version: Option<String>,
    /// What the credential may do where.
    pub rights: Vec<(Need, Allowed)>,
}

impl Findings {
    /// Whether terminals can be opened.
    pub fn is_ok(&self) -> bool {
        self.steps.iter().all(|(_, tried)| matches!(tried, Tried::Ok(_)))
    }
}

/// What failed.
struct Failure(Step, String);

/// Tries it. Cancel safe.
pub async fn run(dialler: &Dialler, access: &ClusterAccess) -> Findings {
    let mut trial = Trial { steps: Vec::new(), version: None, rights: Vec::new() };
    match timeout(LIMIT, trial.run(dialler, access)).await {
        Ok(Ok(())) => {}
        Ok(Err(Failure(step, sentence))) => trial.steps.push((step, Tried::Failed(sentence))),
        Err(_) => {
            if let Some(step) = Step::ALL.get(trial.steps.len()) {
                let sentence = format!("This took more than {} seconds in all.", LIMIT.as_secs());
                trial.steps.push((*step, Tried::Failed(sentence)));
            }
        }
    }
    let mut steps = trial.steps;
    let tried = steps.len();
    steps.extend(Step::ALL.into_iter().skip(tried).map(|step| (step, Tried::NotTried)));
    Findings { steps, version: trial.version, rights: trial.rights }
}

struct Trial {
    steps: Vec<(Step, Tried)>,
    version: Option<String>,
    rights: Vec<(Need, Allowed)>,
}

impl Trial {
    fn ok(&mut self, step: Step, sentence: impl Into<String>) {
        self.steps.push((step, Tried::Ok(sentence.into())));
    }

    async fn run(&mut self, dialler: &Dialler, access: &ClusterAccess) -> Result<(), Failure> {
        let stream = self.connect(dialler, access).await?;
        self.handshake(stream, access).await?;
        let server = client::direct(dialler, access).map_err(|error| Failure(Step::Version, sentence(&error)))?;
        let client = server.client();
        self.version(probe::version(&client).await)?;
        let rights = probe::rights(&client).await.map_err(|error| Failure(Step::Authenticated, sentence(&error)))?;
        self.ok(Step::Authenticated, "The credential is accepted.");
        self.rights.clone_from(&rights);
        judge(&rights).map_err(|sentence| Failure(Step::Permitted, sentence))?;
        self.ok(Step::Permitted, "Terminals can be opened.");
        Ok(())
    }

    async fn connect(&mut self, dialler: &Dialler, access: &ClusterAccess) -> Result<TcpStream, Failure> {
        let url = &access.server.url;
        let pinned = dialler.pin(url.host()).await.map_err(|error| match error {
            DialError::Refused { .. } => {
                self.ok(Step::Resolvable, "The name has an address.");
                Failure(Step::Allowed, sentence(&error))
            }
            other => Failure(Step::Resolvable, sentence(&other)),
        })?;
        self.ok(Step::Resolvable, "The name has an address.");
        self.ok(Step::Allowed, "The address may be dialled.");
        let stream = dialler.connect(&pinned, url.port()).await;
        let stream = stream.map_err(|error| Failure(Step::Reachable, sentence(&error)))?;
        self.ok(Step::Reachable, format!("Something listens on port {}.", url.port()));
        Ok(stream)
    }

    async fn handshake(&mut self, stream: TcpStream, access: &ClusterAccess) -> Result<(), Failure> {
        let failed = |text: String| Failure(Step::Trusted, text);
        let config = client::tls(access).map_err(|error| failed(sentence(&error)))?;
        let name = client::server_name(&access.server).map_err(|error| failed(sentence(&error)))?;
        match timeout(HANDSHAKE, TlsConnector::from(Arc::new(config)).connect(name, stream)).await {
            Ok(Ok(_)) => {
                self.ok(Step::Trusted, "The server's certificate is trusted.");
                Ok(())
            }
            Ok(Err(error)) => Err(failed(explain_tls(&error))),
            Err(_) => Err(failed("The server does not finish the TLS handshake.".to_owned())),
        }
    }

    fn version(&mut self, version: Result<String, ProbeError>) -> Result<(), Failure> {
        match version {
            Ok(version) => {
                self.ok(Step::Version, format!("Kubernetes {version} answers."));
                self.version = Some(version);
                Ok(())
            }
            // Kubernetes it is, and it says more to those whom it knows.
            Err(ProbeError::Unauthenticated(_) | ProbeError::Refused(_)) => {
                self.ok(Step::Version, "A server answers, and does not tell its version.");
                Ok(())
            }
            Err(error) => Err(Failure(Step::Version, sentence(&error))),
        }
    }
}

fn judge(rights: &[(Need, Allowed)]) -> Result<(), String> {
    let missing = |need: &Need| rights.iter().any(|(of, allowed)| of == need && *allowed == Allowed::Nowhere);
    // Listing namespaces and watching pods are a comfort; the rest is needed.
    let needed = [Need::GetPods, Need::ListPods, Need::CreateExec, Need::GetExec];
    let missing: Vec<_> = needed.iter().filter(|need| missing(need)).map(|need| need.verb_and_resource()).collect();
    if missing.is_empty() {
        return Ok(());
    }
    let missing: Vec<_> = missing.into_iter().map(|(verb, resource)| format!("{verb} {resource}")).collect();
    Err(format!("The credential may not {}. Bind it to a role that may.", missing.join(", ")))
}

fn explain_tls(error: &std::io::Error) -> String {
    use rustls::{CertificateError, Error};
    match error.get_ref().and_then(|inner| inner.downcast_ref::<Error>()) {
        Some(Error::InvalidCertificate(CertificateError::UnknownIssuer | CertificateError::BadSignature)) => {
            "The server's certificate is not signed by the CA that was given. Give the cluster's own CA.".to_owned()
        }
        Some(Error::InvalidCertificate(
            CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. },
        )) => "The server's certificate is for another name. Use the name in it, or give it as the TLS server name."
            .to_owned(),
        Some(Error::InvalidCertificate(CertificateError::Expired | CertificateError::ExpiredContext { .. })) => {
            "The server's certificate has run out. Renew it.".to_owned()
        }
        Some(Error::AlertReceived(alert)) => format!("The server ended the TLS handshake: {alert:?}."),
        Some(_) => "TLS with the server failed. Check that the address is the Kubernetes API's.".to_owned(),
        None => "The server broke off the TLS handshake. Check that the address is the Kubernetes API's.".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_terminal_needs_is_named_where_it_is_missing() {
        let everything: Vec<_> = Need::ALL.into_iter().map(|need| (need, Allowed::Everywhere)).collect();
        assert_eq!(judge(&everything), Ok(()));
        let mut some = everything.clone();
        some[0].1 = Allowed::Nowhere;
        some[4].1 = Allowed::In(vec!["shop".to_owned()]);
        assert_eq!(judge(&some), Ok(()), "listing namespaces is a comfort, and one namespace is enough");
        some[4].1 = Allowed::Nowhere;
        let sentence = judge(&some).expect_err("no exec");
        assert!(sentence.contains("create pods/exec") && !sentence.contains("get pods"), "{sentence}");
    }
}
