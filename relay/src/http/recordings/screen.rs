//! `GET /api/v1/sessions/{id}/recording/screen`: the screen at a moment, for seeking.

use axum::Json;
use axum::extract::State;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::OpenReplay;
use crate::app::App;
use crate::http::extract::QueryOf;
use crate::http::problem::{Problem, ProblemDocument};

/// Which moment.
#[derive(Debug, Clone, Copy, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct ScreenQuery {
    /// In milliseconds since the recording's beginning.
    at_ms: u64,
}

/// A screen.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = RecordedScreen)]
pub struct ScreenBody {
    at_ms: u64,
    columns: u16,
    rows: u16,
    /// What draws it on an empty terminal of this size, in base64.
    data: String,
    /// The segment of the event that comes next; behind the last one at the end.
    next_segment: u64,
    /// The number of that event in its segment, from 0.
    next_event: usize,
}

/// What the screen looked like at a moment. Queries of the recorded programs are not in it.
#[utoipa::path(
    get,
    path = "/sessions/{id}/recording/screen",
    operation_id = "getRecordedScreen",
    tag = "recordings",
    params(
        ("id" = String, Path, description = "The session's id"),
        ("Podlatch-Replay" = String, Header, description = "The token of an open replay"),
        ScreenQuery,
    ),
    responses(
        (status = 200, body = ScreenBody),
        (status = "4XX", body = ProblemDocument, content_type = "application/problem+json"),
    )
)]
pub async fn get(
    State(app): State<App>,
    replay: OpenReplay,
    QueryOf(query): QueryOf<ScreenQuery>,
) -> Result<Json<ScreenBody>, Problem> {
    let screen = app.replays.screen(&replay.tape, query.at_ms).await?;
    Ok(Json(ScreenBody {
        at_ms: query.at_ms,
        columns: screen.size.columns(),
        rows: screen.size.rows(),
        data: STANDARD.encode(screen.drawn),
        next_segment: screen.next_segment,
        next_event: screen.next_event,
    }))
}
