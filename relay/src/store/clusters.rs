//! Registered clusters.

use podlatch_protocol::id::{ClusterId, OrganisationId};
use serde_json::Value;
use uuid::Uuid;

use super::audit::append;
use super::engine::{execute, fetch_all, fetch_optional};
use super::error::taken;
use super::rows::{known, parse, time};
use super::session_limits::LimitRow;
use super::{List, Page, PageRequest, Store, StoreError, Tx, public_clusters};
use crate::clock::UnixMillis;
use crate::domain::agent::AgentStatus;
use crate::domain::audit::{Action, NewEvent, Origin, Place};
use crate::domain::cluster::{Cluster, ClusterOverview, ClusterType, LastAgent};
use crate::domain::labels::Labels;
use crate::domain::name::DisplayName;
use crate::domain::session_limits::LimitSettings;

/// A cluster to be registered.
#[derive(Debug, Clone)]
pub struct NewCluster {
    /// Its id.
    pub id: ClusterId,
    /// Who owns it.
    pub organisation: OrganisationId,
    /// Its name.
    pub name: DisplayName,
    /// How it is reached.
    pub cluster_type: ClusterType,
    /// By what access rules may find it.
    pub labels: Labels,
}

/// What is to be changed of a cluster; what is `None` stays.
#[derive(Debug, Clone, Default)]
pub struct ClusterChange {
    /// Its name.
    pub name: Option<DisplayName>,
    /// All of its labels.
    pub labels: Option<Labels>,
}

impl Store {
    /// Registers a cluster; [`StoreError::Taken`] if the organisation has one of this name. Cancel safe.
    pub async fn create_cluster(&self, new: &NewCluster, by: &Origin, now: UnixMillis) -> Result<Cluster, StoreError> {
        let mut tx = self.begin().await?;
        let (cluster, event) = insert(&mut tx, new, by, now).await?;
        append(&mut tx, &event).await?;
        self.commit_audited(tx).await?;
        Ok(cluster)
    }

    /// Changes a cluster that is not revoked; [`StoreError::Missing`] if the organisation has none of this id,
    /// [`StoreError::Taken`] if it has another of this name. Cancel safe.
    pub async fn change_cluster(
        &self,
        (organisation, id): (OrganisationId, ClusterId),
        change: &ClusterChange,
        by: &Origin,
        now: UnixMillis,
    ) -> Result<(), StoreError> {
        let mut tx = self.begin().await?;
        let changed = execute!(
            tx.on(),
            "UPDATE clusters SET name = COALESCE($3, name), labels = COALESCE($4, labels)
             WHERE organisation_id = $1 AND id = $2 AND revoked_at IS NULL",
            organisation.as_uuid(),
            id.as_uuid(),
            change.name.as_ref().map(DisplayName::as_str),
            change.labels.as_ref().map(Labels::to_string),
        )
        .map_err(taken("a cluster of this name"))?;
        if changed != 1 {
            return Err(StoreError::Missing("the cluster"));
        }
        let mut event = NewEvent::new(Action::ClusterChanged, organisation, by.clone(), now).at(Place::Cluster(id));
        if let Some(name) = &change.name {
            event = event.detail("name", name.as_str());
        }
        if let Some(labels) = &change.labels {
            event = event.detail("labels", as_json(labels));
        }
        append(&mut tx, &event).await?;
        self.commit_audited(tx).await
    }

    /// A cluster of the organisation, a revoked one included. Cancel safe.
    pub async fn get_cluster(
        &self,
        organisation: OrganisationId,
        id: ClusterId,
    ) -> Result<Option<ClusterOverview>, StoreError> {
        let row = fetch_optional!(
            self.reader(),
            ClusterRow,
            cluster_sql!("WHERE c.organisation_id = $2 AND c.id = $3"),
            AgentStatus::Active.slug(),
            organisation.as_uuid(),
            id.as_uuid(),
        )?;
        row.map(ClusterOverview::try_from).transpose()
    }

    /// The organisation's clusters that are not revoked, oldest first. Cancel safe.
    pub async fn list_clusters(
        &self,
        organisation: OrganisationId,
        page: PageRequest,
    ) -> Result<Page<ClusterOverview>, StoreError> {
        let rows = fetch_all!(
            self.reader(),
            ClusterRow,
            cluster_sql!(
                "WHERE c.organisation_id = $2 AND c.revoked_at IS NULL AND ($3 IS NULL OR c.id > $3)
                 ORDER BY c.id LIMIT $4"
            ),
            AgentStatus::Active.slug(),
            organisation.as_uuid(),
            page.after(),
            page.limit(),
        )?;
        page.read(List::Clusters, rows, ClusterOverview::try_from, |overview| overview.cluster.id.as_uuid())
    }

    /// Every organisation's clusters of this name that are not revoked, and the one with this id: for the operator, who
    /// may name a cluster either way. At most two, which is enough to know that a name is ambiguous. Cancel safe.
    pub async fn clusters_named(&self, name_or_id: &str) -> Result<Vec<Cluster>, StoreError> {
        let rows = fetch_all!(
            self.reader(),
            ClusterRow,
            cluster_sql!("WHERE c.revoked_at IS NULL AND (c.name = $2 OR c.id = $3) ORDER BY c.id LIMIT 2"),
            AgentStatus::Active.slug(),
            name_or_id,
            name_or_id.parse::<ClusterId>().ok().map(|id| id.as_uuid()),
        )?;
        rows.into_iter().map(|row| ClusterOverview::try_from(row).map(|overview| overview.cluster)).collect()
    }

    /// Revokes a cluster, its agents and its unused join tokens; false if there was none to revoke. Cancel safe.
    pub async fn revoke_cluster(
        &self,
        organisation: OrganisationId,
        id: ClusterId,
        by: &Origin,
        now: UnixMillis,
    ) -> Result<bool, StoreError> {
        let mut tx = self.begin().await?;
        let revoked = execute!(
            tx.on(),
            "UPDATE clusters SET revoked_at = $3 WHERE organisation_id = $1 AND id = $2 AND revoked_at IS NULL",
            organisation.as_uuid(),
            id.as_uuid(),
            now.get(),
        )?;
        execute!(
            tx.on(),
            "UPDATE agents SET status = $3 WHERE organisation_id = $1 AND cluster_id = $2",
            organisation.as_uuid(),
            id.as_uuid(),
            AgentStatus::Revoked.slug(),
        )?;
        if revoked != 1 {
            return Ok(false);
        }
        public_clusters::forget(&mut tx, organisation, id).await?;
        let event = NewEvent::new(Action::ClusterRevoked, organisation, by.clone(), now).at(Place::Cluster(id));
        append(&mut tx, &event).await?;
        self.commit_audited(tx).await?;
        Ok(true)
    }
}

/// Writes a new cluster; the event is still to be appended.
pub(super) async fn insert(
    tx: &mut Tx,
    new: &NewCluster,
    by: &Origin,
    now: UnixMillis,
) -> Result<(Cluster, NewEvent), StoreError> {
    execute!(
        tx.on(),
        "INSERT INTO clusters (id, organisation_id, name, cluster_type, labels, created_at) VALUES ($1, $2, $3, $4, $5, $6)",
        new.id.as_uuid(),
        new.organisation.as_uuid(),
        new.name.as_str(),
        new.cluster_type.slug(),
        new.labels.to_string(),
        now.get(),
    )
    .map_err(taken("a cluster of this name"))?;
    let event = NewEvent::new(Action::ClusterCreated, new.organisation, by.clone(), now);
    let event = event.at(Place::Cluster(new.id)).detail("type", new.cluster_type.slug());
    let cluster = Cluster {
        id: new.id,
        organisation: new.organisation,
        name: new.name.clone(),
        cluster_type: new.cluster_type,
        labels: new.labels.clone(),
        limits: LimitSettings::default(),
        created_at: now,
        revoked_at: None,
    };
    Ok((cluster, event.detail("labels", as_json(&new.labels))))
}

fn as_json(labels: &Labels) -> Value {
    labels.iter().map(|(name, value)| (name.clone(), Value::from(value.as_str()))).collect()
}

/// The columns of a [`ClusterRow`], then whatever else the statement needs. `$1` is the status of active agents.
macro_rules! cluster_sql {
    ($rest:literal) => {
        concat!(
            "SELECT c.id, c.organisation_id, c.name, c.cluster_type, c.labels, c.created_at, c.revoked_at, \
             c.session_max, c.idle_after, c.idle_close, a.last_seen_at, a.agent_version, a.kubernetes_version \
             FROM clusters c LEFT JOIN agents a ON a.id = ( \
                 SELECT id FROM agents WHERE cluster_id = c.id AND status = $1 AND last_seen_at IS NOT NULL \
                 ORDER BY last_seen_at DESC, id DESC LIMIT 1) ",
            $rest
        )
    };
}
use cluster_sql;

#[derive(sqlx::FromRow)]
struct ClusterRow {
    id: Uuid,
    organisation_id: Uuid,
    name: String,
    cluster_type: String,
    labels: String,
    #[sqlx(flatten)]
    limits: LimitRow,
    created_at: i64,
    revoked_at: Option<i64>,
    last_seen_at: Option<i64>,
    agent_version: Option<String>,
    kubernetes_version: Option<String>,
}

impl TryFrom<ClusterRow> for ClusterOverview {
    type Error = StoreError;

    fn try_from(row: ClusterRow) -> Result<Self, StoreError> {
        Ok(Self {
            cluster: Cluster {
                id: ClusterId::from_uuid(row.id),
                organisation: OrganisationId::from_uuid(row.organisation_id),
                name: parse("clusters.name", &row.name)?,
                cluster_type: known("clusters.cluster_type", ClusterType::from_slug(&row.cluster_type))?,
                labels: parse("clusters.labels", &row.labels)?,
                limits: row.limits.try_into()?,
                created_at: UnixMillis::new(row.created_at),
                revoked_at: time(row.revoked_at),
            },
            last_agent: row.last_seen_at.map(|seen_at| LastAgent {
                seen_at: UnixMillis::new(seen_at),
                agent_version: row.agent_version.unwrap_or_default(),
                kubernetes_version: row.kubernetes_version.unwrap_or_default(),
            }),
        })
    }
}
