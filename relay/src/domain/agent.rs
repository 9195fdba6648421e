//! Enrolled agents.

use std::fmt;

use podlatch_protocol::control::About;
use podlatch_protocol::id::{AgentId, ClusterId, OrganisationId};

use crate::clock::UnixMillis;

/// SHA-256 over a certificate's SubjectPublicKeyInfo, DER.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct PublicKeySha256(pub [u8; 32]);

impl fmt::Debug for PublicKeySha256 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl fmt::Display for PublicKeySha256 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "sha256:{}", hex::encode(self.0))
    }
}

/// Whether an agent may connect.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum AgentStatus {
    /// It may.
    Active,
    /// Its right was withdrawn, or its cluster's.
    Revoked,
}

impl AgentStatus {
    /// The stable name, for storage.
    pub const fn slug(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Revoked => "revoked",
        }
    }

    /// The status with this stable name.
    pub fn from_slug(slug: &str) -> Option<Self> {
        [Self::Active, Self::Revoked].into_iter().find(|status| status.slug() == slug)
    }
}

/// An enrolled agent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Agent {
    /// Its id; durable across restarts, reconnects and renewals.
    pub id: AgentId,
    /// Its cluster.
    pub cluster: ClusterId,
    /// The cluster's owner.
    pub organisation: OrganisationId,
    /// Whether it may connect.
    pub status: AgentStatus,
    /// The key of its newest certificate.
    pub public_key: PublicKeySha256,
    /// The key with which it asked for that certificate. It stays good until the agent connects with the newest one,
    /// because the answer may have been lost, or the agent may have crashed before it had stored it.
    pub previous_public_key: Option<PublicKeySha256>,
    /// How many certificates it has had; the first is 1.
    pub generation: u32,
    /// When it enrolled.
    pub enrolled_at: UnixMillis,
    /// When it was last heard of over a tunnel, if ever.
    pub last_seen_at: Option<UnixMillis>,
    /// Its release. Untrusted text.
    pub agent_version: String,
    /// The Kubernetes version of its cluster. Untrusted text; empty where the agent could not ask.
    pub kubernetes_version: String,
    /// End of its newest certificate.
    pub certificate_expires_at: UnixMillis,
    /// Whether a copy of its identity was noticed.
    pub cloned: Option<CloneSeen>,
    /// What it last said of itself, if it ever did. Untrusted text.
    pub about: Option<About>,
}

/// Somebody else presented an agent's identity: the folder or Secret that holds it was copied, or restored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CloneSeen {
    /// When this was last noticed.
    pub at: UnixMillis,
    /// From which address.
    pub from: String,
}

impl Agent {
    /// Whether this agent may connect with this key.
    pub fn accepts(&self, key: PublicKeySha256) -> bool {
        self.status == AgentStatus::Active && (self.public_key == key || self.previous_public_key == Some(key))
    }
}
