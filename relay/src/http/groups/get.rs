//! `GET /api/v1/groups/{id}`: one group.

use axum::Json;
use axum::extract::State;
use podlatch_protocol::id::GroupId;

use super::{GroupBody, find, require_view};
use crate::app::App;
use crate::http::context::CallContext;
use crate::http::extract::IdPath;
use crate::http::problem::{Problem, ProblemDocument};

/// One group.
#[utoipa::path(
    get,
    path = "/groups/{id}",
    operation_id = "getGroup",
    tag = "people",
    params(("id" = String, Path, description = "The group's id")),
    responses(
        (status = 200, body = GroupBody),
        (status = "4XX", body = ProblemDocument, content_type = "application/problem+json"),
    )
)]
pub async fn get(
    State(app): State<App>,
    context: CallContext,
    IdPath(id): IdPath<GroupId>,
) -> Result<Json<GroupBody>, Problem> {
    require_view(&app, &context).await?;
    Ok(Json(find(&app, &context, id).await?.into()))
}
