//! Sessions: one person's exec each, and their single-use tickets.

use podlatch_protocol::id::{AgentId, ClusterId, LoginSessionId, OrganisationId, SessionId, UserId};
use podlatch_protocol::request::Program;
use podlatch_protocol::session::{Ended, Opened};
use podlatch_protocol::target::PodTarget;

use super::name::{DisplayName, Email};
use super::organisation::ClientInfo;
use crate::clock::UnixMillis;

/// What is known of a session before it is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewSession {
    /// Its id.
    pub id: SessionId,
    /// Whose it is.
    pub organisation: OrganisationId,
    /// Where.
    pub cluster: ClusterId,
    /// The agent that is asked to run it.
    pub agent: Option<AgentId>,
    /// Who.
    pub user: UserId,
    /// By which login.
    pub login_session: LoginSessionId,
    /// In what.
    pub target: PodTarget,
    /// What is to run.
    pub program: Program,
    /// Where the person sits.
    pub client: ClientInfo,
    /// When it was asked for.
    pub started_at: UnixMillis,
}

/// A session as it is stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Session {
    /// What was asked for.
    pub request: NewSession,
    /// The cluster's name.
    pub cluster_name: DisplayName,
    /// The person's address.
    pub user_email: Email,
    /// How far it has come.
    pub state: SessionState,
}

impl Session {
    /// Its id.
    pub const fn id(&self) -> SessionId {
        self.request.id
    }
}

/// How far a session has come. It only moves down this list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SessionState {
    /// Asked for; the process is not yet reported.
    Opening,
    /// The process runs.
    Live(Opened),
    /// Over for good.
    Ended {
        /// The process, if there ever was one.
        opened: Option<Opened>,
        /// The end.
        end: SessionEnd,
    },
}

impl SessionState {
    /// The stable name, for storage and APIs.
    pub const fn slug(&self) -> &'static str {
        match self {
            Self::Opening => "opening",
            Self::Live(_) => "live",
            Self::Ended { .. } => "ended",
        }
    }
}

/// How a session ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SessionEnd {
    /// When.
    pub at: UnixMillis,
    /// Why, how the process ended, and what is left of it.
    pub ended: Ended,
}

/// The right to attach one viewer to one session, once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ticket {
    /// Whose session.
    pub organisation: OrganisationId,
    /// Which session.
    pub session: SessionId,
    /// Who attaches.
    pub user: UserId,
    /// By which login.
    pub login_session: LoginSessionId,
}
