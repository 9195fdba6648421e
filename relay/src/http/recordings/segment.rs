//! `GET /api/v1/sessions/{id}/recording/segments/{index}`: a part of a recording, to be played.

use std::fmt::Write;

use axum::extract::Path;
use axum::extract::rejection::PathRejection;
use axum::response::{IntoResponse, Response};
use http::header;

use super::OpenReplay;
use crate::http::problem::{Problem, ProblemDocument};
use crate::recording::archive::TimedEvent;
use crate::recording::asciicast::Event;
use crate::replay::Source;

/// The events of a segment: asciicast v3 event lines, with times since the recording's beginning in place of intervals.
#[utoipa::path(
    get,
    path = "/sessions/{id}/recording/segments/{index}",
    operation_id = "getRecordingSegment",
    tag = "recordings",
    params(
        ("id" = String, Path, description = "The session's id"),
        ("index" = u64, Path, description = "The segment's number"),
        ("Podlatch-Replay" = String, Header, description = "The token of an open replay"),
    ),
    responses(
        (status = 200, body = String, content_type = "application/x-ndjson"),
        (status = 409, description = "It is not what was recorded", body = ProblemDocument, content_type = "application/problem+json"),
        (status = "4XX", body = ProblemDocument, content_type = "application/problem+json"),
    )
)]
pub async fn get(replay: OpenReplay, path: Result<Path<(String, u64)>, PathRejection>) -> Result<Response, Problem> {
    let Ok(Path((_, index))) = path else { return Err(Problem::not_found("segment")) };
    if !replay.tape.segments().iter().any(|segment| segment.index == index) {
        return Err(Problem::not_found("segment"));
    }
    let events = replay.tape.read(index).await?;
    let mut lines = String::new();
    for event in &events {
        put(&mut lines, event);
    }
    Ok(([(header::CONTENT_TYPE, "application/x-ndjson")], lines).into_response())
}

fn put(lines: &mut String, timed: &TimedEvent) {
    let (code, data) = match &timed.event {
        Event::Output(text) => ("o", text.clone()),
        Event::Resize(size) => ("r", format!("{}x{}", size.columns(), size.rows())),
        Event::Marker(label) => ("m", label.clone()),
        Event::Exit(status) => ("x", status.to_string()),
        // Takes its place, so that events are counted alike on both sides.
        Event::Other => ("-", String::new()),
    };
    let (seconds, millis) = (timed.at_ms / 1000, timed.at_ms % 1000);
    let data = serde_json::Value::String(data);
    // Writing to a String cannot fail.
    let _infallible = writeln!(lines, "[{seconds}.{millis:03},\"{code}\",{data}]");
}
