//! `DELETE /api/v1/sign-in-providers/{id}`: removes a provider.

use axum::extract::State;
use http::StatusCode;
use podlatch_protocol::id::SignInProviderId;

use crate::app::App;
use crate::domain::access::Administration;
use crate::domain::audit::Place;
use crate::http::context::CallContext;
use crate::http::extract::IdPath;
use crate::http::problem::{Problem, ProblemDocument};

/// Removes a provider. Nobody signs in there from then on; who is signed in stays so.
#[utoipa::path(
    delete,
    path = "/sign-in-providers/{id}",
    operation_id = "deleteSignInProvider",
    tag = "login",
    params(("id" = String, Path, description = "The provider's id")),
    responses(
        (status = 204),
        (status = 401, body = ProblemDocument, content_type = "application/problem+json"),
        (status = 403, body = ProblemDocument, content_type = "application/problem+json"),
        (status = 404, body = ProblemDocument, content_type = "application/problem+json"),
    )
)]
pub async fn delete(
    State(app): State<App>,
    context: CallContext,
    IdPath(id): IdPath<SignInProviderId>,
) -> Result<StatusCode, Problem> {
    let organisation = context.require_administration(&app, Administration::SignIn, Place::Organisation).await?;
    if !app.store.remove_sign_in_provider(organisation, id, &context.origin(), context.now).await? {
        return Err(Problem::not_found("sign-in provider"));
    }
    Ok(StatusCode::NO_CONTENT)
}
