//! `PATCH /api/v1/me/passkeys/{id}`: gives a passkey another name.

use axum::extract::State;
use http::StatusCode;
use podlatch_protocol::id::PasskeyId;
use serde::Deserialize;
use utoipa::ToSchema;

use super::create::parse_name;
use crate::app::App;
use crate::http::context::CallContext;
use crate::http::extract::{IdPath, JsonBody};
use crate::http::own_password::require_own_login;
use crate::http::problem::{Problem, ProblemDocument};

/// What changes.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PasskeyChange {
    /// What to call it from now on.
    name: String,
}

/// Gives a passkey another name.
#[utoipa::path(
    patch,
    path = "/me/passkeys/{id}",
    operation_id = "renamePasskey",
    tag = "login",
    params(("id" = String, Path, description = "The passkey's id")),
    request_body = PasskeyChange,
    responses(
        (status = 204),
        (status = 401, body = ProblemDocument, content_type = "application/problem+json"),
        (status = 404, body = ProblemDocument, content_type = "application/problem+json"),
    )
)]
pub async fn patch(
    State(app): State<App>,
    context: CallContext,
    IdPath(id): IdPath<PasskeyId>,
    JsonBody(body): JsonBody<PasskeyChange>,
) -> Result<StatusCode, Problem> {
    require_own_login(&app, &context).await?;
    let name = parse_name(&body.name)?;
    let whose = (context.actor.organisation, context.actor.user);
    if !app.store.rename_passkey(whose, id, &name, (&context.origin(), context.now)).await? {
        return Err(Problem::not_found("passkey"));
    }
    Ok(StatusCode::NO_CONTENT)
}
