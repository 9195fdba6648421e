//! How long an organisation's, and a cluster's, sessions may live.

use std::time::Duration;

use podlatch_protocol::id::{ClusterId, OrganisationId};

use super::engine::{execute, fetch_all};
use super::rows::{duration, millis};
use super::{Store, StoreError};
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

    /// What an organisation says about its sessions; [`StoreError::Missing`] if there is none. Cancel safe.
    pub async fn set_organisation_limits(
        &self,
        organisation: OrganisationId,
        settings: &LimitSettings,
    ) -> Result<(), StoreError> {
        let changed = execute!(
            self.writer(),
            "UPDATE organisations SET session_max = $2, idle_after = $3, idle_close = $4 WHERE id = $1",
            organisation.as_uuid(),
            settings.session_max.map(millis),
            settings.idle_after.map(millis),
            settings.idle_close.map(millis),
        )?;
        if changed == 1 { Ok(()) } else { Err(StoreError::Missing("the organisation")) }
    }

    /// What holds for a cluster's sessions besides; [`StoreError::Missing`] if the organisation has no such cluster. Cancel
    /// safe.
    pub async fn set_cluster_limits(
        &self,
        organisation: OrganisationId,
        cluster: ClusterId,
        settings: &LimitSettings,
    ) -> Result<(), StoreError> {
        let changed = execute!(
            self.writer(),
            "UPDATE clusters SET session_max = $3, idle_after = $4, idle_close = $5
             WHERE organisation_id = $1 AND id = $2",
            organisation.as_uuid(),
            cluster.as_uuid(),
            settings.session_max.map(millis),
            settings.idle_after.map(millis),
            settings.idle_close.map(millis),
        )?;
        if changed == 1 { Ok(()) } else { Err(StoreError::Missing("the cluster")) }
    }
}

#[derive(sqlx::FromRow)]
struct LimitRow {
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
