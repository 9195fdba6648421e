//! `GET /api/v1/clusters/{id}/namespaces/watch`: a cluster's namespaces.

use axum::extract::State;
use axum::response::IntoResponse;
use podlatch_protocol::id::ClusterId;
use podlatch_protocol::inventory::WatchScope;

use super::event::InventoryEventBody;
use crate::app::App;
use crate::http::context::CallContext;
use crate::http::extract::IdPath;
use crate::http::problem::{Problem, ProblemDocument};

/// The namespaces of a cluster, and every change of them. Server-Sent Events: `applied` with an item, `deleted` with an
/// item's key, `synced` once everything that there was has been sent, `refused` (the last event) when the agent may not
/// look. A comment every 15 seconds.
#[utoipa::path(
    get,
    path = "/clusters/{id}/namespaces/watch",
    operation_id = "watchNamespaces",
    tag = "clusters",
    params(("id" = String, Path, description = "The cluster's id")),
    responses(
        (status = 200, body = InventoryEventBody, content_type = "text/event-stream"),
        (status = 401, body = ProblemDocument, content_type = "application/problem+json"),
        (status = 404, body = ProblemDocument, content_type = "application/problem+json"),
        (status = 503, body = ProblemDocument, content_type = "application/problem+json"),
    )
)]
pub async fn get(
    State(app): State<App>,
    context: CallContext,
    IdPath(cluster): IdPath<ClusterId>,
) -> Result<impl IntoResponse, Problem> {
    super::open(app, context, cluster, WatchScope::Namespaces).await
}

#[cfg(test)]
mod tests {
    use crate::http::testing::TestRelay;

    #[tokio::test]
    async fn a_cluster_without_an_agent_is_named_and_a_foreign_one_is_not_found() {
        let relay = TestRelay::new().await;
        let (ada, bob) = (relay.sign_in("ada@example.org").await, relay.sign_in("bob@example.org").await);
        let (own, foreign) = (relay.cluster(&ada, "berlin").await, relay.cluster(&bob, "paris").await);
        for rest in ["namespaces/watch", "namespaces/shop/watch"] {
            let path = |id| format!("/api/v1/clusters/{id}/{rest}");
            relay.get(&path(own.id)).cookie(&ada.cookie).send().await.assert_problem(503, "agent_offline");
            relay.get(&path(foreign.id)).cookie(&ada.cookie).send().await.assert_problem(404, "not_found");
            relay.get(&path(own.id)).send().await.assert_problem(401, "unauthenticated");
        }
        let odd = format!("/api/v1/clusters/{}/namespaces/Not%2Fone/watch", own.id);
        relay.get(&odd).cookie(&ada.cookie).send().await.assert_problem(400, "bad_request");
    }
}
