//! `PATCH /api/v1/groups/{id}`: changes a group.

use axum::Json;
use axum::extract::State;
use podlatch_protocol::id::GroupId;
use serde::Deserialize;
use utoipa::ToSchema;

use super::{GroupBody, find, kubernetes_groups, name, named, require_change};
use crate::app::App;
use crate::http::context::CallContext;
use crate::http::extract::{IdPath, JsonBody};
use crate::http::problem::{Problem, ProblemDocument};
use crate::store::GroupChange;

/// What is to be changed; what is left out stays.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct GroupChangeBody {
    /// The new name.
    name: Option<String>,
    /// All of the Kubernetes groups.
    kubernetes_groups: Option<Vec<String>>,
}

/// Changes a group.
#[utoipa::path(
    patch,
    path = "/groups/{id}",
    operation_id = "changeGroup",
    tag = "people",
    params(("id" = String, Path, description = "The group's id")),
    request_body = GroupChangeBody,
    responses(
        (status = 200, body = GroupBody),
        (status = "4XX", body = ProblemDocument, content_type = "application/problem+json"),
    )
)]
pub async fn patch(
    State(app): State<App>,
    context: CallContext,
    IdPath(id): IdPath<GroupId>,
    JsonBody(body): JsonBody<GroupChangeBody>,
) -> Result<Json<GroupBody>, Problem> {
    require_change(&app, &context).await?;
    let change = GroupChange {
        name: body.name.as_deref().map(name).transpose()?,
        kubernetes_groups: body.kubernetes_groups.map(kubernetes_groups).transpose()?,
    };
    let at = (context.actor.organisation, id);
    app.store.change_group(at, &change, &context.origin(), context.now).await.map_err(named)?;
    Ok(Json(find(&app, &context, id).await?.into()))
}
