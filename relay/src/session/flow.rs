//! How much output the agent may send: what the fastest viewer has rendered, and a window. Pure.
//!
//! The fastest viewer counts, because a slower one reads from the recording and must not hold the others up. While nobody
//! looks, the process may go on for a while: a build does not stop because a laptop was closed.
//!
//! Viewers count recorded bytes, the agent counts source bytes: credit is counted out in the former and told in the latter.

use std::collections::HashMap;

use super::ViewerId;
use crate::recording::Position;

/// Most output that may be under way to the viewer that keeps up, in bytes. After a Ctrl-C this much still appears.
pub(crate) const VIEWER_WINDOW_BYTES: u64 = 256 * 1024;

/// What a viewer gets that has not said how much it wants, and a session that nobody looks at, in bytes.
const FIRST_WINDOW_BYTES: u64 = 64 * 1024;

/// Least output that may be under way to a viewer, in bytes, however little it asks for: a screen that is drawn anew.
const SMALLEST_WINDOW_BYTES: u64 = 32 * 1024;

/// Output that may be under way which nobody is to draw, in bytes: what an interrupt overtook, from agents far away too.
const SKIPPING_WINDOW_BYTES: u64 = 1024 * 1024;

/// Output that may be produced while nobody looks, in bytes.
const UNWATCHED_BYTES: u64 = 16 * 1024 * 1024;

/// Credit is given in steps of at least this part of the window: smaller ones are not worth a message.
const STEPS_PER_WINDOW: u64 = 4;

/// Credit without end, for a session that is being closed: what is left is recorded, and it cannot be much.
pub(super) const UNLIMITED: u64 = 1 << 59;

/// Who has rendered how much.
#[derive(Debug)]
pub(super) struct Flow {
    viewers: HashMap<ViewerId, Viewer>,
    /// The furthest that any viewer ever got.
    furthest: u64,
    /// In source bytes.
    granted: u64,
}

#[derive(Debug, Clone, Copy)]
struct Viewer {
    rendered: u64,
    window: u64,
    /// It came so far by skipping.
    skipped: Option<u64>,
}

impl Viewer {
    fn window(&self) -> u64 {
        if self.skipped == Some(self.rendered) { SKIPPING_WINDOW_BYTES } else { self.window }
    }
}

impl Flow {
    /// Nobody looks; everything below `offset` was seen or will never be asked for.
    pub(super) fn at(offset: u64) -> Self {
        Self { viewers: HashMap::new(), furthest: offset, granted: 0 }
    }

    pub(super) fn join(&mut self, viewer: ViewerId, offset: u64) {
        let window = self.viewers.get(&viewer).map_or(FIRST_WINDOW_BYTES, |known| known.window);
        self.viewers.insert(viewer, Viewer { rendered: offset, window, skipped: None });
    }

    pub(super) fn leave(&mut self, viewer: ViewerId) {
        self.viewers.remove(&viewer);
    }

    /// The viewer has rendered everything below `offset`; `end` is where the output ends, and no claim goes beyond it.
    pub(super) fn handle_rendered(&mut self, viewer: ViewerId, offset: u64, end: u64) {
        if let Some(known) = self.viewers.get_mut(&viewer) {
            known.rendered = offset.min(end).max(known.rendered);
            self.furthest = self.furthest.max(known.rendered);
        }
    }

    /// The viewer need not draw what is below `offset`, and waits for what comes behind.
    pub(super) fn handle_skipped(&mut self, viewer: ViewerId, offset: u64, end: u64) {
        self.handle_rendered(viewer, offset, end);
        if let Some(known) = self.viewers.get_mut(&viewer) {
            known.skipped = Some(known.rendered);
        }
    }

    /// The viewer draws slowly, or fast, and wants no more than this under way.
    pub(super) fn handle_window(&mut self, viewer: ViewerId, bytes: u64) {
        if let Some(known) = self.viewers.get_mut(&viewer) {
            known.window = bytes.clamp(SMALLEST_WINDOW_BYTES, VIEWER_WINDOW_BYTES);
        }
    }

    pub(super) fn is_watched(&self) -> bool {
        !self.viewers.is_empty()
    }

    /// Below this, no viewer needs recent output any more.
    pub(super) fn rendered_by_all(&self) -> Option<u64> {
        self.viewers.values().map(|viewer| viewer.rendered).min()
    }

    /// The limit for a new link, in source bytes; `end` is where the output ends.
    pub(super) fn grant_anew(&mut self, end: Position) -> u64 {
        self.granted = self.limit(end);
        self.granted
    }

    /// By how much the limit could grow, where that is worth a message; `end` is where the output ends.
    pub(super) fn growth(&self, end: Position) -> Option<u64> {
        self.limit(end).checked_sub(self.granted).filter(|growth| *growth >= self.step())
    }

    /// The smallest growth that is worth a message, in bytes.
    pub(super) fn step(&self) -> u64 {
        self.fastest().map_or(FIRST_WINDOW_BYTES, Viewer::window) / STEPS_PER_WINDOW
    }

    fn fastest(&self) -> Option<&Viewer> {
        self.viewers.values().max_by_key(|viewer| viewer.rendered + viewer.window())
    }

    /// Raises the limit by so much, and says what it is now, in source bytes.
    pub(super) fn grow(&mut self, growth: u64) -> u64 {
        self.granted += growth;
        self.granted
    }

    /// What was sent cannot be taken back, so a session that nobody looks at gets credit in small pieces: when somebody comes
    /// back, a Ctrl-C works as soon as ever.
    fn limit(&self, end: Position) -> u64 {
        let recorded = match self.fastest() {
            Some(viewer) => viewer.rendered + viewer.window(),
            None => (self.furthest + UNWATCHED_BYTES).min(end.recorded + FIRST_WINDOW_BYTES),
        };
        recorded + end.stripped()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: ViewerId = ViewerId(1);
    const B: ViewerId = ViewerId(2);
    const STEP_BYTES: u64 = FIRST_WINDOW_BYTES / STEPS_PER_WINDOW;

    fn at(offset: u64) -> Position {
        Position { recorded: offset, source: offset }
    }

    fn grant(flow: &mut Flow, end: u64) -> Option<u64> {
        flow.growth(at(end)).map(|growth| flow.grow(growth))
    }

    #[test]
    fn the_fastest_viewer_sets_the_pace() {
        let mut flow = Flow::at(0);
        flow.join(A, 0);
        flow.join(B, 0);
        assert_eq!(flow.grant_anew(at(0)), FIRST_WINDOW_BYTES);
        flow.handle_rendered(A, STEP_BYTES, u64::MAX);
        assert_eq!(grant(&mut flow, 0), Some(STEP_BYTES + FIRST_WINDOW_BYTES));
        assert_eq!(flow.rendered_by_all(), Some(0));
    }

    #[test]
    fn small_steps_are_gathered() {
        let mut flow = Flow::at(0);
        flow.join(A, 0);
        flow.grant_anew(at(0));
        flow.handle_rendered(A, STEP_BYTES - 1, u64::MAX);
        assert_eq!(grant(&mut flow, 0), None);
        flow.handle_rendered(A, STEP_BYTES, u64::MAX);
        assert!(grant(&mut flow, 0).is_some());
    }

    #[test]
    fn a_slow_viewer_gets_the_window_that_it_asks_for_within_bounds() {
        for (asked, given) in [(1, SMALLEST_WINDOW_BYTES), (65_536, 65_536), (u64::MAX, VIEWER_WINDOW_BYTES)] {
            let mut flow = Flow::at(0);
            flow.join(A, 0);
            flow.handle_window(A, asked);
            assert_eq!(flow.grant_anew(at(0)), given);
            flow.handle_rendered(A, given / 4, u64::MAX);
            assert_eq!(grant(&mut flow, 0), Some(given + given / 4));
            flow.join(A, given);
            assert_eq!(grant(&mut flow, 0), Some(2 * given), "it is still as slow");
        }
    }

    #[test]
    fn what_is_skipped_comes_fast_however_slowly_the_viewer_draws() {
        let mut flow = Flow::at(0);
        flow.join(A, 0);
        flow.handle_window(A, 0);
        flow.handle_skipped(A, 100_000, 100_000);
        assert_eq!(grant(&mut flow, 100_000), Some(100_000 + SKIPPING_WINDOW_BYTES));
        flow.handle_rendered(A, 60_000, 2_000_000);
        flow.handle_skipped(A, 2_000_000, 2_000_000);
        assert_eq!(grant(&mut flow, 2_000_000), Some(2_000_000 + SKIPPING_WINDOW_BYTES));
        flow.handle_rendered(A, 4_000_000, 4_000_000);
        assert_eq!(grant(&mut flow, 4_000_000), Some(4_000_000 + SMALLEST_WINDOW_BYTES), "it draws again");
    }

    #[test]
    fn a_window_that_shrinks_takes_nothing_back_and_holds_back_the_next() {
        let mut flow = Flow::at(0);
        flow.join(A, 0);
        flow.handle_window(A, u64::MAX);
        flow.grant_anew(at(0));
        flow.handle_window(A, 65_536);
        flow.handle_rendered(A, 65_536, u64::MAX);
        assert_eq!(grant(&mut flow, 65_536), None);
        flow.handle_rendered(A, VIEWER_WINDOW_BYTES, u64::MAX);
        assert_eq!(grant(&mut flow, VIEWER_WINDOW_BYTES), Some(VIEWER_WINDOW_BYTES + 65_536));
    }

    #[test]
    fn nobody_can_claim_to_have_seen_the_future() {
        let mut flow = Flow::at(0);
        flow.join(A, 0);
        flow.grant_anew(at(0));
        flow.handle_rendered(A, u64::MAX, 10);
        assert_eq!(flow.rendered_by_all(), Some(10));
    }

    #[test]
    fn unwatched_output_is_bounded_and_allowed_in_small_pieces() {
        let mut flow = Flow::at(0);
        flow.join(A, 0);
        flow.grant_anew(at(0));
        flow.handle_rendered(A, 1_000, 1_000);
        flow.leave(A);
        assert_eq!(grant(&mut flow, 1_000), None, "a window is granted already");
        let later = 1_000 + FIRST_WINDOW_BYTES;
        assert_eq!(grant(&mut flow, later), Some(later + FIRST_WINDOW_BYTES));
        assert_eq!(grant(&mut flow, 1 << 40), Some(1_000 + UNWATCHED_BYTES));
        assert_eq!(grant(&mut flow, 1 << 41), None);
    }

    #[test]
    fn what_nobody_sees_uses_up_no_credit() {
        let mut flow = Flow::at(0);
        flow.join(A, 0);
        flow.grant_anew(at(0));
        assert_eq!(flow.growth(Position { recorded: 0, source: STEP_BYTES }), Some(STEP_BYTES));
    }
}
