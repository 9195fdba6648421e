//! `POST /api/v1/access-requests`: asks for an access that another person has to approve.

use std::time::Duration;

use axum::Json;
use axum::extract::State;
use axum::response::IntoResponse;
use http::StatusCode;
use podlatch_protocol::id::{AccessRequestId, ClusterId};
use serde::Deserialize;
use utoipa::ToSchema;

use super::RequestBody;
use crate::app::App;
use crate::domain::access::Action;
use crate::domain::access::approval::approvable;
use crate::domain::access::decision::{Reason, Target};
use crate::domain::access::rule::{AccessAction, Seconds};
use crate::domain::audit::Place;
use crate::domain::name::ReasonText;
use crate::http::access::Access;
use crate::http::context::CallContext;
use crate::http::extract::JsonBody;
use crate::http::problem::{Problem, ProblemDocument, ProblemKind};
use crate::store::NewAccessRequest;

/// What access is asked for.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = NewAccessRequest)]
pub struct NewRequestBody {
    /// The cluster's id.
    cluster: String,
    /// Without it: anywhere in the cluster.
    namespace: Option<String>,
    /// Without it: any pod.
    pod: Option<String>,
    /// `exec` or `debug`.
    action: AccessAction,
    /// Why; 1 to 500 characters.
    #[schema(value_type = String)]
    reason: ReasonText,
    /// For how long, once it is approved.
    #[schema(value_type = u64)]
    duration_seconds: Seconds,
}

/// Asks for access. Whoever may approve it finds it in their list.
#[utoipa::path(
    post,
    path = "/access-requests",
    operation_id = "requestAccess",
    tag = "access",
    request_body = NewRequestBody,
    responses(
        (status = 201, body = RequestBody),
        (status = "4XX", body = ProblemDocument, content_type = "application/problem+json"),
    )
)]
pub async fn post(
    State(app): State<App>,
    context: CallContext,
    JsonBody(body): JsonBody<NewRequestBody>,
) -> Result<impl IntoResponse, Problem> {
    let organisation = context.actor.organisation;
    let id: ClusterId = body.cluster.parse().map_err(|_| Problem::not_found("cluster"))?;
    let overview = app.store.get_cluster(organisation, id).await?;
    let found = overview.filter(|found| found.cluster.revoked_at.is_none());
    let cluster = found.ok_or_else(|| Problem::not_found("cluster"))?.cluster;
    context.require(&app, Action::Exec { organisation }, Place::Cluster(id)).await?;
    let bad =
        |error: podlatch_protocol::target::NameError| Problem::new(ProblemKind::Unprocessable, format!("{error}."));
    let duration: Duration = body.duration_seconds.duration();
    let new = NewAccessRequest {
        id: AccessRequestId::new(context.now.since_epoch(), &app.entropy.bytes()),
        organisation,
        user: context.actor.user,
        cluster: id,
        namespace: body.namespace.as_deref().map(str::parse).transpose().map_err(bad)?,
        pod: body.pod.as_deref().map(str::parse).transpose().map_err(bad)?,
        action: body.action,
        reason: body.reason,
        duration,
    };
    let access = Access::of(&app, &context).await?;
    let target = Target { namespace: new.namespace.clone(), pod: new.pod.clone(), ..Target::cluster(&cluster) };
    let question = access.question(&target, (new.action, Reason::Given), context.now);
    if approvable(&question).next().is_none() {
        let detail = "No access rule lets anybody approve this for you. Ask an owner or admin for a rule.";
        return Err(Problem::new(ProblemKind::Forbidden, detail));
    }
    app.store.create_access_request(&new, &context.origin(), context.now).await?;
    let stored = app.store.get_access_request(organisation, new.id).await?;
    let stored = stored.ok_or_else(|| Problem::not_found("request"))?;
    Ok((StatusCode::CREATED, Json(RequestBody::new(stored, false, context.now))))
}
