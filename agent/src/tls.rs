//! TLS towards the relay: its own CA is known by a pin, and nothing else vouches for it.

use std::sync::Arc;

use podlatch_link::pin::CaPin;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{Resumption, verify_server_cert_signed_by_trust_anchor, verify_server_name};
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::{CertificateError, ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme};

use crate::identity::Identity;

/// How this agent shows itself to the relay.
#[derive(Debug, Clone, Copy)]
pub enum Credentials<'a> {
    /// Not at all: it is about to enrol.
    None,
    /// By its certificate.
    Identity(&'a Identity),
}

/// The TLS settings for one kind of conversation with the relay of this pin.
pub fn client_config(pin: CaPin, credentials: Credentials<'_>, alpn: &[u8]) -> Result<ClientConfig, rustls::Error> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_protocol_versions(&[&rustls::version::TLS13])?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(PinnedRelay { pin, provider }));
    let mut config = match credentials {
        Credentials::None => builder.with_no_client_auth(),
        Credentials::Identity(identity) => {
            builder.with_client_auth_cert(vec![identity.certificate().clone()], identity.private_key())?
        }
    };
    config.alpn_protocols = vec![alpn.to_vec()];
    // Every connection proves who it is anew: a resumed one would not show whether its certificate has run out since.
    config.resumption = Resumption::disabled();
    Ok(config)
}

/// Trusts what the pinned CA signed for the relay.
#[derive(Debug)]
struct PinnedRelay {
    pin: CaPin,
    provider: Arc<CryptoProvider>,
}

impl ServerCertVerifier for PinnedRelay {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        _: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let pinned = |certificate: &&CertificateDer<'_>| CaPin::of_certificate(certificate) == Ok(self.pin);
        let ca = intermediates.iter().find(pinned).ok_or(CertificateError::UnknownIssuer)?;
        let mut roots = RootCertStore::empty();
        roots.add(ca.clone().into_owned())?;
        let relay = ParsedCertificate::try_from(end_entity)?;
        let algorithms = self.provider.signature_verification_algorithms.all;
        verify_server_cert_signed_by_trust_anchor(&relay, &roots, &[], now, algorithms)?;
        verify_server_name(&relay, server_name)?;
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, certificate, signature, &self.provider.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, certificate, signature, &self.provider.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}

#[cfg(test)]
mod tests {
    use rcgen::{
        BasicConstraints, CertificateParams, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, PublicKeyData, SanType,
    };

    use podlatch_protocol::version::RELAY_TLS_NAME;

    use super::*;

    struct TestCa {
        certificate: CertificateDer<'static>,
        issuer: Issuer<'static, KeyPair>,
        pin: CaPin,
    }

    impl TestCa {
        fn new() -> Self {
            let key = KeyPair::generate().expect("makes a key");
            let mut params = CertificateParams::default();
            params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
            let certificate = params.self_signed(&key).expect("signs").der().clone();
            let pin = CaPin::of_public_key(&key.subject_public_key_info());
            Self { certificate, issuer: Issuer::new(params, key), pin }
        }

        fn leaf(&self, name: &str, usage: ExtendedKeyUsagePurpose) -> CertificateDer<'static> {
            let mut params = CertificateParams::default();
            params.subject_alt_names = vec![SanType::DnsName(name.try_into().expect("is a name"))];
            params.extended_key_usages = vec![usage];
            let key = KeyPair::generate().expect("makes a key");
            params.signed_by(&key, &self.issuer).expect("signs").der().clone()
        }
    }

    fn verify(pin: CaPin, chain: &[CertificateDer<'static>]) -> Result<ServerCertVerified, rustls::Error> {
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let name = ServerName::try_from(RELAY_TLS_NAME).expect("is a name");
        PinnedRelay { pin, provider }.verify_server_cert(&chain[0], &chain[1..], &name, &[], UnixTime::now())
    }

    #[test]
    fn the_pinned_ca_may_sign_the_relays_certificate() {
        let ca = TestCa::new();
        let relay = ca.leaf(RELAY_TLS_NAME, ExtendedKeyUsagePurpose::ServerAuth);
        assert!(verify(ca.pin, &[relay, ca.certificate.clone()]).is_ok());
    }

    #[test]
    fn nobody_elses_certificate_passes() {
        let (ca, other) = (TestCa::new(), TestCa::new());
        let relay = ca.leaf(RELAY_TLS_NAME, ExtendedKeyUsagePurpose::ServerAuth);
        let foreign = other.leaf(RELAY_TLS_NAME, ExtendedKeyUsagePurpose::ServerAuth);
        let agent = ca.leaf(RELAY_TLS_NAME, ExtendedKeyUsagePurpose::ClientAuth);
        let named_otherwise = ca.leaf("relay.example.com", ExtendedKeyUsagePurpose::ServerAuth);
        for (what, chain) in [
            ("the CA is missing", vec![relay]),
            ("signed by another CA", vec![foreign.clone(), other.certificate.clone()]),
            (
                "signed by another CA, the pinned one alongside",
                vec![foreign, other.certificate, ca.certificate.clone()],
            ),
            ("an agent's certificate", vec![agent, ca.certificate.clone()]),
            ("another name", vec![named_otherwise, ca.certificate.clone()]),
            ("the CA itself", vec![ca.certificate.clone(), ca.certificate.clone()]),
        ] {
            assert!(verify(ca.pin, &chain).is_err(), "{what}");
        }
    }
}
