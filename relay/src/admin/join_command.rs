//! How an agent joins: a fresh token, the CA's pin, and the commands to install with.

use std::fmt;
use std::time::Duration;

use anyhow::Context;
use podlatch_link::pin::CaPin;
use podlatch_protocol::id::JoinTokenId;
use serde::Serialize;

use super::Desk;
use crate::auth::token::{Token, TokenKind};
use crate::clock::UnixMillis;
use crate::config::HostPort;
use crate::domain::audit::Origin;
use crate::domain::cluster::Cluster;
use crate::pki::Ca;
use crate::store::NewJoinToken;

/// How long a join token is good: the time of an installation.
const LIFETIME: Duration = Duration::from_mins(30);

/// The port of a relay that is started without flags.
const DEFAULT_TUNNEL_PORT: u16 = 4433;

/// What an agent needs to join.
#[derive(Debug, Serialize)]
pub(super) struct JoinCommand {
    cluster: String,
    name: String,
    relay: String,
    ca_pin: String,
    join_token: String,
    expires_at: UnixMillis,
    helm: String,
    plain: String,
}

/// Makes a token for a cluster, and the commands around it.
pub(super) async fn issue(desk: &Desk, cluster: &Cluster) -> anyhow::Result<JoinCommand> {
    let relay = tunnel_address(desk)?;
    let pin = Ca::load_or_create(&desk.data, desk.now()).context("the relay's CA is not usable")?.pin();
    let token = Token::generate(TokenKind::Join, &desk.entropy);
    let expires_at = desk.now().plus(LIFETIME);
    let new = NewJoinToken {
        id: desk.new_id(JoinTokenId::new),
        hash: token.hash(),
        organisation: cluster.organisation,
        cluster: cluster.id,
        expires_at,
    };
    desk.store.create_join_token(&new, &Origin::operator(), desk.now()).await?;
    Ok(JoinCommand {
        cluster: cluster.id.to_string(),
        name: cluster.name.to_string(),
        helm: helm(&relay, &pin, &token),
        plain: plain(&relay, &pin, &token),
        relay: relay.to_string(),
        ca_pin: pin.to_string(),
        join_token: token.expose().to_owned(),
        expires_at,
    })
}

fn tunnel_address(desk: &Desk) -> anyhow::Result<HostPort> {
    match &desk.addresses.tunnel_address {
        Some(address) => Ok(address.clone()),
        None => HostPort::new(desk.public_url()?.host(), DEFAULT_TUNNEL_PORT)
            .context("say with --tunnel-address what agents dial"),
    }
}

// Nothing in these commands needs quoting for a shell: a host and port, hexadecimal digits, a base64url token.

fn helm(relay: &HostPort, pin: &CaPin, token: &Token) -> String {
    format!(
        "helm install podlatch-agent ./charts/podlatch-agent --namespace podlatch --create-namespace \\\n  \
         --set relay.address={relay} \\\n  --set relay.caPin={pin} \\\n  --set joinToken.value={}",
        token.expose()
    )
}

fn plain(relay: &HostPort, pin: &CaPin, token: &Token) -> String {
    format!("PODLATCH_JOIN_TOKEN={} podlatch-agent run \\\n  --relay {relay} \\\n  --ca-pin {pin}", token.expose())
}

impl fmt::Display for JoinCommand {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "Cluster {} ({}).", self.name, self.cluster)?;
        writeln!(f, "Its agent joins once with this token, until {}.\n", self.expires_at)?;
        writeln!(f, "In the cluster, with Helm:\n\n{}\n", indented(&self.helm))?;
        writeln!(f, "Or as a plain process that has a kubeconfig:\n\n{}", indented(&self.plain))
    }
}

fn indented(text: &str) -> String {
    text.lines().map(|line| format!("  {line}")).collect::<Vec<_>>().join("\n")
}
