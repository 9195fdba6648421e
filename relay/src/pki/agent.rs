//! Who an agent is, and what its certificate says of that.

use podlatch_protocol::id::{AgentId, ClusterId, OrganisationId};
use sha2::{Digest, Sha256};
use x509_parser::extensions::GeneralName;

use crate::clock::UnixMillis;
use crate::domain::agent::PublicKeySha256;

/// The trust domain in an agent's SPIFFE id.
const SPIFFE_PREFIX: &str = "spiffe://podlatch/";

/// Who an agent is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct AgentIdentity {
    /// The owner of its cluster.
    pub organisation: OrganisationId,
    /// Its cluster.
    pub cluster: ClusterId,
    /// The agent.
    pub agent: AgentId,
}

impl AgentIdentity {
    /// The URI in the agent's certificate.
    pub fn uri(&self) -> String {
        format!("{SPIFFE_PREFIX}o/{}/c/{}/a/{}", self.organisation, self.cluster, self.agent)
    }

    fn parse_uri(uri: &str) -> Option<Self> {
        let parts: Vec<_> = uri.strip_prefix(SPIFFE_PREFIX)?.split('/').collect();
        let ["o", organisation, "c", cluster, "a", agent] = parts[..] else {
            return None;
        };
        Some(Self {
            organisation: organisation.parse().ok()?,
            cluster: cluster.parse().ok()?,
            agent: agent.parse().ok()?,
        })
    }
}

/// What an agent's certificate says. Whether it is genuine was decided by the TLS handshake.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AgentCertificate {
    /// Who presented it.
    pub identity: AgentIdentity,
    /// The key that it certifies.
    pub public_key: PublicKeySha256,
    /// End of its validity.
    pub expires_at: UnixMillis,
}

/// A certificate of this CA that is not exactly an agent's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the presented certificate is not an agent's")]
pub struct NotAnAgentCertificate;

impl AgentCertificate {
    /// Reads a certificate back, strictly: one URI of the one form, for client authentication and nothing else.
    pub fn parse(certificate: &[u8]) -> Result<Self, NotAnAgentCertificate> {
        let (rest, parsed) = x509_parser::parse_x509_certificate(certificate).map_err(|_| NotAnAgentCertificate)?;
        let names = parsed.subject_alternative_name().ok().flatten().ok_or(NotAnAgentCertificate)?;
        let [GeneralName::URI(uri)] = names.value.general_names[..] else {
            return Err(NotAnAgentCertificate);
        };
        let usage = parsed.extended_key_usage().ok().flatten().ok_or(NotAnAgentCertificate)?.value;
        let other_usage = usage.any || usage.server_auth || usage.code_signing || !usage.other.is_empty();
        if !rest.is_empty() || parsed.is_ca() || !usage.client_auth || other_usage {
            return Err(NotAnAgentCertificate);
        }
        Ok(Self {
            identity: AgentIdentity::parse_uri(uri).ok_or(NotAnAgentCertificate)?,
            public_key: PublicKeySha256(Sha256::digest(parsed.public_key().raw).into()),
            expires_at: UnixMillis::new(parsed.validity().not_after.timestamp().saturating_mul(1_000)),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_identity_has_one_spelling() {
        let identity = AgentIdentity {
            organisation: OrganisationId::new(1, &[1; 10]),
            cluster: ClusterId::new(2, &[1; 10]),
            agent: AgentId::new(3, &[1; 10]),
        };
        let uri = identity.uri();
        assert_eq!(AgentIdentity::parse_uri(&uri), Some(identity));
        for bad in [format!("{uri}/"), format!("{uri}/x"), uri.replace("podlatch", "other"), uri.to_uppercase()] {
            assert_eq!(AgentIdentity::parse_uri(&bad), None, "{bad}");
        }
    }
}
