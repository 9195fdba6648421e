//! `admin join-token`: another try for a cluster that exists.

use clap::Args;

use super::join_command::{JoinCommand, issue};
use super::{Desk, lookup};
use crate::joining::MAX_REPLICAS;

/// The flags.
#[derive(Debug, Clone, Args)]
pub struct JoinTokenArgs {
    /// The cluster, by name or id
    #[arg(long, value_name = "NAME|ID")]
    cluster: String,

    /// How many replicas of the agent are to join with the token
    #[arg(long, value_name = "NUMBER", default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=MAX_REPLICAS))]
    replicas: u16,
}

pub(super) async fn run(desk: &Desk, args: JoinTokenArgs) -> anyhow::Result<JoinCommand> {
    let cluster = lookup::cluster(&desk.store, &args.cluster).await?;
    issue(desk, &cluster, args.replicas).await
}
