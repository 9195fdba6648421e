//! `GET /api/v1/clusters/{id}`: one cluster.

use axum::Json;
use axum::extract::State;
use podlatch_protocol::id::ClusterId;

use super::{ClusterBody, find, may_know};
use crate::app::App;
use crate::domain::access::Action;
use crate::domain::audit::Place;
use crate::http::access::Access;
use crate::http::context::CallContext;
use crate::http::extract::IdPath;
use crate::http::problem::{Problem, ProblemDocument};

/// One cluster of the organisation.
#[utoipa::path(
    get,
    path = "/clusters/{id}",
    operation_id = "getCluster",
    tag = "clusters",
    params(("id" = String, Path, description = "The cluster's id")),
    responses(
        (status = 200, body = ClusterBody),
        (status = 401, body = ProblemDocument, content_type = "application/problem+json"),
        (status = 404, body = ProblemDocument, content_type = "application/problem+json"),
    )
)]
pub async fn get(
    State(app): State<App>,
    context: CallContext,
    IdPath(id): IdPath<ClusterId>,
) -> Result<Json<ClusterBody>, Problem> {
    let overview = find(&app, &context, id).await?;
    let action = Action::ViewCluster { organisation: overview.cluster.organisation };
    context.require(&app, action, Place::Cluster(overview.cluster.id)).await?;
    if !may_know(&context, &Access::of(&app, &context).await?, &overview.cluster) {
        return Err(Problem::not_found("cluster"));
    }
    Ok(Json(ClusterBody::new(overview, &app, &context)))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::domain::organisation::Role;
    use crate::http::testing::TestRelay;
    use crate::store::AgentSeen;

    #[tokio::test]
    async fn tells_what_is_known_of_a_cluster() {
        let relay = TestRelay::new().await;
        let ada = relay.sign_in("ada@example.org").await;
        let cluster = relay.cluster(&ada, "berlin").await;
        let path = format!("/api/v1/clusters/{}", cluster.id);
        let mut expected = json!({
            "id": cluster.id.to_string(), "name": "berlin", "type": "private", "labels": {}, "state": "never_connected",
            "limits": { "session_max_seconds": null, "idle_after_seconds": null, "idle_close_seconds": null },
            "trouble": null, "agent_version": null, "kubernetes_version": null, "last_seen_at": null,
            "created_at": "2023-11-14T22:13:20.000Z",
        });
        assert_eq!(relay.get(&path).cookie(&ada.cookie).send().await.json(), expected);

        let agent = relay.agent(&cluster).await;
        let said = AgentSeen { agent_version: "0.1.0", kubernetes_version: "v1.33.1" };
        let now = relay.app.clock.now();
        relay.app.store.touch_agent(cluster.organisation, agent, Some(said), now).await.expect("touches");
        expected["state"] = "offline".into();
        expected["agent_version"] = "0.1.0".into();
        expected["kubernetes_version"] = "v1.33.1".into();
        expected["last_seen_at"] = "2023-11-14T22:13:20.000Z".into();
        assert_eq!(relay.get(&path).cookie(&ada.cookie).send().await.json(), expected);
    }

    #[tokio::test]
    async fn a_public_cluster_that_does_not_answer_is_offline_and_those_who_see_to_it_are_told_why() {
        let relay = TestRelay::new().await;
        let ada = relay.sign_in("ada@example.org").await;
        let bob = relay.joins(&ada, "bob@example.org", Role::Member).await;
        let rule = json!({
            "name": "Everybody sees all", "effect": {"allow": {}}, "who": {"roles": ["member"]},
            "clusters": {"names": ["*"]}, "namespaces": ["*"], "containers": ["*"], "actions": ["view"],
        });
        assert_eq!(relay.post("/api/v1/access-rules").cookie(&ada.cookie).json(rule).send().await.status, 201);
        let body = json!({ "type": "public", "name": "berlin", "server": "https://api.example.org", "token": "t" });
        let made = relay.post("/api/v1/clusters").cookie(&ada.cookie).json(body).send().await.json();
        let id = made["id"].as_str().expect("an id");
        let cluster = id.parse().expect("an id");
        let path = format!("/api/v1/clusters/{id}");
        let found = async |cookie: &str| {
            let found = relay.get(&path).cookie(cookie).send().await.json();
            ["state", "trouble", "kubernetes_version", "last_seen_at"].map(|field| found[field].clone())
        };
        let null = json!(null);
        assert_eq!(found(&ada.cookie).await, [json!("never_connected"), null.clone(), null.clone(), null.clone()]);
        let (healths, now) = (&relay.app.public_healths, relay.app.clock.now());
        healths.note_answer(cluster, Some("v1.33.1".into()), now);
        let (version, seen) = (json!("v1.33.1"), json!("2023-11-14T22:13:20.000Z"));
        assert_eq!(found(&ada.cookie).await, [json!("online"), null.clone(), version.clone(), seen.clone()]);
        healths.note_trouble(cluster, "No answer.".into());
        let offline = |trouble| [json!("offline"), trouble, version.clone(), seen.clone()];
        assert_eq!(found(&ada.cookie).await, offline(json!("No answer.")));
        assert_eq!(found(&bob.cookie).await, offline(null));
    }

    #[tokio::test]
    async fn a_foreign_unknown_revoked_or_malformed_id_is_not_found() {
        let relay = TestRelay::new().await;
        let (ada, bob) = (relay.sign_in("ada@example.org").await, relay.sign_in("bob@example.org").await);
        let foreign = relay.cluster(&bob, "berlin").await;
        let revoked = relay.cluster(&ada, "paris").await;
        let organisation = ada.membership.organisation.id;
        let now = relay.app.clock.now();
        relay
            .app
            .store
            .revoke_cluster(organisation, revoked.id, &crate::domain::audit::Origin::operator(), now)
            .await
            .expect("revokes");
        let unknown = "01890000-0000-7000-8000-000000000000".to_owned();
        let simple = foreign.id.as_uuid().simple().to_string();
        for id in [foreign.id.to_string(), revoked.id.to_string(), unknown, simple, "x".into(), "%ff".into()] {
            let response = relay.get(&format!("/api/v1/clusters/{id}")).cookie(&ada.cookie).send().await;
            response.assert_problem(404, "not_found");
        }
        let path = format!("/api/v1/clusters/{}", foreign.id);
        relay.get(&path).send().await.assert_problem(401, "unauthenticated");
    }
}
