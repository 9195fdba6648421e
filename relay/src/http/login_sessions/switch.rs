//! `POST /api/v1/login-sessions/current/organisation`: goes on in another of one's organisations.

use axum::Json;
use axum::extract::State;
use axum::response::{AppendHeaders, IntoResponse};
use http::header;
use podlatch_protocol::id::{LoginSessionId, OrganisationId};
use serde::Deserialize;
use utoipa::ToSchema;

use super::create::SignedIn;
use crate::app::App;
use crate::auth::token::{Token, TokenKind};
use crate::domain::login::{LoginEnd, LoginMethod};
use crate::http::context::CallContext;
use crate::http::cookie;
use crate::http::extract::JsonBody;
use crate::http::problem::{Problem, ProblemDocument, ProblemKind};
use crate::store::{NewLoginSession, SwitchRefused};

/// Where to.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SwitchBody {
    /// The organisation's id.
    organisation: String,
}

/// Goes on in another of one's organisations. It stays one sign-in: it ends when the first would have, and signing out ends it
/// everywhere. Whom an organisation's own provider signed in, it vouches for in that organisation alone.
#[utoipa::path(
    post,
    path = "/login-sessions/current/organisation",
    operation_id = "switchOrganisation",
    tag = "login",
    request_body = SwitchBody,
    responses(
        (status = 200, body = SignedIn),
        (status = "4XX", body = ProblemDocument, content_type = "application/problem+json"),
    )
)]
pub async fn post(
    State(app): State<App>,
    context: CallContext,
    JsonBody(body): JsonBody<SwitchBody>,
) -> Result<impl IntoResponse, Problem> {
    context.require_browser(&app, "switch_organisation").await?;
    let to: OrganisationId = body.organisation.parse().map_err(|_| Problem::not_found("organisation"))?;
    if context.login.method == LoginMethod::Oidc && to != context.actor.organisation {
        let detail =
            "You signed in at this organisation's own provider. Sign out, and sign in to the other organisation.";
        return Err(Problem::new(ProblemKind::Forbidden, detail));
    }
    let token = Token::generate(TokenKind::LoginSession, &app.entropy);
    let expires_at = context.login.expires_at;
    let new = NewLoginSession {
        id: LoginSessionId::new(context.now.since_epoch(), &app.entropy.bytes()),
        hash: token.hash(),
        method: context.login.method,
        expires_at,
        client: context.client.clone(),
    };
    let switched = app.store.switch_organisation(&context.login, to, &new, context.now).await?;
    let login = switched.map_err(refused)?;
    let lifetime = context.now.until(expires_at);
    let cookie = cookie::set(&app.public_url, &token, lifetime).map_err(|_| Problem::internal())?;
    Ok((AppendHeaders([(header::SET_COOKIE, cookie)]), Json(SignedIn::from(&login.membership))))
}

fn refused(why: SwitchRefused) -> Problem {
    match why {
        SwitchRefused::NoMember | SwitchRefused::End(LoginEnd::NoMember) => Problem::not_found("organisation"),
        SwitchRefused::EndedThere => Problem::new(
            ProblemKind::Forbidden,
            "This login was ended in that organisation. Sign out, and sign in again.",
        ),
        SwitchRefused::End(end) => Problem::new(ProblemKind::Forbidden, end.sentence()),
    }
}
