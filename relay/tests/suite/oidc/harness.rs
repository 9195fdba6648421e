//! A relay with one organisation, a provider, and browsers that go between the two.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};

use reqwest::redirect::Policy;
use reqwest::{Client, StatusCode, Url};
use serde_json::{Value, json};
use sqlx::ConnectOptions;
use sqlx::sqlite::SqliteConnectOptions;
use tempfile::TempDir;

use crate::process::{Serving, admin};

const PROVIDERS: &str = "/api/v1/sign-in-providers";
const SECRET: &str = "a-secret-of-the-tests";

/// A relay, whose organisation's people sign in at a provider.
pub(crate) struct Office {
    data: TempDir,
    relay: Serving,
    idp: Idp,
    owner: Browser,
    settings: Value,
    id: String,
}

/// `oidc-provider` as a process. It ends when its standard input does.
struct Idp {
    child: Child,
    _input: ChildStdin,
    url: String,
    client: Client,
}

/// A browser without a screen: cookies, and redirects one by one.
pub(crate) struct Browser(Client);

/// Whom the provider knows as Ada, in these groups.
pub(crate) fn ada(groups: &[&str]) -> Value {
    json!({"sub": "ada-1", "email": "Ada@example.org", "email_verified": true, "name": "Ada L.", "groups": groups})
}

impl Office {
    /// Opens one whose provider has these settings besides the necessary ones.
    pub(crate) async fn open(settings: Value) -> Self {
        let data = tempfile::tempdir().expect("a folder");
        let (path, owner) = (data.path(), Browser::new());
        let words = ["create-organisation", "--name", "Shop", "--owner-email", "owner@example.org"];
        let made = admin(path, &words);
        let relay = Serving::start(path, &["--allow-issuer-addresses", "127.0.0.0/8", "--password-sign-in"]);
        let idp = Idp::start();
        let mut whole = json!({"name": "Work", "issuer": idp.url, "client_id": "podlatch", "client_secret": SECRET});
        merge(&mut whole, settings);
        let mut office = Self { data, relay, idp, owner, settings: whole, id: String::new() };
        office.follow_link(&office.owner, &made).await;
        let answer = office.owner.send("POST", &office.at(PROVIDERS), &office.relay.url, &office.settings).await;
        assert_eq!(answer.0, StatusCode::CREATED, "{}", answer.1);
        answer.1["id"].as_str().expect("an id").clone_into(&mut office.id);
        office.claims_in("userinfo").await;
        office
    }

    /// Changes the provider's settings.
    pub(crate) async fn change(&self, settings: Value) {
        let mut whole = self.settings.clone();
        merge(&mut whole, settings);
        let address = self.at(&format!("{PROVIDERS}/{}", self.id));
        let answer = self.owner.send("PUT", &address, &self.relay.url, &whole).await;
        assert_eq!(answer.0, StatusCode::OK, "{}", answer.1);
    }

    /// Says where the provider puts what it knows of people.
    pub(crate) async fn claims_in(&self, place: &str) {
        let redirect = self.at(&format!("/api/v1/sign-in/oidc/{}/callback", self.id));
        let client =
            json!({"client_id": "podlatch", "client_secret": SECRET, "redirect_uri": redirect, "claims_in": place});
        self.idp.tell("client", &client).await;
    }

    /// Says what is wrong with the provider's next tokens.
    pub(crate) async fn fault(&self, fault: &str) {
        self.idp.tell("fault", &json!({ "fault": fault })).await;
    }

    /// The provider's id on the relay.
    pub(crate) fn provider_id(&self) -> String {
        self.id.clone()
    }

    /// Signs somebody in at the provider; gives where the browser ends up. `null` is a person who says no.
    pub(crate) async fn sign_in(&self, browser: &Browser, person: Value) -> String {
        self.go(browser, person, "").await
    }

    /// The same, to link them with who is signed in.
    pub(crate) async fn link(&self, browser: &Browser, person: Value) -> String {
        self.go(browser, person, "?link=true").await
    }

    async fn go(&self, browser: &Browser, person: Value, query: &str) -> String {
        self.next_person(person).await;
        browser.land(&self.at(&format!("/api/v1/sign-in/oidc/{}{query}", self.id))).await
    }

    /// Goes as far as the provider's answer, and gives it instead of bringing it back.
    pub(crate) async fn until_callback(&self, browser: &Browser, person: Value) -> String {
        self.next_person(person).await;
        let mut at = self.at(&format!("/api/v1/sign-in/oidc/{}", self.id));
        while !at.contains("/callback?") {
            at = browser.step(&at).await;
        }
        at
    }

    async fn next_person(&self, person: Value) {
        let person = if person.is_null() { json!({ "sub": null }) } else { person };
        self.idp.tell("person", &person).await;
    }

    /// Signs somebody in with a one-time link.
    pub(crate) async fn sign_in_with_link(&self, browser: &Browser, email: &str) {
        let link = admin(self.data.path(), &["sign-in-link", "--email", email, "--public-url", &self.relay.url]);
        self.follow_link(browser, &link).await;
    }

    async fn follow_link(&self, browser: &Browser, made: &Value) {
        let text = made.to_string();
        let (_, rest) = text.split_once("/sign-in#").expect("a link");
        let token = rest.split('"').next().expect("a token");
        let address = self.at("/api/v1/login-sessions");
        let answer = browser.send("POST", &address, &self.relay.url, &json!({ "token": token })).await;
        assert_eq!(answer.0, StatusCode::CREATED, "{}", answer.1);
    }

    /// Who is signed in.
    pub(crate) async fn me(&self, browser: &Browser) -> Value {
        browser.get(&self.at("/api/v1/me")).await.1
    }

    /// Whether anybody is.
    pub(crate) async fn me_status(&self, browser: &Browser) -> StatusCode {
        browser.get(&self.at("/api/v1/me")).await.0
    }

    /// Changes something.
    pub(crate) async fn put(&self, browser: &Browser, path: &str, body: &Value) -> StatusCode {
        browser.send("PUT", &self.at(path), &self.relay.url, body).await.0
    }

    /// The organisation's audit log.
    pub(crate) async fn audit(&self) -> Vec<Value> {
        let page = self.owner.get(&self.at("/api/v1/audit-events?limit=200")).await.1;
        page["items"].as_array().expect("a list").clone()
    }

    /// Makes a group; gives its id.
    pub(crate) async fn group(&self, name: &str) -> String {
        let id = uuid::Uuid::now_v7();
        let sql =
            "INSERT INTO user_groups (id, organisation_id, name, created_at) SELECT $1, id, $2, 0 FROM organisations";
        sqlx::query(sql).bind(id).bind(name).execute(&mut self.database().await).await.expect("inserts");
        id.to_string()
    }

    /// Invites an address.
    pub(crate) async fn invite(&self, email: &str, role: &str) {
        let id = uuid::Uuid::now_v7();
        let sql = "INSERT INTO invitations (id, hash, organisation_id, email, role, created_at, expires_at)
                   SELECT $1, $1, id, $2, $3, 0, 9999999999999 FROM organisations";
        sqlx::query(sql).bind(id).bind(email).bind(role).execute(&mut self.database().await).await.expect("inserts");
    }

    /// The groups of somebody, by name.
    pub(crate) async fn groups_of(&self, email: &str) -> Vec<String> {
        let sql = "SELECT DISTINCT g.name FROM user_groups g JOIN group_members m ON m.group_id = g.id
                   JOIN users u ON u.id = m.user_id WHERE u.email = $1 ORDER BY g.name";
        sqlx::query_scalar(sql).bind(email).fetch_all(&mut self.database().await).await.expect("answers")
    }

    /// Runs a statement past the relay.
    pub(crate) async fn execute(&self, sql: &str) {
        let sql = sqlx::AssertSqlSafe(sql.to_owned());
        sqlx::raw_sql(sql).execute(&mut self.database().await).await.expect("is done");
    }

    async fn database(&self) -> sqlx::SqliteConnection {
        let file = Path::join(self.data.path(), "podlatch.db");
        SqliteConnectOptions::new().filename(file).connect().await.expect("opens")
    }

    fn at(&self, path: &str) -> String {
        format!("{}{path}", self.relay.url)
    }
}

impl Idp {
    fn start() -> Self {
        let program = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/oidc/provider.js");
        let mut command = Command::new("node");
        let spawned = command.arg(program).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn();
        let mut child = spawned.expect("node is installed");
        let mut line = String::new();
        BufReader::new(child.stdout.take().expect("piped")).read_line(&mut line).expect("a line");
        let url = line.trim_end().strip_prefix("ready ").expect("run tests/tools/setup.sh test first").to_owned();
        Self { _input: child.stdin.take().expect("piped"), child, url, client: Client::new() }
    }

    async fn tell(&self, what: &str, said: &Value) {
        let sent = self.client.post(format!("{}/test/{what}", self.url)).body(said.to_string()).send().await;
        assert_eq!(sent.expect("is told").status(), StatusCode::NO_CONTENT);
    }
}

impl Drop for Idp {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Browser {
    pub(crate) fn new() -> Self {
        Self(Client::builder().cookie_store(true).redirect(Policy::none()).no_proxy().build().expect("builds"))
    }

    /// Goes to an address and on from there; gives the last one's path and query.
    pub(crate) async fn land(&self, address: &str) -> String {
        let mut at = self.step(address).await;
        loop {
            let url = Url::parse(&at).expect("a URL");
            if matches!(url.path(), "/" | "/sign-in") {
                return url.query().map_or(url.path().to_owned(), |query| format!("{}?{query}", url.path()));
            }
            at = self.step(&at).await;
        }
    }

    async fn step(&self, address: &str) -> String {
        let answer = self.0.get(address).send().await.expect("answers");
        let (status, url) = (answer.status(), answer.url().clone());
        let location = answer.headers().get("location").and_then(|to| to.to_str().ok()).map(ToOwned::to_owned);
        match location {
            Some(to) => url.join(&to).expect("a URL").into(),
            None => panic!("{address}: {status} {}", answer.text().await.expect("text")),
        }
    }

    async fn get(&self, address: &str) -> (StatusCode, Value) {
        let answer = self.0.get(address).send().await.expect("answers");
        (answer.status(), answer.json().await.expect("JSON"))
    }

    async fn send(&self, method: &str, address: &str, origin: &str, body: &Value) -> (StatusCode, Value) {
        let method = method.parse().expect("a method");
        let answer = self.0.request(method, address).header("origin", origin).json(body).send().await.expect("answers");
        let status = answer.status();
        (status, serde_json::from_str(&answer.text().await.expect("text")).unwrap_or_default())
    }
}

fn merge(whole: &mut Value, more: Value) {
    if let (Value::Object(whole), Value::Object(more)) = (whole, more) {
        whole.extend(more);
    }
}
