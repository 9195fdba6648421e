//! `DELETE /api/v1/login-sessions/{id}`: ends a login or an API token.

use axum::extract::State;
use http::StatusCode;
use podlatch_protocol::id::LoginSessionId;

use crate::app::App;
use crate::domain::access::{Action, Administration};
use crate::domain::audit::Place;
use crate::http::context::CallContext;
use crate::http::extract::IdPath;
use crate::http::problem::{Problem, ProblemDocument};

/// Ends a login or an API token, and the terminals that were opened with it. One's own login ends in every organisation that
/// it was taken to; administrators end anybody's in theirs.
#[utoipa::path(
    delete,
    path = "/login-sessions/{id}",
    operation_id = "revokeLoginSession",
    tag = "login",
    params(("id" = String, Path, description = "The login's id")),
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
    let organisation = context.actor.organisation;
    let found = app.store.get_login(organisation, id, context.now).await?;
    let by = context.origin();
    let ended = match found {
        None => false,
        Some(login) if login.user == context.actor.user => {
            if id != context.actor.login_session {
                context.require_browser(&app, "revoke_login").await?;
            }
            app.store.revoke_login_session(organisation, id, &by, context.now).await?
        }
        Some(_) => {
            let action = Action::Administer { organisation, part: Administration::People };
            context.require_visible(&app, action, Place::Organisation, "login").await?;
            app.store.revoke_login_here(organisation, id, &by, context.now).await?
        }
    };
    if ended { Ok(StatusCode::NO_CONTENT) } else { Err(Problem::not_found("login")) }
}
