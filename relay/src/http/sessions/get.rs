//! `GET /api/v1/sessions/{id}`: one session.

use axum::Json;
use axum::extract::State;
use podlatch_protocol::id::SessionId;

use super::{SessionBody, find};
use crate::app::App;
use crate::domain::access::Action;
use crate::domain::audit::Place;
use crate::http::access::Access;
use crate::http::context::CallContext;
use crate::http::extract::IdPath;
use crate::http::problem::{Problem, ProblemDocument};

/// One session.
#[utoipa::path(
    get,
    path = "/sessions/{id}",
    operation_id = "getSession",
    tag = "sessions",
    params(("id" = String, Path, description = "The session's id")),
    responses(
        (status = 200, body = SessionBody),
        (status = "4XX", body = ProblemDocument, content_type = "application/problem+json"),
    )
)]
pub async fn get(
    State(app): State<App>,
    context: CallContext,
    IdPath(id): IdPath<SessionId>,
) -> Result<Json<SessionBody>, Problem> {
    let (session, owner) = find(&app, &context, id).await?;
    let access = Access::of(&app, &context).await?;
    // Another member's session looks like none, unless it may be watched.
    if !access.may_observe(&session, context.now) {
        context.require_visible(&app, Action::ViewSession(owner), Place::Session(id), "session").await?;
        context.require_listed(&app, &session).await?;
    }
    Ok(Json(SessionBody::at(session, &access, app.clock.now())))
}
