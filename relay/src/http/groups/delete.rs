//! `DELETE /api/v1/groups/{id}`: deletes a group.

use axum::extract::State;
use http::StatusCode;
use podlatch_protocol::id::GroupId;

use super::require_change;
use crate::app::App;
use crate::http::context::CallContext;
use crate::http::extract::IdPath;
use crate::http::problem::{Problem, ProblemDocument};

/// Deletes a group. Its people stay; what its being there allowed them, it allows no more.
#[utoipa::path(
    delete,
    path = "/groups/{id}",
    operation_id = "deleteGroup",
    tag = "people",
    params(("id" = String, Path, description = "The group's id")),
    responses(
        (status = 204),
        (status = "4XX", body = ProblemDocument, content_type = "application/problem+json"),
    )
)]
pub async fn delete(
    State(app): State<App>,
    context: CallContext,
    IdPath(id): IdPath<GroupId>,
) -> Result<StatusCode, Problem> {
    require_change(&app, &context).await?;
    let done = app.store.delete_group(context.actor.organisation, id, &context.origin(), context.now).await?;
    if done { Ok(StatusCode::NO_CONTENT) } else { Err(Problem::not_found("group")) }
}
