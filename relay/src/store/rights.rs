//! What people's rights depend on, read in few statements however many sessions there are.

use std::collections::{BTreeSet, HashMap};

use podlatch_protocol::id::{ClusterId, GroupId, OrganisationId, SessionId, UserId};
use uuid::Uuid;

use super::engine::{fetch_all, fetch_optional};
use super::rows::{known, parse, time};
use super::{Store, StoreError};
use crate::clock::UnixMillis;
use crate::domain::access::decision::{Approval, Reason, Target};
use crate::domain::access::right::{LoginKind, LoginStanding, Registration, RightInputs, Standing};
use crate::domain::access::rule::{AccessAction, AccessRule};
use crate::domain::organisation::Role;
use crate::domain::session::{SessionAccess, Ticket};

/// What the right to one live session depends on, rules, groups and approvals aside.
#[derive(Debug, Clone)]
pub struct SessionRights {
    /// The session.
    pub session: SessionId,
    /// Its organisation.
    pub organisation: OrganisationId,
    /// Its person.
    pub user: UserId,
    /// The person's account.
    pub account: Standing,
    /// The organisation.
    pub organisation_standing: Standing,
    /// What the person is there.
    pub membership: Option<(Role, Standing)>,
    /// The login that opened it.
    pub login: LoginStanding,
    /// Its cluster.
    pub cluster: Registration,
    /// In what it runs: the cluster as it is called now, the pod as it was.
    pub target: Target,
    /// Whether its person said why.
    pub reason: Reason,
    /// The agent that holds it.
    pub agent: Registration,
    /// The UID of its pod, once it runs.
    pub pod_uid: Option<String>,
    /// By what right it was opened.
    pub access: SessionAccess,
}

impl SessionRights {
    /// Every input of the session's right.
    pub fn inputs<'a>(
        &'a self,
        groups: &'a BTreeSet<GroupId>,
        rules: &'a [AccessRule],
        approvals: &'a [Approval],
    ) -> RightInputs<'a> {
        RightInputs {
            organisation: self.organisation,
            user: self.user,
            account: self.account,
            organisation_standing: self.organisation_standing,
            membership: self.membership,
            login: self.login,
            groups,
            rules,
            approvals,
            cluster: self.cluster,
            agent: self.agent,
            target: &self.target,
            action: self.access.action,
            reason: self.reason,
            basis: &self.access.basis,
            labels_then: self.access.pod_labels.as_ref(),
        }
    }
}

/// What the right to a session depends on cannot be read: it is nobody else's trouble.
#[derive(Debug)]
pub struct UnreadableRights {
    /// The session, if that much can be read.
    pub session: Option<SessionId>,
    /// What is wrong.
    pub error: StoreError,
}

/// A person of an organisation, with what rules name them by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Colleague {
    /// Who.
    pub user: UserId,
    /// Their address.
    pub email: String,
    /// As what.
    pub role: Role,
    /// Their groups.
    pub groups: BTreeSet<GroupId>,
}

impl Store {
    /// What the rights to all sessions that are not over depend on, at `now`; each that can be read. Cancel safe.
    pub async fn session_rights(
        &self,
        now: UnixMillis,
    ) -> Result<Vec<Result<SessionRights, UnreadableRights>>, StoreError> {
        let rows = fetch_all!(
            self.reader(),
            PerhapsRightsRow,
            "SELECT s.id, s.organisation_id, s.user_id, s.access, s.reason, s.cluster_id, s.namespace, s.pod,
                 s.container, s.asked_container, s.pod_uid, u.suspended_at AS account_suspended_at,
                 o.suspended_at AS organisation_suspended_at, m.role, m.suspended_at AS membership_suspended_at,
                 l.kind AS login_kind, l.revoked_at AS login_revoked_at, l.expires_at AS login_expires_at,
                 c.revoked_at AS cluster_revoked_at, c.name AS cluster_name, c.labels AS cluster_labels,
                 a.status AS agent_status
             FROM sessions s JOIN users u ON u.id = s.user_id JOIN organisations o ON o.id = s.organisation_id
             JOIN login_sessions l ON l.id = s.login_session_id JOIN clusters c ON c.id = s.cluster_id
             LEFT JOIN memberships m ON m.organisation_id = s.organisation_id AND m.user_id = s.user_id
             LEFT JOIN agents a ON a.id = s.agent_id
             WHERE s.state <> 'ended'",
        )?;
        Ok(rows.into_iter().map(|row| row.rights(now)).collect())
    }

    /// What the right of whoever came by this ticket depends on, in that session, at `now`: as [`Self::session_rights`] of the
    /// session's own person. `None`: it is over. Cancel safe.
    pub async fn observer_rights(&self, ticket: &Ticket, now: UnixMillis) -> Result<Option<SessionRights>, StoreError> {
        let row = fetch_optional!(
            self.reader(),
            RightsRow,
            "SELECT s.id, s.organisation_id, u.id AS user_id, s.access, s.reason, s.cluster_id, s.namespace, s.pod,
                 s.container, s.asked_container, s.pod_uid, u.suspended_at AS account_suspended_at,
                 o.suspended_at AS organisation_suspended_at, m.role, m.suspended_at AS membership_suspended_at,
                 l.kind AS login_kind, l.revoked_at AS login_revoked_at, l.expires_at AS login_expires_at,
                 c.revoked_at AS cluster_revoked_at, c.name AS cluster_name, c.labels AS cluster_labels,
                 a.status AS agent_status
             FROM sessions s JOIN users u ON u.id = $3 JOIN organisations o ON o.id = s.organisation_id
             JOIN login_sessions l ON l.id = $4 AND l.user_id = u.id AND l.organisation_id = s.organisation_id
             JOIN clusters c ON c.id = s.cluster_id
             LEFT JOIN memberships m ON m.organisation_id = s.organisation_id AND m.user_id = u.id
             LEFT JOIN agents a ON a.id = s.agent_id
             WHERE s.organisation_id = $1 AND s.id = $2 AND s.state <> 'ended'",
            ticket.organisation.as_uuid(),
            ticket.session.as_uuid(),
            ticket.user.as_uuid(),
            ticket.login_session.as_uuid(),
        )?;
        row.map(|row| row.rights(now)).transpose()
    }

    /// The groups of all people of these organisations. Cancel safe.
    pub async fn groups_by_person(
        &self,
        organisation: OrganisationId,
    ) -> Result<HashMap<UserId, BTreeSet<GroupId>>, StoreError> {
        let rows = fetch_all!(
            self.reader(),
            (Uuid, Uuid),
            "SELECT user_id, group_id FROM group_members WHERE organisation_id = $1",
            organisation.as_uuid(),
        )?;
        let mut groups: HashMap<UserId, BTreeSet<GroupId>> = HashMap::new();
        for (user, group) in rows {
            groups.entry(UserId::from_uuid(user)).or_default().insert(GroupId::from_uuid(group));
        }
        Ok(groups)
    }

    /// The groups of a person. Cancel safe.
    pub async fn group_ids_of(
        &self,
        organisation: OrganisationId,
        user: UserId,
    ) -> Result<BTreeSet<GroupId>, StoreError> {
        let rows = fetch_all!(
            self.reader(),
            (Uuid,),
            "SELECT DISTINCT group_id FROM group_members WHERE organisation_id = $1 AND user_id = $2",
            organisation.as_uuid(),
            user.as_uuid(),
        )?;
        Ok(rows.into_iter().map(|(group,)| GroupId::from_uuid(group)).collect())
    }

    /// Everybody in the organisation who is not suspended; a bounded number. Cancel safe.
    pub async fn colleagues(&self, organisation: OrganisationId, limit: i64) -> Result<Vec<Colleague>, StoreError> {
        let rows = fetch_all!(
            self.reader(),
            (Uuid, String, String),
            "SELECT u.id, u.email, m.role FROM memberships m JOIN users u ON u.id = m.user_id
             WHERE m.organisation_id = $1 AND m.suspended_at IS NULL AND u.suspended_at IS NULL ORDER BY u.id LIMIT $2",
            organisation.as_uuid(),
            limit,
        )?;
        let mut groups = self.groups_by_person(organisation).await?;
        let colleague = |(user, email, role): (Uuid, String, String)| {
            let user = UserId::from_uuid(user);
            let role = known("memberships.role", Role::from_slug(&role))?;
            Ok(Colleague { user, email, role, groups: groups.remove(&user).unwrap_or_default() })
        };
        rows.into_iter().map(colleague).collect()
    }

    /// One person of the organisation. Cancel safe.
    pub async fn colleague(&self, organisation: OrganisationId, user: UserId) -> Result<Option<Colleague>, StoreError> {
        let row = fetch_optional!(
            self.reader(),
            (String, String),
            "SELECT u.email, m.role FROM memberships m JOIN users u ON u.id = m.user_id
             WHERE m.organisation_id = $1 AND u.id = $2",
            organisation.as_uuid(),
            user.as_uuid(),
        )?;
        let Some((email, role)) = row else {
            return Ok(None);
        };
        let role = known("memberships.role", Role::from_slug(&role))?;
        Ok(Some(Colleague { user, email, role, groups: self.group_ids_of(organisation, user).await? }))
    }
}

/// A row that is read as far as it can be, so that a broken one does not hide the others.
struct PerhapsRightsRow {
    session: Option<SessionId>,
    row: Result<RightsRow, sqlx::Error>,
}

impl<'r, R: sqlx::Row> sqlx::FromRow<'r, R> for PerhapsRightsRow
where
    IdRow: sqlx::FromRow<'r, R>,
    RightsRow: sqlx::FromRow<'r, R>,
{
    fn from_row(row: &'r R) -> Result<Self, sqlx::Error> {
        let session = IdRow::from_row(row).ok().map(|row| SessionId::from_uuid(row.id));
        Ok(Self { session, row: RightsRow::from_row(row) })
    }
}

impl PerhapsRightsRow {
    fn rights(self, now: UnixMillis) -> Result<SessionRights, UnreadableRights> {
        let Self { session, row } = self;
        let rights = row.map_err(StoreError::from).and_then(|row| row.rights(now));
        rights.map_err(|error| UnreadableRights { session, error })
    }
}

#[derive(sqlx::FromRow)]
struct IdRow {
    id: Uuid,
}

#[derive(sqlx::FromRow)]
struct RightsRow {
    id: Uuid,
    organisation_id: Uuid,
    user_id: Uuid,
    access: Option<String>,
    account_suspended_at: Option<i64>,
    organisation_suspended_at: Option<i64>,
    role: Option<String>,
    membership_suspended_at: Option<i64>,
    login_kind: String,
    login_revoked_at: Option<i64>,
    login_expires_at: i64,
    reason: Option<String>,
    cluster_id: Uuid,
    namespace: String,
    pod: String,
    container: Option<String>,
    asked_container: Option<String>,
    pod_uid: Option<String>,
    cluster_revoked_at: Option<i64>,
    cluster_name: String,
    cluster_labels: String,
    agent_status: Option<String>,
}

impl RightsRow {
    fn rights(self, now: UnixMillis) -> Result<SessionRights, StoreError> {
        let standing = |at: Option<i64>| if at.is_some() { Standing::Suspended } else { Standing::Good };
        let role = self.role.as_deref().map(|role| known("memberships.role", Role::from_slug(role))).transpose()?;
        let kind = if self.login_kind == "token" { LoginKind::Token } else { LoginKind::Browser };
        let revoked = |is: bool| if is { Registration::Revoked } else { Registration::Registered };
        let access = self.access.as_deref().map(serde_json::from_str).transpose();
        let access: SessionAccess = access.map_err(|_| StoreError::Corrupt("sessions.access"))?.unwrap_or_default();
        // Rules name the container that a debug container looks into.
        let container = match access.action {
            AccessAction::Debug => self.asked_container,
            _ => self.container.or(self.asked_container),
        };
        let target = Target {
            organisation: OrganisationId::from_uuid(self.organisation_id),
            cluster: ClusterId::from_uuid(self.cluster_id),
            cluster_name: self.cluster_name,
            cluster_labels: parse("clusters.labels", &self.cluster_labels)?,
            namespace: Some(parse("sessions.namespace", &self.namespace)?),
            pod: Some(parse("sessions.pod", &self.pod)?),
            pod_labels: access.pod_labels.clone(),
            container: container.as_deref().map(|name| parse("sessions.container", name)).transpose()?,
        };
        Ok(SessionRights {
            session: SessionId::from_uuid(self.id),
            organisation: OrganisationId::from_uuid(self.organisation_id),
            user: UserId::from_uuid(self.user_id),
            account: standing(self.account_suspended_at),
            organisation_standing: standing(self.organisation_suspended_at),
            membership: role.map(|role| (role, standing(self.membership_suspended_at))),
            login: if self.login_revoked_at.is_some() {
                LoginStanding::Revoked(kind)
            } else if time(Some(self.login_expires_at)).is_some_and(|end| end <= now) {
                LoginStanding::Expired(kind)
            } else {
                LoginStanding::Good
            },
            cluster: revoked(self.cluster_revoked_at.is_some()),
            target,
            reason: if self.reason.is_some() { Reason::Given } else { Reason::Missing },
            agent: revoked(self.agent_status.as_deref() == Some("revoked")),
            pod_uid: self.pod_uid,
            access,
        })
    }
}
