use serde_json::{Value, json};

use crate::domain::organisation::Role;
use crate::http::testing::{SignedIn, TestRelay, TestResponse};

const PATH: &str = "/api/v1/login-sessions";
const SWITCH: &str = "/api/v1/login-sessions/current/organisation";

async fn listed(relay: &TestRelay, cookie: &str, query: &str) -> Vec<Value> {
    let page = relay.get(&format!("{PATH}{query}")).cookie(cookie).send().await.json();
    page["items"].as_array().expect("items").clone()
}

async fn switch(relay: &TestRelay, cookie: &str, to: &SignedIn) -> TestResponse {
    let body = json!({"organisation": to.membership.organisation.id.to_string()});
    relay.post(SWITCH).cookie(cookie).json(body).send().await
}

fn cookie(response: &TestResponse) -> String {
    assert_eq!(response.status, 200, "{}", String::from_utf8_lossy(&response.body));
    response.header("set-cookie").split(';').next().expect("a pair").to_owned()
}

async fn me(relay: &TestRelay, cookie: &str) -> TestResponse {
    relay.get("/api/v1/me").cookie(cookie).send().await
}

/// Zoe, who owns an organisation, and is a member of Ada's as well.
async fn zoe_of_both(relay: &TestRelay, ada: &SignedIn) -> SignedIn {
    let zoe = relay.sign_in("zoe@elsewhere.example").await;
    let invited = relay.post("/api/v1/invitations").cookie(&ada.cookie);
    let invited = invited.json(json!({"email": "zoe@elsewhere.example", "role": "member"})).send().await.json();
    let token = invited["url"].as_str().and_then(|url| url.split_once('#')).expect("a link").1.to_owned();
    let accept = relay.post("/api/v1/invitations/acceptances").cookie(&zoe.cookie);
    assert_eq!(accept.json(json!({"token": token, "name": "Zoe"})).send().await.status, 201);
    zoe
}

#[tokio::test]
async fn everybody_sees_and_ends_their_own_logins() {
    let relay = TestRelay::new().await;
    let (here, there) = (relay.sign_in("ada@example.org").await, relay.sign_in("ada@example.org").await);
    relay.api_token(&here, []).await;
    let all = listed(&relay, &here.cookie, "").await;
    assert_eq!(all.len(), 3);
    assert_eq!(all.iter().filter(|login| login["current"] == true).count(), 1);
    let tokens = listed(&relay, &here.cookie, "?kind=token").await;
    assert_eq!((tokens.len(), &tokens[0]["scopes"], &tokens[0]["name"]), (1, &json!(["read"]), &json!("a machine")));
    let text = serde_json::to_string(&all).expect("JSON");
    assert!(!text.contains("pls_") && !text.contains("plt_"), "{text}");

    let other = all.iter().find(|login| login["current"] == false && login["kind"] == "browser").expect("the other");
    let path = format!("{PATH}/{}", other["id"].as_str().expect("an id"));
    assert_eq!(relay.delete(&path).cookie(&here.cookie).send().await.status, 204);
    me(&relay, &there.cookie).await.assert_problem(401, "unauthenticated");
    relay.delete(&path).cookie(&here.cookie).send().await.assert_problem(404, "not_found");
}

#[tokio::test]
async fn administrators_see_and_end_everybodys_and_members_do_not() {
    let relay = TestRelay::new().await;
    let ada = relay.sign_in("ada@example.org").await;
    let bob = relay.joins(&ada, "bob@example.org", Role::Member).await;
    let zoe = relay.sign_in("zoe@elsewhere.example").await;
    assert_eq!(listed(&relay, &ada.cookie, "?whose=all").await.len(), 2);
    relay.get(&format!("{PATH}?whose=all")).cookie(&bob.cookie).send().await.assert_problem(403, "forbidden");
    let id = async |of: &SignedIn| listed(&relay, &of.cookie, "").await[0]["id"].as_str().expect("an id").to_owned();
    let (adas, bobs, zoes) = (id(&ada).await, id(&bob).await, id(&zoe).await);
    let end = async |id: &str, by: &SignedIn| relay.delete(&format!("{PATH}/{id}")).cookie(&by.cookie).send().await;
    end(&adas, &bob).await.assert_problem(404, "not_found");
    end(&zoes, &ada).await.assert_problem(404, "not_found");
    assert_eq!(end(&bobs, &ada).await.status, 204);
    me(&relay, &bob.cookie).await.assert_problem(401, "unauthenticated");
    assert_eq!(me(&relay, &zoe.cookie).await.status, 200);
}

#[tokio::test]
async fn one_sign_in_goes_on_in_another_organisation_and_ends_in_all() {
    let relay = TestRelay::new().await;
    let ada = relay.sign_in("ada@example.org").await;
    let zoe = zoe_of_both(&relay, &ada).await;
    let mine = relay.get("/api/v1/organisations").cookie(&zoe.cookie).send().await.json();
    let current: Vec<_> = mine["items"].as_array().expect("items").iter().map(|one| one["current"].clone()).collect();
    assert_eq!(current.iter().filter(|current| **current == true).count(), 1);

    let switched = cookie(&switch(&relay, &zoe.cookie, &ada).await);
    let there = me(&relay, &switched).await.json();
    assert_eq!((&there["role"], &there["user"]["email"]), (&json!("member"), &json!("zoe@elsewhere.example")));
    assert_eq!(there["organisation"]["id"], ada.membership.organisation.id.to_string());
    let back = cookie(&switch(&relay, &switched, &zoe).await);
    assert_eq!(me(&relay, &back).await.json()["role"], "owner");
    me(&relay, &zoe.cookie).await.assert_problem(401, "unauthenticated");
    let again = cookie(&switch(&relay, &back, &ada).await);
    assert_eq!(listed(&relay, &ada.cookie, "?whose=all").await.len(), 2, "one login there, however often it came");

    assert_eq!(relay.delete(&format!("{PATH}/current")).cookie(&again).send().await.status, 204);
    for gone in [&back, &again] {
        me(&relay, gone).await.assert_problem(401, "unauthenticated");
    }
}

#[tokio::test]
async fn a_login_that_was_ended_in_an_organisation_does_not_come_back_through_another() {
    let relay = TestRelay::new().await;
    let ada = relay.sign_in("ada@example.org").await;
    let zoe = zoe_of_both(&relay, &ada).await;
    let switched = cookie(&switch(&relay, &zoe.cookie, &ada).await);
    let logins = listed(&relay, &ada.cookie, "?whose=all").await;
    let hers = logins.iter().find(|login| login["current"] == false).expect("hers");
    let path = format!("{PATH}/{}", hers["id"].as_str().expect("an id"));
    assert_eq!(relay.delete(&path).cookie(&ada.cookie).send().await.status, 204);
    me(&relay, &switched).await.assert_problem(401, "unauthenticated");
    assert_eq!(me(&relay, &zoe.cookie).await.status, 200, "elsewhere Ada has no say");
    switch(&relay, &zoe.cookie, &ada).await.assert_problem(403, "forbidden");
}

#[tokio::test]
async fn nobody_switches_to_where_they_may_not_be() {
    let relay = TestRelay::new().await;
    let ada = relay.sign_in("ada@example.org").await;
    let stranger = relay.sign_in("eve@strange.example").await;
    switch(&relay, &stranger.cookie, &ada).await.assert_problem(404, "not_found");
    let zoe = zoe_of_both(&relay, &ada).await;
    let path = format!("/api/v1/people/{}", zoe.membership.user.id);
    let suspend = relay.request("PATCH", &path).cookie(&ada.cookie).json(json!({"suspended": true}));
    assert_eq!(suspend.send().await.status, 200);
    let refused = switch(&relay, &zoe.cookie, &ada).await;
    refused.assert_problem(403, "forbidden");
    assert!(refused.detail().starts_with("You are suspended"));
    let token = relay.api_token(&zoe, crate::domain::login::Scope::ALL).await;
    let body = json!({"organisation": ada.membership.organisation.id.to_string()});
    relay.post(SWITCH).header("authorization", &token).json(body).send().await.assert_problem(403, "forbidden");
    for nonsense in ["x", "", "01890000-0000-7000-8000-000000000000"] {
        let request = relay.post(SWITCH).cookie(&zoe.cookie).json(json!({"organisation": nonsense}));
        request.send().await.assert_problem(404, "not_found");
    }
}

#[tokio::test]
async fn whom_an_organisations_own_provider_signed_in_stays_there() {
    let relay = TestRelay::new().await;
    let ada = relay.sign_in("ada@example.org").await;
    let zoe = zoe_of_both(&relay, &ada).await;
    relay.execute("UPDATE login_sessions SET method = 'oidc'").await;
    switch(&relay, &zoe.cookie, &ada).await.assert_problem(403, "forbidden");
}
