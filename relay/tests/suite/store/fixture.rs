//! An empty store, and short ways to fill it.

use std::borrow::Cow;
use std::time::Duration;

use podlatch_protocol::id::{AgentId, ClusterId, JoinTokenId, LoginSessionId, OrganisationId, SessionId, UserId};
use podlatch_protocol::request::Program;
use podlatch_protocol::target::PodTarget;
use podlatch_protocol::terminal::TerminalSize;
use podlatch_relay::auth::token::{Token, TokenHash, TokenKind};
use podlatch_relay::clock::UnixMillis;
use podlatch_relay::domain::access::Actor;
use podlatch_relay::domain::agent::{Agent, AgentStatus, PublicKeySha256};
use podlatch_relay::domain::audit::Origin;
use podlatch_relay::domain::cluster::{Cluster, ClusterType};
use podlatch_relay::domain::labels::Labels;
use podlatch_relay::domain::login::LoginMethod;
use podlatch_relay::domain::organisation::{ClientInfo, LoginSession, Membership};
use podlatch_relay::domain::session::{NewSession, SessionAccess};
use podlatch_relay::domain::session_limits::SessionLimits;
use podlatch_relay::entropy::Entropy;
use podlatch_relay::store::{
    DatabaseUrl, NewCluster, NewJoinToken, NewLoginSession, NewOrganisation, NewSignInLink, Store,
};
use sqlx::migrate::Migrator;
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{AssertSqlSafe, ConnectOptions, SqlSafeStr};
use tempfile::TempDir;

use crate::postgres::new_database_url;

/// When every case begins.
pub(crate) const START: UnixMillis = UnixMillis::new(1_700_000_000_000);

/// A minute after [`START`].
pub(crate) const SOON: UnixMillis = UnixMillis::new(START.get() + 60_000);

/// An hour after [`START`]: when everything that the fixture makes expires.
pub(crate) const EXPIRY: UnixMillis = UnixMillis::new(START.get() + 3_600_000);

/// A migrated, empty store.
pub(crate) struct Fixture {
    pub(crate) store: Store,
    pub(crate) entropy: Entropy,
    url: DatabaseUrl,
    _folder: TempDir,
}

impl Fixture {
    pub(crate) async fn sqlite() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        Self::open(&DatabaseUrl::in_folder(folder.path()), folder).await
    }

    pub(crate) async fn postgres() -> Self {
        Self::open(&new_database_url().await, tempfile::tempdir().expect("a folder")).await
    }

    /// As it is after an update from a relay whose newest migration was `version`, where there was an organisation.
    pub(crate) async fn updated(url: &DatabaseUrl, folder: TempDir, version: i64, there: OrganisationId) -> Self {
        let old = sqlx::migrate!().iter().filter(|migration| migration.version <= version).cloned().collect();
        let migrator = Migrator { migrations: Cow::Owned(old), ..Migrator::DEFAULT };
        let insert = "INSERT INTO organisations (id, name, created_at) VALUES ($1, 'Old', 5)";
        match url {
            DatabaseUrl::Sqlite(path) => {
                let options = SqliteConnectOptions::new().filename(path).create_if_missing(true);
                let mut database = options.connect().await.expect("opens");
                migrator.run(&mut database).await.expect("migrates");
                sqlx::query(insert).bind(there.as_uuid()).execute(&mut database).await.expect("inserts");
            }
            DatabaseUrl::Postgres(options) => {
                let mut database = options.connect().await.expect("opens");
                migrator.run(&mut database).await.expect("migrates");
                sqlx::query(insert).bind(there.as_uuid()).execute(&mut database).await.expect("inserts");
            }
        }
        Self::open(url, folder).await
    }

    async fn open(url: &DatabaseUrl, folder: TempDir) -> Self {
        let store = Store::open(url).await.expect("opens");
        store.migrate().await.expect("migrates");
        Self { store, entropy: Entropy::system(), url: url.clone(), _folder: folder }
    }

    /// Runs a statement past the store, as somebody with access to the database could.
    pub(crate) async fn execute(&self, sql: impl SqlSafeStr) -> Result<(), sqlx::Error> {
        match &self.url {
            DatabaseUrl::Sqlite(path) => {
                let options = SqliteConnectOptions::new().filename(path);
                sqlx::raw_sql(sql).execute(&mut options.connect().await?).await.map(drop)
            }
            DatabaseUrl::Postgres(options) => sqlx::raw_sql(sql).execute(&mut options.connect().await?).await.map(drop),
        }
    }

    pub(crate) fn token(&self, kind: TokenKind) -> TokenHash {
        Token::generate(kind, &self.entropy).hash()
    }

    fn id<I>(&self, make: fn(u64, &[u8; 10]) -> I) -> I {
        make(START.since_epoch(), &self.entropy.bytes())
    }

    pub(crate) async fn owner(&self, email: &str) -> Membership {
        let new = NewOrganisation {
            id: self.id(OrganisationId::new),
            name: "Shop".parse().expect("a name"),
            owner_id: self.id(UserId::new),
            owner_email: email.parse().expect("an address"),
            owner_name: "Ada".parse().expect("a name"),
        };
        self.store.create_organisation_with_owner(&new, &Origin::operator(), START).await.expect("creates")
    }

    pub(crate) async fn sign_in_link(&self, of: &Membership) -> TokenHash {
        let hash = self.token(TokenKind::SignInLink);
        let new = NewSignInLink { hash, organisation: of.organisation.id, user: of.user.id, expires_at: EXPIRY };
        self.store.create_sign_in_link(&new, &Origin::operator(), START).await.expect("creates");
        hash
    }

    pub(crate) fn new_login(&self) -> NewLoginSession {
        NewLoginSession {
            id: self.id(LoginSessionId::new),
            hash: self.token(TokenKind::LoginSession),
            method: LoginMethod::Link,
            expires_at: EXPIRY,
            client: ClientInfo { ip: "192.0.2.1".to_owned(), user_agent: "test".to_owned() },
        }
    }

    pub(crate) async fn signed_in(&self, of: &Membership) -> LoginSession {
        let link = self.sign_in_link(of).await;
        let redeemed = self.store.redeem_sign_in_link(&link, &self.new_login(), START).await.expect("answers");
        redeemed.redeemed().expect("is good")
    }

    pub(crate) async fn actor(&self) -> Actor {
        let owner = self.owner("ada@example.org").await;
        Actor::from(&self.signed_in(&owner).await)
    }

    pub(crate) fn new_cluster(&self, organisation: OrganisationId, name: &str) -> NewCluster {
        let name = name.parse().expect("a name");
        NewCluster {
            id: self.id(ClusterId::new),
            organisation,
            name,
            cluster_type: ClusterType::Private,
            labels: Labels::default(),
        }
    }

    pub(crate) async fn cluster(&self, organisation: OrganisationId) -> Cluster {
        self.store
            .create_cluster(&self.new_cluster(organisation, "berlin"), &Origin::operator(), START)
            .await
            .expect("creates")
    }

    pub(crate) async fn join_token(&self, cluster: &Cluster) -> TokenHash {
        let new = self.new_join_token(cluster);
        self.store.create_join_token(&new, &Origin::operator(), START).await.expect("creates");
        new.hash
    }

    pub(crate) fn new_join_token(&self, cluster: &Cluster) -> NewJoinToken {
        NewJoinToken {
            id: self.id(JoinTokenId::new),
            hash: self.token(TokenKind::Join),
            organisation: cluster.organisation,
            cluster: cluster.id,
            expires_at: EXPIRY,
            agents: 1,
        }
    }

    pub(crate) fn new_agent(&self, cluster: &Cluster) -> Agent {
        Agent {
            id: self.id(AgentId::new),
            cluster: cluster.id,
            organisation: cluster.organisation,
            status: AgentStatus::Active,
            public_key: PublicKeySha256(self.entropy.bytes()),
            previous_public_key: None,
            generation: 1,
            enrolled_at: START,
            last_seen_at: None,
            agent_version: "0.1.0".to_owned(),
            kubernetes_version: String::new(),
            certificate_expires_at: START.plus(Duration::from_hours(24)),
            cloned: None,
            about: None,
        }
    }

    pub(crate) async fn agent(&self, cluster: &Cluster) -> Agent {
        let agent = self.new_agent(cluster);
        self.store.insert_agent(&agent, &ClientInfo::default()).await.expect("inserts");
        agent
    }

    pub(crate) fn new_session(&self, actor: &Actor, agent: &Agent) -> NewSession {
        NewSession {
            id: self.id(SessionId::new),
            organisation: actor.organisation,
            cluster: agent.cluster,
            agent: Some(agent.id),
            user: actor.user,
            login_session: actor.login_session,
            target: PodTarget {
                namespace: "shop".parse().expect("a namespace"),
                pod: "web-1".parse().expect("a pod"),
                container: None,
            },
            program: Program::Shell,
            size: TerminalSize::clamped(80, 24),
            client: ClientInfo { ip: "2001:db8::1".to_owned(), user_agent: "test".to_owned() },
            started_at: START,
            expires_at: EXPIRY,
            idle: SessionLimits::default().idle,
            reason: None,
            access: SessionAccess::default(),
        }
    }

    /// Appends commands by somebody, in no session, named by their number: past the store, for it takes them one by one.
    pub(crate) async fn append_commands(&self, by: &Actor, number: u64) {
        let id = match self.url {
            DatabaseUrl::Sqlite(_) => "randomblob(16)",
            DatabaseUrl::Postgres(_) => "gen_random_uuid()",
        };
        let last = self.store.audit_position(by.organisation).await.expect("answers");
        let sql = format!(
            "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {number})
             INSERT INTO audit_events (id, organisation_id, position, at, action, outcome, actor_kind, actor_id, actor_name,
                 user_id, user_name, command, details)
             SELECT {id}, p.organisation_id, {last} + n.i, {at}, 'command_executed', 'success', 'user', u.id, u.email,
                 u.id, u.email, 'run ' || n.i, '{{}}'
             FROM n, audit_positions p JOIN memberships m ON m.organisation_id = p.organisation_id
                 JOIN users u ON u.id = m.user_id WHERE u.email = 'ada@example.org';
             UPDATE audit_positions SET position = {last} + {number} WHERE position = {last}",
            at = SOON.get(),
        );
        self.execute(AssertSqlSafe(sql)).await.expect("appends");
    }

    pub(crate) async fn session(&self, actor: &Actor, agent: &Agent) -> NewSession {
        let session = self.new_session(actor, agent);
        self.store.insert_session(&session).await.expect("inserts");
        session
    }
}
