//! `GET /api/v1/sign-in/oidc/{id}/callback`: takes the browser back from a provider.

use std::net::IpAddr;

use axum::extract::State;
use axum::response::{AppendHeaders, IntoResponse, Response};
use http::{HeaderMap, header};
use podlatch_protocol::id::{SignInProviderId, UserId};
use serde::Deserialize;
use utoipa::IntoParams;

use super::new_login;
use super::oidc_start::{Flow, Turned, failed, go, is_the_browser, party};
use crate::app::App;
use crate::auth::oidc::OidcError;
use crate::auth::token::{TokenHash, TokenKind};
use crate::clock::UnixMillis;
use crate::domain::audit::{NO_ORGANISATION, Origin};
use crate::domain::login::LoginMethod;
use crate::domain::organisation::ClientInfo;
use crate::http::client::ClientAddress;
use crate::http::cookie;
use crate::http::extract::{IdPath, QueryOf};
use crate::http::guesses::{self, Secret};
use crate::http::login_sessions::create::LOGIN_LIFETIME;
use crate::http::problem::Problem;
use crate::store::{ChallengePurpose, NewLoginSession, OidcSignIn, SignInProvider};

/// What a provider gives the browser to bring along.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct CallbackQuery {
    /// What the relay trades for the provider's word.
    code: Option<String>,
    /// Which sign-in this is.
    state: Option<String>,
    /// What the provider says is wrong.
    error: Option<String>,
    /// Who answers (RFC 9207).
    iss: Option<String>,
}

/// Takes the browser back, and signs its person in. The answer sets the login session's cookie.
#[utoipa::path(
    get,
    path = "/sign-in/oidc/{id}/callback",
    operation_id = "finishOidcSignIn",
    tag = "login",
    params(("id" = String, Path, description = "The provider's id"), CallbackQuery),
    responses((status = 303, description = "To the console, or to the sign-in page with `?refused=` and why."))
)]
pub async fn get(
    State(app): State<App>,
    ClientAddress(address): ClientAddress,
    client: ClientInfo,
    headers: HeaderMap,
    id: Result<IdPath<SignInProviderId>, Problem>,
    query: Result<QueryOf<CallbackQuery>, Problem>,
) -> Response {
    let now = app.clock.now();
    let (Ok(IdPath(id)), Ok(QueryOf(query))) = (id, query) else {
        return Turned::NotGood.into_response();
    };
    let (token, login) = new_login(&app, LoginMethod::Oidc, client, now);
    match finish(&app, id, query, &headers, (&login, address, now)).await {
        Ok(()) => match cookie::set(&app.public_url, &token, LOGIN_LIFETIME) {
            Ok(cookie) => (AppendHeaders([(header::SET_COOKIE, cookie)]), go("/")).into_response(),
            Err(_) => Turned::Failed.into_response(),
        },
        Err(turned) => turned.into_response(),
    }
}

/// The login that may come of it, from where, and when.
type Arrival<'a> = (&'a NewLoginSession, Option<IpAddr>, UnixMillis);

async fn finish(
    app: &App,
    id: SignInProviderId,
    query: CallbackQuery,
    headers: &HeaderMap,
    who: Arrival<'_>,
) -> Result<(), Turned> {
    let (login, _, now) = who;
    let Some(flow) = take_flow(app, &query, now).await? else {
        return refuse(app, None, "state_unknown_used_or_expired", who).await;
    };
    let provider = app.store.sign_in_provider(flow.organisation, flow.provider).await?;
    let provider = provider.ok_or(Turned::NoSuchProvider)?;
    if !is_the_browser(app, headers, &flow) {
        return refuse(app, Some(&provider), "another_browser", who).await;
    }
    // Another provider must not pass on this one's answer (RFC 9700 section 4.4).
    if flow.provider != id || query.iss.as_ref().is_some_and(|issuer| *issuer != provider.issuer) {
        return refuse(app, Some(&provider), "another_provider", who).await;
    }
    let Some(code) = query.code.filter(|_| query.error.is_none()) else {
        refuse(app, Some(&provider), "declined", who).await.or_else(Turned::unless_too_many)?;
        return Err(Turned::Declined);
    };
    let claims = match ask(app, &provider, code, &flow).await {
        Ok(claims) => claims,
        Err(error) => {
            let turned = failed(&provider, &error);
            refuse(app, Some(&provider), error.slug(), who).await.or_else(Turned::unless_too_many)?;
            return Err(if matches!(error, OidcError::BadToken(_)) { Turned::NotGood } else { turned });
        }
    };
    let new_user = UserId::new(now.since_epoch(), &app.entropy.bytes());
    let who = OidcSignIn { provider: &provider, claims: &claims, linking: flow.linking, new_user };
    let outcome = app.store.sign_in_by_provider(&who, login, now).await?;
    outcome.map(drop).map_err(|why| Turned::NotLetIn(why.slug()))
}

async fn take_flow(app: &App, query: &CallbackQuery, now: UnixMillis) -> Result<Option<Flow>, Turned> {
    let state = query.state.as_deref().and_then(|state| TokenHash::parse(TokenKind::Challenge, state));
    let Some(state) = state else {
        return Ok(None);
    };
    let flow = app.store.take_challenge(&state, ChallengePurpose::Oidc, now).await?;
    flow.map(|flow| serde_json::from_str(&flow).map_err(|_| Turned::Failed)).transpose()
}

async fn ask(
    app: &App,
    provider: &SignInProvider,
    code: String,
    flow: &Flow,
) -> Result<crate::domain::sign_in::Claims, OidcError> {
    let party = party(app, provider).map_err(|error| OidcError::Settings(error.to_string()))?;
    let claim = provider.settings.groups_claim.as_deref();
    party.finish(&app.sign_in.providers, code, flow.secrets.clone(), claim).await
}

async fn refuse(
    app: &App,
    provider: Option<&SignInProvider>,
    reason: &'static str,
    (login, address, now): Arrival<'_>,
) -> Result<(), Turned> {
    // What is no good costs a try; what is good is never refused for what others tried from the same address.
    if let Err(limited) = app.guesses.bad(Secret::SignIn, address, now) {
        let event = guesses::guessing(NO_ORGANISATION, Origin::unknown(login.client.clone()), now);
        guesses::note(&app.store, Secret::SignIn, limited, event).await?;
        return Err(Turned::TooMany);
    }
    let whose = provider.map(|provider| (provider.organisation, None));
    app.store.note_refused_sign_in(whose, reason, (login, now)).await?;
    Err(Turned::NotGood)
}
