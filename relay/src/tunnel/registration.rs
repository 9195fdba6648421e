//! An agent's place in the table, held by who serves its connection.

use podlatch_protocol::control::About;

use super::events::AgentEvent;
use super::handle::{AgentHandle, Hearing};
use super::lives::Standing;
use super::registry::Agents;

/// Keeps an agent in the table.
#[derive(Debug)]
pub struct Registration {
    pub(super) agents: Agents,
    pub(super) handle: AgentHandle,
    pub(super) standing: Standing,
}

impl Registration {
    /// How to reach it.
    pub const fn handle(&self) -> &AgentHandle {
        &self.handle
    }

    pub(super) const fn standing(&self) -> Standing {
        self.standing
    }

    pub(super) fn about(&self, about: About) {
        self.handle.note_about(about);
    }

    pub(super) fn silent(&self) {
        self.handle.note_hearing(Hearing::Silent);
        self.tell(AgentEvent::Silent { agent: self.handle.agent() });
    }

    pub(super) fn answering(&self) {
        self.handle.note_hearing(Hearing::Heard);
        self.tell(AgentEvent::Answering { agent: self.handle.agent() });
    }

    pub(super) fn draining(&self) {
        self.handle.note_draining();
    }

    /// A connection that was replaced says nothing about its agent any more.
    fn tell(&self, event: AgentEvent) {
        self.agents.tell_of(&self.handle, event);
    }
}

impl Drop for Registration {
    fn drop(&mut self) {
        self.handle.leave();
        self.agents.remove(&self.handle);
    }
}
