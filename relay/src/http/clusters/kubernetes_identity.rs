//! `/api/v1/clusters/{id}/kubernetes-identity`: by whose rights terminals are opened in a cluster.

use axum::Json;
use axum::extract::State;
use podlatch_protocol::id::ClusterId;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::find;
use crate::app::App;
use crate::domain::access::{Action, Administration};
use crate::domain::audit::Place;
use crate::domain::kubernetes::{KubernetesIdentity, UserPrefix};
use crate::http::context::CallContext;
use crate::http::extract::{IdPath, JsonBody};
use crate::http::problem::{Problem, ProblemDocument, ProblemKind};

/// By whose rights terminals are opened. The cluster's agent must be set up alike.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(tag = "mode", rename_all = "snake_case", deny_unknown_fields)]
pub enum KubernetesIdentityBody {
    /// By the agent's own, or the given, credential.
    Agent {},
    /// As the signed-in person.
    Impersonate {
        /// What the person's address stands behind as a user name.
        #[serde(default = "default_prefix")]
        #[schema(example = "podlatch:")]
        user_prefix: String,
    },
}

fn default_prefix() -> String {
    UserPrefix::default().as_str().to_owned()
}

impl From<KubernetesIdentity> for KubernetesIdentityBody {
    fn from(identity: KubernetesIdentity) -> Self {
        match identity {
            KubernetesIdentity::Agent => Self::Agent {},
            KubernetesIdentity::Impersonate(prefix) => Self::Impersonate { user_prefix: prefix.as_str().to_owned() },
        }
    }
}

/// Shows by whose rights terminals are opened in a cluster.
#[utoipa::path(
    get,
    path = "/clusters/{id}/kubernetes-identity",
    operation_id = "getKubernetesIdentity",
    tag = "clusters",
    params(("id" = String, Path, description = "The cluster's id")),
    responses(
        (status = 200, body = KubernetesIdentityBody),
        (status = "4XX", body = ProblemDocument, content_type = "application/problem+json"),
    )
)]
pub async fn get(
    State(app): State<App>,
    context: CallContext,
    IdPath(id): IdPath<ClusterId>,
) -> Result<Json<KubernetesIdentityBody>, Problem> {
    let organisation = context.actor.organisation;
    let cluster = find(&app, &context, id).await?.cluster;
    let action = Action::ViewAdministration { organisation, part: Administration::Clusters };
    context.require(&app, action, Place::Cluster(cluster.id)).await?;
    Ok(Json(app.store.kubernetes_identity(organisation, cluster.id).await?.into()))
}

/// Changes by whose rights terminals are opened in a cluster from now on.
#[utoipa::path(
    put,
    path = "/clusters/{id}/kubernetes-identity",
    operation_id = "setKubernetesIdentity",
    tag = "clusters",
    params(("id" = String, Path, description = "The cluster's id")),
    request_body = KubernetesIdentityBody,
    responses(
        (status = 200, body = KubernetesIdentityBody),
        (status = "4XX", body = ProblemDocument, content_type = "application/problem+json"),
    )
)]
pub async fn put(
    State(app): State<App>,
    context: CallContext,
    IdPath(id): IdPath<ClusterId>,
    JsonBody(body): JsonBody<KubernetesIdentityBody>,
) -> Result<Json<KubernetesIdentityBody>, Problem> {
    let organisation = context.actor.organisation;
    let cluster = find(&app, &context, id).await?.cluster;
    context.require_administration(&app, Administration::Clusters, Place::Cluster(cluster.id)).await?;
    let identity = match body {
        KubernetesIdentityBody::Agent {} => KubernetesIdentity::Agent,
        KubernetesIdentityBody::Impersonate { user_prefix } => {
            let wrong = |error| Problem::new(ProblemKind::Unprocessable, format!("The prefix does not do: {error}."));
            KubernetesIdentity::Impersonate(user_prefix.parse().map_err(wrong)?)
        }
    };
    let by = (context.origin(), context.now);
    app.store.set_kubernetes_identity((organisation, cluster.id), &identity, by).await?;
    Ok(Json(identity.into()))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::domain::organisation::Role;
    use crate::http::testing::TestRelay;

    #[tokio::test]
    async fn it_is_the_agents_own_until_an_administrator_changes_it() {
        let relay = TestRelay::new().await;
        let ada = relay.sign_in("ada@example.org").await;
        let cluster = relay.cluster(&ada, "berlin").await;
        let path = format!("/api/v1/clusters/{}/kubernetes-identity", cluster.id);
        let put = async |cookie: &str, body| relay.request("PUT", &path).cookie(cookie).json(body).send().await;

        assert_eq!(relay.get(&path).cookie(&ada.cookie).send().await.json(), json!({ "mode": "agent" }));
        let wanted = json!({ "mode": "impersonate", "user_prefix": "corp:" });
        assert_eq!(put(&ada.cookie, wanted.clone()).await.status, 200);
        assert_eq!(relay.get(&path).cookie(&ada.cookie).send().await.json(), wanted);
        let bad = json!({ "mode": "impersonate", "user_prefix": "system:serviceaccount:" });
        put(&ada.cookie, bad).await.assert_problem(422, "unprocessable");
        let mia = relay.joins(&ada, "mia@example.org", Role::Member).await;
        put(&mia.cookie, json!({ "mode": "agent" })).await.assert_problem(403, "forbidden");
        let eve = relay.sign_in("eve@example.org").await;
        put(&eve.cookie, json!({ "mode": "agent" })).await.assert_problem(404, "not_found");
        assert_eq!(relay.get(&path).cookie(&ada.cookie).send().await.json(), wanted);
    }
}
