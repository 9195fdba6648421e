//! `PUT /api/v1/sign-in-providers/{id}`: changes a provider.

use axum::Json;
use axum::extract::State;
use podlatch_protocol::id::SignInProviderId;

use super::{SignInProviderBody, SignInProviderSettingsBody, stored};
use crate::app::App;
use crate::domain::access::Administration;
use crate::domain::audit::Place;
use crate::http::context::CallContext;
use crate::http::extract::{IdPath, JsonBody};
use crate::http::problem::{Problem, ProblemDocument};

/// Changes a provider. What is left out gets its default, but for the secret, which stays.
#[utoipa::path(
    put,
    path = "/sign-in-providers/{id}",
    operation_id = "changeSignInProvider",
    tag = "login",
    params(("id" = String, Path, description = "The provider's id")),
    request_body = SignInProviderSettingsBody,
    responses(
        (status = 200, body = SignInProviderBody),
        (status = 401, body = ProblemDocument, content_type = "application/problem+json"),
        (status = 403, body = ProblemDocument, content_type = "application/problem+json"),
        (status = 404, body = ProblemDocument, content_type = "application/problem+json"),
        (status = 422, body = ProblemDocument, content_type = "application/problem+json"),
    )
)]
pub async fn put(
    State(app): State<App>,
    context: CallContext,
    IdPath(id): IdPath<SignInProviderId>,
    JsonBody(body): JsonBody<SignInProviderSettingsBody>,
) -> Result<Json<SignInProviderBody>, Problem> {
    let organisation = context.require_administration(&app, Administration::SignIn, Place::Organisation).await?;
    let before = app.store.sign_in_provider(organisation, id).await?;
    let before = before.ok_or_else(|| Problem::not_found("sign-in provider"))?;
    let changed = body.provider(&app, &context, Some(&before), id)?;
    app.store.change_sign_in_provider(&changed, &context.origin(), context.now).await.map_err(stored)?;
    Ok(Json(SignInProviderBody::new(&app, changed)))
}
