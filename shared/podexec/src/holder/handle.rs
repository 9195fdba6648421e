//! How a holder's task is talked to.

use podlatch_protocol::close::EndCause;
use podlatch_protocol::session::{ToAgent, ToRelay};
use tokio::sync::mpsc;

/// One relay's end of the session: what it gets and what it sends. Dropping it detaches.
#[derive(Debug)]
pub struct Link {
    /// To the relay. Bounded; when it is full, output waits and nothing else does.
    pub to_relay: mpsc::Sender<ToRelay>,
    /// From the relay.
    pub from_relay: mpsc::Receiver<ToAgent>,
}

/// Talks to a holder's task. Cheap to clone; the holder lives on without it.
#[derive(Debug, Clone)]
pub struct HolderHandle {
    pub(super) commands: mpsc::Sender<Command>,
}

/// What is asked of a holder's task.
#[derive(Debug)]
pub(super) enum Command {
    Attach { have: u64, credit: u64, link: Link },
    End(EndCause),
}

impl HolderHandle {
    /// Hands the session over to a new link, which gets `Attached` or `Refused` first. Returns the link if the session is
    /// already forgotten. Cancel safe.
    pub async fn attach(&self, have: u64, credit: u64, link: Link) -> Result<(), Link> {
        match self.commands.send(Command::Attach { have, credit, link }).await {
            Err(mpsc::error::SendError(Command::Attach { link, .. })) => Err(link),
            Ok(()) | Err(mpsc::error::SendError(Command::End(_))) => Ok(()),
        }
    }

    /// Ends the session with its processes; the first cause stands. Cancel safe.
    pub async fn end(&self, cause: EndCause) {
        // An error means that the session is forgotten, which is what was asked for.
        let _forgotten = self.commands.send(Command::End(cause)).await;
    }

    /// Returns when the session is forgotten. Cancel safe.
    pub async fn forgotten(&self) {
        self.commands.closed().await;
    }
}
