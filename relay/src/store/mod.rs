//! All SQL of the relay, over SQLite (embedded, the default) or Postgres.
//!
//! One SQL text serves both engines. Look-ups are `Result<Option<T>>`; every method that touches an organisation's data
//! takes the organisation, so an id alone is never a right.
//!
//! **Cancel safety.** Every method is one statement or one transaction: dropped before it answers, all of it happened or
//! nothing did. Each says "cancel safe" in this sense.

mod access_requests;
mod access_rules;
mod agents;
mod api_tokens;
mod audit;
mod clusters;
mod engine;
mod error;
mod groups;
mod invitations;
mod join_tokens;
mod kubernetes;
mod login_sessions;
mod logins;
mod organisations;
mod page;
mod people;
#[cfg(test)]
mod plans;
mod public_clusters;
mod recordings;
mod redemption;
mod replays;
mod rights;
mod rows;
mod session_limits;
mod sessions;
mod sign_in;
mod sign_in_links;
mod suspension;
mod tickets;
mod url;

use std::sync::Arc;
use std::time::Duration;

use sqlx::migrate::Migrator;
use sqlx::postgres::PgPoolOptions;
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous};
use sqlx::{ConnectOptions, PgPool, Postgres, Sqlite, SqlitePool, Transaction};
use tokio::sync::watch;

pub use self::access_requests::{AccessRequest, NewAccessRequest, RequestFilter, RequestState, Ruling};
pub use self::access_rules::{NewAccessRule, RuleChange};
pub use self::agents::{AgentSeen, RenewAgent};
pub use self::api_tokens::NewApiToken;
pub use self::audit::{AuditFilter, AuditPage, AuditRun, UserFilter};
pub use self::clusters::{ClusterChange, NewCluster};
use self::engine::Engine;
pub use self::error::StoreError;
pub use self::groups::GroupChange;
pub use self::invitations::{Acceptance, Accepted, InvitationPreview, NewInvitation};
pub use self::join_tokens::{Enrolled, JoinGrant, NewJoinToken};
pub use self::login_sessions::{LoginStanding, NewLoginSession};
pub use self::logins::{LoginFilter, OwnMembership, SwitchRefused};
pub use self::organisations::NewOrganisation;
pub use self::page::{Cursor, InvalidCursor, List, Page, PageRequest};
pub use self::public_clusters::{PublicCluster, StoredAccess};
pub use self::redemption::Redemption;
pub use self::replays::NewReplay;
pub use self::rights::{Colleague, SessionRights, UnreadableRights};
pub use self::sessions::{ActivityNote, Departure, NewViewer, SessionFilter, StateFilter, ViewerBytes};
pub use self::sign_in::{
    ChallengePurpose, LoginProof, NewChallenge, NewPasskey, OidcSignIn, SignInAs, SignInProvider, SignInRefusal,
    StoredPasskey, StoredPassword,
};
pub use self::sign_in_links::NewSignInLink;
pub use self::tickets::NewTicket;
pub use self::url::{DatabaseUrl, InvalidDatabaseUrl};

static MIGRATOR: Migrator = sqlx::migrate!();

/// How long a statement waits for another process' write (the `admin` commands work beside a running relay).
const SQLITE_BUSY_TIMEOUT: Duration = Duration::from_secs(5);

const SQLITE_READERS: u32 = 4;
const POSTGRES_CONNECTIONS: u32 = 16;

/// How long a request waits for a free connection before it fails.
const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(5);

/// What the relay knows. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Store {
    pools: Pools,
    audit_signal: Arc<watch::Sender<()>>,
}

#[derive(Debug, Clone)]
enum Pools {
    Sqlite { writer: SqlitePool, readers: SqlitePool },
    Postgres(PgPool),
}

/// A transaction: rolled back unless committed.
type Tx = Engine<Transaction<'static, Sqlite>, Transaction<'static, Postgres>>;

impl Store {
    /// Opens the database; a missing SQLite file is created. Cancel safe.
    pub async fn open(url: &DatabaseUrl) -> Result<Self, StoreError> {
        let pools = match url {
            DatabaseUrl::Sqlite(path) => {
                url::create_private(path)?;
                let options = SqliteConnectOptions::new()
                    .filename(path)
                    .journal_mode(SqliteJournalMode::Wal)
                    .synchronous(SqliteSynchronous::Normal)
                    .busy_timeout(SQLITE_BUSY_TIMEOUT)
                    .foreign_keys(true)
                    .disable_statement_logging();
                // One writer: SQLite has one anyway, and a queue in front of it never fails with "database is locked".
                let writer = SqlitePoolOptions::new()
                    .max_connections(1)
                    .acquire_timeout(ACQUIRE_TIMEOUT)
                    .connect_with(options.clone())
                    .await?;
                let readers = SqlitePoolOptions::new()
                    .max_connections(SQLITE_READERS)
                    .acquire_timeout(ACQUIRE_TIMEOUT)
                    .connect_with(options.pragma("query_only", "ON"))
                    .await?;
                Pools::Sqlite { writer, readers }
            }
            DatabaseUrl::Postgres(options) => Pools::Postgres(
                PgPoolOptions::new()
                    .max_connections(POSTGRES_CONNECTIONS)
                    .acquire_timeout(ACQUIRE_TIMEOUT)
                    .connect_with(options.as_ref().clone().disable_statement_logging())
                    .await?,
            ),
        };
        Ok(Self { pools, audit_signal: Arc::new(watch::Sender::new(())) })
    }

    /// Brings the schema up to this version. Several processes may do so at once. Cancel safe.
    pub async fn migrate(&self) -> Result<(), StoreError> {
        match &self.pools {
            Pools::Sqlite { writer, .. } => {
                // Postgres' migrator takes an advisory lock; SQLite's has none, the write lock serves.
                let mut tx = writer.begin_with("BEGIN IMMEDIATE").await?;
                // `run` cannot be awaited in a future that is Send; `run_direct` is sqlx's own way around that.
                MIGRATOR.run_direct(None, &mut *tx, false).await?;
                tx.commit().await?;
            }
            Pools::Postgres(pool) => MIGRATOR.run(pool).await?,
        }
        let mut tx = self.begin().await?;
        audit::refuse_changes(&mut tx).await?;
        tx.commit().await
    }

    /// Whether the database answers and has this version's schema. Cancel safe.
    pub async fn check(&self) -> Result<SchemaState, StoreError> {
        let known = MIGRATOR.iter().map(|migration| migration.version).max().unwrap_or(0);
        let sql = "SELECT MAX(version) FROM _sqlx_migrations WHERE success";
        let applied: Result<Option<i64>, sqlx::Error> = match self.reader() {
            Engine::Sqlite(pool) => sqlx::query_scalar(sql).fetch_one(pool).await,
            Engine::Postgres(pool) => sqlx::query_scalar(sql).fetch_one(pool).await,
        };
        match applied {
            Ok(Some(version)) if version == known => Ok(SchemaState::Current),
            Ok(Some(version)) if version > known => Ok(SchemaState::Newer),
            Ok(_) => Ok(SchemaState::Behind),
            Err(error) if error::is_missing_table(&error) => Ok(SchemaState::Behind),
            Err(error) => Err(error.into()),
        }
    }

    /// Waits until every statement in flight is done and closes all connections. Cancel safe.
    pub async fn close(&self) {
        match &self.pools {
            Pools::Sqlite { writer, readers } => {
                readers.close().await;
                writer.close().await;
            }
            Pools::Postgres(pool) => pool.close().await,
        }
    }

    fn reader(&self) -> Engine<&SqlitePool, &PgPool> {
        match &self.pools {
            Pools::Sqlite { readers, .. } => Engine::Sqlite(readers),
            Pools::Postgres(pool) => Engine::Postgres(pool),
        }
    }

    /// For single statements that write.
    fn writer(&self) -> Engine<&SqlitePool, &PgPool> {
        match &self.pools {
            Pools::Sqlite { writer, .. } => Engine::Sqlite(writer),
            Pools::Postgres(pool) => Engine::Postgres(pool),
        }
    }

    async fn begin(&self) -> Result<Tx, StoreError> {
        Ok(match &self.pools {
            // Taking the write lock at once avoids the upgrade from a read that SQLite refuses when another wrote since.
            Pools::Sqlite { writer, .. } => Engine::Sqlite(writer.begin_with("BEGIN IMMEDIATE").await?),
            Pools::Postgres(pool) => Engine::Postgres(pool.begin().await?),
        })
    }
}

/// How the database's schema relates to this version of the relay.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SchemaState {
    /// It fits.
    Current,
    /// `migrate` has work to do.
    Behind,
    /// A newer relay has migrated it.
    Newer,
}
