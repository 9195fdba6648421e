//! `GET /api/v1/sign-in-providers`: where the organisation's people sign in.

use axum::Json;
use axum::extract::State;
use serde::Serialize;
use utoipa::ToSchema;

use super::SignInProviderBody;
use crate::app::App;
use crate::domain::access::{Action, Administration};
use crate::domain::audit::Place;
use crate::http::context::CallContext;
use crate::http::problem::{Problem, ProblemDocument};

/// The organisation's providers, oldest first: all of them, because they are few.
#[derive(Debug, Serialize, ToSchema)]
pub struct SignInProviderPage {
    items: Vec<SignInProviderBody>,
    /// Always null.
    next_cursor: Option<String>,
}

/// Where the organisation's people sign in.
#[utoipa::path(
    get,
    path = "/sign-in-providers",
    operation_id = "listSignInProviders",
    tag = "login",
    responses(
        (status = 200, body = SignInProviderPage),
        (status = 401, body = ProblemDocument, content_type = "application/problem+json"),
        (status = 403, body = ProblemDocument, content_type = "application/problem+json"),
    )
)]
pub async fn get(State(app): State<App>, context: CallContext) -> Result<Json<SignInProviderPage>, Problem> {
    let organisation = context.actor.organisation;
    let action = Action::ViewAdministration { organisation, part: Administration::SignIn };
    context.require(&app, action, Place::Organisation).await?;
    let providers = app.store.sign_in_providers(organisation).await?;
    let items = providers.into_iter().map(|provider| SignInProviderBody::new(&app, provider)).collect();
    Ok(Json(SignInProviderPage { items, next_cursor: None }))
}
