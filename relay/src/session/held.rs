//! Input that enters a line waits until that is recorded, and what follows it waits behind it: a relay that is killed in between
//! finds the line all the same.

use std::collections::VecDeque;

use podlatch_protocol::session::Input;
use tokio::sync::oneshot;

/// One session's input on its way, in order. Bounded by the windows of its writers.
#[derive(Debug, Default)]
pub(super) struct Held {
    queue: VecDeque<(Option<oneshot::Receiver<()>>, Input)>,
}

impl Held {
    /// Takes input that waits for what is before it, and for `recorded` if there is such.
    pub(super) fn push(&mut self, input: Input, recorded: Option<oneshot::Receiver<()>>) {
        self.queue.push_back((recorded, input));
    }

    /// Returns when there is something to take. Cancel safe.
    pub(super) async fn ready(&mut self) {
        let Some((recorded, _)) = self.queue.front_mut() else {
            return std::future::pending().await;
        };
        if let Some(recorded) = recorded {
            // An error means that it is not going to be recorded: the session is told so in its own way.
            let _over = recorded.await;
        }
        self.queue.front_mut().map(|(recorded, _)| recorded.take());
    }

    /// The next input that waits for nothing.
    pub(super) fn take(&mut self) -> Option<Input> {
        match self.queue.front() {
            Some((None, _)) => self.queue.pop_front().map(|(_, input)| input),
            Some((Some(_), _)) | None => None,
        }
    }

    /// Whoever typed it sends it again.
    pub(super) fn clear(&mut self) {
        self.queue.clear();
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use podlatch_protocol::id::WriterId;

    use super::*;

    fn input(offset: u64) -> Input {
        Input { writer: WriterId(1), offset, bytes: Bytes::from_static(b"x") }
    }

    #[tokio::test]
    async fn nothing_overtakes_what_waits_to_be_recorded() {
        let mut held = Held::default();
        let (recorded, waits) = oneshot::channel();
        held.push(input(0), None);
        held.push(input(1), Some(waits));
        held.push(input(2), None);
        assert_eq!(held.take(), Some(input(0)));
        assert_eq!(held.take(), None, "it is not recorded yet");
        recorded.send(()).expect("somebody waits");
        held.ready().await;
        assert_eq!((held.take(), held.take(), held.take()), (Some(input(1)), Some(input(2)), None));
    }

    #[tokio::test]
    async fn what_is_never_recorded_holds_nothing_up_for_ever() {
        let mut held = Held::default();
        let (recorded, waits) = oneshot::channel::<()>();
        held.push(input(0), Some(waits));
        drop(recorded);
        held.ready().await;
        assert_eq!(held.take(), Some(input(0)));
    }
}
