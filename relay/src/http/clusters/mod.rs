//! Registered clusters, as browsers see them.

pub mod access;
pub mod agents;
pub mod connection_tests;
pub mod create;
pub mod get;
pub mod join_tokens;
pub mod kubernetes_identity;
pub mod list;
pub mod revoke;
pub mod revoke_agent;
pub mod update;

use std::collections::BTreeMap;

use podlatch_protocol::id::ClusterId;
use serde::Serialize;
use utoipa::ToSchema;

use self::update::LimitsBody;
use super::access::Access;
use super::context::CallContext;
use super::problem::{Problem, ProblemKind};
use crate::app::App;
use crate::clock::UnixMillis;
use crate::domain::access::decision::Target;
use crate::domain::access::{Action, Administration, Decision, authorize};
use crate::domain::cluster::{Cluster, ClusterOverview};
use crate::domain::labels::Labels;
use crate::domain::name::DisplayName;
use crate::store::StoreError;
use crate::tunnel::Agents;

/// A registered cluster.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Cluster)]
pub struct ClusterBody {
    id: String,
    name: String,
    /// `private`: reached through an agent. `public`: by the relay itself.
    #[serde(rename = "type")]
    #[schema(example = "private")]
    type_: &'static str,
    /// By what access rules may find it.
    #[schema(value_type = BTreeMap<String, String>)]
    labels: Labels,
    limits: LimitsBody,
    state: ClusterState,
    /// The agent's release, once one has connected. Untrusted text.
    agent_version: Option<String>,
    /// The cluster's Kubernetes version, where the agent could ask. Untrusted text.
    kubernetes_version: Option<String>,
    /// When an agent was last heard of (RFC 3339).
    #[schema(value_type = Option<String>, format = DateTime)]
    last_seen_at: Option<UnixMillis>,
    /// When the cluster was registered (RFC 3339).
    #[schema(value_type = String, format = DateTime)]
    created_at: UnixMillis,
}

/// Whether a cluster can be reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum ClusterState {
    /// An agent is connected.
    Online,
    /// None is, but one was.
    Offline,
    /// None ever was.
    NeverConnected,
}

impl ClusterBody {
    fn new(overview: ClusterOverview, agents: &Agents) -> Self {
        let ClusterOverview { cluster, last_agent } = overview;
        let state = match (agents.online(cluster.id), &last_agent) {
            (true, _) => ClusterState::Online,
            (false, Some(_)) => ClusterState::Offline,
            (false, None) => ClusterState::NeverConnected,
        };
        Self {
            id: cluster.id.to_string(),
            name: cluster.name.to_string(),
            type_: cluster.cluster_type.slug(),
            labels: cluster.labels,
            limits: cluster.limits.into(),
            state,
            last_seen_at: last_agent.as_ref().map(|agent| agent.seen_at),
            agent_version: last_agent.as_ref().map(|agent| agent.agent_version.clone()),
            kubernetes_version: last_agent.map(|agent| agent.kubernetes_version).filter(|version| !version.is_empty()),
            created_at: cluster.created_at,
        }
    }
}

/// Whether the caller may know of a cluster: because something in it may be seen, or because they see to clusters.
fn may_know(context: &CallContext, access: &Access, cluster: &Cluster) -> bool {
    let administer = Action::Administer { organisation: cluster.organisation, part: Administration::Clusters };
    authorize(&context.actor, administer) == Decision::Allow || access.may_view(&Target::cluster(cluster), context.now)
}

/// A cluster of the caller's organisation that is not revoked.
async fn find(app: &App, context: &CallContext, id: ClusterId) -> Result<ClusterOverview, Problem> {
    let found = app.store.get_cluster(context.actor.organisation, id).await?;
    found.filter(|found| found.cluster.revoked_at.is_none()).ok_or_else(|| Problem::not_found("cluster"))
}

fn name(text: &str) -> Result<DisplayName, Problem> {
    text.parse().map_err(|error| Problem::new(ProblemKind::Unprocessable, format!("{error}.")))
}

fn labels(labels: BTreeMap<String, String>) -> Result<Labels, Problem> {
    Labels::new(labels).map_err(|error| Problem::new(ProblemKind::Unprocessable, format!("{error}.")))
}

/// A name that another cluster has.
fn taken(error: StoreError) -> Problem {
    match error {
        StoreError::Taken(_) => {
            Problem::new(ProblemKind::Taken, "The organisation has a cluster of this name. Choose another.")
        }
        other => other.into(),
    }
}
