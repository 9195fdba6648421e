//! `PATCH /api/v1/clusters/{id}`: changes a cluster's name, labels and limits.

use std::collections::BTreeMap;
use std::time::Duration;

use axum::Json;
use axum::extract::State;
use podlatch_protocol::id::ClusterId;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{ClusterBody, find, labels, name, taken};
use crate::app::App;
use crate::config::SessionTime;
use crate::domain::access::Administration;
use crate::domain::audit::Place;
use crate::domain::session_limits::LimitSettings;
use crate::http::context::CallContext;
use crate::http::extract::{IdPath, JsonBody};
use crate::http::problem::{Problem, ProblemDocument, ProblemKind};
use crate::store::ClusterChange;

/// What is to be changed; what is left out stays.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ClusterChangeBody {
    /// The new name.
    name: Option<String>,
    /// All of the labels.
    labels: Option<BTreeMap<String, String>>,
    /// How long the sessions that are opened from now on may live.
    limits: Option<LimitsBody>,
}

/// How long sessions may live. What is null or left out is as the organisation says.
#[derive(Debug, Clone, Copy, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[expect(clippy::struct_field_names, reason = "the unit belongs into the name")]
pub struct LimitsBody {
    /// How long a session lives at most, in seconds.
    session_max_seconds: Option<u64>,
    /// After how many seconds without anybody typing it is flagged idle.
    idle_after_seconds: Option<u64>,
    /// After how many seconds without anybody typing it is closed.
    idle_close_seconds: Option<u64>,
}

/// Changes a cluster.
#[utoipa::path(
    patch,
    path = "/clusters/{id}",
    operation_id = "changeCluster",
    tag = "clusters",
    params(("id" = String, Path, description = "The cluster's id")),
    request_body = ClusterChangeBody,
    responses(
        (status = 200, body = ClusterBody),
        (status = "4XX", body = ProblemDocument, content_type = "application/problem+json"),
    )
)]
pub async fn patch(
    State(app): State<App>,
    context: CallContext,
    IdPath(id): IdPath<ClusterId>,
    JsonBody(body): JsonBody<ClusterChangeBody>,
) -> Result<Json<ClusterBody>, Problem> {
    let organisation = context.actor.organisation;
    let cluster = find(&app, &context, id).await?.cluster;
    context.require_administration(&app, Administration::Clusters, Place::Cluster(cluster.id)).await?;
    let change = ClusterChange {
        name: body.name.as_deref().map(name).transpose()?,
        labels: body.labels.map(labels).transpose()?,
    };
    let limits = body.limits.map(LimitSettings::try_from).transpose()?;
    if change.name.is_some() || change.labels.is_some() {
        let by = context.origin();
        app.store.change_cluster((organisation, cluster.id), &change, &by, context.now).await.map_err(taken)?;
    }
    if let Some(limits) = limits {
        app.store.set_cluster_limits(organisation, cluster.id, &limits, (context.origin(), context.now)).await?;
    }
    Ok(Json(ClusterBody::new(find(&app, &context, id).await?, &app, &context)))
}

impl From<LimitSettings> for LimitsBody {
    fn from(limits: LimitSettings) -> Self {
        let seconds = |time: Option<Duration>| time.map(|time| time.as_secs());
        Self {
            session_max_seconds: seconds(limits.session_max),
            idle_after_seconds: seconds(limits.idle_after),
            idle_close_seconds: seconds(limits.idle_close),
        }
    }
}

impl TryFrom<LimitsBody> for LimitSettings {
    type Error = Problem;

    fn try_from(body: LimitsBody) -> Result<Self, Problem> {
        let time = |seconds: Option<u64>| -> Result<Option<Duration>, Problem> {
            let parsed = seconds.map(|seconds| format!("{seconds}s").parse::<SessionTime>()).transpose();
            let parsed = parsed.map_err(|error| Problem::new(ProblemKind::Unprocessable, format!("{error}.")))?;
            Ok(parsed.map(SessionTime::get))
        };
        Ok(Self {
            session_max: time(body.session_max_seconds)?,
            idle_after: time(body.idle_after_seconds)?,
            idle_close: time(body.idle_close_seconds)?,
        })
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use serde_json::json;

    use crate::domain::organisation::Role;
    use crate::http::testing::TestRelay;

    #[tokio::test]
    async fn changes_what_is_said_and_leaves_the_rest() {
        let relay = TestRelay::new().await;
        let ada = relay.sign_in("ada@example.org").await;
        let cluster = relay.cluster(&ada, "berlin").await;
        let path = format!("/api/v1/clusters/{}", cluster.id);
        let patch = async |body| relay.patch(&path).cookie(&ada.cookie).json(body).send().await;

        let changed = patch(json!({ "labels": { "env": "prod" } })).await.json();
        assert_eq!((&changed["name"], &changed["labels"]), (&json!("berlin"), &json!({ "env": "prod" })));
        let changed = patch(json!({ "name": "paris" })).await.json();
        assert_eq!((&changed["name"], &changed["labels"]), (&json!("paris"), &json!({ "env": "prod" })));
        let limits = json!({ "session_max_seconds": 3600, "idle_close_seconds": null });
        let changed = patch(json!({ "limits": limits })).await.json();
        let shown = json!({ "session_max_seconds": 3600, "idle_after_seconds": null, "idle_close_seconds": null });
        assert_eq!(changed["limits"], shown);
        let stored = relay.app.store.limit_settings(cluster.organisation, cluster.id).await.expect("answers");
        assert!(stored.iter().any(|limits| limits.session_max == Some(Duration::from_hours(1))), "{stored:?}");

        let events = relay.get("/api/v1/audit-events?action=cluster_changed").cookie(&ada.cookie).send().await.json();
        assert_eq!(events["items"].as_array().map(Vec::len), Some(2), "{events}");
        assert_eq!(events["items"][0]["details"], json!({ "name": "paris" }));
    }

    #[tokio::test]
    async fn refuses_what_it_must() {
        let relay = TestRelay::new().await;
        let (ada, eve) = (relay.sign_in("ada@example.org").await, relay.sign_in("eve@example.org").await);
        let cluster = relay.cluster(&ada, "berlin").await;
        relay.cluster(&ada, "paris").await;
        let path = format!("/api/v1/clusters/{}", cluster.id);
        let body = || json!({ "name": "rome" });
        relay.patch(&path).cookie(&eve.cookie).json(body()).send().await.assert_problem(404, "not_found");
        let member = relay.joins(&ada, "mia@example.org", Role::Member).await;
        relay.patch(&path).cookie(&member.cookie).json(body()).send().await.assert_problem(403, "forbidden");
        let taken = relay.patch(&path).cookie(&ada.cookie).json(json!({ "name": "paris" })).send().await;
        taken.assert_problem(409, "taken");
        for bad in [
            json!({ "type": "public" }),
            json!({ "name": "\u{1b}" }),
            json!({ "limits": { "session_max_seconds": 0 } }),
        ] {
            relay.patch(&path).cookie(&ada.cookie).json(bad).send().await.assert_problem(422, "unprocessable");
        }
    }
}
