//! How an agent gets its identity: a one-use join token against a certificate of the relay's own CA.
//!
//! The relay writes the certificate's subject; from the request it takes the public key alone.

use serde::{Deserialize, Serialize};

/// The agent's question.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EnrolRequest {
    /// The join token, as it was handed to the installer.
    pub token: String,
    /// A PKCS#10 certificate request, DER. It proves possession of the key; everything else in it is ignored.
    pub csr: Vec<u8>,
    /// The agent's release, for people.
    pub agent_version: String,
}

impl std::fmt::Debug for EnrolRequest {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("EnrolRequest").field("agent_version", &self.agent_version).finish_non_exhaustive()
    }
}

/// The relay's answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum EnrolReply {
    /// The agent is enrolled.
    Enrolled(Certificate),
    /// It is not; the sentence says why and what to do.
    Refused(String),
}

/// An agent's certificate.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Certificate {
    /// The agent's certificate, DER.
    pub certificate: Vec<u8>,
    /// The relay's CA, DER: what the agent trusts from now on.
    pub ca: Vec<u8>,
    /// End of validity, in seconds since the Unix epoch.
    pub not_after_unix_seconds: u64,
}
