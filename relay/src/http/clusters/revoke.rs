//! `DELETE /api/v1/clusters/{id}`: revokes a cluster for good.

use axum::extract::State;
use http::StatusCode;
use podlatch_protocol::id::ClusterId;

use super::find;
use crate::app::App;
use crate::domain::access::Administration;
use crate::domain::audit::Place;
use crate::http::context::CallContext;
use crate::http::extract::IdPath;
use crate::http::problem::{Problem, ProblemDocument};

/// Revokes a cluster for good, with its agents and join tokens. Its sessions are ended and its agents disconnected at once.
#[utoipa::path(
    delete,
    path = "/clusters/{id}",
    operation_id = "revokeCluster",
    tag = "clusters",
    params(("id" = String, Path, description = "The cluster's id")),
    responses(
        (status = 204),
        (status = "4XX", body = ProblemDocument, content_type = "application/problem+json"),
    )
)]
pub async fn delete(
    State(app): State<App>,
    context: CallContext,
    IdPath(id): IdPath<ClusterId>,
) -> Result<StatusCode, Problem> {
    let organisation = context.actor.organisation;
    let cluster = find(&app, &context, id).await?.cluster;
    context.require_administration(&app, Administration::Clusters, Place::Cluster(cluster.id)).await?;
    if !app.store.revoke_cluster(organisation, cluster.id, &context.origin(), context.now).await? {
        return Err(Problem::not_found("cluster"));
    }
    app.agents.look_for_revoked();
    app.public_clusters.ring();
    Ok(StatusCode::NO_CONTENT)
}

#[cfg(test)]
mod tests {
    use crate::domain::organisation::Role;
    use crate::http::testing::TestRelay;

    #[tokio::test]
    async fn a_revoked_cluster_is_gone_and_its_name_is_free() {
        let relay = TestRelay::new().await;
        let (ada, eve) = (relay.sign_in("ada@example.org").await, relay.sign_in("eve@example.org").await);
        let member = relay.joins(&ada, "mia@example.org", Role::Member).await;
        let cluster = relay.cluster(&ada, "berlin").await;
        let path = format!("/api/v1/clusters/{}", cluster.id);
        relay.delete(&path).cookie(&eve.cookie).send().await.assert_problem(404, "not_found");
        relay.delete(&path).cookie(&member.cookie).send().await.assert_problem(403, "forbidden");
        assert_eq!(relay.delete(&path).cookie(&ada.cookie).send().await.status, 204);
        relay.get(&path).cookie(&ada.cookie).send().await.assert_problem(404, "not_found");
        relay.delete(&path).cookie(&ada.cookie).send().await.assert_problem(404, "not_found");
        let events = relay.get("/api/v1/audit-events?action=cluster_revoked").cookie(&ada.cookie).send().await.json();
        assert_eq!(events["items"].as_array().map(Vec::len), Some(1), "{events}");
        relay.cluster(&ada, "berlin").await;
    }
}
