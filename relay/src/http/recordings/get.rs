//! `GET /api/v1/sessions/{id}/recording`: the facts about a session's recording.

use axum::Json;
use axum::extract::State;
use podlatch_protocol::id::SessionId;

use super::{OpenError, RecordingBody, find, open_tape};
use crate::app::App;
use crate::http::context::CallContext;
use crate::http::extract::IdPath;
use crate::http::problem::{Problem, ProblemDocument};

/// The facts about a session's recording. While the session goes on they grow.
#[utoipa::path(
    get,
    path = "/sessions/{id}/recording",
    operation_id = "getRecording",
    tag = "recordings",
    params(("id" = String, Path, description = "The session's id")),
    responses(
        (status = 200, body = RecordingBody),
        (status = "4XX", body = ProblemDocument, content_type = "application/problem+json"),
    )
)]
pub async fn get(
    State(app): State<App>,
    context: CallContext,
    IdPath(id): IdPath<SessionId>,
) -> Result<Json<RecordingBody>, Problem> {
    let session = find(&app, &context, id).await?;
    match open_tape(&app, &session).await {
        Ok(tape) => Ok(Json(RecordingBody::from(&tape))),
        Err(deleted @ OpenError::Deleted) => Ok(Json(RecordingBody::deleted(deleted.to_string()))),
        Err(error) => Err(error.into()),
    }
}
