//! `GET /api/v1/sign-in/methods`: how one may sign in.

use axum::Json;
use axum::extract::State;
use podlatch_protocol::id::OrganisationId;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::app::App;
use crate::http::client::ClientAddress;
use crate::http::extract::QueryOf;
use crate::http::guesses::{Secret, too_many};
use crate::http::problem::{Problem, ProblemDocument};
use crate::http::rate_limit::Who;

/// Where somebody wants to sign in.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct MethodsQuery {
    /// The organisation whose providers are asked for, by its id. Unless given, those of the only organisation there is.
    organisation: Option<String>,
}

/// How one may sign in.
#[derive(Debug, Serialize, ToSchema)]
pub struct SignInMethodsBody {
    /// With an address and a password.
    password: bool,
    /// With a passkey.
    passkey: bool,
    /// At these providers.
    providers: Vec<OfferedProvider>,
}

/// A provider to sign in at.
#[derive(Debug, Serialize, ToSchema)]
pub struct OfferedProvider {
    id: String,
    /// What its button says. Untrusted text.
    name: String,
}

/// How one may sign in. One-time links always work.
#[utoipa::path(
    get,
    path = "/sign-in/methods",
    operation_id = "listSignInMethods",
    tag = "login",
    params(MethodsQuery),
    responses((status = 200, body = SignInMethodsBody), (status = 429, body = ProblemDocument, content_type = "application/problem+json"))
)]
pub async fn get(
    State(app): State<App>,
    ClientAddress(address): ClientAddress,
    QueryOf(query): QueryOf<MethodsQuery>,
) -> Result<Json<SignInMethodsBody>, Problem> {
    app.sign_in.looks.take(Who::at(address), app.clock.now()).map_err(|limited| too_many(limited, Secret::SignIn))?;
    // On a relay of many nobody is told who the others are: one has to name the organisation.
    let organisation = match &query.organisation {
        Some(id) => id.parse::<OrganisationId>().ok(),
        None => app.store.only_organisation().await?,
    };
    let providers = match organisation {
        Some(organisation) => app.store.sign_in_providers(organisation).await?,
        None => Vec::new(),
    };
    let offered = |provider: crate::store::SignInProvider| OfferedProvider {
        id: provider.id.to_string(),
        name: provider.name.to_string(),
    };
    Ok(Json(SignInMethodsBody {
        password: app.sign_in.passwords.is_some(),
        passkey: app.sign_in.passkeys.is_some(),
        providers: providers.into_iter().map(offered).collect(),
    }))
}
