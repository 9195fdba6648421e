//! `POST /api/v1/sessions/{id}/replays`: opens a recording to be looked at.

use std::time::Duration;

use axum::Json;
use axum::extract::State;
use axum::response::IntoResponse;
use http::StatusCode;
use podlatch_protocol::id::SessionId;
use serde::Serialize;
use utoipa::ToSchema;

use super::{RecordingBody, find, open_tape};
use crate::app::App;
use crate::auth::token::{Token, TokenKind};
use crate::domain::audit::{self, Place};
use crate::http::context::CallContext;
use crate::http::extract::IdPath;
use crate::http::problem::{Problem, ProblemDocument};
use crate::store::NewReplay;

/// How long one replay may be looked at; then it is opened, and audited, again.
const REPLAY_LIFETIME: Duration = Duration::from_hours(4);

/// A recording that may be read.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Replay)]
pub struct ReplayBody {
    /// Goes into the header `Podlatch-Replay` of requests for the recording's content. Good for this person, this session
    /// and four hours.
    token: String,
    recording: RecordingBody,
}

/// Opens a recording to be looked at. An audit event tells of it.
#[utoipa::path(
    post,
    path = "/sessions/{id}/replays",
    operation_id = "openReplay",
    tag = "recordings",
    params(("id" = String, Path, description = "The session's id")),
    responses(
        (status = 201, body = ReplayBody),
        (status = 410, description = "There is no recording any more", body = ProblemDocument, content_type = "application/problem+json"),
        (status = "4XX", body = ProblemDocument, content_type = "application/problem+json"),
    )
)]
pub async fn post(
    State(app): State<App>,
    context: CallContext,
    IdPath(id): IdPath<SessionId>,
) -> Result<impl IntoResponse, Problem> {
    let session = find(&app, &context, id).await?;
    let tape = open_tape(&app, &session).await?;
    let token = Token::generate(TokenKind::Replay, &app.entropy);
    let replay = NewReplay {
        hash: token.hash(),
        organisation: context.actor.organisation,
        session: id,
        user: context.actor.user,
        expires_at: context.now.plus(REPLAY_LIFETIME),
    };
    let event = context.event(audit::Action::Replay).at(Place::Session(id)).detail("state", tape.state());
    app.store.open_replay(&replay, &event).await?;
    let body = ReplayBody { token: token.expose().to_owned(), recording: RecordingBody::from(&tape) };
    Ok((StatusCode::CREATED, Json(body)))
}
