use serde_json::{Value, json};

use crate::domain::organisation::Role;
use crate::http::testing::{SignedIn, TestRelay};

const PATH: &str = "/api/v1/groups";

async fn group(relay: &TestRelay, by: &SignedIn, name: &str) -> String {
    let made = relay.post(PATH).cookie(&by.cookie).json(json!({"name": name})).send().await;
    assert_eq!(made.status, 201, "{}", String::from_utf8_lossy(&made.body));
    made.json()["id"].as_str().expect("an id").to_owned()
}

fn member(group: &str, of: &SignedIn) -> String {
    format!("{PATH}/{group}/members/{}", of.membership.user.id)
}

#[tokio::test]
async fn a_group_is_made_changed_filled_and_deleted() {
    let relay = TestRelay::new().await;
    let ada = relay.sign_in("ada@example.org").await;
    let bob = relay.joins(&ada, "bob@example.org", Role::Member).await;
    let ops = group(&relay, &ada, "Ops").await;
    let body = json!({"name": "Operations", "kubernetes_groups": ["ops", "shop:edit"]});
    let changed = relay.request("PATCH", &format!("{PATH}/{ops}")).cookie(&ada.cookie).json(body).send().await.json();
    assert_eq!((&changed["name"], &changed["kubernetes_groups"]), (&json!("Operations"), &json!(["ops", "shop:edit"])));

    for _ in 0..2 {
        assert_eq!(relay.request("PUT", &member(&ops, &bob)).cookie(&ada.cookie).send().await.status, 204);
    }
    let listed = relay.get(PATH).cookie(&ada.cookie).send().await.json();
    assert_eq!(listed["items"][0]["members"], 1);
    let members = relay.get(&format!("{PATH}/{ops}/members")).cookie(&ada.cookie).send().await.json();
    assert_eq!(members["items"][0]["user"]["email"], "bob@example.org");
    assert_eq!(members["items"][0]["source"], "manual");
    let (organisation, user) = (bob.membership.organisation.id, bob.membership.user.id);
    assert_eq!(relay.app.store.groups_of(organisation, user).await.expect("answers").len(), 1);

    let leave = || relay.delete(&member(&ops, &bob)).cookie(&ada.cookie);
    assert_eq!(leave().send().await.status, 204);
    leave().send().await.assert_problem(404, "not_found");
    let delete = || relay.delete(&format!("{PATH}/{ops}")).cookie(&ada.cookie);
    assert_eq!(delete().send().await.status, 204);
    delete().send().await.assert_problem(404, "not_found");
    for action in ["group_created", "group_changed", "group_member_added", "group_member_removed", "group_deleted"] {
        let path = format!("/api/v1/audit-events?action={action}");
        let events = relay.get(&path).cookie(&ada.cookie).send().await.json();
        assert_eq!(events["items"].as_array().map(Vec::len), Some(1), "{action}");
    }
}

#[tokio::test]
async fn a_group_that_makes_no_sense_is_refused() {
    let relay = TestRelay::new().await;
    let ada = relay.sign_in("ada@example.org").await;
    group(&relay, &ada, "Ops").await;
    let make = async |body: Value| relay.post(PATH).cookie(&ada.cookie).json(body).send().await;
    make(json!({"name": "Ops"})).await.assert_problem(409, "taken");
    let ops = format!("{PATH}/{}", group(&relay, &ada, "Changed").await);
    let long = "x".repeat(254);
    for bad in ["system:masters", "System:masters", "system:", "", " x", "x ", "a\u{7}", "ä", &long] {
        let body = json!({"name": "New", "kubernetes_groups": ["fine", bad]});
        make(body.clone()).await.assert_problem(422, "unprocessable");
        let change = relay.request("PATCH", &ops).cookie(&ada.cookie).json(body).send().await;
        change.assert_problem(422, "unprocessable");
    }
    for body in [json!({}), json!({"name": ""}), json!({"name": "x".repeat(101)}), json!({"name": "x", "y": 1})] {
        make(body).await.assert_problem(422, "unprocessable");
    }
}

#[tokio::test]
async fn groups_are_their_organisations_and_its_administrators() {
    let relay = TestRelay::new().await;
    let (ada, zoe) = (relay.sign_in("ada@example.org").await, relay.sign_in("zoe@elsewhere.example").await);
    let bob = relay.joins(&ada, "bob@example.org", Role::Member).await;
    let (ops, foreign) = (group(&relay, &ada, "Ops").await, group(&relay, &zoe, "Ops").await);
    let put = async |by: &SignedIn, path: &str| relay.request("PUT", path).cookie(&by.cookie).send().await;
    put(&ada, &member(&foreign, &bob)).await.assert_problem(404, "not_found");
    put(&ada, &member(&ops, &zoe)).await.assert_problem(404, "not_found");
    put(&bob, &member(&ops, &bob)).await.assert_problem(403, "forbidden");
    for path in [format!("{PATH}/{foreign}"), format!("{PATH}/{foreign}/members"), format!("{PATH}/x")] {
        relay.get(&path).cookie(&ada.cookie).send().await.assert_problem(404, "not_found");
    }
    let foreign = format!("{PATH}/{foreign}");
    relay.delete(&foreign).cookie(&ada.cookie).send().await.assert_problem(404, "not_found");
    let rename = relay.request("PATCH", &foreign).cookie(&ada.cookie).json(json!({"name": "Mine"}));
    rename.send().await.assert_problem(404, "not_found");
    relay.get(PATH).cookie(&bob.cookie).send().await.assert_problem(403, "forbidden");
    relay.post(PATH).cookie(&bob.cookie).json(json!({"name": "Mine"})).send().await.assert_problem(403, "forbidden");
}
