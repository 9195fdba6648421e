//! Enrolled agents.

use podlatch_protocol::close::EndCause;
use podlatch_protocol::control::About;
use podlatch_protocol::id::{AgentId, ClusterId, OrganisationId};
use uuid::Uuid;

use super::audit::append;
use super::engine::{execute, fetch_all, fetch_optional};
use super::rows::{known, number, public_key, time};
use super::{List, Page, PageRequest, Store, StoreError, Tx};
use crate::auth::token::TokenHash;
use crate::clock::UnixMillis;
use crate::domain::agent::{Agent, AgentStatus, CloneSeen, PublicKeySha256};
use crate::domain::audit::{Action, NewEvent, Origin, Place};
use crate::domain::organisation::ClientInfo;

/// What an agent says of itself when it connects.
#[derive(Debug, Clone, Copy)]
pub struct AgentSeen<'a> {
    /// Its release.
    pub agent_version: &'a str,
    /// The Kubernetes version of its cluster; empty where it could not ask.
    pub kubernetes_version: &'a str,
}

/// A certificate's renewal.
#[derive(Debug, Clone, Copy)]
pub struct RenewAgent {
    /// The cluster's owner.
    pub organisation: OrganisationId,
    /// The agent's cluster.
    pub cluster: ClusterId,
    /// Which agent.
    pub agent: AgentId,
    /// The key with which it asks.
    pub by: PublicKeySha256,
    /// The new certificate's key.
    pub public_key: PublicKeySha256,
    /// The new certificate's end.
    pub certificate_expires_at: UnixMillis,
}

impl Store {
    /// Stores a newly enrolled agent; [`StoreError::Missing`] if the organisation has no such cluster, or it is revoked.
    /// Cancel safe.
    pub async fn insert_agent(&self, agent: &Agent, from: &ClientInfo) -> Result<(), StoreError> {
        let mut tx = self.begin().await?;
        insert(&mut tx, agent, None, from).await?;
        self.commit_audited(tx).await
    }

    /// The agent that a certificate names. All three ids must belong together. Cancel safe.
    pub async fn get_agent(
        &self,
        organisation: OrganisationId,
        cluster: ClusterId,
        id: AgentId,
    ) -> Result<Option<Agent>, StoreError> {
        let row = fetch_optional!(
            self.reader(),
            AgentRow,
            agent_sql!("WHERE organisation_id = $1 AND cluster_id = $2 AND id = $3"),
            organisation.as_uuid(),
            cluster.as_uuid(),
            id.as_uuid(),
        )?;
        row.map(Agent::try_from).transpose()
    }

    /// The cluster's agents, oldest first, revoked ones included. Cancel safe.
    pub async fn list_agents(
        &self,
        organisation: OrganisationId,
        cluster: ClusterId,
        page: PageRequest,
    ) -> Result<Page<Agent>, StoreError> {
        let rows = fetch_all!(
            self.reader(),
            AgentRow,
            agent_sql!(
                "WHERE organisation_id = $1 AND cluster_id = $2 AND ($3 IS NULL OR id > $3) ORDER BY id LIMIT $4"
            ),
            organisation.as_uuid(),
            cluster.as_uuid(),
            page.after(),
            page.limit(),
        )?;
        page.read(List::Agents, rows, Agent::try_from, |agent| agent.id.as_uuid())
    }

    /// Notes that an agent is connected, and what it says of itself. Its versions stay as they are where `said` is
    /// `None`. Time never goes back. Cancel safe.
    pub async fn touch_agent(
        &self,
        organisation: OrganisationId,
        id: AgentId,
        said: Option<AgentSeen<'_>>,
        now: UnixMillis,
    ) -> Result<(), StoreError> {
        execute!(
            self.writer(),
            "UPDATE agents SET last_seen_at = $3, agent_version = COALESCE($4, agent_version),
                 kubernetes_version = COALESCE($5, kubernetes_version)
             WHERE organisation_id = $1 AND id = $2 AND (last_seen_at IS NULL OR last_seen_at <= $3)",
            organisation.as_uuid(),
            id.as_uuid(),
            now.get(),
            said.map(|said| said.agent_version),
            said.map(|said| said.kubernetes_version),
        )?;
        Ok(())
    }

    /// Notes an agent's new certificate and gives its generation. `None` if the agent is revoked, or if the key that asks
    /// is not one of its current ones. Cancel safe.
    pub async fn update_agent_certificate(
        &self,
        renewal: &RenewAgent,
        from: &ClientInfo,
        now: UnixMillis,
    ) -> Result<Option<u32>, StoreError> {
        let mut tx = self.begin().await?;
        let row = fetch_optional!(
            tx.on(),
            (i64,),
            "UPDATE agents SET public_key_sha256 = $5, previous_public_key_sha256 = $4, generation = generation + 1,
                 certificate_expires_at = $6
             WHERE organisation_id = $1 AND cluster_id = $2 AND id = $3 AND status = $7
                 AND (public_key_sha256 = $4 OR previous_public_key_sha256 = $4)
             RETURNING generation",
            renewal.organisation.as_uuid(),
            renewal.cluster.as_uuid(),
            renewal.agent.as_uuid(),
            renewal.by.0.as_slice(),
            renewal.public_key.0.as_slice(),
            renewal.certificate_expires_at.get(),
            AgentStatus::Active.slug(),
        )?;
        let Some((generation,)) = row else {
            return Ok(None);
        };
        let by = Origin::agent(renewal.agent, from.clone());
        let event = NewEvent::new(Action::CertificateRenewed, renewal.organisation, by, now);
        let event = event.at(Place::Cluster(renewal.cluster)).detail("generation", generation);
        append(&mut tx, &event.detail("expires_at", renewal.certificate_expires_at.to_string())).await?;
        self.commit_audited(tx).await?;
        number("agents.generation", generation).map(Some)
    }

    /// Notes that an agent has its newest certificate, since it connected with that key: its previous one is over, and
    /// whoever presents it later has a copy. Cancel safe.
    pub async fn confirm_agent_key(
        &self,
        (organisation, cluster, agent): (OrganisationId, ClusterId, AgentId),
        key: PublicKeySha256,
    ) -> Result<(), StoreError> {
        execute!(
            self.writer(),
            "UPDATE agents SET previous_public_key_sha256 = NULL
             WHERE organisation_id = $1 AND cluster_id = $2 AND id = $3 AND public_key_sha256 = $4",
            organisation.as_uuid(),
            cluster.as_uuid(),
            agent.as_uuid(),
            key.0.as_slice(),
        )?;
        Ok(())
    }

    /// Notes that a copy of an agent's identity was noticed; `event` says so in the audit log, where it is to. Cancel safe.
    pub async fn agent_cloned(
        &self,
        (organisation, cluster, agent): (OrganisationId, ClusterId, AgentId),
        seen: &CloneSeen,
        event: Option<&NewEvent>,
    ) -> Result<(), StoreError> {
        let mut tx = self.begin().await?;
        execute!(
            tx.on(),
            "UPDATE agents SET cloned_at = $4, cloned_from = $5
             WHERE organisation_id = $1 AND cluster_id = $2 AND id = $3",
            organisation.as_uuid(),
            cluster.as_uuid(),
            agent.as_uuid(),
            seen.at.get(),
            seen.from.as_str(),
        )?;
        if let Some(event) = event {
            append(&mut tx, event).await?;
        }
        self.commit_audited(tx).await
    }

    /// Notes what an agent says of itself. Cancel safe.
    pub async fn agent_about(
        &self,
        organisation: OrganisationId,
        id: AgentId,
        about: &About,
    ) -> Result<(), StoreError> {
        let guard = serde_json::to_string(&about.guard).map_err(|_| StoreError::Corrupt("agents.guard"))?;
        execute!(
            self.writer(),
            "UPDATE agents SET replica = $3, guard = $4 WHERE organisation_id = $1 AND id = $2",
            organisation.as_uuid(),
            id.as_uuid(),
            about.replica.as_str(),
            guard,
        )?;
        Ok(())
    }

    /// Revokes an agent; false if there was none to revoke. Cancel safe.
    pub async fn revoke_agent(
        &self,
        organisation: OrganisationId,
        id: AgentId,
        by: &Origin,
        now: UnixMillis,
    ) -> Result<bool, StoreError> {
        let mut tx = self.begin().await?;
        let revoked = fetch_optional!(
            tx.on(),
            (Uuid,),
            "UPDATE agents SET status = $3 WHERE organisation_id = $1 AND id = $2 AND status = $4 RETURNING cluster_id",
            organisation.as_uuid(),
            id.as_uuid(),
            AgentStatus::Revoked.slug(),
            AgentStatus::Active.slug(),
        )?;
        let Some((cluster,)) = revoked else {
            return Ok(false);
        };
        let event = NewEvent::new(Action::AgentRevoked, organisation, by.clone(), now);
        let event = event.at(Place::Cluster(ClusterId::from_uuid(cluster))).detail("agent", id.to_string());
        append(&mut tx, &event).await?;
        self.commit_audited(tx).await?;
        Ok(true)
    }

    /// The agents that were revoked, alone or with their cluster, and whose certificate might still let them in, with what
    /// their sessions end for. Of every organisation: for the tunnel's own watch. Cancel safe.
    pub async fn revoked_agents(&self, now: UnixMillis) -> Result<Vec<(AgentId, EndCause)>, StoreError> {
        let rows = fetch_all!(
            self.reader(),
            (Uuid, Option<i64>),
            "SELECT a.id, c.revoked_at FROM agents a JOIN clusters c ON c.id = a.cluster_id
             WHERE a.status = 'revoked' AND a.certificate_expires_at > $1",
            now.get(),
        )?;
        let cause = |cluster: Option<i64>| cluster.map_or(EndCause::AgentRevoked, |_| EndCause::ClusterRevoked);
        Ok(rows.into_iter().map(|(id, cluster)| (AgentId::from_uuid(id), cause(cluster))).collect())
    }

    /// Whose agent this is: for the operator, who names it by its id alone. Cancel safe.
    pub async fn organisation_of_agent(&self, id: AgentId) -> Result<Option<OrganisationId>, StoreError> {
        let row =
            fetch_optional!(self.reader(), (Uuid,), "SELECT organisation_id FROM agents WHERE id = $1", id.as_uuid(),)?;
        Ok(row.map(|(organisation,)| OrganisationId::from_uuid(organisation)))
    }
}

/// Stores a newly enrolled agent, and says so in the audit log. `token` is by which it came, if by one.
pub(super) async fn insert(
    tx: &mut Tx,
    agent: &Agent,
    token: Option<&TokenHash>,
    from: &ClientInfo,
) -> Result<(), StoreError> {
    let stored = execute!(
        tx.on(),
        "INSERT INTO agents (id, organisation_id, cluster_id, status, public_key_sha256, previous_public_key_sha256,
             generation, enrolled_at, last_seen_at, agent_version, kubernetes_version, certificate_expires_at,
             join_token_hash, enrolled_key_sha256)
         SELECT $1, organisation_id, id, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14 FROM clusters
         WHERE organisation_id = $2 AND id = $3 AND revoked_at IS NULL",
        agent.id.as_uuid(),
        agent.organisation.as_uuid(),
        agent.cluster.as_uuid(),
        agent.status.slug(),
        agent.public_key.0.as_slice(),
        agent.previous_public_key.map(|key| key.0.to_vec()),
        i64::from(agent.generation),
        agent.enrolled_at.get(),
        agent.last_seen_at.map(UnixMillis::get),
        agent.agent_version.as_str(),
        agent.kubernetes_version.as_str(),
        agent.certificate_expires_at.get(),
        token.map(|token| token.as_bytes().as_slice()),
        token.map(|_| agent.public_key.0.to_vec()),
    )?;
    if stored != 1 {
        return Err(StoreError::Missing("the cluster"));
    }
    append(tx, &enrolled(agent, from)).await.map(drop)
}

/// What the audit log says of an agent that joins.
pub(super) fn enrolled(agent: &Agent, from: &ClientInfo) -> NewEvent {
    let by = Origin::agent(agent.id, from.clone());
    NewEvent::new(Action::AgentEnrolled, agent.organisation, by, agent.enrolled_at)
        .at(Place::Cluster(agent.cluster))
        .detail("agent_version", agent.agent_version.as_str())
        .detail("public_key_sha256", hex::encode(agent.public_key.0))
}

/// The columns of an [`AgentRow`], then whatever else the statement needs.
macro_rules! agent_sql {
    ($rest:literal) => {
        concat!(
            "SELECT id, organisation_id, cluster_id, status, public_key_sha256, previous_public_key_sha256, generation, \
             enrolled_at, last_seen_at, agent_version, kubernetes_version, certificate_expires_at, cloned_at, cloned_from, \
             replica, guard FROM agents ",
            $rest
        )
    };
}
use agent_sql;

fn about(replica: String, guard: &str) -> Result<About, StoreError> {
    let guard = serde_json::from_str(guard).map_err(|_| StoreError::Corrupt("agents.guard"))?;
    Ok(About { replica, guard })
}

#[derive(sqlx::FromRow)]
struct AgentRow {
    id: Uuid,
    organisation_id: Uuid,
    cluster_id: Uuid,
    status: String,
    public_key_sha256: Vec<u8>,
    previous_public_key_sha256: Option<Vec<u8>>,
    generation: i64,
    enrolled_at: i64,
    last_seen_at: Option<i64>,
    agent_version: String,
    kubernetes_version: String,
    certificate_expires_at: i64,
    cloned_at: Option<i64>,
    cloned_from: Option<String>,
    replica: String,
    guard: Option<String>,
}

impl TryFrom<AgentRow> for Agent {
    type Error = StoreError;

    fn try_from(row: AgentRow) -> Result<Self, StoreError> {
        Ok(Self {
            id: AgentId::from_uuid(row.id),
            cluster: ClusterId::from_uuid(row.cluster_id),
            organisation: OrganisationId::from_uuid(row.organisation_id),
            status: known("agents.status", AgentStatus::from_slug(&row.status))?,
            public_key: public_key(&row.public_key_sha256)?,
            previous_public_key: row.previous_public_key_sha256.as_deref().map(public_key).transpose()?,
            generation: number("agents.generation", row.generation)?,
            enrolled_at: UnixMillis::new(row.enrolled_at),
            last_seen_at: time(row.last_seen_at),
            agent_version: row.agent_version,
            kubernetes_version: row.kubernetes_version,
            certificate_expires_at: UnixMillis::new(row.certificate_expires_at),
            cloned: time(row.cloned_at).map(|at| CloneSeen { at, from: row.cloned_from.unwrap_or_default() }),
            about: row.guard.as_deref().map(|guard| about(row.replica, guard)).transpose()?,
        })
    }
}
