//! What can go wrong with the database.

use sqlx::migrate::MigrateError;

/// A statement could not be done.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// Something that must be unique exists already.
    #[error("{0} exists already")]
    Taken(&'static str),
    /// What the request refers to does not exist, or belongs to another organisation.
    #[error("{0} does not exist")]
    Missing(&'static str),
    /// A stored value makes no sense: another program wrote it, or a newer version did.
    #[error("the database holds a value in {0} that makes no sense to this version")]
    Corrupt(&'static str),
    /// The database did not do what it was asked.
    #[error("the database failed; check that it runs, is reachable and has free disk space")]
    Database(#[from] sqlx::Error),
    /// The schema could not be brought up to date.
    #[error("the database's schema could not be brought up to date; run `podlatch-relay doctor`")]
    Migration(#[from] MigrateError),
}

impl StoreError {
    /// Whether a stored value cannot be read, which is the trouble of whoever it belongs to; otherwise it is the database that
    /// cannot be asked.
    pub const fn is_unreadable(&self) -> bool {
        matches!(self, Self::Corrupt(_) | Self::Database(sqlx::Error::ColumnDecode { .. } | sqlx::Error::Decode(_)))
    }
}

/// Names what was not unique.
pub(super) fn taken(what: &'static str) -> impl FnOnce(sqlx::Error) -> StoreError {
    move |error| match &error {
        sqlx::Error::Database(database) if database.is_unique_violation() => StoreError::Taken(what),
        _ => StoreError::Database(error),
    }
}

/// Whether a statement failed because there is no such table. Neither engine has a common code for it: SQLite only has a
/// sentence, Postgres `42P01`.
pub(super) fn is_missing_table(error: &sqlx::Error) -> bool {
    error.as_database_error().is_some_and(|database| {
        database.code().is_some_and(|code| code == "42P01") || database.message().starts_with("no such table")
    })
}
