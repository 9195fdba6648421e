//! Whether an agent answers. Pure: takes `now`.

use std::time::Instant;

use podlatch_protocol::limits::AGENT_SILENCE;

/// Something changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Change {
    /// Nothing was heard for [`AGENT_SILENCE`].
    Silent,
    /// It answers again.
    Answering,
}

/// When an agent was last heard.
#[derive(Debug)]
pub(super) enum Liveness {
    Answering { heard_at: Instant },
    Silent,
}

impl Liveness {
    /// Heard just now.
    pub(super) const fn new(now: Instant) -> Self {
        Self::Answering { heard_at: now }
    }

    /// The agent said something.
    pub(super) fn heard(&mut self, now: Instant) -> Option<Change> {
        let before = std::mem::replace(self, Self::new(now));
        matches!(before, Self::Silent).then_some(Change::Answering)
    }

    /// Time passed.
    pub(super) fn passed(&mut self, now: Instant) -> Option<Change> {
        match self {
            Self::Answering { heard_at } if now.saturating_duration_since(*heard_at) >= AGENT_SILENCE => {
                *self = Self::Silent;
                Some(Change::Silent)
            }
            Self::Answering { .. } | Self::Silent => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn silence_and_its_end_are_each_told_once() {
        let now = Instant::now();
        let mut liveness = Liveness::new(now);
        assert_eq!(liveness.passed(now + AGENT_SILENCE / 2), None);
        let late = now + AGENT_SILENCE;
        assert_eq!(liveness.passed(late), Some(Change::Silent));
        assert_eq!(liveness.passed(late + AGENT_SILENCE), None);
        assert_eq!(liveness.heard(late), Some(Change::Answering));
        assert_eq!(liveness.heard(late), None);
        assert_eq!(liveness.passed(late + AGENT_SILENCE), Some(Change::Silent));
    }
}
