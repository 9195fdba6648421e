use serde_json::{Value, json};

use crate::domain::organisation::Role;
use crate::http::testing::{SignedIn, TestRelay, TestResponse};

const RULES: &str = "/api/v1/access-rules";

#[expect(clippy::needless_pass_by_value, reason = "tests read better with the literal in place")]
fn rule(change: Value) -> Value {
    let mut rule = json!({
        "name": "Members see and open the shop", "effect": {"allow": {}}, "who": {"roles": ["member"]},
        "clusters": {"names": ["berlin"]}, "namespaces": ["shop"], "containers": ["*"], "actions": ["view", "exec"],
    });
    for (field, value) in change.as_object().expect("an object") {
        rule[field] = value.clone();
    }
    rule
}

async fn list(relay: &TestRelay, person: &SignedIn) -> Value {
    relay.get(RULES).cookie(&person.cookie).send().await.json()["items"].clone()
}

async fn make(relay: &TestRelay, person: &SignedIn, rule: Value) -> Value {
    let made = relay.post(RULES).cookie(&person.cookie).json(rule).send().await;
    assert_eq!(made.status, 201, "{:?}", made.body);
    made.json()
}

async fn open(relay: &TestRelay, person: &SignedIn, cluster: &str, change: Value) -> TestResponse {
    let mut body = json!({"cluster": cluster, "namespace": "shop", "pod": "web", "columns": 80, "rows": 24});
    for (field, value) in change.as_object().expect("an object") {
        body[field] = value.clone();
    }
    relay.post("/api/v1/sessions").cookie(&person.cookie).json(body).send().await
}

#[tokio::test]
async fn an_organisation_begins_with_one_rule_that_may_be_changed_and_deleted() {
    let relay = TestRelay::new().await;
    let ada = relay.sign_in("ada@example.org").await;
    let rules = list(&relay, &ada).await;
    assert_eq!(rules.as_array().map(Vec::len), Some(1));
    assert_eq!(
        (&rules[0]["settings"]["name"], &rules[0]["revision"]),
        (&json!("Owners may open everything"), &json!(1))
    );
    let cluster = relay.cluster(&ada, "berlin").await.id.to_string();
    open(&relay, &ada, &cluster, json!({})).await.assert_problem(503, "agent_offline");

    let path = format!("{RULES}/{}", rules[0]["id"].as_str().expect("an id"));
    let put = |revision: &'static str| {
        let settings = rule(json!({"who": {"roles": ["owner"]}}));
        relay.request("PUT", &path).cookie(&ada.cookie).header("if-match", revision).json(settings)
    };
    put("\"2\"").send().await.assert_problem(412, "conflict");
    let changed = put("\"1\"").send().await;
    assert_eq!((changed.status, &changed.json()["revision"]), (200, &json!(2)));
    put("\"1\"").send().await.assert_problem(412, "conflict");
    relay
        .request("PUT", &path)
        .cookie(&ada.cookie)
        .json(rule(json!({})))
        .send()
        .await
        .assert_problem(422, "unprocessable");
    let elsewhere = open(&relay, &ada, &cluster, json!({"namespace": "other"})).await;
    elsewhere.assert_problem(403, "forbidden");
    assert!(elsewhere.detail().contains("Ask an owner or admin"), "{}", elsewhere.detail());
    let delete = relay.delete(&path).cookie(&ada.cookie).header("if-match", "\"2\"").send().await;
    assert_eq!(delete.status, 204);
    open(&relay, &ada, &cluster, json!({})).await.assert_problem(403, "forbidden");
}

#[tokio::test]
async fn another_organisations_rules_do_not_exist_and_members_change_none() {
    let relay = TestRelay::new().await;
    let (ada, bob) = (relay.sign_in("ada@example.org").await, relay.sign_in("bob@example.org").await);
    let mia = relay.joins(&ada, "mia@example.org", Role::Member).await;
    let id = list(&relay, &ada).await[0]["id"].as_str().expect("an id").to_owned();
    let path = format!("{RULES}/{id}");
    relay.get(&path).cookie(&bob.cookie).send().await.assert_problem(404, "not_found");
    let put = |person: &SignedIn| {
        relay.request("PUT", &path).cookie(&person.cookie).header("if-match", "\"1\"").json(rule(json!({})))
    };
    put(&bob).send().await.assert_problem(404, "not_found");
    put(&mia).send().await.assert_problem(403, "forbidden");
    relay.get(RULES).cookie(&mia.cookie).send().await.assert_problem(403, "forbidden");
    relay.post(RULES).cookie(&mia.cookie).json(rule(json!({}))).send().await.assert_problem(403, "forbidden");
}

#[tokio::test]
async fn without_a_rule_nothing_is_listed_and_nothing_opens() {
    let relay = TestRelay::new().await;
    let ada = relay.sign_in("ada@example.org").await;
    let mia = relay.joins(&ada, "mia@example.org", Role::Member).await;
    let berlin = relay.cluster(&ada, "berlin").await.id.to_string();
    relay.cluster(&ada, "paris").await;
    let clusters = || relay.get("/api/v1/clusters").cookie(&mia.cookie).send();
    assert_eq!(clusters().await.json()["items"], json!([]));
    let path = format!("/api/v1/clusters/{berlin}");
    relay.get(&path).cookie(&mia.cookie).send().await.assert_problem(404, "not_found");
    let watch = format!("{path}/namespaces/watch");
    relay.get(&watch).cookie(&mia.cookie).send().await.assert_problem(404, "not_found");
    open(&relay, &mia, &berlin, json!({})).await.assert_problem(403, "forbidden");

    make(&relay, &ada, rule(json!({}))).await;
    let listed = clusters().await.json();
    assert_eq!((listed["items"].as_array().map(Vec::len), &listed["items"][0]["name"]), (Some(1), &json!("berlin")));
    open(&relay, &mia, &berlin, json!({})).await.assert_problem(503, "agent_offline");
    open(&relay, &mia, &berlin, json!({"namespace": "kube-system"})).await.assert_problem(403, "forbidden");
    let shop = format!("{path}/namespaces/shop/watch");
    relay.get(&shop).cookie(&mia.cookie).send().await.assert_problem(503, "agent_offline");
    let other = format!("{path}/namespaces/kube-system/watch");
    relay.get(&other).cookie(&mia.cookie).send().await.assert_problem(404, "not_found");
}

#[tokio::test]
async fn a_rule_may_want_a_reason_and_another_persons_approval() {
    let relay = TestRelay::new().await;
    let ada = relay.sign_in("ada@example.org").await;
    let mia = relay.joins(&ada, "mia@example.org", Role::Member).await;
    let berlin = relay.cluster(&ada, "berlin").await.id.to_string();
    let reason = json!({"effect": {"allow": {"reason": "required"}}, "namespaces": ["reason"]});
    make(&relay, &ada, rule(reason)).await;
    let terms = json!({"approval": {"lasts_seconds": 60, "approvers": "administrators"}});
    make(&relay, &ada, rule(json!({"effect": {"allow": terms}}))).await;

    let in_reason = |reason: Value| open(&relay, &mia, &berlin, json!({"namespace": "reason", "reason": reason}));
    in_reason(json!(" ")).await.assert_problem(403, "reason_required");
    in_reason(json!("a\nb")).await.assert_problem(422, "unprocessable");
    in_reason(json!("ticket 7")).await.assert_problem(503, "agent_offline");

    open(&relay, &mia, &berlin, json!({})).await.assert_problem(403, "approval_required");
    let ask = |person: &SignedIn, namespace: &str| {
        let body = json!({"cluster": berlin, "namespace": namespace, "action": "exec", "reason": "ticket 7",
            "duration_seconds": 3600});
        relay.post("/api/v1/access-requests").cookie(&person.cookie).json(body)
    };
    ask(&mia, "kube-system").send().await.assert_problem(403, "forbidden");
    let asked = ask(&mia, "shop").send().await.json();
    let decision = format!("/api/v1/access-requests/{}/decision", asked["id"].as_str().expect("an id"));
    let decide =
        |person: &SignedIn, word: &str| relay.post(&decision).cookie(&person.cookie).json(json!({"decision": word}));
    decide(&mia, "approve").send().await.assert_problem(403, "forbidden");
    let bob = relay.sign_in("bob@example.org").await;
    decide(&bob, "approve").send().await.assert_problem(404, "not_found");
    let listed = relay.get("/api/v1/access-requests").cookie(&ada.cookie).send().await.json();
    assert_eq!((&listed["items"][0]["state"], &listed["items"][0]["may_decide"]), (&json!("pending"), &json!(true)));
    let approved = decide(&ada, "approve").send().await.json();
    assert_eq!((&approved["state"], approved["reason"].as_str()), (&json!("approved"), Some("ticket 7")));
    decide(&ada, "deny").send().await.assert_problem(412, "conflict");
    open(&relay, &mia, &berlin, json!({})).await.assert_problem(503, "agent_offline");

    relay.hand.advance(std::time::Duration::from_secs(61));
    open(&relay, &mia, &berlin, json!({})).await.assert_problem(403, "approval_required");
    let again = ask(&mia, "shop").send().await.json();
    let decision = format!("/api/v1/access-requests/{}/decision", again["id"].as_str().expect("an id"));
    let withdrawn = relay.post(&decision).cookie(&mia.cookie).json(json!({"decision": "withdraw"})).send().await;
    assert_eq!(withdrawn.json()["state"], "withdrawn");
}

#[tokio::test]
async fn a_decision_is_explained_and_a_change_is_tried_before_it_is_made() {
    let relay = TestRelay::new().await;
    let ada = relay.sign_in("ada@example.org").await;
    let mia = relay.joins(&ada, "mia@example.org", Role::Member).await;
    let berlin = relay.cluster(&ada, "berlin").await.id.to_string();
    let explain = |person: &SignedIn, rest: &str| {
        let path =
            format!("/api/v1/access/explanation?cluster={berlin}&action=exec&namespace=shop&container=app{rest}");
        relay.get(&path).cookie(&person.cookie)
    };
    let denied = explain(&mia, "").send().await.json();
    assert_eq!((&denied["decision"], &denied["rules"]), (&json!("denied"), &json!([])));
    let of_ada = format!("&user={}", ada.membership.user.id);
    explain(&mia, &of_ada).send().await.assert_problem(403, "forbidden");

    let trial = json!({"rule": null, "settings": rule(json!({}))});
    let outcome = relay.post("/api/v1/access-rules/dry-run").cookie(&ada.cookie).json(trial).send().await.json();
    let changes = outcome["changes"].as_array().expect("a list");
    assert_eq!(changes.len(), 2, "{changes:?}");
    assert!(changes.iter().all(|change| change["email"] == "mia@example.org" && change["after"] == "possible"));
    assert_eq!(list(&relay, &ada).await.as_array().map(Vec::len), Some(1), "nothing was changed");

    let made = make(&relay, &ada, rule(json!({}))).await;
    let of_mia = format!("&user={}", mia.membership.user.id);
    let allowed = explain(&ada, &of_mia).send().await.json();
    assert_eq!((&allowed["decision"], &allowed["decided_by"]), (&json!("allowed"), &json!([made["id"]])));
    assert_eq!(allowed["rules"].as_array().map(Vec::len), Some(2));
    let labelled = rule(json!({"effect": "deny", "pod_labels": {"app": "db"}}));
    make(&relay, &ada, labelled).await;
    let unknown = explain(&mia, "").send().await.json();
    let parts: Vec<_> = unknown["rules"].as_array().expect("a list").iter().map(|rule| &rule["part"]).collect();
    assert!(unknown["decision"] == "denied" && parts.contains(&&json!("pod_labels")), "{unknown}");
    assert_eq!(explain(&mia, "&pod_labels=app=web").send().await.json()["decision"], "allowed");
}

#[tokio::test]
async fn the_right_to_open_is_none_to_debug_and_the_other_way_round() {
    let relay = TestRelay::new().await;
    let ada = relay.sign_in("ada@example.org").await;
    let berlin = relay.cluster(&ada, "berlin").await.id.to_string();
    let image = json!({"images": ["busybox:1.36"]});
    assert_eq!(relay.request("PUT", "/api/v1/debug-images").cookie(&ada.cookie).json(image).send().await.status, 200);
    let debug = json!({"debug": {"image": "busybox:1.36"}});
    for (email, action) in [("mia@example.org", "exec"), ("ann@example.org", "debug")] {
        let person = relay.joins(&ada, email, Role::Member).await;
        let user = person.membership.user.id.to_string();
        let name = format!("May {action}");
        let rights = json!({"name": name, "who": {"users": [user]}, "actions": ["view", action]});
        open(&relay, &person, &berlin, json!({})).await.assert_problem(403, "forbidden");
        make(&relay, &ada, rule(rights)).await;
        let (allowed, other) = if action == "exec" { (json!({}), debug.clone()) } else { (debug.clone(), json!({})) };
        open(&relay, &person, &berlin, allowed).await.assert_problem(503, "agent_offline");
        open(&relay, &person, &berlin, other).await.assert_problem(403, "forbidden");
    }
}
