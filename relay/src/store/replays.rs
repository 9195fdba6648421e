//! Rights to read a recording: each is of one person, for one session, for some hours.

use podlatch_protocol::id::{OrganisationId, SessionId, UserId};

use super::audit::append;
use super::engine::{execute, fetch_optional};
use super::{Store, StoreError};
use crate::auth::token::TokenHash;
use crate::clock::UnixMillis;
use crate::domain::audit::NewEvent;

/// The right to read a recording, to be stored.
#[derive(Debug, Clone, Copy)]
pub struct NewReplay {
    /// The hash of its token.
    pub hash: TokenHash,
    /// In which organisation.
    pub organisation: OrganisationId,
    /// Whose recording.
    pub session: SessionId,
    /// Who reads.
    pub user: UserId,
    /// Until when.
    pub expires_at: UnixMillis,
}

impl Store {
    /// Stores the right to read a recording together with the event that tells of it; [`StoreError::Missing`] if the
    /// organisation has no such session. Forgets old ones on the way. Cancel safe.
    pub async fn open_replay(&self, new: &NewReplay, event: &NewEvent) -> Result<(), StoreError> {
        let mut tx = self.begin().await?;
        execute!(tx.on(), "DELETE FROM replays WHERE expires_at <= $1", event.at.get())?;
        let stored = execute!(
            tx.on(),
            "INSERT INTO replays (hash, organisation_id, session_id, user_id, expires_at)
             SELECT $1, organisation_id, id, $4, $5 FROM sessions WHERE organisation_id = $2 AND id = $3",
            new.hash.as_bytes().as_slice(),
            new.organisation.as_uuid(),
            new.session.as_uuid(),
            new.user.as_uuid(),
            new.expires_at.get(),
        )?;
        if stored != 1 {
            return Err(StoreError::Missing("the session"));
        }
        append(&mut tx, event).await?;
        self.commit_audited(tx).await
    }

    /// Whether this person has the right to read this recording now. Cancel safe.
    pub async fn may_replay(
        &self,
        organisation: OrganisationId,
        session: SessionId,
        user: UserId,
        hash: &TokenHash,
        now: UnixMillis,
    ) -> Result<bool, StoreError> {
        let found = fetch_optional!(
            self.reader(),
            ReplayRow,
            "SELECT expires_at FROM replays
             WHERE hash = $1 AND organisation_id = $2 AND session_id = $3 AND user_id = $4 AND expires_at > $5",
            hash.as_bytes().as_slice(),
            organisation.as_uuid(),
            session.as_uuid(),
            user.as_uuid(),
            now.get(),
        )?;
        Ok(found.is_some_and(|row| row.expires_at > now.get()))
    }
}

#[derive(sqlx::FromRow)]
struct ReplayRow {
    expires_at: i64,
}
