//! TLS and QUIC settings of the tunnel's listener.

use std::sync::Arc;

use aws_lc_rs::hmac;
use podlatch_link::transport::{End, transport_config};
use podlatch_protocol::version::{ENROLMENT_ALPN, TUNNEL_ALPN};
use quinn::crypto::rustls::QuicServerConfig;
use quinn::{EndpointConfig, ServerConfig};
use quinn_proto::HashedConnectionIdGenerator;
use rustls::RootCertStore;
use rustls::server::{NoServerSessionStorage, WebPkiClientVerifier};

use super::{Context, TunnelError};
use crate::pki::{Ca, RelayCertificate};

/// Attempts that may wait for a verdict; each is decided at once.
const MAX_INCOMING: usize = 1_024;

/// Bytes that one undecided attempt may make us hold, and all of them together.
const INCOMING_BYTES: (u64, u64) = (16 * 1024, 4 * 1024 * 1024);

/// The listener's settings. A client certificate is optional here, because enrolling agents have none; the tunnel's own
/// handshake requires it.
pub(super) fn server_config(context: &Context) -> Result<ServerConfig, TunnelError> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut roots = RootCertStore::empty();
    roots.add(context.ca.certificate().clone())?;
    let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&provider))
        .allow_unauthenticated()
        .build()?;
    let certificate = RelayCertificate::new(Arc::clone(&context.ca), context.clock.clone())?;
    let mut tls = rustls::ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13])?
        .with_client_cert_verifier(verifier)
        .with_cert_resolver(Arc::new(certificate));
    tls.alpn_protocols = vec![TUNNEL_ALPN.to_vec(), ENROLMENT_ALPN.to_vec()];
    // A resumed connection would not show whether the agent's certificate has run out since.
    tls.send_tls13_tickets = 0;
    tls.session_storage = Arc::new(NoServerSessionStorage {});
    tls.max_early_data_size = 0;
    let mut config = ServerConfig::with_crypto(Arc::new(QuicServerConfig::try_from(tls)?));
    config
        .transport_config(Arc::new(transport_config(End::Relay)))
        .max_incoming(MAX_INCOMING)
        .incoming_buffer_size(INCOMING_BYTES.0)
        .incoming_buffer_size_total(INCOMING_BYTES.1);
    Ok(config)
}

/// Connection ids and reset tokens that a later life of this relay recognises: it then tells agents at once that their old
/// connection is gone, instead of leaving them to wait for silence.
pub(super) fn endpoint_config(ca: &Ca) -> EndpointConfig {
    let reset_key = hmac::Key::new(hmac::HMAC_SHA256, &ca.derived_secret("stateless reset"));
    let id_key = ca.derived_secret("connection ids").iter().take(8).fold(0, |key, byte| key << 8 | u64::from(*byte));
    let mut config = EndpointConfig::new(Arc::new(reset_key));
    config.cid_generator(move || Box::new(HashedConnectionIdGenerator::from_key(id_key)));
    config
}
