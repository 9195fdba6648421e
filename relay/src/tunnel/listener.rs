//! Accepts connections and hands each to the conversation that its ALPN names.

use std::sync::Arc;
use std::time::{Duration, Instant};

use podlatch_link::disconnect::Disconnect;
use podlatch_protocol::version::{ENROLMENT_ALPN, TUNNEL_ALPN};
use quinn::crypto::rustls::HandshakeData;
use quinn::{Endpoint, Incoming};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use super::Context;
use super::admission::{Address, Admission, MAX_HANDSHAKES, Verdict};
use super::connection;
use super::control::ControlError;
use super::enrolment::{self, EnrolmentError};
use super::handshake::{self, HandshakeError};
use super::registry::Agents;

/// How long the TLS handshake may take.
const TLS: Duration = Duration::from_secs(5);

/// Connections that may be open at once.
const MAX_CONNECTIONS: usize = 10_000;

/// Accepts until `stop`. Not cancel safe: cancel by `stop`.
pub(super) async fn accept(context: Context, agents: Agents, endpoint: Endpoint, stop: CancellationToken) {
    let mut admission = Admission::default();
    let free = Arc::new(Semaphore::new(MAX_HANDSHAKES));
    loop {
        let incoming = tokio::select! {
            incoming = endpoint.accept() => incoming,
            () = stop.cancelled() => return,
        };
        let Some(incoming) = incoming else { return };
        let permit = Arc::clone(&free).try_acquire_owned().ok();
        let under_way = MAX_HANDSHAKES - free.available_permits();
        let address = if incoming.remote_address_validated() { Address::Proven } else { Address::Unproven };
        let verdict = match permit {
            Some(_) if endpoint.open_connections() >= MAX_CONNECTIONS => Verdict::Refuse,
            Some(_) => admission.decide(incoming.remote_address().ip(), address, under_way - 1, Instant::now()),
            None => Verdict::Refuse,
        };
        match (verdict, permit) {
            (Verdict::Accept, Some(permit)) => {
                let conversation = converse(context.clone(), agents.clone(), incoming, permit, stop.clone());
                context.tasks.spawn(conversation);
            }
            (Verdict::Retry, _) => {
                // Fails only for an address that is proven.
                let _ = incoming.retry();
            }
            _ => incoming.refuse(),
        }
    }
}

/// One connection, from its first packet to its end. The permit counts its handshake.
async fn converse(
    context: Context,
    agents: Agents,
    incoming: Incoming,
    permit: OwnedSemaphorePermit,
    stop: CancellationToken,
) {
    let peer = incoming.remote_address();
    let connection = match timeout(TLS, async { incoming.accept()?.await }).await {
        Ok(Ok(connection)) => connection,
        Ok(Err(error)) => return tracing::debug!(%peer, "a tunnel handshake failed: {error}"),
        Err(_) => return tracing::debug!(%peer, "a tunnel handshake took too long"),
    };
    match alpn(&connection).as_deref() {
        Some(ENROLMENT_ALPN) => {
            let reason = match enrolment::enrol(&context, &connection).await {
                Ok(identity) => {
                    tracing::info!(agent.id = %identity.agent, cluster.id = %identity.cluster, "an agent enrolled");
                    Disconnect::Done
                }
                Err(error) => {
                    report_enrolment(&error);
                    enrolment_reason(&error)
                }
            };
            reason.close(&connection);
        }
        Some(TUNNEL_ALPN) => match handshake::welcome(&context, connection.clone()).await {
            Ok(arrival) => {
                drop(permit);
                connection::own(context, &agents, arrival, stop).await;
            }
            Err(error) => {
                report_handshake(&error);
                handshake_reason(&error).close(&connection);
            }
        },
        _ => Disconnect::Protocol.close(&connection),
    }
}

fn alpn(connection: &quinn::Connection) -> Option<Vec<u8>> {
    connection.handshake_data()?.downcast::<HandshakeData>().ok()?.protocol
}

fn report_enrolment(error: &EnrolmentError) {
    match error {
        EnrolmentError::Store(_) | EnrolmentError::Issue(_) | EnrolmentError::Codec(_) => {
            tracing::error!("an agent could not enrol: {error}");
        }
        _ => tracing::warn!("an agent did not enrol: {error}"),
    }
}

fn report_handshake(error: &HandshakeError) {
    match error {
        HandshakeError::Store(_) => tracing::error!("an agent could not be let in: {error}"),
        HandshakeError::Connection(_) => tracing::debug!("an agent left before it was let in: {error}"),
        _ => tracing::warn!("an agent was not let in: {error}"),
    }
}

const fn enrolment_reason(error: &EnrolmentError) -> Disconnect {
    match error {
        EnrolmentError::TooSlow => Disconnect::TooSlow,
        EnrolmentError::Malformed => Disconnect::Protocol,
        EnrolmentError::Connection(_) | EnrolmentError::Stream(_) | EnrolmentError::Refused(_) => Disconnect::Done,
        EnrolmentError::Store(_) | EnrolmentError::Issue(_) | EnrolmentError::Codec(_) => Disconnect::Internal,
    }
}

const fn handshake_reason(error: &HandshakeError) -> Disconnect {
    match error {
        HandshakeError::NoCertificate => Disconnect::CertificateRequired,
        HandshakeError::NotAnAgent(_) | HandshakeError::Rejected(_) => Disconnect::Rejected,
        HandshakeError::TooSlow | HandshakeError::Control(ControlError::TooSlow) => Disconnect::TooSlow,
        HandshakeError::NoHello | HandshakeError::Control(ControlError::Protocol) => Disconnect::Protocol,
        HandshakeError::Connection(_) | HandshakeError::Control(ControlError::Ended) => Disconnect::Done,
        HandshakeError::Store(_) | HandshakeError::Control(ControlError::Codec(_)) => Disconnect::Internal,
    }
}
