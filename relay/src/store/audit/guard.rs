//! What keeps the log append-only in the database itself, in each engine's own words.

use crate::store::engine::Engine;
use crate::store::{StoreError, Tx};

const SQLITE: &str = "
CREATE TRIGGER IF NOT EXISTS audit_events_no_update BEFORE UPDATE ON audit_events
BEGIN SELECT RAISE(ABORT, 'audit events are append-only'); END;
CREATE TRIGGER IF NOT EXISTS audit_events_no_delete BEFORE DELETE ON audit_events
BEGIN SELECT RAISE(ABORT, 'audit events are append-only'); END;
CREATE TRIGGER IF NOT EXISTS audit_positions_no_delete BEFORE DELETE ON audit_positions
BEGIN SELECT RAISE(ABORT, 'audit events are append-only'); END;
";

/// The lock keeps two relays that start at once out of each other's way.
const POSTGRES: &str = "
SELECT pg_advisory_xact_lock(7305804402871624051);
CREATE OR REPLACE FUNCTION audit_append_only() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN RAISE EXCEPTION 'audit events are append-only'; END $$;
CREATE OR REPLACE TRIGGER audit_events_no_change BEFORE UPDATE OR DELETE ON audit_events
FOR EACH ROW EXECUTE FUNCTION audit_append_only();
CREATE OR REPLACE TRIGGER audit_events_no_truncate BEFORE TRUNCATE ON audit_events
FOR EACH STATEMENT EXECUTE FUNCTION audit_append_only();
CREATE OR REPLACE TRIGGER audit_positions_no_delete BEFORE DELETE ON audit_positions
FOR EACH ROW EXECUTE FUNCTION audit_append_only();
CREATE OR REPLACE TRIGGER audit_positions_no_truncate BEFORE TRUNCATE ON audit_positions
FOR EACH STATEMENT EXECUTE FUNCTION audit_append_only();
";

/// Makes the database refuse to change or delete events. May be run again.
pub(in crate::store) async fn refuse_changes(tx: &mut Tx) -> Result<(), StoreError> {
    match tx.on() {
        Engine::Sqlite(on) => sqlx::raw_sql(SQLITE).execute(on).await.map(|_| ())?,
        Engine::Postgres(on) => sqlx::raw_sql(POSTGRES).execute(on).await.map(|_| ())?,
    }
    Ok(())
}
