//! `admin create-cluster`: registers a private cluster.

use clap::Args;
use podlatch_protocol::id::ClusterId;

use super::join_command::{JoinCommand, issue};
use super::{Desk, lookup};
use crate::config::AddressArgs;
use crate::domain::cluster::ClusterType;
use crate::domain::name::DisplayName;
use crate::store::NewCluster;

/// The flags.
#[derive(Debug, Clone, Args)]
pub struct CreateClusterArgs {
    /// The owning organisation, by name or id
    #[arg(long, value_name = "NAME|ID")]
    organisation: String,

    /// The cluster's name
    #[arg(long, value_name = "NAME")]
    name: DisplayName,

    #[command(flatten)]
    addresses: AddressArgs,
}

pub(super) async fn run(desk: &Desk, args: CreateClusterArgs) -> anyhow::Result<JoinCommand> {
    let organisation = lookup::organisation(&desk.store, &args.organisation).await?;
    let new = NewCluster {
        id: desk.new_id(ClusterId::new),
        organisation: organisation.id,
        name: args.name,
        cluster_type: ClusterType::Private,
    };
    let cluster = desk.store.create_cluster(&new, desk.now()).await?;
    issue(desk, &cluster, &args.addresses).await
}
