//! Single-use tickets, with which a browser attaches to a terminal.

use podlatch_protocol::id::{LoginSessionId, OrganisationId, SessionId, UserId};
use uuid::Uuid;

use super::engine::{execute, fetch_optional};
use super::redemption::Unredeemed;
use super::rows::known;
use super::{Redemption, Store, StoreError};
use crate::auth::token::TokenHash;
use crate::clock::UnixMillis;
use crate::domain::session::{Purpose, Ticket};

/// How long a ticket's row outlives it, so that a late presenter still learns that it has expired.
const KEEP_EXPIRED_MILLIS: i64 = 60 * 60 * 1000;

/// A ticket to be stored.
#[derive(Debug, Clone)]
pub struct NewTicket {
    /// Its hash.
    pub hash: TokenHash,
    /// What it gives.
    pub ticket: Ticket,
    /// Until when it is good.
    pub expires_at: UnixMillis,
}

impl Store {
    /// Stores a ticket; [`StoreError::Missing`] if the organisation has no such session. Forgets old tickets on the way,
    /// so that their table stays small. Cancel safe.
    pub async fn issue_ticket(&self, new: &NewTicket, now: UnixMillis) -> Result<(), StoreError> {
        let mut tx = self.begin().await?;
        execute!(tx.on(), "DELETE FROM tickets WHERE expires_at < $1", now.get() - KEEP_EXPIRED_MILLIS)?;
        let stored = execute!(
            tx.on(),
            "INSERT INTO tickets (hash, organisation_id, session_id, user_id, login_session_id, expires_at, purpose)
             SELECT $1, organisation_id, id, $4, $5, $6, $7 FROM sessions WHERE organisation_id = $2 AND id = $3",
            new.hash.as_bytes().as_slice(),
            new.ticket.organisation.as_uuid(),
            new.ticket.session.as_uuid(),
            new.ticket.user.as_uuid(),
            new.ticket.login_session.as_uuid(),
            new.expires_at.get(),
            new.ticket.purpose.slug(),
        )?;
        tx.commit().await?;
        if stored == 1 { Ok(()) } else { Err(StoreError::Missing("the session")) }
    }

    /// Redeems a ticket for this session, exactly once however many present it. A ticket for another session is unknown
    /// here and stays good there. Cancel safe.
    pub async fn redeem_ticket(
        &self,
        hash: &TokenHash,
        session: SessionId,
        now: UnixMillis,
    ) -> Result<Redemption<Ticket>, StoreError> {
        let granted = fetch_optional!(
            self.writer(),
            TicketRow,
            "UPDATE tickets SET used_at = $3
             WHERE hash = $1 AND session_id = $2 AND used_at IS NULL AND expires_at > $3 AND EXISTS (
                 SELECT 1 FROM login_sessions l JOIN memberships m
                     ON m.organisation_id = l.organisation_id AND m.user_id = l.user_id
                 JOIN users u ON u.id = l.user_id JOIN organisations o ON o.id = l.organisation_id
                 WHERE l.id = tickets.login_session_id AND l.organisation_id = tickets.organisation_id
                     AND l.revoked_at IS NULL AND l.expires_at > $3
                     AND m.suspended_at IS NULL AND u.suspended_at IS NULL AND o.suspended_at IS NULL)
             RETURNING organisation_id AS organisation, session_id AS session, user_id AS person,
                 login_session_id AS login, purpose",
            hash.as_bytes().as_slice(),
            session.as_uuid(),
            now.get(),
        )?;
        if let Some(row) = granted {
            return Ok(Redemption::Redeemed(row.ticket()?));
        }
        let found = fetch_optional!(
            self.reader(),
            Unredeemed,
            "SELECT expires_at, used_at FROM tickets WHERE hash = $1 AND session_id = $2",
            hash.as_bytes().as_slice(),
            session.as_uuid(),
        )?;
        Ok(Unredeemed::explain(found, now.get()))
    }
}

#[derive(sqlx::FromRow)]
struct TicketRow {
    organisation: Uuid,
    session: Uuid,
    person: Uuid,
    login: Uuid,
    purpose: String,
}

impl TicketRow {
    fn ticket(self) -> Result<Ticket, StoreError> {
        Ok(Ticket {
            organisation: OrganisationId::from_uuid(self.organisation),
            session: SessionId::from_uuid(self.session),
            user: UserId::from_uuid(self.person),
            login_session: LoginSessionId::from_uuid(self.login),
            purpose: known("tickets.purpose", Purpose::from_slug(&self.purpose))?,
        })
    }
}
