//! `DELETE /api/v1/people/{id}`: takes somebody out of the organisation.

use axum::extract::State;
use http::StatusCode;
use podlatch_protocol::id::UserId;

use super::change;
use crate::app::App;
use crate::domain::access::Administration;
use crate::domain::audit::Place;
use crate::domain::people::MemberChange;
use crate::http::context::CallContext;
use crate::http::extract::IdPath;
use crate::http::problem::{Problem, ProblemDocument};

/// Takes somebody out of the organisation: their logins and API tokens here end, and they leave their groups.
#[utoipa::path(
    delete,
    path = "/people/{id}",
    operation_id = "removePerson",
    tag = "people",
    params(("id" = String, Path, description = "The person's id")),
    responses(
        (status = 204),
        (status = "4XX", body = ProblemDocument, content_type = "application/problem+json"),
    )
)]
pub async fn delete(
    State(app): State<App>,
    context: CallContext,
    IdPath(id): IdPath<UserId>,
) -> Result<StatusCode, Problem> {
    context.require_administration(&app, Administration::People, Place::Organisation).await?;
    change(&app, &context, id, MemberChange::Remove).await?;
    Ok(StatusCode::NO_CONTENT)
}
