//! `POST /api/v1/invitations/acceptances`: joins the organisation that a link leads into.

use axum::Json;
use axum::extract::State;
use axum::response::{AppendHeaders, IntoResponse, Response};
use http::{HeaderMap, StatusCode, header};
use podlatch_protocol::id::{LoginSessionId, UserId};
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{bad_try, redeemed, unknown};
use crate::app::App;
use crate::auth::token::{Token, TokenHash, TokenKind};
use crate::clock::UnixMillis;
use crate::domain::login::LoginMethod;
use crate::domain::name::DisplayName;
use crate::domain::organisation::ClientInfo;
use crate::http::client::ClientAddress;
use crate::http::cookie;
use crate::http::extract::JsonBody;
use crate::http::login_sessions::create::LOGIN_LIFETIME;
use crate::http::problem::{Problem, ProblemDocument, ProblemKind};
use crate::store::{Acceptance, Accepted, NewLoginSession};

/// Who accepts.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct AcceptanceBody {
    /// What stands behind the # of the link: `pli_…`.
    #[schema(value_type = String, example = "pli_…")]
    token: SecretString,
    /// What a person who is new here is called.
    name: String,
}

/// The organisation that the person is a member of from now on.
#[derive(Debug, Serialize, ToSchema)]
pub struct AcceptedBody {
    organisation: String,
    /// Whether the answer signs the browser in there. Otherwise it is signed in already, elsewhere, and may switch.
    signed_in: bool,
}

/// Accepts an invitation. A person who is new here is signed in by it. Somebody who is a member of another organisation has to
/// be signed in as themselves: the link alone must not open what they have elsewhere.
#[utoipa::path(
    post,
    path = "/invitations/acceptances",
    operation_id = "acceptInvitation",
    tag = "login",
    request_body = AcceptanceBody,
    responses(
        (status = 201, body = AcceptedBody),
        (status = "4XX", body = ProblemDocument, content_type = "application/problem+json"),
    )
)]
pub async fn post(
    State(app): State<App>,
    ClientAddress(address): ClientAddress,
    client: ClientInfo,
    headers: HeaderMap,
    JsonBody(body): JsonBody<AcceptanceBody>,
) -> Result<Response, Problem> {
    let now = app.clock.now();
    let name: DisplayName =
        body.name.parse().map_err(|error| Problem::new(ProblemKind::Unprocessable, format!("{error}.")))?;
    let Some(hash) = TokenHash::parse(TokenKind::Invitation, body.token.expose_secret()) else {
        bad_try(&app, address, client, now).await?;
        return Err(unknown());
    };
    if app.store.preview_invitation(&hash, now).await?.redeemed().is_none() {
        // What is no good costs a try; what is good is never refused for what others tried from the same address.
        bad_try(&app, address, client.clone(), now).await?;
    }
    let token = Token::generate(TokenKind::LoginSession, &app.entropy);
    let login = NewLoginSession {
        id: LoginSessionId::new(now.since_epoch(), &app.entropy.bytes()),
        hash: token.hash(),
        method: LoginMethod::Link,
        expires_at: now.plus(LOGIN_LIFETIME),
        client,
    };
    let user = UserId::new(now.since_epoch(), &app.entropy.bytes());
    let who = Acceptance { user, name, signed_in_as: signed_in_as(&app, &headers, now).await?, login };
    match redeemed(app.store.accept_invitation(&hash, &who, now).await?)? {
        Accepted::SignedIn(login) => {
            let cookie = cookie::set(&app.public_url, &token, LOGIN_LIFETIME).map_err(|_| Problem::internal())?;
            let organisation = login.membership.organisation.id.to_string();
            let body = Json(AcceptedBody { organisation, signed_in: true });
            Ok((StatusCode::CREATED, AppendHeaders([(header::SET_COOKIE, cookie)]), body).into_response())
        }
        Accepted::Joined(organisation) => {
            let body = AcceptedBody { organisation: organisation.to_string(), signed_in: false };
            Ok((StatusCode::CREATED, Json(body)).into_response())
        }
        Accepted::SignInFirst(email) => Err(Problem::new(
            ProblemKind::Unauthenticated,
            format!("{email} has an account here. Sign in as {email}, then open this link again."),
        )),
    }
}

/// As whom the browser is signed in.
async fn signed_in_as(app: &App, headers: &HeaderMap, now: UnixMillis) -> Result<Option<UserId>, Problem> {
    let Some(hash) = cookie::login_session(&app.public_url, headers) else {
        return Ok(None);
    };
    let login = app.store.login_session_by_cookie(&hash, now).await?;
    Ok(login.map(|login| login.membership.user.id))
}
