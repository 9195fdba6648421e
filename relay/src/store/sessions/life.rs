//! What the store learns of a session while it lives: when somebody last typed, whether it is idle, what was cleaned up late.

use podlatch_protocol::id::{ClusterId, OrganisationId, SessionId};
use podlatch_protocol::terminal::TerminalSize;

use super::events;
use super::row::{SessionRow, session_sql};
use crate::clock::UnixMillis;
use crate::domain::session::Session;
use crate::store::audit::append;
use crate::store::engine::{execute, fetch_all};
use crate::store::{Store, StoreError};

/// Sessions to look after when an agent connects: more would keep it from its other work.
const MAX_UNCONFIRMED: i64 = 200;

/// When somebody last typed in a session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ActivityNote {
    /// Whose session.
    pub organisation: OrganisationId,
    /// Which.
    pub session: SessionId,
    /// When.
    pub last_at: UnixMillis,
}

impl Store {
    /// Notes when somebody last typed, for many sessions at once. A moment never moves back. Cancel safe.
    pub async fn note_activity(&self, notes: &[ActivityNote]) -> Result<(), StoreError> {
        let mut tx = self.begin().await?;
        for note in notes {
            execute!(
                tx.on(),
                "UPDATE sessions SET last_activity_at = $3
                 WHERE organisation_id = $1 AND id = $2 AND last_activity_at < $3",
                note.organisation.as_uuid(),
                note.session.as_uuid(),
                note.last_at.get(),
            )?;
        }
        tx.commit().await
    }

    /// Flags a live session as idle since `idle_since`, or takes the flag away; false if that is so already, or the session
    /// is over. Cancel safe.
    pub async fn session_idle(
        &self,
        organisation: OrganisationId,
        id: SessionId,
        idle_since: Option<UnixMillis>,
        now: UnixMillis,
    ) -> Result<bool, StoreError> {
        let mut tx = self.begin().await?;
        let changed = execute!(
            tx.on(),
            "UPDATE sessions SET idle_since = $3 WHERE organisation_id = $1 AND id = $2 AND state <> 'ended'
                 AND ((idle_since IS NULL AND $3 IS NOT NULL) OR (idle_since IS NOT NULL AND $3 IS NULL))",
            organisation.as_uuid(),
            id.as_uuid(),
            idle_since.map(UnixMillis::get),
        )?;
        if changed != 1 {
            return Ok(false);
        }
        append(&mut tx, &events::idle((organisation, id), idle_since, now)).await?;
        self.commit_audited(tx).await?;
        Ok(true)
    }

    /// Notes that the terminal of a live session gets another size; false if it has this one already, or the session is
    /// over. Cancel safe.
    pub async fn session_resized(
        &self,
        organisation: OrganisationId,
        id: SessionId,
        size: TerminalSize,
        now: UnixMillis,
    ) -> Result<bool, StoreError> {
        let mut tx = self.begin().await?;
        let changed = execute!(
            tx.on(),
            "UPDATE sessions SET terminal_columns = $3, terminal_rows = $4
             WHERE organisation_id = $1 AND id = $2 AND state <> 'ended'
                 AND (terminal_columns IS NULL OR terminal_columns <> $3 OR terminal_rows <> $4)",
            organisation.as_uuid(),
            id.as_uuid(),
            i64::from(size.columns()),
            i64::from(size.rows()),
        )?;
        if changed != 1 {
            return Ok(false);
        }
        append(&mut tx, &events::resized((organisation, id), size, now)).await?;
        self.commit_audited(tx).await?;
        Ok(true)
    }

    /// Sessions of a cluster that ended after `since` while their processes could not be confirmed to be gone, oldest first;
    /// a bounded number of them. Cancel safe.
    pub async fn unconfirmed_sessions(
        &self,
        organisation: OrganisationId,
        cluster: ClusterId,
        since: UnixMillis,
    ) -> Result<Vec<Session>, StoreError> {
        let rows = fetch_all!(
            self.reader(),
            SessionRow,
            session_sql!(
                "WHERE s.organisation_id = $1 AND s.cluster_id = $2 AND s.cleanup = 'unconfirmed' AND s.ended_at >= $3
                 ORDER BY s.id LIMIT $4"
            ),
            organisation.as_uuid(),
            cluster.as_uuid(),
            since.get(),
            MAX_UNCONFIRMED,
        )?;
        rows.into_iter().map(Session::try_from).collect()
    }

    /// The processes of a session that ended were found to be gone after all; false if that was known. Cancel safe.
    pub async fn cleanup_confirmed(
        &self,
        organisation: OrganisationId,
        id: SessionId,
        now: UnixMillis,
    ) -> Result<bool, StoreError> {
        let mut tx = self.begin().await?;
        let changed = execute!(
            tx.on(),
            "UPDATE sessions SET cleanup = 'confirmed'
             WHERE organisation_id = $1 AND id = $2 AND cleanup = 'unconfirmed'",
            organisation.as_uuid(),
            id.as_uuid(),
        )?;
        if changed != 1 {
            return Ok(false);
        }
        append(&mut tx, &events::cleaned_up((organisation, id), now)).await?;
        self.commit_audited(tx).await?;
        Ok(true)
    }
}
