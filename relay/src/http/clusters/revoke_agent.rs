//! `DELETE /api/v1/clusters/{id}/agents/{agent}`: revokes one agent for good.

use axum::extract::{Path, State};
use http::StatusCode;
use podlatch_protocol::id::{AgentId, ClusterId};

use super::find;
use crate::app::App;
use crate::domain::access::{Action, Administration};
use crate::domain::audit::Place;
use crate::http::context::CallContext;
use crate::http::problem::{Problem, ProblemDocument};

/// Revokes one agent for good. Its sessions are ended, and it is disconnected, at once.
#[utoipa::path(
    delete,
    path = "/clusters/{id}/agents/{agent}",
    operation_id = "revokeAgent",
    tag = "clusters",
    params(
        ("id" = String, Path, description = "The cluster's id"),
        ("agent" = String, Path, description = "The agent's id"),
    ),
    responses(
        (status = 204),
        (status = "4XX", body = ProblemDocument, content_type = "application/problem+json"),
    )
)]
pub async fn delete(
    State(app): State<App>,
    context: CallContext,
    Path((cluster, agent)): Path<(String, String)>,
) -> Result<StatusCode, Problem> {
    let no_agent = || Problem::not_found("agent");
    let cluster: ClusterId = cluster.parse().map_err(|_| Problem::not_found("cluster"))?;
    let agent: AgentId = agent.parse().map_err(|_| no_agent())?;
    let cluster = find(&app, &context, cluster).await?.cluster;
    let action = Action::Administer { organisation: cluster.organisation, part: Administration::Clusters };
    context.require(&app, action, Place::Cluster(cluster.id)).await?;
    app.store.get_agent(cluster.organisation, cluster.id, agent).await?.ok_or_else(no_agent)?;
    if !app.store.revoke_agent(cluster.organisation, agent, &context.origin(), context.now).await? {
        return Err(no_agent());
    }
    app.agents.look_for_revoked();
    Ok(StatusCode::NO_CONTENT)
}
