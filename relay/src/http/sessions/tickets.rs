//! `POST /api/v1/sessions/{id}/tickets`: the right to attach one more viewer, once.

use axum::Json;
use axum::extract::State;
use axum::response::IntoResponse;
use http::StatusCode;
use podlatch_protocol::id::SessionId;
use serde::Serialize;
use utoipa::ToSchema;

use super::{TICKET_LIFETIME, find, issue_ticket, require_unfinished};
use crate::app::App;
use crate::auth::token::Token;
use crate::domain::access::Action;
use crate::domain::audit::Place;
use crate::domain::session::Purpose;
use crate::http::context::CallContext;
use crate::http::extract::IdPath;
use crate::http::problem::{Problem, ProblemDocument};

/// A ticket.
#[derive(Debug, Serialize, ToSchema)]
pub struct TicketBody {
    ticket: String,
    expires_in_seconds: u64,
}

impl From<&Token> for TicketBody {
    fn from(ticket: &Token) -> Self {
        Self { ticket: ticket.expose().to_owned(), expires_in_seconds: TICKET_LIFETIME.as_secs() }
    }
}

/// Issues the right to attach to a session.
#[utoipa::path(
    post,
    path = "/sessions/{id}/tickets",
    operation_id = "issueTicket",
    tag = "sessions",
    params(("id" = String, Path, description = "The session's id")),
    responses(
        (status = 201, body = TicketBody),
        (status = 410, description = "The session is over", body = ProblemDocument, content_type = "application/problem+json"),
        (status = "4XX", body = ProblemDocument, content_type = "application/problem+json"),
    )
)]
pub async fn post(
    State(app): State<App>,
    context: CallContext,
    IdPath(id): IdPath<SessionId>,
) -> Result<impl IntoResponse, Problem> {
    let (session, owner) = find(&app, &context, id).await?;
    context.require_visible(&app, Action::ViewSession(owner), Place::Session(id), "session").await?;
    context.require(&app, Action::AttachSession(owner), Place::Session(id)).await?;
    require_unfinished(&app, &session)?;
    context.require_in_session(&app, &session, session.request.access.action).await?;
    let ticket = issue_ticket(&app, &context, id, Purpose::Attach).await?;
    Ok((StatusCode::CREATED, Json(TicketBody::from(&ticket))))
}
