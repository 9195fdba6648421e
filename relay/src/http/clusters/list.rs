//! `GET /api/v1/clusters`: the organisation's clusters.

use axum::Json;
use axum::extract::State;
use serde::Serialize;
use utoipa::ToSchema;

use super::{ClusterBody, may_know};
use crate::app::App;
use crate::domain::access::Action;
use crate::domain::audit::Place;
use crate::domain::cluster::ClusterOverview;
use crate::http::access::Access;
use crate::http::context::CallContext;
use crate::http::extract::{PageQuery, QueryOf};
use crate::http::problem::{Problem, ProblemDocument};
use crate::store::List;

/// A page of clusters, oldest first.
#[derive(Debug, Serialize, ToSchema)]
pub struct ClusterPage {
    items: Vec<ClusterBody>,
    /// Where the next page begins; null on the last.
    next_cursor: Option<String>,
}

/// The organisation's clusters.
#[utoipa::path(
    get,
    path = "/clusters",
    operation_id = "listClusters",
    tag = "clusters",
    params(PageQuery),
    responses(
        (status = 200, body = ClusterPage),
        (status = 401, body = ProblemDocument, content_type = "application/problem+json"),
        (status = 422, body = ProblemDocument, content_type = "application/problem+json"),
    )
)]
pub async fn get(
    State(app): State<App>,
    context: CallContext,
    QueryOf(query): QueryOf<PageQuery>,
) -> Result<Json<ClusterPage>, Problem> {
    let organisation = context.actor.organisation;
    context.require(&app, Action::ViewCluster { organisation }, Place::Organisation).await?;
    let page = app.store.list_clusters(organisation, query.request(List::Clusters)?).await?;
    let access = Access::of(&app, &context).await?;
    let known = |overview: &ClusterOverview| may_know(&context, &access, &overview.cluster);
    let shown = |overview| ClusterBody::new(overview, &app, &context);
    Ok(Json(ClusterPage {
        items: page.items.into_iter().filter(known).map(shown).collect(),
        next_cursor: page.next.map(|cursor| cursor.to_string()),
    }))
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use crate::http::testing::TestRelay;

    #[tokio::test]
    async fn lists_the_own_organisations_clusters_page_by_page() {
        let relay = TestRelay::new().await;
        let (ada, bob) = (relay.sign_in("ada@example.org").await, relay.sign_in("bob@example.org").await);
        let mut ids = Vec::new();
        for name in ["berlin", "paris", "rome"] {
            ids.push(relay.cluster(&ada, name).await.id.to_string());
        }
        relay.cluster(&bob, "foreign").await;
        ids.sort();

        let whole = relay.get("/api/v1/clusters").cookie(&ada.cookie).send().await.json();
        assert_eq!((listed(&whole), &whole["next_cursor"]), (ids.clone(), &Value::Null));

        let first = relay.get("/api/v1/clusters?limit=2").cookie(&ada.cookie).send().await.json();
        let cursor = first["next_cursor"].as_str().expect("there is more");
        let path = format!("/api/v1/clusters?limit=2&cursor={cursor}");
        let second = relay.get(&path).cookie(&ada.cookie).send().await.json();
        assert_eq!([listed(&first), listed(&second)].concat(), ids);
        assert_eq!(second["next_cursor"], Value::Null);
    }

    #[tokio::test]
    async fn a_malformed_query_is_named() {
        let relay = TestRelay::new().await;
        let ada = relay.sign_in("ada@example.org").await;
        for (query, status, slug) in [
            ("cursor=x", 422, "unprocessable"),
            ("cursor=", 422, "unprocessable"),
            ("limit=-1", 400, "bad_request"),
            ("limit=x", 400, "bad_request"),
            ("limit=70000", 400, "bad_request"),
        ] {
            let response = relay.get(&format!("/api/v1/clusters?{query}")).cookie(&ada.cookie).send().await;
            response.assert_problem(status, slug);
        }
        relay.get("/api/v1/clusters").send().await.assert_problem(401, "unauthenticated");
    }

    fn listed(page: &Value) -> Vec<String> {
        let items = page["items"].as_array().expect("a list");
        items.iter().map(|item| item["id"].as_str().expect("an id").to_owned()).collect()
    }
}
