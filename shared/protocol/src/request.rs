//! What the relay asks for in the first frame of a stream.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::debug::DebugImage;
use crate::id::SessionId;
use crate::identity::Identity;
use crate::inventory::WatchScope;
use crate::target::PodTarget;
use crate::terminal::TerminalSize;

/// First message on every stream that the relay opens.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Request {
    /// Start a session's process and speak [`crate::session`] on this stream.
    Open(Open),
    /// Take over a session that the agent holds and speak [`crate::session`] on this stream.
    Attach(Attach),
    /// Kill what an earlier life of an agent left behind; answered by one [`ReapReply`].
    Reap(Reap),
    /// Watch the inventory: a snapshot, then changes, for as long as the stream lives.
    Watch(WatchScope),
    /// Start a session as somebody else than the agent, or in a debug container; then as [`Self::Open`]. An agent that does not
    /// know this refuses it: were it a field of [`Open`], such an agent would open with its own rights instead.
    OpenWith(Box<OpenWith>),
    /// Say what a pod is: its UID, labels and containers; answered by one [`crate::pod::DescribeReply`].
    Describe(PodTarget),
    /// As [`Self::OpenWith`], in one certain pod: another that took its name since the relay decided is refused.
    OpenExact(Box<OpenExact>),
}

/// What to start.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Program {
    /// The best interactive shell that the container has: bash, then ash, then sh.
    Shell,
    /// Exactly these words, the first being the program; never empty.
    Command(Vec<String>),
}

/// Starts a session.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Open {
    /// The session's id; also the marker by which its processes are found again.
    pub session: SessionId,
    /// Where.
    pub target: PodTarget,
    /// What.
    pub program: Program,
    /// The terminal's size when the process starts.
    pub size: TerminalSize,
    /// Output may be sent up to this offset.
    pub credit: u64,
    /// How long the agent keeps the session while no relay is attached.
    pub grace: Duration,
    /// What becomes of processes that outlive the person's own exit.
    pub after_exit: AfterExit,
    /// How long the session may live.
    pub lease: Lease,
    /// Makes a shell that can do it mark its prompts and commands in its output; `None` leaves the shell as it is.
    pub marks: Option<MarkNonce>,
}

/// Starts a session, and says what [`Open`] cannot.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OpenWith {
    /// What to start.
    pub open: Open,
    /// As whom Kubernetes is asked for it.
    pub identity: Identity,
    /// Adds a container of this image to the pod, beside the target's container, and starts the program there.
    pub debug: Option<DebugImage>,
}

/// Starts a session in the very pod that was described.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OpenExact {
    /// What to start.
    pub open: OpenWith,
    /// The pod's UID.
    pub pod_uid: String,
}

/// How long a session may live, counted from its arrival: agent and relay share no clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lease {
    /// For this long bytes may pass, either way; after it the session is frozen until there is a new lease.
    pub valid_for: Duration,
    /// After this long the session is ended, whoever can be reached.
    pub expires_in: Duration,
}

/// What a shell's marks must carry to be believed: programs do not know it, so they cannot forge marks casually.
#[derive(Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct MarkNonce(pub [u8; 16]);

impl std::fmt::Debug for MarkNonce {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("MarkNonce(…)")
    }
}

/// What becomes of processes that were detached on purpose (`nohup`, `setsid`, tmux) when the person exits the shell.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum AfterExit {
    /// They stay, as with kubectl.
    Leave,
    /// They are ended like everything else of the session.
    EndAll,
}

/// Takes over a session after a reconnect of either side.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attach {
    /// The session.
    pub session: SessionId,
    /// The relay has recorded every output byte below this offset; sending goes on from here.
    pub have_offset: u64,
    /// Output may be sent up to this offset.
    pub credit: u64,
}

/// Kills the processes of a session that no agent holds any more.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reap {
    /// The session whose marker its processes carry.
    pub session: SessionId,
    /// Where they ran; the container is always named.
    pub target: PodTarget,
    /// The process session (`/proc/PID/stat` field 6) of the exec, where it was reported.
    pub process: Option<u32>,
}

/// What a reaping found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReapReply {
    /// What is left.
    pub cleanup: crate::session::Cleanup,
}
