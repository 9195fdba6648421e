//! Sessions: one person's exec each, and their single-use tickets.

use std::collections::BTreeMap;

use podlatch_protocol::close::EndCause;
use podlatch_protocol::id::{AgentId, ClusterId, LoginSessionId, OrganisationId, SessionId, UserId};
use podlatch_protocol::request::Program;
use podlatch_protocol::session::{Ended, Opened};
use podlatch_protocol::target::PodTarget;
use podlatch_protocol::terminal::TerminalSize;

use serde::{Deserialize, Serialize};

use super::access::right::Basis;
use super::access::rule::AccessAction;
use super::cluster::ClusterType;
use super::labels::Labels;
use super::name::{DisplayName, Email, ReasonText};
use super::organisation::ClientInfo;
use super::session_limits::IdleLimits;
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
    /// The terminal's size: at first the one that was asked for, then the last that the process was told.
    pub size: TerminalSize,
    /// Where the person sits.
    pub client: ClientInfo,
    /// When it was asked for.
    pub started_at: UnixMillis,
    /// When it ends, whatever happens.
    pub expires_at: UnixMillis,
    /// What happens when nobody types.
    pub idle: IdleLimits,
    /// Why the person opened it, in their own words. Untrusted text.
    pub reason: Option<ReasonText>,
    /// By what right.
    pub access: SessionAccess,
}

/// By what right a session was opened.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SessionAccess {
    /// As what.
    pub action: AccessAction,
    /// The labels that the pod had; `None` where nobody had to know.
    pub pod_labels: Option<BTreeMap<String, String>>,
    /// On what the right stood.
    pub basis: Basis,
}

impl Default for SessionAccess {
    fn default() -> Self {
        Self { action: AccessAction::Exec, pod_labels: None, basis: Basis::default() }
    }
}

/// A session as it is stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Session {
    /// What was asked for.
    pub request: NewSession,
    /// The cluster's name.
    pub cluster_name: DisplayName,
    /// The cluster's labels.
    pub cluster_labels: Labels,
    /// How the cluster is reached.
    pub cluster_type: ClusterType,
    /// The person's address.
    pub user_email: Email,
    /// How far it has come.
    pub state: SessionState,
    /// When somebody last typed.
    pub activity: Activity,
}

/// When somebody last typed in a session. Output and what terminals answer by themselves do not count.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Activity {
    /// When somebody last typed; when the session was asked for, as long as nobody has.
    pub last_at: UnixMillis,
    /// When it was flagged idle, if it is.
    pub idle_since: Option<UnixMillis>,
}

impl Activity {
    /// A session in which nobody has typed yet.
    pub const fn begin(at: UnixMillis) -> Self {
        Self { last_at: at, idle_since: None }
    }
}

/// Whether a session may be entered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SessionStatus {
    /// It may.
    Active,
    /// Its time is up; it is never entered again.
    Expired,
    /// It ended for another cause; it is never entered again.
    Closed,
}

impl SessionStatus {
    /// The stable name, for storage and APIs.
    pub const fn slug(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Expired => "expired",
            Self::Closed => "closed",
        }
    }
}

impl Session {
    /// Its id.
    pub const fn id(&self) -> SessionId {
        self.request.id
    }

    /// Whether it may be entered at `now`.
    pub fn status(&self, now: UnixMillis) -> SessionStatus {
        match self.over_because(now) {
            None => SessionStatus::Active,
            Some(EndCause::Expired) => SessionStatus::Expired,
            Some(_) => SessionStatus::Closed,
        }
    }

    /// Why it may not be entered at `now`, if it may not. Its time may be up before its end is stored.
    pub fn over_because(&self, now: UnixMillis) -> Option<EndCause> {
        match &self.state {
            SessionState::Ended { end, .. } => Some(end.ended.cause),
            SessionState::Opening | SessionState::Live(_) => {
                (now >= self.request.expires_at).then_some(EndCause::Expired)
            }
        }
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

/// What somebody comes to a terminal for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// To type in it.
    Attach,
    /// To look on.
    Observe,
}

impl Purpose {
    /// The stable name, for storage.
    pub const fn slug(self) -> &'static str {
        match self {
            Self::Attach => "attach",
            Self::Observe => "observe",
        }
    }

    /// The one with this stable name.
    pub fn from_slug(slug: &str) -> Option<Self> {
        [Self::Attach, Self::Observe].into_iter().find(|purpose| purpose.slug() == slug)
    }
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
    /// What for.
    pub purpose: Purpose,
}
