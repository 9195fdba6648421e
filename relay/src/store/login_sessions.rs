//! Signed-in browsers.

use podlatch_protocol::id::{LoginSessionId, OrganisationId, UserId};
use uuid::Uuid;

use super::audit::append;
use super::engine::fetch_optional;
use super::organisations::MembershipRow;
use super::{Store, StoreError};
use crate::auth::token::TokenHash;
use crate::clock::UnixMillis;
use crate::domain::audit::{Action, NewEvent, Origin};
use crate::domain::organisation::{ClientInfo, LoginSession};

/// A login session to be stored; whose it is, the redeemed sign-in link says.
#[derive(Debug, Clone)]
pub struct NewLoginSession {
    /// Its id.
    pub id: LoginSessionId,
    /// The cookie's hash.
    pub hash: TokenHash,
    /// When it ends by itself.
    pub expires_at: UnixMillis,
    /// Where the person sits.
    pub client: ClientInfo,
}

impl Store {
    /// The login session of this cookie, with what its person is now. `None` if there is none, if it is over, or if the
    /// person is no member any more. Cancel safe.
    pub async fn login_session_by_cookie(
        &self,
        hash: &TokenHash,
        now: UnixMillis,
    ) -> Result<Option<LoginSession>, StoreError> {
        let row = fetch_optional!(
            self.reader(),
            LoginSessionRow,
            login_session_sql!("WHERE l.hash = $1 AND l.revoked_at IS NULL AND l.expires_at > $2"),
            hash.as_bytes().as_slice(),
            now.get(),
        )?;
        row.map(LoginSession::try_from).transpose()
    }

    /// The login session with this id while it is good: whether a live session's right still stands. Cancel safe.
    pub async fn login_session(
        &self,
        organisation: OrganisationId,
        id: LoginSessionId,
        now: UnixMillis,
    ) -> Result<Option<LoginSession>, StoreError> {
        let row = fetch_optional!(
            self.reader(),
            LoginSessionRow,
            login_session_sql!(
                "WHERE l.id = $1 AND l.organisation_id = $2 AND l.revoked_at IS NULL AND l.expires_at > $3"
            ),
            id.as_uuid(),
            organisation.as_uuid(),
            now.get(),
        )?;
        row.map(LoginSession::try_from).transpose()
    }

    /// Ends a login session; false if there was none to end. Cancel safe.
    pub async fn revoke_login_session(
        &self,
        organisation: OrganisationId,
        id: LoginSessionId,
        by: &Origin,
        now: UnixMillis,
    ) -> Result<bool, StoreError> {
        let mut tx = self.begin().await?;
        let revoked = fetch_optional!(
            tx.on(),
            (Uuid,),
            "UPDATE login_sessions SET revoked_at = $3
             WHERE id = $1 AND organisation_id = $2 AND revoked_at IS NULL AND expires_at > $3 RETURNING user_id",
            id.as_uuid(),
            organisation.as_uuid(),
            now.get(),
        )?;
        let Some((user,)) = revoked else {
            return Ok(false);
        };
        let event = NewEvent::new(Action::SignOut, organisation, by.clone(), now).about(UserId::from_uuid(user));
        append(&mut tx, &event.detail("login_session", id.to_string())).await?;
        self.commit_audited(tx).await?;
        Ok(true)
    }

    /// Whose login session this is, whatever its state: for the operator, who names it by its id alone. Cancel safe.
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

/// The columns of a [`LoginSessionRow`], then whatever else the statement needs.
macro_rules! login_session_sql {
    ($rest:literal) => {
        concat!(
            "SELECT l.id AS login_session_id, l.expires_at, u.id AS user_id, u.email, u.name AS user_name, \
             o.id AS organisation_id, o.name AS organisation_name, o.created_at AS organisation_created_at, m.role \
             FROM login_sessions l JOIN users u ON u.id = l.user_id JOIN organisations o ON o.id = l.organisation_id \
             JOIN memberships m ON m.organisation_id = l.organisation_id AND m.user_id = l.user_id ",
            $rest
        )
    };
}
pub(super) use login_session_sql;

#[derive(sqlx::FromRow)]
pub(super) struct LoginSessionRow {
    login_session_id: Uuid,
    expires_at: i64,
    #[sqlx(flatten)]
    membership: MembershipRow,
}

impl TryFrom<LoginSessionRow> for LoginSession {
    type Error = StoreError;

    fn try_from(row: LoginSessionRow) -> Result<Self, StoreError> {
        Ok(Self {
            id: LoginSessionId::from_uuid(row.login_session_id),
            membership: row.membership.try_into()?,
            expires_at: UnixMillis::new(row.expires_at),
        })
    }
}
