//! `DELETE /api/v1/groups/{id}/members/{user}`: takes somebody out of a group.

use axum::extract::State;
use http::StatusCode;

use super::{MemberPath, require_change};
use crate::app::App;
use crate::http::context::CallContext;
use crate::http::problem::{Problem, ProblemDocument};

/// Takes somebody out of a group into which an administrator put them. Whom the provider of the sign-in put there, it alone
/// takes out.
#[utoipa::path(
    delete,
    path = "/groups/{id}/members/{user}",
    operation_id = "removeGroupMember",
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
pub async fn delete(State(app): State<App>, context: CallContext, path: MemberPath) -> Result<StatusCode, Problem> {
    require_change(&app, &context).await?;
    let at = (context.actor.organisation, path.group);
    let done = app.store.remove_group_member(at, path.user, &context.origin(), context.now).await?;
    if done { Ok(StatusCode::NO_CONTENT) } else { Err(Problem::not_found("group or person")) }
}
