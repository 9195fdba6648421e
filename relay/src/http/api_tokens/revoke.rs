//! `DELETE /api/v1/api-tokens/{id}`: revokes one of one's own API tokens.

use axum::extract::State;
use http::StatusCode;
use podlatch_protocol::id::LoginSessionId;

use crate::app::App;
use crate::domain::login::LoginKind;
use crate::http::context::CallContext;
use crate::http::extract::IdPath;
use crate::http::problem::{Problem, ProblemDocument};

/// Revokes one of the caller's API tokens, and ends the terminals that were opened with it. A token may revoke itself. For
/// somebody else's there is `DELETE /login-sessions/{id}`.
#[utoipa::path(
    delete,
    path = "/api-tokens/{id}",
    operation_id = "revokeApiToken",
    tag = "login",
    params(("id" = String, Path, description = "The token's id")),
    responses(
        (status = 204),
        (status = "4XX", body = ProblemDocument, content_type = "application/problem+json"),
    )
)]
pub async fn delete(
    State(app): State<App>,
    context: CallContext,
    IdPath(id): IdPath<LoginSessionId>,
) -> Result<StatusCode, Problem> {
    if id != context.actor.login_session {
        context.require_browser(&app, "revoke_api_token").await?;
    }
    let organisation = context.actor.organisation;
    let found = app.store.get_login(organisation, id, context.now).await?;
    let own = found.is_some_and(|login| login.user == context.actor.user && login.kind == LoginKind::Token);
    if own && app.store.revoke_login_session(organisation, id, &context.origin(), context.now).await? {
        return Ok(StatusCode::NO_CONTENT);
    }
    Err(Problem::not_found("API token"))
}
