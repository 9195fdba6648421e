//! How an agent joins, for an operator.

use std::fmt;

use anyhow::Context;
use serde::Serialize;

use super::Desk;
use crate::domain::audit::Origin;
use crate::domain::cluster::Cluster;
use crate::joining::{self, Joining};
use crate::pki::Ca;

/// The port of a relay that is started without flags.
const DEFAULT_TUNNEL_PORT: u16 = 4433;

/// What an agent needs to join.
#[derive(Debug, Serialize)]
#[serde(transparent)]
pub(super) struct JoinCommand(joining::JoinCommand);

/// Makes a token for a cluster, and the commands around it.
pub(super) async fn issue(desk: &Desk, cluster: &Cluster, agents: u16) -> anyhow::Result<JoinCommand> {
    let relay = Joining::address(desk.addresses.tunnel_address.as_ref(), &desk.public_url()?, DEFAULT_TUNNEL_PORT)
        .context("say with --tunnel-address what agents dial")?;
    let pin = Ca::load_or_create(&desk.data, desk.now()).context("the relay's CA is not usable")?.pin();
    let by = Origin::operator();
    let desk = joining::Desk { store: &desk.store, entropy: &desk.entropy, by: &by, now: desk.now(), agents };
    Ok(JoinCommand(Joining { relay, pin }.command(cluster, desk).await?))
}

impl fmt::Display for JoinCommand {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let joining::JoinCommand { name, cluster, expires_at, helm, plain, .. } = &self.0;
        writeln!(f, "Cluster {name} ({cluster}).")?;
        writeln!(f, "Its agent joins once with this token, until {expires_at}.\n")?;
        writeln!(f, "In the cluster, with Helm:\n\n{}\n", indented(helm))?;
        writeln!(f, "Or as a plain process that has a kubeconfig:\n\n{}", indented(plain))
    }
}

fn indented(text: &str) -> String {
    text.lines().map(|line| format!("  {line}")).collect::<Vec<_>>().join("\n")
}
