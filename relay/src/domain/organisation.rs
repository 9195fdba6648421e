//! Organisations, the people in them, and what they are there.

use podlatch_protocol::id::{LoginSessionId, OrganisationId, UserId};

use serde::{Deserialize, Serialize};

use super::login::{LoginKind, LoginMethod, Scopes};
use super::name::{DisplayName, Email};
use crate::clock::UnixMillis;

/// A tenant: owns clusters, people and sessions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Organisation {
    /// Its id.
    pub id: OrganisationId,
    /// Its name; not unique.
    pub name: DisplayName,
    /// When it was created.
    pub created_at: UnixMillis,
}

/// A person.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct User {
    /// Their id.
    pub id: UserId,
    /// Their address; unique on this relay.
    pub email: Email,
    /// What they are called.
    pub name: DisplayName,
}

/// What a person is in an organisation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// Everything, the organisation's own settings included.
    Owner,
    /// Everything about clusters, people and sessions.
    Admin,
    /// Sees what others did; opens nothing.
    Auditor,
    /// Opens terminals where allowed.
    Member,
}

impl Role {
    /// Every role.
    pub const ALL: [Self; 4] = [Self::Owner, Self::Admin, Self::Auditor, Self::Member];

    /// The stable name, for storage and APIs.
    pub const fn slug(self) -> &'static str {
        match self {
            Self::Owner => "owner",
            Self::Admin => "admin",
            Self::Auditor => "auditor",
            Self::Member => "member",
        }
    }

    /// The role with this stable name.
    pub fn from_slug(slug: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|role| role.slug() == slug)
    }
}

/// A person in an organisation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Membership {
    /// Who.
    pub user: User,
    /// Where.
    pub organisation: Organisation,
    /// As what.
    pub role: Role,
}

/// Where a request came from, as far as it can be known. For people and for the audit log, never for a decision.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ClientInfo {
    /// The address that the relay saw, or was told by the proxy in front of it.
    pub ip: String,
    /// What the browser calls itself. Untrusted text.
    pub user_agent: String,
}

/// A signed-in browser, or an API token in use.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LoginSession {
    /// Its id.
    pub id: LoginSessionId,
    /// Cookie or token.
    pub kind: LoginKind,
    /// How it began.
    pub method: LoginMethod,
    /// What it may be used for.
    pub scopes: Scopes,
    /// Who signed in, and where.
    pub membership: Membership,
    /// When it ends by itself.
    pub expires_at: UnixMillis,
    /// When it was last seen in use, to the minute.
    pub last_used_at: Option<UnixMillis>,
}
