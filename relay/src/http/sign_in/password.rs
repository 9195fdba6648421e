//! `POST /api/v1/sign-in/password`: signs in with an address and a password.

use axum::extract::State;
use axum::response::Response;
use podlatch_protocol::id::OrganisationId;
use secrecy::SecretString;
use serde::Deserialize;
use utoipa::ToSchema;

use super::{new_login, signed_in};
use crate::app::App;
use crate::domain::login::LoginMethod;
use crate::domain::name::Email;
use crate::domain::organisation::ClientInfo;
use crate::http::client::ClientAddress;
use crate::http::extract::JsonBody;
use crate::http::login_sessions::create::{SignedIn, too_many};
use crate::http::problem::{Problem, ProblemDocument, ProblemKind};
use crate::store::SignInAs;

/// Who somebody says they are, and their password.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PasswordSignInBody {
    email: String,
    #[schema(value_type = String, format = Password)]
    password: SecretString,
    /// Where to sign in, for people of several organisations; unless given, where they were last.
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    organisation: Option<OrganisationId>,
}

/// Signs in with a password. The answer sets the login session's cookie. Whatever is wrong, the answer is the same, and takes
/// as long: it does not show who has an account.
#[utoipa::path(
    post,
    path = "/sign-in/password",
    operation_id = "signInWithPassword",
    tag = "login",
    request_body = PasswordSignInBody,
    responses(
        (status = 201, body = SignedIn),
        (status = 401, body = ProblemDocument, content_type = "application/problem+json"),
        (status = 403, body = ProblemDocument, content_type = "application/problem+json"),
        (status = 429, body = ProblemDocument, content_type = "application/problem+json"),
    )
)]
pub async fn post(
    State(app): State<App>,
    ClientAddress(address): ClientAddress,
    client: ClientInfo,
    JsonBody(body): JsonBody<PasswordSignInBody>,
) -> Result<Response, Problem> {
    let now = app.clock.now();
    app.sign_in_limiter.take(address, now).map_err(too_many)?;
    let Some(passwords) = &app.sign_in.passwords else {
        let detail = "Passwords are not in use on this relay. Sign in another way.";
        return Err(Problem::new(ProblemKind::Forbidden, detail));
    };
    let (token, login) = new_login(&app, LoginMethod::Password, client, now);
    let email = body.email.parse::<Email>().ok();
    let account = email.as_ref().map_or("", Email::as_str);
    app.sign_in.per_account.take(account, address, now).map_err(too_many)?;
    let stored = match &email {
        Some(email) => app.store.password_by_email(email).await?,
        None => None,
    };
    let user = stored.as_ref().map(|stored| stored.user);
    let is_it = passwords.matches(stored.map(|stored| stored.hash), body.password).await?;
    let Some(user) = user.filter(|_| is_it) else {
        let reason = if user.is_some() { "wrong_password" } else { "unknown" };
        let whose = app.store.log_of(user).await?;
        app.store.note_refused_sign_in(whose, reason, (&login, now)).await?;
        return Err(refused());
    };
    let who = SignInAs { user, organisation: body.organisation };
    // Somebody who knows the password may learn that they are suspended; a guesser learns nothing from the same words.
    let session = app.store.sign_in_as(who, &login, now).await?.map_err(|_| refused())?;
    signed_in(&app, &token, &session)
}

fn refused() -> Problem {
    let detail = "That did not work: check the address and the password. If they are right, your access may have ended; \
                  ask one of your organisation's admins.";
    Problem::new(ProblemKind::SignInRefused, detail)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use serde_json::{Value, json};

    use crate::http::rate_limit::ACCOUNT_BURST;
    use crate::http::testing::{SignedIn, TestRelay};

    const PATH: &str = "/api/v1/sign-in/password";
    const PASSWORD: &str = "correct horse battery";

    async fn with_password(relay: &TestRelay, email: &str) -> SignedIn {
        let person = relay.sign_in(email).await;
        let body = json!({"new_password": PASSWORD});
        let set = relay.request("PUT", "/api/v1/me/password").cookie(&person.cookie).json(body).send().await;
        assert_eq!(set.status, 204, "{:?}", set.body);
        person
    }

    fn body(email: &str, password: &str) -> Value {
        json!({"email": email, "password": password})
    }

    #[tokio::test]
    async fn the_right_password_signs_in() {
        let relay = TestRelay::new().await;
        let ada = with_password(&relay, "ada@example.org").await;
        let response = relay.post(PATH).json(body(" Ada@Example.org", PASSWORD)).send().await;
        assert_eq!(response.status, 201);
        assert_eq!(response.json()["user"]["id"], ada.membership.user.id.to_string());
        let cookie = response.header("set-cookie").split(';').next().expect("a cookie").to_owned();
        assert_eq!(relay.get("/api/v1/me").cookie(&cookie).send().await.status, 200);
    }

    #[tokio::test]
    async fn whatever_is_wrong_the_answer_is_the_same() {
        let relay = TestRelay::new().await;
        with_password(&relay, "ada@example.org").await;
        relay.sign_in("bob@example.org").await;
        let mut answers = Vec::new();
        for (email, password) in [
            ("ada@example.org", "wrong horse battery"),
            ("ada@example.org", ""),
            ("bob@example.org", PASSWORD),
            ("nobody@example.org", PASSWORD),
            ("not an address", PASSWORD),
        ] {
            let response = relay.post(PATH).json(body(email, password)).send().await;
            response.assert_problem(401, "sign_in_refused");
            answers.push(response.body);
        }
        answers.dedup();
        assert_eq!(answers.len(), 1);
    }

    #[tokio::test]
    async fn a_suspended_person_or_place_lets_nobody_in() {
        let relay = TestRelay::new().await;
        with_password(&relay, "ada@example.org").await;
        for table in ["users", "memberships", "organisations"] {
            relay.suspend(table, "1").await;
            relay
                .post(PATH)
                .json(body("ada@example.org", PASSWORD))
                .send()
                .await
                .assert_problem(401, "sign_in_refused");
            relay.suspend(table, "NULL").await;
        }
        assert_eq!(relay.post(PATH).json(body("ada@example.org", PASSWORD)).send().await.status, 201);
    }

    #[tokio::test]
    async fn guesses_at_one_account_have_to_wait() {
        let relay = TestRelay::new().await;
        with_password(&relay, "ada@example.org").await;
        // Setting the password was the first try.
        for _ in 1..ACCOUNT_BURST {
            relay.post(PATH).json(body("ada@example.org", "guess")).send().await.assert_problem(401, "sign_in_refused");
        }
        let response = relay.post(PATH).json(body("ada@example.org", PASSWORD)).send().await;
        response.assert_problem(429, "too_many_requests");
        let wait: u64 = response.header("retry-after").parse().expect("seconds");
        relay.hand.advance(Duration::from_secs(wait));
        assert_eq!(relay.post(PATH).json(body("ada@example.org", PASSWORD)).send().await.status, 201);
    }

    #[tokio::test]
    async fn both_outcomes_are_audited_and_hold_no_password() {
        let relay = TestRelay::new().await;
        let ada = with_password(&relay, "ada@example.org").await;
        relay.post(PATH).json(body("ada@example.org", "wrong horse battery")).send().await;
        relay.post(PATH).json(body("ada@example.org", PASSWORD)).send().await;
        let events = relay.get("/api/v1/audit-events").cookie(&ada.cookie).send().await;
        let text = String::from_utf8_lossy(&events.body).into_owned();
        assert!(!text.contains("horse"), "{text}");
        let events = events.json();
        let of = |action: &str| {
            let items = events["items"].as_array().expect("a list").clone();
            items.into_iter().find(|event| event["action"] == action).expect("is audited")
        };
        assert_eq!(of("sign_in")["details"]["method"], "password");
        assert_eq!(of("sign_in_refused")["details"]["method"], "password");
        assert_eq!(of("sign_in_refused")["details"]["reason"], "wrong_password");
        assert_eq!(of("password_set")["outcome"], "success");
    }
}
