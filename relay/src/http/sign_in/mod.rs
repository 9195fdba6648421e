//! Signing in: what is offered, and each way of it.

mod known_browser;
pub mod methods;
pub mod oidc_callback;
pub mod oidc_start;
pub mod passkey;
pub mod passkey_challenge;
pub mod password;

use std::time::Duration;

use axum::Json;
use axum::response::{AppendHeaders, IntoResponse, Response};
use http::{StatusCode, header};
use podlatch_protocol::id::LoginSessionId;
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;

use super::cookie;
use super::login_sessions::create::{LOGIN_LIFETIME, SignedIn};
use super::problem::{Problem, ProblemKind};
use crate::app::App;
use crate::auth::passkeys::{PasskeyError, Passkeys, Question};
use crate::auth::password::PasswordError;
use crate::auth::token::{Token, TokenKind};
use crate::clock::UnixMillis;
use crate::domain::login::LoginMethod;
use crate::domain::organisation::{ClientInfo, LoginSession};
use crate::store::{ChallengePurpose, NewChallenge, NewLoginSession};

/// How long somebody may take between the two halves of a sign-in.
pub(crate) const CHALLENGE_LIFETIME: Duration = Duration::from_mins(5);

/// A question for the browser's authenticator.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = PasskeyChallenge)]
pub struct ChallengeBody {
    /// Names the question; goes back with the answer. Good once, for five minutes.
    #[schema(example = "plc_…")]
    challenge: String,
    /// What `navigator.credentials` takes as `publicKey`, its bytes in base64url.
    #[schema(value_type = Object)]
    options: Value,
}

/// Remembers a question, and words it for the browser.
pub(crate) async fn ask(
    app: &App,
    question: Question,
    purpose: ChallengePurpose,
    now: UnixMillis,
) -> Result<Json<ChallengeBody>, Problem> {
    let token = Token::generate(TokenKind::Challenge, &app.entropy);
    let expires_at = now.plus(CHALLENGE_LIFETIME);
    let new = NewChallenge { hash: token.hash(), purpose, state: question.state, expires_at };
    app.store.create_challenge(&new, now).await?;
    Ok(Json(ChallengeBody { challenge: token.expose().to_owned(), options: question.options }))
}

/// The relay's passkeys; where it has none, a problem that says why.
pub(crate) fn passkeys(app: &App) -> Result<&Passkeys, Problem> {
    app.sign_in.passkeys.as_ref().ok_or_else(|| {
        let detail = "Passkeys need a relay with a name: this one is reached by an IP address.";
        Problem::new(ProblemKind::Forbidden, detail)
    })
}

/// A login that may come to be, and its cookie's token.
fn new_login(app: &App, method: LoginMethod, client: ClientInfo, now: UnixMillis) -> (Token, NewLoginSession) {
    let token = Token::generate(TokenKind::LoginSession, &app.entropy);
    let login = NewLoginSession {
        id: LoginSessionId::new(now.since_epoch(), &app.entropy.bytes()),
        hash: token.hash(),
        method,
        expires_at: now.plus(LOGIN_LIFETIME),
        client,
    };
    (token, login)
}

/// The answer to somebody who is signed in now.
fn signed_in(app: &App, token: &Token, session: &LoginSession, now: UnixMillis) -> Result<Response, Problem> {
    let cookie = cookie::set(&app.public_url, token, LOGIN_LIFETIME).map_err(|_| Problem::internal())?;
    let known = known_browser::mark(app, session.membership.user.id, now);
    let known = known.map(|known| AppendHeaders([(header::SET_COOKIE, known)]));
    let body = Json(SignedIn::from(&session.membership));
    Ok((StatusCode::CREATED, AppendHeaders([(header::SET_COOKIE, cookie)]), known, body).into_response())
}

impl From<PasswordError> for Problem {
    fn from(error: PasswordError) -> Self {
        match error {
            PasswordError::Busy => {
                Self::new(ProblemKind::TooManyRequests, "Too many people sign in at once. Try again.").retry_after(5)
            }
            PasswordError::Failed => {
                tracing::error!(%error, "a password");
                Self::internal()
            }
        }
    }
}

impl From<PasskeyError> for Problem {
    fn from(error: PasskeyError) -> Self {
        match error {
            PasskeyError::Refused(why) => {
                tracing::info!(%why, "a passkey was refused");
                Self::new(ProblemKind::SignInRefused, "The passkey was not accepted. Try again.")
            }
            PasskeyError::Corrupt(_) => {
                tracing::error!(%error, "a passkey");
                Self::internal()
            }
        }
    }
}
