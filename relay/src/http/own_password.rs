//! `/api/v1/me/password`: one's own password.

use std::time::Duration;

use axum::Json;
use axum::extract::State;
use http::StatusCode;
use secrecy::SecretString;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::context::CallContext;
use super::extract::JsonBody;
use super::guesses::{PasswordTry, Secret, too_many};
use super::problem::{Problem, ProblemDocument, ProblemKind};
use crate::app::App;
use crate::auth::password::{NewPassword, Passwords};
use crate::domain::login::LoginMethod;

/// How long a link or a passkey counts as a proof for a new password.
const FRESH: Duration = Duration::from_mins(15);

/// Whether somebody has a password.
#[derive(Debug, Serialize, ToSchema)]
pub struct OwnPasswordBody {
    /// Whether passwords are in use on this relay.
    in_use: bool,
    /// Whether one is set.
    is_set: bool,
}

/// A new password.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewPasswordBody {
    /// The old one; not needed within 15 minutes of signing in with a link or a passkey.
    #[serde(default)]
    #[schema(value_type = Option<String>, format = Password)]
    current_password: Option<SecretString>,
    /// The new one: 12 characters at least.
    #[schema(value_type = String, format = Password)]
    new_password: SecretString,
}

/// Whether one has a password.
#[utoipa::path(
    get,
    path = "/me/password",
    operation_id = "getMyPassword",
    tag = "login",
    responses((status = 200, body = OwnPasswordBody), (status = 401, body = ProblemDocument, content_type = "application/problem+json"))
)]
pub async fn get(State(app): State<App>, context: CallContext) -> Result<Json<OwnPasswordBody>, Problem> {
    let is_set = app.store.password_of(context.actor.user).await?.is_some();
    Ok(Json(OwnPasswordBody { in_use: app.sign_in.passwords.is_some(), is_set }))
}

/// Sets one's password.
#[utoipa::path(
    put,
    path = "/me/password",
    operation_id = "setMyPassword",
    tag = "login",
    request_body = NewPasswordBody,
    responses(
        (status = 204),
        (status = 401, body = ProblemDocument, content_type = "application/problem+json"),
        (status = 403, body = ProblemDocument, content_type = "application/problem+json"),
        (status = 422, body = ProblemDocument, content_type = "application/problem+json"),
    )
)]
pub async fn put(
    State(app): State<App>,
    context: CallContext,
    JsonBody(body): JsonBody<NewPasswordBody>,
) -> Result<StatusCode, Problem> {
    let Some(passwords) = &app.sign_in.passwords else {
        return Err(Problem::new(ProblemKind::Forbidden, "Passwords are not in use on this relay."));
    };
    let email = context.login.membership.user.email.as_str();
    let new = NewPassword::parse(body.new_password, email)
        .map_err(|error| Problem::new(ProblemKind::Unprocessable, error.to_string()))?;
    // By the person who is signed in: nobody else can use their tries up.
    let person = context.actor.user.to_string();
    let this_try = PasswordTry { account: email, address: None, known_browser: Some(&person) };
    app.guesses.password(this_try, context.now).map_err(|limited| too_many(limited, Secret::Password))?;
    require_proof(&app, &context, passwords, body.current_password).await?;
    app.guesses.password_was_good(this_try);
    let hash = passwords.hash(new, &app.entropy).await?;
    let whose = (context.actor.organisation, context.actor.user);
    app.store.set_password(whose, &hash, &context.origin(), context.now).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Removes one's password; other ways to sign in stay.
#[utoipa::path(
    delete,
    path = "/me/password",
    operation_id = "removeMyPassword",
    tag = "login",
    responses(
        (status = 204),
        (status = 401, body = ProblemDocument, content_type = "application/problem+json"),
        (status = 403, body = ProblemDocument, content_type = "application/problem+json"),
    )
)]
pub async fn delete(State(app): State<App>, context: CallContext) -> Result<StatusCode, Problem> {
    require_own_login(&app, &context).await?;
    let whose = (context.actor.organisation, context.actor.user);
    app.store.remove_password(whose, &context.origin(), context.now).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Goes on only if the login proves the person to the whole relay. The word of one organisation's provider does not, and a
/// passkey made with it would outlive what the provider says; a token is for programs. Cancel safe.
pub(crate) async fn require_own_login(app: &App, context: &CallContext) -> Result<LoginAge, Problem> {
    let actor = &context.actor;
    let proof = app.store.login_proof(actor.organisation, actor.login_session).await?;
    let proof = proof.ok_or_else(Problem::unauthenticated)?;
    let fresh = proof.at.until(context.now) <= FRESH;
    match proof.method {
        LoginMethod::Link | LoginMethod::Passkey if fresh => Ok(LoginAge::Fresh),
        LoginMethod::Link | LoginMethod::Passkey | LoginMethod::Password => Ok(LoginAge::Older),
        LoginMethod::Oidc | LoginMethod::Token => {
            let detail = "You signed in at your organisation's provider, or with an API token. To change how you prove \
                          yourself to this relay, sign in with a link, a passkey or your password.";
            Err(Problem::new(ProblemKind::FreshSignInNeeded, detail))
        }
    }
}

/// Whether a login is good enough to stand for the old password.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum LoginAge {
    /// It began with a link or a passkey, a short while ago.
    Fresh,
    /// It did not.
    Older,
}

async fn require_proof(
    app: &App,
    context: &CallContext,
    passwords: &Passwords,
    current: Option<SecretString>,
) -> Result<(), Problem> {
    if require_own_login(app, context).await? == LoginAge::Fresh {
        return Ok(());
    }
    let stored = app.store.password_of(context.actor.user).await?.map(|stored| stored.hash);
    let is_it = match current {
        Some(current) => passwords.matches(stored, current).await?,
        None => false,
    };
    if is_it {
        return Ok(());
    }
    let detail =
        "Give your current password, or sign in with a new link or a passkey and set the new one within 15 minutes.";
    Err(Problem::new(ProblemKind::FreshSignInNeeded, detail))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::FRESH;
    use crate::http::testing::TestRelay;

    const PATH: &str = "/api/v1/me/password";

    #[tokio::test]
    async fn a_password_needs_a_fresh_link_or_the_old_one() {
        let relay = TestRelay::new().await;
        let ada = relay.sign_in("ada@example.org").await;
        let put = async |body| relay.request("PUT", PATH).cookie(&ada.cookie).json(body).send().await;
        relay.hand.advance(FRESH * 2);
        put(json!({"new_password": "correct horse battery"})).await.assert_problem(403, "fresh_sign_in_needed");
        let ada = relay.sign_in("ada@example.org").await;
        let put = async |body| relay.request("PUT", PATH).cookie(&ada.cookie).json(body).send().await;
        assert_eq!(put(json!({"new_password": "correct horse battery"})).await.status, 204);
        relay.hand.advance(FRESH * 2);
        let change = |current: &str| json!({"current_password": current, "new_password": "another good phrase"});
        put(change("wrong")).await.assert_problem(403, "fresh_sign_in_needed");
        assert_eq!(put(change("correct horse battery")).await.status, 204);
        let own = relay.get(PATH).cookie(&ada.cookie).send().await.json();
        assert_eq!(own, json!({"in_use": true, "is_set": true}));
        assert_eq!(relay.delete(PATH).cookie(&ada.cookie).send().await.status, 204);
        assert_eq!(relay.get(PATH).cookie(&ada.cookie).send().await.json()["is_set"], false);
    }

    #[tokio::test]
    async fn a_short_or_common_password_is_refused_with_the_reason() {
        let relay = TestRelay::new().await;
        let ada = relay.sign_in("ada@example.org").await;
        for bad in ["short", "passwordpassword", "ada@example.org"] {
            let body = json!({"new_password": bad});
            let response = relay.request("PUT", PATH).cookie(&ada.cookie).json(body).send().await;
            response.assert_problem(422, "unprocessable");
        }
    }
}
