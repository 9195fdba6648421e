//! Who is at the other end of a tunnel: what its certificate says, checked against the store. Nothing that the agent writes
//! is taken for its identity.

use std::time::Duration;

use podlatch_link::disconnect::Disconnect;
use podlatch_link::transport::CONTROL_PRIORITY;
use podlatch_protocol::control::{Hello, ToAgent, ToRelay};
use rustls::pki_types::CertificateDer;
use tokio::time::timeout;

use super::control::{Control, ControlError};
use super::handle::{Path, Welcomed};
use super::{Context, audit};
use crate::domain::agent::{Agent, AgentStatus};
use crate::pki::{AgentCertificate, NotAnAgentCertificate};
use crate::store::StoreError;

/// How long an agent may take to introduce itself.
const HELLO: Duration = Duration::from_secs(5);

/// Longest version text that is kept, in characters.
const MAX_VERSION: usize = 64;

/// An agent was not let in.
#[derive(Debug, thiserror::Error)]
pub(super) enum HandshakeError {
    /// It showed no certificate.
    #[error("no client certificate was presented")]
    NoCertificate,
    /// Its certificate is of this CA but not an agent's.
    #[error(transparent)]
    NotAnAgent(#[from] NotAnAgentCertificate),
    /// It did not introduce itself in time.
    #[error("the agent did not introduce itself in time")]
    TooSlow,
    /// It did not begin with a greeting.
    #[error("the agent did not begin with a greeting")]
    NoHello,
    /// The connection ended.
    #[error("the connection ended")]
    Connection(#[from] quinn::ConnectionError),
    /// The control stream failed.
    #[error(transparent)]
    Control(#[from] ControlError),
    /// The store could not be asked.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// It was told why it may not connect.
    #[error("rejected: {0}")]
    Rejected(&'static str),
}

/// A welcomed agent, and what its owner task needs besides.
#[derive(Debug)]
pub(super) struct Arrival {
    pub(super) welcomed: Welcomed,
    pub(super) connection: quinn::Connection,
    pub(super) certificate: AgentCertificate,
    pub(super) control: Control,
}

/// Finds out who connected and lets it in, or tells it why not. Not cancel safe: the connection is then of no use.
pub(super) async fn welcome(context: &Context, connection: quinn::Connection) -> Result<Arrival, HandshakeError> {
    let certificate = presented_certificate(&connection)?;
    let (mut control, mut hello) = match timeout(HELLO, hello(&connection)).await {
        Ok(result) => result?,
        Err(_) => return Err(HandshakeError::TooSlow),
    };
    let identity = certificate.identity;
    let known = context.store.get_agent(identity.organisation, identity.cluster, identity.agent).await?;
    hello.agent_version = plain(&hello.agent_version);
    hello.kubernetes_version = plain(&hello.kubernetes_version);
    let client = audit::client(&connection, &hello.agent_version);
    if let Some(sentence) = refusal(known.as_ref(), &certificate) {
        match &known {
            // This CA has certified the key for this agent, and has certified a newer one since.
            Some(agent) if agent.status == AgentStatus::Active => {
                audit::cloned(context, identity, client, "an older certificate was presented").await?;
            }
            _ => audit::refused(context, identity, known.as_ref(), client, sentence).await?,
        }
        control.send_last(&ToAgent::Rejected(sentence.to_owned())).await;
        return Err(HandshakeError::Rejected(sentence));
    }
    if known.is_some_and(|agent| agent.previous_public_key.is_some() && agent.public_key == certificate.public_key) {
        let ids = (identity.organisation, identity.cluster, identity.agent);
        context.store.confirm_agent_key(ids, certificate.public_key).await?;
    }
    audit::connected(context, identity, client.clone()).await?;
    if let Err(error) = control.send(&ToAgent::Welcome).await {
        audit::disconnected(context, identity, client, Disconnect::Done).await;
        return Err(error.into());
    }
    let path = Path::Tunnel(connection.clone());
    Ok(Arrival { welcomed: Welcomed { identity, hello, path }, connection, certificate, control })
}

/// What the TLS handshake verified, read as an agent's certificate.
fn presented_certificate(connection: &quinn::Connection) -> Result<AgentCertificate, HandshakeError> {
    let identity = connection.peer_identity().ok_or(HandshakeError::NoCertificate)?;
    let chain = identity.downcast::<Vec<CertificateDer<'static>>>().map_err(|_| HandshakeError::NoCertificate)?;
    let leaf = chain.first().ok_or(HandshakeError::NoCertificate)?;
    Ok(AgentCertificate::parse(leaf)?)
}

async fn hello(connection: &quinn::Connection) -> Result<(Control, Hello), HandshakeError> {
    let (send, recv) = connection.accept_bi().await?;
    // Fails only where the connection is gone, which reading shows.
    let _ = send.set_priority(CONTROL_PRIORITY);
    let mut control = Control::new(send, recv);
    match control.receive().await? {
        ToRelay::Hello(hello) => Ok((control, hello)),
        _ => Err(HandshakeError::NoHello),
    }
}

/// Why this agent may not connect, if it may not.
fn refusal(known: Option<&Agent>, certificate: &AgentCertificate) -> Option<&'static str> {
    match known {
        None => {
            Some("This relay does not know this agent. Create a new join token for the cluster and enrol it again.")
        }
        Some(agent) if agent.status == AgentStatus::Revoked => Some(
            "This agent or its cluster was revoked. If that was not intended, create a new join token and enrol it again.",
        ),
        Some(agent) if !agent.accepts(certificate.public_key) => Some(
            "This agent's certificate was superseded by a newer one: its identity was copied, or restored from a backup. Revoke the agent and enrol it again with a new join token.",
        ),
        Some(_) => None,
    }
}

/// A version as it may be shown: short, and of characters that a version has.
pub(super) fn plain(version: &str) -> String {
    let allowed = |c: &char| c.is_ascii_alphanumeric() || ".-+_~ ".contains(*c);
    version.chars().filter(allowed).take(MAX_VERSION).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_short_and_plain() {
        assert_eq!(plain("v1.36.2+k3s1"), "v1.36.2+k3s1");
        assert_eq!(plain("1\u{1b}[31m<script>"), "131mscript");
        assert_eq!(plain(&"9".repeat(1_000)).len(), MAX_VERSION);
    }
}
