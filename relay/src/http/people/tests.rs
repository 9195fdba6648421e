use serde_json::{Value, json};

use crate::domain::login::Scope;
use crate::domain::organisation::Role;
use crate::http::testing::{SignedIn, TestRelay, TestResponse};

fn path(of: &SignedIn) -> String {
    format!("/api/v1/people/{}", of.membership.user.id)
}

async fn patch(relay: &TestRelay, by: &SignedIn, of: &SignedIn, body: Value) -> TestResponse {
    relay.request("PATCH", &path(of)).cookie(&by.cookie).json(body).send().await
}

async fn events(relay: &TestRelay, by: &SignedIn, action: &str) -> Vec<Value> {
    let path = format!("/api/v1/audit-events?action={action}");
    let page = relay.get(&path).cookie(&by.cookie).send().await.json();
    page["items"].as_array().expect("items").clone()
}

#[tokio::test]
async fn administrators_see_everybody_and_members_nobody() {
    let relay = TestRelay::new().await;
    let ada = relay.sign_in("ada@example.org").await;
    let bob = relay.joins(&ada, "bob@example.org", Role::Member).await;
    let eve = relay.joins(&ada, "eve@example.org", Role::Auditor).await;
    relay.sign_in("zoe@elsewhere.example").await;
    for who in [&ada, &eve] {
        let page = relay.get("/api/v1/people?limit=2").cookie(&who.cookie).send().await.json();
        let cursor = page["next_cursor"].as_str().expect("there is more");
        let path = format!("/api/v1/people?limit=2&cursor={cursor}");
        let rest = relay.get(&path).cookie(&who.cookie).send().await.json();
        let people: Vec<_> = [&page, &rest].iter().flat_map(|page| page["items"].as_array().expect("items")).collect();
        let mut emails: Vec<_> =
            people.iter().map(|person| person["user"]["email"].as_str().expect("an address")).collect();
        emails.sort_unstable();
        assert_eq!(emails, ["ada@example.org", "bob@example.org", "eve@example.org"]);
        assert!(people.iter().all(|person| person["status"] == "active"));
    }
    relay.get("/api/v1/people").cookie(&bob.cookie).send().await.assert_problem(403, "forbidden");
    relay.get(&path(&ada)).cookie(&bob.cookie).send().await.assert_problem(403, "forbidden");
}

#[tokio::test]
async fn a_role_is_changed_and_audited_and_holds_at_once() {
    let relay = TestRelay::new().await;
    let ada = relay.sign_in("ada@example.org").await;
    let bob = relay.joins(&ada, "bob@example.org", Role::Member).await;
    let changed = patch(&relay, &ada, &bob, json!({"role": "admin"})).await;
    assert_eq!((changed.status, &changed.json()["role"]), (200, &json!("admin")));
    assert_eq!(relay.get("/api/v1/people").cookie(&bob.cookie).send().await.status, 200);
    let events = events(&relay, &ada, "member_role_changed").await;
    assert_eq!(events[0]["details"], json!({"from": "member", "to": "admin"}));
    assert_eq!(events[0]["user"]["name"], "bob@example.org");
}

#[tokio::test]
async fn a_suspended_member_is_nobody_until_they_are_resumed() {
    let relay = TestRelay::new().await;
    let ada = relay.sign_in("ada@example.org").await;
    let bob = relay.joins(&ada, "bob@example.org", Role::Member).await;
    let token = relay.api_token(&bob, [Scope::Sessions]).await;
    let suspended = patch(&relay, &ada, &bob, json!({"suspended": true})).await;
    assert_eq!((suspended.status, &suspended.json()["status"]), (200, &json!("suspended")));
    for request in
        [relay.get("/api/v1/me").cookie(&bob.cookie), relay.get("/api/v1/me").header("authorization", &token)]
    {
        let refused = request.send().await;
        refused.assert_problem(401, "unauthenticated");
        assert!(refused.detail().starts_with("You are suspended"), "{}", refused.detail());
    }
    assert_eq!(patch(&relay, &ada, &bob, json!({"suspended": false})).await.status, 200);
    assert_eq!(relay.get("/api/v1/me").cookie(&bob.cookie).send().await.status, 200);
    assert_eq!(events(&relay, &ada, "member_suspended").await.len(), 1);
    assert_eq!(events(&relay, &ada, "member_resumed").await.len(), 1);
}

#[tokio::test]
async fn who_is_removed_is_out_for_good() {
    let relay = TestRelay::new().await;
    let ada = relay.sign_in("ada@example.org").await;
    let bob = relay.joins(&ada, "bob@example.org", Role::Admin).await;
    let token = relay.api_token(&bob, []).await;
    assert_eq!(relay.delete(&path(&bob)).cookie(&ada.cookie).send().await.status, 204);
    relay.get("/api/v1/me").cookie(&bob.cookie).send().await.assert_problem(401, "unauthenticated");
    relay.get("/api/v1/me").header("authorization", &token).send().await.assert_problem(401, "unauthenticated");
    relay.delete(&path(&bob)).cookie(&ada.cookie).send().await.assert_problem(404, "not_found");
    relay.get(&path(&bob)).cookie(&ada.cookie).send().await.assert_problem(404, "not_found");
    assert_eq!(events(&relay, &ada, "member_removed").await.len(), 1);
}

#[tokio::test]
async fn what_one_may_not_change_stays_and_the_try_is_audited() {
    let relay = TestRelay::new().await;
    let ada = relay.sign_in("ada@example.org").await;
    let adam = relay.joins(&ada, "adam@example.org", Role::Admin).await;
    let bob = relay.joins(&ada, "bob@example.org", Role::Member).await;
    for (by, of, body, sentence) in [
        (&ada, &ada, json!({"role": "member"}), "You cannot change your own"),
        (&ada, &ada, json!({"suspended": true}), "You cannot change your own"),
        (&adam, &adam, json!({"role": "owner"}), "You cannot change your own"),
        (&adam, &ada, json!({"role": "member"}), "Only an owner"),
        (&adam, &ada, json!({"suspended": true}), "Only an owner"),
        (&adam, &bob, json!({"role": "owner"}), "Only an owner"),
        (&bob, &adam, json!({"role": "member"}), "Only owners and admins"),
    ] {
        let refused = patch(&relay, by, of, body.clone()).await;
        refused.assert_problem(403, "forbidden");
        assert!(refused.detail().starts_with(sentence), "{body}: {}", refused.detail());
    }
    for by in [&adam, &bob, &ada] {
        relay.delete(&path(&ada)).cookie(&by.cookie).send().await.assert_problem(403, "forbidden");
    }
    assert_eq!(events(&relay, &ada, "access_refused").await.len(), 10);
    assert_eq!(relay.get("/api/v1/me").cookie(&ada.cookie).send().await.json()["role"], "owner");
}

#[tokio::test]
async fn nobody_of_another_organisation_is_there() {
    let relay = TestRelay::new().await;
    let (ada, zoe) = (relay.sign_in("ada@example.org").await, relay.sign_in("zoe@elsewhere.example").await);
    relay.get(&path(&zoe)).cookie(&ada.cookie).send().await.assert_problem(404, "not_found");
    patch(&relay, &ada, &zoe, json!({"role": "member"})).await.assert_problem(404, "not_found");
    relay.delete(&path(&zoe)).cookie(&ada.cookie).send().await.assert_problem(404, "not_found");
    assert_eq!(relay.get("/api/v1/me").cookie(&zoe.cookie).send().await.json()["role"], "owner");
}

#[tokio::test]
async fn a_change_that_makes_no_sense_is_named_and_a_token_needs_the_scope() {
    let relay = TestRelay::new().await;
    let ada = relay.sign_in("ada@example.org").await;
    let bob = relay.joins(&ada, "bob@example.org", Role::Member).await;
    for body in [json!({}), json!({"role": "king"}), json!({"role": "member", "suspended": true}), json!({"x": 1})] {
        patch(&relay, &ada, &bob, body).await.assert_problem(422, "unprocessable");
    }
    let (reads, administers) = (relay.api_token(&ada, []).await, relay.api_token(&ada, [Scope::Admin]).await);
    let by = |token: &str| relay.request("PATCH", &path(&bob)).without("origin").header("authorization", token);
    by(&reads).json(json!({"role": "auditor"})).send().await.assert_problem(403, "forbidden");
    assert_eq!(by(&administers).json(json!({"role": "auditor"})).send().await.status, 200);
}
