//! What happens to agents, for whoever follows it.

use podlatch_protocol::close::EndCause;
use podlatch_protocol::control::Hello;
use podlatch_protocol::id::AgentId;
use tokio::sync::{broadcast, mpsc};

use super::handle::{AgentHandle, ConnectionId};
use super::registry::Agents;

/// Events that the slowest subscriber may be behind before it is told anew who is connected.
const EVENT_BACKLOG: usize = 1_024;

/// Events that wait for one subscriber besides.
const SUBSCRIBER_BACKLOG: usize = 16;

/// Something happened to an agent.
#[derive(Debug, Clone)]
pub enum AgentEvent {
    /// It is connected; an older connection of it was replaced.
    Connected {
        /// How to reach it.
        handle: AgentHandle,
        /// What it said.
        hello: Hello,
    },
    /// Nothing was heard of it for a while.
    Silent {
        /// Which agent.
        agent: AgentId,
    },
    /// It answers again.
    Answering {
        /// Which agent.
        agent: AgentId,
    },
    /// Its right was withdrawn: its sessions end for this, whether it is connected or not.
    Revoked {
        /// Which agent.
        agent: AgentId,
        /// What for.
        cause: EndCause,
    },
    /// This connection of it is over; a newer one may have replaced it before.
    Disconnected {
        /// Which agent.
        agent: AgentId,
        /// Which connection.
        connection: ConnectionId,
    },
}

impl AgentEvent {
    /// An agent is connected.
    pub(super) fn connected(handle: &AgentHandle) -> Self {
        Self::Connected { handle: handle.clone(), hello: handle.hello().clone() }
    }
}

/// Where all events go through.
#[derive(Debug)]
pub(super) struct Events(broadcast::Sender<AgentEvent>);

impl Default for Events {
    fn default() -> Self {
        Self(broadcast::channel(EVENT_BACKLOG).0)
    }
}

impl Events {
    pub(super) fn send(&self, event: AgentEvent) {
        // An error means that nobody listens, which is fine.
        let _ = self.0.send(event);
    }

    /// What happens from now on.
    pub(super) fn follow(&self) -> broadcast::Receiver<AgentEvent> {
        self.0.subscribe()
    }
}

impl Agents {
    /// Who is connected, and what happens from now on. A subscriber that falls far behind is told again who is connected.
    pub fn subscribe(&self) -> mpsc::Receiver<AgentEvent> {
        let (sender, receiver) = mpsc::channel(SUBSCRIBER_BACKLOG);
        let (events, connected) = self.snapshot();
        self.tasks().spawn(self.clone().forward(events, connected, sender));
        receiver
    }

    async fn forward(
        self,
        mut events: broadcast::Receiver<AgentEvent>,
        mut connected: Vec<AgentHandle>,
        sender: mpsc::Sender<AgentEvent>,
    ) {
        loop {
            for handle in connected.drain(..) {
                if sender.send(AgentEvent::connected(&handle)).await.is_err() {
                    return;
                }
            }
            let event = tokio::select! {
                event = events.recv() => event,
                () = sender.closed() => return,
            };
            match event {
                Ok(event) => {
                    if sender.send(event).await.is_err() {
                        return;
                    }
                }
                Err(broadcast::error::RecvError::Lagged(_)) => (events, connected) = self.snapshot(),
                Err(broadcast::error::RecvError::Closed) => return,
            }
        }
    }
}
