//! One-use join tokens, with which agents enrol.

use podlatch_protocol::id::{ClusterId, JoinTokenId, OrganisationId};
use uuid::Uuid;

use super::audit::append;
use super::engine::{execute, fetch_optional};
use super::redemption::Unredeemed;
use super::{Redemption, Store, StoreError};
use crate::auth::token::TokenHash;
use crate::clock::UnixMillis;
use crate::domain::audit::{Action, NewEvent, Origin, Place};

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
}

impl Store {
    /// Stores a join token; [`StoreError::Missing`] if the organisation has no such cluster, or it is revoked.
    /// Cancel safe.
    pub async fn create_join_token(&self, new: &NewJoinToken, by: &Origin, now: UnixMillis) -> Result<(), StoreError> {
        let mut tx = self.begin().await?;
        let stored = execute!(
            tx.on(),
            "INSERT INTO join_tokens (hash, id, organisation_id, cluster_id, created_at, expires_at)
             SELECT $1, $2, organisation_id, id, $5, $6 FROM clusters
             WHERE organisation_id = $3 AND id = $4 AND revoked_at IS NULL",
            new.hash.as_bytes().as_slice(),
            new.id.as_uuid(),
            new.organisation.as_uuid(),
            new.cluster.as_uuid(),
            now.get(),
            new.expires_at.get(),
        )?;
        if stored != 1 {
            return Err(StoreError::Missing("the cluster"));
        }
        let event = NewEvent::new(Action::JoinTokenCreated, new.organisation, by.clone(), now);
        let event = event.at(Place::Cluster(new.cluster)).detail("join_token", new.id.to_string());
        append(&mut tx, &event.detail("expires_at", new.expires_at.to_string())).await?;
        self.commit_audited(tx).await
    }

    /// Redeems a join token, exactly once however many present it. Cancel safe.
    pub async fn redeem_join_token(
        &self,
        hash: &TokenHash,
        now: UnixMillis,
    ) -> Result<Redemption<JoinGrant>, StoreError> {
        let granted = fetch_optional!(
            self.writer(),
            GrantRow,
            "UPDATE join_tokens SET used_at = $2
             WHERE hash = $1 AND used_at IS NULL AND expires_at > $2
                 AND EXISTS (SELECT 1 FROM clusters c WHERE c.id = join_tokens.cluster_id AND c.revoked_at IS NULL)
             RETURNING id, organisation_id, cluster_id",
            hash.as_bytes().as_slice(),
            now.get(),
        )?;
        if let Some(row) = granted {
            return Ok(Redemption::Redeemed(row.into()));
        }
        let found = fetch_optional!(
            self.reader(),
            Unredeemed,
            "SELECT expires_at, used_at FROM join_tokens WHERE hash = $1",
            hash.as_bytes().as_slice(),
        )?;
        Ok(Unredeemed::explain(found, now.get()))
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
        }
    }
}
