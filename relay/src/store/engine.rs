//! One SQL text, two engines: [`Engine`] holds the same thing of either, the macros run a statement on whichever it is.

use sqlx::{AssertSqlSafe, PgConnection, SqliteConnection};

use super::{StoreError, Tx};

/// The same thing of SQLite or of Postgres.
#[derive(Debug)]
pub(super) enum Engine<S, P> {
    Sqlite(S),
    Postgres(P),
}

impl Tx {
    /// The connection, for the macros.
    pub(super) fn on(&mut self) -> Engine<&mut SqliteConnection, &mut PgConnection> {
        match self {
            Self::Sqlite(tx) => Engine::Sqlite(&mut **tx),
            Self::Postgres(tx) => Engine::Postgres(&mut **tx),
        }
    }

    pub(super) async fn commit(self) -> Result<(), StoreError> {
        match self {
            Self::Sqlite(tx) => tx.commit().await?,
            Self::Postgres(tx) => tx.commit().await?,
        }
        Ok(())
    }
}

/// A `SELECT` of a statement that is put together, with the index that it goes along.
#[derive(Debug)]
pub(super) struct Part {
    pub(super) index: Option<&'static str>,
    pub(super) sql: String,
}

impl Part {
    /// All that the parts find, with one ending behind the last.
    pub(super) fn union(parts: impl Iterator<Item = Self>, ending: &str) -> Vec<Self> {
        let mut parts: Vec<_> = parts.collect();
        let last = parts.len().saturating_sub(1);
        for (number, part) in parts.iter_mut().enumerate() {
            part.sql.push_str(if number == last { ending } else { " UNION ALL " });
        }
        parts
    }
}

impl<S, P> Engine<S, P> {
    /// Puts a statement together. SQLite is told the indexes of `table`: it has no statistics to choose by. Postgres has.
    ///
    /// The parts are literals of the store, never what somebody sent.
    pub(super) fn statement(&self, table: &str, parts: Vec<Part>) -> AssertSqlSafe<String> {
        let from = format!("FROM {table} ");
        let hinted = |Part { index, sql }: Part| match (self, index) {
            (Self::Sqlite(_), Some(index)) => sql.replacen(&from, &format!("{from}INDEXED BY {index} "), 1),
            (Self::Sqlite(_), None) | (Self::Postgres(_), _) => sql,
        };
        AssertSqlSafe(parts.into_iter().map(hinted).collect())
    }
}

/// Runs a statement; gives the number of rows it touched.
macro_rules! execute {
    ($on:expr, $sql:expr $(, $bind:expr)* $(,)?) => {
        match $on {
            $crate::store::engine::Engine::Sqlite(on) => {
                sqlx::query($sql)$(.bind($bind))*.execute(on).await.map(|done| done.rows_affected())
            }
            $crate::store::engine::Engine::Postgres(on) => {
                sqlx::query($sql)$(.bind($bind))*.execute(on).await.map(|done| done.rows_affected())
            }
        }
    };
}

/// Runs a query that finds one row or none.
macro_rules! fetch_optional {
    ($on:expr, $row:ty, $sql:expr $(, $bind:expr)* $(,)?) => {
        match $on {
            $crate::store::engine::Engine::Sqlite(on) => {
                sqlx::query_as::<_, $row>($sql)$(.bind($bind))*.fetch_optional(on).await
            }
            $crate::store::engine::Engine::Postgres(on) => {
                sqlx::query_as::<_, $row>($sql)$(.bind($bind))*.fetch_optional(on).await
            }
        }
    };
}

/// Runs a query that finds any number of rows; the statement bounds it.
macro_rules! fetch_all {
    ($on:expr, $row:ty, $sql:expr $(, $bind:expr)* $(,)?) => {
        match $on {
            $crate::store::engine::Engine::Sqlite(on) => {
                sqlx::query_as::<_, $row>($sql)$(.bind($bind))*.fetch_all(on).await
            }
            $crate::store::engine::Engine::Postgres(on) => {
                sqlx::query_as::<_, $row>($sql)$(.bind($bind))*.fetch_all(on).await
            }
        }
    };
}

pub(super) use {execute, fetch_all, fetch_optional};
