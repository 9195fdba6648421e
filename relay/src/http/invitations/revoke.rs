//! `DELETE /api/v1/invitations/{id}`: withdraws an invitation.

use axum::extract::State;
use http::StatusCode;
use podlatch_protocol::id::InvitationId;

use crate::app::App;
use crate::domain::access::Administration;
use crate::domain::audit::Place;
use crate::http::context::CallContext;
use crate::http::extract::IdPath;
use crate::http::problem::{Problem, ProblemDocument};

/// Withdraws an invitation.
#[utoipa::path(
    delete,
    path = "/invitations/{id}",
    operation_id = "revokeInvitation",
    tag = "people",
    params(("id" = String, Path, description = "The invitation's id")),
    responses(
        (status = 204),
        (status = "4XX", body = ProblemDocument, content_type = "application/problem+json"),
    )
)]
pub async fn delete(
    State(app): State<App>,
    context: CallContext,
    IdPath(id): IdPath<InvitationId>,
) -> Result<StatusCode, Problem> {
    let organisation = context.require_administration(&app, Administration::People, Place::Organisation).await?;
    let done = app.store.revoke_invitation(organisation, id, &context.origin(), context.now).await?;
    if done { Ok(StatusCode::NO_CONTENT) } else { Err(Problem::not_found("invitation")) }
}
