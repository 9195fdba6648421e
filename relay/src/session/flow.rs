//! How much output the agent may send: what the fastest viewer has rendered, and a window. Pure.
//!
//! The fastest viewer counts, because a slower one reads from the recording and must not hold the others up. While nobody
//! looks, the process may go on for a while: a build does not stop because a laptop was closed.

use std::collections::HashMap;

use super::ViewerId;

/// Output that may be under way to the viewer that keeps up, in bytes. After a Ctrl-C this much still appears.
pub(crate) const VIEWER_WINDOW_BYTES: u64 = 256 * 1024;

/// Output that may be produced while nobody looks, in bytes.
const UNWATCHED_BYTES: u64 = 16 * 1024 * 1024;

/// Smallest step of credit that is worth a message.
pub(super) const STEP_BYTES: u64 = VIEWER_WINDOW_BYTES / 4;

/// Credit without end, for a session that is being closed: what is left is recorded, and it cannot be much.
pub(super) const UNLIMITED: u64 = 1 << 59;

/// Who has rendered how much.
#[derive(Debug)]
pub(super) struct Flow {
    rendered: HashMap<ViewerId, u64>,
    /// The furthest that any viewer ever got.
    furthest: u64,
    granted: u64,
}

impl Flow {
    /// Nobody looks; everything below `offset` was seen or will never be asked for.
    pub(super) fn at(offset: u64) -> Self {
        Self { rendered: HashMap::new(), furthest: offset, granted: 0 }
    }

    pub(super) fn join(&mut self, viewer: ViewerId, offset: u64) {
        self.rendered.insert(viewer, offset);
    }

    pub(super) fn leave(&mut self, viewer: ViewerId) {
        self.rendered.remove(&viewer);
    }

    /// The viewer has rendered everything below `offset`; `end` is where the output ends, and no claim goes beyond it.
    pub(super) fn handle_rendered(&mut self, viewer: ViewerId, offset: u64, end: u64) {
        if let Some(rendered) = self.rendered.get_mut(&viewer) {
            *rendered = offset.min(end).max(*rendered);
            self.furthest = self.furthest.max(*rendered);
        }
    }

    pub(super) fn is_watched(&self) -> bool {
        !self.rendered.is_empty()
    }

    /// Below this, no viewer needs recent output any more.
    pub(super) fn rendered_by_all(&self) -> Option<u64> {
        self.rendered.values().min().copied()
    }

    /// The limit for a new link; `end` is where the output ends.
    pub(super) fn grant_anew(&mut self, end: u64) -> u64 {
        self.granted = self.limit(end);
        self.granted
    }

    /// By how much the limit could grow, where that is worth a message; `end` is where the output ends.
    pub(super) fn growth(&self, end: u64) -> Option<u64> {
        self.limit(end).checked_sub(self.granted).filter(|growth| *growth >= STEP_BYTES)
    }

    /// Raises the limit by so much, and says what it is now.
    pub(super) fn grow(&mut self, growth: u64) -> u64 {
        self.granted += growth;
        self.granted
    }

    /// What was sent cannot be taken back, so a session that nobody looks at gets credit in small pieces: when somebody comes
    /// back, a Ctrl-C works as soon as ever.
    fn limit(&self, end: u64) -> u64 {
        match self.rendered.values().max() {
            Some(rendered) => rendered + VIEWER_WINDOW_BYTES,
            None => (self.furthest + UNWATCHED_BYTES).min(end + VIEWER_WINDOW_BYTES),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: ViewerId = ViewerId(1);
    const B: ViewerId = ViewerId(2);

    fn grant(flow: &mut Flow, end: u64) -> Option<u64> {
        flow.growth(end).map(|growth| flow.grow(growth))
    }

    #[test]
    fn the_fastest_viewer_sets_the_pace() {
        let mut flow = Flow::at(0);
        flow.join(A, 0);
        flow.join(B, 0);
        assert_eq!(flow.grant_anew(0), VIEWER_WINDOW_BYTES);
        flow.handle_rendered(A, STEP_BYTES, u64::MAX);
        assert_eq!(grant(&mut flow, 0), Some(STEP_BYTES + VIEWER_WINDOW_BYTES));
        assert_eq!(flow.rendered_by_all(), Some(0));
    }

    #[test]
    fn small_steps_are_gathered() {
        let mut flow = Flow::at(0);
        flow.join(A, 0);
        flow.grant_anew(0);
        flow.handle_rendered(A, STEP_BYTES - 1, u64::MAX);
        assert_eq!(grant(&mut flow, 0), None);
        flow.handle_rendered(A, STEP_BYTES, u64::MAX);
        assert!(grant(&mut flow, 0).is_some());
    }

    #[test]
    fn nobody_can_claim_to_have_seen_the_future() {
        let mut flow = Flow::at(0);
        flow.join(A, 0);
        flow.grant_anew(0);
        flow.handle_rendered(A, u64::MAX, 10);
        assert_eq!(flow.rendered_by_all(), Some(10));
    }

    #[test]
    fn unwatched_output_is_bounded_and_allowed_in_small_pieces() {
        let mut flow = Flow::at(0);
        flow.join(A, 0);
        flow.grant_anew(0);
        flow.handle_rendered(A, 1_000, 1_000);
        flow.leave(A);
        assert_eq!(grant(&mut flow, 1_000), None, "a window is granted already");
        let later = 1_000 + VIEWER_WINDOW_BYTES;
        assert_eq!(grant(&mut flow, later), Some(later + VIEWER_WINDOW_BYTES));
        assert_eq!(grant(&mut flow, 1 << 40), Some(1_000 + UNWATCHED_BYTES));
        assert_eq!(grant(&mut flow, 1 << 41), None);
    }
}
