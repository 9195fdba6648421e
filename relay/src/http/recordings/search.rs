//! `GET /api/v1/sessions/{id}/recording/search`: search over what was on the screen.

use axum::Json;
use axum::extract::State;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::{OpenReplay, sentence};
use crate::app::App;
use crate::http::extract::QueryOf;
use crate::http::problem::{Problem, ProblemDocument, ProblemKind};
use crate::replay::search::{Hit, Needle};

/// Hits of one search unless asked otherwise, and at most.
const DEFAULT_HITS: usize = 200;
const MOST_HITS: usize = 1_000;

/// What to look for.
#[derive(Debug, Clone, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct SearchQuery {
    /// A text as it stood on the screen, in whatever case; 1 to 200 characters.
    q: String,
    /// How many hits to give at most: 200 unless given, 1,000 at most.
    limit: Option<usize>,
    /// Only from this moment on, in milliseconds since the recording's beginning.
    from_ms: Option<u64>,
}

/// What was found.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = RecordingHits)]
pub struct FoundBody {
    /// In the order of time.
    hits: Vec<HitBody>,
    /// Whether there may be more.
    truncated: bool,
}

/// A line that newly showed the text.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = RecordingHit)]
pub struct HitBody {
    at_ms: u64,
    /// In which row of the screen, from 0.
    row: u16,
    /// The line, or the part of a long one around the hit. Untrusted text.
    text: String,
    /// Where in `text` the hit begins, in characters (Unicode code points).
    start: usize,
    /// Where it ends.
    end: usize,
}

impl From<Hit> for HitBody {
    fn from(Hit { at_ms, row, text, start, end }: Hit) -> Self {
        Self { at_ms, row, text, start, end }
    }
}

/// Searches a recording for a text that was on the screen. Takes 20 seconds at most; what was found by then is the answer.
#[utoipa::path(
    get,
    path = "/sessions/{id}/recording/search",
    operation_id = "searchRecording",
    tag = "recordings",
    params(
        ("id" = String, Path, description = "The session's id"),
        ("Podlatch-Replay" = String, Header, description = "The token of an open replay"),
        SearchQuery,
    ),
    responses(
        (status = 200, body = FoundBody),
        (status = 422, description = "There is nothing to look for", body = ProblemDocument, content_type = "application/problem+json"),
        (status = "4XX", body = ProblemDocument, content_type = "application/problem+json"),
    )
)]
pub async fn get(
    State(app): State<App>,
    replay: OpenReplay,
    QueryOf(query): QueryOf<SearchQuery>,
) -> Result<Json<FoundBody>, Problem> {
    let needle = Needle::parse(&query.q);
    let needle = needle.map_err(|error| Problem::new(ProblemKind::Unprocessable, sentence(&error.to_string())))?;
    let most = query.limit.unwrap_or(DEFAULT_HITS).clamp(1, MOST_HITS);
    let found = app.replays.search(&replay.tape, needle, query.from_ms.unwrap_or(0), most).await?;
    let hits = found.hits.into_iter().map(HitBody::from).collect();
    Ok(Json(FoundBody { hits, truncated: found.truncated }))
}
