//! `POST /api/v1/sign-in/password`: signs in with an address and a password.

use axum::extract::State;
use axum::response::Response;
use http::HeaderMap;
use podlatch_protocol::id::{OrganisationId, UserId};
use secrecy::SecretString;
use serde::Deserialize;
use utoipa::ToSchema;

use super::{known_browser, new_login, signed_in};
use crate::app::App;
use crate::clock::UnixMillis;
use crate::domain::audit::{NO_ORGANISATION, Origin};
use crate::domain::login::LoginMethod;
use crate::domain::name::Email;
use crate::domain::organisation::ClientInfo;
use crate::http::client::ClientAddress;
use crate::http::extract::JsonBody;
use crate::http::guesses::{self, PasswordTry, Secret};
use crate::http::login_sessions::create::SignedIn;
use crate::http::problem::{Problem, ProblemDocument, ProblemKind};
use crate::http::rate_limit::Limited;
use crate::store::{NewLoginSession, SignInAs};

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
    headers: HeaderMap,
    JsonBody(body): JsonBody<PasswordSignInBody>,
) -> Result<Response, Problem> {
    let now = app.clock.now();
    let Some(passwords) = &app.sign_in.passwords else {
        let detail = "Passwords are not in use on this relay. Sign in another way.";
        return Err(Problem::new(ProblemKind::Forbidden, detail));
    };
    let (token, login) = new_login(&app, LoginMethod::Password, client, now);
    let email = body.email.parse::<Email>().ok();
    let stored = match &email {
        Some(email) => app.store.password_by_email(email).await?,
        None => None,
    };
    let user = stored.as_ref().map(|stored| stored.user);
    let known = user.and_then(|user| known_browser::shown(&app, &headers, user, now));
    let account = email.as_ref().map_or("", Email::as_str);
    let this_try = PasswordTry { account, address, known_browser: known.as_deref() };
    if let Err(limited) = app.guesses.password(this_try, now) {
        return Err(wait(&app, limited, user, (&login, now)).await);
    }
    let is_it = passwords.matches(stored.map(|stored| stored.hash), body.password).await?;
    let Some(user) = user.filter(|_| is_it) else {
        let reason = if user.is_some() { "wrong_password" } else { "unknown" };
        let whose = app.store.log_of(user).await?;
        app.store.note_refused_sign_in(whose, reason, (&login, now)).await?;
        return Err(refused());
    };
    app.guesses.password_was_good(this_try);
    let who = SignInAs { user, organisation: body.organisation };
    // Somebody who knows the password may learn that they are suspended; a guesser learns nothing from the same words.
    let session = app.store.sign_in_as(who, &login, now).await?.map_err(|_| refused())?;
    signed_in(&app, &token, &session, now)
}

/// Refuses who tries too often, in the log of whoever is meant.
async fn wait(
    app: &App,
    limited: Limited,
    user: Option<UserId>,
    (login, now): (&NewLoginSession, UnixMillis),
) -> Problem {
    let whose = match app.store.log_of(user).await {
        Ok(whose) => whose,
        Err(error) => return error.into(),
    };
    let by = Origin::unknown(login.client.clone());
    let event = match whose {
        Some((organisation, Some(user))) => guesses::guessing(organisation, by, now).about(user),
        Some((organisation, None)) => guesses::guessing(organisation, by, now),
        None => guesses::guessing(NO_ORGANISATION, by, now),
    };
    guesses::refuse(&app.store, Secret::Password, limited, event).await
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

    use crate::http::guesses;
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
        for _ in 0..guesses::PASSWORD.burst {
            relay.post(PATH).json(body("ada@example.org", "guess")).send().await.assert_problem(401, "sign_in_refused");
        }
        let response = relay.post(PATH).json(body("ada@example.org", PASSWORD)).send().await;
        response.assert_problem(429, "too_many_requests");
        let wait: u64 = response.header("retry-after").parse().expect("seconds");
        relay.hand.advance(Duration::from_secs(wait));
        assert_eq!(relay.post(PATH).json(body("ada@example.org", PASSWORD)).send().await.status, 201);
    }

    #[tokio::test]
    async fn a_browser_that_signed_in_before_gets_through_while_others_guess() {
        let relay = TestRelay::new().await;
        let ada = with_password(&relay, "ada@example.org").await;
        let first = relay.post(PATH).json(body("ada@example.org", PASSWORD)).send().await;
        let cookies: Vec<_> = first.headers.get_all("set-cookie").iter().map(|it| it.to_str().expect("text")).collect();
        let known = cookies.iter().find(|cookie| cookie.starts_with("podlatch-known=sealed1.")).expect("is marked");
        assert!(known.ends_with("; Path=/; Max-Age=15552000; HttpOnly; SameSite=Strict"), "{known}");
        let known = known.split(';').next().expect("a pair").to_owned();
        for n in 0..100 {
            relay.post(PATH).json(body(&format!("p{n}@example.org"), "guess")).send().await;
            relay.post(PATH).json(body("ada@example.org", "guess")).send().await;
        }
        let sign_in = async |cookie: &str| {
            relay.post(PATH).cookie(cookie).json(body("ada@example.org", PASSWORD)).send().await.status
        };
        assert_eq!(sign_in("a=b").await, 429);
        assert_eq!(sign_in(&known).await, 201);
        let bob = with_password(&relay, "bob@example.org").await;
        let as_bob = relay.post(PATH).cookie(&known).json(body("bob@example.org", PASSWORD)).send().await;
        as_bob.assert_problem(429, "too_many_requests");
        relay.hand.advance(crate::http::cookie::KNOWN_BROWSER_LIFETIME + Duration::from_secs(1));
        for _ in 0..guesses::PASSWORD.burst {
            relay.post(PATH).json(body("ada@example.org", "guess")).send().await;
        }
        assert_eq!(sign_in(&known).await, 429, "it is too old");
        drop((ada, bob));
    }

    #[tokio::test]
    async fn a_burst_of_guesses_is_audited_once() {
        let relay = TestRelay::new().await;
        let ada = with_password(&relay, "ada@example.org").await;
        for _ in 0..guesses::PASSWORD.burst + 50 {
            relay.post(PATH).json(body("ada@example.org", "guess")).send().await;
        }
        let events = relay.get("/api/v1/audit-events?action=too_many_tries").cookie(&ada.cookie).send().await.json();
        assert_eq!(events["items"].as_array().map(Vec::len), Some(1), "{events}");
        let event = &events["items"][0];
        assert_eq!((&event["outcome"], &event["details"]["secret"]), (&json!("refused"), &json!("password")));
        let refused = relay.get("/api/v1/audit-events?action=sign_in_refused").cookie(&ada.cookie).send().await.json();
        assert_eq!(refused["items"].as_array().map(Vec::len), Some(guesses::PASSWORD.burst as usize));
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
