//! `POST /api/v1/me/passkeys/challenge`: begins to add a passkey.

use axum::Json;
use axum::extract::State;

use crate::app::App;
use crate::http::context::CallContext;
use crate::http::own_password::require_own_login;
use crate::http::problem::{Problem, ProblemDocument};
use crate::http::sign_in::{ChallengeBody, ask, passkeys};
use crate::store::ChallengePurpose;

/// Asks for a new passkey.
#[utoipa::path(
    post,
    path = "/me/passkeys/challenge",
    operation_id = "beginPasskey",
    tag = "login",
    responses(
        (status = 200, body = ChallengeBody),
        (status = 401, body = ProblemDocument, content_type = "application/problem+json"),
        (status = 403, body = ProblemDocument, content_type = "application/problem+json"),
    )
)]
pub async fn post(State(app): State<App>, context: CallContext) -> Result<Json<ChallengeBody>, Problem> {
    let passkeys = passkeys(&app)?;
    require_own_login(&app, &context).await?;
    let known = app.store.passkeys_of(context.actor.user).await?;
    let known = known.into_iter().map(|passkey| passkey.credential_id).collect();
    let mut question = passkeys.ask_for_new(&context.login.membership.user, known)?;
    // The question is this login's alone: nobody else's answer may make a passkey of it.
    question.state = format!("{}:{}", context.actor.login_session, question.state);
    ask(&app, question, ChallengePurpose::PasskeyRegistration, context.now).await
}
