//! Recordings, as browsers see them: facts for whoever may see them, content for whoever has opened a replay.

pub mod cast;
pub mod get;
pub mod open;
pub mod screen;
pub mod search;
pub mod segment;

#[cfg(test)]
pub(in crate::http) mod tests;

use axum::extract::FromRequestParts;
use http::HeaderMap;
use http::request::Parts;
use podlatch_protocol::id::SessionId;
use serde::Serialize;
use utoipa::ToSchema;

use super::context::CallContext;
use super::extract::IdPath;
use super::problem::{Problem, ProblemKind};
use crate::app::App;
use crate::auth::token::{TokenHash, TokenKind};
use crate::domain::access::rule::AccessAction;
use crate::domain::access::{Action, SessionOwner};
use crate::domain::audit::Place;
use crate::domain::session::Session;
use crate::recording::archive::ArchiveError;
use crate::recording::{Hash, SegmentEntry};
use crate::replay::tape::Tape;
use crate::replay::{PlayError, Source, Unreadable};
use crate::store::StoreError;

/// The header that carries a replay's token: no credential stands in an address.
const TOKEN_HEADER: &str = "podlatch-replay";

/// The facts about a recording.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Recording)]
pub struct RecordingBody {
    /// `recording` (the session goes on), `complete`, `truncated` (its end is missing), `damaged` (some of it is not what
    /// was recorded) or `deleted`.
    #[schema(example = "complete")]
    state: &'static str,
    /// Width of the terminal at first, in cells.
    columns: u16,
    /// Height of the terminal at first, in cells.
    rows: u16,
    duration_ms: u64,
    bytes: u64,
    /// The commands that were noticed.
    markers: Vec<MarkerBody>,
    segments: Vec<SegmentBody>,
    /// What a person should know of a recording that is not whole.
    message: Option<String>,
}

/// A command.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = RecordingMarker)]
pub struct MarkerBody {
    at_ms: u64,
    /// As it was typed, secrets taken out. Untrusted text.
    label: String,
}

/// A part of a recording.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = RecordingSegment)]
pub struct SegmentBody {
    index: u64,
    from_ms: u64,
    to_ms: u64,
    bytes: u64,
    /// Of its content as it is stored, in hexadecimal.
    sha256: String,
}

impl From<&Tape> for RecordingBody {
    fn from(tape: &Tape) -> Self {
        let segment = |entry: &SegmentEntry| SegmentBody {
            index: entry.index,
            from_ms: entry.from_ms,
            to_ms: entry.to_ms,
            bytes: entry.bytes,
            sha256: entry.sha256.as_str().to_owned(),
        };
        let size = tape.size();
        Self {
            state: tape.state(),
            columns: size.columns(),
            rows: size.rows(),
            duration_ms: tape.duration_ms(),
            bytes: tape.bytes(),
            markers: tape.markers().map(|(at_ms, label)| MarkerBody { at_ms, label: label.to_owned() }).collect(),
            segments: tape.entries().iter().map(segment).collect(),
            message: tape.message(),
        }
    }
}

impl RecordingBody {
    /// What is left to say of a recording that is not there any more.
    fn deleted(message: String) -> Self {
        Self {
            state: "deleted",
            columns: 80,
            rows: 24,
            duration_ms: 0,
            bytes: 0,
            markers: Vec::new(),
            segments: Vec::new(),
            message: Some(message),
        }
    }
}

/// A session whose recording the caller may see. Whoever may not learns no more than that there is no such session.
async fn find(app: &App, context: &CallContext, id: SessionId) -> Result<Session, Problem> {
    let organisation = context.actor.organisation;
    let found = app.store.get_session(organisation, id).await?;
    let session = found.ok_or_else(|| Problem::not_found("session"))?;
    let owner = SessionOwner { organisation, user: session.request.user };
    context.require_visible(app, Action::ReplaySession(owner), Place::Session(id), "session").await?;
    context.require_in_session(app, &session, AccessAction::Replay).await?;
    Ok(session)
}

/// Opens the recording of a session.
async fn open_tape(app: &App, session: &Session) -> Result<Tape, OpenError> {
    let (organisation, id) = (session.request.organisation, session.id());
    let noted = app.store.get_recording(organisation, id).await?;
    if noted.as_ref().is_some_and(|noted| noted.deleted_at.is_some()) {
        return Err(OpenError::Deleted);
    }
    let head = noted.as_ref().map(|noted| Hash::noted(&noted.head));
    match app.archives.open(organisation, id, head.as_ref()).await {
        Ok(archive) => Ok(Tape::new(id, archive, noted.as_ref())),
        Err(ArchiveError::NotFound) if noted.is_some() => Err(OpenError::Missing),
        Err(ArchiveError::NotFound) => Err(OpenError::Never),
        Err(error) => Err(Unreadable::from(error).into()),
    }
}

/// A recording cannot be opened.
#[derive(Debug, thiserror::Error)]
enum OpenError {
    /// Its time was over.
    #[error("This recording was deleted, because it was kept for as long as the organisation keeps recordings.")]
    Deleted,
    /// It was there.
    #[error("This recording is missing from the place where recordings are kept. Tell the operator of this relay.")]
    Missing,
    /// There never was one.
    #[error("This session has no recording: nothing was ever shown in it.")]
    Never,
    /// It cannot be read.
    #[error(transparent)]
    Unreadable(#[from] Unreadable),
    /// The database failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl From<OpenError> for Problem {
    fn from(error: OpenError) -> Self {
        match error {
            OpenError::Deleted | OpenError::Missing | OpenError::Never => {
                Self::new(ProblemKind::RecordingGone, error.to_string())
            }
            OpenError::Unreadable(error) => error.into(),
            OpenError::Store(error) => error.into(),
        }
    }
}

/// The recording that a request reads by a replay that its caller has opened.
#[derive(Debug)]
pub struct OpenReplay {
    tape: Tape,
}

impl FromRequestParts<App> for OpenReplay {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Problem> {
        let context = CallContext::from_request_parts(parts, app).await?;
        let IdPath(id) = session_id(parts, app).await?;
        let session = find(app, &context, id).await?;
        let hash = token(&parts.headers).ok_or_else(replay_over)?;
        let (organisation, user) = (context.actor.organisation, context.actor.user);
        if !app.store.may_replay(organisation, id, user, &hash, context.now).await? {
            return Err(replay_over());
        }
        Ok(Self { tape: open_tape(app, &session).await? })
    }
}

/// The session's id, also where the path has more parameters.
async fn session_id(parts: &mut Parts, app: &App) -> Result<IdPath<SessionId>, Problem> {
    let params = axum::extract::RawPathParams::from_request_parts(parts, app).await;
    let params = params.map_err(|_| Problem::not_found("session"))?;
    let id = params.iter().find(|(name, _)| *name == "id").and_then(|(_, text)| text.parse().ok());
    id.map(IdPath).ok_or_else(|| Problem::new(ProblemKind::NotFound, "The id in the address is not a valid id."))
}

fn token(headers: &HeaderMap) -> Option<TokenHash> {
    let mut tokens = headers.get_all(TOKEN_HEADER).iter();
    match (tokens.next(), tokens.next()) {
        (Some(token), None) => TokenHash::parse(TokenKind::Replay, token.to_str().ok()?),
        _ => None,
    }
}

fn replay_over() -> Problem {
    Problem::new(ProblemKind::ReplayOver, "This replay is over. Open the recording again.")
}

impl From<Unreadable> for Problem {
    fn from(error: Unreadable) -> Self {
        let kind = match error {
            Unreadable::Damaged(_) => ProblemKind::RecordingDamaged,
            Unreadable::Storage(_) => ProblemKind::StorageUnavailable,
        };
        Self::new(kind, sentence(&error.to_string()))
    }
}

impl From<PlayError> for Problem {
    fn from(error: PlayError) -> Self {
        match error {
            PlayError::Unreadable(error) => error.into(),
            PlayError::Busy => Self::new(ProblemKind::TooManyRequests, sentence(&error.to_string())).retry_after(5),
            PlayError::TooLong => Self::new(ProblemKind::Timeout, sentence(&error.to_string())),
            PlayError::Broken => Self::internal(),
        }
    }
}

/// An error's text as a sentence.
fn sentence(text: &str) -> String {
    let mut characters = text.chars();
    let first = characters.next().map(|first| first.to_uppercase().to_string()).unwrap_or_default();
    let stop = if text.ends_with('.') { "" } else { "." };
    format!("{first}{}{stop}", characters.as_str())
}
