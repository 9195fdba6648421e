//! Sizes as a person drags a window: the latest counts, and not more than a few are passed on a second. Pure.

use std::time::Duration;

use podlatch_protocol::terminal::TerminalSize;
use tokio::time::Instant;

/// Between two sizes that are passed on: each is an audit event.
const SIZE_INTERVAL: Duration = Duration::from_millis(250);

/// What size is wanted, and what was passed on.
#[derive(Debug, Default)]
pub(super) struct SizePacer {
    latest: Option<TerminalSize>,
    told: Option<TerminalSize>,
    /// When another size was passed on last. The first costs nothing: a window that is drawn is often fitted at once.
    changed_at: Option<Instant>,
}

impl SizePacer {
    pub(super) fn want(&mut self, size: TerminalSize) {
        self.latest = Some(size);
    }

    /// The agent may not have heard the last one.
    pub(super) fn tell_again(&mut self) {
        self.told = None;
    }

    /// When [`Self::due`] has to be asked next.
    pub(super) fn deadline(&self) -> Option<Instant> {
        let changed_at = self.changed_at?;
        (self.told.is_some() && self.latest != self.told).then_some(changed_at + SIZE_INTERVAL)
    }

    /// The size to pass on at `now`.
    pub(super) fn due(&mut self, now: Instant) -> Option<TerminalSize> {
        let latest = self.latest?;
        if let Some(told) = self.told {
            if told == latest || self.changed_at.is_some_and(|at| now < at + SIZE_INTERVAL) {
                return None;
            }
            self.changed_at = Some(now);
        }
        self.told = Some(latest);
        Some(latest)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_drag_is_passed_on_in_a_few_sizes_and_ends_at_the_last() {
        let size = |columns| TerminalSize::clamped(columns, 24);
        let start = Instant::now();
        let mut pacer = SizePacer::default();
        assert_eq!(pacer.due(start), None);
        let mut passed_on = Vec::new();
        for step in 0..100 {
            pacer.want(size(80 + step));
            passed_on.extend(pacer.due(start + Duration::from_millis(u64::from(step) * 10)));
        }
        let end = pacer.deadline().expect("the last is to come");
        passed_on.extend(pacer.due(end));
        assert_eq!((passed_on.len(), passed_on.last()), (6, Some(&size(179))));
        assert_eq!(pacer.deadline(), None);
        pacer.tell_again();
        assert_eq!(pacer.due(end), Some(size(179)));
    }
}
