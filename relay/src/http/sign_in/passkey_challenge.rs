//! `POST /api/v1/sign-in/passkey/challenge`: begins a sign-in with a passkey.

use axum::Json;
use axum::extract::State;

use super::{ChallengeBody, ask, passkeys};
use crate::app::App;
use crate::http::client::ClientAddress;
use crate::http::guesses::{Secret, too_many};
use crate::http::problem::{Problem, ProblemDocument};
use crate::http::rate_limit::Who;
use crate::store::ChallengePurpose;

/// Asks for a passkey. Nobody says who they are: the authenticator does.
#[utoipa::path(
    post,
    path = "/sign-in/passkey/challenge",
    operation_id = "beginPasskeySignIn",
    tag = "login",
    responses(
        (status = 200, body = ChallengeBody),
        (status = 403, body = ProblemDocument, content_type = "application/problem+json"),
        (status = 429, body = ProblemDocument, content_type = "application/problem+json"),
    )
)]
pub async fn post(
    State(app): State<App>,
    ClientAddress(address): ClientAddress,
) -> Result<Json<ChallengeBody>, Problem> {
    let now = app.clock.now();
    app.sign_in.looks.take(Who::at(address), now).map_err(|limited| too_many(limited, Secret::SignIn))?;
    let question = passkeys(&app)?.ask()?;
    ask(&app, question, ChallengePurpose::PasskeySignIn, now).await
}
