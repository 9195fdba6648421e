//! `GET /api/v1/sessions/{id}/recording/cast`: a recording as a file.

use axum::body::Body;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::header;
use podlatch_protocol::id::SessionId;

use super::{find, open_tape};
use crate::app::App;
use crate::domain::audit::{self, Place};
use crate::http::context::CallContext;
use crate::http::extract::IdPath;
use crate::http::problem::{Problem, ProblemDocument};

/// The recording as one asciicast v3 file. An audit event tells of it. A part that cannot be read breaks the answer off, so
/// that it does not look whole.
#[utoipa::path(
    get,
    path = "/sessions/{id}/recording/cast",
    operation_id = "downloadRecording",
    tag = "recordings",
    params(("id" = String, Path, description = "The session's id")),
    responses(
        (status = 200, body = String, content_type = "application/x-asciicast"),
        (status = 410, description = "There is no recording any more", body = ProblemDocument, content_type = "application/problem+json"),
        (status = "4XX", body = ProblemDocument, content_type = "application/problem+json"),
    )
)]
pub async fn get(
    State(app): State<App>,
    context: CallContext,
    IdPath(id): IdPath<SessionId>,
) -> Result<Response, Problem> {
    let session = find(&app, &context, id).await?;
    let tape = open_tape(&app, &session).await?;
    let event = context.event(audit::Action::RecordingDownload).at(Place::Session(id));
    app.store.append_audit(&event.detail("state", tape.state())).await?;
    let headers = [
        (header::CONTENT_TYPE, "application/x-asciicast".to_owned()),
        (header::CONTENT_DISPOSITION, format!("attachment; filename=\"podlatch-{id}.cast\"")),
    ];
    Ok((headers, Body::from_stream(tape.into_cast())).into_response())
}
