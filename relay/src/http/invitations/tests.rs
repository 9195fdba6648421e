use std::time::Duration;

use serde_json::{Value, json};

use crate::domain::organisation::Role;
use crate::http::testing::{SignedIn, TestRelay, TestResponse};

const PATH: &str = "/api/v1/invitations";

async fn invite(relay: &TestRelay, by: &SignedIn, email: &str, role: &str) -> TestResponse {
    relay.post(PATH).cookie(&by.cookie).json(json!({"email": email, "role": role})).send().await
}

fn token(invited: &TestResponse) -> String {
    assert_eq!(invited.status, 201, "{}", String::from_utf8_lossy(&invited.body));
    let url = invited.json()["url"].as_str().expect("a link").to_owned();
    url.strip_prefix("http://127.0.0.1:8080/join#").expect("behind the #").to_owned()
}

async fn accept(relay: &TestRelay, token: &str) -> TestResponse {
    relay.post("/api/v1/invitations/acceptances").json(json!({"token": token, "name": "Bob"})).send().await
}

fn cookie(response: &TestResponse) -> String {
    response.header("set-cookie").split(';').next().expect("a pair").to_owned()
}

async fn listed(relay: &TestRelay, by: &SignedIn) -> Vec<Value> {
    let page = relay.get(PATH).cookie(&by.cookie).send().await.json();
    page["items"].as_array().expect("items").clone()
}

#[tokio::test]
async fn an_invited_stranger_joins_once_with_role_and_groups_and_is_signed_in() {
    let relay = TestRelay::new().await;
    let ada = relay.sign_in("ada@example.org").await;
    let group = relay.post("/api/v1/groups").cookie(&ada.cookie).json(json!({"name": "Ops"})).send().await;
    let group = group.json()["id"].as_str().expect("an id").to_owned();
    let body = json!({"email": "Bob@Example.org", "role": "auditor", "groups": [group]});
    let invited = relay.post(PATH).cookie(&ada.cookie).json(body).send().await;
    let token = token(&invited);
    assert_eq!(listed(&relay, &ada).await, [invited.json()["invitation"].clone()]);
    assert!(!String::from_utf8_lossy(&relay.get(PATH).cookie(&ada.cookie).send().await.body).contains("pli_"));

    let preview = relay.post("/api/v1/invitations/previews").json(json!({"token": token})).send().await;
    assert_eq!(preview.json(), json!({"organisation": "Shop", "email": "bob@example.org", "role": "auditor"}));
    let joined = accept(&relay, &token).await;
    assert_eq!((joined.status, &joined.json()["signed_in"]), (201, &json!(true)));
    let me = relay.get("/api/v1/me").cookie(&cookie(&joined)).send().await.json();
    assert_eq!((&me["user"]["name"], &me["role"]), (&json!("Bob"), &json!("auditor")));
    let person = format!("/api/v1/people/{}", me["user"]["id"].as_str().expect("an id"));
    let person = relay.get(&person).cookie(&ada.cookie).send().await.json();
    assert_eq!(person["groups"][0]["name"], "Ops");

    let again = accept(&relay, &token).await;
    again.assert_problem(401, "bad_sign_in_link");
    assert!(again.detail().contains("has been used"));
    assert_eq!(listed(&relay, &ada).await, Vec::<Value>::new());
}

#[tokio::test]
async fn a_link_alone_opens_nothing_that_its_person_has_elsewhere() {
    let relay = TestRelay::new().await;
    let (ada, zoe) = (relay.sign_in("ada@example.org").await, relay.sign_in("zoe@elsewhere.example").await);
    let token = token(&invite(&relay, &ada, "zoe@elsewhere.example", "member").await);
    for cookie in [None, Some(&ada.cookie)] {
        let request = relay.post("/api/v1/invitations/acceptances").json(json!({"token": token, "name": "Zoe"}));
        let request = match cookie {
            Some(cookie) => request.cookie(cookie),
            None => request,
        };
        let refused = request.send().await;
        refused.assert_problem(401, "unauthenticated");
        assert!(refused.detail().contains("Sign in as zoe@elsewhere.example"), "{}", refused.detail());
        assert!(!refused.headers.contains_key("set-cookie"));
    }
    let request = relay.post("/api/v1/invitations/acceptances").cookie(&zoe.cookie);
    let joined = request.json(json!({"token": token, "name": "Somebody else"})).send().await;
    assert_eq!((joined.status, &joined.json()["signed_in"]), (201, &json!(false)));
    assert!(!joined.headers.contains_key("set-cookie"));
    let mine = relay.get("/api/v1/organisations").cookie(&zoe.cookie).send().await.json();
    assert_eq!(mine["items"].as_array().expect("items").len(), 2);
    assert_eq!(relay.get("/api/v1/me").cookie(&zoe.cookie).send().await.json()["user"]["name"], "Ada");
}

#[tokio::test]
async fn an_invitation_that_is_no_good_says_why() {
    let relay = TestRelay::new().await;
    let ada = relay.sign_in("ada@example.org").await;
    let replaced = token(&invite(&relay, &ada, "bob@example.org", "member").await);
    let withdrawn = invite(&relay, &ada, "bob@example.org", "member").await;
    let id = withdrawn.json()["invitation"]["id"].as_str().expect("an id").to_owned();
    let delete = || relay.delete(&format!("{PATH}/{id}")).cookie(&ada.cookie);
    assert_eq!(delete().send().await.status, 204);
    delete().send().await.assert_problem(404, "not_found");
    let late = token(&invite(&relay, &ada, "carl@example.org", "member").await);
    relay.hand.advance(Duration::from_hours(7 * 24));
    for (token, sentence) in [
        (replaced, "used or withdrawn"),
        (token(&withdrawn), "used or withdrawn"),
        (late, "has expired"),
        (format!("pli_{}", "A".repeat(43)), "not an invitation"),
        ("x".to_owned(), "not an invitation"),
    ] {
        let refused = accept(&relay, &token).await;
        refused.assert_problem(401, "bad_sign_in_link");
        assert!(refused.detail().contains(sentence), "{}", refused.detail());
        let preview = relay.post("/api/v1/invitations/previews").json(json!({"token": token})).send().await;
        preview.assert_problem(401, "bad_sign_in_link");
    }
}

#[tokio::test]
async fn who_may_not_invite_does_not() {
    let relay = TestRelay::new().await;
    let ada = relay.sign_in("ada@example.org").await;
    let adam = relay.joins(&ada, "adam@example.org", Role::Admin).await;
    let bob = relay.joins(&ada, "bob@example.org", Role::Member).await;
    let eve = relay.joins(&ada, "eve@example.org", Role::Auditor).await;
    invite(&relay, &adam, "x@example.org", "owner").await.assert_problem(403, "forbidden");
    for who in [&bob, &eve] {
        invite(&relay, who, "x@example.org", "member").await.assert_problem(403, "forbidden");
    }
    invite(&relay, &ada, "bob@example.org", "member").await.assert_problem(409, "taken");
    invite(&relay, &ada, "nobody", "member").await.assert_problem(422, "unprocessable");
    invite(&relay, &ada, "x@example.org", "king").await.assert_problem(422, "unprocessable");
    let body = json!({"email": "x@example.org", "role": "member", "groups": ["01890000-0000-7000-8000-000000000000"]});
    relay.post(PATH).cookie(&ada.cookie).json(body).send().await.assert_problem(404, "not_found");
    relay.get(PATH).cookie(&bob.cookie).send().await.assert_problem(403, "forbidden");
    assert_eq!(listed(&relay, &eve).await, Vec::<Value>::new());
}

#[tokio::test]
async fn what_a_removed_admin_promised_is_void() {
    let relay = TestRelay::new().await;
    let ada = relay.sign_in("ada@example.org").await;
    let adam = relay.joins(&ada, "adam@example.org", Role::Admin).await;
    let token = token(&invite(&relay, &adam, "crony@example.org", "admin").await);
    let path = format!("/api/v1/people/{}", adam.membership.user.id);
    assert_eq!(relay.delete(&path).cookie(&ada.cookie).send().await.status, 204);
    accept(&relay, &token).await.assert_problem(401, "bad_sign_in_link");
}

#[tokio::test]
async fn guessing_is_slowed_down_and_a_good_link_still_opens() {
    let relay = TestRelay::new().await;
    let ada = relay.sign_in("ada@example.org").await;
    let token = token(&invite(&relay, &ada, "bob@example.org", "member").await);
    let guess = format!("pli_{}", "A".repeat(43));
    while accept(&relay, &guess).await.status == 401 {}
    accept(&relay, &guess).await.assert_problem(429, "too_many_requests");
    assert_eq!(accept(&relay, &token).await.status, 201);
}
