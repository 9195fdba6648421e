//! `DELETE /api/v1/sessions/{id}`: ends a session for good.

use axum::extract::State;
use http::StatusCode;
use podlatch_protocol::close::EndCause;
use podlatch_protocol::id::SessionId;

use super::find;
use crate::app::App;
use crate::domain::access::Action;
use crate::domain::audit::{self, Place};
use crate::http::context::CallContext;
use crate::http::extract::IdPath;
use crate::http::problem::{Problem, ProblemDocument};

/// Ends a session and its processes. The answer comes before the end; the session's own state tells when it has ended.
#[utoipa::path(
    delete,
    path = "/sessions/{id}",
    operation_id = "endSession",
    tag = "sessions",
    params(("id" = String, Path, description = "The session's id")),
    responses(
        (status = 202),
        (status = "4XX", body = ProblemDocument, content_type = "application/problem+json"),
    )
)]
pub async fn delete(
    State(app): State<App>,
    context: CallContext,
    IdPath(id): IdPath<SessionId>,
) -> Result<StatusCode, Problem> {
    let (session, owner) = find(&app, &context, id).await?;
    context.require_visible(&app, Action::ViewSession(owner), Place::Session(id), "session").await?;
    context.require(&app, Action::EndSession(owner), Place::Session(id)).await?;
    let own = session.request.user == context.actor.user;
    if let Some(live) = app.sessions.get(id) {
        let event = context.event(audit::Action::SessionEndRequested).at(Place::Session(id));
        app.store.append_audit(&event).await?;
        live.end(if own { EndCause::ClosedByUser } else { EndCause::ClosedByOther }).await;
    }
    Ok(StatusCode::ACCEPTED)
}
