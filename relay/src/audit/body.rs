//! An event as JSON: what the API answers, what is exported, what SIEMs get.

use serde::Serialize;
use serde_json::{Map, Value};
use utoipa::ToSchema;

use super::escape::escape;
use crate::clock::UnixMillis;
use crate::domain::audit::{Event, NO_ORGANISATION};

/// One event of the audit log. Commands, user agents and details hold text from elsewhere: escape it.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[schema(as = AuditEvent)]
pub struct EventBody {
    /// The event's id, the same wherever and however often it is told.
    pub id: String,
    /// In whose log; null for what belongs to no organisation.
    pub organisation: Option<String>,
    /// Its place in the organisation's log: 1, 2, 3, … without gaps.
    pub position: u64,
    /// When (RFC 3339).
    #[schema(value_type = String, format = DateTime)]
    pub at: UnixMillis,
    /// What was done.
    #[schema(example = "command_executed")]
    pub action: &'static str,
    /// `success`, `refused` or `failed`.
    pub outcome: &'static str,
    /// Who did it.
    pub actor: ActorBody,
    /// Whom it concerns: the session's person, the person who signed in.
    pub user: Option<NamedBody>,
    /// The cluster, by the name that it had.
    pub cluster: Option<NamedBody>,
    /// The namespace.
    pub namespace: Option<String>,
    /// The pod.
    pub pod: Option<String>,
    /// The container.
    pub container: Option<String>,
    /// The session's id.
    pub session: Option<String>,
    /// Its place among the session's events: 1, 2, 3, … without gaps.
    pub sequence: Option<u64>,
    /// The command, with what looked like a secret taken out.
    pub command: Option<String>,
    /// The address that the relay saw.
    pub client_ip: Option<String>,
    /// What the browser calls itself.
    pub user_agent: Option<String>,
    /// What else there is to know; which facts depends on the action.
    pub details: Map<String, Value>,
}

/// Who did it.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[schema(as = AuditActor)]
pub struct ActorBody {
    /// `user`, `unknown`, `system`, `agent` or `operator`.
    pub kind: &'static str,
    /// The person's or agent's id.
    pub id: Option<String>,
    /// A person's address; of others, what they are.
    pub name: String,
}

/// Something with an id and the name that it had.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[schema(as = AuditNamed)]
pub struct NamedBody {
    /// Its id.
    pub id: String,
    /// Its name at the time; a person's address.
    pub name: String,
}

impl From<Event> for EventBody {
    fn from(event: Event) -> Self {
        let named = |(id, name): (String, String)| NamedBody { id, name };
        let kind = event.actor.kind.slug();
        Self {
            id: event.id.to_string(),
            organisation: (event.organisation != NO_ORGANISATION).then(|| event.organisation.to_string()),
            position: event.position,
            at: event.at,
            action: event.action.slug(),
            outcome: event.outcome.slug(),
            actor: ActorBody {
                kind,
                id: event.actor.id.map(|id| id.to_string()),
                name: if event.actor.name.is_empty() { kind.to_owned() } else { event.actor.name },
            },
            user: event.user.map(|(id, name)| named((id.to_string(), name))),
            cluster: event.cluster.map(|(id, name)| named((id.to_string(), name))),
            namespace: event.namespace,
            pod: event.pod,
            container: event.container,
            session: event.session.map(|session| session.to_string()),
            sequence: event.sequence,
            command: event.command,
            client_ip: event.client_ip,
            user_agent: event.user_agent,
            details: event.details.as_map().clone(),
        }
    }
}

impl EventBody {
    /// As one line of JSON Lines, without its end: nothing in it steers a terminal.
    pub fn json_line(&self) -> serde_json::Result<String> {
        serde_json::to_string(self).map(|json| escape(&json))
    }
}
