//! How an agent joins: a fresh one-use token, the pin of the relay's CA, and the commands to install with. The same for
//! operators on the command line and for administrators in the console.

use std::time::Duration;

use podlatch_link::pin::CaPin;
use podlatch_protocol::id::JoinTokenId;
use serde::Serialize;
use utoipa::ToSchema;

use crate::auth::token::{Token, TokenKind};
use crate::clock::UnixMillis;
use crate::config::{HostPort, InvalidHostPort, PublicUrl};
use crate::domain::audit::Origin;
use crate::domain::cluster::Cluster;
use crate::entropy::Entropy;
use crate::store::{NewJoinToken, Store, StoreError};

/// How long a join token is good: the time of an installation.
const LIFETIME: Duration = Duration::from_mins(30);

/// Most replicas that may join with one token.
pub const MAX_REPLICAS: i64 = 16;

/// Where agents find this relay, and by what they know it.
#[derive(Debug, Clone)]
pub struct Joining {
    /// What agents dial.
    pub relay: HostPort,
    /// The pin of the relay's CA.
    pub pin: CaPin,
}

/// Makes tokens.
#[derive(Debug, Clone, Copy)]
pub struct Desk<'a> {
    /// Where they are kept.
    pub store: &'a Store,
    /// What they are made of.
    pub entropy: &'a Entropy,
    /// Who wants one.
    pub by: &'a Origin,
    /// When.
    pub now: UnixMillis,
    /// How many agents are to join: one for each replica of the installation.
    pub agents: u16,
}

/// What an agent needs to join. Holds the token in the clear: it is shown once and never kept.
#[derive(Serialize, ToSchema)]
pub struct JoinCommand {
    /// The cluster's id.
    pub cluster: String,
    /// The cluster's name. Untrusted text.
    pub name: String,
    /// What the agent dials, as `host:port` (UDP).
    pub relay: String,
    /// The pin of the relay's CA.
    pub ca_pin: String,
    /// Good once for each replica. It is not shown again.
    pub join_token: String,
    /// When the token ends (RFC 3339).
    #[schema(value_type = String, format = DateTime)]
    pub expires_at: UnixMillis,
    /// What installs the agent in its cluster.
    pub helm: String,
    /// What runs the agent as a plain process that has a kubeconfig.
    pub plain: String,
}

impl std::fmt::Debug for JoinCommand {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("JoinCommand").field("cluster", &self.cluster).finish_non_exhaustive()
    }
}

impl Joining {
    /// What agents dial: `asked`, or else the host that people open and this port.
    pub fn address(asked: Option<&HostPort>, public_url: &PublicUrl, port: u16) -> Result<HostPort, InvalidHostPort> {
        asked.map_or_else(|| HostPort::new(public_url.host(), port), |asked| Ok(asked.clone()))
    }

    /// Makes a token for a cluster, and the commands around it; [`StoreError::Missing`] if the cluster was revoked meanwhile.
    /// Cancel safe.
    pub async fn command(&self, cluster: &Cluster, desk: Desk<'_>) -> Result<JoinCommand, StoreError> {
        let token = Token::generate(TokenKind::Join, desk.entropy);
        let expires_at = desk.now.plus(LIFETIME);
        let new = NewJoinToken {
            id: JoinTokenId::new(desk.now.since_epoch(), &desk.entropy.bytes()),
            hash: token.hash(),
            organisation: cluster.organisation,
            cluster: cluster.id,
            expires_at,
            agents: desk.agents,
        };
        desk.store.create_join_token(&new, desk.by, desk.now).await?;
        Ok(JoinCommand {
            cluster: cluster.id.to_string(),
            name: cluster.name.to_string(),
            relay: self.relay.to_string(),
            ca_pin: self.pin.to_string(),
            helm: self.helm(&token, desk.agents),
            plain: self.plain(&token),
            join_token: token.expose().to_owned(),
            expires_at,
        })
    }

    // Nothing in these commands needs quoting for a shell: a host and port, hexadecimal digits, a base64url token.

    fn helm(&self, token: &Token, agents: u16) -> String {
        let Self { relay, pin } = self;
        let replicas = if agents > 1 { format!("--set replicaCount={agents} \\\n  ") } else { String::new() };
        format!(
            "helm install podlatch-agent ./charts/podlatch-agent --namespace podlatch --create-namespace \\\n  \
             --set relay.address={relay} \\\n  --set relay.caPin={pin} \\\n  {replicas}--set joinToken.value={}",
            token.expose()
        )
    }

    fn plain(&self, token: &Token) -> String {
        let Self { relay, pin } = self;
        format!("PODLATCH_JOIN_TOKEN={} podlatch-agent run \\\n  --relay {relay} \\\n  --ca-pin {pin}", token.expose())
    }
}
