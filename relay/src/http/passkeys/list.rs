//! `GET /api/v1/me/passkeys`: one's own passkeys.

use axum::Json;
use axum::extract::State;
use serde::Serialize;
use utoipa::ToSchema;

use super::PasskeyBody;
use crate::app::App;
use crate::http::context::CallContext;
use crate::http::problem::{Problem, ProblemDocument};

/// One's passkeys, oldest first: all of them, because they are few.
#[derive(Debug, Serialize, ToSchema)]
pub struct PasskeyPage {
    items: Vec<PasskeyBody>,
    /// Always null.
    next_cursor: Option<String>,
}

/// One's own passkeys.
#[utoipa::path(
    get,
    path = "/me/passkeys",
    operation_id = "listPasskeys",
    tag = "login",
    responses((status = 200, body = PasskeyPage), (status = 401, body = ProblemDocument, content_type = "application/problem+json"))
)]
pub async fn get(State(app): State<App>, context: CallContext) -> Result<Json<PasskeyPage>, Problem> {
    let passkeys = app.store.passkeys_of(context.actor.user).await?;
    Ok(Json(PasskeyPage { items: passkeys.into_iter().map(PasskeyBody::from).collect(), next_cursor: None }))
}
