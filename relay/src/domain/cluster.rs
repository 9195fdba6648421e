//! Registered clusters.

use podlatch_protocol::id::{ClusterId, OrganisationId};

use super::labels::Labels;
use super::name::DisplayName;
use super::session_limits::LimitSettings;
use crate::clock::UnixMillis;

/// How the relay reaches a cluster.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ClusterType {
    /// Through an agent inside it.
    Private,
    /// By the relay itself.
    Public,
}

impl ClusterType {
    /// The stable name, for storage and APIs.
    pub const fn slug(self) -> &'static str {
        match self {
            Self::Private => "private",
            Self::Public => "public",
        }
    }

    /// The type with this stable name.
    pub fn from_slug(slug: &str) -> Option<Self> {
        [Self::Private, Self::Public].into_iter().find(|kind| kind.slug() == slug)
    }
}

/// A registered cluster.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cluster {
    /// Its id.
    pub id: ClusterId,
    /// Who owns it.
    pub organisation: OrganisationId,
    /// Its name, unique among the organisation's clusters that are not revoked.
    pub name: DisplayName,
    /// How it is reached.
    pub cluster_type: ClusterType,
    /// By what access rules may find it.
    pub labels: Labels,
    /// How long its sessions may live.
    pub limits: LimitSettings,
    /// When it was registered.
    pub created_at: UnixMillis,
    /// When it was revoked, if it was. Nothing enrols, connects or opens in it since.
    pub revoked_at: Option<UnixMillis>,
}

/// A cluster and what its agent last said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClusterOverview {
    /// The cluster.
    pub cluster: Cluster,
    /// The active agent that was seen last, if one ever was.
    pub last_agent: Option<LastAgent>,
}

/// What an agent said when it was last seen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LastAgent {
    /// When.
    pub seen_at: UnixMillis,
    /// Its release. Untrusted text.
    pub agent_version: String,
    /// The Kubernetes version of its cluster. Untrusted text; empty where the agent could not ask.
    pub kubernetes_version: String,
}
