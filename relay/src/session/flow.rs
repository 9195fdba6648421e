//! How much output the agent may send: what the fastest viewer has rendered, and a window. Pure.
//!
//! The fastest viewer counts, because a slower one reads from the recording and must not hold the others up. When nobody
//! has looked for some seconds, the process may go on for a while: a build does not stop because a laptop was closed. Not at
//! once: what a flood produces while a viewer reconnects is rendered before the prompt that its Ctrl-C brings.

use std::collections::HashMap;
use std::time::Duration;

use super::ViewerId;

/// Output that may be under way to the viewer that keeps up, in bytes. After a Ctrl-C this much still appears.
pub(crate) const VIEWER_WINDOW_BYTES: u64 = 256 * 1024;

/// After this time without a viewer nobody is expected back at once.
pub(super) const UNWATCHED_AFTER: Duration = Duration::from_secs(5);

/// Output that may be produced while nobody looks, in bytes.
const UNWATCHED_BYTES: u64 = 16 * 1024 * 1024;

/// Smallest step of credit that is worth a message.
const STEP_BYTES: u64 = VIEWER_WINDOW_BYTES / 4;

/// Credit without end, for a session that is being closed: what is left is recorded, and it cannot be much.
pub(super) const UNLIMITED: u64 = 1 << 59;

/// Who has rendered how much.
#[derive(Debug)]
pub(super) struct Flow {
    rendered: HashMap<ViewerId, u64>,
    /// The furthest that any viewer ever got.
    furthest: u64,
    watch: Watch,
    granted: u64,
}

/// Whether somebody looks, or is expected to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Watch {
    Expected,
    GivenUp,
}

impl Flow {
    /// Nobody looks; everything below `offset` was seen or will never be asked for.
    pub(super) fn at(offset: u64) -> Self {
        Self { rendered: HashMap::new(), furthest: offset, watch: Watch::Expected, granted: 0 }
    }

    pub(super) fn join(&mut self, viewer: ViewerId, offset: u64) {
        self.rendered.insert(viewer, offset);
        self.watch = Watch::Expected;
    }

    /// Nobody has looked for [`UNWATCHED_AFTER`].
    pub(super) fn give_up_viewers(&mut self) {
        self.watch = Watch::GivenUp;
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

    /// Whether nobody was given up yet.
    pub(super) fn expects_viewers(&self) -> bool {
        self.watch == Watch::Expected
    }

    /// Below this, no viewer needs recent output any more.
    pub(super) fn rendered_by_all(&self) -> Option<u64> {
        self.rendered.values().min().copied()
    }

    /// The limit for a new link.
    pub(super) fn grant_anew(&mut self) -> u64 {
        self.granted = self.limit();
        self.granted
    }

    /// A new limit, where it is lower, or higher by as much as is worth a message.
    pub(super) fn grant(&mut self) -> Option<u64> {
        let limit = self.limit();
        if (self.granted..self.granted.saturating_add(STEP_BYTES)).contains(&limit) {
            return None;
        }
        self.granted = limit;
        Some(limit)
    }

    fn limit(&self) -> u64 {
        match (self.rendered.values().max(), self.watch) {
            (Some(rendered), _) => rendered + VIEWER_WINDOW_BYTES,
            (None, Watch::Expected) => self.furthest + VIEWER_WINDOW_BYTES,
            (None, Watch::GivenUp) => self.furthest + UNWATCHED_BYTES,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: ViewerId = ViewerId(1);
    const B: ViewerId = ViewerId(2);

    #[test]
    fn the_fastest_viewer_sets_the_pace() {
        let mut flow = Flow::at(0);
        flow.join(A, 0);
        flow.join(B, 0);
        assert_eq!(flow.grant_anew(), VIEWER_WINDOW_BYTES);
        flow.handle_rendered(A, STEP_BYTES, u64::MAX);
        assert_eq!(flow.grant(), Some(STEP_BYTES + VIEWER_WINDOW_BYTES));
        assert_eq!(flow.rendered_by_all(), Some(0));
    }

    #[test]
    fn small_steps_are_gathered() {
        let mut flow = Flow::at(0);
        flow.join(A, 0);
        flow.grant_anew();
        flow.handle_rendered(A, STEP_BYTES - 1, u64::MAX);
        assert_eq!(flow.grant(), None);
        flow.handle_rendered(A, STEP_BYTES, u64::MAX);
        assert!(flow.grant().is_some());
    }

    #[test]
    fn nobody_can_claim_to_have_seen_the_future() {
        let mut flow = Flow::at(0);
        flow.join(A, 0);
        flow.grant_anew();
        flow.handle_rendered(A, u64::MAX, 10);
        assert_eq!(flow.rendered_by_all(), Some(10));
    }

    #[test]
    fn unwatched_output_is_bounded() {
        let mut flow = Flow::at(0);
        flow.join(A, 0);
        flow.grant_anew();
        flow.handle_rendered(A, 1_000, 1_000);
        flow.leave(A);
        assert_eq!(flow.grant(), None, "a viewer that reconnects finds little that is new");
        flow.give_up_viewers();
        assert_eq!(flow.grant(), Some(1_000 + UNWATCHED_BYTES));
        assert_eq!(flow.grant(), None);
    }

    #[test]
    fn a_viewer_that_returns_takes_back_what_was_granted_for_its_absence() {
        let mut flow = Flow::at(1_000);
        flow.give_up_viewers();
        assert_eq!(flow.grant_anew(), 1_000 + UNWATCHED_BYTES);
        flow.join(A, 1_000);
        assert_eq!(flow.grant(), Some(1_000 + VIEWER_WINDOW_BYTES));
    }
}
