//! One SQL text, two engines: [`Engine`] holds the same thing of either, the macros run a statement on whichever it is.

use sqlx::{PgConnection, SqliteConnection};

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
