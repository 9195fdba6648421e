//! Which events of the log are wanted.

use podlatch_protocol::id::{ClusterId, OrganisationId, SessionId, UserId};

use crate::clock::UnixMillis;
use crate::domain::access::AuditScope;
use crate::domain::audit::Action;

/// Which events.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuditFilter {
    /// Whose log.
    pub organisation: OrganisationId,
    /// What the caller may see of it.
    pub scope: AuditScope,
    /// Only of this cluster.
    pub cluster: Option<ClusterId>,
    /// Only by or about this person.
    pub user: Option<UserFilter>,
    /// Only in this namespace.
    pub namespace: Option<String>,
    /// Only in a pod of this name.
    pub pod: Option<String>,
    /// Only in this session.
    pub session: Option<SessionId>,
    /// Only this.
    pub action: Option<Action>,
    /// Only where a command, a pod, a person, a program or a detail contains this text, in whatever case.
    pub text: Option<String>,
    /// Not before.
    pub from: Option<UnixMillis>,
    /// Before.
    pub to: Option<UnixMillis>,
}

/// A person, as a filter names them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum UserFilter {
    /// By id.
    Id(UserId),
    /// By address.
    Name(String),
}

impl AuditFilter {
    /// Everything that a scope lets one see of an organisation's log.
    pub const fn everything(organisation: OrganisationId, scope: AuditScope) -> Self {
        Self {
            organisation,
            scope,
            cluster: None,
            user: None,
            namespace: None,
            pod: None,
            session: None,
            action: None,
            text: None,
            from: None,
            to: None,
        }
    }

    /// The text as a pattern, in lower case.
    pub(super) fn pattern(&self) -> Option<String> {
        let text = self.text.as_ref()?.to_lowercase();
        let escaped = text.replace('\\', "\\\\").replace('%', "\\%").replace('_', "\\_");
        Some(format!("%{escaped}%"))
    }
}
