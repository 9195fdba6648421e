//! What requests carry, parsed at the edge, each failure with a sentence.

use std::str::FromStr;

use axum::extract::rejection::{BytesRejection, FailedToBufferBody};
use axum::extract::{FromRequest, FromRequestParts, Path, Query, Request};
use bytes::Bytes;
use http::request::Parts;
use http::{HeaderMap, header};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use utoipa::IntoParams;

use super::problem::{Problem, ProblemKind};
use crate::app::App;
use crate::clock::UnixMillis;
use crate::store::{Cursor, InvalidCursor, List, PageRequest};

/// Largest request body, in bytes.
pub const MAX_BODY_BYTES: usize = 64 * 1024;

/// A JSON body.
#[derive(Debug, Clone, Copy)]
pub struct JsonBody<T>(pub T);

impl<T: DeserializeOwned> FromRequest<App> for JsonBody<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, app: &App) -> Result<Self, Problem> {
        if !is_json(request.headers()) {
            let detail = "Send the body as JSON, with the content type application/json.";
            return Err(Problem::new(ProblemKind::NotJson, detail));
        }
        let bytes = Bytes::from_request(request, app).await.map_err(|error| unread(&error))?;
        // The parser's message names positions and fields, never values of more than a few characters; it goes back to the
        // sender alone.
        serde_json::from_slice(&bytes).map(Self).map_err(|error| {
            if error.is_data() {
                Problem::new(ProblemKind::Unprocessable, format!("The body is not what is expected here: {error}."))
            } else {
                Problem::new(ProblemKind::BadRequest, format!("The body is not valid JSON: {error}."))
            }
        })
    }
}

fn is_json(headers: &HeaderMap) -> bool {
    let essence = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    essence.split(';').next().is_some_and(|essence| essence.trim().eq_ignore_ascii_case("application/json"))
}

fn unread(error: &BytesRejection) -> Problem {
    match error {
        BytesRejection::FailedToBufferBody(FailedToBufferBody::LengthLimitError(_)) => {
            Problem::new(ProblemKind::TooLarge, format!("The body is larger than {} KiB.", MAX_BODY_BYTES / 1024))
        }
        _ => Problem::new(ProblemKind::BadRequest, "The body could not be read."),
    }
}

/// The id in a path. What is no id names nothing, so it is not found.
#[derive(Debug, Clone, Copy)]
pub struct IdPath<T>(pub T);

impl<T: FromStr> FromRequestParts<App> for IdPath<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Problem> {
        let text = Path::<String>::from_request_parts(parts, app).await.ok().map(|Path(text)| text);
        let id = text.and_then(|text| text.parse().ok());
        id.map(Self).ok_or_else(|| Problem::new(ProblemKind::NotFound, "The id in the address is not a valid id."))
    }
}

/// The query of a list.
#[derive(Debug, Clone, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct PageQuery {
    /// `next_cursor` of the page before.
    pub cursor: Option<String>,
    /// How many items a page may hold: 50 unless given, 200 at most.
    pub limit: Option<u16>,
}

impl PageQuery {
    /// The page of `list` that is meant.
    pub fn request(&self, list: List) -> Result<PageRequest, Problem> {
        let after = self.cursor.as_deref().map(str::parse::<Cursor>).transpose();
        let after = after.and_then(|after| match after {
            Some(cursor) if cursor.list() != list => Err(InvalidCursor),
            own => Ok(own),
        });
        let after = after.map_err(|error| Problem::new(ProblemKind::Unprocessable, format!("Start over: {error}.")))?;
        Ok(PageRequest::new(after, self.limit.unwrap_or(PageRequest::DEFAULT_ITEMS)))
    }
}

/// A time range of a list's query, from its first moment to the one behind its last.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TimeRange {
    /// The first moment; `None` is the beginning.
    pub from: Option<UnixMillis>,
    /// The moment behind the last; `None` is the end.
    pub to: Option<UnixMillis>,
}

impl TimeRange {
    /// Reads both ends (RFC 3339); a range that runs backwards is refused.
    pub fn parse(from: Option<&str>, to: Option<&str>) -> Result<Self, Problem> {
        let (from, to) = (Self::moment("from", from)?, Self::moment("to", to)?);
        if let (Some(from), Some(to)) = (from, to)
            && to < from
        {
            let detail = format!("The time range runs backwards: from {from} to {to}. Exchange the two.");
            return Err(Problem::new(ProblemKind::Unprocessable, detail));
        }
        Ok(Self { from, to })
    }

    fn moment(name: &str, text: Option<&str>) -> Result<Option<UnixMillis>, Problem> {
        text.map(str::parse::<UnixMillis>).transpose().map_err(|_| {
            let detail = format!("`{name}` must be a time like 2026-01-31T12:00:00Z (a + in it is written %2B).");
            Problem::new(ProblemKind::Unprocessable, detail)
        })
    }
}

/// A query.
#[derive(Debug, Clone, Copy)]
pub struct QueryOf<T>(pub T);

impl<T: DeserializeOwned> FromRequestParts<App> for QueryOf<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Problem> {
        let query = Query::<T>::from_request_parts(parts, app).await;
        query.map(|Query(query)| Self(query)).map_err(|error| {
            Problem::new(ProblemKind::BadRequest, format!("The address' query makes no sense: {}.", error.body_text()))
        })
    }
}
