//! `DELETE /api/v1/me/passkeys/{id}`: removes a passkey.

use axum::extract::State;
use http::StatusCode;
use podlatch_protocol::id::PasskeyId;

use crate::app::App;
use crate::http::context::CallContext;
use crate::http::extract::IdPath;
use crate::http::own_password::require_own_login;
use crate::http::problem::{Problem, ProblemDocument};

/// Removes a passkey. It signs nobody in from then on.
#[utoipa::path(
    delete,
    path = "/me/passkeys/{id}",
    operation_id = "deletePasskey",
    tag = "login",
    params(("id" = String, Path, description = "The passkey's id")),
    responses(
        (status = 204),
        (status = 401, body = ProblemDocument, content_type = "application/problem+json"),
        (status = 404, body = ProblemDocument, content_type = "application/problem+json"),
    )
)]
pub async fn delete(
    State(app): State<App>,
    context: CallContext,
    IdPath(id): IdPath<PasskeyId>,
) -> Result<StatusCode, Problem> {
    require_own_login(&app, &context).await?;
    let whose = (context.actor.organisation, context.actor.user);
    if !app.store.remove_passkey(whose, id, (&context.origin(), context.now)).await? {
        return Err(Problem::not_found("passkey"));
    }
    Ok(StatusCode::NO_CONTENT)
}
