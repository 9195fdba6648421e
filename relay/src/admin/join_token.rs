//! `admin join-token`: another try for a cluster that exists.

use clap::Args;

use super::join_command::{JoinCommand, issue};
use super::{Desk, lookup};

/// The flags.
#[derive(Debug, Clone, Args)]
pub struct JoinTokenArgs {
    /// The cluster, by name or id
    #[arg(long, value_name = "NAME|ID")]
    cluster: String,
}

pub(super) async fn run(desk: &Desk, args: JoinTokenArgs) -> anyhow::Result<JoinCommand> {
    let cluster = lookup::cluster(&desk.store, &args.cluster).await?;
    issue(desk, &cluster).await
}
