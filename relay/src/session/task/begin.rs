//! What a session's owner begins with: a process that has just been started, or one that an earlier life of the relay left.

use podlatch_protocol::id::{OrganisationId, SessionId};
use podlatch_protocol::request::MarkNonce;
use podlatch_protocol::target::PodTarget;
use podlatch_protocol::terminal::TerminalSize;
use tokio::sync::{mpsc, watch};
use tokio::time::Instant;

use super::path::Path;
use crate::recording::{Position, Recording};
use crate::session::commands::Commands;
use crate::session::flow::Flow;
use crate::session::life::{Life, LifeView};
use crate::session::link::HalfOpen;
use crate::session::sessions::Shared;
use crate::session::{Command, Status};
use crate::tunnel::AgentHandle;

/// What an owner begins with.
pub(in crate::session) struct Begin {
    pub(in crate::session) session: SessionId,
    pub(in crate::session) organisation: OrganisationId,
    /// With the container named, if it is known.
    pub(in crate::session) target: PodTarget,
    pub(in crate::session) process: Option<u32>,
    pub(in crate::session) recording: Recording,
    pub(in crate::session) commands: mpsc::Receiver<Command>,
    pub(in crate::session) status: watch::Sender<Status>,
    pub(in crate::session) life: Life,
    pub(in crate::session) life_view: watch::Sender<LifeView>,
    pub(in crate::session) size_view: watch::Sender<Option<TerminalSize>>,
    pub(in crate::session) start: StartFrom,
    /// What the marks of its shell carry, if it marks.
    pub(in crate::session) marks: Option<MarkNonce>,
    /// Finds its commands.
    pub(in crate::session) follower: Option<Commands>,
}

/// Where an owner begins.
pub(in crate::session) enum StartFrom {
    /// The process has just been started.
    Open {
        half: Box<HalfOpen>,
        agent: AgentHandle,
        flow: Flow,
        /// When it was decided that the person may.
        right_at: Instant,
    },
    /// The relay was restarted; the agent is still to connect.
    Restart { end: Position },
}

/// Where that leaves the owner.
pub(super) struct Started {
    pub(super) path: Path,
    pub(super) agent: Option<AgentHandle>,
    pub(super) flow: Flow,
    /// Output below this source offset was submitted to the recording.
    pub(super) received: u64,
    /// Whether anybody may have looked at it.
    pub(super) viewed: bool,
    pub(super) right_at: Option<Instant>,
}

impl StartFrom {
    pub(super) fn take(
        self,
        shared: &Shared,
        recording: &Recording,
        marks: Option<MarkNonce>,
        now: Instant,
    ) -> Started {
        match self {
            Self::Open { half, agent, flow, right_at } => {
                let link = half.start((recording.clone(), 0), marks, shared.clock.clone(), &shared.tracker);
                let (path, agent, right_at) = (Path::Linked(link), Some(agent), Some(right_at));
                Started { path, agent, flow, received: 0, viewed: false, right_at }
            }
            Self::Restart { end } => {
                let path = Path::Waiting { since: now, again: None };
                let (flow, viewed) = (Flow::at(end.recorded), end.recorded > 0);
                Started { path, agent: None, flow, received: end.source, viewed, right_at: None }
            }
        }
    }
}
