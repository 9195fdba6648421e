//! `admin create-cluster`: registers a private cluster.

use anyhow::anyhow;
use clap::Args;
use podlatch_protocol::id::ClusterId;

use super::join_command::{JoinCommand, issue};
use super::{Desk, lookup};
use crate::domain::audit::Origin;
use crate::domain::cluster::ClusterType;
use crate::domain::labels::Labels;
use crate::domain::name::DisplayName;
use crate::store::{NewCluster, StoreError};

/// The flags.
#[derive(Debug, Clone, Args)]
pub struct CreateClusterArgs {
    /// The owning organisation, by name or id
    #[arg(long, value_name = "NAME|ID")]
    organisation: String,

    /// The cluster's name
    #[arg(long, value_name = "NAME")]
    name: DisplayName,
}

pub(super) async fn run(desk: &Desk, args: CreateClusterArgs) -> anyhow::Result<JoinCommand> {
    let organisation = lookup::organisation(&desk.store, &args.organisation).await?;
    let new = NewCluster {
        id: desk.new_id(ClusterId::new),
        organisation: organisation.id,
        name: args.name,
        cluster_type: ClusterType::Private,
        labels: Labels::default(),
    };
    let cluster =
        desk.store.create_cluster(&new, &Origin::operator(), desk.now()).await.map_err(|error| match error {
            StoreError::Taken(_) => {
                anyhow!("{} has a cluster {}; `admin join-token` prints how to join it", organisation.name, new.name)
            }
            other => other.into(),
        })?;
    issue(desk, &cluster).await
}
