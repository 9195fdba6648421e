//! Audit events: who did what, where, from where, and how it went. Append-only.
//!
//! An event is built from ids; the store fills in the names, and for an event in a session everything that its record knows,
//! within the transaction that appends it. So nothing is forgotten, and nothing that the caller claims is believed.

mod action;
mod text;

use podlatch_protocol::id::{AgentId, ClusterId, OrganisationId, SessionId, UserId};
use podlatch_protocol::target::PodTarget;
use serde_json::Value;
use uuid::Uuid;

pub use self::action::{Action, ActorKind, ActorRef, EventActor, Outcome};
pub use self::text::{Details, MAX_COMMAND_BYTES, MAX_USER_AGENT_BYTES, cut};
use super::organisation::ClientInfo;
use crate::clock::UnixMillis;

/// Whose log an event is in that belongs to no organisation: somebody presented a token that nobody knows.
pub const NO_ORGANISATION: OrganisationId = OrganisationId::from_uuid(Uuid::nil());

/// Who acts, and from where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Origin {
    /// Who.
    pub actor: ActorRef,
    /// From where; `None` where there is no such thing, or, in a session, where it is what the session's record says.
    pub client: Option<ClientInfo>,
}

impl Origin {
    /// A person at a browser.
    pub const fn user(user: UserId, client: ClientInfo) -> Self {
        Self { actor: ActorRef::User(user), client: Some(client) }
    }

    /// Somebody who did not show who they are.
    pub const fn unknown(client: ClientInfo) -> Self {
        Self { actor: ActorRef::Unknown, client: Some(client) }
    }

    /// An agent, at an address.
    pub const fn agent(agent: AgentId, client: ClientInfo) -> Self {
        Self { actor: ActorRef::Agent(agent), client: Some(client) }
    }

    /// Whoever may run commands on the relay's machine.
    pub const fn operator() -> Self {
        Self { actor: ActorRef::Operator, client: None }
    }

    /// The relay itself.
    pub const fn system() -> Self {
        Self { actor: ActorRef::System, client: None }
    }

    /// The person whose session the event belongs to, at the place that the session's record says.
    pub const fn session_user() -> Self {
        Self { actor: ActorRef::SessionUser, client: None }
    }
}

/// What an event is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// The organisation as a whole.
    Organisation,
    /// A cluster.
    Cluster(ClusterId),
    /// A pod of a cluster.
    Pod(ClusterId, PodTarget),
    /// A session; its record says the rest.
    Session(SessionId),
}

/// An event to be appended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewEvent {
    /// In whose log.
    pub organisation: OrganisationId,
    /// When.
    pub at: UnixMillis,
    /// What was done.
    pub action: Action,
    /// How it went.
    pub outcome: Outcome,
    /// By whom, and from where.
    pub origin: Origin,
    /// Where.
    pub place: Place,
    /// Whom it concerns, where that is neither who acts nor whose session it is.
    pub about: Option<UserId>,
    /// The command, if there is one: already redacted.
    pub command: Option<String>,
    /// What else there is to know.
    pub details: Details,
    /// Within a session, an event with the same key is appended once, however often it is tried.
    pub dedupe_key: Option<String>,
}

impl NewEvent {
    /// An event of the organisation as a whole that went well, until more is said.
    pub fn new(action: Action, organisation: OrganisationId, origin: Origin, at: UnixMillis) -> Self {
        Self {
            organisation,
            at,
            action,
            outcome: Outcome::Success,
            origin,
            place: Place::Organisation,
            about: None,
            command: None,
            details: Details::default(),
            dedupe_key: None,
        }
    }

    /// An event in a session, by its person unless [`Self::by`] says otherwise.
    pub fn in_session(action: Action, organisation: OrganisationId, session: SessionId, at: UnixMillis) -> Self {
        Self::new(action, organisation, Origin::session_user(), at).at(Place::Session(session))
    }

    /// Says where.
    #[must_use]
    pub fn at(self, place: Place) -> Self {
        Self { place, ..self }
    }

    /// Says who, and from where.
    #[must_use]
    pub fn by(self, origin: Origin) -> Self {
        Self { origin, ..self }
    }

    /// Says how it went.
    #[must_use]
    pub fn outcome(self, outcome: Outcome) -> Self {
        Self { outcome, ..self }
    }

    /// Says whom it concerns besides who acts.
    #[must_use]
    pub fn about(self, user: UserId) -> Self {
        Self { about: Some(user), ..self }
    }

    /// Adds the command, redacted before. What is longer than [`MAX_COMMAND_BYTES`] is cut, and its length noted.
    #[must_use]
    pub fn command(mut self, command: &str) -> Self {
        if command.len() > MAX_COMMAND_BYTES {
            self.details.add("command_bytes", command.len());
        }
        self.command = Some(cut(command, MAX_COMMAND_BYTES));
        self
    }

    /// Adds a fact.
    #[must_use]
    pub fn detail(mut self, key: &'static str, value: impl Into<Value>) -> Self {
        self.details.add(key, value);
        self
    }

    /// Makes a second try of the same event, in the same session and with the same key, do nothing.
    #[must_use]
    pub fn once(self, key: impl Into<String>) -> Self {
        Self { dedupe_key: Some(cut(&key.into(), 200)), ..self }
    }
}

/// What appending gave.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Appended {
    /// The event's id.
    pub id: Uuid,
    /// Its place in the organisation's log: 1, 2, 3, … without gaps.
    pub position: u64,
    /// Its place among the session's events: 1, 2, 3, … without gaps.
    pub sequence: Option<u64>,
    /// Whether it is new, or was appended before under the same key.
    pub fresh: bool,
}

/// An event as it is stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// Its id.
    pub id: Uuid,
    /// In whose log; [`NO_ORGANISATION`] where it belongs to none.
    pub organisation: OrganisationId,
    /// Its place in the organisation's log.
    pub position: u64,
    /// When.
    pub at: UnixMillis,
    /// What was done.
    pub action: Action,
    /// How it went.
    pub outcome: Outcome,
    /// Who did it.
    pub actor: EventActor,
    /// Whom it concerns: the session's person, the person who was signed in, and their address at the time.
    pub user: Option<(UserId, String)>,
    /// The cluster, and its name at the time.
    pub cluster: Option<(ClusterId, String)>,
    /// The namespace.
    pub namespace: Option<String>,
    /// The pod.
    pub pod: Option<String>,
    /// The container.
    pub container: Option<String>,
    /// The session.
    pub session: Option<SessionId>,
    /// Its place among the session's events.
    pub sequence: Option<u64>,
    /// The command, redacted.
    pub command: Option<String>,
    /// The address that the relay saw.
    pub client_ip: Option<String>,
    /// What the browser calls itself. Untrusted text.
    pub user_agent: Option<String>,
    /// What else there is to know.
    pub details: Details,
}
