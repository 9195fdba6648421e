//! An event between its columns and the domain.

use podlatch_protocol::id::{ClusterId, OrganisationId, SessionId, UserId};
use uuid::Uuid;

use crate::clock::UnixMillis;
use crate::domain::audit::{Action, ActorKind, Details, Event, EventActor, Outcome};
use crate::store::StoreError;
use crate::store::rows::{known, number};

/// The columns of an [`EventRow`], then whatever else the statement needs.
macro_rules! event_sql {
    ($($rest:literal),+) => {
        concat!(
            "SELECT id, organisation_id, position, session_id, sequence, at, action, outcome, actor_kind, actor_id, \
             actor_name, user_id, user_name, cluster_id, cluster_name, namespace, pod, container, command, client_ip, \
             user_agent, details FROM audit_events ",
            $($rest),+
        )
    };
}
pub(super) use event_sql;

#[derive(sqlx::FromRow)]
pub(super) struct EventRow {
    id: Uuid,
    organisation_id: Uuid,
    position: i64,
    session_id: Option<Uuid>,
    sequence: Option<i64>,
    at: i64,
    action: String,
    outcome: String,
    actor_kind: String,
    actor_id: Option<Uuid>,
    actor_name: String,
    user_id: Option<Uuid>,
    user_name: Option<String>,
    cluster_id: Option<Uuid>,
    cluster_name: Option<String>,
    namespace: Option<String>,
    pod: Option<String>,
    container: Option<String>,
    command: Option<String>,
    client_ip: Option<String>,
    user_agent: Option<String>,
    details: String,
}

impl TryFrom<EventRow> for Event {
    type Error = StoreError;

    fn try_from(row: EventRow) -> Result<Self, StoreError> {
        Ok(Self {
            id: row.id,
            organisation: OrganisationId::from_uuid(row.organisation_id),
            position: number("audit_events.position", row.position)?,
            at: UnixMillis::new(row.at),
            action: known("audit_events.action", Action::from_slug(&row.action))?,
            outcome: known("audit_events.outcome", Outcome::from_slug(&row.outcome))?,
            actor: EventActor {
                kind: known("audit_events.actor_kind", ActorKind::from_slug(&row.actor_kind))?,
                id: row.actor_id,
                name: row.actor_name,
            },
            user: row.user_id.map(|id| (UserId::from_uuid(id), row.user_name.unwrap_or_default())),
            cluster: row.cluster_id.map(|id| (ClusterId::from_uuid(id), row.cluster_name.unwrap_or_default())),
            namespace: row.namespace,
            pod: row.pod,
            container: row.container,
            session: row.session_id.map(SessionId::from_uuid),
            sequence: row.sequence.map(|sequence| number("audit_events.sequence", sequence)).transpose()?,
            command: row.command,
            client_ip: row.client_ip,
            user_agent: row.user_agent,
            details: known("audit_events.details", Details::from_json(&row.details))?,
        })
    }
}
