//! How far each receiver of the audit stream has got. The log itself is the outbox: nothing is copied.

use podlatch_protocol::id::OrganisationId;
use uuid::Uuid;

use crate::store::engine::{execute, fetch_all};
use crate::store::rows::number;
use crate::store::{Store, StoreError};

/// Logs that are looked after in one round.
const LOGS: i64 = 100;

impl Store {
    /// The logs, of every organisation, that hold events which this sink has not got yet, and the last position that it has.
    /// Cancel safe.
    pub async fn audit_pending(&self, sink: &str) -> Result<Vec<(OrganisationId, u64)>, StoreError> {
        let rows = fetch_all!(
            self.reader(),
            (Uuid, i64),
            "SELECT p.organisation_id, COALESCE(s.position, 0) FROM audit_positions p
             LEFT JOIN audit_sinks s ON s.organisation_id = p.organisation_id AND s.sink = $1
             WHERE p.position > COALESCE(s.position, 0) ORDER BY p.organisation_id LIMIT $2",
            sink,
            LOGS,
        )?;
        let log = |(organisation, position)| {
            Ok((OrganisationId::from_uuid(organisation), number("audit_sinks.position", position)?))
        };
        rows.into_iter().map(log).collect()
    }

    /// Notes that a sink has everything up to a position. It never goes back. Cancel safe.
    pub async fn audit_delivered(
        &self,
        sink: &str,
        organisation: OrganisationId,
        position: u64,
    ) -> Result<(), StoreError> {
        execute!(
            self.writer(),
            "INSERT INTO audit_sinks (sink, organisation_id, position) VALUES ($1, $2, $3)
             ON CONFLICT (sink, organisation_id) DO UPDATE SET position = excluded.position
             WHERE audit_sinks.position < excluded.position",
            sink,
            organisation.as_uuid(),
            i64::try_from(position).unwrap_or(i64::MAX),
        )?;
        Ok(())
    }
}
