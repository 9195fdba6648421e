//! `POST /api/v1/me/passkeys`: adds a passkey.

use axum::Json;
use axum::extract::State;
use http::StatusCode;
use podlatch_protocol::id::PasskeyId;
use serde::Deserialize;
use utoipa::ToSchema;

use super::PasskeyBody;
use crate::app::App;
use crate::auth::passkeys::NewCredential;
use crate::auth::token::{TokenHash, TokenKind};
use crate::domain::name::DisplayName;
use crate::http::context::CallContext;
use crate::http::extract::JsonBody;
use crate::http::own_password::require_own_login;
use crate::http::problem::{Problem, ProblemDocument, ProblemKind};
use crate::http::sign_in::passkeys;
use crate::store::{ChallengePurpose, NewPasskey, StoreError, StoredPasskey};

/// A new passkey.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewPasskeyBody {
    /// Which question it answers.
    challenge: String,
    /// What to call it.
    name: String,
    /// What `navigator.credentials.create` gave, its bytes in base64url.
    #[schema(value_type = Object)]
    credential: NewCredential,
}

/// Adds a passkey.
#[utoipa::path(
    post,
    path = "/me/passkeys",
    operation_id = "createPasskey",
    tag = "login",
    request_body = NewPasskeyBody,
    responses(
        (status = 201, body = PasskeyBody),
        (status = 401, body = ProblemDocument, content_type = "application/problem+json"),
        (status = 403, body = ProblemDocument, content_type = "application/problem+json"),
        (status = 409, body = ProblemDocument, content_type = "application/problem+json"),
        (status = 422, body = ProblemDocument, content_type = "application/problem+json"),
    )
)]
pub async fn post(
    State(app): State<App>,
    context: CallContext,
    JsonBody(body): JsonBody<NewPasskeyBody>,
) -> Result<(StatusCode, Json<PasskeyBody>), Problem> {
    let passkeys = passkeys(&app)?;
    require_own_login(&app, &context).await?;
    let name = parse_name(&body.name)?;
    let state = take_state(&app, &context, &body.challenge).await?;
    let registered = passkeys.check_new(&body.credential, &state)?;
    let id = PasskeyId::new(context.now.since_epoch(), &app.entropy.bytes());
    let new = NewPasskey {
        id,
        user: context.actor.user,
        credential_id: registered.credential_id,
        name,
        credential: registered.credential,
    };
    let added = app.store.add_passkey(context.actor.organisation, &new, &context.origin(), context.now).await;
    added.map_err(|error| match error {
        StoreError::Taken(_) => {
            Problem::new(ProblemKind::Taken, "This passkey is known already, or you have too many. Remove one first.")
        }
        error => error.into(),
    })?;
    Ok((StatusCode::CREATED, Json(stored(new, &context).into())))
}

fn stored(new: NewPasskey, context: &CallContext) -> StoredPasskey {
    let NewPasskey { id, user, credential_id, name, credential } = new;
    StoredPasskey { id, user, credential_id, name, credential, created_at: context.now, last_used_at: None }
}

async fn take_state(app: &App, context: &CallContext, challenge: &str) -> Result<String, Problem> {
    let over = || Problem::new(ProblemKind::Unprocessable, "This took too long, or was answered before. Start over.");
    let challenge = TokenHash::parse(TokenKind::Challenge, challenge).ok_or_else(over)?;
    let taken = app.store.take_challenge(&challenge, ChallengePurpose::PasskeyRegistration, context.now).await?;
    let taken = taken.ok_or_else(over)?;
    let (login, state) = taken.split_once(':').ok_or_else(over)?;
    if login != context.actor.login_session.to_string() {
        return Err(over());
    }
    Ok(state.to_owned())
}

/// A passkey's name as somebody typed it.
pub(super) fn parse_name(text: &str) -> Result<DisplayName, Problem> {
    text.parse().map_err(|error| Problem::new(ProblemKind::Unprocessable, format!("The name is not good: {error}.")))
}
