use http_body_util::BodyExt;
use serde_json::Value;

use crate::clock::UnixMillis;
use crate::domain::audit::{Action, NewEvent, Origin};
use crate::domain::organisation::{ClientInfo, Role};
use crate::http::testing::{SignedIn, TestRelay, TestResponse};

const PATH: &str = "/api/v1/audit-events";

async fn list(relay: &TestRelay, who: &SignedIn, query: &str) -> TestResponse {
    relay.get(&format!("{PATH}?{query}")).cookie(&who.cookie).send().await
}

fn items(response: &TestResponse) -> Vec<Value> {
    assert_eq!(response.status, 200, "{}", String::from_utf8_lossy(&response.body));
    response.json()["items"].as_array().expect("items").clone()
}

fn actions(response: &TestResponse) -> Vec<String> {
    items(response).iter().map(|item| item["action"].as_str().expect("an action").to_owned()).collect()
}

/// An act of this person, with a user agent and a detail of the test's own.
async fn act(relay: &TestRelay, who: &SignedIn, user_agent: &str, reason: &str) {
    let client = ClientInfo { ip: "192.0.2.9".to_owned(), user_agent: user_agent.to_owned() };
    let origin = Origin::user(who.membership.user.id, client);
    let organisation = who.membership.organisation.id;
    let event = NewEvent::new(Action::AccessRefused, organisation, origin, relay.app.clock.now());
    relay.app.store.append_audit(&event.detail("reason", reason)).await.expect("appends");
}

#[tokio::test]
async fn what_was_done_is_listed_newest_first_with_who_and_from_where() {
    let relay = TestRelay::new().await;
    let ada = relay.sign_in("ada@example.org").await;
    relay.cluster(&ada, "berlin").await;
    act(&relay, &ada, "Mozilla", "tried").await;
    let page = list(&relay, &ada, "").await;
    let expected = [
        "access_refused",
        "cluster_created",
        "sign_in",
        "sign_in_link_created",
        "access_rule_created",
        "organisation_created",
    ];
    assert_eq!(actions(&page), expected);
    let items = items(&page);
    let positions: Vec<_> = items.iter().map(|item| item["position"].as_u64().expect("a position")).collect();
    assert_eq!(positions, [6, 5, 4, 3, 2, 1]);
    assert_eq!(items[0]["actor"]["name"], "ada@example.org");
    assert_eq!(items[0]["client_ip"], "192.0.2.9");
    assert_eq!(items[0]["user_agent"], "Mozilla");
    assert_eq!(items[1]["cluster"]["name"], "berlin");
    assert_eq!(items[1]["actor"]["kind"], "operator");
    assert_eq!(items[5]["user"]["name"], "ada@example.org");
    assert_eq!(items[0]["at"], relay.app.clock.now().to_string());
}

#[tokio::test]
async fn filters_find_what_they_say_and_take_no_pattern_from_the_text() {
    let relay = TestRelay::new().await;
    let ada = relay.sign_in("ada@example.org").await;
    let berlin = relay.cluster(&ada, "berlin").await.id;
    act(&relay, &ada, "x", "100%_sure \\ Grün").await;
    relay.hand.advance(std::time::Duration::from_mins(1));
    act(&relay, &ada, "x", "100 surely").await;
    for (query, found) in [
        ("action=cluster_created".to_owned(), 1),
        (format!("cluster={berlin}"), 1),
        ("user=ada@example.org&action=access_refused".to_owned(), 2),
        (format!("user={}&action=sign_in", ada.membership.user.id), 1),
        ("user=bob@example.org".to_owned(), 0),
        ("text=100%25_S".to_owned(), 1),
        ("text=%25".to_owned(), 1),
        ("text=100_".to_owned(), 0),
        ("text=%5C%5C&action=access_refused".to_owned(), 1),
        ("text=SURELY".to_owned(), 1),
        ("text='%3B%20DROP%20TABLE%20audit_events".to_owned(), 0),
        ("namespace=shop".to_owned(), 0),
        (format!("from={}", relay.app.clock.now()), 1),
        (format!("to={}&action=access_refused", relay.app.clock.now()), 1),
        ("from=1970-01-01T00:00:00Z&to=1970-01-01T00:00:00Z".to_owned(), 0),
        ("action=&text=&from=&cluster=".to_owned(), 7),
    ] {
        assert_eq!(items(&list(&relay, &ada, &query).await).len(), found, "{query}");
    }
}

#[tokio::test]
async fn pages_hold_every_event_once_and_a_cursor_is_good_for_its_own_list_alone() {
    let relay = TestRelay::new().await;
    let (ada, bob) = (relay.sign_in("ada@example.org").await, relay.sign_in("bob@example.org").await);
    for number in 0..10 {
        act(&relay, &ada, "x", &number.to_string()).await;
    }
    let (mut seen, mut query) = (Vec::new(), "limit=3&action=access_refused".to_owned());
    loop {
        let page = list(&relay, &ada, &query).await;
        seen.extend(items(&page).iter().map(|item| item["position"].as_u64().expect("a position")));
        let next = page.json()["next_cursor"].clone();
        let Some(cursor) = next.as_str() else { break };
        query = format!("limit=3&action=access_refused&cursor={cursor}");
    }
    assert_eq!(seen, (5..=14).rev().collect::<Vec<_>>());

    let cursor = list(&relay, &ada, "limit=1").await.json()["next_cursor"].as_str().expect("a cursor").to_owned();
    for query in [
        format!("cursor={cursor}&action=sign_in"),
        "cursor=0189000000007000800000000000000f".to_owned(),
        "cursor=a%C3%A9".to_owned(),
        "cursor=x".to_owned(),
    ] {
        list(&relay, &ada, &query).await.assert_problem(422, "unprocessable");
    }
    list(&relay, &bob, &format!("cursor={cursor}")).await.assert_problem(422, "unprocessable");
    assert_eq!(list(&relay, &ada, &format!("limit=1&cursor={cursor}")).await.status, 200);
}

#[tokio::test]
async fn bad_questions_get_a_sentence() {
    let relay = TestRelay::new().await;
    let ada = relay.sign_in("ada@example.org").await;
    let long = "x".repeat(50_000);
    for query in [
        "from=2026-02-01T00:00:00Z&to=2026-01-01T00:00:00Z".to_owned(),
        "from=yesterday".to_owned(),
        "cluster=berlin".to_owned(),
        "session=1".to_owned(),
        "action=everything".to_owned(),
        "pod=a%00b".to_owned(),
        "text=%00".to_owned(),
        format!("text={long}"),
        format!("pod={long}"),
        format!("user={long}"),
        format!("namespace={long}"),
    ] {
        for path in [PATH, &format!("{PATH}/stream"), &format!("{PATH}/export")] {
            let response = relay.get(&format!("{path}?{query}&format=csv")).cookie(&ada.cookie).send().await;
            response.assert_problem(422, "unprocessable");
        }
    }
    for query in ["format=xml", "", "limit=-1&format=x"] {
        let response = relay.get(&format!("{PATH}/export?{query}")).cookie(&ada.cookie).send().await;
        response.assert_problem(400, "bad_request");
    }
}

#[tokio::test]
async fn a_member_sees_their_own_acts_and_an_auditor_all_of_the_organisation() {
    let relay = TestRelay::new().await;
    let (ada, bob) = (relay.sign_in("ada@example.org").await, relay.sign_in("bob@example.org").await);
    let member = relay.joins(&ada, "mia@example.org", Role::Member).await;
    let auditor = relay.joins(&ada, "aud@example.org", Role::Auditor).await;
    act(&relay, &ada, "x", "of ada").await;
    act(&relay, &member, "x", "of the member").await;
    act(&relay, &bob, "x", "elsewhere").await;
    let reasons = async |who: &SignedIn| {
        let found = items(&list(&relay, who, "action=access_refused").await);
        found.iter().map(|item| item["details"]["reason"].as_str().expect("text").to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(reasons(&member).await, ["of the member"]);
    for all in [&ada, &auditor] {
        assert_eq!(reasons(all).await, ["of the member", "of ada"]);
    }
    assert_eq!(reasons(&bob).await, ["elsewhere"]);
    let export = relay.get(&format!("{PATH}/export?format=jsonl")).cookie(&member.cookie).send().await;
    assert!(!String::from_utf8_lossy(&export.body).contains("of ada"));
}

#[tokio::test]
async fn an_export_is_whole_harmless_and_audited() {
    let relay = TestRelay::new().await;
    let ada = relay.sign_in("ada@example.org").await;
    act(&relay, &ada, "=HYPERLINK(\"http://evil\")", "\u{1b}]0;x\u{7}\r\n=1+1").await;
    for number in 0..1_200 {
        act(&relay, &ada, "x", &number.to_string()).await;
    }
    let export = async |format: &str| {
        let response = relay.get(&format!("{PATH}/export?format={format}")).cookie(&ada.cookie).send().await;
        assert_eq!(response.status, 200);
        assert!(response.header("content-disposition").starts_with("attachment; filename=\"audit-"));
        String::from_utf8(response.body.to_vec()).expect("UTF-8")
    };
    let csv = export("csv").await;
    assert_eq!(csv.split_terminator("\r\n").count(), 1 + 4 + 1_201, "the header, what came before, the acts");
    assert!(csv.contains(",\"'=HYPERLINK(\"\"http://evil\"\")\","), "{}", &csv[..2_000]);
    assert!(!csv.replace("\r\n", "").chars().any(char::is_control));

    let jsonl = export("jsonl").await;
    let events: Vec<Value> = jsonl.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    assert!(events.iter().map(|event| event["position"].as_u64().expect("a number")).eq(1..=1_206));
    assert_eq!(events[4]["details"]["reason"], "\u{1b}]0;x\u{7}\r\n=1+1");
    assert!(!jsonl.replace('\n', "").chars().any(char::is_control));
    let last = items(&list(&relay, &ada, "limit=1").await).remove(0);
    assert_eq!((&last["action"], &last["details"]["format"]), (&"audit_export".into(), &"jsonl".into()));
}

#[tokio::test]
async fn a_stream_behind_a_list_misses_nothing_and_doubles_nothing() {
    let relay = TestRelay::new().await;
    let ada = relay.sign_in("ada@example.org").await;
    let writer = {
        let (store, organisation) = (relay.app.store.clone(), ada.membership.organisation.id);
        tokio::spawn(async move {
            for _ in 0..300 {
                let event = NewEvent::new(Action::Replay, organisation, Origin::system(), UnixMillis::new(0));
                store.append_audit(&event).await.expect("appends");
            }
        })
    };
    let newest = items(&list(&relay, &ada, "limit=1").await)[0]["position"].as_u64().expect("a position");
    let path = format!("{PATH}/stream?after={newest}");
    let mut stream = relay.get(&path).cookie(&ada.cookie).stream().await;
    let (mut text, mut positions) = (String::new(), Vec::new());
    while positions.last() != Some(&303) {
        let frame = stream.frame().await.expect("goes on").expect("a frame");
        text.push_str(std::str::from_utf8(frame.data_ref().expect("data")).expect("UTF-8"));
        while let Some(end) = text.find("\n\n") {
            let event: String = text.drain(..end + 2).collect();
            let data = event.lines().find_map(|line| line.strip_prefix("data: "));
            let Some(data) = data else { continue };
            let item: Value = serde_json::from_str(data).expect("JSON");
            assert!(event.contains(&format!("id: {}", item["position"])));
            positions.push(item["position"].as_u64().expect("a position"));
        }
    }
    assert!(positions.iter().copied().eq(newest + 1..=303));
    writer.await.expect("joins");
}

#[tokio::test]
async fn a_stream_ends_when_the_relay_stops() {
    let relay = TestRelay::new().await;
    let ada = relay.sign_in("ada@example.org").await;
    let mut stream = relay.get(&format!("{PATH}/stream")).cookie(&ada.cookie).stream().await;
    relay.app.lifecycle.drain();
    assert!(stream.frame().await.is_none());
}

#[tokio::test]
async fn a_refused_request_is_in_the_log() {
    let relay = TestRelay::new().await;
    let ada = relay.sign_in("ada@example.org").await;
    let auditor = relay.joins(&ada, "aud@example.org", Role::Auditor).await;
    let cluster = relay.cluster(&ada, "berlin").await.id.to_string();
    let body = serde_json::json!({"cluster": cluster, "namespace": "shop", "pod": "web-1", "columns": 80, "rows": 24});
    let open = async |who: &SignedIn| {
        relay
            .post("/api/v1/sessions")
            .cookie(&who.cookie)
            .header("user-agent", "curl\t8")
            .json(body.clone())
            .send()
            .await
    };
    open(&auditor).await.assert_problem(403, "forbidden");
    open(&ada).await.assert_problem(503, "agent_offline");
    let found = items(&list(&relay, &ada, "pod=web-1&namespace=shop").await);
    let [offline, denied] = found.as_slice() else { panic!("{found:?}") };
    assert_eq!((&denied["action"], &denied["outcome"]), (&"access_refused".into(), &"refused".into()));
    assert_eq!((&denied["actor"]["name"], &denied["details"]["asked"]), (&"aud@example.org".into(), &"exec".into()));
    assert_eq!((&denied["client_ip"], &denied["user_agent"]), (&"127.0.0.1".into(), &"curl8".into()));
    assert_eq!((&offline["action"], &offline["details"]["code"]), (&"session_refused".into(), &"agent_offline".into()));
}

#[tokio::test]
async fn signing_in_and_out_is_in_the_log_and_so_is_a_used_link() {
    let relay = TestRelay::new().await;
    let (link, _) = relay.sign_in_link("ada@example.org").await;
    let sign_in = async || {
        let body = serde_json::json!({ "token": link.expose() });
        relay.post("/api/v1/login-sessions").header("x-forwarded-for", "203.0.113.9").json(body).send().await
    };
    let cookie = sign_in().await.header("set-cookie").split(';').next().expect("a cookie").to_owned();
    sign_in().await.assert_problem(401, "bad_sign_in_link");
    relay.delete("/api/v1/login-sessions/current").cookie(&cookie).send().await;
    let ada = relay.sign_in("ada@example.org").await;
    let page = list(&relay, &ada, "user=ada@example.org").await;
    let told = actions(&page);
    let expected = [
        "sign_in",
        "sign_in_link_created",
        "sign_out",
        "sign_in_refused",
        "sign_in",
        "sign_in_link_created",
        "organisation_created",
    ];
    assert_eq!(told, expected);
    let refused = &items(&page)[3];
    assert_eq!((&refused["actor"]["kind"], &refused["details"]["reason"]), (&"unknown".into(), &"used".into()));
    assert_eq!(refused["client_ip"], "127.0.0.1", "a forged header counts for nothing");
    assert!(!String::from_utf8_lossy(&page.body).contains(&link.expose()[4..]), "no token in the log");
}
