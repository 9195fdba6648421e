//! The relay's own leaf: what it shows to agents that dial in.

use std::sync::{Arc, Mutex, PoisonError};

use rcgen::{KeyPair, PKCS_ECDSA_P256_SHA256};
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;

use super::{Ca, PkiError};
use crate::clock::{Clock, UnixMillis};

/// The relay's tunnel certificate: made when it is first needed and again before it runs out.
#[derive(Debug)]
pub struct RelayCertificate {
    ca: Arc<Ca>,
    clock: Clock,
    current: Mutex<Option<Current>>,
}

#[derive(Debug)]
struct Current {
    key: Arc<CertifiedKey>,
    renew_at: UnixMillis,
}

impl RelayCertificate {
    /// Makes the first certificate at once, so that a failure shows at the start.
    pub fn new(ca: Arc<Ca>, clock: Clock) -> Result<Self, PkiError> {
        let relay = Self { ca, clock, current: Mutex::default() };
        relay.current()?;
        Ok(relay)
    }

    /// The one that is in use now.
    pub(super) fn current(&self) -> Result<Arc<CertifiedKey>, PkiError> {
        let now = self.clock.now();
        let mut current = self.current.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(current) = current.as_ref().filter(|current| now < current.renew_at) {
            return Ok(Arc::clone(&current.key));
        }
        let key = Arc::new(certify(&self.ca, now)?);
        *current = Some(Current { key: Arc::clone(&key), renew_at: now.plus(self.ca.lifetimes().relay / 2) });
        Ok(key)
    }
}

impl ResolvesServerCert for RelayCertificate {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        self.current()
            .inspect_err(|error| tracing::error!(error = error as &dyn std::error::Error, "no tunnel certificate"))
            .ok()
    }
}

/// Makes a key, and has it certified.
fn certify(ca: &Ca, now: UnixMillis) -> Result<CertifiedKey, PkiError> {
    let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)?;
    let chain = ca.issue_relay_certificate(&key, now)?;
    let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(key.serialize_der()));
    Ok(CertifiedKey::new(chain, rustls::crypto::aws_lc_rs::sign::any_supported_type(&key)?))
}
