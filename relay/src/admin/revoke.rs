//! `admin revoke`: withdraws a right. A running relay notices by itself.

use std::fmt;

use anyhow::{anyhow, ensure};
use clap::Subcommand;
use podlatch_protocol::id::{AgentId, LoginSessionId};
use serde::Serialize;

use super::{Desk, lookup};
use crate::domain::audit::Origin;

/// What to revoke.
#[derive(Debug, Clone, Subcommand)]
pub enum RevokeCommand {
    /// A cluster, with its agents and its join tokens
    Cluster {
        /// The cluster, by name or id
        #[arg(value_name = "NAME|ID")]
        cluster: String,
    },
    /// One agent
    Agent {
        /// The agent's id
        #[arg(value_name = "ID")]
        agent: AgentId,
    },
    /// Somebody's login
    LoginSession {
        /// The login session's id
        #[arg(value_name = "ID")]
        login_session: LoginSessionId,
    },
}

/// What was revoked.
#[derive(Debug, Serialize)]
pub(super) struct Revoked {
    kind: &'static str,
    id: String,
}

pub(super) async fn run(desk: &Desk, command: RevokeCommand) -> anyhow::Result<Revoked> {
    let by = Origin::operator();
    match command {
        RevokeCommand::Cluster { cluster } => {
            let cluster = lookup::cluster(&desk.store, &cluster).await?;
            let revoked = desk.store.revoke_cluster(cluster.organisation, cluster.id, &by, desk.now()).await?;
            ensure!(revoked, "the cluster was revoked already");
            Ok(Revoked { kind: "cluster", id: cluster.id.to_string() })
        }
        RevokeCommand::Agent { agent } => {
            let organisation = desk.store.organisation_of_agent(agent).await?;
            let organisation = organisation.ok_or_else(|| anyhow!("there is no agent with the id {agent}"))?;
            let revoked = desk.store.revoke_agent(organisation, agent, &by, desk.now()).await?;
            ensure!(revoked, "the agent was revoked already");
            Ok(Revoked { kind: "agent", id: agent.to_string() })
        }
        RevokeCommand::LoginSession { login_session: id } => {
            let organisation = desk.store.organisation_of_login_session(id).await?;
            let organisation = organisation.ok_or_else(|| anyhow!("there is no login session with the id {id}"))?;
            let revoked = desk.store.revoke_login_session(organisation, id, &by, desk.now()).await?;
            ensure!(revoked, "the login session was over already");
            Ok(Revoked { kind: "login session", id: id.to_string() })
        }
    }
}

impl fmt::Display for Revoked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "Revoked the {} {}.", self.kind, self.id)
    }
}
