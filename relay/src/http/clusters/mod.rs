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

use podlatch_protocol::id::{ClusterId, OrganisationId};
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
use crate::domain::cluster::{Cluster, ClusterOverview, ClusterType, LastAgent};
use crate::domain::labels::Labels;
use crate::domain::name::DisplayName;
use crate::public::health::Health;
use crate::store::StoreError;

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
    /// Why a public cluster does not answer, as a sentence for whoever sees to clusters. Untrusted text.
    trouble: Option<String>,
    /// The agent's release, once one has connected. Untrusted text.
    agent_version: Option<String>,
    /// The cluster's Kubernetes version, where it told. Untrusted text.
    kubernetes_version: Option<String>,
    /// When an agent, or a public cluster itself, was last heard of (RFC 3339).
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
    /// An agent is connected; a public cluster answers.
    Online,
    /// None is, but one was; a public cluster does not answer.
    Offline,
    /// None ever was; a public cluster was not asked yet.
    NeverConnected,
}

impl ClusterBody {
    fn new(overview: ClusterOverview, app: &App, context: &CallContext) -> Self {
        let ClusterOverview { cluster, last_agent } = overview;
        let found = Found::of(&cluster, last_agent, app);
        Self {
            id: cluster.id.to_string(),
            name: cluster.name.to_string(),
            type_: cluster.cluster_type.slug(),
            labels: cluster.labels,
            limits: cluster.limits.into(),
            state: found.state,
            trouble: found.trouble.filter(|_| sees_to_clusters(context, cluster.organisation)),
            agent_version: found.agent_version,
            kubernetes_version: found.kubernetes_version.filter(|version| !version.is_empty()),
            last_seen_at: found.last_seen_at,
            created_at: cluster.created_at,
        }
    }
}

/// What is known of the way to a cluster.
struct Found {
    state: ClusterState,
    trouble: Option<String>,
    agent_version: Option<String>,
    kubernetes_version: Option<String>,
    last_seen_at: Option<UnixMillis>,
}

impl Found {
    fn of(cluster: &Cluster, last_agent: Option<LastAgent>, app: &App) -> Self {
        match cluster.cluster_type {
            ClusterType::Private => Self::by_agent(app.agents.online(cluster.id), last_agent),
            ClusterType::Public => Self::by_asking(app.public_healths.get(cluster.id)),
        }
    }

    fn by_agent(online: bool, last: Option<LastAgent>) -> Self {
        let state = match (online, &last) {
            (true, _) => ClusterState::Online,
            (false, Some(_)) => ClusterState::Offline,
            (false, None) => ClusterState::NeverConnected,
        };
        let last_seen_at = last.as_ref().map(|agent| agent.seen_at);
        let (agent_version, kubernetes_version) =
            last.map(|agent| (agent.agent_version, agent.kubernetes_version)).unzip();
        Self { state, trouble: None, agent_version, kubernetes_version, last_seen_at }
    }

    fn by_asking(health: Option<Health>) -> Self {
        let state = match &health {
            Some(Health { trouble: Some(_), .. }) => ClusterState::Offline,
            Some(Health { trouble: None, .. }) => ClusterState::Online,
            None => ClusterState::NeverConnected,
        };
        let Health { answered_at, version, trouble } = health.unwrap_or_default();
        Self { state, trouble, agent_version: None, kubernetes_version: version, last_seen_at: answered_at }
    }
}

fn sees_to_clusters(context: &CallContext, organisation: OrganisationId) -> bool {
    let administer = Action::Administer { organisation, part: Administration::Clusters };
    authorize(&context.actor, administer) == Decision::Allow
}

/// Whether the caller may know of a cluster: because something in it may be seen, or because they see to clusters.
fn may_know(context: &CallContext, access: &Access, cluster: &Cluster) -> bool {
    sees_to_clusters(context, cluster.organisation) || access.may_view(&Target::cluster(cluster), context.now)
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
