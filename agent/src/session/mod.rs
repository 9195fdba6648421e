//! The sessions that this agent holds.

use podlatch_protocol::close::EndCause;
use podlatch_protocol::id::SessionId;
use podlatch_protocol::request::{Attach, Open, Reap};

/// What the relay asks of a session in the first frame of a stream.
#[derive(Debug)]
pub enum SessionRequest {
    /// Start one.
    Open(Open),
    /// Take one over.
    Attach(Attach),
    /// Kill what an earlier life left behind.
    Reap(Reap),
}

/// The sessions that this agent holds. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct Sessions;

impl Sessions {
    /// Serves one stream of the relay until it ends. Cancel safe: a dropped stream detaches, the session lives on.
    pub async fn serve(&self, request: SessionRequest, send: quinn::SendStream, recv: quinn::RecvStream) {
        drop((request, send, recv));
    }

    /// The sessions that are held, ended ones that nobody fetched included.
    pub fn held(&self) -> Vec<SessionId> {
        Vec::new()
    }

    /// Takes no new session from now on.
    pub fn drain(&self) {}

    /// Returns when no session lives. Cancel safe.
    pub async fn idle(&self) {}

    /// Ends every session for `cause`. Not cancel safe.
    pub async fn shutdown(&self, cause: EndCause) {
        let _ = cause;
    }
}
