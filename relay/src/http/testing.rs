//! A relay for the endpoints' tests: the real router over a real SQLite store, a clock and randomness of its own.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Request, Response};
use http_body_util::BodyExt;
use podlatch_protocol::id::{AgentId, ClusterId, LoginSessionId, OrganisationId, UserId};
use podlatch_protocol::request::AfterExit;
use serde_json::Value;
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{ConnectOptions, SqliteConnection};
use tempfile::TempDir;
use tower::ServiceExt;

use super::client::PeerAddress;
use super::guesses::Guesses;
use super::router;
use crate::app::App;
use crate::audit::Receivers;
use crate::auth::seal::SealingKeys;
use crate::auth::sign_in::{PasswordSignIn, SignInMethods};
use crate::auth::token::{Token, TokenKind};
use crate::clock::{Clock, ClockHand, UnixMillis};
use crate::config::{CommandSource, Config, TlsEnd};
use crate::data_folder;
use crate::domain::agent::{Agent, AgentStatus, PublicKeySha256};
use crate::domain::audit::Origin;
use crate::domain::cluster::{Cluster, ClusterType};
use crate::domain::labels::Labels;
use crate::domain::login::{LoginMethod, Scope};
use crate::domain::organisation::{ClientInfo, Membership, Role};
use crate::domain::session_limits::SessionLimits;
use crate::entropy::Entropy;
use crate::joining::Joining;
use crate::lifecycle::Lifecycle;
use crate::outbound::{AddressPolicy, Dialler, SystemResolver};
use crate::public::health::Healths;
use crate::public::keeper::KeeperBell;
use crate::recording::archive::Archives;
use crate::recording::{Recorder, RecorderParts, RecordingsStore, StoreLocation};
use crate::replay::Replays;
use crate::session::{Sessions, Settings};
use crate::store::{DatabaseUrl, NewApiToken, NewCluster, NewLoginSession, NewOrganisation, NewSignInLink, Store};
use crate::tunnel::Agents;
use tokio::sync::mpsc;
use tokio_util::task::TaskTracker;

/// The test relay's public URL, hence every request's `Origin` unless told otherwise.
pub(crate) const ORIGIN: &str = "http://127.0.0.1:8080";

const START: UnixMillis = UnixMillis::new(1_700_000_000_000);

/// The relay.
pub(crate) struct TestRelay {
    pub(crate) app: App,
    /// Moves its clock.
    pub(crate) hand: ClockHand,
    router: Router,
    _folder: TempDir,
}

/// Somebody who is signed in.
pub(crate) struct SignedIn {
    pub(crate) membership: Membership,
    pub(crate) login: LoginSessionId,
    /// The cookie's name and value.
    pub(crate) cookie: String,
}

impl TestRelay {
    pub(crate) async fn new() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let database = DatabaseUrl::in_folder(folder.path());
        let store = Store::open(&database).await.expect("opens");
        store.migrate().await.expect("migrates");
        let (clock, hand) = Clock::manual(START);
        let loopback = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        let config = Config {
            data: folder.path().to_owned(),
            database,
            sealing_key_file: None,
            http_listen: loopback,
            tunnel_listen: loopback,
            public_url: None,
            tunnel_address: None,
            tls: TlsEnd::Nowhere,
            trusted_proxies: Vec::new(),
            outbound: AddressPolicy::default(),
            grace: Duration::from_mins(5),
            limits: SessionLimits::default(),
            after_exit: AfterExit::Leave,
            recordings_store: StoreLocation::Folder(data_folder::recordings(folder.path())),
            recordings_patience: Duration::from_mins(2),
            commands: CommandSource::Screen,
            audit: Receivers::default(),
            passwords: PasswordSignIn::On,
            issuers: AddressPolicy::default(),
        };
        let parts = RecorderParts {
            hot: data_folder::create_hot_logs(folder.path()).expect("a folder"),
            store: RecordingsStore::open(&config.recordings_store, []).expect("opens"),
            patience: config.recordings_patience,
            sealed: mpsc::channel(1).0,
        };
        let archives = Archives::new(parts.store.clone(), parts.hot.clone());
        let Config { grace, limits, after_exit, commands, .. } = config;
        let settings = Settings { grace, limits, after_exit, commands };
        let agents = Agents::default();
        let sessions = Sessions::new(
            store.clone(),
            Recorder::start(parts).expect("starts"),
            agents.clone(),
            (clock.clone(), Entropy::system()),
            settings,
            TaskTracker::new(),
        );
        let sealing = SealingKeys::load_or_create(None, folder.path(), &Entropy::system()).expect("is made");
        let dialler = Dialler::new(config.outbound.clone(), Arc::new(SystemResolver));
        let app = App {
            config: Arc::new(config),
            public_url: Arc::new(ORIGIN.parse().expect("a URL")),
            store,
            clock,
            entropy: Entropy::system(),
            sealing,
            lifecycle: Lifecycle::new(),
            joining: Some(Arc::new(Joining {
                relay: "relay.example.org:4433".parse().expect("an address"),
                pin: format!("sha256:{}", "ab".repeat(32)).parse().expect("a pin"),
            })),
            agents,
            dialler,
            public_clusters: KeeperBell::default(),
            public_healths: Healths::default(),
            sessions,
            archives,
            replays: Replays::default(),
            guesses: Guesses::default(),
            sign_in: SignInMethods::new(
                PasswordSignIn::On,
                AddressPolicy::default(),
                &"http://localhost:8080".parse().expect("a URL"),
                &Entropy::system(),
            )
            .expect("makes ready"),
        };
        Self { router: router::router(app.clone()), app, hand, _folder: folder }
    }

    fn id<I>(&self, make: fn(u64, &[u8; 10]) -> I) -> I {
        make(self.app.clock.now().since_epoch(), &self.app.entropy.bytes())
    }

    /// A link for the owner of an organisation of their own: the one that they have, if they have one.
    pub(crate) async fn sign_in_link(&self, email: &str) -> (Token, Membership) {
        let (store, now) = (&self.app.store, self.app.clock.now());
        let email = email.parse().expect("an address");
        let known = store.memberships_of(&email).await.expect("answers").pop();
        let membership = if let Some(membership) = known {
            membership
        } else {
            let new = NewOrganisation {
                id: self.id(OrganisationId::new),
                name: "Shop".parse().expect("a name"),
                owner_id: self.id(UserId::new),
                owner_email: email,
                owner_name: "Ada".parse().expect("a name"),
            };
            store.create_organisation_with_owner(&new, &Origin::operator(), now).await.expect("creates")
        };
        let token = Token::generate(TokenKind::SignInLink, &self.app.entropy);
        let link = NewSignInLink {
            hash: token.hash(),
            organisation: membership.organisation.id,
            user: membership.user.id,
            expires_at: now.plus(Duration::from_hours(1)),
        };
        store.create_sign_in_link(&link, &Origin::operator(), now).await.expect("creates");
        (token, membership)
    }

    pub(crate) async fn sign_in(&self, email: &str) -> SignedIn {
        let (link, membership) = self.sign_in_link(email).await;
        let now = self.app.clock.now();
        let cookie = Token::generate(TokenKind::LoginSession, &self.app.entropy);
        let login = NewLoginSession {
            id: self.id(LoginSessionId::new),
            hash: cookie.hash(),
            method: LoginMethod::Link,
            expires_at: now.plus(Duration::from_hours(12)),
            client: ClientInfo::default(),
        };
        self.app.store.redeem_sign_in_link(&link.hash(), &login, now).await.expect("answers").redeemed().expect("good");
        SignedIn { membership, login: login.id, cookie: format!("podlatch={}", cookie.expose()) }
    }

    /// A connection past the store, for what no part of the relay does.
    async fn database(&self) -> SqliteConnection {
        let DatabaseUrl::Sqlite(path) = &self.app.config.database else { panic!("is SQLite") };
        SqliteConnectOptions::new().filename(path).connect().await.expect("opens")
    }

    /// Runs statements past the store.
    pub(crate) async fn execute(&self, sql: &'static str) {
        sqlx::raw_sql(sql).execute(&mut self.database().await).await.expect("is done");
    }

    /// An API token of somebody, good for a day; the header's value.
    pub(crate) async fn api_token(&self, of: &SignedIn, scopes: impl IntoIterator<Item = Scope>) -> String {
        let (token, now) = (Token::generate(TokenKind::Api, &self.app.entropy), self.app.clock.now());
        let new = NewApiToken {
            id: self.id(LoginSessionId::new),
            hash: token.hash(),
            organisation: of.membership.organisation.id,
            user: of.membership.user.id,
            name: "a machine".parse().expect("a name"),
            scopes: scopes.into_iter().collect(),
            expires_at: now.plus(Duration::from_hours(24)),
            client: ClientInfo::default(),
        };
        self.app.store.create_api_token(&new, &Origin::operator(), now).await.expect("creates");
        format!("Bearer {}", token.expose())
    }

    /// Makes somebody a member of another's organisation, which no part of the relay can do yet, and signs them in there.
    pub(crate) async fn joins(&self, of: &SignedIn, email: &str, role: Role) -> SignedIn {
        let (_, own) = self.sign_in_link(email).await;
        let mut connection = self.database().await;
        sqlx::query("UPDATE memberships SET organisation_id = $1, role = $2 WHERE organisation_id = $3")
            .bind(of.membership.organisation.id.as_uuid())
            .bind(role.slug())
            .bind(own.organisation.id.as_uuid())
            .execute(&mut connection)
            .await
            .expect("updates");
        self.sign_in(email).await
    }

    pub(crate) async fn cluster(&self, of: &SignedIn, name: &str) -> Cluster {
        let new = NewCluster {
            id: self.id(ClusterId::new),
            organisation: of.membership.organisation.id,
            name: name.parse().expect("a name"),
            cluster_type: ClusterType::Private,
            labels: Labels::default(),
        };
        self.app.store.create_cluster(&new, &Origin::operator(), self.app.clock.now()).await.expect("creates")
    }

    pub(crate) async fn agent(&self, of: &Cluster) -> AgentId {
        let now = self.app.clock.now();
        let agent = Agent {
            id: self.id(AgentId::new),
            cluster: of.id,
            organisation: of.organisation,
            status: AgentStatus::Active,
            public_key: PublicKeySha256(self.app.entropy.bytes()),
            previous_public_key: None,
            generation: 1,
            enrolled_at: now,
            last_seen_at: None,
            agent_version: String::new(),
            kubernetes_version: String::new(),
            certificate_expires_at: now.plus(Duration::from_hours(24)),
            cloned: None,
            about: None,
        };
        self.app.store.insert_agent(&agent, &ClientInfo::default()).await.expect("inserts");
        agent.id
    }

    /// Suspends every user, membership or organisation (`1`), or lifts that (`NULL`), past the store.
    pub(crate) async fn suspend(&self, table: &'static str, since: &'static str) {
        let DatabaseUrl::Sqlite(path) = &self.app.config.database else { panic!("is SQLite") };
        let mut connection = SqliteConnectOptions::new().filename(path).connect().await.expect("opens");
        let sql = format!("UPDATE {table} SET suspended_at = {since}");
        sqlx::query(sqlx::AssertSqlSafe(sql)).execute(&mut connection).await.expect("updates");
    }

    pub(crate) fn get(&self, path: &str) -> TestRequest<'_> {
        self.request("GET", path).without("origin")
    }

    pub(crate) fn post(&self, path: &str) -> TestRequest<'_> {
        self.request("POST", path)
    }

    pub(crate) fn patch(&self, path: &str) -> TestRequest<'_> {
        self.request("PATCH", path)
    }

    pub(crate) fn delete(&self, path: &str) -> TestRequest<'_> {
        self.request("DELETE", path)
    }

    /// A request with the `Host` and the `Origin` of the relay's own pages.
    pub(crate) fn request(&self, method: &str, path: &str) -> TestRequest<'_> {
        let mut request = Request::builder().method(method).uri(path).body(Body::empty()).expect("a request");
        let headers = request.headers_mut();
        headers.insert("host", HeaderValue::from_static(ORIGIN.split_at("http://".len()).1));
        headers.insert("origin", HeaderValue::from_static(ORIGIN));
        request.extensions_mut().insert(PeerAddress(SocketAddr::from((Ipv4Addr::LOCALHOST, 40_000))));
        TestRequest { router: self.router.clone(), request, _relay: self }
    }
}

/// A request in the making.
pub(crate) struct TestRequest<'a> {
    router: Router,
    request: Request<Body>,
    _relay: &'a TestRelay,
}

impl TestRequest<'_> {
    pub(crate) fn header(mut self, name: &'static str, value: &str) -> Self {
        let value = HeaderValue::from_str(value).expect("a value");
        self.request.headers_mut().insert(HeaderName::from_static(name), value);
        self
    }

    /// Adds a second header of the name.
    pub(crate) fn also(mut self, name: &'static str, value: &str) -> Self {
        let value = HeaderValue::from_str(value).expect("a value");
        self.request.headers_mut().append(HeaderName::from_static(name), value);
        self
    }

    pub(crate) fn without(mut self, name: &str) -> Self {
        self.request.headers_mut().remove(name);
        self
    }

    pub(crate) fn cookie(self, cookie: &str) -> Self {
        self.header("cookie", cookie)
    }

    #[expect(clippy::needless_pass_by_value, reason = "tests read better with the literal in place")]
    pub(crate) fn json(self, body: Value) -> Self {
        self.body("application/json", body.to_string())
    }

    pub(crate) fn body(self, content_type: &str, body: String) -> Self {
        let mut with_type = self.header("content-type", content_type);
        *with_type.request.body_mut() = Body::from(body);
        with_type
    }

    /// Sends, and leaves the answer's body to be read as it comes.
    pub(crate) async fn stream(self) -> Body {
        let Ok(response) = self.router.oneshot(self.request).await;
        assert_eq!(response.status(), 200);
        response.into_body()
    }

    pub(crate) async fn send(self) -> TestResponse {
        let Ok(response) = self.router.oneshot(self.request).await;
        whole(response).await
    }

    /// Sends; the answer's body is left out where it is a stream without an end.
    pub(crate) async fn begin(self) -> TestResponse {
        let Ok(response) = self.router.oneshot(self.request).await;
        if response.headers().get("content-type").is_some_and(|kind| kind.as_bytes().starts_with(b"text/event-stream"))
        {
            let (parts, _endless) = response.into_parts();
            return TestResponse { status: parts.status.as_u16(), headers: parts.headers, body: Bytes::new() };
        }
        whole(response).await
    }
}

async fn whole(response: Response<Body>) -> TestResponse {
    let (parts, body) = response.into_parts();
    let body = body.collect().await.expect("a whole body").to_bytes();
    TestResponse { status: parts.status.as_u16(), headers: parts.headers, body }
}

/// An answer.
pub(crate) struct TestResponse {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

impl TestResponse {
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().expect("text"))
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).expect("JSON")
    }

    pub(crate) fn detail(&self) -> String {
        self.json()["detail"].as_str().expect("a detail").to_owned()
    }

    pub(crate) fn assert_problem(&self, status: u16, slug: &str) {
        let text = String::from_utf8_lossy(&self.body);
        assert_eq!(self.status, status, "{text}");
        assert_eq!(self.header("content-type"), "application/problem+json", "{text}");
        let document = self.json();
        assert_eq!(document["type"], format!("urn:podlatch:problem:{slug}"));
        assert_eq!(document["status"], status);
        assert!(self.detail().ends_with('.'), "a sentence: {text}");
    }
}
