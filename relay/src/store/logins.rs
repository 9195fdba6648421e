//! Logins as people see them: listed, ended, and taken along into another organisation.

use podlatch_protocol::id::{LoginSessionId, OrganisationId, UserId};
use uuid::Uuid;

use super::audit::append;
use super::engine::{execute, fetch_all, fetch_optional};
use super::login_sessions::{LoginSessionRow, login_session_sql, scopes};
use super::rows::{known, parse, time};
use super::{List, NewLoginSession, Page, PageRequest, Store, StoreError};
use crate::clock::UnixMillis;
use crate::domain::audit::{Action, NewEvent, Origin};
use crate::domain::login::{LoginEnd, LoginKind, LoginMethod, LoginOverview};
use crate::domain::organisation::{ClientInfo, LoginSession, Membership, Organisation, Role};

/// Which logins a list shows. Those that are over it never does.
#[derive(Debug, Clone, Copy)]
pub struct LoginFilter {
    /// Whose organisation.
    pub organisation: OrganisationId,
    /// This person's alone.
    pub user: Option<UserId>,
    /// These alone.
    pub kind: Option<LoginKind>,
}

/// A membership as its person sees it, and whether they may use it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OwnMembership {
    /// The organisation.
    pub organisation: Organisation,
    /// What they are there.
    pub role: Role,
    /// Whether they, or the organisation, are suspended.
    pub suspended: bool,
}

/// Why a login may not be taken into another organisation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SwitchRefused {
    /// The person is no member there.
    NoMember,
    /// This login was ended there.
    EndedThere,
    /// The login would not stand there.
    End(LoginEnd),
}

impl Store {
    /// The logins that stand, newest first. Cancel safe.
    pub async fn list_logins(
        &self,
        filter: &LoginFilter,
        now: UnixMillis,
        page: PageRequest,
    ) -> Result<Page<LoginOverview>, StoreError> {
        let rows = fetch_all!(
            self.reader(),
            OverviewRow,
            "SELECT l.id, l.kind, l.method, l.name, l.scopes, l.created_at, l.expires_at, l.last_used_at, l.client_ip,
                 l.user_agent, u.id AS user_id, u.email FROM login_sessions l JOIN users u ON u.id = l.user_id
             WHERE l.organisation_id = $1 AND l.revoked_at IS NULL AND l.expires_at > $2
                 AND ($3 IS NULL OR l.user_id = $3) AND ($4 IS NULL OR l.kind = $4) AND ($5 IS NULL OR l.id < $5)
             ORDER BY l.id DESC LIMIT $6",
            filter.organisation.as_uuid(),
            now.get(),
            filter.user.map(|user| user.as_uuid()),
            filter.kind.map(LoginKind::slug),
            page.after(),
            page.limit(),
        )?;
        page.read(List::Logins, rows, LoginOverview::try_from, |login| login.id.as_uuid())
    }

    /// A login of the organisation that stands. Cancel safe.
    pub async fn get_login(
        &self,
        organisation: OrganisationId,
        id: LoginSessionId,
        now: UnixMillis,
    ) -> Result<Option<LoginOverview>, StoreError> {
        let row = fetch_optional!(
            self.reader(),
            OverviewRow,
            "SELECT l.id, l.kind, l.method, l.name, l.scopes, l.created_at, l.expires_at, l.last_used_at, l.client_ip,
                 l.user_agent, u.id AS user_id, u.email FROM login_sessions l JOIN users u ON u.id = l.user_id
             WHERE l.organisation_id = $1 AND l.id = $2 AND l.revoked_at IS NULL AND l.expires_at > $3",
            organisation.as_uuid(),
            id.as_uuid(),
            now.get(),
        )?;
        row.map(LoginOverview::try_from).transpose()
    }

    /// Ends a login in this organisation alone: what its administrators may do. False if there was none to end. Cancel safe.
    pub async fn revoke_login_here(
        &self,
        organisation: OrganisationId,
        id: LoginSessionId,
        by: &Origin,
        now: UnixMillis,
    ) -> Result<bool, StoreError> {
        let mut tx = self.begin().await?;
        let revoked = fetch_optional!(
            tx.on(),
            (Uuid, String),
            "UPDATE login_sessions SET revoked_at = $3
             WHERE id = $1 AND organisation_id = $2 AND revoked_at IS NULL AND expires_at > $3 RETURNING user_id, kind",
            id.as_uuid(),
            organisation.as_uuid(),
            now.get(),
        )?;
        let Some((user, kind)) = revoked else {
            return Ok(false);
        };
        let event = NewEvent::new(Action::SignOut, organisation, by.clone(), now).about(UserId::from_uuid(user));
        append(&mut tx, &event.detail("login_session", id.to_string()).detail("kind", kind)).await?;
        self.commit_audited(tx).await?;
        Ok(true)
    }

    /// Where a person is a member, oldest organisation first; at most 200. Cancel safe.
    pub async fn organisations_of(&self, user: UserId) -> Result<Vec<OwnMembership>, StoreError> {
        let rows = fetch_all!(
            self.reader(),
            (Uuid, String, i64, String, Option<i64>),
            "SELECT o.id, o.name, o.created_at, m.role, COALESCE(m.suspended_at, o.suspended_at)
             FROM memberships m JOIN organisations o ON o.id = m.organisation_id WHERE m.user_id = $1 ORDER BY o.id LIMIT 200",
            user.as_uuid(),
        )?;
        let own = |(id, name, created_at, role, suspended_at): (Uuid, String, i64, String, Option<i64>)| {
            Ok(OwnMembership {
                organisation: Organisation {
                    id: OrganisationId::from_uuid(id),
                    name: parse("organisations.name", &name)?,
                    created_at: UnixMillis::new(created_at),
                },
                role: known("memberships.role", Role::from_slug(&role))?,
                suspended: suspended_at.is_some(),
            })
        };
        rows.into_iter().map(own).collect()
    }

    /// Takes a login into another of its person's organisations: there it gets a row and a cookie of its own, with the end of
    /// the first, and whatever ends one ends all. A login that somebody ended there does not come back that way. Cancel safe.
    pub async fn switch_organisation(
        &self,
        login: &LoginSession,
        to: OrganisationId,
        new: &NewLoginSession,
        now: UnixMillis,
    ) -> Result<Result<LoginSession, SwitchRefused>, StoreError> {
        let Membership { user, organisation: from, .. } = &login.membership;
        let mut tx = self.begin().await?;
        let there = fetch_all!(
            tx.on(),
            (Uuid, Option<i64>),
            "SELECT id, revoked_at FROM login_sessions WHERE organisation_id = $1 AND user_id = $2 AND root_id =
                 (SELECT root_id FROM login_sessions WHERE id = $3 AND organisation_id = $4)",
            to.as_uuid(),
            user.id.as_uuid(),
            login.id.as_uuid(),
            from.id.as_uuid(),
        )?;
        if there.iter().any(|(_, revoked_at)| revoked_at.is_some()) {
            return Ok(Err(SwitchRefused::EndedThere));
        }
        let id = if let Some((id, _)) = there.first() {
            execute!(
                tx.on(),
                "UPDATE login_sessions SET hash = $3 WHERE id = $1 AND organisation_id = $2",
                *id,
                to.as_uuid(),
                new.hash.as_bytes().as_slice(),
            )?;
            *id
        } else {
            let stored = execute!(
                tx.on(),
                "INSERT INTO login_sessions (id, hash, organisation_id, user_id, created_at, expires_at, client_ip,
                         user_agent, kind, method, root_id)
                     SELECT $1, $2, m.organisation_id, m.user_id, $3, l.expires_at, $4, $5, l.kind, l.method, l.root_id
                     FROM login_sessions l JOIN memberships m ON m.user_id = l.user_id
                     WHERE l.id = $6 AND l.organisation_id = $7 AND m.organisation_id = $8",
                new.id.as_uuid(),
                new.hash.as_bytes().as_slice(),
                now.get(),
                new.client.ip.as_str(),
                new.client.user_agent.as_str(),
                login.id.as_uuid(),
                from.id.as_uuid(),
                to.as_uuid(),
            )?;
            if stored != 1 {
                return Ok(Err(SwitchRefused::NoMember));
            }
            new.id.as_uuid()
        };
        let row = fetch_optional!(
            tx.on(),
            LoginSessionRow,
            login_session_sql!("WHERE l.id = $1 AND l.organisation_id = $2"),
            id,
            to.as_uuid(),
        )?;
        let switched = match known("login_sessions", row)?.standing(now)? {
            Ok(switched) => switched,
            Err(LoginEnd::NoMember) => return Ok(Err(SwitchRefused::NoMember)),
            Err(end) => return Ok(Err(SwitchRefused::End(end))),
        };
        let event = NewEvent::new(Action::SignIn, to, Origin::user(user.id, new.client.clone()), now);
        let event = event.detail("login_session", switched.id.to_string()).detail("method", switched.method.slug());
        append(&mut tx, &event.detail("switched", true)).await?;
        self.commit_audited(tx).await?;
        Ok(Ok(switched))
    }
}

#[derive(sqlx::FromRow)]
struct OverviewRow {
    id: Uuid,
    kind: String,
    method: String,
    name: Option<String>,
    scopes: Option<String>,
    created_at: i64,
    expires_at: i64,
    last_used_at: Option<i64>,
    client_ip: String,
    user_agent: String,
    user_id: Uuid,
    email: String,
}

impl TryFrom<OverviewRow> for LoginOverview {
    type Error = StoreError;

    fn try_from(row: OverviewRow) -> Result<Self, StoreError> {
        let kind = known("login_sessions.kind", LoginKind::from_slug(&row.kind))?;
        Ok(Self {
            id: LoginSessionId::from_uuid(row.id),
            kind,
            method: known("login_sessions.method", LoginMethod::from_slug(&row.method))?,
            name: row.name.as_deref().map(|name| parse("login_sessions.name", name)).transpose()?,
            scopes: scopes(kind, row.scopes.as_deref())?,
            user: UserId::from_uuid(row.user_id),
            email: parse("users.email", &row.email)?,
            created_at: UnixMillis::new(row.created_at),
            expires_at: UnixMillis::new(row.expires_at),
            last_used_at: time(row.last_used_at),
            client: ClientInfo { ip: row.client_ip, user_agent: row.user_agent },
        })
    }
}
