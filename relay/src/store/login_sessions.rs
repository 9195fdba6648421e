//! Logins: signed-in browsers, and API tokens.

use podlatch_protocol::id::{LoginSessionId, OrganisationId, UserId};
use uuid::Uuid;

use super::audit::append;
use super::engine::{execute, fetch_all, fetch_optional};
use super::rows::{known, parse, time};
use super::{Store, StoreError, Tx};
use crate::auth::token::TokenHash;
use crate::clock::UnixMillis;
use crate::domain::audit::{Action, NewEvent, Origin};
use crate::domain::login::{LoginEnd, LoginFacts, LoginKind, LoginMethod, Scope, Scopes};
use crate::domain::organisation::{ClientInfo, LoginSession, Membership, Organisation, Role, User};

/// How exactly it is known when a login was last used: a write for each request would be one too many.
const USE_NOTED_EVERY_MILLIS: i64 = 60_000;

/// A browser's login to be stored; whose it is, what was shown for it says.
#[derive(Debug, Clone)]
pub struct NewLoginSession {
    /// Its id.
    pub id: LoginSessionId,
    /// The cookie's hash.
    pub hash: TokenHash,
    /// How the person showed who they are.
    pub method: LoginMethod,
    /// When it ends by itself.
    pub expires_at: UnixMillis,
    /// Where the person sits.
    pub client: ClientInfo,
}

/// A login that stands, or why it does not.
pub type LoginStanding = Result<LoginSession, LoginEnd>;

impl Store {
    /// The login whose cookie or token this is, with what its person is now; `None` if there never was one. Cancel safe.
    pub async fn login_by_secret(
        &self,
        hash: &TokenHash,
        now: UnixMillis,
    ) -> Result<Option<LoginStanding>, StoreError> {
        let row = fetch_optional!(
            self.reader(),
            LoginSessionRow,
            login_session_sql!("WHERE l.hash = $1"),
            hash.as_bytes().as_slice(),
        )?;
        row.map(|row| row.standing(now)).transpose()
    }

    /// The login of this cookie or token while it stands. Cancel safe.
    pub async fn login_session_by_cookie(
        &self,
        hash: &TokenHash,
        now: UnixMillis,
    ) -> Result<Option<LoginSession>, StoreError> {
        Ok(self.login_by_secret(hash, now).await?.and_then(Result::ok))
    }

    /// The login with this id, with what its person is now, or why it stands no more: what a live session's right rests on.
    /// `None` if the organisation never had it. Cancel safe.
    pub async fn login_standing(
        &self,
        organisation: OrganisationId,
        id: LoginSessionId,
        now: UnixMillis,
    ) -> Result<Option<LoginStanding>, StoreError> {
        let row = fetch_optional!(
            self.reader(),
            LoginSessionRow,
            login_session_sql!("WHERE l.id = $1 AND l.organisation_id = $2"),
            id.as_uuid(),
            organisation.as_uuid(),
        )?;
        row.map(|row| row.standing(now)).transpose()
    }

    /// The login with this id while it stands. Cancel safe.
    pub async fn login_session(
        &self,
        organisation: OrganisationId,
        id: LoginSessionId,
        now: UnixMillis,
    ) -> Result<Option<LoginSession>, StoreError> {
        Ok(self.login_standing(organisation, id, now).await?.and_then(Result::ok))
    }

    /// Notes that a login was used, once a minute at most. Cancel safe.
    pub async fn note_login_use(&self, login: &LoginSession, now: UnixMillis) -> Result<(), StoreError> {
        let noted = now.get() - USE_NOTED_EVERY_MILLIS;
        if login.last_used_at.is_some_and(|last| last.get() > noted) {
            return Ok(());
        }
        execute!(
            self.writer(),
            "UPDATE login_sessions SET last_used_at = $3 WHERE id = $1 AND organisation_id = $2",
            login.id.as_uuid(),
            login.membership.organisation.id.as_uuid(),
            now.get(),
        )?;
        Ok(())
    }

    /// Ends a login, wherever it was taken to; false if there was none to end. Each organisation's log says so. Cancel safe.
    pub async fn revoke_login_session(
        &self,
        organisation: OrganisationId,
        id: LoginSessionId,
        by: &Origin,
        now: UnixMillis,
    ) -> Result<bool, StoreError> {
        let mut tx = self.begin().await?;
        let mut revoked = fetch_all!(
            tx.on(),
            (Uuid, Uuid, Uuid, String),
            "UPDATE login_sessions SET revoked_at = $3
             WHERE revoked_at IS NULL AND expires_at > $3 AND root_id =
                 (SELECT root_id FROM login_sessions WHERE id = $1 AND organisation_id = $2)
             RETURNING organisation_id, id, user_id, kind",
            id.as_uuid(),
            organisation.as_uuid(),
            now.get(),
        )?;
        // The locks of several logs are always taken in the same order.
        revoked.sort();
        for (organisation, login, user, kind) in &revoked {
            let organisation = OrganisationId::from_uuid(*organisation);
            let event = NewEvent::new(Action::SignOut, organisation, by.clone(), now).about(UserId::from_uuid(*user));
            let event = event.detail("login_session", LoginSessionId::from_uuid(*login).to_string());
            append(&mut tx, &event.detail("kind", kind.as_str())).await?;
        }
        self.commit_audited(tx).await?;
        Ok(!revoked.is_empty())
    }

    /// Whose login this is, whatever its state: for the operator, who names it by its id alone. Cancel safe.
    pub async fn organisation_of_login_session(
        &self,
        id: LoginSessionId,
    ) -> Result<Option<OrganisationId>, StoreError> {
        let row = fetch_optional!(
            self.reader(),
            (Uuid,),
            "SELECT organisation_id FROM login_sessions WHERE id = $1",
            id.as_uuid(),
        )?;
        Ok(row.map(|(organisation,)| OrganisationId::from_uuid(organisation)))
    }
}

/// Signs a person in, within the transaction in which they showed who they are: stores the login and audits it. The outer
/// error is the store's; the inner one says why this person may not come in. Every way to sign in ends here.
pub(super) async fn sign_in(
    tx: &mut Tx,
    (organisation, user): (OrganisationId, UserId),
    login: &NewLoginSession,
    now: UnixMillis,
) -> Result<LoginStanding, StoreError> {
    execute!(
        tx.on(),
        "INSERT INTO login_sessions
             (id, hash, organisation_id, user_id, created_at, expires_at, client_ip, user_agent, kind, method, root_id)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $1)",
        login.id.as_uuid(),
        login.hash.as_bytes().as_slice(),
        organisation.as_uuid(),
        user.as_uuid(),
        now.get(),
        login.expires_at.get(),
        login.client.ip.as_str(),
        login.client.user_agent.as_str(),
        LoginKind::Browser.slug(),
        login.method.slug(),
    )?;
    let row = fetch_optional!(
        tx.on(),
        LoginSessionRow,
        login_session_sql!("WHERE l.id = $1 AND l.organisation_id = $2"),
        login.id.as_uuid(),
        organisation.as_uuid(),
    )?;
    let standing = known("login_sessions", row)?.standing(now)?;
    if standing.is_ok() {
        let event = NewEvent::new(Action::SignIn, organisation, Origin::user(user, login.client.clone()), now);
        let event = event.detail("login_session", login.id.to_string()).detail("method", login.method.slug());
        append(tx, &event).await?;
    }
    Ok(standing)
}

/// The columns of a [`LoginSessionRow`], then whatever else the statement needs.
macro_rules! login_session_sql {
    ($rest:literal) => {
        concat!(
            "SELECT l.id AS login_session_id, l.kind, l.method, l.scopes, l.expires_at, l.revoked_at, l.last_used_at, \
             u.id AS user_id, u.email, u.name AS user_name, u.suspended_at AS account_suspended_at, \
             o.id AS organisation_id, o.name AS organisation_name, o.created_at AS organisation_created_at, \
             o.suspended_at AS organisation_suspended_at, m.role, m.suspended_at AS membership_suspended_at \
             FROM login_sessions l JOIN users u ON u.id = l.user_id JOIN organisations o ON o.id = l.organisation_id \
             LEFT JOIN memberships m ON m.organisation_id = l.organisation_id AND m.user_id = l.user_id ",
            $rest
        )
    };
}
pub(super) use login_session_sql;

#[derive(sqlx::FromRow)]
pub(super) struct LoginSessionRow {
    login_session_id: Uuid,
    kind: String,
    method: String,
    scopes: Option<String>,
    expires_at: i64,
    revoked_at: Option<i64>,
    last_used_at: Option<i64>,
    user_id: Uuid,
    email: String,
    user_name: String,
    account_suspended_at: Option<i64>,
    organisation_id: Uuid,
    organisation_name: String,
    organisation_created_at: i64,
    organisation_suspended_at: Option<i64>,
    role: Option<String>,
    membership_suspended_at: Option<i64>,
}

impl LoginSessionRow {
    /// Whether the login stands.
    pub(super) fn standing(self, now: UnixMillis) -> Result<LoginStanding, StoreError> {
        match self.facts()?.standing(now) {
            Ok(role) => self.into_login(role).map(Ok),
            Err(end) => Ok(Err(end)),
        }
    }

    fn facts(&self) -> Result<LoginFacts, StoreError> {
        let role = self.role.as_deref().map(|slug| known("memberships.role", Role::from_slug(slug))).transpose()?;
        Ok(LoginFacts {
            kind: known("login_sessions.kind", LoginKind::from_slug(&self.kind))?,
            expires_at: UnixMillis::new(self.expires_at),
            revoked_at: time(self.revoked_at),
            role,
            account_suspended_at: time(self.account_suspended_at),
            membership_suspended_at: time(self.membership_suspended_at),
            organisation_suspended_at: time(self.organisation_suspended_at),
        })
    }

    fn into_login(self, role: Role) -> Result<LoginSession, StoreError> {
        let kind = known("login_sessions.kind", LoginKind::from_slug(&self.kind))?;
        Ok(LoginSession {
            id: LoginSessionId::from_uuid(self.login_session_id),
            kind,
            method: known("login_sessions.method", LoginMethod::from_slug(&self.method))?,
            scopes: scopes(kind, self.scopes.as_deref())?,
            membership: Membership {
                user: User {
                    id: UserId::from_uuid(self.user_id),
                    email: parse("users.email", &self.email)?,
                    name: parse("users.name", &self.user_name)?,
                },
                organisation: Organisation {
                    id: OrganisationId::from_uuid(self.organisation_id),
                    name: parse("organisations.name", &self.organisation_name)?,
                    created_at: UnixMillis::new(self.organisation_created_at),
                },
                role,
            },
            expires_at: UnixMillis::new(self.expires_at),
            last_used_at: time(self.last_used_at),
        })
    }
}

/// What a login may be used for. A token whose scopes are missing has none but reading: the least there is.
pub(super) fn scopes(kind: LoginKind, stored: Option<&str>) -> Result<Scopes, StoreError> {
    match (kind, stored) {
        (LoginKind::Browser, _) => Ok(Scopes::ALL),
        (LoginKind::Token, None) => Ok(Scopes::from_iter([])),
        (LoginKind::Token, Some(json)) => {
            let slugs: Vec<String> =
                serde_json::from_str(json).map_err(|_| StoreError::Corrupt("login_sessions.scopes"))?;
            slugs.iter().map(|slug| known("login_sessions.scopes", Scope::from_slug(slug))).collect()
        }
    }
}
