//! `POST /api/v1/clusters/connection-tests` and `POST /api/v1/clusters/{id}/connection-tests`: whether a public cluster can be
//! reached, and what is missing.

use axum::Json;
use axum::extract::State;
use podlatch_cluster::probe::{Allowed, Need};
use podlatch_protocol::id::ClusterId;
use serde::Serialize;
use utoipa::ToSchema;

use super::access::ClusterAccessBody;
use super::find;
use crate::app::App;
use crate::domain::access::Administration;
use crate::domain::audit::{Action as Audited, NewEvent, Outcome, Place};
use crate::http::context::CallContext;
use crate::http::extract::{IdPath, JsonBody};
use crate::http::problem::{Problem, ProblemDocument, ProblemKind};
use crate::public::connection_test::{self, Findings, Step, Tried};
use crate::public::{ClusterAccess, unseal};

/// What a connection test found.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = ConnectionTest)]
pub struct ConnectionTestBody {
    /// Whether terminals can be opened.
    ok: bool,
    /// The cluster's version, if it was told. Untrusted text.
    kubernetes_version: Option<String>,
    /// Every step, in the order in which they are tried.
    steps: Vec<StepBody>,
    /// What the credential may do, where that could be asked.
    permissions: Vec<PermissionBody>,
}

/// One step.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = ConnectionTestStep)]
pub struct StepBody {
    /// `resolvable`, `allowed`, `reachable`, `trusted`, `version`, `authenticated` or `permitted`.
    step: &'static str,
    state: StepState,
    /// What was found, and what to do. Empty where it was not tried.
    sentence: String,
}

/// How a step went.
#[derive(Debug, Clone, Copy, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = ConnectionTestStepState)]
pub enum StepState {
    /// Well.
    Ok,
    /// Not.
    Failed,
    /// An earlier step failed.
    NotTried,
}

/// What a credential may do.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = ConnectionTestPermission)]
pub struct PermissionBody {
    /// The verb, as Kubernetes names it.
    verb: &'static str,
    /// The resource.
    resource: &'static str,
    allowed: AllowedWhere,
    /// Where, if it is allowed in some namespaces. At most 20 are asked about.
    namespaces: Vec<String>,
}

/// Where something is allowed.
#[derive(Debug, Clone, Copy, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum AllowedWhere {
    /// In the whole cluster.
    Everywhere,
    /// In some namespaces.
    Some,
    /// Nowhere that was asked about.
    Nowhere,
}

impl From<Findings> for ConnectionTestBody {
    fn from(findings: Findings) -> Self {
        Self {
            ok: findings.is_ok(),
            kubernetes_version: findings.version,
            steps: findings.steps.into_iter().map(StepBody::from).collect(),
            permissions: findings.rights.into_iter().map(PermissionBody::from).collect(),
        }
    }
}

impl From<(Step, Tried)> for StepBody {
    fn from((step, tried): (Step, Tried)) -> Self {
        let (state, sentence) = match tried {
            Tried::Ok(sentence) => (StepState::Ok, sentence),
            Tried::Failed(sentence) => (StepState::Failed, sentence),
            Tried::NotTried => (StepState::NotTried, String::new()),
        };
        Self { step: step.slug(), state, sentence }
    }
}

impl From<(Need, Allowed)> for PermissionBody {
    fn from((need, allowed): (Need, Allowed)) -> Self {
        let (verb, resource) = need.verb_and_resource();
        let (allowed, namespaces) = match allowed {
            Allowed::Everywhere => (AllowedWhere::Everywhere, Vec::new()),
            Allowed::In(namespaces) => (AllowedWhere::Some, namespaces),
            Allowed::Nowhere => (AllowedWhere::Nowhere, Vec::new()),
        };
        Self { verb, resource, allowed, namespaces }
    }
}

/// Tries whether a cluster can be reached before it is registered. Nothing is kept.
#[utoipa::path(
    post,
    path = "/clusters/connection-tests",
    operation_id = "testClusterAccess",
    tag = "clusters",
    request_body = ClusterAccessBody,
    responses(
        (status = 200, body = ConnectionTestBody),
        (status = "4XX", body = ProblemDocument, content_type = "application/problem+json"),
    )
)]
pub async fn post(
    State(app): State<App>,
    context: CallContext,
    JsonBody(body): JsonBody<ClusterAccessBody>,
) -> Result<Json<ConnectionTestBody>, Problem> {
    context.require_administration(&app, Administration::Clusters, Place::Organisation).await?;
    test(&app, &context, Place::Organisation, &ClusterAccess::try_from(body)?).await
}

/// Tries whether a registered public cluster can be reached, with the credential that it has.
#[utoipa::path(
    post,
    path = "/clusters/{id}/connection-tests",
    operation_id = "testCluster",
    tag = "clusters",
    params(("id" = String, Path, description = "The cluster's id")),
    responses(
        (status = 200, body = ConnectionTestBody),
        (status = "4XX", body = ProblemDocument, content_type = "application/problem+json"),
    )
)]
pub async fn post_registered(
    State(app): State<App>,
    context: CallContext,
    IdPath(id): IdPath<ClusterId>,
) -> Result<Json<ConnectionTestBody>, Problem> {
    let organisation = context.actor.organisation;
    let cluster = find(&app, &context, id).await?.cluster;
    let place = Place::Cluster(cluster.id);
    context.require_administration(&app, Administration::Clusters, place.clone()).await?;
    let unprocessable = |detail| Problem::new(ProblemKind::Unprocessable, detail);
    let stored = app.store.public_access(organisation, cluster.id).await?;
    let stored =
        stored.ok_or_else(|| unprocessable("This cluster is reached through its agent. There is nothing to test."))?;
    let access = unseal(&app.sealing, (organisation, cluster.id), stored).map_err(|error| {
        tracing::error!(cluster.id = %cluster.id, "a cluster's credential could not be opened: {error}");
        unprocessable("The stored credential cannot be opened. Replace it.")
    })?;
    test(&app, &context, place, &access).await
}

async fn test(
    app: &App,
    context: &CallContext,
    place: Place,
    access: &ClusterAccess,
) -> Result<Json<ConnectionTestBody>, Problem> {
    let findings = connection_test::run(&app.dialler, access).await;
    let failed = findings.steps.iter().find(|(_, tried)| matches!(tried, Tried::Failed(_)));
    let mut event =
        NewEvent::new(Audited::ClusterConnectionTested, context.actor.organisation, context.origin(), app.clock.now())
            .at(place)
            .detail("server", access.server.url.to_string());
    if let Some((step, _)) = failed {
        event = event.outcome(Outcome::Failed).detail("failed", step.slug());
    }
    app.store.append_audit(&event).await?;
    Ok(Json(findings.into()))
}
