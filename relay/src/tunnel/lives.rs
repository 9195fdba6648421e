//! Which lives of an agent's process took which one's place: a life that comes back shows that two run. Pure.

use std::collections::{BTreeMap, VecDeque};

use podlatch_protocol::id::{AgentId, AgentInstanceId};

/// Replaced lives of one agent that are remembered.
const REMEMBERED_LIVES: usize = 8;

/// Whether an agent is the only one with its identity.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Standing {
    /// As far as anybody can tell.
    Alone,
    /// Another process uses it too.
    Copied,
}

/// The lives that were replaced.
#[derive(Debug, Default)]
pub(super) struct Lives(BTreeMap<AgentId, VecDeque<AgentInstanceId>>);

impl Lives {
    /// A life of an agent connects, in place of an `older` connection if there is one. A life that comes back after another
    /// life took its place: both run, so the identity was copied.
    pub(super) fn enter(&mut self, agent: AgentId, life: AgentInstanceId, older: Option<AgentInstanceId>) -> Standing {
        let replaced = self.0.entry(agent).or_default();
        let standing = if replaced.contains(&life) { Standing::Copied } else { Standing::Alone };
        if let Some(older) = older.filter(|older| *older != life) {
            replaced.truncate(REMEMBERED_LIVES - 1);
            replaced.push_front(older);
        } else if replaced.is_empty() {
            self.0.remove(&agent);
        }
        standing
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    const AGENT: AgentId = AgentId::from_uuid(Uuid::from_u128(1));

    fn life(number: u128) -> AgentInstanceId {
        AgentInstanceId::from_uuid(Uuid::from_u128(number))
    }

    #[test]
    fn a_life_that_comes_back_after_another_took_its_place_is_a_copy() {
        let mut lives = Lives::default();
        assert_eq!(lives.enter(AGENT, life(1), None), Standing::Alone);
        assert_eq!(lives.enter(AGENT, life(1), Some(life(1))), Standing::Alone, "it only reconnects");
        assert_eq!(lives.enter(AGENT, life(2), Some(life(1))), Standing::Alone, "it was restarted");
        assert_eq!(lives.enter(AGENT, life(1), Some(life(2))), Standing::Copied);
    }

    #[test]
    fn few_lives_are_remembered_and_none_for_an_agent_that_was_never_replaced() {
        let mut lives = Lives::default();
        lives.enter(AGENT, life(0), None);
        assert!(lives.0.is_empty());
        for number in 1..100 {
            lives.enter(AGENT, life(number), Some(life(number - 1)));
        }
        assert_eq!(lives.0[&AGENT].len(), REMEMBERED_LIVES);
    }
}
