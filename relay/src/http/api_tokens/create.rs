//! `POST /api/v1/api-tokens`: makes an API token.

use std::time::Duration;

use axum::Json;
use axum::extract::State;
use axum::response::IntoResponse;
use http::StatusCode;
use podlatch_protocol::id::LoginSessionId;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::app::App;
use crate::auth::token::{Token, TokenKind};
use crate::domain::login::{Scope, Scopes};
use crate::http::context::CallContext;
use crate::http::extract::JsonBody;
use crate::http::login_sessions::body::LoginBody;
use crate::http::problem::{Problem, ProblemDocument, ProblemKind};
use crate::store::{NewApiToken, StoreError};

/// The longest that a token is good: whoever forgets it is reminded once a year.
const MAX_DAYS: u32 = 365;

/// The token to be made.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewApiTokenBody {
    /// What it is for; 1 to 100 characters.
    name: String,
    /// `read` (every token has it), `sessions` (open, enter and end terminals), `admin` (change how the organisation is set up).
    /// Never more than its maker may.
    scopes: Vec<String>,
    /// After how many days it ends: 1 to 365.
    expires_in_days: u32,
}

/// The token.
#[derive(Debug, Serialize, ToSchema)]
pub struct ApiTokenBody {
    /// What goes behind `Authorization: Bearer`. It is shown now and never again.
    #[schema(example = "plt_…")]
    token: String,
    api_token: LoginBody,
}

/// Makes an API token of the caller, in this organisation. Needs a browser: a leaked token must not make others.
#[utoipa::path(
    post,
    path = "/api-tokens",
    operation_id = "createApiToken",
    tag = "login",
    request_body = NewApiTokenBody,
    responses(
        (status = 201, body = ApiTokenBody),
        (status = "4XX", body = ProblemDocument, content_type = "application/problem+json"),
    )
)]
pub async fn post(
    State(app): State<App>,
    context: CallContext,
    JsonBody(body): JsonBody<NewApiTokenBody>,
) -> Result<impl IntoResponse, Problem> {
    context.require_browser(&app, "create_api_token").await?;
    if !(1..=MAX_DAYS).contains(&body.expires_in_days) {
        return Err(Problem::new(ProblemKind::Unprocessable, "A token is good for 1 to 365 days."));
    }
    let token = Token::generate(TokenKind::Api, &app.entropy);
    let new = NewApiToken {
        id: LoginSessionId::new(context.now.since_epoch(), &app.entropy.bytes()),
        hash: token.hash(),
        organisation: context.actor.organisation,
        user: context.actor.user,
        name: body.name.parse().map_err(|error| Problem::new(ProblemKind::Unprocessable, format!("{error}.")))?,
        scopes: scopes(&body.scopes)?,
        expires_at: context.now.plus(Duration::from_hours(24 * u64::from(body.expires_in_days))),
        client: context.client.clone(),
    };
    app.store.create_api_token(&new, &context.origin(), context.now).await.map_err(named)?;
    let made = app.store.get_login(new.organisation, new.id, context.now).await?.ok_or_else(Problem::internal)?;
    let body = ApiTokenBody { token: token.expose().to_owned(), api_token: LoginBody::new(made, &context.actor) };
    Ok((StatusCode::CREATED, Json(body)))
}

fn scopes(slugs: &[String]) -> Result<Scopes, Problem> {
    let unknown = || Problem::new(ProblemKind::Unprocessable, "A scope is read, sessions or admin.");
    slugs.iter().map(|slug| Scope::from_slug(slug).ok_or_else(unknown)).collect()
}

fn named(error: StoreError) -> Problem {
    match error {
        StoreError::Taken(_) => {
            Problem::new(ProblemKind::Taken, "You have 50 API tokens here. Revoke one before you make another.")
        }
        other => other.into(),
    }
}
