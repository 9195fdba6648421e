//! `POST /api/v1/clusters/{id}/join-tokens`: how to install an agent.

use axum::Json;
use axum::extract::State;
use axum::response::IntoResponse;
use http::StatusCode;
use podlatch_protocol::id::ClusterId;
use serde::Deserialize;
use utoipa::ToSchema;

use super::find;
use crate::app::App;
use crate::domain::access::{Action, Administration};
use crate::domain::audit::Place;
use crate::domain::cluster::ClusterType;
use crate::http::context::CallContext;
use crate::http::extract::{IdPath, JsonBody};
use crate::http::problem::{Problem, ProblemDocument, ProblemKind};
use crate::joining::{Desk, JoinCommand, MAX_REPLICAS};

/// Whom the token is for.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewJoinTokenBody {
    /// How many replicas of the agent are to be installed, 1 to 16. The token is good once for each.
    #[serde(default = "one")]
    #[schema(minimum = 1, maximum = 16, default = 1)]
    replicas: u16,
}

const fn one() -> u16 {
    1
}

/// Makes a join token for one agent, good once within 30 minutes, and the commands to install the agent with. The token is
/// shown this once.
#[utoipa::path(
    post,
    path = "/clusters/{id}/join-tokens",
    operation_id = "createJoinToken",
    tag = "clusters",
    params(("id" = String, Path, description = "The cluster's id")),
    request_body = NewJoinTokenBody,
    responses(
        (status = 201, body = JoinCommand),
        (status = "4XX", body = ProblemDocument, content_type = "application/problem+json"),
    )
)]
pub async fn post(
    State(app): State<App>,
    context: CallContext,
    IdPath(id): IdPath<ClusterId>,
    JsonBody(body): JsonBody<NewJoinTokenBody>,
) -> Result<impl IntoResponse, Problem> {
    let cluster = find(&app, &context, id).await?.cluster;
    let action = Action::Administer { organisation: cluster.organisation, part: Administration::Clusters };
    context.require(&app, action, Place::Cluster(cluster.id)).await?;
    if cluster.cluster_type != ClusterType::Private {
        let detail = "This cluster is reached by the relay itself. No agent joins it.";
        return Err(Problem::new(ProblemKind::Unprocessable, detail));
    }
    let Some(joining) = &app.joining else {
        let detail = "This relay does not know what agents are to dial. Its operator can say so with --tunnel-address.";
        return Err(Problem::new(ProblemKind::Unprocessable, detail));
    };
    if !(1..=MAX_REPLICAS).contains(&i64::from(body.replicas)) {
        let detail = format!("An installation has 1 to {MAX_REPLICAS} replicas.");
        return Err(Problem::new(ProblemKind::Unprocessable, detail));
    }
    let by = context.origin();
    let desk = Desk { store: &app.store, entropy: &app.entropy, by: &by, now: context.now, agents: body.replicas };
    Ok((StatusCode::CREATED, Json(joining.command(&cluster, desk).await?)))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::auth::token::{TokenHash, TokenKind};
    use crate::domain::agent::PublicKeySha256;
    use crate::domain::organisation::Role;
    use crate::http::testing::TestRelay;

    #[tokio::test]
    async fn gives_a_command_with_a_token_that_is_good() {
        let relay = TestRelay::new().await;
        let ada = relay.sign_in("ada@example.org").await;
        let cluster = relay.cluster(&ada, "berlin").await;
        let path = format!("/api/v1/clusters/{}/join-tokens", cluster.id);
        let response = relay.post(&path).cookie(&ada.cookie).json(json!({ "replicas": 2 })).send().await;
        assert_eq!(response.status, 201, "{:?}", response.body);
        let command = response.json();
        let token = command["join_token"].as_str().expect("a token");
        let (helm, plain) = (command["helm"].as_str().expect("text"), command["plain"].as_str().expect("text"));
        for text in [helm, plain] {
            assert!(text.contains(token) && text.contains("sha256:ab") && text.contains("relay.example.org:4433"));
        }
        assert_eq!(command["expires_at"], "2023-11-14T22:43:20.000Z");

        let hash = TokenHash::parse(TokenKind::Join, token).expect("a token");
        assert!(helm.contains("--set replicaCount=2"), "{helm}");
        let (now, key) = (relay.app.clock.now(), PublicKeySha256([1; 32]));
        let grant = relay.app.store.join_grant(&hash, key, now).await.expect("answers").redeemed();
        assert_eq!(grant.expect("is good").cluster, cluster.id);

        let events = relay.get("/api/v1/audit-events").cookie(&ada.cookie).send().await;
        assert!(!String::from_utf8_lossy(&events.body).contains(token), "no token in the log");
        assert_eq!(events.json()["items"][0]["action"], "join_token_created");
    }

    #[tokio::test]
    async fn only_administrators_of_the_organisation_get_one() {
        let relay = TestRelay::new().await;
        let (ada, eve) = (relay.sign_in("ada@example.org").await, relay.sign_in("eve@example.org").await);
        let cluster = relay.cluster(&ada, "berlin").await;
        let path = format!("/api/v1/clusters/{}/join-tokens", cluster.id);
        relay.post(&path).json(json!({})).send().await.assert_problem(401, "unauthenticated");
        relay.post(&path).cookie(&eve.cookie).json(json!({})).send().await.assert_problem(404, "not_found");
        for (email, role) in [("mia@example.org", Role::Member), ("aud@example.org", Role::Auditor)] {
            let person = relay.joins(&ada, email, role).await;
            relay.post(&path).cookie(&person.cookie).json(json!({})).send().await.assert_problem(403, "forbidden");
        }
    }
}
