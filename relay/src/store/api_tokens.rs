//! API tokens: logins of programs.

use podlatch_protocol::id::{LoginSessionId, OrganisationId, UserId};

use super::audit::append;
use super::engine::{execute, fetch_optional};
use super::{Store, StoreError};
use crate::auth::token::TokenHash;
use crate::clock::UnixMillis;
use crate::domain::audit::{Action, NewEvent, Origin};
use crate::domain::login::{LoginKind, LoginMethod, Scope, Scopes};
use crate::domain::name::DisplayName;
use crate::domain::organisation::ClientInfo;

/// The most tokens that one person has in one organisation.
const MAX_TOKENS: i64 = 50;

/// An API token to be stored.
#[derive(Debug, Clone)]
pub struct NewApiToken {
    /// Its id, which is a login's.
    pub id: LoginSessionId,
    /// Its hash.
    pub hash: TokenHash,
    /// Where it is good.
    pub organisation: OrganisationId,
    /// Whose it is.
    pub user: UserId,
    /// What its maker calls it.
    pub name: DisplayName,
    /// What it may be used for.
    pub scopes: Scopes,
    /// Until when it is good.
    pub expires_at: UnixMillis,
    /// Where it was made.
    pub client: ClientInfo,
}

impl Store {
    /// Stores an API token; [`StoreError::Missing`] if the person is no member, [`StoreError::Taken`] if they have
    /// as many as one may have. Cancel safe.
    pub async fn create_api_token(&self, new: &NewApiToken, by: &Origin, now: UnixMillis) -> Result<(), StoreError> {
        let mut tx = self.begin().await?;
        let tokens = fetch_optional!(
            tx.on(),
            (i64,),
            "SELECT COUNT(*) FROM login_sessions
             WHERE organisation_id = $1 AND user_id = $2 AND kind = $3 AND revoked_at IS NULL AND expires_at > $4",
            new.organisation.as_uuid(),
            new.user.as_uuid(),
            LoginKind::Token.slug(),
            now.get(),
        )?;
        if tokens.is_none_or(|(tokens,)| tokens >= MAX_TOKENS) {
            return Err(StoreError::Taken("as many API tokens as one may have"));
        }
        let slugs: Vec<&str> = new.scopes.iter().map(Scope::slug).collect();
        let stored = execute!(
            tx.on(),
            "INSERT INTO login_sessions (id, hash, organisation_id, user_id, created_at, expires_at, client_ip, user_agent,
                 kind, method, name, scopes, root_id)
             SELECT $1, $2, organisation_id, user_id, $5, $6, $7, $8, $9, $10, $11, $12, $1
             FROM memberships WHERE organisation_id = $3 AND user_id = $4",
            new.id.as_uuid(),
            new.hash.as_bytes().as_slice(),
            new.organisation.as_uuid(),
            new.user.as_uuid(),
            now.get(),
            new.expires_at.get(),
            new.client.ip.as_str(),
            new.client.user_agent.as_str(),
            LoginKind::Token.slug(),
            LoginMethod::Token.slug(),
            new.name.as_str(),
            serde_json::json!(slugs).to_string(),
        )?;
        if stored != 1 {
            return Err(StoreError::Missing("the membership"));
        }
        let event = NewEvent::new(Action::ApiTokenCreated, new.organisation, by.clone(), now).about(new.user);
        let event = event.detail("login_session", new.id.to_string()).detail("name", new.name.as_str());
        let event = event.detail("scopes", slugs).detail("expires_at", new.expires_at.to_string());
        append(&mut tx, &event).await?;
        self.commit_audited(tx).await
    }
}
