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
    writers: HashMap<WriterId, Writer>,
    /// Grows with whatever a writer does.
    turn: u64,
}

#[derive(Debug)]
struct Writer {
    view: watch::Sender<InputView>,
    lost: Lost,
    /// When it did something last.
    turn: u64,
}

/// Whether something of a writer's input was not taken, so that it has to send it again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Lost {
    Nothing,
    /// It was told to.
    Told,
    /// It is to be told once the process has read more: it ran ahead of its window.
    ToBeTold,
}

impl Writer {
    fn new() -> Self {
        Self { view: watch::Sender::new(InputView::default()), lost: Lost::Nothing, turn: 0 }
    }

    fn tell(&mut self) {
        self.lost = Lost::Told;
        self.view.send_modify(|view| view.resend = view.resend.wrapping_add(1));
    }
}

impl Inputs {
    /// A viewer writes as `writer`; it follows its input here.
    pub(super) fn join(&mut self, writer: WriterId) -> watch::Receiver<InputView> {
        if self.writers.len() >= MAX_WRITERS && !self.writers.contains_key(&writer) {
            self.forget_one();
        }
        self.turn += 1;
        let joined = self.writers.entry(writer).or_insert_with(Writer::new);
        joined.turn = self.turn;
        joined.view.subscribe()
    }

    /// Forgets the tab that is gone for longest, as the agent does: one that comes back after that has to take a new name.
    fn forget_one(&mut self) {
        let gone = self.writers.iter().filter(|(_, writer)| writer.view.receiver_count() == 0);
        if let Some(id) = gone.min_by_key(|(_, writer)| writer.turn).map(|(id, _)| *id) {
            self.writers.remove(&id);
        }
    }

    /// What of a viewer's input is new and in order, and so is to be forwarded. Other input is a leftover of a reconnect:
    /// known already, or behind something that was lost and has to be sent again.
    pub(super) fn accept(&mut self, id: WriterId, offset: u64, mut bytes: Bytes) -> Option<Input> {
        self.turn += 1;
        let writer = self.writers.get_mut(&id)?;
        writer.turn = self.turn;
        let InputView { applied, expected, .. } = *writer.view.borrow();
        let Some(known) = expected.checked_sub(offset) else {
            if writer.lost == Lost::Nothing {
                writer.tell();
            }
            return None;
        };
        let known = usize::try_from(known).ok()?;
        if known >= bytes.len() {
            return None;
        }
        let bytes = bytes.split_off(known);
        let end = expected + bytes.len() as u64;
        if end > applied + INPUT_WINDOW_BYTES {
            writer.lost = Lost::ToBeTold;
            return None;
        }
        writer.lost = Lost::Nothing;
        writer.view.send_if_modified(|view| {
            view.expected = end;
            false
        });
        Some(Input { writer: id, offset: expected, bytes })
    }

    /// The process has read input.
    pub(super) fn handle_applied(&mut self, applied: InputApplied) {
        let Some(writer) = self.writers.get_mut(&applied.writer) else {
            return;
        };
        writer.view.send_if_modified(|view| {
            let news = applied.offset > view.applied;
            view.applied = view.applied.max(applied.offset);
            view.expected = view.expected.max(applied.offset);
            news
        });
        if writer.lost == Lost::ToBeTold {
            writer.tell();
        }
    }

    /// A new link: the agent expects each writer's input from where it says, or from the start.
    pub(super) fn handle_attached(&mut self, accepted: &[InputApplied]) {
        for at in accepted {
            self.writers.entry(at.writer).or_insert_with(Writer::new);
        }
        for (id, writer) in &mut self.writers {
            let expected = accepted.iter().find(|at| at.writer == *id).map_or(0, |at| at.offset);
            writer.view.send_if_modified(|view| {
                view.expected = expected;
                false
            });
            writer.tell();
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
    fn a_gap_is_told_once_and_again_after_it_was_mended() {
        let mut inputs = Inputs::default();
        let view = inputs.join(W);
        assert_eq!(inputs.accept(W, 1, Bytes::from_static(b"b")), None);
        assert_eq!(inputs.accept(W, 2, Bytes::from_static(b"c")), None);
        assert_eq!(view.borrow().resend, 1);
        inputs.accept(W, 0, Bytes::from_static(b"abc")).expect("mended");
        assert_eq!(inputs.accept(W, 9, Bytes::from_static(b"x")), None);
        assert_eq!(view.borrow().resend, 2);
    }

    #[test]
    fn nothing_is_held_for_a_writer_that_ignores_its_window() {
        let mut inputs = Inputs::default();
        let view = inputs.join(W);
        let window = usize::try_from(INPUT_WINDOW_BYTES).expect("fits");
        assert!(inputs.accept(W, 0, Bytes::from(vec![0; window])).is_some());
        assert_eq!(inputs.accept(W, INPUT_WINDOW_BYTES, Bytes::from_static(b"x")), None);
        assert_eq!(view.borrow().resend, 0, "there is no room for it yet");
        inputs.handle_applied(InputApplied { writer: W, offset: 1 });
        assert_eq!(view.borrow().resend, 1);
        assert!(inputs.accept(W, INPUT_WINDOW_BYTES, Bytes::from_static(b"x")).is_some());
    }

    #[test]
    fn of_tabs_that_are_gone_the_latest_are_remembered() {
        let mut inputs = Inputs::default();
        let writer = |number: usize| WriterId(number as u64);
        for number in 0..MAX_WRITERS {
            drop(inputs.join(writer(number)));
            inputs.accept(writer(number), 0, Bytes::from_static(b"abc")).expect("new");
        }
        let _stays = inputs.join(writer(0));
        let _new = inputs.join(writer(MAX_WRITERS));
        assert_eq!(inputs.writers.len(), MAX_WRITERS);
        assert_eq!(inputs.join(writer(0)).borrow().expected, 3);
        assert_eq!(inputs.join(writer(2)).borrow().expected, 3, "it came later than the one that had to go");
        assert_eq!(inputs.join(writer(1)).borrow().expected, 0);
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
