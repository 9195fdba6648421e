//! `POST /api/v1/login-sessions`: trades a one-time sign-in link for a login session.

use std::time::Duration;

use axum::Json;
use axum::extract::State;
use axum::response::{AppendHeaders, IntoResponse};
use http::{StatusCode, header};
use podlatch_protocol::id::LoginSessionId;
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::app::App;
use crate::auth::token::{Token, TokenHash, TokenKind};
use crate::domain::audit::{Action, NO_ORGANISATION, NewEvent, Origin, Outcome};
use crate::domain::login::LoginMethod;
use crate::domain::organisation::{ClientInfo, Membership};
use crate::http::client::ClientAddress;
use crate::http::cookie;
use crate::http::extract::JsonBody;
use crate::http::guesses::{self, Secret};
use crate::http::me::{OrganisationBody, UserBody};
use crate::http::problem::{Problem, ProblemDocument, ProblemKind};
use crate::store::{NewLoginSession, Redemption};

/// How long a login lasts: a working day, so that nobody has to sign in twice in one.
pub const LOGIN_LIFETIME: Duration = Duration::from_hours(12);

/// What signing in takes.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = SignIn)]
pub struct SignInBody {
    /// The token of a sign-in link: `pll_…`.
    #[schema(value_type = String, example = "pll_…")]
    token: SecretString,
}

/// Who has signed in, and where.
#[derive(Debug, Serialize, ToSchema)]
pub struct SignedIn {
    user: UserBody,
    organisation: OrganisationBody,
}

impl From<&Membership> for SignedIn {
    fn from(membership: &Membership) -> Self {
        Self { user: (&membership.user).into(), organisation: (&membership.organisation).into() }
    }
}

/// Signs in with a one-time link. The answer sets the login session's cookie.
#[utoipa::path(
    post,
    path = "/login-sessions",
    operation_id = "createLoginSession",
    tag = "login",
    request_body = SignInBody,
    responses(
        (status = 201, body = SignedIn),
        (status = 401, body = ProblemDocument, content_type = "application/problem+json"),
        (status = 429, body = ProblemDocument, content_type = "application/problem+json"),
    )
)]
pub async fn post(
    State(app): State<App>,
    ClientAddress(address): ClientAddress,
    client: ClientInfo,
    JsonBody(body): JsonBody<SignInBody>,
) -> Result<impl IntoResponse, Problem> {
    let now = app.clock.now();
    let link = TokenHash::parse(TokenKind::SignInLink, body.token.expose_secret());
    let is_good = match &link {
        Some(link) => app.store.sign_in_link_is_good(link, now).await?,
        None => false,
    };
    // What is no good costs a try; what is good is never refused for what others tried from the same address.
    if !is_good && let Err(limited) = app.guesses.bad(Secret::SignInLink, address, now) {
        let event = guesses::guessing(NO_ORGANISATION, Origin::unknown(client), now);
        return Err(guesses::refuse(&app.store, Secret::SignInLink, limited, event).await);
    }
    let Some(link) = link else {
        let event = NewEvent::new(Action::SignInRefused, NO_ORGANISATION, Origin::unknown(client), now);
        app.store.append_audit(&event.outcome(Outcome::Refused).detail("reason", "malformed")).await?;
        return Err(unknown());
    };
    let token = Token::generate(TokenKind::LoginSession, &app.entropy);
    let login = NewLoginSession {
        id: LoginSessionId::new(now.since_epoch(), &app.entropy.bytes()),
        hash: token.hash(),
        method: LoginMethod::Link,
        expires_at: now.plus(LOGIN_LIFETIME),
        client,
    };
    let membership = match app.store.redeem_sign_in_link(&link, &login, now).await? {
        Redemption::Redeemed(session) => session.membership,
        Redemption::Unknown => return Err(unknown()),
        Redemption::Used => return Err(no_good("This sign-in link has been used. Ask for a new one.")),
        Redemption::Expired => return Err(no_good("This sign-in link has expired. Ask for a new one.")),
        Redemption::Withdrawn => {
            return Err(no_good(
                "You are no longer a member of this organisation, or you are suspended. Ask one of its owners or admins.",
            ));
        }
    };
    let cookie = cookie::set(&app.public_url, &token, LOGIN_LIFETIME).map_err(|_| Problem::internal())?;
    Ok((StatusCode::CREATED, AppendHeaders([(header::SET_COOKIE, cookie)]), Json(SignedIn::from(&membership))))
}

fn unknown() -> Problem {
    no_good("This is not a sign-in link of this relay. Check that the whole link was copied, or ask for a new one.")
}

fn no_good(detail: &str) -> Problem {
    Problem::new(ProblemKind::BadSignInLink, detail)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::http::guesses::BY_ADDRESS;
    use crate::http::testing::{ORIGIN, TestRelay};

    const PATH: &str = "/api/v1/login-sessions";

    #[tokio::test]
    async fn a_link_signs_in_once() {
        let relay = TestRelay::new().await;
        let (link, membership) = relay.sign_in_link("ada@example.org").await;
        let sign_in = async || relay.post(PATH).json(json!({ "token": link.expose() })).send().await;

        let response = sign_in().await;
        assert_eq!(response.status, 201);
        let cookie = response.header("set-cookie").to_owned();
        assert!(cookie.starts_with("podlatch=pls_"), "{cookie}");
        assert!(cookie.ends_with("; Path=/; Max-Age=43200; HttpOnly; SameSite=Strict"), "{cookie}");
        assert_eq!(response.json()["user"]["id"], membership.user.id.to_string());
        assert_eq!(response.json()["organisation"]["name"], "Shop");
        let pair = cookie.split(';').next().expect("a pair");
        assert_eq!(relay.get("/api/v1/me").cookie(pair).send().await.status, 200);

        let again = sign_in().await;
        again.assert_problem(401, "bad_sign_in_link");
        assert!(again.detail().contains("has been used"));
        assert!(!again.headers.contains_key("set-cookie"));
    }

    #[tokio::test]
    async fn every_bad_link_gets_its_own_sentence() {
        let relay = TestRelay::new().await;
        let (link, _) = relay.sign_in_link("ada@example.org").await;
        let unknown = Token::generate(TokenKind::SignInLink, &relay.app.entropy);
        let sign_in = async |token: &str| relay.post(PATH).json(json!({ "token": token })).send().await;
        for token in ["", "x", "pll_", unknown.expose(), &link.expose().replace("pll_", "plj_")] {
            let response = sign_in(token).await;
            response.assert_problem(401, "bad_sign_in_link");
            assert!(response.detail().contains("not a sign-in link"), "{}", response.detail());
        }
        relay.hand.advance(Duration::from_hours(2));
        assert!(sign_in(link.expose()).await.detail().contains("has expired"));
    }

    #[tokio::test]
    async fn malformed_bodies_are_named_and_use_no_link_up() {
        let relay = TestRelay::new().await;
        let (link, _) = relay.sign_in_link("ada@example.org").await;
        let token = link.expose();
        let send = async |body: String| relay.post(PATH).body("application/json", body).send().await;
        send(String::new()).await.assert_problem(400, "bad_request");
        send(format!("{{\"token\":\"{token}\"")).await.assert_problem(400, "bad_request");
        send("[]".to_owned()).await.assert_problem(422, "unprocessable");
        send("{}".to_owned()).await.assert_problem(422, "unprocessable");
        send(json!({"token": token, "more": 1}).to_string()).await.assert_problem(422, "unprocessable");
        send(json!({"token": token, "pad": "a".repeat(65 * 1024)}).to_string()).await.assert_problem(413, "too_large");
        let form = relay.post(PATH).body("application/x-www-form-urlencoded", format!("token={token}")).send().await;
        form.assert_problem(415, "not_json");
        assert_eq!(send(json!({"token": token}).to_string()).await.status, 201, "the link is still good");
    }

    #[tokio::test]
    async fn a_foreign_page_cannot_sign_anybody_in() {
        let relay = TestRelay::new().await;
        let (link, _) = relay.sign_in_link("ada@example.org").await;
        let body = json!({ "token": link.expose() });
        let port_more = format!("{ORIGIN}0");
        let slash = format!("{ORIGIN}/");
        let https = ORIGIN.replace("http:", "https:");
        for origin in ["https://evil.example", "null", "", &port_more, &slash, &https, &ORIGIN.to_uppercase()] {
            let response = relay.post(PATH).json(body.clone()).header("origin", origin).send().await;
            response.assert_problem(403, "foreign_origin");
        }
        relay.post(PATH).json(body.clone()).without("origin").send().await.assert_problem(403, "foreign_origin");
        let twice = relay.post(PATH).json(body.clone()).also("origin", "https://evil.example").send().await;
        twice.assert_problem(403, "foreign_origin");
        assert_eq!(relay.post(PATH).json(body).send().await.status, 201, "the link is still good");
    }

    #[tokio::test]
    async fn too_many_tries_from_one_address_have_to_wait() {
        let relay = TestRelay::new().await;
        let (link, _) = relay.sign_in_link("ada@example.org").await;
        let guess = async || relay.post(PATH).json(json!({"token": "pll_guess"})).send().await;
        for _ in 0..BY_ADDRESS.burst {
            guess().await.assert_problem(401, "bad_sign_in_link");
        }
        let response = guess().await;
        response.assert_problem(429, "too_many_requests");
        assert_eq!(response.header("retry-after"), "3");
        let good = relay.post(PATH).json(json!({ "token": link.expose() })).send().await;
        assert_eq!(good.status, 201, "whoever shares the guesser's address signs in all the same");
        guess().await.assert_problem(429, "too_many_requests");
        relay.hand.advance(Duration::from_secs(3));
        guess().await.assert_problem(401, "bad_sign_in_link");
    }
}
