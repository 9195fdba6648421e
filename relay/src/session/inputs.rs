//! Where each writer's input stands: what the agent is expected to take next, and what the process has read. Pure.

use std::collections::HashMap;

use bytes::Bytes;
use podlatch_protocol::id::WriterId;
use podlatch_protocol::limits::{INPUT_WINDOW_BYTES, MAX_WRITERS};
use podlatch_protocol::session::{Input, InputApplied};
use tokio::sync::watch;

/// What a viewer has to know of its input.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct InputView {
    /// Every byte below was read by the process.
    pub(crate) applied: u64,
    /// The next byte that is expected.
    pub(crate) expected: u64,
    /// Grows when the viewer has to send again from `expected` on.
    pub(crate) resend: u32,
}

/// All writers of a session.
#[derive(Debug, Default)]
pub(super) struct Inputs {
    writers: HashMap<WriterId, watch::Sender<InputView>>,
}

impl Inputs {
    /// A viewer writes as `writer`; it follows its input here.
    pub(super) fn join(&mut self, writer: WriterId) -> watch::Receiver<InputView> {
        if self.writers.len() >= MAX_WRITERS {
            // Tabs that are gone; the agent still knows how far they came.
            self.writers.retain(|_, view| view.receiver_count() > 0);
        }
        self.writers.entry(writer).or_insert_with(|| watch::Sender::new(InputView::default())).subscribe()
    }

    /// What of a viewer's input is new and in order, and so is to be forwarded. The rest is a leftover of a reconnect: known
    /// already, or about to be sent again.
    pub(super) fn accept(&mut self, writer: WriterId, offset: u64, mut bytes: Bytes) -> Option<Input> {
        let view = self.writers.get(&writer)?;
        let expected = view.borrow().expected;
        let known = usize::try_from(expected.checked_sub(offset)?).ok()?;
        if known >= bytes.len() {
            return None;
        }
        let bytes = bytes.split_off(known);
        let ahead = expected + bytes.len() as u64 - view.borrow().applied;
        if ahead > INPUT_WINDOW_BYTES {
            // Nobody who keeps to the protocol gets here; nothing is held for who does not.
            return None;
        }
        view.send_if_modified(|view| {
            view.expected += bytes.len() as u64;
            false
        });
        Some(Input { writer, offset: expected, bytes })
    }

    /// The process has read input.
    pub(super) fn handle_applied(&mut self, applied: InputApplied) {
        if let Some(view) = self.writers.get(&applied.writer) {
            view.send_if_modified(|view| {
                let news = applied.offset > view.applied;
                view.applied = view.applied.max(applied.offset);
                view.expected = view.expected.max(applied.offset);
                news
            });
        }
    }

    /// A new link: the agent expects each writer's input from where it says, or from the start.
    pub(super) fn handle_attached(&mut self, accepted: &[InputApplied]) {
        for at in accepted {
            self.writers.entry(at.writer).or_insert_with(|| watch::Sender::new(InputView::default()));
        }
        for (writer, view) in &self.writers {
            let expected = accepted.iter().find(|at| at.writer == *writer).map_or(0, |at| at.offset);
            view.send_modify(|view| {
                view.expected = expected;
                view.resend = view.resend.wrapping_add(1);
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const W: WriterId = WriterId(7);

    #[test]
    fn leftovers_of_a_reconnect_are_dropped() {
        let mut inputs = Inputs::default();
        let _view = inputs.join(W);
        let forwarded = inputs.accept(W, 0, Bytes::from_static(b"abc")).expect("new");
        assert_eq!((forwarded.offset, &forwarded.bytes[..]), (0, &b"abc"[..]));
        assert_eq!(inputs.accept(W, 0, Bytes::from_static(b"abc")), None, "known");
        assert_eq!(inputs.accept(W, 4, Bytes::from_static(b"e")), None, "d is missing");
        let forwarded = inputs.accept(W, 1, Bytes::from_static(b"bcd")).expect("d is new");
        assert_eq!((forwarded.offset, &forwarded.bytes[..]), (3, &b"d"[..]));
    }

    #[test]
    fn a_new_link_makes_viewers_send_again_what_was_lost() {
        let mut inputs = Inputs::default();
        let mut view = inputs.join(W);
        inputs.accept(W, 0, Bytes::from_static(b"abcdef")).expect("new");
        inputs.handle_attached(&[InputApplied { writer: W, offset: 2 }]);
        assert!(view.has_changed().expect("alive"));
        let InputView { expected, resend, .. } = *view.borrow_and_update();
        assert_eq!((expected, resend), (2, 1));
        assert_eq!(inputs.accept(W, 2, Bytes::from_static(b"cdef")).expect("again").offset, 2);
    }

    #[test]
    fn nothing_is_held_for_a_writer_that_ignores_its_window() {
        let mut inputs = Inputs::default();
        let _view = inputs.join(W);
        let window = usize::try_from(INPUT_WINDOW_BYTES).expect("fits");
        assert!(inputs.accept(W, 0, Bytes::from(vec![0; window])).is_some());
        assert_eq!(inputs.accept(W, INPUT_WINDOW_BYTES, Bytes::from_static(b"x")), None);
        inputs.handle_applied(InputApplied { writer: W, offset: 1 });
        assert!(inputs.accept(W, INPUT_WINDOW_BYTES, Bytes::from_static(b"x")).is_some());
    }

    #[test]
    fn what_the_process_read_is_told_to_its_writer_alone() {
        let mut inputs = Inputs::default();
        let (mut mine, other) = (inputs.join(W), inputs.join(WriterId(8)));
        inputs.handle_applied(InputApplied { writer: W, offset: 3 });
        assert_eq!(mine.borrow_and_update().applied, 3);
        assert!(!other.has_changed().expect("alive"));
    }
}
