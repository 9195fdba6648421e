//! `GET /api/v1/sign-in/oidc/{id}`: sends the browser to a provider.

use axum::extract::{FromRequestParts, Request, State};
use axum::response::{AppendHeaders, IntoResponse, Response};
use http::{HeaderMap, StatusCode, header};
use podlatch_protocol::id::{OrganisationId, SignInProviderId, UserId};
use serde::{Deserialize, Serialize};
use utoipa::IntoParams;

use super::CHALLENGE_LIFETIME;
use crate::app::App;
use crate::auth::oidc::{FlowSecrets, RelyingParty};
use crate::auth::seal::{SealError, SealedPlace};
use crate::auth::token::{Token, TokenHash, TokenKind};
use crate::clock::UnixMillis;
use crate::http::client::ClientAddress;
use crate::http::context::CallContext;
use crate::http::cookie;
use crate::http::extract::{IdPath, QueryOf};
use crate::http::problem::Problem;
use crate::http::rate_limit::Who;
use crate::store::{ChallengePurpose, NewChallenge, SignInProvider};

/// How to set out.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct StartQuery {
    /// Whether to make known that the person who is signed in and the one at the provider are one.
    #[serde(default)]
    link: bool,
}

/// What the relay remembers of a browser that has set out.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Flow {
    pub(super) provider: SignInProviderId,
    pub(super) organisation: OrganisationId,
    /// The browser's mark, hashed, in hexadecimal.
    pub(super) browser: String,
    pub(super) secrets: FlowSecrets,
    pub(super) linking: Option<UserId>,
}

/// Why a browser comes back without being signed in. The console has a sentence for each.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Turned {
    /// There is no such provider.
    NoSuchProvider,
    /// Too many tries.
    TooMany,
    /// The relay or the provider failed.
    Failed,
    /// The provider's answer was not good, or not for this browser.
    NotGood,
    /// The person said no, or the provider did.
    Declined,
    /// To link, one has to be signed in, and in a way of one's own.
    SignInFirst,
    /// The organisation does not let this person in.
    NotLetIn(&'static str),
}

impl Turned {
    /// What is not said instead of a better reason, except that somebody has to wait.
    pub(super) const fn unless_too_many(self) -> Result<(), Self> {
        match self {
            Self::TooMany => Err(self),
            _ => Ok(()),
        }
    }

    const fn slug(self) -> &'static str {
        match self {
            Self::NoSuchProvider => "no_such_provider",
            Self::TooMany => "too_many",
            Self::Failed => "provider_failed",
            Self::NotGood => "not_good",
            Self::Declined => "declined",
            Self::SignInFirst => "sign_in_first",
            Self::NotLetIn(slug) => slug,
        }
    }
}

impl From<Problem> for Turned {
    fn from(_: Problem) -> Self {
        Self::Failed
    }
}

impl From<crate::store::StoreError> for Turned {
    fn from(error: crate::store::StoreError) -> Self {
        Self::from(Problem::from(error))
    }
}

impl IntoResponse for Turned {
    /// To the page that says it: whoever comes here is a browser on its way.
    fn into_response(self) -> Response {
        go(&format!("/sign-in?refused={}", self.slug()))
    }
}

/// Sends the browser elsewhere.
pub(super) fn go(to: &str) -> Response {
    (StatusCode::SEE_OTHER, AppendHeaders([(header::LOCATION, to.to_owned())])).into_response()
}

/// Sends the browser to a provider, with a cookie by which it is known when it comes back.
#[utoipa::path(
    get,
    path = "/sign-in/oidc/{id}",
    operation_id = "beginOidcSignIn",
    tag = "login",
    params(("id" = String, Path, description = "The provider's id"), StartQuery),
    responses((status = 303, description = "To the provider, or back to the sign-in page with `?refused=` and why."))
)]
pub async fn get(
    State(app): State<App>,
    ClientAddress(address): ClientAddress,
    id: Result<IdPath<SignInProviderId>, Problem>,
    query: Result<QueryOf<StartQuery>, Problem>,
    request: Request,
) -> Response {
    let now = app.clock.now();
    if app.sign_in.looks.take(Who::at(address), now).is_err() {
        return Turned::TooMany.into_response();
    }
    let (Ok(IdPath(id)), Ok(QueryOf(query))) = (id, query) else {
        return Turned::NoSuchProvider.into_response();
    };
    start(&app, id, query, request, now).await.unwrap_or_else(IntoResponse::into_response)
}

async fn start(
    app: &App,
    id: SignInProviderId,
    query: StartQuery,
    request: Request,
    now: UnixMillis,
) -> Result<Response, Turned> {
    let provider = app.store.sign_in_provider_to_start(id).await?.ok_or(Turned::NoSuchProvider)?;
    let (mut parts, _) = request.into_parts();
    let linking = if query.link {
        let context = CallContext::from_request_parts(&mut parts, app).await.map_err(|_| Turned::SignInFirst)?;
        Some(may_link(app, &context, &provider).await?)
    } else {
        None
    };
    let state = Token::generate(TokenKind::Challenge, &app.entropy);
    let party = party(app, &provider).map_err(|error| failed(&provider, &error))?;
    let begun = party.begin(&app.sign_in.providers, state.expose(), &provider.settings.scopes).await;
    let begun = begun.map_err(|error| failed(&provider, &error))?;
    let mark = Token::generate(TokenKind::Challenge, &app.entropy);
    let flow = Flow {
        provider: provider.id,
        organisation: provider.organisation,
        browser: hex::encode(mark.hash().as_bytes()),
        secrets: begun.secrets,
        linking,
    };
    remember(app, &state, &flow, now).await?;
    let cookie = cookie::set_flow(&app.public_url, &mark, CHALLENGE_LIFETIME).map_err(|_| Turned::Failed)?;
    let headers = AppendHeaders([(header::SET_COOKIE, cookie)]);
    Ok((headers, go(&begun.url)).into_response())
}

async fn remember(app: &App, state: &Token, flow: &Flow, now: UnixMillis) -> Result<(), Turned> {
    let new = NewChallenge {
        hash: state.hash(),
        purpose: ChallengePurpose::Oidc,
        state: serde_json::to_string(flow).map_err(|_| Turned::Failed)?,
        expires_at: now.plus(CHALLENGE_LIFETIME),
    };
    Ok(app.store.create_challenge(&new, now).await?)
}

async fn may_link(app: &App, context: &CallContext, provider: &SignInProvider) -> Result<UserId, Turned> {
    let own = crate::http::own_password::require_own_login(app, context).await;
    own.map_err(|_| Turned::SignInFirst)?;
    if context.actor.organisation == provider.organisation {
        Ok(context.actor.user)
    } else {
        Err(Turned::NoSuchProvider)
    }
}

/// The relay as this provider knows it.
pub(super) fn party(app: &App, provider: &SignInProvider) -> Result<RelyingParty, SealError> {
    let place = secret_place(provider.organisation, provider.id);
    let secret = provider.client_secret.as_ref().map(|sealed| app.sealing.open(&place, sealed)).transpose()?;
    Ok(RelyingParty {
        issuer: provider.issuer.clone(),
        client_id: provider.client_id.clone(),
        client_secret: secret,
        redirect_url: redirect_url(app, provider.id),
    })
}

/// Where a provider sends browsers back to. Each has its own, so that none can pass on another's answer.
pub(crate) fn redirect_url(app: &App, provider: SignInProviderId) -> String {
    format!("{}/api/v1/sign-in/oidc/{provider}/callback", app.public_url)
}

/// Where a provider's secret belongs.
pub(crate) const fn secret_place(organisation: OrganisationId, provider: SignInProviderId) -> SealedPlace {
    SealedPlace { organisation, kind: "oidc_client_secret", record: provider.as_uuid() }
}

/// Logs what the person is not told.
pub(super) fn failed(provider: &SignInProvider, error: &dyn std::error::Error) -> Turned {
    tracing::warn!(provider = %provider.id, organisation = %provider.organisation, %error, "sign-in at a provider failed");
    Turned::Failed
}

/// Whether this is the browser that set out.
pub(super) fn is_the_browser(app: &App, headers: &HeaderMap, flow: &Flow) -> bool {
    let mark: Option<TokenHash> = cookie::flow(&app.public_url, headers);
    mark.is_some_and(|mark| hex::encode(mark.as_bytes()) == flow.browser)
}
