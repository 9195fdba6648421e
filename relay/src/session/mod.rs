//! Live sessions: each has one owner task ([`task`]) that stands between its viewers and its agent.
//!
//! Output takes a straight way past the owner: stream → recording → viewers, who pull it from there. The owner forwards
//! input and sizes, grants credit, tells what is durable, follows the agent through silences, reconnects and restarts, and
//! sees the session to its end.

mod activity;
mod clerk;
mod commands;
mod describe;
mod flow;
mod held;
mod inputs;
mod life;
mod link;
mod marks;
mod observers;
mod open;
mod pace;
mod pods;
mod rights;
mod sessions;
mod size;
mod task;
mod typed;

use bytes::Bytes;
use podlatch_protocol::close::EndCause;
use podlatch_protocol::id::{SessionId, WriterId};
use podlatch_protocol::session::Ended;
use podlatch_protocol::terminal::TerminalSize;
use tokio::sync::{mpsc, oneshot, watch};

use crate::clock::UnixMillis;
use crate::recording::Recording;
use crate::tunnel::AgentHandle;

pub(crate) use flow::VIEWER_WINDOW_BYTES;
pub(crate) use inputs::InputView;
#[cfg(test)]
pub(crate) use life::IdleView;
pub(crate) use life::LifeView;
use observers::Observers;
pub use open::{OpenError, OpenSession};
pub use sessions::{Sessions, Settings};

/// One attached viewer; dies with its connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct ViewerId(pub(crate) u64);

/// What viewers are told of a session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Status {
    /// It goes on, and its agent answers.
    Live,
    /// It goes on, but its agent does not answer at the moment.
    AgentSilent,
    /// It is over.
    Ended(Ended),
}

/// Talks to a session's owner. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct SessionHandle {
    pub(crate) id: SessionId,
    pub(crate) recording: Recording,
    pub(crate) status: watch::Receiver<Status>,
    pub(crate) life: watch::Receiver<LifeView>,
    /// The terminal's size, once this life of the relay has told it.
    pub(crate) size: watch::Receiver<Option<TerminalSize>>,
    /// Who watches.
    pub(crate) observers: Observers,
    commands: mpsc::Sender<Command>,
}

/// What a viewer gets when it joins.
#[derive(Debug)]
pub(crate) struct Joined {
    /// Where its input stands.
    pub(crate) input: watch::Receiver<InputView>,
    /// Whether anybody has looked at this session before.
    pub(crate) first: bool,
}

/// What is asked of a session's owner.
#[derive(Debug)]
enum Command {
    Join {
        viewer: ViewerId,
        writer: WriterId,
        size: TerminalSize,
        joined: oneshot::Sender<Joined>,
    },
    /// The viewer gets its output from this offset on.
    Starts {
        viewer: ViewerId,
        offset: u64,
    },
    Input {
        writer: WriterId,
        offset: u64,
        bytes: Bytes,
    },
    Resize(TerminalSize),
    Rendered {
        viewer: ViewerId,
        offset: u64,
    },
    Skipped {
        viewer: ViewerId,
        offset: u64,
    },
    Window {
        viewer: ViewerId,
        bytes: u64,
    },
    Leave(ViewerId),
    End(EndCause),
    Agent(AgentNews),
}

/// What happened to the session's agent.
#[derive(Debug, Clone)]
enum AgentNews {
    /// It is connected; `holds` says whether it still holds the session.
    Connected {
        handle: AgentHandle,
        holds: bool,
    },
    Silent,
    Answering,
    /// Its right was withdrawn; its sessions end for this.
    Revoked(EndCause),
}

impl SessionHandle {
    /// Whether the session has ended, or its time is up. Nobody enters it any more.
    pub(crate) fn is_over(&self, now: UnixMillis) -> bool {
        matches!(*self.status.borrow(), Status::Ended(_)) || now >= self.life.borrow().expires_at
    }

    /// Joins as a viewer. `None` if the session has ended or is being ended. Cancel safe; a cancelled one must still [`Self::leave`].
    pub(crate) async fn join(&self, viewer: ViewerId, writer: WriterId, size: TerminalSize) -> Option<Joined> {
        let (joined, answer) = oneshot::channel();
        self.send(Command::Join { viewer, writer, size, joined }).await;
        answer.await.ok()
    }

    /// The viewer's output begins at `offset`. Cancel safe.
    pub(crate) async fn starts(&self, viewer: ViewerId, offset: u64) {
        self.send(Command::Starts { viewer, offset }).await;
    }

    /// Somebody typed. Cancel safe.
    pub(crate) async fn input(&self, writer: WriterId, offset: u64, bytes: Bytes) {
        self.send(Command::Input { writer, offset, bytes }).await;
    }

    /// A viewer's terminal has a new size. Cancel safe.
    pub(crate) async fn resize(&self, size: TerminalSize) {
        self.send(Command::Resize(size)).await;
    }

    /// A viewer has rendered everything below `offset`. Cancel safe.
    pub(crate) async fn rendered(&self, viewer: ViewerId, offset: u64) {
        self.send(Command::Rendered { viewer, offset }).await;
    }

    /// A viewer need not draw what is below `offset`: somebody interrupted what wrote it, and waits for what comes behind.
    /// Cancel safe.
    pub(crate) async fn skipped(&self, viewer: ViewerId, offset: u64) {
        self.send(Command::Skipped { viewer, offset }).await;
    }

    /// A viewer wants so many bytes under way at most. Cancel safe.
    pub(crate) async fn window(&self, viewer: ViewerId, bytes: u64) {
        self.send(Command::Window { viewer, bytes }).await;
    }

    /// The viewer is gone. Never waits: it is called from a guard's drop.
    pub(crate) fn leave(&self, viewer: ViewerId) {
        if let Err(mpsc::error::TrySendError::Full(command)) = self.commands.try_send(Command::Leave(viewer)) {
            let commands = self.commands.clone();
            tokio::spawn(async move { commands.send(command).await });
        }
    }

    /// Ends the session for good. Cancel safe.
    pub(crate) async fn end(&self, cause: EndCause) {
        self.send(Command::End(cause)).await;
    }

    async fn send(&self, command: Command) {
        // An error means that the session is over, which its status says.
        let _over = self.commands.send(command).await;
    }
}
