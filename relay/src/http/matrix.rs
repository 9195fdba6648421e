//! Every endpoint × everybody who may ask: the right status, and no byte of anybody else's data.
//!
//! The endpoints come from the description that the relay serves, so one that is not in [`ROWS`] fails the test.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use podlatch_protocol::id::SessionId;
use serde_json::{Value, json};

use super::recordings::tests as recorded;
use super::testing::{SignedIn, TestRelay};
use crate::domain::organisation::Role;

/// What stands in everything that belongs to the organisation which is not to be seen by others.
const CANARY: &str = "canary";

/// The id of nothing.
const NOBODYS: &str = "01890000-0000-7000-8000-000000000000";

/// What an endpoint answers to those who are signed in. The others, who are not (any more), get 401 everywhere but at
/// endpoints that are there for signing in.
struct Row {
    /// Method and path, as described.
    endpoint: &'static str,
    /// What is sent.
    body: fn(&World) -> Value,
    /// A member of the organisation, whose objects these are not and whom no rule names.
    member: u16,
    /// An auditor of the organisation.
    auditor: u16,
    /// The owner of another organisation.
    foreigner: u16,
    /// The owner of the organisation.
    owner: u16,
}

const fn row(endpoint: &'static str, statuses: [u16; 4], body: fn(&World) -> Value) -> Row {
    let [member, auditor, foreigner, owner] = statuses;
    Row { endpoint, body, member, auditor, foreigner, owner }
}

const fn nothing(_: &World) -> Value {
    Value::Null
}

/// Endpoints for whoever is not signed in yet, and what they answer to no good credential, whoever sends it.
const PUBLIC: &[(&str, u16)] = &[
    ("POST /api/v1/login-sessions", 401),
    ("GET /api/v1/sign-in/methods", 200),
    ("POST /api/v1/sign-in/password", 401),
    ("POST /api/v1/sign-in/passkey/challenge", 200),
    ("POST /api/v1/sign-in/passkey", 422),
    // A browser is on its way: it is sent to a page that says what is wrong.
    ("GET /api/v1/sign-in/oidc/{id}", 303),
    ("GET /api/v1/sign-in/oidc/{id}/callback", 303),
    ("POST /api/v1/invitations/previews", 401),
    ("POST /api/v1/invitations/acceptances", 401),
];

/// member, auditor, foreigner, owner
const ROWS: &[Row] = &[
    // One's own.
    row("DELETE /api/v1/login-sessions/current", [204, 204, 204, 204], nothing),
    row("GET /api/v1/login-sessions", [200, 200, 200, 200], nothing),
    row("DELETE /api/v1/login-sessions/{id}", [404, 404, 404, 204], nothing),
    row(
        "POST /api/v1/login-sessions/current/organisation",
        [404, 404, 404, 404],
        |_| json!({"organisation": "01890000-0000-7000-8000-000000000000"}),
    ),
    row("GET /api/v1/me", [200, 200, 200, 200], nothing),
    row("GET /api/v1/me/password", [200, 200, 200, 200], nothing),
    row("PUT /api/v1/me/password", [204, 204, 204, 204], |_| json!({"new_password": "correct horse battery"})),
    row("DELETE /api/v1/me/password", [204, 204, 204, 204], nothing),
    row("POST /api/v1/me/passkeys/challenge", [200, 200, 200, 200], nothing),
    row("GET /api/v1/me/passkeys", [200, 200, 200, 200], nothing),
    row("POST /api/v1/me/passkeys", [422, 422, 422, 422], |_| json!({})),
    row("PATCH /api/v1/me/passkeys/{id}", [404, 404, 404, 404], |_| json!({"name": "Key"})),
    row("DELETE /api/v1/me/passkeys/{id}", [404, 404, 404, 404], nothing),
    row("GET /api/v1/organisations", [200, 200, 200, 200], nothing),
    row("GET /api/v1/api-tokens", [200, 200, 200, 200], nothing),
    row(
        "POST /api/v1/api-tokens",
        [201, 201, 201, 201],
        |_| json!({"name": "robot", "scopes": ["read"], "expires_in_days": 1}),
    ),
    row("DELETE /api/v1/api-tokens/{id}", [404, 404, 404, 204], nothing),
    // People.
    row("GET /api/v1/people", [403, 200, 200, 200], nothing),
    row("GET /api/v1/people/{id}", [403, 200, 404, 200], nothing),
    row("PATCH /api/v1/people/{id}", [403, 403, 404, 200], |_| json!({"role": "auditor"})),
    row("DELETE /api/v1/people/{id}", [403, 403, 404, 204], nothing),
    row("GET /api/v1/invitations", [403, 200, 200, 200], nothing),
    row(
        "POST /api/v1/invitations",
        [403, 403, 201, 201],
        |_| json!({"email": "new@example.org", "role": "member", "groups": []}),
    ),
    row("DELETE /api/v1/invitations/{id}", [403, 403, 404, 204], nothing),
    row("GET /api/v1/groups", [403, 200, 200, 200], nothing),
    row("POST /api/v1/groups", [403, 403, 201, 201], |_| json!({"name": "New", "kubernetes_groups": []})),
    row("GET /api/v1/groups/{id}", [403, 200, 404, 200], nothing),
    row("PATCH /api/v1/groups/{id}", [403, 403, 404, 200], |_| json!({"name": "Other"})),
    row("DELETE /api/v1/groups/{id}", [403, 403, 404, 204], nothing),
    row("GET /api/v1/groups/{id}/members", [403, 200, 404, 200], nothing),
    row("PUT /api/v1/groups/{id}/members/{user}", [403, 403, 404, 204], nothing),
    row("DELETE /api/v1/groups/{id}/members/{user}", [403, 403, 404, 204], nothing),
    row("GET /api/v1/sign-in-providers", [403, 200, 200, 200], nothing),
    row("POST /api/v1/sign-in-providers", [403, 403, 201, 201], |_| provider()),
    row("PUT /api/v1/sign-in-providers/{id}", [403, 403, 404, 200], |_| provider()),
    row("DELETE /api/v1/sign-in-providers/{id}", [403, 403, 404, 204], nothing),
    // Who may open what.
    row("GET /api/v1/access-rules", [403, 200, 200, 200], nothing),
    row("POST /api/v1/access-rules", [403, 403, 201, 201], |_| rule()),
    row("POST /api/v1/access-rules/dry-run", [403, 403, 200, 200], |_| json!({"settings": rule()})),
    row("GET /api/v1/access-rules/{id}", [403, 200, 404, 200], nothing),
    row("PUT /api/v1/access-rules/{id}", [403, 403, 404, 200], |_| rule()),
    row("DELETE /api/v1/access-rules/{id}", [403, 403, 404, 204], nothing),
    row("GET /api/v1/access/explanation", [200, 200, 404, 200], nothing),
    row("GET /api/v1/access-requests", [200, 200, 200, 200], nothing),
    row(
        "POST /api/v1/access-requests",
        [403, 403, 404, 403],
        |world| json!({"cluster": world.cluster, "namespace": "shop", "pod": "web-1", "action": "exec", "reason": "why", "duration_seconds": 600}),
    ),
    row("POST /api/v1/access-requests/{id}/decision", [404, 404, 404, 404], |_| json!({"decision": "deny"})),
    row("GET /api/v1/debug-images", [200, 200, 200, 200], nothing),
    row("PUT /api/v1/debug-images", [403, 403, 200, 200], |_| json!({"images": ["busybox:1.36"]})),
    // Clusters and what is in them.
    row("GET /api/v1/clusters", [200, 200, 200, 200], nothing),
    row("POST /api/v1/clusters", [403, 403, 201, 201], |_| json!({"type": "private", "name": "new"})),
    row("GET /api/v1/clusters/{id}", [404, 404, 404, 200], nothing),
    row("PATCH /api/v1/clusters/{id}", [403, 403, 404, 200], |_| json!({"name": "other"})),
    row("DELETE /api/v1/clusters/{id}", [403, 403, 404, 204], nothing),
    row("POST /api/v1/clusters/{id}/join-tokens", [403, 403, 404, 201], |_| json!({})),
    row("GET /api/v1/clusters/{id}/agents", [403, 200, 404, 200], nothing),
    row("DELETE /api/v1/clusters/{id}/agents/{agent}", [403, 403, 404, 204], nothing),
    row("PUT /api/v1/clusters/{id}/access", [403, 403, 404, 422], |_| access()),
    row("POST /api/v1/clusters/connection-tests", [403, 403, 200, 200], |_| access()),
    row("POST /api/v1/clusters/{id}/connection-tests", [403, 403, 404, 422], nothing),
    row("GET /api/v1/clusters/{id}/kubernetes-identity", [403, 200, 404, 200], nothing),
    row("PUT /api/v1/clusters/{id}/kubernetes-identity", [403, 403, 404, 200], |_| json!({"mode": "agent"})),
    row("GET /api/v1/clusters/{id}/namespaces/watch", [404, 404, 404, 503], nothing),
    row("GET /api/v1/clusters/{id}/namespaces/{namespace}/watch", [404, 404, 404, 503], nothing),
    // What was done.
    row("GET /api/v1/audit-events", [200, 200, 200, 200], nothing),
    row("GET /api/v1/audit-events/stream", [200, 200, 200, 200], nothing),
    row("GET /api/v1/audit-events/export", [200, 200, 200, 200], nothing),
    // Terminals.
    row(
        "POST /api/v1/sessions",
        [403, 403, 404, 503],
        |world| json!({"cluster": world.cluster, "namespace": "shop", "pod": "web-1", "columns": 80, "rows": 24}),
    ),
    row("GET /api/v1/sessions", [200, 200, 200, 200], nothing),
    row("GET /api/v1/sessions/{id}", [404, 404, 404, 200], nothing),
    row("DELETE /api/v1/sessions/{id}", [404, 403, 404, 202], nothing),
    row("POST /api/v1/sessions/{id}/tickets", [404, 403, 404, 410], nothing),
    row("POST /api/v1/sessions/{id}/observer-tickets", [404, 403, 404, 410], nothing),
    // The upgrade itself, and every verb behind it, is tried over a socket: tests/e2e/tests/refusals/verbs.rs.
    row("GET /api/v1/sessions/{id}/terminal", [400, 400, 400, 400], nothing),
    row("GET /api/v1/sessions/{id}/recording", [404, 403, 404, 200], nothing),
    row("POST /api/v1/sessions/{id}/replays", [404, 403, 404, 201], nothing),
    row("GET /api/v1/sessions/{id}/recording/segments/{index}", [404, 403, 404, 200], nothing),
    row("GET /api/v1/sessions/{id}/recording/screen", [404, 403, 404, 200], nothing),
    row("GET /api/v1/sessions/{id}/recording/search", [404, 403, 404, 200], nothing),
    row("GET /api/v1/sessions/{id}/recording/cast", [404, 403, 404, 200], nothing),
];

fn token_id(made: &Value) -> String {
    made["id"].as_str().or_else(|| made["api_token"]["id"].as_str()).expect("an id").to_owned()
}

fn rule() -> Value {
    json!({
        "name": "New", "effect": {"allow": {}}, "who": {"roles": ["member"]}, "clusters": {"names": ["*"]},
        "namespaces": ["*"], "containers": ["*"], "actions": ["view"],
    })
}

fn provider() -> Value {
    json!({"name": "Office", "issuer": "https://login.example.org", "client_id": "podlatch"})
}

fn access() -> Value {
    json!({"server": "https://192.0.2.1:6443", "token": "x"})
}

/// Who asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Identity {
    Anonymous,
    /// Signed in once; the time is over.
    Expired,
    Suspended,
    /// Signed out.
    Revoked,
    /// With an API token that was revoked.
    RevokedToken,
    Member,
    Auditor,
    Foreigner,
    Owner,
}

impl Identity {
    /// The right one last: what it does may be the end of what the others ask for.
    const ALL: [Self; 9] = [
        Self::Anonymous,
        Self::Expired,
        Self::Suspended,
        Self::Revoked,
        Self::RevokedToken,
        Self::Foreigner,
        Self::Member,
        Self::Auditor,
        Self::Owner,
    ];

    const fn expects(self, row: &Row) -> u16 {
        match self {
            Self::Anonymous | Self::Expired | Self::Suspended | Self::Revoked | Self::RevokedToken => 401,
            Self::Member => row.member,
            Self::Auditor => row.auditor,
            Self::Foreigner => row.foreigner,
            Self::Owner => row.owner,
        }
    }
}

/// An organisation with one of everything, and everybody who may ask for it.
struct World {
    relay: TestRelay,
    cluster: String,
    agent: String,
    session: SessionId,
    replay: String,
    /// The ids of what was made over the API, by what stands before them in a path.
    made: BTreeMap<&'static str, String>,
    expired: String,
    suspended: String,
    revoked: String,
    revoked_token: String,
    member: SignedIn,
    auditor: SignedIn,
    foreigner: SignedIn,
    owner: SignedIn,
}

impl World {
    async fn new() -> Self {
        let relay = TestRelay::new().await;
        let expired = relay.sign_in("canary-owner@example.org").await.cookie;
        relay.hand.advance(Duration::from_hours(24));
        let owner = relay.sign_in("canary-owner@example.org").await;
        let revoked = relay.sign_in("canary-owner@example.org").await.cookie;
        relay.delete("/api/v1/login-sessions/current").cookie(&revoked).send().await;
        let member = relay.joins(&owner, "canary-member@example.org", Role::Member).await;
        let auditor = relay.joins(&owner, "canary-auditor@example.org", Role::Auditor).await;
        let other = relay.joins(&owner, "canary-other@example.org", Role::Member).await;
        let suspended = relay.joins(&owner, "canary-suspended@example.org", Role::Owner).await;
        let foreigner = relay.sign_in("eve@example.net").await;
        let cluster = relay.cluster(&owner, "canary-cluster").await;
        let agent = relay.agent(&cluster).await.to_string();
        let session = recorded::session(&relay, &owner).await;
        let mut world = Self {
            relay,
            cluster: cluster.id.to_string(),
            agent,
            session,
            replay: String::new(),
            made: BTreeMap::from([("people", other.membership.user.id.to_string())]),
            expired,
            suspended: suspended.cookie,
            revoked,
            revoked_token: String::new(),
            member,
            auditor,
            foreigner,
            owner,
        };
        let id = suspended.membership.user.id;
        world.by_owner("PATCH", &format!("/api/v1/people/{id}"), json!({"suspended": true}), 200).await;
        world.make().await;
        world
    }

    /// Makes what the API makes.
    async fn make(&mut self) {
        for (what, body) in [
            ("groups", json!({"name": "canary-group", "kubernetes_groups": []})),
            (
                "access-rules",
                json!({"name": "canary-rule", "effect": "deny", "who": {"roles": ["admin"]},
                "clusters": {"names": ["canary-none"]}, "namespaces": ["*"], "containers": ["*"], "actions": ["view"]}),
            ),
            (
                "sign-in-providers",
                json!({"name": "canary-provider", "issuer": "https://login.example.org", "client_id": "x"}),
            ),
        ] {
            let made = self.by_owner("POST", &format!("/api/v1/{what}"), body, 201).await;
            self.made.insert(what, made["id"].as_str().expect("an id").to_owned());
        }
        let path = format!("/api/v1/groups/{}/members/{}", self.made["groups"], self.made["people"]);
        self.by_owner("PUT", &path, Value::Null, 204).await;
        let body = json!({"email": "canary-invited@example.org", "role": "member", "groups": []});
        let invited = self.by_owner("POST", "/api/v1/invitations", body, 201).await;
        self.made.insert("invitations", invited["invitation"]["id"].as_str().expect("an id").to_owned());
        let body = json!({"name": "canary-token", "scopes": ["read"], "expires_in_days": 1});
        let token = self.by_owner("POST", "/api/v1/api-tokens", body.clone(), 201).await;
        self.made.insert("api-tokens", token_id(&token));
        let revoked = self.by_owner("POST", "/api/v1/api-tokens", body, 201).await;
        self.revoked_token = format!("Bearer {}", revoked["token"].as_str().expect("a token"));
        let path = format!("/api/v1/api-tokens/{}", token_id(&revoked));
        self.by_owner("DELETE", &path, Value::Null, 204).await;
        let spare = self.relay.sign_in("canary-owner@example.org").await;
        let logins = self.relay.get("/api/v1/login-sessions").cookie(&spare.cookie).send().await.json();
        let logins = logins["items"].as_array().expect("a list").clone();
        let own = logins.iter().find(|login| login["current"] == true).expect("its own login");
        self.made.insert("login-sessions", own["id"].as_str().expect("an id").to_owned());
    }

    /// Adds a recording, and opens it.
    async fn record(&mut self) {
        recorded::record(&self.relay, self.owner.membership.organisation.id, self.session).await;
        let path = format!("/api/v1/sessions/{}/replays", self.session);
        let replay = self.by_owner("POST", &path, Value::Null, 201).await;
        self.replay = replay["token"].as_str().expect("a token").to_owned();
    }

    async fn by_owner(&self, method: &str, path: &str, body: Value, expected: u16) -> Value {
        let mut request = self.relay.request(method, path).cookie(&self.owner.cookie);
        if !body.is_null() {
            request = request.json(body);
        }
        let answer = request.send().await;
        assert_eq!(answer.status, expected, "{method} {path}: {}", String::from_utf8_lossy(&answer.body));
        if answer.body.is_empty() { Value::Null } else { answer.json() }
    }

    /// The credential, as header and value.
    fn credential(&self, identity: Identity) -> Option<(&'static str, &str)> {
        let cookie = |cookie| Some(("cookie", cookie));
        match identity {
            Identity::Anonymous => None,
            Identity::Expired => cookie(self.expired.as_str()),
            Identity::Suspended => cookie(&self.suspended),
            Identity::Revoked => cookie(&self.revoked),
            Identity::RevokedToken => Some(("authorization", &self.revoked_token)),
            Identity::Member => cookie(&self.member.cookie),
            Identity::Auditor => cookie(&self.auditor.cookie),
            Identity::Foreigner => cookie(&self.foreigner.cookie),
            Identity::Owner => cookie(&self.owner.cookie),
        }
    }

    /// The path with the organisation's own objects in it.
    fn path(&self, described: &str) -> String {
        let mut path = String::new();
        let mut before = "";
        for part in described.split('/').skip(1) {
            path.push('/');
            match (part, before) {
                ("{id}", "clusters") => path.push_str(&self.cluster),
                ("{id}", "sessions") => path.push_str(&self.session.to_string()),
                ("{id}", "access-requests" | "passkeys" | "oidc") => path.push_str(NOBODYS),
                ("{id}", what) => path.push_str(self.made.get(what).unwrap_or_else(|| panic!("no id for {described}"))),
                ("{user}", _) => path.push_str(&self.made["people"]),
                ("{agent}", _) => path.push_str(&self.agent),
                ("{namespace}", _) => path.push_str("shop"),
                ("{index}", _) => path.push('1'),
                (named, _) if named.starts_with('{') => panic!("{described}: what is {named} behind {before}?"),
                (literal, _) => path.push_str(literal),
            }
            before = part;
        }
        match described.rsplit('/').next() {
            Some("search") => path.push_str("?q=first"),
            Some("screen") => path.push_str("?at_ms=0"),
            Some("export") => path.push_str("?format=csv"),
            Some("explanation") => {
                path.push_str("?namespace=shop&pod=web-1&container=app&action=exec&cluster=");
                path.push_str(&self.cluster);
            }
            _ => {}
        }
        path
    }

    async fn ask(&self, endpoint: &str, body: Value, identity: Identity) -> (u16, String) {
        let (method, described) = endpoint.split_once(' ').expect("a method and a path");
        let mut request = self.relay.request(method, &self.path(described)).header("podlatch-replay", &self.replay);
        if described.contains("/access-rules/") {
            request = request.header("if-match", "\"1\"");
        }
        if let Some((header, value)) = self.credential(identity) {
            request = request.header(header, value);
        }
        if !body.is_null() {
            request = request.json(body);
        }
        let answer = request.begin().await;
        (answer.status, String::from_utf8_lossy(&answer.body).into_owned())
    }
}

/// Tries endpoints; what changes nothing shares a world.
async fn wrong_answers(rows: impl Iterator<Item = &'static Row>) -> Vec<String> {
    let mut wrong = Vec::new();
    let mut world: Option<World> = None;
    for row in rows {
        let harmless = row.endpoint.starts_with("GET ");
        let mut here = match world.take() {
            Some(world) => world,
            None => World::new().await,
        };
        let recorded = row.endpoint.contains("/recording") || row.endpoint.contains("/replays");
        if recorded && here.replay.is_empty() {
            here.record().await;
        }
        for identity in Identity::ALL {
            let (status, body) = here.ask(row.endpoint, (row.body)(&here), identity).await;
            let expected = identity.expects(row);
            if status != expected {
                wrong.push(format!("{}, {identity:?}: {status} instead of {expected}: {body:.200}", row.endpoint));
            }
            let stranger = expected == 401 || identity == Identity::Foreigner;
            if (stranger || status >= 400) && identity != Identity::Owner && body.contains(CANARY) {
                wrong.push(format!("{}, {identity:?}: sees {body:.200}", row.endpoint));
            }
        }
        world = harmless.then_some(here);
    }
    wrong
}

#[tokio::test]
async fn everybody_sees_what_is_theirs_and_nothing_else() {
    let wrong = wrong_answers(ROWS.iter().filter(|row| row.endpoint.starts_with("GET "))).await;
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[tokio::test]
async fn everybody_changes_what_is_theirs_and_nothing_else() {
    let wrong = wrong_answers(ROWS.iter().filter(|row| !row.endpoint.starts_with("GET "))).await;
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[tokio::test]
async fn whoever_offers_no_credential_signs_in_to_nothing() {
    for (endpoint, expected) in PUBLIC {
        // Tries are counted.
        let world = World::new().await;
        let body = match *endpoint {
            "POST /api/v1/sign-in/password" => json!({"email": "canary-owner@example.org", "password": "guess"}),
            "POST /api/v1/invitations/acceptances" => json!({"token": "pli_x", "name": "Eve"}),
            "POST /api/v1/sign-in/passkey" => json!({"challenge": "x", "credential": {}}),
            get if get.starts_with("GET ") => Value::Null,
            _ => json!({"token": "pll_x"}),
        };
        for identity in Identity::ALL {
            let (status, answer) = world.ask(endpoint, body.clone(), identity).await;
            assert_eq!(status, *expected, "{endpoint}, {identity:?}: {answer}");
            assert!(!answer.contains(CANARY), "{endpoint}, {identity:?}: {answer}");
        }
    }
}

#[test]
fn every_endpoint_is_in_the_table() {
    let description = serde_json::to_value(super::router::description()).expect("JSON");
    let described: BTreeSet<String> = description["paths"]
        .as_object()
        .expect("paths")
        .iter()
        .flat_map(|(path, methods)| {
            let methods = methods.as_object().expect("methods");
            methods.keys().map(move |method| format!("{} {path}", method.to_uppercase()))
        })
        .collect();
    let rows = ROWS.iter().map(|row| row.endpoint).chain(PUBLIC.iter().map(|(endpoint, _)| *endpoint));
    let table: BTreeSet<String> = rows.map(str::to_owned).collect();
    let missing: Vec<_> = described.difference(&table).collect();
    let gone: Vec<_> = table.difference(&described).collect();
    assert!(missing.is_empty() && gone.is_empty(), "not in the table: {missing:#?}; not served: {gone:#?}");
    assert_eq!(table.len(), ROWS.len() + PUBLIC.len(), "an endpoint stands there twice");
}
