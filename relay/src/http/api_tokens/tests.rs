use std::time::Duration;

use serde_json::{Value, json};

use crate::domain::login::Scope;
use crate::domain::organisation::Role;
use crate::http::testing::{TestRelay, TestResponse};

const PATH: &str = "/api/v1/api-tokens";

async fn make(relay: &TestRelay, cookie: &str, body: Value) -> TestResponse {
    relay.post(PATH).cookie(cookie).json(body).send().await
}

#[tokio::test]
async fn a_token_is_shown_once_listed_used_and_revoked() {
    let relay = TestRelay::new().await;
    let ada = relay.sign_in("ada@example.org").await;
    let body = json!({"name": "CI", "scopes": ["sessions"], "expires_in_days": 30});
    let made = make(&relay, &ada.cookie, body).await;
    assert_eq!(made.status, 201, "{}", String::from_utf8_lossy(&made.body));
    let made = made.json();
    let token = format!("Bearer {}", made["token"].as_str().expect("a token"));
    assert!(token.starts_with("Bearer plt_"));
    assert_eq!(made["api_token"]["scopes"], json!(["read", "sessions"]));
    let listed = relay.get(PATH).cookie(&ada.cookie).send().await;
    assert_eq!(listed.json()["items"], json!([made["api_token"]]));
    assert!(!String::from_utf8_lossy(&listed.body).contains("plt_"));

    assert_eq!(relay.get("/api/v1/me").header("authorization", &token).send().await.status, 200);
    let used = relay.get(PATH).cookie(&ada.cookie).send().await.json();
    assert!(used["items"][0]["last_used_at"].is_string());

    let path = format!("{PATH}/{}", made["api_token"]["id"].as_str().expect("an id"));
    assert_eq!(relay.delete(&path).cookie(&ada.cookie).send().await.status, 204);
    let refused = relay.get("/api/v1/me").header("authorization", &token).send().await;
    refused.assert_problem(401, "unauthenticated");
    assert!(refused.detail().starts_with("This API token was revoked."));
    relay.delete(&path).cookie(&ada.cookie).send().await.assert_problem(404, "not_found");
    for action in ["api_token_created", "sign_out"] {
        let path = format!("/api/v1/audit-events?action={action}");
        let log = relay.get(&path).cookie(&ada.cookie).send().await;
        assert_eq!(log.json()["items"].as_array().map(Vec::len), Some(1), "{action}");
        assert!(!String::from_utf8_lossy(&log.body).contains("plt_"));
    }
}

#[tokio::test]
async fn a_token_without_an_end_or_a_sense_is_not_made() {
    let relay = TestRelay::new().await;
    let ada = relay.sign_in("ada@example.org").await;
    for body in [
        json!({"name": "x", "scopes": []}),
        json!({"name": "x", "scopes": [], "expires_in_days": 0}),
        json!({"name": "x", "scopes": [], "expires_in_days": 366}),
        json!({"name": "", "scopes": [], "expires_in_days": 1}),
        json!({"name": "x", "scopes": ["root"], "expires_in_days": 1}),
        json!({"name": "x", "scopes": [], "expires_in_days": 1, "user": "y"}),
    ] {
        make(&relay, &ada.cookie, body).await.assert_problem(422, "unprocessable");
    }
}

#[tokio::test]
async fn a_token_ends_when_its_maker_said() {
    let relay = TestRelay::new().await;
    let ada = relay.sign_in("ada@example.org").await;
    let made = make(&relay, &ada.cookie, json!({"name": "x", "scopes": [], "expires_in_days": 365})).await.json();
    let token = format!("Bearer {}", made["token"].as_str().expect("a token"));
    relay.hand.advance(Duration::from_hours(365 * 24 - 1));
    assert_eq!(relay.get("/api/v1/me").header("authorization", &token).send().await.status, 200);
    relay.hand.advance(Duration::from_hours(1));
    relay.get("/api/v1/me").header("authorization", &token).send().await.assert_problem(401, "unauthenticated");
}

#[tokio::test]
async fn a_token_makes_no_tokens_and_ends_no_login_but_itself() {
    let relay = TestRelay::new().await;
    let ada = relay.sign_in("ada@example.org").await;
    let token = relay.api_token(&ada, Scope::ALL).await;
    let body = json!({"name": "x", "scopes": [], "expires_in_days": 1});
    let refused = relay.post(PATH).header("authorization", &token).json(body).send().await;
    refused.assert_problem(403, "forbidden");
    let logins = relay.get("/api/v1/login-sessions").header("authorization", &token).send().await.json();
    let (own, other): (Vec<_>, Vec<_>) =
        logins["items"].as_array().expect("items").iter().partition(|login| login["current"] == true);
    let path = |login: &Value| format!("/api/v1/login-sessions/{}", login["id"].as_str().expect("an id"));
    let end = async |path: String| relay.delete(&path).without("origin").header("authorization", &token).send().await;
    end(path(other[0])).await.assert_problem(403, "forbidden");
    assert_eq!(end(path(own[0])).await.status, 204);
    relay.get("/api/v1/me").header("authorization", &token).send().await.assert_problem(401, "unauthenticated");
}

#[tokio::test]
async fn nobody_sees_or_revokes_anothers_tokens() {
    let relay = TestRelay::new().await;
    let ada = relay.sign_in("ada@example.org").await;
    let bob = relay.joins(&ada, "bob@example.org", Role::Member).await;
    let zoe = relay.sign_in("zoe@elsewhere.example").await;
    let made = make(&relay, &ada.cookie, json!({"name": "x", "scopes": [], "expires_in_days": 1})).await.json();
    let path = format!("{PATH}/{}", made["api_token"]["id"].as_str().expect("an id"));
    for who in [&bob, &zoe] {
        assert_eq!(relay.get(PATH).cookie(&who.cookie).send().await.json()["items"], json!([]));
        relay.delete(&path).cookie(&who.cookie).send().await.assert_problem(404, "not_found");
    }
}
