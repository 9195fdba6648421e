//! One-time sign-in links.

use podlatch_protocol::id::{OrganisationId, UserId};
use uuid::Uuid;

use super::engine::{execute, fetch_optional};
use super::login_sessions::{LoginSessionRow, login_session_sql};
use super::redemption::Unredeemed;
use super::rows::known;
use super::{NewLoginSession, Redemption, Store, StoreError};
use crate::auth::token::TokenHash;
use crate::clock::UnixMillis;
use crate::domain::organisation::LoginSession;

/// A sign-in link to be stored.
#[derive(Debug, Clone)]
pub struct NewSignInLink {
    /// Its hash.
    pub hash: TokenHash,
    /// Into which organisation it leads.
    pub organisation: OrganisationId,
    /// Whom it signs in.
    pub user: UserId,
    /// Until when it is good.
    pub expires_at: UnixMillis,
}

impl Store {
    /// Stores a sign-in link for a member; [`StoreError::Missing`] if the person is no member. Cancel safe.
    pub async fn create_sign_in_link(&self, new: &NewSignInLink) -> Result<(), StoreError> {
        let stored = execute!(
            self.writer(),
            "INSERT INTO sign_in_links (hash, organisation_id, user_id, expires_at)
             SELECT $1, organisation_id, user_id, $4 FROM memberships WHERE organisation_id = $2 AND user_id = $3",
            new.hash.as_bytes().as_slice(),
            new.organisation.as_uuid(),
            new.user.as_uuid(),
            new.expires_at.get(),
        )?;
        if stored == 1 { Ok(()) } else { Err(StoreError::Missing("the membership")) }
    }

    /// Turns a sign-in link into a login session, exactly once however many present it. Cancel safe.
    pub async fn redeem_sign_in_link(
        &self,
        hash: &TokenHash,
        login: &NewLoginSession,
        now: UnixMillis,
    ) -> Result<Redemption<LoginSession>, StoreError> {
        let mut tx = self.begin().await?;
        let link = fetch_optional!(
            tx.on(),
            LinkRow,
            "UPDATE sign_in_links SET used_at = $2
             WHERE hash = $1 AND used_at IS NULL AND expires_at > $2 AND EXISTS (
                 SELECT 1 FROM memberships m
                 WHERE m.organisation_id = sign_in_links.organisation_id AND m.user_id = sign_in_links.user_id)
             RETURNING organisation_id, user_id",
            hash.as_bytes().as_slice(),
            now.get(),
        )?;
        let Some(link) = link else {
            let found = fetch_optional!(
                tx.on(),
                Unredeemed,
                "SELECT expires_at, used_at FROM sign_in_links WHERE hash = $1",
                hash.as_bytes().as_slice(),
            )?;
            return Ok(Unredeemed::explain(found, now.get()));
        };
        execute!(
            tx.on(),
            "INSERT INTO login_sessions
                 (id, hash, organisation_id, user_id, created_at, expires_at, client_ip, user_agent)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8)",
            login.id.as_uuid(),
            login.hash.as_bytes().as_slice(),
            link.organisation_id,
            link.user_id,
            now.get(),
            login.expires_at.get(),
            login.client.ip.as_str(),
            login.client.user_agent.as_str(),
        )?;
        let row =
            fetch_optional!(tx.on(), LoginSessionRow, login_session_sql!("WHERE l.id = $1"), login.id.as_uuid(),)?;
        let signed_in = known("login_sessions", row)?.try_into()?;
        tx.commit().await?;
        Ok(Redemption::Redeemed(signed_in))
    }
}

#[derive(sqlx::FromRow)]
struct LinkRow {
    organisation_id: Uuid,
    user_id: Uuid,
}
