//! What an operator types, and what they get.

use std::net::{TcpListener, TcpStream, UdpSocket};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use serde_json::{Value, json};
use tempfile::tempdir;

use crate::http::{Answer, request};
use crate::postgres;
use crate::process::{Serving, admin, fail, relay, succeed};

#[test]
fn a_newcomer_signs_in_with_the_link_that_an_operator_made() {
    let data = tempdir().expect("a folder");
    let serving = Serving::start(data.path(), &[]);
    sign_in_by_link(data.path(), &serving, &[]);
    let (well, log) = serving.stop();
    assert!(well, "{log}");
    assert!(!log.contains("pll_") && !log.contains("pls_"), "no token is logged: {log}");
}

#[tokio::test]
async fn the_same_works_on_postgres() {
    let data = tempdir().expect("a folder");
    let url = postgres::new_database().await;
    tokio::task::spawn_blocking(move || {
        let flags = ["--database-url", url.as_str()];
        let serving = Serving::start(data.path(), &flags);
        sign_in_by_link(data.path(), &serving, &flags);
        assert!(!data.path().join("podlatch.db").exists());
        assert!(serving.stop().0);
    })
    .await
    .expect("joins");
}

fn sign_in_by_link(data: &Path, serving: &Serving, flags: &[&str]) {
    let words = [
        &["create-organisation", "--name", "Shop", "--owner-email", "Ada@example.org", "--public-url", &serving.url],
        flags,
    ];
    let created = admin(data, &words.concat());
    let link = created["sign_in_link"]["url"].as_str().expect("a link");
    let token = link.strip_prefix(&format!("{}/sign-in#", serving.url)).expect("the token is in the fragment");

    let body = json!({ "token": token }).to_string();
    let answer = request(serving.http, "POST", "/api/v1/login-sessions", &[("origin", &serving.url)], &body);
    assert_eq!(answer.status, 201, "{}", answer.body);
    let cookie = answer.header("set-cookie").split(';').next().expect("a pair").to_owned();
    let me = request(serving.http, "GET", "/api/v1/me", &[("cookie", &cookie)], "").json();
    assert_eq!((&me["user"]["email"], &me["role"]), (&json!("ada@example.org"), &json!("owner")));
    assert_eq!(me["organisation"]["id"], created["organisation"]);
}

#[test]
fn a_login_outlives_the_relay_and_ends_when_it_is_revoked() {
    let data = tempdir().expect("a folder");
    let serving = Serving::start(data.path(), &[]);
    let cookie = sign_in(data.path(), &serving);
    drop(serving);
    let serving = Serving::start(data.path(), &[]);
    assert_eq!(me(&serving, &cookie).status, 200, "after kill -9");
    let answer = request(
        serving.http,
        "DELETE",
        "/api/v1/login-sessions/current",
        &[("origin", &serving.url), ("cookie", &cookie)],
        "",
    );
    assert_eq!(answer.status, 204);
    assert_eq!(me(&serving, &cookie).status, 401);
}

#[test]
fn a_cluster_is_registered_listed_and_revoked() {
    let data = tempdir().expect("a folder");
    let at = data.path();
    admin(at, &["create-organisation", "--name", "Shop", "--owner-email", "ada@example.org"]);
    let words = ["create-cluster", "--organisation", "Shop", "--name", "berlin", "--tunnel-address", "relay.test:4433"];
    let joined = admin(at, &words);
    let (pin, token) = (joined["ca_pin"].as_str().expect("a pin"), joined["join_token"].as_str().expect("a token"));
    assert!(pin.starts_with("sha256:") && token.starts_with("plj_"));
    let (helm, plain) = (joined["helm"].as_str().expect("a command"), joined["plain"].as_str().expect("a command"));
    for fact in [pin, token, "relay.test:4433"] {
        assert!(helm.contains(fact) && plain.contains(fact), "{fact}");
    }
    assert!(
        fail(at, &["admin", "create-cluster", "--organisation", "Shop", "--name", "berlin"]).contains("join-token")
    );

    let again = admin(at, &["join-token", "--cluster", "berlin"]);
    assert_ne!(again["join_token"], joined["join_token"]);
    assert_eq!((&again["cluster"], &again["ca_pin"]), (&joined["cluster"], &joined["ca_pin"]));

    assert_eq!(admin(at, &["list", "organisations"])["items"][0]["name"], "Shop");
    assert_eq!(admin(at, &["list", "clusters"])["items"][0]["id"], joined["cluster"]);
    assert_eq!(admin(at, &["list", "agents", "--cluster", "berlin"])["items"], json!([]));
    assert_eq!(admin(at, &["list", "sessions", "--organisation", "Shop"])["items"], json!([]));

    assert_eq!(admin(at, &["revoke", "cluster", "berlin"])["id"], joined["cluster"]);
    assert_eq!(admin(at, &["list", "clusters"])["items"], json!([]));
    assert!(fail(at, &["admin", "join-token", "--cluster", "berlin"]).contains("there is no cluster"));
}

#[test]
fn a_command_that_names_nothing_says_what_to_do() {
    let data = tempdir().expect("a folder");
    let at = data.path();
    for (words, said) in [
        (&["admin", "create-cluster", "--organisation", "Shop", "--name", "a"][..], "`admin list organisations`"),
        (&["admin", "join-token", "--cluster", "berlin"], "`admin list clusters`"),
        (&["admin", "sign-in-link", "--email", "ada@example.org"], "nobody with the address"),
        (&["admin", "sign-in-link", "--email", "ada"], "name@domain"),
        (&["admin", "create-organisation", "--name", "", "--owner-email", "a@b"], "must not be empty"),
        (&["admin", "revoke", "agent", "x"], "not a valid agent id"),
        (&["admin", "revoke", "agent", "01890000-0000-7000-8000-000000000000"], "there is no agent"),
        (&["admin", "revoke", "login-session", "01890000-0000-7000-8000-000000000000"], "there is no login session"),
    ] {
        let text = fail(at, words);
        assert!(text.contains(said), "{words:?}: {text}");
    }
    for name in ["One", "Two"] {
        admin(at, &["create-organisation", "--name", name, "--owner-email", "ada@example.org"]);
    }
    let ambiguous = fail(at, &["admin", "sign-in-link", "--email", "ada@example.org"]);
    assert!(ambiguous.contains("several organisations"), "{ambiguous}");
    let link = admin(at, &["sign-in-link", "--email", "ada@example.org", "--organisation", "Two"]);
    assert!(link["url"].as_str().expect("a link").starts_with("http://127.0.0.1:8080/sign-in#pll_"));
}

#[test]
fn what_people_read_and_what_scripts_read_say_the_same() {
    let data = tempdir().expect("a folder");
    admin(data.path(), &["create-organisation", "--name", "Shop", "--owner-email", "ada@example.org"]);
    let id = admin(data.path(), &["list", "organisations"])["items"][0]["id"].as_str().expect("an id").to_owned();
    assert!(succeed(data.path(), &["admin", "list", "organisations"]).starts_with(&format!("{id}  Shop  since ")));
    let text = succeed(data.path(), &["admin", "sign-in-link", "--email", "ada@example.org"]);
    assert!(text.starts_with("Sign in once, until ") && text.contains("/sign-in#pll_"), "{text}");
}

#[test]
fn an_operator_invites_lists_suspends_and_restores() {
    let data = tempdir().expect("a folder");
    let at = data.path();
    let serving = Serving::start(at, &[]);
    let ada = sign_in(at, &serving);
    let words = ["invite", "--email", "bob@example.org", "--organisation", "Shop", "--public-url", &serving.url];
    let invited = admin(at, &words);
    let token = invited["url"].as_str().and_then(|url| url.split_once("/join#")).expect("a link").1;
    let body = json!({"token": token, "name": "Bob"}).to_string();
    let own = [("origin", serving.url.as_str())];
    let joined = request(serving.http, "POST", "/api/v1/invitations/acceptances", &own, &body);
    assert_eq!(joined.status, 201, "{}", joined.body);
    let bob = joined.header("set-cookie").split(';').next().expect("a pair").to_owned();
    assert_eq!(me(&serving, &bob).json()["role"], "member");
    assert!(fail(at, &["admin", "invite", "--email", "bob@example.org", "--organisation", "Shop"]).contains("member"));

    let status = || {
        let people = admin(at, &["list", "people", "--organisation", "Shop"]);
        let items = people["items"].as_array().expect("rows").clone();
        let bob = items.iter().find(|person| person["email"] == "bob@example.org").expect("is listed").clone();
        bob["status"].as_str().expect("text").to_owned()
    };
    let is_bob = ["person", "bob@example.org"];
    let is_bob_here = ["person", "bob@example.org", "--organisation", "Shop"];
    let is_shop = ["organisation", "Shop"];
    for (words, shown, said) in [
        (&is_bob[..], "account_suspended", "Your account is suspended."),
        (&is_bob_here, "suspended", "You are suspended in this organisation."),
        (&is_shop, "active", "This organisation is suspended."),
    ] {
        assert_eq!(admin(at, &[&["suspend"], words].concat())["status"], "suspended");
        assert_eq!(status(), shown);
        let refused = me(&serving, &bob);
        assert!(refused.status == 401 && refused.body.contains(said), "{}", refused.body);
        assert_eq!(me(&serving, &ada).status, if words == is_shop { 401 } else { 200 });
        assert_eq!(admin(at, &[&["restore"], words].concat())["status"], "active");
        assert_eq!((status().as_str(), me(&serving, &bob).status), ("active", 200));
    }
    assert!(fail(at, &["admin", "restore", "person", "bob@example.org"]).contains("not suspended"));
    assert!(fail(at, &["admin", "suspend", "person", "eve@example.org"]).contains("admin list people"));
    let last = fail(at, &["admin", "suspend", "person", "ada@example.org", "--organisation", "Shop"]);
    assert!(last.contains("owner"), "{last}");

    let log = request(serving.http, "GET", "/api/v1/audit-events?limit=100", &[("cookie", &ada)], "").json();
    let acts: Vec<_> = log["items"].as_array().expect("events").iter().rev().collect();
    for action in [
        "invitation_created",
        "account_suspended",
        "account_resumed",
        "member_suspended",
        "member_resumed",
        "organisation_suspended",
        "organisation_resumed",
    ] {
        let event = acts.iter().find(|event| event["action"] == action).expect(action);
        assert_eq!(event["actor"]["kind"], "operator", "{event}");
    }
}

#[test]
fn an_operator_sets_a_password_that_was_forgotten() {
    let data = tempdir().expect("a folder");
    let at = data.path();
    let serving = Serving::start(at, &["--password-sign-in"]);
    let ada = sign_in(at, &serving);
    let set = |password: &str| {
        let file = at.join("a-password");
        std::fs::write(&file, password).expect("writes");
        let words = ["admin", "set-password", "--email", "ada@example.org"];
        let given = relay(at).args(words).stdin(std::fs::File::open(&file).expect("opens")).output().expect("runs");
        std::fs::remove_file(&file).expect("goes");
        (given.status.success(), String::from_utf8_lossy(&given.stderr).into_owned())
    };
    let (set_it, said) = set("short\n");
    assert!(!set_it && said.contains("12 characters") && !said.contains("short"), "{said}");
    assert_eq!(set("correct horse battery\n"), (true, String::new()));
    let body = json!({"email": "ada@example.org", "password": "correct horse battery"}).to_string();
    let own = [("origin", serving.url.as_str())];
    assert_eq!(request(serving.http, "POST", "/api/v1/sign-in/password", &own, &body).status, 201);
    let log = request(serving.http, "GET", "/api/v1/audit-events?action=password_set", &[("cookie", &ada)], "").json();
    assert_eq!(log["items"][0]["actor"]["kind"], "operator");
}

#[test]
fn plain_http_elsewhere_is_refused_unless_tls_ends_in_front() {
    let data = tempdir().expect("a folder");
    let text = fail(data.path(), &["serve", "--http-listen", "0.0.0.0:0", "--tunnel-listen", "127.0.0.1:0"]);
    assert!(text.contains("--behind-tls"), "{text}");
    let text = fail(data.path(), &["serve", "--public-url", "http://relay.example.org"]);
    assert!(text.contains("use https"), "{text}");
    assert!(!data.path().join("podlatch.db").exists(), "nothing was touched");

    let serving = Serving::start(data.path(), &["--behind-tls", "--public-url", "https://relay.example.org"]);
    let facing = [("host", "relay.example.org"), ("x-forwarded-for", "203.0.113.9")];
    let page = request(serving.http, "GET", "/", &facing, "");
    assert!(page.header("content-security-policy").contains("connect-src 'self' wss://relay.example.org;"));
    assert!(page.header("strict-transport-security").starts_with("max-age="));
    let cookie = sign_in_at(data.path(), &serving, "https://relay.example.org", &facing);
    assert!(cookie.starts_with("__Host-podlatch=pls_"), "{cookie}");
}

#[test]
fn the_address_of_a_person_is_the_sockets_unless_a_trusted_proxy_says_otherwise() {
    let https = ["--behind-tls", "--public-url", "https://relay.example.org"];
    let facing = [("host", "relay.example.org"), ("x-forwarded-for", "198.51.100.1, 203.0.113.9")];
    for (trusted, address) in [(&[][..], "127.0.0.1"), (&["--trusted-proxy", "127.0.0.0/8"][..], "203.0.113.9")] {
        let data = tempdir().expect("a folder");
        let serving = Serving::start(data.path(), &[&https[..], trusted].concat());
        let cookie = sign_in_at(data.path(), &serving, "https://relay.example.org", &facing);
        let headers = [("host", "relay.example.org"), ("cookie", cookie.as_str())];
        let events = request(serving.http, "GET", "/api/v1/audit-events?action=sign_in", &headers, "").json();
        assert_eq!(events["items"][0]["client_ip"], address, "{events}");
    }
}

#[test]
fn two_relays_never_serve_from_one_folder() {
    let data = tempdir().expect("a folder");
    let serving = Serving::start(data.path(), &[]);
    let text = fail(data.path(), &["serve", "--http-listen", "127.0.0.1:0", "--tunnel-listen", "127.0.0.1:0"]);
    assert!(text.contains("another relay serves"), "{text}");
    assert!(serving.stop().0);
    Serving::start(data.path(), &[]);
}

#[test]
fn a_port_that_is_taken_is_named() {
    let data = tempdir().expect("a folder");
    let (tcp, udp) = (TcpListener::bind("127.0.0.1:0").expect("binds"), UdpSocket::bind("127.0.0.1:0").expect("binds"));
    let tcp = tcp.local_addr().expect("an address").to_string();
    let text = fail(data.path(), &["serve", "--tunnel-listen", "127.0.0.1:0", "--http-listen", &tcp]);
    assert!(text.contains("--http-listen"), "the listener is closed by now: {text}");
    let udp = udp.local_addr().expect("an address").to_string();
    let text = fail(data.path(), &["serve", "--http-listen", "127.0.0.1:0", "--tunnel-listen", &udp]);
    assert!(text.contains("--tunnel-listen"), "{text}");
}

#[test]
fn a_relay_that_is_told_to_stop_finishes_and_leaves_nothing() {
    let data = tempdir().expect("a folder");
    let serving = Serving::start(data.path(), &[]);
    let (http, _idle) = (serving.http, TcpStream::connect(serving.http).expect("connects"));
    let (well, log) = serving.stop();
    assert!(well && log.contains("stopped"), "{log}");
    assert!(TcpStream::connect(http).is_err());
}

#[test]
fn the_doctor_finds_a_healthy_relay_and_a_sick_one() {
    let data = tempdir().expect("a folder");
    let doctor = |words: &[&str]| {
        let ports = ["doctor", "--http-listen", "127.0.0.1:0", "--tunnel-listen", "127.0.0.1:0"];
        let output = relay(data.path()).args(ports).args(words).output().expect("runs");
        (output.status.success(), String::from_utf8(output.stdout).expect("text"))
    };
    let (healthy, text) = doctor(&[]);
    assert!(healthy && text.contains("later  database"), "before the first start: {text}");
    let serving = Serving::start(data.path(), &[]);
    let (healthy, text) = doctor(&[]);
    assert!(healthy && text.contains("ok     database") && text.contains("agents pin sha256:"), "{text}");
    let (http, tunnel) = (serving.http.to_string(), serving.tunnel.to_string());
    let beside = relay(data.path()).args(["doctor", "--http-listen", &http, "--tunnel-listen", &tunnel]).output();
    let text = String::from_utf8(beside.expect("runs").stdout).expect("text");
    assert_eq!(text.matches("by the relay that runs").count(), 2, "{text}");
    assert!(serving.stop().0);

    let key = data.path().join("ca-key.pem");
    std::fs::set_permissions(&key, std::fs::Permissions::from_mode(0o644)).expect("changes");
    let (healthy, text) = doctor(&[]);
    assert!(!healthy && text.contains("WRONG  certificate authority") && text.contains("chmod 600"), "{text}");
    std::fs::set_permissions(&key, std::fs::Permissions::from_mode(0o600)).expect("changes");

    let (healthy, text) = doctor(&["--database-url", "postgres://127.0.0.1:1/none"]);
    assert!(!healthy && text.contains("WRONG  database"), "{text}");
    let (healthy, text) = doctor(&["--public-url", "https://relay.example.org"]);
    assert!(!healthy && text.contains("WRONG  settings"), "{text}");
    std::fs::write(data.path().join("podlatch.db"), "this is no database, and longer than a header").expect("writes");
    let (healthy, text) = doctor(&[]);
    assert!(!healthy && text.contains("WRONG  database"), "{text}");
}

#[test]
fn secrets_on_disk_are_their_owners_alone() {
    let parent = tempdir().expect("a folder");
    let data = parent.path().join("data");
    drop(Serving::start(&data, &[]));
    let mode = |path: &Path| path.metadata().expect("exists").permissions().mode() & 0o777;
    assert_eq!(mode(&data), 0o700);
    for file in data.read_dir().expect("a folder").flatten().filter(|file| file.path().is_file()) {
        assert_eq!(mode(&file.path()) & 0o077, 0, "{}", file.path().display());
    }
}

fn sign_in(data: &Path, serving: &Serving) -> String {
    sign_in_at(data, serving, &serving.url, &[])
}

fn sign_in_at(data: &Path, serving: &Serving, url: &str, headers: &[(&str, &str)]) -> String {
    let email = "ada@example.org";
    let words = ["create-organisation", "--name", "Shop", "--owner-email", email, "--public-url", url];
    let created = admin(data, &words);
    let link = created["sign_in_link"]["url"].as_str().expect("a link");
    let body = json!({ "token": link.split_once('#').expect("a fragment").1 }).to_string();
    let headers = [headers, &[("origin", url)]].concat();
    let answer = request(serving.http, "POST", "/api/v1/login-sessions", &headers, &body);
    assert_eq!(answer.status, 201, "{}", answer.body);
    assert_ne!(answer.json(), Value::Null);
    answer.header("set-cookie").split(';').next().expect("a pair").to_owned()
}

fn me(serving: &Serving, cookie: &str) -> Answer {
    request(serving.http, "GET", "/api/v1/me", &[("cookie", cookie)], "")
}
