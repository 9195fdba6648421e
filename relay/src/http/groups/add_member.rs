//! `PUT /api/v1/groups/{id}/members/{user}`: puts somebody into a group.

use axum::extract::State;
use http::StatusCode;

use super::{MemberPath, named, require_change};
use crate::app::App;
use crate::http::context::CallContext;
use crate::http::problem::{Problem, ProblemDocument};

/// Puts a member of the organisation into a group. Whoever is in it already stays in it.
#[utoipa::path(
    put,
    path = "/groups/{id}/members/{user}",
    operation_id = "addGroupMember",
    tag = "people",
    params(
        ("id" = String, Path, description = "The group's id"),
        ("user" = String, Path, description = "The person's id"),
    ),
    responses(
        (status = 204),
        (status = "4XX", body = ProblemDocument, content_type = "application/problem+json"),
    )
)]
pub async fn put(State(app): State<App>, context: CallContext, path: MemberPath) -> Result<StatusCode, Problem> {
    require_change(&app, &context).await?;
    let at = (context.actor.organisation, path.group);
    app.store.add_group_member(at, path.user, &context.origin(), context.now).await.map_err(named)?;
    Ok(StatusCode::NO_CONTENT)
}
