//! By whose rights terminals are opened in a cluster, and which debug images an organisation allows.

use podlatch_protocol::debug::DebugImage;
use podlatch_protocol::id::{ClusterId, OrganisationId, UserId};
use podlatch_protocol::identity::KubernetesGroup;

use super::audit::append;
use super::engine::{execute, fetch_all, fetch_optional};
use super::rows::parse;
use super::{Store, StoreError};
use crate::clock::UnixMillis;
use crate::domain::audit::{Action, NewEvent, Origin, Place};
use crate::domain::kubernetes::{KubernetesIdentity, KubernetesPerson, UserPrefix};

impl Store {
    /// By whose rights terminals are opened in a cluster; [`StoreError::Missing`] if the organisation has no such cluster.
    /// Cancel safe.
    pub async fn kubernetes_identity(
        &self,
        organisation: OrganisationId,
        cluster: ClusterId,
    ) -> Result<KubernetesIdentity, StoreError> {
        let row = fetch_optional!(
            self.reader(),
            (String, String),
            "SELECT kubernetes_identity, impersonation_prefix FROM clusters WHERE organisation_id = $1 AND id = $2",
            organisation.as_uuid(),
            cluster.as_uuid(),
        )?;
        match row.ok_or(StoreError::Missing("the cluster"))? {
            (mode, _) if mode == "agent" => Ok(KubernetesIdentity::Agent),
            (mode, prefix) if mode == "impersonate" => {
                Ok(KubernetesIdentity::Impersonate(parse("clusters.impersonation_prefix", &prefix)?))
            }
            _ => Err(StoreError::Corrupt("clusters.kubernetes_identity")),
        }
    }

    /// Changes by whose rights terminals are opened in a cluster from now on; [`StoreError::Missing`] if the organisation has no
    /// such cluster. Cancel safe.
    pub async fn set_kubernetes_identity(
        &self,
        (organisation, cluster): (OrganisationId, ClusterId),
        identity: &KubernetesIdentity,
        (origin, now): (Origin, UnixMillis),
    ) -> Result<(), StoreError> {
        let default = UserPrefix::default();
        let prefix = match identity {
            KubernetesIdentity::Agent => &default,
            KubernetesIdentity::Impersonate(prefix) => prefix,
        };
        let mut tx = self.begin().await?;
        let changed = execute!(
            tx.on(),
            "UPDATE clusters SET kubernetes_identity = $3, impersonation_prefix = $4
             WHERE organisation_id = $1 AND id = $2 AND revoked_at IS NULL",
            organisation.as_uuid(),
            cluster.as_uuid(),
            identity.slug(),
            prefix.as_str(),
        )?;
        if changed != 1 {
            return Err(StoreError::Missing("the cluster"));
        }
        let event = NewEvent::new(Action::KubernetesIdentityChanged, organisation, origin, now)
            .at(Place::Cluster(cluster))
            .detail("identity", identity.slug())
            .detail("user_prefix", prefix.as_str());
        append(&mut tx, &event).await?;
        self.commit_audited(tx).await
    }

    /// What Kubernetes may be told of a member; [`StoreError::Missing`] if the organisation has no such member. A mapped group
    /// that may not be impersonated is an error: nobody is opened for with a part of it. Cancel safe.
    pub async fn kubernetes_person(
        &self,
        organisation: OrganisationId,
        user: UserId,
    ) -> Result<KubernetesPerson, StoreError> {
        let email = fetch_optional!(
            self.reader(),
            (String,),
            "SELECT u.email FROM users u JOIN memberships m ON m.user_id = u.id
             WHERE m.organisation_id = $1 AND u.id = $2",
            organisation.as_uuid(),
            user.as_uuid(),
        )?;
        let (email,) = email.ok_or(StoreError::Missing("the member"))?;
        let rows = fetch_all!(
            self.reader(),
            (String,),
            "SELECT DISTINCT g.kubernetes_groups FROM user_groups g JOIN group_members m ON m.group_id = g.id
             WHERE g.organisation_id = $1 AND m.organisation_id = $1 AND m.user_id = $2
             ORDER BY g.kubernetes_groups",
            organisation.as_uuid(),
            user.as_uuid(),
        )?;
        let mut groups = Vec::new();
        for (list,) in rows {
            let list: Vec<KubernetesGroup> =
                serde_json::from_str(&list).map_err(|_| StoreError::Corrupt("user_groups.kubernetes_groups"))?;
            groups.extend(list);
        }
        groups.sort();
        groups.dedup();
        Ok(KubernetesPerson { email: parse("users.email", &email)?, groups })
    }

    /// The images that an organisation allows for debug containers, by name. Cancel safe.
    pub async fn debug_images(&self, organisation: OrganisationId) -> Result<Vec<DebugImage>, StoreError> {
        let rows = fetch_all!(
            self.reader(),
            (String,),
            "SELECT image FROM debug_images WHERE organisation_id = $1 ORDER BY image",
            organisation.as_uuid(),
        )?;
        rows.iter().map(|(image,)| parse("debug_images.image", image)).collect()
    }

    /// Changes which images an organisation allows for debug containers. Cancel safe.
    pub async fn set_debug_images(
        &self,
        organisation: OrganisationId,
        images: &[DebugImage],
        (origin, now): (Origin, UnixMillis),
    ) -> Result<(), StoreError> {
        let mut tx = self.begin().await?;
        execute!(tx.on(), "DELETE FROM debug_images WHERE organisation_id = $1", organisation.as_uuid())?;
        for image in images {
            execute!(
                tx.on(),
                "INSERT INTO debug_images (organisation_id, image, created_at) VALUES ($1, $2, $3)
                 ON CONFLICT (organisation_id, image) DO NOTHING",
                organisation.as_uuid(),
                image.as_str(),
                now.get(),
            )?;
        }
        let names: Vec<_> = images.iter().map(DebugImage::as_str).collect();
        let event = NewEvent::new(Action::DebugImagesChanged, organisation, origin, now);
        append(&mut tx, &event.detail("images", names.join(", "))).await?;
        self.commit_audited(tx).await
    }
}
