//! One-time sign-in links.

use podlatch_protocol::id::{OrganisationId, UserId};
use uuid::Uuid;

use super::audit::append;
use super::engine::{execute, fetch_optional};
use super::login_sessions::sign_in;
use super::redemption::Unredeemed;
use super::{NewLoginSession, Redemption, Store, StoreError, Tx};
use crate::auth::token::TokenHash;
use crate::clock::UnixMillis;
use crate::domain::audit::{Action, NO_ORGANISATION, NewEvent, Origin, Outcome};
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
    pub async fn create_sign_in_link(
        &self,
        new: &NewSignInLink,
        by: &Origin,
        now: UnixMillis,
    ) -> Result<(), StoreError> {
        let mut tx = self.begin().await?;
        let stored = execute!(
            tx.on(),
            "INSERT INTO sign_in_links (hash, organisation_id, user_id, expires_at)
             SELECT $1, organisation_id, user_id, $4 FROM memberships WHERE organisation_id = $2 AND user_id = $3",
            new.hash.as_bytes().as_slice(),
            new.organisation.as_uuid(),
            new.user.as_uuid(),
            new.expires_at.get(),
        )?;
        if stored != 1 {
            return Err(StoreError::Missing("the membership"));
        }
        let event = NewEvent::new(Action::SignInLinkCreated, new.organisation, by.clone(), now).about(new.user);
        append(&mut tx, &event.detail("expires_at", new.expires_at.to_string())).await?;
        self.commit_audited(tx).await
    }

    /// Whether a sign-in link would sign somebody in now; nothing is used up and nothing audited. Cancel safe.
    pub async fn sign_in_link_is_good(&self, hash: &TokenHash, now: UnixMillis) -> Result<bool, StoreError> {
        let row = fetch_optional!(
            self.reader(),
            (Uuid,),
            "SELECT l.user_id FROM sign_in_links l
             JOIN memberships m ON m.organisation_id = l.organisation_id AND m.user_id = l.user_id
             JOIN users u ON u.id = m.user_id JOIN organisations o ON o.id = m.organisation_id
             WHERE l.hash = $1 AND l.used_at IS NULL AND l.expires_at > $2
                 AND m.suspended_at IS NULL AND u.suspended_at IS NULL AND o.suspended_at IS NULL",
            hash.as_bytes().as_slice(),
            now.get(),
        )?;
        Ok(row.is_some())
    }

    /// Turns a sign-in link into a login session, exactly once however many present it. Both outcomes are audited.
    /// Cancel safe.
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
                 JOIN users u ON u.id = m.user_id JOIN organisations o ON o.id = m.organisation_id
                 WHERE m.organisation_id = sign_in_links.organisation_id AND m.user_id = sign_in_links.user_id
                     AND m.suspended_at IS NULL AND u.suspended_at IS NULL AND o.suspended_at IS NULL)
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
            let refused = Unredeemed::explain(found, now.get());
            let whose = whose(&mut tx, hash).await?;
            append(&mut tx, &refusal(whose, login, &refused, now)).await?;
            self.commit_audited(tx).await?;
            return Ok(refused);
        };
        let whose = (OrganisationId::from_uuid(link.organisation_id), UserId::from_uuid(link.user_id));
        match sign_in(&mut tx, whose, login, now).await? {
            Ok(signed_in) => {
                self.commit_audited(tx).await?;
                Ok(Redemption::Redeemed(signed_in))
            }
            // The conditions of the statement above say so already.
            Err(_) => Ok(Redemption::Withdrawn),
        }
    }
}

/// Whose link it is, whatever its state.
async fn whose(tx: &mut Tx, hash: &TokenHash) -> Result<Option<LinkRow>, StoreError> {
    Ok(fetch_optional!(
        tx.on(),
        LinkRow,
        "SELECT organisation_id, user_id FROM sign_in_links WHERE hash = $1",
        hash.as_bytes().as_slice(),
    )?)
}

fn refusal(
    whose: Option<LinkRow>,
    login: &NewLoginSession,
    refused: &Redemption<LoginSession>,
    now: UnixMillis,
) -> NewEvent {
    let organisation = whose.as_ref().map_or(NO_ORGANISATION, |link| OrganisationId::from_uuid(link.organisation_id));
    let event = NewEvent::new(Action::SignInRefused, organisation, Origin::unknown(login.client.clone()), now)
        .outcome(Outcome::Refused)
        .detail("reason", refused.slug());
    match whose {
        Some(link) => event.about(UserId::from_uuid(link.user_id)),
        None => event,
    }
}

#[derive(sqlx::FromRow)]
struct LinkRow {
    organisation_id: Uuid,
    user_id: Uuid,
}
