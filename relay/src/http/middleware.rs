//! What every request passes before it reaches an endpoint, and every response after.

use std::time::Duration;

use axum::extract::{MatchedPath, Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use http::header::{self, HeaderName};
use http::{HeaderMap, HeaderValue, Method};

use super::credential::Credential;
use super::problem::{Problem, ProblemKind};
use crate::app::App;
use crate::config::{PublicUrl, Scheme};

/// How long a request may take until its answer begins.
const REQUEST_DEADLINE: Duration = Duration::from_secs(45);

/// Opening a session includes starting its process, and where that is in a debug container, pulling its image. The agent's own
/// deadlines end this earlier, with a better reason.
const OPEN_DEADLINE: Duration = Duration::from_mins(2);

/// Where sessions are opened.
const SESSIONS: &str = "/api/v1/sessions";

/// Logs what was asked and answered, without addresses and names.
pub async fn log(request: Request, next: Next) -> Response {
    let method = request.method().clone();
    let route = request.extensions().get::<MatchedPath>().map(|path| path.as_str().to_owned());
    let started = std::time::Instant::now();
    let response = next.run(request).await;
    let duration_ms = started.elapsed().as_millis();
    tracing::debug!(%method, route, status = response.status().as_u16(), duration_ms, "request");
    response
}

/// Answers for an endpoint that takes too long.
pub async fn deadline(request: Request, next: Next) -> Response {
    let route = request.extensions().get::<MatchedPath>().map(MatchedPath::as_str);
    match tokio::time::timeout(limit(request.method(), route), next.run(request)).await {
        Ok(response) => response,
        Err(_) => Problem::new(ProblemKind::Timeout, "The request was not done in time. Try again.").into_response(),
    }
}

fn limit(method: &Method, route: Option<&str>) -> Duration {
    if *method == Method::POST && route == Some(SESSIONS) { OPEN_DEADLINE } else { REQUEST_DEADLINE }
}

/// Whatever changes something may change a right to a live session.
pub async fn age_rights(State(app): State<App>, request: Request, next: Next) -> Response {
    let reads = matches!(*request.method(), Method::GET | Method::HEAD);
    let response = next.run(request).await;
    if !reads && response.status().is_success() {
        app.sessions.recheck_rights();
    }
    response
}

/// Refuses requests for another host: a foreign name that resolves to this relay would make its page a neighbour.
pub async fn require_host(State(app): State<App>, request: Request, next: Next) -> Result<Response, Problem> {
    if is_for(&app.public_url, &request) {
        return Ok(next.run(request).await);
    }
    let detail = format!("This relay is {}. Open that address.", app.public_url);
    Err(Problem::new(ProblemKind::WrongHost, detail))
}

/// Refuses what changes something, or opens a WebSocket, unless a page of this relay asked for it, or a program with an API
/// token.
pub async fn require_origin(State(app): State<App>, request: Request, next: Next) -> Result<Response, Problem> {
    let reads = matches!(*request.method(), Method::GET | Method::HEAD) && !upgrades(request.headers());
    let deliberate = Credential::of(&app.public_url, request.headers()).is_deliberate();
    if reads || deliberate || has_origin(request.headers(), &app.public_url) {
        return Ok(next.run(request).await);
    }
    let detail = format!("This request did not come from a page of {}.", app.public_url);
    Err(Problem::new(ProblemKind::ForeignOrigin, detail))
}

/// Tells browsers how to guard the page.
pub async fn guard_headers(State(app): State<App>, request: Request, next: Next) -> Response {
    let mut response = next.run(request).await;
    let headers = response.headers_mut();
    for (name, value) in FIXED_HEADERS {
        headers.insert(name, HeaderValue::from_static(value));
    }
    if let Ok(policy) = HeaderValue::from_str(&content_security_policy(&app.public_url)) {
        headers.insert(header::CONTENT_SECURITY_POLICY, policy);
    }
    if app.public_url.scheme() == Scheme::Https {
        let year = HeaderValue::from_static("max-age=31536000");
        headers.insert(header::STRICT_TRANSPORT_SECURITY, year);
    }
    // Whatever does not say otherwise is somebody's data.
    headers.entry(header::CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    response
}

const FIXED_HEADERS: [(HeaderName, &str); 6] = [
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (header::X_FRAME_OPTIONS, "DENY"),
    (header::REFERRER_POLICY, "no-referrer"),
    (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
    (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
    (
        HeaderName::from_static("permissions-policy"),
        "camera=(), microphone=(), geolocation=(), clipboard-read=(self), clipboard-write=(self)",
    ),
];

/// xterm.js sets styles on elements; nothing else of the console is inline.
fn content_security_policy(url: &PublicUrl) -> String {
    format!(
        "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; font-src 'self'; \
         connect-src 'self' {}; manifest-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
        url.websocket_origin()
    )
}

fn is_for(url: &PublicUrl, request: &Request) -> bool {
    let mut hosts = request.headers().get_all(header::HOST).iter();
    let one = match (hosts.next(), hosts.next()) {
        (Some(host), None) => Some(host.as_bytes()),
        _ => None,
    };
    let agrees = |text: &[u8]| text.eq_ignore_ascii_case(url.authority().as_bytes());
    // A request line with an absolute address names the host a second time (RFC 9112 section 3.2.2).
    let line = request.uri().authority().is_none_or(|authority| agrees(authority.as_str().as_bytes()));
    one.is_some_and(agrees) && line
}

fn has_origin(headers: &HeaderMap, url: &PublicUrl) -> bool {
    let mut origins = headers.get_all(header::ORIGIN).iter();
    matches!((origins.next(), origins.next()), (Some(origin), None) if origin.as_bytes() == url.origin().as_bytes())
}

fn upgrades(headers: &HeaderMap) -> bool {
    headers.contains_key(header::UPGRADE)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn opening_may_take_as_long_as_an_image_takes_and_nothing_else_does() {
        assert_eq!(limit(&Method::POST, Some(SESSIONS)), OPEN_DEADLINE);
        for (method, route) in [(Method::GET, Some(SESSIONS)), (Method::POST, Some("/api/v1/me")), (Method::POST, None)]
        {
            assert_eq!(limit(&method, route), REQUEST_DEADLINE);
        }
    }
}
