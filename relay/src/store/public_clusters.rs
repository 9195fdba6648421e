//! How public clusters are reached. Their credentials come and go sealed.

use podlatch_protocol::id::{ClusterId, OrganisationId};
use uuid::Uuid;

use super::audit::append;
use super::clusters::insert;
use super::engine::{execute, fetch_all, fetch_optional};
use super::rows::parse;
use super::{NewCluster, Store, StoreError, Tx};
use crate::auth::seal::Sealed;
use crate::clock::UnixMillis;
use crate::domain::audit::{Action, NewEvent, Origin, Place};
use crate::domain::cluster::Cluster;
use crate::outbound::DnsName;
use crate::public::access::{ApiServer, CaBundle};

/// How a cluster is reached, as it is stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredAccess {
    /// Where.
    pub server: ApiServer,
    /// What the credential is.
    pub credential_kind: &'static str,
    /// The credential.
    pub credential: Sealed,
}

/// A public cluster that is not revoked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PublicCluster {
    /// Who owns it.
    pub organisation: OrganisationId,
    /// The cluster.
    pub cluster: ClusterId,
    /// Counts the changes of its access.
    pub revision: i64,
}

impl Store {
    /// Registers a public cluster; [`StoreError::Taken`] if the organisation has one of this name. Cancel safe.
    pub async fn create_public_cluster(
        &self,
        new: &NewCluster,
        access: &StoredAccess,
        by: &Origin,
        now: UnixMillis,
    ) -> Result<Cluster, StoreError> {
        let mut tx = self.begin().await?;
        let (cluster, event) = insert(&mut tx, new, by, now).await?;
        write(&mut tx, (new.organisation, new.id), access, now).await?;
        append(&mut tx, &described(event, access)).await?;
        self.commit_audited(tx).await?;
        Ok(cluster)
    }

    /// Replaces how a public cluster that is not revoked is reached; [`StoreError::Missing`] if the organisation has none of
    /// this id. Cancel safe.
    pub async fn replace_access(
        &self,
        (organisation, id): (OrganisationId, ClusterId),
        access: &StoredAccess,
        by: &Origin,
        now: UnixMillis,
    ) -> Result<(), StoreError> {
        let mut tx = self.begin().await?;
        // Also keeps a revocation waiting until this is done, and then removes what was written.
        let known = execute!(
            tx.on(),
            "UPDATE clusters SET name = name
             WHERE organisation_id = $1 AND id = $2 AND cluster_type = 'public' AND revoked_at IS NULL",
            organisation.as_uuid(),
            id.as_uuid(),
        )?;
        if known != 1 {
            return Err(StoreError::Missing("the cluster"));
        }
        write(&mut tx, (organisation, id), access, now).await?;
        let event = NewEvent::new(Action::ClusterAccessReplaced, organisation, by.clone(), now).at(Place::Cluster(id));
        append(&mut tx, &described(event, access)).await?;
        self.commit_audited(tx).await
    }

    /// How a cluster of the organisation is reached. Cancel safe.
    pub async fn public_access(
        &self,
        organisation: OrganisationId,
        id: ClusterId,
    ) -> Result<Option<StoredAccess>, StoreError> {
        let row = fetch_optional!(
            self.reader(),
            AccessRow,
            "SELECT server, ca, tls_name, credential_kind, credential FROM public_clusters
             WHERE organisation_id = $1 AND cluster_id = $2",
            organisation.as_uuid(),
            id.as_uuid(),
        )?;
        row.map(StoredAccess::try_from).transpose()
    }

    /// Every organisation's public clusters that are not revoked: for the relay, which serves them. Cancel safe.
    pub async fn public_clusters(&self) -> Result<Vec<PublicCluster>, StoreError> {
        let rows = fetch_all!(
            self.reader(),
            (Uuid, Uuid, i64),
            "SELECT p.organisation_id, p.cluster_id, p.revision FROM public_clusters p
             JOIN clusters c ON c.id = p.cluster_id AND c.organisation_id = p.organisation_id
             WHERE c.revoked_at IS NULL ORDER BY p.cluster_id",
        )?;
        let cluster = |(organisation, cluster, revision)| PublicCluster {
            organisation: OrganisationId::from_uuid(organisation),
            cluster: ClusterId::from_uuid(cluster),
            revision,
        };
        Ok(rows.into_iter().map(cluster).collect())
    }
}

/// What the log says of it: everything but the credential.
fn described(event: NewEvent, access: &StoredAccess) -> NewEvent {
    event.detail("server", access.server.url.to_string()).detail("credential", access.credential_kind)
}

async fn write(
    tx: &mut Tx,
    (organisation, id): (OrganisationId, ClusterId),
    access: &StoredAccess,
    now: UnixMillis,
) -> Result<(), StoreError> {
    execute!(
        tx.on(),
        "INSERT INTO public_clusters
             (cluster_id, organisation_id, server, ca, tls_name, credential_kind, credential, revision, changed_at)
         VALUES ($1, $2, $3, $4, $5, $6, $7, 1, $8)
         ON CONFLICT (cluster_id) DO UPDATE SET server = excluded.server, ca = excluded.ca, tls_name = excluded.tls_name,
             credential_kind = excluded.credential_kind, credential = excluded.credential,
             revision = public_clusters.revision + 1, changed_at = excluded.changed_at",
        id.as_uuid(),
        organisation.as_uuid(),
        access.server.url.to_string(),
        access.server.ca.as_ref().map(CaBundle::as_str),
        access.server.tls_name.as_ref().map(DnsName::as_str),
        access.credential_kind,
        access.credential.as_str(),
        now.get(),
    )?;
    Ok(())
}

/// Forgets the credential of a cluster that is being revoked.
pub(super) async fn forget(tx: &mut Tx, organisation: OrganisationId, id: ClusterId) -> Result<(), StoreError> {
    execute!(
        tx.on(),
        "DELETE FROM public_clusters WHERE organisation_id = $1 AND cluster_id = $2",
        organisation.as_uuid(),
        id.as_uuid(),
    )?;
    Ok(())
}

#[derive(sqlx::FromRow)]
struct AccessRow {
    server: String,
    ca: Option<String>,
    tls_name: Option<String>,
    credential_kind: String,
    credential: String,
}

impl TryFrom<AccessRow> for StoredAccess {
    type Error = StoreError;

    fn try_from(row: AccessRow) -> Result<Self, StoreError> {
        let ca = row.ca.as_deref().map(CaBundle::from_pem).transpose();
        Ok(Self {
            server: ApiServer {
                url: parse("public_clusters.server", &row.server)?,
                ca: ca.map_err(|_| StoreError::Corrupt("public_clusters.ca"))?,
                tls_name: row.tls_name.as_deref().map(|name| parse("public_clusters.tls_name", name)).transpose()?,
            },
            credential_kind: match row.credential_kind.as_str() {
                "token" => "token",
                "client_certificate" => "client_certificate",
                _ => return Err(StoreError::Corrupt("public_clusters.credential_kind")),
            },
            credential: Sealed::stored(row.credential),
        })
    }
}
