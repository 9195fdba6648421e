//! `POST /api/v1/groups`: makes a group.

use axum::Json;
use axum::extract::State;
use axum::response::IntoResponse;
use http::StatusCode;
use podlatch_protocol::id::GroupId;
use serde::Deserialize;
use utoipa::ToSchema;

use super::{GroupBody, find, kubernetes_groups, name, named, require_change};
use crate::app::App;
use crate::http::context::CallContext;
use crate::http::extract::JsonBody;
use crate::http::problem::{Problem, ProblemDocument};

/// The group.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewGroupBody {
    /// Unique in the organisation; 1 to 100 characters.
    name: String,
    /// What Kubernetes is told of its members where the person is impersonated. Never `system:…`.
    #[serde(default)]
    kubernetes_groups: Vec<String>,
}

/// Makes a group.
#[utoipa::path(
    post,
    path = "/groups",
    operation_id = "createGroup",
    tag = "people",
    request_body = NewGroupBody,
    responses(
        (status = 201, body = GroupBody),
        (status = "4XX", body = ProblemDocument, content_type = "application/problem+json"),
    )
)]
pub async fn post(
    State(app): State<App>,
    context: CallContext,
    JsonBody(body): JsonBody<NewGroupBody>,
) -> Result<impl IntoResponse, Problem> {
    require_change(&app, &context).await?;
    let id = GroupId::new(context.now.since_epoch(), &app.entropy.bytes());
    let (name, kubernetes_groups) = (name(&body.name)?, kubernetes_groups(body.kubernetes_groups)?);
    let at = (context.actor.organisation, id);
    let what = (&name, kubernetes_groups.as_slice());
    app.store.create_group(at, what, &context.origin(), context.now).await.map_err(named)?;
    let group: GroupBody = find(&app, &context, id).await?.into();
    Ok((StatusCode::CREATED, Json(group)))
}
