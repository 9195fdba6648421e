//! What a failed connection means, in sentences.

use podlatch_link::disconnect::Disconnect;
use quinn::{ConnectionError, TransportErrorCode};

use super::state::Failure;
use crate::config::RelayAddress;

/// TLS alert numbers (RFC 8446 section 6).
mod alert {
    pub(super) const BAD_CERTIFICATE: u8 = 42;
    pub(super) const CERTIFICATE_EXPIRED: u8 = 45;
    pub(super) const CERTIFICATE_UNKNOWN: u8 = 46;
    pub(super) const UNKNOWN_CA: u8 = 48;
    pub(super) const DECRYPT_ERROR: u8 = 51;
    pub(super) const CERTIFICATE_REQUIRED: u8 = 116;
    pub(super) const NO_APPLICATION_PROTOCOL: u8 = 120;
}

/// QUIC maps a TLS alert to this and its number (RFC 9001 section 4.8).
const CRYPTO_BASE: u64 = 0x100;

/// Why there is no connection, and what to do.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{sentence}")]
pub struct Explanation {
    /// For people.
    pub sentence: String,
    /// For the state machine.
    pub failure: Failure,
}

impl Explanation {
    /// A failure that may pass by itself.
    pub fn transient(sentence: impl Into<String>) -> Self {
        Self { sentence: sentence.into(), failure: Failure::Transient }
    }

    /// The relay does not take this agent's identity.
    pub fn identity_refused(sentence: impl Into<String>) -> Self {
        Self { sentence: sentence.into(), failure: Failure::IdentityRefused }
    }

    /// The relay has withdrawn this agent's right.
    pub fn revoked(sentence: impl Into<String>) -> Self {
        Self { sentence: sentence.into(), failure: Failure::Revoked }
    }

    /// A failure that somebody must do something about.
    pub fn lasting(sentence: impl Into<String>) -> Self {
        Self { sentence: sentence.into(), failure: Failure::Lasting }
    }
}

/// Explains how a connection to `relay` failed or ended.
pub fn explain(relay: &RelayAddress, error: &ConnectionError) -> Explanation {
    if let Some(reason) = Disconnect::of(error) {
        return explain_disconnect(relay, reason);
    }
    match error {
        ConnectionError::TimedOut => Explanation::transient(format!(
            "{relay} does not answer; check the address, and that UDP to this port is allowed on the way"
        )),
        ConnectionError::Reset => Explanation::transient(format!("the relay at {relay} was restarted")),
        ConnectionError::TransportError(error) => match alert_of(error.code) {
            Some(alert::UNKNOWN_CA) => Explanation::lasting(format!(
                "what answers at {relay} is not the relay of the pinned CA; compare --ca-pin with what the relay prints, and --relay with its address"
            )),
            Some(
                alert::BAD_CERTIFICATE | alert::CERTIFICATE_EXPIRED | alert::CERTIFICATE_UNKNOWN | alert::DECRYPT_ERROR,
            ) => Explanation::lasting(format!(
                "the certificate shown at {relay} is not valid for a relay now; check the clocks on both sides ({})",
                error.reason
            )),
            _ => Explanation::transient(format!("the connection to {relay} failed: {error}")),
        },
        ConnectionError::ConnectionClosed(close) => match alert_of(close.error_code) {
            Some(alert::CERTIFICATE_EXPIRED) => Explanation::identity_refused(
                "this agent's certificate has run out; create a new join token for the cluster and enrol again",
            ),
            Some(
                alert::UNKNOWN_CA
                | alert::BAD_CERTIFICATE
                | alert::CERTIFICATE_UNKNOWN
                | alert::DECRYPT_ERROR
                | alert::CERTIFICATE_REQUIRED,
            ) => Explanation::identity_refused(
                "the relay does not accept this agent's certificate; create a new join token for the cluster and enrol again",
            ),
            Some(alert::NO_APPLICATION_PROTOCOL) => Explanation::lasting(
                "relay and agent have no protocol version in common; bring both to neighbouring releases",
            ),
            _ => Explanation::transient(format!("{relay} closed the connection: {close}")),
        },
        other => Explanation::transient(format!("the connection to {relay} ended: {other}")),
    }
}

fn explain_disconnect(relay: &RelayAddress, reason: Disconnect) -> Explanation {
    let sentence = reason.sentence();
    match reason {
        // Two that share an identity must not take turns as fast as they can.
        Disconnect::Replaced => Explanation::lasting(
            "another process connected with this agent's identity; if this repeats, two agents share one identity: give each its own",
        ),
        Disconnect::Revoked | Disconnect::Rejected => Explanation::revoked(format!(
            "{sentence}; if that was not intended, create a new join token for the cluster and enrol again"
        )),
        Disconnect::Expired => Explanation::identity_refused(format!(
            "{sentence}; create a new join token for the cluster and enrol again"
        )),
        Disconnect::Protocol | Disconnect::CertificateRequired => {
            Explanation::lasting(format!("{sentence}; bring relay and agent to neighbouring releases"))
        }
        Disconnect::Done | Disconnect::ShuttingDown | Disconnect::TooSlow | Disconnect::Internal => {
            Explanation::transient(format!("{relay} closed the connection: {sentence}"))
        }
    }
}

fn alert_of(code: TransportErrorCode) -> Option<u8> {
    u64::from(code).checked_sub(CRYPTO_BASE).and_then(|alert| u8::try_from(alert).ok())
}

#[cfg(test)]
mod tests {
    use quinn::{ApplicationClose, ConnectionClose};

    use super::*;

    fn relay() -> RelayAddress {
        "relay.example.com:443".parse().expect("is an address")
    }

    fn closed_with(alert: u8) -> ConnectionError {
        ConnectionError::ConnectionClosed(ConnectionClose {
            error_code: TransportErrorCode::crypto(alert),
            frame_type: None,
            reason: bytes::Bytes::new(),
        })
    }

    #[test]
    fn every_reason_of_the_relay_has_a_sentence() {
        for reason in Disconnect::ALL {
            let error = ConnectionError::ApplicationClosed(ApplicationClose {
                error_code: reason.code(),
                reason: bytes::Bytes::new(),
            });
            assert!(explain(&relay(), &error).sentence.len() > 20, "{reason:?}");
        }
    }

    #[test]
    fn what_needs_a_person_is_told_apart_from_what_passes() {
        assert_eq!(explain(&relay(), &ConnectionError::TimedOut).failure, Failure::Transient);
        assert_eq!(explain(&relay(), &ConnectionError::Reset).failure, Failure::Transient);
        for alert in [alert::CERTIFICATE_EXPIRED, alert::UNKNOWN_CA, alert::CERTIFICATE_REQUIRED] {
            let explanation = explain(&relay(), &closed_with(alert));
            assert_eq!(explanation.failure, Failure::IdentityRefused);
            assert!(explanation.sentence.contains("join token"), "{explanation}");
        }
        assert!(explain(&relay(), &closed_with(alert::NO_APPLICATION_PROTOCOL)).sentence.contains("version"));
    }
}
