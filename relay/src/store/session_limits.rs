//! How long an organisation's, and a cluster's, sessions may live.

use std::time::Duration;

use podlatch_protocol::id::{ClusterId, OrganisationId};

use super::audit::append;
use super::engine::{execute, fetch_all};
use super::rows::{duration, millis};
use super::{Store, StoreError};
use crate::clock::UnixMillis;
use crate::domain::audit::{Action, NewEvent, Origin, Place};
use crate::domain::session_limits::LimitSettings;

impl Store {
    /// What the organisation and the cluster say about a new session in that cluster. Cancel safe.
    pub async fn limit_settings(
        &self,
        organisation: OrganisationId,
        cluster: ClusterId,
    ) -> Result<Vec<LimitSettings>, StoreError> {
        let rows = fetch_all!(
            self.reader(),
            LimitRow,
            "SELECT session_max, idle_after, idle_close FROM organisations WHERE id = $1
             UNION ALL
             SELECT session_max, idle_after, idle_close FROM clusters WHERE organisation_id = $1 AND id = $2",
            organisation.as_uuid(),
            cluster.as_uuid(),
        )?;
        rows.into_iter().map(LimitSettings::try_from).collect()
    }

    /// Changes what an organisation says about its sessions; [`StoreError::Missing`] if there is none. Cancel safe.
    pub async fn set_organisation_limits(
        &self,
        organisation: OrganisationId,
        settings: &LimitSettings,
        (origin, now): (Origin, UnixMillis),
    ) -> Result<(), StoreError> {
        let mut tx = self.begin().await?;
        let changed = execute!(
            tx.on(),
            "UPDATE organisations SET session_max = $2, idle_after = $3, idle_close = $4 WHERE id = $1",
            organisation.as_uuid(),
            settings.session_max.map(millis),
            settings.idle_after.map(millis),
            settings.idle_close.map(millis),
        )?;
        if changed != 1 {
            return Err(StoreError::Missing("the organisation"));
        }
        let event = NewEvent::new(Action::LimitsChanged, organisation, origin, now);
        append(&mut tx, &describe(event, settings)).await?;
        self.commit_audited(tx).await
    }

    /// Changes what holds for a cluster's sessions besides; [`StoreError::Missing`] if the organisation has no such cluster.
    /// Cancel safe.
    pub async fn set_cluster_limits(
        &self,
        organisation: OrganisationId,
        cluster: ClusterId,
        settings: &LimitSettings,
        (origin, now): (Origin, UnixMillis),
    ) -> Result<(), StoreError> {
        let mut tx = self.begin().await?;
        let changed = execute!(
            tx.on(),
            "UPDATE clusters SET session_max = $3, idle_after = $4, idle_close = $5
             WHERE organisation_id = $1 AND id = $2",
            organisation.as_uuid(),
            cluster.as_uuid(),
            settings.session_max.map(millis),
            settings.idle_after.map(millis),
            settings.idle_close.map(millis),
        )?;
        if changed != 1 {
            return Err(StoreError::Missing("the cluster"));
        }
        let event = NewEvent::new(Action::LimitsChanged, organisation, origin, now).at(Place::Cluster(cluster));
        append(&mut tx, &describe(event, settings)).await?;
        self.commit_audited(tx).await
    }
}

fn describe(event: NewEvent, settings: &LimitSettings) -> NewEvent {
    event
        .detail("session_max_ms", settings.session_max.map(millis))
        .detail("idle_after_ms", settings.idle_after.map(millis))
        .detail("idle_close_ms", settings.idle_close.map(millis))
}

/// The columns that an organisation and a cluster have for it.
#[derive(sqlx::FromRow)]
pub(super) struct LimitRow {
    session_max: Option<i64>,
    idle_after: Option<i64>,
    idle_close: Option<i64>,
}

impl TryFrom<LimitRow> for LimitSettings {
    type Error = StoreError;

    fn try_from(row: LimitRow) -> Result<Self, StoreError> {
        let part = |column, value: Option<i64>| -> Result<Option<Duration>, StoreError> {
            value.map(|value| duration(column, value)).transpose()
        };
        Ok(Self {
            session_max: part("session_max", row.session_max)?,
            idle_after: part("idle_after", row.idle_after)?,
            idle_close: part("idle_close", row.idle_close)?,
        })
    }
}
