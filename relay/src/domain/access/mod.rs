//! Who may do what. Two pure functions decide, everything asks them, and both have to agree: [`authorize`], what a role may do at
//! all, and [`decision::decide`], what the access rules of the organisation say about a target. Default deny.

pub mod approval;
pub mod decision;
pub mod pattern;
pub mod right;
pub mod rule;

use podlatch_protocol::id::{LoginSessionId, OrganisationId, UserId};

use super::login::{LoginKind, Scope, Scopes};
use super::organisation::{LoginSession, Role};

/// The principal that asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Actor {
    /// Who.
    pub user: UserId,
    /// Where they are signed in.
    pub organisation: OrganisationId,
    /// What they are there.
    pub role: Role,
    /// By which login.
    pub login_session: LoginSessionId,
    /// Cookie or token.
    pub login_kind: LoginKind,
    /// What that login may be used for.
    pub scopes: Scopes,
}

impl From<&LoginSession> for Actor {
    fn from(login: &LoginSession) -> Self {
        Self {
            user: login.membership.user.id,
            organisation: login.membership.organisation.id,
            role: login.membership.role,
            login_session: login.id,
            login_kind: login.kind,
            scopes: login.scopes,
        }
    }
}

/// What is asked for, with the facts about its object that matter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// See a cluster, its namespaces, workloads and pods.
    ViewCluster {
        /// The cluster's owner.
        organisation: OrganisationId,
    },
    /// Start a process in a pod of a cluster.
    Exec {
        /// The cluster's owner.
        organisation: OrganisationId,
    },
    /// See that a session exists, and its facts.
    ViewSession(SessionOwner),
    /// Attach to a session's terminal and type.
    AttachSession(SessionOwner),
    /// Watch a live session's terminal; of which, the access rules say.
    ObserveSession(SessionOwner),
    /// End a session for good.
    EndSession(SessionOwner),
    /// See a session's recording, search it, download it.
    ReplaySession(SessionOwner),
    /// See the audit log: all of it, or what concerns oneself ([`audit_scope`]).
    ViewAudit {
        /// Whose log.
        organisation: OrganisationId,
    },
    /// Take a copy of the part of the audit log that one sees.
    ExportAudit {
        /// Whose log.
        organisation: OrganisationId,
    },
    /// See how the organisation is set up.
    ViewAdministration {
        /// Whose.
        organisation: OrganisationId,
        /// Which part.
        part: Administration,
    },
    /// Change how the organisation is set up.
    Administer {
        /// Whose.
        organisation: OrganisationId,
        /// Which part.
        part: Administration,
    },
}

/// A part of what an organisation's administrators see to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Administration {
    /// Members, their roles, invitations, suspensions, groups, and other people's logins and tokens.
    People,
    /// How people sign in.
    SignIn,
    /// Access rules.
    AccessRules,
    /// Clusters, their agents and credentials.
    Clusters,
    /// Everything else.
    Settings,
}

/// Whose a session is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SessionOwner {
    /// The organisation.
    pub organisation: OrganisationId,
    /// The person.
    pub user: UserId,
}

/// What was decided.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Decision {
    /// Go on.
    Allow,
    /// Stop, and say this.
    Deny(&'static str),
}

/// Which sessions a person may list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SessionScope {
    /// Everybody's in the organisation.
    All,
    /// Their own.
    Own,
}

/// Which audit events a person may see.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AuditScope {
    /// Everybody's in the organisation.
    All,
    /// What this person did, and what happened in their sessions.
    Of(UserId),
}

/// Says which audit events a person may see.
pub const fn audit_scope(actor: &Actor) -> AuditScope {
    match session_scope(actor) {
        SessionScope::All => AuditScope::All,
        SessionScope::Own => AuditScope::Of(actor.user),
    }
}

/// Decides.
pub fn authorize(actor: &Actor, action: Action) -> Decision {
    if action.organisation() != actor.organisation {
        return Decision::Deny("This belongs to another organisation.");
    }
    if !actor.scopes.contains(action.scope()) {
        return Decision::Deny(out_of_scope(action.scope()));
    }
    match action {
        // How much of the log they see, the scope says; whom they may watch, the access rules alone.
        Action::ViewCluster { .. }
        | Action::ViewAudit { .. }
        | Action::ExportAudit { .. }
        | Action::ObserveSession(_) => Decision::Allow,
        Action::Exec { .. } => may_exec(actor.role),
        Action::ViewSession(owner) => match session_scope(actor) {
            SessionScope::All => Decision::Allow,
            SessionScope::Own => own(actor, owner, "You may only see your own sessions."),
        },
        Action::ReplaySession(owner) => match session_scope(actor) {
            SessionScope::All => Decision::Allow,
            SessionScope::Own => own(actor, owner, "You may only see the recordings of your own sessions."),
        },
        Action::AttachSession(owner) => match may_exec(actor.role) {
            Decision::Allow => own(actor, owner, "You may only enter your own sessions."),
            denied @ Decision::Deny(_) => denied,
        },
        Action::ViewAdministration { .. } => match actor.role {
            Role::Owner | Role::Admin | Role::Auditor => Decision::Allow,
            Role::Member => Decision::Deny("Only owners, admins and auditors see how the organisation is set up."),
        },
        Action::Administer { .. } => match actor.role {
            Role::Owner | Role::Admin => Decision::Allow,
            Role::Auditor | Role::Member => {
                Decision::Deny("Only owners and admins change how the organisation is set up.")
            }
        },
        Action::EndSession(owner) => match actor.role {
            Role::Owner | Role::Admin => Decision::Allow,
            Role::Auditor | Role::Member => own(actor, owner, "You may only end your own sessions."),
        },
    }
}

/// Says which sessions a list may show. Agrees with [`Action::ViewSession`].
pub const fn session_scope(actor: &Actor) -> SessionScope {
    match actor.role {
        Role::Owner | Role::Admin | Role::Auditor => SessionScope::All,
        Role::Member => SessionScope::Own,
    }
}

impl Action {
    /// The stable name, for the audit log.
    pub const fn slug(self) -> &'static str {
        match self {
            Self::ViewCluster { .. } => "view_cluster",
            Self::Exec { .. } => "exec",
            Self::ViewSession(_) => "view_session",
            Self::AttachSession(_) => "attach_session",
            Self::ObserveSession(_) => "observe_session",
            Self::EndSession(_) => "end_session",
            Self::ReplaySession(_) => "replay_session",
            Self::ViewAudit { .. } => "view_audit",
            Self::ExportAudit { .. } => "export_audit",
            Self::ViewAdministration { .. } => "view_administration",
            Self::Administer { .. } => "administer",
        }
    }

    /// The scope that an API token needs for it.
    pub const fn scope(self) -> Scope {
        match self {
            Self::ViewCluster { .. }
            | Self::ViewSession(_)
            | Self::ReplaySession(_)
            | Self::ViewAudit { .. }
            | Self::ExportAudit { .. }
            | Self::ViewAdministration { .. } => Scope::Read,
            Self::Exec { .. } | Self::AttachSession(_) | Self::ObserveSession(_) | Self::EndSession(_) => {
                Scope::Sessions
            }
            Self::Administer { .. } => Scope::Admin,
        }
    }

    const fn organisation(self) -> OrganisationId {
        match self {
            Self::ViewCluster { organisation }
            | Self::Exec { organisation }
            | Self::ViewAudit { organisation }
            | Self::ExportAudit { organisation }
            | Self::ViewAdministration { organisation, .. }
            | Self::Administer { organisation, .. } => organisation,
            Self::ViewSession(owner)
            | Self::AttachSession(owner)
            | Self::ObserveSession(owner)
            | Self::EndSession(owner)
            | Self::ReplaySession(owner) => owner.organisation,
        }
    }
}

const fn out_of_scope(scope: Scope) -> &'static str {
    match scope {
        Scope::Read => "This API token may not read. Use one with the scope read.",
        Scope::Sessions => "This API token may not open, enter or end terminals. Use one with the scope sessions.",
        Scope::Admin => "This API token may not change how the organisation is set up. Use one with the scope admin.",
    }
}

const fn may_exec(role: Role) -> Decision {
    match role {
        Role::Owner | Role::Admin | Role::Member => Decision::Allow,
        Role::Auditor => Decision::Deny("Auditors see what others did; they open no terminals."),
    }
}

fn own(actor: &Actor, owner: SessionOwner, otherwise: &'static str) -> Decision {
    if owner.user == actor.user { Decision::Allow } else { Decision::Deny(otherwise) }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HERE: OrganisationId = OrganisationId::from_uuid(uuid::Uuid::from_u128(1));
    const ELSEWHERE: OrganisationId = OrganisationId::from_uuid(uuid::Uuid::from_u128(2));
    const ME: UserId = UserId::from_uuid(uuid::Uuid::from_u128(3));
    const ANOTHER: UserId = UserId::from_uuid(uuid::Uuid::from_u128(4));

    fn actor(role: Role) -> Actor {
        let login_session = LoginSessionId::from_uuid(uuid::Uuid::from_u128(5));
        let login_kind = LoginKind::Browser;
        Actor { user: ME, organisation: HERE, role, login_session, login_kind, scopes: Scopes::ALL }
    }

    fn actions(organisation: OrganisationId, user: UserId) -> [Action; 10] {
        let owner = SessionOwner { organisation, user };
        [
            Action::ViewCluster { organisation },
            Action::Exec { organisation },
            Action::ViewSession(owner),
            Action::AttachSession(owner),
            Action::EndSession(owner),
            Action::ViewAudit { organisation },
            Action::ExportAudit { organisation },
            Action::ReplaySession(owner),
            Action::ViewAdministration { organisation, part: Administration::People },
            Action::Administer { organisation, part: Administration::AccessRules },
        ]
    }

    fn allowed(role: Role, organisation: OrganisationId, user: UserId) -> [bool; 10] {
        actions(organisation, user).map(|action| authorize(&actor(role), action) == Decision::Allow)
    }

    #[test]
    fn every_role_may_do_exactly_what_the_table_says() {
        // view cluster, exec, view session, attach, end, view audit, export audit, replay, view administration, administer
        for (role, mine, theirs) in [
            (Role::Owner, [true; 10], [true, true, true, false, true, true, true, true, true, true]),
            (Role::Admin, [true; 10], [true, true, true, false, true, true, true, true, true, true]),
            (
                Role::Auditor,
                [true, false, true, false, true, true, true, true, true, false],
                [true, false, true, false, false, true, true, true, true, false],
            ),
            (
                Role::Member,
                [true, true, true, true, true, true, true, true, false, false],
                [true, true, false, false, false, true, true, false, false, false],
            ),
        ] {
            assert_eq!(allowed(role, HERE, ME), mine, "{role:?}, own");
            assert_eq!(allowed(role, HERE, ANOTHER), theirs, "{role:?}, another's");
        }
    }

    #[test]
    fn nobody_may_do_anything_in_another_organisation() {
        for role in Role::ALL {
            assert_eq!(allowed(role, ELSEWHERE, ME), [false; 10], "{role:?}");
        }
    }

    #[test]
    fn a_token_may_do_what_its_scopes_and_its_person_may_and_nothing_else() {
        for role in Role::ALL {
            for scopes in [vec![], vec![Scope::Sessions], vec![Scope::Admin], vec![Scope::Sessions, Scope::Admin]] {
                let scopes: Scopes = scopes.into_iter().collect();
                let token = Actor { login_kind: LoginKind::Token, scopes, ..actor(role) };
                for action in actions(HERE, ME) {
                    let person = authorize(&actor(role), action) == Decision::Allow;
                    let expected = person && scopes.contains(action.scope());
                    assert_eq!(
                        authorize(&token, action) == Decision::Allow,
                        expected,
                        "{role:?} {scopes:?} {action:?}"
                    );
                }
            }
        }
    }

    #[test]
    fn what_a_list_shows_is_what_may_be_viewed() {
        let theirs = SessionOwner { organisation: HERE, user: ANOTHER };
        for role in Role::ALL {
            let may_view = authorize(&actor(role), Action::ViewSession(theirs)) == Decision::Allow;
            let may_replay = authorize(&actor(role), Action::ReplaySession(theirs)) == Decision::Allow;
            assert_eq!(session_scope(&actor(role)) == SessionScope::All, may_view, "{role:?}");
            assert_eq!(may_view, may_replay, "{role:?}");
        }
    }
}
