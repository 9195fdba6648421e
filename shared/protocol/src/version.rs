//! Protocol versions: the major lives in the ALPN, the minor and the capabilities in the `Hello`.

/// ALPN of the tunnel. The number is the major version: two majors never share a connection.
pub const TUNNEL_ALPN: &[u8] = b"podlatch/1";

/// ALPN of the one-shot enrolment conversation.
pub const ENROLMENT_ALPN: &[u8] = b"podlatch-join/1";

/// Minor version of the tunnel protocol: raised with every addition, so that a relay knows what it may ask of an agent.
pub const MINOR: u16 = 2;

/// From this minor version on an agent says the labels of pods: [`crate::request::Request::Describe`],
/// [`crate::request::Request::OpenExact`] and [`crate::inventory::WatchScope::LabelledNamespace`].
pub const POD_LABELS_MINOR: u16 = 2;

/// The name in the relay's tunnel certificate. It is not a DNS name: agents pin the relay's own CA, so whoever takes over a
/// host name gains nothing by it.
pub const RELAY_TLS_NAME: &str = "relay.podlatch.internal";
