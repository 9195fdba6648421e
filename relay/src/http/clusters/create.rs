//! `POST /api/v1/clusters`: registers a cluster.

use std::collections::BTreeMap;

use axum::Json;
use axum::extract::State;
use axum::response::IntoResponse;
use http::StatusCode;
use podlatch_protocol::id::ClusterId;
use secrecy::SecretString;
use serde::Deserialize;
use utoipa::ToSchema;

use super::access::{ClusterAccessBody, unsealed};
use super::{ClusterBody, labels, name, taken};
use crate::app::App;
use crate::domain::access::Administration;
use crate::domain::audit::Place;
use crate::domain::cluster::{ClusterOverview, ClusterType};
use crate::http::context::CallContext;
use crate::http::extract::JsonBody;
use crate::http::problem::{Problem, ProblemDocument};
use crate::public::{ClusterAccess, seal};
use crate::store::NewCluster;

/// The cluster to be registered.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum NewClusterBody {
    /// Reached through an agent inside it; `POST /clusters/{id}/join-tokens` says how to install one.
    Private(NewPrivateCluster),
    /// Reached by the relay itself.
    Public(Box<NewPublicCluster>),
}

/// A cluster that is reached through an agent.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewPrivateCluster {
    /// Unique in the organisation; 1 to 100 characters.
    name: String,
    /// By what access rules may find it.
    #[serde(default)]
    labels: BTreeMap<String, String>,
}

/// A cluster that the relay reaches by itself: with a kubeconfig, or with the fields one by one.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewPublicCluster {
    /// Unique in the organisation; 1 to 100 characters.
    name: String,
    /// By what access rules may find it.
    #[serde(default)]
    labels: BTreeMap<String, String>,
    /// A kubeconfig, whose current context counts. At most 64 KiB; no programs, no files, no proxies.
    #[schema(value_type = Option<String>)]
    kubeconfig: Option<SecretString>,
    /// The API server's address, as https://host[:port].
    server: Option<String>,
    /// The CA that signed the server's certificate, as PEM; without it, the web's authorities are trusted.
    ca: Option<String>,
    /// The name in the server's certificate, where it is another than the address's.
    tls_server_name: Option<String>,
    /// A bearer token, of a service account for one.
    #[schema(value_type = Option<String>)]
    token: Option<SecretString>,
    /// A client certificate with its chain, as PEM.
    client_certificate: Option<String>,
    /// Its key, as PEM.
    #[schema(value_type = Option<String>)]
    client_key: Option<SecretString>,
}

impl NewPublicCluster {
    fn into_parts(self) -> (String, BTreeMap<String, String>, ClusterAccessBody) {
        let access = ClusterAccessBody {
            kubeconfig: self.kubeconfig,
            server: self.server,
            ca: self.ca,
            tls_server_name: self.tls_server_name,
            token: self.token,
            client_certificate: self.client_certificate,
            client_key: self.client_key,
        };
        (self.name, self.labels, access)
    }
}

/// Registers a cluster.
#[utoipa::path(
    post,
    path = "/clusters",
    operation_id = "createCluster",
    tag = "clusters",
    request_body = NewClusterBody,
    responses(
        (status = 201, body = ClusterBody),
        (status = "4XX", body = ProblemDocument, content_type = "application/problem+json"),
    )
)]
pub async fn post(
    State(app): State<App>,
    context: CallContext,
    JsonBody(body): JsonBody<NewClusterBody>,
) -> Result<impl IntoResponse, Problem> {
    let organisation = context.require_administration(&app, Administration::Clusters, Place::Organisation).await?;
    let (cluster_type, named, labelled, access) = match body {
        NewClusterBody::Private(body) => (ClusterType::Private, body.name, body.labels, None),
        NewClusterBody::Public(body) => {
            let (name, labels, access) = body.into_parts();
            (ClusterType::Public, name, labels, Some(ClusterAccess::try_from(access)?))
        }
    };
    let new = NewCluster {
        id: ClusterId::new(context.now.since_epoch(), &app.entropy.bytes()),
        organisation,
        name: name(&named)?,
        cluster_type,
        labels: labels(labelled)?,
    };
    let by = context.origin();
    let cluster = match access {
        None => app.store.create_cluster(&new, &by, context.now).await.map_err(taken)?,
        Some(access) => {
            let sealed = seal(&app.sealing, (organisation, new.id), &access).map_err(unsealed)?;
            let created = app.store.create_public_cluster(&new, &sealed, &by, context.now).await.map_err(taken)?;
            app.public_clusters.ring();
            created
        }
    };
    let overview = ClusterOverview { cluster, last_agent: None };
    Ok((StatusCode::CREATED, Json(ClusterBody::new(overview, &app, &context))))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::domain::organisation::Role;
    use crate::http::testing::TestRelay;

    #[tokio::test]
    async fn a_registered_cluster_is_told_of_and_listed_and_audited() {
        let relay = TestRelay::new().await;
        let ada = relay.sign_in("ada@example.org").await;
        let body = json!({ "type": "private", "name": " berlin ", "labels": { "env": "prod" } });
        let response = relay.post("/api/v1/clusters").cookie(&ada.cookie).json(body.clone()).send().await;
        assert_eq!(response.status, 201, "{:?}", response.body);
        let made = response.json();
        assert_eq!(
            (&made["name"], &made["type"], &made["labels"]),
            (&json!("berlin"), &json!("private"), &json!({"env": "prod"}))
        );
        let listed = relay.get("/api/v1/clusters").cookie(&ada.cookie).send().await.json();
        assert_eq!(listed["items"], json!([made]));

        let again = relay.post("/api/v1/clusters").cookie(&ada.cookie).json(body).send().await;
        again.assert_problem(409, "taken");
        let path = "/api/v1/audit-events?action=cluster_created";
        let events = relay.get(path).cookie(&ada.cookie).send().await.json();
        let items = events["items"].as_array().expect("items");
        assert_eq!(items.len(), 1, "{events}");
        assert_eq!(items[0]["details"], json!({ "type": "private", "labels": { "env": "prod" } }));
        assert_eq!(items[0]["actor"]["kind"], "user");
    }

    #[tokio::test]
    async fn what_makes_no_sense_is_refused() {
        let relay = TestRelay::new().await;
        let ada = relay.sign_in("ada@example.org").await;
        for body in [
            json!({ "name": "berlin" }),
            json!({ "type": "other", "name": "berlin" }),
            json!({ "type": "private" }),
            json!({ "type": "private", "name": "" }),
            json!({ "type": "private", "name": "berlin", "organisation": "x" }),
            json!({ "type": "private", "name": "berlin", "labels": { "a b": "c" } }),
            json!({ "type": "private", "name": "berlin", "labels": { "a": 1 } }),
        ] {
            let response = relay.post("/api/v1/clusters").cookie(&ada.cookie).json(body).send().await;
            response.assert_problem(422, "unprocessable");
        }
    }

    #[tokio::test]
    async fn only_owners_and_admins_may() {
        let relay = TestRelay::new().await;
        let ada = relay.sign_in("ada@example.org").await;
        for (email, role, status) in [
            ("bob@example.org", Role::Admin, 201),
            ("cleo@example.org", Role::Auditor, 403),
            ("dan@example.org", Role::Member, 403),
        ] {
            let person = relay.joins(&ada, email, role).await;
            let body = json!({ "type": "private", "name": email });
            let response = relay.post("/api/v1/clusters").cookie(&person.cookie).json(body).send().await;
            assert_eq!(response.status, status, "{role:?}");
        }
    }
}
