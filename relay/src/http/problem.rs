//! Errors as browsers and scripts get them: RFC 9457 problem documents, made in this one place.

use axum::Json;
use axum::response::{IntoResponse, Response};
use http::{HeaderValue, StatusCode, header};
use podlatch_protocol::close::{Refusal, RefusalCode};
use serde::Serialize;
use utoipa::ToSchema;

use crate::store::StoreError;

/// What every problem's `type` begins with; the slug follows.
const TYPE_PREFIX: &str = "urn:podlatch:problem:";

/// What went wrong, for the program (the kind) and for the person (the detail).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    kind: ProblemKind,
    detail: String,
    retry_after_seconds: Option<u64>,
}

/// Which kind of failure. The slug is stable.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ProblemKind {
    /// The request makes no sense.
    BadRequest,
    /// Nobody is signed in.
    Unauthenticated,
    /// Somebody is, but may not.
    Forbidden,
    /// An access rule wants to know why.
    ReasonRequired,
    /// An access rule wants somebody else's approval.
    ApprovalRequired,
    /// Somebody else changed it meanwhile.
    Conflict,
    /// The request came from another site.
    ForeignOrigin,
    /// There is no such thing, or not for this person.
    NotFound,
    /// There is, but not with this method.
    MethodNotAllowed,
    /// The request did not arrive in time.
    Timeout,
    /// The body is too large.
    TooLarge,
    /// The body is not JSON, or is not said to be.
    NotJson,
    /// The JSON is not what this endpoint takes.
    Unprocessable,
    /// What must be unique exists already.
    Taken,
    /// The request was meant for another host.
    WrongHost,
    /// Too many tries.
    TooManyRequests,
    /// Who somebody is, was not shown, or they are not let in.
    SignInRefused,
    /// The login that there is does not suffice for this: another way, or a fresh one, is needed.
    FreshSignInNeeded,
    /// A sign-in link that is no good.
    BadSignInLink,
    /// The session is over.
    SessionEnded,
    /// The right to read a recording has run out, or is none.
    ReplayOver,
    /// The recording was deleted, or there never was one.
    RecordingGone,
    /// A part of the recording is not what was recorded.
    RecordingDamaged,
    /// The storage of recordings does not answer.
    StorageUnavailable,
    /// The relay is stopping.
    Draining,
    /// The relay failed.
    Internal,
    /// The agent, or Kubernetes behind it, said no.
    Refused(RefusalCode),
}

impl ProblemKind {
    /// Slug, status and title.
    const fn facts(self) -> (&'static str, StatusCode, &'static str) {
        match self {
            Self::BadRequest => ("bad_request", StatusCode::BAD_REQUEST, "Bad request"),
            Self::Unauthenticated => ("unauthenticated", StatusCode::UNAUTHORIZED, "Not signed in"),
            Self::Forbidden => ("forbidden", StatusCode::FORBIDDEN, "Not allowed"),
            Self::ReasonRequired => ("reason_required", StatusCode::FORBIDDEN, "Reason required"),
            Self::ApprovalRequired => ("approval_required", StatusCode::FORBIDDEN, "Approval required"),
            Self::Conflict => ("conflict", StatusCode::PRECONDITION_FAILED, "Changed meanwhile"),
            Self::ForeignOrigin => ("foreign_origin", StatusCode::FORBIDDEN, "Request from another site"),
            Self::NotFound => ("not_found", StatusCode::NOT_FOUND, "Not found"),
            Self::MethodNotAllowed => ("method_not_allowed", StatusCode::METHOD_NOT_ALLOWED, "Method not allowed"),
            Self::Timeout => ("timeout", StatusCode::REQUEST_TIMEOUT, "Too slow"),
            Self::TooLarge => ("too_large", StatusCode::PAYLOAD_TOO_LARGE, "Request too large"),
            Self::NotJson => ("not_json", StatusCode::UNSUPPORTED_MEDIA_TYPE, "Not JSON"),
            Self::Unprocessable => ("unprocessable", StatusCode::UNPROCESSABLE_ENTITY, "Unexpected content"),
            Self::Taken => ("taken", StatusCode::CONFLICT, "Exists already"),
            Self::WrongHost => ("wrong_host", StatusCode::MISDIRECTED_REQUEST, "Wrong host"),
            Self::TooManyRequests => ("too_many_requests", StatusCode::TOO_MANY_REQUESTS, "Too many requests"),
            Self::SignInRefused => ("sign_in_refused", StatusCode::UNAUTHORIZED, "Not signed in"),
            Self::FreshSignInNeeded => ("fresh_sign_in_needed", StatusCode::FORBIDDEN, "Sign in again for this"),
            Self::BadSignInLink => ("bad_sign_in_link", StatusCode::UNAUTHORIZED, "Sign-in link not valid"),
            Self::SessionEnded => ("session_ended", StatusCode::GONE, "Session ended"),
            Self::ReplayOver => ("replay_over", StatusCode::FORBIDDEN, "Replay over"),
            Self::RecordingGone => ("recording_gone", StatusCode::GONE, "No recording"),
            Self::RecordingDamaged => ("recording_damaged", StatusCode::CONFLICT, "Recording damaged"),
            Self::StorageUnavailable => {
                ("storage_unavailable", StatusCode::SERVICE_UNAVAILABLE, "Recordings not reachable")
            }
            Self::Draining => ("draining", StatusCode::SERVICE_UNAVAILABLE, "The relay is stopping"),
            Self::Internal => ("internal", StatusCode::INTERNAL_SERVER_ERROR, "The relay failed"),
            Self::Refused(code) => (code.slug(), refusal_status(code), "Session refused"),
        }
    }

    /// The HTTP status.
    pub const fn status(self) -> StatusCode {
        self.facts().1
    }

    /// The stable name.
    pub const fn slug(self) -> &'static str {
        self.facts().0
    }
}

const fn refusal_status(code: RefusalCode) -> StatusCode {
    match code {
        RefusalCode::PodNotFound | RefusalCode::ContainerNotFound => StatusCode::NOT_FOUND,
        RefusalCode::ContainerRequired
        | RefusalCode::PodPending
        | RefusalCode::PodEnded
        | RefusalCode::PodReplaced
        | RefusalCode::PodLabelsUnknown
        | RefusalCode::IdentityMode => StatusCode::CONFLICT,
        RefusalCode::NoShell | RefusalCode::CommandNotFound => StatusCode::UNPROCESSABLE_ENTITY,
        RefusalCode::Forbidden
        | RefusalCode::NotAllowedByAgent
        | RefusalCode::IdentityRefused
        | RefusalCode::DebugNotAllowed => StatusCode::FORBIDDEN,
        RefusalCode::TooManySessions => StatusCode::TOO_MANY_REQUESTS,
        RefusalCode::NoSuchSession => StatusCode::GONE,
        RefusalCode::AgentOffline | RefusalCode::Draining | RefusalCode::KubernetesUnreachable => {
            StatusCode::SERVICE_UNAVAILABLE
        }
        RefusalCode::AgentTimeout => StatusCode::GATEWAY_TIMEOUT,
        RefusalCode::BadRequest
        | RefusalCode::KubernetesError
        | RefusalCode::AgentProtocol
        | RefusalCode::DebugImageFailed
        | RefusalCode::DebugFailed
        | RefusalCode::Other(_) => StatusCode::BAD_GATEWAY,
    }
}

impl Problem {
    /// A problem of this kind, with a sentence that says what is wrong and what to do.
    pub fn new(kind: ProblemKind, detail: impl Into<String>) -> Self {
        Self { kind, detail: detail.into(), retry_after_seconds: None }
    }

    /// Nobody is signed in.
    pub fn unauthenticated() -> Self {
        Self::new(ProblemKind::Unauthenticated, "You are not signed in, or your login has ended. Sign in again.")
    }

    /// There is no such thing, or none that this person may know of: the two look the same.
    pub fn not_found(what: &str) -> Self {
        Self::new(ProblemKind::NotFound, format!("There is no such {what}, or you may not see it."))
    }

    /// The relay failed. The cause must have been logged.
    pub fn internal() -> Self {
        Self::new(
            ProblemKind::Internal,
            "The relay failed. Try again; if it stays so, tell the operator of this relay.",
        )
    }

    /// Adds when another try makes sense.
    #[must_use]
    pub fn retry_after(mut self, seconds: u64) -> Self {
        self.retry_after_seconds = Some(seconds);
        self
    }

    /// Which kind of failure.
    pub const fn kind(&self) -> ProblemKind {
        self.kind
    }
}

impl From<&Refusal> for Problem {
    fn from(refusal: &Refusal) -> Self {
        Self::new(ProblemKind::Refused(refusal.code), refusal.to_string())
    }
}

impl From<StoreError> for Problem {
    /// Logs what the person is not told.
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Missing(what) => Self::new(ProblemKind::NotFound, format!("There is no such thing: {what}.")),
            StoreError::Taken(_) | StoreError::Corrupt(_) | StoreError::Database(_) | StoreError::Migration(_) => {
                let cause = std::error::Error::source(&error).map(ToString::to_string);
                tracing::error!(%error, cause, "a request failed");
                Self::internal()
            }
        }
    }
}

/// A problem document (RFC 9457), as it is sent.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Problem)]
pub struct ProblemDocument {
    /// The kind's stable name behind `urn:podlatch:problem:`.
    #[serde(rename = "type")]
    #[schema(example = "urn:podlatch:problem:unauthenticated")]
    type_: String,
    /// The kind in words.
    title: &'static str,
    /// The HTTP status.
    status: u16,
    /// What is wrong and what to do, for a person. May hold text from Kubernetes: escape it.
    detail: String,
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let (slug, status, title) = self.kind.facts();
        let type_ = format!("{TYPE_PREFIX}{slug}");
        let document = ProblemDocument { type_, title, status: status.as_u16(), detail: self.detail };
        let mut response = (status, Json(document)).into_response();
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        if let Some(seconds) = self.retry_after_seconds {
            headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        response
    }
}

#[cfg(test)]
mod tests {
    use http_body_util::BodyExt;

    use super::*;

    #[tokio::test]
    async fn a_refusal_becomes_a_problem_with_its_own_slug_status_and_sentence() {
        for (code, status) in [
            (RefusalCode::ContainerRequired, 409),
            (RefusalCode::PodNotFound, 404),
            (RefusalCode::Forbidden, 403),
            (RefusalCode::NoShell, 422),
            (RefusalCode::AgentOffline, 503),
        ] {
            let response = Problem::from(&Refusal::new(code, "app, log")).into_response();
            assert_eq!(response.status(), status);
            assert_eq!(response.headers()["content-type"], "application/problem+json");
            let body = response.into_body().collect().await.expect("a body").to_bytes();
            let document: serde_json::Value = serde_json::from_slice(&body).expect("JSON");
            assert_eq!(document["type"], format!("urn:podlatch:problem:{}", code.slug()));
            assert_eq!(document["status"], status);
            assert_eq!(document["detail"], format!("{} (app, log)", code.sentence()));
        }
    }

    #[test]
    fn every_refusal_is_an_error() {
        for code in RefusalCode::ALL {
            let status = ProblemKind::Refused(*code).status();
            assert!(status.is_client_error() || status.is_server_error(), "{code:?}");
        }
    }
}
