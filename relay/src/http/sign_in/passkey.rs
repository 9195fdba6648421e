//! `POST /api/v1/sign-in/passkey`: signs in with a passkey.

use axum::extract::State;
use axum::response::Response;
use podlatch_protocol::id::OrganisationId;
use serde::Deserialize;
use utoipa::ToSchema;

use super::{new_login, passkeys, signed_in};
use crate::app::App;
use crate::auth::passkeys::{Assertion, PasskeyError, Passkeys};
use crate::auth::token::{TokenHash, TokenKind};
use crate::clock::UnixMillis;
use crate::domain::audit::{NO_ORGANISATION, Origin};
use crate::domain::login::LoginMethod;
use crate::domain::organisation::ClientInfo;
use crate::http::client::ClientAddress;
use crate::http::extract::JsonBody;
use crate::http::guesses::{self, Secret};
use crate::http::login_sessions::create::SignedIn;
use crate::http::problem::{Problem, ProblemDocument, ProblemKind};
use crate::store::{ChallengePurpose, SignInAs, StoreError, StoredPasskey};

/// An authenticator's answer.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PasskeySignInBody {
    /// Which question it answers.
    challenge: String,
    /// What `navigator.credentials.get` gave, its bytes in base64url.
    #[schema(value_type = Object)]
    credential: Assertion,
    /// Where to sign in, for people of several organisations; unless given, where they were last.
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    organisation: Option<OrganisationId>,
}

/// Signs in with a passkey. The answer sets the login session's cookie.
#[utoipa::path(
    post,
    path = "/sign-in/passkey",
    operation_id = "signInWithPasskey",
    tag = "login",
    request_body = PasskeySignInBody,
    responses(
        (status = 201, body = SignedIn),
        (status = 401, body = ProblemDocument, content_type = "application/problem+json"),
        (status = 429, body = ProblemDocument, content_type = "application/problem+json"),
    )
)]
pub async fn post(
    State(app): State<App>,
    ClientAddress(address): ClientAddress,
    client: ClientInfo,
    JsonBody(body): JsonBody<PasskeySignInBody>,
) -> Result<Response, Problem> {
    let now = app.clock.now();
    let passkeys = passkeys(&app)?;
    let (token, login) = new_login(&app, LoginMethod::Passkey, client, now);
    let known = find(&app, passkeys, &body.credential).await?;
    let checked = match &known {
        Some(passkey) => check(&app, passkeys, &body, passkey, now).await?,
        None => Err("unknown"),
    };
    let user = match (known, checked) {
        (Some(passkey), Ok(())) => passkey.user,
        (known, Err(reason)) => {
            // What is no good costs a try; what is good is never refused for what others tried from the same address.
            if let Err(limited) = app.guesses.bad(Secret::SignIn, address, now) {
                let event = guesses::guessing(NO_ORGANISATION, Origin::unknown(login.client.clone()), now);
                return Err(guesses::refuse(&app.store, Secret::SignIn, limited, event).await);
            }
            let whose = app.store.log_of(known.map(|passkey| passkey.user)).await?;
            app.store.note_refused_sign_in(whose, reason, (&login, now)).await?;
            return Err(refused());
        }
        (None, Ok(())) => return Err(refused()),
    };
    let who = SignInAs { user, organisation: body.organisation };
    let session = app.store.sign_in_as(who, &login, now).await?.map_err(|_| refused())?;
    signed_in(&app, &token, &session, now)
}

async fn find(app: &App, passkeys: &Passkeys, answer: &Assertion) -> Result<Option<StoredPasskey>, StoreError> {
    match passkeys.claimed(answer) {
        Some((user, credential)) => app.store.passkey_by_credential(user, &credential).await,
        None => Ok(None),
    }
}

/// Whether the answer proves the passkey; otherwise the reason, for the audit log.
async fn check(
    app: &App,
    passkeys: &Passkeys,
    body: &PasskeySignInBody,
    passkey: &StoredPasskey,
    now: UnixMillis,
) -> Result<Result<(), &'static str>, Problem> {
    let Some(challenge) = TokenHash::parse(TokenKind::Challenge, &body.challenge) else {
        return Ok(Err("malformed"));
    };
    let Some(state) = app.store.take_challenge(&challenge, ChallengePurpose::PasskeySignIn, now).await? else {
        return Ok(Err("challenge_used_or_expired"));
    };
    let after = match passkeys.check(&body.credential, &state, &passkey.credential) {
        Ok(after) => after,
        Err(PasskeyError::Refused(why)) => {
            tracing::info!(%why, "a passkey was refused");
            return Ok(Err("answer_does_not_hold"));
        }
        Err(error) => return Err(error.into()),
    };
    let noted = app.store.note_passkey_use((passkey.id, passkey.user), (&passkey.credential, &after), now).await?;
    Ok(if noted { Ok(()) } else { Err("used_twice_at_once") })
}

fn refused() -> Problem {
    let detail = "This passkey did not sign you in. Try again, or sign in another way; your access may have ended.";
    Problem::new(ProblemKind::SignInRefused, detail)
}
