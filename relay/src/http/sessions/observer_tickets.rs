//! `POST /api/v1/sessions/{id}/observer-tickets`: the right to watch somebody's terminal, once.

use axum::Json;
use axum::extract::State;
use axum::response::IntoResponse;
use http::StatusCode;
use podlatch_protocol::id::SessionId;

use super::tickets::TicketBody;
use super::{find, issue_ticket, require_unfinished};
use crate::app::App;
use crate::domain::access::Action;
use crate::domain::audit::Place;
use crate::domain::session::Purpose;
use crate::http::context::CallContext;
use crate::http::extract::IdPath;
use crate::http::problem::{Problem, ProblemDocument};

/// Issues the right to watch a live session: whoever attaches with it sees the terminal and cannot type in it.
#[utoipa::path(
    post,
    path = "/sessions/{id}/observer-tickets",
    operation_id = "issueObserverTicket",
    tag = "sessions",
    params(("id" = String, Path, description = "The session's id")),
    responses(
        (status = 201, body = TicketBody),
        (status = 410, description = "The session is over", body = ProblemDocument, content_type = "application/problem+json"),
        (status = "4XX", body = ProblemDocument, content_type = "application/problem+json"),
        (status = "5XX", body = ProblemDocument, content_type = "application/problem+json"),
    )
)]
pub async fn post(
    State(app): State<App>,
    context: CallContext,
    IdPath(id): IdPath<SessionId>,
) -> Result<impl IntoResponse, Problem> {
    let (session, owner) = find(&app, &context, id).await?;
    context.require(&app, Action::ObserveSession(owner), Place::Session(id)).await?;
    context.require_observed(&app, &session, owner).await?;
    require_unfinished(&app, &session)?;
    let ticket = issue_ticket(&app, &context, id, Purpose::Observe).await?;
    Ok((StatusCode::CREATED, Json(TicketBody::from(&ticket))))
}
