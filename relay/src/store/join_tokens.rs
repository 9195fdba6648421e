//! One-use join tokens, with which agents enrol.

use podlatch_protocol::id::{AgentId, ClusterId, JoinTokenId, OrganisationId};
use uuid::Uuid;

use super::agents;
use super::audit::append;
use super::engine::{execute, fetch_optional};
use super::{Redemption, Store, StoreError};
use crate::auth::token::TokenHash;
use crate::clock::UnixMillis;
use crate::domain::agent::{Agent, AgentStatus, PublicKeySha256};
use crate::domain::audit::{Action, NewEvent, Origin, Place};
use crate::domain::organisation::ClientInfo;

/// A join token to be stored.
#[derive(Debug, Clone)]
pub struct NewJoinToken {
    /// Its id.
    pub id: JoinTokenId,
    /// Its hash.
    pub hash: TokenHash,
    /// The cluster's owner.
    pub organisation: OrganisationId,
    /// The cluster that an agent joins with it.
    pub cluster: ClusterId,
    /// Until when it is good.
    pub expires_at: UnixMillis,
    /// How many agents may enrol with it.
    pub agents: u16,
}

/// What a redeemed join token gives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct JoinGrant {
    /// Which token it was.
    pub token: JoinTokenId,
    /// The cluster's owner.
    pub organisation: OrganisationId,
    /// The cluster that the agent joins.
    pub cluster: ClusterId,
    /// The agent that this token has enrolled with this very key, whose answer was lost.
    pub agent: Option<AgentId>,
}

/// What came of an enrolment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Enrolled {
    /// It is stored.
    Done,
    /// Nothing was done: somebody else was faster.
    AskAgain,
}

impl Store {
    /// Stores a join token; [`StoreError::Missing`] if the organisation has no such cluster, or it is revoked.
    /// Cancel safe.
    pub async fn create_join_token(&self, new: &NewJoinToken, by: &Origin, now: UnixMillis) -> Result<(), StoreError> {
        let mut tx = self.begin().await?;
        let stored = execute!(
            tx.on(),
            "INSERT INTO join_tokens (hash, id, organisation_id, cluster_id, created_at, expires_at, agents)
             SELECT $1, $2, organisation_id, id, $5, $6, $7 FROM clusters
             WHERE organisation_id = $3 AND id = $4 AND revoked_at IS NULL",
            new.hash.as_bytes().as_slice(),
            new.id.as_uuid(),
            new.organisation.as_uuid(),
            new.cluster.as_uuid(),
            now.get(),
            new.expires_at.get(),
            i64::from(new.agents),
        )?;
        if stored != 1 {
            return Err(StoreError::Missing("the cluster"));
        }
        let event = NewEvent::new(Action::JoinTokenCreated, new.organisation, by.clone(), now);
        let event = event.at(Place::Cluster(new.cluster)).detail("join_token", new.id.to_string());
        append(&mut tx, &event.detail("expires_at", new.expires_at.to_string()).detail("agents", new.agents)).await?;
        self.commit_audited(tx).await
    }

    /// What a join token gives whoever presents it with a certificate request for this key. Nothing is used up yet.
    /// Cancel safe.
    pub async fn join_grant(
        &self,
        hash: &TokenHash,
        key: PublicKeySha256,
        now: UnixMillis,
    ) -> Result<Redemption<JoinGrant>, StoreError> {
        let row = fetch_optional!(
            self.reader(),
            TokenRow,
            "SELECT t.id, t.organisation_id, t.cluster_id, t.expires_at, t.agents, t.enrolled, c.revoked_at,
                 a.id AS agent_id, a.status AS agent_status, a.generation
             FROM join_tokens t JOIN clusters c ON c.id = t.cluster_id
             LEFT JOIN agents a ON a.join_token_hash = t.hash AND a.enrolled_key_sha256 = $2
             WHERE t.hash = $1",
            hash.as_bytes().as_slice(),
            key.0.as_slice(),
        )?;
        Ok(row.map_or(Redemption::Unknown, |row| row.decide(now)))
    }

    /// Enrols an agent by a token: the token is used up, the agent stored, in one transaction. What [`Self::join_grant`]
    /// said may not hold any more: then nothing was done, and it is to be asked again. Cancel safe.
    pub async fn enrol_agent(
        &self,
        hash: &TokenHash,
        agent: &Agent,
        from: &ClientInfo,
        now: UnixMillis,
    ) -> Result<Enrolled, StoreError> {
        let mut tx = self.begin().await?;
        let used = execute!(
            tx.on(),
            "UPDATE join_tokens SET used_at = $2, enrolled = enrolled + 1
             WHERE hash = $1 AND enrolled < agents AND expires_at > $2 AND cluster_id = $3
                 AND EXISTS (SELECT 1 FROM clusters c WHERE c.id = join_tokens.cluster_id AND c.revoked_at IS NULL)
                 AND NOT EXISTS (SELECT 1 FROM agents a WHERE a.join_token_hash = $1 AND a.enrolled_key_sha256 = $4)",
            hash.as_bytes().as_slice(),
            now.get(),
            agent.cluster.as_uuid(),
            agent.public_key.0.as_slice(),
        )?;
        if used != 1 {
            return Ok(Enrolled::AskAgain);
        }
        agents::insert(&mut tx, agent, Some(hash), from).await?;
        self.commit_audited(tx).await?;
        Ok(Enrolled::Done)
    }

    /// Notes that an agent whose enrolment was not answered gets its first certificate anew, to the same key. Cancel safe.
    pub async fn enrol_again(
        &self,
        hash: &TokenHash,
        agent: &Agent,
        from: &ClientInfo,
    ) -> Result<Enrolled, StoreError> {
        let mut tx = self.begin().await?;
        let renewed = execute!(
            tx.on(),
            "UPDATE agents SET certificate_expires_at = $4
             WHERE id = $1 AND join_token_hash = $2 AND enrolled_key_sha256 = $3 AND status = $5 AND generation = 1",
            agent.id.as_uuid(),
            hash.as_bytes().as_slice(),
            agent.public_key.0.as_slice(),
            agent.certificate_expires_at.get(),
            AgentStatus::Active.slug(),
        )?;
        if renewed != 1 {
            return Ok(Enrolled::AskAgain);
        }
        append(&mut tx, &agents::enrolled(agent, from).detail("again", true)).await?;
        self.commit_audited(tx).await?;
        Ok(Enrolled::Done)
    }

    /// Where a join token belongs, whatever its state: for the audit log. Cancel safe.
    pub async fn cluster_of_join_token(&self, hash: &TokenHash) -> Result<Option<JoinGrant>, StoreError> {
        let row = fetch_optional!(
            self.reader(),
            GrantRow,
            "SELECT id, organisation_id, cluster_id FROM join_tokens WHERE hash = $1",
            hash.as_bytes().as_slice(),
        )?;
        Ok(row.map(JoinGrant::from))
    }
}

/// A token as it is stored, and whoever came by it with the key that is presented now.
#[derive(sqlx::FromRow)]
struct TokenRow {
    id: Uuid,
    organisation_id: Uuid,
    cluster_id: Uuid,
    expires_at: i64,
    agents: i64,
    enrolled: i64,
    revoked_at: Option<i64>,
    agent_id: Option<Uuid>,
    agent_status: Option<String>,
    generation: Option<i64>,
}

impl TokenRow {
    fn decide(self, now: UnixMillis) -> Redemption<JoinGrant> {
        // Whoever has renewed has had the answer.
        let first = self.agent_status.as_deref() == Some(AgentStatus::Active.slug()) && self.generation == Some(1);
        match self.agent_id {
            Some(_) if !first => return Redemption::Used,
            None if self.enrolled >= self.agents => return Redemption::Used,
            _ => {}
        }
        if self.expires_at <= now.get() {
            return Redemption::Expired;
        }
        if self.revoked_at.is_some() {
            return Redemption::Withdrawn;
        }
        Redemption::Redeemed(JoinGrant {
            token: JoinTokenId::from_uuid(self.id),
            organisation: OrganisationId::from_uuid(self.organisation_id),
            cluster: ClusterId::from_uuid(self.cluster_id),
            agent: self.agent_id.map(AgentId::from_uuid),
        })
    }
}

#[derive(sqlx::FromRow)]
struct GrantRow {
    id: Uuid,
    organisation_id: Uuid,
    cluster_id: Uuid,
}

impl From<GrantRow> for JoinGrant {
    fn from(row: GrantRow) -> Self {
        Self {
            token: JoinTokenId::from_uuid(row.id),
            organisation: OrganisationId::from_uuid(row.organisation_id),
            cluster: ClusterId::from_uuid(row.cluster_id),
            agent: None,
        }
    }
}
