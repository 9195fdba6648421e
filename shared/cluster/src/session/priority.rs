//! Which of a connection's streams goes first: the quiet ones. Pure.
//!
//! QUIC streams of one priority share the path by turns; a flooding session still takes most of it. So a session that has
//! just sent much gives way to the others until it has been quiet for a while.

use std::time::{Duration, Instant};

/// A stream's priority (`podlatch_link::stream::SendHalf::set_priority`); the control stream has 2.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Priority {
    Interactive,
    Bulk,
}

impl Priority {
    pub(super) const fn value(self) -> i32 {
        match self {
            Self::Interactive => 1,
            Self::Bulk => 0,
        }
    }
}

/// More than this within [`BURST_WINDOW`] is bulk: a full screen of colours is some 20 KiB.
const BURST_BYTES: usize = 64 * 1024;
const BURST_WINDOW: Duration = Duration::from_millis(100);
/// Quiet time after which a session is interactive again.
const QUIET: Duration = Duration::from_millis(200);

/// Watches what one stream sends.
#[derive(Debug)]
pub(super) struct Demotion {
    priority: Priority,
    window_start: Instant,
    window_bytes: usize,
    last_sent: Instant,
}

impl Demotion {
    pub(super) fn new(now: Instant) -> Self {
        Self { priority: Priority::Interactive, window_start: now, window_bytes: 0, last_sent: now }
    }

    /// `bytes` are about to be sent. Returns the new priority if it changes.
    pub(super) fn handle_sent(&mut self, bytes: usize, now: Instant) -> Option<Priority> {
        if now.duration_since(self.window_start) > BURST_WINDOW {
            self.window_start = now;
            self.window_bytes = 0;
        }
        self.window_bytes += bytes;
        let quiet = now.duration_since(self.last_sent) >= QUIET;
        self.last_sent = now;
        let priority = match self.priority {
            _ if self.window_bytes > BURST_BYTES => Priority::Bulk,
            Priority::Bulk if !quiet => Priority::Bulk,
            Priority::Bulk | Priority::Interactive => Priority::Interactive,
        };
        let changed = priority != self.priority;
        self.priority = priority;
        changed.then_some(priority)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_gives_way_and_comes_back_after_a_quiet_time() {
        let start = Instant::now();
        let mut demotion = Demotion::new(start);
        assert_eq!(demotion.handle_sent(BURST_BYTES, start), None);
        assert_eq!(demotion.handle_sent(1, start), Some(Priority::Bulk));
        let soon = start + BURST_WINDOW * 3 / 2;
        assert_eq!(demotion.handle_sent(10, soon), None, "not quiet yet");
        assert_eq!(demotion.handle_sent(10, soon + QUIET), Some(Priority::Interactive));
    }

    #[test]
    fn typing_never_gives_way() {
        let start = Instant::now();
        let mut demotion = Demotion::new(start);
        for tick in 0..1_000_u32 {
            assert_eq!(demotion.handle_sent(200, start + Duration::from_millis(5) * tick), None);
        }
    }
}
