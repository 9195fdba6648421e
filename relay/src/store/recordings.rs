//! Recordings that are stored whole, and how long they are kept.

use podlatch_protocol::id::{OrganisationId, SessionId};
use uuid::Uuid;

use super::audit::append;
use super::engine::{execute, fetch_all, fetch_optional};
use super::rows::{number, time};
use super::{Store, StoreError};
use crate::clock::UnixMillis;
use crate::domain::audit::{Action, NewEvent, Origin};
use crate::domain::recording::{RetentionDays, StoredRecording};

/// Recordings that are deleted, or removed, in one go.
const BATCH: i64 = 200;

#[derive(sqlx::FromRow)]
struct Row {
    truncation: Option<String>,
    segments: i64,
    bytes: i64,
    duration_ms: i64,
    head: String,
    sealed_at: i64,
    deleted_at: Option<i64>,
}

impl TryFrom<Row> for StoredRecording {
    type Error = StoreError;

    fn try_from(row: Row) -> Result<Self, StoreError> {
        Ok(Self {
            truncation: row.truncation,
            segments: number("recordings.segments", row.segments)?,
            bytes: number("recordings.bytes", row.bytes)?,
            duration_ms: number("recordings.duration_ms", row.duration_ms)?,
            head: row.head,
            sealed_at: UnixMillis::new(row.sealed_at),
            deleted_at: time(row.deleted_at),
        })
    }
}

impl Store {
    /// Notes that a session's recording is stored whole; the first note counts. Cancel safe.
    pub async fn recording_sealed(
        &self,
        organisation: OrganisationId,
        session: SessionId,
        recording: &StoredRecording,
    ) -> Result<(), StoreError> {
        let mut tx = self.begin().await?;
        execute!(
            tx.on(),
            "INSERT INTO recordings (session_id, organisation_id, truncation, segments, bytes, duration_ms, head, sealed_at)
             SELECT id, organisation_id, $3, $4, $5, $6, $7, $8 FROM sessions WHERE organisation_id = $1 AND id = $2
             ON CONFLICT (session_id) DO NOTHING",
            organisation.as_uuid(),
            session.as_uuid(),
            recording.truncation.as_deref(),
            stored(recording.segments),
            stored(recording.bytes),
            stored(recording.duration_ms),
            recording.head.as_str(),
            recording.sealed_at.get(),
        )?;
        tx.commit().await
    }

    /// What is known of a session's recording once it is stored whole. Cancel safe.
    pub async fn get_recording(
        &self,
        organisation: OrganisationId,
        session: SessionId,
    ) -> Result<Option<StoredRecording>, StoreError> {
        let row = fetch_optional!(
            self.reader(),
            Row,
            "SELECT truncation, segments, bytes, duration_ms, head, sealed_at, deleted_at FROM recordings
             WHERE organisation_id = $1 AND session_id = $2",
            organisation.as_uuid(),
            session.as_uuid(),
        )?;
        row.map(StoredRecording::try_from).transpose()
    }

    /// How long an organisation keeps recordings; `None` is for ever. Cancel safe.
    pub async fn recording_retention(&self, organisation: OrganisationId) -> Result<Option<RetentionDays>, StoreError> {
        let row = fetch_optional!(
            self.reader(),
            (Option<i64>,),
            "SELECT recording_retention_days FROM organisations WHERE id = $1",
            organisation.as_uuid(),
        )?;
        let (days,) = row.ok_or(StoreError::Missing("the organisation"))?;
        let days = days.map(|days| number("organisations.recording_retention_days", days)).transpose()?;
        days.map(|days| RetentionDays::new(days).ok_or(StoreError::Corrupt("organisations.recording_retention_days")))
            .transpose()
    }

    /// Sets how long an organisation keeps recordings. Cancel safe.
    pub async fn set_recording_retention(
        &self,
        organisation: OrganisationId,
        days: Option<RetentionDays>,
        (origin, now): (Origin, UnixMillis),
    ) -> Result<(), StoreError> {
        let mut tx = self.begin().await?;
        let changed = execute!(
            tx.on(),
            "UPDATE organisations SET recording_retention_days = $2 WHERE id = $1",
            organisation.as_uuid(),
            days.map(|days| i64::from(days.get())),
        )?;
        if changed != 1 {
            return Err(StoreError::Missing("the organisation"));
        }
        let event = NewEvent::new(Action::RecordingRetentionSet, organisation, origin, now);
        append(&mut tx, &event.detail("days", days.map(RetentionDays::get))).await?;
        self.commit_audited(tx).await
    }

    /// Deletes recordings that were kept long enough, some at a time: from here on nobody sees them. Returns how many; none
    /// means that all is done. Their objects are [`Self::recordings_to_remove`]. Cancel safe.
    pub async fn delete_old_recordings(&self, now: UnixMillis) -> Result<usize, StoreError> {
        let old = fetch_all!(
            self.reader(),
            (Uuid, Uuid),
            "SELECT r.organisation_id, r.session_id FROM recordings r JOIN organisations o ON o.id = r.organisation_id
             WHERE r.deleted_at IS NULL AND o.recording_retention_days IS NOT NULL
               AND r.sealed_at <= $1 - o.recording_retention_days * 86400000
             ORDER BY r.sealed_at LIMIT $2",
            now.get(),
            BATCH,
        )?;
        for (organisation, session) in &old {
            let (organisation, session) = (OrganisationId::from_uuid(*organisation), SessionId::from_uuid(*session));
            self.delete_recording(organisation, session, now).await?;
        }
        Ok(old.len())
    }

    async fn delete_recording(
        &self,
        organisation: OrganisationId,
        session: SessionId,
        now: UnixMillis,
    ) -> Result<(), StoreError> {
        let mut tx = self.begin().await?;
        let changed = execute!(
            tx.on(),
            "UPDATE recordings SET deleted_at = $3
             WHERE organisation_id = $1 AND session_id = $2 AND deleted_at IS NULL",
            organisation.as_uuid(),
            session.as_uuid(),
            now.get(),
        )?;
        if changed == 1 {
            let event = NewEvent::in_session(Action::RecordingDeleted, organisation, session, now);
            append(&mut tx, &event.by(Origin::system()).detail("reason", "retention").once("recording_deleted"))
                .await?;
        }
        self.commit_audited(tx).await
    }

    /// Deleted recordings whose objects may still be there, some of them. Cancel safe.
    pub async fn recordings_to_remove(&self) -> Result<Vec<(OrganisationId, SessionId)>, StoreError> {
        let rows = fetch_all!(
            self.reader(),
            (Uuid, Uuid),
            "SELECT organisation_id, session_id FROM recordings
             WHERE deleted_at IS NOT NULL AND removed_at IS NULL ORDER BY deleted_at LIMIT $1",
            BATCH,
        )?;
        let ids = |(organisation, session)| (OrganisationId::from_uuid(organisation), SessionId::from_uuid(session));
        Ok(rows.into_iter().map(ids).collect())
    }

    /// Notes that the objects of a deleted recording are gone. Cancel safe.
    pub async fn recording_removed(
        &self,
        organisation: OrganisationId,
        session: SessionId,
        now: UnixMillis,
    ) -> Result<(), StoreError> {
        let mut tx = self.begin().await?;
        execute!(
            tx.on(),
            "UPDATE recordings SET removed_at = $3
             WHERE organisation_id = $1 AND session_id = $2 AND deleted_at IS NOT NULL",
            organisation.as_uuid(),
            session.as_uuid(),
            now.get(),
        )?;
        tx.commit().await
    }
}

/// No count here comes near the end of an i64.
fn stored(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}
