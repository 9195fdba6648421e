//! `GET /api/v1/sessions/{id}/terminal`: the WebSocket. `docs/PROTOCOL.md` describes what is spoken on it.

use axum::extract::{Request, State};
use axum::response::Response;
use podlatch_protocol::id::SessionId;

use crate::app::App;
use crate::domain::access::Actor;
use crate::http::context::CallContext;
use crate::http::extract::IdPath;
use crate::http::problem::{Problem, ProblemDocument, ProblemKind};
use crate::terminal::{Person, Terminals, upgrade};

/// Attaches to a session's terminal. The login opens the socket; the right to the session is the single-use ticket in the
/// first frame.
#[utoipa::path(
    get,
    path = "/sessions/{id}/terminal",
    operation_id = "attachTerminal",
    tag = "sessions",
    params(("id" = String, Path, description = "The session's id")),
    responses(
        (status = 101, description = "The WebSocket"),
        (status = "4XX", body = ProblemDocument, content_type = "application/problem+json"),
    )
)]
pub async fn get(
    State(app): State<App>,
    context: CallContext,
    IdPath(id): IdPath<SessionId>,
    mut request: Request,
) -> Result<Response, Problem> {
    let (response, socket) = upgrade(&mut request)
        .ok_or_else(|| Problem::new(ProblemKind::BadRequest, "This address takes WebSocket upgrades only."))?;
    let terminals = Terminals {
        sessions: app.sessions.clone(),
        store: app.store.clone(),
        clock: app.clock.clone(),
        entropy: app.entropy.clone(),
        draining: app.lifecycle.draining().clone(),
        guesses: app.guesses.clone(),
    };
    let Actor { organisation, user, login_session: login, .. } = context.actor;
    let person = Person { organisation, user, login, client: context.client };
    app.lifecycle.spawn(async move {
        if let Some(socket) = socket.await {
            terminals.serve(socket, id, person).await;
        }
    });
    Ok(response)
}
